/*
 * The supervisor runs out of memory, or the kernel refuses it something, at every place in turn.
 *
 * What roles ask of it is played by the test: whoever wants a worker gets one or hears that there is
 * none, unless the channel itself hangs up; the hosts file that is passed on is the whole one; the
 * worker and the status of another user stay.
 *
 * What it starts are real processes, this program again: after two of them died, with something
 * failing meanwhile, all three are there again, and their channels work.
 */
#include "faults.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "role/role.h"
#include "supervisor/resolver.h"
#include "tests/attacks.h"
#include "tests/unit/supervisor_rig.h"
#include "tests/unit/testing_x509.h"

#define PATIENCE_MS 8000

#define THEIR_UID 990001
#define OUR_UID	  990002

/* ---- a role that only is there ---- */

static int be_a_role(void)
{
	const struct msg_ready ready = { .system_calls = 1 };
	char bytes[LIMIT_MESSAGE];
	ssize_t n;

	if (msg_send(SUPERVISOR_FD, &internal_messages, MSG_READY, &ready, NULL, 0, NULL) < 0)
		return 1;
	fcntl(SUPERVISOR_FD, F_SETFL, 0);
	do
		n = recv(SUPERVISOR_FD, bytes, sizeof(bytes), 0); /* descriptors that come are lost */
	while (n > 0 || (n < 0 && errno == EINTR));
	return 0;
}

/* ---- what roles ask for ---- */

struct cast {
	struct rig rig;
	struct rig_process *frontdoor, *connector, *keyholder, *worker, *spare;
	char hosts[LIMIT_HOSTS_BYTES];
	ssize_t hosts_len;
	unsigned given, refused, gone, lost;
};

/* The supervisor's turn, the one part in which something fails. */
static void turn(struct cast *cast, bool armed)
{
	if (armed)
		faults_arm();
	event_base_loop(cast->rig.supervisor.base, EVLOOP_NONBLOCK);
	event_base_loop(cast->rig.supervisor.base, EVLOOP_NONBLOCK);
	faults_disarm();
}

static void say(struct cast *cast, struct rig_process *process, uint32_t type, const void *body)
{
	(void)msg_send(process->far, &internal_messages, type, body, NULL, 0, NULL);
	turn(cast, true);
}

/* The next message for PROCESS, its type; MSG_COUNT: there is none. */
static uint32_t hear(struct rig_process *process, union msg_buffer *buf, struct msg *ret_msg)
{
	const struct msg_context ctx = { &internal_messages, process->process.role, ROLE_SUPERVISOR,
					 RUN };
	enum msg_rule rule = RULE_NONE;
	int r = msg_recv(process->far, &ctx, buf, ret_msg, &rule);

	assert_int_equal(rule, RULE_NONE);
	return r == 1 ? ret_msg->type : MSG_COUNT;
}

static void drop(struct rig_process *process)
{
	union msg_buffer buf;
	struct msg msg;

	while (hear(process, &buf, &msg) != MSG_COUNT)
		msg_close_fds(&msg);
}

static void cast_begin(struct cast *cast)
{
	const struct msg_worker_wanted body = { .uid = THEIR_UID };

	rig_init(&cast->rig);
	cast->frontdoor = rig_add_station(&cast->rig, &cast->rig.supervisor.frontdoor);
	cast->connector = rig_add_station(&cast->rig, &cast->rig.supervisor.connector);
	cast->keyholder = rig_add_station(&cast->rig, &cast->rig.supervisor.keyholder);
	cast->worker = rig_add_spare(&cast->rig);
	rig_say(&cast->rig, cast->frontdoor, MSG_WORKER_WANTED, &body);
	drop(cast->worker);
	drop(cast->frontdoor);
	drop(cast->connector);
	drop(cast->keyholder);
	cast->spare = rig_add_spare(&cast->rig);
}

/* What the frontdoor hears of our user, once there is nothing more to come. */
static uint32_t answer_to_wish(struct cast *cast)
{
	uint32_t type, last = MSG_COUNT;
	union msg_buffer buf;
	struct msg msg;

	while ((type = hear(cast->frontdoor, &buf, &msg)) != MSG_COUNT) {
		assert_int_equal(*(const uint32_t *)msg.body, OUR_UID);
		assert_true(type == MSG_WORKER_CHAN || type == MSG_WORKER_NONE);
		last = type;
		msg_close_fds(&msg);
	}
	return last;
}

/* Each wish has an answer, or whoever would have heard or been it is given up. */
static void wish(struct cast *cast)
{
	const struct msg_worker_wanted body = { .uid = OUR_UID };
	uint32_t answer;

	say(cast, cast->frontdoor, MSG_WORKER_WANTED, &body);
	turn(cast, false);
	answer = answer_to_wish(cast);
	cast->given += answer == MSG_WORKER_CHAN;
	cast->refused += answer == MSG_WORKER_NONE;
	cast->gone += cast->frontdoor->gone || cast->spare->gone;
	assert_true(answer != MSG_COUNT || cast->frontdoor->gone || cast->spare->gone);
}

/* The supervisor has never sent these files, so it has to read them. */
static void ask_for_files(struct cast *cast)
{
	const struct msg_resolver_check body = { 0 };
	char bytes[sizeof(cast->hosts)];
	union msg_buffer buf;
	struct msg msg;
	uint32_t type;

	say(cast, cast->connector, MSG_RESOLVER_CHECK, &body);
	turn(cast, false);
	type = hear(cast->connector, &buf, &msg);
	if (type == MSG_WORKER_CHAN) { /* of a worker that was given out */
		msg_close_fds(&msg);
		type = hear(cast->connector, &buf, &msg);
	}
	if (type == MSG_RESOLVER) {
		ssize_t len = pread(msg.fds[0], bytes, sizeof(bytes), 0);

		/* A file that cannot be read is an empty one; but not for a want of ours. */
		assert_int_equal(len, len == 0 && faults_error() == EIO ? 0 : cast->hosts_len);
		assert_memory_equal(bytes, cast->hosts, (size_t)len);
		msg_close_fds(&msg);
	} else {
		assert_true(type == MSG_RESOLVER_SAME || cast->connector->gone);
	}
}

static void ask_for_status(struct cast *cast, bool armed)
{
	const struct msg_status_ask body = { .tag = 1, .uid = THEIR_UID };
	bool ended = false;
	union msg_buffer buf;
	struct msg msg;

	(void)msg_send(cast->worker->far, &internal_messages, MSG_STATUS_ASK, &body, NULL, 0, NULL);
	do {
		turn(cast, armed);
		while (hear(cast->worker, &buf, &msg) == MSG_STATUS_ROW)
			ended |= ((const struct msg_status_row *)msg.body)->row.kind == ROW_END;
	} while (!ended && !cast->worker->gone && chan_queued(&cast->worker->process.chan) > 0);
	assert_true(ended || cast->worker->gone);
}

static void retire(struct cast *cast)
{
	const struct msg_worker_retire body = { .uid = OUR_UID };

	say(cast, cast->frontdoor, MSG_WORKER_RETIRE, &body);
}

static void ask_run(void *arg)
{
	struct cast *cast = arg;
	int fds = testing_count_fds();

	cast_begin(cast);
	wish(cast);
	ask_for_files(cast);
	ask_for_status(cast, true);
	retire(cast);
	turn(cast, false);
	cast->lost += cast->worker->gone;
	if (!cast->worker->gone) {
		ask_for_status(cast, false);
		assert_int_equal(cast->worker->worker->state, ROW_STATE_RUNNING);
	}
	drop(cast->spare);
	drop(cast->frontdoor);
	drop(cast->connector);
	drop(cast->keyholder);
	rig_deinit(&cast->rig);
	assert_int_equal(testing_count_fds(), fds);
}

static void sweep_asking(enum faults_kind kind, bool lasting, unsigned long step)
{
	static struct cast cast;
	cleanup_close_ int hosts = open(RESOLVER_HOSTS_FILE, O_RDONLY | O_CLOEXEC);
	unsigned long tried;

	memset(&cast, 0, sizeof(cast));
	cast.hosts_len = pread(hosts, cast.hosts, sizeof(cast.hosts), 0);
	assert_true(cast.hosts_len > 0);
	tried = faults_sweep(kind, lasting, step, ask_run, &cast);
	printf("# messages: %lu faults; %u workers given, %u times none, %u wishes that died with who "
	       "had them, %u bystanders lost\n",
	       tried, cast.given, cast.refused, cast.gone, cast.lost);
	attacks_count("faults", tried, tried);
}

/* ---- what it starts ---- */

struct bench {
	struct supervisor supervisor;
	struct options options;
	char path[32]; /* of a trust bundle */
	uint64_t longest_ms;
};

static void write_bundle(struct bench *bench)
{
	struct testing_identity root = testing_identity_new("root", NULL, 1);
	struct testing_text pem = { 0 };
	int fd;

	strcpy(bench->path, "/tmp/tlsb-faults-XXXXXX");
	fd = mkstemp(bench->path);
	testing_append_pem(&pem, root.x509);
	assert_int_equal(write(fd, pem.data, pem.len), pem.len);
	close(fd);
	free(pem.data);
	testing_identity_free(&root);
}

static bool is_ready(const struct process *process)
{
	return process && process->ready && !process->hung_up && !process->reaped;
}

static bool all_are_there(const struct supervisor *supervisor)
{
	return is_ready(supervisor->frontdoor.process) && is_ready(supervisor->connector.process) &&
	       supervisor->workers.spare && is_ready(supervisor->workers.spare->process);
}

/* How many ms it took until all three roles were there. */
static uint64_t until_all_are_there(struct supervisor *supervisor, bool armed)
{
	const struct timeval soon = { .tv_usec = 2000 };
	uint64_t start = clock_ms();

	while (!all_are_there(supervisor)) {
		if (clock_ms() - start > PATIENCE_MS)
			fail_msg("a role is not there: frontdoor %d, connector %d, spare %d",
				 is_ready(supervisor->frontdoor.process),
				 is_ready(supervisor->connector.process), !!supervisor->workers.spare);
		event_base_loopexit(supervisor->base, &soon);
		if (armed)
			faults_arm();
		event_base_loop(supervisor->base, EVLOOP_ONCE);
		faults_disarm();
	}
	return clock_ms() - start;
}

static void bench_begin(struct bench *bench)
{
	struct supervisor *supervisor = &bench->supervisor;
	struct failure failure = { "" };

	*supervisor = (struct supervisor){ .options = &bench->options,
					   .phase = PHASE_RUNNING,
					   .spawner = { -1, -1, 0, SANDBOX_OFF },
					   .policy = { .conf = conf_new(),
						       .trust = { .path = bench->path,
								  .fd = -1 } } };
	LIST_INIT(&supervisor->processes);
	assert_int_equal(trustfile_load(&supervisor->policy.trust, &failure), 0);
	assert_int_equal(spawn_init(&supervisor->spawner, 1, SANDBOX_OFF), 0);
	supervisor->listener.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	supervisor->base = event_base_new();
	assert_int_equal(supervisor_add_events(supervisor), 0);
	assert_int_equal(station_init(&supervisor->frontdoor, supervisor, ROLE_FRONTDOOR), 0);
	assert_int_equal(station_init(&supervisor->connector, supervisor, ROLE_CONNECTOR), 0);
	assert_int_equal(station_init(&supervisor->keyholder, supervisor, ROLE_KEYHOLDER), 0);
	assert_int_equal(workers_init(&supervisor->workers, supervisor), 0);
	assert_int_equal(station_start(&supervisor->connector), 0);
	assert_int_equal(station_start(&supervisor->keyholder), 0);
	assert_int_equal(station_start(&supervisor->frontdoor), 0);
	assert_int_equal(workers_start(&supervisor->workers), 0);
	until_all_are_there(supervisor, false);
}

static void bench_end(struct bench *bench)
{
	struct supervisor *supervisor = &bench->supervisor;

	process_end_all(supervisor);
	workers_deinit(&supervisor->workers);
	station_deinit(&supervisor->frontdoor);
	station_deinit(&supervisor->connector);
	station_deinit(&supervisor->keyholder);
	for (int i = 0; i < SIGNAL_COUNT; i++)
		event_free(supervisor->signals[i]);
	event_free(supervisor->deadline);
	event_base_free(supervisor->base);
	spawn_deinit(&supervisor->spawner);
	fd_close(supervisor->listener.fd);
	policy_deinit(&supervisor->policy);
}

static void start_run(void *arg)
{
	struct bench *bench = arg;
	struct supervisor *supervisor = &bench->supervisor;
	int fds = testing_count_fds();
	uint64_t took_ms;

	bench_begin(bench);
	kill(supervisor->frontdoor.process->pid, SIGKILL);
	kill(supervisor->workers.spare->process->pid, SIGKILL);
	supervisor->frontdoor.process->ready = supervisor->workers.spare->process->ready = false;
	took_ms = until_all_are_there(supervisor, true);
	bench->longest_ms = MAX(bench->longest_ms, took_ms);
	bench_end(bench);
	assert_int_equal(testing_count_fds(), fds);
}

static void sweep_starting(enum faults_kind kind, unsigned long step)
{
	static struct bench bench;
	unsigned long tried;

	memset(&bench, 0, sizeof(bench));
	write_bundle(&bench);
	tried = faults_sweep(kind, false, step, start_run, &bench);
	unlink(bench.path);
	printf("# starts: %lu faults; at the latest, all were there after %lu ms\n", tried,
	       (unsigned long)bench.longest_ms);
	attacks_count("faults", tried, tried);
}

static void case_44_each_allocation_of_the_supervisor_fails_once(void **state unused_)
{
	alarm(600);
	sweep_asking(FAULTS_MEMORY, false, 1);
	sweep_asking(FAULTS_MEMORY, true, 1);
	sweep_starting(FAULTS_MEMORY, attacks_full() ? 1 : 7);
}

static void case_45_each_system_call_of_the_supervisor_fails_once(void **state unused_)
{
	alarm(600);
	sweep_asking(FAULTS_SYSCALL, false, attacks_full() ? 1 : 3);
	sweep_starting(FAULTS_SYSCALL, attacks_full() ? 1 : 17);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(case_44_each_allocation_of_the_supervisor_fails_once),
		TEST(case_45_each_system_call_of_the_supervisor_fails_once),
	};

	if (argc > 1 && strcmp(argv[1], "-x") == 0)
		return be_a_role();
	faults_init();
	return testing_run(tests);
}
