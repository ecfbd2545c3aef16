/*
 * Signatures of hashes, made and verified, with keys that were imported.
 */
#ifndef TLSB_KEYHOLDER_HASH_H
#define TLSB_KEYHOLDER_HASH_H

#include <openssl/evp.h>

#include "keyholder/sign.h"

/*
 * ALGORITHM is an enum tlsb_signature.  -EOPNOTSUPP: this key does not sign so; -EINVAL: such a hash has
 * another length.  0 or -errno.
 */
int hash_sign(EVP_PKEY *key, uint16_t algorithm, const uint8_t *hash, size_t len,
	      struct signature *ret);

/* The same; -EKEYREJECTED: it is not that key's signature of this hash. */
int hash_verify(EVP_PKEY *key, uint16_t algorithm, const uint8_t *hash, size_t len,
		const uint8_t *signature, size_t signature_len);

#endif
