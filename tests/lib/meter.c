/*
 * meter: a user who notices when another one hurts him.
 *
 *   meter --socket PATH [--rate N] [--open] HOST PORT
 *
 * N requests of 64 bytes in a second (0: one after the other, as fast as they go), each answered by
 * tlspeer's echo: on one session, or with --open each on a new session of a new connection to the
 * broker.  A request is due at its time whether the one before it was late or not, and its latency
 * counts from then: who is held up for a second is late two hundred times, and not once.
 *
 * At each SIGUSR1 it prints a line about the time since the last one, and at SIGTERM it ends:
 *
 *   window ms=M done=N failed=N rate=N p50_us=N p99_us=N max_us=N
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <time.h>

#include "tests/lib/pattern.h"
#include "tlsbroker.h"

#define LATENCIES  (1024 * 1024) /* of one window; more are not looked at */
#define REQUEST    64
#define PATIENCE_MS 20000

struct meter {
	const char *socket, *host, *port;
	unsigned rate;
	int each_opens;
	struct tlsb *broker;
	struct tlsb_session *tls;
	uint64_t began_us, done, failed;
	uint32_t *latencies;
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* ---- requests ---- */

static int move(struct meter *meter, char *bytes, size_t len,
		ssize_t (*mover)(struct tlsb_session *, char *, size_t))
{
	for (size_t at = 0; at < len;) {
		ssize_t n = mover(meter->tls, bytes + at, len - at);

		if (n <= 0)
			return -1;
		at += (size_t)n;
	}
	return 0;
}

static ssize_t reader(struct tlsb_session *tls, char *bytes, size_t len)
{
	return tlsb_read(tls, bytes, len);
}

static ssize_t writer(struct tlsb_session *tls, char *bytes, size_t len)
{
	return tlsb_write(tls, bytes, len);
}

static int request(struct meter *meter)
{
	struct pattern pattern = { .seed = meter->done };
	char sent[REQUEST], back[REQUEST];

	pattern_fill(&pattern, (uint8_t *)sent, sizeof(sent));
	if (move(meter, sent, sizeof(sent), writer) < 0 ||
	    move(meter, back, sizeof(back), reader) < 0)
		return -1;
	if (memcmp(sent, back, sizeof(sent)) != 0) {
		printf("not what was sent came back\n");
		exit(1);
	}
	return 0;
}

static void hang_up(struct meter *meter)
{
	tlsb_session_free(meter->tls);
	tlsb_close(meter->broker);
	meter->tls = NULL;
	meter->broker = NULL;
}

static int open_session(struct meter *meter)
{
	char echo[] = "echo\n";

	meter->broker = tlsb_open(meter->socket);
	meter->tls = meter->broker ? tlsb_session_new(meter->broker, NULL) : NULL;
	if (!meter->tls)
		return -1;
	tlsb_set_timeout(meter->tls, PATIENCE_MS);
	if (tlsb_connect(meter->tls, meter->host, meter->port) < 0)
		return -1;
	return move(meter, echo, sizeof(echo) - 1, writer);
}

static void complain(const struct meter *meter)
{
	printf("failed errno=%s text=%s\n", strerrorname_np(errno),
	       meter->tls ? tlsb_error_text(meter->tls) : "");
}

static int request_of_its_own(struct meter *meter)
{
	int r = open_session(meter);

	if (r == 0)
		r = request(meter);
	if (r < 0)
		complain(meter);
	hang_up(meter);
	return r;
}

static void count_request(struct meter *meter, uint64_t due)
{
	int r = meter->each_opens ? request_of_its_own(meter) : request(meter);

	if (r < 0 && !meter->each_opens) {
		complain(meter);
		exit(1);
	}
	if (r < 0)
		meter->failed++;
	else if (meter->done++ < LATENCIES)
		meter->latencies[meter->done - 1] = (uint32_t)(now_us() - due);
}

/* ---- windows ---- */

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void print_window(struct meter *meter)
{
	uint64_t now = now_us(), ms = (now - meter->began_us) / 1000;
	size_t count = meter->done < LATENCIES ? meter->done : LATENCIES;
	uint32_t *latencies = meter->latencies;

	qsort(latencies, count, sizeof(*latencies), by_size);
	if (count == 0)
		latencies[count++] = (uint32_t)(now - meter->began_us);
	printf("window ms=%lu done=%lu failed=%lu rate=%lu p50_us=%u p99_us=%u max_us=%u\n", ms,
	       meter->done, meter->failed, ms ? meter->done * 1000 / ms : 0,
	       latencies[count / 2], latencies[count * 99 / 100], latencies[count - 1]);
	meter->began_us = now;
	meter->done = meter->failed = 0;
}

/* Sleep until DUE, and print when asked to.  0: it is time to end. */
static int wait_until_due(struct meter *meter, const sigset_t *signals, uint64_t due)
{
	for (;;) {
		uint64_t now = now_us(), left = due > now ? due - now : 0;
		struct timespec pause = { (time_t)(left / 1000000), (long)(left % 1000000) * 1000 };
		int number = sigtimedwait(signals, NULL, &pause);

		if (number == SIGTERM)
			return 0;
		if (number == SIGUSR1)
			print_window(meter);
		else if (errno == EAGAIN)
			return 1;
	}
}

static void run(struct meter *meter, const sigset_t *signals)
{
	uint64_t due = meter->began_us = now_us();

	while (wait_until_due(meter, signals, due)) {
		count_request(meter, due);
		due = meter->rate ? due + 1000000 / meter->rate : now_us();
	}
}

static void usage(void)
{
	fprintf(stderr, "usage: meter --socket PATH [--rate N] [--open] HOST PORT\n");
	exit(2);
}

static void parse(struct meter *meter, int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", 1, NULL, 's' }, { "rate", 1, NULL, 'r' }, { "open", 0, NULL, 'o' }, { 0 }
	};

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 's': meter->socket = optarg; break;
		case 'r': meter->rate = (unsigned)atoi(optarg); break;
		case 'o': meter->each_opens = 1; break;
		default: usage();
		}
	}
	if (optind + 2 != argc)
		usage();
	meter->host = argv[optind];
	meter->port = argv[optind + 1];
}

int main(int argc, char **argv)
{
	struct meter meter = { .rate = 200 };
	sigset_t signals;

	parse(&meter, argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	meter.latencies = calloc(LATENCIES, sizeof(*meter.latencies));
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (!meter.latencies || (!meter.each_opens && open_session(&meter) < 0)) {
		complain(&meter);
		return 1;
	}
	printf("running\n");
	run(&meter, &signals);
	hang_up(&meter);
	free(meter.latencies);
	return 0;
}
