/*
 * Two directions, a buffer for each, one poll(2).  Back-pressure: a buffer is filled again only
 * when it is empty, so what one side does not take is not taken from the other.
 *
 *   standard input -> up -> tlsb_write()        tlsb_read() -> down -> standard output
 *
 * All calls are non-blocking: each turn tries what can be tried, and sleeps when nothing moved.
 */
#include "tools/pump.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "tools/complain.h"
#include "tools/outlet.h"

#define BUFFER_BYTES (256u * 1024)

/*
 * After the server's end: input that pauses for longer is not waited for.  A person at a terminal
 * is not waited for at all.
 */
#define INPUT_PAUSE_MS 500

/*
 * How often to look for room in the session while standard output is stuck: its descriptor cannot
 * be polled for that then, because what waits to be read keeps it readable.
 */
#define STUCK_POLL_MS 20

struct buffer {
	size_t at, len; /* what is left lies at data + at */
	char data[BUFFER_BYTES];
};

struct pump {
	struct tlsb_session *session;
	struct outlet outlet;
	struct pump_result result;
	int eof_wait_ms;
	uint64_t moved_ms;   /* when a byte last came or went */
	enum exit_code exit; /* of standard input or output; the pump then stops */
	bool input_ready, input_end;
	bool sent_end;    /* our close_notify is out */
	bool send_broken; /* the session takes no more */
	bool peer_end;    /* the server's clean end, or the session's other one */
	struct buffer up, down;
};

static void buffer_drop(struct buffer *buffer, size_t n)
{
	buffer->at += n;
	buffer->len -= n;
}

static void buffer_fill(struct buffer *buffer, size_t n)
{
	buffer->at = 0;
	buffer->len = n;
}

static bool later(void)
{
	return errno == EWOULDBLOCK || errno == EINTR;
}

static bool receive(struct pump *pump)
{
	ssize_t n;

	if (pump->down.len > 0 || pump->peer_end)
		return false;
	n = tlsb_read(pump->session, pump->down.data, sizeof(pump->down.data));
	if (n < 0 && later())
		return false;
	if (n > 0) {
		buffer_fill(&pump->down, (size_t)n);
		pump->result.received += (uint64_t)n;
		return true;
	}
	if (n < 0)
		pump->result.session_error = errno;
	pump->peer_end = true;
	return true;
}

static bool put_out(struct pump *pump)
{
	ssize_t n;

	if (pump->down.len == 0)
		return false;
	n = outlet_write(&pump->outlet, pump->down.data + pump->down.at, pump->down.len);
	if (n == -EAGAIN)
		return false;
	if (n < 0) {
		pump->exit = complain(EXIT_OTHER, "standard output", "%s", strerror((int)-n));
		return true;
	}
	buffer_drop(&pump->down, (size_t)n);
	return true;
}

static bool take_in(struct pump *pump)
{
	ssize_t n;

	if (!pump->input_ready)
		return false;
	pump->input_ready = false;
	n = read(STDIN_FILENO, pump->up.data, sizeof(pump->up.data));
	if (n < 0 && later())
		return false;
	if (n < 0) {
		pump->exit = complain(EXIT_OTHER, "standard input", "%s", strerror(errno));
		return true;
	}
	buffer_fill(&pump->up, (size_t)n);
	pump->input_end = n == 0;
	return true;
}

/* A session that takes no more may still have something to read, and says there why it ended. */
static bool send_failed(struct pump *pump)
{
	pump->send_broken = true;
	if (pump->result.session_error == 0)
		pump->result.session_error = errno;
	return true;
}

static bool send_up(struct pump *pump)
{
	ssize_t n;

	if (pump->up.len == 0 || pump->send_broken)
		return false;
	n = tlsb_write(pump->session, pump->up.data + pump->up.at, pump->up.len);
	if (n < 0 && later())
		return false;
	if (n < 0)
		return send_failed(pump);
	buffer_drop(&pump->up, (size_t)n);
	pump->result.sent += (uint64_t)n;
	return true;
}

/* All input was sent, and the server is to be told, now or later. */
static bool end_waits(const struct pump *pump)
{
	return pump->input_end && pump->up.len == 0 && !pump->sent_end && !pump->send_broken &&
	       pump->eof_wait_ms >= 0;
}

/* How long the server has yet to be silent before it is told.  What standard output does not take
 * is no silence. */
static int silence_left_ms(const struct pump *pump)
{
	uint64_t silent_ms = pump->down.len > 0 ? 0 : clock_ms() - pump->moved_ms;

	return pump->eof_wait_ms - (int)MIN(silent_ms, (uint64_t)pump->eof_wait_ms);
}

static bool send_end(struct pump *pump)
{
	if (!end_waits(pump) || silence_left_ms(pump) > 0)
		return false;
	if (tlsb_shutdown(pump->session) < 0)
		return later() ? false : send_failed(pump);
	pump->sent_end = true;
	return true;
}

/* True while the session holds up something that goes to the server. */
static bool send_waits(const struct pump *pump)
{
	return (pump->up.len > 0 && !pump->send_broken) ||
	       (end_waits(pump) && silence_left_ms(pump) == 0);
}

static void wait_for_more(struct pump *pump, bool moved)
{
	bool stuck = pump->down.len > 0;
	bool want_input = pump->up.len == 0 && !pump->input_end && !pump->send_broken;
	struct pollfd fds[] = {
		{ .fd = want_input ? STDIN_FILENO : -1, .events = POLLIN },
		{ .fd = stuck ? pump->outlet.fd : -1, .events = POLLOUT },
		{ .fd = stuck ? -1 : tlsb_fd(pump->session), .events = POLLIN },
	};
	int timeout = -1;

	if (moved)
		timeout = 0; /* only to learn whether there is input */
	else if (stuck && send_waits(pump))
		timeout = STUCK_POLL_MS;
	else if (!stuck && end_waits(pump) && silence_left_ms(pump) > 0)
		timeout = silence_left_ms(pump);
	if (poll(fds, 3, timeout) > 0)
		pump->input_ready = fds[0].revents != 0;
}

static bool turn(struct pump *pump)
{
	bool moved = receive(pump);

	moved |= put_out(pump);
	moved |= take_in(pump);
	moved |= send_up(pump);
	if (moved)
		pump->moved_ms = clock_ms();
	return moved | send_end(pump);
}

static bool more_input(const struct pump *pump)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	if (pump->input_end)
		return false;
	return poll(&input, 1, isatty(STDIN_FILENO) ? 0 : INPUT_PAUSE_MS) > 0;
}

/* The server has ended its side only, and may still listen: the input that is there is for it. */
static void send_rest(struct pump *pump)
{
	uint64_t before = pump->result.sent;

	tlsb_set_timeout(pump->session, -1);
	while (pump->exit == EXIT_OK && !pump->send_broken) {
		if (pump->up.len > 0)
			send_up(pump);
		else if ((pump->input_ready = more_input(pump)))
			take_in(pump);
		else
			break;
	}
	pump->eof_wait_ms = 0;
	if (pump->result.sent > before)
		send_end(pump);
}

enum exit_code pump_run(struct tlsb_session *session, int eof_wait_ms,
			struct pump_result *ret_result)
{
	/* Half a megabyte is no stack's business. */
	cleanup_free_ struct pump *pump = calloc(1, sizeof(*pump));

	if (!pump)
		return complain(EXIT_OTHER, NULL, "out of memory");
	pump->session = session;
	pump->eof_wait_ms = eof_wait_ms;
	outlet_init(&pump->outlet, STDOUT_FILENO);
	tlsb_fd(session); /* before the first call that may find nothing: bells are wanted */
	while (pump->exit == EXIT_OK && !(pump->peer_end && pump->down.len == 0))
		wait_for_more(pump, turn(pump));
	if (pump->exit == EXIT_OK && pump->result.session_error == 0)
		send_rest(pump);
	outlet_deinit(&pump->outlet);
	*ret_result = pump->result;
	if (pump->exit == EXIT_OK && pump->result.session_error != 0)
		return EXIT_OTHER;
	return pump->exit;
}
