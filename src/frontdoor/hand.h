/*
 * A worker, as the frontdoor sees it.
 */
#ifndef TLSB_FRONTDOOR_HAND_H
#define TLSB_FRONTDOOR_HAND_H

#include "frontdoor/state.h"

/* Ask the supervisor for it; it must be ABSENT. */
void hand_want(struct hand *hand);

/* FD is the channel to it, and it is PID, in place of any other.  FD is consumed.  0 or -ENOMEM. */
int hand_attach(struct hand *hand, int fd, uint32_t pid);

/* It has ended, whoever has the other end of its channel.  May free the badge. */
void hand_is_gone(struct hand *hand);

/*
 * Pass the client to it.  0: FD is consumed.  -EAGAIN: it has to wait: the worker is busy, or we have no
 * memory.
 */
int hand_take(struct hand *hand, int fd, const struct ucred *peer, const char *unit);

/* When the list of idle workers has to know that it has or has no clients, or is one too many. */
void hand_update_idle(struct hand *hand);

/* When the worker that is next to be ended is due; UINT64_MAX: there is none. */
uint64_t hand_next_due_ms(const struct frontdoor *frontdoor, uint32_t idle_ms);

/*
 * End the worker that has been without clients for longest, if that is IDLE_MS or more, or it is one too
 * many.  True if there was one.
 */
bool hand_retire_idlest(struct frontdoor *frontdoor, uint32_t idle_ms);

/* As if there were none. */
void hand_forget(struct hand *hand);

#endif
