/*
 * flood: a user who does one rude thing with several processes, as fast as the broker lets him.
 *
 *   flood --socket PATH [--processes N] [--count N] [--port P] HOW
 *
 *   idle      N connections in each process that say nothing; each that ends is made again
 *   half      a message that is none, of less than a header, and then silence
 *   fds       250 descriptors in each message
 *   churn     connections that are closed again at once, some with a hello
 *   sessions  N sessions on each connection, every other one to P; then all are dropped
 *   unread    N sessions with P on each connection, of which nothing is ever read; they stay
 *   dials     N sessions on each connection to 192.0.2.7, which does not answer; then all are dropped
 *   bells     a session with P, and bells without an end
 *   status    N sessions, and questions what they do, the answers of which are read slowly
 *
 * Until SIGTERM; then "flood attacks=N refused=N wrong=N".  An attack is a connection, a session, a
 * message with descriptors, a thousand bells or a question; a refusal is one that says EMFILE and
 * has a text; wrong is what the broker should not have done.  Exit status 0 when there was nothing
 * of it.
 */
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/lib/raw.h"
#include "tlsbroker.h"

#define DEAD_ADDRESS "192.0.2.7"
#define PATIENCE_MS  60000 /* for an end that is due at once, on a machine that is flooded */

struct tally {
	atomic_ulong attacks, refused, wrong;
};

struct flood {
	const char *socket;
	unsigned processes, count;
	uint16_t port;
	struct tally *tally; /* of all processes */
};

static void wrong(const struct flood *flood, const char *what)
{
	if (atomic_fetch_add(&flood->tally->wrong, 1) < 10)
		printf("wrong: %s\n", what);
}

/* ---- ends ---- */

/* A refusal says EMFILE, by one of two codes, and a text for people. */
static int is_refusal(const union message *message, ssize_t len)
{
	struct msg_refused refused;
	size_t least = sizeof(message->header) + sizeof(refused);

	if (len <= (ssize_t)least || message->header.type != CLIENT_MSG_REFUSED)
		return 0;
	memcpy(&refused, message->bytes + sizeof(message->header), sizeof(refused));
	return refused.error == TLSB_E_QUOTA || refused.error == TLSB_E_RESOURCES;
}

/* What there is to read is read.  1: it has hung up. */
static int over(const struct flood *flood, int fd)
{
	static union message message;

	for (;;) {
		ssize_t n = recv(fd, message.bytes, sizeof(message.bytes), MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0)
			return 1;
		if (is_refusal(&message, n))
			atomic_fetch_add(&flood->tally->refused, 1);
	}
}

static void expect_end(const struct flood *flood, int fd, const char *what)
{
	struct pollfd waiter = { .fd = fd, .events = POLLIN };

	while (!over(flood, fd)) {
		if (poll(&waiter, 1, PATIENCE_MS) <= 0) {
			wrong(flood, what);
			break;
		}
	}
	close(fd);
}

/* ---- what floods ---- */

static void flood_idle(struct flood *flood)
{
	struct pollfd *polls = calloc(flood->count, sizeof(*polls));

	if (!polls)
		abort();
	for (unsigned i = 0; i < flood->count; i++)
		polls[i] = (struct pollfd){ .fd = dial(flood->socket), .events = POLLIN };
	for (;;) {
		poll(polls, flood->count, -1);
		for (unsigned i = 0; i < flood->count; i++) {
			if (!polls[i].revents || !over(flood, polls[i].fd))
				continue;
			atomic_fetch_add(&flood->tally->attacks, 1);
			close(polls[i].fd);
			polls[i].fd = dial(flood->socket);
		}
	}
}

static void flood_half(struct flood *flood)
{
	static const uint8_t nothing[sizeof(struct msg_header)] = { 0 };

	for (unsigned len = 0;; len = (len + 1) % sizeof(nothing)) {
		int fd = len % 2 ? dial(flood->socket) : hello(flood->socket);

		send_raw(fd, nothing, len, NULL, 0);
		expect_end(flood, fd, "half a header was waited for");
		atomic_fetch_add(&flood->tally->attacks, 1);
	}
}

static void flood_fds(struct flood *flood)
{
	struct msg_empty body = { 0 };
	union message message;
	size_t len = put(&message, CLIENT_MSG_SESSION, &body, sizeof(body));
	int fds[MANY_FDS];

	for (unsigned i = 0; i < MANY_FDS; i++)
		fds[i] = STDERR_FILENO;
	for (unsigned i = 0;; i++) {
		int fd = hello(flood->socket);

		send_raw(fd, message.bytes, len, fds, i % 2 ? MANY_FDS : 10);
		expect_end(flood, fd, "descriptors were taken");
		atomic_fetch_add(&flood->tally->attacks, 1);
	}
}

static void flood_churn(struct flood *flood)
{
	for (unsigned i = 0;; i++) {
		close(i % 2 ? dial(flood->socket) : hello(flood->socket));
		atomic_fetch_add(&flood->tally->attacks, 1);
	}
}

/* COUNT sessions on one connection, of which one in EACH asks for HOST. */
static void ask_for_many(struct flood *flood, int main_fd, int *fds, unsigned each, const char *host,
			 uint16_t port)
{
	union message message;
	size_t len = connect_message(&message, host, port);

	for (unsigned i = 0; i < flood->count; i++) {
		struct pollfd room = { .fd = main_fd, .events = POLLOUT };

		poll(&room, 1, 100);
		fds[i] = session(main_fd);
		if (i % each == 0)
			send_raw(fds[i], message.bytes, len, NULL, 0);
		atomic_fetch_add(&flood->tally->attacks, 1);
	}
}

static int *make_fds(const struct flood *flood)
{
	int *fds = calloc(flood->count, sizeof(*fds));

	if (!fds)
		abort();
	return fds;
}

/* The same, at once dropped. */
static void burst(struct flood *flood, unsigned each, const char *host, uint16_t port)
{
	int main_fd = hello(flood->socket), *fds = make_fds(flood);

	ask_for_many(flood, main_fd, fds, each, host, port);
	for (unsigned i = 0; i < flood->count; i++) {
		over(flood, fds[i]);
		close(fds[i]);
	}
	close(main_fd);
	free(fds);
}

static void flood_sessions(struct flood *flood)
{
	for (;;)
		burst(flood, 2, "localhost", flood->port);
}

static void flood_unread(struct flood *flood)
{
	ask_for_many(flood, hello(flood->socket), make_fds(flood), 1, "localhost", flood->port);
	for (;;)
		pause(); /* the sessions, and what waits in them, are there as long as this process */
}

static void flood_dials(struct flood *flood)
{
	for (;;)
		burst(flood, 1, DEAD_ADDRESS, 443);
}

static void flood_bells(struct flood *flood)
{
	struct msg_empty bell = { 0 };
	union message message;
	int main_fd = hello(flood->socket), fd = session(main_fd);

	send_raw(fd, message.bytes, connect_message(&message, "localhost", flood->port), NULL, 0);
	for (unsigned sent = 0;;) {
		struct pollfd waiter = { .fd = fd, .events = POLLIN | POLLOUT };

		poll(&waiter, 1, -1);
		if (waiter.revents & POLLIN && over(flood, fd)) {
			wrong(flood, "a session that rings too often was ended");
			return;
		}
		while (say(fd, CLIENT_MSG_BELL, &bell, sizeof(bell), -1) == 0)
			if (++sent % 1000 == 0)
				atomic_fetch_add(&flood->tally->attacks, 1);
	}
}

/* One answer in a while: the broker has to keep the rest, or the question. */
static void flood_status(struct flood *flood)
{
	struct msg_empty body = { 0 };
	static union message answer;
	int main_fd = hello(flood->socket);

	for (unsigned i = 0; i < flood->count; i++) {
		struct pollfd room = { .fd = main_fd, .events = POLLOUT };

		poll(&room, 1, PATIENCE_MS);
		session(main_fd); /* kept until we end */
	}
	for (;;) {
		say(main_fd, CLIENT_MSG_STATUS, &body, sizeof(body), -1);
		do {
			ssize_t n = recv(main_fd, answer.bytes, sizeof(answer.bytes), 0);
			struct msg_row row;

			if (n <= 0) {
				wrong(flood, "a question was not answered");
				return;
			}
			if (answer.header.type != CLIENT_MSG_ROW)
				continue;
			memcpy(&row, answer.bytes + sizeof(answer.header), sizeof(row));
			if (row.row.kind == ROW_END)
				break;
		} while (1);
		atomic_fetch_add(&flood->tally->attacks, 1);
	}
}

/* ---- processes ---- */

static const struct {
	const char *name;
	void (*run)(struct flood *flood);
} ways[] = {
	{ "idle", flood_idle },   { "half", flood_half },         { "fds", flood_fds },
	{ "churn", flood_churn }, { "sessions", flood_sessions }, { "dials", flood_dials },
	{ "bells", flood_bells }, { "status", flood_status },     { "unread", flood_unread },
};

static void run(struct flood *flood, void (*way)(struct flood *flood), const sigset_t *signals)
{
	int number;

	for (unsigned i = 0; i < flood->processes; i++) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			sigprocmask(SIG_UNBLOCK, signals, NULL);
			way(flood);
			_exit(0);
		}
	}
	printf("running\n");
	sigwait(signals, &number);
	/* The children go with us: what they hold is dropped all at once. */
	printf("flood attacks=%lu refused=%lu wrong=%lu\n", flood->tally->attacks,
	       flood->tally->refused, flood->tally->wrong);
	fflush(stdout);
	_exit(flood->tally->wrong > 0 ? 1 : 0);
}

static void usage(void)
{
	fprintf(stderr, "usage: flood --socket PATH [--processes N] [--count N] [--port P] HOW\n");
	exit(2);
}

static void parse(struct flood *flood, int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", 1, NULL, 's' }, { "processes", 1, NULL, 'P' },
		{ "count", 1, NULL, 'c' },  { "port", 1, NULL, 'p' }, { 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 's': flood->socket = optarg; break;
		case 'P': flood->processes = (unsigned)atoi(optarg); break;
		case 'c': flood->count = (unsigned)atoi(optarg); break;
		case 'p': flood->port = (uint16_t)atoi(optarg); break;
		default: usage();
		}
	}
	if (!flood->socket || optind + 1 != argc)
		usage();
}

int main(int argc, char **argv)
{
	struct flood flood = { .processes = 4, .count = 250 };
	struct rlimit files;
	sigset_t signals;

	parse(&flood, argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	flood.tally = mmap(NULL, sizeof(*flood.tally), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (flood.tally == MAP_FAILED)
		return 2;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(argv[optind], ways[i].name) == 0)
			run(&flood, ways[i].run, &signals);
	usage();
}
