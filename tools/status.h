/*
 * "tlsbroker-cli status": asks the broker what it runs, by the client protocol itself.
 */
#ifndef TLSB_TOOLS_STATUS_H
#define TLSB_TOOLS_STATUS_H

#include <stddef.h>

#include "tools/exits.h"
#include "tools/options.h"
#include "wire/messages.h"

/* A row as it came: hostile, but its name has been escaped. */
struct status_row {
	struct row row;
	char name[4 * LIMIT_TEXT + 1];
};

/* Rows in the order in which they came, without the last one. */
struct status {
	char socket[108]; /* where the broker is */
	char badge[4 * LIMIT_BADGE + 1]; /* who it says that we are */
	uint32_t uid;
	struct status_row *rows;
	size_t count, size;
};

/* Returns the exit status; what went wrong has been said. */
enum exit_code status_run(const struct options *options);

/* "running", ...; of a role or worker, or of a session. */
const char *status_state(const struct row *row);

/* To standard output: for people, for programs.  0 or -ENOMEM. */
int status_text_print(const struct status *status);
int status_json_print(const struct status *status);

#endif
