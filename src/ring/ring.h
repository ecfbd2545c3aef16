/*
 * A ring of bytes between two processes that do not trust each other: one producer, one consumer.
 *
 * Invariants
 *   - Head and tail are free-running uint32_t; only their difference means anything.
 *   - Geometry and one's own index live in this private struct.  Only the peer's index is read from
 *     the page, once for each decision, with acquire.  A difference above the capacity is a peer
 *     that lies: -EPROTO, and the caller ends the session.
 *   - Spans are contiguous, the ring being mapped twice in a row (channel.h).
 *   - Bytes are copied out, or consumed by something that does not care whether they change
 *     meanwhile, before anything is decided from them.
 *   - A commit is a sequentially consistent store: it is one half of the doorbell's handshake
 *     (doorbell.h), and on x86-64 and arm64 costs what the fence would.
 */
#ifndef TLSB_RING_RING_H
#define TLSB_RING_RING_H

#include <stdint.h>

#include "ring/page.h"

struct ring {
	struct ring_words *words; /* shared: the peer's word is hostile */
	uint8_t *bytes;           /* shared, mapped twice: 2 * capacity */
	uint32_t capacity;        /* a power of two */
	uint32_t own;             /* our index; the page holds a copy for the peer */
};

/* BYTES and WORDS stay the caller's; both indices start at 0. */
void ring_init(struct ring *ring, struct ring_words *words, uint8_t *bytes, uint32_t capacity);

/* Producer: bytes free, in one span at *ret_span; 0 when full; -EPROTO when the peer's word lies. */
int ring_space(const struct ring *ring, uint8_t **ret_span);

/* Producer: N bytes of the span are filled; publish them. */
void ring_produce(struct ring *ring, uint32_t n);

/* Consumer: bytes ready, in one span at *ret_span; 0 when empty; -EPROTO when the peer's word lies. */
int ring_data(const struct ring *ring, uint8_t **ret_span);

/* Consumer: N bytes of the span are done with; publish the room. */
void ring_consume(struct ring *ring, uint32_t n);

#endif
