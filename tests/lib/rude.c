/*
 * rude: a program that does to the broker what a hostile one would, with the real protocol's
 * messages (wire/messages.h) but without the library's manners.
 *
 *   rude --socket PATH [--count N] [--port P] HOW
 *
 *   quiet     N connections that say nothing, until the broker ends them
 *   junk      messages of all sizes with random content, before and after the hello
 *   fdflood   messages with many more descriptors than allowed
 *   oddfds    sessions on descriptors that are no session's socket
 *   flips     a good conversation with each bit of it wrong in turn
 *   scribble  sessions with a server at P whose shared memory is overwritten
 *   storm     bells without an end, for a second
 *
 * What the broker must do is hang up, soon: exit status 0 when it always did.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "ring/page.h"
#include "tests/lib/pattern.h"
#include "tests/lib/raw.h"

#define SOON_MS   2000
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

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", 1, NULL, 's' }, { "count", 1, NULL, 'c' }, { "port", 1, NULL, 'p' }, { 0 }
	};
	static const struct {
		const char *name;
		void (*be)(struct rude *rude);
	} ways[] = {
		{ "quiet", be_quiet }, { "junk", be_junk },         { "fdflood", be_flood_of_fds },
		{ "oddfds", be_odd },  { "flips", be_flipping },    { "scribble", be_scribbling },
		{ "storm", be_storm },
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
