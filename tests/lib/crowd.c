/*
 * crowd: hundreds of users with programs that come, work, stall, go and die, as a seed has it.
 *
 *   crowd --socket PATH [--users N] [--first UID] [--programs N] [--seed N] PORT...
 *
 * Keeps so many programs running until SIGTERM, each as one of N users from UID on: once everybody
 * had his turn, every fourth is the first user's.  A program has some sessions with servers (tlspeer) at these ports, or with port
 * 1, where nobody listens.  What comes back is checked.  Ends with
 *
 *   crowd programs=N killed=N sessions=N bytes=N stalled=N refused=N late=N wrong=N
 *
 * refused: by the broker, for want of something; late: a deadline passed; wrong: what never may be.
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/pattern.h"
#include "tlsbroker.h"

#define MOST_SESSIONS 24
#define MOST_PORTS    8
#define BLOCK         16384
#define PATIENCE_MS   60000
#define NOBODY        "1" /* tcpmux: no test listens there */

struct tally {
	atomic_ulong programs, killed, sessions, bytes, stalled, refused, late, wrong;
};

struct crowd {
	const char *socket, *ports[MOST_PORTS];
	unsigned port_count, users, programs;
	uid_t first;
	uint64_t seed;
	struct tally *tally;
};

struct program {
	struct crowd *crowd;
	uint64_t seed;
	struct tlsb *broker;
	struct tlsb_session *sessions[MOST_SESSIONS];
	unsigned refused; /* then it gives up */
};

static unsigned any(uint64_t *seed, unsigned below)
{
	*seed = splitmix(*seed);
	return (unsigned)((*seed >> 16) % below);
}

static void rest(unsigned ms)
{
	const struct timespec pause = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&pause, NULL);
}

/* ---- one program ---- */

/* Why a call failed, and whether that may be. */
static void note(struct program *program, const struct tlsb_session *tls, const char *what)
{
	struct tally *tally = program->crowd->tally;
	int error = errno;

	if (error == EMFILE || error == EAGAIN) {
		atomic_fetch_add(&tally->refused, 1);
		program->refused = 1;
	} else if (error == ETIMEDOUT) {
		atomic_fetch_add(&tally->late, 1);
	} else {
		atomic_fetch_add(&tally->wrong, 1);
	}
	printf("failed op=%s errno=%s text=%s\n", what, strerrorname_np(error),
	       tls ? tlsb_error_text(tls) : "");
}

static int say(struct tlsb_session *tls, const char *bytes, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = tlsb_write(tls, bytes + at, len - at);

		if (n < 0)
			return -1;
		at += (size_t)n;
	}
	return 0;
}

/* A session that says COMMAND to a server; NULL when that failed. */
static struct tlsb_session *begin(struct program *program, const char *command)
{
	struct crowd *crowd = program->crowd;
	struct tlsb_session *tls = tlsb_session_new(program->broker, NULL);

	if (!tls) {
		note(program, NULL, "new");
		return NULL;
	}
	tlsb_set_timeout(tls, PATIENCE_MS);
	if (tlsb_connect(tls, "localhost", crowd->ports[any(&program->seed, crowd->port_count)]) < 0 ||
	    tlsb_handshake(tls) < 0 || say(tls, command, strlen(command)) < 0) {
		note(program, tls, "begin");
		tlsb_session_free(tls);
		return NULL;
	}
	atomic_fetch_add(&crowd->tally->sessions, 1);
	return tls;
}

static void echo(struct program *program, struct tlsb_session *tls)
{
	static uint8_t out[BLOCK], in[BLOCK];
	size_t len = 1 + any(&program->seed, BLOCK), at = 0;
	struct pattern pattern = { .seed = program->seed };

	pattern_fill(&pattern, out, len);
	if (say(tls, (const char *)out, len) < 0) {
		note(program, tls, "write");
		return;
	}
	while (at < len) {
		ssize_t n = tlsb_read(tls, in + at, len - at);

		if (n <= 0) {
			note(program, tls, "read");
			return;
		}
		at += (size_t)n;
	}
	if (memcmp(in, out, len) != 0) {
		errno = EBADMSG;
		note(program, tls, "compare");
	}
	atomic_fetch_add(&program->crowd->tally->bytes, len);
}

/* Has a server send what nobody reads. */
static void stall(struct program *program)
{
	struct tlsb_session *tls = begin(program, "source 10000000 1\n");

	if (tls)
		atomic_fetch_add(&program->crowd->tally->stalled, 1);
	rest(500 + any(&program->seed, 2000));
	tlsb_session_free(tls);
}

static void knock(struct program *program)
{
	struct tlsb_session *tls = tlsb_session_new(program->broker, NULL);

	if (!tls)
		return;
	tlsb_set_timeout(tls, PATIENCE_MS);
	if (tlsb_connect(tls, "localhost", NOBODY) == 0 || errno != ECONNREFUSED)
		note(program, tls, "knock");
	tlsb_session_free(tls);
}

/* A session more, one less, or something with one of them. */
static void act(struct program *program)
{
	unsigned i = any(&program->seed, MOST_SESSIONS), way = any(&program->seed, 32);
	struct tlsb_session **tls = &program->sessions[i];

	if (way == 0) {
		stall(program);
	} else if (way == 1) {
		knock(program);
	} else if (!*tls) {
		*tls = begin(program, "echo\n");
	} else if (way < 6) {
		if (way < 4)
			tlsb_disconnect(*tls);
		tlsb_session_free(*tls);
		*tls = NULL;
	} else {
		echo(program, *tls);
	}
}

static void die(struct program *program)
{
	atomic_fetch_add(&program->crowd->tally->killed, 1);
	fflush(stdout);
	kill(getpid(), SIGKILL);
}

static void live(struct program *program)
{
	unsigned steps = 5 + any(&program->seed, 60), dies = any(&program->seed, 3) == 0;

	program->broker = tlsb_open(program->crowd->socket);
	if (!program->broker) {
		note(program, NULL, "open");
		return;
	}
	for (unsigned i = 0; i < steps && !program->refused; i++) {
		act(program);
		rest(any(&program->seed, 400));
	}
	if (dies)
		die(program);
	if (any(&program->seed, 2))
		return; /* the kernel tidies up */
	for (unsigned i = 0; i < MOST_SESSIONS; i++)
		tlsb_session_free(program->sessions[i]);
	tlsb_close(program->broker);
}

/* ---- all of them ---- */

static void become(uid_t uid)
{
	if (geteuid() != 0)
		return;
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		abort();
}

static void start(struct crowd *crowd, const sigset_t *signals)
{
	unsigned nth = (unsigned)atomic_fetch_add(&crowd->tally->programs, 1);
	struct program program = { .crowd = crowd };

	/* Everybody once, then anybody. */
	if (nth >= crowd->users)
		nth = any(&crowd->seed, 4) ? any(&crowd->seed, crowd->users) : 0;
	program.seed = crowd->seed = splitmix(crowd->seed);
	if (fork() != 0)
		return;
	sigprocmask(SIG_UNBLOCK, signals, NULL);
	become(crowd->first + nth);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* after the change of user, which clears it */
	live(&program);
	fflush(stdout);
	_exit(0);
}

static void run(struct crowd *crowd, const sigset_t *signals)
{
	struct tally *tally = crowd->tally;
	static const struct timespec now = { 0 };
	unsigned running = 0;

	while (sigtimedwait(signals, NULL, &now) != SIGTERM) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			running--;
		/* Not all at once: they come one after the other. */
		if (running < crowd->programs) {
			start(crowd, signals);
			running++;
		}
		rest(running < crowd->programs ? 20 : 5);
	}
	printf("crowd programs=%lu killed=%lu sessions=%lu bytes=%lu stalled=%lu refused=%lu late=%lu "
	       "wrong=%lu\n", tally->programs, tally->killed, tally->sessions, tally->bytes,
	       tally->stalled, tally->refused, tally->late, tally->wrong);
}

static void usage(void)
{
	fprintf(stderr, "usage: crowd --socket PATH [--users N] [--first UID] [--programs N]\n"
			"             [--seed N] PORT...\n");
	exit(2);
}

static void parse(struct crowd *crowd, int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", 1, NULL, 's' },   { "users", 1, NULL, 'u' }, { "first", 1, NULL, 'f' },
		{ "programs", 1, NULL, 'p' }, { "seed", 1, NULL, 'd' },  { 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 's': crowd->socket = optarg; break;
		case 'u': crowd->users = (unsigned)atoi(optarg); break;
		case 'f': crowd->first = (uid_t)atoi(optarg); break;
		case 'p': crowd->programs = (unsigned)atoi(optarg); break;
		case 'd': crowd->seed = strtoull(optarg, NULL, 10); break;
		default: usage();
		}
	}
	while (optind < argc && crowd->port_count < MOST_PORTS)
		crowd->ports[crowd->port_count++] = argv[optind++];
	if (!crowd->socket || crowd->port_count == 0 || crowd->users == 0)
		usage();
}

int main(int argc, char **argv)
{
	struct crowd crowd = { .users = 20, .first = 62000, .programs = 20, .seed = 1 };
	sigset_t signals;

	parse(&crowd, argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	crowd.tally = mmap(NULL, sizeof(*crowd.tally), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (crowd.tally == MAP_FAILED)
		return 2;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	run(&crowd, &signals);
	fflush(stdout);
	_exit(crowd.tally->wrong > 0 ? 1 : 0);
}
