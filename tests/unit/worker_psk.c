/*
 * Sessions that know their server by a pre-shared key: with servers that have it, have another one, know
 * nothing of it, or lie; with a keyholder that answers, refuses, answers late, or dies; and after a reload.
 * Whatever happens, no server is accepted that has neither the key nor a certificate.
 */
#include "psk_rig.h"
#include "testing_clock.h"

#define ROOM 64

static const uint32_t versions[] = { TLSB_TLS_1_2, TLSB_TLS_1_3 };

static struct wish wish_of(uint32_t version, const char *name)
{
	return (struct wish){ .psk = name, .version_min = version, .version_max = version };
}

/* It is established; PSK is by which the server is known, "" by its certificate. */
static void expect_known(struct psk_rig *psk, const struct wish *wish, SSL_CTX *server, const char *name)
{
	struct program_session session;
	const struct tlsb_info *info;
	struct peer peer;

	psk_connect(psk, &session, &peer, wish, server);
	RIG_UNTIL(&psk->rig, session_is_over(&session) || (peer.shaken && psk_is_established(&session)));
	if (session.channel.page->error)
		fail_msg("%s", session.channel.page->text);
	info = &session.channel.page->info;
	assert_string_equal(info->psk, name);
	assert_int_equal(info->resumed, 0);
	assert_int_equal(info->verified, 1);
	assert_int_equal(info->subject[0] == '\0', name[0] != '\0');
	assert_null(LIST_FIRST(&rig_worker(&psk->rig)->all_sessions)->request);
	psk_end(psk, &session, &peer);
}

static void expect_failure(struct psk_rig *psk, const struct wish *wish, SSL_CTX *server, uint32_t error,
			   const char *words)
{
	struct program_session session;
	struct peer peer;

	psk_connect(psk, &session, &peer, wish, server);
	RIG_UNTIL(&psk->rig, session_is_over(&session));
	session_expect_end(&session, error, words);
	psk_end(psk, &session, &peer);
}

/* ---- it works ---- */

static void both_versions_know_a_server_by_its_key(void **state unused_)
{
	struct psk_rig psk;

	psk_init(&psk);
	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
		struct wish wish = wish_of(versions[i], "key1");
		SSL_CTX *bare = psk_server_new(NULL);

		expect_known(&psk, &wish, psk.server, "key1");
		expect_known(&psk, &wish, bare, "key1");
		psk_server_knows(PSK_IDENTITY_2, psk.key, sizeof(psk.key));
		wish.psk = "key2";
		expect_known(&psk, &wish, bare, "key2");
		/* The program's own; text that is not printable is escaped. */
		psk_server_knows("m\xc3\xbcller", "0123456789abcdef", 16);
		wish.psk = "m\xc3\xbcller";
		wish.psk_key = "0123456789abcdef";
		wish.psk_len = 16;
		expect_known(&psk, &wish, bare, "m\\xc3\\xbcller");
		psk_server_knows(PSK_IDENTITY_1, psk.key, sizeof(psk.key));
		SSL_CTX_free(bare);
	}
	psk_deinit(&psk);
}

/* The suites of TLS 1.2 in the order of the policy, and those that the program asks for. */
static void suites_are_those_of_the_policy(void **state unused_)
{
	static const struct {
		const char *policy, *program, *agreed;
	} rows[] = {
		{ NULL, NULL, "ECDHE-PSK-CHACHA20-POLY1305" },
		{ NULL, "PSK-AES128-GCM-SHA256", "PSK-AES128-GCM-SHA256" },
		{ "PSK-CHACHA20-POLY1305:ECDHE-PSK-CHACHA20-POLY1305", NULL, "PSK-CHACHA20-POLY1305" },
		{ "ECDHE-ECDSA-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384", NULL, "PSK-AES256-GCM-SHA384" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct wish wish = wish_of(TLSB_TLS_1_2, "key1");
		struct program_session session;
		struct psk_rig psk;
		struct peer peer;

		psk_init(&psk);
		psk_policy(&psk, 0, rows[i].policy, PSK_NAMES, NULL);
		wish.ciphers = rows[i].program;
		psk_connect(&psk, &session, &peer, &wish, psk.server);
		RIG_UNTIL(&psk.rig, peer.shaken && psk_is_established(&session));
		assert_string_equal(session.channel.page->info.cipher, rows[i].agreed);
		psk_end(&psk, &session, &peer);
		psk_deinit(&psk);
	}
}

/* The server's first choice would be a suite with which it could not take the key. */
static void a_server_is_offered_what_goes_with_the_key(void **state unused_)
{
	struct psk_rig psk;

	psk_init(&psk);
	SSL_CTX_set_options(psk.server, SSL_OP_CIPHER_SERVER_PREFERENCE);
	assert_int_equal(SSL_CTX_set_ciphersuites(psk.server, "TLS_AES_256_GCM_SHA384:"
							      "TLS_CHACHA20_POLY1305_SHA256"), 1);
	expect_known(&psk, &(struct wish){ .psk = "key1" }, psk.server, "key1");
	psk_deinit(&psk);
}

/* A server that wants another group says so first (HelloRetryRequest). */
static void the_key_is_offered_again_after_a_retry(void **state unused_)
{
	struct psk_rig psk;

	psk_init(&psk);
	assert_int_equal(SSL_CTX_set1_groups_list(psk.server, "P-384"), 1);
	expect_known(&psk, &(struct wish){ .psk = "key1" }, psk.server, "key1");
	psk_deinit(&psk);
}

static void nothing_is_offered_without_being_asked_for(void **state unused_)
{
	struct psk_rig psk;

	psk_init(&psk);
	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
		const struct wish wish = wish_of(versions[i], NULL);
		struct program_session session;
		struct msg_psk_wanted wanted;
		struct peer peer;

		rig_connect(&psk.rig, &psk.program, &session, &wish, &peer, psk.server);
		RIG_UNTIL(&psk.rig, peer.shaken && psk_is_established(&session));
		assert_string_equal(session.channel.page->info.psk, "");
		assert_int_equal(psk_server.asked, 0);
		assert_false(psk_hears(&psk, &wanted));
		psk_end(&psk, &session, &peer);
	}
	psk_deinit(&psk);
}

/* ---- servers ---- */

static void a_server_with_another_key_is_refused(void **state unused_)
{
	struct psk_rig psk;

	psk_init(&psk);
	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
		const struct wish wish = wish_of(versions[i], "key1");

		psk_server_knows(PSK_IDENTITY_1, "this is another key", 19);
		expect_failure(&psk, &wish, psk.server, TLSB_E_PSK, "pre-shared key key1");
		/* One bit. */
		psk.key[31] ^= 1;
		psk_server_knows(PSK_IDENTITY_1, psk.key, sizeof(psk.key));
		psk.key[31] ^= 1;
		expect_failure(&psk, &wish, psk.server, TLSB_E_PSK, "pre-shared key key1");
	}
	psk_deinit(&psk);
}

static void a_server_that_does_not_know_the_key_is_refused(void **state unused_)
{
	struct psk_rig psk;

	psk_init(&psk);
	psk_server_knows("sensor8", psk.key, sizeof(psk.key));
	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
		const struct wish wish = wish_of(versions[i], "key1");
		SSL_CTX *bare = psk_server_new(NULL);

		expect_failure(&psk, &wish, bare, TLSB_E_PSK, "pre-shared key key1");
		SSL_CTX_free(bare);
	}
	psk_deinit(&psk);
}

/* One that ignores it, knows no such thing, or chooses another suite: as if nothing had been offered. */
static void a_server_that_shows_a_certificate_is_verified_by_it(void **state unused_)
{
	struct testing_identity stranger = cert_new((struct cert_spec){ .name = "x", .is_ca = true }, NULL);
	struct testing_identity unknown = cert_new((struct cert_spec){ .name = "leaf",
					.names = "DNS:server.example" }, &stranger);
	struct psk_rig psk;

	psk_init(&psk);
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(versions); i++) {
		const struct wish wish = wish_of(versions[i / 2], "key1");
		struct testing_identity misnamed = cert_new((struct cert_spec){ .name = "other",
					.names = "DNS:other.example" }, &psk.rig.root);
		SSL_CTX *good = i % 2 ? server_new(&psk.rig.leaf, NULL, NULL) : psk_server_new(&psk.rig.leaf);
		SSL_CTX *bad = i % 2 ? server_new(&unknown, NULL, NULL) : psk_server_new(&unknown);
		SSL_CTX *wrong = i % 2 ? server_new(&misnamed, NULL, NULL) : psk_server_new(&misnamed);

		/* Those that would know keys have no other suites, or not this one. */
		psk_server_knows("sensor8", psk.key, sizeof(psk.key));
		assert_int_equal(SSL_CTX_set_cipher_list(good, "ECDHE-ECDSA-AES128-GCM-SHA256"), 1);
		assert_int_equal(SSL_CTX_set_cipher_list(bad, "ECDHE-ECDSA-AES128-GCM-SHA256"), 1);
		assert_int_equal(SSL_CTX_set_cipher_list(wrong, "ECDHE-ECDSA-AES128-GCM-SHA256"), 1);
		expect_known(&psk, &wish, good, "");
		expect_failure(&psk, &wish, bad, TLSB_E_CERT_INCOMPLETE, "not trusted here");
		expect_failure(&psk, &wish, wrong, TLSB_E_CERT_NAME, "not for server.example");
		SSL_CTX_free(good);
		SSL_CTX_free(bad);
		SSL_CTX_free(wrong);
		testing_identity_free(&misnamed);
	}
	testing_identity_free(&stranger);
	testing_identity_free(&unknown);
	psk_deinit(&psk);
}

/* Case 38: what a server of TLS 1.2 says to help in choosing is not read by anybody. */
static void case_38_hints_of_servers_are_passed_over(void **state unused_)
{
	static const char *const hints[] = { "%n%n%s%s", "a\nb\r\n\x1b[31m", "", "sensor8", "\xff\xfe" };
	char longest[PSK_MAX_IDENTITY_LEN + 1];
	struct psk_rig psk;

	psk_init(&psk);
	memset(longest, 'h', sizeof(longest));
	longest[PSK_MAX_IDENTITY_LEN] = '\0';
	for (unsigned i = 0; i <= ARRAY_SIZE(hints); i++) {
		const struct wish wish = wish_of(TLSB_TLS_1_2, "key1");

		assert_int_equal(SSL_CTX_use_psk_identity_hint(psk.server, i < ARRAY_SIZE(hints)
								? hints[i] : longest), 1);
		expect_known(&psk, &wish, psk.server, "key1");
	}
	psk_deinit(&psk);
}

/* ---- what is refused before anything is sent ---- */

static void expect_refused(struct psk_rig *psk, const struct wish *wish, uint32_t error, const char *words)
{
	struct program_session session;
	struct msg_psk_wanted wanted;

	assert_int_equal(rig_session(&psk->rig, &psk->program, &session, wish), 0);
	assert_true(session.refused);
	if (!strstr(session.text, words))
		fail_msg("\"%s\" does not say \"%s\"", session.text, words);
	assert_int_equal(session.error, error);
	assert_false(psk_hears(psk, &wanted));
	session_close(&session);
}

static void keys_of_others_are_refused(void **state unused_)
{
	static const char *const names[] = { "key3", "key", "key11", "KEY1", ".", PSK_IDENTITY_1, "%n" };
	struct psk_rig psk;

	psk_init(&psk);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		expect_refused(&psk, &(struct wish){ .psk = names[i] }, TLSB_E_POLICY,
			       "psks: the program has none of the name that it asks for");
	psk_deinit(&psk);
}

static void what_the_policy_demands_is_no_keys_to_lower(void **state unused_)
{
	const struct wish named = { .psk = "key1" };
	const struct wish own = { .psk = "x", .psk_key = "0123456789abcdef", .psk_len = 16 };
	const struct pin pin = { { 1 } };
	const struct pins pins = { .count = 1 };
	const struct wish pinned = { .psk = "key1", .pins = &pins };
	const struct wish sha384 = { .psk = "key1", .ciphers = "TLS_AES_256_GCM_SHA384",
				     .version_min = TLSB_TLS_1_3 };
	const struct wish no_psk = { .psk = "key1", .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256",
				     .version_max = TLSB_TLS_1_2 };
	struct psk_rig psk;

	psk_init(&psk);
	expect_refused(&psk, &pinned, TLSB_E_PARAMETER, "pins a certificate's key");
	expect_refused(&psk, &sha384, TLSB_E_POLICY, "ciphers: none of those");
	expect_refused(&psk, &no_psk, TLSB_E_POLICY, "ciphers: none of those");
	psk_policy(&psk, POLICY_MAY_BRING_PSK, NULL, PSK_NAMES, &pin);
	expect_refused(&psk, &named, TLSB_E_POLICY, "pins: the server's certificate is demanded");
	expect_refused(&psk, &own, TLSB_E_POLICY, "pins: the server's certificate is demanded");
	psk_policy(&psk, 0, NULL, PSK_NAMES, NULL);
	expect_refused(&psk, &own, TLSB_E_POLICY, "own-psk: ");
	expect_known(&psk, &named, psk.server, "key1");
	psk_policy(&psk, POLICY_MAY_BRING_PSK, NULL, 0, NULL);
	expect_refused(&psk, &named, TLSB_E_POLICY, "psks: ");
	psk_policy(&psk, POLICY_MAY_BRING_PSK, "TLS_AES_256_GCM_SHA384", 1, NULL);
	expect_refused(&psk, &named, TLSB_E_POLICY, "ciphers: none of those");
	psk_deinit(&psk);
}

/* With a list of revoked certificates, or an OCSP response, too. */
static void what_says_whether_it_was_revoked_demands_a_certificate(void **state unused_)
{
	struct bounds bounds;

	bounds_init(&bounds);
	assert_null(bounds_against_psk(&bounds));
	bounds.has_crls = true;
	assert_non_null(strstr(bounds_against_psk(&bounds), "crl: "));
	bounds.has_crls = false;
	bounds.needs_staple = true;
	assert_non_null(strstr(bounds_against_psk(&bounds), "require-ocsp-staple: "));
}

/* Case 38: as the library would not send them. */
static void case_38_messages_that_lie_end_the_session(void **state unused_)
{
	static const struct {
		uint32_t name_len;
		const char *tail;
		size_t tail_len;
	} lies[] = {
		{ 0, "", 0 },
		{ 0, "0123456789abcdef", 16 },
		{ 2, "x", 1 },
		{ UINT32_MAX, "x", 1 },
		{ 65536, "x", 1 },
		{ 1, "x0123456789abcde", 16 }, /* a byte too short */
		{ 1, "x0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefX", 66 },
		{ 3, "a\0b", 3 },
		{ 3, "a\nb", 3 },
		{ 3, "a\x1b""b", 3 },
		{ 1, "\x7f", 1 },
	};
	struct psk_rig psk;

	psk_init(&psk);
	for (unsigned i = 0; i <= ARRAY_SIZE(lies); i++) {
		char longest[LIMIT_PSK_IDENTITY + 1];
		struct program_session session;
		struct msg_preshared body;

		memset(longest, 'x', sizeof(longest));
		body.name_len = i < ARRAY_SIZE(lies) ? lies[i].name_len : sizeof(longest);
		body.reserved = 0;
		program_open(&psk.program, &session);
		assert_int_equal(program_send(session.fd, CLIENT_MSG_PRESHARED, &body,
					      i < ARRAY_SIZE(lies) ? lies[i].tail : longest,
					      i < ARRAY_SIZE(lies) ? lies[i].tail_len : sizeof(longest),
					      NULL), 0);
		rig_turn(&psk.rig);
		session_listen(&session);
		assert_true(session.refused);
		assert_int_equal(session.error, TLSB_E_BROKER_PROTOCOL);
		session_close(&session);
	}
	/* Twice. */
	for (unsigned i = 0; i < 2; i++) {
		const struct wish wish = { .psk = "key1" };
		struct program_session session;

		program_open(&psk.program, &session);
		session_ask_psk(&session, &wish);
		if (i > 0)
			session_ask_psk(&session, &wish);
		rig_turn(&psk.rig);
		session_listen(&session);
		assert_int_equal(session.refused, i > 0);
		session_close(&session);
	}
	rig_turn(&psk.rig);
	psk_deinit(&psk);
}

/* ---- resumption ---- */

/* In order, and behind the tickets: else OpenSSL resumes nothing of it. */
static void end_in_order(struct psk_rig *psk, struct program_session *session, struct peer *peer)
{
	peer_say(peer, "x", 1);
	RIG_UNTIL(&psk->rig, session->channel.page->rx.head.value == 1);
	session_disconnect(session);
	RIG_UNTIL(&psk->rig, peer->end == PEER_CLOSED);
	psk_end(psk, session, peer);
}

/* What was known by a key is not resumed, with or without it; nor is what was known by a certificate, with it. */
static void nothing_is_resumed_around_a_key(void **state unused_)
{
	struct psk_rig psk;

	psk_init(&psk);
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(versions); i++) {
		const struct wish with = wish_of(versions[i / 2], "key1");
		const struct wish without = wish_of(versions[i / 2], NULL);
		const struct wish *const order[] = { &with, &without, &with, &with, &without };
		unsigned resumed = 0;

		rig_trust(&psk.rig, psk.rig.root.x509); /* nothing is left of before */
		psk_server_knows(i % 2 ? "sensor8" : PSK_IDENTITY_1, psk.key, sizeof(psk.key));
		assert_int_equal(SSL_CTX_set_cipher_list(psk.server, i % 2 ? "ECDHE-ECDSA-AES128-GCM-SHA256"
						: "ALL:PSK@SECLEVEL=0"), 1);
		for (unsigned n = 0; n < ARRAY_SIZE(order); n++) {
			struct program_session session;
			struct peer peer;

			if (order[n]->psk)
				psk_connect(&psk, &session, &peer, order[n], psk.server);
			else
				rig_connect(&psk.rig, &psk.program, &session, order[n], &peer,
					    psk.server);
			RIG_UNTIL(&psk.rig, peer.shaken && psk_is_established(&session));
			resumed += session.channel.page->info.resumed;
			assert_int_equal(session.channel.page->info.resumed, n == 4);
			end_in_order(&psk, &session, &peer);
		}
		assert_int_equal(resumed, 1); /* that would be found, if it were */
	}
	psk_deinit(&psk);
}

/* ---- the keyholder ---- */

static void what_the_keyholder_refuses_ends_the_session(void **state unused_)
{
	static const struct {
		uint32_t answer;
		size_t len;
		uint32_t error;
		const char *words;
	} rows[] = {
		{ TLSB_E_POLICY, 0, TLSB_E_POLICY, "psks: the key is not for this program any more" },
		{ TLSB_E_RESOURCES, 0, TLSB_E_RESOURCES, "cannot use this pre-shared key" },
		{ UINT32_MAX, 32, TLSB_E_RESOURCES, "cannot use this pre-shared key" },
		{ TLSB_E_NONE, 0, TLSB_E_RESOURCES, "cannot use this pre-shared key" },
		{ TLSB_E_NONE, LIMIT_PSK_LEAST - 1, TLSB_E_RESOURCES, "cannot use this pre-shared key" },
	};
	const struct wish wish = { .psk = "key1" };
	struct psk_rig psk;

	psk_init(&psk);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct program_session session;
		struct msg_psk_wanted wanted;
		struct peer peer;

		psk_begin(&psk, &session, &peer, &wish, psk.server, &wanted);
		assert_int_equal(wanted.key, 1);
		psk_says(&psk, wanted.id, rows[i].answer, psk.key, rows[i].len);
		RIG_UNTIL(&psk.rig, session_is_over(&session));
		session_expect_end(&session, rows[i].error, rows[i].words);
		assert_int_equal(psk_server.asked, 0);
		psk_end(&psk, &session, &peer);
	}
	expect_known(&psk, &wish, psk.server, "key1");
	psk_deinit(&psk);
}

/* For nobody, before the question, and twice. */
static void answers_that_nobody_waits_for_are_dropped(void **state unused_)
{
	const struct wish wish = { .psk = "key1" };
	struct program_session session;
	struct msg_psk_wanted wanted;
	struct psk_rig psk;
	struct peer peer;
	uint64_t id;

	psk_init(&psk);
	psk_says(&psk, 1, TLSB_E_NONE, psk.key, sizeof(psk.key));
	id = rig_session(&psk.rig, &psk.program, &session, &wish);
	psk_says(&psk, id, TLSB_E_NONE, "wrong wrong wrong wrong", 23); /* it is being dialled */
	rig_turn(&psk.rig);
	session_close(&session);
	RIG_UNTIL(&psk.rig, LIST_EMPTY(&rig_worker(&psk.rig)->all_sessions));
	psk_begin(&psk, &session, &peer, &wish, psk.server, &wanted);
	psk_end(&psk, &session, &peer);
	psk_says(&psk, wanted.id, TLSB_E_NONE, psk.key, sizeof(psk.key));
	psk_says(&psk, wanted.id, TLSB_E_POLICY, NULL, 0);
	rig_turn(&psk.rig);
	assert_int_equal(rig_worker(&psk.rig)->signs_asked.psks, 0);
	expect_known(&psk, &wish, psk.server, "key1");
	psk_deinit(&psk);
}

static void a_keyholder_that_dies_is_followed_by_another(void **state unused_)
{
	const struct wish wish = { .psk = "key1" };
	struct program_session session;
	struct msg_psk_wanted wanted;
	struct psk_rig psk;
	struct peer peer;

	psk_init(&psk);
	psk_begin(&psk, &session, &peer, &wish, psk.server, &wanted);
	rig_replace(&psk.rig, MSG_KEYHOLDER_CHAN, &psk.rig.keyholder);
	RIG_UNTIL(&psk.rig, psk_hears(&psk, &wanted));
	psk_says(&psk, wanted.id, TLSB_E_NONE, psk.key, sizeof(psk.key));
	RIG_UNTIL(&psk.rig, peer.shaken && psk_is_established(&session));
	psk_end(&psk, &session, &peer);
	/* The second that dies over it: it may be the reason. */
	psk_begin(&psk, &session, &peer, &wish, psk.server, &wanted);
	rig_replace(&psk.rig, MSG_KEYHOLDER_CHAN, &psk.rig.keyholder);
	RIG_UNTIL(&psk.rig, psk_hears(&psk, &wanted));
	psk.rig.keyholder = fd_close(psk.rig.keyholder);
	RIG_UNTIL(&psk.rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_WORKER_DIED, "keyholder died");
	psk_end(&psk, &session, &peer);
	rig_replace(&psk.rig, MSG_KEYHOLDER_CHAN, &psk.rig.keyholder);
	expect_known(&psk, &wish, psk.server, "key1");
	psk_deinit(&psk);
}

/* While one waits, others come, and go on; it is given up at its deadline. */
static void who_waits_holds_up_nobody(void **state unused_)
{
	const struct wish hasty = { .psk = "key1", .deadline_ms = 400 };
	struct program_session waiting, other;
	struct peer waiting_peer, other_peer;
	struct msg_psk_wanted wanted;
	struct psk_rig psk;

	psk_init(&psk);
	psk_begin(&psk, &waiting, &waiting_peer, &hasty, psk.server, &wanted);
	rig_establish(&psk.rig, &psk.program, &other, &anything, &other_peer);
	assert_false(session_is_over(&waiting));
	RIG_UNTIL(&psk.rig, session_is_over(&waiting));
	session_expect_end(&waiting, TLSB_E_TIMEOUT, "no TLS handshake");
	session_close(&waiting);
	rig_forget(&psk.rig, &waiting_peer);
	psk_end(&psk, &other, &other_peer);
	psk_deinit(&psk);
}

/* No more than so many questions are open at once; those that have to wait are asked for later. */
static void many_wait_their_turn(void **state unused_)
{
	static struct program_session sessions[LIMIT_SIGNS + ROOM];
	static struct peer peers[LIMIT_SIGNS + ROOM];
	const struct wish wish = { .psk = "key1" };
	struct msg_psk_wanted wanted[LIMIT_SIGNS + ROOM];
	struct psk_rig psk;
	unsigned heard = 0;

	psk_init(&psk);
	for (unsigned i = 0; i < ARRAY_SIZE(sessions); i++) {
		rig_connect(&psk.rig, &psk.program, &sessions[i], &wish, &peers[i], NULL);
		for (int p = 0; p < RIG_PEERS; p++)
			psk.rig.peers[p] = NULL;
	}
	while (psk_hears(&psk, &wanted[heard]))
		heard++;
	assert_int_equal(heard, LIMIT_SIGNS);
	for (unsigned i = 0; i < ARRAY_SIZE(sessions); i++) {
		assert_true(i < heard);
		psk_says(&psk, wanted[i].id, TLSB_E_NONE, psk.key, sizeof(psk.key));
		rig_turn(&psk.rig);
		while (heard < ARRAY_SIZE(wanted) && psk_hears(&psk, &wanted[heard]))
			heard++;
		assert_true(heard - i - 1 <= LIMIT_SIGNS);
	}
	assert_int_equal(heard, ARRAY_SIZE(sessions));
	assert_int_equal(rig_worker(&psk.rig)->signs_asked.psks, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(sessions); i++) {
		session_close(&sessions[i]);
		peer_deinit(&peers[i]);
	}
	psk_deinit(&psk);
}

/* ---- after a reload ---- */

static void expect_ended(struct psk_rig *psk, const struct wish *wish, uint16_t flags, unsigned count,
			 const struct pin *pin, const char *words)
{
	const struct wish plain = { .flags = CONNECT_NO_RESUMPTION };
	struct program_session session, other;
	struct peer peer, other_peer;

	psk_policy(psk, POLICY_MAY_BRING_PSK, NULL, PSK_NAMES, NULL);
	psk_connect(psk, &session, &peer, wish, psk->server);
	RIG_UNTIL(&psk->rig, peer.shaken && psk_is_established(&session));
	if (!pin)
		rig_establish(&psk->rig, &psk->program, &other, &plain, &other_peer);
	psk_policy(psk, POLICY_MAY_BRING_PSK, NULL, PSK_NAMES, NULL);
	rig_run_for(&psk->rig, 10);
	assert_false(session_is_over(&session)); /* all of it is as it was */
	psk_policy(psk, flags, NULL, count, pin);
	RIG_UNTIL(&psk->rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_POLICY, words);
	if (!pin) {
		rig_run_for(&psk->rig, 5);
		assert_false(session_is_over(&other));
		session_close(&other);
		rig_forget(&psk->rig, &other_peer);
	}
	psk_end(psk, &session, &peer);
}

static void a_reload_ends_what_may_not_be_any_more(void **state unused_)
{
	const struct wish own = { .psk = PSK_IDENTITY_1, .psk_len = 32 };
	const struct pin pin = { { 1 } };
	struct psk_rig psk;

	psk_init(&psk);
	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
		struct wish named = wish_of(versions[i], "key1"), brought = own;

		brought.psk_key = psk.key;
		brought.version_max = versions[i];
		expect_ended(&psk, &named, POLICY_MAY_BRING_PSK, 0, NULL,
			     "psks: the one by which the server is known is not this badge's any more");
		expect_ended(&psk, &named, POLICY_MAY_BRING_PSK, PSK_NAMES, &pin, "pins: ");
		expect_ended(&psk, &brought, 0, PSK_NAMES, NULL, "own-psk: ");
	}
	psk_deinit(&psk);
}

/* It is taken away while the session is on its way. */
static void a_key_that_was_taken_away_meanwhile_is_of_no_use(void **state unused_)
{
	const struct wish wish = { .psk = "key1" };
	struct program_session session;
	struct msg_psk_wanted wanted;
	struct psk_rig psk;
	struct peer peer;

	psk_init(&psk);
	psk_begin(&psk, &session, &peer, &wish, psk.server, &wanted);
	psk_policy(&psk, POLICY_MAY_BRING_PSK, NULL, 0, NULL);
	psk_says(&psk, wanted.id, TLSB_E_NONE, psk.key, sizeof(psk.key)); /* it does not know yet */
	RIG_UNTIL(&psk.rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_POLICY, "psks: ");
	psk_end(&psk, &session, &peer);
	psk_deinit(&psk);
}

/* ---- what the supervisor may not say ---- */

static int add(uint32_t expected, struct msg_psk body, const char *tail, size_t len)
{
	const struct msg msg = { .body = &body, .tail = tail, .tail_len = (uint32_t)len };
	struct psks psks = { 0 };
	int r;

	assert_int_equal(psks_begin(&psks, expected), 0);
	r = psks_add(&psks, &msg);
	psks_deinit(&psks);
	return r;
}

static void names_that_make_no_sense_are_refused(void **state unused_)
{
	char tail[LIMIT_BADGE + LIMIT_PSK_IDENTITY + 1];
	struct psks psks = { 0 };

	memset(tail, 'x', sizeof(tail));
	assert_int_equal(add(1, (struct msg_psk){ .key = 1, .name_len = 1 }, "ab", 2), 0);
	assert_int_equal(add(1, (struct msg_psk){ .key = 1, .name_len = LIMIT_BADGE }, tail,
			     LIMIT_BADGE + LIMIT_PSK_IDENTITY), 0);
	assert_int_equal(add(0, (struct msg_psk){ .key = 1, .name_len = 1 }, "ab", 2), -EBADMSG);
	assert_int_equal(add(1, (struct msg_psk){ .key = 0, .name_len = 1 }, "ab", 2), -EBADMSG);
	assert_int_equal(add(1, (struct msg_psk){ .key = 1, .name_len = 0 }, "ab", 2), -EBADMSG);
	assert_int_equal(add(1, (struct msg_psk){ .key = 1, .name_len = 2 }, "ab", 2), -EBADMSG);
	assert_int_equal(add(1, (struct msg_psk){ .key = 1, .name_len = 3 }, "ab", 2), -EBADMSG);
	assert_int_equal(add(1, (struct msg_psk){ .key = 1, .name_len = 1 }, "a\0b", 3), -EBADMSG);
	assert_int_equal(add(1, (struct msg_psk){ .key = 1, .name_len = LIMIT_BADGE + 1 }, tail,
			     LIMIT_BADGE + 2), -EBADMSG);
	assert_int_equal(add(1, (struct msg_psk){ .key = 1, .name_len = LIMIT_BADGE }, tail,
			     sizeof(tail)), -EBADMSG);
	assert_int_equal(psks_begin(&psks, LIMIT_PSKS), 0);
	assert_int_equal(psks_begin(&psks, LIMIT_PSKS + 1), -EBADMSG);
	psks_deinit(&psks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_versions_know_a_server_by_its_key),
		TEST(suites_are_those_of_the_policy),
		TEST(a_server_is_offered_what_goes_with_the_key),
		TEST(the_key_is_offered_again_after_a_retry),
		TEST(nothing_is_offered_without_being_asked_for),
		TEST(a_server_with_another_key_is_refused),
		TEST(a_server_that_does_not_know_the_key_is_refused),
		TEST(a_server_that_shows_a_certificate_is_verified_by_it),
		TEST(case_38_hints_of_servers_are_passed_over),
		TEST(keys_of_others_are_refused),
		TEST(what_the_policy_demands_is_no_keys_to_lower),
		TEST(what_says_whether_it_was_revoked_demands_a_certificate),
		TEST(case_38_messages_that_lie_end_the_session),
		TEST(nothing_is_resumed_around_a_key),
		TEST(what_the_keyholder_refuses_ends_the_session),
		TEST(answers_that_nobody_waits_for_are_dropped),
		TEST(a_keyholder_that_dies_is_followed_by_another),
		TEST(who_waits_holds_up_nobody),
		TEST(many_wait_their_turn),
		TEST(a_reload_ends_what_may_not_be_any_more),
		TEST(a_key_that_was_taken_away_meanwhile_is_of_no_use),
		TEST(names_that_make_no_sense_are_refused),
	};

	return testing_run(tests);
}
