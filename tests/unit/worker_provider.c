/*
 * The provider: what OpenSSL asks of a key that is elsewhere becomes the right number of a scheme, with the
 * bytes as they are; and the key is nowhere here to be had.
 */
#include "testing.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "keyholder/sign.h"
#include "worker/provider.h"

#define NUMBER 77

static EVP_PKEY *real; /* whose signatures the signer below makes */
static unsigned asked;
static uint16_t last_scheme;
static int answer;

static int sign_elsewhere(uint32_t key, const struct scheme *scheme, const unsigned char *bytes,
			  size_t len, unsigned char *signature, size_t *signature_len)
{
	struct signature made;

	assert_int_equal(key, NUMBER);
	asked++;
	last_scheme = scheme->code;
	if (answer < 0)
		return answer;
	assert_int_equal(sign(real, scheme, bytes, len, &made), 0);
	assert_true(made.len <= *signature_len);
	memcpy(signature, made.bytes, made.len);
	*signature_len = made.len;
	return 0;
}

static EVP_PKEY *generate(const char *type, const char *group)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	assert_true(EVP_PKEY_keygen_init(ctx) > 0);
	if (group)
		assert_true(EVP_PKEY_CTX_set_group_name(ctx, group) > 0);
	assert_true(EVP_PKEY_generate(ctx, &key) > 0);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* A key with nothing but the public half of REAL. */
static EVP_PKEY *public_half(void)
{
	unsigned char *der = NULL;
	const unsigned char *at;
	int len = i2d_PUBKEY(real, &der);
	EVP_PKEY *public;

	at = der;
	public = d2i_PUBKEY(NULL, &at, len);
	assert_non_null(public);
	OPENSSL_free(der);
	return public;
}

/* By KEY, as libssl does.  1 or 0. */
static int sign_with(EVP_PKEY *key, const char *digest, int padding,
		     unsigned char *bytes, size_t *len)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx;
	int ok = EVP_DigestSignInit_ex(md, &ctx, digest, NULL, NULL, key, NULL) > 0;

	if (ok && padding)
		ok = EVP_PKEY_CTX_set_rsa_padding(ctx, padding) > 0;
	if (ok && padding == RSA_PKCS1_PSS_PADDING)
		ok = EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
	if (ok)
		ok = EVP_DigestSign(md, bytes, len, (const unsigned char *)"text", 4) > 0;
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return ok;
}

static void each_scheme_is_asked_for_by_its_number(void **state unused_)
{
	static const struct {
		const char *type, *group, *digest;
		int padding;
		uint16_t code;
	} ways[] = {
		{ "EC", "P-256", "SHA256", 0, 0x0403 },
		{ "EC", "P-384", "SHA2-384", 0, 0x0503 },
		{ "EC", "P-521", "SHA-512", 0, 0x0603 },
		{ "ED25519", NULL, NULL, 0, 0x0807 },
		{ "RSA", NULL, "SHA256", RSA_PKCS1_PSS_PADDING, 0x0804 },
		{ "RSA", NULL, "SHA384", RSA_PKCS1_PSS_PADDING, 0x0805 },
		{ "RSA", NULL, "SHA512", RSA_PKCS1_PSS_PADDING, 0x0806 },
		{ "RSA", NULL, "SHA256", RSA_PKCS1_PADDING, 0x0401 },
		{ "RSA", NULL, "SHA512", 0, 0x0601 },
		{ "RSA-PSS", NULL, "SHA256", RSA_PKCS1_PSS_PADDING, 0x0809 },
		{ "RSA-PSS", NULL, "SHA512", 0, 0x080b },
	};
	struct provider *provider = provider_new(sign_elsewhere);

	assert_non_null(provider);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		unsigned char bytes[1024];
		size_t len = sizeof(bytes);
		EVP_PKEY *public, *key;

		/* One for all ways of its type: of RSA they take their time. */
		if (!real || ways[i].group || !EVP_PKEY_is_a(real, ways[i].type)) {
			EVP_PKEY_free(real);
			real = generate(ways[i].type, ways[i].group);
		}
		public = public_half();
		key = provider_key(provider, public, NUMBER);
		assert_non_null(key);
		assert_int_equal(EVP_PKEY_eq(public, key), 1);
		assert_int_equal(EVP_PKEY_get_size(key), EVP_PKEY_get_size(real));
		asked = 0;
		assert_int_equal(sign_with(key, ways[i].digest, ways[i].padding, bytes, &len),
				 1);
		assert_int_equal(asked, 1);
		assert_int_equal(last_scheme, ways[i].code);
		EVP_PKEY_free(key);
		EVP_PKEY_free(public);
	}
	EVP_PKEY_free(real);
	real = NULL;
	provider_free(provider);
	provider_free(NULL);
}

/* What TLS does not use is not even asked for. */
static void other_ways_to_sign_fail_here(void **state unused_)
{
	static const struct {
		const char *type, *group, *digest;
		int padding;
	} ways[] = {
		{ "EC", "P-256", "SHA1", 0 },
		{ "EC", "P-256", "SHA224", 0 },
		{ "EC", "P-256", "SHA3-256", 0 },
		{ "RSA", NULL, "MD5", RSA_PKCS1_PADDING },
		{ "RSA", NULL, "SHA256", RSA_NO_PADDING },
		{ "RSA-PSS", NULL, "SHA256", RSA_PKCS1_PADDING },
	};
	struct provider *provider = provider_new(sign_elsewhere);

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		unsigned char bytes[1024];
		size_t len = sizeof(bytes);
		EVP_PKEY *public, *key;

		real = generate(ways[i].type, ways[i].group);
		public = public_half();
		key = provider_key(provider, public, NUMBER);
		asked = 0;
		assert_int_equal(sign_with(key, ways[i].digest, ways[i].padding, bytes, &len),
				 0);
		assert_int_equal(asked, 0);
		EVP_PKEY_free(key);
		EVP_PKEY_free(public);
		EVP_PKEY_free(real);
	}
	provider_free(provider);
}

/* A signer that fails; room that is too small; a public key alone. */
/* So that OpenSSL looks for the scheme that the key is for. */
static void a_key_for_one_digest_takes_no_other(void **state unused_)
{
	static const char *const digests[] = { "SHA256", "SHA384", "SHA512" };
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
	struct provider *provider = provider_new(sign_elsewhere);
	unsigned char bytes[1024];
	EVP_PKEY *key, *public;

	real = NULL;
	assert_true(EVP_PKEY_keygen_init(ctx) > 0);
	assert_true(EVP_PKEY_CTX_set_rsa_pss_keygen_md(ctx, EVP_sha512()) > 0);
	assert_true(EVP_PKEY_CTX_set_rsa_pss_keygen_mgf1_md(ctx, EVP_sha512()) > 0);
	assert_true(EVP_PKEY_CTX_set_rsa_pss_keygen_saltlen(ctx, 64) > 0);
	assert_true(EVP_PKEY_generate(ctx, &real) > 0);
	EVP_PKEY_CTX_free(ctx);
	public = public_half();
	key = provider_key(provider, public, NUMBER);
	assert_non_null(key);
	answer = 0;
	for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
		bool is_it = strcmp(digests[i], "SHA512") == 0;
		size_t len = sizeof(bytes);

		assert_int_equal(EVP_PKEY_digestsign_supports_digest(key, NULL, digests[i], NULL), is_it);
		assert_int_equal(sign_with(key, digests[i], RSA_PKCS1_PSS_PADDING, bytes, &len), is_it);
	}
	ERR_clear_error();
	EVP_PKEY_free(key);
	EVP_PKEY_free(public);
	EVP_PKEY_free(real);
	provider_free(provider);
}

static void what_is_not_signed_is_an_error(void **state unused_)
{
	struct provider *provider = provider_new(sign_elsewhere);
	unsigned char bytes[1024];
	size_t len = sizeof(bytes);
	EVP_PKEY *public, *key, *keyless;

	real = generate("EC", "P-256");
	public = public_half();
	key = provider_key(provider, public, NUMBER);
	answer = -EACCES;
	assert_int_equal(sign_with(key, "SHA256", 0, bytes, &len), 0);
	answer = 0;
	len = 8;
	asked = 0;
	assert_int_equal(sign_with(key, "SHA256", 0, bytes, &len), 0);
	assert_int_equal(asked, 0);
	keyless = provider_key(provider, public, 0);
	len = sizeof(bytes);
	assert_int_equal(sign_with(keyless, "SHA256", 0, bytes, &len), 0);
	assert_int_equal(asked, 0);
	EVP_PKEY_free(keyless);
	EVP_PKEY_free(key);
	EVP_PKEY_free(public);
	EVP_PKEY_free(real);
	provider_free(provider);
}

static void there_is_no_private_key_to_be_had(void **state unused_)
{
	struct provider *provider = provider_new(sign_elsewhere);
	OSSL_PARAM *all = NULL;
	EVP_PKEY *public, *key;
	BIGNUM *number = NULL;

	real = generate("EC", "P-256");
	public = public_half();
	key = provider_key(provider, public, NUMBER);
	assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number), 0);
	assert_int_equal(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &all), 0);
	assert_true(i2d_PrivateKey(key, NULL) <= 0);
	assert_int_equal(EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &all), 1);
	OSSL_PARAM_free(all);
	ERR_clear_error();
	EVP_PKEY_free(key);
	EVP_PKEY_free(public);
	EVP_PKEY_free(real);
	provider_free(provider);
}

/* Types that have no place in TLS. */
static void other_types_of_keys_are_refused(void **state unused_)
{
	static const char *const types[] = { "X25519", "ED448" };
	struct provider *provider = provider_new(sign_elsewhere);

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		EVP_PKEY *public;

		real = generate(types[i], NULL);
		public = public_half();
		assert_null(provider_key(provider, public, NUMBER));
		EVP_PKEY_free(public);
		EVP_PKEY_free(real);
	}
	provider_free(provider);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_scheme_is_asked_for_by_its_number),
		TEST(other_ways_to_sign_fail_here),
		TEST(a_key_for_one_digest_takes_no_other),
		TEST(what_is_not_signed_is_an_error),
		TEST(there_is_no_private_key_to_be_had),
		TEST(other_types_of_keys_are_refused),
	};

	return testing_run(tests);
}
