/*
 * One signature.
 */
#ifndef TLSB_KEYHOLDER_SIGN_H
#define TLSB_KEYHOLDER_SIGN_H

#include <stdbool.h>

#include "keys/scheme.h"
#include "wire/limits.h"

struct signature {
	size_t len;
	uint8_t bytes[LIMIT_SIGNATURE];
};

/* For an RSA key: as TLS has it, and PSA for hashes, too (RFC 8446, 4.2.3).  False: it cannot be set. */
bool sign_set_padding(EVP_PKEY_CTX *ctx, enum padding padding);

/* Of LEN bytes, which are not looked at.  -EINVAL: this key does not sign so.  0 or -errno. */
int sign(EVP_PKEY *key, const struct scheme *scheme, const uint8_t *bytes, size_t len,
	 struct signature *ret);

#endif
