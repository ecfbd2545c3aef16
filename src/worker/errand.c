#include "worker/errand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/pin.h"
#include "keys/keyfile.h"
#include "tlsbroker.h"
#include "wire/errors.h"
#include "wire/keywish.h"
#include "worker/client.h"
#include "worker/state.h"

void errand_free(struct errand *errand)
{
	struct worker *worker = errand->worker;

	if (errand->progress == IN_LINE)
		TAILQ_REMOVE(&worker->errands_in_line, errand, in_line);
	LIST_REMOVE(errand, of_client);
	slots_remove(&worker->errands, errand->id);
	fd_close(errand->fd);
	chan_deinit(&errand->chan);
	free(errand);
}

/* ---- what it is told, once ---- */

static void refuse(struct errand *errand, uint32_t error, const void *text, size_t len)
{
	const struct msg_refused refused = { .error = error };

	(void)msg_send(errand->chan.fd, &client_messages, CLIENT_MSG_REFUSED, &refused, text,
		       MIN(len, (size_t)LIMIT_TEXT), NULL);
	errand_free(errand);
}

static void refuse_text(struct errand *errand, uint32_t error, const char *text)
{
	refuse(errand, error, text, strlen(text));
}

/* ---- the line ---- */

/* Takes FD. */
static void tell_keyholder(struct worker *worker, uint64_t id, const struct key_wish *wish,
			   const void *tail, size_t len, int fd)
{
	const struct msg_key_hold hold = { .id = id };
	const struct msg_key_ask ask = { .id = id, .wish = *wish };

	worker->errands_asked++;
	if (fd >= 0)
		chan_send(&worker->keyholder, MSG_KEY_HOLD, &hold, NULL, 0, &fd);
	else
		chan_send(&worker->keyholder, MSG_KEY_ASK, &ask, tail, len, NULL);
}

static void ask(struct errand *errand)
{
	struct worker *worker = errand->worker;

	TAILQ_REMOVE(&worker->errands_in_line, errand, in_line);
	errand->progress = ASKED;
	tell_keyholder(worker, errand->id, &errand->wish, errand->tail, errand->len,
		       fd_steal(&errand->fd));
}

/* As many as the keyholder takes, if there is one. */
static void ask_on(struct worker *worker)
{
	struct errand *first;

	while (worker->keyholder.owner && worker->errands_asked < LIMIT_KEY_ASKS &&
	       (first = TAILQ_FIRST(&worker->errands_in_line)))
		ask(first);
}

static void stand_in_line(struct errand *errand)
{
	errand->progress = IN_LINE;
	TAILQ_INSERT_TAIL(&errand->worker->errands_in_line, errand, in_line);
	ask_on(errand->worker);
}

/* ---- the program ---- */

int errand_on_import(struct chan *chan, struct msg *msg)
{
	struct errand *errand = chan->owner;

	/* What is passed on must not make the keyholder wait: neither to read it nor to close it. */
	if (errand->progress != SILENT || !keyfile_is_lent(msg->fds[0]))
		return -EBADMSG;
	errand->fd = msg_take_fd(msg, 0);
	stand_in_line(errand);
	return 0;
}

int errand_on_use(struct chan *chan, struct msg *msg)
{
	const struct msg_key_use *body = msg->body;
	struct errand *errand = chan->owner;

	if (errand->progress != SILENT || !keywish_is_good(&body->wish, msg->tail_len))
		return -EBADMSG;
	errand->wish = body->wish;
	errand->len = msg->tail_len;
	memcpy(errand->tail, msg->tail, msg->tail_len);
	stand_in_line(errand);
	return 0;
}

static int on_starved(struct chan *chan, struct msg *msg unused_)
{
	refuse_text(chan->owner, TLSB_E_RESOURCES, "the broker has no descriptors left");
	return 0;
}

static void on_gone(struct chan *chan, enum msg_rule rule, const char *what)
{
	struct errand *errand = chan->owner;

	if (rule == RULE_NONE) {
		errand_free(errand);
		return;
	}
	counters_add(errand->worker->child->counters, COUNTER_violations, 1);
	log_event(LOG_L_WARNING, "a program broke the protocol",
		  { FIELD_CLIENT, LOG_NUMBER(errand->client_pid) },
		  { FIELD_RULE, msg_rule_name(rule) }, { FIELD_ERROR, what });
	refuse_text(errand, TLSB_E_BROKER_PROTOCOL, error_info(TLSB_E_BROKER_PROTOCOL)->text);
}

int errand_new(struct client *client, struct msg *msg)
{
	struct worker *worker = client->worker;
	struct errand *errand = calloc(1, sizeof(*errand));
	int r = errand ? slots_add(&worker->errands, errand, &errand->id) : -ENOMEM;

	if (r < 0) {
		free(errand);
		return r;
	}
	errand->worker = worker;
	errand->client_pid = client->pid;
	errand->fd = -1;
	LIST_INSERT_HEAD(&client->errands, errand, of_client);
	r = chan_init(&errand->chan, worker->child->base, msg_take_fd(msg, 0), &client_messages,
		      ROLE_WORKER, ROLE_CLIENT, KEY, client_handlers, on_gone, errand);
	errand->chan.on_starved = on_starved;
	if (r < 0)
		errand_free(errand); /* its program sees that */
	return 0;
}

/* ---- the keyholder ---- */

static const char *type_name(uint16_t type)
{
	static const char *const names[] = {
		[KEY_TYPE_RSA] = "RSA",
		[KEY_TYPE_RSA_PSS] = "RSA-PSS",
		[KEY_TYPE_EC] = "ECDSA",
		[KEY_TYPE_ED25519] = "Ed25519",
	};

	return type < ARRAY_SIZE(names) && names[type] ? names[type] : "?";
}

static void audit(const struct errand *errand, const struct key_told *told, const char *text)
{
	char pin[PIN_TEXT + 1];
	struct pin fingerprint;

	memcpy(fingerprint.bytes, told->fingerprint, sizeof(fingerprint.bytes));
	log_event(LOG_L_INFO, text, { FIELD_EVENT, "key" },
		  { FIELD_CLIENT, LOG_NUMBER(errand->client_pid) },
		  { FIELD_KEY, LOG_NUMBER(told->key) }, { FIELD_ALGORITHM, type_name(told->type) },
		  { FIELD_BITS, LOG_NUMBER(told->bits) },
		  { FIELD_FINGERPRINT, pin_format(&fingerprint, pin) });
}

static void done(struct errand *errand, const struct msg *msg)
{
	const struct msg_key_answer *body = msg->body;
	const struct msg_key_done told = { .told = body->told };

	if (body->action == KEY_IMPORT)
		audit(errand, &body->told,
		      body->told.has_private ? "a private key was imported" : "a public key was imported");
	else if (body->action == KEY_DESTROY)
		audit(errand, &body->told, "a key was destroyed");
	(void)msg_send(errand->chan.fd, &client_messages, CLIENT_MSG_KEY_DONE, &told, msg->tail,
		       msg->tail_len, NULL);
	errand_free(errand);
}

/* A key whose program has gone before it heard of it is nobody's. */
static void take_back(struct worker *worker, const struct msg_key_answer *body)
{
	const struct key_wish wish = { .key = body->told.key, .action = KEY_DESTROY };

	if (body->action == KEY_IMPORT && body->error == TLSB_E_NONE)
		tell_keyholder(worker, 0, &wish, NULL, 0, -1);
}

void errand_on_answer(struct worker *worker, const struct msg *msg)
{
	const struct msg_key_answer *body = msg->body;
	struct errand *errand = slots_get(&worker->errands, body->id);

	if (worker->errands_asked == 0)
		return; /* nobody has asked anything */
	worker->errands_asked--;
	if (!errand || errand->progress != ASKED)
		take_back(worker, body);
	else if (body->error != TLSB_E_NONE)
		refuse(errand, body->error, msg->tail, msg->tail_len);
	else
		done(errand, msg);
	ask_on(worker);
}

void errand_on_keyholder_gone(struct worker *worker)
{
	struct client *client;

	worker->errands_asked = 0;
	LIST_FOREACH(client, &worker->clients, in_worker)
	{
		struct errand *errand, *next;

		for (errand = LIST_FIRST(&client->errands); errand; errand = next) {
			next = LIST_NEXT(errand, of_client);
			if (errand->progress == ASKED)
				refuse_text(errand, TLSB_E_WORKER_DIED,
					    "the broker's keyholder died, and with it all imported keys");
		}
	}
}

void errand_on_keyholder(struct worker *worker)
{
	ask_on(worker);
}
