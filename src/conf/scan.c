#include "conf/scan.h"

#include <errno.h>
#include <string.h>

/* What ends a word, as libconfuse has it; "/" does before one of these. */
static const char ends_word[] = " #\"'\t\n\r={}()+,*/";

struct scan {
	struct conf_place place;
	struct conf_errors *errors;
	char *at;
	bool bad;
};

static void object(struct scan *scan, unsigned line, const char *what)
{
	const struct conf_place place = { scan->place.file, line };

	conf_error(scan->errors, place, "%s", what);
	scan->bad = true;
}

/* One character further. */
static void step(struct scan *scan)
{
	if (*scan->at == '\n')
		scan->place.line++;
	scan->at++;
}

/* The same, and there is a blank in its place. */
static void blank(struct scan *scan)
{
	if (*scan->at != '\n')
		*scan->at = ' ';
	step(scan);
}

static void skip_line(struct scan *scan)
{
	while (*scan->at != '\0' && *scan->at != '\n')
		blank(scan);
}

static void skip_remark(struct scan *scan)
{
	unsigned line = scan->place.line;
	const char *end = strstr(scan->at + 2, "*/");

	if (!end) {
		object(scan, line, "this remark has no end");
		end = scan->at + strlen(scan->at);
	} else {
		end += 2;
	}
	while (scan->at < end)
		blank(scan);
}

static bool check_variable(struct scan *scan)
{
	if (scan->at[0] != '$' || scan->at[1] != '{')
		return false;
	object(scan, scan->place.line, "${...} is not replaced by anything here: leave it out");
	return true;
}

static void skip_quotation(struct scan *scan)
{
	unsigned line = scan->place.line;
	char quote = *scan->at;

	step(scan);
	while (*scan->at != '\0' && *scan->at != quote) {
		check_variable(scan);
		if (*scan->at == '\n') {
			object(scan, line, "these quotes are not closed on the same line");
			return; /* what follows may well be meant to be outside */
		}
		if (*scan->at == '\\' && scan->at[1] != '\0' && scan->at[1] != '\n')
			step(scan);
		step(scan);
	}
	if (*scan->at == '\0')
		object(scan, line, "these quotes are not closed");
	else
		step(scan);
}

/* Characters that libconfuse would pass over without a word. */
static void check_dropped(struct scan *scan)
{
	static const char wildcard[] = "a word with * in it must be in quotes";
	static const char odd[] = "a word with this character in it must be in quotes";
	const char *at = scan->at;

	if (*at == '*')
		object(scan, scan->place.line, wildcard);
	else if ((*at == '+' && at[1] != '=') || (*at == '/' && strchr(ends_word, at[1])))
		object(scan, scan->place.line, odd);
}

static void scan_plain(struct scan *scan)
{
	const char *at = scan->at;

	if (*at == '#' || (at[0] == '/' && at[1] == '/')) {
		skip_line(scan);
	} else if (at[0] == '/' && at[1] == '*') {
		skip_remark(scan);
	} else if (*at == '"' || *at == '\'') {
		skip_quotation(scan);
	} else {
		check_variable(scan);
		check_dropped(scan);
		step(scan);
	}
}

int conf_scan(const char *file, char *text, size_t len, struct conf_errors *errors)
{
	struct scan scan = { .place = { file, 1 }, .errors = errors, .at = text };

	if (strlen(text) != len) {
		object(&scan, 0, "this is no text: there is a NUL in it");
		return -EINVAL;
	}
	while (*scan.at != '\0')
		scan_plain(&scan);
	return scan.bad ? -EINVAL : 0;
}
