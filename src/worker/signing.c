#include "worker/signing.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tlsbroker.h"
#include "worker/fibre.h"
#include "worker/psk.h"
#include "worker/session.h"
#include "worker/state.h"
#include "worker/verdict.h"

/* How often a keyholder may die over one signature, before it is taken for the reason. */
#define TRIES_MAX 2

enum progress {
	AT_REST,  /* OpenSSL is not within the handshake */
	IN_LINE,  /* too many others have stopped: it may begin when one of them is over */
	RUNNING,
	STOPPED,  /* it waits for its signature */
};

struct signing {
	struct session *session;
	enum progress progress;
	struct fibre *fibre; /* RUNNING and STOPPED */
	TAILQ_ENTRY(signing) in_line;
	SSL *ssl;
	int result, error;

	/* What is to be signed; OpenSSL's, and there as long as it is STOPPED. */
	uint32_t key;
	uint16_t scheme;
	const unsigned char *bytes;
	size_t len;
	bool sent;
	unsigned tries;

	bool answered, signed_once;
	size_t signature_len; /* 0: there is none */
	unsigned char signature[LIMIT_SIGNATURE];
};

static struct signing *current; /* whose fibre runs: OpenSSL has no argument for it */

struct signing *signing_new(struct session *session)
{
	struct signing *signing = calloc(1, sizeof(*signing));

	if (signing)
		signing->session = session;
	return signing;
}

bool signing_has_signed(const struct signing *signing)
{
	return signing->signed_once;
}

/* ---- fibres: one for each handshake that has stopped, and one in reserve ---- */

/* Whenever there is room, and whenever the first in line has left it: it was woken for all of them. */
static void wake_first(struct worker *worker)
{
	struct signing *first = TAILQ_FIRST(&worker->signings_in_line);

	if (first && worker->fibre_count < LIMIT_SIGNS)
		event_active(first->session->socket_event, EV_TIMEOUT, 0);
}

static struct fibre *take_fibre(struct worker *worker)
{
	struct fibre *fibre = worker->idle_fibre ? worker->idle_fibre : fibre_new();

	worker->idle_fibre = NULL;
	worker->fibre_count += fibre != NULL;
	return fibre;
}

static void give_fibre(struct worker *worker, struct fibre *fibre)
{
	if (worker->idle_fibre)
		fibre_free(fibre);
	else
		worker->idle_fibre = fibre;
	worker->fibre_count--;
	wake_first(worker);
}

static void leave_line(struct signing *signing)
{
	struct worker *worker = signing->session->worker;

	if (signing->progress != IN_LINE)
		return;
	TAILQ_REMOVE(&worker->signings_in_line, signing, in_line);
	signing->progress = AT_REST;
	wake_first(worker);
}

static void stand_in_line(struct signing *signing)
{
	if (signing->progress == IN_LINE)
		return;
	TAILQ_INSERT_TAIL(&signing->session->worker->signings_in_line, signing, in_line);
	signing->progress = IN_LINE;
}

/* ---- the handshake ---- */

static void handshake(void *arg)
{
	struct signing *signing = arg;

	signing->result = SSL_do_handshake(signing->ssl);
	signing->error = SSL_get_error(signing->ssl, signing->result);
}

static bool go_on(struct signing *signing)
{
	bool is_over, begins = signing->progress != STOPPED;

	current = signing;
	signing->progress = RUNNING;
	/* What other sessions have left in OpenSSL's queue meanwhile is not this one's. */
	ERR_clear_error();
	is_over = begins ? fibre_call(signing->fibre, handshake, signing)
			 : fibre_resume(signing->fibre);
	current = NULL;
	signing->progress = is_over ? AT_REST : STOPPED;
	if (is_over) {
		give_fibre(signing->session->worker, signing->fibre);
		signing->fibre = NULL;
	}
	return is_over;
}

int signing_handshake(struct signing *signing, SSL *ssl, int *ret_result, int *ret_error)
{
	struct worker *worker = signing->session->worker;

	if (signing->progress == STOPPED && !signing->answered)
		return 0;
	if (signing->progress != STOPPED) {
		if (worker->fibre_count >= LIMIT_SIGNS) {
			stand_in_line(signing);
			return 0;
		}
		leave_line(signing);
		signing->ssl = ssl;
		signing->fibre = take_fibre(worker);
		if (!signing->fibre)
			return -ENOMEM;
	}
	if (!go_on(signing))
		return 0;
	*ret_result = signing->result;
	*ret_error = signing->error;
	return 1;
}

struct signing *signing_free(struct signing *signing)
{
	if (!signing)
		return NULL;
	leave_line(signing);
	if (signing->progress == STOPPED) {
		signing->tries = TRIES_MAX; /* and is not to stop again */
		signing->signature_len = 0;
		(void)go_on(signing);
		assert(signing->progress == AT_REST);
	}
	free(signing);
	return NULL;
}

/* ---- the signature ---- */

/* The program is told this, and not what OpenSSL makes of it. */
static void refuse(struct signing *signing, uint32_t code, const char *text)
{
	struct verdict *refusal = session_refusal(signing->session);

	if (!refusal)
		return;
	refusal->code = code;
	text_copy(refusal->text, sizeof(refusal->text), text);
}

static void answer(struct signing *signing)
{
	signing->answered = true;
	session_pump(signing->session);
}

static bool has_room(const struct signs_asked *asked, size_t len)
{
	return asked->count + asked->psks < LIMIT_SIGNS &&
	       asked->bytes + len <= LIMIT_SIGNS_BYTES;
}

static void note_asked(struct signs_asked *asked, size_t len)
{
	asked->lens[(asked->first + asked->count++) % LIMIT_SIGNS] = (uint32_t)len;
	asked->bytes += len;
}

static void note_answered(struct signs_asked *asked)
{
	if (asked->count == 0)
		return; /* it was not asked: see signing_on_signed() */
	asked->bytes -= asked->lens[asked->first];
	asked->first = (asked->first + 1) % LIMIT_SIGNS;
	asked->count--;
}

/* Ask the keyholder, if there is one and it takes more; else when that is so. */
static void ask(struct signing *signing)
{
	struct worker *worker = signing->session->worker;
	struct chan *keyholder = &worker->keyholder;
	struct msg_sign body = { .id = signing->session->id, .key = signing->key,
				 .scheme = signing->scheme };
	static const struct msg_sign_part part;
	size_t at = 0;

	if (!keyholder->owner || !has_room(&worker->signs_asked, signing->len))
		return;
	note_asked(&worker->signs_asked, signing->len);
	for (; signing->len - at > LIMIT_TAIL; at += LIMIT_TAIL)
		chan_send(keyholder, MSG_SIGN_PART, &part, signing->bytes + at, LIMIT_TAIL, NULL);
	chan_send(keyholder, MSG_SIGN, &body, signing->bytes + at, signing->len - at, NULL);
	signing->sent = true;
	signing->tries++;
}

int signing_sign(uint32_t key, const struct scheme *scheme, const unsigned char *bytes, size_t len,
		 unsigned char *signature, size_t *signature_len)
{
	struct signing *signing = current;

	if (!signing || signing->tries >= TRIES_MAX || len > LIMIT_SIGN_BYTES)
		return -EINVAL;
	signing->key = key;
	signing->scheme = scheme->code;
	signing->bytes = bytes;
	signing->len = len;
	signing->sent = signing->answered = false;
	signing->signature_len = 0;
	ask(signing);
	fibre_stop();
	if (signing->signature_len == 0 || signing->signature_len > *signature_len)
		return -EACCES;
	memcpy(signature, signing->signature, signing->signature_len);
	*signature_len = signing->signature_len;
	signing->signed_once = true;
	return 0;
}

static bool waits(const struct session *session)
{
	return session->signing && session->signing->progress == STOPPED &&
	       !session->signing->answered;
}

static void take_answer(struct worker *worker, const struct msg *msg)
{
	const struct msg_signed *body = msg->body;
	struct session *session = slots_get(&worker->sessions, body->id);
	struct signing *signing;

	/* An answer for a session that has ended meanwhile. */
	if (!session || !waits(session) || !session->signing->sent)
		return;
	signing = session->signing;
	if (body->error == TLSB_E_NONE && msg->tail_len > 0) {
		memcpy(signing->signature, msg->tail, msg->tail_len);
		signing->signature_len = msg->tail_len;
	} else if (body->error == TLSB_E_POLICY) {
		refuse(signing, TLSB_E_POLICY, "identities: the key is not for this program any more");
	} else {
		refuse(signing, TLSB_E_RESOURCES, "the broker cannot sign with this identity's key");
	}
	answer(signing);
}

/* For each session that waits; FN may end it. */
static void for_all(struct worker *worker, void (*fn)(struct signing *signing))
{
	struct session *session, *next;

	for (session = LIST_FIRST(&worker->all_sessions); session; session = next) {
		next = LIST_NEXT(session, in_worker);
		if (waits(session))
			fn(session->signing);
	}
}

static void forget(struct signing *signing)
{
	if (!signing->sent)
		return;
	signing->sent = false;
	if (signing->tries < TRIES_MAX)
		return;
	refuse(signing, TLSB_E_WORKER_DIED, "the broker's keyholder died while it signed; try again");
	answer(signing);
}

void signing_on_keyholder_gone(struct worker *worker)
{
	worker->signs_asked = (struct signs_asked){ .count = 0 };
	for_all(worker, forget);
	psk_on_keyholder_gone(worker);
}

static void ask_again(struct signing *signing)
{
	if (!signing->sent)
		ask(signing);
}

void signing_on_signed(struct worker *worker, const struct msg *msg)
{
	bool was_full = !has_room(&worker->signs_asked, LIMIT_SIGN_BYTES);

	note_answered(&worker->signs_asked);
	take_answer(worker, msg);
	if (was_full)
		signing_on_keyholder(worker);
}

void signing_on_keyholder(struct worker *worker)
{
	for_all(worker, ask_again);
	psk_on_keyholder(worker);
}
