#include "connector/connector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

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
	[MSG_RESOLVER] = on_resolver,
	[MSG_RESOLVER_SAME] = on_resolver_same,
	[MSG_DESTINATION_RULES] = on_destination_rules,
	[MSG_DESTINATION_RULE] = on_destination_rule,
};

/* c-ares opens files when it makes a channel: see connector/nameserver.h. */
static int prepare(struct child *child)
{
	struct connector *connector = calloc(1, sizeof(*connector));
	int r = connector ? names_prepare(&connector->names) : -ENOMEM;

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
