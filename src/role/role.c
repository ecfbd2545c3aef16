#include "role/role.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

/* Log lines that may wait for a busy supervisor; later ones are dropped and counted. */
#define LOG_QUEUE 256

/* Append LEN bytes and a NUL if they fit; returns the new length. */
static size_t pack(char *tail, size_t size, size_t at, char tag, const char *value)
{
	size_t len = strlen(value), need = (tag ? 1 : 0) + len + 1;

	if (need > size - at)
		return at;
	if (tag)
		tail[at++] = tag;
	memcpy(tail + at, value, len + 1);
	return at + len + 1;
}

/* The supervisor has too much to do.  An audit record is counted by its first field. */
static void lose(struct child *child, const struct log_pair *pairs, size_t count)
{
	bool audit = count > 0 && pairs[0].field == FIELD_EVENT && pairs[0].value;

	child->lost_lines++;
	child->lost_audits += audit;
	if (!child->counters)
		return;
	counters_add(child->counters, COUNTER_log_dropped, 1);
	counters_add(child->counters, COUNTER_audits_lost, audit);
}

static void tell_lost(struct child *child)
{
	unsigned lines = child->lost_lines, audits = child->lost_audits;
	char text[96];

	child->lost_lines = child->lost_audits = 0; /* first: this comes back to send_log() */
	snprintf(text, sizeof(text), "log lines lost, of which audit records: %u", audits);
	log_event(LOG_L_WARNING, text, { FIELD_EVENT, audits > 0 ? "lost" : NULL },
		  { FIELD_ERROR, LOG_NUMBER(lines) });
}

static void send_log(void *arg, enum log_level level, const char *text,
		     const struct log_pair *pairs, size_t count)
{
	struct child *child = arg;
	struct msg_log body = { .level = level };
	char tail[2048], short_text[LIMIT_TEXT + 1];
	size_t len;

	if (chan_queued(&child->supervisor) >= LOG_QUEUE) {
		lose(child, pairs, count);
		return;
	}
	if (child->lost_lines > 0)
		tell_lost(child);
	len = pack(tail, sizeof(tail), 0, 0, text_copy(short_text, sizeof(short_text), text));
	for (size_t i = 0; i < count; i++) {
		/* Field numbers go over the wire one up: a tag is never NUL. */
		if (pairs[i].value)
			len = pack(tail, sizeof(tail), len, (char)(pairs[i].field + 1),
				   pairs[i].value);
	}
	chan_send(&child->supervisor, MSG_LOG, &body, tail, len, NULL);
}

int child_on_start(struct chan *chan, struct msg *msg)
{
	struct child *child = chan->owner;
	const struct msg_start *start = msg->body;
	int r;

	if (child->counters)
		return -EALREADY;
	r = counters_attach(&child->counters, msg->fds[0]);
	if (r < 0)
		return r;
	child->verbose = start->verbose != 0;
	log_set_sink(send_log, child, child->verbose ? LOG_L_DEBUG : LOG_L_INFO);
	return child->ops->start(child);
}

void child_give_up(struct child *child)
{
	child->supervisor.on_gone(&child->supervisor, RULE_NONE, "gave up");
}

static void on_supervisor_gone(struct chan *chan, enum msg_rule rule unused_,
			       const char *what unused_)
{
	struct child *child = chan->owner;

	event_base_loopbreak(child->base);
}

/* Until START there is no log: what is wrong goes to the standard error that -d leaves open. */
static int fail(enum role role, const char *what, int error)
{
	fprintf(stderr, "tlsbrokerd: %s: %s: %s\n", role_name(role), what, strerror(-error));
	return 1;
}

struct event_base *child_base_new(void)
{
	const struct timeval interval = { .tv_usec = LIMIT_LOOP_MS * 1000 };
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config && event_config_set_max_dispatch_interval(config, &interval, -1, 0) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	/* An event has the middle one of three if nothing else is said (event_priority_set()). */
	if (base && event_base_priority_init(base, CHILD_LEISURE + 1) < 0) {
		event_base_free(base);
		base = NULL;
	}
	return base;
}

int child_main(enum role role, const struct child_ops *ops, enum sandbox_mode mode)
{
	struct child child = { .role = role, .ops = ops };
	struct msg_ready ready = { 0 };
	const char *what = "sandbox";
	unsigned calls = 0;
	int r;

	r = ops->prepare ? ops->prepare(&child) : 0;
	if (r < 0)
		return fail(role, "preparation", r);
	r = sandbox_enter(role, mode, SUPERVISOR_FD + 1, &calls, &what);
	if (r < 0)
		return fail(role, what, r);
	child.base = child_base_new();
	if (!child.base)
		return fail(role, "event base", -ENOMEM);
	r = chan_init(&child.supervisor, child.base, SUPERVISOR_FD, &internal_messages, role,
		      ROLE_SUPERVISOR, RUN, ops->handlers, on_supervisor_gone, &child);
	if (r < 0)
		return fail(role, "channel", r);
	ready.system_calls = calls;
	chan_send_body(&child.supervisor, MSG_READY, &ready);
	event_base_dispatch(child.base);
	if (ops->stop)
		ops->stop(&child);
	chan_deinit(&child.supervisor);
	counters_unmap(child.counters);
	event_base_free(child.base);
	return 0;
}
