#include "worker/psk.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "keys/keyfile.h"
#include "tlsbroker.h"
#include "worker/session.h"
#include "worker/state.h"
#include "worker/verdict.h"

/* How often a keyholder may die over one key, before it is taken for the reason. */
#define TRIES_MAX 2

/* ---- the badge's ---- */

void psks_deinit(struct psks *psks)
{
	free(psks->list);
	*psks = (struct psks){ .list = NULL };
}

int psks_begin(struct psks *ret, uint32_t count)
{
	struct psk_name *list;

	if (count > LIMIT_PSKS)
		return -EBADMSG;
	list = calloc(count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	psks_deinit(ret);
	*ret = (struct psks){ .list = list, .expected = count };
	return 0;
}

int psks_add(struct psks *psks, const struct msg *msg)
{
	const struct msg_psk *body = msg->body;
	struct psk_name psk = { .key = body->key };
	uint32_t at = 0;

	if (psks->count >= psks->expected || body->key == 0 || body->name_len == 0 ||
	    body->name_len >= msg->tail_len ||
	    msg_tail_string(msg, &at, body->name_len, psk.name, sizeof(psk.name)) < 0 ||
	    msg_tail_string(msg, &at, msg->tail_len - at, psk.identity, sizeof(psk.identity)) < 0)
		return -EBADMSG;
	psks->list[psks->count++] = psk;
	return 0;
}

const struct psk_name *psks_find(const struct psks *psks, const char *name)
{
	for (uint32_t i = 0; i < psks->count; i++) {
		if (strcmp(psks->list[i].name, name) == 0)
			return &psks->list[i];
	}
	return NULL;
}

/* ---- the program's word ---- */

/* They would be in error texts, the log and the server's log. */
static bool has_control_characters(const char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	}
	return false;
}

int psk_parse(struct psk_use **ret, const struct msg *msg)
{
	const struct msg_preshared *body = msg->body;
	struct psk_use *psk = calloc(1, sizeof(*psk));
	uint32_t at = 0;

	if (!psk)
		return -ENOMEM;
	if (body->name_len == 0 || body->name_len > msg->tail_len ||
	    msg_tail_string(msg, &at, body->name_len, psk->name, sizeof(psk->name)) < 0 ||
	    has_control_characters(psk->name) ||
	    (msg->tail_len > at && msg->tail_len - at < LIMIT_PSK_LEAST) ||
	    msg->tail_len - at > sizeof(psk->bytes)) {
		psk_free(psk);
		return -EBADMSG;
	}
	psk->len = msg->tail_len - at;
	psk->is_own = psk->len > 0;
	memcpy(psk->bytes, msg->tail + at, psk->len);
	*ret = psk;
	return 0;
}

/* OpenSSL may have kept it for as long as the connection lives, whether the server took it or not. */
static void forget_offer(struct psk_use *psk)
{
	static const unsigned char nothing[LIMIT_PSK_BYTES];

	if (!psk->offer)
		return;
	SSL_SESSION_set1_master_key(psk->offer, nothing, psk->len);
	SSL_SESSION_free(psk->offer);
}

struct psk_use *psk_free(struct psk_use *psk)
{
	if (!psk)
		return NULL;
	forget_offer(psk);
	OPENSSL_cleanse(psk, sizeof(*psk));
	free(psk);
	keyfile_wipe_traces();
	return NULL;
}

/* ---- what is offered ---- */

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

/* ---- the keyholder ---- */

/* Together with signatures: it cuts off who waits for too many answers. */
static bool has_room(const struct signs_asked *asked)
{
	return asked->count + asked->psks < LIMIT_SIGNS;
}

static void ask(struct session *session)
{
	struct worker *worker = session->worker;
	struct psk_use *psk = session->request->psk;
	const struct msg_psk_wanted body = { .id = session->id, .key = psk->key };

	if (!worker->keyholder.owner || !has_room(&worker->signs_asked))
		return;
	worker->signs_asked.psks++;
	chan_send_body(&worker->keyholder, MSG_PSK_WANTED, &body);
	psk->sent = true;
	psk->tries++;
}

/* It has a connection, and all that it lacks is its key. */
static bool waits(const struct session *session)
{
	return session->stage == STAGE_HANDSHAKE && session->request->psk &&
	       session->request->psk->len == 0;
}

bool psk_is_there(struct session *session)
{
	if (!waits(session))
		return true;
	if (!session->request->psk->sent)
		ask(session);
	return false;
}

static void take_answer(struct worker *worker, const struct msg *msg)
{
	const struct msg_psk_given *body = msg->body;
	struct session *session = slots_get(&worker->sessions, body->id);
	struct psk_use *psk;

	/* An answer for a session that has ended meanwhile. */
	if (!session || !waits(session) || !session->request->psk->sent)
		return;
	psk = session->request->psk;
	if (body->error == TLSB_E_NONE && msg->tail_len >= LIMIT_PSK_LEAST) {
		memcpy(psk->bytes, msg->tail, msg->tail_len);
		psk->len = msg->tail_len;
		session_pump(session);
	} else if (body->error == TLSB_E_POLICY) {
		session_end(session, TLSB_E_POLICY, "psks: the key is not for this program any more");
	} else {
		session_end(session, TLSB_E_RESOURCES, "the broker cannot use this pre-shared key");
	}
}

/* For each session that waits; FN may end it. */
static void for_all(struct worker *worker, void (*fn)(struct session *session))
{
	struct session *session, *next;

	for (session = LIST_FIRST(&worker->all_sessions); session; session = next) {
		next = LIST_NEXT(session, in_worker);
		if (waits(session))
			fn(session);
	}
}

static void ask_again(struct session *session)
{
	if (!session->request->psk->sent)
		ask(session);
}

void psk_on_given(struct worker *worker, const struct msg *msg)
{
	bool was_full = !has_room(&worker->signs_asked);

	worker->signs_asked.psks -= worker->signs_asked.psks > 0;
	take_answer(worker, msg);
	msg_wipe(msg);
	if (was_full)
		signing_on_keyholder(worker);
}

static void forget(struct session *session)
{
	struct psk_use *psk = session->request->psk;

	if (!psk->sent)
		return;
	psk->sent = false;
	if (psk->tries >= TRIES_MAX)
		session_end(session, TLSB_E_WORKER_DIED,
			    "the broker's keyholder died over the pre-shared key; try again");
}

void psk_on_keyholder_gone(struct worker *worker)
{
	for_all(worker, forget);
}

void psk_on_keyholder(struct worker *worker)
{
	for_all(worker, ask_again);
}
