/*
 * The supervisor's half of the trust index: PEM in, sealed memfd out.  The file is the
 * administrator's, so it is not hostile, but it is edited by hand and made by scripts: whatever is
 * in it, the good certificates are found and the bad ones counted.
 */
#include "trust/index.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/fd.h"
#include "trust/memory.h"
#include "wire/limits.h"

struct item {
	uint32_t hash;
	size_t len;
	uint8_t *der;
};

struct items {
	bool are_crls;
	struct item *array;
	size_t count, room;
	unsigned bad;
};

static void items_deinit(struct items *items)
{
	for (size_t i = 0; i < items->count; i++)
		free(items->array[i].der);
	free(items->array);
}

static int items_add(struct items *items, uint32_t hash, const uint8_t *der, size_t len)
{
	uint8_t *copy;

	if (items->count == items->room) {
		size_t room = items->room ? 2 * items->room : 256;
		struct item *array = reallocarray(items->array, room, sizeof(*array));

		if (!array)
			return -ENOMEM;
		items->array = array;
		items->room = room;
	}
	copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, der, len);
	items->array[items->count++] = (struct item){ hash, len, copy };
	return 0;
}

/* True when DER is exactly one certificate, with the settings behind it if AUX. */
static bool subject_hash(const uint8_t *der, size_t len, bool aux, uint32_t *ret_hash)
{
	const unsigned char *at = der;
	X509 *x509 = aux ? d2i_X509_AUX(NULL, &at, (long)len) : d2i_X509(NULL, &at, (long)len);
	int ok = 0;

	if (x509 && at == der + len)
		*ret_hash = (uint32_t)X509_NAME_hash_ex(X509_get_subject_name(x509), NULL, NULL,
							&ok);
	X509_free(x509);
	return ok != 0;
}

static bool issuer_hash(const uint8_t *der, size_t len, uint32_t *ret_hash)
{
	const unsigned char *at = der;
	X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)len);
	int ok = 0;

	if (crl && at == der + len)
		*ret_hash = (uint32_t)X509_NAME_hash_ex(X509_CRL_get_issuer(crl), NULL, NULL, &ok);
	X509_CRL_free(crl);
	return ok != 0;
}

static int add_crl(struct items *items, const uint8_t *der, size_t len)
{
	uint32_t hash = 0;

	if (issuer_hash(der, len, &hash))
		return items_add(items, hash, der, len);
	items->bad++;
	return 0;
}

/* One PEM block.  Only certificates matter; one with PEM headers is encrypted, and so useless. */
static int add_block(struct items *items, const char *name, const char *header, const uint8_t *der,
		     size_t len)
{
	bool aux = strcmp(name, PEM_STRING_X509_TRUSTED) == 0;
	uint32_t hash = 0;

	if (items->are_crls)
		return strcmp(name, PEM_STRING_X509_CRL) == 0 ? add_crl(items, der, len) : 0;
	if (!aux && strcmp(name, PEM_STRING_X509) != 0 && strcmp(name, PEM_STRING_X509_OLD) != 0)
		return 0;
	if (header[0] != '\0' || !subject_hash(der, len, aux, &hash)) {
		items->bad++;
		return 0;
	}
	return items_add(items, hash, der, len);
}

static int read_blocks(struct items *items, BIO *bio)
{
	size_t left = BIO_ctrl_pending(bio);
	const unsigned long failures = memory_failures();
	int r = 0;

	while (r == 0 && left > 0) {
		char *name = NULL, *header = NULL;
		unsigned char *der = NULL;
		long len = 0;

		ERR_clear_error();
		if (PEM_read_bio(bio, &name, &header, &der, &len) == 1)
			r = add_block(items, name, header, der, (size_t)len);
		else if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
			items->bad++;
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
		/* Every turn eats something, so this ends, whatever the file is. */
		if (BIO_ctrl_pending(bio) >= left)
			break;
		left = BIO_ctrl_pending(bio);
	}
	ERR_clear_error();
	/* What could not be read then is not bad, and an index without it would not be whole. */
	return memory_failures() == failures ? r : -ENOMEM;
}

/* By hash for the search; then so that duplicates are neighbours. */
static int compare_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->der, y->der, x->len);
}

static void sort_unique(struct items *items)
{
	size_t kept = 0;

	if (items->count == 0)
		return;
	qsort(items->array, items->count, sizeof(*items->array), compare_items);
	for (size_t i = 1; i < items->count; i++) {
		if (compare_items(&items->array[kept], &items->array[i]) == 0)
			free(items->array[i].der);
		else
			items->array[++kept] = items->array[i];
	}
	items->count = kept + 1;
}

static int write_index(const struct items *items, int *ret_fd)
{
	struct trust_header header = { TRUST_MAGIC, (uint32_t)items->count };
	size_t at = sizeof(header) + items->count * sizeof(struct trust_entry), len = at;
	cleanup_free_ uint8_t *bytes = NULL;

	for (size_t i = 0; i < items->count; i++)
		len += items->array[i].len;
	bytes = malloc(len);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, &header, sizeof(header));
	for (size_t i = 0; i < items->count; i++) {
		const struct item *item = &items->array[i];
		struct trust_entry entry = { item->hash, (uint32_t)at, (uint32_t)item->len, 0 };

		memcpy(bytes + sizeof(header) + i * sizeof(entry), &entry, sizeof(entry));
		memcpy(bytes + at, item->der, item->len);
		at += item->len;
	}
	return fd_sealed_copy("tlsbroker-trust", bytes, len, ret_fd);
}

static bool is_pem(const char *bytes, size_t len)
{
	return memmem(bytes, len, "-----BEGIN ", 11) != NULL;
}

static int build(struct items *items, const char *bytes, size_t len, int *ret_fd,
		 unsigned *ret_count, unsigned *ret_bad)
{
	BIO *bio;
	int r;

	/* DER is smaller than its PEM by more than an entry is long, so offsets fit 32 bits too. */
	_Static_assert(LIMIT_TRUST_BYTES <= INT_MAX, "a memory BIO's length is an int");
	/* Whatever OPENSSL_CONF says, the file it names is not read: a no-op once it has been. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	bio = BIO_new_mem_buf(bytes, (int)len);
	if (!bio)
		return -ENOMEM;
	if (items->are_crls && !is_pem(bytes, len))
		r = add_crl(items, (const uint8_t *)bytes, len);
	else
		r = read_blocks(items, bio);
	BIO_free(bio);
	ERR_clear_error();
	sort_unique(items);
	if (r == 0)
		r = items->count > 0 ? write_index(items, ret_fd) : -EINVAL;
	if (r == 0) {
		*ret_count = (unsigned)items->count;
		*ret_bad = items->bad;
	}
	items_deinit(items);
	return r;
}

int trust_index_build(const char *pem, size_t len, int *ret_fd, unsigned *ret_count,
		      unsigned *ret_bad)
{
	struct items items = { .are_crls = false };

	return len > LIMIT_TRUST_BYTES ? -EFBIG
				       : build(&items, pem, len, ret_fd, ret_count, ret_bad);
}

int trust_index_build_crls(const char *bytes, size_t len, int *ret_fd, unsigned *ret_count,
			   unsigned *ret_bad)
{
	struct items items = { .are_crls = true };

	return len > LIMIT_CRL_BYTES ? -EFBIG
				     : build(&items, bytes, len, ret_fd, ret_count, ret_bad);
}
