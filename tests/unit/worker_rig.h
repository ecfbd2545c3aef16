/*
 * The worker role inside a test: its real event loop and handlers, with the test at the far end of
 * every channel, as supervisor, frontdoor, connector, programs, and servers.  Everything is one
 * thread, so that a test decides what happens first. Header-only.
 */
#ifndef TLSB_TESTS_WORKER_RIG_H
#define TLSB_TESTS_WORKER_RIG_H

#include "testing.h"

#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "ring/doorbell.h"
#include "tlsbroker.h"
#include "trust/index.h"
#include "worker/algorithms.h"
#include "worker/session.h"
#include "worker/state.h"
#include "worker/worker.h"
#include "worker_peer.h"

#define RIG_PEERS 8

struct rig {
	struct child child;
	int supervisor, frontdoor, connector, keyholder; /* the far ends of the worker's channels */
	bool lost;					 /* the worker gave its supervisor up */
	unsigned gone;					 /* CLIENT_GONEs */
	unsigned cancels;				 /* DIAL_CANCELs */
	unsigned wanted;				 /* CONNECTOR_WANTEDs */
	unsigned keyholder_wanted;			 /* KEYHOLDER_WANTEDs */
	struct testing_identity root, leaf;
	SSL_CTX *server;
	struct peer *peers[RIG_PEERS]; /* driven by rig_turn() */
};

/* A program's session: its end of the socket, and what came over it. */
struct program_session {
	int fd;
	struct channel channel;
	bool hung, refused;
	uint32_t error; /* of a REFUSED */
	char text[LIMIT_TEXT + 1];
	unsigned bells;
};

/* A program. */
struct program {
	int fd;
	bool hung, welcome, refused;
	uint32_t error;
	unsigned rows;
};

static inline void rig_on_lost(struct chan *chan, enum msg_rule rule unused_,
			       const char *what unused_)
{
	container_of((struct child *)chan->owner, struct rig, child)->lost = true;
}

static inline struct worker *rig_worker(const struct rig *rig)
{
	return rig->child.state;
}

static inline uint64_t rig_count(const struct rig *rig, enum counter which)
{
	return counters_get(rig->child.counters, which);
}

/* ---- the loop ---- */

/* What the frontdoor and the supervisor are told is read, so that no channel fills up. */
static inline void rig_listen(struct rig *rig)
{
	const struct msg_context frontdoor = {&internal_messages, ROLE_FRONTDOOR, ROLE_WORKER, RUN};
	const struct msg_context supervisor = {&internal_messages, ROLE_SUPERVISOR, ROLE_WORKER,
					       RUN};
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;

	while (msg_recv(rig->frontdoor, &frontdoor, &buf, &msg, &rule) == 1)
		rig->gone += msg.type == MSG_CLIENT_GONE;
	while (msg_recv(rig->supervisor, &supervisor, &buf, &msg, &rule) == 1) {
		rig->wanted += msg.type == MSG_CONNECTOR_WANTED;
		rig->keyholder_wanted += msg.type == MSG_KEYHOLDER_WANTED;
	}
	assert_int_equal(rule, RULE_NONE);
}

/* Let the role, and the servers, do what there is to do. */
/* Servers and certificates need more of OpenSSL than a worker leaves itself, which has no more in its turns. */
static inline OSSL_LIB_CTX *rig_become_worker(const struct rig *rig)
{
	return OSSL_LIB_CTX_set0_default(algorithms_context(rig_worker(rig)->tls.algorithms));
}

static inline void rig_become_test(OSSL_LIB_CTX *whole)
{
	(void)OSSL_LIB_CTX_set0_default(whole);
}

static inline void rig_turn(struct rig *rig)
{
	for (int i = 0; i < 4; i++) {
		OSSL_LIB_CTX *whole = rig_become_worker(rig);

		event_base_loop(rig->child.base, EVLOOP_NONBLOCK);
		rig_become_test(whole);
		for (int p = 0; p < RIG_PEERS; p++) {
			if (rig->peers[p])
				peer_step(rig->peers[p]);
		}
	}
	rig_listen(rig);
	assert_false(rig->lost);
}

static inline void rig_run_for(struct rig *rig, unsigned ms)
{
	uint64_t end = clock_ms() + ms;

	do {
		rig_turn(rig);
		usleep(300);
	} while (clock_ms() < end);
}

/* Turn until CONDITION; the test fails when that takes too long. */
#define RIG_UNTIL(rig, condition)                                                                  \
	do {                                                                                       \
		uint64_t end_ = clock_ms() + 60000;                                                \
		bool there_;                                                                       \
		while (!(there_ = (condition)) && clock_ms() < end_) {                             \
			rig_turn(rig);                                                             \
			usleep(50);                                                                \
		}                                                                                  \
		if (!there_)                                                                       \
			print_message("never: %s\n", #condition);                                  \
		assert_true(there_);                                                               \
	} while (0)

/* Whether the worker has no socket left of sessions that are over (worker/unread.h).  It looks sooner. */
static inline bool rig_keeps_nothing(struct rig *rig)
{
	struct unread *unread = &rig_worker(rig)->unread;

	event_active(unread->look, EV_TIMEOUT, 0);
	rig_turn(rig);
	for (unsigned i = 0; i < unread->count; i++) {
		if (!unread->parcels[i].session)
			return false;
	}
	return true;
}

/* ---- as the other roles ---- */

/* As the supervisor.  FDS, as many as the row says, are consumed. */
static inline void rig_tell(struct rig *rig, uint32_t type, const void *body, const char *tail,
			    int *fds)
{
	assert_int_equal(msg_send(rig->supervisor, &internal_messages, type, body, tail,
				  tail ? strlen(tail) : 0, fds),
			 0);
	for (unsigned i = 0; i < internal_messages.rows[type].fds; i++)
		fd_close(fds[i]);
}

/* As the supervisor: trust this CA, and from now on only it. */
static inline void rig_trust(struct rig *rig, X509 *ca)
{
	struct testing_text pem = {0};
	unsigned count, bad;
	int fd;

	testing_append_pem(&pem, ca);
	assert_int_equal(trust_index_build(pem.data, pem.len, &fd, &count, &bad), 0);
	rig_tell(rig, MSG_TRUST, &(struct msg_trust){.generation = 1}, NULL, &fd);
	rig_turn(rig);
	free(pem.data);
}

/* As the supervisor: here is another frontdoor, connector or keyholder.  *FAR_END is replaced. */
static inline void rig_replace(struct rig *rig, uint32_t type, int *far_end)
{
	const struct msg_frontdoor_chan body = {0};
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	fd_close(*far_end);
	*far_end = pair[1];
	rig_tell(rig, type, &body, NULL, &pair[0]);
	rig_turn(rig);
}

/* As the supervisor: the policy.  CIPHERS: NULL for all that there are. */
static inline void rig_policy(struct rig *rig, uint16_t version_min, uint16_t flags,
			      const char *ciphers)
{
	const struct msg_policy policy = {
		.version_min = version_min,
		.flags = flags,
		.max_sessions = LIMIT_SESSIONS_PER_UID,
		.max_memory = LIMIT_RING_BYTES_PER_UID,
	};
	struct bounds all;

	bounds_init(&all);
	rig_tell(rig, MSG_POLICY, &policy, ciphers ? ciphers : all.ciphers, NULL);
}

static inline void rig_start(struct rig *rig, int allow_insecure)
{
	const struct msg_start start = {0};
	const struct msg_badge badge = {.uid = 1000};
	int pair[2], fds[3], page;
	struct counters *counters;

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig->supervisor = pair[1];
	assert_int_equal(chan_init(&rig->child.supervisor, rig->child.base, pair[0],
				   &internal_messages, ROLE_WORKER, ROLE_SUPERVISOR, RUN,
				   worker_ops.handlers, rig_on_lost, &rig->child),
			 0);
	assert_int_equal(counters_create(&counters, &page), 0);
	counters_unmap(counters);
	rig_tell(rig, MSG_START, &start, NULL, &page);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	fds[0] = pair[0];
	rig->frontdoor = pair[1];
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	fds[1] = pair[0];
	rig->connector = pair[1];
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	fds[2] = pair[0];
	rig->keyholder = pair[1];
	rig_policy(rig, TLSB_TLS_1_2,
		   POLICY_MAY_BRING_CA | (allow_insecure ? POLICY_MAY_SKIP_VERIFY : 0), NULL);
	rig_tell(rig, MSG_BADGE, &badge, "uid:1000", fds);
	rig_turn(rig);
}

static inline void rig_init_with(struct rig *rig, int allow_insecure)
{
	*rig = (struct rig){.child = {.role = ROLE_WORKER, .ops = &worker_ops}};
	assert_int_equal(worker_ops.prepare(&rig->child), 0);
	rig_become_test(OSSL_LIB_CTX_get0_global_default());
	rig->child.base = child_base_new();
	rig_start(rig, allow_insecure);
	rig->root = cert_new((struct cert_spec){.name = "root", .is_ca = true}, NULL);
	rig->leaf = cert_new(
		(struct cert_spec){.name = "leaf", .names = "DNS:server.example,IP:192.0.2.1"},
		&rig->root);
	rig->server = server_new(&rig->leaf, NULL, NULL);
	rig_trust(rig, rig->root.x509);
}

static inline void rig_init(struct rig *rig)
{
	rig_init_with(rig, 0);
}

static inline void rig_deinit(struct rig *rig)
{
	rig_worker(rig)->draining = true; /* else the process would end here */
	worker_ops.stop(&rig->child);
	chan_deinit(&rig->child.supervisor);
	log_set_sink(NULL, NULL, LOG_L_ERROR);
	counters_unmap(rig->child.counters);
	event_base_free(rig->child.base);
	fd_close(rig->supervisor);
	fd_close(rig->frontdoor);
	fd_close(rig->connector);
	fd_close(rig->keyholder);
	SSL_CTX_free(rig->server);
	testing_identity_free(&rig->root);
	testing_identity_free(&rig->leaf);
}

/* ---- as a program ---- */

static inline int program_send(int fd, uint32_t type, const void *body, const void *tail,
			       size_t len, const int *fds)
{
	return msg_send(fd, &client_messages, type, body, tail, len, fds);
}

/* As the frontdoor: a new program, that has said nothing yet. */
static inline void rig_program_silent(struct rig *rig, struct program *program)
{
	const struct msg_client client = {.id = 1, .uid = 1000, .pid = 42};
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	assert_int_equal(msg_send(rig->frontdoor, &internal_messages, MSG_CLIENT, &client, NULL, 0,
				  &pair[0]),
			 0);
	close(pair[0]);
	*program = (struct program){.fd = pair[1]};
	rig_turn(rig);
}

/* What the worker has said meanwhile. */
static inline void program_listen(struct program *program)
{
	const struct msg_context ctx = {&client_messages, ROLE_CLIENT, ROLE_WORKER, MAIN};
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;
	int r;

	while (!program->hung) {
		r = msg_recv(program->fd, &ctx, &buf, &msg, &rule);
		if (r == -EAGAIN)
			break;
		if (r == -ECONNRESET)
			continue;
		program->hung = r <= 0;
		if (r == 1 && msg.type == CLIENT_MSG_WELCOME)
			program->welcome = true;
		if (r == 1 && msg.type == CLIENT_MSG_ROW)
			program->rows++;
		if (r == 1 && msg.type == CLIENT_MSG_REFUSED) {
			program->refused = true;
			program->error = ((const struct msg_refused *)msg.body)->error;
		}
	}
	assert_int_equal(rule, RULE_NONE);
}

static inline bool program_is_closed(struct program *program)
{
	bool closed = testing_hangs_up(program->fd);

	program_listen(program);
	return closed && program->hung;
}

static inline void rig_program(struct rig *rig, struct program *program)
{
	const struct msg_hello hello = {PROTOCOL_MAGIC, PROTOCOL_VERSION};

	rig_program_silent(rig, program);
	assert_int_equal(program_send(program->fd, CLIENT_MSG_HELLO, &hello, NULL, 0, NULL), 0);
	rig_turn(rig);
	program_listen(program);
	assert_true(program->welcome);
}

/* A socket of its own, for a session or for what is wanted of a key (TYPE), nothing asked on it yet. */
static inline void program_open_as(struct program *program, struct program_session *session,
				   uint32_t type)
{
	const struct msg_session nothing = {0};
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	*session = (struct program_session){.fd = pair[0]};
	assert_int_equal(program_send(program->fd, type, &nothing, NULL, 0, &pair[1]), 0);
	close(pair[1]);
}

static inline void program_open(struct program *program, struct program_session *session)
{
	program_open_as(program, session, CLIENT_MSG_SESSION);
}

static inline void session_listen(struct program_session *session)
{
	const struct msg_context ctx = {&client_messages, ROLE_CLIENT, ROLE_WORKER, SESSION};
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;
	int r;

	while (!session->hung) {
		r = msg_recv(session->fd, &ctx, &buf, &msg, &rule);
		if (r == -EAGAIN)
			break;
		if (r == -ECONNRESET)
			continue;
		session->hung = r <= 0;
		if (r == 1 && msg.type == CLIENT_MSG_BELL)
			session->bells++;
		if (r == 1 && msg.type == CLIENT_MSG_OPENED) {
			const struct msg_opened *opened = msg.body;

			assert_int_equal(
				channel_attach(&session->channel, opened->capacity, msg.fds[0]), 0);
		}
		if (r == 1 && msg.type == CLIENT_MSG_REFUSED) {
			session->refused = true;
			session->error = ((const struct msg_refused *)msg.body)->error;
			memcpy(session->text, msg.tail, msg.tail_len);
		}
		if (r == 1)
			msg_close_fds(&msg);
	}
	assert_int_equal(rule, RULE_NONE);
}

/* What the session asks for. */
struct wish {
	const char *host, *name, *alpn, *ciphers; /* host: "server.example" without one */
	const char *identity;
	const char *psk; /* the name, or with a key what the server calls it */
	const void *psk_key;
	size_t psk_len;
	const char *ca;
	const struct pins *pins;
	const struct testing_text *cert; /* its own, and the file with its key */
	int key;
	uint32_t deadline_ms, flags, version_min, version_max;
};

static inline void session_ask_psk(struct program_session *session, const struct wish *want)
{
	const struct msg_preshared body = { .name_len = (uint32_t)strlen(want->psk) };
	char tail[LIMIT_PSK_IDENTITY + LIMIT_PSK_BYTES];

	memcpy(mempcpy(tail, want->psk, body.name_len), want->psk_key ? want->psk_key : "",
	       want->psk_len);
	assert_int_equal(program_send(session->fd, CLIENT_MSG_PRESHARED, &body, tail,
				      body.name_len + want->psk_len, NULL),
			 0);
}

static inline void session_ask(struct program_session *session, const struct wish *want)
{
	const char *host = want->host ? want->host : "server.example";
	struct msg_connect connect = {
		.deadline_ms = want->deadline_ms ? want->deadline_ms : 20000,
		.flags = (uint16_t)want->flags,
		.port = 443,
		.version_min = (uint16_t)want->version_min,
		.version_max = (uint16_t)want->version_max,
		.ca_len = want->ca ? (uint32_t)strlen(want->ca) : 0,
		.host_len = (uint16_t)strlen(host),
		.name_len = (uint16_t)strlen(want->name ? want->name : ""),
		.alpn_len = (uint16_t)strlen(want->alpn ? want->alpn : ""),
		.ciphers_len = (uint16_t)strlen(want->ciphers ? want->ciphers : ""),
		.identity_len = (uint16_t)strlen(want->identity ? want->identity : ""),
		.pin_count = (uint16_t)(want->pins ? want->pins->count : 0),
		.cert_len = (uint16_t)(want->cert ? want->cert->len : 0),
	};
	const struct msg_ca part = {0};
	char tail[4096];
	int len = snprintf(tail, sizeof(tail), "%s%s%s%s%s", host, want->name ? want->name : "",
			   want->alpn ? want->alpn : "", want->ciphers ? want->ciphers : "",
			   want->identity ? want->identity : "");

	if (want->pins) {
		const size_t pins_len = want->pins->count * sizeof(struct pin);

		memcpy(tail + len, want->pins->list, pins_len);
		len += (int)pins_len;
	}
	if (want->ca)
		assert_int_equal(program_send(session->fd, CLIENT_MSG_CA, &part, want->ca,
					      connect.ca_len, NULL),
				 0);
	if (want->psk)
		session_ask_psk(session, want);
	for (size_t at = 0, part_len; at < connect.cert_len; at += part_len) {
		part_len = MIN(connect.cert_len - at, (size_t)LIMIT_TAIL);
		assert_int_equal(program_send(session->fd, CLIENT_MSG_OWN_CERT, &part,
					      want->cert->data + at, part_len, NULL),
				 0);
	}
	if (want->key)
		assert_int_equal(program_send(session->fd, CLIENT_MSG_OWN_KEY, &part, NULL, 0,
					      &want->key),
				 0);
	assert_int_equal(
		program_send(session->fd, CLIENT_MSG_CONNECT, &connect, tail, (size_t)len, NULL),
		0);
}

/* As the connector: the next DIAL's id, or 0 when there is none.  CANCELs are counted. */
static inline uint64_t rig_dial(struct rig *rig)
{
	const struct msg_context ctx = {&internal_messages, ROLE_CONNECTOR, ROLE_WORKER, RUN};
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;

	while (msg_recv(rig->connector, &ctx, &buf, &msg, &rule) == 1) {
		if (msg.type == MSG_DIAL)
			return ((const struct msg_dial *)msg.body)->id;
		rig->cancels += msg.type == MSG_DIAL_CANCEL;
	}
	assert_int_equal(rule, RULE_NONE);
	return 0;
}

/* As the connector: connected.  FD is consumed. */
static inline void rig_dialed(struct rig *rig, uint64_t id, int fd)
{
	const struct msg_dialed dialed = {
		.id = id, .address = {127, 0, 0, 1}, .family = AF_INET, .port = 443};

	assert_int_equal(
		msg_send(rig->connector, &internal_messages, MSG_DIALED, &dialed, NULL, 0, &fd), 0);
	close(fd);
}

/* Open a session and have it dialled.  Returns the id. */
static inline uint64_t rig_session(struct rig *rig, struct program *program,
				   struct program_session *session, const struct wish *want)
{
	uint64_t id;

	program_open(program, session);
	session_ask(session, want);
	rig_turn(rig);
	session_listen(session);
	id = rig_dial(rig);
	assert_true(id == 0 || session->channel.page);
	return id;
}

/* The same, and TCP is there; PEER (SERVER may be NULL: one that does nothing) is at its far end.
 */
static inline void rig_connect(struct rig *rig, struct program *program,
			       struct program_session *session, const struct wish *want,
			       struct peer *peer, SSL_CTX *server)
{
	uint64_t id = rig_session(rig, program, session, want);
	int pair[2];

	assert_int_not_equal(id, 0);
	tcp_pair(pair);
	peer_init(peer, server, pair[1]);
	for (int i = 0; i < RIG_PEERS; i++) {
		if (!rig->peers[i]) {
			rig->peers[i] = peer;
			break;
		}
	}
	rig_dialed(rig, id, pair[0]);
	rig_turn(rig);
}

static inline void rig_forget(struct rig *rig, struct peer *peer)
{
	for (int i = 0; i < RIG_PEERS; i++) {
		if (rig->peers[i] == peer)
			rig->peers[i] = NULL;
	}
	peer_deinit(peer);
}

static inline uint32_t session_word(_Atomic uint32_t *word)
{
	return atomic_load_explicit(word, memory_order_seq_cst);
}

static inline bool session_is_closed(struct program_session *session)
{
	bool closed = testing_hangs_up(session->fd);

	session_listen(session);
	return closed && session->hung;
}

static inline bool session_is_over(struct program_session *session)
{
	session_listen(session);
	return session->hung;
}

/* The session has ended with this error, as its page says; and its text has WORDS. */
static inline void session_expect_end(struct program_session *session, uint32_t error,
				      const char *words)
{
	struct control_page *page = session->channel.page;

	assert_true(session_is_over(session));
	assert_int_equal(session_word(&page->ended), 1);
	if (page->error != error || !strstr(page->text, words))
		print_message("%u %s\n", page->error, page->text);
	assert_int_equal(page->error, error);
	assert_non_null(strstr(page->text, words));
}

/* A whole session, handshake included. */
static inline void rig_establish(struct rig *rig, struct program *program,
				 struct program_session *session, const struct wish *want,
				 struct peer *peer)
{
	rig_connect(rig, program, session, want, peer, rig->server);
	RIG_UNTIL(rig,
		  peer->shaken && session_word(&session->channel.page->state) == STATE_ESTABLISHED);
}

static inline void session_bell_worker(struct program_session *session)
{
	const struct msg_bell bell = {0};

	(void)program_send(session->fd, CLIENT_MSG_BELL, &bell, NULL, 0, NULL);
}

/* Write as much of it as fits; how much did. */
static inline size_t session_write(struct program_session *session, const void *data, size_t len)
{
	uint8_t *span;
	int room = ring_space(&session->channel.tx, &span);
	size_t n = MIN(len, (size_t)room);

	assert_true(room >= 0);
	memcpy(span, data, n);
	ring_produce(&session->channel.tx, (uint32_t)n);
	if (n && doorbell_answer(&session->channel.page->worker_wants, WANT_DATA))
		session_bell_worker(session);
	return n;
}

/* Append what is there, at most MAX bytes, to TEXT; how much it was. */
static inline size_t session_read(struct program_session *session, struct testing_text *text,
				  size_t max)
{
	uint8_t *span;
	int ready = ring_data(&session->channel.rx, &span);
	size_t n = MIN(max, (size_t)ready);

	assert_true(ready >= 0);
	if (n == 0)
		return 0;
	testing_append(text, span, n);
	ring_consume(&session->channel.rx, (uint32_t)n);
	if (doorbell_answer(&session->channel.page->worker_wants, WANT_ROOM))
		session_bell_worker(session);
	return n;
}

/* No more will be written: close_notify, please. */
static inline void session_finish(struct program_session *session)
{
	atomic_store_explicit(&session->channel.page->tx_fin, 1, memory_order_seq_cst);
	if (doorbell_answer(&session->channel.page->worker_wants, WANT_DATA))
		session_bell_worker(session);
}

static inline void session_disconnect(struct program_session *session)
{
	const struct msg_disconnect nothing = {0};

	assert_int_equal(program_send(session->fd, CLIENT_MSG_DISCONNECT, &nothing, NULL, 0, NULL),
			 0);
	session->fd = fd_close(session->fd);
}

static inline void session_close(struct program_session *session)
{
	session->fd = fd_close(session->fd);
	channel_deinit(&session->channel);
}

/* Nothing is left of any session. */
static inline void rig_expect_no_sessions(struct rig *rig)
{
	assert_true(LIST_EMPTY(&rig_worker(rig)->all_sessions));
	assert_int_equal(rig_worker(rig)->quota.sessions, 0);
	assert_int_equal(rig_worker(rig)->quota.ring_bytes, 0);
	assert_int_equal(rig_worker(rig)->quota.ca_bytes, 0);
	assert_int_equal(rig_count(rig, COUNTER_sessions), 0);
	assert_int_equal(rig_count(rig, COUNTER_ring_bytes), 0);
}

/* ---- in short ---- */

static const struct wish anything;

/* LEN bytes that do not repeat at any power of two. */
static inline struct testing_text noise(size_t len, uint64_t seed)
{
	struct testing_text text = { .data = calloc(1, len + 1), .len = len };

	for (size_t i = 0; i < len; i++)
		text.data[i] = (char)testing_random(&seed);
	return text;
}

static inline bool same(const struct testing_text *a, const struct testing_text *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* One program, one session, one server: what most tests need. */
struct one {
	struct rig rig;
	struct program program;
	struct program_session session;
	struct peer peer;
};

static inline void one_init(struct one *one, const struct wish *wish)
{
	rig_init(&one->rig);
	rig_program(&one->rig, &one->program);
	rig_establish(&one->rig, &one->program, &one->session, wish, &one->peer);
}

static inline void one_deinit(struct one *one)
{
	session_close(&one->session);
	rig_forget(&one->rig, &one->peer);
	fd_close(one->program.fd);
	rig_turn(&one->rig);
	RIG_UNTIL(&one->rig, LIST_EMPTY(&rig_worker(&one->rig)->all_sessions));
	rig_expect_no_sessions(&one->rig);
	rig_deinit(&one->rig);
}

#endif
