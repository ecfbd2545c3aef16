#include "worker/lending.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "keys/chain.h"
#include "tlsbroker.h"
#include "worker/session.h"
#include "worker/state.h"
#include "worker/unread.h"

struct lending {
	struct session *session;
	TAILQ_ENTRY(lending) in_line;
	enum { IN_LINE, ASKED, LENT, LOST } progress;
	uint32_t key; /* LENT: its number */
	uint64_t began_ms;
};

static const char no_memory[] = "the broker has no memory left";

/* ---- the line ---- */

static void ask(struct lending *lending)
{
	struct worker *worker = lending->session->worker;
	const struct msg_key_lend body = { .id = lending->session->id };
	int fd = fd_steal(&lending->session->request->key_fd);

	TAILQ_REMOVE(&worker->lendings_in_line, lending, in_line);
	lending->progress = ASKED;
	worker->lends_asked++;
	chan_send(&worker->keyholder, MSG_KEY_LEND, &body, NULL, 0, &fd);
}

/* As many as the keyholder takes, if there is one. */
static void ask_on(struct worker *worker)
{
	struct lending *first;

	while (worker->keyholder.owner && worker->lends_asked + worker->lent_count < LIMIT_LENT &&
	       (first = TAILQ_FIRST(&worker->lendings_in_line)))
		ask(first);
}

static void give_back(struct worker *worker, uint32_t key)
{
	const struct msg_key_back body = { .key = key };

	worker->lent_count--;
	chan_send_body(&worker->keyholder, MSG_KEY_BACK, &body);
	ask_on(worker);
}

/* ---- one of them ---- */

static int parse(struct request *request, const char **ret_text)
{
	struct identity *own = calloc(1, sizeof(*own));
	const char *why;
	int r;

	*ret_text = no_memory;
	if (!own)
		return -ENOMEM;
	r = chain_parse(request->cert, request->cert_len, &own->own, &own->others, &why);
	if (r < 0) {
		if (r == -EINVAL)
			*ret_text = why;
		free(own); /* and nothing that it may point to */
		return r;
	}
	request->own = own;
	return 0;
}

void lending_begin(struct session *session)
{
	struct lending *lending = calloc(1, sizeof(*lending));
	const char *text = no_memory;
	int r = lending ? parse(session->request, &text) : -ENOMEM;

	if (r == 0)
		r = session_arm_timer(session, session->request->deadline_ms);
	if (r < 0) {
		free(lending);
		if (r == -EINVAL)
			session_end(session, TLSB_E_PARAMETER,
				    "the certificate that the program brought %s", text);
		else
			session_refuse(session, r, no_memory);
		return;
	}
	*lending = (struct lending){ .session = session, .began_ms = clock_ms() };
	session->lending = lending;
	session->stage = STAGE_LENDING;
	TAILQ_INSERT_TAIL(&session->worker->lendings_in_line, lending, in_line);
	ask_on(session->worker);
}

struct lending *lending_free(struct lending *lending)
{
	struct worker *worker;

	if (!lending)
		return NULL;
	worker = lending->session->worker;
	if (lending->progress == IN_LINE)
		TAILQ_REMOVE(&worker->lendings_in_line, lending, in_line);
	else if (lending->progress == LENT)
		give_back(worker, lending->key);
	/* ASKED: what comes for it goes back at once. */
	free(lending);
	return NULL;
}

/* ---- what the keyholder says ---- */

/* 0; -EINVAL: it is another key's.  Or -ENOMEM. */
static int make_identity(struct session *session, const struct msg *msg)
{
	const struct msg_key_lent *body = msg->body;
	struct identity *own = session->request->own;
	const unsigned char *der = (const unsigned char *)msg->tail;
	EVP_PKEY *public = d2i_PUBKEY(NULL, &der, (long)msg->tail_len);
	const EVP_PKEY *certified = X509_get0_pubkey(own->own);
	int r = -EINVAL;

	if (public && certified && EVP_PKEY_eq(public, certified) == 1) {
		own->key = provider_key(session->worker->tls.provider, certified, body->key);
		r = own->key ? 0 : -ENOMEM;
	}
	EVP_PKEY_free(public);
	ERR_clear_error();
	return r;
}

static void go_on(struct session *session, const struct msg *msg)
{
	const struct msg_key_lent *body = msg->body;
	struct request *request = session->request;
	int r = make_identity(session, msg);

	if (r == -EINVAL) {
		session_end(session, TLSB_E_PARAMETER, "the private key that the program brought "
						       "does not belong to its certificate");
		return;
	}
	if (r < 0) {
		session_refuse(session, r, no_memory);
		return;
	}
	memcpy(request->key_digest, body->digest, sizeof(request->key_digest));
	session_waited(session, session->lending->began_ms);
	unread_begin(session);
}

static struct session *asked_for(struct worker *worker, uint64_t id)
{
	struct session *session = slots_get(&worker->sessions, id);

	return session && session->lending && session->lending->progress == ASKED ? session : NULL;
}

void lending_on_lent(struct worker *worker, const struct msg *msg)
{
	const struct msg_key_lent *body = msg->body;
	struct session *session = asked_for(worker, body->id);

	if (worker->lends_asked == 0)
		return; /* nobody has asked for any */
	worker->lends_asked--;
	if (body->error == TLSB_E_NONE)
		worker->lent_count++;
	if (!session && body->error == TLSB_E_NONE) {
		give_back(worker, body->key);
	} else if (session && body->error == TLSB_E_NONE) {
		session->lending->progress = LENT;
		session->lending->key = body->key;
		go_on(session, msg);
	} else if (session) {
		session->lending->progress = LOST;
		session_end(session, body->error == TLSB_E_PARAMETER ? TLSB_E_PARAMETER
								     : TLSB_E_RESOURCES,
			    "the private key that the program brought %.*s", (int)msg->tail_len,
			    msg->tail);
	}
	ask_on(worker);
}

void lending_on_keyholder_gone(struct worker *worker)
{
	struct session *session, *next;

	worker->lends_asked = worker->lent_count = 0;
	for (session = LIST_FIRST(&worker->all_sessions); session; session = next) {
		next = LIST_NEXT(session, in_worker);
		if (!session->lending || session->lending->progress == IN_LINE)
			continue;
		session->lending->progress = LOST;
		session_end(session, TLSB_E_WORKER_DIED,
			    "the broker's keyholder died, and with it the private key that the "
			    "program brought; try again");
	}
}

void lending_on_keyholder(struct worker *worker)
{
	ask_on(worker);
}
