#include "frontdoor/badge.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/ticks.h"
#include "frontdoor/door.h"
#include "frontdoor/waiting.h"

struct badge *badge_find(struct frontdoor *frontdoor, uint32_t uid, uint32_t number)
{
	struct badge *badge;

	LIST_FOREACH(badge, &frontdoor->badges[uid % BADGE_BUCKETS], in_bucket) {
		if (badge->uid == uid && badge->number == number)
			return badge;
	}
	return NULL;
}

struct badge *badge_get(struct frontdoor *frontdoor, uint32_t uid, uint32_t number)
{
	struct badge *badge = badge_find(frontdoor, uid, number);

	if (badge)
		return badge;
	badge = calloc(1, sizeof(*badge));
	if (!badge)
		return NULL;
	badge->frontdoor = frontdoor;
	badge->uid = uid;
	badge->number = number;
	TAILQ_INIT(&badge->waiting);
	LIST_INSERT_HEAD(&frontdoor->badges[uid % BADGE_BUCKETS], badge, in_bucket);
	return badge;
}

void badge_release(struct badge *badge)
{
	if (badge->worker != WORKER_ABSENT || badge->waiting_count > 0)
		return;
	LIST_REMOVE(badge, in_bucket);
	free(badge);
}

static void tell_supervisor(struct badge *badge, uint32_t type)
{
	/* The bodies of WORKER_WANTED and WORKER_RETIRE are the same: whose worker. */
	const struct msg_worker_wanted body = { .uid = badge->uid, .badge = badge->number };

	_Static_assert(sizeof(struct msg_worker_wanted) == sizeof(struct msg_worker_retire), "");
	chan_send_body(&badge->frontdoor->child->supervisor, type, &body);
}

char *badge_title(const struct badge *badge, char *dst, size_t size)
{
	const struct rule *rule = rules_of(&badge->frontdoor->rules, badge->number);

	if (rule)
		snprintf(dst, size, "badge %s, user %u", rule->name, badge->uid);
	else
		snprintf(dst, size, "user %u", badge->uid);
	return dst;
}

uint32_t badge_max_connections(const struct badge *badge)
{
	const struct rules *rules = &badge->frontdoor->rules;
	const struct rule *rule = rules_of(rules, badge->number);

	if (badge->number == BADGE_UNDECIDED)
		return LIMIT_CLIENTS_PER_UID; /* more than that none has */
	return rule ? rule->max_connections : rules->max_connections;
}

void badge_want_worker(struct badge *badge)
{
	if (badge->worker != WORKER_ABSENT || badge->number == BADGE_UNDECIDED)
		return;
	badge->worker = WORKER_ASKED;
	tell_supervisor(badge, MSG_WORKER_WANTED);
}

void badge_no_worker(struct badge *badge)
{
	if (badge->worker == WORKER_ASKED)
		badge->worker = WORKER_ABSENT;
}

/* Into the list of idle workers, at its end, or out of it. */
static void update_idle(struct badge *badge)
{
	struct frontdoor *frontdoor = badge->frontdoor;
	bool idle = badge->worker == WORKER_SERVING && handed_count(&badge->handed) == 0;

	if (idle == badge->idle)
		return;
	badge->idle = idle;
	if (idle) {
		badge->idle_since_ms = clock_ms();
		TAILQ_INSERT_TAIL(&frontdoor->idle, badge, in_idle);
	} else {
		TAILQ_REMOVE(&frontdoor->idle, badge, in_idle);
	}
	frontdoor_arm_expiry(frontdoor);
}

static void count_clients(const struct badge *badge, int64_t delta)
{
	counters_add(badge->frontdoor->child->counters, COUNTER_clients, delta);
}

/* The worker is gone for us, and its clients with it. */
static void lose_worker(struct badge *badge)
{
	count_clients(badge, -(int64_t)handed_count(&badge->handed));
	handed_deinit(&badge->handed);
	chan_deinit(&badge->chan);
	badge->worker = WORKER_ABSENT;
	update_idle(badge);
	door_resume(badge->frontdoor);
}

/* Who waits gets the next worker; a badge for which nobody waits is forgotten. */
static void go_on_without(struct badge *badge)
{
	lose_worker(badge);
	if (badge->waiting_count > 0)
		badge_want_worker(badge);
	badge_release(badge);
}

/* A worker that breaks the table may be anybody's by now: the supervisor ends it. */
static void report_broken(struct badge *badge, enum msg_rule rule, const char *what)
{
	counters_add(badge->frontdoor->child->counters, COUNTER_violations, 1);
	log_event(LOG_L_ERROR, "a worker broke the protocol", { FIELD_UID, LOG_NUMBER(badge->uid) },
		  { FIELD_RULE, msg_rule_name(rule) }, { FIELD_ERROR, what });
	tell_supervisor(badge, MSG_WORKER_RETIRE);
}

static void on_worker_gone(struct chan *chan, enum msg_rule rule, const char *what)
{
	struct badge *badge = chan->owner;

	if (rule != RULE_NONE)
		report_broken(badge, rule, what);
	go_on_without(badge);
}

static int on_client_gone(struct chan *chan, struct msg *msg)
{
	struct badge *badge = chan->owner;
	const struct msg_client_gone *body = msg->body;
	int r = handed_remove(&badge->handed, body->id);

	if (r < 0)
		return r;
	count_clients(badge, -1);
	update_idle(badge);
	return 0;
}

static int on_clients(struct chan *chan, struct msg *msg)
{
	struct badge *badge = chan->owner;
	const struct msg_clients *body = msg->body;
	int r = handed_inherit(&badge->handed, body->count);

	if (r < 0)
		return r;
	count_clients(badge, body->count);
	update_idle(badge);
	return 0;
}

static chan_handler *const worker_handlers[MSG_COUNT] = {
	[MSG_CLIENT_GONE] = on_client_gone,
	[MSG_CLIENTS] = on_clients,
};

int badge_attach_worker(struct badge *badge, int fd, uint32_t pid)
{
	struct child *child = badge->frontdoor->child;
	int r;

	if (badge->worker == WORKER_SERVING)
		lose_worker(badge);
	badge->worker = WORKER_ABSENT;
	r = chan_init(&badge->chan, child->base, fd, &internal_messages, ROLE_FRONTDOOR,
		      ROLE_WORKER, RUN, worker_handlers, on_worker_gone, badge);
	if (r < 0)
		return r;
	badge->worker = WORKER_SERVING;
	badge->pid = pid;
	update_idle(badge);
	return 0;
}

void badge_worker_is_gone(struct badge *badge, uint32_t pid)
{
	if (badge->worker == WORKER_SERVING && badge->pid == pid)
		go_on_without(badge);
}

/* For the log.  Once it is known of one, it is said of all: a process number is not one program's for ever. */
static void tell_unit(struct badge *badge, uint32_t pid, const char *unit)
{
	const struct msg_client_unit body = { .uid = badge->uid, .badge = badge->number, .pid = pid };

	badge->has_units = badge->has_units || unit[0] != '\0';
	if (badge->has_units)
		chan_send(&badge->frontdoor->child->supervisor, MSG_CLIENT_UNIT, &body, unit,
			  strlen(unit), NULL);
}

int badge_hand_over(struct badge *badge, int fd, const struct ucred *peer, const char *unit)
{
	const struct msg_client body = {
		.id = badge->frontdoor->next_id,
		.uid = peer->uid,
		.gid = peer->gid,
		.pid = (uint32_t)peer->pid,
	};

	if (badge->worker != WORKER_SERVING || handed_reserve(&badge->handed) < 0)
		return -EAGAIN;
	tell_unit(badge, body.pid, unit);
	/* Not chan_send(): what that queues holds a descriptor that no quota counts.  Here a client
	 * that the worker is too slow for stays in the one place where clients wait. */
	if (msg_send(badge->chan.fd, &internal_messages, MSG_CLIENT, &body, NULL, 0, &fd) < 0)
		return -EAGAIN;
	/* The worker may have closed it already. */
	ticks_close(fd);
	badge->frontdoor->next_id++;
	handed_add(&badge->handed, body.id);
	count_clients(badge, 1);
	counters_add(badge->frontdoor->child->counters, COUNTER_clients_accepted, 1);
	update_idle(badge);
	door_resume(badge->frontdoor);
	return 0;
}

bool badge_retire_idlest(struct frontdoor *frontdoor, uint32_t idle_ms)
{
	struct badge *badge = TAILQ_FIRST(&frontdoor->idle);

	if (!badge || clock_ms() < badge->idle_since_ms + idle_ms)
		return false;
	/* Closed at once, so that who comes from now on gets another worker. */
	tell_supervisor(badge, MSG_WORKER_RETIRE);
	go_on_without(badge);
	return true;
}

void badge_forget_all(struct frontdoor *frontdoor)
{
	for (unsigned i = 0; i < BADGE_BUCKETS; i++) {
		struct badge *badge;

		while ((badge = LIST_FIRST(&frontdoor->badges[i]))) {
			if (badge->worker == WORKER_SERVING)
				lose_worker(badge);
			badge->worker = WORKER_ABSENT;
			badge_release(badge);
		}
	}
}
