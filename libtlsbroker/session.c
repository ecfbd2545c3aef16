#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "libtlsbroker/internal.h"
#include "wire/errors.h"

int session_fail(struct tlsb_session *session, uint32_t code, const char *text)
{
	const struct error_info *info = error_info(code);

	if (session->code == TLSB_E_NONE) {
		session->code = info->code;
		text_copy(session->text, sizeof(session->text), text && *text ? text : info->text);
	}
	/* An open session that has ended may still hold bytes to read; one whose worker lies not. */
	if ((session->stage != STAGE_OPEN || info->code == TLSB_E_BROKER_PROTOCOL) &&
	    session->stage < STAGE_OVER) {
		session->stage = STAGE_OVER;
		session->theirs = fd_close(session->theirs);
		/* Whoever polls sees the end, and so does the worker. */
		(void)shutdown(session->fd, SHUT_RDWR);
	}
	errno = error_info(session->code)->number;
	return -1;
}

static int protocol_error(struct tlsb_session *session, const char *what)
{
	return session_fail(session, TLSB_E_BROKER_PROTOCOL, what);
}

static void on_opened(struct tlsb_session *session, struct msg *msg)
{
	const struct msg_opened *opened = msg->body;
	int r;

	if (session->stage != STAGE_ASKED) {
		protocol_error(session, "the broker opened a session that was not asked for");
		return;
	}
	if (msg->starved) {
		session_fail(session, TLSB_E_RESOURCES,
			     "this program has no descriptor left for the session's channel");
		return;
	}
	r = channel_attach(&session->channel, opened->capacity, msg->fds[0]);
	if (r == -ENOMEM)
		session_fail(session, TLSB_E_RESOURCES, "no memory left for the session's channel");
	else if (r < 0)
		protocol_error(session, "the broker's shared memory is not as it must be");
	else
		session->stage = STAGE_OPEN;
}

static void on_refused(struct tlsb_session *session, const struct msg *msg)
{
	const struct msg_refused *refused = msg->body;
	char text[LIMIT_TEXT + 1];

	memcpy(text, msg->tail, msg->tail_len);
	text[msg->tail_len] = '\0';
	info_make_printable(text, sizeof(text), ' ');
	session_fail(session, refused->error ? refused->error : TLSB_E_BROKER_PROTOCOL, text);
	/* The first message that says so is the last one that counts. */
	session->hung = true;
}

typedef int receive_fn(int fd, const struct msg_context *ctx, union msg_buffer *buf, struct msg *ret_msg,
		       enum msg_rule *ret_rule);

static void receive(struct tlsb_session *session, receive_fn *receive_one)
{
	const struct msg_context ctx = { &client_messages, ROLE_CLIENT, ROLE_WORKER, SESSION };
	union msg_buffer buffer;
	enum msg_rule rule;
	struct msg msg;
	int r;

	if (session->hung || session->stage >= STAGE_OVER)
		return;
	session->self_rung = false;
	r = receive_one(session->fd, &ctx, &buffer, &msg, &rule);
	if (r == -EAGAIN)
		return;
	if (r == -EBADMSG) {
		protocol_error(session, "the broker sent a message that breaks the protocol");
		return;
	}
	if (r <= 0) {
		session->hung = true;
		return;
	}
	if (msg.type == CLIENT_MSG_OPENED)
		on_opened(session, &msg);
	else if (msg.type == CLIENT_MSG_REFUSED)
		on_refused(session, &msg);
	/* A bell says nothing but "look": that is done anyway. */
	msg_close_fds(&msg);
}

void session_receive(struct tlsb_session *session)
{
	receive(session, msg_recv);
}

void session_await(struct tlsb_session *session)
{
	receive(session, msg_await);
}

void session_bell(struct tlsb_session *session)
{
	static const struct msg_bell bell;

	/* A full socket has bells enough in it; a closed one is noticed elsewhere. */
	if (msg_send(session->fd, &client_messages, CLIENT_MSG_BELL, &bell, NULL, 0, NULL) == 0 ||
	    errno == EWOULDBLOCK || errno == EPIPE || errno == ECONNRESET)
		return;
	/* Nothing else would wake the worker, and nobody might ever call us again: so the session ends,
	 * which whoever polls sees.  The worker sends what was written, and what came can be read. */
	session_fail(session, TLSB_E_RESOURCES, "no memory left to wake the broker");
	session->hung = true;
	(void)shutdown(session->fd, SHUT_RDWR);
}

/* The worker has said that nothing more will happen, and why.  Returns -1. */
static int fail_as_told(struct tlsb_session *session, struct control_page *page)
{
	uint32_t code = atomic_load_explicit(&page->error, memory_order_acquire);
	char text[sizeof(page->text)];

	if (code == TLSB_E_NONE) {
		if (!atomic_load_explicit(&page->rx_end, memory_order_acquire))
			return protocol_error(session, "the broker ended the session without a reason");
		errno = ENOTCONN; /* both sides had said all that they had to say */
		return -1;
	}
	page_copy(text, page->text, sizeof(text)); /* from the worker: hostile */
	info_make_printable(text, sizeof(text), ' ');
	return session_fail(session, code, text);
}

static int fail_ended(struct tlsb_session *session)
{
	char text[LIMIT_TEXT + 1];
	uint32_t refused;

	if (session->code != TLSB_E_NONE)
		return session_fail(session, session->code, NULL);
	if (session->ended)
		return fail_as_told(session, session->channel.page);
	refused = link_listen(session->tlsb, session->link, true, text);
	if (refused)
		return session_fail(session, refused, text);
	if (!open_is_there(session->tlsb))
		return session_fail(session, TLSB_E_BROKER_GONE, NULL);
	/* When the whole daemon dies, its processes do so one after the other: who asks at once may
	 * still find the door open. */
	if (session->hung_ms == 0)
		session->hung_ms = clock_ms();
	if (clock_ms() - session->hung_ms < GONE_SETTLES_MS) {
		errno = EWOULDBLOCK;
		return -1;
	}
	return session_fail(session, TLSB_E_WORKER_DIED, NULL);
}

int session_not_yet(struct tlsb_session *session, bool over)
{
	if (over)
		return fail_ended(session);
	errno = EWOULDBLOCK;
	return -1;
}

/* A session without a channel: ask for one, or wait for the answer. */
static int state_before_channel(struct tlsb_session *session)
{
	/* Receive, then send: so no bell that calls us back to send more is taken without sending; and
	 * what lies in the socket does not keep us from sleeping while it is full. */
	if (session->self_rung || (session->stage == STAGE_ASKING && session->theirs < 0))
		session_receive(session);
	if (session->stage == STAGE_ASKING && !session->hung && connect_ask(session) < 0)
		return -1;
	session_receive(session);
	if (session->stage == STAGE_OPEN) {
		/* The broker's greeting came before: does it speak our protocol? */
		char text[LIMIT_TEXT + 1];
		uint32_t refused = link_listen(session->tlsb, session->link, false, text);

		return refused ? session_fail(session, refused, text) : 0;
	}
	return session_not_yet(session, session->hung || session->stage == STAGE_OVER);
}

int session_state(struct tlsb_session *session, bool *ret_over)
{
	const struct control_page *page;
	uint32_t state;

	if (session->stage == STAGE_NEW || session->stage == STAGE_CLOSED) {
		errno = ENOTCONN;
		return -1;
	}
	if (session->stage == STAGE_OVER)
		return session_fail(session, session->code, NULL);
	if (session->stage != STAGE_OPEN && state_before_channel(session) < 0)
		return -1;
	page = session->channel.page;
	/* The end first: whatever state comes with it was written before. */
	session->ended = atomic_load_explicit(&page->ended, memory_order_seq_cst) != 0;
	state = atomic_load_explicit(&page->state, memory_order_seq_cst);
	if (state > STATE_ESTABLISHED)
		return protocol_error(session, "the broker reports a state that does not exist");
	session->seen = state;
	*ret_over = session->hung || session->ended;
	return (int)state;
}
