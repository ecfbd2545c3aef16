#include "frontdoor/waiting.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "frontdoor/badge.h"
#include "frontdoor/caller.h"
#include "frontdoor/cgroup.h"
#include "frontdoor/crew.h"
#include "frontdoor/door.h"
#include "frontdoor/hand.h"
#include "wire/errors.h"

/* When a worker's socket was full.  It holds some hundred clients, so this sets no pace. */
#define RETRY_MS 10

/* Out of the room; the client's descriptor is the caller's. */
static int leave(struct waiter *waiter)
{
	struct badge *badge = waiter->badge;
	int fd = waiter->fd;

	TAILQ_REMOVE(&badge->waiting, waiter, of_badge);
	badge->waiting_count--;
	TAILQ_REMOVE(&badge->frontdoor->waiting, waiter, of_all);
	badge->frontdoor->waiting_count--;
	free(waiter);
	return fd;
}

static void refuse_waiter(struct waiter *waiter, enum tlsb_error error, const char *text)
{
	struct frontdoor *frontdoor = waiter->badge->frontdoor;
	struct ucred peer = waiter->peer;

	caller_refuse(frontdoor, leave(waiter), &peer, error, text);
	door_resume(frontdoor);
	frontdoor_arm_expiry(frontdoor);
}

static struct badge *fullest(struct frontdoor *frontdoor)
{
	struct badge *most = NULL;
	struct waiter *waiter;

	TAILQ_FOREACH(waiter, &frontdoor->waiting, of_all) {
		if (!most || waiter->badge->waiting_count > most->waiting_count)
			most = waiter->badge;
	}
	return most;
}

static const char *room_is_full(char text[LIMIT_TEXT + 1], const struct badge *badge)
{
	snprintf(text, LIMIT_TEXT + 1,
		 "the broker is starting too many workers: %u clients wait, %u of them of user %u; "
		 "the limit is %d",
		 badge->frontdoor->waiting_count, badge->waiting_count, badge->uid,
		 LIMIT_CLIENTS_WAITING);
	return text;
}

/* A place for one more client of BADGE.  0 or -EMFILE. */
static int make_place(struct badge *badge)
{
	struct frontdoor *frontdoor = badge->frontdoor;
	char text[LIMIT_TEXT + 1];
	struct badge *most;

	if (frontdoor->waiting_count < LIMIT_CLIENTS_WAITING)
		return 0;
	most = fullest(frontdoor);
	assert(most); /* somebody waits, so a badge does */
	if (badge->waiting_count + 1 >= most->waiting_count)
		return -EMFILE;
	/* Its last: those that came first have waited longer. */
	refuse_waiter(TAILQ_LAST(&most->waiting, waiter_list), TLSB_E_QUOTA,
		      room_is_full(text, most));
	return 0;
}

static void arm_retry(struct frontdoor *frontdoor)
{
	const struct timeval soon = { 0, RETRY_MS * 1000 };

	if (!event_pending(frontdoor->retry, EV_TIMEOUT, NULL))
		event_add(frontdoor->retry, &soon);
}

/* The next questions about clients, in the order in which they came: as many as may be open. */
static void ask(struct frontdoor *frontdoor)
{
	struct waiter *waiter;

	TAILQ_FOREACH(waiter, &frontdoor->waiting, of_all) {
		struct msg_peer_wanted wanted = { .pid = (uint32_t)waiter->peer.pid };

		if (frontdoor->unanswered == LIMIT_PEERS_ASKED)
			return;
		if (waiter->badge->number != BADGE_UNDECIDED || waiter->question != 0)
			continue;
		wanted.id = waiter->question = ++frontdoor->questions;
		frontdoor->unanswered++;
		chan_send_body(&frontdoor->child->supervisor, MSG_PEER_WANTED, &wanted);
	}
}

/* 0: FD waits.  -ENOMEM. */
static int enter(struct badge *badge, int fd, const struct ucred *peer, const char *unit)
{
	struct frontdoor *frontdoor = badge->frontdoor;
	struct waiter *waiter = malloc(sizeof(*waiter));

	if (!waiter)
		return -ENOMEM;
	*waiter = (struct waiter){
		.badge = badge,
		.peer = *peer,
		.since_ms = clock_ms(),
		.fd = fd,
	};
	text_copy(waiter->unit, sizeof(waiter->unit), unit);
	TAILQ_INSERT_TAIL(&badge->waiting, waiter, of_badge);
	badge->waiting_count++;
	TAILQ_INSERT_TAIL(&frontdoor->waiting, waiter, of_all);
	frontdoor->waiting_count++;
	frontdoor_arm_expiry(frontdoor);
	if (badge->number == BADGE_UNDECIDED)
		ask(frontdoor);
	crew_want(badge);
	if (crew_next(badge))
		arm_retry(frontdoor);
	return 0;
}

/* TLSB_E_NONE: the client is handed over or waits; else why not, with *text filled. */
static enum tlsb_error place(struct badge *badge, int fd, const struct ucred *peer,
			     const char *unit, char text[LIMIT_TEXT + 1])
{
	unsigned held = crew_clients(badge) + badge->waiting_count;
	uint32_t most = badge_max_connections(badge);
	struct hand *hand = crew_next(badge);
	char title[LIMIT_BADGE + 32];

	if (held >= most) {
		snprintf(text, LIMIT_TEXT + 1,
			 "max-connections: %s has %u clients connected to the broker; the limit is %u",
			 badge_title(badge, title, sizeof(title)), held, most);
		return TLSB_E_QUOTA;
	}
	/* Nobody overtakes. */
	if (badge->waiting_count == 0 && hand && hand_take(hand, fd, peer, unit) == 0)
		return TLSB_E_NONE;
	if (make_place(badge) < 0) {
		room_is_full(text, badge);
		return TLSB_E_QUOTA;
	}
	if (enter(badge, fd, peer, unit) < 0) {
		snprintf(text, LIMIT_TEXT + 1, "%s", error_info(TLSB_E_RESOURCES)->text);
		return TLSB_E_RESOURCES;
	}
	return TLSB_E_NONE;
}

/* What the rules say, R of rules_find(), comes true. */
static void admit(struct frontdoor *frontdoor, int fd, const struct ucred *peer, const char *unit,
		  int r, uint32_t number)
{
	struct badge *badge = r == 0 ? badge_get(frontdoor, peer->uid, number) : NULL;
	enum tlsb_error error = TLSB_E_RESOURCES;
	char text[LIMIT_TEXT + 1];

	snprintf(text, sizeof(text), "%s", error_info(error)->text);
	if (r == -EACCES || r == -EAGAIN) {
		error = TLSB_E_POLICY;
		snprintf(text, sizeof(text),
			 r == -EACCES ? "match: no badge of the configuration is for user %u" :
					"match: in which unit a program of user %u is cannot be known: "
					"it has ended, or is out of sight",
			 peer->uid);
	}
	if (badge)
		error = place(badge, fd, peer, unit, text);
	if (error != TLSB_E_NONE)
		caller_refuse(frontdoor, fd, peer, error, text);
	if (badge)
		badge_release(badge);
}

void waiting_admit(struct frontdoor *frontdoor, int fd, const struct ucred *peer)
{
	uint32_t number;
	int r = rules_find(&frontdoor->rules, fd, peer, NULL, &number);

	if (r == -EAGAIN)
		admit(frontdoor, fd, peer, "", 0, BADGE_UNDECIDED);
	else
		admit(frontdoor, fd, peer, "", r, number);
}

static struct waiter *find_question(struct frontdoor *frontdoor, uint64_t question)
{
	struct waiter *waiter;

	TAILQ_FOREACH(waiter, &frontdoor->waiting, of_all) {
		if (waiter->question == question)
			return waiter;
	}
	return NULL;
}

/* By the rules as they are now, with what is known now. */
static void decide(struct waiter *waiter, int cgroup_fd, uint32_t error)
{
	struct badge *undecided = waiter->badge;
	struct frontdoor *frontdoor = undecided->frontdoor;
	const struct ucred peer = waiter->peer;
	cleanup_free_ char *cgroup = NULL;
	char unit[LIMIT_UNIT + 1];
	uint32_t number = 0;
	int fd = leave(waiter), r = error == TLSB_E_RESOURCES ? -EMFILE : -ESRCH;

	if (cgroup_fd >= 0)
		r = cgroup_read(cgroup_fd, fd, &cgroup);
	if (r == 0 || r == -ESRCH)
		r = rules_find(&frontdoor->rules, fd, &peer, cgroup, &number);
	badge_release(undecided);
	admit(frontdoor, fd, &peer, cgroup ? cgroup_unit(cgroup, unit) : "", r, number);
	door_resume(frontdoor);
	frontdoor_arm_expiry(frontdoor);
}

int waiting_on_answer(struct frontdoor *frontdoor, uint64_t question, int fd, uint32_t error)
{
	struct waiter *waiter;

	if (question == 0 || frontdoor->unanswered == 0)
		return -EPROTO;
	frontdoor->unanswered--;
	waiter = find_question(frontdoor, question);
	if (waiter) /* else it waits no more */
		decide(waiter, fd, error);
	ask(frontdoor);
	return 0;
}

void waiting_serve(struct badge *badge)
{
	struct waiter *waiter;
	struct hand *hand;

	while ((waiter = TAILQ_FIRST(&badge->waiting)) && (hand = crew_next(badge))) {
		if (hand_take(hand, waiter->fd, &waiter->peer, waiter->unit) < 0) {
			arm_retry(badge->frontdoor);
			break;
		}
		leave(waiter);
	}
	if (!badge->settles) /* it has just been told that there is none */
		crew_want(badge);
	frontdoor_arm_expiry(badge->frontdoor);
}

void waiting_settle(struct badge *badge)
{
	badge->settles = true;
	waiting_serve(badge);
	badge->settles = false;
}

void waiting_serve_all(struct frontdoor *frontdoor)
{
	for (unsigned i = 0; i < BADGE_BUCKETS; i++) {
		struct badge *badge;

		LIST_FOREACH(badge, &frontdoor->badges[i], in_bucket)
			waiting_serve(badge);
	}
}

void waiting_refuse(struct badge *badge, enum tlsb_error error, const char *text)
{
	struct waiter *waiter;

	while ((waiter = TAILQ_FIRST(&badge->waiting)))
		refuse_waiter(waiter, error, text);
}

void waiting_refuse_all(struct frontdoor *frontdoor, enum tlsb_error error, const char *text)
{
	struct waiter *waiter;

	while ((waiter = TAILQ_FIRST(&frontdoor->waiting))) {
		struct badge *badge = waiter->badge;

		refuse_waiter(waiter, error, text);
		badge_release(badge);
	}
}

void waiting_expire(struct frontdoor *frontdoor, uint64_t now_ms)
{
	struct waiter *waiter;

	while ((waiter = TAILQ_FIRST(&frontdoor->waiting)) &&
	       now_ms >= waiter->since_ms + frontdoor->wait_ms) {
		struct badge *badge = waiter->badge;

		waiting_settle(badge);
		if (waiter != TAILQ_FIRST(&frontdoor->waiting))
			continue;
		refuse_waiter(waiter, TLSB_E_RESOURCES,
			      badge->number == BADGE_UNDECIDED ?
				      "the broker could not find out in time in which unit this is" :
				      "the broker could not start a worker for this user in time");
		badge_release(badge);
	}
}
