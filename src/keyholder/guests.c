#include "keyholder/guests.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "keys/keyfile.h"
#include "tlsbroker.h"

struct guest {
	LIST_ENTRY(guest) next;
	uint32_t number;
	EVP_PKEY *pkey;
	size_t memory; /* of that which is locked */
};

void guests_init(struct guests *guests, size_t *memory)
{
	*guests = (struct guests){ .memory = memory };
	LIST_INIT(&guests->list);
}

static void forget(struct guests *guests, struct guest *guest)
{
	LIST_REMOVE(guest, next);
	guests->count--;
	*guests->memory -= guest->memory;
	EVP_PKEY_free(guest->pkey);
	free(guest);
}

void guests_deinit(struct guests *guests)
{
	while (!LIST_EMPTY(&guests->list))
		forget(guests, LIST_FIRST(&guests->list));
}

static struct guest *find(const struct guests *guests, uint32_t number)
{
	struct guest *guest;

	LIST_FOREACH(guest, &guests->list, next) {
		if (guest->number == number)
			break;
	}
	return guest;
}

EVP_PKEY *guests_find(const struct guests *guests, uint32_t number)
{
	const struct guest *guest = find(guests, number);

	return guest ? guest->pkey : NULL;
}

bool guests_remove(struct guests *guests, uint32_t number)
{
	struct guest *guest = find(guests, number);

	if (guest)
		forget(guests, guest);
	return guest;
}

/* ---- a new one ---- */

/* The administrator's keys have the other half, and need some more of it while they are read. */
#define MEMORY_MAX (LIMIT_LENT_MEMORY - 4 * LIMIT_KEY_BYTES)

static int read_key(struct guest *guest, int fd, uint8_t *digest, const char **ret_why)
{
	size_t before = CRYPTO_secure_used();
	int r = keyfile_read_lent(fd, &guest->pkey, digest, ret_why);

	guest->memory = r == 0 ? CRYPTO_secure_used() - before : 0;
	return r;
}

static int public_half(const EVP_PKEY *pkey, struct guest_told *told)
{
	int len = i2d_PUBKEY(pkey, NULL);
	unsigned char *at = (unsigned char *)told->tail;

	if (len <= 0 || (size_t)len > sizeof(told->tail))
		return -ENOMEM;
	told->len = (size_t)i2d_PUBKEY(pkey, &at);
	return 0;
}

static int take(struct guests *guests, int fd, struct guest_told *told, const char **ret_why)
{
	struct guest *guest;
	int r;

	if (*guests->memory > MEMORY_MAX || !(guest = calloc(1, sizeof(*guest))))
		return -ENOMEM;
	r = read_key(guest, fd, told->body.digest, ret_why);
	if (r == 0)
		r = public_half(guest->pkey, told);
	if (r < 0) {
		EVP_PKEY_free(guest->pkey);
		free(guest);
		return r;
	}
	guest->number = KEY_IS_LENT | ++guests->last;
	told->body.key = guest->number;
	LIST_INSERT_HEAD(&guests->list, guest, next);
	guests->count++;
	*guests->memory += guest->memory;
	return 0;
}

void guests_add(struct guests *guests, uint64_t id, int fd, struct guest_told *ret)
{
	const char *why = NULL;
	int r;

	*ret = (struct guest_told){ .body = { .id = id } };
	r = take(guests, fd, ret, &why);
	ERR_clear_error();
	if (r == 0)
		return;
	ret->body = (struct msg_key_lent){ .id = id };
	ret->body.error = r == -EINVAL ? TLSB_E_PARAMETER : TLSB_E_RESOURCES;
	text_copy(ret->tail, sizeof(ret->tail), r == -EINVAL ? why : "cannot be kept: no memory");
	ret->len = strlen(ret->tail);
}
