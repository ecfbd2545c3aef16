/*
 * The clients' half of the benchmarks: one program for each way to do TLS, the same work in all.
 * A program includes this, defines struct backend and struct link and the functions below, and has
 * driver_main() as its main().
 *
 *	client down|up BYTES        one session; prints: seconds, this process's CPU seconds
 *	client used-down|made-up BYTES  the same, but the program looks at each byte, or makes it; with
 *	                            the broker where it stands, without a copy
 *	client ping COUNT           64 bytes there and back; prints: median, 99th percentile in µs
 *	client full|resumed COUNT   connect, handshake, 64 bytes there and back, close, one after the
 *	                            other; prints: how many per second
 *	client idle COUNT           prints "0"; at a line on standard input opens COUNT sessions and
 *	                            prints COUNT; holds them until standard input ends
 *	client first|first-resumed  connects and reads one byte, then writes one byte: for bench/spawn
 *
 * Then PORT, on 127.0.0.1, and TRUST, the file of CA certificates.  $BENCH_IDENTITY is the client
 * certificate to show: with the broker a name, else NAME.pem and NAME.key.
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

struct backend; /* what a process sets up once */
struct link;    /* one session */

/* Verify against TRUST; RESUME earlier sessions or never. */
static struct backend *backend_new(const char *port, const char *trust, int resume);
static void backend_free(struct backend *);

/* Connected, and the handshake done. */
static struct link *link_new(struct backend *);
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

static double now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
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

static void there_and_back(struct link *link)
{
	char packet[64] = "there and back";

	link_write(link, packet, sizeof(packet));
	read_all(link, packet, sizeof(packet));
	if (strcmp(packet, "there and back") != 0)
		die("the echo is not what was sent");
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

/* One step of a transfer; returns how many bytes it moved. */
static size_t move(struct link *link, enum work_kind kind, size_t len, int handled)
{
	static char buf[WORK_BYTES];

	if (handled)
		return kind == WORK_SOURCE ? link_use(link, len, use_words) :
					     link_make(link, len, make_words);
	if (kind == WORK_SOURCE)
		return link_read(link, buf, len);
	link_write(link, buf, len);
	return len;
}

static void run_bulk(struct backend *backend, enum work_kind kind, uint64_t bytes, int handled)
{
	struct link *link = link_new(backend);
	double start, cpu;
	uint64_t left = bytes;
	char byte;

	ask(link, WORK_ECHO, 64); /* the session is warm, tickets have come */
	there_and_back(link);
	start = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	ask(link, kind, bytes);
	while (left > 0)
		left -= move(link, kind, min_size(left, WORK_BYTES), handled);
	if (kind == WORK_SINK)
		read_all(link, &byte, 1);
	else if (used == 1)
		die("the server sends what no server sends"); /* so that nobody skips the sum */
	printf("%.6f %.6f\n", now(CLOCK_MONOTONIC) - start, now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	link_free(link);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void run_ping(struct backend *backend, unsigned count)
{
	double *took = calloc(count, sizeof(*took));
	struct link *link = link_new(backend);

	if (!took)
		die("no memory");
	ask(link, WORK_ECHO, 64 * (uint64_t)(count + 100));
	for (unsigned i = 0; i < 100; i++)
		there_and_back(link);
	for (unsigned i = 0; i < count; i++) {
		double start = now(CLOCK_MONOTONIC);

		there_and_back(link);
		took[i] = (now(CLOCK_MONOTONIC) - start) * 1e6;
	}
	qsort(took, count, sizeof(*took), compare);
	printf("%.3f %.3f\n", took[count / 2], took[count - 1 - count / 100]);
	link_free(link);
	free(took);
}

static struct link *visit(struct backend *backend)
{
	struct link *link = link_new(backend);

	ask(link, WORK_ECHO, 64);
	there_and_back(link);
	return link;
}

static void run_handshakes(struct backend *backend, unsigned count, int resumed)
{
	double start;

	link_free(visit(backend)); /* the first one can never be resumed */
	start = now(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < count; i++) {
		struct link *link = visit(backend);

		if (link_resumed(link) != resumed)
			die("a handshake was%s resumed", resumed ? " not" : "");
		link_free(link);
	}
	printf("%.3f\n", count / (now(CLOCK_MONOTONIC) - start));
}

static void run_idle(struct backend *backend, unsigned count)
{
	struct link **links = calloc(count, sizeof(*links));
	struct rlimit files;
	unsigned opened;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (!links)
		die("no memory");
	link_free(visit(backend));
	printf("0\n");
	fflush(stdout);
	if (getchar() == EOF)
		die("nobody measures");
	for (opened = 0; opened < count; opened++)
		links[opened] = visit(backend);
	printf("%u\n", opened);
	fflush(stdout);
	while (getchar() != EOF)
		;
	while (opened > 0)
		link_free(links[--opened]);
	free(links);
}

static void run_first(struct backend *backend, int resumed)
{
	struct link *link = link_new(backend);
	char byte;

	ask(link, WORK_SOURCE, 1);
	read_all(link, &byte, 1);
	if (write(STDOUT_FILENO, "!", 1) != 1)
		die("nobody listens");
	if (resumed >= 0 && link_resumed(link) != resumed)
		die("the handshake was%s resumed", resumed ? " not" : "");
	link_free(link);
}

static int usage(void)
{
	fprintf(stderr, "usage: client down|up|used-down|made-up BYTES|ping|full|resumed|idle COUNT PORT TRUST\n"
			"       client first|first-resumed PORT TRUST\n");
	return 2;
}

static int driver_main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int first = strncmp(what, "first", 5) == 0;
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	int resume = strcmp(what, "resumed") == 0 || strcmp(what, "first-resumed") == 0;
	struct backend *backend;

	if (argc != 5 - first)
		return usage();
	backend = backend_new(argv[3 - first], argv[4 - first], resume);
	if (first)
		run_first(backend, resume);
	else if (strcmp(what, "down") == 0)
		run_bulk(backend, WORK_SOURCE, count, 0);
	else if (strcmp(what, "up") == 0)
		run_bulk(backend, WORK_SINK, count, 0);
	else if (strcmp(what, "used-down") == 0)
		run_bulk(backend, WORK_SOURCE, count, 1);
	else if (strcmp(what, "made-up") == 0)
		run_bulk(backend, WORK_SINK, count, 1);
	else if (strcmp(what, "ping") == 0)
		run_ping(backend, (unsigned)count);
	else if (strcmp(what, "full") == 0 || resume)
		run_handshakes(backend, (unsigned)count, resume);
	else if (strcmp(what, "idle") == 0)
		run_idle(backend, (unsigned)count);
	else
		return usage();
	backend_free(backend);
	return 0;
}

#endif
