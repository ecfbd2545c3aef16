/*
 * For the audit: in which systemd units the programs of a worker are, where a rule has made the frontdoor
 * find out.  That a session is a certain one of these programs', the worker says; in which unit that is, not.
 */
#ifndef TLSB_SUPERVISOR_UNITS_H
#define TLSB_SUPERVISOR_UNITS_H

#include "wire/chan.h"

/* All zero: nothing is known. */
struct units {
	struct unit_of *rows; /* by process number, modulo their count: who comes later takes the place */
};

void units_deinit(struct units *units);

/* The unit of the process of this number, as text; NULL: not known. */
const char *units_find(const struct units *units, const char *pid);

/* From the frontdoor: CLIENT_UNIT. */
chan_handler units_on_client;

#endif
