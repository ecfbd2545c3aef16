/*
 * The connector runs out of memory, or the kernel refuses it something, at every place in turn: while
 * it is equipped, looks names up in the hosts file and by UDP and TCP, dials, and is told to forget a
 * dial.  Each dial gets its socket or a reason, or its worker's channel hangs up; that a name does
 * not exist is only said of names that do not; another worker is served, before and after; nothing
 * is left behind.
 *
 * A connector that cannot tell its supervisor something ends, and is started again; in the rig that
 * is "lost".  How often is said.
 */
#include "faults.h"

#include "base/log.h"
#include "tests/attacks.h"
#include "tests/unit/connector_fakedns.h"

#define PATIENCE_MS 60000
#define DEADLINE_MS 150 /* of a dial into which something may fail */

static const struct fake_record zone[] = {
	{ .name = "name.example", .type = TYPE_A, .addresses = "127.0.0.1", .ttl = 0 },
	{ .name = "both.example", .type = TYPE_A, .addresses = "127.0.0.1", .ttl = 60 },
	{ .name = "both.example", .type = TYPE_AAAA, .addresses = "::1", .ttl = 60 },
	{ .name = "slow.example", .type = TYPE_A, .addresses = "127.0.0.1", .delay_ms = 5 },
	{ .name = "long.example", .type = TYPE_A, .addresses = "127.0.0.1", .truncated = true },
	{ .name = "here.search.example", .type = TYPE_A, .addresses = "127.0.0.1" },
	{ .name = "failing.example", .rcode = SERVFAIL },
	{ 0 }
};

struct bench;

struct trial {
	const char *name;
	const char *hosts[3]; /* which are dialled */
	bool is_nowhere;      /* nobody listens there, or there is no such name */
	bool cancelled;
	bool unequipped; /* the faults begin before START */
};

struct bench {
	struct rig rig, world; /* the world is a loop of its own */
	struct fakedns dns;
	int listener;
	uint16_t port, closed_port;
	int worker, other; /* the workers' ends */
	uint64_t next_id;
	const struct trial *trial;
	bool armed;
	unsigned dialled, failed, hung, deaths;
};

/* ---- turns ---- */

/* The connector's turn, the one part in which something fails; then everybody else's. */
static void turn(struct bench *bench)
{
	for (int i = 0; i < 4 && !bench->rig.lost; i++) {
		if (bench->armed)
			faults_arm();
		event_base_loop(bench->rig.child.base, EVLOOP_NONBLOCK);
		faults_disarm();
		event_base_loop(bench->world.child.base, EVLOOP_NONBLOCK);
	}
	rig_serve(&bench->rig);
	for (int fd; (fd = accept4(bench->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;)
		close(fd);
}

static void tell(struct bench *bench, uint32_t type, const void *body, int *fds)
{
	(void)msg_send(bench->rig.supervisor, &internal_messages, type, body, NULL, 0, fds);
	for (unsigned i = 0; i < internal_messages.rows[type].fds; i++)
		fd_close(fds[i]);
	turn(bench);
}

static void give_worker(struct bench *bench, uint32_t uid, int *far_end)
{
	const struct msg_worker_chan body = { .uid = uid, .pid = uid };
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	fd_close(*far_end);
	*far_end = pair[1];
	tell(bench, MSG_WORKER_CHAN, &body, &pair[0]);
}

static void give_files(struct bench *bench)
{
	static const char hosts[] = "127.0.0.1 hosts.example\n::1 hosts.example\n";
	static const char conf[] = "nameserver 127.0.0.1\nsearch search.example\noptions timeout:1\n";
	const struct msg_resolver body = { 0 };
	int fds[2];

	assert_int_equal(fd_sealed_copy("hosts", hosts, strlen(hosts), &fds[0]), 0);
	assert_int_equal(fd_sealed_copy("resolv", conf, strlen(conf), &fds[1]), 0);
	tell(bench, MSG_RESOLVER, &body, fds);
}

/* ---- dials ---- */

static uint64_t dial(struct bench *bench, int worker, const char *host, uint32_t deadline_ms)
{
	const struct msg_dial body = { .id = ++bench->next_id,
				       .deadline_ms = deadline_ms,
				       .port = bench->trial->is_nowhere ? bench->closed_port :
									  bench->port };

	(void)rig_send(worker, MSG_DIAL, &body, host);
	turn(bench);
	return body.id;
}

/* 1 and the answer to ID; 0: the channel has hung up, or the connector has. */
static int await(struct bench *bench, int worker, uint64_t id, struct answer_to_worker *ret_answer)
{
	uint64_t end = clock_ms() + PATIENCE_MS;
	int r;

	while ((r = rig_poll(worker, ret_answer)) == -EAGAIN && !bench->rig.lost) {
		assert_true(clock_ms() < end);
		turn(bench);
		usleep(100);
	}
	if (r != 1)
		return 0;
	assert_true(ret_answer->dialed.id == id || ret_answer->failed.id == id);
	if (ret_answer->type == MSG_DIAL_FAILED) {
		assert_true(strlen(ret_answer->text) > 10);
		assert_int_not_equal(ret_answer->failed.error, TLSB_E_NONE);
	}
	return 1;
}

static void judge(struct bench *bench, const char *host, struct answer_to_worker *answer)
{
	if (answer->type == MSG_DIALED) {
		assert_false(bench->trial->is_nowhere);
		bench->dialled++;
		fd_close(answer->fd);
		return;
	}
	bench->failed++;
	if (getenv("FAULTS_TRACE"))
		fprintf(stderr, "%s: %u %s\n", host, answer->failed.error, answer->text);
	if (strcmp(host, "nobody.example") != 0)
		assert_int_not_equal(answer->failed.error, TLSB_E_DNS);
}

/* It is not waited for.  As await(). */
static int cancel(struct bench *bench, uint64_t id)
{
	const struct msg_dial_cancel body = { .id = id };
	struct answer_to_worker answer;
	int r;

	(void)rig_send(bench->worker, MSG_DIAL_CANCEL, &body, NULL);
	turn(bench);
	while ((r = rig_poll(bench->worker, &answer)) == 1)
		fd_close(answer.fd); /* it was on its way */
	return r == -EAGAIN;
}

/* As a worker that has somebody to connect. */
static void try_host(struct bench *bench, const char *host)
{
	struct answer_to_worker answer = { .fd = -1 };
	uint64_t id = dial(bench, bench->worker, host, DEADLINE_MS);
	int r;

	if (bench->trial->cancelled)
		r = cancel(bench, id);
	else
		r = await(bench, bench->worker, id, &answer);
	if (r == 0 && !bench->rig.lost) {
		/* Its dials end with it, so not for a mere shortage; but for want of what a new channel
		 * needs: then there are none, and it asks for another. */
		if (!bench->trial->unequipped)
			assert_int_equal(faults_error(), EIO);
		bench->hung++;
		give_worker(bench, 1000, &bench->worker);
	} else if (r == 1 && !bench->trial->cancelled) {
		judge(bench, host, &answer);
	}
}

/* The first may join a lookup from before, and share what became of it. */
static void must_reach(struct bench *bench, int worker, const char *host)
{
	static const struct trial good = { .name = "good" };
	const struct trial *trial = bench->trial;
	struct answer_to_worker answer;
	uint64_t id;
	int tries = 0;

	bench->trial = &good;
	do {
		id = dial(bench, worker, host, PATIENCE_MS);
		assert_int_equal(await(bench, worker, id, &answer), 1);
	} while (answer.type == MSG_DIAL_FAILED && ++tries < 3);
	rig_expect_dialed(&answer, id, "127.0.0.1");
	bench->trial = trial;
}

/* ---- a connector ---- */

/* As rig_init(), but it may fail from START on. */
static void bench_begin(struct bench *bench)
{
	const struct msg_start start = { 0 };
	struct rig *rig = &bench->rig;
	struct counters *counters;
	int pair[2], page;

	*rig = (struct rig){ .child = { .role = ROLE_CONNECTOR, .ops = &connector_ops } };
	assert_int_equal(connector_ops.prepare(&rig->child), 0);
	rig->child.base = event_base_new();
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig->supervisor = pair[1];
	assert_int_equal(chan_init(&rig->child.supervisor, rig->child.base, pair[0],
				   &internal_messages, ROLE_CONNECTOR, ROLE_SUPERVISOR, RUN,
				   connector_ops.handlers, rig_on_lost, &rig->child),
			 0);
	assert_int_equal(counters_create(&counters, &page), 0);
	counters_unmap(counters);
	bench->worker = bench->other = -1;
	bench->armed = bench->trial->unequipped;
	tell(bench, MSG_START, &start, &page);
	give_files(bench);
	give_worker(bench, 1000, &bench->worker);
	give_worker(bench, 1001, &bench->other);
	bench->armed = true;
}

static void bench_end(struct bench *bench)
{
	bench->armed = false;
	log_set_sink(NULL, NULL, LOG_L_ERROR);
	rig_deinit(&bench->rig);
	fd_close(bench->worker);
	fd_close(bench->other);
	/* What was asked of the name server in vain is answered in vain. */
	event_base_loop(bench->world.child.base, EVLOOP_NONBLOCK);
}

static void live(struct bench *bench)
{
	struct answer_to_worker answer;
	uint64_t id = dial(bench, bench->other, "slow.example", DEADLINE_MS);

	for (size_t i = 0; i < ARRAY_SIZE(bench->trial->hosts) && bench->trial->hosts[i]; i++) {
		if (!bench->rig.lost)
			try_host(bench, bench->trial->hosts[i]);
	}
	if (bench->rig.lost)
		return;
	if (await(bench, bench->other, id, &answer) == 1)
		fd_close(answer.fd);
	else if (!bench->rig.lost)
		give_worker(bench, 1001, &bench->other);
}

static void run(void *arg)
{
	struct bench *bench = arg;
	int fds = testing_count_fds();

	bench_begin(bench);
	if (!bench->rig.lost)
		live(bench);
	bench->armed = false;
	if (!bench->rig.lost) {
		if (bench->trial->unequipped) { /* what it did not get it gets again */
			give_files(bench);
			give_worker(bench, 1000, &bench->worker);
			give_worker(bench, 1001, &bench->other);
		}
		must_reach(bench, bench->other, "hosts.example");
		must_reach(bench, bench->worker, "name.example");
		assert_int_equal(rig_connector(&bench->rig)->dialler_count, 2);
	}
	bench->deaths += bench->rig.lost;
	bench_end(bench);
	assert_int_equal(testing_count_fds(), fds);
}

/* ---- the sweeps ---- */

static const struct trial trials[] = {
	{ .name = "addresses", .hosts = { "127.0.0.1", "::1" } },
	{ .name = "hosts file", .hosts = { "hosts.example", "localhost" } },
	{ .name = "a name server", .hosts = { "name.example", "both.example", "both.example" } },
	{ .name = "a name server over TCP", .hosts = { "long.example" } },
	{ .name = "a search list", .hosts = { "here" } },
	{ .name = "nobody there",
	  .hosts = { "127.0.0.1", "nobody.example", "failing.example" },
	  .is_nowhere = true },
	{ .name = "forgotten dials", .hosts = { "both.example", "127.0.0.1" }, .cancelled = true },
	{ .name = "a new connector", .hosts = { "127.0.0.1", "name.example" }, .unequipped = true },
};

static void bench_init(struct bench *bench, const struct trial *trial)
{
	int closed;

	*bench = (struct bench){ .trial = trial };
	bench->world.child.base = event_base_new();
	fakedns_start(&bench->dns, &bench->world, "127.0.0.1", zone);
	bench->listener = rig_listen("127.0.0.1", &bench->port, 64);
	fcntl(bench->listener, F_SETFL, O_NONBLOCK);
	closed = rig_listen("127.0.0.1", &bench->closed_port, 1);
	close(closed);
}

static void bench_deinit(struct bench *bench)
{
	close(bench->listener);
	fakedns_stop(&bench->dns);
	event_base_free(bench->world.child.base);
}

static void sweep(enum faults_kind kind, bool lasting, unsigned long step)
{
	unsigned long all = 0;

	for (size_t i = 0; i < ARRAY_SIZE(trials); i++) {
		struct bench bench;
		unsigned long tried;

		alarm(TESTING_SECONDS);
		bench_init(&bench, &trials[i]);
		tried = faults_sweep(kind, lasting, step, run, &bench);
		printf("# %s: %lu faults; %u dials came through, %u failed, %u workers were hung up "
		       "on; %u connectors gave up\n",
		       trials[i].name, tried, bench.dialled, bench.failed, bench.hung, bench.deaths);
		all += tried;
		bench_deinit(&bench);
	}
	attacks_count("faults", all, all);
}

static void case_44_each_allocation_of_the_connector_fails_once(void **state unused_)
{
	sweep(FAULTS_MEMORY, false, attacks_full() ? 1 : 37);
}

static void case_44_the_connectors_memory_runs_out_and_stays_out(void **state unused_)
{
	sweep(FAULTS_MEMORY, true, attacks_full() ? 1 : 53);
}

static void case_45_each_system_call_of_the_connector_fails_once(void **state unused_)
{
	sweep(FAULTS_SYSCALL, false, attacks_full() ? 1 : 53);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_44_each_allocation_of_the_connector_fails_once),
		TEST(case_44_the_connectors_memory_runs_out_and_stays_out),
		TEST(case_45_each_system_call_of_the_connector_fails_once),
	};

	if (!rig_own_network()) {
		print_message("skipped: no network namespace can be made here\n");
		return 77;
	}
	faults_init();
	return testing_run(tests);
}
