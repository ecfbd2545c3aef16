/*
 * Answers for programs.  Members are only ever added, so a reader ignores those that it does not know.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "tools/ask.h"

static json_t *listed_json(const struct status_row *it)
{
	const struct row *row = &it->row;
	char id[48];

	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:s, s:s}", "session",
			 ask_session(id, row->worker, row->value[3]), "badge", status_string(it, 0),
			 "badge_number", (json_int_t)row->badge, "uid", (json_int_t)row->uid,
			 "worker", (json_int_t)row->worker, "client_pid", (json_int_t)row->pid,
			 "state", status_state(row), "age_ms", (json_int_t)row->value[0],
			 "bytes_read", (json_int_t)row->value[1], "bytes_written",
			 (json_int_t)row->value[2], "server", status_string(it, 1), "address",
			 status_string(it, 2));
}

static json_t *badge_json(const struct status_row *it)
{
	const struct row *row = &it->row;

	return json_pack("{s:s, s:I, s:b, s:I, s:I, s:I}", "badge", status_string(it, 0),
			 "badge_number", (json_int_t)row->badge, "admin", row->state != 0, "workers",
			 (json_int_t)row->value[0], "clients", (json_int_t)row->value[1],
			 "sessions", (json_int_t)row->value[2]);
}

static json_t *text_json(const struct status_row *it)
{
	return json_string(status_string(it, 0));
}

/* What a command answers with: an array of this name, of rows of this kind. */
static const struct answer {
	enum command command;
	uint32_t kind;
	const char *name;
	json_t *(*make)(const struct status_row *it);
} answers[] = {
	{ SESSIONS, ROW_LISTED, "sessions", listed_json },
	{ BADGES, ROW_BADGE, "badges", badge_json },
	{ RELOAD, ROW_TEXT, "errors", text_json },
};

static int add_rows(json_t *root, const struct answer *answer, const struct status *status)
{
	json_t *array = json_array();
	int r = json_object_set_new(root, answer->name, array);

	for (size_t i = 0; r == 0 && i < status->count; i++) {
		if (status->rows[i].row.kind == answer->kind)
			r = json_array_append_new(array, answer->make(&status->rows[i]));
	}
	return r;
}

int ask_json_print(const struct options *options, const struct status *status)
{
	json_t *root = json_pack("{s:b, s:s}", "done", status->end.value[0] == 0, "text", status->text);
	int r = root ? 0 : -1;

	for (size_t i = 0; r == 0 && i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (answers[i].command == options->command)
			r = add_rows(root, &answers[i], status);
	}
	if (r == 0 && (json_dumpf(root, stdout, JSON_INDENT(2)) < 0 || putchar('\n') == EOF))
		r = -1;
	json_decref(root);
	return r < 0 ? -ENOMEM : 0;
}
