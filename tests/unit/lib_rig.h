/*
 * A broker for the library's tests: a real socket in a folder of its own, and behind it the test
 * itself, which plays the worker one step at a time.  What it sends is what the test wants, so it can
 * be as rude as a worker that was taken over.
 */
#ifndef TLSB_TESTS_LIB_RIG_H
#define TLSB_TESTS_LIB_RIG_H

#include "testing.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"
#include "ring/channel.h"
#include "ring/doorbell.h"
#include "tlsbroker.h"
#include "wire/msg.h"

#define RIG_HOST "server.example"
#define RIG_PORT "443"

struct rig {
	char folder[32], path[64];
	int listener;
	struct tlsb *tlsb;
	struct tlsb_config *config;
	struct tlsb_session *session;
	/* the worker's */
	int main, socket;
	struct channel channel;
	struct msg_connect connect; /* as it came, with its tail */
	char tail[2048];
	size_t ca_len;
};

static const struct msg_empty rig_nothing;

/* ---- the socket ---- */

static inline void rig_listen(struct rig *rig)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*rig = (struct rig){ .main = -1, .socket = -1, .folder = "/tmp/tlsb-lib-XXXXXX" };
	assert_non_null(mkdtemp(rig->folder));
	snprintf(rig->path, sizeof(rig->path), "%s/socket", rig->folder);
	memcpy(address.sun_path, rig->path, strlen(rig->path) + 1);
	rig->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(rig->listener >= 0);
	assert_int_equal(bind(rig->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(rig->listener, 64), 0);
}

static inline void rig_stop_listening(struct rig *rig)
{
	rig->listener = fd_close(rig->listener);
	unlink(rig->path);
}

/* The next message on FD, which must be of TYPE; its descriptor, if it has one, at RET_FD. */
static inline void rig_expect(int fd, uint32_t type, enum msg_phase phase, union msg_buffer *buffer,
			      struct msg *ret_msg, int *ret_fd)
{
	const struct msg_context ctx = { &client_messages, ROLE_WORKER, ROLE_CLIENT, phase };
	enum msg_rule rule = RULE_NONE;
	int r = msg_recv(fd, &ctx, buffer, ret_msg, &rule);

	assert_int_equal(rule, RULE_NONE);
	assert_int_equal(r, 1);
	assert_string_equal(ret_msg->info->name, client_messages.rows[type].name);
	if (ret_fd)
		*ret_fd = msg_take_fd(ret_msg, 0);
}

static inline void rig_send(int fd, uint32_t type, const void *body, const char *tail, const int *fds)
{
	assert_int_equal(msg_send(fd, &client_messages, type, body, tail, tail ? strlen(tail) : 0, fds),
			 0);
}

static inline void rig_refuse(int fd, uint32_t code, const char *text)
{
	const struct msg_refused refused = { .error = code };

	rig_send(fd, CLIENT_MSG_REFUSED, &refused, text, NULL);
}

static inline void rig_welcome(struct rig *rig, uint32_t magic, uint32_t version, const char *badge)
{
	const struct msg_welcome welcome = { .magic = magic, .version = version, .uid = 7 };

	rig_send(rig->main, CLIENT_MSG_WELCOME, &welcome, badge, NULL);
}

/* tlsb_open(), and the connection accepted with its hello. */
static inline void rig_open(struct rig *rig)
{
	union msg_buffer buffer;
	struct msg msg;
	const struct msg_hello *hello = (const void *)(buffer.bytes + sizeof(struct msg_header));

	rig->tlsb = tlsb_open(rig->path);
	assert_non_null(rig->tlsb);
	rig->main = accept4(rig->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(rig->main >= 0);
	rig_expect(rig->main, CLIENT_MSG_HELLO, HELLO, &buffer, &msg, NULL);
	assert_int_equal(hello->magic, PROTOCOL_MAGIC);
	assert_int_equal(hello->version, PROTOCOL_VERSION);
}

/* ---- a session's steps ---- */

static inline void rig_new_session(struct rig *rig)
{
	rig->session = tlsb_session_new(rig->tlsb, rig->config);
	assert_non_null(rig->session);
}

static inline void assert_fails(long result, int number)
{
	int error = errno;

	assert_int_equal(result, -1);
	assert_string_equal(strerrorname_np(error), strerrorname_np(number));
}

/* Who died is known in a moment: until then a call would block.  A moment is long on a busy machine. */
#define assert_soon_fails(call, number)                                                            \
	do {                                                                                       \
		long result_;                                                                      \
		uint64_t start_ = clock_ms();                                                      \
		while ((result_ = (call)) == -1 && errno == EWOULDBLOCK &&                         \
		       clock_ms() - start_ < 60000)                                                \
			usleep(1000);                                                              \
		assert_fails(result_, number);                                                     \
	} while (0)

static inline void rig_start_connect(struct rig *rig)
{
	rig_new_session(rig);
	assert_fails(tlsb_connect(rig->session, RIG_HOST, RIG_PORT), EWOULDBLOCK);
}

/* The worker reads what came for the session. */
static inline void rig_take_session(struct rig *rig)
{
	union msg_buffer buffer;
	struct msg msg;

	rig_expect(rig->main, CLIENT_MSG_SESSION, MAIN, &buffer, &msg, &rig->socket);
}

static inline void rig_take_connect(struct rig *rig)
{
	union msg_buffer buffer;
	struct msg msg;

	rig_expect(rig->socket, CLIENT_MSG_CONNECT, SETUP, &buffer, &msg, NULL);
	memcpy(&rig->connect, msg.body, sizeof(rig->connect));
	assert_true(msg.tail_len < sizeof(rig->tail));
	memcpy(rig->tail, msg.tail, msg.tail_len);
	rig->tail[msg.tail_len] = '\0';
}

static inline void rig_send_opened(struct rig *rig)
{
	struct msg_opened opened = { .capacity = LIMIT_RING_MIN };
	int fd;

	assert_int_equal(channel_create(&rig->channel, LIMIT_RING_MIN, &fd), 0);
	rig_send(rig->socket, CLIENT_MSG_OPENED, &opened, NULL, &fd);
	fd_close(fd);
}

static inline void rig_set(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_seq_cst);
}

static inline void rig_bell(const struct rig *rig)
{
	(void)msg_send(rig->socket, &client_messages, CLIENT_MSG_BELL, &rig_nothing, NULL, 0, NULL);
}

/* Publish a state as the worker does: the word, then the bell if one is owed. */
static inline void rig_state(struct rig *rig, enum session_state state)
{
	rig_set(&rig->channel.page->state, state);
	if (doorbell_answer(&rig->channel.page->program_wants, WANT_STATE))
		rig_bell(rig);
}

static inline void rig_end(struct rig *rig, uint32_t code, const char *text)
{
	struct control_page *page = rig->channel.page;

	memcpy(page->text, text, MIN(strlen(text) + 1, sizeof(page->text)));
	rig_set(&page->error, code);
	rig_set(&page->ended, 1);
	rig->socket = fd_close(rig->socket);
}

/* A session that was asked for, and its worker's answer: the channel. */
static inline void rig_connecting(struct rig *rig)
{
	rig_start_connect(rig);
	rig_take_session(rig);
	rig_take_connect(rig);
	rig_send_opened(rig);
	assert_fails(tlsb_connect(rig->session, NULL, NULL), EWOULDBLOCK);
}

static inline void rig_connected(struct rig *rig)
{
	rig_connecting(rig);
	rig_state(rig, STATE_CONNECTED);
	assert_int_equal(tlsb_connect(rig->session, NULL, NULL), 0);
}

static inline void rig_established(struct rig *rig)
{
	rig_connected(rig);
	rig_state(rig, STATE_ESTABLISHED);
	assert_int_equal(tlsb_handshake(rig->session), 0);
}

/* ---- bytes, as the worker moves them ---- */

/* Publishes bytes that came from the server, and rings if a bell is owed. */
static inline void rig_produce(struct rig *rig, const void *data, uint32_t len)
{
	uint8_t *span = NULL;

	assert_true(ring_space(&rig->channel.rx, &span) >= (int)len);
	memcpy(span, data, len);
	ring_produce(&rig->channel.rx, len);
	if (doorbell_answer(&rig->channel.page->program_wants, WANT_DATA))
		rig_bell(rig);
}

/* Takes LEN bytes that the program wrote, at DST if it is not NULL. */
static inline void rig_consume(struct rig *rig, void *dst, uint32_t len)
{
	uint8_t *span = NULL;

	assert_true(ring_data(&rig->channel.tx, &span) >= (int)len);
	if (dst)
		memcpy(dst, span, len);
	ring_consume(&rig->channel.tx, len);
	if (doorbell_answer(&rig->channel.page->program_wants, WANT_ROOM))
		rig_bell(rig);
}

static inline uint32_t rig_has_data(struct rig *rig)
{
	uint8_t *span;

	return (uint32_t)ring_data(&rig->channel.tx, &span);
}

/* What the worker rings for when it is asked to, having handled all else: see worker/session.c. */
static inline void rig_answer_late(struct rig *rig)
{
	struct control_page *page = rig->channel.page;
	uint32_t wants = page->state >= STATE_CONNECTED ? WANT_STATE : 0;
	uint8_t *span;

	if (page->rx_end ||
	    ring_space(&rig->channel.rx, &span) < (int)rig->channel.rx.capacity)
		wants |= WANT_DATA;
	if (page->state == STATE_ESTABLISHED &&
	    (page->tx_end || ring_data(&rig->channel.tx, &span) < (int)rig->channel.tx.capacity))
		wants |= WANT_ROOM;
	if (doorbell_answer(&page->program_wants, wants))
		rig_bell(rig);
}

/* Reads the program's bells, answering them; returns how many there were, -1 when it hung up. */
static inline int rig_hear(struct rig *rig)
{
	const struct msg_context ctx = { &client_messages, ROLE_WORKER, ROLE_CLIENT, SESSION };
	union msg_buffer buffer;
	enum msg_rule rule = RULE_NONE;
	struct msg msg;
	int count = 0, r;

	while ((r = msg_recv(rig->socket, &ctx, &buffer, &msg, &rule)) == 1) {
		if (msg.type == CLIENT_MSG_DISCONNECT)
			return -1;
		assert_int_equal(msg.type, CLIENT_MSG_BELL);
		count++;
		rig_answer_late(rig);
	}
	return r == 0 ? -1 : count;
}

/* ---- what a poller sees ---- */

static inline int is_readable_within(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1;
}

static inline int is_readable(int fd)
{
	return is_readable_within(fd, 0);
}

/* ---- the end ---- */

/* Forget the session and the worker's side of it, so that a next one can be made. */
static inline void rig_drop_session(struct rig *rig)
{
	tlsb_session_free(rig->session);
	rig->session = NULL;
	rig->socket = fd_close(rig->socket);
	channel_deinit(&rig->channel);
}

static inline void rig_close(struct rig *rig)
{
	rig_drop_session(rig);
	tlsb_config_free(rig->config);
	tlsb_close(rig->tlsb);
	fd_close(rig->main);
	rig_stop_listening(rig);
	rmdir(rig->folder);
}

#endif
