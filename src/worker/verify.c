/*
 * A worker is one thread: while OpenSSL verifies one server's chain, every other session of the user
 * waits.  How long that takes is the server's choice: keys, curves, exponents and name constraints
 * are its own, and most of what a certificate may say was never meant to be said in a hurry.
 *
 * So OpenSSL builds the chain, which costs little, and before it verifies the first signature the
 * chain is judged here.  What was parsed by then is bounded by LIMIT_CHAIN_BYTES.
 */
#include "worker/verify.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "tlsbroker.h"
#include "wire/limits.h"
#include "worker/facts.h"
#include "worker/session.h"
#include "worker/staple.h"
#include "worker/state.h"

static bool object(struct objection *objection, const char *format, ...) printf_(2, 3);

static bool object(struct objection *objection, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(objection->text, sizeof(objection->text), format, ap);
	va_end(ap);
	return false;
}

/* OpenSSL bounds the exponent of large keys only; one as long as a 3072-bit key costs 10 ms. */
static bool rsa_is_fair(const EVP_PKEY *key, struct objection *objection)
{
	BIGNUM *exponent = NULL;
	int bits;

	if (EVP_PKEY_get_bits(key) > LIMIT_RSA_BITS)
		return object(objection, "an RSA key of %d bits; the limit is %d",
			      EVP_PKEY_get_bits(key), LIMIT_RSA_BITS);
	if (!EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent))
		return object(objection, "an RSA key without an exponent");
	bits = BN_num_bits(exponent);
	BN_free(exponent);
	if (bits > LIMIT_RSA_EXPONENT_BITS)
		return object(objection, "an RSA exponent of %d bits; the limit is %d", bits,
			      LIMIT_RSA_EXPONENT_BITS);
	return true;
}

/* Curves over binary fields are the slowest, and nobody's in TLS (RFC 8446, 4.2.7). */
static bool curve_is_fair(const EVP_PKEY *key, struct objection *objection)
{
	char field[32] = "";
	int spelt_out = 0;

	if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
				   &spelt_out) &&
	    spelt_out)
		return object(objection, "a key on a curve without a name");
	if (!EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_EC_FIELD_TYPE, field,
					    sizeof(field), NULL) ||
	    strcmp(field, SN_X9_62_prime_field) != 0)
		return object(objection, "a key on a curve that TLS does not use");
	return true;
}

/* Of a kind that algorithms.c has, though it may be damaged. */
static bool key_is_of_use(X509 *cert)
{
	X509_ALGOR *kind = NULL;
	const ASN1_OBJECT *oid = NULL;

	(void)X509_PUBKEY_get0_param(NULL, NULL, NULL, &kind, X509_get_X509_PUBKEY(cert));
	X509_ALGOR_get0(&oid, NULL, NULL, kind);
	switch (OBJ_obj2nid(oid)) {
	case NID_rsaEncryption:
	case NID_rsassaPss:
	case NID_X9_62_id_ecPublicKey:
	case NID_ED25519:
	case NID_ED448:
#ifdef NID_ML_DSA_44 /* OpenSSL 3.5 */
	case NID_ML_DSA_44:
	case NID_ML_DSA_65:
	case NID_ML_DSA_87:
#endif
		return true;
	default:
		return false;
	}
}

static bool key_is_fair(X509 *cert, struct objection *objection)
{
	const EVP_PKEY *key = X509_get0_pubkey(cert);

	if (!key_is_of_use(cert))
		return object(objection, "a key of a kind that TLS does not use");
	if (!key)
		return true; /* costs nothing; OpenSSL refuses it */
	if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
		return rsa_is_fair(key, objection);
	if (EVP_PKEY_is_a(key, "EC"))
		return curve_is_fair(key, objection);
	return true;
}

/* How many name constraints CERT sets. */
static uint64_t count_constraints(const X509 *cert)
{
	NAME_CONSTRAINTS *constraints = X509_get_ext_d2i(cert, NID_name_constraints, NULL, NULL);
	int count = 0;

	if (constraints)
		count = MAX(sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees), 0) +
			MAX(sk_GENERAL_SUBTREE_num(constraints->excludedSubtrees), 0);
	NAME_CONSTRAINTS_free(constraints);
	return (uint64_t)count;
}

/* How many names CERT has: its subject, and the alternatives. */
static uint64_t count_names(const X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int count = sk_GENERAL_NAME_num(names);

	GENERAL_NAMES_free(names);
	return 1 + (uint64_t)MAX(count, 0);
}

/* Each constraint is compared with each name of each certificate below its own. */
static bool constraints_are_fair(const STACK_OF(X509) *chain, struct objection *objection)
{
	uint64_t comparisons = 0;

	for (int i = 1; i < sk_X509_num(chain); i++) {
		uint64_t constraints = count_constraints(sk_X509_value(chain, i));

		for (int below = 0; constraints > 0 && below < i; below++)
			comparisons += constraints * count_names(sk_X509_value(chain, below));
	}
	if (comparisons > LIMIT_NAME_COMPARISONS)
		return object(objection, "%llu names to compare with constraints; the limit is %d",
			      (unsigned long long)comparisons, LIMIT_NAME_COMPARISONS);
	return true;
}

bool verify_is_fair(const STACK_OF(X509) *chain, struct objection *objection)
{
	for (int i = 0; i < sk_X509_num(chain); i++) {
		if (!key_is_fair(sk_X509_value(chain, i), objection))
			return false;
	}
	return constraints_are_fair(chain, objection);
}

/* ---- between OpenSSL's steps ---- */

static struct session *session_of(X509_STORE_CTX *store)
{
	return tls_session_of(
		X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
}

/* OpenSSL's own, the same for the whole process; only a context can tell it. */
static X509_STORE_CTX_verify_fn verify_signatures;

/*
 * Of every certificate, by a list of its issuer.  OpenSSL would do it before it has verified any
 * signature, and verify the lists' with keys that nobody has vouched for.
 */
static int nothing_is_revoked(X509_STORE_CTX *store)
{
	struct session *session = session_of(store);

	if (!session->request->verify || !tls_has_crls(&session->worker->tls))
		return 1;
	X509_STORE_CTX_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	if (X509_STORE_CTX_get_check_revocation(store)(store) > 0) {
		session->checks.crl = CHECK_PASSED;
		return 1;
	}
	session->checks.crl = X509_STORE_CTX_get_error(store) == X509_V_ERR_CERT_REVOKED
				      ? CHECK_REVOKED
				      : CHECK_FAILED;
	return 0;
}

/* The chain is there and ends in a trusted root; its signatures come next, then its constraints. */
static int on_chain(X509_STORE_CTX *store)
{
	struct objection objection = { "" };

	if (verify_is_fair(X509_STORE_CTX_get0_chain(store), &objection))
		return verify_signatures(store) > 0 && nothing_is_revoked(store);
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	session_on_objection(session_of(store), objection.text);
	return 0;
}

/* Whose certificate is to be accepted. */
static int set_name(X509_VERIFY_PARAM *param, const struct request *request)
{
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
						       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (request->is_address)
		return X509_VERIFY_PARAM_set1_ip_asc(param, request->name) ? 0 : -ENOMEM;
	return X509_VERIFY_PARAM_set1_host(param, request->name, 0) ? 0 : -ENOMEM;
}

/* The chain is verified: it has to have a key that is pinned, too. */
static int keys_are_pinned(X509_STORE_CTX *store)
{
	struct session *session = session_of(store);
	const char *missing = tls_missing_pin(&session->worker->tls, session->request,
					      X509_STORE_CTX_get0_chain(store));

	session_on_pins(session, missing);
	if (missing)
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return !missing;
}

/*
 * A name that is set for the connection is copied by OpenSSL into each verification; it does not look
 * whether there was memory for that, and without a name it accepts any.  So it is set here.
 */
static int on_certificates(X509_STORE_CTX *store, void *arg unused_)
{
	const struct request *request = session_of(store)->request;

	if (request->verify && set_name(X509_STORE_CTX_get0_param(store), request) < 0) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
		return verify_on_step(0, store);
	}
	verify_signatures = X509_STORE_CTX_get_verify(store);
	X509_STORE_CTX_set_verify(store, on_chain);
	return X509_verify_cert(store) > 0 && (!request->verify || keys_are_pinned(store));
}

/*
 * In every version of TLS this comes when the chain is verified, and before anything is sent that the server
 * could not have seen without it.  A resumed session has none: it was made with one, under the same policy.
 */
static int on_staple(SSL *ssl, void *arg unused_)
{
	struct session *session = tls_session_of(ssl);
	unsigned char *der = NULL;
	long len = SSL_get_tlsext_status_ocsp_resp(ssl, &der);
	struct staple staple = { .code = TLSB_E_NONE };

	if (!SSL_session_reused(ssl) && tls_needs_staple(&session->worker->tls, ssl)) {
		staple = staple_judge(SSL_get0_verified_chain(ssl), len > 0 ? der : NULL,
				      len > 0 ? (size_t)len : 0);
		session_on_staple(session, &staple);
	}
	SSL_set_tlsext_status_ocsp_resp(ssl, NULL, 0); /* else it would be kept while the session lasts */
	return staple.code == TLSB_E_NONE;
}

void verify_bound(SSL_CTX *ctx)
{
	SSL_CTX_set_cert_verify_callback(ctx, on_certificates, NULL);
	SSL_CTX_set_tlsext_status_cb(ctx, on_staple);
}

/* One of CERTS that is called NAME, and has a key that cannot be read here. */
static const X509 *find_unreadable(STACK_OF(X509) *certs, const X509_NAME *name)
{
	for (int i = 0; i < sk_X509_num(certs); i++) {
		const X509 *cert = sk_X509_value(certs, i);

		if (!X509_get0_pubkey(cert) && X509_NAME_cmp(X509_get_subject_name(cert), name) == 0)
			return cert;
	}
	return NULL;
}

/* OpenSSL takes nobody for an issuer whose key it cannot read; all that it says is that there is none. */
static bool issuer_is_unreadable(X509_STORE_CTX *store)
{
	const X509_NAME *name = X509_get_issuer_name(X509_STORE_CTX_get_current_cert(store));
	STACK_OF(X509) *trusted = X509_STORE_CTX_get1_certs(store, name);
	bool is_unreadable = find_unreadable(trusted, name) ||
			     find_unreadable(X509_STORE_CTX_get0_untrusted(store), name);

	sk_X509_pop_free(trusted, X509_free);
	return is_unreadable;
}

/* Was a certificate refused for a key of a kind that algorithms.c has not, whatever OpenSSL makes of that? */
static bool key_is_unreadable(X509_STORE_CTX *store, struct objection *objection)
{
	const X509 *cert = X509_STORE_CTX_get_current_cert(store);
	char name[48];

	switch (X509_STORE_CTX_get_error(store)) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
		if (!issuer_is_unreadable(store))
			return false;
		facts_name(X509_get_issuer_name(cert), name, sizeof(name));
		break;
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
		if (X509_get0_pubkey(cert))
			return false;
		facts_name(X509_get_subject_name(cert), name, sizeof(name));
		break;
	default:
		return false;
	}
	(void)object(objection, "%s has a key of a kind that TLS does not use", name);
	return true;
}

/* Verification is OpenSSL's; this only listens, to say later why a certificate was refused. */
int verify_on_step(int ok, X509_STORE_CTX *store)
{
	struct objection objection;

	if (!ok && key_is_unreadable(store, &objection))
		session_on_objection(session_of(store), objection.text);
	else if (!ok)
		session_on_refused_certificate(session_of(store), store);
	return ok;
}
