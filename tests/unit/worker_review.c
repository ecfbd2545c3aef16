/*
 * After a reload: which established sessions a worker ends, with what words, and that the others do not
 * notice.
 */
#include "worker_rig.h"
#include "testing_clock.h"

#include "worker/pins.h"

#define V12 "ECDHE-ECDSA-AES128-GCM-SHA256"
#define V13 "TLS_AES_128_GCM_SHA256"
#define MAY_ALL (POLICY_MAY_BRING_CA | POLICY_MAY_SKIP_VERIFY)

/* A session of each kind, and another one that nothing is wrong with. */
struct scene {
	struct rig rig;
	struct program program;
	struct program_session session;
	struct peer peer;
	struct testing_text root_pem;
};

static void scene_init(struct scene *scene, struct wish wish, bool own_ca)
{
	*scene = (struct scene){ .session = { .fd = -1 } };
	rig_init_with(&scene->rig, 1);
	testing_append_pem(&scene->root_pem, scene->rig.root.x509);
	if (own_ca)
		wish.ca = scene->root_pem.data;
	rig_program(&scene->rig, &scene->program);
	rig_establish(&scene->rig, &scene->program, &scene->session, &wish, &scene->peer);
	scene->peer.echo = true;
}

static void scene_deinit(struct scene *scene)
{
	session_close(&scene->session);
	rig_forget(&scene->rig, &scene->peer);
	fd_close(scene->program.fd);
	rig_turn(&scene->rig);
	RIG_UNTIL(&scene->rig, LIST_EMPTY(&rig_worker(&scene->rig)->all_sessions));
	rig_expect_no_sessions(&scene->rig);
	free(scene->root_pem.data);
	rig_deinit(&scene->rig);
}

static void expect_echo(struct scene *scene)
{
	struct testing_text sent = noise(5000, 3), got = { 0 };

	assert_int_equal(session_write(&scene->session, sent.data, sent.len), sent.len);
	RIG_UNTIL(&scene->rig,
		  (session_read(&scene->session, &got, sent.len), got.len == sent.len));
	assert_true(same(&got, &sent));
	free(sent.data);
	free(got.data);
}

/* As the supervisor on a reload: all of it is said again. */
static void reload(struct scene *scene, uint16_t version_min, uint16_t flags, const char *ciphers,
		   const struct pin *pin, X509 *root)
{
	const struct msg_policy policy = {
		.version_min = version_min,
		.flags = flags,
		.max_sessions = LIMIT_SESSIONS_PER_UID,
		.max_memory = LIMIT_RING_BYTES_PER_UID,
		.pin_count = pin != NULL,
	};
	char tail[LIMIT_CIPHERS + PIN_BYTES], *end = tail;
	struct bounds all;

	bounds_init(&all);
	end = stpcpy(tail, ciphers ? ciphers : all.ciphers);
	if (pin)
		end = mempcpy(end, pin, sizeof(*pin));
	assert_int_equal(msg_send(scene->rig.supervisor, &internal_messages, MSG_POLICY, &policy,
				  tail, (size_t)(end - tail), NULL),
			 0);
	rig_trust(&scene->rig, root ? root : scene->rig.root.x509);
	rig_turn(&scene->rig);
}

static struct pin pin_of(const struct testing_identity *identity)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(identity->key, &der);
	struct pin pin;

	assert_true(len > 0 && EVP_Digest(der, (size_t)len, pin.bytes, NULL, EVP_sha256(), NULL));
	OPENSSL_free(der);
	return pin;
}

static void expect_ended(struct scene *scene, const char *words)
{
	RIG_UNTIL(&scene->rig, session_is_over(&scene->session));
	session_expect_end(&scene->session, TLSB_E_POLICY, words);
	assert_non_null(strstr(scene->session.channel.page->text, "(policy for uid:1000)"));
	scene_deinit(scene);
}

static void what_is_still_allowed_goes_on(void **state unused_)
{
	const struct wish wishes[] = { { 0 },
				       { .version_max = TLSB_TLS_1_2 },
				       { .flags = CONNECT_NO_VERIFY } };

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(wishes); i++) {
		struct scene scene;
		struct pin root, leaf;

		scene_init(&scene, wishes[i / 2], i % 2 && i < 4);
		root = pin_of(&scene.rig.root);
		leaf = pin_of(&scene.rig.leaf);
		for (int n = 0; n < 5; n++) {
			reload(&scene, TLSB_TLS_1_2, MAY_ALL, NULL, NULL, NULL);
			expect_echo(&scene);
			reload(&scene, TLSB_TLS_1_2, MAY_ALL, NULL, i < 4 ? &root : &leaf, NULL);
			expect_echo(&scene);
		}
		scene_deinit(&scene);
	}
}

static void what_was_agreed_may_be_too_little_now(void **state unused_)
{
	const struct wish old = { .version_max = TLSB_TLS_1_2, .ciphers = V12 };
	const struct wish insecure = { .flags = CONNECT_NO_VERIFY };
	struct scene scene;

	scene_init(&scene, old, false);
	reload(&scene, TLSB_TLS_1_3, MAY_ALL, NULL, NULL, NULL);
	expect_ended(&scene, "min-version: ");
	scene_init(&scene, old, false);
	reload(&scene, TLSB_TLS_1_2, MAY_ALL, V13, NULL, NULL);
	expect_ended(&scene, "ciphers: ");
	scene_init(&scene, insecure, false);
	reload(&scene, TLSB_TLS_1_2, POLICY_MAY_BRING_CA, NULL, NULL, NULL);
	expect_ended(&scene, "allow-insecure: ");
	scene_init(&scene, anything, true);
	reload(&scene, TLSB_TLS_1_2, POLICY_MAY_SKIP_VERIFY, NULL, NULL, NULL);
	expect_ended(&scene, "own-ca: ");
}

static void a_root_or_pin_may_be_gone(void **state unused_)
{
	const struct wish insecure = { .flags = CONNECT_NO_VERIFY };
	struct testing_identity other =
		cert_new((struct cert_spec){ .name = "root", .is_ca = true }, NULL);
	const struct pin pin = pin_of(&other);
	struct scene scene;
	struct pin root;

	scene_init(&scene, anything, false);
	reload(&scene, TLSB_TLS_1_2, MAY_ALL, NULL, NULL, other.x509);
	expect_ended(&scene, "trust: ");
	scene_init(&scene, anything, false);
	reload(&scene, TLSB_TLS_1_2, MAY_ALL, NULL, &pin, NULL);
	expect_ended(&scene, "pins: ");
	scene_init(&scene, anything, true); /* its own CA is not the administrator's to take */
	reload(&scene, TLSB_TLS_1_2, MAY_ALL, NULL, NULL, other.x509);
	expect_echo(&scene);
	reload(&scene, TLSB_TLS_1_2, MAY_ALL, NULL, &pin, NULL);
	expect_ended(&scene, "pins: ");
	scene_init(&scene, insecure, false);
	root = pin_of(&scene.rig.root); /* which nobody has verified */
	reload(&scene, TLSB_TLS_1_2, MAY_ALL, NULL, &root, NULL);
	expect_ended(&scene, "pins: ");
	testing_identity_free(&other);
}

/* It has no chain of its own that was verified: what it resumes had one. */
static void a_resumed_session_is_judged_as_the_one_it_resumes(void **state unused_)
{
	struct testing_identity other =
		cert_new((struct cert_spec){ .name = "other", .is_ca = true }, NULL);

	for (unsigned version = TLSB_TLS_1_2; version <= TLSB_TLS_1_3; version++) {
		const struct wish wish = { .version_min = version, .version_max = version };
		struct scene scene;

		scene_init(&scene, wish, false);
		peer_say(&scene.peer, "x", 1); /* comes behind the tickets */
		RIG_UNTIL(&scene.rig, scene.session.channel.page->rx.head.value == 1);
		session_disconnect(&scene.session);
		RIG_UNTIL(&scene.rig, scene.peer.end == PEER_CLOSED);
		session_close(&scene.session);
		rig_forget(&scene.rig, &scene.peer);
		rig_establish(&scene.rig, &scene.program, &scene.session, &wish, &scene.peer);
		scene.peer.echo = true;
		assert_true(scene.peer.resumed);
		reload(&scene, TLSB_TLS_1_2, MAY_ALL, NULL, NULL, NULL);
		expect_echo(&scene);
		reload(&scene, TLSB_TLS_1_2, MAY_ALL, NULL, NULL, other.x509);
		expect_ended(&scene, "trust: ");
	}
	testing_identity_free(&other);
}

/* The policy changes while the handshake is under way: nobody is let through by the old one. */
static void a_handshake_under_way_ends_by_the_new_policy(void **state unused_)
{
	const struct wish old = { .version_max = TLSB_TLS_1_2 };
	struct program_session session;
	struct program program;
	struct peer peer;
	struct scene scene;
	uint64_t id;
	int pair[2];

	scene_init(&scene, anything, false);
	rig_program(&scene.rig, &program);
	id = rig_session(&scene.rig, &program, &session, &old);
	tcp_pair(pair);
	peer_init(&peer, scene.rig.server, pair[1]);
	rig_dialed(&scene.rig, id, pair[0]);
	rig_turn(&scene.rig); /* our flight is out, and the server has not read it */
	reload(&scene, TLSB_TLS_1_3, MAY_ALL, NULL, NULL, NULL);
	scene.rig.peers[1] = &peer;
	RIG_UNTIL(&scene.rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_POLICY, "min-version: ");
	expect_echo(&scene);
	session_close(&session);
	rig_forget(&scene.rig, &peer);
	close(program.fd);
	scene_deinit(&scene);
}

/* ---- the connector's word ---- */

/* As the connector: what was asked, and whose; 0: nothing. */
static uint64_t still_asked(struct rig *rig, struct msg_dial_still *ret, char *ret_tail)
{
	const struct msg_context ctx = { &internal_messages, ROLE_CONNECTOR, ROLE_WORKER, RUN };
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;

	while (msg_recv(rig->connector, &ctx, &buf, &msg, &rule) == 1) {
		if (msg.type != MSG_DIAL_STILL)
			continue;
		memcpy(ret, msg.body, sizeof(*ret));
		memcpy(ret_tail, msg.tail, msg.tail_len);
		ret_tail[msg.tail_len] = '\0';
		return ret->id;
	}
	return 0;
}

static void tell_as_connector(struct rig *rig, uint32_t type, const void *body, const char *tail)
{
	assert_int_equal(msg_send(rig->connector, &internal_messages, type, body, tail,
				  strlen(tail), NULL),
			 0);
	rig_turn(rig);
}

static void the_connector_is_asked_about_all_and_obeyed(void **state unused_)
{
	const struct wish named = { .name = "192.0.2.1" };
	const struct msg_destinations_new news = { 0 };
	struct msg_dial_forbidden no = { 0 };
	struct msg_dial_still still;
	struct scene scene;
	char tail[2 * LIMIT_HOST + 1];

	scene_init(&scene, named, false);
	assert_int_equal(still_asked(&scene.rig, &still, tail), 0);
	tell_as_connector(&scene.rig, MSG_DESTINATIONS_NEW, &news, "");
	no.id = still_asked(&scene.rig, &still, tail);
	assert_int_equal(no.id, LIST_FIRST(&rig_worker(&scene.rig)->all_sessions)->id);
	assert_string_equal(tail, "server.example192.0.2.1");
	assert_int_equal(still.name_len, 9);
	assert_int_equal(still.port, 443);
	assert_int_equal(still.family, AF_INET);
	assert_memory_equal(still.address, ((uint8_t[16]){ 127, 0, 0, 1 }), 16);
	assert_int_equal(still_asked(&scene.rig, &still, tail), 0);
	expect_echo(&scene);
	/* Another connector may have other rules. */
	rig_replace(&scene.rig, MSG_CONNECTOR_CHAN, &scene.rig.connector);
	assert_int_equal(still_asked(&scene.rig, &still, tail), no.id);
	no.id++;
	tell_as_connector(&scene.rig, MSG_DIAL_FORBIDDEN, &no, "nobody's");
	expect_echo(&scene);
	no.id--;
	tell_as_connector(&scene.rig, MSG_DIAL_FORBIDDEN, &no, "destinations: not any more");
	RIG_UNTIL(&scene.rig, session_is_over(&scene.session));
	session_expect_end(&scene.session, TLSB_E_POLICY, "destinations: not any more");
	scene_deinit(&scene);
}

/* More than the channel holds at once: nothing is lost, and it does not break. */
static void many_are_asked_about_a_few_at_a_time(void **state unused_)
{
	static struct program_session sessions[100];
	static int servers[100]; /* that say nothing: connected is enough */
	const int little = 2048;
	const struct msg_destinations_new news = { 0 };
	struct msg_dial_still still;
	struct scene scene;
	char tail[2 * LIMIT_HOST + 1];
	unsigned asked = 0;
	int pair[2];

	scene_init(&scene, anything, false);
	assert_int_equal(setsockopt(rig_worker(&scene.rig)->connector.fd, SOL_SOCKET, SO_SNDBUF,
				    &little, sizeof(little)),
			 0);
	for (unsigned i = 0; i < ARRAY_SIZE(sessions); i++) {
		uint64_t id = rig_session(&scene.rig, &scene.program, &sessions[i], &anything);

		tcp_pair(pair);
		rig_dialed(&scene.rig, id, pair[0]);
		rig_turn(&scene.rig);
		servers[i] = pair[1];
	}
	assert_int_equal(msg_send(scene.rig.connector, &internal_messages, MSG_DESTINATIONS_NEW,
				  &news, NULL, 0, NULL),
			 0);
	event_base_loop(scene.rig.child.base, EVLOOP_NONBLOCK);
	assert_true(chan_queued(&rig_worker(&scene.rig)->connector) <= 2);
	for (int i = 0; i < 400; i++) {
		event_base_loop(scene.rig.child.base, EVLOOP_NONBLOCK);
		while (still_asked(&scene.rig, &still, tail) != 0)
			asked++;
	}
	assert_true(rig_worker(&scene.rig)->connector.owner != NULL);
	assert_int_equal(asked, ARRAY_SIZE(sessions) + 1);
	for (unsigned i = 0; i < ARRAY_SIZE(sessions); i++)
		session_close(&sessions[i]);
	rig_turn(&scene.rig);
	for (unsigned i = 0; i < ARRAY_SIZE(sessions); i++)
		close(servers[i]);
	scene_deinit(&scene);
}

static void a_badge_that_has_gone_ends_its_sessions(void **state unused_)
{
	const struct msg_badge_gone gone = { 0 };
	struct scene scene;

	scene_init(&scene, anything, false);
	rig_tell(&scene.rig, MSG_BADGE_GONE, &gone, NULL, NULL);
	RIG_UNTIL(&scene.rig, session_is_over(&scene.session));
	session_expect_end(&scene.session, TLSB_E_POLICY, "badge: ");
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_still_allowed_goes_on),
		TEST(what_was_agreed_may_be_too_little_now),
		TEST(a_root_or_pin_may_be_gone),
		TEST(a_resumed_session_is_judged_as_the_one_it_resumes),
		TEST(a_handshake_under_way_ends_by_the_new_policy),
		TEST(the_connector_is_asked_about_all_and_obeyed),
		TEST(many_are_asked_about_a_few_at_a_time),
		TEST(a_badge_that_has_gone_ends_its_sessions),
	};

	return testing_run(tests);
}
