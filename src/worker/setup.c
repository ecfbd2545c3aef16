/* What a program asks for, until it is dialled. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "worker/lending.h"
#include "worker/session.h"
#include "worker/signing.h"
#include "worker/state.h"
#include "worker/unread.h"

/* The next bytes of certificates.  May end the session. */
static void take_part(struct session *session, char **all, uint32_t *len, const struct msg *msg)
{
	char *bigger;

	if (quota_take_ca(&session->worker->quota, msg->tail_len) < 0) {
		session_end(session, TLSB_E_QUOTA, "too many certificates of this user's programs at once");
		return;
	}
	bigger = realloc(*all, *len + msg->tail_len);
	if (!bigger) {
		quota_give_ca(&session->worker->quota, msg->tail_len);
		session_end(session, TLSB_E_RESOURCES, "the broker has no memory left");
		return;
	}
	memcpy(bigger + *len, msg->tail, msg->tail_len);
	*all = bigger;
	*len += msg->tail_len;
	/* More parts than the socket holds may be waiting: this calls the program back to it. */
	session_ring(session);
}

int session_on_ca(struct chan *chan, struct msg *msg)
{
	struct session *session = chan->owner;
	struct request *request = session->request;

	if (msg->tail_len == 0 || msg->tail_len > LIMIT_CA_BYTES - request->ca_len)
		return -EBADMSG;
	take_part(session, &request->ca, &request->ca_len, msg);
	return 0;
}

int session_on_own_cert(struct chan *chan, struct msg *msg)
{
	struct session *session = chan->owner;
	struct request *request = session->request;

	if (msg->tail_len == 0 || msg->tail_len > LIMIT_OWN_CERT_BYTES - request->cert_len)
		return -EBADMSG;
	take_part(session, &request->cert, &request->cert_len, msg);
	return 0;
}

/* What is passed on to the keyholder must not make it wait: neither to read it nor to close it. */
int session_on_own_key(struct chan *chan, struct msg *msg)
{
	struct session *session = chan->owner;

	if (session->request->key_fd >= 0 || !keyfile_is_lent(msg->fds[0]))
		return -EBADMSG;
	session->request->key_fd = msg_take_fd(msg, 0);
	return 0;
}

int session_on_starved(struct chan *chan, struct msg *msg unused_)
{
	session_end(chan->owner, TLSB_E_RESOURCES, "the broker has no descriptors left");
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
	int fd = -1, r;

	r = leisure_channel(session->worker, &session->channel, session->capacity, &fd);
	if (r < 0)
		return r;
	/* Until the handshake is over, the program's bytes are of no interest. */
	session->facts = calloc(1, sizeof(*session->facts));
	if (!session->facts) {
		fd_close(fd);
		return -ENOMEM;
	}
	r = chan_send(&session->chan, CLIENT_MSG_OPENED, &opened, NULL, 0, &fd);
	unread_add(session);
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

void session_refuse(struct session *session, int r, const char *text)
{
	if (r == -EACCES)
		session_end(session, TLSB_E_POLICY, "%s (policy for %s)", text,
			    session->worker->badge);
	else
		session_end(session, r == -ENOMEM ? TLSB_E_RESOURCES : TLSB_E_PARAMETER, "%s", text);
}

int session_on_connect(struct chan *chan, struct msg *msg)
{
	struct session *session = chan->owner;
	struct request *request = session->request;
	const char *text = NULL;
	int r = request_parse(request, msg, &session->worker->tls.bounds, &text);

	if (r == -EBADMSG)
		return r;
	if (asprintf(&session->server, strchr(request->host, ':') ? "[%s]:%u" : "%s:%u",
		     request->host, request->port) < 0)
		session->server = NULL;
	if (note_target(session) < 0)
		session->asked = NULL;
	chan->ctx.phase = SESSION;
	if (r < 0)
		session_refuse(session, r, text);
	else if (request->cert_len > 0)
		lending_begin(session);
	else
		unread_begin(session);
	return 0;
}

void session_waited(struct session *session, uint64_t since_ms)
{
	uint32_t *left = &session->request->deadline_ms;

	*left -= (uint32_t)MIN(clock_ms() - since_ms, (uint64_t)*left);
}

void session_begin(struct session *session)
{
	struct worker *worker = session->worker;
	struct request *request = session->request;
	bool shows = request->identity[0] != '\0' || request->own;
	const char *text = NULL;
	/* What cannot be used is refused before any packet leaves. */
	int r = tls_client_new(&worker->tls, request, &session->net, session, &session->ssl, &text);

	if (r < 0) {
		session_refuse(session, r, text);
		return;
	}
	session->stage = STAGE_DIALLING;
	session->has_own_cert = request->own;
	if (shows)
		session->signing = signing_new(session);
	r = -ENOMEM;
	if (session->server && session->asked && (session->signing || !shows))
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
