#include "connector/eyeballs.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/macros.h"

struct eyeballs_attempt {
	TAILQ_ENTRY(eyeballs_attempt) next;
	struct eyeballs *eyeballs;
	struct event *writable;
	int fd;
	struct address address;
	uint64_t started_us;
};

static struct eyeballs_attempt *attempt_free(struct eyeballs_attempt *attempt)
{
	if (attempt->writable)
		event_free(attempt->writable);
	fd_close(attempt->fd);
	free(attempt);
	return NULL;
}

static void forget(struct eyeballs *eyeballs, struct eyeballs_attempt *attempt)
{
	TAILQ_REMOVE(&eyeballs->attempts, attempt, next);
	eyeballs->running--;
	--*eyeballs->in_all;
	attempt_free(attempt);
}

static void note_failure(struct eyeballs *eyeballs, const struct address *address, int error,
			 uint64_t started_us)
{
	assert(eyeballs->failed < ARRAY_SIZE(eyeballs->failures));
	eyeballs->failures[eyeballs->failed++] = (struct eyeballs_failure){
		.address = *address,
		.error = error,
		.ms = (unsigned)((clock_us() - started_us) / 1000),
	};
}

static void set_option(int fd, int level, int option, int value)
{
	/* None of them is worth a failed dial. */
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

/* The worker gets the socket as it is used: it leaves small records together itself. */
static void set_options(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, LIMIT_KEEPALIVE_IDLE_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, LIMIT_KEEPALIVE_STEP_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT,
		   LIMIT_PEER_SILENT_MS / 1000 / LIMIT_KEEPALIVE_STEP_S);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, LIMIT_PEER_SILENT_MS);
}

/*
 * Where nobody listens on a high port of this machine, the kernel may pick just that port for our
 * end, and connect the socket to itself.
 */
static bool is_connected_to_itself(int fd, uint16_t port, const struct address *address)
{
	union address_any own = { 0 };
	socklen_t len = sizeof(own);

	if (port < 1024 || getsockname(fd, &own.any, &len) < 0)
		return false;
	if (address->family == AF_INET)
		return own.v4.sin_port == htons(port) &&
		       memcmp(&own.v4.sin_addr, address->bytes, 4) == 0;
	return own.v6.sin6_port == htons(port) &&
	       memcmp(&own.v6.sin6_addr, address->bytes, 16) == 0;
}

static void advance(struct eyeballs *eyeballs);

static void on_writable(evutil_socket_t fd, short what unused_, void *arg)
{
	struct eyeballs_attempt *attempt = arg;
	struct eyeballs *eyeballs = attempt->eyeballs;
	struct address address = attempt->address;
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error == 0 && is_connected_to_itself(fd, eyeballs->port, &address))
		error = ECONNREFUSED;
	if (error == 0) {
		uint32_t tcp_us = (uint32_t)(clock_us() - eyeballs->first_us);

		event_del(attempt->writable); /* before its descriptor leaves */
		eyeballs->over = true;
		eyeballs->done(eyeballs->arg, fd_steal(&attempt->fd), &address, tcp_us);
		return;
	}
	note_failure(eyeballs, &address, error, attempt->started_us);
	forget(eyeballs, attempt);
	eyeballs->hurry = true;
	advance(eyeballs);
}

/* Begin to connect.  0, or -errno when that failed at once. */
static int attempt_start(struct eyeballs *eyeballs, const struct address *address)
{
	struct eyeballs_attempt *attempt = calloc(1, sizeof(*attempt));
	union address_any any;
	socklen_t len = address_sockaddr(address, eyeballs->port, &any);
	int r = 0;

	if (!attempt)
		return -ENOMEM;
	attempt->eyeballs = eyeballs;
	attempt->address = *address;
	attempt->started_us = clock_us();
	attempt->fd = socket(address->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (attempt->fd < 0)
		r = -errno;
	else if (fd_is_among_last(attempt->fd, LIMIT_CONNECTOR_SPARE_FILES,
				  LIMIT_CONNECTOR_FILES))
		r = -EMFILE;
	if (r == 0) {
		set_options(attempt->fd);
		if (connect(attempt->fd, &any.any, len) < 0 && errno != EINPROGRESS)
			r = -errno;
	}
	if (r == 0) {
		attempt->writable =
			event_new(eyeballs->base, attempt->fd, EV_WRITE, on_writable, attempt);
		if (!attempt->writable || event_add(attempt->writable, NULL) < 0)
			r = -ENOMEM;
	}
	if (r < 0) {
		attempt_free(attempt);
		return r;
	}
	TAILQ_INSERT_TAIL(&eyeballs->attempts, attempt, next);
	eyeballs->running++;
	++*eyeballs->in_all;
	return 0;
}

static bool is_shortage(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
}

static bool has_more(const struct eyeballs *eyeballs, unsigned index)
{
	return eyeballs->next[index] < eyeballs->known[index].count;
}

/* Whose turn it is; false when there is no address left. */
static bool pick(const struct eyeballs *eyeballs, unsigned *ret_index)
{
	unsigned index = eyeballs->started && eyeballs->last_family == V6 ? V4 : V6;

	if (!has_more(eyeballs, index))
		index = index == V6 ? V4 : V6;
	*ret_index = index;
	return has_more(eyeballs, index);
}

static uint64_t elapsed_ms(uint64_t since_us)
{
	return (clock_us() - since_us) / 1000;
}

/* How long the next attempt has to wait yet. */
static unsigned wait_ms(const struct eyeballs *eyeballs)
{
	uint64_t wait, waited;

	if (!eyeballs->started) {
		if (eyeballs->told[V6])
			return 0;
		wait = EYEBALLS_RESOLUTION_DELAY_MS;
		waited = elapsed_ms(eyeballs->told_us);
	} else {
		if (eyeballs->running == 0 || eyeballs->hurry)
			return 0;
		wait = EYEBALLS_STAGGER_MS;
		waited = elapsed_ms(eyeballs->last_us);
	}
	return waited < wait ? (unsigned)(wait - waited) : 0;
}

/* The oldest has had its chance: see LIMIT_ATTEMPTS; a shorter one when its badge dials a lot. */
static void make_room(struct eyeballs *eyeballs)
{
	struct eyeballs_attempt *oldest = TAILQ_FIRST(&eyeballs->attempts);

	if (!oldest ||
	    (eyeballs->running < LIMIT_ATTEMPTS && *eyeballs->in_all < LIMIT_ATTEMPTS_PER_BADGE))
		return;
	note_failure(eyeballs, &oldest->address, ETIMEDOUT, oldest->started_us);
	forget(eyeballs, oldest);
}

static void start_next(struct eyeballs *eyeballs, unsigned index)
{
	const struct address *address = &eyeballs->known[index].list[eyeballs->next[index]];
	uint64_t now = clock_us();
	int r;

	make_room(eyeballs);
	r = attempt_start(eyeballs, address);
	if (!eyeballs->started)
		eyeballs->first_us = now;
	eyeballs->started = true;
	eyeballs->last_us = now;
	eyeballs->hurry = false;
	/* Out of descriptors: with an attempt under way there is time to try this address again. */
	if (is_shortage(r) && eyeballs->running > 0)
		return;
	eyeballs->next[index]++;
	eyeballs->last_family = index;
	if (r < 0) {
		note_failure(eyeballs, address, -r, now);
		eyeballs->hurry = true;
	}
	if (is_shortage(r)) {
		/* Nor will it be better for the others. */
		eyeballs->next[V6] = eyeballs->known[V6].count;
		eyeballs->next[V4] = eyeballs->known[V4].count;
	}
}

/* Begin what is due, then wait for what comes next. */
static void advance(struct eyeballs *eyeballs)
{
	unsigned index, ms;
	struct timeval wait;

	while (pick(eyeballs, &index)) {
		ms = wait_ms(eyeballs);
		if (ms > 0) {
			wait = (struct timeval){ 0, (suseconds_t)ms * 1000 };
			event_add(eyeballs->timer, &wait);
			return;
		}
		start_next(eyeballs, index);
	}
	event_del(eyeballs->timer);
	if (eyeballs->running == 0 && eyeballs->told[V6] && eyeballs->told[V4]) {
		eyeballs->over = true;
		event_active(eyeballs->timer, EV_TIMEOUT, 0);
	}
}

static void on_timer(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct eyeballs *eyeballs = arg;

	if (eyeballs->over)
		eyeballs->done(eyeballs->arg, -1, NULL, 0);
	else
		advance(eyeballs);
}

int eyeballs_new(struct event_base *base, uint16_t port, unsigned *in_all, eyeballs_done *done,
		 void *arg, struct eyeballs **ret_eyeballs)
{
	struct eyeballs *eyeballs = calloc(1, sizeof(*eyeballs));

	if (!eyeballs)
		return -ENOMEM;
	eyeballs->base = base;
	eyeballs->port = port;
	eyeballs->in_all = in_all;
	eyeballs->done = done;
	eyeballs->arg = arg;
	TAILQ_INIT(&eyeballs->attempts);
	eyeballs->timer = event_new(base, -1, 0, on_timer, eyeballs);
	if (!eyeballs->timer) {
		free(eyeballs);
		return -ENOMEM;
	}
	*ret_eyeballs = eyeballs;
	return 0;
}

struct eyeballs *eyeballs_free(struct eyeballs *eyeballs)
{
	struct eyeballs_attempt *attempt, *next;

	if (!eyeballs)
		return NULL;
	for (attempt = TAILQ_FIRST(&eyeballs->attempts); attempt; attempt = next) {
		next = TAILQ_NEXT(attempt, next);
		forget(eyeballs, attempt);
	}
	event_free(eyeballs->timer);
	free(eyeballs);
	return NULL;
}

void eyeballs_add(struct eyeballs *eyeballs, unsigned index, const struct addresses *addresses)
{
	assert(!eyeballs->told[index]);
	eyeballs->known[index] = *addresses;
	eyeballs->told[index] = true;
	if (eyeballs->told_us == 0)
		eyeballs->told_us = clock_us();
	advance(eyeballs);
}

bool eyeballs_has(const struct eyeballs *eyeballs, unsigned index)
{
	return eyeballs->told[index];
}

void eyeballs_give_up(struct eyeballs *eyeballs)
{
	struct eyeballs_attempt *attempt, *next;

	for (attempt = TAILQ_FIRST(&eyeballs->attempts); attempt; attempt = next) {
		next = TAILQ_NEXT(attempt, next);
		note_failure(eyeballs, &attempt->address, ETIMEDOUT, attempt->started_us);
		forget(eyeballs, attempt);
	}
	event_del(eyeballs->timer);
	eyeballs->over = true;
}
