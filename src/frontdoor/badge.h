/*
 * A badge of a user.
 */
#ifndef TLSB_FRONTDOOR_BADGE_H
#define TLSB_FRONTDOOR_BADGE_H

#include "frontdoor/state.h"

/* The badge of this number, of this user, or NULL. */
struct badge *badge_find(struct frontdoor *frontdoor, uint32_t uid, uint32_t number);

/* The same, made if need be; NULL for no memory.  To be followed by badge_release(). */
struct badge *badge_get(struct frontdoor *frontdoor, uint32_t uid, uint32_t number);

/* Forget the badge if it has neither clients that wait nor a worker, asked for or there. */
void badge_release(struct badge *badge);

/* What it is called, for a person: "badge billing", or "user 1000" whose own it is.  Returns DST. */
char *badge_title(const struct badge *badge, char *dst, size_t size);

/* How many programs of its user may be connected. */
uint32_t badge_max_connections(const struct badge *badge);

/* How many workers it may have. */
unsigned badge_max_workers(const struct badge *badge);

/* Forget all badges. */
void badge_forget_all(struct frontdoor *frontdoor);

#endif
