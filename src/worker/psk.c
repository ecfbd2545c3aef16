#include "worker/psk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keys/keyfile.h"
#include "tlsbroker.h"
#include "worker/session.h"
#include "worker/state.h"

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
