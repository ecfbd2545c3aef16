/*
 * A program's memory runs out, or the kernel refuses it something, at every place in its use of the
 * library in turn, from tlsb_open() to tlsb_close(), while a real worker serves it.  Whatever fails:
 * a call says so, with an errno and, if the session is over, with a code and a text; the same call
 * again, a new session or a new handle works; nothing hangs and nothing is left behind; and a server
 * whose certificate is bad, or that the program's own CA did not sign, is never accepted.
 *
 * Only the library's own calls fail.  The worker, the server and the test are in the same thread, and
 * run when the library sleeps, or between two of its calls.
 */
#include "faults.h"

#include "tests/attacks.h"
#include "tests/unit/worker_rig.h"
#include "wire/errors.h"

#include <sys/un.h>

/* What has not happened after so many ms is not going to. */
#define PATIENCE_MS 60000

#define QUESTION "a question"

enum server { GOOD, STRANGE, MISNAMED };

struct trial {
	const char *name;
	enum server server;
	bool own_ca; /* the program brings the other root */
	bool bad;
	bool polls; /* an event loop; else calls that block */
};

struct bench {
	struct rig rig;
	struct testing_identity other_root, stranger, misnamed;
	SSL_CTX *servers[3];
	char *other_pem;
	char folder[32], path[64];
	int listener;
	struct peer peers[RIG_PEERS];
	unsigned peer_count;
	const struct trial *trial;
	/* what is tried */
	struct tlsb *tlsb;
	struct tlsb_config *config;
	struct tlsb_session *session;
	bool shaken; /* tlsb_handshake() has returned 0 */
	size_t echoed;
	unsigned failed, over, reopened, refused;
};

/* ---- the rest of the world ---- */

/* The frontdoor's part: who connects is the worker's client. */
static void let_in(struct bench *bench)
{
	const struct msg_client client = { .id = 1, .uid = 1000, .pid = 42 };
	int fd = accept4(bench->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	assert_int_equal(msg_send(bench->rig.frontdoor, &internal_messages, MSG_CLIENT, &client, NULL,
				  0, &fd),
			 0);
	fd_close(fd);
}

/* The connector's part: what is dialled is the trial's server. */
static void dial(struct bench *bench)
{
	uint64_t id = rig_dial(&bench->rig);
	struct peer *peer;
	int pair[2];

	if (id == 0)
		return;
	assert_true(bench->peer_count < RIG_PEERS);
	tcp_pair(pair);
	peer = &bench->peers[bench->peer_count];
	peer_init(peer, bench->servers[bench->trial->server], pair[1]);
	peer->echo = true;
	bench->rig.peers[bench->peer_count++] = peer;
	rig_dialed(&bench->rig, id, pair[0]);
}

static void turn(void *arg)
{
	struct bench *bench = arg;

	let_in(bench);
	rig_turn(&bench->rig);
	dial(bench);
}

static void listen_at(struct bench *bench)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(bench->folder, "/tmp/tlsb-faults-XXXXXX");
	assert_non_null(mkdtemp(bench->folder));
	snprintf(bench->path, sizeof(bench->path), "%s/socket", bench->folder);
	memcpy(address.sun_path, bench->path, strlen(bench->path) + 1);
	bench->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(bench->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(bench->listener, 64), 0);
}

static void bench_init(struct bench *bench, const struct trial *trial)
{
	struct testing_text pem = { 0 };

	*bench = (struct bench){ .trial = trial };
	/* Should a fault ever make "no verification" of a request, the worker would do it. */
	rig_init_with(&bench->rig, 1);
	bench->other_root = cert_new((struct cert_spec){ .name = "other root", .is_ca = true }, NULL);
	bench->stranger = cert_new((struct cert_spec){ .name = "leaf", .names = "DNS:server.example" },
				   &bench->other_root);
	bench->misnamed = cert_new((struct cert_spec){ .name = "leaf", .names = "DNS:other.example" },
				   &bench->rig.root);
	bench->servers[GOOD] = server_new(&bench->rig.leaf, NULL, NULL);
	bench->servers[STRANGE] = server_new(&bench->stranger, NULL, NULL);
	bench->servers[MISNAMED] = server_new(&bench->misnamed, NULL, NULL);
	for (size_t i = 0; i < LIMIT_TAIL / 64; i++) /* so that it is sent in parts */
		testing_append(&pem, "Text around a certificate, which nobody wants to read, of 64 B.\n", 64);
	testing_append_pem(&pem, bench->other_root.x509);
	bench->other_pem = pem.data;
	listen_at(bench);
	faults.full_is_full = true;
	faults.world = turn;
	faults.arg = bench;
}

static void bench_deinit(struct bench *bench)
{
	faults.world = NULL;
	close(bench->listener);
	unlink(bench->path);
	rmdir(bench->folder);
	free(bench->other_pem);
	for (size_t i = 0; i < ARRAY_SIZE(bench->servers); i++)
		SSL_CTX_free(bench->servers[i]);
	testing_identity_free(&bench->other_root);
	testing_identity_free(&bench->stranger);
	testing_identity_free(&bench->misnamed);
	rig_deinit(&bench->rig);
}

/* ---- the program's steps: 0 or more, or -1 with errno ---- */

static int open_broker(struct bench *bench)
{
	bench->tlsb = tlsb_open(bench->path);
	return bench->tlsb ? 0 : -1;
}

static int watch_broker(struct bench *bench)
{
	return tlsb_broker_fd(bench->tlsb) >= 0 ? 0 : -1;
}

static int new_config(struct bench *bench)
{
	bench->config = tlsb_config_new();
	return bench->config ? 0 : -1;
}

static int set_ca(struct bench *bench)
{
	if (!bench->trial->own_ca)
		return 0;
	return tlsb_config_set_ca(bench->config, bench->other_pem, strlen(bench->other_pem));
}

static int set_others(struct bench *bench)
{
	int r = tlsb_config_set_server_name(bench->config, "server.example");

	return r == 0 ? tlsb_config_set_resumption(bench->config, 0) : r;
}

static int new_session(struct bench *bench)
{
	bench->session = tlsb_session_new(bench->tlsb, bench->config);
	return bench->session ? tlsb_set_timeout(bench->session, bench->trial->polls ? 0 : PATIENCE_MS) :
				-1;
}

static int connect_session(struct bench *bench)
{
	int r = tlsb_connect(bench->session, "alias.example", "443");

	/* Asked again after a failure that was not the session's: it may have got there. */
	return r < 0 && errno == EISCONN ? 0 : r;
}

static int shake(struct bench *bench)
{
	int r = tlsb_handshake(bench->session);

	bench->shaken |= r == 0;
	return r;
}

static int ask(struct bench *bench)
{
	ssize_t n = tlsb_write(bench->session, QUESTION, strlen(QUESTION));

	assert_true(n < 0 || n == (ssize_t)strlen(QUESTION));
	return n < 0 ? -1 : 0;
}

/* With tlsb_wait() where a program would block, without where it has a loop of its own. */
static int hear(struct bench *bench)
{
	char buf[64];
	ssize_t n;

	if (!bench->trial->polls && tlsb_wait(bench->session, POLLIN, PATIENCE_MS) < 0)
		return -1;
	n = tlsb_read(bench->session, buf, sizeof(buf));
	if (n < 0)
		return -1;
	assert_true((size_t)n <= strlen(QUESTION) - bench->echoed);
	assert_memory_equal(buf, QUESTION + bench->echoed, (size_t)n);
	bench->echoed += (size_t)n;
	if (n > 0 && bench->echoed == strlen(QUESTION))
		return 0;
	assert_true(n > 0); /* no end yet */
	errno = EWOULDBLOCK;
	return -1;
}

static int tell_facts(struct bench *bench)
{
	struct tlsb_info info;
	int r = tlsb_info(bench->session, &info, sizeof(info));

	assert_true(r < 0 || info.verified == 1);
	return r;
}

static int finish(struct bench *bench)
{
	return tlsb_shutdown(bench->session);
}

static int end_session(struct bench *bench)
{
	return tlsb_disconnect(bench->session);
}

static int free_session(struct bench *bench)
{
	tlsb_session_free(bench->session);
	bench->session = NULL;
	bench->shaken = false;
	bench->echoed = 0;
	return 0;
}

static int ask_badge(struct bench *bench)
{
	const char *badge = tlsb_badge(bench->tlsb);

	if (!badge)
		return -1;
	assert_string_equal(badge, "uid:1000");
	return 0;
}

static int free_config(struct bench *bench)
{
	tlsb_config_free(bench->config);
	bench->config = NULL;
	return 0;
}

static int close_broker(struct bench *bench)
{
	tlsb_close(bench->tlsb);
	bench->tlsb = NULL;
	return 0;
}

static int (*const steps[])(struct bench *bench) = {
	open_broker, watch_broker, new_config, set_ca,	    set_others,	  new_session, connect_session,
	shake,	     ask,	   hear,       tell_facts,  finish,	  end_session, free_session,
	ask_badge,   free_config,  close_broker,
};

static size_t index_of(int (*step)(struct bench *bench))
{
	size_t i = 0;

	while (steps[i] != step)
		i++;
	return i;
}

/* ---- one step after the other ---- */

static bool is_readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

/* As an event loop: sleep until the descriptor that the library gave us is readable. */
static void sleep_on(struct bench *bench, bool armed)
{
	uint64_t end = clock_ms() + PATIENCE_MS;
	int fd;

	if (armed)
		faults_arm();
	fd = tlsb_fd(bench->session);
	faults_disarm();
	do
		turn(bench);
	while (!is_readable(fd) && clock_ms() < end);
	assert_true(is_readable(fd)); /* else it would sleep for ever */
}

/* The call, and again as long as it says that it is not finished. */
static int take(struct bench *bench, size_t i, bool armed)
{
	uint64_t end = clock_ms() + PATIENCE_MS;
	int r, error;

	for (;;) {
		if (armed)
			faults_arm();
		errno = 0;
		r = steps[i](bench);
		error = errno;
		faults_disarm();
		turn(bench);
		if (r >= 0 || (error != EWOULDBLOCK && error != EINTR))
			break;
		assert_true(clock_ms() < end);
		if (bench->session && bench->trial->polls)
			sleep_on(bench, armed);
	}
	errno = error;
	return r;
}

/* Why a call failed, as a program would ask. */
static void expect_reason(struct bench *bench, size_t i)
{
	int error = errno, code = bench->session ? tlsb_error_code(bench->session) : TLSB_E_NONE;

	assert_int_not_equal(error, 0);
	assert_int_not_equal(error, ETIMEDOUT); /* that would be a hang */
	if (code != TLSB_E_NONE)
		assert_true(strlen(tlsb_error_text(bench->session)) > 10);
	if (getenv("FAULTS_TRACE"))
		fprintf(stderr, "step %zu: %s; %s\n", i, strerror(error),
			bench->session ? tlsb_error_text(bench->session) : "");
}

/* From step FROM on.  The step that failed, or how many there are. */
static size_t walk(struct bench *bench, size_t from, bool armed)
{
	size_t i = from;

	while (i < ARRAY_SIZE(steps) && take(bench, i, armed) >= 0)
		i++;
	if (i < ARRAY_SIZE(steps))
		expect_reason(bench, i);
	return i;
}

static bool is_over(struct bench *bench)
{
	return bench->session && tlsb_error_code(bench->session) != TLSB_E_NONE &&
	       tlsb_error_is_fatal(tlsb_error_code(bench->session));
}

/* Where a program goes on that was told of a failure at step AT. */
static size_t recover(struct bench *bench, size_t at)
{
	if (!is_over(bench))
		return at;
	bench->over++;
	free_session(bench);
	return index_of(new_session);
}

/* The handle is of no use any more: another one. */
static size_t reopen(struct bench *bench)
{
	bench->reopened++;
	free_session(bench);
	free_config(bench);
	close_broker(bench);
	return 0;
}

static void good_life(struct bench *bench)
{
	size_t at = walk(bench, 0, true);

	if (at == ARRAY_SIZE(steps))
		return;
	bench->failed++;
	at = walk(bench, recover(bench, at), false);
	if (at < ARRAY_SIZE(steps))
		at = walk(bench, reopen(bench), false);
	assert_int_equal(at, ARRAY_SIZE(steps));
}

/* The same server again, and now without a fault: the reason is the right one. */
static void expect_refused(struct bench *bench, size_t at)
{
	at = walk(bench, at, false);
	if (at < ARRAY_SIZE(steps) && !is_over(bench))
		at = walk(bench, reopen(bench), false);
	assert_true(at < ARRAY_SIZE(steps));
	assert_false(bench->shaken);
	assert_in_range(tlsb_error_code(bench->session), TLSB_E_CERT, TLSB_E_CERT_REVOCATION);
}

static void bad_life(struct bench *bench)
{
	size_t at = walk(bench, 0, true);
	int code;

	assert_true(at <= index_of(shake));
	assert_false(bench->shaken);
	code = bench->session ? tlsb_error_code(bench->session) : TLSB_E_NONE;
	if (code >= TLSB_E_CERT && code <= TLSB_E_CERT_REVOCATION) {
		bench->refused++;
	} else {
		bench->failed++;
		expect_refused(bench, recover(bench, at));
	}
	faults_arm(); /* it may be these that fail */
	free_session(bench);
	free_config(bench);
	close_broker(bench);
	faults_disarm();
}

/* ---- a sweep ---- */

static bool is_quiet(struct bench *bench)
{
	struct worker *worker = rig_worker(&bench->rig);

	return worker->quota.sessions == 0 && worker->client_count == 0 &&
	       rig_keeps_nothing(&bench->rig);
}

/* But for the channel that the worker has ready for the next session, or could not have. */
static int count_fds(struct bench *bench)
{
	return testing_count_fds() - (rig_worker(&bench->rig)->leisure.spare.page != NULL);
}

static void run(void *arg)
{
	struct bench *bench = arg;
	int fds = count_fds(bench);

	if (bench->trial->bad)
		bad_life(bench);
	else
		good_life(bench);
	for (unsigned i = 0; i < bench->peer_count; i++) {
		if (bench->trial->bad)
			assert_int_equal(bench->peers[i].got.len, 0);
		rig_forget(&bench->rig, &bench->peers[i]);
	}
	bench->peer_count = 0;
	let_in(bench);
	RIG_UNTIL(&bench->rig, is_quiet(bench));
	assert_int_equal(count_fds(bench), fds);
}

static const struct trial trials[] = {
	{ .name = "good, blocking" },
	{ .name = "good, polling", .polls = true },
	{ .name = "good by the program's own CA", .own_ca = true, .server = STRANGE, .polls = true },
	{ .name = "unknown CA", .server = STRANGE, .bad = true },
	{ .name = "wrong name, polling", .server = MISNAMED, .bad = true, .polls = true },
	{ .name = "not by the program's own CA", .own_ca = true, .server = GOOD, .bad = true },
};

static void sweep(enum faults_kind kind, bool lasting, unsigned long step)
{
	unsigned long all = 0;

	for (size_t i = 0; i < ARRAY_SIZE(trials); i++) {
		struct bench bench;
		unsigned long tried;

		alarm(TESTING_SECONDS);
		bench_init(&bench, &trials[i]);
		tried = faults_sweep(kind, lasting, step, run, &bench);
		printf("# %s: %lu faults; %u times a call failed, %u sessions were over, %u times "
		       "another handle was needed; refused for its certificate %u times\n",
		       trials[i].name, tried, bench.failed, bench.over, bench.reopened, bench.refused);
		all += tried;
		bench_deinit(&bench);
	}
	attacks_count("faults", all, all);
}

static void case_44_each_allocation_of_a_program_fails_once(void **state unused_)
{
	sweep(FAULTS_MEMORY, false, attacks_full() ? 1 : 2);
}

static void case_44_a_programs_memory_runs_out_and_stays_out(void **state unused_)
{
	sweep(FAULTS_MEMORY, true, attacks_full() ? 1 : 3);
}

static void case_45_each_system_call_of_a_program_fails_once(void **state unused_)
{
	sweep(FAULTS_SYSCALL, false, attacks_full() ? 1 : 11);
}

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>

/* Where nobody looks for a pointer. */
static uintptr_t hidden[16];

static __attribute__((noinline)) void leak(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		hidden[i] = ~(uintptr_t)tlsb_config_new();
}

/* What these sweeps find at their end they find: what the library's own calls leak is seen. */
static void case_44_an_intended_leak_is_noticed(void **state unused_)
{
	const char *options = getenv("ASAN_OPTIONS");

	if (!options || !strstr(options, "detect_leaks=1"))
		skip();
	assert_int_equal(__lsan_do_recoverable_leak_check(), 0);
	leak();
	assert_int_equal(__lsan_do_recoverable_leak_check(), 1);
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		tlsb_config_free((struct tlsb_config *)~hidden[i]);
	assert_int_equal(__lsan_do_recoverable_leak_check(), 0);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef __SANITIZE_ADDRESS__
		TEST(case_44_an_intended_leak_is_noticed),
#endif
		TEST(case_44_each_allocation_of_a_program_fails_once),
		TEST(case_44_a_programs_memory_runs_out_and_stays_out),
		TEST(case_45_each_system_call_of_a_program_fails_once),
	};

	faults_init();
	return testing_run(tests);
}
