/*
 * What is wrong with a configuration: all of it, in the order of the files, each as
 * "file:line: text".
 */
#ifndef TLSB_CONF_ERRORS_H
#define TLSB_CONF_ERRORS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

/* More than these are not kept: a file that has nothing to do with us has an error in each line. */
#define CONF_ERRORS_MAX 100

struct conf_place {
	const char *file; /* lives as long as the configuration */
	unsigned line;    /* 0: the file as a whole */
};

struct conf_error {
	char *text;
	unsigned file; /* which, counted from 0 */
	unsigned line;
};

struct conf_errors {
	struct conf_error list[CONF_ERRORS_MAX];
	unsigned count;
	unsigned file;  /* the one that is being read */
	bool no_memory; /* something was not even kept as an error */
};

void conf_errors_init(struct conf_errors *errors);
void conf_errors_deinit(struct conf_errors *errors);

/* One more; one that is there already is the same one. */
void conf_error(struct conf_errors *errors, struct conf_place place, const char *format, ...)
	printf_(3, 4);

/* Whether this line has one already. */
bool conf_errors_has(const struct conf_errors *errors, unsigned line);

/* Whether one has this text, its place included. */
bool conf_errors_contain(const struct conf_errors *errors, const char *text);

/* By file and line. */
void conf_errors_sort(struct conf_errors *errors);

/* 0; -EINVAL: there are some; -ENOMEM. */
int conf_errors_result(const struct conf_errors *errors);

#endif
