#include "keyholder/asker.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/ticks.h"
#include "keyholder/errand.h"
#include "keyholder/input.h"
#include "keyholder/keyholder.h"
#include "keyholder/sign.h"
#include "tlsbroker.h"
#include "wire/keywish.h"

enum job_kind {
	JOB_SIGN,   /* all that SIGN_PARTs and their SIGN have brought */
	JOB_LEND,
	JOB_ERRAND, /* with a descriptor: a key is to be imported */
};

struct job {
	STAILQ_ENTRY(job) next;
	enum job_kind kind;
	int fd; /* a key's, or -1 */
	bool withdrawn; /* its key was taken back */
	uint64_t id;
	uint32_t key;
	uint16_t scheme;
	struct key_wish wish;
	size_t len;
	uint8_t bytes[];
};

static void answer(struct asker *asker, uint64_t id, uint32_t error,
		   const struct signature *signature)
{
	const struct msg_signed body = { .id = id, .error = error };

	counters_add(asker->keyholder->child->counters,
		     error == TLSB_E_NONE ? COUNTER_signatures : COUNTER_signatures_refused, 1);
	chan_send(&asker->chan, MSG_SIGNED, &body, signature ? signature->bytes : NULL,
		  signature ? signature->len : 0, NULL);
}

/* Nothing that an honest worker asks for, unless its badge has just lost the key. */
static void refuse(struct asker *asker, uint64_t id, const char *why)
{
	if (log_seldom(&asker->logged_ms))
		log_event(LOG_L_WARNING, "a signature was refused",
			  { FIELD_UID, LOG_NUMBER(asker->uid) }, { FIELD_ERROR, why });
	answer(asker, id, TLSB_E_POLICY, NULL);
}

static bool is_for(const struct scheme *scheme, uint16_t version)
{
	return version != 0 && (scheme->version == 0 || scheme->version == version);
}

/* False: there is none that this worker may use.  *RET is NULL when its file could not be used. */
static bool find_key(const struct asker *asker, uint32_t number, EVP_PKEY **ret)
{
	const struct key *key;

	if (number & KEY_IS_LENT) {
		*ret = guests_find(&asker->guests, number);
		return *ret;
	}
	key = keys_find(&asker->keyholder->keys, KEY_PRIVATE, number, asker->badge);
	*ret = key ? key->pkey : NULL;
	return key;
}

static void do_sign(struct asker *asker, const struct job *job)
{
	const struct scheme *scheme = scheme_of_code(job->scheme);
	struct signature signature;
	EVP_PKEY *key;
	int r;

	if (job->withdrawn) {
		answer(asker, job->id, TLSB_E_RESOURCES, NULL); /* nobody waits for it */
		return;
	}
	if (!find_key(asker, job->key, &key)) {
		refuse(asker, job->id, "this badge has no such key");
		return;
	}
	if (!scheme || !is_for(scheme, input_version(job->bytes, job->len))) {
		refuse(asker, job->id, "that is nothing that a TLS client signs");
		return;
	}
	r = key ? sign(key, scheme, job->bytes, job->len, &signature) : -ENOKEY;
	if (r == -EINVAL) {
		refuse(asker, job->id, "that key does not sign so");
		return;
	}
	answer(asker, job->id, r == 0 ? TLSB_E_NONE : TLSB_E_RESOURCES, r == 0 ? &signature : NULL);
}

static void do_lend(struct asker *asker, const struct job *job)
{
	struct guest_told told;

	guests_add(&asker->guests, job->id, job->fd, &told);
	counters_add(asker->keyholder->child->counters,
		     told.body.error == TLSB_E_NONE ? COUNTER_keys_lent : COUNTER_keys_refused, 1);
	chan_send(&asker->chan, MSG_KEY_LENT, &told.body, told.tail, told.len, NULL);
}

static void do_errand(struct asker *asker, const struct job *job)
{
	const struct errand errand = { .id = job->id, .wish = job->wish, .fd = job->fd,
				       .tail = job->bytes, .len = job->len };

	errand_do(asker, &errand);
}

static const struct {
	void (*work)(struct asker *asker, const struct job *job);
	size_t count; /* of those that wait: where in struct asker */
} kinds[] = {
	[JOB_SIGN] = { do_sign, offsetof(struct asker, job_count) },
	[JOB_LEND] = { do_lend, offsetof(struct asker, lends) },
	[JOB_ERRAND] = { do_errand, offsetof(struct asker, errands) },
};

static unsigned *count_of(struct asker *asker, enum job_kind kind)
{
	return (unsigned *)((char *)asker + kinds[kind].count);
}

static void forget_job(struct asker *asker, struct job *job)
{
	STAILQ_REMOVE_HEAD(&asker->jobs, next);
	--*count_of(asker, job->kind);
	asker->job_bytes -= job->len;
	ticks_close(job->fd);
	free(job);
}

void asker_work(struct asker *asker)
{
	struct job *job = STAILQ_FIRST(&asker->jobs);

	kinds[job->kind].work(asker, job);
	forget_job(asker, job);
}

/* ---- what it says ---- */

/* Answers that a worker may leave unread, and what is still to be answered. */
#define MOST_ANSWERS (LIMIT_SIGNS + LIMIT_LENT + LIMIT_KEY_ASKS)

/* Room for so many bytes more.  A worker that has too much on the way knows no bounds. */
static bool has_room(const struct asker *asker, size_t len)
{
	return len <= LIMIT_SIGN_BYTES && asker->job_count < LIMIT_SIGNS &&
	       asker->job_count + chan_queued(&asker->chan) < MOST_ANSWERS &&
	       asker->job_bytes + len <= LIMIT_SIGNS_BYTES;
}

static void add_job(struct asker *asker, struct job *job)
{
	if (STAILQ_EMPTY(&asker->jobs))
		keyholder_queue(asker);
	STAILQ_INSERT_TAIL(&asker->jobs, job, next);
	++*count_of(asker, job->kind);
	asker->job_bytes += job->len;
}

static int on_sign_part(struct chan *chan, struct msg *msg)
{
	struct asker *asker = chan->owner;
	uint8_t *longer;

	if (!has_room(asker, asker->part_len + msg->tail_len))
		return -EBADMSG;
	longer = realloc(asker->part, asker->part_len + msg->tail_len + 1);
	if (!longer)
		return -ENOMEM;
	memcpy(longer + asker->part_len, msg->tail, msg->tail_len);
	asker->part = longer;
	asker->part_len += msg->tail_len;
	return 0;
}

static void forget_part(struct asker *asker)
{
	free(asker->part);
	asker->part = NULL;
	asker->part_len = 0;
}

static int on_sign(struct chan *chan, struct msg *msg)
{
	struct asker *asker = chan->owner;
	const struct msg_sign *body = msg->body;
	size_t len = asker->part_len + msg->tail_len;
	struct job *job;

	if (!has_room(asker, len))
		return -EBADMSG;
	job = malloc(sizeof(*job) + len);
	if (!job)
		return -ENOMEM;
	*job = (struct job){ .kind = JOB_SIGN, .fd = -1, .id = body->id, .key = body->key, .scheme = body->scheme,
			     .len = len };
	if (asker->part)
		memcpy(job->bytes, asker->part, asker->part_len);
	memcpy(job->bytes + asker->part_len, msg->tail, msg->tail_len);
	forget_part(asker);
	add_job(asker, job);
	return 0;
}

/* ---- keys that it lends ---- */

/* It is read when its turn comes, as a signature is made: both take their time. */
static int on_key_lend(struct chan *chan, struct msg *msg)
{
	struct asker *asker = chan->owner;
	const struct msg_key_lend *body = msg->body;
	struct job *job;

	if (asker->guests.count + asker->lends >= LIMIT_LENT)
		return -EBADMSG;
	job = malloc(sizeof(*job));
	if (!job)
		return -ENOMEM;
	*job = (struct job){ .kind = JOB_LEND, .fd = msg_take_fd(msg, 0), .id = body->id };
	add_job(asker, job);
	return 0;
}

/* At once, so that it may lend another; what it has asked to be signed with it is not signed. */
static int on_key_back(struct chan *chan, struct msg *msg)
{
	struct asker *asker = chan->owner;
	const struct msg_key_back *body = msg->body;
	struct job *job;

	if (!guests_remove(&asker->guests, body->key))
		return -EBADMSG;
	STAILQ_FOREACH(job, &asker->jobs, next)
		job->withdrawn = job->withdrawn || job->key == body->key;
	return 0;
}

/* Which key it is follows from its channel's badge; what it does with it, nobody can see from here. */
static int on_psk_wanted(struct chan *chan, struct msg *msg)
{
	struct asker *asker = chan->owner;
	const struct msg_psk_wanted *body = msg->body;
	const struct key *key = keys_find(&asker->keyholder->keys, KEY_PSK, body->key, asker->badge);
	const struct psk *psk = key ? key->psk : NULL;
	struct msg_psk_given given = { .id = body->id };

	if (!has_room(asker, 0))
		return -EBADMSG;
	if (!psk)
		given.error = key ? TLSB_E_RESOURCES : TLSB_E_POLICY;
	if (!key && log_seldom(&asker->logged_ms))
		log_event(LOG_L_WARNING, "a pre-shared key was refused",
			  { FIELD_UID, LOG_NUMBER(asker->uid) },
			  { FIELD_ERROR, "this badge has no such key" });
	counters_add(asker->keyholder->child->counters,
		     psk ? COUNTER_psks_given : COUNTER_psks_refused, 1);
	chan_send(chan, MSG_PSK_GIVEN, &given, psk ? psk->bytes : NULL, psk ? psk->len : 0, NULL);
	return 0;
}

/* ---- keys that programs have imported ---- */

/* With the message's tail; the rest of it is the caller's to fill. */
static int new_errand(const struct asker *asker, const struct msg *msg, struct job **ret)
{
	struct job *job;

	if (asker->errands >= LIMIT_KEY_ASKS ||
	    asker->errands + chan_queued(&asker->chan) >= MOST_ANSWERS)
		return -EBADMSG;
	job = malloc(sizeof(*job) + msg->tail_len);
	if (!job)
		return -ENOMEM;
	*job = (struct job){ .kind = JOB_ERRAND, .fd = -1, .len = msg->tail_len };
	memcpy(job->bytes, msg->tail, msg->tail_len);
	*ret = job;
	return 0;
}

static int on_key_hold(struct chan *chan, struct msg *msg)
{
	const struct msg_key_hold *body = msg->body;
	struct job *job;
	int r = new_errand(chan->owner, msg, &job);

	if (r < 0)
		return r;
	job->id = body->id;
	job->fd = msg_take_fd(msg, 0);
	add_job(chan->owner, job);
	return 0;
}

static int on_key_ask(struct chan *chan, struct msg *msg)
{
	const struct msg_key_ask *body = msg->body;
	struct job *job;
	int r = keywish_is_good(&body->wish, msg->tail_len) ? new_errand(chan->owner, msg, &job)
							    : -EBADMSG;

	if (r < 0)
		return r;
	job->id = body->id;
	job->wish = body->wish;
	add_job(chan->owner, job);
	return 0;
}

static chan_handler *const handlers[MSG_COUNT] = {
	[MSG_PSK_WANTED] = on_psk_wanted,
	[MSG_KEY_LEND] = on_key_lend,
	[MSG_KEY_BACK] = on_key_back,
	[MSG_KEY_HOLD] = on_key_hold,
	[MSG_KEY_ASK] = on_key_ask,
	[MSG_SIGN_PART] = on_sign_part,
	[MSG_SIGN] = on_sign,
};

static void on_gone(struct chan *chan, enum msg_rule rule, const char *what)
{
	struct asker *asker = chan->owner;

	if (rule != RULE_NONE) {
		counters_add(asker->keyholder->child->counters, COUNTER_violations, 1);
		log_event(LOG_L_WARNING, "a worker broke the protocol",
			  { FIELD_UID, LOG_NUMBER(asker->uid) },
			  { FIELD_RULE, msg_rule_name(rule) }, { FIELD_ERROR, what });
	}
	asker_free(asker); /* if its worker lives, it asks for another */
}

int asker_new(struct keyholder *keyholder, int fd, const struct msg_worker_chan *whose)
{
	struct asker *asker = calloc(1, sizeof(*asker));
	int r;

	if (!asker) {
		fd_close(fd);
		return -ENOMEM;
	}
	r = chan_init(&asker->chan, keyholder->child->base, fd, &internal_messages, ROLE_KEYHOLDER,
		      ROLE_WORKER, RUN, handlers, on_gone, asker);
	if (r < 0) {
		free(asker);
		return r;
	}
	asker->keyholder = keyholder;
	asker->uid = whose->uid;
	asker->pid = whose->pid;
	asker->badge = whose->badge;
	STAILQ_INIT(&asker->jobs);
	guests_init(&asker->guests, &keyholder->guest_memory);
	LIST_INSERT_HEAD(&keyholder->askers, asker, next);
	keyholder->asker_count++;
	return 0;
}

void asker_free(struct asker *asker)
{
	struct job *job;

	if (!STAILQ_EMPTY(&asker->jobs))
		TAILQ_REMOVE(&asker->keyholder->busy, asker, busy);
	while ((job = STAILQ_FIRST(&asker->jobs)))
		forget_job(asker, job);
	forget_part(asker);
	guests_deinit(&asker->guests);
	chan_deinit(&asker->chan);
	LIST_REMOVE(asker, next);
	asker->keyholder->asker_count--;
	free(asker);
}
