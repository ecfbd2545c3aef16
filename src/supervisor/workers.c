#include "supervisor/workers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/badge.h"
#include "supervisor/notify.h"
#include "supervisor/supervisor.h"
#include "supervisor/wishes.h"

static const struct process_ops worker_ops;

static void set_timer(struct event *timer, uint64_t ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
			      .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	event_add(timer, &tv);
}

/*
 * A worker is for: the TLS sessions of one user.  It gets its slice of the policy now; with its
 * badge it gets a channel to the frontdoor, on which clients come, one to the connector, on which
 * connected sockets come, and one to the keyholder, on which signatures come.  It must not have files,
 * ways to connect, private keys, or anything of another user's.
 */
int workers_start(struct workers *workers)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int r;

	if (!worker)
		return -ENOMEM;
	worker->state = ROW_STATE_STARTING;
	worker->serial = ++workers->last_serial;
	r = process_start(workers->supervisor, ROLE_WORKER, &worker_ops, worker, &worker->process);
	if (r < 0) {
		free(worker);
		return r;
	}
	TAILQ_INSERT_TAIL(&workers->list, worker, next);
	workers->spare = worker;
	r = policy_send_worker(&workers->supervisor->policy, 0, (struct share){ 0, 1 },
			       &worker->process->chan);
	if (r < 0)
		process_kill(worker->process); /* no trust, no use: another is tried then */
	return r;
}

void workers_start_in(struct workers *workers, unsigned ms)
{
	/* Retired workers that do not end keep the next one waiting: processes stay bounded. */
	if (workers->draining < LIMIT_WORKERS_LEAVING)
		set_timer(workers->spare_timer, ms);
}

struct share workers_share(const struct workers *workers, const struct seat *seat)
{
	return (struct share){
		.nth = seat->nth,
		.of = MAX(policy_max_workers(&workers->supervisor->policy, seat->badge),
			  seats_width(&workers->seats, seat->uid, seat->badge)),
	};
}

static void send_policy(struct workers *workers, struct worker *worker)
{
	struct share share = { 0, 1 };
	int r;

	if (worker->seat)
		share = workers_share(workers, worker->seat);
	r = policy_send_worker(&workers->supervisor->policy, worker->badge, share,
			       &worker->process->chan);

	if (r < 0)
		log_event(LOG_L_ERROR, "a worker keeps the old configuration",
			  { FIELD_UID, LOG_NUMBER(worker->uid) }, { FIELD_ERROR, strerror(-r) });
}

/* The seat is empty; if it was one too many, the others share the limits without it. */
static void leave_seat(struct workers *workers, struct worker *worker)
{
	uint32_t before = workers_share(workers, worker->seat).of;
	struct seat *seat = worker->seat;
	struct worker *other;

	seat->worker = NULL;
	worker->seat = NULL;
	workers->running--;
	if (workers_share(workers, seat).of == before)
		return;
	TAILQ_FOREACH(other, &workers->list, next) {
		if (other->seat && other->uid == worker->uid && other->badge == worker->badge)
			send_policy(workers, other);
	}
}

static void on_spare_timer(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct workers *workers = arg;
	int r;

	if (workers->spare || workers->supervisor->phase == PHASE_STOPPING)
		return;
	r = workers_start(workers);
	if (r == 0)
		return;
	if (log_seldom(&workers->spare_logged_ms))
		log_event(LOG_L_ERROR, "a worker cannot be started", { FIELD_ERROR, strerror(-r) });
	wishes_refuse_all(workers);
	if (!workers->spare)
		workers_start_in(workers, MAX(backoff_next(&workers->spare_backoff, 0),
					    (uint32_t)LIMIT_RESTART_FIRST_MS));
}

static void on_ready(struct process *process)
{
	struct worker *worker = process->owner;

	worker->state = ROW_STATE_SPARE;
	supervisor_check(process->supervisor);
	wishes_serve(&process->supervisor->workers);
}

/* Its clients have been told by the kernel; what is left is to remember, and to say why. */
static void seated_died(struct workers *workers, struct worker *worker, const char *reason)
{
	const struct process *process = worker->process;
	char text[96];

	seat_died(worker->seat, clock_ms(), process_age_ms(process));
	leave_seat(workers, worker);
	snprintf(text, sizeof(text), "died, and its sessions with it: worker %u had %" PRIu64,
		 worker->serial, counters_get(process->counters, COUNTER_sessions));
	log_event(LOG_L_ERROR, text, { FIELD_ROLE, role_name(ROLE_WORKER) },
		  { FIELD_PID, LOG_NUMBER(process->pid) }, { FIELD_BADGE, worker->badge_name },
		  { FIELD_UID, LOG_NUMBER(worker->uid) },
		  { FIELD_ERROR, reason });
	notify_workers(workers->running);
}

static void spare_died(struct workers *workers, struct worker *worker, const char *reason)
{
	struct supervisor *supervisor = workers->supervisor;
	const struct process *process = worker->process;
	uint32_t wait;

	if (supervisor->phase == PHASE_STARTING) {
		supervisor_fail(supervisor, role_name(ROLE_WORKER), reason);
		return;
	}
	log_event(LOG_L_ERROR, "died before it had a user, and is started again",
		  { FIELD_ROLE, role_name(ROLE_WORKER) },
		  { FIELD_PID, LOG_NUMBER(process->pid) }, { FIELD_ERROR, reason });
	wait = backoff_next(&workers->spare_backoff, process_age_ms(process));
	if (wait > 0)
		wishes_refuse_all(workers); /* not an accident: it may go on for long */
	workers_start_in(workers, wait);
}

static void on_over(struct process *process)
{
	struct worker *worker = process->owner;
	struct supervisor *supervisor = process->supervisor;
	struct workers *workers = &supervisor->workers;
	char reason[128];

	process_reason(process, reason, sizeof(reason));
	questions_forget(supervisor, worker);
	if (worker_has_badge(worker))
		badge_over(supervisor, worker);
	TAILQ_REMOVE(&workers->list, worker, next);
	if (workers->spare == worker)
		workers->spare = NULL; /* also while we stop: a status may still be asked for */
	if (worker->state == ROW_STATE_DRAINING)
		workers->draining--;
	else if (worker->seat)
		seated_died(workers, worker, reason);
	else if (supervisor->phase != PHASE_STOPPING)
		spare_died(workers, worker, reason);
	units_deinit(&worker->units);
	free(worker);
	if (!workers->spare && !evtimer_pending(workers->spare_timer, NULL) &&
	    supervisor->phase == PHASE_RUNNING)
		workers_start_in(workers, 0);
	wishes_serve(workers);
	supervisor_check(supervisor);
}

static const struct process_ops worker_ops = { on_ready, on_over };

void workers_retire(struct workers *workers, struct worker *worker)
{
	const struct msg_drain body = { .deadline_ms = LIMIT_DRAIN_MS };

	if (worker->seat)
		leave_seat(workers, worker);
	worker->state = ROW_STATE_DRAINING;
	workers->draining++;
	chan_send_body(&worker->process->chan, MSG_DRAIN, &body);
	process_kill_in(worker->process, LIMIT_DRAIN_MS + 1000);
}

void workers_connect(struct supervisor *supervisor, enum role role)
{
	struct worker *worker;

	TAILQ_FOREACH(worker, &supervisor->workers.list, next) {
		/* One that drains gets no clients, but may still dial and sign. */
		if (worker->seat ||
		    (worker->state == ROW_STATE_DRAINING && role != ROLE_FRONTDOOR))
			badge_renew(supervisor, worker, role);
	}
}

static int renew(struct chan *chan, const struct station *station)
{
	const struct process *process = chan->owner;
	struct worker *worker = process->owner;
	const enum role role = station->role;
	uint64_t now = clock_ms();

	if (worker->state != ROW_STATE_RUNNING && worker->state != ROW_STATE_DRAINING)
		return -EPERM;
	/* One that asks more often than it should is not to keep us and the others busy. */
	if (now - worker->renewed_ms[role] < LIMIT_CONNECTOR_AWAY_MS / 2)
		return 0;
	/* A role that has just been started, or will be, is given channels to all then: another would end
	 * what was asked for on the first.  What fails is asked for again. */
	if (station->process && process_age_ms(station->process) >= LIMIT_CONNECTOR_AWAY_MS)
		(void)badge_renew(process->supervisor, worker, role);
	worker->renewed_ms[role] = now;
	return 0;
}

int workers_on_connector_wanted(struct chan *chan, struct msg *msg unused_)
{
	const struct process *process = chan->owner;

	return renew(chan, &process->supervisor->connector);
}

int workers_on_keyholder_wanted(struct chan *chan, struct msg *msg unused_)
{
	const struct process *process = chan->owner;

	return renew(chan, &process->supervisor->keyholder);
}

void workers_end_badges(struct workers *workers)
{
	static const struct msg_badge_gone gone;
	struct worker *worker;

	TAILQ_FOREACH(worker, &workers->list, next) {
		if (!worker->seat || policy_has_badge(&workers->supervisor->policy, worker->badge))
			continue;
		log_event(LOG_L_NOTICE, "its badge has gone, and its sessions end",
			  { FIELD_ROLE, role_name(ROLE_WORKER) },
			  { FIELD_PID, LOG_NUMBER(worker->process->pid) },
			  { FIELD_UID, LOG_NUMBER(worker->uid) });
		chan_send_body(&worker->process->chan, MSG_BADGE_GONE, &gone);
		workers_retire(workers, worker);
	}
}

void workers_send_policy(struct workers *workers)
{
	struct worker *worker;

	TAILQ_FOREACH(worker, &workers->list, next) {
		if (worker->state != ROW_STATE_DRAINING)
			send_policy(workers, worker);
	}
}

void workers_drain(struct workers *workers)
{
	struct worker *worker;

	TAILQ_FOREACH(worker, &workers->list, next) {
		if (worker == workers->spare)
			process_kill(worker->process);
		else if (worker->state != ROW_STATE_DRAINING)
			workers_retire(workers, worker);
	}
}

int workers_init(struct workers *workers, struct supervisor *supervisor)
{
	*workers = (struct workers){ .supervisor = supervisor };
	TAILQ_INIT(&workers->list);
	seats_init(&workers->seats);
	workers->spare_timer = evtimer_new(supervisor->base, on_spare_timer, workers);
	workers->seat_timer = evtimer_new(supervisor->base, wishes_on_timer, workers);
	return workers->spare_timer && workers->seat_timer ? 0 : -ENOMEM;
}

void workers_deinit(struct workers *workers)
{
	struct worker *worker;

	if (!workers->supervisor)
		return;
	while ((worker = TAILQ_FIRST(&workers->list))) {
		TAILQ_REMOVE(&workers->list, worker, next);
		units_deinit(&worker->units);
		free(worker);
	}
	seats_deinit(&workers->seats);
	if (workers->spare_timer)
		event_free(workers->spare_timer);
	if (workers->seat_timer)
		event_free(workers->seat_timer);
}
