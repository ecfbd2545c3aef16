#include "worker/listing.h"

#include <string.h>

#include "base/clock.h"
#include "ring/page.h"
#include "tlsbroker.h"
#include "worker/session.h"
#include "worker/state.h"

uint32_t listing_state(const struct session *session)
{
	if (session->stage >= STAGE_OPEN)
		return STATE_ESTABLISHED;
	return session->stage == STAGE_HANDSHAKE ? STATE_CONNECTED : STATE_OPENING;
}

static int answer(struct chan *supervisor, uint64_t id, const struct row *row, const char *tail,
		  size_t len)
{
	const struct msg_session_row body = { id, *row };

	return chan_send(supervisor, MSG_SESSION_ROW, &body, tail, len, NULL);
}

static void send_listed(struct chan *supervisor, uint64_t id, const struct session *session)
{
	const char *server = session->server ? session->server : "";
	const char *address = session->address ? session->address : "";
	size_t server_len = strlen(server) + 1, address_len = strlen(address) + 1;
	const struct row row = {
		.kind = ROW_LISTED,
		.state = listing_state(session),
		.pid = session->client_pid,
		.value = { clock_ms() - session->born_ms, session->bytes_read,
			   session->bytes_written, session->number },
	};
	char tail[LIMIT_SESSION_ROW];

	_Static_assert(LIMIT_HOST + 16 + sizeof(((struct tlsb_info *)0)->address) < LIMIT_SESSION_ROW,
		       "host:port and address fit");
	memcpy(tail, server, server_len);
	memcpy(tail + server_len, address, address_len);
	answer(supervisor, id, &row, tail, server_len + address_len);
}

/* They stand in the order of their numbers, the newest first. */
int listing_on_sessions(struct chan *chan, struct msg *msg)
{
	const struct msg_sessions *asked = msg->body;
	const struct child *child = chan->owner;
	const struct worker *worker = child->state;
	struct row row = { .kind = ROW_END };
	const struct session *session;
	unsigned count = 0;

	LIST_FOREACH(session, &worker->all_sessions, in_worker)
	{
		if (session->number >= asked->below)
			continue;
		if (count++ == LIMIT_LIST) {
			row.value[1] = session->number + 1;
			break;
		}
		send_listed(chan, asked->id, session);
	}
	return answer(chan, asked->id, &row, "", 0);
}

int listing_on_kill(struct chan *chan, struct msg *msg)
{
	static const char gone[] = "that session is not there, or not any more";
	const struct msg_session_kill *asked = msg->body;
	const struct child *child = chan->owner;
	const struct worker *worker = child->state;
	struct row row = { .kind = ROW_END };
	struct session *session;

	LIST_FOREACH(session, &worker->all_sessions, in_worker)
	{
		if (session->number == asked->number)
			break;
	}
	row.value[0] = session ? TLSB_E_NONE : TLSB_E_PARAMETER;
	if (session)
		session_end(session, TLSB_E_POLICY, "ended by hand: tlsbroker-cli kill");
	return answer(chan, asked->id, &row, gone, session ? 0 : sizeof(gone) - 1);
}
