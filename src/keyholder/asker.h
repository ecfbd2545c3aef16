/*
 * One worker's channel: one badge, and what it wants signed.  Whose it is follows from the channel.
 * The worker may have been taken over: it can get no signature and no pre-shared key but those that its
 * badge may have, and hold up others by no more than one signature at a time.
 */
#ifndef TLSB_KEYHOLDER_ASKER_H
#define TLSB_KEYHOLDER_ASKER_H

#include <sys/queue.h>

#include "keyholder/guests.h"
#include "wire/chan.h"

struct keyholder;
struct job;

struct asker {
	LIST_ENTRY(asker) next;
	TAILQ_ENTRY(asker) busy; /* in line for its next signature, if it has jobs */
	struct keyholder *keyholder;
	struct chan chan;
	uint32_t uid;   /* for the log */
	uint32_t pid;   /* of its worker, which has one channel at a time */
	uint32_t badge; /* whose keys it may use */
	STAILQ_HEAD(, job) jobs;
	unsigned job_count; /* without the keys among them */
	size_t job_bytes;
	struct guests guests; /* the keys that it has lent */
	unsigned lends;	      /* those that were not looked at yet */
	unsigned errands;     /* what is wanted of keys that programs have imported */
	uint8_t *part; /* the beginning of the next job, from SIGN_PARTs */
	size_t part_len;
	uint64_t logged_ms; /* that it asked for what it may not */
};

/* Takes FD, also on failure.  0 or -ENOMEM. */
int asker_new(struct keyholder *keyholder, int fd, const struct msg_worker_chan *whose);

/* Its channel closes; what it has asked for is not answered. */
void asker_free(struct asker *asker);

/* Do its oldest job; it has one. */
void asker_work(struct asker *asker);

#endif
