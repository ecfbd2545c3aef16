/*
 * Ring and doorbell together: two threads, each of which sleeps in poll() when it has nothing to
 * do, on a socket that nobody writes to unless a bell is owed.  A lost wake-up would hang: the test
 * then fails at its poll().  Clean under -fsanitize=thread.
 */
#include "testing.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "ring/channel.h"
#include "ring/doorbell.h"

#define CAPACITY    LIMIT_RING_MIN
#define TOTAL_BYTES (8u * 1024 * 1024)
#define ROUNDS      100000
#define HANG_MS     60000

static void answers_only_who_is_armed(void **state unused_)
{
	_Atomic uint32_t wants = 0;

	assert_false(doorbell_answer(&wants, WANT_DATA));
	doorbell_arm(&wants, WANT_DATA);
	assert_int_equal(doorbell_armed(&wants, WANT_DATA | WANT_ROOM), WANT_DATA);
	assert_false(doorbell_answer(&wants, WANT_ROOM));
	assert_false(doorbell_answer(&wants, WANT_STATE));
	assert_int_equal(doorbell_armed(&wants, WANT_DATA), WANT_DATA);
	assert_true(doorbell_answer(&wants, WANT_DATA));
	assert_int_equal(doorbell_armed(&wants, WANT_DATA), 0);
}

static void owes_one_bell_for_each_arming(void **state unused_)
{
	_Atomic uint32_t wants = 0;

	doorbell_arm(&wants, WANT_DATA);
	doorbell_arm(&wants, WANT_DATA);
	doorbell_arm(&wants, WANT_ROOM);
	assert_true(doorbell_answer(&wants, WANT_DATA | WANT_STATE));
	assert_false(doorbell_answer(&wants, WANT_DATA | WANT_STATE));
	assert_int_equal(doorbell_armed(&wants, WANT_DATA | WANT_ROOM | WANT_STATE), WANT_ROOM);
	assert_true(doorbell_answer(&wants, WANT_ROOM));
}

/* The peer may write what it likes into the word: bits that mean nothing owe nothing. */
static void ignores_bits_that_mean_nothing(void **state unused_)
{
	_Atomic uint32_t wants = ~(uint32_t)(WANT_DATA | WANT_ROOM | WANT_STATE);

	assert_false(doorbell_answer(&wants, WANT_DATA | WANT_ROOM | WANT_STATE));
	assert_int_equal(doorbell_armed(&wants, WANT_DATA | WANT_ROOM | WANT_STATE), 0);
}

/* One side of a session.  Two of them share the rings, in one address space so that TSan sees. */
struct side {
	struct ring tx, rx; /* I produce, I consume */
	_Atomic uint32_t *own_wants, *peer_wants;
	int socket;
	uint64_t seed;
	uint64_t bells, sleeps;
	int failed;
};

static void ring_bell(struct side *side)
{
	char bell = 'b';

	side->bells++;
	if (send(side->socket, &bell, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		side->failed = 1;
}

/* Sleep until the other side rings. */
static void sleep_for_bell(struct side *side)
{
	struct pollfd wait = { .fd = side->socket, .events = POLLIN };
	char bell;

	side->sleeps++;
	if (poll(&wait, 1, HANG_MS) != 1) {
		side->failed = 1;
		return;
	}
	while (recv(side->socket, &bell, 1, MSG_DONTWAIT) == 1)
		;
}

/* A few bytes most often, so that the ring is empty often; up to all of it sometimes. */
static uint32_t some(struct side *side, int most)
{
	uint32_t bound = 2u << testing_random(&side->seed) % 14;
	uint32_t n = (uint32_t)testing_random(&side->seed) % bound + 1;

	return MIN(n, (uint32_t)most);
}

/*
 * A moment of any length up to the time that the other side takes to wake up, so that every order
 * of the two sides' steps comes up.
 */
static void dawdle(struct side *side)
{
	uint64_t most = UINT64_C(1) << testing_random(&side->seed) % 18;

	for (uint64_t n = testing_random(&side->seed) % most; n > 0; n--)
		atomic_signal_fence(memory_order_seq_cst);
}

/* How many bytes can be produced now; sleeps while there are none. */
static int wait_for_room(struct side *side, uint8_t **ret_span)
{
	for (;;) {
		int n = ring_space(&side->tx, ret_span);

		if (n != 0 || side->failed)
			return n;
		dawdle(side);
		doorbell_arm(side->own_wants, WANT_ROOM);
		if (ring_space(&side->tx, ret_span) == 0)
			sleep_for_bell(side);
	}
}

static int wait_for_data(struct side *side, uint8_t **ret_span)
{
	for (;;) {
		int n = ring_data(&side->rx, ret_span);

		if (n != 0 || side->failed)
			return n;
		dawdle(side);
		doorbell_arm(side->own_wants, WANT_DATA);
		if (ring_data(&side->rx, ret_span) == 0)
			sleep_for_bell(side);
	}
}

/* The byte that belongs at this place of the stream. */
static uint8_t pattern(uint32_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

static void *produce_all(void *arg)
{
	struct side *side = arg;

	for (uint32_t done = 0; done < TOTAL_BYTES && !side->failed;) {
		uint8_t *span = NULL;
		int room = wait_for_room(side, &span);
		uint32_t n;

		if (room <= 0)
			break;
		n = MIN(some(side, room), TOTAL_BYTES - done);
		for (uint32_t i = 0; i < n; i++)
			span[i] = pattern(done + i);
		ring_produce(&side->tx, n);
		done += n;
		if (doorbell_answer(side->peer_wants, WANT_DATA))
			ring_bell(side);
	}
	return NULL;
}

static void *consume_all(void *arg)
{
	struct side *side = arg;

	for (uint32_t done = 0; done < TOTAL_BYTES && !side->failed;) {
		uint8_t *span = NULL;
		int ready = wait_for_data(side, &span);
		uint32_t n;

		if (ready <= 0)
			break;
		n = some(side, ready);
		for (uint32_t i = 0; i < n; i++)
			side->failed |= span[i] != pattern(done + i);
		ring_consume(&side->rx, n);
		done += n;
		if (doorbell_answer(side->peer_wants, WANT_ROOM))
			ring_bell(side);
	}
	return NULL;
}

/* What comes goes back: both directions at once, and each side wants data and room by turns. */
static void *echo_all(void *arg)
{
	struct side *side = arg;

	for (uint32_t done = 0; done < TOTAL_BYTES && !side->failed;) {
		uint8_t *from = NULL, *to = NULL;
		int ready = wait_for_data(side, &from), room = wait_for_room(side, &to);
		uint32_t n;

		if (ready <= 0 || room <= 0)
			break;
		n = some(side, MIN(ready, room));
		memcpy(to, from, n);
		ring_consume(&side->rx, n);
		ring_produce(&side->tx, n);
		done += n;
		if (doorbell_answer(side->peer_wants, WANT_DATA | WANT_ROOM))
			ring_bell(side);
	}
	return NULL;
}

static void sides_init(struct side *program, struct side *worker, struct channel *channel)
{
	int fd, pair[2];

	assert_int_equal(channel_create(channel, CAPACITY, &fd), 0);
	close(fd);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	*program = (struct side){
		.tx = channel->tx,
		.rx = channel->rx,
		.own_wants = &channel->page->program_wants,
		.peer_wants = &channel->page->worker_wants,
		.socket = pair[0],
		.seed = 11,
	};
	*worker = (struct side){
		.tx = channel->rx,
		.rx = channel->tx,
		.own_wants = &channel->page->worker_wants,
		.peer_wants = &channel->page->program_wants,
		.socket = pair[1],
		.seed = 22,
	};
}

static void run(void *(*of_program)(void *), void *(*of_worker)(void *))
{
	struct side program, worker;
	struct channel channel;
	pthread_t thread;

	sides_init(&program, &worker, &channel);
	assert_int_equal(pthread_create(&thread, NULL, of_worker, &worker), 0);
	of_program(&program);
	pthread_join(thread, NULL);
	assert_false(program.failed);
	assert_false(worker.failed);
	assert_true(program.sleeps + worker.sleeps > 0);
	close(program.socket);
	close(worker.socket);
	channel_deinit(&channel);
}

static void loses_no_wake_up_in_one_direction(void **state unused_)
{
	run(produce_all, consume_all);
}

static void loses_no_wake_up_in_the_other_direction(void **state unused_)
{
	run(consume_all, produce_all);
}

/* One byte there, one byte back: each side is about to sleep whenever the other one publishes. */
static void *ping(void *arg)
{
	struct side *side = arg;

	for (uint32_t i = 0; i < ROUNDS && !side->failed; i++) {
		uint8_t *span = NULL;

		if (wait_for_room(side, &span) <= 0)
			break;
		span[0] = pattern(i);
		ring_produce(&side->tx, 1);
		if (doorbell_answer(side->peer_wants, WANT_DATA))
			ring_bell(side);
		if (wait_for_data(side, &span) <= 0)
			break;
		side->failed |= span[0] != pattern(i);
		ring_consume(&side->rx, 1);
		if (doorbell_answer(side->peer_wants, WANT_ROOM))
			ring_bell(side);
	}
	return NULL;
}

static void *pong(void *arg)
{
	struct side *side = arg;

	for (uint32_t i = 0; i < ROUNDS && !side->failed; i++) {
		uint8_t *span = NULL, byte;

		if (wait_for_data(side, &span) <= 0)
			break;
		byte = span[0];
		ring_consume(&side->rx, 1);
		if (wait_for_room(side, &span) <= 0)
			break;
		span[0] = byte;
		ring_produce(&side->tx, 1);
		if (doorbell_answer(side->peer_wants, WANT_DATA | WANT_ROOM))
			ring_bell(side);
	}
	return NULL;
}

static void loses_no_wake_up_at_ping_pong(void **state unused_)
{
	run(ping, pong);
}

/* The program in two threads would break the ring's rule, so it writes and reads by turns. */
static void *write_then_read(void *arg)
{
	struct side *side = arg;
	uint32_t sent = 0, got = 0;

	while (got < TOTAL_BYTES && !side->failed) {
		uint8_t *span = NULL;
		int room = sent < TOTAL_BYTES ? ring_space(&side->tx, &span) : 0, ready;
		uint32_t n = room > 0 ? MIN(some(side, room), TOTAL_BYTES - sent) : 0;

		for (uint32_t i = 0; i < n; i++)
			span[i] = pattern(sent + i);
		ring_produce(&side->tx, n);
		sent += n;
		if (n > 0 && doorbell_answer(side->peer_wants, WANT_DATA))
			ring_bell(side);
		ready = n > 0 ? ring_data(&side->rx, &span) : wait_for_data(side, &span);
		n = ready > 0 ? some(side, ready) : 0;
		for (uint32_t i = 0; i < n; i++)
			side->failed |= span[i] != pattern(got + i);
		ring_consume(&side->rx, n);
		got += n;
		if (n > 0 && doorbell_answer(side->peer_wants, WANT_ROOM))
			ring_bell(side);
	}
	return NULL;
}

static void loses_no_wake_up_when_both_talk(void **state unused_)
{
	run(write_then_read, echo_all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_only_who_is_armed),
		TEST(owes_one_bell_for_each_arming),
		TEST(ignores_bits_that_mean_nothing),
		TEST(loses_no_wake_up_in_one_direction),
		TEST(loses_no_wake_up_in_the_other_direction),
		TEST(loses_no_wake_up_when_both_talk),
		TEST(loses_no_wake_up_at_ping_pong),
	};

	return testing_run(tests);
}
