/* Pre-shared keys that it should not get. */
#include "tests/lib/treason/treason.h"

static const char *want(uint32_t key)
{
	const struct msg_psk_wanted body = { .id = key, .key = key };
	const struct msg_psk_given *given;
	struct msg msg;

	tell(ROLE_KEYHOLDER, MSG_PSK_WANTED, &body, NULL, 0);
	if (hear(ROLE_KEYHOLDER, SOON_MS, &msg) != HEARD)
		return "no answer";
	given = msg.body;
	if (msg.type != MSG_PSK_GIVEN || given->id != key)
		return "another answer";
	if (given->error == TLSB_E_NONE && msg.tail_len > 0)
		return GIVEN;
	return given->error == TLSB_E_POLICY && msg.tail_len == 0 ? REFUSED : "another error";
}

const char *try_its_own_psk(void)
{
	return want(me.psk);
}

/* Case 15. */
const char *try_every_other_psks_number(void)
{
	for (uint32_t key = 0; key <= 2 * LIMIT_KEYS; key++) {
		const char *outcome = key != me.psk ? want(key) : REFUSED;

		if (strcmp(outcome, REFUSED) != 0)
			return outcome;
	}
	return REFUSED;
}

const char *try_a_psk_that_nobody_has(void)
{
	return want(UINT32_MAX);
}

const char *try_its_private_key_as_a_psk(void)
{
	return want(me.key);
}

const char *try_a_psk_with_a_descriptor(void)
{
	tell_raw(ROLE_KEYHOLDER, MSG_PSK_WANTED,
		 sizeof(struct msg_header) + sizeof(struct msg_psk_wanted), me.trust, 1);
	return cut_off(ROLE_KEYHOLDER);
}

const char *try_psks_without_end(void)
{
	const struct msg_psk_wanted body = { .key = me.psk };

	return endless(ROLE_KEYHOLDER, MSG_PSK_WANTED, &body, NULL, 0);
}
