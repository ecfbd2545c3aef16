#include "worker/session.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "ring/doorbell.h"
#include "wire/errors.h"
#include "worker/client.h"
#include "worker/facts.h"
#include "worker/pump.h"
#include "worker/verdict.h"
#include "worker/state.h"

/* ---- the end ---- */

static void session_free(struct session *session)
{
	struct worker *worker = session->worker;

	slots_remove(&worker->sessions, session->id);
	LIST_REMOVE(session, in_worker);
	if (session->client)
		LIST_REMOVE(session, in_client);
	if (session->timer)
		event_free(session->timer);
	if (session->socket_event)
		event_free(session->socket_event);
	SSL_free(session->ssl);
	fd_close(session->net.fd);
	if (session->stage == STAGE_DIALLING && session->dial_sent)
		chan_send_body(&worker->connector, MSG_DIAL_CANCEL,
			       &(struct msg_dial_cancel){ .id = session->id });
	if (session->request)
		quota_give_ca(&worker->quota, session->request->ca_len);
	session->request = request_free(session->request);
	quota_give_session(&worker->quota, session->capacity);
	counters_add(worker->child->counters, COUNTER_sessions, -1);
	counters_add(worker->child->counters, COUNTER_ring_bytes, -2 * (int64_t)session->capacity);
	channel_deinit(&session->channel);
	chan_deinit(&session->chan);
	free(session->facts);
	free(session->refusal);
	free(session->server);
	free(session);
	worker_check_drained(worker);
}

static void log_end(const struct session *session, const struct error_info *info, const char *text)
{
	log_event(info->code == TLSB_E_NONE ? LOG_L_INFO : LOG_L_NOTICE, text,
		  { FIELD_BADGE, session->worker->badge },
		  { FIELD_UID, LOG_NUMBER(session->worker->uid) },
		  { FIELD_CLIENT, LOG_NUMBER(session->client_pid) },
		  { FIELD_SESSION, LOG_NUMBER(session->number) },
		  { FIELD_SERVER, session->server },
		  { FIELD_OUTCOME, info->code == TLSB_E_NONE ? "ok" : info->name },
		  { FIELD_BYTES_READ, LOG_NUMBER(session->bytes_read) },
		  { FIELD_BYTES_WRITTEN, LOG_NUMBER(session->bytes_written) },
		  { FIELD_MS, LOG_NUMBER(clock_ms() - session->born_ms) });
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
	if (session->stage == STAGE_SETUP && code != TLSB_E_NONE)
		counters_add(session->worker->child->counters, COUNTER_sessions_refused, 1);
	log_end(session, info, code == TLSB_E_NONE ? "session closed" : text);
	session_free(session);
}

/* The program broke the protocol, or lies in its memory. */
static void violation(struct session *session, const char *what)
{
	counters_add(session->worker->child->counters, COUNTER_violations, 1);
	session_end(session, TLSB_E_BROKER_PROTOCOL, "the program broke the protocol: %s", what);
}

static void broken(struct session *session, int error)
{
	struct verdict verdict;

	if (session->refusal) {
		ERR_clear_error();
		session_end(session, session->refusal->code, "%s", session->refusal->text);
		return;
	}
	verdict_of(&session->net, error, session->stage >= STAGE_OPEN, &verdict);
	session_end(session, verdict.code, "%s", verdict.text);
}

void session_on_refused_certificate(struct session *session, X509_STORE_CTX *store)
{
	if (!session->refusal && session->request)
		session->refusal = calloc(1, sizeof(*session->refusal));
	if (session->refusal)
		verdict_of_certificate(store, session->request->name, session->refusal);
}

/* ---- deadlines ---- */

static void on_timer(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct session *session = arg;

	switch (session->stage) {
	case STAGE_LINGER:
		session_end(session, TLSB_E_NONE, "session closed");
		break;
	case STAGE_SETUP:
		session_end(session, TLSB_E_TIMEOUT, "the program opened a session and did not use it");
		break;
	default:
		session_end(session, TLSB_E_TIMEOUT, "no %s with %s within %u ms",
			    session->stage == STAGE_DIALLING ? "connection" : "TLS handshake",
			    session->server, session->request->deadline_ms);
	}
}

static int arm_timer(struct session *session, uint64_t ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (ms % 1000) * 1000 };

	return evtimer_add(session->timer, &tv) < 0 ? -ENOMEM : 0;
}

/* ---- lingering: the program has gone ---- */

/* Send what is left, then end our half of the connection. */
static enum pump send_rest(struct session *session)
{
	enum pump out = PUMP_END;
	int error = 0;

	if (session->cut)
		return PUMP_END;
	if (!session->tx_end)
		out = pump_out(session, &error);
	if (out == PUMP_END) {
		session->cut = true; /* once: each time wakes our own edge-triggered event again */
		shutdown(session->net.fd, SHUT_WR);
	}
	return out;
}

/*
 * Read the peer's out, from the start: a server that does not read on before its answer is sent would
 * wait for us while we wait for it.  And closing a socket with unread bytes resets the connection and
 * may take from the peer what it has not read yet.
 */
static enum pump discard(struct session *session)
{
	char scrap[16384];

	for (size_t total = 0; total < LIMIT_PUMP_BYTES;) {
		ssize_t n = recv(session->net.fd, scrap, sizeof(scrap), MSG_DONTWAIT);

		if (n == 0)
			return PUMP_END;
		if (n < 0 && errno == EWOULDBLOCK)
			return PUMP_WAIT;
		if (n < 0 && errno != EINTR)
			return PUMP_BROKEN;
		total += n > 0 ? (size_t)n : 0;
	}
	return PUMP_AGAIN;
}

static void pump_linger(struct session *session)
{
	enum pump out = send_rest(session), in = discard(session);

	if (out == PUMP_BROKEN || out == PUMP_LIE || in == PUMP_BROKEN ||
	    (out == PUMP_END && in == PUMP_END))
		session_end(session, TLSB_E_NONE, "session closed");
	else if (out == PUMP_AGAIN || in == PUMP_AGAIN)
		event_active(session->socket_event, EV_TIMEOUT, 0);
}

/* Let go of the program; what it wrote goes on.  CLEAN: it said goodbye, so close_notify follows. */
static void linger(struct session *session, bool clean)
{
	if (session->stage != STAGE_OPEN) {
		session_end(session, TLSB_E_NONE, "session closed");
		return;
	}
	LIST_REMOVE(session, in_client);
	session->client = NULL;
	chan_deinit(&session->chan);
	session->stage = STAGE_LINGER;
	session->clean = clean;
	arm_timer(session, clean ? LIMIT_LINGER_MS : LIMIT_ORPHAN_MS);
	pump_linger(session);
}

void session_orphan(struct session *session)
{
	linger(session, false);
}

int session_on_disconnect(struct chan *chan, struct msg *msg unused_)
{
	linger(chan->owner, true);
	return 0;
}

/* ---- data ---- */

/* Both directions are over: nothing more can happen. */
static bool check_both_ends(struct session *session)
{
	if (!session->rx_end || !session->tx_end)
		return false;
	pump_ring(session);
	session_end(session, TLSB_E_NONE, "session closed");
	return true;
}

/* An end of one direction is published like data: the word, then the bell, whatever is waited for. */
static void publish_one_end(struct session *session, _Atomic uint32_t *word)
{
	atomic_store_explicit(word, 1, memory_order_seq_cst);
	session->unrung_end = true;
}

/* Returns false when the session has ended. */
static bool pump_once(struct session *session, bool incoming, bool *ret_again)
{
	struct control_page *page = session->channel.page;
	int error = 0;
	enum pump result = incoming ? pump_in(session, &error) : pump_out(session, &error);

	switch (result) {
	case PUMP_AGAIN:
		*ret_again = true;
		return true;
	case PUMP_WAIT:
		return true;
	case PUMP_END:
		if (incoming)
			session->rx_end = true;
		else
			session->tx_end = true;
		publish_one_end(session, incoming ? &page->rx_end : &page->tx_end);
		return !check_both_ends(session);
	case PUMP_LIE:
		pump_ring(session);
		violation(session, "impossible ring indices");
		return false;
	default:
		pump_ring(session);
		broken(session, error);
		return false;
	}
}

static void pump_open(struct session *session)
{
	bool again = false;

	/* In first: when sending fails, what the server still had to say has been read. */
	if (!session->rx_end && !pump_once(session, true, &again))
		return;
	if (!session->tx_end && !pump_once(session, false, &again))
		return;
	pump_ring(session);
	if (session->idle_records > LIMIT_IDLE_RECORDS) {
		session_end(session, TLSB_E_TLS, "the server floods the session with records without data");
		return;
	}
	if (again)
		event_active(session->socket_event, EV_TIMEOUT, 0);
	if (session->bytes_read != session->swept_at)
		worker_sweep_soon(session->worker);
}

bool session_sweep(struct session *session)
{
	bool idle = session->bytes_read == session->swept_at;
	uint8_t *span;

	session->swept_at = session->bytes_read;
	if (session->stage != STAGE_OPEN || session->bytes_read == session->released_at)
		return false;
	if (!idle || ring_space(&session->channel.rx, &span) != (int)session->capacity)
		return true;
	channel_release_rx(&session->channel);
	session->released_at = session->bytes_read;
	return false;
}

/* ---- handshake ---- */

static void established(struct session *session)
{
	struct control_page *page = session->channel.page;
	struct counters *counters = session->worker->child->counters;
	uint64_t ms = clock_ms() - session->connected_ms;

	facts_established(session->facts, session->ssl, session->request->verify, ms);
	if (!session->facts->resumed)
		session->resume_until = tls_chain_until(session->ssl, time(NULL) + LIMIT_RESUME_S);
	session->resume = session->resume && session->request->verify;
	counters_add(counters, session->facts->resumed ? COUNTER_handshakes_resumed :
							 COUNTER_handshakes_full, 1);
	log_event(LOG_L_INFO, "session established", { FIELD_BADGE, session->worker->badge },
		  { FIELD_UID, LOG_NUMBER(session->worker->uid) },
		  { FIELD_CLIENT, LOG_NUMBER(session->client_pid) },
		  { FIELD_SESSION, LOG_NUMBER(session->number) },
		  { FIELD_SERVER, session->server }, { FIELD_ADDRESS, session->facts->address },
		  { FIELD_VERSION, SSL_get_version(session->ssl) },
		  { FIELD_CIPHER, session->facts->cipher },
		  { FIELD_RESUMED, session->facts->resumed ? "1" : "0" }, { FIELD_OUTCOME, "ok" },
		  { FIELD_MS, LOG_NUMBER(ms) });
	page->info = *session->facts;
	session->stage = STAGE_OPEN;
	session->idle_records = 0;
	evtimer_del(session->timer);
	quota_give_ca(&session->worker->quota, session->request->ca_len);
	session->request = request_free(session->request);
	free(session->facts);
	session->facts = NULL;
	atomic_store_explicit(&page->state, STATE_ESTABLISHED, memory_order_seq_cst);
	if (doorbell_answer(&page->program_wants, WANT_STATE | WANT_ROOM))
		chan_send_body(&session->chan, CLIENT_MSG_BELL, &(struct msg_bell){ 0 });
}

/* A server must choose one of the protocols that were offered (RFC 7301, 3.1). */
static bool alpn_was_offered(const struct session *session)
{
	const unsigned char *chosen;
	const char *offered = session->request->alpn;
	unsigned len;

	SSL_get0_alpn_selected(session->ssl, &chosen, &len);
	if (len == 0)
		return true;
	for (; *offered; offered += strcspn(offered, ",") + (offered[strcspn(offered, ",")] != 0)) {
		if (strcspn(offered, ",") == len && memcmp(offered, chosen, len) == 0)
			return true;
	}
	return false;
}

/* Returns false when it is not over yet, or the session has ended. */
static bool handshake(struct session *session)
{
	int r, error;

	ERR_clear_error();
	r = SSL_do_handshake(session->ssl);
	if (r == 1) {
		/* OpenSSL has refused already whatever does not verify; this is the second lock. */
		if (session->request->verify && SSL_get_verify_result(session->ssl) != X509_V_OK) {
			session_end(session, TLSB_E_CERT, "the certificate was not verified");
			return false;
		}
		if (!alpn_was_offered(session)) {
			session_end(session, TLSB_E_TLS_ALPN,
				    "the server chose an application protocol that was not offered");
			return false;
		}
		established(session);
		return true;
	}
	error = SSL_get_error(session->ssl, r);
	if (error == SSL_ERROR_WANT_READ && session->net.turn >= LIMIT_PUMP_BYTES)
		event_active(session->socket_event, EV_TIMEOUT, 0);
	else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		broken(session, error);
	return false;
}

void session_pump(struct session *session)
{
	net_turn(&session->net);
	if (session->stage == STAGE_HANDSHAKE && !handshake(session))
		return;
	if (session->stage == STAGE_OPEN)
		pump_open(session);
	else if (session->stage == STAGE_LINGER)
		pump_linger(session);
}

static void on_socket(evutil_socket_t fd unused_, short what, void *arg)
{
	struct session *session = arg;

	net_event(&session->net, (what & (EV_READ | EV_CLOSED)) != 0, (what & EV_WRITE) != 0);
	session_pump(session);
}

/* A program may ask to be rung for what is there already: a poller that arms late does. */
static void answer_late(struct session *session)
{
	struct control_page *page = session->channel.page;
	uint32_t wants = 0;
	uint8_t *span;

	if (ring_space(&session->channel.rx, &span) < (int)session->capacity || session->rx_end)
		wants |= WANT_DATA;
	if (session->stage >= STAGE_HANDSHAKE)
		wants |= WANT_STATE;
	if (session->stage == STAGE_OPEN &&
	    (session->tx_end || ring_data(&session->channel.tx, &span) < (int)session->capacity))
		wants |= WANT_ROOM;
	if (doorbell_answer(&page->program_wants, wants))
		chan_send_body(&session->chan, CLIENT_MSG_BELL, &(struct msg_bell){ 0 });
}

int session_on_bell(struct chan *chan, struct msg *msg unused_)
{
	struct session *session = chan->owner;
	uint64_t id = session->id;
	struct worker *worker = session->worker;

	session_pump(session);
	if (slots_get(&worker->sessions, id)) /* pumping may have ended it */
		answer_late(session);
	return 0;
}

void session_on_record(struct session *session, int sent, int type, const void *bytes, size_t len)
{
	if (session->stage == STAGE_HANDSHAKE && session->facts)
		facts_step(session->facts, sent, type, bytes, len,
			   clock_ms() - session->connected_ms);
	else if (!sent && (type == SSL3_RT_HANDSHAKE || type == SSL3_RT_ALERT ||
			   type == SSL3_RT_CHANGE_CIPHER_SPEC))
		session->idle_records++;
}

void session_on_resumable(struct session *session, SSL_SESSION *resumable)
{
	bool verified = session->request ? session->request->verify :
					   SSL_get_verify_mode(session->ssl) == SSL_VERIFY_PEER;
	time_t until = session->resume_until;

	/* A TLS 1.2 session comes before the handshake's end: the chain is verified, though. */
	if (session->stage == STAGE_HANDSHAKE && !SSL_session_reused(session->ssl))
		until = tls_chain_until(session->ssl, time(NULL) + LIMIT_RESUME_S);
	/* A ticket may come long after what it vouches for was verified: against this trust? */
	if (session->trust_number != session->worker->tls.trust_number)
		return;
	if (session->resume && verified && SSL_get_verify_result(session->ssl) == X509_V_OK)
		resume_put(session->worker->tls.cache, &session->resume_key, resumable, until);
}

/* ---- dialling ---- */

void session_dial(struct session *session)
{
	struct request *request = session->request;
	struct msg_dial dial = {
		.id = session->id,
		.port = request->port,
		.family = request->family,
		.deadline_ms = request->deadline_ms,
	};

	if (!session->worker->connector.owner)
		return; /* a new one is on its way */
	session->dial_sent = true;
	chan_send(&session->worker->connector, MSG_DIAL, &dial, request->host,
		  strlen(request->host), NULL);
}

/* Everything between the socket and the first flight. */
static int begin_tls(struct session *session)
{
	struct worker *worker = session->worker;
	SSL_SESSION *earlier = NULL;

	tls_resume_key(session->request, &session->resume_key);
	session->resume = session->request->resume;
	session->trust_number = worker->tls.trust_number;
	if (session->resume && session->request->verify)
		earlier = resume_take(worker->tls.cache, &session->resume_key,
				      &session->resume_until);
	if (earlier)
		SSL_set_session(session->ssl, earlier);
	SSL_SESSION_free(earlier);
	session->socket_event = event_new(worker->child->base, session->net.fd,
					  EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST,
					  on_socket, session);
	if (!session->socket_event || event_add(session->socket_event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

void session_on_dialed(struct session *session, const struct msg_dialed *dialed, int fd)
{
	struct control_page *page = session->channel.page;

	assert(session->stage == STAGE_DIALLING);
	session->net.fd = fd;
	session->stage = STAGE_HANDSHAKE;
	session->connected_ms = clock_ms();
	facts_dialed(session->facts, dialed);
	if (begin_tls(session) < 0) {
		session_end(session, TLSB_E_RESOURCES, "the broker has no memory left");
		return;
	}
	atomic_store_explicit(&page->state, STATE_CONNECTED, memory_order_seq_cst);
	if (doorbell_answer(&page->program_wants, WANT_STATE))
		chan_send_body(&session->chan, CLIENT_MSG_BELL, &(struct msg_bell){ 0 });
	session_pump(session);
}

/* ---- setting up ---- */

int session_on_ca(struct chan *chan, struct msg *msg)
{
	struct session *session = chan->owner;
	struct request *request = session->request;
	char *bigger;

	if (msg->tail_len == 0 || msg->tail_len > LIMIT_CA_BYTES - request->ca_len)
		return -EBADMSG;
	if (quota_take_ca(&session->worker->quota, msg->tail_len) < 0) {
		session_end(session, TLSB_E_QUOTA, "too many CA certificates for this user at once");
		return 0;
	}
	bigger = realloc(request->ca, request->ca_len + msg->tail_len);
	if (!bigger) {
		quota_give_ca(&session->worker->quota, msg->tail_len);
		session_end(session, TLSB_E_RESOURCES, "the broker has no memory left");
		return 0;
	}
	memcpy(bigger + request->ca_len, msg->tail, msg->tail_len);
	request->ca = bigger;
	request->ca_len += msg->tail_len;
	/* More parts than the socket holds may be waiting: this calls the program back to it. */
	(void)chan_send_body(chan, CLIENT_MSG_BELL, &(struct msg_bell){ 0 });
	return 0;
}

static int open_channel(struct session *session)
{
	struct msg_opened opened = { .capacity = session->capacity };
	int fd = -1, r = channel_create(&session->channel, session->capacity, &fd);

	if (r < 0)
		return r;
	/* Until the handshake is over, the program's bytes are of no interest. */
	session->facts = calloc(1, sizeof(*session->facts));
	if (!session->facts) {
		fd_close(fd);
		return -ENOMEM;
	}
	return chan_send(&session->chan, CLIENT_MSG_OPENED, &opened, NULL, 0, &fd);
}

int session_on_connect(struct chan *chan, struct msg *msg)
{
	struct session *session = chan->owner;
	struct worker *worker = session->worker;
	struct request *request = session->request;
	const char *text = NULL;
	int r = request_parse(request, msg, worker->child->allow_insecure, &text);

	if (r == -EBADMSG)
		return r;
	if (asprintf(&session->server, strchr(request->host, ':') ? "[%s]:%u" : "%s:%u",
		     request->host, request->port) < 0)
		session->server = NULL;
	/* What cannot be used is refused before any packet leaves. */
	if (r == 0)
		r = tls_client_new(&worker->tls, request, &session->net, session, &session->ssl,
				   &text);
	if (r < 0) {
		session_end(session, r == -EACCES ? TLSB_E_POLICY :
				     r == -ENOMEM ? TLSB_E_RESOURCES : TLSB_E_PARAMETER, "%s", text);
		return 0;
	}
	chan->ctx.phase = SESSION;
	r = session->server ? open_channel(session) : -ENOMEM;
	if (r == 0)
		r = arm_timer(session, request->deadline_ms);
	if (r < 0) {
		session_end(session, TLSB_E_RESOURCES, "the broker has no %s left",
			    r == -ENOMEM ? "memory" : "descriptors");
		return 0;
	}
	session->stage = STAGE_DIALLING;
	session_dial(session);
	return 0;
}

static void on_gone(struct chan *chan, enum msg_rule rule, const char *what)
{
	struct session *session = chan->owner;

	if (rule == RULE_NONE) {
		session_orphan(session);
		return;
	}
	log_event(LOG_L_WARNING, "a program broke the session protocol",
		  { FIELD_UID, LOG_NUMBER(session->worker->uid) },
		  { FIELD_CLIENT, LOG_NUMBER(session->client_pid) },
		  { FIELD_RULE, msg_rule_name(rule) }, { FIELD_ERROR, what });
	violation(session, what);
}

int session_new(struct worker *worker, struct client *client, int fd)
{
	struct session *session = calloc(1, sizeof(*session));
	int r = -ENOMEM;

	if (!session || !(session->request = calloc(1, sizeof(*session->request)))) {
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
	if (r == 0)
		r = session->timer ? arm_timer(session, LIMIT_HELLO_MS) : -ENOMEM;
	if (r == 0)
		r = slots_add(&worker->sessions, session, &session->id);
	if (r == 0) {
		r = quota_take_session(&worker->quota, &session->capacity);
		if (r < 0)
			slots_remove(&worker->sessions, session->id);
	}
	if (r < 0) {
		struct msg_refused refused = { .error = TLSB_E_QUOTA };
		char text[LIMIT_TEXT + 1];

		snprintf(text, sizeof(text), "this user has %u sessions open; the limit is %u",
			 worker->quota.sessions, worker->quota.sessions_max);
		if (session->chan.owner)
			(void)msg_send(session->chan.fd, &client_messages, CLIENT_MSG_REFUSED,
				       &refused, text, strlen(text), NULL);
		counters_add(worker->child->counters, COUNTER_sessions_refused, 1);
		if (session->timer)
			event_free(session->timer);
		chan_deinit(&session->chan);
		request_free(session->request);
		free(session);
		return r;
	}
	session->number = ++worker->sessions_seen;
	LIST_INSERT_HEAD(&worker->all_sessions, session, in_worker);
	LIST_INSERT_HEAD(&client->sessions, session, in_client);
	counters_add(worker->child->counters, COUNTER_sessions_opened, 1);
	counters_add(worker->child->counters, COUNTER_sessions, 1);
	counters_add(worker->child->counters, COUNTER_ring_bytes, 2 * (int64_t)session->capacity);
	return 0;
}
