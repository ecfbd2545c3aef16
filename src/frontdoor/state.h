/*
 * What the frontdoor knows, in one place.  Everything hangs off struct frontdoor.
 *
 *   frontdoor.c   the role: messages from the supervisor, the timers
 *   door.c        the listening socket
 *   waiting.c     quotas; clients that wait for their worker
 *   rules.c       who has which badge
 *   cgroup.c      the units that a client is in
 *   badge.c       a badge of a user
 *   crew.c        its workers, and which one a client gets
 *   hand.c        one of them: its channel, and the clients it was handed
 *   handed.c      which those are
 *   caller.c      a client's socket, and the one thing ever said to it
 */
#ifndef TLSB_FRONTDOOR_STATE_H
#define TLSB_FRONTDOOR_STATE_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "frontdoor/handed.h"
#include "frontdoor/rules.h"
#include "role/role.h"

#define BADGE_BUCKETS 256

/* The number of no badge: of those who wait to hear which one they have. */
#define BADGE_UNDECIDED UINT32_MAX

/* A client that waits for a worker, or for its badge. */
struct waiter {
	TAILQ_ENTRY(waiter) of_badge, of_all;
	struct badge *badge;
	struct ucred peer;
	char unit[LIMIT_UNIT + 1]; /* "": not known */
	uint64_t since_ms;
	uint64_t question; /* to the supervisor, about this client; 0: none yet */
	int fd;
};

TAILQ_HEAD(waiter_list, waiter);

/*
 * A worker of a badge.
 *
 *   ABSENT --WORKER_WANTED--> ASKED --WORKER_CHAN--> SERVING
 *      ^------WORKER_NONE-------'                       |
 *      ^---------WORKER_RETIRE, the channel closes------'
 */
enum worker_state {
	WORKER_ABSENT,
	WORKER_ASKED,
	WORKER_SERVING,
};

struct hand {
	TAILQ_ENTRY(hand) in_idle;
	struct badge *badge;
	uint32_t nth; /* of its badge's */
	enum worker_state state;
	struct chan chan; /* while SERVING; owner: this hand */
	uint32_t pid;     /* the worker's, then */
	struct handed handed;
	bool idle, surplus; /* where it is in the list of idle ones */
	uint64_t idle_since_ms;
};

/*
 * A badge of one user: a badge that several users have is one of these for each.  The first so many of its
 * hands, as its rule says, get clients; if there were more, after a reload, those keep the clients they have.
 */
struct badge {
	LIST_ENTRY(badge) in_bucket;
	struct frontdoor *frontdoor;
	uint32_t uid, number;
	struct hand hands[LIMIT_BADGE_WORKERS];
	bool has_units; /* of one of its clients the unit was told */
	bool settles; /* for the workers that it has: there is no other one to be had now */
	struct waiter_list waiting;
	unsigned waiting_count;
};

struct door {
	int fd;      /* listening; -1: closed */
	int reserve; /* given up to accept, and refuse, one client when there are no more */
	struct event *readable, *resume;
	bool paused;
	uint64_t logged_ms;
};

/* The last line about a refusal; by uid, modulo a bucket. */
struct refusal {
	uint64_t logged_ms;
	uint32_t uid, error;
};

struct frontdoor {
	struct child *child;
	struct rules rules, coming; /* in force; and those that are on their way */
	struct door door;
	struct refusal refusals[BADGE_BUCKETS];
	LIST_HEAD(, badge) badges[BADGE_BUCKETS];
	TAILQ_HEAD(, hand) idle;    /* SERVING and without clients: surplus ones, others, longest first */
	struct waiter_list waiting; /* all of them, longest first */
	unsigned waiting_count;
	uint64_t questions; /* so many were asked, */
	unsigned unanswered; /* and so many are open: at most LIMIT_PEERS_ASKED */
	uint64_t next_id;
	struct event *expiry; /* when the first waiter or idle worker is due; always pending */
	struct event *retry;  /* when some worker's socket was full */
	uint32_t wait_ms, idle_ms, settle_ms; /* as in limits.h; tests have less time */
	bool draining;
};

/* After a change of the heads of IDLE or WAITING: set the one timer. */
void frontdoor_arm_expiry(struct frontdoor *frontdoor);

#endif
