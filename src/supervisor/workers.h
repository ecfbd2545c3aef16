/*
 * Workers: one process for each user and badge, or several where that is configured, made from a spare that is already there, already sandboxed
 * and already has its part of the configuration; so a user's first client waits for no exec.
 *
 *   STARTING -> SPARE -> RUNNING (has a badge and a seat) -> DRAINING (no seat any more) -> over
 *
 * A worker that dies is not started again by itself: its clients come again, and then the frontdoor
 * asks.
 */
#ifndef TLSB_SUPERVISOR_WORKERS_H
#define TLSB_SUPERVISOR_WORKERS_H

#include "supervisor/backoff.h"
#include "supervisor/policy.h"
#include "supervisor/process.h"
#include "supervisor/seats.h"
#include "supervisor/units.h"

struct worker {
	TAILQ_ENTRY(worker) next;
	struct process *process;
	struct seat *seat; /* NULL: the spare, or draining */
	uint32_t serial; /* among all workers that there ever were, from 1 */
	uint32_t uid, badge; /* whose, and as what; nobody's while spare */
	uint32_t nth;        /* of theirs */
	char badge_name[LIMIT_BADGE + 1]; /* also when the configuration has it no more */
	enum row_state state;
	struct units units; /* of its clients */
	uint64_t renewed_ms[ROLE_COUNT]; /* when it last got the channel to that role that it asked for */
};

struct workers {
	struct supervisor *supervisor;
	TAILQ_HEAD(, worker) list; /* the spare included */
	struct worker *spare;      /* NULL: its next start is on the timer, or must wait */
	struct seats seats;
	struct backoff spare_backoff;
	struct event *spare_timer; /* the next spare's start */
	struct event *seat_timer;  /* a waiting user's back-off ends */
	unsigned running, draining;
	uint32_t last_serial;
	/* That no spare can be started, and that somebody cannot be served. */
	uint64_t spare_logged_ms, seat_logged_ms;
};

/* Whether it is somebody's; it is then for good. */
static inline bool worker_has_badge(const struct worker *worker)
{
	return worker->state == ROW_STATE_RUNNING || worker->state == ROW_STATE_DRAINING;
}

/* 0 or -ENOMEM. */
int workers_init(struct workers *workers, struct supervisor *supervisor);

/* After process_end_all().  All zero is fine. */
void workers_deinit(struct workers *workers);

/* Start a spare; there must be none.  0 or -errno. */
int workers_start(struct workers *workers);

/* Start a spare later, unless there is one then. */
void workers_start_in(struct workers *workers, unsigned ms);

/* A worker keeps its sessions until they end, or until a deadline; but nobody new comes to it. */
void workers_retire(struct workers *workers, struct worker *worker);

/* A new frontdoor, connector or keyholder: a new channel between it and each worker that it concerns. */
void workers_connect(struct supervisor *supervisor, enum role role);

/* A worker asks for that by itself: its channel to that role broke, and nothing else. */
int workers_on_connector_wanted(struct chan *chan, struct msg *msg);
int workers_on_keyholder_wanted(struct chan *chan, struct msg *msg);

/* After a reload: those whose badge is not there any more have nothing to go by, and end. */
void workers_end_badges(struct workers *workers);

/* Send what the new configuration says to all others: new sessions go by it. */
void workers_send_policy(struct workers *workers);

/*
 * This seat's part of what its user and badge may have.  It is divided among all workers that there may be,
 * and those that there are, if these are more since a reload.
 */
struct share workers_share(const struct workers *workers, const struct seat *seat);

/* The daemon stops: all drain, the spare ends at once. */
void workers_drain(struct workers *workers);

#endif
