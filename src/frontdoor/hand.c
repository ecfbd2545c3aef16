#include "frontdoor/hand.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/ticks.h"
#include "frontdoor/badge.h"
#include "frontdoor/crew.h"
#include "frontdoor/door.h"

static void tell_supervisor(const struct hand *hand, uint32_t type)
{
	const struct badge *badge = hand->badge;
	/* The bodies of WORKER_WANTED and WORKER_RETIRE are the same: which worker. */
	const struct msg_worker_wanted body = { .uid = badge->uid, .badge = badge->number,
						.nth = hand->nth };

	_Static_assert(sizeof(struct msg_worker_wanted) == sizeof(struct msg_worker_retire), "");
	chan_send_body(&badge->frontdoor->child->supervisor, type, &body);
}

void hand_want(struct hand *hand)
{
	assert(hand->state == WORKER_ABSENT);
	hand->state = WORKER_ASKED;
	tell_supervisor(hand, MSG_WORKER_WANTED);
}

void hand_update_idle(struct hand *hand)
{
	struct frontdoor *frontdoor = hand->badge->frontdoor;
	bool idle = hand->state == WORKER_SERVING && handed_count(&hand->handed) == 0;
	bool surplus = idle && hand->nth >= badge_max_workers(hand->badge);

	if (idle == hand->idle && surplus == hand->surplus)
		return;
	if (hand->idle)
		TAILQ_REMOVE(&frontdoor->idle, hand, in_idle);
	if (idle && !hand->idle)
		hand->idle_since_ms = clock_ms();
	if (surplus)
		TAILQ_INSERT_HEAD(&frontdoor->idle, hand, in_idle);
	else if (idle)
		TAILQ_INSERT_TAIL(&frontdoor->idle, hand, in_idle);
	hand->idle = idle;
	hand->surplus = surplus;
	frontdoor_arm_expiry(frontdoor);
}

static void count_clients(const struct hand *hand, int64_t delta)
{
	counters_add(hand->badge->frontdoor->child->counters, COUNTER_clients, delta);
}

/* The worker is gone for us, and its clients with it. */
static void lose(struct hand *hand)
{
	count_clients(hand, -(int64_t)handed_count(&hand->handed));
	handed_deinit(&hand->handed);
	chan_deinit(&hand->chan);
	hand->state = WORKER_ABSENT;
	hand_update_idle(hand);
	door_resume(hand->badge->frontdoor);
}

/* Who waits gets the next worker; a badge for which nobody waits is forgotten. */
static void go_on_without(struct hand *hand)
{
	struct badge *badge = hand->badge;

	lose(hand);
	crew_want(badge);
	badge_release(badge);
}

/* A worker that breaks the table may be anybody's by now: the supervisor ends it. */
static void report_broken(const struct hand *hand, enum msg_rule rule, const char *what)
{
	const struct badge *badge = hand->badge;

	counters_add(badge->frontdoor->child->counters, COUNTER_violations, 1);
	log_event(LOG_L_ERROR, "a worker broke the protocol", { FIELD_UID, LOG_NUMBER(badge->uid) },
		  { FIELD_RULE, msg_rule_name(rule) }, { FIELD_ERROR, what });
	tell_supervisor(hand, MSG_WORKER_RETIRE);
}

static void on_channel_gone(struct chan *chan, enum msg_rule rule, const char *what)
{
	struct hand *hand = chan->owner;

	if (rule != RULE_NONE)
		report_broken(hand, rule, what);
	go_on_without(hand);
}

static int on_client_gone(struct chan *chan, struct msg *msg)
{
	struct hand *hand = chan->owner;
	const struct msg_client_gone *body = msg->body;
	int r = handed_remove(&hand->handed, body->id);

	if (r < 0)
		return r;
	count_clients(hand, -1);
	hand_update_idle(hand);
	return 0;
}

static int on_clients(struct chan *chan, struct msg *msg)
{
	struct hand *hand = chan->owner;
	const struct msg_clients *body = msg->body;
	int r = handed_inherit(&hand->handed, body->count);

	if (r < 0)
		return r;
	count_clients(hand, body->count);
	hand_update_idle(hand);
	return 0;
}

static chan_handler *const handlers[MSG_COUNT] = {
	[MSG_CLIENT_GONE] = on_client_gone,
	[MSG_CLIENTS] = on_clients,
};

int hand_attach(struct hand *hand, int fd, uint32_t pid)
{
	struct child *child = hand->badge->frontdoor->child;
	int r;

	if (hand->state == WORKER_SERVING)
		lose(hand);
	hand->state = WORKER_ABSENT;
	r = chan_init(&hand->chan, child->base, fd, &internal_messages, ROLE_FRONTDOOR,
		      ROLE_WORKER, RUN, handlers, on_channel_gone, hand);
	if (r < 0)
		return r;
	hand->state = WORKER_SERVING;
	hand->pid = pid;
	hand_update_idle(hand);
	return 0;
}

void hand_is_gone(struct hand *hand)
{
	go_on_without(hand);
}

/* For the log.  Once it is known of one, it is said of all: a process number is not one program's for ever. */
static void tell_unit(struct hand *hand, uint32_t pid, const char *unit)
{
	struct badge *badge = hand->badge;
	const struct msg_client_unit body = { .uid = badge->uid, .badge = badge->number, .pid = pid,
					      .nth = hand->nth };

	badge->has_units = badge->has_units || unit[0] != '\0';
	if (badge->has_units)
		chan_send(&badge->frontdoor->child->supervisor, MSG_CLIENT_UNIT, &body, unit,
			  strlen(unit), NULL);
}

int hand_take(struct hand *hand, int fd, const struct ucred *peer, const char *unit)
{
	struct frontdoor *frontdoor = hand->badge->frontdoor;
	const struct msg_client body = {
		.id = frontdoor->next_id,
		.uid = peer->uid,
		.gid = peer->gid,
		.pid = (uint32_t)peer->pid,
	};

	if (handed_reserve(&hand->handed) < 0)
		return -EAGAIN;
	tell_unit(hand, body.pid, unit);
	/* Not chan_send(): what that queues holds a descriptor that no quota counts.  Here a client
	 * that the worker is too slow for stays in the one place where clients wait. */
	if (msg_send(hand->chan.fd, &internal_messages, MSG_CLIENT, &body, NULL, 0, &fd) < 0)
		return -EAGAIN;
	/* The worker may have closed it already. */
	ticks_close(fd);
	frontdoor->next_id++;
	handed_add(&hand->handed, body.id);
	count_clients(hand, 1);
	counters_add(frontdoor->child->counters, COUNTER_clients_accepted, 1);
	hand_update_idle(hand);
	door_resume(frontdoor);
	return 0;
}

uint64_t hand_next_due_ms(const struct frontdoor *frontdoor, uint32_t idle_ms)
{
	const struct hand *hand = TAILQ_FIRST(&frontdoor->idle);

	if (!hand)
		return UINT64_MAX;
	return hand->idle_since_ms + (hand->surplus ? MIN(idle_ms, frontdoor->settle_ms) : idle_ms);
}

bool hand_retire_idlest(struct frontdoor *frontdoor, uint32_t idle_ms)
{
	struct hand *hand = TAILQ_FIRST(&frontdoor->idle);

	if (clock_ms() < hand_next_due_ms(frontdoor, idle_ms))
		return false;
	/* Closed at once, so that who comes from now on gets another worker. */
	tell_supervisor(hand, MSG_WORKER_RETIRE);
	go_on_without(hand);
	return true;
}

void hand_forget(struct hand *hand)
{
	if (hand->state == WORKER_SERVING)
		lose(hand);
	hand->state = WORKER_ABSENT;
}
