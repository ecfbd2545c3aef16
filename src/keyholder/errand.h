/*
 * What programs want of keys that they have imported, as their worker passes it on: in the order in which
 * it comes, one at a time, in turn with other workers, as signatures for handshakes are made.
 */
#ifndef TLSB_KEYHOLDER_ERRAND_H
#define TLSB_KEYHOLDER_ERRAND_H

#include "wire/msg.h"

struct asker;

struct errand {
	uint64_t id;
	struct key_wish wish;
	int fd; /* of a key to be imported, which stays the caller's; -1: there is a wish */
	const uint8_t *tail;
	size_t len;
};

/* Do it, and answer. */
void errand_do(struct asker *asker, const struct errand *errand);

#endif
