/* Signatures that it should not get. */
#include "tests/lib/treason/treason.h"

#include <stdio.h>

static const char *answered(uint64_t id)
{
	const struct msg_signed *body;
	struct msg msg;

	if (hear(ROLE_KEYHOLDER, SOON_MS, &msg) != HEARD)
		return "no answer";
	body = msg.body;
	if (msg.type != MSG_SIGNED || body->id != id)
		return "another answer";
	if (body->error == TLSB_E_NONE && msg.tail_len > 0)
		return SIGNED;
	return body->error == TLSB_E_POLICY && msg.tail_len == 0 ? REFUSED : "another error";
}

static const char *sign(uint32_t key, uint16_t scheme, const void *bytes, size_t len)
{
	const struct msg_sign body = { .id = key, .key = key, .scheme = scheme };

	tell(ROLE_KEYHOLDER, MSG_SIGN, &body, bytes, len);
	return answered(key);
}

/* RFC 8446, 4.4.3: spaces, who signs, NUL, and a hash. */
static size_t verify_text(char text[256], const char *who, size_t hash)
{
	int len = snprintf(text, 256, "%64sTLS 1.3, %s CertificateVerify", "", who);

	memset(text + len + 1, 0x5a, hash);
	text[len] = '\0';
	return (size_t)len + 1 + hash;
}

#define ECDSA_P256_SHA256 0x0403
#define ECDSA_SHA1	  0x0203
#define RSA_PSS_SHA256	  0x0804

static const char *sign_as(uint32_t key, uint16_t scheme, const char *who, size_t hash)
{
	char text[256];

	return sign(key, scheme, text, verify_text(text, who, hash));
}

const char *try_signature_with_its_own_key(void)
{
	return sign_as(me.key, ECDSA_P256_SHA256, "client", 32);
}

const char *try_a_signature_with_its_psk(void)
{
	return sign_as(me.psk, ECDSA_P256_SHA256, "client", 32);
}

/* Case 15. */
const char *try_every_other_keys_number(void)
{
	for (uint32_t key = 0; key <= 2 * LIMIT_IDENTITIES; key++) {
		const char *outcome = REFUSED;

		if (key != me.key)
			outcome = sign_as(key, ECDSA_P256_SHA256, "client", 32);
		if (strcmp(outcome, REFUSED) != 0)
			return outcome;
	}
	return REFUSED;
}

const char *try_a_key_that_nobody_has(void)
{
	return sign_as(UINT32_MAX, ECDSA_P256_SHA256, "client", 32);
}

const char *try_what_a_server_signs(void)
{
	return sign_as(me.key, ECDSA_P256_SHA256, "server", 32);
}

const char *try_arbitrary_bytes(void)
{
	return sign(me.key, ECDSA_P256_SHA256, "I owe you", 9);
}

const char *try_nothing_at_all(void)
{
	return sign(me.key, ECDSA_P256_SHA256, NULL, 0);
}

/* How what a CA signs begins: TBSCertificate, version 3. */
const char *try_a_certificate(void)
{
	static const uint8_t tbs[300] = { 0x30, 0x82, 0x01, 0x28, 0xa0, 0x03, 0x02, 0x01, 0x02 };

	return sign(me.key, ECDSA_P256_SHA256, tbs, sizeof(tbs));
}

const char *try_what_a_client_signs_and_more(void)
{
	return sign_as(me.key, ECDSA_P256_SHA256, "client", 100);
}

const char *try_a_hash_too_short(void)
{
	return sign_as(me.key, ECDSA_P256_SHA256, "client", 20);
}

/* A ServerHello, then a ClientHello, of TLS 1.2. */
const char *try_a_handshake_out_of_order(void)
{
	static const uint8_t flight[] = { 2, 0, 0, 2, 3, 3, 1, 0, 0, 2, 3, 3 };

	return sign(me.key, ECDSA_P256_SHA256, flight, sizeof(flight));
}

const char *try_a_scheme_that_there_is_not(void)
{
	return sign_as(me.key, 0xffff, "client", 32);
}

const char *try_a_scheme_of_another_kind_of_key(void)
{
	return sign_as(me.key, RSA_PSS_SHA256, "client", 32);
}

const char *try_sha1(void)
{
	return sign_as(me.key, ECDSA_SHA1, "client", 32);
}

const char *try_parts_beyond_every_handshake(void)
{
	static const struct msg_sign_part part;
	static const char zeros[LIMIT_TAIL];

	for (unsigned i = 0; i <= LIMIT_SIGN_BYTES / LIMIT_TAIL; i++)
		tell(ROLE_KEYHOLDER, MSG_SIGN_PART, &part, zeros, sizeof(zeros));
	return cut_off(ROLE_KEYHOLDER);
}

#define SIGN_BYTES (sizeof(struct msg_header) + sizeof(struct msg_sign))

const char *try_a_signature_with_a_descriptor(void)
{
	tell_raw(ROLE_KEYHOLDER, MSG_SIGN, SIGN_BYTES, me.trust, 1);
	return cut_off(ROLE_KEYHOLDER);
}

/* The keyholder with the connector's channel in its hands; and its own. */
const char *try_its_other_channels_as_a_present(void)
{
	tell_raw(ROLE_KEYHOLDER, MSG_SIGN, SIGN_BYTES, me.connector, 2);
	tell_raw(ROLE_KEYHOLDER, MSG_SIGN, SIGN_BYTES, me.keyholder, 2);
	return cut_off(ROLE_KEYHOLDER);
}

const char *try_signatures_without_end(void)
{
	const struct msg_sign body = { .key = me.key, .scheme = ECDSA_P256_SHA256 };
	char text[256];
	size_t len = verify_text(text, "client", 32);

	return endless(ROLE_KEYHOLDER, MSG_SIGN, &body, text, len);
}

/* One each LIMIT_CONNECTOR_AWAY_MS / 2; and it serves as the first one did. */
const char *try_a_channel_for_each_question(void)
{
	uint64_t began = clock_ms();
	int channels = want_channels(MSG_KEYHOLDER_WANTED, MSG_KEYHOLDER_CHAN, &me.keyholder);

	if (channels < 0 || (uint64_t)channels > (clock_ms() - began) / 500 + 1)
		return "as many channels as it likes";
	return strcmp(try_signature_with_its_own_key(), SIGNED) == 0 ? BOUNDED : "no signature any more";
}
