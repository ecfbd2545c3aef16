#include "keys/scheme.h"

#include <string.h>

#include "base/macros.h"
#include "tlsbroker.h"

static const struct scheme schemes[] = {
#define SCHEME(code, type, digest, padding, version)                                               \
	{ code, type, digest, PADDING_##padding, version },
#include "keys/schemes.def"
#undef SCHEME
};

const struct scheme *scheme_of_code(uint16_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (schemes[i].code == code)
			return &schemes[i];
	}
	return NULL;
}

const struct scheme *scheme_of_key(const EVP_PKEY *key, const char *digest, enum padding padding)
{
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (EVP_PKEY_is_a(key, schemes[i].type) && schemes[i].padding == padding &&
		    strcmp(schemes[i].digest, digest) == 0)
			return &schemes[i];
	}
	return NULL;
}
