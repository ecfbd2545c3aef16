#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/macros.h"
#include "base/text.h"
#include "libtlsbroker/internal.h"

/* ---- asking ---- */

void connect_ring_self(struct tlsb_session *session)
{
	static const struct msg_bell bell;

	if (session->stage != STAGE_ASKING || session->theirs < 0 || session->self_rung)
		return;
	session->self_rung = msg_send(session->theirs, &client_messages, CLIENT_MSG_BELL, &bell,
				      NULL, 0, NULL) == 0;
}

/*
 * -EAGAIN: the connection is full, the worker has yet to read what other sessions asked for.
 * Nothing but ourselves can make our descriptor readable now.
 */
static int send_session(struct tlsb_session *session)
{
	const struct msg_session nothing = { 0 };
	int r;

	if (session->theirs < 0)
		return 0;
	r = msg_send(session->link->fd, &client_messages, CLIENT_MSG_SESSION, &nothing, NULL, 0,
		     &session->theirs);
	if (r == -EAGAIN) {
		if (session->shown)
			connect_ring_self(session);
		return r;
	}
	/* Sent, or the broker has closed the connection: then our end hangs up like any other. */
	session->theirs = fd_close(session->theirs);
	return 0;
}

/* The worker rings for each part, so that a poller comes back to send the next ones. */
static int send_parts(struct tlsb_session *session, uint32_t type, const char *data, size_t len,
		      size_t *sent)
{
	const struct msg_empty nothing = { 0 };

	while (*sent < len) {
		size_t part = MIN(len - *sent, (size_t)LIMIT_TAIL);
		int r = msg_send(session->fd, &client_messages, type, &nothing, data + *sent, part,
				 NULL);

		if (r < 0)
			return r;
		*sent += part;
	}
	return 0;
}

static int send_psk(struct tlsb_session *session)
{
	struct tlsb_config *config = session->config;
	const struct msg_preshared body = { .name_len = (uint32_t)strlen(config->psk) };
	char tail[LIMIT_PSK_IDENTITY + LIMIT_PSK_BYTES];
	int r;

	if (body.name_len == 0 || session->psk_sent)
		return 0;
	memcpy(mempcpy(tail, config->psk, body.name_len), config->psk_key, config->psk_len);
	r = msg_send(session->fd, &client_messages, CLIENT_MSG_PRESHARED, &body, tail,
		     body.name_len + config->psk_len, NULL);
	explicit_bzero(tail, sizeof(tail));
	if (r < 0)
		return r;
	session->psk_sent = true;
	explicit_bzero(config->psk_key, sizeof(config->psk_key));
	return 0;
}

/* As a file that the worker passes on unread: nothing of it is in a message. */
static int send_key(struct tlsb_session *session)
{
	const struct msg_own_key nothing = { 0 };
	cleanup_close_ int fd = -1;
	int r;

	if (!session->config->key || session->key_sent)
		return 0;
	r = config_key_file(session->config->key, session->config->key_len, &fd);
	if (r < 0)
		return r == -EAGAIN ? -ENOMEM : r;
	r = msg_send(session->fd, &client_messages, CLIENT_MSG_OWN_KEY, &nothing, NULL, 0, &fd);
	session->key_sent = r == 0;
	return r;
}

static int send_files(struct tlsb_session *session)
{
	const struct tlsb_config *config = session->config;
	int r = send_parts(session, CLIENT_MSG_CA, config->ca, config->ca_len, &session->ca_sent);

	if (r == 0)
		r = send_parts(session, CLIENT_MSG_OWN_CERT, config->cert, config->cert_len,
			       &session->cert_sent);
	return r < 0 ? r : send_key(session);
}

static int send_connect(struct tlsb_session *session)
{
	const struct tlsb_config *config = session->config;
	char tail[2 * LIMIT_HOST + LIMIT_ALPN + LIMIT_CIPHERS + LIMIT_BADGE + LIMIT_PINS_BYTES];
	struct msg_connect connect = {
		.deadline_ms = session->deadline_ms,
		.ca_len = (uint32_t)config->ca_len,
		.flags = config->flags,
		.family = config->family,
		.port = session->port,
		.version_min = config->version_min,
		.version_max = config->version_max,
		.host_len = (uint16_t)strlen(session->host),
		.name_len = (uint16_t)strlen(config->name),
		.alpn_len = (uint16_t)strlen(config->alpn),
		.ciphers_len = (uint16_t)strlen(config->ciphers),
		.identity_len = (uint16_t)strlen(config->identity),
		.pin_count = config->pin_count,
		.cert_len = (uint16_t)config->cert_len,
	};
	char *end = tail;

	end = mempcpy(end, session->host, connect.host_len);
	end = mempcpy(end, config->name, connect.name_len);
	end = mempcpy(end, config->alpn, connect.alpn_len);
	end = mempcpy(end, config->ciphers, connect.ciphers_len);
	end = mempcpy(end, config->identity, connect.identity_len);
	end = mempcpy(end, config->pins, config->pin_count * sizeof(config->pins[0]));
	return msg_send(session->fd, &client_messages, CLIENT_MSG_CONNECT, &connect, tail,
			(size_t)(end - tail), NULL);
}

int connect_ask(struct tlsb_session *session)
{
	int r = send_session(session);

	if (r == 0)
		r = send_files(session);
	if (r == 0)
		r = send_psk(session);
	if (r == 0)
		r = send_connect(session);
	/* Full, what was sent before brings an answer, or the descriptor has our own bell.  ENOBUFS is
	 * the kernel's want of memory, which nobody tells the end of. */
	if (r == -EAGAIN && errno != ENOBUFS) {
		errno = EWOULDBLOCK;
		return -1;
	}
	/* A closed socket: what the broker said before is read next. */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		return session_fail(session, TLSB_E_RESOURCES,
				    r == -EMFILE || r == -ENFILE
					    ? "no descriptors left to ask the broker for a session"
				    : r == -EFBIG
					    ? "the program may not make a file as large as its key"
					    : "no memory left to ask the broker for a session");
	session->stage = STAGE_ASKED;
	config_forget_files(session->config);
	return 0;
}

/* Our end blocks: a call that sleeps does so in recvmsg(2).  All else says that it does not want to. */
static int make_pair(int ret_pair[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_pair) < 0 ? -errno : 0;
}

/* ---- the public calls ---- */

struct tlsb_session *tlsb_session_new(struct tlsb *tlsb, const struct tlsb_config *config)
{
	struct tlsb_session *session = calloc(1, sizeof(*session));
	int pair[2], r;

	if (!session)
		return NULL;
	session->config = config_copy(config);
	r = session->config ? make_pair(pair) : -ENOMEM;
	if (r < 0) {
		tlsb_config_free(session->config);
		free(session);
		errno = -r;
		return NULL;
	}
	session->tlsb = tlsb;
	session->link = link_for_session(tlsb);
	session->fd = pair[0];
	session->theirs = pair[1];
	return session;
}

static int set_target(struct tlsb_session *session, const char *host, const char *port)
{
	uint32_t number;

	if (!host || !port || !config_is_host(host) ||
	    text_parse_u32(port, 1, UINT16_MAX, &number) < 0) {
		errno = EINVAL;
		return -1;
	}
	text_copy(session->host, sizeof(session->host), host);
	session->port = (uint16_t)number;
	session->deadline_ms = LIMIT_CONNECT_MS;
	if (session->timeout_ms > 0)
		session->deadline_ms = MIN((uint32_t)session->timeout_ms, LIMIT_CONNECT_MAX_MS);
	session->deadline_end_ms = clock_ms() + session->deadline_ms;
	session->stage = STAGE_ASKING;
	return 0;
}

/* Success once the session is as far as *arg. */
static ssize_t try_reach(struct tlsb_session *session, void *arg)
{
	const uint32_t *goal = arg;
	bool over;
	int state = session_state(session, &over);

	if (state < 0)
		return -1;
	if ((uint32_t)state < *goal)
		return session_not_yet(session, over);
	session->told = MAX(session->told, *goal);
	return 0;
}

int tlsb_connect(struct tlsb_session *session, const char *host, const char *port)
{
	uint32_t goal = STATE_CONNECTED;

	if (session->stage == STAGE_OPEN && session->told >= STATE_CONNECTED) {
		errno = EISCONN;
		return -1;
	}
	if (session->stage == STAGE_NEW && set_target(session, host, port) < 0)
		return -1;
	return (int)wait_for(session, try_reach, &goal, WANT_STATE);
}

int tlsb_handshake(struct tlsb_session *session)
{
	uint32_t goal = STATE_ESTABLISHED;

	return (int)wait_for(session, try_reach, &goal, WANT_STATE);
}

int tlsb_disconnect(struct tlsb_session *session)
{
	const struct msg_disconnect nothing = { 0 };
	enum stage stage = session->stage;

	if (stage == STAGE_NEW || stage == STAGE_OVER || stage == STAGE_CLOSED) {
		errno = ENOTCONN;
		return -1;
	}
	if (stage != STAGE_ASKING)
		(void)msg_send(session->fd, &client_messages, CLIENT_MSG_DISCONNECT, &nothing, NULL,
			       0, NULL);
	/* Our end stays open, so that its number is not another file's while somebody polls it, but
	 * it hangs up, for us and for the worker. */
	(void)shutdown(session->fd, SHUT_RDWR);
	session->theirs = fd_close(session->theirs);
	session->stage = STAGE_CLOSED;
	return 0;
}

void tlsb_session_free(struct tlsb_session *session)
{
	int saved = errno;

	if (session) {
		(void)tlsb_disconnect(session);
		fd_close(session->theirs);
		fd_close(session->fd);
		channel_deinit(&session->channel);
		link_leave(session->tlsb, session->link);
		tlsb_config_free(session->config);
		free(session);
	}
	errno = saved;
}
