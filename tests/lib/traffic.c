/*
 * traffic: N sessions at once in one process, through the public library, with reads and writes of
 * random sizes from 1 byte to 1 MiB; every byte is checked.
 *
 *	traffic [options] HOST PORT WORK...
 *
 *   down BYTES      tlspeer's source          get PATH       HTTP GET, body to its SHA-256
 *   up BYTES        tlspeer's sink            put PATH BYTES HTTP PUT
 *   echo BYTES      there and back; 0: until SIGTERM
 *   raw COMMAND     send the line, read to the end
 *
 * With --pause MS, it rests so long between its rounds, and an endless echo between its turns.
 * With --greeted, each client knows its badge, and how many workers that has, before its first session.
 * No session begins its work before all have finished their handshakes.  Prints "established N",
 * for each session that fails one line "failed ...", and at the end one line "done ...".
 * Exit status: 0 all went well, 1 not.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/pattern.h"
#include "tlsbroker.h"

#define CHUNK     (1024 * 1024)
#define REST_NS   200000 /* a poller's sleep when nothing moved */
#define SMALL_MAX 16384  /* largest write of an endless echo: it is to be lively */

enum work { DOWN, UP, ECHO, GET, PUT, RAW };
enum phase { CONNECT, HANDSHAKE, READY, TRANSFER, DONE, FAILED };

struct options {
	const char *socket, *host, *port, *path;
	enum work work;
	uint64_t bytes;
	unsigned sessions, clients, rounds;
	int pause_ms, timeout_ms, spin, info, separate, greeted;
	uint64_t seed;
	struct tlsb_config *config;
};

struct flow {
	struct tlsb_session *tls;
	enum phase phase;
	char line[256]; /* the first line, or HTTP's head */
	size_t line_len, line_sent;
	uint64_t sent, received, goal; /* payload bytes; what this round is to send */
	unsigned round;
	long long resume_at; /* between rounds */
	struct pattern out, in;
	EVP_MD_CTX *digest;
	size_t held; /* bytes of the pattern made, not yet taken */
	size_t held_at;
	uint8_t *hold;
	char head[512]; /* start of what came: HTTP's head, sink's answer */
	size_t head_len;
	int body;
	int asked_shut, shut; /* tlsb_shutdown() was called; and has succeeded */
};

static volatile sig_atomic_t stop;

static void on_term(int number)
{
	(void)number;
	stop = 1;
}

static long long now_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Any size from 1 to 1 MiB, small ones as often as large ones. */
static size_t random_size(uint64_t *seed)
{
	uint64_t r = *seed = splitmix(*seed);
	unsigned bits = (unsigned)(r % 21);

	return 1 + (size_t)((r >> 8) & (((uint64_t)1 << bits) - 1));
}

/* ---- failing ---- */

static int fail(struct flow *flow, unsigned number, const char *what)
{
	int error = errno;

	printf("failed session=%u at=%lld op=%s errno=%s code=%d received=%lu text=%s\n", number,
	       now_ms(CLOCK_REALTIME), what, strerrorname_np(error), tlsb_error_code(flow->tls),
	       flow->received, tlsb_error_text(flow->tls));
	flow->phase = FAILED;
	return 1;
}

static int fail_content(struct flow *flow, unsigned number, const char *what)
{
	errno = EBADMSG;
	return fail(flow, number, what);
}

/* ---- one session's steps; each returns 1 when something moved ---- */

static int step_connect(const struct options *options, struct flow *flow, unsigned number)
{
	/* A timeout is the broker's deadline, too. */
	tlsb_set_timeout(flow->tls, options->timeout_ms);
	if (tlsb_connect(flow->tls, options->host, options->port) < 0)
		return errno == EWOULDBLOCK ? 0 : fail(flow, number, "connect");
	tlsb_set_timeout(flow->tls, 0);
	flow->phase = HANDSHAKE;
	return 1;
}

static void show_info(const struct flow *flow)
{
	struct tlsb_info info;

	if (tlsb_info(flow->tls, &info, sizeof(info)) == 0)
		printf("info version=%x resumed=%u verified=%u cipher=%s alpn=%s address=%s\n",
		       info.version, info.resumed, info.verified, info.cipher, info.alpn,
		       info.address);
}

static int step_handshake(const struct options *options, struct flow *flow, unsigned number)
{
	if (tlsb_handshake(flow->tls) < 0)
		return errno == EWOULDBLOCK ? 0 : fail(flow, number, "handshake");
	if (options->info)
		show_info(flow);
	flow->phase = READY;
	return 1;
}

/* How much of the goal may be sent now: an endless echo keeps only a window under way. */
static uint64_t may_send(const struct options *options, const struct flow *flow)
{
	if (options->work != ECHO || options->bytes > 0)
		return flow->goal - flow->sent;
	return stop || flow->sent - flow->received >= SMALL_MAX ? 0 : SMALL_MAX;
}

static int step_write(const struct options *options, struct flow *flow, unsigned number,
		      uint64_t *seed)
{
	uint64_t room = may_send(options, flow);
	ssize_t n;

	if (flow->line_sent < flow->line_len) {
		n = tlsb_write(flow->tls, flow->line + flow->line_sent,
			       flow->line_len - flow->line_sent);
		if (n < 0)
			return errno == EWOULDBLOCK ? 0 : fail(flow, number, "write");
		flow->line_sent += (size_t)n;
		return 1;
	}
	if (flow->held == 0 && room > 0) {
		size_t want = random_size(seed);

		flow->held = want < room ? want : (size_t)room;
		flow->held_at = 0;
		pattern_fill(&flow->out, flow->hold, flow->held);
		if (options->work == UP || options->work == PUT)
			EVP_DigestUpdate(flow->digest, flow->hold, flow->held);
	}
	if (flow->held == 0)
		return 0;
	n = tlsb_write(flow->tls, flow->hold + flow->held_at, flow->held);
	if (n < 0)
		return errno == EWOULDBLOCK ? 0 : fail(flow, number, "write");
	flow->held -= (size_t)n;
	flow->held_at += (size_t)n;
	flow->sent += (uint64_t)n;
	return 1;
}

/* Payload that came: check it against the pattern, or add it to the checksum. */
static int accept_payload(const struct options *options, struct flow *flow, const uint8_t *data,
			  size_t len)
{
	flow->received += len;
	if (options->work == GET || options->work == DOWN)
		EVP_DigestUpdate(flow->digest, data, len);
	return options->work == GET || pattern_matches(&flow->in, data, len);
}

/* HTTP: what is in front of the empty line is the head. */
static int accept_http(const struct options *options, struct flow *flow, const uint8_t *data,
		       size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (flow->body)
			return accept_payload(options, flow, data + i, len - i);
		if (flow->head_len == sizeof(flow->head) - 1)
			return 0;
		flow->head[flow->head_len++] = (char)data[i];
		if (flow->head_len >= 4 &&
		    memcmp(flow->head + flow->head_len - 4, "\r\n\r\n", 4) == 0)
			flow->body = 1;
	}
	return 1;
}

static int accept_data(const struct options *options, struct flow *flow, const uint8_t *data,
		       size_t len)
{
	if (options->work == DOWN || options->work == ECHO)
		return accept_payload(options, flow, data, len);
	if (options->work == GET)
		return accept_http(options, flow, data, len);
	for (size_t i = 0; i < len && flow->head_len < sizeof(flow->head) - 1; i++)
		flow->head[flow->head_len++] = (char)data[i];
	flow->received += len;
	return 1;
}

/* The clean end has come: is everything there? */
static int whole(const struct options *options, struct flow *flow)
{
	char hex[65];

	switch (options->work) {
	case DOWN: return flow->received == options->bytes;
	case ECHO: return flow->received == flow->sent && flow->asked_shut;
	case GET: return strncmp(flow->head, "HTTP/1.1 200", 12) == 0 && flow->received > 0;
	case PUT: return strncmp(flow->head, "HTTP/1.1 20", 11) == 0;
	case RAW: return 1;
	case UP: break;
	}
	digest_end(flow->digest, hex);
	flow->digest = digest_new();
	flow->head[flow->head_len] = 0;
	if (strncmp(flow->head, hex, 64) != 0)
		return 0;
	printf("sha256 %s\n", hex);
	return 1;
}

static int step_read(const struct options *options, struct flow *flow, unsigned number,
		     uint64_t *seed, uint8_t *buffer)
{
	ssize_t n = tlsb_read(flow->tls, buffer, random_size(seed));

	if (n < 0)
		return errno == EWOULDBLOCK ? 0 : fail(flow, number, "read");
	if (n > 0)
		return accept_data(options, flow, buffer, (size_t)n)
			       ? 1
			       : fail_content(flow, number, "content");
	if (!whole(options, flow))
		return fail_content(flow, number, "short");
	flow->phase = DONE;
	return 1;
}

/* A round of the echo is back: wait, and go on, or end. */
static int step_round(const struct options *options, struct flow *flow)
{
	if (options->work != ECHO || options->bytes == 0 || flow->received < flow->goal ||
	    flow->round + 1 >= options->rounds)
		return 0;
	if (flow->resume_at == 0)
		flow->resume_at = now_ms(CLOCK_MONOTONIC) + options->pause_ms;
	if (now_ms(CLOCK_MONOTONIC) < flow->resume_at)
		return 0;
	flow->resume_at = 0;
	flow->round++;
	flow->goal += options->bytes;
	return 1;
}

/* All is sent: say so, where the other side waits for it. */
static int step_shutdown(const struct options *options, struct flow *flow, unsigned number)
{
	int endless = options->work == ECHO && options->bytes == 0;
	int last = options->work == UP ||
		   (options->work == ECHO && (endless ? stop : flow->round + 1 >= options->rounds));

	if (flow->shut || !last || flow->held > 0 || flow->line_sent < flow->line_len ||
	    (!endless && flow->sent < flow->goal))
		return 0;
	flow->asked_shut = 1; /* the server's end may come before we know that ours is out */
	if (tlsb_shutdown(flow->tls) < 0)
		return errno == EWOULDBLOCK ? 0 : fail(flow, number, "shutdown");
	flow->shut = 1;
	return 1;
}

static int step(const struct options *options, struct flow *flow, unsigned number, int started,
		uint64_t *seed, uint8_t *buffer)
{
	int moved;

	switch (flow->phase) {
	case CONNECT: return step_connect(options, flow, number);
	case HANDSHAKE: return step_handshake(options, flow, number);
	case READY:
		if (!started)
			return 0;
		flow->phase = TRANSFER;
		return 1;
	case TRANSFER:
		moved = step_round(options, flow);
		moved += step_write(options, flow, number, seed);
		if (flow->phase == TRANSFER)
			moved += step_shutdown(options, flow, number);
		if (flow->phase == TRANSFER)
			moved += step_read(options, flow, number, seed, buffer);
		return moved;
	default: return 0;
	}
}

/* ---- all of them ---- */

static void start_flow(const struct options *options, struct flow *flow, struct tlsb *broker,
		       unsigned number)
{
	uint64_t seed = options->seed + number;

	flow->tls = tlsb_session_new(broker, options->config);
	flow->hold = malloc(CHUNK);
	if (!flow->tls || !flow->hold) {
		perror("traffic: session");
		exit(1);
	}
	flow->digest = digest_new();
	flow->out.seed = flow->in.seed = seed;
	flow->goal = options->work == DOWN || options->work == GET || options->work == RAW
			     ? 0
			     : options->bytes;
	switch (options->work) {
	case DOWN:
		flow->line_len = (size_t)sprintf(flow->line, "source %lu %lu\n", options->bytes,
						 seed);
		break;
	case UP: flow->line_len = (size_t)sprintf(flow->line, "sink\n"); break;
	case ECHO: flow->line_len = (size_t)sprintf(flow->line, "echo\n"); break;
	case RAW:
		flow->line_len = (size_t)snprintf(flow->line, sizeof(flow->line), "%s\n",
						  options->path);
		break;
	default:
		flow->line_len = (size_t)snprintf(
			flow->line, sizeof(flow->line),
			"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
			"Content-Length: %lu\r\n\r\n",
			options->work == GET ? "GET" : "PUT", options->path, flow->goal);
	}
}

/* Sleep until some session can get further: by its descriptor, or without (spin). */
static void rest(const struct options *options, struct flow *flows, struct pollfd *polls)
{
	static const struct timespec pause = { .tv_nsec = REST_NS };
	int timeout = options->rounds > 1 ? 20 : 1000;
	nfds_t count = 0;

	if (options->spin) {
		nanosleep(&pause, NULL);
		return;
	}
	for (unsigned i = 0; i < options->sessions; i++) {
		/* One that waits for the others has nothing to do yet. */
		if (flows[i].phase < DONE && flows[i].phase != READY)
			polls[count++] = (struct pollfd){ .fd = tlsb_fd(flows[i].tls),
							  .events = POLLIN };
	}
	poll(polls, count, timeout);
}

/* Who is only there to be disturbed does not need all of a processor. */
static void rest_between_turns(const struct options *options)
{
	if (options->work == ECHO && options->bytes == 0 && options->pause_ms > 0 && !stop)
		usleep((useconds_t)options->pause_ms * 1000);
}

static unsigned count_phase(const struct options *options, const struct flow *flows,
			    enum phase phase)
{
	unsigned count = 0;

	for (unsigned i = 0; i < options->sessions; i++)
		count += flows[i].phase == phase;
	return count;
}

static void run(const struct options *options, struct flow *flows)
{
	struct pollfd *polls = calloc(options->sessions, sizeof(*polls));
	uint8_t *buffer = malloc(CHUNK);
	uint64_t seed = options->seed;
	int started = 0;

	if (!polls || !buffer)
		abort();
	for (;;) {
		unsigned over = count_phase(options, flows, DONE) +
				count_phase(options, flows, FAILED);
		int moved = 0;

		if (over == options->sessions)
			break;
		if (!started &&
		    count_phase(options, flows, READY) + over == options->sessions) {
			printf("established %u\n", options->sessions - over);
			started = 1;
		}
		for (unsigned i = 0; i < options->sessions; i++)
			moved += step(options, &flows[i], i, started, &seed, buffer);
		if (!moved)
			rest(options, flows, polls);
		else if (started)
			rest_between_turns(options);
	}
	free(polls);
	free(buffer);
}

static int report(const struct options *options, struct flow *flows)
{
	unsigned ok = count_phase(options, flows, DONE);
	uint64_t sent = 0, received = 0;
	char hex[65] = "";

	for (unsigned i = 0; i < options->sessions; i++) {
		sent += flows[i].sent;
		received += flows[i].received;
		digest_end(flows[i].digest, hex);
		tlsb_session_free(flows[i].tls);
		free(flows[i].hold);
	}
	printf("done ok=%u failed=%u sent=%lu received=%lu sha256=%s\n", ok,
	       options->sessions - ok, sent, received, hex);
	return ok == options->sessions ? 0 : 1;
}

static int work(struct options *options)
{
	struct flow *flows = calloc(options->sessions, sizeof(*flows));
	struct tlsb **brokers = calloc(options->clients, sizeof(struct tlsb *));
	int status;

	if (!flows || !brokers)
		abort();
	for (unsigned i = 0; i < options->clients; i++) {
		brokers[i] = tlsb_open(options->socket);
		if (!brokers[i]) {
			printf("failed client=%u errno=%s\n", i, strerrorname_np(errno));
			return 1;
		}
		if (options->greeted && !tlsb_badge(brokers[i])) {
			printf("failed client=%u errno=%s\n", i, strerrorname_np(errno));
			return 1;
		}
	}
	for (unsigned i = 0; i < options->sessions; i++)
		start_flow(options, &flows[i], brokers[i % options->clients], i);
	run(options, flows);
	status = report(options, flows);
	for (unsigned i = 0; i < options->clients; i++)
		tlsb_close(brokers[i]);
	free(brokers);
	free(flows);
	return status;
}

/* ---- the command line ---- */

static void usage(void)
{
	fprintf(stderr,
		"usage: traffic [--socket PATH] [--ca FILE] [--name NAME] [--sessions N]\n"
		"               [--clients N] [--processes N] [--rounds N] [--pause MS] [--timeout MS] [--spin]\n"
		"               [--no-resumption] [--insecure] [--info] [--seed N] [--identity NAME] [--greeted]\n"
		"               HOST PORT WORK...\n");
	exit(2);
}

static void set_ca(struct tlsb_config *config, const char *path)
{
	static char pem[1 << 20];
	FILE *file = fopen(path, "re");
	size_t len = file ? fread(pem, 1, sizeof(pem), file) : 0;

	if (len == 0 || tlsb_config_set_ca(config, pem, len) < 0) {
		perror(path);
		exit(1);
	}
	fclose(file);
}

static void parse_work(struct options *options, char **words, int count)
{
	static const struct {
		const char *name;
		enum work work;
		int has_path, has_bytes;
	} works[] = {
		{ "down", DOWN, 0, 1 }, { "up", UP, 0, 1 },   { "echo", ECHO, 0, 1 },
		{ "get", GET, 1, 0 },   { "put", PUT, 1, 1 }, { "raw", RAW, 1, 0 },
	};

	if (count < 4)
		usage();
	options->host = words[0];
	options->port = words[1];
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
		int at = 3;

		if (strcmp(works[i].name, words[2]) != 0)
			continue;
		if (3 + works[i].has_path + works[i].has_bytes != count)
			usage();
		options->work = works[i].work;
		if (works[i].has_path)
			options->path = words[at++];
		if (works[i].has_bytes)
			options->bytes = strtoull(words[at], NULL, 10);
		return;
	}
	usage();
}

/* Returns how many processes to run. */
static unsigned parse(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {
		{ "socket", 1, NULL, 's' },   { "ca", 1, NULL, 'c' },       { "name", 1, NULL, 'n' },
		{ "sessions", 1, NULL, 'N' }, { "clients", 1, NULL, 'C' },  { "processes", 1, NULL, 'P' },
		{ "rounds", 1, NULL, 'r' },   { "pause", 1, NULL, 'p' },    { "spin", 0, NULL, 'S' },
		{ "insecure", 0, NULL, 'i' }, { "info", 0, NULL, 'I' },     { "seed", 1, NULL, 'd' },
		{ "no-resumption", 0, NULL, 'R' }, { "timeout", 1, NULL, 't' },
		{ "identity", 1, NULL, 'y' }, { "greeted", 0, NULL, 'g' }, { 0 },
	};
	unsigned processes = 1;

	for (int c; (c = getopt_long(argc, argv, "+", names, NULL)) != -1;) {
		switch (c) {
		case 's': options->socket = optarg; break;
		case 'c': set_ca(options->config, optarg); break;
		case 'n':
			if (tlsb_config_set_server_name(options->config, optarg) < 0)
				err(1, "--name");
			break;
		case 'y':
			if (tlsb_config_set_identity(options->config, optarg) < 0)
				err(1, "--identity");
			break;
		case 'N': options->sessions = (unsigned)atoi(optarg); break;
		case 'C': options->clients = (unsigned)atoi(optarg); break;
		case 'P': processes = (unsigned)atoi(optarg); break;
		case 'r': options->rounds = (unsigned)atoi(optarg); break;
		case 'p': options->pause_ms = atoi(optarg); break;
		case 't': options->timeout_ms = atoi(optarg); break;
		case 'S': options->spin = 1; break;
		case 'i': tlsb_config_insecure_no_verify(options->config); break;
		case 'I': options->info = 1; break;
		case 'g': options->greeted = 1; break;
		case 'd': options->seed = strtoull(optarg, NULL, 10); break;
		case 'R': tlsb_config_set_resumption(options->config, 0); break;
		default: usage();
		}
	}
	parse_work(options, argv + optind, argc - optind);
	return processes;
}

int main(int argc, char **argv)
{
	struct options options = { .sessions = 1, .clients = 1, .rounds = 1, .seed = 1,
				   .config = tlsb_config_new() };
	struct sigaction action = { .sa_handler = on_term };
	struct rlimit files = { 0 };
	unsigned processes;
	int status = 0, one;

	if (!options.config)
		abort();
	processes = parse(&options, argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGTERM, &action, NULL);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (unsigned i = 1; i < processes; i++) {
		options.seed += 1000;
		if (fork() == 0) {
			status = work(&options);
			tlsb_config_free(options.config);
			exit(status);
		}
	}
	options.seed += 1000;
	status = work(&options);
	tlsb_config_free(options.config);
	while (wait(&one) > 0)
		status |= one != 0;
	return status;
}
