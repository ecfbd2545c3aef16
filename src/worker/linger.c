/* A session whose program has gone: what it wrote is still sent. */
#include <errno.h>
#include <sys/socket.h>

#include "worker/pump.h"
#include "worker/session.h"
#include "worker/unread.h"

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

void linger_pump(struct session *session)
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
	/* Nor without a deadline: nobody else would end it. */
	if (session->stage != STAGE_OPEN ||
	    session_arm_timer(session, clean ? LIMIT_LINGER_MS : LIMIT_ORPHAN_MS) < 0) {
		session_end(session, TLSB_E_NONE, "session closed");
		return;
	}
	LIST_REMOVE(session, in_client);
	session->client = NULL;
	unread_hang_up(session);
	session->stage = STAGE_LINGER;
	session->clean = clean;
	linger_pump(session);
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
