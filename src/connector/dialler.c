#include "connector/dialler.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "connector/connector.h"
#include "connector/dial.h"
#include "wire/errors.h"

/* How soon to look whether a worker has read its answers. */
#define UNREAD_MS 20

static const char host_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				 "._:-%[]";

void dialler_send_failed(struct dialler *dialler, uint64_t id, const struct explained *why)
{
	const struct msg_dial_failed body = { .id = id, .error = why->error,
					      .looking_up = why->looking_up };

	counters_add(dialler->connector->child->counters, COUNTER_dials_failed, 1);
	chan_send(&dialler->chan, MSG_DIAL_FAILED, &body, why->text, strlen(why->text), NULL);
}

void dialler_look(struct dialler *dialler)
{
	if (dialler->waiting_count > 0)
		event_active(dialler->turn, EV_TIMEOUT, 0);
}

static bool has_room(const struct dialler *dialler)
{
	return dialler->running_count + chan_queued(&dialler->chan) < LIMIT_DIALS_PER_BADGE;
}

static void run_waiting(struct dialler *dialler)
{
	const struct timeval unread = { 0, UNREAD_MS * 1000 };
	struct dial *dial;

	while (has_room(dialler) && (dial = TAILQ_FIRST(&dialler->waiting))) {
		TAILQ_REMOVE(&dialler->waiting, dial, next);
		dialler->waiting_count--;
		TAILQ_INSERT_TAIL(&dialler->running, dial, next);
		dialler->running_count++;
		dial->stage = DIAL_RUNNING;
		dial_run(dial);
	}
	/* Nothing tells when answers have been read; dials that end look again by themselves. */
	if (dialler->waiting_count > 0 && chan_queued(&dialler->chan) > 0)
		event_add(dialler->turn, &unread);
}

static void on_turn(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	run_waiting(arg);
}

static bool is_host(const char *host)
{
	return host[0] != '\0' && host[strspn(host, host_bytes)] == '\0';
}

/* From a worker: hostile.  0, *host and *name, or -EINVAL. */
static int check_dial(const struct msg_dial *body, const struct msg *msg, char host[LIMIT_HOST + 1],
		      char name[LIMIT_HOST + 1])
{
	uint32_t at = 0;

	if (body->name_len > msg->tail_len ||
	    msg_tail_string(msg, &at, msg->tail_len - body->name_len, host, LIMIT_HOST + 1) < 0 ||
	    msg_tail_string(msg, &at, body->name_len, name, LIMIT_HOST + 1) < 0)
		return -EINVAL;
	if (body->name_len == 0)
		memcpy(name, host, LIMIT_HOST + 1);
	if (!is_host(host) || !is_host(name) || body->port == 0)
		return -EINVAL;
	if (body->family != AF_UNSPEC && body->family != AF_INET && body->family != AF_INET6)
		return -EINVAL;
	return 0;
}

static void refuse(struct dialler *dialler, uint64_t id, enum tlsb_error error)
{
	struct explained why;

	explain_as(&why, error, "%s", error_info(error)->text);
	dialler_send_failed(dialler, id, &why);
}

/* Whether this user may begin no session more in this second; he hears so. */
static bool is_too_fast(struct dialler *dialler, uint64_t id)
{
	uint32_t rate = destinations_rate(&dialler->connector->destinations, dialler->badge);
	struct explained why;

	if (pace_take(dialler->pace, rate, clock_ms()) == 0)
		return false;
	explain_as(&why, TLSB_E_QUOTA,
		   "max-sessions-per-second: this user began %u sessions within a second; the limit is %u",
		   rate, rate);
	dialler_send_failed(dialler, id, &why);
	return true;
}

static int on_dial(struct chan *chan, struct msg *msg)
{
	struct dialler *dialler = chan->owner;
	const struct msg_dial *body = msg->body;
	char host[LIMIT_HOST + 1] = "", name[LIMIT_HOST + 1] = "";
	struct dial *dial, **found;
	int r = check_dial(body, msg, host, name);

	if (r < 0)
		return r;
	counters_add(dialler->connector->child->counters, COUNTER_dials, 1);
	if (is_too_fast(dialler, body->id))
		return 0;
	dial = dialler->waiting_count < LIMIT_DIALS_QUEUED ? dial_new(dialler, body, host, name) :
							     NULL;
	if (!dial || dialler->connector->draining) {
		refuse(dialler, body->id, dial ? TLSB_E_STOPPING : TLSB_E_RESOURCES);
		if (dial)
			dial_free(dial);
		return 0;
	}
	found = tsearch(dial, &dialler->by_id, dial_compare);
	if (!found || *found != dial) {
		dial_free(dial);
		return found ? -EEXIST : -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&dialler->waiting, dial, next);
	dialler->waiting_count++;
	run_waiting(dialler);
	return 0;
}

/* An answer may have been on its way: an unknown id is nothing to complain about. */
static int on_dial_cancel(struct chan *chan, struct msg *msg)
{
	struct dialler *dialler = chan->owner;
	const struct msg_dial_cancel *body = msg->body;
	const struct dial key = { .id = body->id };
	struct dial **found = tfind(&key, &dialler->by_id, dial_compare);

	if (found)
		dial_end(*found);
	return 0;
}

/* A connection that it says it has, and what it says it was dialled as. */
static int on_dial_still(struct chan *chan, struct msg *msg)
{
	struct dialler *dialler = chan->owner;
	const struct msg_dial_still *body = msg->body;
	const struct msg_dial dial = { .port = body->port, .name_len = body->name_len };
	const struct msg_dial_forbidden no = { .id = body->id };
	struct address address;
	char host[LIMIT_HOST + 1] = "", name[LIMIT_HOST + 1] = "", text[LIMIT_TEXT + 1];
	const struct reach *reach;

	if (check_dial(&dial, msg, host, name) < 0 ||
	    (body->family != AF_INET && body->family != AF_INET6))
		return -EINVAL;
	address = address_from_bytes(body->family, body->address);
	if (destinations_find(&dialler->connector->destinations, dialler->badge, &reach) == 0 &&
	    (!reach || reach_has_connection(reach, host, name, &address, body->port)))
		return 0;
	snprintf(text, sizeof(text), "destinations: badge %s may not be connected to %.100s port %u "
		 "any more", reach ? reach->name : "that has gone", host, body->port);
	return chan_send(chan, MSG_DIAL_FORBIDDEN, &no, text, strlen(text), NULL);
}

static chan_handler *const handlers[MSG_COUNT] = {
	[MSG_DIAL] = on_dial,
	[MSG_DIAL_CANCEL] = on_dial_cancel,
	[MSG_DIAL_STILL] = on_dial_still,
};

static void on_gone(struct chan *chan, enum msg_rule rule, const char *what)
{
	struct dialler *dialler = chan->owner;
	struct child *child = dialler->connector->child;
	bool starved = chan->starved;

	if (rule != RULE_NONE) {
		counters_add(dialler->connector->child->counters, COUNTER_violations, 1);
		log_event(LOG_L_WARNING, "a worker broke the protocol",
			  { FIELD_UID, LOG_NUMBER(dialler->uid) },
			  { FIELD_RULE, msg_rule_name(rule) }, { FIELD_ERROR, what });
	}
	dialler_free(dialler);
	/* The worker lives, and gets a channel to no connector but the next one. */
	if (starved)
		child_give_up(child);
}

int dialler_new(struct connector *connector, int fd, const struct msg_worker_chan *whose)
{
	struct dialler *dialler = calloc(1, sizeof(*dialler));
	int r = -ENOMEM;

	if (dialler) {
		dialler->turn = event_new(connector->child->base, -1, 0, on_turn, dialler);
		dialler->pace = pace_get(&connector->paces, whose->uid, whose->badge, clock_ms());
	}
	if (dialler && dialler->turn && dialler->pace)
		r = chan_init(&dialler->chan, connector->child->base, fd_steal(&fd),
			      &internal_messages, ROLE_CONNECTOR, ROLE_WORKER, RUN, handlers,
			      on_gone, dialler);
	if (r < 0) {
		fd_close(fd);
		if (dialler && dialler->turn)
			event_free(dialler->turn);
		if (dialler && dialler->pace)
			pace_release(dialler->pace);
		free(dialler);
		return r;
	}
	dialler->connector = connector;
	dialler->uid = whose->uid;
	dialler->badge = whose->badge;
	dialler->pid = whose->pid;
	TAILQ_INIT(&dialler->waiting);
	TAILQ_INIT(&dialler->running);
	LIST_INSERT_HEAD(&connector->diallers, dialler, next);
	connector->dialler_count++;
	return 0;
}

static void forget(void *dial unused_)
{
}

void dialler_free(struct dialler *dialler)
{
	struct dial *dial;

	tdestroy(dialler->by_id, forget);
	while ((dial = TAILQ_FIRST(&dialler->waiting))) {
		TAILQ_REMOVE(&dialler->waiting, dial, next);
		dial_free(dial);
	}
	while ((dial = TAILQ_FIRST(&dialler->running))) {
		TAILQ_REMOVE(&dialler->running, dial, next);
		dial_free(dial);
	}
	chan_deinit(&dialler->chan);
	event_free(dialler->turn);
	pace_release(dialler->pace);
	LIST_REMOVE(dialler, next);
	dialler->connector->dialler_count--;
	free(dialler);
}

void dialler_drain(struct dialler *dialler)
{
	struct dial *dial;
	struct explained why;

	explain_as(&why, TLSB_E_STOPPING, "%s", error_info(TLSB_E_STOPPING)->text);
	while ((dial = TAILQ_FIRST(&dialler->waiting)))
		dial_fail(dial, &why);
}
