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
	WORK_TALLY = 4,  /* send me a struct tally; COUNT is its size */
};

struct work {
	uint64_t kind;
	uint64_t count;
};

/* Of this server, since it started. */
struct tally {
	uint64_t handshakes;
	uint64_t resumed; /* of these */
};

/* What the server reads and writes at once: the plaintext of one full record. */
#define WORK_BYTES 16384

/* The name in the server's certificate. */
#define WORK_NAME "bench.test"

/* The one cipher that the server has: what all of them prefer by default. */
#define WORK_CIPHER "TLS_AES_256_GCM_SHA384"

#endif
