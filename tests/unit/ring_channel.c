/*
 * A session's shared memory: its geometry, its seals, and what the program refuses to map.
 */
#include "testing.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "ring/channel.h"

static const uint32_t capacities[] = { LIMIT_RING_MIN, 2 * LIMIT_RING_MIN, LIMIT_RING_MAX };

static int is_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != 0)
			return 0;
	}
	return 1;
}

static void accepts_powers_of_two_between_the_limits(void **state unused_)
{
	int count = 0;

	for (uint64_t capacity = 0; capacity < 4 * LIMIT_RING_MAX; capacity++)
		count += channel_capacity_ok(capacity);
	assert_int_equal(count, __builtin_ctz(LIMIT_RING_MAX) - __builtin_ctz(LIMIT_RING_MIN) + 1);
	assert_true(channel_capacity_ok(LIMIT_RING_MIN));
	assert_true(channel_capacity_ok(LIMIT_RING_MAX));
	assert_false(channel_capacity_ok(LIMIT_RING_MIN / 2));
	assert_false(channel_capacity_ok(LIMIT_RING_MAX * 2));
	assert_false(channel_capacity_ok(UINT32_MAX));
	assert_false(channel_capacity_ok((UINT64_C(1) << 32) + LIMIT_RING_MIN));
}

/* A fresh pair of views on one channel. */
static void open_both(uint32_t capacity, struct channel *worker, struct channel *program)
{
	cleanup_close_ int fd = -1;

	assert_int_equal(channel_create(worker, capacity, &fd), 0);
	assert_int_equal(channel_attach(program, capacity, fd), 0);
}

static void starts_all_zero_and_shared(void **state unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(capacities); i++) {
		struct channel worker, program;

		open_both(capacities[i], &worker, &program);
		assert_true(worker.page != program.page);
		assert_true(is_zero((const uint8_t *)worker.page, PAGE_BYTES));
		assert_true(is_zero(worker.tx.bytes, 2 * capacities[i]));
		assert_true(is_zero(worker.rx.bytes, 2 * capacities[i]));
		atomic_store(&worker.page->state, STATE_ESTABLISHED);
		assert_int_equal(atomic_load(&program.page->state), STATE_ESTABLISHED);
		channel_deinit(&worker);
		channel_deinit(&program);
	}
}

/* Every byte of a ring is there twice, one capacity apart, and nowhere else. */
static void maps_each_ring_twice_in_a_row(void **state unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(capacities); i++) {
		const uint32_t capacity = capacities[i];
		struct channel worker, program;
		struct ring *rings[2] = { &worker.tx, &worker.rx };
		struct ring *other[2] = { &program.tx, &program.rx };

		open_both(capacity, &worker, &program);
		for (int r = 0; r < 2; r++) {
			for (uint32_t at = 0; at < capacity; at += 509)
				rings[r]->bytes[at] = (uint8_t)(at + (uint32_t)r + 1);
			rings[r]->bytes[2 * capacity - 1] = 99;
			assert_int_equal(rings[r]->bytes[capacity - 1], 99);
			assert_memory_equal(rings[r]->bytes, rings[r]->bytes + capacity, capacity);
			assert_memory_equal(rings[r]->bytes, other[r]->bytes, 2 * capacity);
		}
		assert_int_not_equal(memcmp(worker.tx.bytes, worker.rx.bytes, capacity), 0);
		assert_true(is_zero((const uint8_t *)worker.page, PAGE_BYTES));
		channel_deinit(&worker);
		channel_deinit(&program);
	}
}

static void keeps_words_of_different_writers_apart(void **state unused_)
{
	const size_t words[] = {
		offsetof(struct control_page, state),
		offsetof(struct control_page, rx.head),
		offsetof(struct control_page, rx.tail),
		offsetof(struct control_page, tx.head),
		offsetof(struct control_page, tx.tail),
		offsetof(struct control_page, program_wants),
		offsetof(struct control_page, worker_wants),
		offsetof(struct control_page, text),
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		assert_int_equal(words[i] % 64, 0);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(words[i], words[k]);
	}
}

static void cannot_be_resized_or_unsealed(void **state unused_)
{
	const uint32_t capacity = LIMIT_RING_MIN;
	struct channel worker;
	cleanup_close_ int fd = -1;
	struct stat st;

	assert_int_equal(channel_create(&worker, capacity, &fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, channel_file_bytes(capacity));
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, st.st_size - 1), -1);
	assert_int_equal(ftruncate(fd, st.st_size + 1), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	channel_deinit(&worker);
}

static int attach_file(off_t size, int seals)
{
	cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct channel program = { 0 };
	int r;

	assert_int_equal(ftruncate(fd, size), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	r = channel_attach(&program, LIMIT_RING_MIN, fd);
	channel_deinit(&program);
	return r;
}

static void refuses_memory_that_could_shrink(void **state unused_)
{
	const off_t size = (off_t)channel_file_bytes(LIMIT_RING_MIN);
	const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	assert_int_equal(attach_file(size, all), 0);
	assert_int_equal(attach_file(size, 0), -EPROTO);
	assert_int_equal(attach_file(size, all & ~F_SEAL_SHRINK), -EPROTO);
	assert_int_equal(attach_file(size, all & ~F_SEAL_GROW), -EPROTO);
	assert_int_equal(attach_file(size, all & ~F_SEAL_SEAL), -EPROTO);
}

static void refuses_memory_of_another_size(void **state unused_)
{
	const off_t size = (off_t)channel_file_bytes(LIMIT_RING_MIN);
	const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	const off_t sizes[] = { 0, 1, PAGE_BYTES, size - PAGE_BYTES, size - 1, size + 1,
				size + PAGE_BYTES, (off_t)channel_file_bytes(LIMIT_RING_MAX) };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_int_equal(attach_file(sizes[i], all), -EPROTO);
}

/* A worker that sealed it against writing too: it cannot be mapped for us to write to. */
static void refuses_memory_that_cannot_be_written(void **state unused_)
{
	const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

	assert_true(attach_file((off_t)channel_file_bytes(LIMIT_RING_MIN), all) < 0);
}

static void refuses_what_is_no_memfd(void **state unused_)
{
	cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct channel program = { 0 };
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	assert_int_equal(channel_attach(&program, LIMIT_RING_MIN, null), -EPROTO);
	assert_int_equal(channel_attach(&program, LIMIT_RING_MIN, pair[0]), -EPROTO);
	assert_int_equal(channel_attach(&program, LIMIT_RING_MIN, -1), -EPROTO);
	assert_null(program.page);
	close(pair[0]);
	close(pair[1]);
}

static void refuses_a_capacity_that_no_channel_has(void **state unused_)
{
	const uint32_t odd[] = { 0, 1, 4096, LIMIT_RING_MIN - 1, LIMIT_RING_MIN + 1,
				 3 * LIMIT_RING_MIN, 2 * LIMIT_RING_MAX, 1u << 31, UINT32_MAX };
	cleanup_close_ int fd = -1;
	struct channel worker, program = { 0 };

	assert_int_equal(channel_create(&worker, LIMIT_RING_MIN, &fd), 0);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		assert_int_equal(channel_attach(&program, odd[i], fd), -EPROTO);
	assert_int_equal(channel_attach(&program, 2 * LIMIT_RING_MIN, fd), -EPROTO);
	channel_deinit(&worker);
}

static void gives_back_the_pages_of_an_empty_ring(void **state unused_)
{
	const uint32_t capacity = LIMIT_RING_MAX;
	struct channel worker;
	cleanup_close_ int fd = -1;
	struct stat st;

	assert_int_equal(channel_create(&worker, capacity, &fd), 0);
	memset(worker.rx.bytes, 1, capacity);
	memset(worker.tx.bytes, 2, capacity);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_blocks * 512 >= 2 * (long)capacity);
	channel_release_rx(&worker);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_blocks * 512 <= (long)capacity + PAGE_BYTES);
	assert_true(is_zero(worker.rx.bytes, 2 * capacity));
	assert_int_equal(worker.tx.bytes[capacity - 1], 2);
	channel_deinit(&worker);
}

static void may_be_deinited_when_it_never_was(void **state unused_)
{
	struct channel channel = { 0 };

	channel_deinit(&channel);
	assert_null(channel.page);
}

/* channel_create() with not one of RESOURCE more than there is now. */
static int create_without(int resource)
{
	struct channel channel;
	struct rlimit before, none;
	int fd = -1, r;

	assert_int_equal(getrlimit(resource, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	assert_int_equal(setrlimit(resource, &none), 0);
	r = channel_create(&channel, LIMIT_RING_MIN, &fd);
	assert_int_equal(setrlimit(resource, &before), 0);
	assert_int_equal(fd, -1);
	return r;
}

static void is_not_made_without_descriptors_or_address_space(void **state unused_)
{
	assert_int_equal(create_without(RLIMIT_NOFILE), -EMFILE);
	assert_int_equal(create_without(RLIMIT_AS), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(accepts_powers_of_two_between_the_limits),
		TEST(starts_all_zero_and_shared),
		TEST(maps_each_ring_twice_in_a_row),
		TEST(keeps_words_of_different_writers_apart),
		TEST(cannot_be_resized_or_unsealed),
		TEST(refuses_memory_that_could_shrink),
		TEST(refuses_memory_of_another_size),
		TEST(refuses_memory_that_cannot_be_written),
		TEST(refuses_what_is_no_memfd),
		TEST(refuses_a_capacity_that_no_channel_has),
		TEST(gives_back_the_pages_of_an_empty_ring),
		TEST(may_be_deinited_when_it_never_was),
		TEST(is_not_made_without_descriptors_or_address_space),
	};

	return testing_run(tests);
}
