/*
 * What the benchmarks' clients ask of their server: bench/peer.c.  After the handshake the client
 * sends requests, one behind the other's end.
 */
#ifndef TLSB_BENCH_WORK_H
#define TLSB_BENCH_WORK_H

#include <stdint.h>

enum work_kind {
	WORK_SOURCE = 1, /* send me COUNT bytes */
	WORK_SINK = 2,   /* take COUNT bytes from me, then send one */
	WORK_ECHO = 3,   /* send COUNT bytes back as they come */
};

struct work {
	uint64_t kind;
	uint64_t count;
};

/* What both sides read and write at once: the plaintext of one full record. */
#define WORK_BYTES 16384

/* The name in the server's certificate. */
#define WORK_NAME "bench.test"

#endif
