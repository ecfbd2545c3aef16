/*
 * Decoders are chosen by what a file says of itself: what comes out is what comes of having all of OpenSSL's
 * decoders try.
 */
#include "testing.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "keys/decode.h"

/* TYPE, or "EC:" and a curve. */
static EVP_PKEY *generate(const char *type)
{
	const char *curve = strncmp(type, "EC:", 3) == 0 ? type + 3 : NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, curve ? "EC" : type, NULL);
	EVP_PKEY *key = NULL;

	assert_true(EVP_PKEY_keygen_init(ctx) > 0);
	if (curve)
		assert_true(EVP_PKEY_CTX_set_group_name(ctx, curve) > 0);
	if (strncmp(type, "RSA", 3) == 0)
		assert_true(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 1024) > 0);
	assert_true(EVP_PKEY_generate(ctx, &key) > 0);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* ---- as OpenSSL does it ---- */

static int refuse_passphrase(char *buf unused_, int size unused_, int writing unused_, void *arg unused_)
{
	return -1;
}

static EVP_PKEY *decode_any(const char *bytes, size_t len, bool is_public)
{
	const unsigned char *der = (const unsigned char *)bytes;
	BIO *bio = BIO_new_mem_buf(bytes, (int)len);
	bool is_pem = memmem(bytes, len, "-----BEGIN ", 11);
	EVP_PKEY *key;

	ERR_clear_error(); /* it looks for its own there */
	if (is_public)
		key = is_pem ? PEM_read_bio_PUBKEY(bio, NULL, refuse_passphrase, NULL)
			     : d2i_PUBKEY(NULL, &der, (long)len);
	else
		key = is_pem ? PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL)
			     : d2i_AutoPrivateKey(NULL, &der, (long)len);
	BIO_free(bio);
	return key;
}

/* ---- both ---- */

static void same(EVP_PKEY *chosen, EVP_PKEY *any)
{
	assert_int_equal(!chosen, !any);
	if (chosen) {
		assert_int_equal(EVP_PKEY_eq(chosen, any), 1);
		assert_string_equal(EVP_PKEY_get0_type_name(chosen), EVP_PKEY_get0_type_name(any));
	}
	EVP_PKEY_free(chosen);
	EVP_PKEY_free(any);
}

/* BIO is freed. */
static void try(BIO *bio, bool is_private, bool is_encrypted)
{
	bool encrypted = false;
	char *bytes;
	size_t len = (size_t)BIO_get_mem_data(bio, &bytes);
	EVP_PKEY *any = decode_any(bytes, len, false);

	assert_int_equal(any != NULL, is_private && !is_encrypted);
	same(decode_private(bytes, len, &encrypted), any);
	assert_int_equal(encrypted, is_encrypted);
	same(decode_public(bytes, len), decode_any(bytes, len, true));
	BIO_free(bio);
}

static const char *const types[] = {
	"RSA", "RSA-PSS", "EC:P-256", "EC:P-521", "EC:secp256k1", "ED25519",
	"ED448", "X25519", "X448", "SM2",
};

static BIO *memory(void)
{
	return BIO_new(BIO_s_mem());
}

static void each_kind_is_taken_in_each_form(void **state unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		EVP_PKEY *key = generate(types[i]);
		BIO *bio;

		assert_true(PEM_write_bio_PKCS8PrivateKey(bio = memory(), key, NULL, NULL, 0, NULL, NULL));
		try(bio, true, false);
		assert_true(i2d_PKCS8PrivateKey_bio(bio = memory(), key, NULL, NULL, 0, NULL, NULL));
		try(bio, true, false);
		assert_true(i2d_PrivateKey_bio(bio = memory(), key));
		try(bio, true, false);
		assert_true(PEM_write_bio_PUBKEY(bio = memory(), key));
		try(bio, false, false);
		assert_true(i2d_PUBKEY_bio(bio = memory(), key));
		try(bio, false, false);
		bio = memory();
		if (PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL))
			try(bio, true, false);
		else
			BIO_free(bio);
		EVP_PKEY_free(key);
	}
}

static void a_passphrase_is_noticed_in_each_form(void **state unused_)
{
	unsigned char *phrase = (unsigned char[]){ "x" };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		EVP_PKEY *key = generate(types[i]);
		BIO *bio = memory();

		assert_true(PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), "x", 1, NULL, NULL));
		try(bio, true, true);
		bio = memory();
		if (PEM_write_bio_PrivateKey_traditional(bio, key, EVP_aes_128_cbc(), phrase, 1, NULL, NULL))
			try(bio, true, true);
		else
			BIO_free(bio);
		EVP_PKEY_free(key);
	}
}

/* The first key counts, though it be broken: there OpenSSL would look on. */
static void blocks_of_other_kinds_are_passed_over(void **state unused_)
{
	static const char *const fronts[] = {
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
		"-----BEGIN SOMETHING-----\nAAAA\n-----END SOMETHING-----\n",
		"a line of text\n",
	};
	static const char *const broken[] = {
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\n****\n-----END PRIVATE KEY-----\n",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
	};
	EVP_PKEY *key = generate("EC:P-256");

	for (size_t i = 0; i < ARRAY_SIZE(fronts); i++) {
		BIO *bio = memory();

		BIO_puts(bio, fronts[i]);
		assert_true(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
		try(bio, true, false);
	}
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		BIO *bio = memory();
		bool encrypted;
		char *bytes;
		size_t len;

		BIO_puts(bio, broken[i]);
		assert_true(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
		len = (size_t)BIO_get_mem_data(bio, &bytes);
		assert_null(decode_private(bytes, len, &encrypted));
		assert_false(encrypted);
		BIO_free(bio);
	}
	EVP_PKEY_free(key);
}

/* Each kind of damage does to both the same. */
static void damage_makes_no_difference(void **state unused_)
{
	static const char *const some[] = { "EC:P-256", "ED25519" };

	for (size_t i = 0; i < 2 * ARRAY_SIZE(some); i++) {
		EVP_PKEY *key = generate(some[i / 2]);
		BIO *bio = memory();
		char *bytes;
		int len;

		assert_true(i % 2 ? i2d_PrivateKey_bio(bio, key)
				  : i2d_PKCS8PrivateKey_bio(bio, key, NULL, NULL, 0, NULL, NULL));
		len = (int)BIO_get_mem_data(bio, &bytes);
		for (int at = 0; at < len; at++) {
			bool encrypted;

			bytes[at] ^= (char)(1 << at % 8);
			same(decode_private(bytes, (size_t)len, &encrypted),
			     decode_any(bytes, (size_t)len, false));
			same(decode_private(bytes, (size_t)at, &encrypted),
			     decode_any(bytes, (size_t)at, false));
			bytes[at] ^= (char)(1 << at % 8);
		}
		BIO_free(bio);
		EVP_PKEY_free(key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_kind_is_taken_in_each_form),
		TEST(a_passphrase_is_noticed_in_each_form),
		TEST(blocks_of_other_kinds_are_passed_over),
		TEST(damage_makes_no_difference),
	};

	return testing_run(tests);
}
