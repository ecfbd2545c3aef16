#include "keyholder/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "keys/keyfile.h"

void keys_deinit(struct keys *keys)
{
	for (uint32_t i = 0; i < keys->count; i++) {
		EVP_PKEY_free(keys->list[i].pkey);
		pskfile_free(keys->list[i].psk);
		free(keys->list[i].badges);
	}
	free(keys->list);
	*keys = (struct keys){ .list = NULL };
}

int keys_begin(struct keys *ret, const struct msg_keys *body)
{
	struct key *list;

	if (body->count > LIMIT_KEYS)
		return -EBADMSG;
	list = calloc(body->count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	keys_deinit(ret);
	*ret = (struct keys){ .list = list, .expected = body->count };
	return 0;
}

/* The supervisor has looked at it before; but the file may be another one by now. */
static int read_key(struct key *key, int fd)
{
	const bool is_psk = key->kind == KEY_PSK;
	const char *why;
	int r = is_psk ? pskfile_read(fd, &key->psk, &why) : keyfile_read(fd, &key->pkey, &why);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		log_event(LOG_L_ERROR, "a key cannot be used",
			  { is_psk ? FIELD_PSK : FIELD_IDENTITY, key->name },
			  { FIELD_ERROR, r == -EINVAL ? why : strerror(-r) });
	return 0;
}

int keys_add(struct keys *keys, const struct msg *msg)
{
	const struct msg_key *body = msg->body;
	struct key key = { .number = body->key, .badge_count = body->badge_count, .kind = body->kind };
	uint32_t at = body->badge_count * (uint32_t)sizeof(*key.badges);
	int r;

	if (keys->count >= keys->expected || body->key == 0 || body->key >= KEY_IS_IMPORTED ||
	    body->kind > KEY_PSK || body->badge_count > LIMIT_BADGES || at > msg->tail_len ||
	    msg_tail_string(msg, &at, msg->tail_len - at, key.name, sizeof(key.name)) < 0)
		return -EBADMSG;
	key.badges = calloc(body->badge_count + 1, sizeof(*key.badges));
	if (!key.badges)
		return -ENOMEM;
	memcpy(key.badges, msg->tail, body->badge_count * sizeof(*key.badges));
	r = read_key(&key, msg->fds[0]);
	if (r < 0) {
		free(key.badges);
		return r;
	}
	keys->list[keys->count++] = key;
	return 0;
}

static bool is_granted(const struct key *key, uint32_t badge)
{
	for (uint32_t i = 0; i < key->badge_count; i++) {
		if (key->badges[i] == badge)
			return true;
	}
	return false;
}

const struct key *keys_find(const struct keys *keys, enum key_kind kind, uint32_t number,
			    uint32_t badge)
{
	for (uint32_t i = 0; i < keys->count; i++) {
		const struct key *key = &keys->list[i];

		if (key->number == number && key->kind == kind && is_granted(key, badge))
			return key;
	}
	return NULL;
}

const struct key *keys_next(const struct keys *keys, uint32_t after, uint32_t badge)
{
	const struct key *found = NULL;

	for (uint32_t i = 0; i < keys->count; i++) {
		const struct key *key = &keys->list[i];

		if (key->number > after && key->pkey && is_granted(key, badge) &&
		    (!found || key->number < found->number))
			found = key;
	}
	return found;
}
