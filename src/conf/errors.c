#include "conf/errors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void conf_errors_init(struct conf_errors *errors)
{
	*errors = (struct conf_errors){ .count = 0 };
}

void conf_errors_deinit(struct conf_errors *errors)
{
	for (unsigned i = 0; i < errors->count; i++)
		free(errors->list[i].text);
	errors->count = 0;
}

bool conf_errors_contain(const struct conf_errors *errors, const char *text)
{
	for (unsigned i = 0; i < errors->count; i++) {
		if (strcmp(errors->list[i].text, text) == 0)
			return true;
	}
	return false;
}

void conf_error(struct conf_errors *errors, struct conf_place place, const char *format, ...)
{
	struct conf_error *error = &errors->list[errors->count];
	char *what = NULL;
	va_list ap;
	int r;

	if (errors->count == CONF_ERRORS_MAX)
		return;
	va_start(ap, format);
	r = vasprintf(&what, format, ap);
	va_end(ap);
	if (r >= 0) {
		if (place.line > 0)
			r = asprintf(&error->text, "%s:%u: %s", place.file, place.line, what);
		else
			r = asprintf(&error->text, "%s: %s", place.file, what);
		free(what);
	}
	if (r < 0) {
		errors->no_memory = true;
		return;
	}
	if (conf_errors_contain(errors, error->text)) {
		free(error->text);
		return;
	}
	error->file = errors->file;
	error->line = place.line;
	errors->count++;
}

bool conf_errors_has(const struct conf_errors *errors, unsigned line)
{
	for (unsigned i = 0; i < errors->count; i++) {
		if (errors->list[i].file == errors->file && errors->list[i].line == line)
			return true;
	}
	return false;
}

static bool comes_before(const struct conf_error *a, const struct conf_error *b)
{
	return a->file != b->file ? a->file < b->file : a->line < b->line;
}

void conf_errors_sort(struct conf_errors *errors)
{
	/* By insertion: what is on one line stays in the order in which it was found. */
	for (unsigned i = 1; i < errors->count; i++) {
		struct conf_error error = errors->list[i];
		unsigned at = i;

		for (; at > 0 && comes_before(&error, &errors->list[at - 1]); at--)
			errors->list[at] = errors->list[at - 1];
		errors->list[at] = error;
	}
}

int conf_errors_result(const struct conf_errors *errors)
{
	if (errors->no_memory)
		return -ENOMEM;
	return errors->count > 0 ? -EINVAL : 0;
}
