/*
 * Sessions whose program brings a certificate and a private key: from the first message to the last byte,
 * and whatever can be wrong with either.  The worker never reads the key; nothing is dialled before the
 * keyholder, which is the test, has said that it belongs to the certificate.
 */
#include "signing_rig.h"
#include "testing_clock.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/hostile/oddities.h"
#include "worker/lending.h"

struct scene {
	struct signing_rig signing;
	struct testing_text cert; /* of the first identity, and its CA's */
	int key; /* a file with its key */
	struct wish wish;
};

static int key_file(const EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int len = i2d_PrivateKey(key, &der), fd;

	assert_int_equal(fd_sealed_copy("key", der, (size_t)len, &fd), 0);
	OPENSSL_free(der);
	return fd;
}

static void policy(struct scene *scene, uint16_t flags)
{
	rig_policy(&scene->signing.rig, TLSB_TLS_1_2, flags, NULL);
	rig_turn(&scene->signing.rig);
}

static void scene_init(struct scene *scene)
{
	*scene = (struct scene){ .cert = { .len = 0 } };
	signing_init(&scene->signing);
	policy(scene, POLICY_MAY_BRING_CERT);
	testing_append_pem(&scene->cert, scene->signing.identities[0].x509);
	testing_append_pem(&scene->cert, scene->signing.root.x509);
	scene->key = key_file(scene->signing.identities[0].key);
	scene->wish = (struct wish){ .cert = &scene->cert, .key = scene->key,
				     .flags = CONNECT_NO_RESUMPTION };
}

static void scene_deinit(struct scene *scene)
{
	struct worker *worker = rig_worker(&scene->signing.rig);

	close(scene->key);
	free(scene->cert.data);
	RIG_UNTIL(&scene->signing.rig, LIST_EMPTY(&worker->all_sessions));
	assert_int_equal(worker->lends_asked, 0);
	assert_int_equal(worker->lent_count, 0);
	assert_true(TAILQ_EMPTY(&worker->lendings_in_line));
	assert_int_equal(worker->quota.ca_bytes, 0);
	signing_deinit(&scene->signing);
}

/* ---- as the keyholder ---- */

struct heard {
	uint32_t type; /* 0: nothing */
	uint64_t id;
	uint32_t key; /* of KEY_BACK */
	int fd;
	struct wanted *wanted;
};

/* The next message; a SIGN in *WANTED. */
static struct heard hears(struct scene *scene)
{
	const struct msg_context ctx = { &internal_messages, ROLE_KEYHOLDER, ROLE_WORKER, RUN };
	struct heard heard = { .type = 0, .fd = -1 };
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;

	if (msg_recv(scene->signing.rig.keyholder, &ctx, &buf, &msg, &rule) != 1)
		return heard;
	heard.type = msg.type;
	memcpy(&heard.id, msg.body, sizeof(heard.id));
	memcpy(&heard.key, msg.body, sizeof(heard.key));
	if (msg.type == MSG_KEY_LEND)
		heard.fd = msg_take_fd(&msg, 0);
	return heard;
}

static struct heard expect_lend(struct scene *scene)
{
	struct heard heard;

	RIG_UNTIL(&scene->signing.rig, (heard = hears(scene)).type != 0);
	assert_int_equal(heard.type, MSG_KEY_LEND);
	return heard;
}

static void expect_back(struct scene *scene, uint32_t key)
{
	struct heard heard;

	RIG_UNTIL(&scene->signing.rig, (heard = hears(scene)).type != 0);
	assert_int_equal(heard.type, MSG_KEY_BACK);
	assert_int_equal(heard.key, key);
}

static void says(struct scene *scene, uint64_t id, uint32_t number, uint32_t error, const void *tail,
		 size_t len)
{
	const struct msg_key_lent body = { .id = id, .key = number, .error = error,
					   .digest = { (uint8_t)number } };

	assert_int_equal(msg_send(scene->signing.rig.keyholder, &internal_messages, MSG_KEY_LENT, &body,
				  tail, len, NULL),
			 0);
}

/* It has become this number, and KEY is its public half. */
static void lent(struct scene *scene, uint64_t id, uint32_t number, const EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der);

	says(scene, id, KEY_IS_LENT | number, TLSB_E_NONE, der, (size_t)len);
	OPENSSL_free(der);
}

/* ---- sessions ---- */

static bool is_established(const struct program_session *session)
{
	return session->channel.page && session_word(&session->channel.page->state) == STATE_ESTABLISHED;
}

/* Up to where the key was lent; *ret_fd is what the worker has passed on. */
static uint64_t begin(struct scene *scene, struct program_session *session, const struct wish *wish)
{
	struct heard heard;

	program_open(&scene->signing.program, session);
	session_ask(session, wish);
	heard = expect_lend(scene);
	close(heard.fd);
	session_listen(session);
	assert_false(session->hung);
	assert_null(session->channel.page);
	assert_int_equal(rig_dial(&scene->signing.rig), 0);
	return heard.id;
}

static void connects(struct scene *scene, struct program_session *session, struct peer *peer)
{
	struct rig *rig = &scene->signing.rig;
	uint64_t id;
	int pair[2];

	RIG_UNTIL(rig, (id = rig_dial(rig)) != 0);
	session_listen(session);
	assert_non_null(session->channel.page);
	tcp_pair(pair);
	peer_init(peer, scene->signing.server, pair[1]);
	rig->peers[0] = peer;
	rig_dialed(rig, id, pair[0]);
	rig_turn(rig);
}

static void end(struct scene *scene, struct program_session *session, struct peer *peer)
{
	session_close(session);
	rig_forget(&scene->signing.rig, peer);
	RIG_UNTIL(&scene->signing.rig, LIST_EMPTY(&rig_worker(&scene->signing.rig)->all_sessions));
}

/* From the beginning to the end, with the certificate and key of this identity. */
static void expect_shown(struct scene *scene, const struct wish *wish, unsigned which)
{
	struct testing_identity *identity = &scene->signing.identities[which];
	struct program_session session;
	static struct wanted wanted;
	struct peer peer;
	X509 *shown;

	lent(scene, begin(scene, &session, wish), 7, identity->key);
	connects(scene, &session, &peer);
	RIG_UNTIL(&scene->signing.rig, keyholder_hears(&scene->signing, &wanted));
	assert_int_equal(wanted.sign.key, KEY_IS_LENT | 7);
	wanted.sign.key = which + 1;
	keyholder_signs(&scene->signing, &wanted);
	RIG_UNTIL(&scene->signing.rig,
		  session_is_over(&session) || (peer.shaken && is_established(&session)));
	assert_int_equal(session.channel.page->error, TLSB_E_NONE);
	assert_string_equal(session.channel.page->info.identity, OWN_IDENTITY);
	/* Nothing is signed any more: the key has gone back already. */
	expect_back(scene, KEY_IS_LENT | 7);
	shown = SSL_get1_peer_certificate(peer.ssl);
	assert_int_equal(X509_cmp(shown, identity->x509), 0);
	assert_int_equal(SSL_get_verify_result(peer.ssl), X509_V_OK);
	X509_free(shown);
	end(scene, &session, &peer);
	assert_int_equal(hears(scene).type, 0);
}

/* It is refused before anything is dialled, and the next one works. */
static void expect_refused(struct scene *scene, struct program_session *session, uint32_t error,
			   const char *words)
{
	RIG_UNTIL(&scene->signing.rig, session_is_over(session));
	if (!session->refused || session->error != error || !strstr(session->text, words))
		print_message("%u %s\n", session->error, session->text);
	assert_true(session->refused);
	assert_int_equal(session->error, error);
	assert_non_null(strstr(session->text, words));
	assert_int_equal(rig_dial(&scene->signing.rig), 0);
	session_close(session);
	rig_turn(&scene->signing.rig);
}

/* ---- it works ---- */

static void every_key_is_shown_in_both_versions(void **state unused_)
{
	static const struct {
		const char *type, *group;
		unsigned bits;
	} kinds[] = { { "EC", "P-384", 0 }, { "EC", "P-521", 0 }, { "ED25519", NULL, 0 },
		      { "RSA", NULL, 2048 }, { "RSA-PSS", NULL, 2048 } };
	struct scene scene;

	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		signing_add(&scene.signing, signing_key(kinds[i].type, kinds[i].group, kinds[i].bits));
	for (unsigned i = 0; i < scene.signing.count; i++) {
		for (uint32_t version = TLSB_TLS_1_2; version <= TLSB_TLS_1_3; version++) {
			struct testing_text pem = { .len = 0 };
			const struct wish wish = { .cert = &pem, .key = scene.key,
						   .version_min = version, .version_max = version,
						   .flags = CONNECT_NO_RESUMPTION };

			testing_append_pem(&pem, scene.signing.identities[i].x509);
			expect_shown(&scene, &wish, i);
			free(pem.data);
		}
	}
	scene_deinit(&scene);
}

/* PEM or DER, one certificate or more, in one message or many, with text between them. */
static void certificates_come_in_every_form(void **state unused_)
{
	static char text[16000];
	struct testing_text der = { .len = 0 }, long_pem = { .len = 0 };
	unsigned char *bytes = NULL;
	struct scene scene;
	int len;

	scene_init(&scene);
	expect_shown(&scene, &scene.wish, 0);
	len = i2d_X509(scene.signing.identities[0].x509, &bytes);
	testing_append(&der, bytes, (size_t)len);
	OPENSSL_free(bytes);
	scene.wish.cert = &der;
	expect_shown(&scene, &scene.wish, 0);
	bytes = NULL;
	len = i2d_X509(scene.signing.root.x509, &bytes);
	testing_append(&der, bytes, (size_t)len);
	OPENSSL_free(bytes);
	expect_shown(&scene, &scene.wish, 0);
	memset(text, '#', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	for (int i = 0; i < 2; i++) {
		testing_append(&long_pem, text, sizeof(text));
		testing_append_pem(&long_pem, i == 0 ? scene.signing.identities[0].x509
						     : scene.signing.root.x509);
	}
	assert_in_range(long_pem.len, LIMIT_TAIL + 1, LIMIT_OWN_CERT_BYTES);
	scene.wish.cert = &long_pem;
	expect_shown(&scene, &scene.wish, 0);
	free(der.data);
	free(long_pem.data);
	scene_deinit(&scene);
}

/* The worker passes on what it was given, the same file, and keeps none. */
static void the_key_is_passed_on_unread(void **state unused_)
{
	struct program_session session;
	struct stat given, passed;
	struct heard heard;
	struct scene scene;
	int fds;

	scene_init(&scene);
	fds = testing_count_fds();
	program_open(&scene.signing.program, &session);
	session_ask(&session, &scene.wish);
	heard = expect_lend(&scene);
	assert_int_equal(fstat(scene.key, &given), 0);
	assert_int_equal(fstat(heard.fd, &passed), 0);
	assert_int_equal(given.st_ino, passed.st_ino);
	assert_int_equal(given.st_dev, passed.st_dev);
	close(heard.fd);
	/* Both ends of the session's socket are in this process. */
	assert_int_equal(testing_count_fds(), fds + 2);
	session_close(&session);
	lent(&scene, heard.id, 1, scene.signing.identities[0].key);
	expect_back(&scene, KEY_IS_LENT | 1);
	scene_deinit(&scene);
}

static void nothing_is_shown_to_a_server_that_does_not_ask(void **state unused_)
{
	struct program_session session;
	struct scene scene;
	struct peer peer;

	scene_init(&scene);
	SSL_CTX_set_verify(scene.signing.server, SSL_VERIFY_NONE, NULL);
	lent(&scene, begin(&scene, &session, &scene.wish), 1, scene.signing.identities[0].key);
	connects(&scene, &session, &peer);
	RIG_UNTIL(&scene.signing.rig, peer.shaken && is_established(&session));
	assert_string_equal(session.channel.page->info.identity, "");
	assert_null(SSL_get0_peer_certificate(peer.ssl));
	expect_back(&scene, KEY_IS_LENT | 1);
	end(&scene, &session, &peer);
	scene_deinit(&scene);
}

/* ---- what is refused ---- */

static void a_key_of_another_certificate_is_refused(void **state unused_)
{
	struct program_session session;
	struct scene scene;
	EVP_PKEY *other;

	scene_init(&scene);
	for (int i = 0; i < 3; i++) {
		uint64_t id = begin(&scene, &session, &scene.wish);

		if (i < 2) {
			other = signing_key(i ? "RSA" : "EC", i ? NULL : "P-256", i ? 2048 : 0);
			lent(&scene, id, 5, other);
			EVP_PKEY_free(other);
		} else {
			says(&scene, id, KEY_IS_LENT | 5, TLSB_E_NONE, "garbage", 7);
		}
		expect_refused(&scene, &session, TLSB_E_PARAMETER, "does not belong to its certificate");
		expect_back(&scene, KEY_IS_LENT | 5);
	}
	expect_shown(&scene, &scene.wish, 0);
	scene_deinit(&scene);
}

static void what_the_keyholder_refuses_is_said(void **state unused_)
{
	struct program_session session;
	struct scene scene;

	scene_init(&scene);
	says(&scene, begin(&scene, &session, &scene.wish), 0, TLSB_E_PARAMETER,
	     "is protected by a passphrase", 28);
	expect_refused(&scene, &session, TLSB_E_PARAMETER,
		       "the private key that the program brought is protected by a passphrase");
	says(&scene, begin(&scene, &session, &scene.wish), 0, TLSB_E_RESOURCES, "x", 1);
	expect_refused(&scene, &session, TLSB_E_RESOURCES, "the private key that the program brought x");
	expect_shown(&scene, &scene.wish, 0);
	scene_deinit(&scene);
}

/* ASKED: what the program sent, and what is said of it. */
static void expect_cert_refused(struct scene *scene, const void *cert, size_t len, const char *words)
{
	struct testing_text text = { .len = 0 };
	struct wish wish = scene->wish;
	struct program_session session;

	testing_append(&text, cert, len);
	wish.cert = &text;
	program_open(&scene->signing.program, &session);
	session_ask(&session, &wish);
	expect_refused(scene, &session, TLSB_E_PARAMETER, words);
	assert_int_equal(hears(scene).type, 0);
	free(text.data);
}

static void what_is_no_certificate_is_refused(void **state unused_)
{
	static char much[LIMIT_OWN_CERT_BYTES];
	struct scene scene;

	scene_init(&scene);
	expect_cert_refused(&scene, "x", 1, "is no certificate, neither in PEM nor in DER");
	expect_cert_refused(&scene, "\x30\x03\x02\x01\x00", 5, "is no certificate");
	expect_cert_refused(&scene, "-----BEGIN CERTIFICATE-----\n", 28, "has no certificate in it");
	expect_cert_refused(&scene, scene.cert.data, scene.cert.len - 40,
			    "has a damaged certificate in it");
	memset(much, 0x30, sizeof(much));
	expect_cert_refused(&scene, much, sizeof(much), "is longer than a chain of certificates may be");
	expect_shown(&scene, &scene.wish, 0);
	scene_deinit(&scene);
}

static void a_weak_certificate_is_refused(void **state unused_)
{
	struct program_session session;
	struct testing_text pem = { .len = 0 };
	struct wish wish;
	struct scene scene;

	scene_init(&scene);
	signing_add(&scene.signing, signing_key("RSA", NULL, 1024));
	testing_append_pem(&pem, scene.signing.identities[1].x509);
	wish = scene.wish;
	wish.cert = &pem;
	lent(&scene, begin(&scene, &session, &wish), 1, scene.signing.identities[1].key);
	expect_refused(&scene, &session, TLSB_E_PARAMETER, "too weak");
	expect_back(&scene, KEY_IS_LENT | 1);
	free(pem.data);
	scene_deinit(&scene);
}

static void the_policy_forbids_it(void **state unused_)
{
	struct program_session session;
	struct scene scene;

	scene_init(&scene);
	policy(&scene, POLICY_MAY_BRING_CA);
	program_open(&scene.signing.program, &session);
	session_ask(&session, &scene.wish);
	expect_refused(&scene, &session, TLSB_E_POLICY, "own-certificate: ");
	assert_int_equal(hears(&scene).type, 0); /* nor was the key passed on */
	policy(&scene, POLICY_MAY_BRING_CERT);
	expect_shown(&scene, &scene.wish, 0);
	scene_deinit(&scene);
}

/* A reload that forbids it ends those that have one, at once or when they are established; no others. */
static void a_reload_forbids_it(void **state unused_)
{
	struct program_session plain, session, later;
	struct peer plain_peer, peer, later_peer;
	static struct wanted wanted;
	struct scene scene;
	struct rig *rig = &scene.signing.rig;

	scene_init(&scene);
	rig_establish(rig, &scene.signing.program, &plain, &anything, &plain_peer);
	SSL_CTX_set_verify(scene.signing.server, SSL_VERIFY_NONE, NULL); /* it need not have been seen */
	lent(&scene, begin(&scene, &session, &scene.wish), 1, scene.signing.identities[0].key);
	rig->peers[1] = rig->peers[0];
	connects(&scene, &session, &peer);
	RIG_UNTIL(rig, peer.shaken && is_established(&session));
	expect_back(&scene, KEY_IS_LENT | 1);
	SSL_CTX_set_verify(scene.signing.server, SSL_VERIFY_PEER, NULL);
	rig->peers[2] = rig->peers[0];
	lent(&scene, begin(&scene, &later, &scene.wish), 2, scene.signing.identities[0].key);
	connects(&scene, &later, &later_peer);
	RIG_UNTIL(rig, keyholder_hears(&scene.signing, &wanted));
	policy(&scene, POLICY_MAY_BRING_CA);
	rig_trust(rig, rig->root.x509);
	RIG_UNTIL(rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_POLICY, "own-certificate: ");
	wanted.sign.key = 1;
	keyholder_signs(&scene.signing, &wanted);
	RIG_UNTIL(rig, session_is_over(&later));
	session_expect_end(&later, TLSB_E_POLICY, "own-certificate: ");
	assert_false(session_is_over(&plain));
	rig_forget(rig, &peer);
	rig_forget(rig, &later_peer);
	session_close(&session);
	session_close(&later);
	expect_back(&scene, KEY_IS_LENT | 2);
	end(&scene, &plain, &plain_peer);
	scene_deinit(&scene);
}

/* ---- what a program must not say ---- */

static void expect_broken(struct scene *scene, struct program_session *session)
{
	expect_refused(scene, session, TLSB_E_BROKER_PROTOCOL, "broke the protocol");
	assert_int_equal(hears(scene).type, 0);
}

static void case_7_odd_descriptors_in_the_place_of_a_key(void **state unused_)
{
	struct oddities odd;
	struct scene scene;

	scene_init(&scene);
	oddities_open(&odd);
	for (unsigned i = 0; i < odd.count; i++) {
		struct wish wish = scene.wish;
		struct program_session session;

		wish.key = odd.fds[i];
		program_open(&scene.signing.program, &session);
		session_ask(&session, &wish);
		expect_broken(&scene, &session);
	}
	oddities_close(&odd);
	scene_deinit(&scene);
}

static void certificate_and_key_belong_together(void **state unused_)
{
	static const struct msg_own_key nothing;
	struct program_session session;
	struct scene scene;

	scene_init(&scene);
	for (int i = 0; i < 4; i++) {
		struct wish wish = scene.wish;

		program_open(&scene.signing.program, &session);
		if (i == 0)
			wish.key = 0;
		else if (i == 1)
			wish.cert = NULL;
		else if (i == 2) /* two keys */
			program_send(session.fd, CLIENT_MSG_OWN_KEY, &nothing, NULL, 0, &scene.key);
		else
			wish.identity = "id1";
		session_ask(&session, &wish);
		expect_broken(&scene, &session);
	}
	/* A part with nothing in it; and more than there may be. */
	for (int i = 0; i < 2; i++) {
		static char bytes[LIMIT_TAIL];

		program_open(&scene.signing.program, &session);
		for (unsigned at = 0; i == 1 && at < LIMIT_OWN_CERT_BYTES; at += sizeof(bytes))
			program_send(session.fd, CLIENT_MSG_OWN_CERT, &nothing, bytes, sizeof(bytes), NULL);
		program_send(session.fd, CLIENT_MSG_OWN_CERT, &nothing, "x", (size_t)i, NULL);
		expect_broken(&scene, &session);
	}
	scene_deinit(&scene);
}

/* While the key is on its way it may ring and leave, and may not ask again. */
static void a_program_that_does_not_wait(void **state unused_)
{
	struct program_session session;
	struct scene scene;
	uint64_t id;

	scene_init(&scene);
	for (uint32_t i = 0; i < 3; i++) {
		id = begin(&scene, &session, &scene.wish);
		session_bell_worker(&session);
		rig_turn(&scene.signing.rig);
		assert_false(session_is_over(&session));
		if (i == 0)
			session_close(&session);
		else if (i == 1)
			program_send(session.fd, CLIENT_MSG_DISCONNECT, &(struct msg_disconnect){ 0 },
				     NULL, 0, NULL);
		else
			session_ask(&session, &anything);
		RIG_UNTIL(&scene.signing.rig,
			  LIST_EMPTY(&rig_worker(&scene.signing.rig)->all_sessions));
		if (i > 0)
			session_close(&session);
		lent(&scene, id, i, scene.signing.identities[0].key);
		expect_back(&scene, KEY_IS_LENT | i);
	}
	scene_deinit(&scene);
}

/* ---- the line ---- */

/* More than the keyholder takes stand in line, and each that ends lets the next one in. */
static void no_more_are_lent_than_the_keyholder_takes(void **state unused_)
{
	static struct program_session sessions[LIMIT_LENT + 8];
	static uint64_t ids[ARRAY_SIZE(sessions)];
	struct heard heard;
	struct scene scene;
	unsigned count = 0;

	scene_init(&scene);
	for (unsigned i = 0; i < ARRAY_SIZE(sessions); i++) {
		program_open(&scene.signing.program, &sessions[i]);
		session_ask(&sessions[i], &scene.wish);
		rig_turn(&scene.signing.rig);
	}
	while ((heard = hears(&scene)).type == MSG_KEY_LEND) {
		close(heard.fd);
		ids[count++] = heard.id;
	}
	assert_int_equal(count, LIMIT_LENT);
	/* One is lent, and stays; one is refused; one has left. */
	lent(&scene, ids[0], 1, scene.signing.identities[0].key);
	rig_turn(&scene.signing.rig);
	assert_int_equal(hears(&scene).type, 0);
	says(&scene, ids[1], 0, TLSB_E_PARAMETER, "x", 1);
	heard = expect_lend(&scene);
	ids[1] = heard.id;
	close(heard.fd);
	session_close(&sessions[2]);
	rig_turn(&scene.signing.rig);
	assert_int_equal(hears(&scene).type, 0);
	lent(&scene, ids[2], 3, scene.signing.identities[0].key);
	expect_back(&scene, KEY_IS_LENT | 3);
	heard = expect_lend(&scene);
	ids[2] = heard.id;
	close(heard.fd);
	/* The one that was lent ends, before its handshake. */
	session_close(&sessions[0]);
	expect_back(&scene, KEY_IS_LENT | 1);
	heard = expect_lend(&scene);
	ids[0] = heard.id;
	close(heard.fd);
	for (unsigned i = 0; i < ARRAY_SIZE(sessions); i++) {
		if (i != 0 && i != 2)
			session_close(&sessions[i]);
	}
	rig_turn(&scene.signing.rig);
	/* Those in line have gone without having been asked for. */
	assert_int_equal(hears(&scene).type, 0);
	for (unsigned i = 0; i < LIMIT_LENT; i++)
		lent(&scene, ids[i], 100 + i, scene.signing.identities[0].key);
	for (unsigned i = 0; i < LIMIT_LENT; i++)
		expect_back(&scene, KEY_IS_LENT | (100 + i));
	while (rig_dial(&scene.signing.rig) != 0)
		;
	scene_deinit(&scene);
}

/* ---- the keyholder ---- */

/* What was lent is gone; what stood in line, and what is established, is not. */
static void a_keyholder_that_dies_takes_the_keys_along(void **state unused_)
{
	struct program_session session, asked, shaking, waiting;
	struct peer peer, shaking_peer;
	static struct wanted wanted;
	struct scene scene;
	struct rig *rig = &scene.signing.rig;
	struct heard heard;

	scene_init(&scene);
	SSL_CTX_set_verify(scene.signing.server, SSL_VERIFY_NONE, NULL);
	lent(&scene, begin(&scene, &session, &scene.wish), 1, scene.signing.identities[0].key);
	connects(&scene, &session, &peer);
	RIG_UNTIL(rig, peer.shaken && is_established(&session));
	expect_back(&scene, KEY_IS_LENT | 1);
	SSL_CTX_set_verify(scene.signing.server, SSL_VERIFY_PEER, NULL);
	rig->peers[1] = rig->peers[0];
	lent(&scene, begin(&scene, &shaking, &scene.wish), 2, scene.signing.identities[0].key);
	connects(&scene, &shaking, &shaking_peer);
	RIG_UNTIL(rig, keyholder_hears(&scene.signing, &wanted));
	begin(&scene, &asked, &scene.wish);
	rig->keyholder = fd_close(rig->keyholder);
	RIG_UNTIL(rig, session_is_over(&shaking) && session_is_over(&asked));
	session_expect_end(&shaking, TLSB_E_WORKER_DIED, "keyholder died");
	assert_true(asked.refused);
	assert_int_equal(asked.error, TLSB_E_WORKER_DIED);
	assert_false(session_is_over(&session));
	program_open(&scene.signing.program, &waiting);
	session_ask(&waiting, &scene.wish);
	rig_turn(rig);
	rig_replace(rig, MSG_KEYHOLDER_CHAN, &rig->keyholder);
	heard = expect_lend(&scene);
	close(heard.fd);
	assert_false(session_is_over(&waiting));
	session_close(&waiting);
	lent(&scene, heard.id, 9, scene.signing.identities[0].key);
	expect_back(&scene, KEY_IS_LENT | 9);
	session_close(&shaking);
	session_close(&asked);
	rig_forget(rig, &shaking_peer);
	end(&scene, &session, &peer);
	expect_shown(&scene, &scene.wish, 0);
	scene_deinit(&scene);
}

/* Answers that nobody has asked for, or twice: they change nothing. */
static void answers_for_nobody_are_dropped(void **state unused_)
{
	struct program_session session;
	struct scene scene;
	uint64_t id;

	scene_init(&scene);
	lent(&scene, 1, 1, scene.signing.identities[0].key);
	says(&scene, UINT64_MAX, 0, TLSB_E_PARAMETER, "x", 1);
	rig_turn(&scene.signing.rig);
	assert_int_equal(hears(&scene).type, 0);
	id = begin(&scene, &session, &scene.wish);
	lent(&scene, id, 2, scene.signing.identities[0].key);
	lent(&scene, id, 3, scene.signing.identities[0].key);
	rig_turn(&scene.signing.rig);
	assert_int_equal(hears(&scene).type, 0);
	session_close(&session);
	expect_back(&scene, KEY_IS_LENT | 2);
	while (rig_dial(&scene.signing.rig) != 0)
		;
	scene_deinit(&scene);
}

/* ---- resumption ---- */

/* NUMBER: the keyholder's, from which the test makes the digest of the key's file. */
static bool resumes(struct scene *scene, const struct wish *wish, uint32_t number)
{
	struct rig *rig = &scene->signing.rig;
	struct program_session session;
	static struct wanted wanted;
	struct peer peer;
	bool resumed;

	lent(scene, begin(scene, &session, wish), number, scene->signing.identities[0].key);
	connects(scene, &session, &peer);
	RIG_UNTIL(rig, peer.shaken || keyholder_hears(&scene->signing, &wanted));
	if (!peer.shaken) {
		wanted.sign.key = 1;
		keyholder_signs(&scene->signing, &wanted);
	}
	RIG_UNTIL(rig, peer.shaken && is_established(&session));
	resumed = peer.resumed;
	peer_say(&peer, "x", 1); /* with the tickets in front of it */
	RIG_UNTIL(rig, ring_data(&session.channel.rx, &(uint8_t *){ NULL }) > 0);
	expect_back(scene, KEY_IS_LENT | number);
	session_disconnect(&session);
	RIG_UNTIL(rig, peer.end == PEER_CLOSED);
	end(scene, &session, &peer);
	return resumed;
}

/* Who has a certificate has not its key: nobody resumes what was proven with it who has not the same. */
static void a_session_is_resumed_with_the_same_key_alone(void **state unused_)
{
	struct testing_text alone = { .len = 0 };
	struct scene scene;
	struct wish other;

	scene_init(&scene);
	scene.wish.flags = 0;
	testing_append_pem(&alone, scene.signing.identities[0].x509);
	other = scene.wish;
	other.cert = &alone;
	assert_false(resumes(&scene, &scene.wish, 1));
	assert_true(resumes(&scene, &scene.wish, 1));
	assert_false(resumes(&scene, &scene.wish, 2)); /* another file */
	assert_false(resumes(&scene, &other, 1));
	assert_true(resumes(&scene, &scene.wish, 1));
	free(alone.data);
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_key_is_shown_in_both_versions),
		TEST(certificates_come_in_every_form),
		TEST(the_key_is_passed_on_unread),
		TEST(nothing_is_shown_to_a_server_that_does_not_ask),
		TEST(a_key_of_another_certificate_is_refused),
		TEST(what_the_keyholder_refuses_is_said),
		TEST(what_is_no_certificate_is_refused),
		TEST(a_weak_certificate_is_refused),
		TEST(the_policy_forbids_it),
		TEST(a_reload_forbids_it),
		TEST(case_7_odd_descriptors_in_the_place_of_a_key),
		TEST(certificate_and_key_belong_together),
		TEST(a_program_that_does_not_wait),
		TEST(no_more_are_lent_than_the_keyholder_takes),
		TEST(a_keyholder_that_dies_takes_the_keys_along),
		TEST(answers_for_nobody_are_dropped),
		TEST(a_session_is_resumed_with_the_same_key_alone),
	};

	return testing_run(tests);
}
