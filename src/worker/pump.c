#include "worker/pump.h"

#include <openssl/err.h>

#include "base/clock.h"
#include "ring/doorbell.h"
#include "worker/session.h"
#include "worker/state.h"

/* The most that one TLS record carries (RFC 8446, 5.1). */
#define RECORD_BYTES 16384

/* What a record counts for at least in its session's turn, since it costs a system call, too: else a
 * program that writes byte after byte while we send could make one turn last for a second. */
#define RECORD_SHARE 1024

void pump_ring(struct session *session)
{
	uint32_t wants = (session->unrung_rx ? WANT_DATA : 0) | (session->unrung_tx ? WANT_ROOM : 0);

	if (session->unrung_end)
		wants = WANT_DATA | WANT_ROOM | WANT_STATE;

	if (wants && doorbell_answer(&session->channel.page->program_wants, wants))
		session_ring(session);
	session->unrung_rx = session->unrung_tx = 0;
	session->unrung_end = false;
}

/* What SSL_read or SSL_write did not do. */
static enum pump why_not(struct session *session, int result, int *ret_error)
{
	int error = SSL_get_error(session->ssl, result);

	switch (error) {
	case SSL_ERROR_WANT_READ:
		return session->net.turn >= LIMIT_PUMP_BYTES ? PUMP_AGAIN : PUMP_WAIT;
	case SSL_ERROR_WANT_WRITE:
		return PUMP_WAIT;
	case SSL_ERROR_ZERO_RETURN:
		return PUMP_END;
	default:
		*ret_error = error;
		return PUMP_BROKEN;
	}
}

/* Room in the receive ring, having looked twice before giving up; see doorbell.h. */
static int room(struct session *session, uint8_t **ret_span)
{
	int n = ring_space(&session->channel.rx, ret_span);

	if (n != 0)
		return n;
	doorbell_arm(&session->channel.page->worker_wants, WANT_ROOM);
	return ring_space(&session->channel.rx, ret_span);
}

/* Bytes in the transmit ring, and whether they are the last: that is set after them, so it is read
 * before them. */
static int look_out(const struct session *session, uint8_t **ret_span, bool *ret_fin)
{
	*ret_fin = session->clean || atomic_load_explicit(&session->channel.page->tx_fin,
							  memory_order_seq_cst) != 0;
	return ring_data(&session->channel.tx, ret_span);
}

/* The same as in room(): neither bytes nor the end are missed. */
static int bytes(struct session *session, uint8_t **ret_span, bool *ret_fin)
{
	int n = look_out(session, ret_span, ret_fin);

	if (n != 0 || *ret_fin)
		return n;
	doorbell_arm(&session->channel.page->worker_wants, WANT_DATA);
	return look_out(session, ret_span, ret_fin);
}

/* Ring at least once for so many bytes, even if more is at hand: the other side can begin. */
static uint32_t bell_bytes(const struct session *session)
{
	return session->capacity / 2;
}

/* A batch is over when enough has gathered, or, so that the program need not wait until the socket
 * has said so, when most likely no more is there. */
static bool is_batch(const struct session *session)
{
	return session->unrung_rx >= bell_bytes(session) ||
	       (session->net.partly && !SSL_has_pending(session->ssl));
}

enum pump pump_in(struct session *session, int *ret_error)
{
	size_t moved = 0;

	/* Records without data cost most: a server may put some of its data between them. */
	while (moved < LIMIT_PUMP_BYTES && session->turn_records <= LIMIT_IDLE_RECORDS) {
		uint8_t *span = NULL;
		size_t n = 0;
		int free_bytes = room(session, &span), r;

		if (free_bytes <= 0)
			return free_bytes < 0 ? PUMP_LIE : PUMP_WAIT;
		ERR_clear_error();
		r = SSL_read_ex(session->ssl, span, (size_t)free_bytes, &n);
		if (session->idle_records > LIMIT_IDLE_RECORDS)
			return PUMP_FLOOD;
		if (r <= 0)
			return why_not(session, r, ret_error);
		session->idle_records = 0;
		ring_produce(&session->channel.rx, (uint32_t)n);
		session->bytes_read += n;
		session->moved_ms = clock_coarse_ms();
		counters_add(session->worker->child->counters, COUNTER_bytes_read, (int64_t)n);
		session->unrung_rx += (uint32_t)n;
		moved += n;
		if (is_batch(session))
			pump_ring(session);
	}
	return PUMP_AGAIN;
}

/* The transmit ring is empty: is close_notify owed? */
static enum pump close_out(struct session *session, bool fin, int *ret_error)
{
	int r;

	if (!fin)
		return session->stage == STAGE_LINGER ? PUMP_END : PUMP_WAIT;
	/* A server that said goodbye and closed does not want ours: that is a good end, too. */
	if (session->net.broken)
		return session->rx_end ? PUMP_END : PUMP_BROKEN;
	ERR_clear_error();
	r = SSL_shutdown(session->ssl);
	return r >= 0 ? PUMP_END : why_not(session, r, ret_error);
}

enum pump pump_out(struct session *session, int *ret_error)
{
	size_t moved = 0;

	while (moved < LIMIT_PUMP_BYTES) {
		uint8_t *span = NULL;
		size_t n = 0;
		bool fin = false;
		int ready = bytes(session, &span, &fin), r;

		if (ready < 0 || (uint32_t)ready < session->retry_len)
			return PUMP_LIE; /* bytes that were there cannot go away again */
		if (ready == 0)
			return close_out(session, fin, ret_error);
		/* OpenSSL wants what it could not send offered again, at least as long. */
		session->retry_len = MIN((uint32_t)ready, RECORD_BYTES);
		ERR_clear_error();
		session->net.more = (uint32_t)ready > session->retry_len &&
				    moved + session->retry_len < LIMIT_PUMP_BYTES;
		r = SSL_write_ex(session->ssl, span, session->retry_len, &n);
		session->net.more = false;
		if (r <= 0)
			return why_not(session, r, ret_error);
		if (session->net.broken)
			return PUMP_BROKEN;
		session->retry_len = 0;
		ring_consume(&session->channel.tx, (uint32_t)n);
		session->bytes_written += n;
		session->moved_ms = clock_coarse_ms();
		counters_add(session->worker->child->counters, COUNTER_bytes_written, (int64_t)n);
		session->unrung_tx += (uint32_t)n;
		moved += MAX(n, (size_t)RECORD_SHARE);
		if (session->unrung_tx >= bell_bytes(session))
			pump_ring(session);
	}
	return PUMP_AGAIN;
}
