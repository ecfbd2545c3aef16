/*
 * The identities of this worker's badge: certificates, and private keys that are the keyholder's.
 */
#ifndef TLSB_WORKER_IDENTITY_H
#define TLSB_WORKER_IDENTITY_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "wire/msg.h"
#include "worker/provider.h"

struct identity {
	char name[LIMIT_BADGE + 1];
	X509 *own;
	STACK_OF(X509) *others; /* its chain */
	EVP_PKEY *key;
};

struct identities {
	struct identity *list;
	uint32_t count, expected;
};

/* All zero is fine. */
void identities_deinit(struct identities *identities);

/* A new set begins, of so many.  0 or -errno. */
int identities_begin(struct identities *ret, uint32_t count);

/* One more of it.  0, -EBADMSG or -ENOMEM. */
int identities_add(struct identities *identities, const struct msg *msg, struct provider *provider);

static inline bool identities_are_complete(const struct identities *identities)
{
	return identities->count == identities->expected;
}

/* The one of this name, or NULL. */
const struct identity *identities_find(const struct identities *identities, const char *name);

/* Of one on its own, which a program has brought.  NULL is fine.  Returns NULL. */
struct identity *identity_free(struct identity *identity);

/* Show it, to a server that asks who we are.  -EINVAL: it is too weak.  0 or -ENOMEM. */
int identity_use(const struct identity *identity, SSL *ssl);

#endif
