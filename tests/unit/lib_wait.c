/*
 * Sleeping: what a poller of the descriptor sees, tlsb_wait(), timeouts, and programs that never
 * sleep and make no system call.  The worker is the test, step by step; lib_stress.c has a real one.
 */
#include "lib_rig.h"

#include <pthread.h>
#include <seccomp.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "libtlsbroker/internal.h"
#include "tests/sanitized.h"

static void start(struct rig *rig)
{
	rig_listen(rig);
	rig_open(rig);
}

static void start_established(struct rig *rig)
{
	start(rig);
	rig_established(rig);
}

static ssize_t read_one(struct rig *rig)
{
	char byte;

	return tlsb_read(rig->session, &byte, 1);
}

/* Until nothing more moves: the program's bells answered. */
static void worker_hears(struct rig *rig)
{
	while (rig_hear(rig) > 0)
		;
}

static size_t fill(struct rig *rig)
{
	static const char data[4096];
	size_t sum = 0;
	ssize_t n;

	while ((n = tlsb_write(rig->session, data, sizeof(data))) > 0)
		sum += (size_t)n;
	assert_fails(n, EWOULDBLOCK);
	return sum;
}

/* ---- the descriptor ---- */

static void is_one_descriptor_for_the_sessions_life(void **state unused_)
{
	struct rig rig;
	int fd;

	start(&rig);
	rig_new_session(&rig);
	fd = tlsb_fd(rig.session);
	assert_true(fd >= 0);
	assert_false(is_readable(fd));
	assert_fails(tlsb_connect(rig.session, RIG_HOST, RIG_PORT), EWOULDBLOCK);
	assert_int_equal(tlsb_fd(rig.session), fd);
	assert_false(is_readable(fd));
	rig_take_session(&rig);
	rig_take_connect(&rig);
	rig_send_opened(&rig);
	assert_true(is_readable(fd));
	assert_fails(tlsb_connect(rig.session, NULL, NULL), EWOULDBLOCK);
	assert_false(is_readable(fd));
	rig_state(&rig, STATE_CONNECTED);
	assert_true(is_readable(fd));
	assert_int_equal(tlsb_connect(rig.session, NULL, NULL), 0);
	assert_fails(tlsb_handshake(rig.session), EWOULDBLOCK);
	assert_false(is_readable(fd));
	rig_state(&rig, STATE_ESTABLISHED);
	assert_true(is_readable(fd));
	assert_int_equal(tlsb_handshake(rig.session), 0);
	assert_fails(read_one(&rig), EWOULDBLOCK);
	assert_false(is_readable(fd));
	rig.socket = fd_close(rig.socket);
	assert_true(is_readable(fd));
	assert_int_equal(tlsb_disconnect(rig.session), 0);
	assert_int_equal(tlsb_fd(rig.session), fd);
	assert_true(is_readable(fd));
	rig_close(&rig);
}

/* All steps were taken before OPENED was even looked at: no bell will come for them. */
static void sees_steps_that_were_taken_before_it_looked(void **state unused_)
{
	struct rig rig;

	start(&rig);
	rig_start_connect(&rig);
	tlsb_fd(rig.session);
	rig_take_session(&rig);
	rig_take_connect(&rig);
	rig_send_opened(&rig);
	rig_state(&rig, STATE_CONNECTED);
	rig_state(&rig, STATE_ESTABLISHED);
	rig_produce(&rig, "a", 1);
	assert_true(is_readable(tlsb_fd(rig.session)));
	assert_int_equal(tlsb_connect(rig.session, NULL, NULL), 0);
	assert_int_equal(tlsb_handshake(rig.session), 0);
	assert_int_equal(read_one(&rig), 1);
	rig_close(&rig);
}

static void stays_readable_while_something_is_left(void **state unused_)
{
	struct rig rig;
	int fd;

	start_established(&rig);
	fd = tlsb_fd(rig.session);
	assert_fails(read_one(&rig), EWOULDBLOCK);
	assert_false(is_readable(fd));
	rig_produce(&rig, "abc", 3);
	assert_true(is_readable(fd));
	assert_true(is_readable(fd));
	assert_int_equal(read_one(&rig), 1);
	assert_true(is_readable(fd));
	assert_int_equal(read_one(&rig), 1);
	assert_true(is_readable(fd));
	assert_int_equal(read_one(&rig), 1);
	/* Empty: the next poll() sleeps, without a call that had to fail first. */
	assert_false(is_readable(fd));
	rig_produce(&rig, "d", 1);
	assert_true(is_readable(fd));
	rig_close(&rig);
}

static void comes_late_and_sees_what_is_there(void **state unused_)
{
	struct rig rig;

	/* Data that came before. */
	start_established(&rig);
	rig_produce(&rig, "abc", 3);
	assert_int_equal(rig_hear(&rig), 0);
	tlsb_fd(rig.session);
	worker_hears(&rig);
	assert_true(is_readable(tlsb_fd(rig.session)));
	rig_drop_session(&rig);

	/* Room for a write that failed before. */
	rig_established(&rig);
	fill(&rig);
	rig_consume(&rig, NULL, 100);
	tlsb_fd(rig.session);
	worker_hears(&rig);
	assert_true(is_readable(tlsb_fd(rig.session)));
	rig_drop_session(&rig);

	/* A state. */
	rig_connecting(&rig);
	rig_state(&rig, STATE_CONNECTED);
	tlsb_fd(rig.session);
	worker_hears(&rig);
	assert_true(is_readable(tlsb_fd(rig.session)));
	rig_drop_session(&rig);

	/* The end of the stream. */
	rig_established(&rig);
	rig_set(&rig.channel.page->rx_end, 1);
	tlsb_fd(rig.session);
	worker_hears(&rig);
	assert_true(is_readable(tlsb_fd(rig.session)));
	rig_drop_session(&rig);

	/* Nothing: it sleeps, and the next byte wakes. */
	rig_established(&rig);
	tlsb_fd(rig.session);
	worker_hears(&rig);
	assert_false(is_readable(tlsb_fd(rig.session)));
	rig_produce(&rig, "a", 1);
	assert_true(is_readable(tlsb_fd(rig.session)));
	rig_close(&rig);
}

/* The server spoke first, before anybody was to be rung; then the handshake's success is news. */
static void hears_a_server_that_spoke_before_it_was_asked(void **state unused_)
{
	char buf[8];
	struct rig rig;

	start(&rig);
	rig_connected(&rig);
	rig_state(&rig, STATE_ESTABLISHED);
	rig_produce(&rig, "220", 3);
	assert_int_equal(rig_hear(&rig), 0);
	tlsb_fd(rig.session);
	assert_int_equal(tlsb_handshake(rig.session), 0);
	worker_hears(&rig);
	assert_true(is_readable(tlsb_fd(rig.session)));
	assert_int_equal(tlsb_read(rig.session, buf, sizeof(buf)), 3);
	rig_close(&rig);
}

static void wakes_a_writer_for_room(void **state unused_)
{
	struct rig rig;
	int fd;

	start_established(&rig);
	fd = tlsb_fd(rig.session);
	assert_int_equal(fill(&rig), LIMIT_RING_MIN);
	assert_false(is_readable(fd));
	rig_consume(&rig, NULL, 1);
	assert_true(is_readable(fd));
	assert_int_equal(tlsb_write(rig.session, "xyz", 3), 1);
	assert_fails(tlsb_write(rig.session, "yz", 2), EWOULDBLOCK);
	assert_false(is_readable(fd));
	rig_close(&rig);
}

/* A writer's bells must not be taken from a reader: there is something to read. */
static void a_blocked_writer_still_hears_of_data(void **state unused_)
{
	struct rig rig;
	int fd;

	start_established(&rig);
	fd = tlsb_fd(rig.session);
	rig_produce(&rig, "abc", 3);
	fill(&rig);
	worker_hears(&rig);
	assert_true(is_readable(fd));
	for (int i = 0; i < 3; i++) {
		assert_fails(tlsb_write(rig.session, "x", 1), EWOULDBLOCK);
		worker_hears(&rig);
		assert_true(is_readable(fd));
		assert_int_equal(read_one(&rig), 1);
	}
	assert_false(is_readable(fd));
	/* It never read in vain, and hears of data nevertheless. */
	rig_produce(&rig, "d", 1);
	assert_true(is_readable(fd));
	rig_close(&rig);
}

/* Nor a reader's from a writer: the write that failed can go on. */
static void a_reader_does_not_swallow_the_writers_bell(void **state unused_)
{
	struct rig rig;
	int fd;

	start_established(&rig);
	fd = tlsb_fd(rig.session);
	fill(&rig);
	rig_produce(&rig, "abc", 3);
	rig_consume(&rig, NULL, 100);
	assert_int_equal(tlsb_read(rig.session, (char[8]){ 0 }, 8), 3);
	worker_hears(&rig);
	assert_true(is_readable(fd));
	assert_fails(read_one(&rig), EWOULDBLOCK);
	worker_hears(&rig);
	assert_true(is_readable(fd));
	assert_int_equal(tlsb_write(rig.session, "x", 1), 1);
	/* Two bells came, each is good for one look. */
	assert_fails(read_one(&rig), EWOULDBLOCK);
	assert_fails(read_one(&rig), EWOULDBLOCK);
	assert_false(is_readable(fd));
	rig_close(&rig);
}

static void a_writer_that_only_writes_asks_the_worker_once(void **state unused_)
{
	struct rig rig;

	start_established(&rig);
	tlsb_fd(rig.session);
	rig_produce(&rig, "abc", 3);
	fill(&rig);
	worker_hears(&rig);
	for (int i = 0; i < 100; i++) {
		assert_fails(tlsb_write(rig.session, "x", 1), EWOULDBLOCK);
		assert_true(is_readable(tlsb_fd(rig.session)));
	}
	assert_int_equal(rig_hear(&rig), 0);
	rig_close(&rig);
}

static void wakes_for_the_end_of_shutdown(void **state unused_)
{
	struct rig rig;
	int fd;

	start_established(&rig);
	fd = tlsb_fd(rig.session);
	assert_int_equal(tlsb_write(rig.session, "x", 1), 1);
	assert_fails(tlsb_shutdown(rig.session), EWOULDBLOCK);
	assert_fails(read_one(&rig), EWOULDBLOCK);
	assert_false(is_readable(fd)); /* although there is room */
	rig_consume(&rig, NULL, 1);
	assert_fails(tlsb_shutdown(rig.session), EWOULDBLOCK);
	rig_set(&rig.channel.page->tx_end, 1);
	if (doorbell_answer(&rig.channel.page->program_wants, WANT_ROOM))
		rig_bell(&rig);
	assert_true(is_readable(fd));
	assert_int_equal(tlsb_shutdown(rig.session), 0);
	assert_fails(read_one(&rig), EWOULDBLOCK);
	assert_false(is_readable(fd));
	rig_close(&rig);
}

static void wakes_the_worker_when_it_sleeps_and_not_else(void **state unused_)
{
	struct control_page *page;
	struct rig rig;

	start_established(&rig);
	page = rig.channel.page;
	assert_int_equal(tlsb_write(rig.session, "x", 1), 1);
	assert_int_equal(rig_hear(&rig), 0);
	doorbell_arm(&page->worker_wants, WANT_DATA);
	assert_int_equal(tlsb_write(rig.session, "x", 1), 1);
	assert_int_equal(tlsb_write(rig.session, "x", 1), 1);
	assert_int_equal(rig_hear(&rig), 1);
	doorbell_arm(&page->worker_wants, WANT_DATA);
	assert_fails(tlsb_shutdown(rig.session), EWOULDBLOCK);
	assert_int_equal(rig_hear(&rig), 1);
	rig_close(&rig);
}

/* Room is worth a bell from a quarter of the ring on. */
static void wakes_the_worker_for_room_when_it_is_worth_it(void **state unused_)
{
	static char data[LIMIT_RING_MIN];
	struct rig rig;

	start_established(&rig);
	rig_produce(&rig, data, LIMIT_RING_MIN);
	doorbell_arm(&rig.channel.page->worker_wants, WANT_ROOM);
	assert_int_equal(tlsb_read(rig.session, data, LIMIT_RING_MIN / 4 - 1), LIMIT_RING_MIN / 4 - 1);
	assert_int_equal(rig_hear(&rig), 0);
	assert_int_equal(read_one(&rig), 1);
	assert_int_equal(rig_hear(&rig), 1);
	assert_int_equal(read_one(&rig), 1);
	assert_int_equal(rig_hear(&rig), 0);
	rig_close(&rig);
}

/* ---- tlsb_wait() ---- */

static void waits_for_events_that_are_there(void **state unused_)
{
	struct rig rig;

	start_established(&rig);
	assert_fails(tlsb_wait(rig.session, 0, 0), EINVAL);
	assert_fails(tlsb_wait(rig.session, POLLIN | POLLPRI, 0), EINVAL);
	assert_fails(tlsb_wait(rig.session, POLLHUP, 0), EINVAL);
	assert_int_equal(tlsb_wait(rig.session, POLLIN, 0), 0);
	assert_int_equal(tlsb_wait(rig.session, POLLIN, 20), 0);
	assert_int_equal(tlsb_wait(rig.session, POLLOUT, -1), POLLOUT);
	assert_int_equal(tlsb_wait(rig.session, POLLIN | POLLOUT, -1), POLLOUT);
	rig_produce(&rig, "a", 1);
	assert_int_equal(tlsb_wait(rig.session, POLLIN, -1), POLLIN);
	assert_int_equal(tlsb_wait(rig.session, POLLIN | POLLOUT, -7), POLLIN | POLLOUT);
	fill(&rig);
	assert_int_equal(tlsb_wait(rig.session, POLLIN | POLLOUT, -1), POLLIN);
	assert_int_equal(tlsb_wait(rig.session, POLLOUT, 10), 0);
	assert_int_equal(read_one(&rig), 1);
	rig_set(&rig.channel.page->rx_end, 1);
	assert_int_equal(tlsb_wait(rig.session, POLLIN, -1), POLLIN);
	rig_close(&rig);
}

static void waits_until_connect_and_handshake_get_further(void **state unused_)
{
	struct rig rig;

	start(&rig);
	rig_start_connect(&rig);
	assert_int_equal(tlsb_wait(rig.session, POLLIN, 10), 0);
	rig_take_session(&rig);
	rig_take_connect(&rig);
	rig_send_opened(&rig);
	assert_int_equal(tlsb_wait(rig.session, POLLIN, 10), 0);
	rig_state(&rig, STATE_CONNECTED);
	assert_int_equal(tlsb_wait(rig.session, POLLIN, -1), POLLIN);
	assert_int_equal(tlsb_wait(rig.session, POLLOUT, -1), POLLOUT);
	assert_int_equal(tlsb_connect(rig.session, NULL, NULL), 0);
	assert_int_equal(tlsb_wait(rig.session, POLLIN | POLLOUT, 10), 0);
	rig_state(&rig, STATE_ESTABLISHED);
	assert_int_equal(tlsb_wait(rig.session, POLLIN, -1), POLLIN); /* nothing to read yet */
	assert_int_equal(tlsb_handshake(rig.session), 0);
	assert_int_equal(tlsb_wait(rig.session, POLLIN, 10), 0);
	rig_close(&rig);
}

static void waits_for_the_end_of_shutdown(void **state unused_)
{
	struct rig rig;

	start_established(&rig);
	assert_fails(tlsb_shutdown(rig.session), EWOULDBLOCK);
	assert_int_equal(tlsb_wait(rig.session, POLLOUT, 10), 0);
	rig_set(&rig.channel.page->tx_end, 1);
	assert_int_equal(tlsb_wait(rig.session, POLLOUT, -1), POLLOUT);
	rig_close(&rig);
}

static void waits_no_longer_when_it_has_ended(void **state unused_)
{
	struct rig rig;

	start_established(&rig);
	rig_end(&rig, TLSB_E_RESET, "reset");
	assert_int_equal(tlsb_wait(rig.session, POLLIN, -1), POLLIN);
	assert_int_equal(tlsb_wait(rig.session, POLLIN | POLLOUT, -1), POLLIN | POLLOUT);
	tlsb_disconnect(rig.session);
	assert_int_equal(tlsb_wait(rig.session, POLLIN, -1), POLLIN);
	rig_close(&rig);
}

static void on_alarm(int number unused_)
{
}

static void is_interrupted_by_a_signal(void **state unused_)
{
	/* More than one: the first may come before the call has begun. */
	const struct itimerval often = { { 0, 300000 }, { 0, 300000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = on_alarm }, old;
	struct rig rig;

	start_established(&rig);
	sigaction(SIGALRM, &action, &old);
	setitimer(ITIMER_REAL, &often, NULL);
	assert_fails(tlsb_wait(rig.session, POLLIN, 10000), EINTR);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &old, NULL);
	alarm(TESTING_SECONDS);
	rig_close(&rig);
}

/* ---- timeouts ---- */

static uint64_t ms_until_connecting_times_out(struct rig *rig)
{
	uint64_t begun = clock_ms();

	assert_fails(tlsb_connect(rig->session, RIG_HOST, RIG_PORT), ETIMEDOUT);
	return clock_ms() - begun;
}

static uint64_t ms_until_reading_times_out(struct rig *rig)
{
	uint64_t begun = clock_ms();

	assert_fails(read_one(rig), ETIMEDOUT);
	return clock_ms() - begun;
}

static void times_out_and_can_be_called_again(void **state unused_)
{
	struct rig rig;

	start(&rig);
	rig_new_session(&rig);
	assert_fails(tlsb_set_timeout(rig.session, -2), EINVAL);
	tlsb_set_timeout(rig.session, 30);
	assert_takes(ms_until_connecting_times_out(&rig), 30, 400);
	rig_take_session(&rig);
	rig_take_connect(&rig);
	rig_send_opened(&rig);
	assert_fails(tlsb_connect(rig.session, NULL, NULL), ETIMEDOUT);
	rig_state(&rig, STATE_CONNECTED);
	assert_int_equal(tlsb_connect(rig.session, NULL, NULL), 0);
	assert_fails(tlsb_handshake(rig.session), ETIMEDOUT);
	rig_state(&rig, STATE_ESTABLISHED);
	assert_int_equal(tlsb_handshake(rig.session), 0);
	assert_takes(ms_until_reading_times_out(&rig), 30, 200);
	assert_fails(tlsb_shutdown(rig.session), ETIMEDOUT);
	rig_produce(&rig, "a", 1);
	assert_int_equal(read_one(&rig), 1);
	assert_int_equal(tlsb_error_code(rig.session), TLSB_E_NONE);
	tlsb_set_timeout(rig.session, 0);
	assert_fails(read_one(&rig), EWOULDBLOCK);
	rig_close(&rig);
}

static void times_out_when_the_ring_is_full(void **state unused_)
{
	struct rig rig;

	start_established(&rig);
	fill(&rig);
	tlsb_set_timeout(rig.session, 20);
	assert_fails(tlsb_write(rig.session, "x", 1), ETIMEDOUT);
	rig_consume(&rig, NULL, 1);
	assert_int_equal(tlsb_write(rig.session, "x", 1), 1);
	rig_close(&rig);
}

static atomic_uint calls_done;

/* The program's next call sleeps by now, or will soon. */
static void await_call(unsigned number)
{
	while (calls_done < number)
		usleep(1000);
	usleep(30000);
}

static void *act_later(void *arg)
{
	struct rig *rig = arg;

	await_call(0);
	rig_produce(rig, "a", 1);
	await_call(1);
	rig_consume(rig, NULL, 1);
	await_call(2);
	rig_end(rig, TLSB_E_RESET, "reset");
	return NULL;
}

static void blocks_until_something_happens(void **state unused_)
{
	pthread_t thread;
	struct rig rig;

	start_established(&rig);
	fill(&rig);
	tlsb_set_timeout(rig.session, -1);
	calls_done = 0;
	assert_int_equal(pthread_create(&thread, NULL, act_later, &rig), 0);
	assert_int_equal(read_one(&rig), 1);
	calls_done++;
	assert_int_equal(tlsb_write(rig.session, "xy", 2), 1);
	calls_done++;
	assert_fails(read_one(&rig), ECONNRESET);
	pthread_join(thread, NULL);
	rig_close(&rig);
}

static atomic_bool worker_stops;

/* A worker that has nothing to do but to answer bells. */
static void *answer_bells(void *arg)
{
	struct rig *rig = arg;

	while (!worker_stops) {
		if (is_readable_within(rig->socket, 10))
			rig_hear(rig);
	}
	return NULL;
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A call that waits for half a second: how long it computed. */
static uint64_t cpu_us_of_writing(struct rig *rig)
{
	double before = cpu_seconds();

	assert_fails(tlsb_write(rig->session, "", 1), ETIMEDOUT);
	return (uint64_t)((cpu_seconds() - before) * 1e6);
}

/* What keeps the descriptor readable for another call must not keep this one from sleeping. */
static void a_writer_sleeps_while_bytes_wait_to_be_read(void **state unused_)
{
	pthread_t thread;
	struct rig rig;

	start_established(&rig);
	tlsb_fd(rig.session);
	fill(&rig);
	rig_produce(&rig, "x", 1);
	worker_stops = false;
	assert_int_equal(pthread_create(&thread, NULL, answer_bells, &rig), 0);
	tlsb_set_timeout(rig.session, 500);
	assert_takes(cpu_us_of_writing(&rig), 0, 20000);
	/* The promise holds again. */
	assert_true(is_readable_within(tlsb_fd(rig.session), 60000));
	worker_stops = true;
	pthread_join(thread, NULL);
	assert_int_equal(read_one(&rig), 1);
	rig_close(&rig);
}

/* What the worker does once it is asked to ring for WANT; it rings in the end, too, so that nobody waits for ever. */
struct deed {
	struct rig *rig;
	uint32_t want;
	bool was_asked;
};

static void *act_when_asked(void *arg)
{
	struct deed *deed = arg;
	struct rig *rig = deed->rig;
	uint64_t end = clock_ms() + 2000;

	while (!deed->was_asked && clock_ms() < end) {
		usleep(1000);
		deed->was_asked = (rig->channel.page->program_wants & deed->want) != 0;
	}
	if (deed->want == WANT_DATA)
		rig_produce(rig, "x", 1);
	else
		rig_consume(rig, NULL, 1);
	if (!deed->was_asked)
		rig_bell(rig);
	return NULL;
}

/*
 * A call that has waited for answers, and so looks for a moment before it sleeps.  What it sees may be for
 * another call, that has returned EWOULDBLOCK and was not tried again: that is no reason not to be woken.
 */
static void expect_asked(struct rig *rig, uint32_t want, int timeout_ms)
{
	struct deed deed = { .rig = rig, .want = want };
	pthread_t thread;

	rig->tlsb->has_cpus = true;
	rig->session->spin = (struct spin){ .tries = 8 };
	tlsb_set_timeout(rig->session, timeout_ms);
	assert_int_equal(pthread_create(&thread, NULL, act_when_asked, &deed), 0);
	if (want == WANT_DATA)
		assert_int_equal(read_one(rig), 1);
	else
		assert_int_equal(tlsb_write(rig->session, "x", 1), 1);
	pthread_join(thread, NULL);
	assert_true(deed.was_asked);
	tlsb_set_timeout(rig->session, 0);
}

static void who_has_looked_for_a_moment_is_woken_all_the_same(void **state unused_)
{
	struct rig rig;

	start_established(&rig);
	fill(&rig);
	rig_consume(&rig, NULL, 1000); /* there is room, which the reader does not need */
	expect_asked(&rig, WANT_DATA, -1);
	expect_asked(&rig, WANT_DATA, 5000);
	fill(&rig);
	assert_fails(read_one(&rig), EWOULDBLOCK);
	rig_produce(&rig, "x", 1); /* and there are bytes, which the writer does not need */
	expect_asked(&rig, WANT_ROOM, -1);
	expect_asked(&rig, WANT_ROOM, 5000);
	rig_close(&rig);
}

static void a_signal_does_not_end_a_blocking_call(void **state unused_)
{
	struct sigaction action = { .sa_handler = on_alarm }, old;
	struct rig rig;
	uint64_t begun;

	start_established(&rig);
	sigaction(SIGALRM, &action, &old);
	alarm(1);
	tlsb_set_timeout(rig.session, 1300);
	begun = clock_ms();
	assert_fails(read_one(&rig), ETIMEDOUT);
	assert_true(clock_ms() - begun >= 1300);
	sigaction(SIGALRM, &old, NULL);
	alarm(TESTING_SECONDS);
	rig_close(&rig);
}

/* ---- polling memory ---- */

#define POLLS 10000

/* Exits with 0 if all was as it should be; any system call kills. */
static void poll_without_system_calls(struct rig *rig)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int bad = 0;

	if (!filter || seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(exit_group), 0) < 0)
		_exit(2);
	/* One call in 100 ms looks whether the worker is alive: make it now. */
	usleep(110000);
	(void)read_one(rig);
	if (seccomp_load(filter) < 0)
		_exit(2);
	for (int i = 0; i < POLLS; i++) {
		bad |= read_one(rig) != -1 || errno != EWOULDBLOCK;
		bad |= tlsb_write(rig->session, "x", 1) != -1 || errno != EWOULDBLOCK;
		bad |= tlsb_handshake(rig->session) != 0 || tlsb_pending(rig->session) != 0;
		bad |= tlsb_wait(rig->session, POLLIN | POLLOUT, 0) != 0;
	}
	_exit(bad);
}

static void polls_without_system_calls(void **state unused_)
{
	int status = -1;
	struct rig rig;

	if (SANITIZED)
		skip(); /* sanitizers make system calls of their own */
	start_established(&rig);
	fill(&rig);
	/* Should the machine be so slow that it takes 100 ms, the look is a call, rightly: again. */
	for (int i = 0; i < 20 && status != 0; i++) {
		pid_t pid = fork();

		if (pid == 0)
			poll_without_system_calls(&rig);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	assert_int_equal(status, 0);
	rig_close(&rig);
}

static void polling_moves_bytes_without_bells(void **state unused_)
{
	struct rig rig;
	char data[4];

	start_established(&rig);
	for (int i = 0; i < 1000; i++) {
		assert_fails(read_one(&rig), EWOULDBLOCK);
		assert_int_equal(tlsb_write(rig.session, &i, sizeof(i)), sizeof(i));
		rig_consume(&rig, data, sizeof(data));
		rig_produce(&rig, data, sizeof(data));
		assert_int_equal(tlsb_read(rig.session, data, sizeof(data)), sizeof(data));
		assert_memory_equal(data, &i, sizeof(i));
	}
	assert_int_equal(rig_hear(&rig), 0);
	assert_int_equal(atomic_load(&rig.channel.page->program_wants), 0);
	rig_close(&rig);
}

/* The first poll looks that comes 100 ms after the last look, and no later one has to. */
static void polling_notices_a_dead_worker(void **state unused_)
{
	struct rig rig;

	start_established(&rig);
	assert_fails(read_one(&rig), EWOULDBLOCK);
	rig.socket = fd_close(rig.socket);
	rig.session->looked_ms = clock_coarse_ms() - 100;
	(void)read_one(&rig);
	assert_true(rig.session->hung);
	assert_soon_fails(read_one(&rig), ECONNRESET);
	assert_int_equal(tlsb_error_code(rig.session), TLSB_E_WORKER_DIED);
	rig_drop_session(&rig);

	rig_established(&rig);
	fill(&rig);
	rig_stop_listening(&rig);
	rig.socket = fd_close(rig.socket);
	assert_soon_fails(tlsb_write(rig.session, "x", 1), ECONNABORTED);
	assert_int_equal(tlsb_error_code(rig.session), TLSB_E_BROKER_GONE);
	rig_close(&rig);
}

/* A writer that never reads what is there: neither does it sleep for ever, nor go on for ever. */
static void a_writer_that_does_not_read_notices_a_dead_worker(void **state unused_)
{
	struct rig rig;

	start_established(&rig);
	tlsb_fd(rig.session);
	rig_produce(&rig, "abc", 3);
	fill(&rig);
	rig.socket = fd_close(rig.socket);
	assert_soon_fails(tlsb_write(rig.session, "x", 1), ECONNRESET);
	assert_int_equal(tlsb_read(rig.session, (char[8]){ 0 }, 8), 3);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_one_descriptor_for_the_sessions_life),
		TEST(sees_steps_that_were_taken_before_it_looked),
		TEST(stays_readable_while_something_is_left),
		TEST(comes_late_and_sees_what_is_there),
		TEST(hears_a_server_that_spoke_before_it_was_asked),
		TEST(wakes_a_writer_for_room),
		TEST(a_blocked_writer_still_hears_of_data),
		TEST(a_reader_does_not_swallow_the_writers_bell),
		TEST(a_writer_that_only_writes_asks_the_worker_once),
		TEST(wakes_for_the_end_of_shutdown),
		TEST(wakes_the_worker_when_it_sleeps_and_not_else),
		TEST(wakes_the_worker_for_room_when_it_is_worth_it),
		TEST(waits_for_events_that_are_there),
		TEST(waits_until_connect_and_handshake_get_further),
		TEST(waits_for_the_end_of_shutdown),
		TEST(waits_no_longer_when_it_has_ended),
		TEST(is_interrupted_by_a_signal),
		TEST(times_out_and_can_be_called_again),
		TEST(times_out_when_the_ring_is_full),
		TEST(blocks_until_something_happens),
		TEST(a_writer_sleeps_while_bytes_wait_to_be_read),
		TEST(who_has_looked_for_a_moment_is_woken_all_the_same),
		TEST(a_signal_does_not_end_a_blocking_call),
		TEST(polls_without_system_calls),
		TEST(polling_moves_bytes_without_bells),
		TEST(polling_notices_a_dead_worker),
		TEST(a_writer_that_does_not_read_notices_a_dead_worker),
	};

	return testing_run(tests);
}
