/* What OpenSSL does with a pre-shared key, and with which cipher suites. */
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "tlsbroker.h"
#include "worker/psk.h"
#include "worker/session.h"
#include "worker/tls.h"
#include "worker/verdict.h"

/* ---- the key ---- */

static struct psk_use *use_of(const SSL *ssl)
{
	const struct session *session = tls_session_of(ssl);

	return session->request ? session->request->psk : NULL;
}

/* As a session of TLS 1.3 that may be gone on with (RFC 8446, 4.2.11). */
static SSL_SESSION *offer_new(SSL *ssl, const struct psk_use *psk)
{
	static const unsigned char sha256_suite[] = { 0x13, 0x01 };
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, sha256_suite);
	SSL_SESSION *offer = SSL_SESSION_new();

	if (offer && cipher && SSL_SESSION_set_cipher(offer, cipher) &&
	    SSL_SESSION_set_protocol_version(offer, TLS1_3_VERSION) &&
	    SSL_SESSION_set1_master_key(offer, psk->bytes, psk->len))
		return offer;
	SSL_SESSION_free(offer);
	return NULL;
}

/* For TLS 1.3.  MD: that of the suite that the server has chosen, if it has; others than ours are not offered. */
static int on_use_session(SSL *ssl, const EVP_MD *md, const unsigned char **ret_identity,
			  size_t *ret_len, SSL_SESSION **ret_offer)
{
	struct psk_use *psk = use_of(ssl);

	*ret_offer = NULL;
	if (!psk || (md && EVP_MD_get_type(md) != NID_sha256))
		return 1;
	if (!psk->offer)
		psk->offer = offer_new(ssl, psk);
	if (!psk->offer || !SSL_SESSION_up_ref(psk->offer))
		return 0;
	*ret_offer = psk->offer;
	*ret_identity = (const unsigned char *)psk->identity;
	*ret_len = strlen(psk->identity);
	return 1;
}

/* For TLS 1.2.  HINT is the server's, and anything: which key it is, was decided before. */
static unsigned on_use_key(SSL *ssl, const char *hint unused_, char *identity,
			   unsigned identity_max, unsigned char *key, unsigned key_max)
{
	const struct psk_use *psk = use_of(ssl);

	if (!psk || strlen(psk->identity) > identity_max || psk->len > key_max)
		return 0;
	memcpy(identity, psk->identity, strlen(psk->identity) + 1);
	memcpy(key, psk->bytes, psk->len);
	return (unsigned)psk->len;
}

/* ---- ciphers: in TLS 1.3 those that go with it; in TLS 1.2 these come first ---- */

/* The names that the program has asked for of this version, or else those that it may have. */
static void names_of(const struct bounds *bounds, const struct request *request, uint16_t version,
		     char dst[LIMIT_CIPHERS + 1])
{
	bounds_ciphers_in(request->ciphers, version, BOUNDS_ANY, dst);
	if (dst[0] == '\0')
		bounds_ciphers_of(bounds, version, dst);
}

/* Whether one of them goes with the key. */
static int set_suites_1_3(const struct bounds *bounds, const struct request *request, SSL *ssl,
			  bool *ret_usable)
{
	char names[LIMIT_CIPHERS + 1], ours[LIMIT_CIPHERS + 1];

	names_of(bounds, request, TLSB_TLS_1_3, names);
	bounds_ciphers_in(names, TLSB_TLS_1_3, BOUNDS_WITH_PSK, ours);
	*ret_usable = ours[0] != '\0' && SSL_get_max_proto_version(ssl) >= TLS1_3_VERSION;
	if (*ret_usable)
		return SSL_set_ciphersuites(ssl, ours) ? 0 : -ENOMEM;
	/* With another suite, the server could not take the key. */
	return SSL_set_max_proto_version(ssl, TLS1_2_VERSION) ? 0 : -ENOMEM;
}

static int set_suites_1_2(const struct bounds *bounds, const struct request *request, SSL *ssl,
			  bool *ret_usable)
{
	char names[LIMIT_CIPHERS + 1], ours[LIMIT_CIPHERS + 1], others[LIMIT_CIPHERS + 1];
	char all[2 * LIMIT_CIPHERS + 2];

	names_of(bounds, request, TLSB_TLS_1_2, names);
	bounds_ciphers_in(names, TLSB_TLS_1_2, BOUNDS_WITH_PSK, ours);
	bounds_ciphers_in(names, TLSB_TLS_1_2, BOUNDS_WITHOUT_PSK, others);
	*ret_usable = ours[0] != '\0' && SSL_get_min_proto_version(ssl) <= TLS1_2_VERSION;
	if (names[0] == '\0')
		return 0;
	snprintf(all, sizeof(all), "%s%s%s", ours, ours[0] && others[0] ? ":" : "", others);
	return SSL_set_cipher_list(ssl, all) ? 0 : -ENOMEM;
}

static int set_suites(const struct bounds *bounds, const struct request *request, SSL *ssl,
		      const char **ret_text)
{
	bool usable_1_2, usable_1_3;
	int r = set_suites_1_2(bounds, request, ssl, &usable_1_2);

	if (r == 0)
		r = set_suites_1_3(bounds, request, ssl, &usable_1_3);
	if (r == 0 && !usable_1_2 && !usable_1_3) {
		*ret_text = "ciphers: none of those that may be used goes with a pre-shared key";
		return -EACCES;
	}
	return r;
}

/* Each text begins with the name of the setting that says so. */
static int check(const struct tls *tls, struct request *request, const char **ret_text)
{
	const struct bounds *bounds = &tls->bounds;
	struct psk_use *psk = request->psk;
	const struct psk_name *named = psk->is_own ? NULL : psks_find(&tls->psks, psk->name);

	if (psk->is_own && !bounds->may_bring_psk) {
		*ret_text = "own-psk: a program may bring no pre-shared key of its own";
		return -EACCES;
	}
	if (!psk->is_own && !named) {
		*ret_text = "psks: the program has none of the name that it asks for";
		return -EACCES;
	}
	*ret_text = bounds_against_psk(bounds);
	if (*ret_text)
		return -EACCES;
	if (request->pins.count > 0) {
		*ret_text = "the program pins a certificate's key, and with a pre-shared one there is none";
		return -EINVAL;
	}
	psk->key = named ? named->key : 0;
	text_copy(psk->identity, sizeof(psk->identity), named ? named->identity : psk->name);
	return 0;
}

int psk_apply(const struct tls *tls, SSL *ssl, struct request *request, const char **ret_text)
{
	int r = check(tls, request, ret_text);

	if (r < 0)
		return r;
	SSL_set_psk_use_session_callback(ssl, on_use_session);
	SSL_set_psk_client_callback(ssl, on_use_key);
	*ret_text = "no memory";
	return set_suites(&tls->bounds, request, ssl, ret_text);
}

/* ---- the handshake ---- */

bool psk_was_used(const struct session *session)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(session->ssl);

	if (!session->request->psk || !cipher)
		return false;
	/* Nothing else was offered that could be gone on with. */
	if (SSL_version(session->ssl) >= TLS1_3_VERSION)
		return SSL_session_reused(session->ssl) != 0;
	return SSL_CIPHER_get_auth_nid(cipher) == NID_auth_psk;
}

/* That the server has another key shows in what it sends: to it, or to us. */
static bool is_about_key(unsigned long error)
{
	switch (ERR_GET_REASON(error)) {
	case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
	case SSL_R_DIGEST_CHECK_FAILED:
	case SSL_AD_REASON_OFFSET + SSL_AD_BAD_RECORD_MAC:
	case SSL_AD_REASON_OFFSET + SSL_AD_DECRYPT_ERROR:
	case SSL_AD_REASON_OFFSET + SSL_AD_ILLEGAL_PARAMETER:
		return true;
	default:
		return false;
	}
}

static bool is_about_identity(unsigned long error)
{
	return ERR_GET_REASON(error) == SSL_AD_REASON_OFFSET + SSL_AD_UNKNOWN_PSK_IDENTITY ||
	       ERR_GET_REASON(error) == SSL_AD_REASON_OFFSET + SSL_AD_HANDSHAKE_FAILURE;
}

bool psk_verdict(const struct psk_use *psk, unsigned long error, struct verdict *ret_verdict)
{
	char name[160];

	if (ERR_GET_LIB(error) != ERR_LIB_SSL || (!is_about_key(error) && !is_about_identity(error)))
		return false;
	ret_verdict->code = TLSB_E_PSK;
	snprintf(ret_verdict->text, sizeof(ret_verdict->text),
		 is_about_key(error)
			 ? "the server did not take the pre-shared key %s: it does not know it, or has "
			   "another one"
			 : "the server did not take the pre-shared key %s: it does not know it, or wants "
			   "other cipher suites",
		 text_escape_str(name, sizeof(name), psk->name));
	return true;
}
