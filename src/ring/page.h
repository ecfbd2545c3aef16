/*
 * The control page: the first page of a session's shared memory.  Worker and program each map it;
 * neither believes the other.  What is read from here was written by an enemy until it is checked.
 *
 *      0  state    by the worker: how far the session is, how it ended
 *     64  rx       worker produces, program consumes: head | tail on lines of their own
 *    192  tx       program produces, worker consumes: head | tail
 *    320  wants    program's and worker's "wake me" bits, see doorbell.h
 *    448  text     what went wrong; then what was agreed (struct tlsb_info, public header)
 *
 *   4096  the transmit ring's bytes, then the receive ring's; each side maps each ring twice in a
 *         row, so that every span of it is contiguous.
 *
 * All words are free-running counters or written once per step, and every one has one writer
 * (wants: the sleeper sets bits, the other side clears them).
 */
#ifndef TLSB_RING_PAGE_H
#define TLSB_RING_PAGE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tlsbroker.h"
#include "wire/limits.h"

#define PAGE_BYTES 4096
#define LINE_ALIGNED _Alignas(64)

/* How far a session is.  Only ever grows. */
enum session_state {
	STATE_OPENING = 0,     /* looking up the name, dialling */
	STATE_CONNECTED = 1,   /* TCP is there, the handshake runs */
	STATE_ESTABLISHED = 2, /* verified; data flows */
};

struct ring_word {
	LINE_ALIGNED _Atomic uint32_t value;
};

struct ring_words {
	struct ring_word head; /* bytes ever produced, by the producer */
	struct ring_word tail; /* bytes ever consumed, by the consumer */
};

struct control_page {
	/* By the worker, in this order: text or info, then the word that says it is there. */
	LINE_ALIGNED _Atomic uint32_t state; /* enum session_state */
	_Atomic uint32_t ended;   /* 1: nothing more will happen; error says how */
	_Atomic uint32_t error;   /* enum tlsb_error, before ended */
	_Atomic uint32_t rx_end;  /* 1: the peer's close_notify came, after the last byte in rx */
	_Atomic uint32_t tx_end;  /* 1: close_notify was sent, after the last byte of tx */

	struct ring_words rx;
	struct ring_words tx;

	/* By the program: no more will be written; send close_notify behind the last byte. */
	LINE_ALIGNED _Atomic uint32_t program_wants;
	_Atomic uint32_t tx_fin;
	LINE_ALIGNED _Atomic uint32_t worker_wants;

	LINE_ALIGNED char text[LIMIT_TEXT + 1];
	struct tlsb_info info;
};

/*
 * Copy what an enemy may be changing.  The fence costs nothing: it tells the compiler that what is
 * judged afterwards is the copy, never the original once more.
 */
static inline void page_copy(void *dst, const void *shared, size_t len)
{
	memcpy(dst, shared, len);
	atomic_signal_fence(memory_order_seq_cst);
}

_Static_assert(sizeof(struct control_page) <= PAGE_BYTES, "the control page is one page");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "words are shared with another process: no locks");

#endif
