/*
 * The frontdoor: quotas, idle workers, workers that are slow, no descriptors left.
 */
#include "frontdoor_rig.h"
#include "testing_clock.h"
#include "testing_linger.h"

#include <poll.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/log.h"
#include "frontdoor/caller.h"
#include "frontdoor/waiting.h"

static void refuses_the_client_after_the_last_of_one_user(void **state unused_)
{
	static uint64_t ids[LIMIT_CLIENTS_PER_UID];
	char numbers[64];
	int program, worker;
	struct rig rig;

	rig_init(&rig);
	worker = rig_give_worker(&rig, getuid());
	for (int i = 0; i < LIMIT_CLIENTS_PER_UID; i++) {
		program = rig_connect(&rig);
		rig_turn(&rig);
		ids[i] = rig_take_id(worker);
		close(program);
	}
	snprintf(numbers, sizeof(numbers), "%d clients connected", LIMIT_CLIENTS_PER_UID);
	program = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect_refused(program, TLSB_E_QUOTA, numbers);
	for (int i = 0; i < LIMIT_CLIENTS_PER_UID; i += 2)
		rig_client_gone(&rig, worker, ids[i]);
	for (int i = 0; i < LIMIT_CLIENTS_PER_UID; i += 2) {
		program = rig_connect(&rig);
		rig_turn(&rig);
		rig_take_id(worker);
		close(program);
	}
	program = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect_refused(program, TLSB_E_QUOTA, numbers);
	assert_int_equal(rig_count(&rig, COUNTER_clients), LIMIT_CLIENTS_PER_UID);
	assert_int_equal(rig_count(&rig, COUNTER_clients_refused), 2);
	close(worker);
	rig_deinit(&rig);
}

/* A client of any user we like; the far end is the test's. */
static int admit(struct rig *rig, uint32_t uid)
{
	const struct ucred peer = { .pid = 1, .uid = uid, .gid = uid };
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	waiting_admit(rig_frontdoor(rig), pair[0], &peer);
	return pair[1];
}

static void shares_the_waiting_room_fairly(void **state unused_)
{
	static int hog[LIMIT_CLIENTS_WAITING], other[LIMIT_CLIENTS_WAITING];
	const int half = LIMIT_CLIENTS_WAITING / 2;
	struct rig rig;
	int third;

	rig_allow_files(2 * LIMIT_CLIENTS_WAITING * 2 + 100);
	rig_init(&rig);
	for (int i = 0; i < LIMIT_CLIENTS_WAITING; i++)
		hog[i] = admit(&rig, 1);
	rig_expect_silence(hog[LIMIT_CLIENTS_WAITING - 1]);
	/* The other user gets its half, each place at the cost of the hog's newest. */
	for (int i = 0; i < half; i++)
		other[i] = admit(&rig, 2);
	rig_expect_silence(other[half - 1]);
	for (int i = half; i < LIMIT_CLIENTS_WAITING; i++)
		rig_expect_refused(hog[i], TLSB_E_QUOTA, "of user 1;");
	rig_expect_silence(hog[half - 1]);
	/* No more than half. */
	rig_expect_refused(admit(&rig, 2), TLSB_E_QUOTA, "of user 2;");
	rig_expect_refused(admit(&rig, 1), TLSB_E_QUOTA, "of user 1;");
	third = admit(&rig, 3);
	rig_expect_silence(third);
	assert_int_equal(rig_frontdoor(&rig)->waiting_count, LIMIT_CLIENTS_WAITING);
	rig_deinit(&rig);
	for (int i = 0; i < half; i++) {
		close(hog[i]);
		close(other[i]);
	}
	close(third);
}

static void counts_waiting_clients_for_their_user_too(void **state unused_)
{
	static int programs[LIMIT_CLIENTS_PER_UID];
	struct rig rig;

	rig_allow_files(2 * LIMIT_CLIENTS_PER_UID + 100);
	rig_init(&rig);
	for (int i = 0; i < LIMIT_CLIENTS_PER_UID; i++)
		programs[i] = admit(&rig, 1);
	rig_expect_refused(admit(&rig, 1), TLSB_E_QUOTA, "user 1 has");
	rig_deinit(&rig);
	for (int i = 0; i < LIMIT_CLIENTS_PER_UID; i++)
		close(programs[i]);
}

/* The one timer is always pending, and now far away. */
static void expect_nothing_due(struct rig *rig)
{
	struct timeval due;

	assert_true(event_pending(rig_frontdoor(rig)->expiry, EV_TIMEOUT, &due));
	assert_true(due.tv_sec > time(NULL) + 600);
}

static void refuses_those_that_have_waited_too_long(void **state unused_)
{
	struct rig rig;
	struct msg_client client;
	int first, second, worker, passed;

	rig_init(&rig);
	rig_frontdoor(&rig)->wait_ms = 200;
	first = admit(&rig, 1);
	rig_run_for(&rig, 120);
	second = admit(&rig, 2);
	rig_expect_silence(first);
	rig_run_for(&rig, 120);
	rig_expect_refused(first, TLSB_E_RESOURCES, "in time");
	rig_expect_silence(second);
	rig_expect(&rig, MSG_WORKER_WANTED, 1);
	rig_expect(&rig, MSG_WORKER_WANTED, 2);
	worker = rig_give_worker(&rig, 2);
	passed = rig_take_client(worker, &client);
	/* Nothing waits, nobody is idle: nothing will happen. */
	expect_nothing_due(&rig);
	rig_run_for(&rig, 120);
	rig_expect_silence(second);
	close(second);
	close(passed);
	close(worker);
	rig_deinit(&rig);
}

static void retires_workers_that_have_been_idle_for_long(void **state unused_)
{
	struct rig rig;
	int workers[2], program;
	uint64_t id;

	rig_init(&rig);
	rig_frontdoor(&rig)->idle_ms = 100;
	workers[0] = rig_give_worker(&rig, 1);
	workers[1] = rig_give_worker(&rig, 2);
	program = admit(&rig, 1);
	id = rig_take_id(workers[0]);
	rig_run_for(&rig, 150);
	rig_expect(&rig, MSG_WORKER_RETIRE, 2);
	rig_expect_nothing(&rig); /* the other one has a client */
	rig_client_gone(&rig, workers[0], id);
	rig_run_for(&rig, 150);
	rig_expect(&rig, MSG_WORKER_RETIRE, 1);
	close(program);
	expect_nothing_due(&rig);
	/* One that comes too late for a worker gets the next one. */
	program = admit(&rig, 1);
	rig_turn(&rig);
	assert_int_equal(recv(workers[0], &id, sizeof(id), 0), 0);
	close(workers[0]);
	rig_expect(&rig, MSG_WORKER_WANTED, 1);
	workers[0] = rig_give_worker(&rig, 1);
	rig_take_id(workers[0]);
	close(program);
	close(workers[0]);
	close(workers[1]);
	rig_deinit(&rig);
}

static void makes_room_with_the_longest_idle_worker(void **state unused_)
{
	const struct msg_worker_none none = { .uid = 9, .error = TLSB_E_RESOURCES };
	struct rig rig;
	int workers[3], busy, waits;

	rig_init(&rig);
	rig_frontdoor(&rig)->settle_ms = 50;
	for (uint32_t i = 0; i < 3; i++)
		workers[i] = rig_give_worker(&rig, i);
	busy = admit(&rig, 0);
	waits = admit(&rig, 9);
	rig_expect(&rig, MSG_WORKER_WANTED, 9);
	rig_run_for(&rig, 60);
	rig_tell(&rig, MSG_WORKER_NONE, &none, -1);
	rig_expect(&rig, MSG_WORKER_RETIRE, 1);
	rig_expect(&rig, MSG_WORKER_WANTED, 9);
	rig_expect_nothing(&rig);
	rig_tell(&rig, MSG_WORKER_NONE, &none, -1);
	rig_expect(&rig, MSG_WORKER_RETIRE, 2);
	rig_expect(&rig, MSG_WORKER_WANTED, 9);
	rig_expect_silence(waits);
	rig_tell(&rig, MSG_WORKER_NONE, &none, -1); /* all others are busy */
	rig_expect_refused(waits, TLSB_E_RESOURCES, "memory or descriptors");
	rig_expect_nothing(&rig);
	close(busy);
	for (int i = 0; i < 3; i++)
		close(workers[i]);
	rig_deinit(&rig);
}

static void does_not_take_a_new_worker_for_idle(void **state unused_)
{
	const struct msg_worker_none none = { .uid = 9, .error = TLSB_E_RESOURCES };
	struct rig rig;
	int worker, waits;

	rig_init(&rig);
	worker = rig_give_worker(&rig, 1); /* may still have clients to tell of */
	waits = admit(&rig, 9);
	rig_expect(&rig, MSG_WORKER_WANTED, 9);
	rig_tell(&rig, MSG_WORKER_NONE, &none, -1);
	rig_expect_nothing(&rig);
	rig_expect_refused(waits, TLSB_E_RESOURCES, "memory or descriptors");
	close(worker);
	rig_deinit(&rig);
}

/* What a worker does not take stays where it is counted: in the waiting room, in order. */
static void keeps_clients_that_a_slow_worker_does_not_take(void **state unused_)
{
	static int programs[LIMIT_CLIENTS_PER_UID];
	const int count = LIMIT_CLIENTS_PER_UID;
	struct rig rig;
	uint64_t last = 0;
	int worker, taken = 0;

	rig_allow_files(3 * LIMIT_CLIENTS_PER_UID + 100);
	rig_init(&rig);
	worker = rig_give_worker(&rig, 1);
	for (int i = 0; i < count; i++)
		programs[i] = admit(&rig, 1);
	assert_true(rig_frontdoor(&rig)->waiting_count > 0);
	rig_run_for(&rig, 50);
	while (taken < count) {
		struct msg_client client;
		int fd = rig_take_client(worker, &client);

		if (fd < 0) {
			rig_run_for(&rig, 15);
			continue;
		}
		close(fd);
		assert_true(client.id > last);
		last = client.id;
		taken++;
	}
	assert_int_equal(rig_frontdoor(&rig)->waiting_count, 0);
	assert_false(event_pending(rig_frontdoor(&rig)->retry, EV_TIMEOUT, NULL));
	for (int i = 0; i < count; i++)
		close(programs[i]);
	close(worker);
	rig_deinit(&rig);
}

/* Those that a worker had not taken when it died are for the next one. */
static void brings_waiting_clients_to_the_next_worker(void **state unused_)
{
	static int programs[LIMIT_CLIENTS_PER_UID];
	struct msg_client client;
	struct rig rig;
	int worker, fd;
	unsigned waiting;

	rig_allow_files(3 * LIMIT_CLIENTS_PER_UID + 100);
	rig_init(&rig);
	worker = rig_give_worker(&rig, 1);
	for (int i = 0; i < LIMIT_CLIENTS_PER_UID; i++)
		programs[i] = admit(&rig, 1);
	waiting = rig_frontdoor(&rig)->waiting_count;
	assert_true(waiting > 0);
	close(worker);
	rig_turn(&rig);
	assert_int_equal(rig_count(&rig, COUNTER_clients), 0);
	rig_expect(&rig, MSG_WORKER_WANTED, 1);
	worker = rig_give_worker(&rig, 1);
	while (waiting > 0) {
		fd = rig_take_client(worker, &client);
		if (fd >= 0)
			waiting--;
		else
			rig_run_for(&rig, 15);
		fd_close(fd);
	}
	assert_int_equal(rig_take_client(worker, &client), -1);
	for (int i = 0; i < LIMIT_CLIENTS_PER_UID; i++)
		close(programs[i]);
	close(worker);
	rig_deinit(&rig);
}

static struct rlimit lower_files(int count)
{
	struct rlimit old, low;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)count;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	return old;
}

static void count_line(void *arg, enum log_level level unused_, const char *text unused_,
		       const struct log_pair *pairs unused_, size_t count unused_)
{
	unsigned *lines = arg;

	(*lines)++;
}

/* Who is refused comes back at once: the log has a line for that, and not one for each time. */
static void logs_refusals_once_a_second(void **state unused_)
{
	const struct ucred one = { .uid = 1 }, two = { .uid = 2 };
	unsigned lines = 0;
	struct rig rig;

	rig_init(&rig);
	log_set_sink(count_line, &lines, LOG_L_DEBUG);
	for (int i = 0; i < 100; i++) {
		int pair[2];

		assert_int_equal(fd_seqpacket_pair(pair), 0);
		caller_refuse(rig_frontdoor(&rig), pair[0], i % 2 ? &one : &two, TLSB_E_QUOTA,
			      "too many");
		rig_expect_refused(pair[1], TLSB_E_QUOTA, "too many");
	}
	assert_int_equal(rig_count(&rig, COUNTER_clients_refused), 100);
	assert_in_range(lines, 2, 6);
	log_set_sink(NULL, NULL, LOG_L_DEBUG);
	rig_deinit(&rig);
}

static int lowest_free_fd(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	close(fd);
	return fd;
}

static void refuses_clients_before_the_last_descriptors_go(void **state unused_)
{
	struct rlimit old;
	struct rig rig;
	int programs[3], worker;

	rig_init(&rig);
	for (int i = 0; i < 3; i++)
		programs[i] = rig_connect(&rig);
	/* Room for two and the spare ones. */
	old = lower_files(lowest_free_fd() + 2 + LIMIT_FRONTDOOR_SPARE_FILES);
	rig_turn(&rig);
	rig_expect_silence(programs[0]);
	rig_expect_silence(programs[1]);
	rig_expect_refused(programs[2], TLSB_E_RESOURCES, "no descriptors");
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	worker = rig_give_worker(&rig, getuid()); /* its channel fits */
	rig_take_id(worker);
	rig_take_id(worker);
	setrlimit(RLIMIT_NOFILE, &old);
	close(programs[0]);
	close(programs[1]);
	close(worker);
	rig_deinit(&rig);
}

static void waits_instead_of_spinning_when_no_descriptor_is_left(void **state unused_)
{
	struct frontdoor *frontdoor;
	struct rlimit old;
	struct rig rig;
	int programs[20], worker, refused = 0;

	rig_init(&rig);
	frontdoor = rig_frontdoor(&rig);
	worker = rig_give_worker(&rig, getuid());
	for (int i = 0; i < 20; i++)
		programs[i] = rig_connect(&rig);
	old = lower_files(lowest_free_fd());
	/* The first is told with the reserve; then it pauses, one more each tenth of a second. */
	assert_true(testing_looks(rig.child.base, 250) < 100);
	assert_false(rig.lost);
	assert_true(frontdoor->door.paused);
	assert_true(frontdoor->door.reserve >= 0);
	setrlimit(RLIMIT_NOFILE, &old);
	rig_run_for(&rig, 2 * LIMIT_ACCEPT_PAUSE_MS);
	assert_false(frontdoor->door.paused);
	for (int i = 0; i < 20; i++) {
		struct pollfd poll_for = { .fd = programs[i], .events = POLLIN };

		if (poll(&poll_for, 1, 0) == 1) {
			rig_expect_refused(programs[i], TLSB_E_RESOURCES, "no descriptors");
			refused++;
		} else {
			rig_take_id(worker);
			close(programs[i]);
		}
	}
	assert_in_range(refused, 1, 4);
	close(worker);
	rig_deinit(&rig);
}

/* The program passes it a COUNT of such sockets and keeps none. */
static void pass_lingering(int program, int *peers, int count)
{
	const struct msg_session session = { 0 };

	for (int i = 0; i < count; i++) {
		int fd = testing_lingering_socket(&peers[i]);

		assert_int_equal(msg_send(program, &client_messages, CLIENT_MSG_SESSION, &session,
					  NULL, 0, &fd),
				 0);
		close(fd);
	}
}

static void is_not_held_up_by_descriptors_that_linger(void **state unused_)
{
	enum { LINGERING = 10 };
	const struct msg_worker_none none = { .uid = getuid(), .error = TLSB_E_QUOTA };
	int program, peers[LINGERING];
	uint64_t before;
	struct rig rig;

	rig_init(&rig);
	program = rig_connect(&rig);
	pass_lingering(program, peers, LINGERING);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	before = testing_wall_ns();
	rig_tell(&rig, MSG_WORKER_NONE, &none, -1);
	assert_true(testing_wall_ns() - before < UINT64_C(15000000000)); /* not 200 seconds */
	close(program);
	for (int i = 0; i < LINGERING; i++)
		close(peers[i]);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refuses_the_client_after_the_last_of_one_user),
		TEST(shares_the_waiting_room_fairly),
		TEST(counts_waiting_clients_for_their_user_too),
		TEST(refuses_those_that_have_waited_too_long),
		TEST(retires_workers_that_have_been_idle_for_long),
		TEST(makes_room_with_the_longest_idle_worker),
		TEST(does_not_take_a_new_worker_for_idle),
		TEST(keeps_clients_that_a_slow_worker_does_not_take),
		TEST(brings_waiting_clients_to_the_next_worker),
		TEST(logs_refusals_once_a_second),
		TEST(refuses_clients_before_the_last_descriptors_go),
		TEST(waits_instead_of_spinning_when_no_descriptor_is_left),
		TEST(is_not_held_up_by_descriptors_that_linger),
	};

	return testing_run(tests);
}
