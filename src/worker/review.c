#include "worker/review.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "tlsbroker.h"
#include "trust/memory.h"
#include "worker/session.h"
#include "worker/state.h"

/* ---- one session ---- */

/* Without a check of the time: that a certificate has expired meanwhile was known when it was new. */
static X509_STORE_CTX *verification(const struct tls *tls, SSL *ssl, STACK_OF(X509) *sent)
{
	X509_STORE_CTX *store = X509_STORE_CTX_new();
	X509_STORE *trusted = NULL;
	X509_VERIFY_PARAM *param;

	SSL_get0_verify_cert_store(ssl, &trusted);
	if (!trusted)
		trusted = SSL_CTX_get_cert_store(tls->ctx);
	if (!store || !X509_STORE_CTX_init(store, trusted, sk_X509_value(sent, 0), sent) ||
	    !X509_STORE_CTX_set_default(store, "ssl_server")) {
		X509_STORE_CTX_free(store);
		return NULL;
	}
	param = X509_STORE_CTX_get0_param(store);
	X509_VERIFY_PARAM_set_depth(param, LIMIT_CHAIN_DEPTH);
	X509_VERIFY_PARAM_set_auth_level(param, SSL_get_security_level(ssl));
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
	if (tls_has_crls(tls))
		X509_VERIFY_PARAM_set_flags(param,
					    X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return store;
}

/* Its certificates, which a resumed session has from the one that it resumes, and today's trust. */
static const char *chain_objection(const struct tls *tls, SSL *ssl)
{
	STACK_OF(X509) *sent = SSL_get_peer_cert_chain(ssl);
	const char *objection = NULL;
	X509_STORE_CTX *store;

	if (SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE)
		return pins_have(&tls->bounds.pins, sk_X509_value(sent, 0))
			       ? NULL
			       : "pins: the server's key is none of them any more";
	store = verification(tls, ssl, sent);
	if (store && X509_verify_cert(store) <= 0 &&
	    X509_STORE_CTX_get_error(store) == X509_V_ERR_CERT_REVOKED)
		objection = "crl: the server's certificate was revoked";
	else if (!store || X509_STORE_CTX_get_error(store) != X509_V_OK)
		objection = "trust: the server's certificate would not be accepted any more";
	else if (!pins_hold(&tls->bounds.pins, X509_STORE_CTX_get0_chain(store)))
		objection = "pins: the server has none of their keys any more";
	X509_STORE_CTX_free(store);
	ERR_clear_error();
	return objection;
}

static const char *agreed_objection(const struct bounds *bounds, const struct session *session)
{
	SSL *ssl = session->ssl;
	const char *cipher = SSL_get_cipher_name(ssl);
	X509_STORE *own = NULL;

	SSL_get0_verify_cert_store(ssl, &own);
	if (SSL_version(ssl) < bounds->version_min)
		return "min-version: it is higher now than what was agreed with the server";
	if (bounds_cipher(bounds, cipher, strlen(cipher)) < 0)
		return "ciphers: the one that was agreed with the server may not be used any more";
	if (SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE && !bounds->may_skip_verify)
		return "allow-insecure: the server's certificate has to be verified now";
	if (bounds->needs_staple && session->checks.ocsp != CHECK_PASSED && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE)
		return "require-ocsp-staple: no OCSP response was asked of the server";
	if (own && !bounds->may_bring_ca)
		return "own-ca: a program may bring no CA certificates of its own any more";
	return NULL;
}

/* Whoever has the key is the server: there is nothing else to look at. */
static const char *psk_objection(const struct tls *tls, const struct session *session)
{
	if (session->psk_is_own && !tls->bounds.may_bring_psk)
		return "own-psk: a program may bring no pre-shared key of its own any more";
	if (!session->psk_is_own && !psks_find(&tls->psks, session->psk))
		return "psks: the one by which the server is known is not this badge's any more";
	return bounds_against_psk(&tls->bounds);
}

static const char *identity_objection(const struct tls *tls, const struct session *session)
{
	if (session->has_own_cert)
		return tls->bounds.may_bring_cert
			       ? NULL
			       : "own-certificate: a program may bring none of its own any more";
	if (session->identity && !identities_find(&tls->identities, session->identity))
		return "identities: the one that the server has seen is not this badge's any more";
	return NULL;
}

const char *review_objection(struct session *session, bool with_chain)
{
	const struct tls *tls = &session->worker->tls;
	const char *objection = agreed_objection(&tls->bounds, session);

	if (!objection)
		objection = identity_objection(tls, session);
	if (!objection && session->psk)
		return psk_objection(tls, session);
	return objection || !with_chain ? objection : chain_objection(tls, session->ssl);
}

/* ---- all of them ---- */

static void on_turn(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct worker *worker = arg;
	const uint64_t end = clock_ms() + LIMIT_LOOP_MS;
	const struct timeval later = { .tv_sec = 1 };
	struct session *session, *next;
	unsigned long failures;

	/* The newest are first; those that have come meanwhile were begun under what is in force. */
	for (session = LIST_FIRST(&worker->all_sessions); session; session = next) {
		const char *objection;

		next = LIST_NEXT(session, in_worker);
		if (session->number >= worker->review_below)
			continue;
		if (clock_ms() >= end) {
			event_active(worker->review, EV_TIMEOUT, 0);
			return;
		}
		/* What is on its way is looked at when it is established. */
		failures = memory_failures();
		objection = session->stage >= STAGE_OPEN ? review_objection(session, true) : NULL;
		if (objection && memory_failures() != failures) {
			event_add(worker->review, &later); /* it says nothing about the session */
			return;
		}
		worker->review_below = session->number;
		if (objection)
			session_end(session, TLSB_E_POLICY, "%s (policy for %s)", objection,
				    worker->badge);
	}
}

void review_begin(struct worker *worker)
{
	worker->review_below = UINT64_MAX;
	event_active(worker->review, EV_TIMEOUT, 0);
}

int review_init(struct worker *worker)
{
	worker->review = event_new(worker->child->base, -1, 0, on_turn, worker);
	return worker->review ? 0 : -ENOMEM;
}

void review_deinit(struct worker *worker)
{
	if (worker->review)
		event_free(worker->review);
}

/* ---- where they are connected to ---- */

static void ask_about(struct session *session)
{
	const size_t len = strlen(session->asked);
	struct msg_dial_still body = {
		.id = session->id,
		.family = session->peer_family,
		.port = session->peer_port,
		.name_len = session->asked_name_len,
	};

	memcpy(body.address, session->peer_address, sizeof(body.address));
	chan_send(&session->worker->connector, MSG_DIAL_STILL, &body, session->asked, len, NULL);
}

/* As many as it takes at once; when it has taken them, it calls again. */
static void ask_on(struct worker *worker)
{
	struct session *session;

	LIST_FOREACH(session, &worker->all_sessions, in_worker)
	{
		if (session->number >= worker->asked_below)
			continue;
		if (!worker->connector.owner || chan_queued(&worker->connector) > 0)
			return;
		worker->asked_below = session->number;
		if (session->stage >= STAGE_HANDSHAKE)
			ask_about(session);
	}
}

void review_ask_connector(struct worker *worker)
{
	worker->asked_below = UINT64_MAX;
	ask_on(worker);
}

void review_on_drained(struct chan *chan)
{
	ask_on(chan->owner);
}

int review_on_destinations_new(struct chan *chan, struct msg *msg unused_)
{
	review_ask_connector(chan->owner);
	return 0;
}

int review_on_forbidden(struct chan *chan, struct msg *msg)
{
	const struct msg_dial_forbidden *body = msg->body;
	struct worker *worker = chan->owner;
	struct session *session = slots_get(&worker->sessions, body->id);

	/* It may have ended meanwhile. */
	if (session && session->stage >= STAGE_HANDSHAKE)
		session_end(session, TLSB_E_POLICY, "%.*s", (int)msg->tail_len, msg->tail);
	return 0;
}
