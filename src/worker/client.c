#include "worker/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "tlsbroker.h"
#include "wire/inquiry.h"
#include "worker/errand.h"
#include "worker/listing.h"
#include "worker/session.h"
#include "worker/state.h"

static const char no_descriptors[] = "the broker has no descriptors left for this user";

void client_end(struct client *client)
{
	struct worker *worker = client->worker;
	struct session *session;

	/* Orphaning takes a session off this list. */
	while ((session = LIST_FIRST(&client->sessions)))
		session_orphan(session);
	while (!LIST_EMPTY(&client->errands))
		errand_free(LIST_FIRST(&client->errands));
	LIST_REMOVE(client, in_worker);
	worker->client_count--;
	counters_add(worker->child->counters, COUNTER_clients, -1);
	if (worker->frontdoor.owner)
		chan_send_body(&worker->frontdoor, MSG_CLIENT_GONE,
			       &(struct msg_client_gone){ .id = client->id });
	if (client->hello)
		event_free(client->hello);
	fd_close(client->lifeline);
	chan_deinit(&client->chan);
	free(client);
	worker_check_drained(worker);
}

void client_refuse(struct client *client, uint32_t code, const char *text)
{
	struct msg_refused refused = { .error = code };

	(void)msg_send(client->chan.fd, &client_messages, CLIENT_MSG_REFUSED, &refused, text,
		       strlen(text), NULL);
	client_end(client);
}

static void on_gone(struct chan *chan, enum msg_rule rule, const char *what)
{
	struct client *client = chan->owner;

	if (rule != RULE_NONE) {
		counters_add(client->worker->child->counters, COUNTER_violations, 1);
		log_event(LOG_L_WARNING, "a program broke the protocol",
			  { FIELD_CLIENT, LOG_NUMBER(client->pid) },
			  { FIELD_RULE, msg_rule_name(rule) }, { FIELD_ERROR, what });
	}
	client_end(client);
}

static void on_no_hello(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	client_refuse(arg, TLSB_E_TIMEOUT, "no hello came in time");
}

static int on_hello(struct chan *chan, struct msg *msg)
{
	const struct msg_hello *hello = msg->body;
	struct client *client = chan->owner;
	struct worker *worker = client->worker;
	struct msg_welcome welcome = {
		.magic = PROTOCOL_MAGIC,
		.version = PROTOCOL_VERSION,
		.uid = worker->uid,
		.more_workers = worker->more_workers,
	};

	if (hello->magic != PROTOCOL_MAGIC || hello->version != PROTOCOL_VERSION) {
		client_refuse(client, TLSB_E_BROKER_PROTOCOL,
			      "tlsbrokerd speaks another version of the protocol than the library");
		return 0;
	}
	event_free(client->hello);
	client->hello = NULL;
	chan->ctx.phase = MAIN;
	chan_send(chan, CLIENT_MSG_WELCOME, &welcome, worker->badge, strlen(worker->badge), NULL);
	return 0;
}

/*
 * A descriptor from a program may be anything.  We take one end of a socket pair: unnamed at both
 * ends, so that it is nobody's service, and of a type on which we never block.
 */
static bool is_pair_end(int fd)
{
	const socklen_t unnamed = offsetof(struct sockaddr_un, sun_path);
	struct sockaddr_un name;
	struct ucred peer;
	socklen_t len = sizeof(int);
	int domain = 0, type = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_UNIX)
		return false;
	len = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
		return false;
	len = sizeof(name);
	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0 || len > unnamed)
		return false;
	/* A socket that was never connected has no user's credentials; a pair whose other end is closed
	 * already, because the program changed its mind, still has them.  The pid would prove nothing:
	 * it is 0 for a program in another pid namespace, too. */
	len = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid == (uid_t)-1)
		return false;
	len = sizeof(name);
	if (getpeername(fd, (struct sockaddr *)&name, &len) < 0)
		return errno == ENOTCONN;
	return len <= unnamed;
}

static int on_lifeline(struct chan *chan, struct msg *msg)
{
	struct client *client = chan->owner;

	if (client->lifeline >= 0 || !is_pair_end(msg->fds[0]))
		return -EBADMSG;
	client->lifeline = msg_take_fd(msg, 0);
	return 0;
}

/* Tell a session, or what else was to have a socket of its own, why it will not be. */
static int refuse_session(int fd, uint32_t code, const char *text)
{
	struct msg_refused refused = { .error = code };

	(void)msg_send(fd, &client_messages, CLIENT_MSG_REFUSED, &refused, text, strlen(text), NULL);
	return 0;
}

static int on_session(struct chan *chan, struct msg *msg)
{
	struct client *client = chan->owner;

	if (!is_pair_end(msg->fds[0]))
		return -EBADMSG;
	if (client->worker->draining)
		return refuse_session(msg->fds[0], TLSB_E_STOPPING, "tlsbrokerd is shutting down");
	if (!fd_headroom(LIMIT_WORKER_SPARE_FILES)) {
		counters_add(client->worker->child->counters, COUNTER_sessions_refused, 1);
		return refuse_session(msg->fds[0], TLSB_E_RESOURCES, no_descriptors);
	}
	(void)session_new(client->worker, client, msg_take_fd(msg, 0));
	return 0;
}

static int on_key_socket(struct chan *chan, struct msg *msg)
{
	static const char too_many[] = "too many programs of this user ask about keys at once";
	struct client *client = chan->owner;
	int r;

	if (!is_pair_end(msg->fds[0]))
		return -EBADMSG;
	if (client->worker->draining)
		return refuse_session(msg->fds[0], TLSB_E_STOPPING, "tlsbrokerd is shutting down");
	if (!fd_headroom(LIMIT_WORKER_SPARE_FILES))
		return refuse_session(msg->fds[0], TLSB_E_RESOURCES, no_descriptors);
	r = errand_new(client, msg);
	if (r == -EMFILE)
		return refuse_session(msg->fds[0], TLSB_E_QUOTA, too_many);
	return r == 0 ? 0 : refuse_session(msg->fds[0], TLSB_E_RESOURCES, "the broker has no memory left");
}

/* We have no descriptor left for what the program sent: it hears why, and goes on without. */
static int on_starved(struct chan *chan, struct msg *msg unused_)
{
	struct msg_refused refused = { .error = TLSB_E_RESOURCES };
	struct client *client = chan->owner;

	counters_add(client->worker->child->counters, COUNTER_sessions_refused, 1);
	return chan_send(chan, CLIENT_MSG_REFUSED, &refused, no_descriptors,
			 sizeof(no_descriptors) - 1, NULL);
}

static void send_row(struct client *client, const struct row *row, const char *name, size_t len)
{
	struct msg_row body = { .row = *row };

	chan_send(&client->chan, CLIENT_MSG_ROW, &body, name, MIN(len, (size_t)LIMIT_ROW), NULL);
}

static void send_session_row(struct client *client, const struct session *session)
{
	const char *server = session->server ? session->server : "";
	struct row row = {
		.kind = ROW_SESSION,
		.state = listing_state(session),
		.uid = client->worker->uid,
		.pid = session->client_pid,
		.value = { clock_ms() - session->born_ms, session->bytes_read,
			   session->bytes_written, 2 * (uint64_t)session->capacity },
	};

	send_row(client, &row, server, strlen(server));
}

/* The sessions, newest first, as fast as the client takes them; then what the supervisor knows. */
static void send_sessions(struct client *client)
{
	struct worker *worker = client->worker;
	struct msg_status_ask ask = { .tag = client->status_tag, .uid = worker->uid };
	struct session *session;

	LIST_FOREACH(session, &worker->all_sessions, in_worker)
	{
		if (session->number >= client->status_below)
			continue;
		if (chan_queued(&client->chan) > 0)
			return; /* on_drained() goes on */
		client->status_below = session->number;
		send_session_row(client, session);
	}
	client->status_below = 0;
	chan_send_body(&worker->child->supervisor, MSG_STATUS_ASK, &ask);
}

/* Whether that may be told, and what it is, is the supervisor's to say. */
static int on_ask(struct chan *chan, struct msg *msg)
{
	const struct msg_ask *body = msg->body;
	struct client *client = chan->owner;
	struct msg_question question = { .what = body->what, .worker = body->worker,
					.session = body->session };

	if (client->status_tag != 0)
		return -EALREADY; /* one question at a time */
	question.tag = client->status_tag = ++client->worker->status_tags;
	chan_send_body(&client->worker->child->supervisor, MSG_QUESTION, &question);
	return 0;
}

static int on_explain(struct chan *chan, struct msg *msg)
{
	const struct msg_explain *body = msg->body;
	struct client *client = chan->owner;
	struct msg_inquiry inquiry = { .what = body->what, .about = body->about };

	if (client->status_tag != 0)
		return -EALREADY; /* one question at a time */
	if (!inquiry_is_good(&body->about, body->what, msg->tail_len))
		return -EBADMSG;
	inquiry.tag = client->status_tag = ++client->worker->status_tags;
	chan_send(&client->worker->child->supervisor, MSG_INQUIRY, &inquiry, msg->tail,
		  msg->tail_len, NULL);
	return 0;
}

static void on_drained(struct chan *chan)
{
	struct client *client = chan->owner;

	if (client->status_below > 0)
		send_sessions(client);
}

static int on_status(struct chan *chan, struct msg *msg unused_)
{
	struct client *client = chan->owner;

	if (client->status_tag != 0)
		return -EALREADY; /* one question at a time */
	client->status_tag = ++client->worker->status_tags;
	client->status_below = UINT64_MAX;
	send_sessions(client);
	return 0;
}

void client_on_row(struct client *client, const struct row *row, const char *name, uint32_t len)
{
	if (row->kind == ROW_END)
		client->status_tag = 0;
	send_row(client, row, name, len);
}

chan_handler *const client_handlers[CLIENT_MSG_COUNT] = {
	[CLIENT_MSG_HELLO] = on_hello,
	[CLIENT_MSG_LIFELINE] = on_lifeline,
	[CLIENT_MSG_SESSION] = on_session,
	[CLIENT_MSG_STATUS] = on_status,
	[CLIENT_MSG_ASK] = on_ask,
	[CLIENT_MSG_EXPLAIN] = on_explain,
	[CLIENT_MSG_CA] = session_on_ca,
	[CLIENT_MSG_PRESHARED] = session_on_preshared,
	[CLIENT_MSG_OWN_CERT] = session_on_own_cert,
	[CLIENT_MSG_OWN_KEY] = session_on_own_key,
	[CLIENT_MSG_CONNECT] = session_on_connect,
	[CLIENT_MSG_BELL] = session_on_bell,
	[CLIENT_MSG_DISCONNECT] = session_on_disconnect,
	[CLIENT_MSG_KEY_SOCKET] = on_key_socket,
	[CLIENT_MSG_KEY_IMPORT] = errand_on_import,
	[CLIENT_MSG_KEY_USE] = errand_on_use,
};

int client_new(struct worker *worker, const struct msg_client *msg, int fd)
{
	struct client *client = calloc(1, sizeof(*client));
	struct timeval tv = { LIMIT_HELLO_MS / 1000, LIMIT_HELLO_MS % 1000 * 1000 };
	int r;

	if (!client) {
		fd_close(fd);
		return -ENOMEM;
	}
	client->worker = worker;
	client->id = msg->id;
	client->pid = msg->pid;
	client->lifeline = -1;
	r = chan_init(&client->chan, worker->child->base, fd, &client_messages, ROLE_WORKER,
		      ROLE_CLIENT, HELLO, client_handlers, on_gone, client);
	client->chan.on_starved = on_starved;
	client->chan.on_drained = on_drained;
	if (r == 0) {
		client->hello = evtimer_new(worker->child->base, on_no_hello, client);
		r = client->hello && evtimer_add(client->hello, &tv) == 0 ? 0 : -ENOMEM;
	}
	if (r < 0) {
		if (client->hello)
			event_free(client->hello);
		chan_deinit(&client->chan);
		free(client);
		return r;
	}
	LIST_INSERT_HEAD(&worker->clients, client, in_worker);
	worker->client_count++;
	counters_add(worker->child->counters, COUNTER_clients, 1);
	if (!fd_headroom(LIMIT_WORKER_SPARE_FILES - 1))
		client_refuse(client, TLSB_E_RESOURCES, no_descriptors);
	return 0;
}
