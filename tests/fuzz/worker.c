/*
 * The worker: its real handlers, between programs, the other roles and a server that all say and do
 * what they like, and in shared memory that says what it likes.  Only TLS itself is the input's: what
 * a handshake, a read or a write comes to.  Whatever happens, everything that was taken is given back,
 * and no session is established that was to be verified and is not.
 *
 *   steps: which (1), and what belongs to it
 */
#include "tests/fuzz/stage.h"

#include <errno.h>
#include <openssl/err.h>
#include <unistd.h>

#include "base/log.h"
#include "worker/ages.h"
#include "worker/client.h"
#include "worker/errand.h"
#include "worker/review.h"
#include "worker/session.h"
#include "worker/state.h"
#include "worker/worker.h"

#define STEPS_MOST 64

enum step {
	PROGRAM_COMES,
	PROGRAM_GREETS,
	PROGRAM_SAYS,
	PROGRAM_OPENS,
	PROGRAM_HANGS_UP,
	SESSION_SAYS,
	SESSION_ASKS,
	SESSION_HANGS_UP,
	SUPERVISOR_SAYS,
	FRONTDOOR_SAYS,
	CONNECTOR_SAYS,
	CONNECTOR_DIALED,
	CONNECTOR_FAILED,
	TLS_SAYS,
	MEMORY_SAYS,
	TIME_PASSES,
	SENDING_FAILS,
	SOCKETS_DRAIN,
	DESCRIPTORS_LACK,
	ROLE_HANGS_UP,
	KEYHOLDER_SAYS,
	PROGRAM_WANTS_KEYS,
	ERRAND_SAYS,
	KEYHOLDER_ANSWERS,
	STEPS,
};

static struct child child = { .role = ROLE_WORKER, .ops = &worker_ops };
static bool lost;

/* What TLS will say. */
static struct {
	bool handshake, unverified;
	size_t reads, writes; /* so many bytes yet */
	int error;            /* then this */
	uint8_t sent[16384];
	SSL_SESSION *agreed;
} tls;

static struct worker *worker(void)
{
	return child.state;
}

/* ---- TLS ---- */

REAL(int, SSL_do_handshake, SSL *ssl)
{
	if (!tls.handshake || tls_session_of(ssl)->net.full)
		return -1;
	must(SSL_set_session(ssl, tls.agreed) == 1);
	SSL_set_verify_result(ssl, tls.unverified ? X509_V_ERR_CERT_UNTRUSTED : X509_V_OK);
	return 1;
}

REAL(int, SSL_read_ex, SSL *ssl, void *dst, size_t size, size_t *ret_n)
{
	(void)ssl;
	*ret_n = MIN(size, tls.reads);
	tls.reads -= *ret_n;
	memset(dst, 'x', *ret_n); /* all of it must be writable */
	return *ret_n > 0;
}

REAL(int, SSL_write_ex, SSL *ssl, const void *src, size_t len, size_t *ret_n)
{
	(void)ssl;
	*ret_n = MIN(len, tls.writes);
	tls.writes -= *ret_n;
	memcpy(tls.sent, src, MIN(len, sizeof(tls.sent))); /* all of it must be readable */
	return *ret_n > 0;
}

REAL(int, SSL_shutdown, SSL *ssl)
{
	(void)ssl;
	return tls.writes > 0 ? 1 : -1;
}

REAL(int, SSL_get_error, const SSL *ssl, int result)
{
	(void)result;
	/* Before there is a socket the first flight waits, or there was no memory for it. */
	if (tls_session_of(ssl)->net.full && tls.error != SSL_ERROR_SSL)
		return SSL_ERROR_WANT_WRITE;
	return tls.error;
}

/* ---- the stage ---- */

static void on_lost(struct chan *chan unused_, enum msg_rule rule unused_, const char *what unused_)
{
	lost = true;
}

static void deliver(int fd, const struct packet *packet)
{
	stage_put(fd, packet);
	stage_ready(fd, EV_READ);
}

static void say(int fd, const struct msg_table *table, uint32_t type, const void *body,
		const void *tail, size_t tail_len)
{
	const struct msg_header header = { .type = type };
	uint8_t bytes[LIMIT_MESSAGE], *at = bytes;
	const struct msg_info *row = &table->rows[type];
	struct packet packet = { .bytes = bytes, .fds = row->fds };

	at = mempcpy(at, &header, sizeof(header));
	at = mempcpy(at, body, row->body);
	if (tail_len > 0)
		at = mempcpy(at, tail, tail_len);
	packet.len = (size_t)(at - bytes);
	deliver(fd, &packet);
}

static void prepare(void)
{
	if (child.state)
		return;
	child.base = stage_base();
	must(worker_ops.prepare(&child) == 0);
	must((tls.agreed = SSL_SESSION_new()));
	must(SSL_SESSION_set_cipher(tls.agreed,
				    sk_SSL_CIPHER_value(SSL_CTX_get_ciphers(worker()->tls.ctx), 0)));
}

static void start(void)
{
	const struct msg_start begin = { 0 };
	const struct msg_policy policy = { .max_sessions = LIMIT_SESSIONS_PER_UID,
					   .max_memory = LIMIT_RING_BYTES_PER_UID,
					   .version_min = TLSB_TLS_1_2,
					   .flags = POLICY_KNOWN_FLAGS };
	struct bounds all;
	const struct msg_badge badge = { .uid = 1000 };

	tls.handshake = tls.unverified = false;
	tls.reads = tls.writes = 0;
	tls.error = SSL_ERROR_WANT_READ;
	lost = false;
	must(chan_init(&child.supervisor, child.base, stage_fd(), &internal_messages, ROLE_WORKER,
		       ROLE_SUPERVISOR, RUN, worker_ops.handlers, on_lost, &child) == 0);
	say(child.supervisor.fd, &internal_messages, MSG_START, &begin, NULL, 0);
	bounds_init(&all);
	say(child.supervisor.fd, &internal_messages, MSG_POLICY, &policy, all.ciphers,
	    strlen(all.ciphers));
	say(child.supervisor.fd, &internal_messages, MSG_BADGE, &badge, "uid:1000", 8);
	must(!lost && worker()->connector.owner && worker()->keyholder.owner);
	log_set_sink(NULL, NULL, LOG_L_ERROR); /* its lines are log.c's */
}

/* As stop() does, but for what is made once. */
static void stop(void)
{
	struct worker *w = worker();
	struct session *session;
	struct client *client;

	kernel = (struct kernel){ .now_ms = kernel.now_ms };
	while ((session = LIST_FIRST(&w->all_sessions)))
		session_end(session, TLSB_E_STOPPING, "over");
	while ((client = LIST_FIRST(&w->clients)))
		client_end(client);
	chan_deinit(&w->frontdoor);
	chan_deinit(&w->connector);
	chan_deinit(&w->keyholder);
	chan_deinit(&child.supervisor);
	if (w->drain_end)
		event_free(w->drain_end);
	event_free(w->sweep);
	event_free(w->connector_away);
	event_free(w->keyholder_away);
	ages_deinit(w);
	unread_deinit(w);
	leisure_deinit(w);
	review_deinit(w);
	w->ages = (struct ages){ 0 };
	w->unread = (struct unread){ .count = 0 };
	w->leisure = (struct leisure){ .count = 0 };
	w->drain_end = w->sweep = w->connector_away = w->keyholder_away = NULL;
	w->draining = false;
	w->badge[0] = '\0';
	must(w->client_count == 0 && w->quota.sessions == 0);
	must(TAILQ_EMPTY(&w->errands_in_line));
	must(w->quota.ring_bytes == 0 && w->quota.ca_bytes == 0);
	must(counters_get(child.counters, COUNTER_sessions) == 0);
	must(counters_get(child.counters, COUNTER_clients) == 0);
	counters_unmap(child.counters);
	child.counters = NULL;
	ERR_clear_error();
	must(stage_fds() == 0 && stage_events() == 0);
}

/* ---- whom a step is about; NULL when there is none ---- */

static struct client *some_client(struct input *input)
{
	unsigned number = take_u8(input) % 4;
	struct client *client;

	LIST_FOREACH(client, &worker()->clients, in_worker) {
		if (number-- == 0)
			return client;
	}
	return LIST_FIRST(&worker()->clients);
}

static struct session *some_session(struct input *input)
{
	unsigned number = take_u8(input) % 4;
	struct session *session;

	LIST_FOREACH(session, &worker()->all_sessions, in_worker) {
		if (number-- == 0)
			return session;
	}
	return LIST_FIRST(&worker()->all_sessions);
}

/* The session's own socket is gone when it lingers. */
static bool has_socket(const struct session *session)
{
	return session && session->client;
}

/* ---- steps ---- */

static void program_comes(struct input *input)
{
	const struct msg_client body = { .id = take_u8(input), .uid = 1000, .pid = 42 };

	if (worker()->frontdoor.owner && worker()->client_count < 8)
		say(worker()->frontdoor.fd, &internal_messages, MSG_CLIENT, &body, NULL, 0);
}

static void program_says(struct input *input, struct client *client)
{
	struct packet_space space;
	struct packet packet = stage_take_packet(input, &client_messages, &space);

	if (client)
		deliver(client->chan.fd, &packet);
}

static void program_greets(struct client *client)
{
	const struct msg_hello hello = { PROTOCOL_MAGIC, PROTOCOL_VERSION };

	if (client)
		say(client->chan.fd, &client_messages, CLIENT_MSG_HELLO, &hello, NULL, 0);
}

static void program_opens(struct client *client)
{
	const struct msg_session nothing = { 0 };

	if (client)
		say(client->chan.fd, &client_messages, CLIENT_MSG_SESSION, &nothing, NULL, 0);
}

static struct errand *some_errand(struct input *input)
{
	unsigned number = take_u8(input) % 4;
	struct client *client;
	struct errand *errand;

	LIST_FOREACH(client, &worker()->clients, in_worker) {
		LIST_FOREACH(errand, &client->errands, of_client) {
			if (number-- == 0)
				return errand;
		}
	}
	return NULL;
}

static void program_wants_keys(struct client *client)
{
	const struct msg_key_socket nothing = { 0 };

	if (client)
		say(client->chan.fd, &client_messages, CLIENT_MSG_KEY_SOCKET, &nothing, NULL, 0);
}

static void errand_says(struct input *input, struct errand *errand)
{
	struct packet_space space;
	struct packet packet = stage_take_packet(input, &client_messages, &space);

	/* What comes with KEY_IMPORT is a file. */
	packet.file = input->at;
	packet.file_len = MIN(input->left, (size_t)512);
	if (errand)
		deliver(errand->chan.fd, &packet);
}

static void keyholder_answers(struct input *input, const struct errand *errand)
{
	struct msg_key_answer answer = { .id = errand ? errand->id : 0 };
	const uint8_t *tail;
	size_t len;

	answer.action = take_u8(input);
	answer.error = take_u8(input);
	answer.told.key = take_u32(input);
	answer.told.type = take_u8(input);
	tail = take(input, take_u8(input), &len);
	if (worker()->keyholder.owner)
		say(worker()->keyholder.fd, &internal_messages, MSG_KEY_ANSWER, &answer, tail, len);
}

static void hang_up(int fd)
{
	stage_hang_up(fd);
	stage_ready(fd, EV_READ);
}

static void session_says(struct input *input, struct session *session)
{
	struct packet_space space;
	struct packet packet = stage_take_packet(input, &client_messages, &space);

	if (has_socket(session))
		deliver(session->chan.fd, &packet);
}

/* A CONNECT whose lengths fit, with everything else from the input. */
static void session_asks(struct input *input, struct session *session)
{
	struct msg_connect connect = { .port = 443 };
	char tail[256];
	size_t len;

	connect.deadline_ms = take_u16(input);
	connect.flags = take_u8(input) % 4;
	len = connect.host_len = take_u8(input) % 64;
	len += connect.name_len = take_u8(input) % 64;
	len += connect.alpn_len = take_u8(input) % 64;
	len += connect.ciphers_len = take_u8(input) % 64;
	take_into(input, tail, len);
	if (!has_socket(session) || session->stage != STAGE_SETUP)
		return;
	connect.ca_len = session->request->ca_len;
	say(session->chan.fd, &client_messages, CLIENT_MSG_CONNECT, &connect, tail, len);
}

static void role_says(struct input *input, struct chan *chan)
{
	struct packet_space space;
	struct packet packet = stage_take_packet(input, &internal_messages, &space);

	/* What comes with TRUST is a file. */
	packet.file = input->at;
	packet.file_len = MIN(input->left, (size_t)512);
	if (chan->owner)
		deliver(chan->fd, &packet);
}

static void connector_dialed(struct session *session)
{
	struct msg_dialed dialed = { .address = { 192, 0, 2, 1 }, .family = AF_INET, .port = 443 };

	if (!session || !worker()->connector.owner)
		return;
	dialed.id = session->id;
	say(worker()->connector.fd, &internal_messages, MSG_DIALED, &dialed, NULL, 0);
}

static void connector_failed(struct input *input, struct session *session)
{
	struct msg_dial_failed failed = { .error = take_u8(input) };
	size_t len;
	const uint8_t *text = take(input, take_u8(input), &len);

	if (!session || !worker()->connector.owner)
		return;
	failed.id = session->id;
	say(worker()->connector.fd, &internal_messages, MSG_DIAL_FAILED, &failed, text, len);
}

static void tls_says(struct input *input, struct session *session)
{
	static const int errors[] = { SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, SSL_ERROR_SSL,
				      SSL_ERROR_SYSCALL, SSL_ERROR_ZERO_RETURN };
	uint8_t flags = take_u8(input);

	tls.handshake = flags & 1;
	tls.unverified = flags & 2;
	tls.error = errors[take_u8(input) % ARRAY_SIZE(errors)];
	tls.reads = take_u16(input);
	tls.writes = take_u16(input);
	if (!session || session->net.fd < 0)
		return;
	session->net.eof = flags & 4;
	session->net.broken = flags & 8 ? EPIPE : 0;
	session->net.error = flags & 16 ? ECONNRESET : 0;
	for (int i = flags >> 5; i > 0; i--)
		session_on_record(session, 0, SSL3_RT_HANDSHAKE, "\x18", 1);
	stage_ready(session->net.fd, EV_READ | EV_WRITE);
}

static void memory_says(struct input *input, struct session *session)
{
	uint8_t which = take_u8(input);
	uint32_t number = take_u32(input);
	struct control_page *page = session ? session->channel.page : NULL;

	if (!page)
		return;
	if (which & 1)
		page->tx.head.value = session->channel.tx.own + (which & 2 ? number % 65536 : number);
	if (which & 4)
		page->rx.tail.value = session->channel.rx.own - (which & 8 ? number % 65536 : number);
	if (which & 16)
		page->program_wants = number;
	if (which & 32)
		page->tx_fin = number & 1;
	if (which & 64)
		page->worker_wants = number;
	if (which & 128)
		memset((void *)page, (int)number, sizeof(*page));
}

/* Every socket takes packets again.  Who is told of it may be gone before the next one is. */
static void sockets_drain(void)
{
	int fds[32], count = 0;
	struct session *session;
	struct client *client;

	fds[count++] = child.supervisor.fd;
	if (worker()->connector.owner)
		fds[count++] = worker()->connector.fd;
	LIST_FOREACH(client, &worker()->clients, in_worker)
		fds[count++] = client->chan.fd;
	LIST_FOREACH(session, &worker()->all_sessions, in_worker) {
		if (session->client && count < (int)ARRAY_SIZE(fds))
			fds[count++] = session->chan.fd;
	}
	kernel.send_error = 0;
	while (count > 0)
		stage_ready(fds[--count], EV_WRITE);
}

static void descriptors_lack(uint8_t how)
{
	kernel.no_headroom = how & 1;
	kernel.odd_sockets = how & 2 ? 1 : 0;
	kernel.unread = how & 4;
}

static void take_step(struct input *input)
{
	static const int errors[] = { 0, EAGAIN, EPIPE, ENOMEM };
	struct worker *w = worker();
	struct session *session;
	struct errand *errand;
	struct client *client;
	uint8_t which;

	switch ((enum step)(take_u8(input) % STEPS)) {
	case PROGRAM_COMES:
		program_comes(input);
		break;
	case PROGRAM_GREETS:
		program_greets(some_client(input));
		break;
	case PROGRAM_SAYS:
		client = some_client(input);
		program_says(input, client);
		break;
	case PROGRAM_OPENS:
		program_opens(some_client(input));
		break;
	case PROGRAM_HANGS_UP:
		client = some_client(input);
		if (client)
			hang_up(client->chan.fd);
		break;
	case SESSION_SAYS:
		session = some_session(input);
		session_says(input, session);
		break;
	case SESSION_ASKS:
		session = some_session(input);
		session_asks(input, session);
		break;
	case SESSION_HANGS_UP:
		session = some_session(input);
		if (has_socket(session))
			hang_up(session->chan.fd);
		break;
	case SUPERVISOR_SAYS:
		role_says(input, &child.supervisor);
		break;
	case FRONTDOOR_SAYS:
		role_says(input, &w->frontdoor);
		break;
	case CONNECTOR_SAYS:
		role_says(input, &w->connector);
		break;
	case CONNECTOR_DIALED:
		connector_dialed(some_session(input));
		break;
	case CONNECTOR_FAILED:
		session = some_session(input);
		connector_failed(input, session);
		break;
	case TLS_SAYS:
		session = some_session(input);
		tls_says(input, session);
		break;
	case MEMORY_SAYS:
		session = some_session(input);
		memory_says(input, session);
		break;
	case TIME_PASSES:
		stage_sleep(take_u16(input));
		break;
	case SENDING_FAILS:
		kernel.send_error = errors[take_u8(input) % ARRAY_SIZE(errors)];
		break;
	case SOCKETS_DRAIN:
		sockets_drain();
		break;
	case DESCRIPTORS_LACK:
		descriptors_lack(take_u8(input));
		break;
	case PROGRAM_WANTS_KEYS:
		program_wants_keys(some_client(input));
		break;
	case ERRAND_SAYS:
		errand = some_errand(input);
		errand_says(input, errand);
		break;
	case KEYHOLDER_ANSWERS:
		errand = some_errand(input);
		keyholder_answers(input, errand);
		break;
	case KEYHOLDER_SAYS:
		role_says(input, &w->keyholder);
		break;
	default:
		which = take_u8(input);
		if (which & 2 && w->keyholder.owner)
			hang_up(w->keyholder.fd);
		else if (which & 1 && w->connector.owner)
			hang_up(w->connector.fd);
		else if (w->frontdoor.owner)
			hang_up(w->frontdoor.fd);
	}
}

/* What is established was verified, unless that was switched off. */
static void check_sessions(void)
{
	const struct session *session;
	unsigned count = 0;

	LIST_FOREACH(session, &worker()->all_sessions, in_worker) {
		count++;
		if (session->stage >= STAGE_OPEN && SSL_get_verify_mode(session->ssl) == SSL_VERIFY_PEER)
			must(SSL_get_verify_result(session->ssl) == X509_V_OK);
		must(session->stage < STAGE_DIALLING || session->server);
	}
	must(count == worker()->quota.sessions);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };

	prepare();
	start();
	for (int i = 0; i < STEPS_MOST && input.left > 0 && !lost; i++) {
		take_step(&input);
		check_sessions();
	}
	stop();
	return 0;
}
