/*
 * Reading and writing without a copy: what a program is shown, what it may move, and when what it was
 * shown is void.  The worker is the test, step by step; lib_stress.c has one that runs.
 */
#include "lib_rig.h"

#define CAPACITY LIMIT_RING_MIN

static void start(struct rig *rig)
{
	rig_listen(rig);
	rig_open(rig);
	rig_established(rig);
}

/* Bytes go round until both rings' next one is AT bytes behind the first. */
static void turn_rings(struct rig *rig, uint32_t at)
{
	static const char data[CAPACITY];
	char sink[CAPACITY];

	rig_produce(rig, data, at);
	assert_int_equal(tlsb_read(rig->session, sink, at), at);
	assert_int_equal(tlsb_write(rig->session, data, at), at);
	rig_consume(rig, NULL, at);
}

static void assert_shown(struct rig *rig, const char *bytes)
{
	const void *data = NULL;
	ssize_t n = tlsb_peek(rig->session, &data);

	assert_int_equal(n, strlen(bytes));
	assert_memory_equal(data, bytes, (size_t)n);
}

/* The descriptor's bell is taken; the worker has nothing to answer. */
static void quiet_down(struct rig *rig)
{
	const void *data;

	assert_fails(tlsb_peek(rig->session, &data), EWOULDBLOCK);
	assert_null(data);
	while (rig_hear(rig) > 0)
		;
	assert_false(is_readable(tlsb_fd(rig->session)));
}

/* ---- reading ---- */

static void what_is_peeked_stays_until_it_is_consumed(void **state unused_)
{
	struct rig rig;
	char byte;

	start(&rig);
	rig_produce(&rig, "abcdef", 6);
	assert_shown(&rig, "abcdef");
	assert_shown(&rig, "abcdef");
	assert_int_equal(tlsb_consume(rig.session, 2), 0);
	rig_produce(&rig, "gh", 2);
	assert_int_equal(tlsb_consume(rig.session, 1), 0);
	assert_int_equal(tlsb_pending(rig.session), 5);
	assert_shown(&rig, "defgh");
	assert_int_equal(tlsb_consume(rig.session, 4), 0);
	assert_int_equal(tlsb_read(rig.session, &byte, 1), 1);
	assert_int_equal(byte, 'h');
	rig_close(&rig);
}

static void no_more_is_consumed_than_was_shown(void **state unused_)
{
	struct rig rig;

	start(&rig);
	rig_produce(&rig, "abc", 3);
	assert_fails(tlsb_consume(rig.session, 1), EINVAL);
	assert_shown(&rig, "abc");
	rig_produce(&rig, "def", 3);
	assert_fails(tlsb_consume(rig.session, 4), EINVAL);
	assert_fails(tlsb_consume(rig.session, SIZE_MAX), EINVAL);
	assert_int_equal(tlsb_consume(rig.session, 3), 0);
	assert_fails(tlsb_consume(rig.session, 1), EINVAL);
	assert_int_equal(tlsb_consume(rig.session, 0), 0);
	assert_shown(&rig, "def");
	rig_close(&rig);
}

static void a_read_between_makes_it_void(void **state unused_)
{
	struct rig rig;
	char bytes[2];

	start(&rig);
	rig_produce(&rig, "abcd", 4);
	assert_shown(&rig, "abcd");
	assert_int_equal(tlsb_read(rig.session, bytes, 2), 2);
	assert_fails(tlsb_consume(rig.session, 1), EINVAL);
	assert_shown(&rig, "cd");
	rig_close(&rig);
}

static void a_span_goes_on_over_the_rings_end(void **state unused_)
{
	const uint32_t len = CAPACITY - 1;
	struct rig rig;
	char bytes[CAPACITY];
	const void *data;
	void *room;

	start(&rig);
	turn_rings(&rig, CAPACITY - 3);
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (char)(i * 7);
	rig_produce(&rig, bytes, len);
	assert_int_equal(tlsb_peek(rig.session, &data), len);
	assert_memory_equal(data, bytes, len);
	assert_int_equal(tlsb_consume(rig.session, len), 0);

	assert_int_equal(tlsb_reserve(rig.session, &room), CAPACITY);
	memcpy(room, bytes, len);
	assert_int_equal(tlsb_commit(rig.session, len), 0);
	memset(bytes, 0, sizeof(bytes));
	rig_consume(&rig, bytes, len);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], (char)(i * 7));
	rig_close(&rig);
}

static void the_descriptor_is_readable_until_all_is_consumed(void **state unused_)
{
	struct rig rig;
	int fd;

	start(&rig);
	fd = tlsb_fd(rig.session);
	quiet_down(&rig);
	rig_produce(&rig, "abc", 3);
	assert_true(is_readable(fd));
	assert_shown(&rig, "abc");
	assert_true(is_readable(fd));
	assert_int_equal(tlsb_consume(rig.session, 2), 0);
	rig_hear(&rig);
	assert_true(is_readable(fd));
	assert_int_equal(tlsb_consume(rig.session, 1), 0);
	quiet_down(&rig);
	rig_produce(&rig, "d", 1);
	assert_true(is_readable(fd));
	rig_close(&rig);
}

static void a_worker_that_waits_for_room_hears_of_it(void **state unused_)
{
	static const char data[CAPACITY];
	struct rig rig;
	const void *shown;

	start(&rig);
	rig_produce(&rig, data, CAPACITY);
	assert_int_equal(tlsb_peek(rig.session, &shown), CAPACITY);
	doorbell_arm(&rig.channel.page->worker_wants, WANT_ROOM);
	assert_int_equal(rig_hear(&rig), 0);
	assert_int_equal(tlsb_consume(rig.session, CAPACITY / 2), 0);
	assert_int_equal(rig_hear(&rig), 1);
	rig_close(&rig);
}

static void the_clean_end_comes_after_the_last_byte(void **state unused_)
{
	struct rig rig;
	const void *data;

	start(&rig);
	rig_produce(&rig, "z", 1);
	rig_set(&rig.channel.page->rx_end, 1);
	assert_shown(&rig, "z");
	assert_shown(&rig, "z");
	assert_int_equal(tlsb_consume(rig.session, 1), 0);
	assert_int_equal(tlsb_peek(rig.session, &data), 0);
	assert_null(data);
	rig_close(&rig);
}

static void what_came_before_an_error_can_be_looked_at(void **state unused_)
{
	struct rig rig;
	const void *data;

	start(&rig);
	rig_produce(&rig, "last", 4);
	rig_end(&rig, TLSB_E_TRUNCATED, "cut");
	assert_shown(&rig, "last");
	assert_int_equal(tlsb_consume(rig.session, 4), 0);
	assert_fails(tlsb_peek(rig.session, &data), ECONNRESET);
	assert_string_equal(tlsb_error_text(rig.session), "cut");
	rig_close(&rig);
}

static void a_timeout_holds(void **state unused_)
{
	static const char data[CAPACITY];
	struct rig rig;
	const void *shown;
	void *room;

	start(&rig);
	assert_int_equal(tlsb_set_timeout(rig.session, 20), 0);
	assert_fails(tlsb_peek(rig.session, &shown), ETIMEDOUT);
	assert_int_equal(tlsb_write(rig.session, data, CAPACITY), CAPACITY);
	assert_fails(tlsb_reserve(rig.session, &room), ETIMEDOUT);
	assert_null(room);
	rig_close(&rig);
}

/* ---- writing ---- */

static void only_what_is_committed_is_sent(void **state unused_)
{
	struct rig rig;
	char bytes[6];
	void *room;

	start(&rig);
	assert_int_equal(tlsb_reserve(rig.session, &room), CAPACITY);
	memcpy(room, "abcdef", 6);
	assert_int_equal(rig_has_data(&rig), 0);
	assert_int_equal(tlsb_commit(rig.session, 2), 0);
	assert_int_equal(rig_has_data(&rig), 2);
	assert_int_equal(tlsb_commit(rig.session, 0), 0);
	assert_int_equal(tlsb_commit(rig.session, 4), 0);
	rig_consume(&rig, bytes, 6);
	assert_memory_equal(bytes, "abcdef", 6);
	rig_close(&rig);
}

static void no_more_is_committed_than_was_reserved(void **state unused_)
{
	static const char data[CAPACITY];
	struct rig rig;
	void *room;

	start(&rig);
	assert_fails(tlsb_commit(rig.session, 1), EINVAL);
	assert_int_equal(tlsb_reserve(rig.session, &room), CAPACITY);
	assert_fails(tlsb_commit(rig.session, CAPACITY + 1), EINVAL);
	assert_fails(tlsb_commit(rig.session, SIZE_MAX), EINVAL);
	assert_int_equal(tlsb_commit(rig.session, CAPACITY - 1), 0);
	assert_fails(tlsb_commit(rig.session, 2), EINVAL);
	assert_int_equal(rig_has_data(&rig), CAPACITY - 1);
	assert_int_equal(tlsb_write(rig.session, data, 1), 1);
	assert_fails(tlsb_commit(rig.session, 1), EINVAL);
	assert_fails(tlsb_reserve(rig.session, &room), EWOULDBLOCK);
	rig_close(&rig);
}

static void a_sleeping_worker_hears_of_what_is_committed(void **state unused_)
{
	struct rig rig;
	void *room;

	start(&rig);
	doorbell_arm(&rig.channel.page->worker_wants, WANT_DATA);
	assert_int_equal(tlsb_reserve(rig.session, &room), CAPACITY);
	assert_int_equal(tlsb_commit(rig.session, 0), 0);
	assert_int_equal(rig_hear(&rig), 0);
	assert_int_equal(tlsb_commit(rig.session, 1), 0);
	assert_int_equal(rig_hear(&rig), 1);
	rig_close(&rig);
}

static void who_waits_for_room_is_woken(void **state unused_)
{
	static const char data[CAPACITY];
	struct rig rig;
	void *room;
	int fd;

	start(&rig);
	fd = tlsb_fd(rig.session);
	quiet_down(&rig);
	assert_int_equal(tlsb_write(rig.session, data, CAPACITY), CAPACITY);
	assert_fails(tlsb_reserve(rig.session, &room), EWOULDBLOCK);
	rig_hear(&rig);
	assert_false(is_readable(fd));
	rig_consume(&rig, NULL, 100);
	assert_true(is_readable(fd));
	assert_int_equal(tlsb_reserve(rig.session, &room), 100);
	rig_close(&rig);
}

static void nothing_is_committed_after_a_shutdown(void **state unused_)
{
	struct rig rig;
	void *room;

	start(&rig);
	assert_int_equal(tlsb_reserve(rig.session, &room), CAPACITY);
	assert_fails(tlsb_shutdown(rig.session), EWOULDBLOCK);
	assert_fails(tlsb_commit(rig.session, 1), EPIPE);
	assert_fails(tlsb_reserve(rig.session, &room), EPIPE);
	assert_int_equal(rig_has_data(&rig), 0);
	rig_close(&rig);
}

/* ---- not in this state, or with such a worker ---- */

static void only_a_connected_session_has_them(void **state unused_)
{
	struct rig rig;
	const void *data;
	void *room;

	rig_listen(&rig);
	rig_open(&rig);
	rig_new_session(&rig);
	assert_fails(tlsb_peek(rig.session, &data), ENOTCONN);
	assert_fails(tlsb_reserve(rig.session, &room), ENOTCONN);
	assert_fails(tlsb_consume(rig.session, 0), ENOTCONN);
	assert_fails(tlsb_commit(rig.session, 0), ENOTCONN);
	rig_drop_session(&rig);

	rig_connected(&rig);
	assert_fails(tlsb_peek(rig.session, &data), EWOULDBLOCK);
	assert_fails(tlsb_reserve(rig.session, &room), EWOULDBLOCK);
	assert_fails(tlsb_commit(rig.session, 1), EINVAL);
	rig_state(&rig, STATE_ESTABLISHED);
	rig_produce(&rig, "a", 1);
	assert_shown(&rig, "a");
	assert_int_equal(tlsb_disconnect(rig.session), 0);
	assert_fails(tlsb_consume(rig.session, 1), ENOTCONN);
	assert_fails(tlsb_commit(rig.session, 1), ENOTCONN);
	rig_close(&rig);
}

static void a_worker_that_takes_back_what_it_showed_is_a_liar(void **state unused_)
{
	struct rig rig;
	const void *data;

	start(&rig);
	turn_rings(&rig, 100);
	rig_produce(&rig, "abcdef", 6);
	assert_shown(&rig, "abcdef");
	rig_set(&rig.channel.page->rx.head.value, 100 + 3);
	assert_fails(tlsb_consume(rig.session, 6), EPROTO);
	assert_int_equal(tlsb_error_code(rig.session), TLSB_E_BROKER_PROTOCOL);
	assert_fails(tlsb_peek(rig.session, &data), EPROTO);
	assert_fails(tlsb_consume(rig.session, 1), ENOTCONN);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_peeked_stays_until_it_is_consumed),
		TEST(no_more_is_consumed_than_was_shown),
		TEST(a_read_between_makes_it_void),
		TEST(a_span_goes_on_over_the_rings_end),
		TEST(the_descriptor_is_readable_until_all_is_consumed),
		TEST(a_worker_that_waits_for_room_hears_of_it),
		TEST(the_clean_end_comes_after_the_last_byte),
		TEST(what_came_before_an_error_can_be_looked_at),
		TEST(a_timeout_holds),
		TEST(only_what_is_committed_is_sent),
		TEST(no_more_is_committed_than_was_reserved),
		TEST(a_sleeping_worker_hears_of_what_is_committed),
		TEST(who_waits_for_room_is_woken),
		TEST(nothing_is_committed_after_a_shutdown),
		TEST(only_a_connected_session_has_them),
		TEST(a_worker_that_takes_back_what_it_showed_is_a_liar),
	};

	return testing_run(tests);
}
