#include "keyholder/hash.h"

#include <errno.h>
#include <openssl/err.h>

#include "trust/memory.h"

/* The scheme by which a key like this one does it, with the digest and padding of ALGORITHM; or NULL. */
static const struct scheme *scheme_for(const EVP_PKEY *key, uint16_t algorithm)
{
	const struct scheme *asked = scheme_of_code(algorithm);

	/* Without a digest there is no hash of it: Ed25519 signs messages (RFC 8032). */
	if (!asked || asked->digest[0] == '\0')
		return NULL;
	return scheme_of_key(key, asked->digest, asked->padding);
}

typedef int init_fn(EVP_PKEY_CTX *ctx);

static int begin(EVP_PKEY *key, uint16_t algorithm, size_t len, init_fn *init, EVP_PKEY_CTX **ret)
{
	const struct scheme *scheme = scheme_for(key, algorithm);
	const EVP_MD *md = scheme ? EVP_get_digestbyname(scheme->digest) : NULL;
	EVP_PKEY_CTX *ctx;

	if (!scheme || EVP_PKEY_get_size(key) > LIMIT_KEY_SIGNATURE)
		return -EOPNOTSUPP;
	if (!md || len != (size_t)EVP_MD_get_size(md))
		return -EINVAL;
	ctx = EVP_PKEY_CTX_new(key, NULL);
	if (!ctx || init(ctx) <= 0 || EVP_PKEY_CTX_set_signature_md(ctx, md) <= 0 ||
	    !sign_set_padding(ctx, scheme->padding)) {
		EVP_PKEY_CTX_free(ctx);
		return -EOPNOTSUPP; /* an RSA-PSS key that is bound to another digest */
	}
	*ret = ctx;
	return 0;
}

static int make(EVP_PKEY *key, uint16_t algorithm, const uint8_t *hash, size_t len,
		struct signature *ret)
{
	EVP_PKEY_CTX *ctx;
	int r = begin(key, algorithm, len, EVP_PKEY_sign_init, &ctx);

	if (r < 0)
		return r;
	ret->len = sizeof(ret->bytes);
	if (EVP_PKEY_sign(ctx, ret->bytes, &ret->len, hash, len) <= 0 || ret->len > LIMIT_KEY_SIGNATURE)
		r = -EIO;
	EVP_PKEY_CTX_free(ctx);
	return r;
}

/* Why a copy, and what the count says: see sign(). */
int hash_sign(EVP_PKEY *key, uint16_t algorithm, const uint8_t *hash, size_t len,
	      struct signature *ret)
{
	const unsigned long failures = memory_failures();
	EVP_PKEY *copy = failures > 0 ? EVP_PKEY_dup(key) : NULL;
	int r = failures > 0 && !copy ? -ENOMEM : make(copy ? copy : key, algorithm, hash, len, ret);

	EVP_PKEY_free(copy);
	ERR_clear_error();
	return memory_failures() == failures ? r : -ENOMEM;
}

/* A signature that cannot be looked at for want of memory is not a wrong one. */
int hash_verify(EVP_PKEY *key, uint16_t algorithm, const uint8_t *hash, size_t len,
		const uint8_t *signature, size_t signature_len)
{
	const unsigned long failures = memory_failures();
	EVP_PKEY_CTX *ctx;
	int r = begin(key, algorithm, len, EVP_PKEY_verify_init, &ctx);

	if (r == 0) {
		if (EVP_PKEY_verify(ctx, signature, signature_len, hash, len) != 1)
			r = -EKEYREJECTED;
		EVP_PKEY_CTX_free(ctx);
	}
	ERR_clear_error();
	return memory_failures() == failures ? r : -ENOMEM;
}
