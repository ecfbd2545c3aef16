/*
 * The supervisor runs out of memory, or the kernel refuses it something, at every place in turn.
 *
 * What roles ask of it is played by the test: whoever wants a worker gets one or hears that there is
 * none, unless the channel itself hangs up; the hosts file that is passed on is the whole one; the
 * worker and the status of another user stay.
 *
 * Files that change while something fails are in force a moment later: what was not done is tried again.
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

#define PATIENCE_MS 60000

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

/* ---- files that change ---- */

struct files {
	char folder[32], config[64];
	struct testing_identity ca, pair[2];
	unsigned at_once, later;
};

static void files_write(const struct files *files, const char *name, struct testing_text *text)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", files->folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, text->data, text->len), (ssize_t)text->len);
	close(fd);
	free(text->data);
}

static void files_put(const struct files *files, int which)
{
	struct testing_text ca = { 0 }, cert = { 0 }, key = { 0 };
	BIO *bio = BIO_new(BIO_s_mem());

	testing_append_pem(&ca, files->ca.x509);
	if (which == 1)
		testing_append_pem(&ca, files->pair[1].x509);
	files_write(files, "ca", &ca);
	testing_append_pem(&cert, files->pair[which].x509);
	files_write(files, "cert", &cert);
	PEM_write_bio_PrivateKey(bio, files->pair[which].key, NULL, NULL, 0, NULL, NULL);
	testing_append_bio(&key, bio);
	files_write(files, "key", &key);
}

static void files_begin(struct files *files)
{
	struct testing_text text = { .data = malloc(512) };

	strcpy(files->folder, "/tmp/tlsb-faults-XXXXXX");
	assert_non_null(mkdtemp(files->folder));
	snprintf(files->config, sizeof(files->config), "%s/conf", files->folder);
	files->ca = testing_identity_new("ca", NULL, 1);
	files->pair[0] = testing_identity_new("one", &files->ca, 0);
	files->pair[1] = testing_identity_new("other", &files->ca, 0);
	text.len = (size_t)snprintf(text.data, 512,
				    "trust = \"%s/ca\"\nidentities = x\n"
				    "identity x { certificate = \"%s/cert\"\nkey = \"%s/key\" }\n",
				    files->folder, files->folder, files->folder);
	files_write(files, "conf", &text);
}

static void files_end(struct files *files)
{
	char line[64];

	snprintf(line, sizeof(line), "rm -r %s", files->folder);
	assert_int_equal(system(line), 0);
	testing_identity_free(&files->ca);
	testing_identity_free(&files->pair[0]);
	testing_identity_free(&files->pair[1]);
}

static bool are_in_force(const struct policy *policy)
{
	const struct file_mark ca = files_mark(policy->trust.path);

	return files_same(&ca, &policy->trust.mark) && policy->trust.count == 2 &&
	       !identity_file_changed(&policy->identities.list[0], &policy->conf->identities[0]);
}

static void renew_run(void *arg)
{
	struct files *files = arg;
	struct policy policy = POLICY_NONE;
	struct conf_errors errors;
	int fds = testing_count_fds();
	struct rig rig;

	files_put(files, 0);
	rig_init(&rig);
	rig.options.config = files->config;
	conf_errors_init(&errors);
	assert_int_equal(policy_load(&rig.options, NULL, &policy, &errors), 0);
	conf_errors_deinit(&errors);
	policy_deinit(&rig.supervisor.policy);
	rig.supervisor.policy = policy;
	assert_int_equal(renewal_init(&rig.supervisor), 0);
	renewal_begin(&rig.supervisor);
	files_put(files, 1);
	faults_arm();
	renewal_begin(&rig.supervisor);
	faults_disarm();
	if (are_in_force(&rig.supervisor.policy)) {
		files->at_once++;
	} else {
		files->later++;
		assert_true(evtimer_pending(rig.supervisor.renewal.watch.timer, NULL));
	}
	renewal_begin(&rig.supervisor);
	assert_true(are_in_force(&rig.supervisor.policy));
	assert_false(rig.supervisor.renewal.blind);
	renewal_deinit(&rig.supervisor);
	rig_deinit(&rig);
	assert_int_equal(testing_count_fds(), fds);
}

static void sweep_renewal(enum faults_kind kind, unsigned long step)
{
	static struct files files;
	unsigned long tried;

	memset(&files, 0, sizeof(files));
	files_begin(&files);
	tried = faults_sweep(kind, false, step, renew_run, &files);
	files_end(&files);
	printf("# files: %lu faults; new files were in force at once %u times, when tried again %u times\n",
	       tried, files.at_once, files.later);
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
	sweep_asking(FAULTS_MEMORY, false, 1);
	sweep_asking(FAULTS_MEMORY, true, 1);
	sweep_renewal(FAULTS_MEMORY, attacks_full() ? 7 : 101);
	sweep_starting(FAULTS_MEMORY, attacks_full() ? 1 : 7);
}

static void case_45_each_system_call_of_the_supervisor_fails_once(void **state unused_)
{
	sweep_asking(FAULTS_SYSCALL, false, attacks_full() ? 1 : 3);
	sweep_renewal(FAULTS_SYSCALL, 1);
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
