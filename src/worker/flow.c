/* An open session: bytes flow between the rings and TLS, and the program is rung. */
#include "ring/doorbell.h"
#include "worker/pump.h"
#include "worker/session.h"
#include "worker/state.h"

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
		session_violation(session, "impossible ring indices");
		return false;
	case PUMP_FLOOD:
		pump_ring(session);
		session_end(session, TLSB_E_TLS, "the server floods the session with records without data");
		return false;
	default:
		pump_ring(session);
		session_broken(session, error);
		return false;
	}
}

void flow_pump(struct session *session)
{
	bool again = false;

	/* In first: when sending fails, what the server still had to say has been read. */
	if (!session->rx_end && !pump_once(session, true, &again))
		return;
	if (!session->tx_end && !pump_once(session, false, &again))
		return;
	pump_ring(session);
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
		session_ring(session);
}

int session_on_bell(struct chan *chan, struct msg *msg unused_)
{
	struct session *session = chan->owner;
	uint64_t id = session->id;
	struct worker *worker = session->worker;

	if (session->stage < STAGE_DIALLING)
		return 0; /* there is no page yet on which it could have asked */
	session_pump(session);
	if (slots_get(&worker->sessions, id)) /* pumping may have ended it */
		answer_late(session);
	return 0;
}
