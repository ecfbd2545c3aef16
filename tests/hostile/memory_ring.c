/*
 * One side of a channel against an enemy on the other: a span is never longer than the ring, never
 * begins outside it, and one's own index is nobody else's.
 */
#include "enemy.h"
#include "guard.h"
#include "tests/attacks.h"

#include "base/clock.h"
#include "base/fd.h"

struct pair {
	struct channel own, theirs;
	uint8_t *guard;
};

static void pair_init(struct pair *pair)
{
	int fd;

	assert_int_equal(channel_create(&pair->own, LIMIT_RING_MIN, &fd), 0);
	assert_int_equal(channel_attach(&pair->theirs, LIMIT_RING_MIN, fd), 0);
	pair->guard = guard_channel(&pair->own);
	fd_close(fd);
}

static void pair_deinit(struct pair *pair)
{
	channel_deinit(&pair->own);
	channel_deinit(&pair->theirs);
	guard_free(pair->guard);
}

/* A look at a ring, and the use of all it says. */
static void use(struct ring *ring, bool produce, uint64_t *seed, unsigned long *lies)
{
	uint32_t own = ring->own;
	uint8_t *span = NULL;
	int n = produce ? ring_space(ring, &span) : ring_data(ring, &span);

	assert_int_equal(ring->own, own);
	if (n < 0) {
		assert_int_equal(n, -EPROTO);
		assert_null(span);
		(*lies)++;
		return;
	}
	assert_true(n <= (int)ring->capacity);
	assert_true(span >= ring->bytes && span < ring->bytes + ring->capacity);
	if (n == 0)
		return;
	if (produce) {
		memset(span, n, (size_t)n);
		ring_produce(ring, 1 + (uint32_t)(testing_random(seed) % (uint64_t)n));
	} else {
		(void)memchr(span, 0, (size_t)n);
		ring_consume(ring, 1 + (uint32_t)(testing_random(seed) % (uint64_t)n));
	}
	assert_true(ring->own - own >= 1 && ring->own - own <= (uint32_t)n);
}

static void case_18_spans_stay_inside_the_ring(void **state unused_)
{
	const uint64_t ms = attacks_full() ? 10000 / ENEMY_WAYS : 100;
	unsigned long looks = 0, lies = 0, writes = 0;
	uint64_t seed = 18;

	for (enum enemy_way way = 0; way < ENEMY_WAYS; way++) {
		uint64_t end = clock_ms() + ms;
		struct enemy enemy;
		struct pair pair;

		pair_init(&pair);
		enemy_start(&enemy, &pair.theirs, way, way);
		while (clock_ms() < end) {
			for (int i = 0; i < 100; i++, looks += 2) {
				use(&pair.own.tx, false, &seed, &lies);
				use(&pair.own.rx, true, &seed, &lies);
			}
		}
		writes += enemy_stop(&enemy);
		pair_deinit(&pair);
	}
	/* Both happened: what is possible was used, what is not was refused. */
	assert_true(lies > 0 && lies < looks);
	print_message("%lu writes, %lu looks, %lu lies\n", writes, looks, lies);
	attacks_count("memory", ENEMY_WAYS, ENEMY_WAYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_18_spans_stay_inside_the_ring),
	};

	return testing_run(tests);
}
