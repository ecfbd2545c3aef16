#include "keyholder/errand.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "keyholder/hash.h"
#include "keyholder/keyholder.h"
#include "tlsbroker.h"

struct answer {
	struct msg_key_answer body;
	const void *tail;
	size_t len;
	struct signature signature;
};

static struct owner owner_of(const struct asker *asker)
{
	return (struct owner){ .badge = asker->badge, .uid = asker->uid };
}

static void say(struct answer *answer, const char *text)
{
	answer->tail = text;
	answer->len = strlen(text);
}

static uint32_t import(struct asker *asker, const struct errand *errand, struct answer *answer)
{
	struct keyholder *keyholder = asker->keyholder;
	struct import *import = NULL;
	const char *why = "";
	uint32_t error = imports_add(&keyholder->imports, owner_of(asker), errand->fd, &import, &why);

	counters_add(keyholder->child->counters,
		     error == TLSB_E_NONE ? COUNTER_keys_imported : COUNTER_keys_refused, 1);
	if (error == TLSB_E_NONE)
		answer->body.told = import->told;
	else
		say(answer, why);
	return error;
}

/* One of the badge's keys that is not for this: of those that are not its, nothing is said. */
static uint32_t not_found(const struct asker *asker, uint32_t key, struct answer *answer)
{
	if (!keys_find(&asker->keyholder->keys, KEY_PRIVATE, key, asker->badge))
		return TLSB_E_KEY;
	say(answer, "the key of an identity signs in TLS, and nothing else");
	return TLSB_E_POLICY;
}

static uint32_t error_of(int r)
{
	switch (r) {
	case 0:
		return TLSB_E_NONE;
	case -EKEYREJECTED:
		return TLSB_E_KEY_SIGNATURE;
	case -EOPNOTSUPP:
		return TLSB_E_KEY_USE;
	case -EINVAL:
		return TLSB_E_PARAMETER;
	default:
		return TLSB_E_RESOURCES;
	}
}

static uint32_t sign_hash(struct asker *asker, const struct errand *errand, struct import *key,
			  struct answer *answer)
{
	uint32_t error;

	if (!key->told.has_private) {
		say(answer, "there is only the public half of this key");
		return TLSB_E_KEY_USE;
	}
	error = error_of(hash_sign(key->pkey, errand->wish.algorithm, errand->tail, errand->len,
				   &answer->signature));
	if (error != TLSB_E_NONE)
		return error;
	answer->tail = answer->signature.bytes;
	answer->len = answer->signature.len;
	counters_add(asker->keyholder->child->counters, COUNTER_hashes_signed, 1);
	return error;
}

static uint32_t verify_hash(struct asker *asker, const struct errand *errand, struct import *key)
{
	const size_t hash_len = errand->wish.hash_len;

	counters_add(asker->keyholder->child->counters, COUNTER_hashes_verified, 1);
	return error_of(hash_verify(key->pkey, errand->wish.algorithm, errand->tail, hash_len,
				    errand->tail + hash_len, errand->len - hash_len));
}

/* Identities have the lower numbers. */
static uint32_t tell_next(const struct asker *asker, uint32_t after, struct answer *answer)
{
	const struct key *key = keys_next(&asker->keyholder->keys, after, asker->badge);
	const struct import *imported;

	if (key) {
		answer->body.told = (struct key_told){ .key = key->number, .purpose = TLSB_KEY_TLS,
						       .has_private = 1 };
		say(answer, key->name);
		return imports_describe(key->pkey, &answer->body.told) < 0 ? TLSB_E_RESOURCES
									    : TLSB_E_NONE;
	}
	imported = imports_next(&asker->keyholder->imports, owner_of(asker), after);
	if (!imported)
		return TLSB_E_KEY;
	answer->body.told = imported->told;
	return TLSB_E_NONE;
}

static uint32_t destroy(struct asker *asker, struct import *key, struct answer *answer)
{
	answer->body.told = key->told;
	imports_remove(&asker->keyholder->imports, key);
	return TLSB_E_NONE;
}

static uint32_t do_wish(struct asker *asker, const struct errand *errand, struct answer *answer)
{
	const struct key_wish *wish = &errand->wish;
	struct import *key;

	if (wish->action == KEY_NEXT)
		return tell_next(asker, wish->key, answer);
	key = imports_find(&asker->keyholder->imports, owner_of(asker), wish->key);
	if (!key)
		return not_found(asker, wish->key, answer);
	switch (wish->action) {
	case KEY_SIGN_HASH:
		return sign_hash(asker, errand, key, answer);
	case KEY_VERIFY_HASH:
		return verify_hash(asker, errand, key);
	default:
		return destroy(asker, key, answer);
	}
}

void errand_do(struct asker *asker, const struct errand *errand)
{
	struct answer answer = { .body = { .id = errand->id, .action = KEY_IMPORT } };

	if (errand->fd >= 0) {
		answer.body.error = import(asker, errand, &answer);
	} else {
		answer.body.action = errand->wish.action;
		answer.body.error = do_wish(asker, errand, &answer);
	}
	if (answer.body.error != TLSB_E_NONE)
		answer.body.told = (struct key_told){ .key = 0 };
	chan_send(&asker->chan, MSG_KEY_ANSWER, &answer.body, answer.tail, answer.len, NULL);
}
