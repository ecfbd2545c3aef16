#include "keyholder/sign.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "trust/memory.h"

bool sign_set_padding(EVP_PKEY_CTX *ctx, enum padding padding)
{
	switch (padding) {
	case PADDING_PSS:
		/* The salt is as long as the digest. */
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
		       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
	case PADDING_PKCS1:
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0;
	default:
		return true;
	}
}

static int make(EVP_PKEY *key, const struct scheme *scheme, const uint8_t *bytes, size_t len,
		struct signature *ret)
{
	const char *digest = scheme->digest[0] != '\0' ? scheme->digest : NULL;
	EVP_MD_CTX *md;
	EVP_PKEY_CTX *ctx;
	int ok;

	if (!EVP_PKEY_is_a(key, scheme->type) || EVP_PKEY_get_size(key) > LIMIT_SIGNATURE)
		return -EINVAL;
	md = EVP_MD_CTX_new();
	if (!md)
		return -ENOMEM;
	ret->len = sizeof(ret->bytes);
	ok = EVP_DigestSignInit_ex(md, &ctx, digest, NULL, NULL, key, NULL) > 0 &&
	     sign_set_padding(ctx, scheme->padding) &&
	     EVP_DigestSign(md, ret->bytes, &ret->len, bytes, len) > 0;
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return ok && ret->len <= sizeof(ret->bytes) ? 0 : -EIO;
}

/*
 * Without memory OpenSSL calls an ECDSA signature done that has 2^32-1 bytes, and a key one of another
 * type: what it says then does not count.  And what it keeps with a key, to blind RSA, may be half made
 * from then on, and the next signatures wrong: so they are made with copies, which have nothing of that.
 */
int sign(EVP_PKEY *key, const struct scheme *scheme, const uint8_t *bytes, size_t len,
	 struct signature *ret)
{
	const unsigned long failures = memory_failures();
	EVP_PKEY *copy = failures > 0 ? EVP_PKEY_dup(key) : NULL;
	int r = failures > 0 && !copy ? -ENOMEM : make(copy ? copy : key, scheme, bytes, len, ret);

	EVP_PKEY_free(copy);
	return memory_failures() == failures ? r : -ENOMEM;
}
