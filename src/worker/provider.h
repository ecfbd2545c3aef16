/*
 * Keys that are elsewhere, for OpenSSL: a provider (provider(7)) whose keys are a public key and a
 * number, and whose signatures come from the keyholder.
 *
 * It lives in a library context of its own, so that nothing but keys made here ever leads to it.
 */
#ifndef TLSB_WORKER_PROVIDER_H
#define TLSB_WORKER_PROVIDER_H

#include <openssl/evp.h>

#include "keys/scheme.h"

/*
 * A signature of LEN bytes at BYTES by the key of this number, into SIGNATURE of *LEN bytes at most.
 * May stop the fibre that it is called from.  0 or -errno.
 */
typedef int provider_signer(uint32_t key, const struct scheme *scheme, const unsigned char *bytes,
			    size_t len, unsigned char *signature, size_t *signature_len);

struct provider;

/* NULL: no memory. */
struct provider *provider_new(provider_signer *signer);

/* NULL is fine.  Keys made with it must have gone. */
void provider_free(struct provider *provider);

/* The private key of this number, whose public half is that of PUBLIC.  NULL: no memory. */
EVP_PKEY *provider_key(struct provider *provider, const EVP_PKEY *public, uint32_t key);

#endif
