/*
 * Keys that programs have imported, to sign and to verify hashes with, and for nothing in TLS: those of the
 * configuration and those that are lent are not found here, nor these there.
 *
 * A key is its badge's and user's, whichever worker asks: so it outlives workers, but not this process.
 * Programs make these keys, so they are hostile, as guests (guests.h) are.
 */
#ifndef TLSB_KEYHOLDER_IMPORTS_H
#define TLSB_KEYHOLDER_IMPORTS_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "wire/msg.h"

/* Whose they are. */
struct owner {
	uint32_t badge, uid;
};

struct import {
	LIST_ENTRY(import) next;
	struct owner owner;
	EVP_PKEY *pkey;
	size_t memory; /* of that which is locked */
	struct key_told told;
};

struct imports {
	LIST_HEAD(, import) list;
	unsigned count;
	size_t memory; /* of all */
	uint32_t max_keys; /* of a user who has no badge */
	struct key_limit limits[LIMIT_BADGES];
	unsigned limit_count;
};

void imports_init(struct imports *imports);

/* All of them go. */
void imports_deinit(struct imports *imports);

/* How many each badge may have, from a KEY_LIMITS; the keys go of those that may have none.  0 or -EBADMSG. */
int imports_limit(struct imports *imports, const struct msg *msg);

/*
 * The one in FD, which stays the caller's.  0; else an enum tlsb_error, and *ret_why says why.
 */
uint32_t imports_add(struct imports *imports, struct owner owner, int fd, struct import **ret,
		     const char **ret_why);

/* One answer for "not yours" and "there is none": NULL. */
struct import *imports_find(const struct imports *imports, struct owner owner, uint32_t key);

/* The one with the lowest number above KEY, or NULL. */
struct import *imports_next(const struct imports *imports, struct owner owner, uint32_t key);

void imports_remove(struct imports *imports, struct import *import);

/* What there is to tell of a key, but for whose it is and its number.  0 or -ENOMEM. */
int imports_describe(const EVP_PKEY *pkey, struct key_told *ret);

#endif
