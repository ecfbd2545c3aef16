#include "worker/identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keys/chain.h"
#include "trust/memory.h"

static void identity_deinit(struct identity *identity)
{
	X509_free(identity->own);
	sk_X509_pop_free(identity->others, X509_free);
	EVP_PKEY_free(identity->key);
}

void identities_deinit(struct identities *identities)
{
	for (uint32_t i = 0; i < identities->count; i++)
		identity_deinit(&identities->list[i]);
	free(identities->list);
	*identities = (struct identities){ .list = NULL };
}

int identities_begin(struct identities *ret, uint32_t count)
{
	struct identity *list;

	if (count > LIMIT_IDENTITIES)
		return -EBADMSG;
	list = calloc(count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	identities_deinit(ret);
	*ret = (struct identities){ .list = list, .expected = count };
	return 0;
}

int identities_add(struct identities *identities, const struct msg *msg, struct provider *provider)
{
	const struct msg_identity *body = msg->body;
	struct identity identity = { .own = NULL };
	const EVP_PKEY *public;
	uint32_t at = 0;
	int r;

	if (identities->count >= identities->expected || body->key == 0 ||
	    (body->key & KEY_IS_LENT) ||
	    msg_tail_string(msg, &at, msg->tail_len, identity.name, sizeof(identity.name)) < 0)
		return -EBADMSG;
	r = chain_open(msg->fds[0], &identity.own, &identity.others);
	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	public = X509_get0_pubkey(identity.own);
	if (public)
		identity.key = provider_key(provider, public, body->key);
	if (!identity.key) {
		identity_deinit(&identity);
		return public ? -ENOMEM : -EBADMSG;
	}
	identities->list[identities->count++] = identity;
	return 0;
}

const struct identity *identities_find(const struct identities *identities, const char *name)
{
	for (uint32_t i = 0; i < identities->count; i++) {
		if (strcmp(identities->list[i].name, name) == 0)
			return &identities->list[i];
	}
	return NULL;
}

struct identity *identity_free(struct identity *identity)
{
	if (identity)
		identity_deinit(identity);
	free(identity);
	return NULL;
}

int identity_use(const struct identity *identity, SSL *ssl)
{
	unsigned long failures = memory_failures();

	if (SSL_use_certificate(ssl, identity->own) == 1 &&
	    SSL_use_PrivateKey(ssl, identity->key) == 1 &&
	    SSL_set1_chain(ssl, identity->others) == 1)
		return 0;
	return memory_failures() != failures ? -ENOMEM : -EINVAL;
}
