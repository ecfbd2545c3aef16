/*
 * rude: a program that does to the broker what a hostile one would, with the real protocol's
 * messages (wire/messages.h) but without the library's manners.
 *
 *   rude --socket PATH [--count N] [--port P] [--seed S] HOW
 *
 *   quiet     N connections that say nothing, until the broker ends them
 *   junk      messages of all sizes with random content, before and after the hello
 *   fdflood   messages with many more descriptors than allowed
 *   oddfds    sessions on descriptors that are no session's socket
 *   flips     a good conversation with each bit of it wrong in turn
 *   scribble  sessions with a server at P whose shared memory is overwritten
 *   storm     bells without an end, for a second
 *   replay    a whole conversation, N times, each with something in it wrong
 *   pidfds    N bells on a socket that brings a descriptor with each of them
 *   tenfds    N sessions with ten sockets, one hundred of them with two hundred and fifty
 *
 * What the broker must do is hang up, soon: exit status 0 when it always did.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "ring/page.h"
#include "tests/lib/pattern.h"
#include "tests/lib/raw.h"

#define SOON_MS   60000
#define PAGE_FILE (PAGE_BYTES + 2 * LIMIT_RING_MAX)

struct rude {
	const char *socket;
	unsigned count;
	uint16_t port;
	uint64_t seed;
	unsigned failures;
};

static void expect_hang_up(struct rude *rude, int fd, const char *what)
{
	if (!hung_up(fd, SOON_MS)) {
		printf("not hung up: %s\n", what);
		rude->failures++;
	}
}

/* ---- how to be rude ---- */

static void be_quiet(struct rude *rude)
{
	int *fds = calloc(rude->count, sizeof(*fds));

	if (!fds)
		abort();
	for (unsigned i = 0; i < rude->count; i++)
		fds[i] = dial(rude->socket);
	printf("connected %u\n", rude->count);
	for (unsigned i = 0; i < rude->count; i++) {
		if (!hung_up(fds[i], LIMIT_HELLO_MS + SOON_MS))
			rude->failures++;
		close(fds[i]);
	}
	free(fds);
}

static void be_junk(struct rude *rude)
{
	static const size_t sizes[] = { 1, 4, 7, 8, 9, 15, 16, 17, 64, 300, 4096, LIMIT_MESSAGE,
					LIMIT_MESSAGE + 1, LIMIT_MESSAGE + 64 };
	union message message;

	for (unsigned i = 0; i < 2 * 14 * 10; i++) {
		size_t size = sizes[i / 2 % 14];
		struct pattern noise = { .seed = rude->seed + i };
		int fd = i % 2 ? hello(rude->socket) : dial(rude->socket);

		pattern_fill(&noise, message.bytes, size);
		/* Every other time a type that exists. */
		if (i / 28 % 2 && size >= 4)
			message.header.type = (uint32_t)(i % CLIENT_MSG_COUNT);
		send_raw(fd, message.bytes, size, NULL, 0);
		expect_hang_up(rude, fd, "junk");
		close(fd);
	}
}

static void be_flood_of_fds(struct rude *rude)
{
	struct msg_empty body = { 0 };
	union message message;
	size_t len = put(&message, CLIENT_MSG_SESSION, &body, sizeof(body));
	int fds[MANY_FDS];

	for (unsigned i = 0; i < MANY_FDS; i++)
		fds[i] = STDERR_FILENO;
	for (unsigned i = 0; i < 100; i++) {
		unsigned count = i % 4 == 0 ? 2 : i % 4 == 1 ? 3 : i % 4 == 2 ? 50 : MANY_FDS;
		int fd = hello(rude->socket);

		send_raw(fd, message.bytes, len, fds, count);
		expect_hang_up(rude, fd, "descriptors");
		close(fd);
	}
}

static void odd_fd(struct rude *rude, int odd, const char *what)
{
	struct msg_empty body = { 0 };
	int fd = hello(rude->socket);

	say(fd, CLIENT_MSG_SESSION, &body, sizeof(body), odd);
	expect_hang_up(rude, fd, what);
	close(fd);
	if (odd > STDERR_FILENO)
		close(odd);
}

static void be_odd(struct rude *rude)
{
	int pair[2], self;

	odd_fd(rude, open("/dev/null", O_RDWR | O_CLOEXEC), "a device");
	odd_fd(rude, open("/", O_PATH | O_CLOEXEC), "a path");
	odd_fd(rude, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "a folder");
	odd_fd(rude, epoll_create1(EPOLL_CLOEXEC), "an epoll");
	odd_fd(rude, memfd_create("odd", MFD_CLOEXEC), "memory");
	odd_fd(rude, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "a TCP socket");
	odd_fd(rude, socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "an unconnected socket");
	if (pipe2(pair, O_CLOEXEC) == 0) {
		odd_fd(rude, pair[0], "a pipe");
		close(pair[1]);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
		odd_fd(rude, pair[0], "a stream");
		close(pair[1]);
	}
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0) {
		odd_fd(rude, pair[0], "datagrams");
		close(pair[1]);
	}
	/* The connection itself, and another one to the broker. */
	self = hello(rude->socket);
	odd_fd(rude, self, "another connection to the broker");
}

/* One bit of one message of a good conversation is wrong.  Some bits may be: a port, a deadline. */
static void be_flipping(struct rude *rude)
{
	union message good, bad;
	size_t len = connect_message(&good, "localhost", rude->port);

	for (size_t bit = 0; bit < len * 8; bit++) {
		int main_fd = hello(rude->socket), fd = session(main_fd);

		memcpy(&bad, &good, len);
		bad.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		send_raw(fd, bad.bytes, len, NULL, 0);
		/* Whatever it makes of that: when we hang up, it does. */
		shutdown(fd, SHUT_RDWR);
		close(fd);
		close(main_fd);
	}
	for (size_t cut = 0; cut < len; cut++) {
		int main_fd = hello(rude->socket), fd = session(main_fd);

		send_raw(fd, good.bytes, cut, NULL, 0);
		if (cut > 0)
			expect_hang_up(rude, fd, "a message that was cut");
		close(fd);
		close(main_fd);
	}
}

/* The shared memory of a new session; NULL when there is none.  *ret_fd is its socket. */
static struct control_page *open_memory(struct rude *rude, int main_fd, int *ret_fd, int *ret_memory)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	union message message;
	int fd = session(main_fd);
	struct pollfd waiter = { .fd = fd, .events = POLLIN };
	struct iovec iov = { .iov_base = message.bytes, .iov_len = sizeof(message.bytes) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	void *page;

	*ret_fd = fd;
	*ret_memory = -1;
	send_raw(fd, message.bytes, connect_message(&message, "localhost", rude->port), NULL, 0);
	if (poll(&waiter, 1, SOON_MS) <= 0 || recvmsg(fd, &msg, MSG_CMSG_CLOEXEC) <= 0 ||
	    !CMSG_FIRSTHDR(&msg) || message.header.type != CLIENT_MSG_OPENED)
		return NULL;
	memcpy(ret_memory, CMSG_DATA(&control.head), sizeof(int));
	page = mmap(NULL, PAGE_FILE, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_memory, 0);
	return page == MAP_FAILED ? NULL : page;
}

static void scribble(struct rude *rude, struct control_page *page, int memory, unsigned how)
{
	static const uint32_t edges[] = { 1, 0x7fffffff, 0x80000000, 0xffffffff, LIMIT_RING_MAX + 1 };
	uint32_t edge = edges[how / 8 % 5];
	struct pattern noise = { .seed = rude->seed + how };

	switch (how % 8) {
	case 0: atomic_store(&page->tx.head.value, edge); break;
	case 1: atomic_store(&page->rx.tail.value, edge); break;
	case 2: atomic_store(&page->tx.tail.value, edge); break;
	case 3: atomic_store(&page->rx.head.value, edge); break;
	case 4: pattern_fill(&noise, (uint8_t *)page, PAGE_BYTES); break;
	case 5: memset(page, 0xff, PAGE_BYTES); break;
	case 6: fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE_FILE); break;
	case 7: atomic_store(&page->worker_wants, edge); break;
	default: abort();
	}
}

static void be_scribbling(struct rude *rude)
{
	struct msg_empty bell = { 0 };

	for (unsigned how = 0; how < 8 * 5 * 3; how++) {
		int main_fd = hello(rude->socket), fd, memory;
		struct control_page *page = open_memory(rude, main_fd, &fd, &memory);

		if (!page) {
			printf("no memory\n");
			rude->failures++;
		} else {
			if (ftruncate(memory, 0) == 0) {
				printf("the memory can be cut short\n");
				rude->failures++;
			}
			/* Before, in, and after the handshake. */
			usleep(how / 40 * 5000);
			for (unsigned i = 0; i < 20; i++) {
				scribble(rude, page, memory, how);
				say(fd, CLIENT_MSG_BELL, &bell, sizeof(bell), -1);
			}
			munmap(page, PAGE_FILE);
			close(memory);
		}
		close(fd);
		close(main_fd);
	}
}

static void be_storm(struct rude *rude)
{
	struct msg_empty bell = { 0 };
	int main_fd = hello(rude->socket), fd, memory;
	struct control_page *page = open_memory(rude, main_fd, &fd, &memory);
	struct pollfd waiter = { .fd = fd, .events = POLLOUT };
	time_t end = time(NULL) + 2;
	unsigned long sent = 0;

	while (page && time(NULL) < end) {
		for (unsigned i = 0; i < 1000; i++)
			sent += say(fd, CLIENT_MSG_BELL, &bell, sizeof(bell), -1) == 0;
		poll(&waiter, 1, 100);
	}
	printf("sent %lu bells\n", sent);
}

/* ---- a conversation, recorded and replayed ---- */

#define SPOKEN 7

/* The first four go over the connection, the others over the session's socket. */
#define ON_MAIN 4

struct spoken {
	size_t len;
	uint8_t bytes[128];
};

static void record(struct spoken spoken[SPOKEN + 1], uint16_t port)
{
	static const uint32_t types[SPOKEN] = { CLIENT_MSG_HELLO,   CLIENT_MSG_LIFELINE,
						CLIENT_MSG_STATUS,  CLIENT_MSG_SESSION,
						CLIENT_MSG_CONNECT, CLIENT_MSG_BELL,
						CLIENT_MSG_DISCONNECT };
	const struct msg_hello magic = { PROTOCOL_MAGIC, PROTOCOL_VERSION };
	const struct msg_empty nothing = { 0 };
	union message message;

	for (unsigned i = 0; i < SPOKEN; i++) {
		if (types[i] == CLIENT_MSG_CONNECT)
			spoken[i].len = connect_message(&message, "localhost", port);
		else if (types[i] == CLIENT_MSG_HELLO)
			spoken[i].len = put(&message, types[i], &magic, sizeof(magic));
		else
			spoken[i].len = put(&message, types[i], &nothing, sizeof(nothing));
		memcpy(spoken[i].bytes, message.bytes, spoken[i].len);
	}
}

/* A bit flipped, a byte left out or twice, a message left out, twice, or in the place of another. */
static unsigned spoil(struct spoken spoken[SPOKEN + 1], struct pattern *random)
{
	uint64_t dice[4];
	unsigned i;

	pattern_fill(random, (uint8_t *)dice, sizeof(dice));
	i = (unsigned)(dice[0] % SPOKEN);
	struct spoken *one = &spoken[i];
	size_t at = (size_t)(dice[1] % one->len);

	switch (dice[2] % 8) {
	case 0:
		memmove(one->bytes + at, one->bytes + at + 1, --one->len - at);
		return SPOKEN;
	case 1:
		memmove(one->bytes + at + 1, one->bytes + at, one->len++ - at);
		return SPOKEN;
	case 2:
		memmove(one, one + 1, (SPOKEN - i - 1) * sizeof(*one));
		return SPOKEN - 1;
	case 3:
		memmove(one + 1, one, (SPOKEN - i) * sizeof(*one));
		return SPOKEN + 1;
	case 4:
		*one = spoken[dice[3] % SPOKEN];
		return SPOKEN;
	default:
		one->bytes[at] ^= (uint8_t)(1 << dice[3] % 8);
		return SPOKEN;
	}
}

/* Whatever comes of it: when we hang up, it is over.  What the daemon made of it, others judge. */
static void be_replaying(struct rude *rude)
{
	struct pattern random = { .seed = rude->seed };

	for (unsigned n = 0; n < rude->count; n++) {
		struct spoken spoken[SPOKEN + 1];
		int main_fd = dial(rude->socket), pair[2];
		unsigned count;

		record(spoken, rude->port);
		count = spoil(spoken, &random);
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
			abort();
		for (unsigned i = 0; i < count; i++) {
			const uint8_t type = spoken[i].bytes[0];
			bool brings = type == CLIENT_MSG_SESSION || type == CLIENT_MSG_LIFELINE;

			send_raw(i < ON_MAIN ? main_fd : pair[0], spoken[i].bytes, spoken[i].len,
				 &pair[1], brings);
		}
		close(pair[1]);
		/* Half of them are still there when the connection to the server is. */
		if (n % 2)
			hung_up(pair[0], 5);
		close(pair[0]);
		close(main_fd);
	}
}

/* ---- descriptors ---- */

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

/* With a session that is open, until the one who looks has seen it: standard input ends. */
static void be_bringing_pidfds(struct rude *rude)
{
	struct msg_empty nothing = { 0 };
	int main_fd = hello(rude->socket), pair[2], on = 1;
	union message message;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	if (setsockopt(pair[1], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on)) < 0)
		printf("this kernel has no SO_PASSPIDFD\n");
	say(main_fd, CLIENT_MSG_SESSION, &nothing, sizeof(nothing), pair[1]);
	close(pair[1]);
	send_raw(pair[0], message.bytes, connect_message(&message, "localhost", rude->port), NULL, 0);
	for (unsigned sent = 0; sent < rude->count;) {
		if (say(pair[0], CLIENT_MSG_BELL, &nothing, sizeof(nothing), -1) == 0)
			sent++;
		else if (errno != EAGAIN)
			break;
	}
	printf("rung\n");
	pause();
}

/* Hung up, or told that there was no room for what came. */
static bool is_refused(int fd)
{
	static union message said;
	struct pollfd waiter = { .fd = fd, .events = POLLIN };

	while (poll(&waiter, 1, SOON_MS) > 0) {
		ssize_t n = recv(fd, said.bytes, sizeof(said.bytes), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return true;
		if (n > 0 && said.header.type == CLIENT_MSG_REFUSED)
			return true;
	}
	return false;
}

static void be_bringing_ten(struct rude *rude)
{
	struct msg_empty nothing = { 0 };
	union message message;
	size_t len = put(&message, CLIENT_MSG_SESSION, &nothing, sizeof(nothing));
	int fds[MANY_FDS];

	for (unsigned i = 0; i < MANY_FDS; i++)
		fds[i] = STDERR_FILENO;
	for (unsigned i = 0; i < rude->count; i++) {
		int fd = hello(rude->socket);

		send_raw(fd, message.bytes, len, fds, i < 100 ? MANY_FDS : 10);
		rude->failures += !is_refused(fd);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", 1, NULL, 's' }, { "count", 1, NULL, 'c' }, { "port", 1, NULL, 'p' },
		{ "seed", 1, NULL, 'r' }, { 0 }
	};
	static const struct {
		const char *name;
		void (*be)(struct rude *rude);
	} ways[] = {
		{ "quiet", be_quiet }, { "junk", be_junk },         { "fdflood", be_flood_of_fds },
		{ "oddfds", be_odd },  { "flips", be_flipping },    { "scribble", be_scribbling },
		{ "storm", be_storm },   { "replay", be_replaying }, { "tenfds", be_bringing_ten },
		{ "pidfds", be_bringing_pidfds },
	};
	struct rude rude = { .count = 100, .seed = 1 };
	struct rlimit files;

	setvbuf(stdout, NULL, _IOLBF, 0);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 's')
			rude.socket = optarg;
		else if (c == 'c')
			rude.count = (unsigned)atoi(optarg);
		else if (c == 'r')
			rude.seed = strtoull(optarg, NULL, 0);
		else if (c == 'p')
			rude.port = (uint16_t)atoi(optarg);
	}
	for (size_t i = 0; rude.socket && optind < argc && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(argv[optind], ways[i].name) == 0) {
			ways[i].be(&rude);
			printf("done failures=%u\n", rude.failures);
			return rude.failures > 0;
		}
	}
	fprintf(stderr, "usage: rude --socket PATH [--count N] [--port P] HOW\n");
	return 2;
}
