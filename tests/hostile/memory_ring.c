/*
 * One side of a channel against an enemy on the other: a span is never longer than the ring, never
 * begins outside it, and one's own index is nobody else's.  And the memory that processes share, by
 * itself: its size is what it was made with.
 */
#include "enemy.h"
#include "guard.h"
#include "tests/attacks.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/counters.h"
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
		while (clock_ms() < end || lies == 0) {
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

/* ---- the memory itself ---- */

/* Opened again by its descriptor's name: with the mode that it was not given with. */
static int reopen(int fd)
{
	char name[64];
	int again;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	again = open(name, O_RDWR | O_CLOEXEC);
	assert_true(again >= 0);
	return again;
}

static void assert_keeps_its_size(int fd, size_t len)
{
	const int again = reopen(fd);
	const int fds[] = { fd, again };
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		assert_int_equal(ftruncate(fds[i], 0), -1);
		assert_int_equal(errno, EPERM);
		assert_int_equal(ftruncate(fds[i], (off_t)len + 1), -1);
		assert_int_equal(errno, EPERM);
		assert_int_equal(fcntl(fds[i], F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
		assert_int_equal(errno, EPERM);
		assert_int_equal(fstat(fds[i], &st), 0);
		assert_int_equal(st.st_size, len);
	}
	close(again);
}

/* A channel, which both sides write, and a role's counters, which the supervisor reads. */
static void case_20_shared_memory_cannot_be_cut_short(void **state unused_)
{
	struct counters *counters;
	struct channel channel;
	int fd;

	assert_int_equal(channel_create(&channel, LIMIT_RING_MIN, &fd), 0);
	assert_keeps_its_size(fd, channel_file_bytes(LIMIT_RING_MIN));
	channel_deinit(&channel);
	close(fd);
	assert_int_equal(counters_create(&counters, &fd), 0);
	assert_keeps_its_size(fd, sizeof(*counters));
	counters_unmap(counters);
	close(fd);
	attacks_count("memory", 2, 2);
}

static void case_21_holes_are_zeros(void **state unused_)
{
	uint8_t *span = NULL;
	struct pair pair;

	pair_init(&pair);
	assert_int_equal(ring_space(&pair.theirs.tx, &span), LIMIT_RING_MIN);
	memset(span, 1, LIMIT_RING_MIN);
	ring_produce(&pair.theirs.tx, LIMIT_RING_MIN);
	assert_int_equal(madvise(pair.theirs.tx.bytes, LIMIT_RING_MIN, MADV_REMOVE), 0);
	assert_int_equal(ring_data(&pair.own.tx, &span), LIMIT_RING_MIN);
	for (uint32_t i = 0; i < LIMIT_RING_MIN; i++)
		assert_int_equal(span[i], 0);
	/* The words as well: the session is as it was when it began. */
	ring_consume(&pair.own.tx, LIMIT_RING_MIN);
	assert_int_equal(madvise(pair.theirs.page, PAGE_BYTES, MADV_REMOVE), 0);
	assert_int_equal(ring_data(&pair.own.tx, &span), -EPROTO);
	pair_deinit(&pair);
	attacks_count("memory", 2, 2);
}

/* What the supervisor hands out to be read, trusted roots and files, nobody can write. */
static void case_22_what_is_to_be_read_is_not_written(void **state unused_)
{
	static const char text[] = "nameserver 192.0.2.53";
	char back[sizeof(text)];
	int fd, again;

	assert_int_equal(fd_sealed_copy("test", text, sizeof(text), &fd), 0);
	assert_keeps_its_size(fd, sizeof(text));
	again = reopen(fd);
	assert_int_equal(pwrite(again, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_ptr_equal(mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
	assert_int_equal(fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(pread(again, back, sizeof(back), 0), sizeof(back));
	assert_string_equal(back, text);
	close(again);
	close(fd);
	attacks_count("memory", 3, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_18_spans_stay_inside_the_ring),
		TEST(case_20_shared_memory_cannot_be_cut_short),
		TEST(case_21_holes_are_zeros),
		TEST(case_22_what_is_to_be_read_is_not_written),
	};

	return testing_run(tests);
}
