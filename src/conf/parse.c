#include "conf/parse.h"

#include <assert.h>
#include <confuse.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/nearest.h"
#include "conf/settings.h"

/* What has a title and settings of its own.  The words are for who has put a setting elsewhere. */
static const struct section_kind {
	const char *name;
	unsigned where;
	const char *one;
} sections[] = {
	{ "badge", B, "a badge" },
	{ "identity", I, "an identity" },
	{ "psk", P, "a psk" },
};

/* Settings that are in a file but do not exist. */
#define STRANGERS_MAX 64

/* What a stranger is, as far as the grammar goes: found out by trying. */
enum stranger_kind { STRANGER_VALUE, STRANGER_TITLED, STRANGER_SECTION, STRANGER_KINDS };

struct stranger {
	char name[64];
	enum stranger_kind kind;
	bool is_told;  /* the first time that it is in the file, where its name stands */
	unsigned seen; /* how often, in this reading */
};

struct parser {
	const char *file;
	struct conf_errors *errors;
	struct parsed *out;
	cfg_t *root;
	char *title; /* of the section that is being read, once it has a value, */
	unsigned first_line; /* and where that stands */
	const char *at;      /* how far the file was searched for beginnings of sections, */
	unsigned at_line;    /* and which line that is */
	struct stranger strangers[STRANGERS_MAX];
	unsigned stranger_count;
	bool again; /* with what was found out, the same file may be read further */
};

/* libconfuse's callbacks have no argument of ours; it has global state itself. */
static struct parser *parsing;

static const struct setting_info *find_setting(const char *name)
{
	for (unsigned i = 0; i < SETTING_COUNT; i++) {
		if (strcmp(setting_info[i].name, name) == 0)
			return &setting_info[i];
	}
	return NULL;
}

static struct conf_place place_of(const cfg_t *cfg)
{
	return (struct conf_place){ parsing->file, (unsigned)MAX(cfg->line, 0) };
}

static const struct section_kind *find_section(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(sections); i++) {
		if (strcmp(sections[i].name, name) == 0)
			return &sections[i];
	}
	return NULL;
}

/* Not in a section that does not exist: that is said, and what is in it means nothing. */
static bool is_ours(const cfg_t *cfg)
{
	return cfg == parsing->root || find_section(cfg->name);
}

static unsigned section_of(const cfg_t *cfg)
{
	/* A section is counted when it ends: until then it is the next one. */
	return cfg == parsing->root ? PARSED_GLOBAL : parsing->out->section_count + 1;
}

static int add_value(cfg_t *cfg, const cfg_opt_t *opt, const char *text, bool begins)
{
	struct parsed *out = parsing->out;
	struct parsed_value *values = reallocarray(out->values, out->count + 1, sizeof(*values));

	if (!values)
		return -1;
	out->values = values;
	values[out->count] = (struct parsed_value){
		.setting = (unsigned)(find_setting(opt->name) - setting_info),
		.section = section_of(cfg),
		.line = place_of(cfg).line,
		.begins = begins,
		.text = text ? strdup(text) : NULL,
	};
	if (text && !values[out->count].text)
		return -1;
	out->count++;
	return 0;
}

/* A value, where it stands.  libconfuse keeps nothing of it. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	*(const char **)result = "";
	if (!is_ours(cfg))
		return 0;
	if (cfg != parsing->root && !parsing->title) {
		parsing->title = strdup(cfg_title(cfg));
		if (!parsing->title)
			parsing->errors->no_memory = true;
		parsing->first_line = place_of(cfg).line;
	}
	/* "=" has emptied the list, and the place for this value is counted already. */
	if (add_value(cfg, opt, value, opt->nvalues == 1) == 0)
		return 0;
	parsing->errors->no_memory = true;
	return -1;
}

/* ---- what does not exist ---- */

/* It exists, but not here. */
static void complain_of_place(const cfg_t *cfg, const struct setting_info *info,
			      const struct section_kind *here)
{
	const struct section_kind *right = NULL;

	for (unsigned i = ARRAY_SIZE(sections); i-- > 0 && !(info->where & G);) {
		if (info->where & sections[i].where)
			right = &sections[i];
	}
	conf_error(parsing->errors, place_of(cfg), "%s: not a setting of %s: it %s%s", info->name,
		   here ? here->one : "its own",
		   right ? "belongs into " : "stands outside of all of them",
		   right ? right->one : "");
}

static void complain_of_stranger(const cfg_t *cfg, const char *name)
{
	const struct section_kind *here = cfg == parsing->root ? NULL : find_section(cfg->name);
	struct nearest nearest = { .word = name };
	const unsigned where = here ? here->where : G;
	const struct setting_info *elsewhere = find_setting(name);
	char hint[96];

	if (elsewhere && !(elsewhere->where & where)) {
		complain_of_place(cfg, elsewhere, here);
		return;
	}
	for (unsigned i = 0; i < SETTING_COUNT; i++) {
		if (setting_info[i].where & where)
			nearest_try(&nearest, setting_info[i].name);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(sections) && where == G; i++)
		nearest_try(&nearest, sections[i].name);
	conf_error(parsing->errors, place_of(cfg), "%s: there is no such setting%s", name,
		   nearest_hint(&nearest, hint, sizeof(hint)));
}

static struct stranger *find_stranger(const char *name)
{
	for (unsigned i = 0; i < parsing->stranger_count; i++) {
		if (strcmp(parsing->strangers[i].name, name) == 0)
			return &parsing->strangers[i];
	}
	return NULL;
}

/* A value of one: of each assignment the first, which has its line from the value, counts. */
static int on_stranger(cfg_t *cfg, cfg_opt_t *opt, const char *value unused_, void *result)
{
	struct stranger *stranger = find_stranger(opt->name);

	*(const char **)result = "";
	if (stranger && is_ours(cfg) && opt->nvalues == 1 &&
	    !(stranger->seen++ == 0 && stranger->is_told))
		complain_of_stranger(cfg, opt->name);
	return 0;
}

static void meet_stranger(const cfg_t *cfg, const char *name)
{
	struct stranger *stranger = &parsing->strangers[parsing->stranger_count];

	if (is_ours(cfg))
		complain_of_stranger(cfg, name);
	if (parsing->stranger_count == STRANGERS_MAX || strlen(name) >= sizeof(stranger->name))
		return;
	*stranger = (struct stranger){ .kind = STRANGER_VALUE, .is_told = is_ours(cfg) };
	memcpy(stranger->name, name, strlen(name) + 1);
	parsing->stranger_count++;
	parsing->again = true;
}

/* Not a value then, but a section; or not one with a title.  Returns whether that may be so. */
static bool know_stranger_better(const char *name)
{
	struct stranger *stranger = find_stranger(name);

	if (!stranger || stranger->kind + 1 == STRANGER_KINDS)
		return false;
	stranger->kind++;
	parsing->again = true;
	return true;
}

static void on_error(cfg_t *cfg, const char *format, va_list ap) printf_(2, 0);

/* libconfuse's own words: which of them it is follows from the format, what it is about from AP. */
static void on_error(cfg_t *cfg, const char *format, va_list ap)
{
	char text[256];
	va_list copy;
	const char *name;

	va_copy(copy, ap);
	vsnprintf(text, sizeof(text), format, copy);
	va_end(copy);
	name = strstr(format, "'%s'") ? va_arg(ap, const char *) : "";
	if (strncmp(format, "no such option", 14) == 0)
		meet_stranger(cfg, name);
	else if ((strncmp(format, "missing equal sign", 18) != 0 &&
		  strncmp(format, "missing title", 13) != 0) ||
		 !know_stranger_better(name))
		conf_error(parsing->errors, place_of(cfg), "%s", text);
}

/* ---- one reading of one file ---- */

static void add_empty_lists(cfg_t *cfg)
{
	for (cfg_opt_t *opt = cfg->opts; opt->name; opt++) {
		if (opt->parsecb == on_value && (opt->flags & CFGF_MODIFIED) && opt->nvalues == 0 &&
		    add_value(cfg, opt, NULL, true) < 0)
			parsing->errors->no_memory = true;
	}
}

static int out_of_memory(void)
{
	parsing->errors->no_memory = true;
	return -1;
}

/* Whether the line that begins at LINE, which ends at END, is the first one of a section of this name. */
static bool begins_section(const char *line, const char *end, const char *name)
{
	const size_t len = strlen(name);

	line += strspn(line, " \t");
	return line + len < end && memcmp(line, name, len) == 0 && strchr(" \t\"", line[len]);
}

/* libconfuse tells where a section ends.  It begins at the last such line before its first value. */
static unsigned line_of_section(const cfg_t *cfg, const cfg_opt_t *opt)
{
	unsigned found = place_of(cfg).line;

	while (*parsing->at != '\0' && parsing->at_line <= parsing->first_line) {
		const char *end = strchrnul(parsing->at, '\n');

		if (begins_section(parsing->at, end, opt->name))
			found = parsing->at_line;
		parsing->at = *end == '\0' ? end : end + 1;
		parsing->at_line++;
	}
	parsing->first_line = 0;
	return found;
}

/* "badge NAME { ... }", or another section, ends.  One that is there twice takes the first one's place: it is not the last. */
static int on_section_end(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *last = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	struct parsed *out = parsing->out;
	const struct section_kind *kind = find_section(opt->name);
	struct parsed_section *more, section = { .line = line_of_section(cfg, opt) };

	assert(kind); /* it is called for these alone */
	section.where = kind->where;
	add_empty_lists(last);
	more = reallocarray(out->sections, out->section_count + 1, sizeof(*more));
	if (!more)
		return out_of_memory();
	out->sections = more;
	section.title = parsing->title ? parsing->title : strdup(cfg_title(last));
	parsing->title = NULL;
	if (!section.title)
		return out_of_memory();
	more[out->section_count++] = section;
	return 0;
}

static cfg_opt_t list_option(const char *name, cfg_callback_t parse)
{
	const cfg_opt_t option[] = { CFG_STR_LIST_CB(name, NULL, CFGF_NONE, parse) };

	return option[0];
}

static cfg_opt_t section_option(const char *name, cfg_opt_t *options, cfg_flag_t flags)
{
	const cfg_opt_t option[] = { CFG_SEC(name, options, flags) };

	return option[0];
}

/* Settings, strangers, sections, and the end of the list. */
#define OPTIONS_MAX (SETTING_COUNT + STRANGERS_MAX + ARRAY_SIZE(sections) + 1)

/* The grammar at one level, within the sections those of INNER; NULL: we are there. */
static void fill_options(cfg_opt_t options[OPTIONS_MAX], unsigned where,
			 cfg_opt_t inner[ARRAY_SIZE(sections)][OPTIONS_MAX])
{
	static const cfg_opt_t end = CFG_END();

	for (unsigned i = 0; i < SETTING_COUNT; i++) {
		if (setting_info[i].where & where)
			*options++ = list_option(setting_info[i].name, on_value);
	}
	for (unsigned i = 0; inner && i < ARRAY_SIZE(sections); i++)
		*options++ = section_option(sections[i].name, inner[i], CFGF_MULTI | CFGF_TITLE);
	for (unsigned i = 0; i < parsing->stranger_count; i++) {
		const struct stranger *stranger = &parsing->strangers[i];
		const struct setting_info *known = find_setting(stranger->name);

		if (known && (known->where & where))
			continue; /* a stranger at the other level only */
		if (stranger->kind == STRANGER_VALUE || !inner)
			*options++ = list_option(stranger->name, on_stranger);
		else
			*options++ = section_option(stranger->name, inner[0],
						    stranger->kind == STRANGER_TITLED
							    ? CFGF_MULTI | CFGF_TITLE
							    : CFGF_MULTI);
	}
	*options = end;
}

static int read_once(const char *text)
{
	cfg_opt_t inner[ARRAY_SIZE(sections)][OPTIONS_MAX], outer[OPTIONS_MAX];
	int r;

	parsing->at = text;
	parsing->at_line = 1;
	for (unsigned i = 0; i < parsing->stranger_count; i++)
		parsing->strangers[i].seen = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(sections); i++)
		fill_options(inner[i], sections[i].where, NULL);
	fill_options(outer, G, inner);
	parsing->root = cfg_init(outer, CFGF_NONE);
	if (!parsing->root)
		return -ENOMEM;
	cfg_set_error_function(parsing->root, on_error);
	for (unsigned i = 0; i < ARRAY_SIZE(sections); i++)
		cfg_set_validate_func(parsing->root, sections[i].name, on_section_end);
	r = cfg_parse_buf(parsing->root, text);
	if (r == CFG_SUCCESS)
		add_empty_lists(parsing->root);
	cfg_free(parsing->root);
	free(parsing->title);
	parsing->title = NULL;
	return 0;
}

void parsed_deinit(struct parsed *parsed)
{
	for (unsigned i = 0; i < parsed->count; i++)
		free(parsed->values[i].text);
	for (unsigned i = 0; i < parsed->section_count; i++)
		free(parsed->sections[i].title);
	free(parsed->values);
	free(parsed->sections);
	*parsed = (struct parsed){ .count = 0 };
}

int conf_parse(const char *file, const char *text, struct parsed *ret, struct conf_errors *errors)
{
	struct parser parser = { .file = file, .errors = errors, .out = ret };
	int r;

	*ret = (struct parsed){ .count = 0 };
	parsing = &parser;
	do {
		parser.again = false;
		parsed_deinit(ret);
		r = read_once(text);
	} while (r == 0 && parser.again && !errors->no_memory);
	parsing = NULL;
	return errors->no_memory ? -ENOMEM : r;
}
