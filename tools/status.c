/*
 * HELLO and STATUS go out at once; WELCOME and rows come back, ROW_END last.  The broker is not
 * believed: messages are checked by the table, rows and time are bounded, text is escaped.
 */
#include "tools/status.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "ring/page.h"
#include "tools/complain.h"
#include "wire/msg.h"
#include "wire/reach.h"

#define ANSWER_MS 5000

/* All sessions of a user, all workers, and some for roles and counters. */
#define MOST_ROWS (LIMIT_SESSIONS_PER_UID + LIMIT_WORKERS + 1024)

enum progress { MORE, DONE };

static const char *const role_states[] = {
	[ROW_STATE_STARTING] = "starting", [ROW_STATE_RUNNING] = "running",
	[ROW_STATE_DRAINING] = "draining", [ROW_STATE_BACKOFF] = "backoff",
	[ROW_STATE_SPARE] = "spare",
};

static const char *const session_states[] = {
	[STATE_OPENING] = "opening",
	[STATE_CONNECTED] = "connected",
	[STATE_ESTABLISHED] = "established",
};

const char *status_state(const struct row *row)
{
	if (row->kind == ROW_SESSION || row->kind == ROW_LISTED)
		return row->state < ARRAY_SIZE(session_states) ? session_states[row->state] : "?";
	return row->state < ARRAY_SIZE(role_states) ? role_states[row->state] : "?";
}

/* A broker that refuses us may have closed already: its reason is still to be read. */
static enum exit_code send_message(const struct status *status, uint32_t type, const void *body,
			  const void *tail, size_t len)
{
	int r = msg_send(status->fd, &client_messages, type, body, tail, len, NULL);

	if (r == 0 || r == -EPIPE || r == -ECONNRESET)
		return EXIT_OK;
	return complain(EXIT_BROKER, status->socket, "%s", strerror(-r));
}

/* Each string of a tail, escaped, and a NUL behind the last one's.  NULL: no memory. */
static char *escape_strings(const char *tail, size_t len)
{
	const char *end = tail + len;
	size_t size = 4 * len + 3;
	char *text = malloc(size), *at = text;

	if (!text)
		return NULL;
	do {
		size_t one = strnlen(tail, (size_t)(end - tail));

		text_escape(at, size - (size_t)(at - text) - 1, tail, one);
		at += strlen(at) + 1;
		tail += one + 1;
	} while (tail < end);
	*at = '\0';
	return text;
}

const char *status_string(const struct status_row *row, unsigned i)
{
	const char *at = row->name;

	while (i-- > 0 && *at != '\0')
		at += strlen(at) + 1;
	return at;
}

static int add_row(struct status *status, const struct msg *msg)
{
	const struct msg_row *body = msg->body;
	struct status_row *row;

	if (status->count == status->size) {
		size_t size = status->size ? status->size * 2 : 64;

		row = reallocarray(status->rows, size, sizeof(*row));
		if (!row)
			return -ENOMEM;
		status->rows = row;
		status->size = size;
	}
	row = &status->rows[status->count++];
	row->row = body->row;
	row->name = escape_strings(msg->tail, msg->tail_len);
	if (!row->name)
		status->count--;
	return row->name ? 0 : -ENOMEM;
}

static enum exit_code on_row(struct status *status, const struct msg *msg,
			     enum progress *ret_progress)
{
	const struct msg_row *body = msg->body;

	if (body->row.kind == ROW_END) {
		status->end = body->row;
		text_escape(status->text, sizeof(status->text), msg->tail, msg->tail_len);
		*ret_progress = DONE;
		return EXIT_OK;
	}
	if (status->heard++ >= MOST_ROWS)
		return complain(EXIT_BROKER, status->socket, "the broker's answer has no end");
	if (add_row(status, msg) < 0)
		return complain(EXIT_OTHER, status->socket, "out of memory");
	return EXIT_OK;
}

static enum exit_code on_refused(struct status *status, const struct msg *msg)
{
	const struct msg_refused *body = msg->body;
	char text[4 * LIMIT_TEXT + 1];

	return complain(exits_from_error(body->error), status->socket, "%s",
			text_escape(text, sizeof(text), msg->tail, msg->tail_len));
}

static enum exit_code on_welcome(struct status *status, const struct msg *msg)
{
	const struct msg_welcome *body = msg->body;

	if (body->magic != PROTOCOL_MAGIC || body->version != PROTOCOL_VERSION)
		return complain(EXIT_BROKER, status->socket,
				"the broker speaks version %u of the protocol, this program %u",
				body->version, PROTOCOL_VERSION);
	status->uid = body->uid;
	text_escape(status->badge, sizeof(status->badge), msg->tail, msg->tail_len);
	return EXIT_OK;
}

static enum exit_code on_message(struct status *status, const struct msg *msg,
				 enum progress *ret_progress)
{
	switch (msg->type) {
	case CLIENT_MSG_ROW:
		return on_row(status, msg, ret_progress);
	case CLIENT_MSG_REFUSED:
		return on_refused(status, msg);
	case CLIENT_MSG_WELCOME:
		return on_welcome(status, msg);
	default:
		return complain(EXIT_BROKER, status->socket, "unexpected message %s",
				msg->info->name);
	}
}

/* Wait for the next message and handle it. */
static enum exit_code receive(struct status *status, int fd, uint64_t deadline,
			      enum progress *ret_progress)
{
	static const struct msg_context ctx = {
		.table = &client_messages, .self = ROLE_CLIENT, .peer = ROLE_WORKER, .phase = MAIN,
	};
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	uint64_t now = clock_ms();
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buffer;
	enum exit_code exit;
	struct msg msg;
	int r;

	if (now >= deadline || poll(&readable, 1, (int)(deadline - now)) == 0)
		return complain(EXIT_BROKER, status->socket, "no answer for %d seconds",
				ANSWER_MS / 1000);
	r = msg_recv(fd, &ctx, &buffer, &msg, &rule);
	if (r == -EAGAIN || r == -EINTR)
		return EXIT_OK;
	if (r == -EBADMSG)
		return complain(EXIT_BROKER, status->socket, "the broker broke the protocol: %s",
				msg_rule_name(rule));
	if (r <= 0)
		return complain(EXIT_BROKER, status->socket, "the broker closed the connection");
	exit = on_message(status, &msg, ret_progress);
	msg_close_fds(&msg);
	return exit;
}

enum exit_code status_open(struct status *status, const char *path)
{
	const struct msg_hello hello = { .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION };
	struct sockaddr_un address;
	int r = reach_broker(path, &address);

	text_copy(status->socket, sizeof(status->socket), address.sun_path);
	if (r < 0)
		return complain_of_broker(status->socket, -r);
	status->fd = r;
	return send_message(status, CLIENT_MSG_HELLO, &hello, NULL, 0);
}

enum exit_code status_ask(struct status *status, uint32_t type, const void *body, const void *tail,
			  size_t len)
{
	uint64_t deadline = clock_ms() + ANSWER_MS;
	enum progress progress = MORE;
	enum exit_code exit = send_message(status, type, body, tail, len);

	status->heard = 0;
	while (exit == EXIT_OK && progress == MORE)
		exit = receive(status, status->fd, deadline, &progress);
	return exit;
}

void status_init(struct status *status)
{
	*status = (struct status){ .fd = -1 };
}

void status_deinit(struct status *status)
{
	for (size_t i = 0; i < status->count; i++)
		free(status->rows[i].name);
	free(status->rows);
	fd_close(status->fd);
}

enum exit_code status_run(const struct options *options)
{
	static const struct msg_status body;
	struct status status;
	enum exit_code exit;
	int r;

	status_init(&status);
	exit = status_open(&status, options->socket);
	if (exit == EXIT_OK)
		exit = status_ask(&status, CLIENT_MSG_STATUS, &body, NULL, 0);
	if (exit == EXIT_OK) {
		r = options->json ? status_json_print(&status) : status_text_print(&status);
		if (r < 0)
			exit = complain(EXIT_OTHER, NULL, "%s", strerror(-r));
	}
	status_deinit(&status);
	return exit;
}
