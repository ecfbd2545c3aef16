#include "supervisor/users.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "conf/nearest.h"
#include "supervisor/files.h"

#define PASSWD_FILE "/etc/passwd"
#define GROUP_FILE  "/etc/group"

/* The line behind this one, or NULL. */
static const char *next_line(const char *line)
{
	line = strchr(line, '\n');
	return line && line[1] != '\0' ? line + 1 : NULL;
}

/* The third field of a line. */
static int read_id(const char *line, uint32_t *ret_id)
{
	const char *at = line;
	char digits[16];
	size_t len;

	for (int i = 0; i < 2; i++) {
		at += strcspn(at, ":\n");
		if (*at++ != ':')
			return -EINVAL;
	}
	len = strcspn(at, ":\n");
	if (len >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, at, len);
	digits[len] = '\0';
	return text_parse_u32(digits, 0, UINT32_MAX - 1, ret_id);
}

int users_find(const char *text, const char *name, uint32_t *ret_id)
{
	size_t len = strlen(name);

	for (const char *line = text; line; line = next_line(line)) {
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			return read_id(line, ret_id);
	}
	return -ENOENT;
}

/* Somebody who nearly has this name. */
static char *hint_at(const char *text, const char *name, char *dst, size_t size)
{
	struct nearest nearest = { .word = name };
	char best[64] = "";

	for (const char *line = text; line; line = next_line(line)) {
		char valid[64];
		size_t len = strcspn(line, ":\n");

		if (len >= sizeof(valid))
			continue;
		memcpy(valid, line, len);
		valid[len] = '\0';
		nearest_try(&nearest, valid);
		if (nearest.best == valid)
			nearest.best = text_copy(best, sizeof(best), valid);
	}
	return nearest_hint(&nearest, dst, size);
}

/* The two files, read when the first name is looked up. */
struct users {
	char *passwd, *group;
};

static const char *read_file(const char *path, char **text, struct conf_errors *errors)
{
	const struct conf_place place = { path, 0 };
	struct file_mark mark;
	size_t len;
	int r = *text ? 0 : files_read(path, LIMIT_USERS_BYTES, text, &len, &mark);

	if (r < 0) {
		conf_error(errors, place, "%s", strerror(-r));
		*text = strdup("");
	}
	if (!*text)
		errors->no_memory = true;
	return *text ? *text : "";
}

static void resolve_name(struct users *users, const struct conf_value *value, const char *kind,
			 const char *name, struct conf_match *match, struct conf_errors *errors)
{
	const char *text = match->kind == MATCH_UID ? read_file(PASSWD_FILE, &users->passwd, errors)
						    : read_file(GROUP_FILE, &users->group, errors);
	char shown[80], hint[96];

	if (users_find(text, name, &match->id) < 0)
		conf_error(errors, value->place, "match: there is no %s \"%s\" in %s%s", kind,
			   text_escape_str(shown, sizeof(shown), name),
			   match->kind == MATCH_UID ? PASSWD_FILE : GROUP_FILE,
			   hint_at(text, name, hint, sizeof(hint)));
}

/* WORD is one that value.c let pass. */
static void resolve(struct users *users, const struct conf_value *value, const char *word,
		    struct conf_match *match, struct conf_errors *errors)
{
	const char *behind = strchr(word, ':');

	*match = (struct conf_match){ .kind = MATCH_ANY };
	if (!behind++)
		return;
	if (strncmp(word, "unit:", 5) == 0) {
		match->kind = MATCH_UNIT;
		return;
	}
	match->kind = word[0] == 'u' ? MATCH_UID : MATCH_GID;
	if (strncmp(word, "user:", 5) == 0)
		resolve_name(users, value, "user", behind, match, errors);
	else if (strncmp(word, "group:", 6) == 0)
		resolve_name(users, value, "group", behind, match, errors);
	else
		(void)text_parse_u32(behind, 0, UINT32_MAX - 1, &match->id);
}

int users_resolve(struct conf *conf, struct conf_errors *errors)
{
	struct users users = { NULL, NULL };

	for (unsigned i = 0; i < conf->badge_count; i++) {
		struct conf_badge *badge = &conf->badges[i];
		const struct conf_value *value = &badge->scope.values[SETTING_match];

		badge->match_count = MIN(value->count, (unsigned)LIMIT_MATCHES);
		for (unsigned j = 0; j < badge->match_count; j++)
			resolve(&users, value, value->words[j], &badge->matches[j], errors);
	}
	free(users.passwd);
	free(users.group);
	return errors->no_memory ? -ENOMEM : 0;
}
