/*
 * A session's shared memory: one memfd, made and sealed by the worker, mapped by worker and program.
 *
 *   file:     | page | tx bytes | rx bytes |
 *   mapping:  | page | tx bytes | tx bytes again | rx bytes | rx bytes again |
 *
 * in three mappings, since the file's order lets the second copy of tx and the first of rx be one.
 */
#ifndef TLSB_RING_CHANNEL_H
#define TLSB_RING_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "ring/page.h"
#include "ring/ring.h"

struct channel {
	struct control_page *page; /* shared; NULL when not mapped */
	struct ring tx;            /* program to worker */
	struct ring rx;            /* worker to program */
	size_t mapped;
};

/* Size of the file for rings of CAPACITY bytes each. */
size_t channel_file_bytes(uint32_t capacity);

/* 1 when CAPACITY is one that a channel may have: a power of two between the limits. */
int channel_capacity_ok(uint64_t capacity);

/*
 * Worker: make the memory, map it, and return the descriptor to send to the program.  The caller
 * owns *ret_fd.  0 or -errno.
 */
int channel_create(struct channel *ret_channel, uint32_t capacity, int *ret_fd);

/*
 * Program: map the memory that FD, from a hostile worker, stands for.  FD stays the caller's and is
 * not needed afterwards.  -EPROTO: not a memfd of exactly the right size, or not sealed against
 * shrinking (which would be a SIGBUS for us).  0 or -errno.
 */
int channel_attach(struct channel *ret_channel, uint32_t capacity, int fd);

/* Unmap.  A channel that is all zero is fine. */
void channel_deinit(struct channel *channel);

/*
 * Worker: give the pages of an empty receive ring back to the system.  Safe while the program runs:
 * it reads nothing between tail and head, and there is nothing between them.
 */
void channel_release_rx(struct channel *channel);

#endif
