/*
 * Certificates for tests, made on the spot.  Header-only, as testing.h.
 */
#ifndef TLSB_TESTS_TESTING_X509_H
#define TLSB_TESTS_TESTING_X509_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "testing.h"

/* A certificate and its key.  The caller frees both with testing_identity_free(). */
struct testing_identity {
	X509 *x509;
	EVP_PKEY *key;
};

static inline void testing_identity_free(struct testing_identity *identity)
{
	X509_free(identity->x509);
	EVP_PKEY_free(identity->key);
	*identity = (struct testing_identity){ 0 };
}

static inline void testing_add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, x509, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(x509, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

/* NAME signed by ISSUER, or by itself if that is NULL; valid now, with key identifiers. */
static inline struct testing_identity testing_identity_new(const char *name,
							   const struct testing_identity *issuer,
							   int is_ca)
{
	struct testing_identity own = { X509_new(), EVP_EC_gen("P-256") };
	X509_NAME *subject = X509_get_subject_name(own.x509);

	assert_non_null(own.key);
	X509_set_version(own.x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(own.x509), 1);
	X509_gmtime_adj(X509_getm_notBefore(own.x509), -3600);
	X509_gmtime_adj(X509_getm_notAfter(own.x509), 3600);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
				   -1, 0);
	X509_set_issuer_name(own.x509, issuer ? X509_get_subject_name(issuer->x509) : subject);
	X509_set_pubkey(own.x509, own.key);
	testing_add_extension(own.x509, NULL, NID_basic_constraints,
			      is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	testing_add_extension(own.x509, NULL, NID_subject_key_identifier, "hash");
	testing_add_extension(own.x509, issuer ? issuer->x509 : own.x509,
			      NID_authority_key_identifier, "keyid");
	assert_true(X509_sign(own.x509, issuer ? issuer->key : own.key, EVP_sha256()) > 0);
	return own;
}

/* Text that grows; a BIO would do, but tests like to cut it. */
struct testing_text {
	char *data;
	size_t len, room;
};

static inline void testing_append(struct testing_text *text, const void *data, size_t len)
{
	if (text->len + len + 1 > text->room) {
		text->room = 2 * (text->len + len) + 1;
		text->data = realloc(text->data, text->room);
		assert_non_null(text->data);
	}
	memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
}

static inline void testing_append_bio(struct testing_text *text, BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	testing_append(text, data, (size_t)len);
	BIO_free(bio);
}

static inline void testing_append_pem(struct testing_text *text, X509 *x509)
{
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_X509(bio, x509), 1);
	testing_append_bio(text, bio);
}

#endif
