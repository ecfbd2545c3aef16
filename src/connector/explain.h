/*
 * Why a dial failed, in one line that a person can act on: host, port, and what became of each
 * address, cut to LIMIT_TEXT.
 */
#ifndef TLSB_CONNECTOR_EXPLAIN_H
#define TLSB_CONNECTOR_EXPLAIN_H

#include "base/macros.h"
#include "connector/eyeballs.h"
#include "connector/lookup.h"
#include "tlsbroker.h"

struct explained {
	enum tlsb_error error;
	bool looking_up; /* nothing was dialled yet: its name was still to be found */
	char text[LIMIT_TEXT + 1];
};

/* All addresses failed, and that is all: the most telling failure gives the error. */
void explain_failures(struct explained *ret, const char *host, uint16_t port,
		      const struct eyeballs *eyeballs);

/* The deadline of MS passed.  EYEBALLS or LOOKUP: how far it was, or NULL. */
void explain_deadline(struct explained *ret, const char *host, uint16_t port, unsigned ms,
		      const struct eyeballs *eyeballs, const struct lookup *lookup);

/* It is not among the destinations of BADGE, NULL: one that has gone.  WHAT: the end of the sentence. */
void explain_policy(struct explained *ret, const char *badge, const char *host, uint16_t port,
		    const char *what);

/* Anything else. */
void explain_as(struct explained *ret, enum tlsb_error error, const char *format, ...)
	printf_(3, 4);

#endif
