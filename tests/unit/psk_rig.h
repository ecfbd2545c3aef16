/*
 * A worker with pre-shared keys, as worker_rig.h has it, a keyholder that is the test, and a server that
 * knows keys.  Header-only.
 */
#ifndef TLSB_TESTS_PSK_RIG_H
#define TLSB_TESTS_PSK_RIG_H

#include "worker_rig.h"

#define PSK_NAMES 2

/* What a server knows; one for all, since OpenSSL's callbacks have no argument. */
struct psk_server {
	const char *identity; /* NULL: none */
	unsigned char key[LIMIT_PSK_BYTES];
	size_t len;
	unsigned asked; /* how often a client has offered any */
};

static struct psk_server psk_server;

struct psk_rig {
	struct rig rig;
	struct program program;
	SSL_CTX *server; /* has the leaf's certificate, and psk_server */
	unsigned char key[32]; /* of "key1", which servers call "sensor7" */
};

/* "key1" is called "sensor7", and "key2" what has every byte that may be. */
#define PSK_IDENTITY_1 "sensor7"
#define PSK_IDENTITY_2 "%n %s:\\\"\xc3\xa4"

static const char psk_ciphers[] =
	"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:"
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-PSK-CHACHA20-POLY1305:PSK-AES128-GCM-SHA256";

/* ---- the server ---- */

static inline bool psk_is_known(const char *identity, size_t len)
{
	psk_server.asked++;
	return psk_server.identity && strlen(psk_server.identity) == len &&
	       memcmp(psk_server.identity, identity, len) == 0;
}

static inline int psk_on_find(SSL *ssl, const unsigned char *identity, size_t len, SSL_SESSION **ret)
{
	static const unsigned char suite[] = { 0x13, 0x01 };
	SSL_SESSION *session;

	*ret = NULL;
	if (!psk_is_known((const char *)identity, len))
		return 1;
	session = SSL_SESSION_new();
	assert_int_equal(SSL_SESSION_set1_master_key(session, psk_server.key, psk_server.len), 1);
	assert_int_equal(SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, suite)), 1);
	assert_int_equal(SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION), 1);
	*ret = session;
	return 1;
}

static inline unsigned psk_on_key(SSL *ssl unused_, const char *identity, unsigned char *key,
				  unsigned max)
{
	if (!psk_is_known(identity, strlen(identity)))
		return 0;
	assert_true(psk_server.len <= max);
	memcpy(key, psk_server.key, psk_server.len);
	return (unsigned)psk_server.len;
}

/* Shows LEAF; NULL: has no certificate. */
static inline SSL_CTX *psk_server_new(const struct testing_identity *leaf)
{
	SSL_CTX *ctx = leaf ? server_new(leaf, NULL, NULL) : SSL_CTX_new(TLS_server_method());

	SSL_CTX_set_psk_find_session_callback(ctx, psk_on_find);
	SSL_CTX_set_psk_server_callback(ctx, psk_on_key);
	assert_int_equal(SSL_CTX_set_cipher_list(ctx, "ALL:PSK@SECLEVEL=0"), 1);
	return ctx;
}

static inline void psk_server_knows(const char *identity, const void *key, size_t len)
{
	psk_server = (struct psk_server){ .identity = identity, .len = len };
	memcpy(psk_server.key, key, len);
}

/* ---- as the supervisor ---- */

/* A policy with COUNT psks, which follow, and a pin if there is one; then trust. */
static inline void psk_policy(struct psk_rig *psk, uint16_t flags, const char *ciphers, unsigned count,
			      const struct pin *pin)
{
	static const char *const identities[PSK_NAMES] = { PSK_IDENTITY_1, PSK_IDENTITY_2 };
	const struct msg_policy policy = {
		.version_min = TLSB_TLS_1_2,
		.flags = flags,
		.max_sessions = LIMIT_SESSIONS_PER_UID,
		.max_memory = LIMIT_RING_BYTES_PER_UID,
		.pin_count = pin != NULL,
		.psk_count = (uint16_t)count,
	};
	char tail[LIMIT_CIPHERS + PIN_BYTES], *end = stpcpy(tail, ciphers ? ciphers : psk_ciphers);

	if (pin)
		end = mempcpy(end, pin, sizeof(*pin));
	assert_int_equal(msg_send(psk->rig.supervisor, &internal_messages, MSG_POLICY, &policy, tail,
				  (size_t)(end - tail), NULL),
			 0);
	for (unsigned i = 0; i < count; i++) {
		const struct msg_psk body = { .key = i + 1, .name_len = 4 };
		char text[64];

		snprintf(text, sizeof(text), "key%u%s", i + 1, identities[i]);
		rig_tell(&psk->rig, MSG_PSK, &body, text, NULL);
	}
	rig_trust(&psk->rig, psk->rig.root.x509);
}

static inline void psk_init(struct psk_rig *psk)
{
	*psk = (struct psk_rig){ .server = NULL };
	rig_init(&psk->rig);
	for (unsigned i = 0; i < sizeof(psk->key); i++)
		psk->key[i] = (unsigned char)(i * 7 + 1);
	psk_policy(psk, POLICY_MAY_BRING_CA | POLICY_MAY_BRING_PSK, NULL, PSK_NAMES, NULL);
	psk->server = psk_server_new(&psk->rig.leaf);
	psk_server_knows(PSK_IDENTITY_1, psk->key, sizeof(psk->key));
	rig_program(&psk->rig, &psk->program);
}

static inline void psk_deinit(struct psk_rig *psk)
{
	fd_close(psk->program.fd);
	RIG_UNTIL(&psk->rig, LIST_EMPTY(&rig_worker(&psk->rig)->all_sessions));
	rig_expect_no_sessions(&psk->rig);
	rig_deinit(&psk->rig);
	SSL_CTX_free(psk->server);
}

/* ---- as the keyholder ---- */

/* The next key that is wanted; false when there is none. */
static inline bool psk_hears(struct psk_rig *psk, struct msg_psk_wanted *ret)
{
	const struct msg_context ctx = { &internal_messages, ROLE_KEYHOLDER, ROLE_WORKER, RUN };
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;

	if (msg_recv(psk->rig.keyholder, &ctx, &buf, &msg, &rule) != 1) {
		assert_int_equal(rule, RULE_NONE);
		return false;
	}
	assert_int_equal(msg.type, MSG_PSK_WANTED);
	*ret = *(const struct msg_psk_wanted *)msg.body;
	return true;
}

static inline void psk_says(struct psk_rig *psk, uint64_t id, uint32_t error, const void *key,
			    size_t len)
{
	const struct msg_psk_given body = { .id = id, .error = error };

	assert_int_equal(msg_send(psk->rig.keyholder, &internal_messages, MSG_PSK_GIVEN, &body, key,
				  len, NULL),
			 0);
}

/* ---- as a program ---- */

static inline bool psk_is_established(const struct program_session *session)
{
	return session->channel.page && session_word(&session->channel.page->state) == STATE_ESTABLISHED;
}

/* A session up to where its key is wanted. */
static inline void psk_begin(struct psk_rig *psk, struct program_session *session, struct peer *peer,
			     const struct wish *wish, SSL_CTX *server, struct msg_psk_wanted *ret)
{
	rig_connect(&psk->rig, &psk->program, session, wish, peer, server);
	RIG_UNTIL(&psk->rig, psk_hears(psk, ret));
	assert_false(session_is_over(session));
}

/* The same, and it is given. */
static inline void psk_connect(struct psk_rig *psk, struct program_session *session, struct peer *peer,
			       const struct wish *wish, SSL_CTX *server)
{
	struct msg_psk_wanted wanted;

	if (wish->psk_key) {
		rig_connect(&psk->rig, &psk->program, session, wish, peer, server);
		return;
	}
	psk_begin(psk, session, peer, wish, server, &wanted);
	psk_says(psk, wanted.id, TLSB_E_NONE, psk->key, sizeof(psk->key));
}

static inline void psk_end(struct psk_rig *psk, struct program_session *session, struct peer *peer)
{
	session_close(session);
	rig_forget(&psk->rig, peer); /* else its end would be waited for */
	RIG_UNTIL(&psk->rig, LIST_EMPTY(&rig_worker(&psk->rig)->all_sessions));
}

#endif
