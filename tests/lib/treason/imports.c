/* Keys that programs have imported: what of others' a worker that was taken over can get at, and whether it
 * can have a key used for what it is not for. */
#include "tests/lib/treason/treason.h"

#include <fcntl.h>
#include <stdio.h>

static struct msg_key_answer told;

/* What the keyholder answers; the rest in *told*. */
static const char *hear_answer(void)
{
	struct msg msg;

	if (hear(ROLE_KEYHOLDER, SOON_MS, &msg) != HEARD)
		return "no answer";
	if (msg.type != MSG_KEY_ANSWER)
		return "another answer";
	memcpy(&told, msg.body, sizeof(told));
	if (told.error == TLSB_E_NONE)
		return msg.tail_len > 0 ? SIGNED : SUCCEEDED;
	/* "Not yours", "there is none" and "not for this" say nothing more, and come without a key. */
	return told.told.key == 0 && (told.error == TLSB_E_KEY || told.error == TLSB_E_POLICY)
		       ? REFUSED : "another error";
}

static const char *import(void)
{
	int fd = key_file(KEY_SEALS);

	tell_raw(ROLE_KEYHOLDER, MSG_KEY_HOLD, sizeof(struct msg_header) + sizeof(struct msg_key_hold), fd,
		 1);
	close(fd);
	return hear_answer();
}

static const char *act(enum key_action action, uint32_t key)
{
	static const char hash[32];
	const bool signs = action == KEY_SIGN_HASH;
	const struct msg_key_ask body = { .wish = { .key = key, .action = (uint16_t)action,
						    .algorithm = signs ? TLSB_ECDSA_SHA256 : 0,
						    .hash_len = signs ? sizeof(hash) : 0 } };

	tell(ROLE_KEYHOLDER, MSG_KEY_ASK, &body, hash, signs ? sizeof(hash) : 0);
	return hear_answer();
}

const char *try_a_hash_with_an_imported_key(void)
{
	const char *outcome = import();

	return strcmp(outcome, SUCCEEDED) == 0 ? act(KEY_SIGN_HASH, told.told.key) : outcome;
}

/* It is told its number, which is more than it could know. */
const char *try_a_key_that_others_have_imported(void)
{
	return act(KEY_SIGN_HASH, me.order.stolen);
}

const char *try_the_end_of_a_key_of_others(void)
{
	return act(KEY_DESTROY, me.order.stolen);
}

const char *try_a_key_of_others_in_the_list(void)
{
	return act(KEY_NEXT, me.order.stolen - 1);
}

const char *try_a_key_of_others_in_a_handshake(void)
{
	const struct msg_sign body = { .key = me.order.stolen, .scheme = TLSB_ECDSA_SHA256 };
	char text[256];
	size_t len = (size_t)snprintf(text, sizeof(text), "%64sTLS 1.3, client CertificateVerify", "");
	struct msg msg;

	memset(text + len + 1, 0x5a, 32);
	tell(ROLE_KEYHOLDER, MSG_SIGN, &body, text, len + 33);
	if (hear(ROLE_KEYHOLDER, SOON_MS, &msg) != HEARD || msg.type != MSG_SIGNED)
		return "no answer";
	return ((const struct msg_signed *)msg.body)->error == TLSB_E_POLICY && msg.tail_len == 0
		       ? REFUSED : "another error";
}

/* That would sign a handshake's transcript, or what looks like one. */
const char *try_its_identitys_key_for_a_hash(void)
{
	return act(KEY_SIGN_HASH, me.key);
}

const char *try_every_other_identitys_key_for_a_hash(void)
{
	for (uint32_t key = 0; key <= 2 * LIMIT_KEYS; key++) {
		const char *outcome = act(KEY_SIGN_HASH, key);

		if (strcmp(outcome, REFUSED) != 0)
			return outcome;
	}
	return REFUSED;
}

const char *try_a_lent_key_for_a_hash(void)
{
	const char *outcome = try_a_signature_with_a_lent_key();

	return strcmp(outcome, SIGNED) == 0 ? act(KEY_SIGN_HASH, KEY_IS_LENT | 1) : outcome;
}

const char *try_a_key_after_its_end(void)
{
	const char *outcome = import();
	uint32_t key = told.told.key;

	if (strcmp(outcome, SUCCEEDED) == 0)
		outcome = act(KEY_DESTROY, key);
	return strcmp(outcome, SUCCEEDED) == 0 ? act(KEY_SIGN_HASH, key) : outcome;
}

/* Also by more channels than one: they are the badge's, not the channel's. */
const char *try_more_keys_than_its_badge_may_have(void)
{
	unsigned count = 0;

	while (count <= LIMIT_KEYS_OF_ONE && strcmp(import(), SUCCEEDED) == 0)
		count++;
	return count == 3 && told.error == TLSB_E_QUOTA ? BOUNDED : "too many, or too few";
}

const char *try_a_wish_that_is_none(void)
{
	const struct msg_key_ask body = { .wish = { .action = KEY_ACTIONS } };

	tell(ROLE_KEYHOLDER, MSG_KEY_ASK, &body, NULL, 0);
	return cut_off(ROLE_KEYHOLDER);
}

const char *try_a_hash_beyond_its_message(void)
{
	const struct msg_key_ask body = { .wish = { .action = KEY_VERIFY_HASH, .hash_len = 60 } };

	tell(ROLE_KEYHOLDER, MSG_KEY_ASK, &body, "short", 5);
	return cut_off(ROLE_KEYHOLDER);
}

const char *try_wishes_without_end(void)
{
	const struct msg_key_ask body = { .wish = { .action = KEY_NEXT } };

	return endless(ROLE_KEYHOLDER, MSG_KEY_ASK, &body, NULL, 0);
}
