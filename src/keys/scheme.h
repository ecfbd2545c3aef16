/*
 * The table of signature schemes (schemes.def) as C sees it.
 */
#ifndef TLSB_KEYS_SCHEME_H
#define TLSB_KEYS_SCHEME_H

#include <openssl/evp.h>
#include <stdint.h>

enum padding { PADDING_NONE, PADDING_PSS, PADDING_PKCS1 };

struct scheme {
	uint16_t code;
	const char *type, *digest;
	enum padding padding;
	uint16_t version; /* of TLS: for this one alone; 0: for all */
};

/* NULL: there is none. */
const struct scheme *scheme_of_code(uint16_t code);

/* The one by which a key like KEY signs.  DIGEST may be "".  NULL: there is none. */
const struct scheme *scheme_of_key(const EVP_PKEY *key, const char *digest, enum padding padding);

#endif
