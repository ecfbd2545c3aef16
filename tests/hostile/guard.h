/*
 * A channel between pages that may not be touched: whoever leaves the control page, or goes further
 * than a ring's second copy, dies at once.  AddressSanitizer knows nothing of mappings.  What stays
 * inside the second copy is found by its length: a span is never longer than the ring.  Header-only.
 *
 *   | guard | page | guard | tx | tx again | guard | rx | rx again | guard |
 */
#ifndef TLSB_TESTS_GUARD_H
#define TLSB_TESTS_GUARD_H

#include <sys/mman.h>

#include "ring/channel.h"

/* The first guard of a channel that was unmapped, which channel_deinit() does not know. */
static inline void guard_free(uint8_t *guard)
{
	munmap(guard, PAGE_BYTES);
}

static inline uint8_t *guard_move(const uint8_t *from, size_t len, uint8_t *to)
{
	void *at = mremap((void *)(uintptr_t)from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);

	assert_ptr_equal(at, to);
	return to + len;
}

/* Move the mapped channel there.  Returns what guard_free() wants when it is unmapped. */
static inline uint8_t *guard_channel(struct channel *channel)
{
	const size_t ring = channel->tx.capacity, len = 5 * PAGE_BYTES + 4 * ring;
	uint8_t *base = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *page = base + PAGE_BYTES, *tx = page + 2 * PAGE_BYTES, *rx;

	assert_true(base != MAP_FAILED);
	guard_move((uint8_t *)channel->page, PAGE_BYTES, page);
	rx = guard_move(channel->tx.bytes, ring, tx);
	rx = guard_move(channel->tx.bytes + ring, ring, rx) + PAGE_BYTES;
	guard_move(channel->rx.bytes + ring, ring, guard_move(channel->rx.bytes, ring, rx));
	channel->page = (struct control_page *)(void *)page;
	channel->tx.words = &channel->page->tx;
	channel->rx.words = &channel->page->rx;
	channel->tx.bytes = tx;
	channel->rx.bytes = rx;
	channel->mapped = len - PAGE_BYTES;
	return base;
}

#endif
