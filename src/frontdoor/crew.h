/*
 * The workers of a badge.  Most have one.  One that may have several gets a further one only when a client
 * comes and all that are there have clients: this client waits for it.  If none is to be had, those that
 * there are take it.
 */
#ifndef TLSB_FRONTDOOR_CREW_H
#define TLSB_FRONTDOOR_CREW_H

#include "frontdoor/state.h"

/* How many are in this state. */
unsigned crew_count(const struct badge *badge, enum worker_state state);

/* The clients that they have. */
unsigned crew_clients(const struct badge *badge);

/* The one of this number, or of this process, or NULL. */
struct hand *crew_nth(struct badge *badge, uint32_t nth);
struct hand *crew_pid(struct badge *badge, uint32_t pid);

/* Whether one is there for clients. */
bool crew_is_there(struct badge *badge);

/* The one for the next client; NULL: it has to wait for one that comes. */
struct hand *crew_next(struct badge *badge);

/* Ask the supervisor for a worker for each client that waits, as far as there may be so many. */
void crew_want(struct badge *badge);

/* It may have more workers now, or fewer. */
void crew_resize(struct badge *badge);

#endif
