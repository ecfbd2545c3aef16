/*
 * vandal: a program that turns against the memory that it shares with the broker.
 *
 *   vandal --socket PATH --port P [--seconds N] HOW
 *
 *   resize    every way to change the memory's size or seals; the session works afterwards
 *   reopen    opened again by its descriptor's name, with each right there is; and all overwritten
 *   punch     holes, for N seconds, under traffic
 *   scribble  every word and byte rewritten at full speed, for N seconds, under traffic
 *   storm     bells on eight sessions as fast as they can be sent, for N seconds
 *   fill      a pattern in every byte of eight sessions' memory; and they are left
 *   look      eight sessions' memory is read as it comes: there is no such pattern in it
 *
 * Its server is tlspeer at P.  Prints "done ATTACKS", and exits with 0 when all went as it should: the
 * last three say what they found otherwise.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "ring/page.h"
#include "tests/lib/pattern.h"
#include "tests/lib/raw.h"

#define SOON_MS  60000
#define MANY     8
#define PATTERN  0xa5 /* what "fill" leaves, and "look" looks for */

struct vandal {
	const char *socket;
	uint16_t port;
	unsigned seconds;
	int main_fd;
	unsigned long attacks;
	uint64_t seed;
};

/* One session; page is NULL when there is none. */
struct target {
	int fd, memory;
	uint32_t capacity;
	size_t len;
	struct control_page *page;
	uint8_t *tx, *rx;
};

static void fail(const char *what)
{
	printf("failed: %s: %s\n", what, strerrorname_np(errno));
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t next(struct vandal *vandal)
{
	return vandal->seed = splitmix(vandal->seed);
}

/* ---- sessions ---- */

/* OPENED, and the memory that comes with it. */
static int take_opened(struct target *target)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	union message message;
	struct pollfd waiter = { .fd = target->fd, .events = POLLIN };
	struct iovec iov = { .iov_base = message.bytes, .iov_len = sizeof(message.bytes) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	struct msg_opened opened;

	if (poll(&waiter, 1, SOON_MS) <= 0 || recvmsg(target->fd, &msg, MSG_CMSG_CLOEXEC) <= 0 ||
	    !CMSG_FIRSTHDR(&msg) || message.header.type != CLIENT_MSG_OPENED)
		return -1;
	memcpy(&opened, message.bytes + sizeof(message.header), sizeof(opened));
	memcpy(&target->memory, CMSG_DATA(&control.head), sizeof(int));
	target->capacity = opened.capacity;
	return 0;
}

static void open_target(struct vandal *vandal, struct target *target)
{
	union message message;
	void *page;

	*target = (struct target){ .fd = session(vandal->main_fd), .memory = -1 };
	send_raw(target->fd, message.bytes,
		 connect_message(&message, "localhost", vandal->port), NULL, 0);
	if (take_opened(target) < 0)
		fail("no memory");
	target->len = PAGE_BYTES + 2 * (size_t)target->capacity;
	page = mmap(NULL, target->len, PROT_READ | PROT_WRITE, MAP_SHARED, target->memory, 0);
	if (page == MAP_FAILED)
		fail("mmap");
	target->page = page;
	target->tx = (uint8_t *)page + PAGE_BYTES;
	target->rx = target->tx + target->capacity;
}

static void close_target(struct target *target)
{
	munmap(target->page, target->len);
	close(target->memory);
	close(target->fd);
}

static int ring_worker(const struct target *target)
{
	const struct msg_empty bell = { 0 };

	return say(target->fd, CLIENT_MSG_BELL, &bell, sizeof(bell), -1);
}

static void establish(struct vandal *vandal, struct target *target)
{
	const uint64_t end = now_ms() + SOON_MS;

	open_target(vandal, target);
	while (atomic_load(&target->page->state) != STATE_ESTABLISHED) {
		if (atomic_load(&target->page->ended) || now_ms() > end)
			fail("no handshake");
		usleep(200);
	}
}

static int has_hung_up(const struct target *target)
{
	static union message sink;
	ssize_t n;

	/* Bells are taken out, so that more of them fit in. */
	while ((n = recv(target->fd, sink.bytes, sizeof(sink.bytes), MSG_DONTWAIT)) > 0)
		;
	return n == 0 || errno != EAGAIN;
}

/* Say something to the echo, and hear it. */
static void expect_echo(const struct target *target)
{
	static const char line[] = "echo\nare you there?";
	const uint32_t len = sizeof(line) - 1, back = len - 5;
	const uint64_t end = now_ms() + SOON_MS;

	memcpy(target->tx, line, len);
	atomic_store(&target->page->tx.head.value, len);
	ring_worker(target);
	while (atomic_load(&target->page->rx.head.value) != back) {
		if (now_ms() > end)
			fail("no echo");
		usleep(200);
	}
	if (memcmp(target->rx, line + 5, back) != 0)
		fail("another echo");
}

/* ---- how to attack ---- */

static void must_fail(struct vandal *vandal, int result, const char *what)
{
	if (result >= 0)
		fail(what);
	vandal->attacks++;
}

static void be_resizing(struct vandal *vandal)
{
	static const int seals[] = { F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_SHRINK, F_SEAL_GROW };
	static const int modes[] = { 0, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE };
	struct target target;
	char name[64];

	establish(vandal, &target);
	for (unsigned i = 0; i < 64; i++) {
		off_t size = i < 4 ? (off_t)(i * PAGE_BYTES) : (off_t)(next(vandal) % (4 * target.len));

		if ((size_t)size != target.len)
			must_fail(vandal, ftruncate(target.memory, size), "ftruncate");
	}
	for (unsigned i = 0; i < 3; i++)
		must_fail(vandal, fallocate(target.memory, modes[i], (off_t)target.len, PAGE_BYTES),
			  "fallocate");
	for (unsigned i = 0; i < 4; i++)
		must_fail(vandal, fcntl(target.memory, F_ADD_SEALS, seals[i]), "F_ADD_SEALS");
	must_fail(vandal, (int)pwrite(target.memory, "x", 1, (off_t)target.len), "pwrite behind it");
	snprintf(name, sizeof(name), "/proc/self/fd/%d", target.memory);
	must_fail(vandal, open(name, O_RDWR | O_TRUNC | O_CLOEXEC), "O_TRUNC");
	must_fail(vandal, truncate(name, 0), "truncate");
	expect_echo(&target);
	close_target(&target);
}

/* The memory is ours to write: a second descriptor, by its name, gives us nothing more. */
static void be_reopening(struct vandal *vandal)
{
	static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR };
	static const char junk[PAGE_BYTES] = { 1 };

	for (unsigned i = 0; i < 3; i++) {
		struct target target;
		char name[64];
		int again;

		establish(vandal, &target);
		expect_echo(&target);
		snprintf(name, sizeof(name), "/proc/self/fd/%d", target.memory);
		again = open(name, flags[i] | O_CLOEXEC);
		if (again < 0)
			fail("open by name");
		vandal->attacks++;
		must_fail(vandal, ftruncate(again, 0), "ftruncate by name");
		for (size_t at = 0; at < target.len; at += sizeof(junk))
			(void)!pwrite(again, junk, sizeof(junk), (off_t)at);
		close(again);
		ring_worker(&target);
		if (i > 0 && !hung_up(target.fd, SOON_MS))
			fail("not ended, with a page of junk");
		close_target(&target);
	}
}

/* Traffic: what the words say is there to send is sent, and what is there to read is read. */
static void keep_busy(const struct target *target)
{
	struct control_page *page = target->page;

	atomic_store(&page->tx.head.value, atomic_load(&page->tx.tail.value) + target->capacity / 2);
	atomic_store(&page->rx.tail.value, atomic_load(&page->rx.head.value));
	ring_worker(target);
}

static void be_punching(struct vandal *vandal)
{
	const uint64_t end = now_ms() + vandal->seconds * UINT64_C(1000);

	while (now_ms() < end) {
		struct target target;

		establish(vandal, &target);
		expect_echo(&target);
		for (unsigned i = 0; i < 2000 && !has_hung_up(&target) && now_ms() < end; i++) {
			const off_t page = i % 100 == 99 ? 0 : 1; /* at times the words as well */

			if (fallocate(target.memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      page * PAGE_BYTES, (off_t)target.len - page * PAGE_BYTES) < 0)
				fail("punch");
			keep_busy(&target);
			vandal->attacks++;
		}
		close_target(&target);
	}
}

static void scribble_once(struct vandal *vandal, const struct target *target, unsigned how)
{
	static const uint32_t edges[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff,
					  LIMIT_RING_MAX + 1, LIMIT_RING_MAX };
	_Atomic uint32_t *words = (void *)target->page;
	uint64_t random = next(vandal);

	switch (how % 4) {
	case 0: /* words anywhere */
		atomic_store(&words[random % (PAGE_BYTES / 4)], edges[random >> 32 & 3]);
		break;
	case 1: /* possible, impossible, possible */
		keep_busy(target);
		atomic_store(&target->page->tx.head.value, edges[random % 7]);
		keep_busy(target);
		break;
	case 2: /* always possible, while the bytes change */
		memset(target->tx + random % (target->capacity / 2), (int)random, 4096);
		if (random % 64 == 0)
			keep_busy(target);
		break;
	default: /* which way it goes */
		atomic_store(&target->page->rx.tail.value, atomic_load(&target->page->rx.head.value) -
				     (uint32_t)(random % (2 * (uint64_t)target->capacity)));
	}
}

static void be_scribbling(struct vandal *vandal)
{
	const uint64_t end = now_ms() + vandal->seconds * UINT64_C(1000);

	for (unsigned how = 0; now_ms() < end; how++) {
		const uint64_t until = now_ms() + 50;
		struct target target;

		establish(vandal, &target);
		expect_echo(&target);
		while (!has_hung_up(&target) && now_ms() < until) {
			for (unsigned i = 0; i < 1000; i++)
				scribble_once(vandal, &target, how);
			ring_worker(&target);
		}
		close_target(&target);
		vandal->attacks++;
	}
}

static void be_storm(struct vandal *vandal)
{
	const uint64_t began = now_ms(), end = began + vandal->seconds * UINT64_C(1000);
	struct target targets[MANY];

	for (unsigned i = 0; i < MANY; i++)
		establish(vandal, &targets[i]);
	while (now_ms() < end) {
		for (unsigned i = 0; i < MANY * 1000; i++, vandal->attacks++) {
			const struct target *target = &targets[i % MANY];

			atomic_fetch_or(&target->page->program_wants, 7);
			ring_worker(target);
		}
	}
	printf("%lu bells a second\n", vandal->attacks * 1000 / (now_ms() - began));
	for (unsigned i = 0; i < MANY; i++) {
		if (has_hung_up(&targets[i]))
			fail("a session ended");
		expect_echo(&targets[i]);
		close_target(&targets[i]);
	}
}

static void be_filling(struct vandal *vandal)
{
	struct target targets[MANY];

	for (unsigned i = 0; i < MANY; i++) {
		establish(vandal, &targets[i]);
		memset(targets[i].page, PATTERN, targets[i].len);
	}
	for (unsigned i = 0; i < MANY; i++, vandal->attacks++)
		close_target(&targets[i]);
}

static void be_looking(struct vandal *vandal)
{
	for (unsigned i = 0; i < MANY; i++, vandal->attacks++) {
		struct target target;

		open_target(vandal, &target);
		for (size_t at = 0; at + 4 <= target.len; at++) {
			if (memcmp((uint8_t *)target.page + at, "\xa5\xa5\xa5\xa5", 4) == 0)
				fail("somebody else's bytes");
		}
		/* Nothing came yet: the rings are empty, and all zero. */
		for (size_t at = 0; at < 2 * (size_t)target.capacity; at++) {
			if (target.tx[at] != 0)
				fail("a byte from nowhere");
		}
		close_target(&target);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", 1, NULL, 's' }, { "port", 1, NULL, 'p' }, { "seconds", 1, NULL, 'n' }, { 0 }
	};
	static const struct {
		const char *name;
		void (*be)(struct vandal *vandal);
	} ways[] = {
		{ "resize", be_resizing }, { "reopen", be_reopening }, { "punch", be_punching },
		{ "scribble", be_scribbling }, { "storm", be_storm }, { "fill", be_filling },
		{ "look", be_looking },
	};
	struct vandal vandal = { .seconds = 1, .seed = 1 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 's')
			vandal.socket = optarg;
		else if (c == 'p')
			vandal.port = (uint16_t)atoi(optarg);
		else if (c == 'n')
			vandal.seconds = (unsigned)atoi(optarg);
	}
	for (size_t i = 0; vandal.socket && optind < argc && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(argv[optind], ways[i].name) == 0) {
			vandal.main_fd = hello(vandal.socket);
			ways[i].be(&vandal);
			printf("done %lu\n", vandal.attacks);
			return 0;
		}
	}
	fprintf(stderr, "usage: vandal --socket PATH --port P [--seconds N] HOW\n");
	return 2;
}
