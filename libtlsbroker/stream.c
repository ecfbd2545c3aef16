#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "libtlsbroker/internal.h"

/* The program's. */
struct buffer {
	void *in;
	const void *out;
	size_t len;
};

/* 0 when bytes may flow, else -1 with errno. */
static int established(struct tlsb_session *session, bool *ret_over)
{
	int state = session_state(session, ret_over);

	if (state < 0)
		return -1;
	if (state < STATE_ESTABLISHED)
		return session_not_yet(session, *ret_over);
	session->told = STATE_ESTABLISHED;
	return 0;
}

static int lying_ring(struct tlsb_session *session)
{
	return session_fail(session, TLSB_E_BROKER_PROTOCOL,
			    "the broker's ring indices are impossible");
}

/* So much room is worth waking a worker for, as 1 / WORTH_WAKING of the ring: it takes what has come from the
 * network meanwhile in one turn, while the rest is still being read. */
#define WORTH_WAKING 4

/* LEFT bytes are still in the ring. */
static void after_read(struct tlsb_session *session, uint32_t left)
{
	uint32_t capacity = session->channel.rx.capacity;

	if (capacity - left >= capacity / WORTH_WAKING &&
	    doorbell_answer(&session->channel.page->worker_wants, WANT_ROOM))
		session_bell(session);
	wait_after_read(session);
}

/* ---- what came ---- */

/* How much can be read, at *ARG, which is set only if there is something; nothing moves. */
static ssize_t try_peek(struct tlsb_session *session, void *arg)
{
	const uint8_t **ret_data = arg;
	uint8_t *span = NULL;
	bool end, over;
	int ready;

	/* The ends are published after the last byte, so they are looked at before the ring. */
	if (established(session, &over) < 0)
		return -1;
	end = atomic_load_explicit(&session->channel.page->rx_end, memory_order_seq_cst) != 0;
	ready = ring_data(&session->channel.rx, &span);
	if (ready < 0)
		return lying_ring(session);
	if (ready == 0)
		return end ? 0 : session_not_yet(session, over);
	*ret_data = span;
	return ready;
}

/* N of READY bytes are done with. */
static void give_back(struct tlsb_session *session, uint32_t ready, uint32_t n)
{
	ring_consume(&session->channel.rx, n);
	session->spin.moved += n;
	after_read(session, ready - n);
}

static ssize_t try_read(struct tlsb_session *session, void *arg)
{
	const struct buffer *to = arg;
	const uint8_t *data = NULL;
	ssize_t ready = try_peek(session, &data);
	size_t n;

	if (!data)
		return ready;
	n = MIN(to->len, (size_t)ready);
	memcpy(to->in, data, n);
	give_back(session, (uint32_t)ready, (uint32_t)n);
	return (ssize_t)n;
}

ssize_t tlsb_read(struct tlsb_session *session, void *buf, size_t len)
{
	struct buffer to = { .in = buf, .len = len };

	session->peeked = 0;
	if (len == 0)
		return 0;
	return wait_for(session, try_read, &to, WANT_DATA | WANT_STATE);
}

ssize_t tlsb_peek(struct tlsb_session *session, const void **ret_data)
{
	const uint8_t *data = NULL;
	ssize_t n = wait_for(session, try_peek, &data, WANT_DATA | WANT_STATE);

	session->peeked = n > 0 ? (uint32_t)n : 0;
	*ret_data = data;
	return n;
}

int tlsb_consume(struct tlsb_session *session, size_t n)
{
	uint8_t *span;
	int ready;

	if (session->stage != STAGE_OPEN) {
		errno = ENOTCONN;
		return -1;
	}
	if (n > session->peeked) {
		errno = EINVAL;
		return -1;
	}
	/* What the worker's word says now: it may have more by now, and must not have less. */
	ready = ring_data(&session->channel.rx, &span);
	if (ready < (int)n)
		return lying_ring(session);
	session->peeked -= (uint32_t)n;
	give_back(session, (uint32_t)ready, (uint32_t)n);
	return 0;
}

/* ---- what goes ---- */

/* How much room there is, at *ARG, which is set only if there is some. */
static ssize_t try_reserve(struct tlsb_session *session, void *arg)
{
	uint8_t **ret_room = arg, *span;
	bool over;
	int space;

	if (established(session, &over) < 0)
		return -1;
	if (session->fin) {
		errno = EPIPE;
		return -1;
	}
	if (over)
		return session_not_yet(session, over);
	space = ring_space(&session->channel.tx, &span);
	if (space < 0)
		return lying_ring(session);
	if (space == 0)
		return session_not_yet(session, false);
	*ret_room = span;
	return space;
}

static void publish(struct tlsb_session *session, uint32_t n)
{
	ring_produce(&session->channel.tx, n);
	session->spin.moved += n;
	if (doorbell_answer(&session->channel.page->worker_wants, WANT_DATA))
		session_bell(session);
}

static ssize_t try_write(struct tlsb_session *session, void *arg)
{
	const struct buffer *from = arg;
	uint8_t *room = NULL;
	ssize_t space = try_reserve(session, &room);
	size_t n;

	if (!room)
		return space;
	n = MIN(from->len, (size_t)space);
	memcpy(room, from->out, n);
	publish(session, (uint32_t)n);
	return (ssize_t)n;
}

ssize_t tlsb_write(struct tlsb_session *session, const void *buf, size_t len)
{
	struct buffer from = { .out = buf, .len = len };

	session->reserved = 0;
	if (len == 0)
		return 0;
	return wait_for(session, try_write, &from, WANT_ROOM | WANT_STATE);
}

ssize_t tlsb_reserve(struct tlsb_session *session, void **ret_room)
{
	uint8_t *room = NULL;
	ssize_t n = wait_for(session, try_reserve, &room, WANT_ROOM | WANT_STATE);

	session->reserved = n > 0 ? (uint32_t)n : 0;
	*ret_room = room;
	return n;
}

int tlsb_commit(struct tlsb_session *session, size_t n)
{
	if (session->stage != STAGE_OPEN) {
		errno = ENOTCONN;
		return -1;
	}
	if (session->fin || n > session->reserved) {
		errno = session->fin ? EPIPE : EINVAL;
		return -1;
	}
	session->reserved -= (uint32_t)n;
	if (n > 0)
		publish(session, (uint32_t)n);
	return 0;
}

ssize_t tlsb_pending(const struct tlsb_session *session)
{
	uint8_t *span;
	int ready;

	if (session->stage != STAGE_OPEN) {
		errno = ENOTCONN;
		return -1;
	}
	if (atomic_load_explicit(&session->channel.page->state, memory_order_seq_cst) !=
	    STATE_ESTABLISHED)
		return 0; /* as for tlsb_read(): before, nothing in the ring means anything */
	ready = ring_data(&session->channel.rx, &span);
	if (ready < 0)
		errno = EPROTO;
	return ready < 0 ? -1 : ready;
}

static ssize_t try_shutdown(struct tlsb_session *session, void *arg unused_)
{
	struct control_page *page;
	bool over;

	if (established(session, &over) < 0)
		return -1;
	page = session->channel.page;
	if (!session->fin) {
		session->fin = true;
		/* Published like a byte: the word, then the bell for a worker that waits for data. */
		atomic_store_explicit(&page->tx_fin, 1, memory_order_seq_cst);
		if (doorbell_answer(&page->worker_wants, WANT_DATA))
			session_bell(session);
	}
	if (atomic_load_explicit(&page->tx_end, memory_order_seq_cst) != 0)
		return 0;
	return session_not_yet(session, over);
}

int tlsb_shutdown(struct tlsb_session *session)
{
	return (int)wait_for(session, try_shutdown, NULL, WANT_ROOM | WANT_STATE);
}
