#include "frontdoor/frontdoor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/ticks.h"
#include "frontdoor/badge.h"
#include "frontdoor/caller.h"
#include "frontdoor/cgroup.h"
#include "frontdoor/crew.h"
#include "frontdoor/door.h"
#include "frontdoor/hand.h"
#include "frontdoor/waiting.h"
#include "wire/errors.h"

/* The one timer is always pending: that one can be set anew without memory for it. */
#define NOTHING_DUE_MS (60 * 60 * 1000)

/* 0, or how many milliseconds are left until DUE. */
static uint64_t time_left(uint64_t due_ms, uint64_t now_ms)
{
	return due_ms > now_ms ? due_ms - now_ms : 0;
}

static int set_expiry(struct frontdoor *frontdoor, uint64_t ms)
{
	const struct timeval tv = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000 };

	return event_add(frontdoor->expiry, &tv);
}

void frontdoor_arm_expiry(struct frontdoor *frontdoor)
{
	const struct waiter *waiter = TAILQ_FIRST(&frontdoor->waiting);
	uint64_t now = clock_ms(), left = NOTHING_DUE_MS;

	if (waiter)
		left = time_left(waiter->since_ms + frontdoor->wait_ms, now);
	left = MIN(left, time_left(hand_next_due_ms(frontdoor, frontdoor->idle_ms), now));
	(void)set_expiry(frontdoor, left);
}

static void on_expiry(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct frontdoor *frontdoor = arg;
	uint64_t now = clock_ms();

	waiting_expire(frontdoor, now);
	while (hand_retire_idlest(frontdoor, frontdoor->idle_ms))
		;
	frontdoor_arm_expiry(frontdoor);
}

static void on_retry(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	waiting_serve_all(arg);
}

static struct frontdoor *frontdoor_of(struct chan *supervisor)
{
	struct child *child = supervisor->owner;

	return child->state;
}

static int on_listen(struct chan *chan, struct msg *msg)
{
	struct frontdoor *frontdoor = frontdoor_of(chan);

	return frontdoor->draining ? 0 : door_open(frontdoor, msg_take_fd(msg, 0));
}

/* All of the new rules at once, in place of all of the old ones. */
static void rules_have_come(struct frontdoor *frontdoor)
{
	rules_deinit(&frontdoor->rules);
	frontdoor->rules = frontdoor->coming;
	frontdoor->coming = (struct rules){ .list = NULL };
	for (unsigned i = 0; i < BADGE_BUCKETS; i++) {
		struct badge *badge;

		LIST_FOREACH(badge, &frontdoor->badges[i], in_bucket)
			crew_resize(badge);
	}
}

static int on_badge_rules(struct chan *chan, struct msg *msg)
{
	struct frontdoor *frontdoor = frontdoor_of(chan);
	int r = rules_begin(&frontdoor->coming, msg->body);

	if (r == 0 && rules_are_complete(&frontdoor->coming))
		rules_have_come(frontdoor);
	return r;
}

static int on_badge_rule(struct chan *chan, struct msg *msg)
{
	struct frontdoor *frontdoor = frontdoor_of(chan);
	int r = rules_add(&frontdoor->coming, msg);

	if (r == 0 && rules_are_complete(&frontdoor->coming))
		rules_have_come(frontdoor);
	return r;
}

/* There is one worker less than was asked for: the others have to do, or the next one. */
static void go_on_with_others(struct badge *badge, uint32_t error)
{
	waiting_settle(badge);
	if (crew_count(badge, WORKER_ASKED) == 0 && !crew_is_there(badge))
		waiting_refuse(badge, (enum tlsb_error)error, error_info(error)->text);
}

static int on_worker_chan(struct chan *chan, struct msg *msg)
{
	const struct msg_worker_chan *body = msg->body;
	struct badge *badge = badge_get(frontdoor_of(chan), body->uid, body->badge);
	struct hand *hand;

	if (!badge)
		return 0; /* its channel closes, and with it the worker's hope of clients */
	hand = crew_nth(badge, body->nth);
	if (!hand) {
		badge_release(badge);
		return -EBADMSG;
	}
	if (hand_attach(hand, msg_take_fd(msg, 0), body->pid) < 0)
		go_on_with_others(badge, TLSB_E_RESOURCES);
	else
		waiting_serve(badge);
	badge_release(badge);
	return 0;
}

/* Its channel closes by itself, unless the worker has given it away before it died. */
static int on_worker_gone(struct chan *chan, struct msg *msg)
{
	const struct msg_worker_gone *body = msg->body;
	struct badge *badge = badge_find(frontdoor_of(chan), body->uid, body->badge);

	struct hand *hand = badge ? crew_pid(badge, body->pid) : NULL;

	if (hand)
		hand_is_gone(hand);
	return 0;
}

/* The answer to WORKER_WANTED, in place of WORKER_CHAN. */
static int on_worker_none(struct chan *chan, struct msg *msg)
{
	const struct msg_worker_none *body = msg->body;
	struct frontdoor *frontdoor = frontdoor_of(chan);
	struct badge *badge = badge_find(frontdoor, body->uid, body->badge);
	struct hand *hand = badge ? crew_nth(badge, body->nth) : NULL;

	if (!hand || hand->state != WORKER_ASKED)
		return 0;
	hand->state = WORKER_ABSENT;
	/* All workers that there may be are there: one that has nothing to do makes room, for a first one. */
	if (body->error == TLSB_E_RESOURCES && badge->waiting_count > 0 && !crew_is_there(badge) &&
	    hand_retire_idlest(frontdoor, frontdoor->settle_ms)) {
		crew_want(badge);
		return 0;
	}
	go_on_with_others(badge, body->error);
	badge_release(badge);
	return 0;
}

/* The answer to PEER_WANTED. */
static int on_peer(struct chan *chan, struct msg *msg)
{
	const struct msg_peer *body = msg->body;

	return waiting_on_answer(frontdoor_of(chan), body->id, msg->fds[0], TLSB_E_NONE);
}

/* The same when there is none. */
static int on_peer_none(struct chan *chan, struct msg *msg)
{
	const struct msg_peer_none *body = msg->body;

	return waiting_on_answer(frontdoor_of(chan), body->id, -1, body->error);
}

/* The file of a process that somebody asks about: hostile as every client's. */
static char *claimed_cgroup(const struct msg *msg, size_t groups, char **ret_path)
{
	size_t len = msg->tail_len - groups;
	char *text = len > 0 ? strndup(msg->tail + groups, len) : NULL;

	*ret_path = text ? cgroup_path(text) : NULL;
	return text;
}

static enum ruling ruling_of(int r)
{
	if (r == -EAGAIN)
		return RULING_UNDECIDED;
	return r == 0 ? RULING_ALLOWED : RULING_REFUSED;
}

/* Who would have which badge: decided here as for who connects. */
static int on_who(struct chan *chan, struct msg *msg)
{
	const struct msg_who *body = msg->body;
	const size_t groups = body->about.group_count * sizeof(gid_t);
	struct rules_choice choice = { .badge = 0 };
	char *text, *path;
	int r;

	if (groups > msg->tail_len)
		return -EBADMSG;
	text = claimed_cgroup(msg, groups, &path);
	r = rules_explain(&frontdoor_of(chan)->rules,
			  &(struct rules_claims){
				  .peer = { .uid = body->about.uid, .gid = body->about.gid },
				  .groups = msg->tail,
				  .group_count = body->about.group_count,
				  .cgroup = path,
			  },
			  body->about.badge, &choice);
	free(text);
	if (r == -ENOMEM)
		return 0; /* no answer is one, too */
	return chan_send_body(chan, MSG_DECIDED,
			      &(struct msg_decided){ .id = body->id,
						     .ruling = ruling_of(r),
						     .badge = choice.badge,
						     .rule = choice.rule,
						     .match = choice.match });
}

static int on_drain(struct chan *chan, struct msg *msg unused_)
{
	struct frontdoor *frontdoor = frontdoor_of(chan);

	frontdoor->draining = true;
	door_close(frontdoor);
	waiting_refuse_all(frontdoor, TLSB_E_STOPPING, error_info(TLSB_E_STOPPING)->text);
	return 0;
}

static chan_handler *const handlers[MSG_COUNT] = {
	[MSG_START] = child_on_start,
	[MSG_LISTEN] = on_listen,
	[MSG_BADGE_RULES] = on_badge_rules,
	[MSG_BADGE_RULE] = on_badge_rule,
	[MSG_WORKER_CHAN] = on_worker_chan,
	[MSG_WORKER_NONE] = on_worker_none,
	[MSG_WORKER_GONE] = on_worker_gone,
	[MSG_PEER] = on_peer,
	[MSG_PEER_NONE] = on_peer_none,
	[MSG_WHO] = on_who,
	[MSG_DRAIN] = on_drain,
};

static void stop(struct child *child)
{
	struct frontdoor *frontdoor = child->state;

	if (!frontdoor)
		return;
	waiting_refuse_all(frontdoor, TLSB_E_STOPPING, error_info(TLSB_E_STOPPING)->text);
	door_close(frontdoor);
	badge_forget_all(frontdoor);
	rules_deinit(&frontdoor->rules);
	rules_deinit(&frontdoor->coming);
	if (frontdoor->expiry)
		event_free(frontdoor->expiry);
	if (frontdoor->retry)
		event_free(frontdoor->retry);
	free(frontdoor);
	child->state = NULL;
}

static int prepare(struct child *child unused_)
{
	return ticks_prepare();
}

static int start(struct child *child)
{
	struct frontdoor *frontdoor = calloc(1, sizeof(*frontdoor));

	if (!frontdoor)
		return -ENOMEM;
	frontdoor->child = child;
	rules_deinit(&frontdoor->rules);
	frontdoor->door = (struct door){ .fd = -1, .reserve = -1 };
	TAILQ_INIT(&frontdoor->idle);
	TAILQ_INIT(&frontdoor->waiting);
	frontdoor->wait_ms = LIMIT_WAIT_MS;
	frontdoor->idle_ms = LIMIT_WORKER_IDLE_MS;
	frontdoor->settle_ms = LIMIT_WORKER_SETTLE_MS;
	/* Above all ids of a frontdoor that was here before: it gave out less than 2^20 in a ms. */
	frontdoor->next_id = clock_ms() << 20;
	frontdoor->expiry = evtimer_new(child->base, on_expiry, frontdoor);
	frontdoor->retry = evtimer_new(child->base, on_retry, frontdoor);
	child->state = frontdoor;
	if (!frontdoor->expiry || !frontdoor->retry)
		return -ENOMEM;
	return set_expiry(frontdoor, NOTHING_DUE_MS) < 0 ? -ENOMEM : 0;
}

const struct child_ops frontdoor_ops = {
	.handlers = handlers,
	.prepare = prepare,
	.start = start,
	.stop = stop,
};
