/*
 * Ids with generations: a stale one finds nothing, whatever sits in its slot now.
 */
#include "testing.h"

#include "base/slots.h"

static void an_id_finds_its_thing(void **state unused_)
{
	struct slots slots;
	int a, b;
	uint64_t id_a = 0, id_b = 0;

	slots_init(&slots, 100);
	assert_int_equal(slots_add(&slots, &a, &id_a), 0);
	assert_int_equal(slots_add(&slots, &b, &id_b), 0);
	assert_int_not_equal(id_a, 0);
	assert_int_not_equal(id_a, id_b);
	assert_ptr_equal(slots_get(&slots, id_a), &a);
	assert_ptr_equal(slots_get(&slots, id_b), &b);
	slots_deinit(&slots);
}

static void an_id_never_given_finds_nothing(void **state unused_)
{
	struct slots slots;
	int thing;
	uint64_t id, seed = 7;

	slots_init(&slots, 100);
	assert_null(slots_get(&slots, 0));
	assert_null(slots_get(&slots, UINT64_MAX));
	assert_int_equal(slots_add(&slots, &thing, &id), 0);
	assert_null(slots_get(&slots, 0));
	assert_null(slots_get(&slots, UINT64_MAX));
	assert_null(slots_get(&slots, id + 1));			  /* a free slot */
	assert_null(slots_get(&slots, id + 16));		  /* behind the last slot */
	assert_null(slots_get(&slots, id + (UINT64_C(1) << 32))); /* another generation */
	assert_null(slots_get(&slots, (uint32_t)id));		  /* no generation */
	for (int i = 0; i < 100000; i++) {
		uint64_t guess = testing_random(&seed);

		assert_true(guess == id || !slots_get(&slots, guess));
	}
	slots_deinit(&slots);
}

static void a_stale_id_does_not_find_its_slots_next_thing(void **state unused_)
{
	struct slots slots;
	int old, new;
	uint64_t id_old, id_new;

	slots_init(&slots, 1);
	assert_int_equal(slots_add(&slots, &old, &id_old), 0);
	slots_remove(&slots, id_old);
	assert_null(slots_get(&slots, id_old));
	assert_int_equal(slots_add(&slots, &new, &id_new), 0);
	assert_int_equal((uint32_t)id_old, (uint32_t)id_new);
	assert_int_not_equal(id_old, id_new);
	assert_null(slots_get(&slots, id_old));
	assert_ptr_equal(slots_get(&slots, id_new), &new);
	slots_deinit(&slots);
}

static void no_id_is_given_twice(void **state unused_)
{
	enum { ROUNDS = 5000 };
	uint64_t *seen = calloc(ROUNDS, sizeof(*seen)), before = 0;
	struct slots slots;
	int thing;

	slots_init(&slots, 1);
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(slots_add(&slots, &thing, &seen[i]), 0);
		assert_true(seen[i] > before); /* one slot: only the generation grows */
		before = seen[i];
		slots_remove(&slots, seen[i]);
	}
	for (int i = 0; i < ROUNDS; i++)
		assert_null(slots_get(&slots, seen[i]));
	free(seen);
	slots_deinit(&slots);
}

static void things_keep_their_ids_while_the_table_grows(void **state unused_)
{
	enum { THINGS = 1000 };
	static int things[THINGS];
	uint64_t ids[THINGS];
	struct slots slots;

	slots_init(&slots, THINGS);
	for (int i = 0; i < THINGS; i++) {
		assert_int_equal(slots_add(&slots, &things[i], &ids[i]), 0);
		for (int j = 0; j <= i; j += 97)
			assert_ptr_equal(slots_get(&slots, ids[j]), &things[j]);
	}
	assert_true(slots.size <= THINGS);
	for (int i = 0; i < THINGS; i++)
		assert_ptr_equal(slots_get(&slots, ids[i]), &things[i]);
	slots_deinit(&slots);
}

/* N fit and the next does not, also when N is no power of two; a freed place is used again. */
static void the_maximum_is_exact(void **state unused_)
{
	static const uint32_t maxima[] = {1, 15, 16, 17, 33, 1000};

	for (size_t m = 0; m < ARRAY_SIZE(maxima); m++) {
		uint64_t id = 0, last = 0, untouched = 42;
		struct slots slots;
		int thing;

		slots_init(&slots, maxima[m]);
		for (uint32_t i = 0; i < maxima[m]; i++)
			assert_int_equal(slots_add(&slots, &thing, &last), 0);
		assert_int_equal(slots_add(&slots, &thing, &untouched), -EMFILE);
		assert_int_equal(untouched, 42);
		slots_remove(&slots, last);
		assert_int_equal(slots_add(&slots, &thing, &id), 0);
		assert_int_equal(slots_add(&slots, &thing, &untouched), -EMFILE);
		slots_deinit(&slots);
	}
}

static void random_adds_and_removes_agree_with_a_plain_list(void **state unused_)
{
	enum { PLACES = 64 };
	uint64_t ids[PLACES] = {0}, gone[PLACES] = {0}, seed = 3;
	static int things[PLACES];
	struct slots slots;

	slots_init(&slots, PLACES);
	for (int i = 0; i < 20000; i++) {
		size_t at = testing_random(&seed) % PLACES;

		if (ids[at]) {
			assert_ptr_equal(slots_get(&slots, ids[at]), &things[at]);
			slots_remove(&slots, ids[at]);
			gone[at] = ids[at];
			ids[at] = 0;
		} else {
			assert_int_equal(slots_add(&slots, &things[at], &ids[at]), 0);
		}
		assert_null(slots_get(&slots, gone[at]));
	}
	for (size_t at = 0; at < PLACES; at++)
		assert_ptr_equal(slots_get(&slots, ids[at]), ids[at] ? &things[at] : NULL);
	slots_deinit(&slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_id_finds_its_thing),
		TEST(an_id_never_given_finds_nothing),
		TEST(a_stale_id_does_not_find_its_slots_next_thing),
		TEST(no_id_is_given_twice),
		TEST(things_keep_their_ids_while_the_table_grows),
		TEST(the_maximum_is_exact),
		TEST(random_adds_and_removes_agree_with_a_plain_list),
	};

	return testing_run(tests);
}
