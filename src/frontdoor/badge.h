/*
 * A badge and its worker.
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

/* Ask the supervisor for a worker, if there is none and none was asked for. */
void badge_want_worker(struct badge *badge);

/* FD is the channel to its worker, which is PID, in place of any other.  FD is consumed.  0 or -ENOMEM. */
int badge_attach_worker(struct badge *badge, int fd, uint32_t pid);

/* This worker has ended, whoever has the other end of its channel.  May free the badge. */
void badge_worker_is_gone(struct badge *badge, uint32_t pid);

/* There will be no worker. */
void badge_no_worker(struct badge *badge);

/*
 * Pass the client to the worker.  0: FD is consumed.  -EAGAIN: it has to wait: there is no worker,
 * or it is busy, or we have no memory.
 */
int badge_hand_over(struct badge *badge, int fd, const struct ucred *peer, const char *unit);

/*
 * End the worker that has been without clients for longest, if that is IDLE_MS or more.  True if
 * there was one.
 */
bool badge_retire_idlest(struct frontdoor *frontdoor, uint32_t idle_ms);

/* Forget all badges. */
void badge_forget_all(struct frontdoor *frontdoor);

#endif
