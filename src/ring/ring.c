#include "ring/ring.h"

#include <assert.h>
#include <errno.h>

void ring_init(struct ring *ring, struct ring_words *words, uint8_t *bytes, uint32_t capacity)
{
	assert(capacity >= LIMIT_RING_MIN && capacity <= LIMIT_RING_MAX);
	assert((capacity & (capacity - 1)) == 0);
	*ring = (struct ring){ .words = words, .bytes = bytes, .capacity = capacity };
}

static uint8_t *span_at_own(const struct ring *ring)
{
	return ring->bytes + (ring->own & (ring->capacity - 1));
}

int ring_space(const struct ring *ring, uint8_t **ret_span)
{
	/* Acquire pairs with the consumer's ring_consume(): it has read what we will overwrite.
	 * Seq_cst, because it is also the second look of a producer that armed its bell. */
	uint32_t tail = atomic_load_explicit(&ring->words->tail.value, memory_order_seq_cst);
	uint32_t used = ring->own - tail;

	if (used > ring->capacity)
		return -EPROTO;
	*ret_span = span_at_own(ring);
	return (int)(ring->capacity - used);
}

void ring_produce(struct ring *ring, uint32_t n)
{
	ring->own += n;
	/* Release: the bytes before the index.  Seq_cst: the index before our look at the peer's
	 * wants, doorbell_answer(). */
	atomic_store_explicit(&ring->words->head.value, ring->own, memory_order_seq_cst);
}

int ring_data(const struct ring *ring, uint8_t **ret_span)
{
	/* Acquire pairs with the producer's ring_produce(); seq_cst as in ring_space(). */
	uint32_t head = atomic_load_explicit(&ring->words->head.value, memory_order_seq_cst);
	uint32_t ready = head - ring->own;

	if (ready > ring->capacity)
		return -EPROTO;
	*ret_span = span_at_own(ring);
	return (int)ready;
}

void ring_consume(struct ring *ring, uint32_t n)
{
	ring->own += n;
	/* Release: our reads before the index, so that the producer overwrites only what was read.
	 * Seq_cst: as in ring_produce(). */
	atomic_store_explicit(&ring->words->tail.value, ring->own, memory_order_seq_cst);
}
