/*
 * Why the daemon cannot start, as one line for a person.  Only start-up uses this; a running
 * supervisor logs and goes on.
 */
#ifndef TLSB_SUPERVISOR_FAILURE_H
#define TLSB_SUPERVISOR_FAILURE_H

#include "base/macros.h"

struct failure {
	char text[512]; /* "what: why", cut if need be */
};

/* Set the text and return ERROR, a negative errno, so that it can be returned on. */
int failure_set(struct failure *failure, int error, const char *format, ...) printf_(3, 4);

#endif
