/*
 * Who is woken when.  A bell is a message on the session's socket, so it costs a system call; it is
 * rung only for a side that said it is about to sleep.
 *
 *   sleeper                              other side
 *   -------                              ----------
 *   1  doorbell_arm(wants, WANT_DATA)    a  ring_produce()       publish
 *   2  ring_data() again: look twice     b  doorbell_answer()    armed for this?  then ring
 *   3  nothing: sleep in poll()
 *
 * 1 and a are stores, 2 and b loads, all four sequentially consistent: whichever store is first in
 * their one order is seen by the other side's load.  So either the sleeper sees the data at 2, or
 * the other side sees the want at b and rings.  Both may happen: a bell too many, never one too few.
 *
 * Answering takes the bits away, so one armed want makes at most one bell.  The word is shared: a
 * hostile peer that plays with it loses its own wake-ups or gets more of them than it asked for, and
 * pays for each with a message of its own; nothing else follows from it.
 */
#ifndef TLSB_RING_DOORBELL_H
#define TLSB_RING_DOORBELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum want {
	WANT_DATA = 1,  /* bytes, or the end, in the ring that I consume */
	WANT_ROOM = 2,  /* room in the ring that I produce */
	WANT_STATE = 4, /* a step of the session's state, or its end */
};

/* About to sleep until one of WANTS: tell the other side, then look again before sleeping. */
static inline void doorbell_arm(_Atomic uint32_t *own_wants, uint32_t wants)
{
	atomic_fetch_or_explicit(own_wants, wants, memory_order_seq_cst);
}

/* Which of these wants are still armed: not answered yet. */
static inline uint32_t doorbell_armed(const _Atomic uint32_t *own_wants, uint32_t wants)
{
	return atomic_load_explicit(own_wants, memory_order_seq_cst) & wants;
}

/* After publishing what answers WANTS: true when the other side is owed a bell for it. */
static inline bool doorbell_answer(_Atomic uint32_t *peer_wants, uint32_t wants)
{
	if ((atomic_load_explicit(peer_wants, memory_order_seq_cst) & wants) == 0)
		return false; /* the common case, without writing to the peer's cache line */
	/* Only we take bits away, so those are still up.  Asking the word again what it was would be
	 * a loop of compare-and-exchange, which a peer that keeps changing it could keep us in. */
	(void)atomic_fetch_and_explicit(peer_wants, ~wants, memory_order_seq_cst);
	return true;
}

#endif
