#include "keyholder/keyholder.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/ticks.h"
#include "keys/keyfile.h"

static struct keyholder *keyholder_of(struct chan *supervisor)
{
	struct child *child = supervisor->owner;

	return child->state;
}

/* ---- whose turn it is ---- */

void keyholder_queue(struct asker *asker)
{
	struct keyholder *keyholder = asker->keyholder;

	TAILQ_INSERT_TAIL(&keyholder->busy, asker, busy);
	event_active(keyholder->turn, EV_TIMEOUT, 0);
}

/* One signature, then the next worker's; between them, what has come. */
static void on_turn(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct keyholder *keyholder = arg;
	struct asker *asker = TAILQ_FIRST(&keyholder->busy);

	if (!asker)
		return;
	asker_work(asker);
	TAILQ_REMOVE(&keyholder->busy, asker, busy);
	if (!STAILQ_EMPTY(&asker->jobs))
		TAILQ_INSERT_TAIL(&keyholder->busy, asker, busy);
	if (!TAILQ_EMPTY(&keyholder->busy))
		event_active(keyholder->turn, EV_TIMEOUT, 0);
}

/* ---- what the supervisor says ---- */

/* A worker that asks for another channel may have kept the one that it had. */
static void forget_channel(struct keyholder *keyholder, uint32_t pid)
{
	struct asker *asker;

	LIST_FOREACH(asker, &keyholder->askers, next) {
		if (asker->pid == pid) {
			asker_free(asker);
			return;
		}
	}
}

/* What cannot be served is closed: its worker sees that, and asks again. */
static int on_worker_chan(struct chan *chan, struct msg *msg)
{
	struct keyholder *keyholder = keyholder_of(chan);
	const struct msg_worker_chan *body = msg->body;
	int r = -EMFILE;

	forget_channel(keyholder, body->pid);
	/* A worker that has just died may be there yet beside the one that follows it. */
	if (keyholder->asker_count < 2 * LIMIT_WORKERS)
		r = asker_new(keyholder, msg_take_fd(msg, 0), body);
	if (r < 0)
		log_event(LOG_L_WARNING, "no room for another worker's channel",
			  { FIELD_UID, LOG_NUMBER(body->uid) }, { FIELD_ERROR, strerror(-r) });
	return 0;
}

/* It closes by itself, unless the worker has given it away before it died. */
static int on_worker_gone(struct chan *chan, struct msg *msg)
{
	const struct msg_worker_gone *body = msg->body;

	forget_channel(keyholder_of(chan), body->pid);
	return 0;
}

/* All of the new keys at once, in place of all of the old ones. */
static void keys_have_come(struct keyholder *keyholder)
{
	keys_deinit(&keyholder->keys);
	keyholder->keys = keyholder->coming;
	keyholder->coming = (struct keys){ .list = NULL };
	if (keyholder->keys.count > 0 && keyholder->is_unlocked)
		log_pairs(LOG_L_WARNING, "the memory of private keys may be swapped out: it cannot be locked",
			  NULL, 0);
}

static int on_keys(struct chan *chan, struct msg *msg)
{
	struct keyholder *keyholder = keyholder_of(chan);
	int r = keys_begin(&keyholder->coming, msg->body);

	if (r == 0 && keys_are_complete(&keyholder->coming))
		keys_have_come(keyholder);
	return r;
}

static int on_key(struct chan *chan, struct msg *msg)
{
	struct keyholder *keyholder = keyholder_of(chan);
	int r = keys_add(&keyholder->coming, msg);

	if (r == 0 && keys_are_complete(&keyholder->coming))
		keys_have_come(keyholder);
	return r;
}

static int on_key_limits(struct chan *chan, struct msg *msg)
{
	return imports_limit(&keyholder_of(chan)->imports, msg);
}

/* Handshakes that are under way may need a signature yet; the supervisor keeps their time. */
static int on_drain(struct chan *chan unused_, struct msg *msg unused_)
{
	return 0;
}

static chan_handler *const handlers[MSG_COUNT] = {
	[MSG_START] = child_on_start,
	[MSG_DRAIN] = on_drain,
	[MSG_WORKER_CHAN] = on_worker_chan,
	[MSG_WORKER_GONE] = on_worker_gone,
	[MSG_KEYS] = on_keys,
	[MSG_KEY] = on_key,
	[MSG_KEY_LIMITS] = on_key_limits,
};

/* Everything that OpenSSL may want from files, while there are any. */
static int prepare(struct child *child)
{
	const uint64_t init = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS;
	struct keyholder *keyholder = calloc(1, sizeof(*keyholder));
	uint8_t seed[16];
	int r = keyholder ? keyfile_prepare(LIMIT_KEY_MEMORY) : -ENOMEM;

	if (r < 0 || ticks_prepare() < 0 || !OPENSSL_init_crypto(init, NULL) || RAND_priv_bytes(seed, sizeof(seed)) != 1) {
		free(keyholder);
		return -ENOMEM;
	}
	keyholder->is_unlocked = r > 0;
	keyholder->child = child;
	TAILQ_INIT(&keyholder->busy);
	imports_init(&keyholder->imports);
	child->state = keyholder;
	return 0;
}

static int start(struct child *child)
{
	struct keyholder *keyholder = child->state;

	keyholder->turn = event_new(child->base, -1, 0, on_turn, keyholder);
	return keyholder->turn ? 0 : -ENOMEM;
}

static void stop(struct child *child)
{
	struct keyholder *keyholder = child->state;

	while (!LIST_EMPTY(&keyholder->askers))
		asker_free(LIST_FIRST(&keyholder->askers));
	keys_deinit(&keyholder->keys);
	keys_deinit(&keyholder->coming);
	imports_deinit(&keyholder->imports);
	if (keyholder->turn)
		event_free(keyholder->turn);
	free(keyholder);
	child->state = NULL;
}

const struct child_ops keyholder_ops = {
	.handlers = handlers,
	.prepare = prepare,
	.start = start,
	.stop = stop,
};
