/*
 * Private keys that programs have brought along, and one worker has lent: each for a handshake.  No other
 * worker's channel can name them, and they go with it.
 *
 * A program makes these keys, so they are hostile: they come in a file in which nobody can make us wait
 * (keys/keyfile.h), are parsed by OpenSSL as the administrator's are, and cost no more than those.
 */
#ifndef TLSB_KEYHOLDER_GUESTS_H
#define TLSB_KEYHOLDER_GUESTS_H

#include <openssl/evp.h>
#include <sys/queue.h>

#include "wire/msg.h"

struct guest;

struct guests {
	LIST_HEAD(, guest) list;
	unsigned count;
	uint32_t last; /* number; none is given twice */
	size_t *memory; /* of all workers' */
};

/* What is told of one. */
struct guest_told {
	struct msg_key_lent body;
	size_t len; /* of the tail */
	char tail[LIMIT_PUBLIC_KEY];
};

void guests_init(struct guests *guests, size_t *memory);

/* All of them go. */
void guests_deinit(struct guests *guests);

/* The one in FD, which stays the caller's; or why it is not: *ret is what the worker is told. */
void guests_add(struct guests *guests, uint64_t id, int fd, struct guest_told *ret);

/* NULL: there is none of this number. */
EVP_PKEY *guests_find(const struct guests *guests, uint32_t number);

/* False: there was none. */
bool guests_remove(struct guests *guests, uint32_t number);

#endif
