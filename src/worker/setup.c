/* What a program asks for, until it is dialled. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "worker/session.h"
#include "worker/signing.h"
#include "worker/state.h"

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
	session_ring(session);
	return 0;
}

int session_on_preshared(struct chan *chan, struct msg *msg)
{
	struct session *session = chan->owner;
	struct request *request = session->request;
	int r = request->psk ? -EALREADY : psk_parse(&request->psk, msg);

	msg_wipe(msg);
	if (r != -ENOMEM)
		return r;
	session_end(session, TLSB_E_RESOURCES, "the broker has no memory left");
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
	r = chan_send(&session->chan, CLIENT_MSG_OPENED, &opened, NULL, 0, &fd);
	return r == -EPIPE ? 0 : r; /* the program has gone: that is read from its socket next */
}

/* The connector has to know both host and name: its rules are about what is verified. */
static int note_target(struct session *session)
{
	const struct request *request = session->request;
	const char *other = strcmp(request->name, request->host) != 0 ? request->name : "";

	session->peer_port = request->port;
	session->asked_name_len = (uint16_t)strlen(other);
	return asprintf(&session->asked, "%s%s", request->host, other);
}

int session_on_connect(struct chan *chan, struct msg *msg)
{
	struct session *session = chan->owner;
	struct worker *worker = session->worker;
	struct request *request = session->request;
	const char *text = NULL;
	int r = request_parse(request, msg, &worker->tls.bounds, &text);

	if (r == -EBADMSG)
		return r;
	if (asprintf(&session->server, strchr(request->host, ':') ? "[%s]:%u" : "%s:%u",
		     request->host, request->port) < 0)
		session->server = NULL;
	if (note_target(session) < 0)
		session->asked = NULL;
	/* What cannot be used is refused before any packet leaves. */
	if (r == 0)
		r = tls_client_new(&worker->tls, request, &session->net, session, &session->ssl,
				   &text);
	if (r == -EACCES) {
		session_end(session, TLSB_E_POLICY, "%s (policy for %s)", text, worker->badge);
		return 0;
	}
	if (r < 0) {
		session_end(session, r == -ENOMEM ? TLSB_E_RESOURCES : TLSB_E_PARAMETER, "%s", text);
		return 0;
	}
	chan->ctx.phase = SESSION;
	session->stage = STAGE_DIALLING;
	if (request->identity[0] != '\0')
		session->signing = signing_new(session);
	r = -ENOMEM;
	if (session->server && session->asked && (session->signing || request->identity[0] == '\0'))
		r = session_arm_timer(session, request->deadline_ms);
	/* Channel and first flight are made while the connector is at work. */
	if (r == 0) {
		session_dial(session);
		r = open_channel(session);
	}
	if (r < 0)
		session_end(session, TLSB_E_RESOURCES, "the broker has no %s left",
			    r == -ENOMEM ? "memory" : "descriptors");
	else if (!request->psk)
		handshake_prepare(session);
	return 0;
}

void session_dial(struct session *session)
{
	struct request *request = session->request;
	struct msg_dial dial = {
		.id = session->id,
		.port = request->port,
		.family = request->family,
		.deadline_ms = request->deadline_ms,
		.name_len = session->asked_name_len,
	};

	if (!session->worker->connector.owner)
		return; /* a new one is on its way */
	session->dial_sent = true;
	chan_send(&session->worker->connector, MSG_DIAL, &dial, session->asked,
		  strlen(session->asked), NULL);
}
