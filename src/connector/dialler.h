/*
 * One worker's channel: one badge, and its dials.  Whose they are follows from the channel; the
 * worker says only where to.  It may have been taken over, so what it says is checked as any
 * stranger's word would be, and it can hurt nobody but its own badge.
 *
 *   waiting --(LIMIT_DIALS_PER_BADGE, oldest first)--> running --> answered, or cancelled
 *
 * An answer that the worker has not read yet counts as running: its descriptor is still ours.
 */
#ifndef TLSB_CONNECTOR_DIALLER_H
#define TLSB_CONNECTOR_DIALLER_H

#include <sys/queue.h>

#include "connector/names.h"
#include "role/role.h"

struct dial;
struct explained;
struct pace;

struct dialler {
	LIST_ENTRY(dialler) next;
	struct connector *connector;
	struct chan chan;
	uint32_t uid;   /* for the log */
	uint32_t pid;   /* of its worker, which has one channel at a time */
	uint32_t badge; /* whose destinations it has */
	struct pace *pace; /* of this user with this badge */
	TAILQ_HEAD(, dial) waiting, running;
	unsigned waiting_count, running_count;
	unsigned attempts;  /* sockets that its dials are connecting */
	void *by_id;        /* tsearch(3): those that the worker waits for */
	struct event *turn; /* some of them may begin */
};

/* Takes FD, also on failure.  0 or -ENOMEM. */
int dialler_new(struct connector *connector, int fd, const struct msg_worker_chan *whose);

/* Its channel closes, its dials end without an answer. */
void dialler_free(struct dialler *dialler);

/* Answer all dials that wait: the daemon is stopping. */
void dialler_drain(struct dialler *dialler);

/* For dial.c: after a dial has gone, others may begin. */
void dialler_look(struct dialler *dialler);

/* For dial.c: DIAL_FAILED. */
void dialler_send_failed(struct dialler *dialler, uint64_t id, const struct explained *why);

#endif
