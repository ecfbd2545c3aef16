#include "connector/connector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/ticks.h"
#include "connector/explain.h"

static struct connector *connector_of(struct chan *supervisor)
{
	struct child *child = supervisor->owner;

	return child->state;
}

/* A worker that asks for another channel may have kept the one that it had. */
static void forget_channel(struct connector *connector, uint32_t pid)
{
	struct dialler *dialler;

	LIST_FOREACH(dialler, &connector->diallers, next) {
		if (dialler->pid == pid) {
			dialler_free(dialler);
			return;
		}
	}
}

/* What cannot be served is closed: its worker sees that, its dials fail at once, and it asks again. */
static int on_worker_chan(struct chan *chan, struct msg *msg)
{
	struct connector *connector = connector_of(chan);
	const struct msg_worker_chan *body = msg->body;
	int r = -EMFILE;

	forget_channel(connector, body->pid);
	/* A worker that has just died may be there yet beside the one that follows it. */
	if (connector->dialler_count < 2 * LIMIT_WORKERS)
		r = dialler_new(connector, msg_take_fd(msg, 0), body);
	if (r < 0)
		log_event(LOG_L_WARNING, "no room for another worker's channel",
			  { FIELD_UID, LOG_NUMBER(body->uid) }, { FIELD_ERROR, strerror(-r) });
	return 0;
}

/* It closes by itself, unless the worker has given it away before it died. */
static int on_worker_gone(struct chan *chan, struct msg *msg)
{
	const struct msg_worker_gone *body = msg->body;

	forget_channel(connector_of(chan), body->pid);
	return 0;
}

/* All of the new rules at once, in place of all of the old ones. */
static void destinations_have_come(struct connector *connector)
{
	static const struct msg_destinations_new nothing;
	struct dialler *dialler;

	destinations_deinit(&connector->destinations);
	connector->destinations = connector->coming;
	connector->coming = (struct destinations){ .list = NULL };
	LIST_FOREACH(dialler, &connector->diallers, next)
		chan_send_body(&dialler->chan, MSG_DESTINATIONS_NEW, &nothing);
}

static int on_destination_rules(struct chan *chan, struct msg *msg)
{
	struct connector *connector = connector_of(chan);
	int r = destinations_begin(&connector->coming, msg->body);

	if (r == 0 && destinations_are_complete(&connector->coming))
		destinations_have_come(connector);
	return r;
}

static int on_destination_rule(struct chan *chan, struct msg *msg)
{
	struct connector *connector = connector_of(chan);
	int r = destinations_add(&connector->coming, msg);

	if (r == 0 && destinations_are_complete(&connector->coming))
		destinations_have_come(connector);
	return r;
}

/* What there is to say of it, for a person. */
static void explain_judgement(struct explained *ret, const struct judgement *judgement,
			      const char *host, uint16_t port)
{
	switch (judgement->ruling) {
	case RULING_BY_NAME:
		explain_as(ret, TLSB_E_NONE,
			   "may connect to %.100s port %u, verified as that; what it leads to is judged "
			   "then: private addresses need a rule",
			   host, port);
		break;
	case RULING_BY_ADDRESS:
		explain_as(ret, TLSB_E_NONE,
			   "may look up %.100s, and connect to what it leads to, port %u, as far as "
			   "there is a rule for the address",
			   host, port);
		break;
	default:
		explain_as(ret, TLSB_E_NONE, "may connect to %.100s port %u", host, port);
	}
}

/* HOST is from a program, as in DIAL. */
static struct judgement judge(const struct connector *connector, const struct inquiry *about,
			      const char *host, struct explained *ret_why)
{
	struct judgement judgement = { .ruling = RULING_REFUSED, .rule = NO_RULE };
	const struct reach *reach = NULL;
	struct address address;
	const char *refused;
	enum host_kind kind = address_of_host(host, &address, &refused);
	int r = destinations_find(&connector->destinations, about->badge, &reach);

	if (kind == HOST_UNUSABLE) {
		judgement.ruling = RULING_UNUSABLE;
		explain_as(ret_why, TLSB_E_PARAMETER, "%.120s %s", host, refused);
		return judgement;
	}
	if (r == 0)
		judgement = reach_judge(reach, kind == HOST_ADDRESS ? &address : NULL, host, host,
					about->port);
	if (judgement.ruling == RULING_REFUSED)
		explain_policy(ret_why, reach ? reach->name : NULL, host, about->port, "");
	else
		explain_judgement(ret_why, &judgement, host, about->port);
	return judgement;
}

/* Where a badge may connect to: decided here as for who dials. */
static int on_where(struct chan *chan, struct msg *msg)
{
	const struct msg_where *body = msg->body;
	struct msg_decided decided = { .id = body->id, .ruling = RULING_UNUSABLE, .rule = NO_RULE };
	struct explained why = { .text = "there is a NUL in the host's name" };
	struct judgement judgement;
	char host[LIMIT_HOST + 1];
	uint32_t at = 0;

	if (msg_tail_string(msg, &at, msg->tail_len, host, sizeof(host)) == 0) {
		judgement = judge(connector_of(chan), &body->about, host, &why);
		decided.ruling = judgement.ruling;
		decided.rule = judgement.rule;
	}
	return chan_send(chan, MSG_DECIDED, &decided, why.text, strlen(why.text), NULL);
}

/* They are not sent again before they change: who has no memory for them ends, and is started again. */
static int on_resolver(struct chan *chan, struct msg *msg)
{
	return names_on_files(&connector_of(chan)->names, msg->fds[0], msg->fds[1]);
}

static int on_resolver_same(struct chan *chan, struct msg *msg unused_)
{
	names_on_same(&connector_of(chan)->names);
	return 0;
}

/* Dials that run may end as they will; the deadline is theirs, and the supervisor's to keep. */
static int on_drain(struct chan *chan, struct msg *msg unused_)
{
	struct connector *connector = connector_of(chan);
	struct dialler *dialler;

	connector->draining = true;
	LIST_FOREACH(dialler, &connector->diallers, next)
		dialler_drain(dialler);
	return 0;
}

static chan_handler *const handlers[MSG_COUNT] = {
	[MSG_START] = child_on_start,
	[MSG_DRAIN] = on_drain,
	[MSG_WORKER_CHAN] = on_worker_chan,
	[MSG_WORKER_GONE] = on_worker_gone,
	[MSG_RESOLVER] = on_resolver,
	[MSG_RESOLVER_SAME] = on_resolver_same,
	[MSG_DESTINATION_RULES] = on_destination_rules,
	[MSG_DESTINATION_RULE] = on_destination_rule,
	[MSG_WHERE] = on_where,
};

/* c-ares opens files when it makes a channel: see connector/nameserver.h. */
static int prepare(struct child *child)
{
	struct connector *connector = calloc(1, sizeof(*connector));
	int r = connector ? names_prepare(&connector->names) : -ENOMEM;

	if (r == 0)
		r = ticks_prepare();
	if (r < 0) {
		free(connector);
		return r;
	}
	connector->child = child;
	child->state = connector;
	return 0;
}

static int start(struct child *child)
{
	struct connector *connector = child->state;

	return names_start(&connector->names, child);
}

static void stop(struct child *child)
{
	struct connector *connector = child->state;

	while (!LIST_EMPTY(&connector->diallers))
		dialler_free(LIST_FIRST(&connector->diallers));
	names_deinit(&connector->names);
	destinations_deinit(&connector->destinations);
	destinations_deinit(&connector->coming);
	paces_deinit(&connector->paces);
	free(connector);
	child->state = NULL;
}

const struct child_ops connector_ops = {
	.handlers = handlers,
	.prepare = prepare,
	.start = start,
	.stop = stop,
};
