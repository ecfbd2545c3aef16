/*
 * The library against a worker that runs: an echo, in a thread, that sleeps in poll() and rings only
 * whom it owes a bell.  A lost wake-up would hang: the program's poll() then times out and fails.
 * Compiled with -fsanitize=thread it shows no race either.
 */
#include "lib_rig.h"

#include <pthread.h>

#include "tests/sanitized.h"

#define HANG_MS     60000
#define PING_PONGS  SANITIZED_SHARE(100000)
#define BULK_BYTES  SANITIZED_SHARE(64u * 1024 * 1024)
#define MIXED_BYTES (4u * 1024 * 1024)

/* ---- the worker ---- */

struct echo {
	struct rig *rig;
	pthread_t thread;
	uint64_t seed; /* not 0: moves a random number of bytes at a time */
};

/* Moves what can be moved, and rings for it.  Returns how much. */
static uint32_t echo_some(struct echo *echo)
{
	struct channel *channel = &echo->rig->channel;
	struct control_page *page = channel->page;
	uint8_t *from = NULL, *to = NULL;
	int ready = ring_data(&channel->tx, &from), room;
	uint32_t n, wants = WANT_DATA | WANT_ROOM;

	if (ready == 0) {
		doorbell_arm(&page->worker_wants, WANT_DATA);
		ready = ring_data(&channel->tx, &from);
	}
	room = ring_space(&channel->rx, &to);
	if (room == 0) {
		doorbell_arm(&page->worker_wants, WANT_ROOM);
		room = ring_space(&channel->rx, &to);
	}
	n = (uint32_t)MIN(ready, room);
	if (n > 0 && echo->seed)
		n = 1 + (uint32_t)(testing_random(&echo->seed) % n);
	if (n == 0)
		return 0;
	memcpy(to, from, n);
	ring_consume(&channel->tx, n);
	ring_produce(&channel->rx, n);
	if (doorbell_answer(&page->program_wants, wants))
		rig_bell(echo->rig);
	return n;
}

static void *echo_run(void *arg)
{
	struct echo *echo = arg;
	struct pollfd pfd = { .fd = echo->rig->socket, .events = POLLIN };

	for (;;) {
		while (echo_some(echo) > 0)
			;
		if (poll(&pfd, 1, -1) < 0)
			continue;
		if (rig_hear(echo->rig) < 0)
			return NULL;
	}
}

static void start(struct rig *rig, struct echo *echo, uint64_t seed)
{
	*echo = (struct echo){ .rig = rig, .seed = seed };
	rig_listen(rig);
	rig_open(rig);
	rig_established(rig);
	assert_int_equal(pthread_create(&echo->thread, NULL, echo_run, echo), 0);
}

static void stop(struct rig *rig, struct echo *echo)
{
	assert_int_equal(tlsb_disconnect(rig->session), 0);
	pthread_join(echo->thread, NULL);
	rig_close(rig);
}

/* ---- the program ---- */

/* Bytes that tell where they are in the stream. */
static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 131 + (at >> 8) * 31 + (at >> 16));
}

struct flow {
	struct rig *rig;
	uint64_t sent, received, goal;
	bool in_place; /* no copy: tlsb_reserve(), tlsb_peek() */
	uint8_t out[65536], in[65536];
};

static void fill(uint8_t *bytes, size_t len, uint64_t at)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = pattern(at + i);
}

static void check(const uint8_t *bytes, size_t len, uint64_t at)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != pattern(at + i))
			fail_msg("byte %zu is wrong", (size_t)at + i);
}

static ssize_t send_in_place(struct flow *flow, size_t len)
{
	void *room;
	ssize_t n = tlsb_reserve(flow->rig->session, &room);

	if (n < 0)
		return n;
	len = MIN(len, (size_t)n);
	fill(room, len, flow->sent);
	assert_int_equal(tlsb_commit(flow->rig->session, len), 0);
	return (ssize_t)len;
}

/* Returns what was written, 0 if nothing could be. */
static size_t send_some(struct flow *flow, size_t max)
{
	size_t len = (size_t)MIN(flow->goal - flow->sent, (uint64_t)MIN(max, sizeof(flow->out)));
	ssize_t n;

	if (len == 0)
		return 0;
	if (flow->in_place) {
		n = send_in_place(flow, len);
	} else {
		fill(flow->out, len, flow->sent);
		n = tlsb_write(flow->rig->session, flow->out, len);
	}
	if (n < 0) {
		assert_int_equal(errno, EWOULDBLOCK);
		return 0;
	}
	flow->sent += (uint64_t)n;
	return (size_t)n;
}

static ssize_t receive_in_place(struct flow *flow, size_t len)
{
	const void *data;
	ssize_t n = tlsb_peek(flow->rig->session, &data);

	if (n <= 0)
		return n;
	len = MIN(len, (size_t)n);
	check(data, len, flow->received);
	assert_int_equal(tlsb_consume(flow->rig->session, len), 0);
	return (ssize_t)len;
}

static size_t receive_some(struct flow *flow, size_t max)
{
	ssize_t n = flow->in_place ?
			    receive_in_place(flow, max) :
			    tlsb_read(flow->rig->session, flow->in, MIN(max, sizeof(flow->in)));

	if (n < 0) {
		assert_int_equal(errno, EWOULDBLOCK);
		return 0;
	}
	if (!flow->in_place)
		check(flow->in, (size_t)n, flow->received);
	flow->received += (uint64_t)n;
	return (size_t)n;
}

/* ---- tests ---- */

static void ping_pong_through_poll(void **state unused_)
{
	struct echo echo;
	struct rig rig;
	char data[64];
	int fd;

	start(&rig, &echo, 0);
	fd = tlsb_fd(rig.session);
	for (uint64_t i = 0; i < PING_PONGS; i++) {
		uint64_t back;

		memset(data, 0, sizeof(data));
		memcpy(data, &i, sizeof(i));
		assert_int_equal(tlsb_write(rig.session, data, sizeof(data)), sizeof(data));
		for (size_t got = 0; got < sizeof(data);) {
			ssize_t n = tlsb_read(rig.session, data + got, sizeof(data) - got);

			if (n > 0)
				got += (size_t)n;
			else
				assert_true(is_readable_within(fd, HANG_MS));
		}
		memcpy(&back, data, sizeof(back));
		assert_int_equal(back, i);
	}
	stop(&rig, &echo);
}

static void ping_pong_with_a_timeout(void **state unused_)
{
	struct echo echo;
	struct rig rig;
	char data[64] = "";

	start(&rig, &echo, 0);
	tlsb_set_timeout(rig.session, HANG_MS);
	for (int i = 0; i < PING_PONGS; i++) {
		assert_int_equal(tlsb_write(rig.session, data, sizeof(data)), sizeof(data));
		for (ssize_t got = 0, n; got < (ssize_t)sizeof(data); got += n)
			assert_true((n = tlsb_read(rig.session, data, sizeof(data))) > 0);
	}
	stop(&rig, &echo);
}

static void ping_pong_by_polling_memory(void **state unused_)
{
	struct echo echo;
	struct rig rig;
	char data[64] = "";

	start(&rig, &echo, 0);
	for (int i = 0; i < PING_PONGS / 10; i++) {
		assert_int_equal(tlsb_write(rig.session, data, sizeof(data)), sizeof(data));
		for (ssize_t got = 0; got < (ssize_t)sizeof(data);) {
			ssize_t n = tlsb_read(rig.session, data, sizeof(data));

			if (n > 0)
				got += n;
			else
				assert_int_equal(errno, EWOULDBLOCK);
		}
	}
	assert_int_equal(atomic_load(&rig.channel.page->program_wants), 0);
	stop(&rig, &echo);
}

static void move_bulk(bool in_place)
{
	struct echo echo;
	struct rig rig;
	static struct flow flow;

	start(&rig, &echo, 0);
	flow = (struct flow){ .rig = &rig, .goal = BULK_BYTES / 2, .in_place = in_place };
	while (flow.received < flow.goal) {
		size_t moved = send_some(&flow, sizeof(flow.out));

		moved += receive_some(&flow, sizeof(flow.in));
		if (moved == 0)
			assert_true(is_readable_within(tlsb_fd(rig.session), HANG_MS));
	}
	stop(&rig, &echo);
}

static void bulk_both_ways_through_poll(void **state unused_)
{
	move_bulk(false);
}

static void bulk_both_ways_in_place(void **state unused_)
{
	move_bulk(true);
}

/*
 * Any order of calls.  Whenever bytes are under way, something is going to be there to read, so the
 * descriptor has to become readable, whatever was called before: reads that left something, writes
 * that could not go on, both or neither.
 */
static void any_order_through_poll(void **state unused_)
{
	static struct flow flow;

	for (uint64_t round = 1; round <= 4; round++) {
		uint64_t seed = round * 7919;
		struct echo echo;
		struct rig rig;

		start(&rig, &echo, round & 1 ? seed : 0);
		flow = (struct flow){ .rig = &rig, .goal = MIXED_BYTES };
		while (flow.received < flow.goal) {
			uint64_t r = testing_random(&seed);
			size_t max = (size_t)1 << (r >> 8) % 15;

			flow.in_place = r & 0x1000000;
			if (flow.sent > flow.received && (r & 0x100000))
				assert_true(is_readable_within(tlsb_fd(rig.session), HANG_MS));
			if (r & 0x200000)
				send_some(&flow, max);
			if (r & 0x400000)
				receive_some(&flow, max);
			if (r & 0x800000)
				receive_some(&flow, 1);
		}
		stop(&rig, &echo);
	}
}

static void any_order_through_wait(void **state unused_)
{
	static struct flow flow;
	uint64_t seed = 4711;
	struct echo echo;
	struct rig rig;

	start(&rig, &echo, 1);
	flow = (struct flow){ .rig = &rig, .goal = MIXED_BYTES };
	while (flow.received < flow.goal) {
		uint64_t r = testing_random(&seed);
		size_t max = (size_t)1 << (r >> 8) % 15;
		int events = POLLIN;

		/* A writer waits for room only as long as the echo is not itself in need of it. */
		if (r & 0x100000) {
			assert_int_equal(tlsb_wait(rig.session, POLLOUT, 0) & ~POLLOUT, 0);
			events |= POLLOUT;
		}
		if (flow.sent > flow.received)
			assert_in_range(tlsb_wait(rig.session, events, HANG_MS), 1, POLLIN | POLLOUT);
		if (r & 0x200000)
			send_some(&flow, max);
		receive_some(&flow, max);
	}
	stop(&rig, &echo);
}

/* Two programs' threads, each with a session, on one connection. */
static void *use_one_session(void *arg)
{
	struct flow *flow = arg;

	while (flow->received < flow->goal) {
		size_t moved = send_some(flow, 1000);

		moved += receive_some(flow, 3000);
		if (moved == 0 && !is_readable_within(tlsb_fd(flow->rig->session), HANG_MS))
			return arg;
	}
	return NULL;
}

static void sessions_in_threads_of_their_own(void **state unused_)
{
	static struct flow flows[4];
	pthread_t threads[4];
	struct echo echoes[4];
	struct rig rigs[4];
	void *failed;

	rig_listen(&rigs[0]);
	rig_open(&rigs[0]);
	for (int i = 0; i < 4; i++) {
		if (i > 0)
			rigs[i] = rigs[0];
		rig_established(&rigs[i]);
		echoes[i] = (struct echo){ .rig = &rigs[i] };
		flows[i] = (struct flow){ .rig = &rigs[i], .goal = MIXED_BYTES };
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_create(&echoes[i].thread, NULL, echo_run, &echoes[i]), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, use_one_session, &flows[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
		assert_int_equal(tlsb_disconnect(rigs[i].session), 0);
		pthread_join(echoes[i].thread, NULL);
	}
	for (int i = 3; i > 0; i--)
		rig_drop_session(&rigs[i]);
	rig_close(&rigs[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ping_pong_through_poll),
		TEST(ping_pong_with_a_timeout),
		TEST(ping_pong_by_polling_memory),
		TEST(bulk_both_ways_through_poll),
		TEST(bulk_both_ways_in_place),
		TEST(any_order_through_poll),
		TEST(any_order_through_wait),
		TEST(sessions_in_threads_of_their_own),
	};

	return testing_run(tests);
}
