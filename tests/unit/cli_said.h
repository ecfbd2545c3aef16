/*
 * What the tool prints on standard output and standard error, for tests of it.  Header-only.
 */
#ifndef TLSB_TESTS_CLI_SAID_H
#define TLSB_TESTS_CLI_SAID_H

#include "testing.h"

#include <stdio.h>
#include <sys/mman.h>

struct said {
	int file, out, err; /* where it goes meanwhile; where it went before */
	char text[65536];
};

static inline void said_begin(struct said *said)
{
	fflush(stdout);
	said->file = memfd_create("said", MFD_CLOEXEC);
	said->out = dup(STDOUT_FILENO);
	said->err = dup(STDERR_FILENO);
	dup2(said->file, STDOUT_FILENO);
	dup2(said->file, STDERR_FILENO);
}

static inline const char *said_end(struct said *said)
{
	ssize_t n;

	fflush(stdout);
	n = pread(said->file, said->text, sizeof(said->text) - 1, 0);
	said->text[n > 0 ? n : 0] = '\0';
	dup2(said->out, STDOUT_FILENO);
	dup2(said->err, STDERR_FILENO);
	close(said->file);
	close(said->out);
	close(said->err);
	return said->text;
}

/* All of it is one line. */
static inline void said_one_line(const struct said *said)
{
	const char *end = strchr(said->text, '\n');

	assert_non_null(end);
	assert_string_equal(end, "\n");
}

#endif
