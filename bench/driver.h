/*
 * The clients' half of the benchmarks: one program for each way to do TLS, the same work in all.
 * A program includes this, defines struct backend and struct link and the functions below, and has
 * driver_main() as its main().
 *
 *	client bulk down|up BYTES CHUNK SESSIONS copy|touch
 *	                     BYTES over all sessions, CHUNK of them with each call, in turns.  touch: the
 *	                     program looks at each byte, or makes it; with the broker where it stands,
 *	                     without a copy
 *	client ping COUNT BYTES SESSIONS
 *	                     BYTES there and back, COUNT times, over all sessions at once; says: median,
 *	                     99th and 99.9th percentile in us
 *	client shake full|resumed COUNT
 *	                     connect, handshake, 64 bytes there and back, close, one after the other;
 *	                     says: how many percent the server resumed
 *	client grow BYTES COUNT OPEN
 *	                     with OPEN other sessions that are idle, two acts: BYTES down, 16K at a time;
 *	                     then COUNT handshakes as in "shake full"
 *	client many BYTES COUNT SESSIONS
 *	                     three acts: BYTES down, over all sessions, 16K at a time; BYTES up; COUNT
 *	                     handshakes as in "shake full", SESSIONS of them at once, while those are open
 *	client idle COUNT    opens COUNT sessions
 *	client flood         takes what the server can send, until it is killed
 *	client first full|resumed
 *	                     connects and reads one byte
 *
 * Then PORT, on 127.0.0.1, and TRUST, the file of CA certificates.  $BENCH_IDENTITY is the client
 * certificate to show: with the broker a name, else NAME.pem and NAME.key.
 *
 * Says "ready" when the work can begin, which a line on standard input does (but "first" begins at once);
 * then a line when it is done, with numbers if there are any, and so on for the next act; and keeps
 * its sessions until standard input ends.  bench/conduct is on the other side.
 */
#ifndef TLSB_BENCH_DRIVER_H
#define TLSB_BENCH_DRIVER_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/work.h"

/* What one call reads or writes at the most. */
#define LARGEST (256 * 1024)

struct backend; /* what a process sets up once */
struct link;    /* one session */

/* Verify against TRUST; RESUME earlier sessions or never. */
static struct backend *backend_new(const char *port, const char *trust, int resume);
static void backend_free(struct backend *);

/* Many sessions at once are to follow: what has to be known for that is known. */
static void backend_greet(struct backend *);

/* Connect; WAIT for that, or only begin it.  Then finish the handshake. */
static struct link *link_begin(struct backend *, int wait);
static void link_finish(struct link *);
static int link_resumed(const struct link *);
static void link_free(struct link *);

/* Up to LEN bytes, at least one; blocks.  All of LEN bytes; blocks. */
static size_t link_read(struct link *, void *buf, size_t len);
static void link_write(struct link *, const void *buf, size_t len);

/* The same without a buffer of the caller's, where that can be: USE is given what came, MAKE the place
 * to fill.  Returns how many bytes were used or made. */
typedef void use_fn(const void *data, size_t len);
typedef void make_fn(void *data, size_t len);
static size_t link_use(struct link *, size_t len, use_fn *use);
static size_t link_make(struct link *, size_t len, make_fn *make);

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* "16K" and the like. */
static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	return *end == 'K' ? n << 10 : *end == 'M' ? n << 20 : n;
}

static void ask(struct link *link, enum work_kind kind, uint64_t count)
{
	struct work work = { .kind = kind, .count = count };

	link_write(link, &work, sizeof(work));
}

static void read_all(struct link *link, void *buf, size_t len)
{
	for (size_t have = 0; have < len;)
		have += link_read(link, (char *)buf + have, len - have);
}

static const char packet[64] = "there and back";

static void send_packet(struct link *link)
{
	link_write(link, packet, sizeof(packet));
}

static void receive_packet(struct link *link)
{
	char came[sizeof(packet)];

	read_all(link, came, sizeof(came));
	if (memcmp(came, packet, sizeof(came)) != 0)
		die("the echo is not what was sent");
}

/* Connected, and the handshake done. */
static struct link *link_new(struct backend *backend)
{
	struct link *link = link_begin(backend, 1);

	link_finish(link);
	return link;
}

/* A session that is warm: tickets have come. */
static struct link *visit(struct backend *backend)
{
	struct link *link = link_new(backend);

	ask(link, WORK_ECHO, sizeof(packet));
	send_packet(link);
	receive_packet(link);
	return link;
}

static struct link **visit_often(struct backend *backend, unsigned sessions)
{
	struct link **links = calloc(sessions, sizeof(struct link *));

	if (!links || sessions == 0)
		die("no memory, or no sessions");
	backend_greet(backend);
	for (unsigned i = 0; i < sessions; i++)
		links[i] = visit(backend);
	return links;
}

static void leave_all(struct link **links, unsigned sessions)
{
	for (unsigned i = 0; i < sessions; i++)
		link_free(links[i]);
	free(links);
}

static void say(const char *text)
{
	puts(text);
	fflush(stdout);
}

/* Until the next act is to begin. */
static void wait_for_start(void)
{
	if (getchar() == EOF)
		die("nobody measures");
}

static void be_ready(void)
{
	say("ready");
	wait_for_start();
}

/* Until it has been measured. */
static void wait_for_end(void)
{
	while (getchar() != EOF)
		;
}

static uint64_t used;

/* What a program does with its data, at the least: each byte passes its processor once. */
static void use_words(const void *data, size_t len)
{
	uint64_t sum = 0, word;

	for (size_t i = 0; i + sizeof(word) <= len; i += sizeof(word)) {
		memcpy(&word, (const char *)data + i, sizeof(word));
		sum ^= word;
	}
	used ^= sum;
}

static void make_words(void *data, size_t len)
{
	memset(data, (int)len, len);
}

static size_t min_size(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

static char buffer[LARGEST];

/* link_use() and link_make() where there is no way without a copy. */
__attribute__((unused)) static size_t use_a_copy(struct link *link, size_t len, use_fn *use)
{
	size_t done = link_read(link, buffer, min_size(len, LARGEST));

	use(buffer, done);
	return done;
}

__attribute__((unused)) static size_t make_a_copy(struct link *link, size_t len, make_fn *make)
{
	len = min_size(len, LARGEST);
	make(buffer, len);
	link_write(link, buffer, len);
	return len;
}

#include "bench/acts.h"

static int usage(void)
{
	fprintf(stderr, "usage: client bulk down|up BYTES CHUNK SESSIONS copy|touch PORT TRUST\n"
			"       client ping COUNT BYTES SESSIONS PORT TRUST\n"
			"       client shake full|resumed COUNT PORT TRUST\n"
			"       client grow BYTES COUNT OPEN PORT TRUST\n"
			"       client many BYTES COUNT SESSIONS PORT TRUST\n"
			"       client idle COUNT PORT TRUST\n"
			"       client flood PORT TRUST\n"
			"       client first full|resumed PORT TRUST\n");
	return 2;
}

static void raise_files(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static int driver_main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
	} tests[] = { { "bulk", 5 }, { "ping", 3 }, { "shake", 2 }, { "grow", 3 },
		      { "many", 3 }, { "idle", 1 }, { "flood", 0 }, { "first", 1 } };
	const char *what = argc > 1 ? argv[1] : "";
	char **args = argv + 2;
	struct backend *backend;
	unsigned i = 0;
	int resume;

	while (i < sizeof(tests) / sizeof(tests[0]) && strcmp(what, tests[i].name) != 0)
		i++;
	if (i == sizeof(tests) / sizeof(tests[0]) || argc != 2 + tests[i].args + 2)
		return usage();
	raise_files();
	resume = tests[i].args > 0 && strcmp(args[0], "resumed") == 0;
	backend = backend_new(argv[argc - 2], argv[argc - 1], resume);
	if (*what == 'b')
		run_bulk(backend, args);
	else if (*what == 'p')
		run_ping(backend, args);
	else if (*what == 's')
		run_shake(backend, (unsigned)number(args[1]));
	else if (*what == 'g')
		run_grow(backend, args);
	else if (*what == 'm')
		run_many(backend, args);
	else if (*what == 'i')
		run_idle(backend, (unsigned)number(args[0]));
	else if (strcmp(what, "flood") == 0)
		run_flood(backend);
	else
		run_first(backend, resume);
	backend_free(backend);
	return 0;
}

#endif
