#include "worker/provider.h"

#include <errno.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "wire/limits.h"

#define NAME "keyholder"

/* Our own parameter of a key, beside those that OpenSSL knows. */
#define PARAM_NUMBER "tlsb-number"

struct provider {
	OSSL_LIB_CTX *context;
	OSSL_PROVIDER *loaded;
};

static provider_signer *signer_of_all; /* OpenSSL's provider functions have no argument of ours */

/* ---- keys: a public key of OpenSSL's own, and a number ---- */

struct remote {
	int references;
	const char *type;
	EVP_PKEY *public;
	uint32_t number; /* 0: it is a public key only */
};

static void *remote_new(const char *type)
{
	struct remote *key = calloc(1, sizeof(*key));

	if (key)
		*key = (struct remote){ .references = 1, .type = type };
	return key;
}

static void *rsa_new(void *context unused_)
{
	return remote_new("RSA");
}

static void *pss_new(void *context unused_)
{
	return remote_new("RSA-PSS");
}

static void *ec_new(void *context unused_)
{
	return remote_new("EC");
}

static void *ed25519_new(void *context unused_)
{
	return remote_new("ED25519");
}

static void remote_free(void *data)
{
	struct remote *key = data;

	if (key && --key->references == 0) {
		EVP_PKEY_free(key->public);
		free(key);
	}
}

static int remote_has(const void *data, int selection)
{
	const struct remote *key = data;

	if (!key || !key->public)
		return 0;
	return !(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) || key->number != 0;
}

static int remote_match(const void *one, const void *other, int selection unused_)
{
	const struct remote *a = one, *b = other;

	return a->public && b->public && EVP_PKEY_eq(a->public, b->public) == 1;
}

/* From a certificate's key; and from one that OpenSSL wants to compare with ours. */
static int remote_import(void *data, int selection, const OSSL_PARAM params[])
{
	const OSSL_PARAM *number = OSSL_PARAM_locate_const(params, PARAM_NUMBER);
	struct remote *key = data;
	EVP_PKEY_CTX *context;
	int ok;

	if (key->public || !(selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY))
		return 0;
	context = EVP_PKEY_CTX_new_from_name(NULL, key->type, NULL);
	ok = context && EVP_PKEY_fromdata_init(context) > 0 &&
	     EVP_PKEY_fromdata(context, &key->public, EVP_PKEY_PUBLIC_KEY,
			       (OSSL_PARAM *)(uintptr_t)params) > 0;
	EVP_PKEY_CTX_free(context);
	return ok && (!number || OSSL_PARAM_get_uint32(number, &key->number));
}

/* The public half, and never more: then OpenSSL signs with us, and not with a copy of the key. */
static int remote_export(void *data, int selection, OSSL_CALLBACK *callback, void *arg)
{
	const struct remote *key = data;

	if (!key->public || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY))
		return 0;
	return EVP_PKEY_export(key->public, EVP_PKEY_PUBLIC_KEY, callback, arg);
}

static const OSSL_PARAM *remote_types(int selection unused_)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_uint32(PARAM_NUMBER, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_END,
	};

	return types;
}

static int remote_get_params(void *data, OSSL_PARAM params[])
{
	const struct remote *key = data;

	return key->public && EVP_PKEY_get_params(key->public, params);
}

static const OSSL_PARAM *remote_gettable(void *context unused_)
{
	static const OSSL_PARAM gettable[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	return gettable;
}

/* An elliptic curve's key is "EC", and signs as "ECDSA". */
static const char *ec_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

#define FUNCTION(id, function) { OSSL_FUNC_##id, (void (*)(void))(function) }

#define KEY_FUNCTIONS(type)                                                                        \
	FUNCTION(KEYMGMT_NEW, type##_new), FUNCTION(KEYMGMT_FREE, remote_free),                    \
		FUNCTION(KEYMGMT_HAS, remote_has), FUNCTION(KEYMGMT_MATCH, remote_match),          \
		FUNCTION(KEYMGMT_IMPORT, remote_import),                                           \
		FUNCTION(KEYMGMT_IMPORT_TYPES, remote_types),                                      \
		FUNCTION(KEYMGMT_EXPORT, remote_export),                                           \
		FUNCTION(KEYMGMT_EXPORT_TYPES, remote_types),                                      \
		FUNCTION(KEYMGMT_GET_PARAMS, remote_get_params),                                   \
		FUNCTION(KEYMGMT_GETTABLE_PARAMS, remote_gettable)

static const OSSL_DISPATCH rsa_keys[] = { KEY_FUNCTIONS(rsa), { 0, NULL } };
static const OSSL_DISPATCH pss_keys[] = { KEY_FUNCTIONS(pss), { 0, NULL } };
static const OSSL_DISPATCH ed25519_keys[] = { KEY_FUNCTIONS(ed25519), { 0, NULL } };
static const OSSL_DISPATCH ec_keys[] = {
	KEY_FUNCTIONS(ec), FUNCTION(KEYMGMT_QUERY_OPERATION_NAME, ec_operation), { 0, NULL }
};

/* ---- signatures ---- */

struct remote_signature {
	struct remote *key;
	char digest[16];
	enum padding padding;
};

static void *signature_new(void *context unused_, const char *properties unused_)
{
	return calloc(1, sizeof(struct remote_signature));
}

static void signature_free(void *data)
{
	struct remote_signature *signature = data;

	if (signature)
		remote_free(signature->key);
	free(signature);
}

static void *signature_copy(void *data)
{
	const struct remote_signature *signature = data;
	struct remote_signature *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *signature;
	if (copy->key)
		copy->key->references++;
	return copy;
}

/* What is not PSS or PKCS #1 no scheme has, and so is refused when it is to sign. */
static int set_padding(struct remote_signature *signature, const OSSL_PARAM *param)
{
	const char *word = NULL;
	int number = 0;

	if (param->data_type == OSSL_PARAM_UTF8_STRING) {
		if (!OSSL_PARAM_get_utf8_string_ptr(param, &word))
			return 0;
		if (strcmp(word, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0)
			number = RSA_PKCS1_PSS_PADDING;
		else if (strcmp(word, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0)
			number = RSA_PKCS1_PADDING;
	} else if (!OSSL_PARAM_get_int(param, &number)) {
		return 0;
	}
	signature->padding = number == RSA_PKCS1_PSS_PADDING ? PADDING_PSS
			     : number == RSA_PKCS1_PADDING   ? PADDING_PKCS1
							     : PADDING_NONE;
	return 1;
}

/* Of a salt TLS says how long it is: as the digest. */
static int signature_set_params(void *data, const OSSL_PARAM params[])
{
	const OSSL_PARAM *padding =
		params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;

	return !padding || set_padding(data, padding);
}

static const OSSL_PARAM *signature_settable(void *data unused_, void *context unused_)
{
	static const OSSL_PARAM settable[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_END,
	};

	return settable;
}

/* OpenSSL knows a digest by several names: SHA-256, SHA2-256, 2.16.840... */
static int set_digest(struct remote_signature *signature, const char *name)
{
	EVP_MD *md = name && name[0] != '\0' ? EVP_MD_fetch(NULL, name, NULL) : NULL;
	static const char *const known[] = { "SHA256", "SHA384", "SHA512" };

	signature->digest[0] = '\0';
	for (size_t i = 0; md && i < ARRAY_SIZE(known); i++) {
		if (EVP_MD_is_a(md, known[i]))
			memcpy(signature->digest, known[i], strlen(known[i]) + 1);
	}
	EVP_MD_free(md);
	return !name || name[0] == '\0' || signature->digest[0] != '\0';
}

/* An RSA-PSS key may be for one digest alone: OpenSSL tries the next one that the server takes. */
static bool key_takes(const EVP_PKEY *public, const char *digest)
{
	char only[32] = "";
	EVP_MD *md;
	bool is_it;

	if (digest[0] == '\0' || !EVP_PKEY_is_a(public, "RSA-PSS") ||
	    !EVP_PKEY_get_utf8_string_param(public, OSSL_PKEY_PARAM_RSA_DIGEST, only, sizeof(only), NULL))
		return true;
	md = EVP_MD_fetch(NULL, only, NULL);
	is_it = md && EVP_MD_is_a(md, digest);
	EVP_MD_free(md);
	return is_it;
}

static int signature_init(void *data, const char *digest, void *key_data, const OSSL_PARAM params[])
{
	struct remote_signature *signature = data;
	struct remote *key = key_data;

	if (!key || key->number == 0)
		return 0;
	key->references++;
	remote_free(signature->key);
	signature->key = key;
	signature->padding = strcmp(key->type, "RSA") == 0       ? PADDING_PKCS1
			     : strcmp(key->type, "RSA-PSS") == 0 ? PADDING_PSS
								 : PADDING_NONE;
	return set_digest(signature, digest) && key_takes(key->public, signature->digest) &&
	       signature_set_params(signature, params);
}

static int signature_sign(void *data, unsigned char *bytes, size_t *ret_len, size_t size,
			  const unsigned char *input, size_t input_len)
{
	const struct remote_signature *signature = data;
	const struct remote *key = signature->key;
	const struct scheme *scheme =
		scheme_of_key(key->public, signature->digest, signature->padding);
	size_t len = (size_t)EVP_PKEY_get_size(key->public);

	if (!scheme)
		return 0;
	if (!bytes) {
		*ret_len = len;
		return 1;
	}
	if (size < len || signer_of_all(key->number, scheme, input, input_len, bytes, &len) < 0)
		return 0;
	*ret_len = len;
	return 1;
}

static const OSSL_DISPATCH signatures[] = {
	FUNCTION(SIGNATURE_NEWCTX, signature_new),
	FUNCTION(SIGNATURE_FREECTX, signature_free),
	FUNCTION(SIGNATURE_DUPCTX, signature_copy),
	FUNCTION(SIGNATURE_DIGEST_SIGN_INIT, signature_init),
	FUNCTION(SIGNATURE_DIGEST_SIGN, signature_sign),
	FUNCTION(SIGNATURE_SET_CTX_PARAMS, signature_set_params),
	FUNCTION(SIGNATURE_SETTABLE_CTX_PARAMS, signature_settable),
	{ 0, NULL },
};

/* ---- the provider ---- */

static const OSSL_ALGORITHM *query(void *context unused_, int operation, int *ret_no_cache)
{
	static const OSSL_ALGORITHM keys[] = {
		{ "RSA:rsaEncryption", "provider=" NAME, rsa_keys, NULL },
		{ "RSA-PSS:RSASSA-PSS", "provider=" NAME, pss_keys, NULL },
		{ "EC:id-ecPublicKey", "provider=" NAME, ec_keys, NULL },
		{ "ED25519", "provider=" NAME, ed25519_keys, NULL },
		{ NULL, NULL, NULL, NULL },
	};
	static const OSSL_ALGORITHM signing[] = {
		{ "RSA:rsaEncryption", "provider=" NAME, signatures, NULL },
		{ "RSA-PSS:RSASSA-PSS", "provider=" NAME, signatures, NULL },
		{ "ECDSA", "provider=" NAME, signatures, NULL },
		{ "ED25519", "provider=" NAME, signatures, NULL },
		{ NULL, NULL, NULL, NULL },
	};

	*ret_no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return keys;
	case OSSL_OP_SIGNATURE:
		return signing;
	default:
		return NULL;
	}
}

static int initialise(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core unused_,
		      const OSSL_DISPATCH **ret_functions, void **ret_context)
{
	static const OSSL_DISPATCH functions[] = {
		FUNCTION(PROVIDER_QUERY_OPERATION, query),
		{ 0, NULL },
	};

	*ret_functions = functions;
	*ret_context = (void *)(uintptr_t)handle;
	return 1;
}

struct provider *provider_new(provider_signer *signer)
{
	struct provider *provider = calloc(1, sizeof(*provider));

	if (!provider)
		return NULL;
	provider->context = OSSL_LIB_CTX_new();
	if (provider->context &&
	    OSSL_PROVIDER_add_builtin(provider->context, NAME, initialise))
		provider->loaded = OSSL_PROVIDER_load(provider->context, NAME);
	ERR_clear_error();
	if (!provider->loaded) {
		provider_free(provider);
		return NULL;
	}
	signer_of_all = signer;
	return provider;
}

void provider_free(struct provider *provider)
{
	if (!provider)
		return;
	if (provider->loaded)
		OSSL_PROVIDER_unload(provider->loaded);
	OSSL_LIB_CTX_free(provider->context);
	free(provider);
}

EVP_PKEY *provider_key(struct provider *provider, const EVP_PKEY *public, uint32_t key)
{
	OSSL_PARAM number[] = { OSSL_PARAM_uint32(PARAM_NUMBER, &key), OSSL_PARAM_END };
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(
		provider->context, EVP_PKEY_get0_type_name(public), NULL);
	OSSL_PARAM *of_public = NULL, *all = NULL;
	EVP_PKEY *made = NULL;

	if (context && EVP_PKEY_todata(public, EVP_PKEY_PUBLIC_KEY, &of_public) &&
	    (all = OSSL_PARAM_merge(of_public, number)) && EVP_PKEY_fromdata_init(context) > 0 &&
	    EVP_PKEY_fromdata(context, &made, EVP_PKEY_KEYPAIR, all) <= 0)
		made = NULL;
	OSSL_PARAM_free(of_public);
	OPENSSL_free(all); /* of what it points to nothing is its own */
	EVP_PKEY_CTX_free(context);
	ERR_clear_error();
	return made;
}
