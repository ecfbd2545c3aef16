/*
 * The answer for programs.  Members are only ever added, so a reader ignores those that it does not know.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/text.h"
#include "tools/explain.h"

/* {"word": ..., "place": "file:line"}; what is not there is null. */
static json_t *rule_json(const struct status_row *row)
{
	const char *place = status_string(row, 1), *word = status_string(row, 2);

	return json_pack("{s:s?, s:s?}", "word", word[0] ? word : NULL, "place",
			 place[0] != '-' ? place : NULL);
}

/* A setting has a list of words: there may be none, or many. */
static int add_setting(json_t *settings, const struct status_row *row)
{
	const char *name = status_string(row, 0);
	json_t *list = json_object_get(settings, name);
	int r = 0;

	if (!list) {
		list = json_array();
		r = json_object_set_new(settings, name, list);
	}
	if (r == 0 && status_string(row, 2)[0] != '\0')
		r = json_array_append_new(list, rule_json(row));
	return r;
}

static int add_rows(json_t *root, json_t *settings, const struct status *status)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < status->count; i++) {
		const struct status_row *row = &status->rows[i];

		if (row->row.kind != ROW_RULE)
			continue;
		r = explain_decides(row) ? json_object_set_new(root, status_string(row, 0),
							       rule_json(row))
					 : add_setting(settings, row);
	}
	return r;
}

int explain_json_print(const struct options *options, const char *title,
		       const struct status *status)
{
	char target[4 * (LIMIT_HOST + 16)]; /* as it was typed */
	json_t *settings = json_object();
	json_t *root = json_pack("{s:b, s:s, s:s, s:s, s:s}", "done", status->end.value[0] == 0, "text",
				 status->text, "about", title, "target",
				 text_escape_str(target, sizeof(target), options->subject), "ruling",
				 explain_ruling(status));
	int r = root && settings ? add_rows(root, settings, status) : -1;

	if (r == 0)
		r = json_object_set(root, "settings", settings);
	if (r == 0 && (json_dumpf(root, stdout, JSON_INDENT(2)) < 0 || putchar('\n') == EOF))
		r = -1;
	json_decref(settings);
	json_decref(root);
	return r < 0 ? -ENOMEM : 0;
}
