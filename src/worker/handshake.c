/* From a connected socket to a verified session. */
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "ring/doorbell.h"
#include "worker/facts.h"
#include "worker/lending.h"
#include "worker/review.h"
#include "worker/session.h"
#include "worker/signing.h"
#include "worker/state.h"
#include "worker/verdict.h"

/* How long it takes already; the first flight is made before there is a socket. */
static uint64_t handshake_us(const struct session *session)
{
	return session->stage == STAGE_HANDSHAKE ? clock_us() - session->connected_us : 0;
}

/* A resumed session's certificate is not looked at again: so long is it good without that. */
static time_t vouched_until(const struct session *session)
{
	time_t until = time(NULL) + LIMIT_RESUME_S;

	if (session->staple_until)
		until = MIN(until, session->staple_until);
	return tls_chain_until(session->ssl, until);
}

/* Returns false when it has ended instead. */
static bool established(struct session *session)
{
	struct control_page *page = session->channel.page;
	struct counters *counters = session->worker->child->counters;
	uint64_t us = handshake_us(session);

	if ((session->request->verify && !session->psk &&
	     !(session->name = strdup(session->request->name))) ||
	    (session->signing && signing_has_signed(session->signing) &&
	     !(session->identity = strdup(session->has_own_cert ? OWN_IDENTITY
							       : session->request->identity)))) {
		session_end(session, TLSB_E_RESOURCES, "the broker has no memory left");
		return false;
	}
	facts_established(session->facts, session->ssl, session->request->verify || session->psk, us);
	/* As TLS 1.3 has it, each use of the key goes on with what was agreed by other means. */
	if (session->psk) {
		session->facts->resumed = 0;
		text_escape_str(session->facts->psk, sizeof(session->facts->psk), session->psk);
	}
	if (session->identity)
		text_copy(session->facts->identity, sizeof(session->facts->identity),
			  session->identity);
	session->signing = signing_free(session->signing);
	session->lending = lending_free(session->lending); /* nothing is signed any more */
	if (!session->facts->resumed)
		session->resume_until = vouched_until(session);
	session->resume = session->resume && session->request->verify;
	counters_add(counters, session->facts->resumed ? COUNTER_handshakes_resumed :
							 COUNTER_handshakes_full, 1);
	log_event(LOG_L_INFO, "session established",
		  { FIELD_CLIENT, LOG_NUMBER(session->client_pid) },
		  { FIELD_SESSION, LOG_NUMBER(session->number) },
		  { FIELD_SERVER, session->server }, { FIELD_ADDRESS, session->facts->address },
		  { FIELD_VERSION, SSL_get_version(session->ssl) },
		  { FIELD_CIPHER, session->facts->cipher },
		  { FIELD_RESUMED, session->facts->resumed ? "1" : "0" },
		  { FIELD_IDENTITY, session->identity },
		  { FIELD_PSK, session->psk },
		  { FIELD_OUTCOME, "ok" },
		  { FIELD_MS, LOG_NUMBER(us / 1000) });
	page->info = *session->facts;
	session->stage = STAGE_OPEN;
	session->moved_ms = clock_ms();
	ages_note(session);
	session->idle_records = 0;
	evtimer_del(session->timer);
	quota_give_ca(&session->worker->quota, session->request->ca_len + session->request->cert_len);
	session->request = request_free(session->request);
	free(session->facts);
	session->facts = NULL;
	atomic_store_explicit(&page->state, STATE_ESTABLISHED, memory_order_seq_cst);
	if (doorbell_answer(&page->program_wants, WANT_STATE | WANT_ROOM))
		session_ring(session);
	return true;
}

/* A server must choose one of the protocols that were offered (RFC 7301, 3.1). */
static bool alpn_was_offered(const struct session *session)
{
	const unsigned char *chosen;
	const char *offered = session->request->alpn;
	unsigned len;

	SSL_get0_alpn_selected(session->ssl, &chosen, &len);
	if (len == 0)
		return true;
	for (; *offered; offered += strcspn(offered, ",") + (offered[strcspn(offered, ",")] != 0)) {
		if (strcspn(offered, ",") == len && memcmp(offered, chosen, len) == 0)
			return true;
	}
	return false;
}

/*
 * OpenSSL has refused already what was verified and has no key that is pinned.  Without verification
 * that is not known before here, where the server has proven that it has the key.
 */
static bool is_pinned(struct session *session)
{
	STACK_OF(X509) *chain = session->request->verify ? SSL_get0_verified_chain(session->ssl)
							 : SSL_get_peer_cert_chain(session->ssl);
	struct verdict verdict;
	const char *missing;

	if (SSL_session_reused(session->ssl) || session->psk)
		return true; /* it was when it was new, and the pins are the same; or there may be none */
	missing = tls_missing_pin(&session->worker->tls, session->request, chain);
	session_on_pins(session, missing);
	if (!missing)
		return true;
	verdict_of_pins(session->request->name, missing, &verdict);
	session_end(session, verdict.code, "%s", verdict.text);
	return false;
}

/* OpenSSL has refused already for whom there is no good OCSP response; this is the second lock. */
static bool is_stapled(struct session *session)
{
	if (session->checks.ocsp == CHECK_PASSED || SSL_session_reused(session->ssl) ||
	    !tls_needs_staple(&session->worker->tls, session->ssl))
		return true;
	session_end(session, TLSB_E_CERT_REVOCATION, "the server's OCSP response was not looked at");
	return false;
}

/* As signing_handshake(). */
static int go_on(struct session *session, int *ret_result, int *ret_error)
{
	if (session->signing)
		return signing_handshake(session->signing, session->ssl, ret_result, ret_error);
	ERR_clear_error();
	*ret_result = SSL_do_handshake(session->ssl);
	*ret_error = SSL_get_error(session->ssl, *ret_result);
	return 1;
}

static enum check passed_if(bool demanded)
{
	return demanded ? CHECK_PASSED : CHECK_NONE;
}

/* What a resumed session needs, it needed and passed when it was new: under the same policy, or nothing
 * is said. */
static void inherit_checks(struct session *session)
{
	const struct tls *tls = &session->worker->tls;

	if (session->trust_number != tls->trust_number)
		return;
	session->checks = (struct checks){
		.pins = passed_if(tls_has_pins(tls, session->request)),
		.crl = passed_if(tls_has_crls(tls)),
		.ocsp = passed_if(tls_needs_staple(tls, session->ssl)),
	};
}

/* What it was begun under may not be in force any more. */
static bool is_allowed(struct session *session)
{
	bool changed = session->trust_number != session->worker->tls.trust_number;
	const char *objection;

	if (SSL_session_reused(session->ssl) && !session->psk)
		inherit_checks(session);
	objection = review_objection(session, changed);
	if (objection)
		session_end(session, TLSB_E_POLICY, "%s (policy for %s)", objection,
			    session->worker->badge);
	return !objection;
}

/* It is over: who is the server?  Returns false when the session has ended. */
static bool is_known(struct session *session)
{
	const struct psk_use *psk = session->request->psk;

	if (psk_was_used(session)) {
		session->psk = strdup(psk->name);
		session->psk_is_own = psk->is_own;
		if (!session->psk)
			session_end(session, TLSB_E_RESOURCES, "the broker has no memory left");
		return session->psk != NULL;
	}
	/* OpenSSL has refused already whatever does not verify; this is the second lock. */
	if (session->request->verify && (SSL_get_verify_result(session->ssl) != X509_V_OK ||
					 !SSL_get0_peer_certificate(session->ssl))) {
		session_end(session, TLSB_E_CERT, "the certificate was not verified");
		return false;
	}
	return true;
}

/* Returns false when it is not over yet, or the session has ended. */
bool handshake_pump(struct session *session)
{
	int r, error, gone_on;

	if (!psk_is_there(session))
		return false;
	gone_on = go_on(session, &r, &error);
	if (gone_on <= 0) {
		if (gone_on < 0)
			session_end(session, TLSB_E_RESOURCES, "the broker has no memory left");
		return false;
	}
	if (r == 1) {
		if (!is_known(session))
			return false;
		if (!alpn_was_offered(session)) {
			session_end(session, TLSB_E_TLS_ALPN,
				    "the server chose an application protocol that was not offered");
			return false;
		}
		return is_pinned(session) && is_allowed(session) && is_stapled(session) &&
		       established(session);
	}
	if (error == SSL_ERROR_WANT_READ && session->net.turn >= LIMIT_PUMP_BYTES)
		event_active(session->socket_event, EV_TIMEOUT, 0);
	else if (error == SSL_ERROR_WANT_READ && session->net.broken)
		session_broken(session, SSL_ERROR_SYSCALL); /* all is read, and no answer will come */
	else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		session_broken(session, error);
	return false;
}

/*
 * OpenSSL goes through such records on its own, all that were read, before it returns.  That the peer
 * "has closed" stops it; pump_in() sees by the count why, and ends the session.
 */
static void count_idle_record(struct session *session)
{
	session->turn_records++;
	if (++session->idle_records > LIMIT_IDLE_RECORDS)
		SSL_set_shutdown(session->ssl,
				 SSL_get_shutdown(session->ssl) | SSL_RECEIVED_SHUTDOWN);
}

void session_on_record(struct session *session, int sent, int type, const void *bytes, size_t len)
{
	if (session->facts)
		facts_step(session->facts, sent, type, bytes, len, handshake_us(session) / 1000);
	else if (!sent && (type == SSL3_RT_HANDSHAKE || type == SSL3_RT_ALERT ||
			   type == SSL3_RT_CHANGE_CIPHER_SPEC))
		count_idle_record(session);
}

void session_on_resumable(struct session *session, SSL_SESSION *resumable)
{
	bool verified = session->request ? session->request->verify :
					   SSL_get_verify_mode(session->ssl) == SSL_VERIFY_PEER;
	time_t until = session->resume_until;

	/* A TLS 1.2 session comes before the handshake's end: the chain is verified, though. */
	if (session->stage == STAGE_HANDSHAKE && !SSL_session_reused(session->ssl))
		until = vouched_until(session);
	/* A ticket may come long after what it vouches for was verified: against this trust? */
	if (session->trust_number != session->worker->tls.trust_number)
		return;
	if (session->resume && verified && SSL_get_verify_result(session->ssl) == X509_V_OK)
		resume_put(session->worker->tls.cache, &session->resume_key, resumable, until);
}

void session_on_refused_certificate(struct session *session, X509_STORE_CTX *store)
{
	struct verdict *refusal = session_refusal(session);

	if (refusal)
		verdict_of_certificate(store, session->request->name, refusal);
}

void session_on_objection(struct session *session, const char *why)
{
	struct verdict *refusal = session->request->verify ? session_refusal(session) : NULL;

	if (refusal)
		verdict_of_objection(session->request->name, why, refusal);
}

void session_on_staple(struct session *session, const struct staple *staple)
{
	const bool good = staple->code == TLSB_E_NONE, revoked = staple->code == TLSB_E_CERT_REVOKED;
	struct verdict *refusal;

	session->staple_until = good ? staple->until : 0;
	if (good)
		session->checks.ocsp = CHECK_PASSED;
	else
		session->checks.ocsp = revoked ? CHECK_REVOKED : CHECK_FAILED;
	if (!good && (refusal = session_refusal(session)))
		verdict_of_staple(session->request->name, staple, refusal);
}

void session_on_pins(struct session *session, const char *missing)
{
	struct verdict *refusal;

	if (tls_has_pins(&session->worker->tls, session->request))
		session->checks.pins = missing ? CHECK_FAILED : CHECK_PASSED;
	if (missing && (refusal = session_refusal(session)))
		verdict_of_pins(session->request->name, missing, refusal);
}

static void on_socket(evutil_socket_t fd unused_, short what, void *arg)
{
	struct session *session = arg;

	net_event(&session->net, (what & (EV_READ | EV_CLOSED)) != 0, (what & EV_WRITE) != 0);
	session_pump(session);
}

/* What this handshake may resume. */
static void offer_earlier(struct session *session)
{
	struct tls *tls = &session->worker->tls;
	SSL_SESSION *earlier = NULL;

	session->resume = tls_resume_key(session->request, &session->resume_key) == 0 &&
			  session->request->resume;
	session->trust_number = tls->trust_number;
	if (session->resume && session->request->verify)
		earlier = resume_take(tls->cache, &session->resume_key, &session->resume_until);
	session->offers = earlier && SSL_set_session(session->ssl, earlier);
	SSL_SESSION_free(earlier);
}

void handshake_prepare(struct session *session)
{
	int r, error;

	offer_earlier(session);
	session->net.full = true; /* there is no socket yet: the flight waits for it */
	ERR_clear_error();
	r = SSL_do_handshake(session->ssl);
	error = SSL_get_error(session->ssl, r);
	if (error != SSL_ERROR_WANT_WRITE)
		session_broken(session, error);
}

void handshake_unprepare(struct session *session)
{
	struct tls *tls = &session->worker->tls;
	SSL_SESSION *earlier = session->offers ? SSL_get0_session(session->ssl) : NULL;

	/* A TLS 1.2 session is still in the cache. */
	if (earlier && session->trust_number == tls->trust_number &&
	    SSL_SESSION_get_protocol_version(earlier) >= TLS1_3_VERSION)
		resume_put(tls->cache, &session->resume_key, earlier, session->resume_until);
	SSL_free(session->ssl);
	session->ssl = NULL;
	session->offers = false;
}

void session_on_trust(struct session *session)
{
	struct worker *worker = session->worker;
	const char *text = NULL;
	int r;

	if (session->stage != STAGE_DIALLING || !session->offers)
		return;
	handshake_unprepare(session);
	r = tls_client_new(&worker->tls, session->request, &session->net, session, &session->ssl,
			   &text);
	if (r == -EACCES)
		session_end(session, TLSB_E_POLICY, "%s (policy for %s)", text, worker->badge);
	else if (r < 0)
		session_end(session, TLSB_E_RESOURCES, "%s", text);
	else
		handshake_prepare(session);
}

static int watch_socket(struct session *session)
{
	session->socket_event = event_new(session->worker->child->base, session->net.fd,
					  EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST,
					  on_socket, session);
	if (!session->socket_event || event_add(session->socket_event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

void session_on_dialed(struct session *session, const struct msg_dialed *dialed, int fd)
{
	struct control_page *page = session->channel.page;
	struct worker *worker = session->worker;
	uint64_t id = session->id;

	assert(session->stage == STAGE_DIALLING);
	session->net.fd = fd;
	session->net.full = false;
	session->trust_number = worker->tls.trust_number;
	session->stage = STAGE_HANDSHAKE;
	session->connected_us = clock_us();
	facts_dialed(session->facts, dialed);
	session->peer_family = dialed->family;
	memcpy(session->peer_address, dialed->address, sizeof(session->peer_address));
	session->address = strdup(session->facts->address);
	if (!session->address || watch_socket(session) < 0) {
		session_end(session, TLSB_E_RESOURCES, "the broker has no memory left");
		return;
	}
	atomic_store_explicit(&page->state, STATE_CONNECTED, memory_order_seq_cst);
	/* The flight first: the server works on it while the program wakes. */
	session_pump(session);
	if (slots_get(&worker->sessions, id) && doorbell_answer(&page->program_wants, WANT_STATE))
		session_ring(session);
}
