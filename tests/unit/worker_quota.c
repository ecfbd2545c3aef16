/*
 * What one user may hold: exactly so much, given back exactly, and smaller rings before no rings.
 */
#include "testing.h"

#include "ring/channel.h"
#include "wire/limits.h"
#include "worker/quota.h"

static struct quota full_quota(void)
{
	struct quota quota;

	quota_init(&quota, LIMIT_WORKER_FILES);
	assert_int_equal(quota.sessions_max, LIMIT_SESSIONS_PER_UID);
	return quota;
}

static void as_many_sessions_as_the_limit_says_and_not_one_more(void **state unused_)
{
	struct quota quota = full_quota();
	uint32_t capacity = 0, untouched = 1;

	for (uint32_t i = 0; i < LIMIT_SESSIONS_PER_UID; i++)
		assert_int_equal(quota_take_session(&quota, &capacity), 0);
	assert_int_equal(quota_take_session(&quota, &untouched), -EMFILE);
	assert_int_equal(untouched, 1);
	assert_int_equal(quota.sessions, LIMIT_SESSIONS_PER_UID);
	quota_give_session(&quota, capacity);
	assert_int_equal(quota_take_session(&quota, &capacity), 0);
	assert_int_equal(quota_take_session(&quota, &untouched), -EMFILE);
}

static void rings_shrink_but_the_memory_stays_below_its_limit(void **state unused_)
{
	struct quota quota = full_quota();
	uint32_t capacity = 0, before = LIMIT_RING_MAX, full_sized = 0;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < LIMIT_SESSIONS_PER_UID; i++) {
		assert_int_equal(quota_take_session(&quota, &capacity), 0);
		assert_true(channel_capacity_ok(capacity));
		assert_true(capacity <= before);
		full_sized += capacity == LIMIT_RING_MAX;
		bytes += 2 * (uint64_t)capacity;
		before = capacity;
		assert_int_equal(quota.ring_bytes, bytes);
		assert_true(bytes <= LIMIT_RING_BYTES_PER_UID);
	}
	assert_true(full_sized >= 1000);
	assert_int_equal(capacity, LIMIT_RING_MIN);
}

static void what_is_given_back_can_be_taken_again(void **state unused_)
{
	static uint32_t held[LIMIT_SESSIONS_PER_UID];
	struct quota quota = full_quota();
	uint32_t count = 0;
	uint64_t seed = 11;

	for (int i = 0; i < 200000; i++) {
		if (testing_random(&seed) % 3 && count < LIMIT_SESSIONS_PER_UID) {
			assert_int_equal(quota_take_session(&quota, &held[count]), 0);
			count++;
		} else if (count > 0) {
			uint32_t at = (uint32_t)(testing_random(&seed) % count);

			quota_give_session(&quota, held[at]);
			held[at] = held[--count];
		}
		assert_int_equal(quota.sessions, count);
		assert_true(quota.ring_bytes <= LIMIT_RING_BYTES_PER_UID);
	}
	while (count > 0)
		quota_give_session(&quota, held[--count]);
	assert_int_equal(quota.ring_bytes, 0);
	assert_int_equal(quota_take_session(&quota, &held[0]), 0);
	assert_int_equal(held[0], LIMIT_RING_MAX);
}

/* The limit of descriptors may be lower than what was asked for: then sessions are refused, first.
 */
static void descriptors_bound_the_sessions(void **state unused_)
{
	static const uint64_t limits[] = {64, 1024, 2200, 4096, LIMIT_WORKER_FILES, UINT64_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct quota quota;
		uint32_t capacity;

		quota_init(&quota, limits[i]);
		assert_in_range(quota.sessions_max, 1, LIMIT_SESSIONS_PER_UID);
		assert_true(2 * (uint64_t)quota.sessions_max < limits[i]);
		for (uint32_t n = 0; n < quota.sessions_max; n++)
			assert_int_equal(quota_take_session(&quota, &capacity), 0);
		assert_int_equal(quota_take_session(&quota, &capacity), -EMFILE);
	}
}

static void ca_bytes_are_counted_to_the_byte(void **state unused_)
{
	struct quota quota = full_quota();

	assert_int_equal(quota_take_ca(&quota, LIMIT_CA_BYTES_PER_UID + 1), -EMFILE);
	assert_int_equal(quota_take_ca(&quota, UINT32_MAX), -EMFILE);
	assert_int_equal(quota_take_ca(&quota, LIMIT_CA_BYTES_PER_UID - 1), 0);
	assert_int_equal(quota_take_ca(&quota, 2), -EMFILE);
	assert_int_equal(quota_take_ca(&quota, 1), 0);
	assert_int_equal(quota_take_ca(&quota, 1), -EMFILE);
	assert_int_equal(quota_take_ca(&quota, 0), 0);
	quota_give_ca(&quota, LIMIT_CA_BYTES_PER_UID);
	assert_int_equal(quota.ca_bytes, 0);
	assert_int_equal(quota_take_ca(&quota, LIMIT_CA_BYTES_PER_UID), 0);
}

static void refused_for(struct quota *quota, const char *rule)
{
	char text[LIMIT_TEXT + 1];
	uint32_t capacity;

	assert_int_equal(quota_take_session(quota, &capacity), -EMFILE);
	quota_reason(quota, text, sizeof(text));
	if (strncmp(text, rule, strlen(rule)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", text, rule);
}

static void the_policy_says_how_many_and_the_reason_names_it(void **state unused_)
{
	struct quota quota = full_quota();
	uint32_t capacity;

	quota_set(&quota, 2, LIMIT_RING_BYTES_PER_UID);
	for (int i = 0; i < 2; i++)
		assert_int_equal(quota_take_session(&quota, &capacity), 0);
	assert_int_equal(capacity, LIMIT_RING_MAX);
	refused_for(&quota, "max-sessions: ");
	/* Tighter than what is there: that stays, nothing new comes. */
	quota_set(&quota, 1, LIMIT_RING_BYTES_PER_UID);
	refused_for(&quota, "max-sessions: ");
	quota_give_session(&quota, capacity);
	refused_for(&quota, "max-sessions: ");
	quota_give_session(&quota, capacity);
	assert_int_equal(quota_take_session(&quota, &capacity), 0);
	quota.is_share = true;
	refused_for(&quota, "max-sessions: this user has 1 sessions open in one worker of several");
}

static void memory_of_the_policy_is_never_exceeded(void **state unused_)
{
	const uint64_t bounds[] = { 2 * LIMIT_RING_MIN, 4 * LIMIT_RING_MIN, 10u << 20, 64u << 20 };

	for (unsigned i = 0; i < ARRAY_SIZE(bounds); i++) {
		struct quota quota = full_quota();
		uint32_t capacity, count = 0;

		quota_set(&quota, LIMIT_SESSIONS_PER_UID, bounds[i]);
		while (quota_take_session(&quota, &capacity) == 0) {
			count++;
			assert_true(quota.ring_bytes <= bounds[i]);
		}
		assert_int_equal(count, bounds[i] / (2 * LIMIT_RING_MIN));
		refused_for(&quota, "max-memory: ");
	}
}

static void memory_that_became_less_is_not_taken_twice(void **state unused_)
{
	struct quota quota = full_quota();
	uint32_t capacity;

	assert_int_equal(quota_take_session(&quota, &capacity), 0);
	quota_set(&quota, LIMIT_SESSIONS_PER_UID, 4 * LIMIT_RING_MIN);
	refused_for(&quota, "max-memory: ");
	quota_give_session(&quota, capacity);
	assert_int_equal(quota_take_session(&quota, &capacity), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(as_many_sessions_as_the_limit_says_and_not_one_more),
		TEST(rings_shrink_but_the_memory_stays_below_its_limit),
		TEST(what_is_given_back_can_be_taken_again),
		TEST(descriptors_bound_the_sessions),
		TEST(ca_bytes_are_counted_to_the_byte),
		TEST(the_policy_says_how_many_and_the_reason_names_it),
		TEST(memory_of_the_policy_is_never_exceeded),
		TEST(memory_that_became_less_is_not_taken_twice),
	};

	return testing_run(tests);
}
