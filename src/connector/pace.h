/*
 * How many sessions each user with each badge began in this second: one dial is one session.  Counted
 * here, and not where the sessions are, so that a worker that was taken over cannot begin more of them;
 * and kept for a second beyond its channel, so that neither another channel nor another worker can.
 */
#ifndef TLSB_CONNECTOR_PACE_H
#define TLSB_CONNECTOR_PACE_H

#include <stdint.h>
#include <sys/queue.h>

struct pace {
	LIST_ENTRY(pace) next;
	uint32_t uid, badge;
	uint32_t count;    /* sessions that began */
	uint64_t since_ms; /* since then */
	unsigned users;    /* channels that count here */
};

/* All zero is fine. */
LIST_HEAD(paces, pace);

/* That of this user and badge, to be given back; or NULL: no memory. */
struct pace *pace_get(struct paces *paces, uint32_t uid, uint32_t badge, uint64_t now_ms);
void pace_release(struct pace *pace);

/* One more session, if that makes at most RATE in a second; 0: any number.  0 or -EMFILE. */
int pace_take(struct pace *pace, uint32_t rate, uint64_t now_ms);

/* No channel counts any more. */
void paces_deinit(struct paces *paces);

#endif
