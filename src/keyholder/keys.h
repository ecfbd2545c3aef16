/*
 * The private and pre-shared keys, and which badges each was granted to: the supervisor's word.  They come one by
 * one, and take the place of the earlier ones together.
 */
#ifndef TLSB_KEYHOLDER_KEYS_H
#define TLSB_KEYHOLDER_KEYS_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "keys/pskfile.h"
#include "wire/msg.h"

struct key {
	uint32_t number;
	enum key_kind kind;
	EVP_PKEY *pkey; /* NULL: it is another kind, or its file could not be used */
	struct psk *psk; /* the same */
	uint32_t *badges;
	uint32_t badge_count;
	char name[LIMIT_BADGE + 1]; /* its identity's, or its own */
};

struct keys {
	struct key *list;
	uint32_t count, expected;
};

/* All zero is fine. */
void keys_deinit(struct keys *keys);

/* A new set begins.  0 or -errno. */
int keys_begin(struct keys *ret, const struct msg_keys *body);

/* One more key of it, read from the message's descriptor.  0, -EBADMSG or -ENOMEM. */
int keys_add(struct keys *keys, const struct msg *msg);

static inline bool keys_are_complete(const struct keys *keys)
{
	return keys->count == keys->expected;
}

/* The key of this kind and number, if BADGE may use it.  One answer for "not yours" and "there is none": NULL. */
const struct key *keys_find(const struct keys *keys, enum key_kind kind, uint32_t number,
			    uint32_t badge);

/* The private one with the lowest number above AFTER that BADGE may use, and that can be used; or NULL. */
const struct key *keys_next(const struct keys *keys, uint32_t after, uint32_t badge);

#endif
