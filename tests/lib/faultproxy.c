/*
 * faultproxy: a TCP proxy on the loopback that does one thing wrong, one thread for each connection.
 *
 *	faultproxy --to PORT [--from server|client] [--at BYTE] [--step BYTES] FAULT
 *
 *   none                 nothing wrong
 *   cut, reset           at byte AT: FIN to both, or RST to both
 *   flip                 the lowest bit of byte AT is wrong
 *   junk                 something that looks like a record stands before byte AT
 *   stall                nothing more, in either direction, but no end either
 *   dribble              from byte AT on, one byte at a time
 *   duplicate, reorder   the record in which byte AT is comes twice, or after the next one
 *
 * Bytes count from 0, in the stream of --from (the server's if not given).  With --step, AT grows by so
 * much from one connection to the next.  Prints "listening PORT", and for each connection's end one line
 * "connection at=AT server=BYTES client=BYTES".
 */
#include <err.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER 5
#define RECORD (HEADER + 16384 + 256) /* the longest that there may be (RFC 8446, 5.2) */
#define STACK  (256 * 1024)

enum side { SERVER, CLIENT };
enum fault { NONE, CUT, RESET, FLIP, JUNK, STALL, DRIBBLE, DUPLICATE, REORDER };

static const char *const faults[] = { "none",  "cut",     "reset",     "flip",   "junk",
				      "stall", "dribble", "duplicate", "reorder" };

struct proxy {
	uint16_t to;
	enum side from;
	enum fault fault;
	uint64_t at, step;
};

struct connection {
	struct proxy proxy;
	int fds[2]; /* by side */
	uint64_t passed[2];
	int done; /* the fault has happened */
	uint8_t held[RECORD], late[RECORD];
	size_t held_len, late_len;
};

/* Returns 0 when the connection is to end. */
static int say(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return 0;
		data += n;
		len -= (size_t)n;
	}
	return 1;
}

static void set_reset(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static int dribble(int fd, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!say(fd, data + i, 1))
			return 0;
	}
	return 1;
}

static void listen_until_client_goes(const struct connection *connection)
{
	char byte;

	while (recv(connection->fds[CLIENT], &byte, 1, 0) > 0)
		;
}

/* The fault is OFFSET bytes into DATA, which is on its way to FD. */
static int go_wrong(struct connection *connection, int fd, uint8_t *data, size_t len, size_t offset)
{
	static const uint8_t junk[] = { 0x17, 3, 3, 0, 16, 'j', 'u', 'n', 'k' };

	connection->done = 1;
	if (connection->proxy.fault == FLIP)
		data[offset] ^= 1;
	if (!say(fd, data, offset))
		return 0;
	data += offset;
	len -= offset;
	switch (connection->proxy.fault) {
	case CUT:
		shutdown(connection->fds[SERVER], SHUT_WR);
		shutdown(connection->fds[CLIENT], SHUT_WR);
		listen_until_client_goes(connection); /* unread bytes would make a reset of it */
		return 0;
	case RESET:
		set_reset(connection->fds[SERVER]);
		set_reset(connection->fds[CLIENT]);
		return 0;
	case JUNK:
		return say(fd, junk, sizeof(junk)) && say(fd, data, len);
	case STALL:
		/* Until the client has gone: it is the one whose patience is tested. */
		listen_until_client_goes(connection);
		return 0;
	case DRIBBLE:
		connection->done = 0;
		connection->proxy.at = connection->passed[connection->proxy.from];
		return dribble(fd, data, len);
	default:
		return say(fd, data, len);
	}
}

static int pass(struct connection *connection, enum side from, uint8_t *data, size_t len)
{
	const struct proxy *proxy = &connection->proxy;
	uint64_t begin = connection->passed[from];
	int to = connection->fds[!from];

	connection->passed[from] += len;
	if (connection->done || from != proxy->from || proxy->fault == NONE ||
	    proxy->at >= begin + len)
		return say(to, data, len);
	return go_wrong(connection, to, data, len, proxy->at > begin ? proxy->at - begin : 0);
}

/* One record, whole, in a direction in which records are disturbed. */
static int pass_record(struct connection *connection, uint8_t *record, size_t len)
{
	const struct proxy *proxy = &connection->proxy;
	uint64_t end = connection->passed[proxy->from] + len;
	int to = connection->fds[!proxy->from];
	int ok = 1;

	connection->passed[proxy->from] = end;
	if (!connection->done && proxy->at < end) {
		connection->done = 1;
		if (proxy->fault == DUPLICATE)
			return say(to, record, len) && say(to, record, len);
		memcpy(connection->late, record, len);
		connection->late_len = len;
		return 1;
	}
	ok = say(to, record, len);
	if (ok && connection->late_len > 0) {
		ok = say(to, connection->late, connection->late_len);
		connection->late_len = 0;
	}
	return ok;
}

/* Returns 0 when the connection is to end. */
static int pass_records(struct connection *connection, const uint8_t *data, size_t len)
{
	while (len > 0) {
		uint8_t *held = connection->held;
		size_t whole = HEADER, n;

		if (connection->held_len >= HEADER)
			whole += (size_t)held[3] << 8 | held[4];
		if (whole > sizeof(connection->held))
			return 0;
		n = whole - connection->held_len < len ? whole - connection->held_len : len;
		memcpy(held + connection->held_len, data, n);
		connection->held_len += n;
		data += n;
		len -= n;
		if (connection->held_len == whole && whole > HEADER) {
			connection->held_len = 0;
			if (!pass_record(connection, held, whole))
				return 0;
		}
	}
	return 1;
}

static int step(struct connection *connection, enum side from)
{
	int by_record = connection->proxy.fault >= DUPLICATE && from == connection->proxy.from;
	uint8_t data[4096];
	ssize_t n = recv(connection->fds[from], data, sizeof(data), 0);

	if (n <= 0)
		return 0;
	return by_record ? pass_records(connection, data, (size_t)n)
			 : pass(connection, from, data, (size_t)n);
}

/* One side's end is told to the other, and what that one still says is waited for. */
static void run(struct connection *connection)
{
	struct pollfd fds[2] = { { connection->fds[SERVER], POLLIN, 0 },
				 { connection->fds[CLIENT], POLLIN, 0 } };

	while (poll(fds, 2, -1) > 0) {
		for (enum side side = SERVER; side <= CLIENT; side++) {
			if (fds[side].revents && !step(connection, side))
				return;
		}
	}
}

static int dial(uint16_t port)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void *connection_thread(void *argument)
{
	struct connection *connection = argument;
	int one = 1;

	connection->fds[SERVER] = dial(connection->proxy.to);
	if (connection->fds[SERVER] >= 0) {
		for (enum side side = SERVER; side <= CLIENT; side++)
			setsockopt(connection->fds[side], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		run(connection);
		close(connection->fds[SERVER]);
	}
	printf("connection at=%lu server=%lu client=%lu\n", connection->proxy.at,
	       connection->passed[SERVER], connection->passed[CLIENT]);
	close(connection->fds[CLIENT]);
	free(connection);
	return NULL;
}

static void usage(void)
{
	fprintf(stderr, "usage: faultproxy --to PORT [--from server|client] [--at BYTE]\n"
			"                  [--step BYTES] FAULT\n");
	exit(2);
}

static void parse(struct proxy *proxy, int argc, char **argv)
{
	static const struct option options[] = { { "to", 1, NULL, 't' },   { "from", 1, NULL, 'f' },
						 { "at", 1, NULL, 'a' },   { "step", 1, NULL, 's' },
						 { 0 } };

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 't': proxy->to = (uint16_t)strtoul(optarg, NULL, 10); break;
		case 'f': proxy->from = strcmp(optarg, "client") == 0 ? CLIENT : SERVER; break;
		case 'a': proxy->at = strtoull(optarg, NULL, 10); break;
		case 's': proxy->step = strtoull(optarg, NULL, 10); break;
		default: usage();
		}
	}
	if (optind != argc - 1 || proxy->to == 0)
		usage();
	while (strcmp(faults[proxy->fault], argv[optind]) != 0) {
		if (++proxy->fault > REORDER)
			usage();
	}
}

static int listen_here(void)
{
	struct sockaddr_in name = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(name);

	if (fd < 0 || bind(fd, (struct sockaddr *)&name, len) < 0 || listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		err(1, "listen");
	printf("listening %d\n", ntohs(name.sin_port));
	return fd;
}

int main(int argc, char **argv)
{
	struct proxy proxy = { 0 };
	pthread_attr_t attributes;
	int listener;

	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(&proxy, argc, argv);
	listener = listen_here();
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	for (;;) {
		struct connection *connection = calloc(1, sizeof(*connection));
		pthread_t thread;

		if (!connection)
			abort();
		connection->proxy = proxy;
		connection->fds[CLIENT] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (connection->fds[CLIENT] < 0 ||
		    pthread_create(&thread, &attributes, connection_thread, connection) != 0)
			err(1, "connection");
		proxy.at += proxy.step;
	}
}
