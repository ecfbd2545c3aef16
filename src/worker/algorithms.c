#include "worker/algorithms.h"

#include <assert.h>
#include <openssl/core_dispatch.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/macros.h"

#define NAME "tls"

/* Of one operation; more than that end the process at its start, see choose(). */
#define MOST 24

struct algorithms {
	OSSL_LIB_CTX *all, *some, *before;
	OSSL_PROVIDER *whole; /* OpenSSL's default provider */
	OSSL_PROVIDER *part, *twin; /* what is left of it, in some, and in all; see load() */
	OSSL_ALGORITHM chosen[OSSL_OP__HIGHEST + 1][MOST + 1];
};

/*
 * OpenSSL gives its algorithms and a provider's own functions the same argument, which has to be the default
 * provider's: they are its algorithms.
 */
static struct algorithms *present;

/* OpenSSL has these since 3.5; servers that can prefer them. */
#define ML_DSA "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"
#define ML_KEM "ML-KEM-512", "ML-KEM-768", "ML-KEM-1024", "X25519MLKEM768", "SecP256r1MLKEM768", \
	       "SecP384r1MLKEM1024"

/*
 * By the first of the names that OpenSSL gives them.  Digests are for signatures and fingerprints (SHA-1 for
 * those that OCSP and OpenSSL's own tables go by; a signature with it is refused for its strength), ciphers
 * for TLS and for random numbers, signatures with HMAC for TLS's Finished.
 *
 * What these use in turn is not looked for here, but in the default provider: RSA verifies signatures over
 * SHA-3, too.
 */
static const char *const wanted[OSSL_OP__HIGHEST + 1][MOST + 1] = {
	[OSSL_OP_DIGEST] = { "SHA1", "SHA2-224", "SHA2-256", "SHA2-384", "SHA2-512" },
	[OSSL_OP_CIPHER] = { "AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305", "AES-256-CTR",
			     "AES-256-ECB" },
	[OSSL_OP_MAC] = { "HMAC" },
	[OSSL_OP_KDF] = { "HKDF", "TLS13-KDF", "TLS1-PRF" },
	[OSSL_OP_RAND] = { "CTR-DRBG", "SEED-SRC" },
	[OSSL_OP_KEYEXCH] = { "DH", "ECDH", "X25519", "X448" },
	[OSSL_OP_KEYMGMT] = { "DH", "RSA", "RSA-PSS", "EC", "X25519", "X448", "ED25519", "ED448", "HMAC",
			      ML_DSA, ML_KEM },
	[OSSL_OP_SIGNATURE] = { "RSA", "ECDSA", "ED25519", "ED448", "HMAC", ML_DSA },
	[OSSL_OP_KEM] = { ML_KEM },
	[OSSL_OP_DECODER] = { "RSA", "RSA-PSS", "EC", "ED25519", "ED448", ML_DSA },
};

static bool is_wanted(int operation, const OSSL_ALGORITHM *one)
{
	size_t len = strcspn(one->algorithm_names, ":");

	/* Keys are read from certificates, and nothing else. */
	if (operation == OSSL_OP_DECODER &&
	    !strstr(one->property_definition, "structure=SubjectPublicKeyInfo"))
		return false;
	for (size_t i = 0; wanted[operation][i]; i++) {
		if (strlen(wanted[operation][i]) == len &&
		    strncasecmp(wanted[operation][i], one->algorithm_names, len) == 0)
			return true;
	}
	return false;
}

/* Before anybody asks: whom OpenSSL is told once that there are none, it does not ask again. */
static void choose(struct algorithms *algorithms, int operation)
{
	OSSL_ALGORITHM *chosen = algorithms->chosen[operation];
	int no_cache = 0;
	const OSSL_ALGORITHM *from =
		OSSL_PROVIDER_query_operation(algorithms->whole, operation, &no_cache);

	for (size_t count = 0; from && from->algorithm_names; from++) {
		if (is_wanted(operation, from)) {
			assert(count < MOST);
			chosen[count++] = *from;
		}
	}
}

static const OSSL_ALGORITHM *query(void *context unused_, int operation, int *ret_no_cache)
{
	*ret_no_cache = 0;
	return operation >= 0 && operation <= OSSL_OP__HIGHEST ? present->chosen[operation] : NULL;
}

/* The groups for a key exchange; OpenSSL leaves out whose algorithms are not there. */
static int capabilities(void *context unused_, const char *what, OSSL_CALLBACK *callback, void *arg)
{
	return OSSL_PROVIDER_get_capabilities(present->whole, what, callback, arg);
}

#define FUNCTION(id, function) { OSSL_FUNC_##id, (void (*)(void))(function) }

static int initialise(const OSSL_CORE_HANDLE *handle unused_, const OSSL_DISPATCH *core unused_,
		      const OSSL_DISPATCH **ret_functions, void **ret_context)
{
	static const OSSL_DISPATCH functions[] = {
		FUNCTION(PROVIDER_QUERY_OPERATION, query),
		FUNCTION(PROVIDER_GET_CAPABILITIES, capabilities),
		{ 0, NULL },
	};

	*ret_functions = functions;
	*ret_context = OSSL_PROVIDER_get0_provider_ctx(present->whole);
	return 1;
}

/* NULL: no memory. */
static OSSL_PROVIDER *load_chosen(OSSL_LIB_CTX *context)
{
	return OSSL_PROVIDER_add_builtin(context, NAME, initialise) ?
		       OSSL_PROVIDER_load(context, NAME) : NULL;
}

/* 0, or -1. */
static int load(struct algorithms *algorithms)
{
	algorithms->all = OSSL_LIB_CTX_new();
	algorithms->some = OSSL_LIB_CTX_new();
	if (!algorithms->all || !algorithms->some)
		return -1;
	algorithms->whole = OSSL_PROVIDER_load(algorithms->all, "default");
	if (!algorithms->whole)
		return -1;
	for (int operation = 0; operation <= OSSL_OP__HIGHEST; operation++)
		choose(algorithms, operation);
	/*
	 * Newer OpenSSL makes random numbers with ciphers of the provider that they come from.  It knows that
	 * one's name, but looks for it where the default provider is.
	 */
	algorithms->twin = load_chosen(algorithms->all);
	algorithms->part = load_chosen(algorithms->some);
	return algorithms->twin && algorithms->part ? 0 : -1;
}

struct algorithms *algorithms_new(void)
{
	struct algorithms *algorithms = calloc(1, sizeof(*algorithms));

	if (!algorithms)
		return NULL;
	assert(!present);
	present = algorithms;
	if (load(algorithms) < 0) {
		ERR_clear_error();
		algorithms_free(algorithms);
		return NULL;
	}
	algorithms->before = OSSL_LIB_CTX_set0_default(algorithms->some);
	return algorithms;
}

void algorithms_free(struct algorithms *algorithms)
{
	if (!algorithms)
		return;
	if (algorithms->before)
		(void)OSSL_LIB_CTX_set0_default(algorithms->before);
	if (algorithms->part)
		OSSL_PROVIDER_unload(algorithms->part);
	OSSL_LIB_CTX_free(algorithms->some);
	if (algorithms->twin)
		OSSL_PROVIDER_unload(algorithms->twin);
	if (algorithms->whole)
		OSSL_PROVIDER_unload(algorithms->whole);
	OSSL_LIB_CTX_free(algorithms->all);
	present = NULL;
	free(algorithms);
}

OSSL_LIB_CTX *algorithms_context(const struct algorithms *algorithms)
{
	return algorithms->some;
}
