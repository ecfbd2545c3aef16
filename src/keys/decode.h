/*
 * Keys out of what a file holds: PEM or DER, PKCS #8 or what was there before it.  Says nothing of whether they
 * are of use.
 */
#ifndef TLSB_KEYS_DECODE_H
#define TLSB_KEYS_DECODE_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

/* The first private key, or NULL; with RET_ENCRYPTED, whether that is for want of a passphrase. */
EVP_PKEY *decode_private(const char *bytes, size_t len, bool *ret_encrypted);

/* The first public key, or NULL. */
EVP_PKEY *decode_public(const char *bytes, size_t len);

#endif
