/*
 * How many sessions a user may begin in a second: n, and not n + 1, whatever its worker does.
 */
#include "connector_rig.h"
#include "testing_clock.h"

#include "connector/pace.h"

static void so_many_in_a_second_and_not_one_more(void **state unused_)
{
	struct paces paces = LIST_HEAD_INITIALIZER(paces);
	struct pace *pace = pace_get(&paces, 1, 2, 5000);

	for (uint64_t now = 5000; now < 5003; now++)
		assert_int_equal(pace_take(pace, 3, now), 0);
	assert_int_equal(pace_take(pace, 3, 5003), -EMFILE);
	assert_int_equal(pace_take(pace, 3, 5999), -EMFILE);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pace_take(pace, 3, 6000), 0);
	assert_int_equal(pace_take(pace, 3, 6000), -EMFILE);
	/* A limit that becomes tighter, or goes, holds at once. */
	assert_int_equal(pace_take(pace, 4, 6001), 0);
	assert_int_equal(pace_take(pace, 1, 6002), -EMFILE);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(pace_take(pace, 0, 6003), 0);
	assert_int_equal(pace_take(pace, 3, 6004), -EMFILE);
	assert_int_equal(pace_take(pace, 1, 60000), 0);
	pace_release(pace);
	paces_deinit(&paces);
}

static unsigned count(const struct paces *paces)
{
	const struct pace *pace;
	unsigned n = 0;

	LIST_FOREACH(pace, paces, next)
		n++;
	return n;
}

static void it_is_the_users_and_the_badges_and_outlives_a_channel(void **state unused_)
{
	struct paces paces = LIST_HEAD_INITIALIZER(paces);
	struct pace *pace = pace_get(&paces, 1, 2, 5000), *user, *badge;

	assert_int_equal(pace_take(pace, 1, 5000), 0);
	user = pace_get(&paces, 3, 2, 5000);
	badge = pace_get(&paces, 1, 4, 5000);
	assert_int_equal(pace_take(user, 1, 5000), 0);
	assert_int_equal(pace_take(badge, 1, 5000), 0);
	pace_release(pace);
	pace = pace_get(&paces, 1, 2, 5999);
	assert_int_equal(pace_take(pace, 1, 5999), -EMFILE);
	pace_release(pace);
	pace_release(user);
	assert_int_equal(count(&paces), 3);
	/* What nobody uses and was not counted on for a second is forgotten. */
	pace = pace_get(&paces, 5, 6, 6001);
	assert_int_equal(count(&paces), 2);
	assert_int_equal(pace_take(badge, 1, 6001), 0);
	pace_release(pace);
	pace_release(badge);
	paces_deinit(&paces);
}

/* From now on it is this second. */
static void hold_the_clock(struct rig *rig)
{
	struct pace *pace;

	LIST_FOREACH(pace, &rig_connector(rig)->paces, next)
		pace->since_ms = clock_ms();
}

/* A dial to nobody; whether it was refused for coming too fast. */
static bool is_too_fast(struct rig *rig, int worker, uint64_t id)
{
	struct answer_to_worker answer;
	uint64_t end = clock_ms() + 10000;
	int r;

	hold_the_clock(rig);
	rig_dial(worker, id, "127.0.0.1", 1, AF_INET, 5000);
	do {
		rig_turn(rig);
		r = rig_poll(worker, &answer);
	} while (r == -EAGAIN && clock_ms() < end);
	assert_int_equal(r, 1);
	assert_int_equal(answer.type, MSG_DIAL_FAILED);
	if (answer.failed.error != TLSB_E_QUOTA)
		return false;
	assert_string_equal(answer.text, "max-sessions-per-second: this user began 2 sessions within a "
					 "second; the limit is 2");
	return true;
}

static void limit(struct rig *rig, uint32_t rate)
{
	const struct msg_destination_rules none = { .max_session_rate = rate };

	rig_tell(rig, MSG_DESTINATION_RULES, &none, NULL);
	rig_turn(rig);
}

static void a_worker_cannot_begin_more(void **state unused_)
{
	struct rig rig;
	int worker, again, other, next;

	rig_init(&rig);
	rig_files(&rig, "", "");
	limit(&rig, 2);
	worker = rig_worker_of_pid(&rig, 1000, 7);
	assert_false(is_too_fast(&rig, worker, 1));
	assert_false(is_too_fast(&rig, worker, 2));
	assert_true(is_too_fast(&rig, worker, 3));
	assert_true(is_too_fast(&rig, worker, 4));
	/* Another user does not notice. */
	other = rig_worker(&rig, 2000);
	assert_false(is_too_fast(&rig, other, 1));
	/* Neither by another channel, nor by ending, so that another worker comes. */
	again = rig_worker_of_pid(&rig, 1000, 7);
	assert_true(is_too_fast(&rig, again, 1));
	close(again);
	rig_turn(&rig);
	next = rig_worker(&rig, 1000);
	assert_true(is_too_fast(&rig, next, 1));
	assert_false(is_too_fast(&rig, other, 2));
	limit(&rig, 0);
	assert_false(is_too_fast(&rig, next, 2));
	close(worker);
	close(other);
	close(next);
	rig_deinit(&rig);
}

static void each_badge_has_its_own_limit(void **state unused_)
{
	struct reach list[] = { { .badge = 3, .max_rate = 30 }, { .badge = 5 } };
	const struct destinations destinations = { .list = list, .count = 2, .max_rate = 7 };

	assert_int_equal(destinations_rate(&destinations, 3), 30);
	assert_int_equal(destinations_rate(&destinations, 5), 0);
	assert_int_equal(destinations_rate(&destinations, 0), 7);
	assert_int_equal(destinations_rate(&destinations, 9), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(so_many_in_a_second_and_not_one_more),
		TEST(it_is_the_users_and_the_badges_and_outlives_a_channel),
		TEST(a_worker_cannot_begin_more),
		TEST(each_badge_has_its_own_limit),
	};

	return testing_run(tests);
}
