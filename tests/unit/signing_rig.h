/*
 * A worker with identities, as worker_rig.h has it, and a keyholder that is the test: it makes the
 * signatures that it is asked for, when the test wants it.  Header-only.
 */
#ifndef TLSB_TESTS_SIGNING_RIG_H
#define TLSB_TESTS_SIGNING_RIG_H

#include "worker_rig.h"

#include "keyholder/input.h"
#include "keyholder/sign.h"
#include "worker/signing.h"

#define SIGNING_IDENTITIES 6

/* What the worker wants signed. */
struct wanted {
	struct msg_sign sign;
	size_t len;
	uint8_t bytes[LIMIT_SIGN_BYTES + LIMIT_TAIL];
};

struct signing_rig {
	struct rig rig;
	struct testing_identity root; /* of programs */
	struct testing_identity identities[SIGNING_IDENTITIES];
	char names[SIGNING_IDENTITIES][8]; /* "id1", ...; their keys' numbers are 1, ... */
	unsigned count;
	SSL_CTX *server; /* asks who they are */
	struct program program;
};

static inline EVP_PKEY *signing_key(const char *type, const char *group, unsigned bits)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	assert_true(EVP_PKEY_keygen_init(ctx) > 0);
	if (group)
		assert_true(EVP_PKEY_CTX_set_group_name(ctx, group) > 0);
	if (bits)
		assert_true(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits) > 0);
	assert_true(EVP_PKEY_generate(ctx, &key) > 0);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* As the supervisor: its certificate and that of the CA.  FD is consumed. */
static inline void signing_say_identity(struct rig *rig, uint32_t key, const char *name, int fd)
{
	const struct msg_identity body = { .key = key };

	rig_tell(rig, MSG_IDENTITY, &body, name, &fd);
}

static inline int chain_file(X509 *own, X509 *issuer)
{
	unsigned char bytes[16384], *at = bytes;
	int fd;

	i2d_X509(own, &at);
	if (issuer)
		i2d_X509(issuer, &at);
	assert_int_equal(fd_sealed_copy("chain", (char *)bytes, (size_t)(at - bytes), &fd), 0);
	return fd;
}

/* As the supervisor: a policy with COUNT identities, which follow. */
static inline void signing_policy(struct rig *rig, uint16_t count)
{
	const struct msg_policy policy = {
		.version_min = TLSB_TLS_1_2,
		.flags = POLICY_MAY_BRING_CA,
		.max_sessions = LIMIT_SESSIONS_PER_UID,
		.max_memory = LIMIT_RING_BYTES_PER_UID,
		.identity_count = count,
	};
	struct bounds all;

	bounds_init(&all);
	rig_tell(rig, MSG_POLICY, &policy, all.ciphers, NULL);
}

/* All that there are, of those keys. */
static inline void signing_identities(struct signing_rig *signing)
{
	signing_policy(&signing->rig, (uint16_t)signing->count);
	for (unsigned i = 0; i < signing->count; i++)
		signing_say_identity(&signing->rig, i + 1, signing->names[i],
				     chain_file(signing->identities[i].x509, signing->root.x509));
	rig_turn(&signing->rig);
}

/* KEY becomes the rig's. */
static inline void signing_add(struct signing_rig *signing, EVP_PKEY *key)
{
	unsigned i = signing->count++;

	signing->identities[i] = cert_new((struct cert_spec){ .name = "me", .key = key },
					  &signing->root);
	snprintf(signing->names[i], sizeof(signing->names[i]), "id%u", i + 1);
}

/* With one identity, "id1", of a P-256 key. */
static inline void signing_init(struct signing_rig *signing)
{
	*signing = (struct signing_rig){ .count = 0 };
	rig_init(&signing->rig);
	signing->root = cert_new((struct cert_spec){ .name = "programs", .is_ca = true }, NULL);
	signing_add(signing, signing_key("EC", "P-256", 0));
	signing_identities(signing);
	signing->server = server_new(&signing->rig.leaf, NULL, NULL);
	assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(signing->server),
					     signing->root.x509), 1);
	SSL_CTX_set_verify(signing->server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	rig_program(&signing->rig, &signing->program);
}

static inline void signing_deinit(struct signing_rig *signing)
{
	fd_close(signing->program.fd);
	RIG_UNTIL(&signing->rig, LIST_EMPTY(&rig_worker(&signing->rig)->all_sessions));
	rig_expect_no_sessions(&signing->rig);
	assert_int_equal(rig_worker(&signing->rig)->fibre_count, 0);
	assert_true(TAILQ_EMPTY(&rig_worker(&signing->rig)->signings_in_line));
	rig_deinit(&signing->rig);
	SSL_CTX_free(signing->server);
	testing_identity_free(&signing->root);
	for (unsigned i = 0; i < signing->count; i++)
		testing_identity_free(&signing->identities[i]);
}

/* ---- as the keyholder ---- */

/* The next thing to be signed; false when there is none. */
static inline bool keyholder_hears(struct signing_rig *signing, struct wanted *ret)
{
	const struct msg_context ctx = { &internal_messages, ROLE_KEYHOLDER, ROLE_WORKER, RUN };
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;

	ret->len = 0;
	while (msg_recv(signing->rig.keyholder, &ctx, &buf, &msg, &rule) == 1) {
		assert_true(ret->len + msg.tail_len <= sizeof(ret->bytes));
		memcpy(ret->bytes + ret->len, msg.tail, msg.tail_len);
		ret->len += msg.tail_len;
		if (msg.type != MSG_SIGN)
			continue;
		assert_true(ret->len <= LIMIT_SIGN_BYTES);
		ret->sign = *(const struct msg_sign *)msg.body;
		return true;
	}
	assert_int_equal(rule, RULE_NONE);
	assert_int_equal(ret->len, 0);
	return false;
}

static inline void keyholder_says(struct signing_rig *signing, uint64_t id, uint32_t error,
				  const void *bytes, size_t len)
{
	const struct msg_signed body = { .id = id, .error = error };

	assert_int_equal(msg_send(signing->rig.keyholder, &internal_messages, MSG_SIGNED, &body,
				  bytes, len, NULL),
			 0);
}

/* It is what a keyholder signs; its signature. */
static inline void keyholder_signs(struct signing_rig *signing, const struct wanted *wanted)
{
	const struct scheme *scheme = scheme_of_code(wanted->sign.scheme);
	struct signature signature;

	assert_in_range(wanted->sign.key, 1, signing->count);
	assert_non_null(scheme);
	assert_int_not_equal(input_version(wanted->bytes, wanted->len), 0);
	assert_int_equal(sign(signing->identities[wanted->sign.key - 1].key, scheme, wanted->bytes,
			      wanted->len, &signature),
			 0);
	keyholder_says(signing, wanted->sign.id, TLSB_E_NONE, signature.bytes, signature.len);
}

#endif
