/*
 * How fast what died is started again, and who is served next.
 */
#include "testing.h"

#include "supervisor/seats.h"

static void backoff_doubles_up_to_its_limit(void **state unused_)
{
	static const uint32_t expected[] = { 0, 100, 200, 400, 500, 500 };
	struct backoff backoff = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(backoff_next(&backoff, 10), expected[i]);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(backoff_next(&backoff, 10), 500);
}

static void backoff_begins_anew_after_health(void **state unused_)
{
	struct backoff backoff = { 0 };

	for (int i = 0; i < 5; i++)
		backoff_next(&backoff, LIMIT_HEALTHY_MS - 1);
	assert_int_equal(backoff_next(&backoff, LIMIT_HEALTHY_MS), 0);
	assert_int_equal(backoff_next(&backoff, 10), 100);
}

static void seats_serve_the_oldest_wish_first(void **state unused_)
{
	struct seats seats;

	seats_init(&seats);
	for (uint32_t uid = 1; uid <= 3; uid++)
		assert_non_null(seats_make(&seats, uid, 0, 0));
	assert_null(seats_next(&seats, 0));
	seats_find(&seats, 3, 0, 0)->wanted = true;
	seats_find(&seats, 2, 0, 0)->wanted = true;
	assert_int_equal(seats_next(&seats, 0)->uid, 2);
	assert_int_equal(seats_in_use(&seats), 2);
	seats_deinit(&seats);
}

static void seats_delay_a_user_whose_worker_keeps_dying(void **state unused_)
{
	struct seats seats;
	struct seat *seat;

	seats_init(&seats);
	seat = seats_make(&seats, 1000, 0, 0);
	seat->wanted = true;
	seat_died(seat, 5000, 3);
	assert_ptr_equal(seats_next(&seats, 5000), seat);
	assert_int_equal(seats_wait_ms(&seats, 5000), -1);
	seat_died(seat, 6000, 3);
	assert_null(seats_next(&seats, 6099));
	assert_int_equal(seats_wait_ms(&seats, 6099), 1);
	assert_ptr_equal(seats_next(&seats, 6100), seat);
	assert_int_equal(seat->restarts, 2);
	seats_deinit(&seats);
}

/* Users come and go: those who left nothing but a memory make room. */
static void seats_are_bounded(void **state unused_)
{
	struct seats seats;
	uint32_t uid = 1;

	seats_init(&seats);
	seats_make(&seats, uid, 0, 0)->wanted = true;
	for (uid = 2; uid < 10 * LIMIT_WORKERS; uid++)
		assert_non_null(seats_make(&seats, uid, 0, 0));
	assert_int_equal(seats.count, 2 * LIMIT_WORKERS);
	assert_non_null(seats_find(&seats, 1, 0, 0));
	assert_null(seats_find(&seats, 2, 0, 0));
	for (struct seat *seat = TAILQ_FIRST(&seats.list); seat; seat = TAILQ_NEXT(seat, next))
		seat->wanted = true;
	assert_null(seats_make(&seats, uid, 0, 0));
	seats_deinit(&seats);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(backoff_doubles_up_to_its_limit),
		TEST(backoff_begins_anew_after_health),
		TEST(seats_serve_the_oldest_wish_first),
		TEST(seats_delay_a_user_whose_worker_keeps_dying),
		TEST(seats_are_bounded),
	};

	return testing_run(tests);
}
