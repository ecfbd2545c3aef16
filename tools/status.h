/*
 * What the broker is asked about itself, by the client protocol, and its answers: rows.  "tlsbroker-cli
 * status" is here; the other commands that ask are in ask.h.
 */
#ifndef TLSB_TOOLS_STATUS_H
#define TLSB_TOOLS_STATUS_H

#include <stddef.h>

#include "tools/exits.h"
#include "tools/options.h"
#include "wire/messages.h"

/* A row as it came: hostile, but its strings have been escaped. */
struct status_row {
	struct row row;
	char *name; /* the first of them, the others behind it, each with its NUL; and one more NUL */
};

/* Rows in the order in which they came, without the last one. */
struct status {
	int fd; /* -1: not connected */
	char socket[108]; /* where the broker is */
	char badge[4 * LIMIT_BADGE + 1]; /* who it says that we are */
	uint32_t uid;
	struct status_row *rows;
	size_t count, size;
	size_t heard;    /* of the last question */
	struct row end;  /* its last row, */
	char text[4 * LIMIT_TEXT + 1]; /* and what that says */
};

/* Nothing asked yet. */
void status_init(struct status *status);
void status_deinit(struct status *status);

/* Connect, and say hello.  EXIT_OK, or what went wrong has been said. */
enum exit_code status_open(struct status *status, const char *path);

/*
 * Ask, a message of TYPE with BODY and a TAIL of LEN bytes; the rows are added to those that are there.
 * EXIT_OK, or what went wrong has been said.
 */
enum exit_code status_ask(struct status *status, uint32_t type, const void *body, const void *tail,
			  size_t len);

/* A row's I-th string, "" if it has not so many. */
const char *status_string(const struct status_row *row, unsigned i);

/* Returns the exit status; what went wrong has been said. */
enum exit_code status_run(const struct options *options);

/* "1h02m", "3m04s", "5.6s": two steps of precision are enough for an age. */
const char *status_age(char buf[24], uint64_t ms);

/* "running", ...; of a role or worker, or of a session. */
const char *status_state(const struct row *row);

/* To standard output: for people, for programs.  0 or -ENOMEM. */
int status_text_print(const struct status *status);
int status_json_print(const struct status *status);

#endif
