/*
 * Pins: the badge's and the program's, each a floor of its own, with each way to verify and without.
 */
#include "worker_rig.h"
#include "testing_clock.h"

#include "worker/pins.h"

/* root -> between -> leaf, and a stranger. */
enum who { ROOT, BETWEEN, LEAF, STRANGER, WHO_COUNT };

struct scene {
	struct rig rig;
	struct testing_identity between, leaf, stranger;
	struct pin pins[WHO_COUNT];
	SSL_CTX *server;
	struct testing_text root_pem;
};

static struct pin pin_of(const struct testing_identity *identity)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(identity->key, &der);
	struct pin pin;

	assert_true(len > 0 && EVP_Digest(der, (size_t)len, pin.bytes, NULL, EVP_sha256(), NULL));
	OPENSSL_free(der);
	return pin;
}

static void scene_init(struct scene *scene)
{
	*scene = (struct scene){ .server = NULL };
	rig_init_with(&scene->rig, 1);
	scene->between = cert_new((struct cert_spec){ .name = "between", .is_ca = true },
				  &scene->rig.root);
	scene->leaf = cert_new((struct cert_spec){ .name = "leaf", .names = "DNS:server.example" },
			       &scene->between);
	scene->stranger = cert_new((struct cert_spec){ .name = "stranger", .is_ca = true }, NULL);
	scene->pins[ROOT] = pin_of(&scene->rig.root);
	scene->pins[BETWEEN] = pin_of(&scene->between);
	scene->pins[LEAF] = pin_of(&scene->leaf);
	scene->pins[STRANGER] = pin_of(&scene->stranger);
	/* What the server sends besides is no part of what is verified. */
	scene->server = server_new(&scene->leaf, scene->between.x509, scene->stranger.x509);
	testing_append_pem(&scene->root_pem, scene->rig.root.x509);
}

static void scene_deinit(struct scene *scene)
{
	SSL_CTX_free(scene->server);
	testing_identity_free(&scene->between);
	testing_identity_free(&scene->leaf);
	testing_identity_free(&scene->stranger);
	free(scene->root_pem.data);
	rig_deinit(&scene->rig);
}

/* A set of these: a bit for each of enum who. */
static struct pins set_of(const struct scene *scene, unsigned who)
{
	struct pins pins = { .count = 0 };

	for (unsigned i = 0; i < WHO_COUNT; i++) {
		if (who >> i & 1)
			pins.list[pins.count++] = scene->pins[i];
	}
	return pins;
}

/* As the supervisor. */
static void policy(struct scene *scene, const struct pins *pins)
{
	const struct msg_policy body = {
		.version_min = TLSB_TLS_1_2,
		.flags = POLICY_MAY_BRING_CA | POLICY_MAY_SKIP_VERIFY,
		.max_sessions = LIMIT_SESSIONS_PER_UID,
		.max_memory = LIMIT_RING_BYTES_PER_UID,
		.pin_count = (uint16_t)pins->count,
	};
	char tail[LIMIT_CIPHERS + sizeof(pins->list)], *end = tail;
	struct bounds all;

	bounds_init(&all);
	end = mempcpy(end, all.ciphers, strlen(all.ciphers));
	end = mempcpy(end, pins->list, pins->count * sizeof(pins->list[0]));
	assert_int_equal(msg_send(scene->rig.supervisor, &internal_messages, MSG_POLICY, &body, tail,
				  (size_t)(end - tail), NULL),
			 0);
	rig_turn(&scene->rig);
}

/* One session.  Returns its error; *ret_resumed unless that is NULL. */
static uint32_t outcome(struct scene *scene, const struct wish *wish, bool *ret_resumed)
{
	struct rig *rig = &scene->rig;
	struct program_session session;
	struct program program;
	struct peer peer;
	uint32_t error;

	rig_program(rig, &program);
	rig_connect(rig, &program, &session, wish, &peer, scene->server);
	RIG_UNTIL(rig, session_is_over(&session) ||
			       (peer.shaken && session_word(&session.channel.page->state) ==
						       STATE_ESTABLISHED));
	error = session.channel.page->error;
	if (error == TLSB_E_CERT_PIN)
		assert_non_null(strstr(session.channel.page->text,
				       "server.example has none of the keys that "));
	if (error != TLSB_E_NONE)
		assert_int_equal(peer.got.len, 0);
	if (ret_resumed)
		*ret_resumed = peer.resumed;
	if (error == TLSB_E_NONE) {
		peer_say(&peer, "x", 1); /* comes behind the tickets */
		RIG_UNTIL(rig, session.channel.page->rx.head.value == 1);
		session_disconnect(&session);
		RIG_UNTIL(rig, peer.end != PEER_RUNS);
	}
	session_close(&session);
	rig_forget(rig, &peer);
	close(program.fd);
	RIG_UNTIL(rig, LIST_EMPTY(&rig_worker(rig)->all_sessions));
	return error;
}

static void both_sets_of_pins_have_to_match(void **state unused_)
{
	const unsigned verified = 1 << ROOT | 1 << BETWEEN | 1 << LEAF;
	struct scene scene;

	scene_init(&scene);
	for (unsigned badge = 0; badge < 1 << WHO_COUNT; badge++) {
		const struct pins badge_pins = set_of(&scene, badge);

		policy(&scene, &badge_pins);
		for (unsigned own = 0; own < 1 << WHO_COUNT; own++) {
			const struct pins own_pins = set_of(&scene, own);
			const unsigned version = own % 2 ? TLSB_TLS_1_2 : TLSB_TLS_1_3;
			const bool good = (badge == 0 || (badge & verified)) &&
					  (own == 0 || (own & verified));
			const struct wish wish = { .pins = &own_pins, .version_max = version,
						   .flags = CONNECT_NO_RESUMPTION };

			assert_int_equal(outcome(&scene, &wish, NULL),
					 good ? TLSB_E_NONE : TLSB_E_CERT_PIN);
		}
	}
	scene_deinit(&scene);
}

static void pins_hold_with_a_ca_of_the_programs_own(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	for (unsigned who = 0; who < WHO_COUNT; who++) {
		const struct pins pins = set_of(&scene, 1 << who);
		struct wish wish = { .ca = scene.root_pem.data };
		const uint32_t wanted = who == STRANGER ? TLSB_E_CERT_PIN : TLSB_E_NONE;

		policy(&scene, &pins);
		assert_int_equal(outcome(&scene, &wish, NULL), wanted);
		policy(&scene, &(struct pins){ .count = 0 });
		wish.pins = &pins;
		assert_int_equal(outcome(&scene, &wish, NULL), wanted);
	}
	scene_deinit(&scene);
}

/* Nobody has verified that the others in the chain have to do with the server. */
static void without_verification_only_the_servers_own_key_counts(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	for (unsigned who = 0; who < WHO_COUNT; who++) {
		const struct pins pins = set_of(&scene, 1 << who);
		struct wish wish = { .flags = CONNECT_NO_VERIFY, .name = "other.example" };
		const uint32_t wanted = who == LEAF ? TLSB_E_NONE : TLSB_E_CERT_PIN;

		wish.name = NULL;
		policy(&scene, &pins);
		assert_int_equal(outcome(&scene, &wish, NULL), wanted);
		policy(&scene, &(struct pins){ .count = 0 });
		wish.pins = &pins;
		assert_int_equal(outcome(&scene, &wish, NULL), wanted);
		assert_int_equal(outcome(&scene, &(struct wish){ .flags = CONNECT_NO_VERIFY }, NULL),
				 TLSB_E_NONE);
	}
	scene_deinit(&scene);
}

static void expect_resumed(struct scene *scene, const struct wish *wish, bool wanted)
{
	bool resumed;

	assert_int_equal(outcome(scene, wish, &resumed), TLSB_E_NONE);
	assert_int_equal(resumed, wanted);
}

static void no_session_is_resumed_past_a_pin(void **state unused_)
{
	for (unsigned version = TLSB_TLS_1_2; version <= TLSB_TLS_1_3; version++) {
		struct wish plain = { .version_max = version, .version_min = version };
		struct wish with_leaf = plain, with_stranger = plain, with_root = plain;
		struct pins leaf, root, stranger;
		struct scene scene;

		scene_init(&scene);
		leaf = set_of(&scene, 1 << LEAF);
		root = set_of(&scene, 1 << ROOT);
		stranger = set_of(&scene, 1 << STRANGER);
		with_leaf.pins = &leaf;
		with_root.pins = &root;
		with_stranger.pins = &stranger;
		expect_resumed(&scene, &plain, false);
		expect_resumed(&scene, &plain, true);
		expect_resumed(&scene, &with_leaf, false); /* another request */
		expect_resumed(&scene, &with_leaf, true);
		expect_resumed(&scene, &with_root, false);
		assert_int_equal(outcome(&scene, &with_stranger, NULL), TLSB_E_CERT_PIN);
		policy(&scene, &leaf); /* what was verified before it is verified anew */
		expect_resumed(&scene, &plain, false);
		expect_resumed(&scene, &plain, true);
		policy(&scene, &stranger);
		assert_int_equal(outcome(&scene, &plain, NULL), TLSB_E_CERT_PIN);
		scene_deinit(&scene);
	}
}

/* It would resume what was verified without the pin, and the policy changes while it is dialled. */
static void a_pin_that_comes_while_a_session_is_dialled_holds(void **state unused_)
{
	struct program_session session;
	struct program program;
	struct scene scene;
	struct pins pins;
	struct peer peer;
	uint64_t id;
	int pair[2];

	scene_init(&scene);
	pins = set_of(&scene, 1 << STRANGER);
	assert_int_equal(outcome(&scene, &anything, NULL), TLSB_E_NONE);
	rig_program(&scene.rig, &program);
	id = rig_session(&scene.rig, &program, &session, &anything);
	policy(&scene, &pins);
	tcp_pair(pair);
	peer_init(&peer, scene.server, pair[1]);
	scene.rig.peers[0] = &peer;
	rig_dialed(&scene.rig, id, pair[0]);
	RIG_UNTIL(&scene.rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_CERT_PIN, "the broker's policy has pinned");
	session_close(&session);
	rig_forget(&scene.rig, &peer);
	close(program.fd);
	rig_turn(&scene.rig);
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_sets_of_pins_have_to_match),
		TEST(pins_hold_with_a_ca_of_the_programs_own),
		TEST(without_verification_only_the_servers_own_key_counts),
		TEST(no_session_is_resumed_past_a_pin),
		TEST(a_pin_that_comes_while_a_session_is_dialled_holds),
	};

	return testing_run(tests);
}
