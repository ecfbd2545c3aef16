/*
 * The ring: what goes in comes out, the indices wrap, and a peer that lies is noticed.
 */
#include "testing.h"

#include "ring/channel.h"

#define CAPACITY LIMIT_RING_MIN

/* Both ends of one ring, as two processes would have them. */
struct ends {
	struct channel channel;
	struct ring producer, consumer;
};

/* Both indices begin at START. */
static void ends_init(struct ends *ends, uint32_t start)
{
	int fd;

	assert_int_equal(channel_create(&ends->channel, CAPACITY, &fd), 0);
	close(fd);
	ends->producer = ends->consumer = ends->channel.rx;
	ends->producer.own = ends->consumer.own = start;
	atomic_store(&ends->producer.words->head.value, start);
	atomic_store(&ends->producer.words->tail.value, start);
}

static void ends_deinit(struct ends *ends)
{
	channel_deinit(&ends->channel);
}

static void put(struct ends *ends, const void *data, uint32_t n)
{
	uint8_t *span = NULL;

	assert_true(ring_space(&ends->producer, &span) >= (int)n);
	memcpy(span, data, n);
	ring_produce(&ends->producer, n);
}

static void get(struct ends *ends, const void *data, uint32_t n)
{
	uint8_t *span = NULL;

	assert_true(ring_data(&ends->consumer, &span) >= (int)n);
	assert_memory_equal(span, data, n);
	ring_consume(&ends->consumer, n);
}

static void is_empty_then_full_then_empty(void **state unused_)
{
	uint8_t *span, data[CAPACITY];
	struct ends ends;

	ends_init(&ends, 0);
	memset(data, 'x', sizeof(data));
	assert_int_equal(ring_data(&ends.consumer, &span), 0);
	assert_int_equal(ring_space(&ends.producer, &span), CAPACITY);
	put(&ends, data, CAPACITY);
	assert_int_equal(ring_space(&ends.producer, &span), 0);
	assert_int_equal(ring_data(&ends.consumer, &span), CAPACITY);
	get(&ends, data, 1);
	assert_int_equal(ring_space(&ends.producer, &span), 1);
	get(&ends, data, CAPACITY - 1);
	assert_int_equal(ring_data(&ends.consumer, &span), 0);
	assert_int_equal(ring_space(&ends.producer, &span), CAPACITY);
	ends_deinit(&ends);
}

/* Committing nothing changes nothing. */
static void may_produce_and_consume_nothing(void **state unused_)
{
	struct ends ends;
	uint8_t *span;

	ends_init(&ends, 5);
	ring_produce(&ends.producer, 0);
	ring_consume(&ends.consumer, 0);
	assert_int_equal(ring_data(&ends.consumer, &span), 0);
	assert_int_equal(ring_space(&ends.producer, &span), CAPACITY);
	ends_deinit(&ends);
}

/* Spans of every size over every seam: the ring's end, and the end of the indices. */
static void carries_bytes_over_every_seam(void **state unused_)
{
	const uint32_t starts[] = { 0, CAPACITY - 7, UINT32_MAX, UINT32_MAX - 5,
				    UINT32_MAX - CAPACITY, UINT32_MAX - CAPACITY / 2 };
	uint8_t data[CAPACITY];
	uint64_t seed = 1;

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		struct ends ends;

		ends_init(&ends, starts[i]);
		for (int turn = 0; turn < 200; turn++) {
			uint32_t n = (uint32_t)(testing_random(&seed) % CAPACITY) + 1;

			for (uint32_t at = 0; at < n; at++)
				data[at] = (uint8_t)testing_random(&seed);
			put(&ends, data, n);
			get(&ends, data, n / 2);
			get(&ends, data + n / 2, n - n / 2);
		}
		ends_deinit(&ends);
	}
}

static void keeps_count_while_the_indices_wrap(void **state unused_)
{
	uint8_t *span, data[CAPACITY] = { 0 };
	struct ends ends;

	ends_init(&ends, UINT32_MAX - 99);
	put(&ends, data, 300); /* head is now 200, tail still below 2^32 */
	assert_int_equal(ends.producer.own, 200);
	assert_int_equal(ring_data(&ends.consumer, &span), 300);
	assert_int_equal(ring_space(&ends.producer, &span), CAPACITY - 300);
	put(&ends, data, CAPACITY - 300);
	assert_int_equal(ring_space(&ends.producer, &span), 0);
	get(&ends, data, CAPACITY);
	assert_int_equal(ends.consumer.own, ends.producer.own);
	ends_deinit(&ends);
}

static const uint32_t own_indices[] = { 0, 1, CAPACITY, 1u << 31, UINT32_MAX,
					UINT32_MAX - CAPACITY };

/* The consumer's word, as the producer may find it: more than a capacity behind is a lie. */
static void producer_notices_a_forged_tail(void **state unused_)
{
	const uint32_t used[] = { CAPACITY + 1, 2 * CAPACITY, 1u << 31, (1u << 31) + 1,
				  UINT32_MAX - CAPACITY, UINT32_MAX };
	uint8_t *span = NULL;
	struct ends ends;

	for (size_t i = 0; i < ARRAY_SIZE(own_indices); i++) {
		ends_init(&ends, own_indices[i]);
		for (size_t k = 0; k < ARRAY_SIZE(used); k++) {
			atomic_store(&ends.producer.words->tail.value, own_indices[i] - used[k]);
			assert_int_equal(ring_space(&ends.producer, &span), -EPROTO);
			assert_null(span);
		}
		atomic_store(&ends.producer.words->tail.value, own_indices[i] - CAPACITY);
		assert_int_equal(ring_space(&ends.producer, &span), 0);
		span = NULL;
		ends_deinit(&ends);
	}
}

static void consumer_notices_a_forged_head(void **state unused_)
{
	const uint32_t ready[] = { CAPACITY + 1, 2 * CAPACITY, 1u << 31, (1u << 31) + 1,
				   UINT32_MAX - CAPACITY, UINT32_MAX };
	uint8_t *span = NULL;
	struct ends ends;

	for (size_t i = 0; i < ARRAY_SIZE(own_indices); i++) {
		ends_init(&ends, own_indices[i]);
		for (size_t k = 0; k < ARRAY_SIZE(ready); k++) {
			atomic_store(&ends.consumer.words->head.value, own_indices[i] + ready[k]);
			assert_int_equal(ring_data(&ends.consumer, &span), -EPROTO);
			assert_null(span);
		}
		atomic_store(&ends.consumer.words->head.value, own_indices[i] + CAPACITY);
		assert_int_equal(ring_data(&ends.consumer, &span), CAPACITY);
		span = NULL;
		ends_deinit(&ends);
	}
}

/* One's own index is private: what the peer writes over its copy is not believed. */
static void believes_no_copy_of_its_own_index(void **state unused_)
{
	uint8_t *span, data[100] = { 0 };
	struct ends ends;

	ends_init(&ends, 0);
	put(&ends, data, 100);
	atomic_store(&ends.producer.words->head.value, 12345);
	assert_int_equal(ring_space(&ends.producer, &span), CAPACITY - 100);
	put(&ends, data, 1);
	assert_int_equal(atomic_load(&ends.producer.words->head.value), 101);
	atomic_store(&ends.consumer.words->tail.value, 12345);
	assert_int_equal(ring_data(&ends.consumer, &span), 101);
	ring_consume(&ends.consumer, 1);
	assert_int_equal(atomic_load(&ends.consumer.words->tail.value), 1);
	ends_deinit(&ends);
}

/* Whatever the words are, a span that is handed out lies within the double mapping. */
static void hands_out_no_span_outside_its_memory(void **state unused_)
{
	uint64_t seed = 2;
	struct ends ends;

	ends_init(&ends, 0);
	for (int i = 0; i < 200000; i++) {
		const uint8_t *bytes = ends.producer.bytes;
		uint32_t own = (uint32_t)testing_random(&seed);
		uint32_t used = (uint32_t)(testing_random(&seed) % (3 * CAPACITY));
		uint8_t *span;
		int n;

		ends.producer.own = ends.consumer.own = own;
		atomic_store(&ends.producer.words->tail.value, own - used);
		n = ring_space(&ends.producer, &span);
		if (n >= 0)
			assert_true(span >= bytes && span + n <= bytes + 2 * CAPACITY);
		atomic_store(&ends.consumer.words->head.value, own + used);
		n = ring_data(&ends.consumer, &span);
		if (n >= 0)
			assert_true(span >= bytes && span + n <= bytes + 2 * CAPACITY);
	}
	ends_deinit(&ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_empty_then_full_then_empty),
		TEST(may_produce_and_consume_nothing),
		TEST(carries_bytes_over_every_seam),
		TEST(keeps_count_while_the_indices_wrap),
		TEST(producer_notices_a_forged_tail),
		TEST(consumer_notices_a_forged_head),
		TEST(believes_no_copy_of_its_own_index),
		TEST(hands_out_no_span_outside_its_memory),
	};

	return testing_run(tests);
}
