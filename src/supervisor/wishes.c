#include "supervisor/wishes.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/badge.h"
#include "supervisor/notify.h"
#include "supervisor/supervisor.h"
#include "tlsbroker.h"

/* The spare becomes the user's worker. */
static int seat_spare(struct workers *workers, struct seat *seat)
{
	struct worker *worker = workers->spare;
	int r = badge_give(workers->supervisor, worker, seat);

	if (r < 0)
		return r;
	workers->spare = NULL;
	workers->running++;
	worker->uid = seat->uid;
	worker->badge = seat->badge;
	worker->nth = seat->nth;
	policy_badge_name(&workers->supervisor->policy, seat->badge, seat->uid,
			  worker->badge_name);
	worker->state = ROW_STATE_RUNNING;
	worker->seat = seat;
	seat->worker = worker;
	seat->wanted = false;
	log_event(LOG_L_INFO, "serves a user", { FIELD_ROLE, role_name(ROLE_WORKER) },
		  { FIELD_PID, LOG_NUMBER(worker->process->pid) },
		  { FIELD_UID, LOG_NUMBER(seat->uid) });
	notify_workers(workers->running);
	workers_start_in(workers, 0);
	return 0;
}

void wishes_serve(struct workers *workers)
{
	struct seat *seat = seats_next(&workers->seats, clock_ms());
	int64_t wait;
	int r = 0;

	if (workers->supervisor->phase == PHASE_STOPPING)
		return;
	if (seat && workers->spare && workers->spare->state == ROW_STATE_SPARE)
		r = seat_spare(workers, seat);
	if (r < 0 && r != -EPIPE) { /* EPIPE: the spare has just died, and the next one will do */
		if (log_seldom(&workers->seat_logged_ms))
			log_event(LOG_L_ERROR, "a user cannot be served",
				  { FIELD_UID, LOG_NUMBER(seat->uid) },
				  { FIELD_ERROR, strerror(-r) });
		wishes_refuse_all(workers);
	}
	wait = seats_wait_ms(&workers->seats, clock_ms());
	if (wait > 0) {
		struct timeval tv = { wait / 1000, wait % 1000 * 1000 };

		event_add(workers->seat_timer, &tv);
	}
}

void wishes_on_timer(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	wishes_serve(arg);
}

void wishes_refuse_all(struct workers *workers)
{
	struct seat *seat;

	TAILQ_FOREACH(seat, &workers->seats.list, next) {
		struct msg_worker_none none = { seat->uid, seat->badge, TLSB_E_RESOURCES, seat->nth };

		if (!seat->wanted || seat->worker)
			continue;
		seat->wanted = false;
		station_send(&workers->supervisor->frontdoor, MSG_WORKER_NONE, &none, NULL);
	}
}

void wishes_forget(struct workers *workers)
{
	struct seat *seat;

	TAILQ_FOREACH(seat, &workers->seats.list, next)
		seat->wanted = false;
}

/* A seat for somebody who has no worker; NULL when all are taken. */
static struct seat *find_room(struct workers *workers, const struct msg_worker_wanted *wanted)
{
	const struct policy *policy = &workers->supervisor->policy;
	struct seat *seat = seats_find(&workers->seats, wanted->uid, wanted->badge, wanted->nth);

	if (seat && seat->wanted)
		return seat;
	if (seats_in_use(&workers->seats) >= LIMIT_WORKERS ||
	    workers->supervisor->phase == PHASE_STOPPING ||
	    wanted->nth >= policy_max_workers(policy, wanted->badge))
		return NULL;
	return seats_make(&workers->seats, wanted->uid, wanted->badge, wanted->nth);
}

/* From the frontdoor: what a user's first client makes it ask, so any user can have it asked. */
int wishes_on_wanted(struct chan *chan, struct msg *msg)
{
	const struct msg_worker_wanted *wanted = msg->body;
	struct msg_worker_none none = { wanted->uid, wanted->badge, TLSB_E_RESOURCES, wanted->nth };
	struct process *frontdoor = chan->owner;
	struct workers *workers = &frontdoor->supervisor->workers;
	struct seat *seat = seats_find(&workers->seats, wanted->uid, wanted->badge, wanted->nth);
	int r;

	if (seat && seat->worker) {
		/* Their channel broke, or the worker has just died: then the wish outlives it. */
		r = badge_renew(workers->supervisor, seat->worker, ROLE_FRONTDOOR);
		seat->wanted = r == -EPIPE;
		if (r < 0 && r != -EPIPE) /* an answer, or it would never ask again */
			chan_send_body(chan, MSG_WORKER_NONE, &none);
		return 0;
	}
	seat = NULL;
	/* It asked while the configuration changed, and hears of that next. */
	if (!policy_has_badge(&workers->supervisor->policy, wanted->badge))
		none.error = TLSB_E_POLICY;
	else
		seat = find_room(workers, wanted);
	if (!seat) {
		chan_send_body(chan, MSG_WORKER_NONE, &none);
		return 0;
	}
	seat->wanted = true;
	wishes_serve(workers);
	return 0;
}

int wishes_on_retire(struct chan *chan, struct msg *msg)
{
	const struct msg_worker_retire *retire = msg->body;
	struct process *frontdoor = chan->owner;
	struct workers *workers = &frontdoor->supervisor->workers;
	struct seat *seat = seats_find(&workers->seats, retire->uid, retire->badge, retire->nth);

	if (seat && seat->worker) {
		workers_retire(workers, seat->worker);
		notify_workers(workers->running);
	}
	return 0;
}
