/*
 * pulse: one session that sends a byte every few milliseconds to a server that echoes, and measures how
 * long each takes to come back.
 *
 *	pulse [--socket PATH] [--every MS] HOST PORT
 *
 * Prints "established"; on SIGTERM "pulse count=N median_us=N p90_us=N worst_us=N".
 * Exit status: 0, or 1 when the session failed.
 */
#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tlsbroker.h"

#define MOST 100000

static volatile sig_atomic_t stop;

static void on_term(int number)
{
	(void)number;
	stop = 1;
}

static long long now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static int by_size(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return x < y ? -1 : x > y;
}

static void report(long long *took, size_t count)
{
	qsort(took, count, sizeof(*took), by_size);
	printf("pulse count=%zu median_us=%lld p90_us=%lld worst_us=%lld\n", count,
	       count ? took[count / 2] : 0, count ? took[count * 9 / 10] : 0,
	       count ? took[count - 1] : 0);
}

static void fail(const struct tlsb_session *session, const char *what)
{
	printf("failed op=%s text=%s\n", what, tlsb_error_text(session));
	exit(1);
}

static void beat(struct tlsb_session *session, long every_ms)
{
	const struct timespec pause = { every_ms / 1000, every_ms % 1000 * 1000000 };
	static long long took[MOST];
	size_t count = 0;
	while (!stop && count < MOST) {
		long long began = now_us();
		char byte = (char)('a' + count % 26), back;

		if (tlsb_write(session, &byte, 1) != 1)
			fail(session, "write");
		if (tlsb_read(session, &back, 1) != 1)
			fail(session, "read");
		if (back != byte)
			errx(1, "another byte came back");
		took[count++] = now_us() - began;
		nanosleep(&pause, NULL);
	}
	report(took, count);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "socket", 1, NULL, 's' },
						 { "every", 1, NULL, 'e' },
						 { 0 } };
	struct sigaction action = { .sa_handler = on_term, .sa_flags = SA_RESTART };
	const char *socket_path = NULL;
	struct tlsb_session *session;
	struct tlsb *broker;
	long every_ms = 2;

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 's': socket_path = optarg; break;
		case 'e': every_ms = strtol(optarg, NULL, 10); break;
		default: return 2;
		}
	}
	if (optind != argc - 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGTERM, &action, NULL);
	broker = tlsb_open(socket_path);
	session = broker ? tlsb_session_new(broker, NULL) : NULL;
	if (!session)
		err(1, "session");
	tlsb_set_timeout(session, 30000);
	if (tlsb_connect(session, argv[optind], argv[optind + 1]) < 0 ||
	    tlsb_handshake(session) < 0 || tlsb_write(session, "echo\n", 5) != 5)
		fail(session, "handshake");
	printf("established\n");
	beat(session, every_ms);
	tlsb_session_free(session);
	tlsb_close(broker);
	return 0;
}
