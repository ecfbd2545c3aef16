/*
 * mortal: programs that are killed, at each step of what programs do.
 *
 *   mortal --socket PATH [--deaths N] PORT
 *
 * PORT is tlspeer's.  A program is forked, goes as far as the step whose turn it is, and is killed
 * there, a random moment of up to two milliseconds later.  What the server sees is asked of the kernel
 * (/proc/net/tcp): within a second, its connection is not established any more.  A machine that does
 * other things as well may be late now and then: a death is late if three in a row were.
 *
 *   death step=NAME ms=N        the latest end after it
 *   done deaths=N late=N
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/pattern.h"
#include "tests/lib/raw.h"
#include "tlsbroker.h"

#define IN_TIME_MS  1000
#define TRIES       10
#define ESTABLISHED 1 /* as /proc/net/tcp has it */

struct mortal {
	const char *socket, *port;
	int fd; /* open until death */
	struct tlsb *broker;
	struct tlsb_session *tls;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- how far a program gets; each step takes the one before it ---- */

static void dials(struct mortal *mortal)
{
	mortal->fd = dial(mortal->socket);
}

static void says_hello(struct mortal *mortal)
{
	mortal->fd = hello(mortal->socket);
}

static void begins_session(struct mortal *mortal)
{
	mortal->fd = session(hello(mortal->socket));
}

static void asks_to_connect(struct mortal *mortal)
{
	mortal->broker = tlsb_open(mortal->socket);
	mortal->tls = tlsb_session_new(mortal->broker, NULL);
	tlsb_connect(mortal->tls, "localhost", mortal->port);
}

static void connects(struct mortal *mortal)
{
	mortal->broker = tlsb_open(mortal->socket);
	mortal->tls = tlsb_session_new(mortal->broker, NULL);
	tlsb_set_timeout(mortal->tls, -1);
	tlsb_connect(mortal->tls, "localhost", mortal->port);
}

static void shakes_hands(struct mortal *mortal)
{
	connects(mortal);
	tlsb_handshake(mortal->tls);
}

static void says(struct mortal *mortal, const char *command)
{
	shakes_hands(mortal);
	if (tlsb_write(mortal->tls, command, strlen(command)) < 0)
		_exit(1);
}

static void writes(struct mortal *mortal)
{
	says(mortal, "echo\nwhat is sent is lost");
}

/* The server does not read, and everything between is full. */
static void fills_its_ring(struct mortal *mortal)
{
	static const char bytes[65536];

	says(mortal, "silent\n");
	tlsb_set_timeout(mortal->tls, 300);
	while (tlsb_write(mortal->tls, bytes, sizeof(bytes)) > 0)
		;
}

static void is_sent_much(struct mortal *mortal)
{
	says(mortal, "source 100000000 1\n");
	tlsb_wait(mortal->tls, POLLIN, -1);
}

static void reads(struct mortal *mortal)
{
	char bytes[1000];

	is_sent_much(mortal);
	if (tlsb_read(mortal->tls, bytes, sizeof(bytes)) < 0)
		_exit(1);
}

static void shuts_down(struct mortal *mortal)
{
	writes(mortal);
	tlsb_shutdown(mortal->tls);
}

static void disconnects(struct mortal *mortal)
{
	writes(mortal);
	tlsb_disconnect(mortal->tls);
}

static const struct {
	const char *name;
	void (*run)(struct mortal *mortal);
} steps[] = {
	{ "dials", dials },
	{ "says_hello", says_hello },
	{ "begins_session", begins_session },
	{ "asks_to_connect", asks_to_connect },
	{ "connects", connects },
	{ "shakes_hands", shakes_hands },
	{ "writes", writes },
	{ "fills_its_ring", fills_its_ring },
	{ "is_sent_much", is_sent_much },
	{ "reads", reads },
	{ "shuts_down", shuts_down },
	{ "disconnects", disconnects },
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

/* ---- death ---- */

/* A program at its step; it says so, and is killed. */
static void kill_at(const struct mortal *mortal, unsigned step, unsigned us)
{
	struct mortal program = *mortal;
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		steps[step].run(&program);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		printf("failed step=%s: it did not get there\n", steps[step].name);
	close(ready[0]);
	usleep(us);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Connections that the server at PORT has. */
static unsigned established(unsigned port)
{
	FILE *file = fopen("/proc/net/tcp", "re");
	unsigned count = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		unsigned local, state;

		if (sscanf(line, " %*u: %*x:%x %*x:%*x %x", &local, &state) == 2)
			count += local == port && state == ESTABLISHED;
	}
	if (file)
		fclose(file);
	return count;
}

/* How long the server had its connection after the death; the kernel is asked again and again. */
static unsigned long long ends_after(unsigned port)
{
	uint64_t began = now_ms();

	while (established(port) > 0 && now_ms() - began < 60 * IN_TIME_MS)
		usleep(2000);
	return now_ms() - began;
}

/* 1: it ended in time. */
static int dies_well(const struct mortal *mortal, unsigned step, uint64_t *seed,
		     unsigned long long *latest)
{
	for (int i = 0; i < TRIES; i++) {
		unsigned long long ms;

		*seed = splitmix(*seed);
		kill_at(mortal, step, (unsigned)(*seed >> 16) % 2000);
		ms = ends_after((unsigned)strtoul(mortal->port, NULL, 10));
		*latest = ms > *latest ? ms : *latest;
		if (ms <= IN_TIME_MS)
			return 1;
	}
	printf("late step=%s\n", steps[step].name);
	return 0;
}

static void usage(void)
{
	fprintf(stderr, "usage: mortal --socket PATH [--deaths N] PORT\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "socket", 1, NULL, 's' },
						 { "deaths", 1, NULL, 'd' }, { 0 } };
	unsigned long long latest[STEPS] = { 0 };
	unsigned deaths = STEPS, late = 0;
	struct mortal mortal = { 0 };
	uint64_t seed = 1;

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 's': mortal.socket = optarg; break;
		case 'd': deaths = (unsigned)strtoul(optarg, NULL, 10); break;
		default: usage();
		}
	}
	if (!mortal.socket || optind + 1 != argc)
		usage();
	mortal.port = argv[optind];
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned i = 0; i < deaths; i++)
		late += !dies_well(&mortal, i % STEPS, &seed, &latest[i % STEPS]);
	for (unsigned i = 0; i < STEPS; i++)
		printf("death step=%s ms=%llu\n", steps[i].name, latest[i]);
	printf("done deaths=%u late=%u\n", deaths, late);
	return late > 0;
}
