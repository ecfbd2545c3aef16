/* What of OpenSSL a worker has, and what it has not. */
#include "testing.h"

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "base/macros.h"
#include "worker/algorithms.h"
#include "worker/verify.h"

/* has_...(name): whether there is one of this name, in the context that is the default now. */
#define HAS(what, TYPE)                                                                            \
	static bool has_##what(const char *name)                                                   \
	{                                                                                          \
		TYPE *found = TYPE##_fetch(NULL, name, NULL);                                      \
                                                                                                   \
		TYPE##_free(found);                                                                \
		return found;                                                                      \
	}

HAS(digest, EVP_MD)
HAS(cipher, EVP_CIPHER)
HAS(kdf, EVP_KDF)
HAS(keys, EVP_KEYMGMT)
HAS(signatures, EVP_SIGNATURE)
HAS(exchange, EVP_KEYEXCH)
HAS(loader, OSSL_STORE_LOADER)

static void what_tls_needs_is_there(void **state unused_)
{
	static const char *const digests[] = { "SHA1", "SHA224", "SHA256", "SHA384", "SHA512" };
	static const char *const ciphers[] = { "AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305" };
	static const char *const kdfs[] = { "HKDF", "TLS13-KDF", "TLS1-PRF" };
	static const char *const keys[] = { "RSA", "RSA-PSS", "EC", "X25519", "X448", "ED25519", "ED448",
					    "DH" };
	static const char *const signatures[] = { "RSA", "ECDSA", "ED25519", "ED448", "HMAC" };
	static const char *const exchanges[] = { "ECDH", "X25519", "X448", "DH" };
	struct algorithms *algorithms = algorithms_new();
	unsigned char byte;

	assert_non_null(algorithms);
	for (size_t i = 0; i < ARRAY_SIZE(digests); i++)
		assert_true(has_digest(digests[i]));
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++)
		assert_true(has_cipher(ciphers[i]));
	for (size_t i = 0; i < ARRAY_SIZE(kdfs); i++)
		assert_true(has_kdf(kdfs[i]));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_true(has_keys(keys[i]));
	for (size_t i = 0; i < ARRAY_SIZE(signatures); i++)
		assert_true(has_signatures(signatures[i]));
	for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++)
		assert_true(has_exchange(exchanges[i]));
	assert_int_equal(RAND_bytes(&byte, 1), 1);
	assert_int_equal(RAND_priv_bytes(&byte, 1), 1);
	algorithms_free(algorithms);
}

static void nothing_else_is_there(void **state unused_)
{
	struct algorithms *algorithms = algorithms_new();

	assert_false(has_digest("MD5"));
	assert_false(has_digest("SM3"));
	assert_false(has_cipher("DES-EDE3-CBC"));
	assert_false(has_cipher("AES-256-CBC"));
	assert_false(has_kdf("PBKDF2"));
	assert_false(has_keys("DSA"));
	assert_false(has_keys("SM2"));
	assert_false(has_signatures("DSA"));
	assert_false(has_loader("file"));
	algorithms_free(algorithms);
	assert_true(has_digest("MD5"));
	assert_true(has_keys("DSA"));
	assert_true(has_loader("file"));
}

static void count_one(OSSL_DECODER *decoder unused_, void *arg)
{
	++*(unsigned *)arg;
}

#ifdef NID_ML_DSA_44
#define ML_DSA_KINDS 3
#else
#define ML_DSA_KINDS 0
#endif

static void of_keys_only_those_of_certificates_can_be_read(void **state unused_)
{
	static const char *const kinds[] = { "RSA", "EC", "ED25519", "ED448" }; /* and RSA-PSS */
	struct algorithms *algorithms = algorithms_new();
	unsigned decoders = 0;

	OSSL_DECODER_do_all_provided(NULL, count_one, &decoders);
	assert_int_equal(decoders, ARRAY_SIZE(kinds) + 1 + ML_DSA_KINDS);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		OSSL_LIB_CTX *all = OSSL_LIB_CTX_get0_global_default();
		EVP_PKEY *key = strcmp(kinds[i], "EC") == 0
					? EVP_PKEY_Q_keygen(all, NULL, "EC", "P-256")
				: strcmp(kinds[i], "RSA") == 0
					? EVP_PKEY_Q_keygen(all, NULL, kinds[i], (size_t)2048)
					: EVP_PKEY_Q_keygen(all, NULL, kinds[i]);
		OSSL_LIB_CTX *some = OSSL_LIB_CTX_set0_default(all); /* to write them takes more */
		unsigned char *public = NULL;
		int len = i2d_PUBKEY(key, &public);
		const unsigned char *at = public;
		EVP_PKEY *read;

		(void)OSSL_LIB_CTX_set0_default(some);
		assert_true(len > 0);
		read = d2i_PUBKEY(NULL, &at, len);
		assert_non_null(read);
		assert_int_equal(EVP_PKEY_eq(read, key), 1);
		EVP_PKEY_free(read);
		OPENSSL_free(public);
		EVP_PKEY_free(key);
	}
	ERR_clear_error();
	algorithms_free(algorithms);
}

static bool is_fair(const char *kind, struct objection *objection)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, kind);
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *cert = X509_new();
	bool fair;

	assert_int_equal(X509_set_pubkey(cert, key), 1);
	assert_true(sk_X509_push(chain, cert) > 0);
	fair = verify_is_fair(chain, objection);
	sk_X509_pop_free(chain, X509_free);
	EVP_PKEY_free(key);
	return fair;
}

static void a_key_that_signs_nothing_is_refused(void **state unused_)
{
	struct objection objection = { "" };

	assert_true(is_fair("ED25519", &objection));
	assert_false(is_fair("X25519", &objection));
	assert_string_equal(objection.text, "a key of a kind that TLS does not use");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_tls_needs_is_there),
		TEST(nothing_else_is_there),
		TEST(of_keys_only_those_of_certificates_can_be_read),
		TEST(a_key_that_signs_nothing_is_refused),
	};

	return testing_run(tests);
}
