#include "worker/staple.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/macros.h"
#include "tlsbroker.h"
#include "trust/memory.h"
#include "wire/limits.h"
#include "worker/verify.h"

enum fault {
	GOOD,
	MISSING,
	DEMANDED,
	TOO_LONG,
	GARBAGE,
	NO_ANSWER,
	CRITICAL,
	FOREIGN,
	NOT_YET,
	EXPIRED,
	ENDLESS,
	HEAVY,
	STRANGER,
	WEAK,
	FORGED,
	UNKNOWN,
	REVOKED,
	NO_MEMORY
};

#define MAYBE "may have been revoked: the server"

static const struct {
	uint32_t code;
	const char *text;
} faults[] = {
	[GOOD] = { TLSB_E_NONE, "" },
	[MISSING] = { TLSB_E_CERT_REVOCATION,
		      MAYBE " sent no OCSP response, which the broker's policy demands" },
	[DEMANDED] = { TLSB_E_CERT_REVOCATION,
		       MAYBE " sent no OCSP response, which the certificate itself demands" },
	[TOO_LONG] = { TLSB_E_CERT_REVOCATION, MAYBE "'s OCSP response is too long" },
	[GARBAGE] = { TLSB_E_CERT_REVOCATION, MAYBE "'s OCSP response cannot be read" },
	[NO_ANSWER] = { TLSB_E_CERT_REVOCATION,
			MAYBE "'s OCSP response says only that its CA had no answer" },
	[CRITICAL] = { TLSB_E_CERT_REVOCATION, MAYBE "'s OCSP response cannot be understood" },
	[FOREIGN] = { TLSB_E_CERT_REVOCATION, MAYBE "'s OCSP response is for another certificate" },
	[NOT_YET] = { TLSB_E_CERT_REVOCATION, MAYBE "'s OCSP response is not valid yet" },
	[EXPIRED] = { TLSB_E_CERT_REVOCATION, MAYBE "'s OCSP response has expired" },
	[ENDLESS] = { TLSB_E_CERT_REVOCATION,
		      MAYBE "'s OCSP response does not say how long it is valid" },
	[HEAVY] = { TLSB_E_CERT_REVOCATION,
		    MAYBE "'s OCSP response would take too long to verify" },
	[STRANGER] = { TLSB_E_CERT_REVOCATION,
		       MAYBE "'s OCSP response is from somebody who may not speak for its CA" },
	[WEAK] = { TLSB_E_CERT_REVOCATION,
		   MAYBE "'s OCSP response is signed with a digest that is too weak" },
	[FORGED] = { TLSB_E_CERT_REVOCATION, MAYBE "'s OCSP response has a wrong signature" },
	[UNKNOWN] = { TLSB_E_CERT_REVOCATION, "is unknown to its CA, says the OCSP response" },
	[REVOKED] = { TLSB_E_CERT_REVOKED, "was revoked, says its CA's OCSP response" },
	[NO_MEMORY] = { TLSB_E_RESOURCES, "could not be verified: the broker has no memory left" },
};

/* A feature is a TLS extension's number, in DER; 5 is status_request (RFC 6066). */
bool staple_is_demanded(const X509 *cert)
{
	static const uint8_t status_request[] = { V_ASN1_INTEGER, 1, 5 };
	int at = -1;

	while ((at = X509_get_ext_by_NID(cert, NID_tlsfeature, at)) >= 0) {
		const ASN1_OCTET_STRING *features =
			X509_EXTENSION_get_data(X509_get_ext(cert, at));

		if (memmem(ASN1_STRING_get0_data(features), (size_t)ASN1_STRING_length(features),
			   status_request, sizeof(status_request)))
			return true;
	}
	return false;
}

/* ---- who says it ---- */

static int digest_of(const X509_ALGOR *algorithm)
{
	int digest = NID_undef, nid = OBJ_obj2nid(algorithm->algorithm);
	RSA_PSS_PARAMS *pss;

	if (nid != NID_rsassaPss) {
		OBJ_find_sigid_algs(nid, &digest, NULL);
		return digest;
	}
	pss = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS), algorithm->parameter);
	digest = pss && pss->hashAlgorithm ? OBJ_obj2nid(pss->hashAlgorithm->algorithm) : NID_sha1;
	RSA_PSS_PARAMS_free(pss);
	return digest;
}

/* As of certificates: see SSL_CTX_set_security_level().  Some keys sign without a digest. */
static bool has_strong_digest(const OCSP_BASICRESP *basic)
{
	int digest = digest_of(OCSP_resp_get0_tbs_sigalg(basic));

	return digest == NID_undef ||
	       EVP_MD_get_size(EVP_get_digestbynid(digest)) * 4 >= LIMIT_SECURITY_BITS;
}

/* Before its key is used, or its names are compared with what ISSUER allows. */
static bool is_fair(X509 *signer, X509 *issuer)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct objection objection;
	bool fair = chain && sk_X509_push(chain, signer) && sk_X509_push(chain, issuer) &&
		    verify_is_fair(chain, &objection);

	sk_X509_free(chain);
	return fair;
}

/*
 * The issuer itself, or one to whom it has given a certificate for this (RFC 6960, 4.2.2.2); nothing else
 * that was sent along is looked at.  Only then is the signer's key used.
 */
static enum fault judge_signer(OCSP_BASICRESP *basic, STACK_OF(X509) *issuers, X509_STORE *store)
{
	const unsigned long who = OCSP_NOSIGS | OCSP_NOCHAIN | OCSP_PARTIAL_CHAIN | OCSP_NOEXPLICIT;
	X509 *signer, *issuer = sk_X509_value(issuers, 0);

	if (!OCSP_resp_get0_signer(basic, &signer, issuers))
		return STRANGER;
	if (signer != issuer && !is_fair(signer, issuer))
		return HEAVY;
	if (OCSP_basic_verify(basic, issuers, store, who) <= 0)
		return STRANGER;
	if (!has_strong_digest(basic))
		return WEAK;
	return OCSP_basic_verify(basic, issuers, store, OCSP_NOVERIFY) > 0 ? GOOD : FORGED;
}

static enum fault judge_signature(OCSP_BASICRESP *basic, X509 *issuer)
{
	STACK_OF(X509) *issuers = sk_X509_new_null();
	X509_STORE *store = X509_STORE_new();
	enum fault fault = NO_MEMORY;

	if (issuers && store && sk_X509_push(issuers, issuer) && X509_STORE_add_cert(store, issuer)) {
		X509_VERIFY_PARAM_set_auth_level(X509_STORE_get0_param(store), LIMIT_SECURITY_LEVEL);
		fault = judge_signer(basic, issuers, store);
	}
	X509_STORE_free(store);
	sk_X509_free(issuers);
	return fault;
}

/* ---- what it says ---- */

/* It names certificates by digests of its own choice. */
static OCSP_SINGLERESP *find(OCSP_BASICRESP *basic, const X509 *cert, const X509 *issuer)
{
	const EVP_MD *const digests[] = { EVP_sha1(), EVP_sha256(), EVP_sha384(), EVP_sha512() };
	int at = -1;

	for (size_t i = 0; i < ARRAY_SIZE(digests) && at < 0; i++) {
		OCSP_CERTID *id = OCSP_cert_to_id(digests[i], cert, issuer);

		at = id ? OCSP_resp_find(basic, id, -1) : -1;
		OCSP_CERTID_free(id);
	}
	return OCSP_resp_get0(basic, at);
}

/* OpenSSL's OCSP_check_validity() takes a time that it cannot compare for one that is fine. */
static bool read_time(const ASN1_GENERALIZEDTIME *text, time_t *ret_time)
{
	struct tm tm;

	if (!text || !ASN1_TIME_to_tm(text, &tm))
		return false;
	*ret_time = timegm(&tm);
	return true;
}

static enum fault judge_times(const ASN1_GENERALIZEDTIME *from, const ASN1_GENERALIZEDTIME *until,
			      time_t *ret_until)
{
	time_t begin, now = time(NULL);

	if (!until)
		return ENDLESS;
	if (!read_time(from, &begin) || !read_time(until, ret_until) || *ret_until < begin)
		return GARBAGE;
	if (begin > now + LIMIT_STAPLE_SKEW_S)
		return NOT_YET;
	return *ret_until < now - LIMIT_STAPLE_SKEW_S ? EXPIRED : GOOD;
}

static enum fault judge_status(int status)
{
	switch (status) {
	case V_OCSP_CERTSTATUS_GOOD:
		return GOOD;
	case V_OCSP_CERTSTATUS_REVOKED:
		return REVOKED;
	default:
		return UNKNOWN;
	}
}

/* What costs least comes first; that it is good, or revoked, is believed only when it is signed. */
static enum fault judge(OCSP_BASICRESP *basic, const X509 *cert, X509 *issuer, time_t *ret_until)
{
	OCSP_SINGLERESP *single = find(basic, cert, issuer);
	ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
	enum fault fault;
	int status;

	if (!single)
		return FOREIGN;
	if (OCSP_BASICRESP_get_ext_by_critical(basic, 1, -1) >= 0 ||
	    OCSP_SINGLERESP_get_ext_by_critical(single, 1, -1) >= 0)
		return CRITICAL;
	status = OCSP_single_get0_status(single, NULL, NULL, &from, &until);
	fault = judge_times(from, until, ret_until);
	if (fault == GOOD)
		fault = judge_signature(basic, issuer);
	return fault == GOOD ? judge_status(status) : fault;
}

static enum fault parse(const STACK_OF(X509) *chain, const uint8_t *der, size_t len,
			time_t *ret_until)
{
	X509 *cert = sk_X509_value(chain, 0);
	X509 *issuer = sk_X509_value(chain, sk_X509_num(chain) > 1 ? 1 : 0);
	const uint8_t *at = der;
	OCSP_RESPONSE *response;
	OCSP_BASICRESP *basic;
	enum fault fault = GARBAGE;

	if (!der || len == 0)
		return staple_is_demanded(cert) ? DEMANDED : MISSING;
	if (len > LIMIT_STAPLE_BYTES)
		return TOO_LONG;
	response = d2i_OCSP_RESPONSE(NULL, &at, (long)len);
	if (response && at == der + len) {
		if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
			fault = NO_ANSWER;
		} else if ((basic = OCSP_response_get1_basic(response))) {
			fault = judge(basic, cert, issuer, ret_until);
			OCSP_BASICRESP_free(basic);
		}
	}
	OCSP_RESPONSE_free(response);
	return fault;
}

struct staple staple_judge(const STACK_OF(X509) *chain, const uint8_t *der, size_t len)
{
	const unsigned long failures = memory_failures();
	time_t until = 0;
	enum fault fault = parse(chain, der, len, &until);

	/* Whatever OpenSSL made of what it could not allocate. */
	if (memory_failures() != failures)
		fault = NO_MEMORY;
	ERR_clear_error();
	return (struct staple){ faults[fault].code, faults[fault].text, until };
}
