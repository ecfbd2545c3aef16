/*
 * A worker runs out of memory, or the kernel refuses it something, at every place in the life of a
 * session in turn.  Whatever fails: it does not crash, the sessions that were there go on, the next
 * one works, nothing is left behind - and a server whose certificate is bad is never accepted.
 *
 * A worker that cannot even say that it failed may end itself, and is started again; in the rig that
 * is "lost".  How often is said, and bounded.
 */
#include "faults.h"

#include "tests/attacks.h"
#include "tests/unit/psk_rig.h"
#include "tests/unit/testing_ocsp.h"
#include "tests/unit/worker_rig.h"
#include "wire/errors.h"

/* What has not happened after so many turns, or ms, is not going to. */
#define TURNS 60
#define PATIENCE_MS 60000

/* Codes of enum tlsb_error, and one for a session that was told nothing. */
#define CODES 128
#define UNTOLD (CODES - 1)

struct bench {
	struct rig rig;
	bool alive;
	struct testing_identity other_root, stranger, misnamed, expired, demanding;
	struct testing_text staples[2]; /* good, revoked */
	SSL_CTX *servers[8];
	char *other_pem;
	int trust; /* the index of the good root */
	/* a session from before: nothing may happen to it */
	struct program bystander;
	struct program_session before;
	struct peer before_peer;
	/* what is tried */
	const struct trial *trial;
	enum faults_kind kind;
	unsigned long runs, established, deaths, hangs;
	unsigned codes[CODES];
};

enum server { GOOD, STRANGE, MISNAMED, EXPIRED, STAPLED, REVOKED, UNSTAPLED, WITH_KEY };

struct trial {
	const char *name;
	struct wish wish;
	enum server server;
	bool own_ca; /* the program brings the other root */
	const char *known; /* the key that the server knows, if any does */
	bool bad;
};

/* ---- the worker with its bystander ---- */

static int sealed_trust(X509 *ca)
{
	struct testing_text pem = { 0 };
	unsigned count, bad;
	int fd;

	testing_append_pem(&pem, ca);
	assert_int_equal(trust_index_build(pem.data, pem.len, &fd, &count, &bad), 0);
	free(pem.data);
	return fd;
}

/* Servers whose certificate demands an OCSP response: with a good one, one that says "revoked", none. */
static void serve_staples(struct bench *bench)
{
	const struct cert_spec spec = { .name = "leaf",
					.names = "DNS:server.example",
					.features = "status_request" };

	bench->demanding = cert_new(spec, &bench->rig.root);
	for (int i = 0; i < 2; i++)
		bench->staples[i] = staple_new((struct staple_spec){
			.issuer = &bench->rig.root,
			.cert = bench->demanding.x509,
			.status = i == 0 ? V_OCSP_CERTSTATUS_GOOD : V_OCSP_CERTSTATUS_REVOKED });
	for (int i = STAPLED; i <= UNSTAPLED; i++)
		bench->servers[i] = server_new(&bench->demanding, NULL, NULL);
	staple_serve(bench->servers[STAPLED], &bench->staples[0]);
	staple_serve(bench->servers[REVOKED], &bench->staples[1]);
}

static void bench_begin(struct bench *bench)
{
	rig_init(&bench->rig);
	rig_policy(&bench->rig, TLSB_TLS_1_2, POLICY_MAY_BRING_CA | POLICY_MAY_BRING_PSK, NULL);
	rig_trust(&bench->rig, bench->rig.root.x509);
	rig_program(&bench->rig, &bench->bystander);
	rig_establish(&bench->rig, &bench->bystander, &bench->before, &anything,
		      &bench->before_peer);
	bench->before_peer.echo = true;
	bench->trust = sealed_trust(bench->rig.root.x509);
	bench->misnamed = cert_new((struct cert_spec){ .name = "leaf", .names = "DNS:other.example" },
				   &bench->rig.root);
	bench->expired = cert_new((struct cert_spec){ .name = "leaf",
						      .names = "DNS:server.example",
						      .from = -2 * DAY,
						      .until = -DAY },
				  &bench->rig.root);
	bench->servers[GOOD] = server_new(&bench->rig.leaf, NULL, NULL);
	bench->servers[STRANGE] = server_new(&bench->stranger, NULL, NULL);
	bench->servers[MISNAMED] = server_new(&bench->misnamed, NULL, NULL);
	bench->servers[EXPIRED] = server_new(&bench->expired, NULL, NULL);
	bench->servers[WITH_KEY] = psk_server_new(NULL);
	serve_staples(bench);
	bench->alive = true;
}

/* Also for a worker that has given up, whose process would be over. */
static void bench_end(struct bench *bench)
{
	for (size_t i = 0; i < ARRAY_SIZE(bench->servers); i++)
		SSL_CTX_free(bench->servers[i]);
	testing_identity_free(&bench->misnamed);
	testing_identity_free(&bench->expired);
	testing_identity_free(&bench->demanding);
	free(bench->staples[0].data);
	free(bench->staples[1].data);
	session_close(&bench->before);
	rig_forget(&bench->rig, &bench->before_peer);
	fd_close(bench->bystander.fd);
	fd_close(bench->trust);
	rig_deinit(&bench->rig);
	bench->alive = false;
}

static void bench_init(struct bench *bench)
{
	struct testing_text pem = { 0 };

	*bench = (struct bench){ 0 };
	bench->other_root = cert_new((struct cert_spec){ .name = "other root", .is_ca = true }, NULL);
	bench->stranger = cert_new((struct cert_spec){ .name = "leaf",
						       .names = "DNS:server.example,IP:192.0.2.1" },
				   &bench->other_root);
	testing_append_pem(&pem, bench->other_root.x509);
	bench->other_pem = pem.data;
}

static void bench_deinit(struct bench *bench)
{
	if (bench->alive)
		bench_end(bench);
	testing_identity_free(&bench->other_root);
	testing_identity_free(&bench->stranger);
	free(bench->other_pem);
}

/* The worker's turn, the one part in which something fails; then everybody else's. */
static void turn(struct bench *bench)
{
	struct rig *rig = &bench->rig;

	for (int i = 0; i < 4 && !rig->lost; i++) {
		OSSL_LIB_CTX *whole = rig_become_worker(rig);

		faults_arm();
		event_base_loop(rig->child.base, EVLOOP_NONBLOCK);
		faults_disarm();
		rig_become_test(whole);
		for (int p = 0; p < RIG_PEERS; p++) {
			if (rig->peers[p])
				peer_step(rig->peers[p]);
		}
	}
	rig_listen(rig);
}

/* ---- what is tried; each step does what it can after those before it ---- */

struct attempt {
	struct program_session session;
	struct peer peer;
	bool dialled;
};

/* The worker may have hung up already. */
static void send_anyway(int fd, const struct msg_table *table, uint32_t type, const void *body,
			const void *tail, size_t len, const int *fds)
{
	(void)msg_send(fd, table, type, body, tail, len, fds);
}

static void bring_trust(struct bench *bench)
{
	send_anyway(bench->rig.supervisor, &internal_messages, MSG_TRUST,
		    &(struct msg_trust){ .generation = 2 }, NULL, 0, &bench->trust);
	turn(bench);
}

static void bring_program(struct bench *bench, struct program *program)
{
	const struct msg_client client = { .id = 2, .uid = 1000, .pid = 43 };
	const struct msg_hello hello = { PROTOCOL_MAGIC, PROTOCOL_VERSION };
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	send_anyway(bench->rig.frontdoor, &internal_messages, MSG_CLIENT, &client, NULL, 0, &pair[0]);
	close(pair[0]);
	*program = (struct program){ .fd = pair[1] };
	send_anyway(program->fd, &client_messages, CLIENT_MSG_HELLO, &hello, NULL, 0, NULL);
	turn(bench);
	program_listen(program);
}

/* Of a program's own: what it is called, and the key. */
#define OUR_KEY "key0123456789abcdef"

static void ask(struct bench *bench, struct program *program, struct attempt *attempt)
{
	const struct wish *wish = &bench->trial->wish;
	const char *host = wish->host ? wish->host : "server.example";
	const char *ca = bench->trial->own_ca ? bench->other_pem : NULL;
	struct msg_connect connect = {
		.deadline_ms = 20000,
		.flags = (uint16_t)wish->flags,
		.port = 443,
		.version_max = (uint16_t)wish->version_max,
		.host_len = (uint16_t)strlen(host),
		.ca_len = ca ? (uint32_t)strlen(ca) : 0,
	};
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	*attempt = (struct attempt){ .session = { .fd = pair[0] }, .peer = { .fd = -1 } };
	send_anyway(program->fd, &client_messages, CLIENT_MSG_SESSION, &(struct msg_session){ 0 }, NULL,
		    0, &pair[1]);
	close(pair[1]);
	if (ca)
		send_anyway(pair[0], &client_messages, CLIENT_MSG_CA, &(struct msg_ca){ 0 }, ca,
			    connect.ca_len, NULL);
	if (wish->psk)
		send_anyway(pair[0], &client_messages, CLIENT_MSG_PRESHARED,
			    &(struct msg_preshared){ .name_len = 3 }, OUR_KEY, strlen(OUR_KEY), NULL);
	send_anyway(pair[0], &client_messages, CLIENT_MSG_CONNECT, &connect, host, connect.host_len,
		    NULL);
	turn(bench);
	session_listen(&attempt->session);
}

/* As the connector, to whom the worker may never have come. */
static void dial(struct bench *bench, struct attempt *attempt)
{
	uint64_t id = rig_dial(&bench->rig);
	struct msg_dialed dialed = {
		.id = id, .address = { 127, 0, 0, 1 }, .family = AF_INET, .port = 443
	};
	int pair[2];

	if (id == 0)
		return;
	tcp_pair(pair);
	peer_init(&attempt->peer, bench->servers[bench->trial->server], pair[1]);
	attempt->peer.echo = true;
	bench->rig.peers[RIG_PEERS - 1] = &attempt->peer;
	send_anyway(bench->rig.connector, &internal_messages, MSG_DIALED, &dialed, NULL, 0, &pair[0]);
	close(pair[0]);
	attempt->dialled = true;
}

static bool is_established(struct attempt *attempt)
{
	struct control_page *page = attempt->session.channel.page;

	return page && session_word(&page->state) == STATE_ESTABLISHED;
}

/* Until it is established, or it is over.  False: it hangs. */
static bool await(struct bench *bench, struct attempt *attempt)
{
	uint64_t end = clock_ms() + (attempt->dialled ? PATIENCE_MS : 0);

	for (int i = 0; (i < TURNS || clock_ms() < end) && !bench->rig.lost; i++) {
		session_listen(&attempt->session);
		if (is_established(attempt) || attempt->session.hung)
			return true;
		turn(bench);
		if (i > 20)
			usleep(500);
	}
	return bench->rig.lost;
}

/* Some bytes there and back, and an end. */
static void converse(struct bench *bench, struct attempt *attempt)
{
	struct testing_text said = { 0 };

	session_write(&attempt->session, "a question", 10);
	for (int i = 0; i < TURNS && said.len < 10 && !attempt->session.hung; i++) {
		turn(bench);
		session_listen(&attempt->session);
		session_read(&attempt->session, &said, 10);
	}
	assert_true(said.len <= 10 && memcmp(said.data ? said.data : "", "a question", said.len) == 0);
	free(said.data);
	if (!attempt->session.hung)
		session_finish(&attempt->session);
	turn(bench);
	turn(bench);
}

static void note(struct bench *bench, struct attempt *attempt)
{
	struct control_page *page = attempt->session.channel.page;
	uint32_t code = UNTOLD;

	if (is_established(attempt)) {
		bench->established++;
		return;
	}
	if (page && session_word(&page->ended))
		code = page->error;
	else if (attempt->session.refused)
		code = attempt->session.error;
	assert_true(code < CODES);
	bench->codes[code]++;
}

/* One session. */
static void attempt_session(struct bench *bench, struct program *program)
{
	struct attempt attempt;

	ask(bench, program, &attempt);
	dial(bench, &attempt);
	bench->hangs += !await(bench, &attempt) && attempt.dialled;
	note(bench, &attempt);
	if (bench->trial->bad) {
		assert_false(is_established(&attempt));
		assert_false(attempt.peer.shaken);
	}
	if (is_established(&attempt))
		converse(bench, &attempt);
	if (bench->trial->bad)
		assert_int_equal(attempt.peer.got.len, 0);
	session_close(&attempt.session);
	turn(bench);
	bench->rig.peers[RIG_PEERS - 1] = NULL;
	peer_deinit(&attempt.peer);
}

/* ---- what must be true after it ---- */

/* Everything is in one thread and on the loopback: it rarely has to wait at all. */
static void until(struct bench *bench, bool (*condition)(struct bench *bench))
{
	for (int i = 0; i < 20000 && !condition(bench); i++) {
		rig_turn(&bench->rig);
		if (i > 20)
			usleep(500);
	}
	assert_true(condition(bench));
}

static bool bystander_has_its_echo(struct bench *bench)
{
	uint8_t *span;

	return ring_data(&bench->before.channel.rx, &span) == 10;
}

static void bystander_goes_on(struct bench *bench)
{
	struct testing_text said = { 0 };

	session_write(&bench->before, "still here", 10);
	until(bench, bystander_has_its_echo);
	session_read(&bench->before, &said, 10);
	assert_memory_equal(said.data, "still here", 10);
	free(said.data);
	session_listen(&bench->before);
	assert_false(bench->before.hung);
}

static void next_one_works(struct bench *bench)
{
	struct program program;
	struct program_session session;
	struct peer peer;

	rig_program(&bench->rig, &program);
	rig_connect(&bench->rig, &program, &session, &anything, &peer, bench->servers[GOOD]);
	for (int i = 0; i < 2000 && session_word(&session.channel.page->state) != STATE_ESTABLISHED &&
			!session_is_over(&session);
	     i++)
		rig_turn(&bench->rig);
	if (session_word(&session.channel.page->state) != STATE_ESTABLISHED)
		fail_msg("after that: %u %s", session.channel.page->error, session.channel.page->text);
	session_close(&session);
	rig_forget(&bench->rig, &peer);
	fd_close(program.fd);
}

static bool only_bystander_left(struct bench *bench)
{
	struct worker *worker = rig_worker(&bench->rig);

	return worker->quota.sessions == 1 && worker->client_count == 1 &&
	       rig_keeps_nothing(&bench->rig);
}

/* A channel that broke is made anew: by the supervisor, when the frontdoor asks for it. */
static void renew_channels(struct bench *bench)
{
	struct rig *rig = &bench->rig;

	if (!rig_worker(rig)->frontdoor.owner)
		rig_replace(rig, MSG_FRONTDOOR_CHAN, &rig->frontdoor);
	if (!rig_worker(rig)->connector.owner)
		rig_replace(rig, MSG_CONNECTOR_CHAN, &rig->connector);
}

/* One life of a program, in which the fault that is planned comes to pass. */
static void run(void *arg)
{
	struct bench *bench = arg;
	struct program program;
	unsigned gone;
	int fds;

	if (!bench->alive)
		bench_begin(bench);
	gone = bench->rig.gone;
	fds = testing_count_fds();
	bench->runs++;
	bring_trust(bench);
	bring_program(bench, &program);
	attempt_session(bench, &program);
	attempt_session(bench, &program); /* resumes, if it can */
	fd_close(program.fd);
	turn(bench);
	if (bench->rig.lost) {
		bench->deaths++;
		bench_end(bench);
		return;
	}
	renew_channels(bench);
	until(bench, only_bystander_left);
	bystander_goes_on(bench);
	next_one_works(bench);
	until(bench, only_bystander_left);
	assert_int_equal(testing_count_fds(), fds);
	/* The frontdoor is told of each program that is gone, also of one that could not begin. */
	rig_turn(&bench->rig);
	if (bench->kind != FAULTS_SYSCALL) /* else it is told on a new channel how many are left */
		assert_int_equal(bench->rig.gone - gone, 2);
}

/* ---- the sweeps ---- */

#define GOOD_TRIALS 4

static const struct trial trials[] = {
	{ .name = "good, TLS 1.3" },
	{ .name = "good, TLS 1.2", .wish = { .version_max = TLS1_2_VERSION } },
	{ .name = "good, an address", .wish = { .host = "192.0.2.1" } },
	{ .name = "good, with a CA of its own", .own_ca = true, .server = STRANGE },
	{ .name = "unknown CA, TLS 1.3", .server = STRANGE, .bad = true },
	{ .name = "unknown CA, TLS 1.2",
	  .wish = { .version_max = TLS1_2_VERSION },
	  .server = STRANGE,
	  .bad = true },
	{ .name = "wrong name, TLS 1.3", .server = MISNAMED, .bad = true },
	{ .name = "wrong name, TLS 1.2",
	  .wish = { .version_max = TLS1_2_VERSION },
	  .server = MISNAMED,
	  .bad = true },
	{ .name = "wrong address", .wish = { .host = "192.0.2.7" }, .bad = true },
	{ .name = "expired", .server = EXPIRED, .bad = true },
	{ .name = "not by the program's own CA", .own_ca = true, .server = GOOD, .bad = true },
	{ .name = "with an OCSP response", .server = STAPLED },
	{ .name = "revoked, TLS 1.3", .server = REVOKED, .bad = true },
	{ .name = "revoked, TLS 1.2",
	  .wish = { .version_max = TLS1_2_VERSION },
	  .server = REVOKED,
	  .bad = true },
	{ .name = "without an OCSP response", .server = UNSTAPLED, .bad = true },
	{ .name = "a pre-shared key, TLS 1.3", .wish = { .psk = "key" }, .server = WITH_KEY,
	  .known = "0123456789abcdef" },
	{ .name = "a pre-shared key, TLS 1.2",
	  .wish = { .psk = "key", .version_max = TLS1_2_VERSION },
	  .server = WITH_KEY,
	  .known = "0123456789abcdef" },
	{ .name = "another key, TLS 1.3", .wish = { .psk = "key" }, .server = WITH_KEY,
	  .known = "0123456789abcdee", .bad = true },
	{ .name = "another key, TLS 1.2",
	  .wish = { .psk = "key", .version_max = TLS1_2_VERSION },
	  .server = WITH_KEY,
	  .known = "0123456789abcdee",
	  .bad = true },
	{ .name = "no key, and an unknown CA", .wish = { .psk = "key" }, .server = STRANGE, .bad = true },
};

static void say(const struct bench *bench, unsigned long tried)
{
	printf("# %s: %lu faults; %lu sessions established; refused:", bench->trial->name, tried,
	       bench->established);
	for (unsigned code = 0; code < CODES; code++) {
		if (bench->codes[code])
			printf(" %s %u", code == UNTOLD ? "untold" : error_info(code)->name,
			       bench->codes[code]);
	}
	printf("; %lu workers gave up; %lu hung\n", bench->deaths, bench->hangs);
}

/* Of the first COMPLETE trials each fault, of the others every STEP-th; with "make abuse" of each version
 * of TLS each, and every seventh of the others: all would be an hour. */
static void sweep(enum faults_kind kind, bool lasting, size_t complete, unsigned long step)
{
	unsigned long all = 0;

	if (attacks_full()) {
		complete = MAX(complete, 2);
		step = MIN(step, 7);
	}
	for (size_t i = 0; i < ARRAY_SIZE(trials); i++) {
		struct bench bench;
		unsigned long tried;

		bench_init(&bench);
		bench.trial = &trials[i];
		if (bench.trial->known)
			psk_server_knows("key", bench.trial->known, strlen(bench.trial->known));
		bench.kind = kind;
		alarm(TESTING_SECONDS);
		tried = faults_sweep(kind, lasting, i < complete ? 1 : step, run, &bench);
		say(&bench, tried);
		assert_int_equal(bench.hangs, 0);
		/* Want of memory is no matter of quotas. */
		assert_int_equal(bench.codes[TLSB_E_QUOTA], 0);
		all += tried;
		bench_deinit(&bench);
	}
	attacks_count("faults", all, all);
}

static void case_44_each_allocation_fails_once(void **state unused_)
{
	sweep(FAULTS_MEMORY, false, 0, 907);
}

/* Most are OpenSSL's; ours and libevent's are few. */
static void case_44_each_allocation_of_ours_fails_once(void **state unused_)
{
	sweep(FAULTS_OWN_MEMORY, false, GOOD_TRIALS, 11);
}

static void case_44_memory_runs_out_and_stays_out(void **state unused_)
{
	sweep(FAULTS_MEMORY, true, 0, 883);
}

static void case_45_each_system_call_fails_once(void **state unused_)
{
	sweep(FAULTS_SYSCALL, false, 1, 61);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_44_each_allocation_fails_once),
		TEST(case_44_each_allocation_of_ours_fails_once),
		TEST(case_44_memory_runs_out_and_stays_out),
		TEST(case_45_each_system_call_fails_once),
	};

	faults_init();
	return testing_run(tests);
}
