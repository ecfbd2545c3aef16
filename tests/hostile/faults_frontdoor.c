/*
 * The frontdoor runs out of memory, or the kernel refuses it something, at every place in turn: while
 * it is equipped, and while programs come, wait for their worker, are handed over or refused, and a
 * worker leaves.  Each program is served, or refused, or hung up on, and none is forgotten; another
 * user's worker and clients stay; the next program is served; nothing is left behind.
 *
 * A frontdoor that cannot tell its supervisor something ends, and is started again; in the rig that
 * is "lost".  How often is said.
 */
#include "faults.h"

#include "base/clock.h"
#include "base/log.h"
#include "frontdoor/badge.h"
#include "tests/attacks.h"
#include "tests/unit/frontdoor_rig.h"

#define PATIENCE_MS 60000

/* Short, as some of it is waited for. */
#define WAIT_MS 15

#define THEIR_CLIENTS 3
#define PROGRAMS      8

/* What became of a program. */
enum fate { UNKNOWN, SERVED, REFUSED, HUNG };

struct program {
	int fd;
	enum fate fate;
};

struct bench;

struct trial {
	const char *name;
	void (*live)(struct bench *bench);
	bool unequipped; /* the faults begin before START */
	bool alone;	 /* no other user is there before */
	bool stops;
};

struct bench {
	struct rig rig;
	int theirs; /* the far end of another user's worker */
	int worker; /* of our user's, or -1 */
	uint64_t clients[PROGRAMS];
	unsigned client_count;
	bool no_workers, mute; /* the supervisor has none to give; it does not answer yet */
	bool owed;	       /* an answer */
	struct program programs[PROGRAMS];
	unsigned program_count;
	const struct trial *trial;
	bool armed;
	unsigned fates[HUNG + 1], deaths;
};

/* ---- the rest of the world ---- */

static void give_worker(struct bench *bench, uint32_t uid, int *far_end)
{
	const struct msg_worker_chan body = { .uid = uid };
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	(void)msg_send(bench->rig.supervisor, &internal_messages, MSG_WORKER_CHAN, &body, NULL, 0,
		       &pair[0]);
	close(pair[0]);
	fd_close(*far_end);
	*far_end = pair[1];
}

static void lose_worker(struct bench *bench)
{
	bench->worker = fd_close(bench->worker);
	bench->client_count = 0;
}

static void supervise(struct bench *bench)
{
	union msg_buffer buf;
	struct msg msg;

	while (rig_hear(&bench->rig, &buf, &msg) == 1) {
		const struct msg_worker_wanted *body = msg.body;
		const struct msg_worker_none none = { body->uid, 0, TLSB_E_RESOURCES, 0 };

		assert_int_equal(body->uid, getuid());
		if (msg.type == MSG_WORKER_RETIRE) {
			lose_worker(bench);
		} else if (bench->mute) {
			bench->owed = true;
		} else if (bench->no_workers) {
			(void)msg_send(bench->rig.supervisor, &internal_messages, MSG_WORKER_NONE,
				       &none, NULL, 0, NULL);
		} else {
			lose_worker(bench);
			give_worker(bench, body->uid, &bench->worker);
		}
	}
}

/* A worker says hello back to each of its clients. */
static void work(struct bench *bench)
{
	const struct msg_welcome welcome = { 0 };
	struct msg_client body;
	char byte;
	int fd;

	while (bench->worker >= 0 && (fd = rig_take_client(bench->worker, &body)) >= 0) {
		assert_int_equal(body.uid, getuid());
		assert_true(bench->client_count < PROGRAMS);
		bench->clients[bench->client_count++] = body.id;
		(void)msg_send(fd, &client_messages, CLIENT_MSG_WELCOME, &welcome, "me", 2, NULL);
		close(fd);
	}
	if (bench->worker >= 0 && recv(bench->worker, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0)
		lose_worker(bench);
}

/* The frontdoor's turn, the one part in which something fails; then everybody else's. */
static void turn(struct bench *bench)
{
	for (int i = 0; i < 4 && !bench->rig.lost; i++) {
		if (bench->armed)
			faults_arm();
		event_base_loop(bench->rig.child.base, EVLOOP_NONBLOCK);
		faults_disarm();
	}
	supervise(bench);
	work(bench);
}

/* ---- programs ---- */

static struct program *come(struct bench *bench)
{
	struct program *program = &bench->programs[bench->program_count++];

	assert_true(bench->program_count <= PROGRAMS);
	*program = (struct program){ .fd = rig_connect(&bench->rig) };
	turn(bench);
	return program;
}

static void listen_to(struct program *program)
{
	union msg_buffer buf;
	ssize_t n;

	if (program->fate != UNKNOWN)
		return;
	n = recv(program->fd, buf.bytes, sizeof(buf.bytes), MSG_DONTWAIT);
	if (n >= (ssize_t)sizeof(struct msg_header))
		program->fate = buf.header.type == CLIENT_MSG_REFUSED ? REFUSED : SERVED;
	else if (n == 0 || errno != EAGAIN)
		program->fate = HUNG;
}

static enum fate await(struct bench *bench, struct program *program)
{
	uint64_t end = clock_ms() + PATIENCE_MS;

	for (;;) {
		listen_to(program);
		if (program->fate != UNKNOWN || bench->rig.lost || clock_ms() > end)
			return program->fate;
		turn(bench);
		usleep(100);
	}
}

/* Whoever came is told something. */
static void none_is_forgotten(struct bench *bench)
{
	for (unsigned i = 0; i < bench->program_count; i++) {
		enum fate fate = await(bench, &bench->programs[i]);

		if (bench->rig.lost)
			return;
		assert_int_not_equal(fate, UNKNOWN);
		bench->fates[fate]++;
	}
}

static void all_leave(struct bench *bench)
{
	for (unsigned i = 0; i < bench->program_count; i++)
		close(bench->programs[i].fd);
	bench->program_count = 0;
}

/* ---- a frontdoor ---- */

static void tell(struct bench *bench, uint32_t type, const void *body, int fd)
{
	(void)msg_send(bench->rig.supervisor, &internal_messages, type, body, NULL, 0, &fd);
	fd_close(fd);
	turn(bench);
}

/* As rig_init(), but it may fail from START on. */
static void bench_begin(struct bench *bench)
{
	const struct msg_start start = { 0 };
	const struct msg_listen door = { 0 };
	struct rig *rig = &bench->rig;
	struct counters *counters;
	int pair[2], page;

	*rig = (struct rig){ .child = { .role = ROLE_FRONTDOOR, .ops = &frontdoor_ops } };
	rig->child.base = event_base_new();
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig->supervisor = pair[1];
	assert_int_equal(frontdoor_ops.prepare(&rig->child), 0);
	assert_int_equal(chan_init(&rig->child.supervisor, rig->child.base, pair[0],
				   &internal_messages, ROLE_FRONTDOOR, ROLE_SUPERVISOR, RUN,
				   frontdoor_ops.handlers, rig_on_lost, &rig->child),
			 0);
	assert_int_equal(counters_create(&counters, &page), 0);
	counters_unmap(counters);
	bench->theirs = bench->worker = -1;
	bench->no_workers = bench->mute = bench->owed = false;
	bench->armed = bench->trial->unequipped;
	tell(bench, MSG_START, &start, page);
	tell(bench, MSG_LISTEN, &door, rig_listening_socket(rig));
}

static void bench_end(struct bench *bench)
{
	bench->armed = false;
	lose_worker(bench);
	fd_close(bench->theirs);
	all_leave(bench);
	log_set_sink(NULL, NULL, LOG_L_ERROR);
	rig_deinit(&bench->rig);
}

/* Another user has a worker, and clients that an earlier frontdoor let in. */
static void have_others(struct bench *bench)
{
	const struct msg_clients body = { .count = THEIR_CLIENTS };

	give_worker(bench, getuid() + 1, &bench->theirs);
	turn(bench);
	(void)msg_send(bench->theirs, &internal_messages, MSG_CLIENTS, &body, NULL, 0, NULL);
	turn(bench);
}

/*
 * How long the frontdoor lets programs wait, and keeps workers that have nothing to do.  Short only
 * where that is tried: this process itself may be kept waiting for longer, between two messages of
 * somebody who was to be served.
 */
static void be_patient(struct bench *bench, uint32_t ms)
{
	struct frontdoor *frontdoor = rig_frontdoor(&bench->rig);

	if (frontdoor)
		frontdoor->wait_ms = frontdoor->idle_ms = ms;
}

static void others_are_unharmed(struct bench *bench)
{
	struct badge *badge = badge_find(rig_frontdoor(&bench->rig), getuid() + 1, 0);
	char byte;

	assert_int_equal(recv(bench->theirs, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_non_null(badge);
	assert_int_equal(badge->hands[0].state, WORKER_SERVING);
	assert_int_equal(handed_count(&badge->hands[0].handed), THEIR_CLIENTS);
}

/* The supervisor answers at last. */
static void unmute(struct bench *bench)
{
	bench->mute = false;
	if (bench->owed)
		give_worker(bench, getuid(), &bench->worker);
	bench->owed = false;
	turn(bench);
}

static void next_one_is_served(struct bench *bench)
{
	bench->no_workers = false;
	be_patient(bench, PATIENCE_MS);
	unmute(bench);
	assert_int_equal(await(bench, come(bench)), SERVED);
}

/* ---- what is tried ---- */

/* The first waits for the worker, those after it do not; one leaves; the worker dies. */
static void come_and_go(struct bench *bench)
{
	struct msg_client_gone gone;
	struct program *first = come(bench);

	await(bench, first);
	await(bench, come(bench));
	if (bench->client_count > 0) {
		gone = (struct msg_client_gone){ .id = bench->clients[0] };
		(void)msg_send(bench->worker, &internal_messages, MSG_CLIENT_GONE, &gone, NULL, 0, NULL);
		turn(bench);
	}
	await(bench, come(bench));
	lose_worker(bench);
	turn(bench);
	await(bench, come(bench));
}

/* Several wait at once, and get their worker; it goes because it has nothing to do. */
static void wait_together(struct bench *bench)
{
	struct msg_client_gone gone;
	uint64_t end = clock_ms() + PATIENCE_MS;

	bench->mute = true;
	for (int i = 0; i < 6; i++)
		come(bench);
	unmute(bench);
	none_is_forgotten(bench);
	for (unsigned i = 0; i < bench->client_count; i++) {
		gone = (struct msg_client_gone){ .id = bench->clients[i] };
		(void)msg_send(bench->worker, &internal_messages, MSG_CLIENT_GONE, &gone, NULL, 0, NULL);
	}
	while (bench->worker >= 0 && !bench->rig.lost && clock_ms() < end)
		turn(bench);
	assert_true(bench->worker < 0 || bench->rig.lost);
}

/* The supervisor does not answer, so nothing but a timer says that it does not. */
static void find_no_answer(struct bench *bench)
{
	bench->mute = true;
	await(bench, come(bench));
}

/* There is no worker for them; or there is no answer. */
static void find_no_worker(struct bench *bench)
{
	bench->no_workers = true;
	await(bench, come(bench));
	bench->no_workers = false;
	bench->mute = true;
	come(bench);
	await(bench, come(bench));
}

/* No descriptor is left for a moment: one is told so, the others wait at the door. */
static void find_no_descriptor(struct bench *bench)
{
	struct rlimit before, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	bench->program_count = 3;
	for (int i = 0; i < 3; i++)
		bench->programs[i] = (struct program){ .fd = rig_connect(&bench->rig) };
	none = (struct rlimit){ (rlim_t)bench->programs[2].fd + 1, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	turn(bench);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void be_equipped(struct bench *bench)
{
	await(bench, come(bench));
}

/* Those who wait are told, and the door is closed. */
static void stop(struct bench *bench)
{
	const struct msg_drain drain = { .deadline_ms = 1000 };

	bench->mute = true;
	come(bench);
	come(bench);
	tell(bench, MSG_DRAIN, &drain, -1);
}

static const struct trial trials[] = {
	{ .name = "programs come and go", .live = come_and_go },
	{ .name = "programs wait", .live = wait_together },
	{ .name = "no worker", .live = find_no_worker },
	{ .name = "no answer", .live = find_no_answer, .alone = true },
	{ .name = "no descriptor", .live = find_no_descriptor },
	{ .name = "a new frontdoor", .live = be_equipped, .unequipped = true },
	{ .name = "a stop", .live = stop, .stops = true },
};

static void live(struct bench *bench)
{
	bench->trial->live(bench);
	if (!bench->rig.lost)
		none_is_forgotten(bench);
	bench->armed = false;
	if (bench->rig.lost || bench->trial->stops)
		return;
	all_leave(bench);
	next_one_is_served(bench);
	if (!bench->trial->unequipped && !bench->trial->alone)
		others_are_unharmed(bench);
}

static void run(void *arg)
{
	struct bench *bench = arg;
	int fds = testing_count_fds();

	bench_begin(bench);
	if (!bench->rig.lost && !bench->trial->alone)
		have_others(bench);
	be_patient(bench, WAIT_MS);
	bench->armed = true;
	if (!bench->rig.lost)
		live(bench);
	bench->deaths += bench->rig.lost;
	bench_end(bench);
	assert_int_equal(testing_count_fds(), fds);
}

static void sweep(enum faults_kind kind, bool lasting, unsigned long step)
{
	unsigned long all = 0;

	for (size_t i = 0; i < ARRAY_SIZE(trials); i++) {
		struct bench bench = { .trial = &trials[i] };
		unsigned long tried = faults_sweep(kind, lasting, step, run, &bench);

		printf("# %s: %lu faults; %u programs were served, %u refused, %u hung up on; %u "
		       "frontdoors gave up\n",
		       trials[i].name, tried, bench.fates[SERVED], bench.fates[REFUSED],
		       bench.fates[HUNG], bench.deaths);
		all += tried;
	}
	attacks_count("faults", all, all);
}

static void case_44_each_allocation_of_the_frontdoor_fails_once(void **state unused_)
{
	sweep(FAULTS_MEMORY, false, attacks_full() ? 1 : 3);
}

static void case_44_the_frontdoors_memory_runs_out_and_stays_out(void **state unused_)
{
	sweep(FAULTS_MEMORY, true, attacks_full() ? 1 : 5);
}

static void case_45_each_system_call_of_the_frontdoor_fails_once(void **state unused_)
{
	sweep(FAULTS_SYSCALL, false, attacks_full() ? 1 : 17);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_44_each_allocation_of_the_frontdoor_fails_once),
		TEST(case_44_the_frontdoors_memory_runs_out_and_stays_out),
		TEST(case_45_each_system_call_of_the_frontdoor_fails_once),
	};

	faults_init();
	return testing_run(tests);
}
