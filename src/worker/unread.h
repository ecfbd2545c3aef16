/*
 * Channels on their way: sent to programs that have not picked them up.
 *
 * The kernel counts a descriptor that waits in a socket against the user who sent it, and a process
 * whose user has more of them on the way than it may have files cannot send any (ETOOMANYREFS, unix(7)).
 * That user is the one of all our processes.  So programs that open sessions and read nothing could keep
 * the frontdoor from passing clients on, the connector from passing connections, and all other workers
 * from passing channels, for as long as they like.
 *
 * Hence a worker has at most LIMIT_UNREAD of them on their way, and further sessions stand in line.  A
 * session's end changes nothing: its program may keep the other end of the socket, and what is in it; so
 * ours is kept as well until that has been read, or closed.
 */
#ifndef TLSB_WORKER_UNREAD_H
#define TLSB_WORKER_UNREAD_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "wire/limits.h"

struct session;
struct worker;

/* One channel that may be on its way. */
struct parcel {
	struct session *session; /* to whose program */
	int fd;                  /* if that session is over: its socket */
};

struct unread {
	struct parcel parcels[LIMIT_UNREAD];
	unsigned count;
	TAILQ_HEAD(unread_line, session) line;
	struct event *look; /* pending while somebody waits, or the session of a parcel is over */
	uint64_t logged_ms;
};

/* 0 or -ENOMEM. */
int unread_init(struct worker *worker);
void unread_deinit(struct worker *worker);

/* All that SESSION needs is there but a place for its channel: begin, now or when there is one.  May end it. */
void unread_begin(struct session *session);

/* Its channel has been sent. */
void unread_add(struct session *session);

/*
 * Whether its channel is still on its way.  Then its program needs no bell: what is there to be read calls
 * it, and it looks at the channel's page when it has that.  And it must get none, as there is no telling
 * one unread message from another.
 */
bool unread_is_there(struct session *session);

/* It ends, or its program does: out of the line; and nothing more comes over its socket. */
void unread_hang_up(struct session *session);

#endif
