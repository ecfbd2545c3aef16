#include "worker/session.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "wire/errors.h"
#include "worker/audit.h"
#include "worker/client.h"
#include "worker/facts.h"
#include "worker/lending.h"
#include "worker/signing.h"
#include "worker/state.h"
#include "worker/unread.h"
#include "worker/verdict.h"

/* ---- the end ---- */

static void session_free(struct session *session)
{
	struct worker *worker = session->worker;

	slots_remove(&worker->sessions, session->id);
	LIST_REMOVE(session, in_worker);
	if (session->client)
		LIST_REMOVE(session, in_client);
	event_free(session->timer);
	if (session->socket_event)
		event_free(session->socket_event);
	if (session->stage == STAGE_DIALLING)
		handshake_unprepare(session);
	session->signing = signing_free(session->signing);
	session->lending = lending_free(session->lending);
	session->net.fd = fd_close(session->net.fd);
	if (session->stage == STAGE_DIALLING && session->dial_sent)
		chan_send_body(&worker->connector, MSG_DIAL_CANCEL,
			       &(struct msg_dial_cancel){ .id = session->id });
	if (session->request)
		quota_give_ca(&worker->quota, session->request->ca_len + session->request->cert_len);
	session->request = request_free(session->request);
	quota_give_session(&worker->quota, session->capacity);
	if (worker->quota.sessions <= worker->sessions_most / 2)
		worker_sweep_soon(worker);
	counters_add(worker->child->counters, COUNTER_sessions, -1);
	counters_add(worker->child->counters, COUNTER_ring_bytes, -2 * (int64_t)session->capacity);
	unread_hang_up(session);
	leisure_free(worker, session->ssl, &session->channel);
	free(session->facts);
	free(session->refusal);
	free(session->server);
	free(session->address);
	free(session->name);
	free(session->identity);
	free(session->psk);
	free(session->asked);
	free(session);
	worker_check_drained(worker);
}

/* Tell the program: by the control page, or by a message when it has none yet. */
static void publish_end(struct session *session, const struct error_info *info, const char *text)
{
	struct control_page *page = session->channel.page;

	if (!session->client)
		return;
	if (!page && info->code == TLSB_E_NONE)
		return;
	if (!page) {
		struct msg_refused refused = { .error = info->code };

		(void)msg_send(session->chan.fd, &client_messages, CLIENT_MSG_REFUSED, &refused,
			       text, strlen(text), NULL);
		return;
	}
	if (info->code != TLSB_E_NONE)
		text_copy(page->text, sizeof(page->text), text);
	atomic_store_explicit(&page->error, info->code, memory_order_relaxed);
	atomic_store_explicit(&page->ended, 1, memory_order_seq_cst);
	/* No bell: the hang-up of the session's socket, right after this, wakes the program. */
}

void session_end(struct session *session, uint32_t code, const char *format, ...)
{
	const struct error_info *info = error_info(code);
	char text[LIMIT_TEXT + 1];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	publish_end(session, info, text);
	if (session->stage == STAGE_HANDSHAKE)
		counters_add(session->worker->child->counters, COUNTER_handshakes_failed, 1);
	if (!session->channel.page && code != TLSB_E_NONE)
		counters_add(session->worker->child->counters, COUNTER_sessions_refused, 1);
	audit_session(session, info, code == TLSB_E_NONE ? "session closed" : text);
	session_free(session);
}

void session_violation(struct session *session, const char *what)
{
	counters_add(session->worker->child->counters, COUNTER_violations, 1);
	session_end(session, TLSB_E_BROKER_PROTOCOL, "the program broke the protocol: %s", what);
}

struct verdict *session_refusal(struct session *session)
{
	if (!session->refusal)
		session->refusal = calloc(1, sizeof(*session->refusal));
	return session->refusal;
}

void session_broken(struct session *session, int error)
{
	struct verdict verdict;

	if (session->refusal) {
		ERR_clear_error();
		session_end(session, session->refusal->code, "%s", session->refusal->text);
		return;
	}
	if (session->request && session->request->psk &&
	    psk_verdict(session->request->psk, ERR_peek_error(), &verdict))
		ERR_clear_error();
	else
		verdict_of(&session->net, error, session->stage >= STAGE_OPEN, &verdict);
	session_end(session, verdict.code, "%s", verdict.text);
}

/* ---- deadlines ---- */

static void on_timer(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct session *session = arg;

	switch (session->stage) {
	case STAGE_LINGER:
		net_give_up(&session->net);
		session_end(session, TLSB_E_NONE, "session closed");
		break;
	case STAGE_SETUP:
		session_end(session, TLSB_E_TIMEOUT, "the program opened a session and did not use it");
		break;
	case STAGE_LENDING:
		session_end(session, TLSB_E_TIMEOUT,
			    "too many other handshakes with private keys of this user's programs");
		break;
	case STAGE_IN_LINE:
		session_end(session, TLSB_E_TIMEOUT,
			    "this user's programs do not look at %d sessions that they have opened",
			    LIMIT_UNREAD);
		break;
	default:
		session_end(session, TLSB_E_TIMEOUT, "no %s with %s within %u ms",
			    session->stage == STAGE_DIALLING ? "connection" : "TLS handshake",
			    session->server, session->request->deadline_ms);
	}
}

int session_arm_timer(struct session *session, uint64_t ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (ms % 1000) * 1000 };

	return evtimer_add(session->timer, &tv) < 0 ? -ENOMEM : 0;
}

/* ---- what happens to it ---- */

void session_pump(struct session *session)
{
	net_turn(&session->net);
	session->turn_records = 0;
	if (session->stage == STAGE_HANDSHAKE && !handshake_pump(session))
		return;
	if (session->stage == STAGE_OPEN)
		flow_pump(session);
	else if (session->stage == STAGE_LINGER)
		linger_pump(session);
}

void session_ring(struct session *session)
{
	static const struct msg_bell bell;

	if (!session->client || unread_is_there(session))
		return;
	/* A full socket has bells enough in it; only one that could not be sent otherwise is owed. */
	if (msg_send(session->chan.fd, &client_messages, CLIENT_MSG_BELL, &bell, NULL, 0, NULL) < 0 &&
	    errno != EWOULDBLOCK)
		(void)chan_send_body(&session->chan, CLIENT_MSG_BELL, &bell);
}

static void on_gone(struct chan *chan, enum msg_rule rule, const char *what)
{
	struct session *session = chan->owner;

	if (rule == RULE_NONE) {
		session_orphan(session);
		return;
	}
	log_event(LOG_L_WARNING, "a program broke the session protocol",
		  { FIELD_CLIENT, LOG_NUMBER(session->client_pid) },
		  { FIELD_RULE, msg_rule_name(rule) }, { FIELD_ERROR, what });
	session_violation(session, what);
}

/* It could not begin: tell the program why.  Frees it. */
static void refuse_new(struct session *session, int error)
{
	struct worker *worker = session->worker;
	struct msg_refused refused = { .error = TLSB_E_RESOURCES };
	char text[LIMIT_TEXT + 1] = "the broker has no memory left";

	if (error == -EMFILE) {
		refused.error = TLSB_E_QUOTA;
		quota_reason(&worker->quota, text, sizeof(text));
	}
	if (session->chan.owner)
		(void)msg_send(session->chan.fd, &client_messages, CLIENT_MSG_REFUSED, &refused,
			       text, strlen(text), NULL);
	counters_add(worker->child->counters, COUNTER_sessions_refused, 1);
	if (session->timer)
		event_free(session->timer);
	chan_deinit(&session->chan);
	request_free(session->request);
	free(session);
}

int session_new(struct worker *worker, struct client *client, int fd)
{
	struct session *session = calloc(1, sizeof(*session));
	int r = -ENOMEM;

	if (!session || !(session->request = request_new())) {
		fd_close(fd);
		free(session);
		return -ENOMEM;
	}
	session->worker = worker;
	session->client = client;
	session->net.fd = -1;
	session->client_pid = client->pid;
	session->born_ms = clock_ms();
	session->timer = evtimer_new(worker->child->base, on_timer, session);
	r = chan_init(&session->chan, worker->child->base, fd, &client_messages, ROLE_WORKER,
		      ROLE_CLIENT, SETUP, client_handlers, on_gone, session);
	session->chan.on_starved = session_on_starved;
	session->chan.batch = 1; /* mostly there is one: to look for another would cost as much again */
	if (r == 0)
		r = session->timer ? session_arm_timer(session, LIMIT_HELLO_MS) : -ENOMEM;
	if (r == 0)
		r = slots_add(&worker->sessions, session, &session->id);
	if (r == 0) {
		r = quota_take_session(&worker->quota, &session->capacity);
		if (r < 0)
			slots_remove(&worker->sessions, session->id);
	}
	if (r < 0) {
		refuse_new(session, r);
		return r;
	}
	session->number = ++worker->sessions_seen;
	worker->sessions_most = MAX(worker->sessions_most, worker->quota.sessions);
	LIST_INSERT_HEAD(&worker->all_sessions, session, in_worker);
	LIST_INSERT_HEAD(&client->sessions, session, in_client);
	ages_note(session);
	counters_add(worker->child->counters, COUNTER_sessions_opened, 1);
	counters_add(worker->child->counters, COUNTER_sessions, 1);
	counters_add(worker->child->counters, COUNTER_ring_bytes, 2 * (int64_t)session->capacity);
	return 0;
}
