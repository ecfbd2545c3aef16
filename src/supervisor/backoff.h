/*
 * How long to wait before what died is started again: not at all the first time, then longer and
 * longer, so that a role that cannot live does not keep a processor busy.
 */
#ifndef TLSB_SUPERVISOR_BACKOFF_H
#define TLSB_SUPERVISOR_BACKOFF_H

#include <stdint.h>

struct backoff {
	unsigned deaths; /* in a row, none of them after a healthy life */
};

/* It died after RAN_MS: milliseconds to wait before the next start. */
uint32_t backoff_next(struct backoff *backoff, uint64_t ran_ms);

#endif
