/* Keys that programs bring: what a worker that was taken over lends, and what of others' it can get at. */
#include "tests/lib/treason/treason.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/mman.h>

#define ECDSA_P256_SHA256 0x0403

static const struct msg_key_lent *lent;

/* Whether this descriptor is taken for a key; then *lent says which. */
static const char *lend(int fd)
{
	static struct msg_key_lent body;
	struct msg msg;

	tell_raw(ROLE_KEYHOLDER, MSG_KEY_LEND, sizeof(struct msg_header) + sizeof(struct msg_key_lend),
		 fd, 1);
	if (hear(ROLE_KEYHOLDER, SOON_MS, &msg) != HEARD)
		return "no answer";
	if (msg.type != MSG_KEY_LENT)
		return "another answer";
	memcpy(&body, msg.body, sizeof(body));
	lent = &body;
	if (body.error == TLSB_E_NONE)
		return SUCCEEDED;
	return body.error == TLSB_E_PARAMETER && body.key == 0 ? NO_KEY : "another error";
}

/* As a program's library makes it. */
static int file_of(const void *bytes, size_t len, int seals)
{
	int fd = memfd_create("key", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || fcntl(fd, F_ADD_SEALS, seals) < 0)
		_exit(1);
	return fd;
}

int key_file(int seals)
{
	/* A worker has no algorithms that write keys. */
	OSSL_LIB_CTX *worker = OSSL_LIB_CTX_set0_default(OSSL_LIB_CTX_get0_global_default());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	unsigned char *der = NULL;
	int len = i2d_PrivateKey(key, &der), fd = file_of(der, (size_t)len, seals);

	EVP_PKEY_free(key);
	OPENSSL_free(der);
	(void)OSSL_LIB_CTX_set0_default(worker);
	return fd;
}

static const char *sign(uint32_t key, const char *who)
{
	const struct msg_sign body = { .id = key, .key = key, .scheme = ECDSA_P256_SHA256 };
	const struct msg_signed *answer;
	char text[256];
	size_t len = (size_t)snprintf(text, sizeof(text), "%64sTLS 1.3, %s CertificateVerify", "", who);
	struct msg msg;

	memset(text + len + 1, 0x5a, 32);
	tell(ROLE_KEYHOLDER, MSG_SIGN, &body, text, len + 33);
	if (hear(ROLE_KEYHOLDER, SOON_MS, &msg) != HEARD || msg.type != MSG_SIGNED)
		return "no answer";
	answer = msg.body;
	if (answer->error == TLSB_E_NONE && msg.tail_len > 0)
		return SIGNED;
	return answer->error == TLSB_E_POLICY && msg.tail_len == 0 ? REFUSED : "another error";
}

const char *try_a_signature_with_a_lent_key(void)
{
	const char *outcome = lend(key_file(KEY_SEALS));

	return strcmp(outcome, SUCCEEDED) == 0 ? sign(lent->key, "client") : outcome;
}

/* The other badge's worker has one lent meanwhile. */
const char *try_keys_that_other_workers_have_lent(void)
{
	for (uint32_t number = 0; number < 1000; number++) {
		const char *outcome = sign(KEY_IS_LENT | number, "client");

		if (strcmp(outcome, REFUSED) != 0)
			return outcome;
	}
	return REFUSED;
}

const char *try_what_a_lent_key_may_not_sign(void)
{
	const char *outcome = lend(key_file(KEY_SEALS));

	return strcmp(outcome, SUCCEEDED) == 0 ? sign(lent->key, "server") : outcome;
}

const char *try_a_key_that_was_given_back(void)
{
	const char *outcome = lend(key_file(KEY_SEALS));
	const struct msg_key_back back = { .key = lent ? lent->key : 0 };

	if (strcmp(outcome, SUCCEEDED) != 0)
		return outcome;
	tell(ROLE_KEYHOLDER, MSG_KEY_BACK, &back, NULL, 0);
	return sign(back.key, "client");
}

const char *try_garbage_as_a_key(void)
{
	static const char garbage[LIMIT_KEY_BYTES] = "-----BEGIN PRIVATE KEY-----\n";
	const char *outcome = NO_KEY;

	for (size_t len = 1; len <= sizeof(garbage) && strcmp(outcome, NO_KEY) == 0; len *= 2) {
		int fd = file_of(garbage, len, KEY_SEALS);

		outcome = lend(fd);
		close(fd);
	}
	return outcome;
}

const char *try_a_file_that_is_not_sealed(void)
{
	return lend(key_file(F_SEAL_SHRINK));
}

const char *try_its_channel_as_a_key(void)
{
	return lend(me.keyholder);
}

const char *try_the_trust_index_as_a_key(void)
{
	return lend(me.trust);
}

const char *try_a_key_that_it_has_not_to_be_given_back(void)
{
	const struct msg_key_back back = { .key = KEY_IS_LENT | 1 };

	tell(ROLE_KEYHOLDER, MSG_KEY_BACK, &back, NULL, 0);
	return cut_off(ROLE_KEYHOLDER);
}

const char *try_more_keys_than_there_may_be(void)
{
	int fd = key_file(KEY_SEALS);

	for (unsigned i = 0; i <= LIMIT_LENT; i++)
		tell_raw(ROLE_KEYHOLDER, MSG_KEY_LEND,
			 sizeof(struct msg_header) + sizeof(struct msg_key_lend), fd, 1);
	return cut_off(ROLE_KEYHOLDER);
}

const char *try_a_key_without_a_descriptor(void)
{
	tell_raw(ROLE_KEYHOLDER, MSG_KEY_LEND, sizeof(struct msg_header) + sizeof(struct msg_key_lend), -1,
		 0);
	return cut_off(ROLE_KEYHOLDER);
}
