/*
 * OCSP responses for tests, made on the spot, with every kind of fault; and servers that staple them.
 * Header-only, as testing.h.
 */
#ifndef TLSB_TESTS_TESTING_OCSP_H
#define TLSB_TESTS_TESTING_OCSP_H

#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <time.h>

#include "testing_x509.h"

/* What a response says; all zero: that CERT is good, from an hour ago for another hour. */
struct staple_spec {
	const struct testing_identity *issuer, *signer; /* signer: NULL for the issuer */
	X509 *cert;
	long from, until; /* seconds from now, if not both 0 */
	int status;	  /* V_OCSP_CERTSTATUS_... */
	int serial;	  /* of another one, unless it is 0 */
	unsigned long flags;
	const EVP_MD *id_digest, *digest; /* SHA-1 as everybody does; SHA-256 */
	bool endless, critical, critical_single, forged;
};

static inline ASN1_TIME *staple_time(long from_now)
{
	return ASN1_GENERALIZEDTIME_adj(NULL, time(NULL), 0, from_now);
}

static inline OCSP_CERTID *staple_id(const struct staple_spec *spec)
{
	const EVP_MD *digest = spec->id_digest ? spec->id_digest : EVP_sha1();
	ASN1_INTEGER *serial = X509_get_serialNumber(spec->cert);
	OCSP_CERTID *id;

	if (spec->serial == 0)
		return OCSP_cert_to_id(digest, spec->cert, spec->issuer->x509);
	serial = ASN1_INTEGER_new();
	ASN1_INTEGER_set(serial, spec->serial);
	id = OCSP_cert_id_new(digest, X509_get_subject_name(spec->issuer->x509),
			      X509_get0_pubkey_bitstr(spec->issuer->x509), serial);
	ASN1_INTEGER_free(serial);
	return id;
}

static inline X509_EXTENSION *staple_critical_extension(void)
{
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;

	ASN1_OCTET_STRING_set(data, (const unsigned char *)"\5", 1);
	extension = X509_EXTENSION_create_by_NID(NULL, NID_id_pkix_OCSP_archiveCutoff, 1, data);
	ASN1_OCTET_STRING_free(data);
	return extension;
}

/* In DER, with a bit of the signature turned if it is to be FORGED. */
static inline struct testing_text staple_new(struct staple_spec spec)
{
	const struct testing_identity *signer = spec.signer ? spec.signer : spec.issuer;
	const bool dated = spec.from || spec.until;
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	ASN1_TIME *from = staple_time(dated ? spec.from : -3600);
	ASN1_TIME *until = spec.endless ? NULL : staple_time(dated ? spec.until : 3600);
	ASN1_TIME *revoked = staple_time(-7200);
	X509_EXTENSION *extension = staple_critical_extension();
	OCSP_CERTID *id = staple_id(&spec);
	struct testing_text text = { 0 };
	OCSP_SINGLERESP *single;
	OCSP_RESPONSE *response;
	unsigned char *der = NULL;
	int len;

	single = OCSP_basic_add1_status(basic, id, spec.status, OCSP_REVOKED_STATUS_NOSTATUS, revoked,
					from, until);
	assert_non_null(single);
	if (spec.critical_single)
		OCSP_SINGLERESP_add_ext(single, extension, -1);
	if (spec.critical)
		OCSP_BASICRESP_add_ext(basic, extension, -1);
	assert_int_equal(OCSP_basic_sign(basic, signer->x509, signer->key,
					 spec.digest ? spec.digest : EVP_sha256(), NULL, spec.flags),
			 1);
	if (spec.forged)
		((unsigned char *)(uintptr_t)ASN1_STRING_get0_data(
			(const ASN1_STRING *)OCSP_resp_get0_signature(basic)))[20] ^= 1;
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	len = i2d_OCSP_RESPONSE(response, &der);
	assert_true(len > 0);
	testing_append(&text, der, (size_t)len);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	X509_EXTENSION_free(extension);
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	ASN1_TIME_free(revoked);
	return text;
}

/* ---- servers ---- */

static inline int staple_on_asked(SSL *ssl, void *arg)
{
	const struct testing_text *staple = arg;
	unsigned char *copy;

	if (!staple->data)
		return SSL_TLSEXT_ERR_NOACK;
	copy = OPENSSL_memdup(staple->data, staple->len);
	SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple->len);
	return SSL_TLSEXT_ERR_OK;
}

/* It sends whatever is in *STAPLE then. */
static inline void staple_serve(SSL_CTX *server, struct testing_text *staple)
{
	SSL_CTX_set_tlsext_status_cb(server, staple_on_asked);
	SSL_CTX_set_tlsext_status_arg(server, staple);
}

#endif
