/*
 * Every message to the worker, broken in every way, while one well-behaved program has a session: over
 * the real sockets, into the real handlers.  Who sent it is given up, alone, for the rule that it
 * broke; the good program's session echoes on, and no descriptor is kept.
 */
#include "mad.h"
#include "worker_scene.h"

#define BATCH 16

/* ---- programs ---- */

/* One that attacks, and what it did. */
struct attacker {
	struct program program;
	struct program_session session;
	enum msg_phase phase;
	enum msg_rule rule;
	uint32_t type;
	bool end, odd;
	size_t tail_len;
	struct msg_hello hello;
	struct msg_explain explain;
	struct msg_preshared preshared;
	struct msg_key_use use;
	char preshared_tail[LIMIT_PSK_IDENTITY + LIMIT_PSK_BYTES];
	char text[160];
};

static const enum msg_phase phases[] = { HELLO, MAIN, SETUP, SESSION, KEY };

static void attacker_connects(struct scene *scene, struct attacker *attacker)
{
	const struct msg_client client = { .id = 7, .uid = 1000, .pid = 43 };
	const struct msg_hello hello = { PROTOCOL_MAGIC, PROTOCOL_VERSION };
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	assert_int_equal(msg_send(scene->good.rig.frontdoor, &internal_messages, MSG_CLIENT,
				  &client, NULL, 0, &pair[0]),
			 0);
	close(pair[0]);
	attacker->program = (struct program){ .fd = pair[1] };
	if (attacker->phase == MAIN)
		assert_int_equal(program_send(pair[1], CLIENT_MSG_HELLO, &hello, NULL, 0, NULL), 0);
}

static void attacker_arrives(struct scene *scene, struct attacker *attacker, enum msg_phase phase)
{
	*attacker = (struct attacker){ .phase = phase, .program.fd = -1, .session.fd = -1 };
	if (phase == HELLO || phase == MAIN) {
		attacker_connects(scene, attacker);
		return;
	}
	program_open_as(&scene->host, &attacker->session,
			phase == KEY ? CLIENT_MSG_KEY_SOCKET : CLIENT_MSG_SESSION);
	if (phase == SESSION)
		session_ask(&attacker->session, &anything);
}

static int attacker_fd(const struct attacker *attacker)
{
	return attacker->program.fd >= 0 ? attacker->program.fd : attacker->session.fd;
}

static void attacker_listens(struct attacker *attacker)
{
	if (attacker->program.fd >= 0)
		program_listen(&attacker->program);
	else
		session_listen(&attacker->session);
}

/* What a real program would send: most is looked at only if the rest is right. */
static bool make_clients(struct mutant *mutant, const struct msg_context *ctx, uint32_t type,
			 uint64_t *seed, void *arg unused_)
{
	const struct msg_hello hello = { PROTOCOL_MAGIC, PROTOCOL_VERSION };
	const struct msg_connect connect = { .deadline_ms = 20000, .port = 443, .host_len = 14,
					     .name_len = 14, .alpn_len = 2, .ciphers_len = 22 };
	const struct msg_explain explain = {
		.about = { .badge = testing_random(seed) % 2, .port = testing_random(seed) % 2,
			   .group_count = testing_random(seed) % 3 },
		.what = EXPLAIN_MYSELF - 1 + testing_random(seed) % 5,
	};
	const size_t wish_tail = testing_random(seed) % 3 * 32;
	const struct msg_key_use use = { .wish = mutant_wish(seed, wish_tail) };
	const struct msg_preshared preshared = { .name_len = testing_random(seed) % 20 };
	static const char zeros[64];
	static const char tail[] = "server.exampleserver.exampleh2TLS_AES_128_GCM_SHA256";

	if (testing_random(seed) % 8 == 0)
		return false;
	if (type == CLIENT_MSG_HELLO)
		mutant_init(mutant, ctx, type, &hello, NULL, 0);
	else if (type == CLIENT_MSG_CONNECT)
		mutant_init(mutant, ctx, type, &connect, tail, sizeof(tail) - 1);
	else if (type == CLIENT_MSG_EXPLAIN)
		mutant_init(mutant, ctx, type, &explain, tail, testing_random(seed) % 9);
	else if (type == CLIENT_MSG_PRESHARED)
		mutant_init(mutant, ctx, type, &preshared, tail, testing_random(seed) % 40);
	else if (type == CLIENT_MSG_KEY_USE)
		mutant_init(mutant, ctx, type, &use, zeros, wish_tail);
	else if (type == CLIENT_MSG_CA || type == CLIENT_MSG_OWN_CERT)
		mutant_init(mutant, ctx, type, NULL, "-----BEGIN CERTIFICATE-----", 27);
	else
		return false;
	return true;
}

static void attacker_attacks(struct scene *scene, struct attacker *attacker, struct mutant *mutant)
{
	const struct msg_context ctx = { &client_messages, ROLE_WORKER, ROLE_CLIENT,
					 attacker->phase };

	mutant_draw(mutant, &ctx, &scene->seed, make_clients, NULL);
	attacker->rule = mutant_rule(mutant);
	attacker->end = mutant_is_end(mutant);
	attacker->type = mutant_header(mutant).type;
	attacker->odd = mutant->kind == FDS_ODD;
	attacker->tail_len = mutant->len;
	if (attacker->rule == RULE_NONE)
		attacker->tail_len -= 8 + client_messages.rows[attacker->type].body;
	memcpy(&attacker->hello, mutant->bytes + 8, sizeof(attacker->hello));
	memcpy(&attacker->explain, mutant->bytes + 8, sizeof(attacker->explain));
	memcpy(&attacker->preshared, mutant->bytes + 8, sizeof(attacker->preshared));
	memcpy(&attacker->use, mutant->bytes + 8, sizeof(attacker->use));
	memcpy(attacker->preshared_tail, mutant->bytes + 8 + sizeof(attacker->preshared),
	       sizeof(attacker->preshared_tail));
	snprintf(attacker->text, sizeof(attacker->text), "%s", mutant_text(mutant));
	dispatch(scene, attacker_fd(attacker), mutant);
}

/* Do an EXPLAIN's numbers agree with its tail? */
static bool adds_up(const struct attacker *attacker)
{
	const struct inquiry *about = &attacker->explain.about;
	size_t tail = attacker->tail_len;

	if (attacker->explain.what == EXPLAIN_WHERE)
		return about->port && tail >= 1 && tail <= 253 && !about->uid && !about->gid &&
		       !about->group_count;
	return !about->port && !about->badge && about->group_count <= 1024 &&
	       about->group_count * 4ul <= tail && tail - about->group_count * 4ul <= 12288;
}

/* A name of text, and behind it no key or one of a length that may be. */
static bool is_key(const struct attacker *attacker)
{
	const size_t tail = attacker->tail_len, name = attacker->preshared.name_len;

	if (name == 0 || name > tail || name > 128)
		return false;
	for (size_t i = 0; i < name; i++) {
		if ((unsigned char)attacker->preshared_tail[i] < ' ' ||
		    attacker->preshared_tail[i] == 0x7f)
			return false;
	}
	return tail == name || (tail - name >= 16 && tail - name <= 64);
}

/* What the table lets through: does the handler, too?  A CONNECT's end says so itself. */
static enum msg_rule judge_content(const struct attacker *attacker)
{
	switch (attacker->type) {
	case CLIENT_MSG_LIFELINE:
	case CLIENT_MSG_SESSION:
	case CLIENT_MSG_KEY_SOCKET:
		return attacker->odd ? RULE_CONTENT : RULE_NONE;
	case CLIENT_MSG_EXPLAIN:
		return adds_up(attacker) ? RULE_NONE : RULE_CONTENT;
	case CLIENT_MSG_PRESHARED:
		return is_key(attacker) ? RULE_NONE : RULE_CONTENT;
	case CLIENT_MSG_CA:
	case CLIENT_MSG_OWN_CERT:
		return attacker->tail_len == 0 ? RULE_CONTENT : RULE_NONE;
	case CLIENT_MSG_KEY_USE:
		return mutant_is_wish(&attacker->use.wish, attacker->tail_len) ? RULE_NONE
									       : RULE_CONTENT;
	case CLIENT_MSG_OWN_KEY: /* nothing that comes with them is a sealed file */
	case CLIENT_MSG_KEY_IMPORT:
		return RULE_CONTENT;
	case CLIENT_MSG_CONNECT:
		return attacker->session.error == TLSB_E_BROKER_PROTOCOL ? RULE_CONTENT : RULE_NONE;
	default:
		return RULE_NONE;
	}
}

/* A message that is all right may still be the last one. */
static bool may_end_well(const struct attacker *attacker)
{
	switch (attacker->type) {
	case CLIENT_MSG_HELLO: /* another version is refused politely */
		return attacker->hello.magic != PROTOCOL_MAGIC ||
		       attacker->hello.version != PROTOCOL_VERSION;
	case CLIENT_MSG_CONNECT:
		return attacker->session.refused || attacker->session.channel.page;
	default:
		return attacker->type == CLIENT_MSG_DISCONNECT;
	}
}

static void expect_closed(struct attacker *attacker)
{
	if (attacker->program.fd >= 0)
		assert_true(program_is_closed(&attacker->program));
	else
		assert_true(session_is_closed(&attacker->session));
}

static void expect_refused(const struct attacker *attacker)
{
	const struct program_session *session = &attacker->session;

	if (attacker->program.fd >= 0) {
		assert_false(attacker->program.refused);
		return;
	}
	if (attacker->phase == SETUP || attacker->phase == KEY) {
		assert_int_equal(session->error, TLSB_E_BROKER_PROTOCOL);
		return;
	}
	assert_int_equal(session->channel.page->ended, 1);
	assert_int_equal(session->channel.page->error, TLSB_E_BROKER_PROTOCOL);
}

static void expect_answer(struct scene *scene, struct attacker *attacker)
{
	bool hung;

	attacker_listens(attacker);
	hung = attacker->program.fd >= 0 ? attacker->program.hung : attacker->session.hung;
	if (attacker->rule == RULE_NONE)
		attacker->rule = judge_content(attacker);
	if (attacker->end || attacker->rule != RULE_NONE)
		expect_closed(attacker);
	if (attacker->end)
		return;
	expect_rule(scene, attacker->rule);
	if (attacker->rule != RULE_NONE)
		expect_refused(attacker);
	else
		assert_true(!hung || may_end_well(attacker));
}

static void attacker_leaves(struct attacker *attacker)
{
	fd_close(attacker->program.fd);
	session_close(&attacker->session);
}

static void attack_with_many(struct scene *scene)
{
	static struct attacker attackers[BATCH];
	static struct mutant mutant;
	struct rig *rig = &scene->good.rig;

	for (int i = 0; i < BATCH; i++)
		attacker_arrives(scene, &attackers[i],
				 phases[testing_random(&scene->seed) % ARRAY_SIZE(phases)]);
	rig_turn(rig);
	for (int i = 0; i < BATCH; i++) {
		attacker_listens(&attackers[i]);
		attacker_attacks(scene, &attackers[i], &mutant);
	}
	rig_turn(rig);
	for (int i = 0; i < BATCH; i++) {
		expect_answer(scene, &attackers[i]);
		attacker_leaves(&attackers[i]);
	}
	rig_turn(rig);
	while (rig_dial(rig) != 0)
		;
	expect_unharmed(scene);
}

static void programs_are_given_up_alone(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(300000, 26000);

	scene_init(&scene);
	while (scene.sent < most)
		attack_with_many(&scene);
	scene_deinit(&scene);
}

/* ---- the other roles ---- */

static bool make_internal(struct mutant *mutant, const struct msg_context *ctx, uint32_t type,
			  uint64_t *seed, void *arg)
{
	const uint64_t *id = arg;

	mutant_init_any(mutant, ctx, type, seed);
	if ((type == MSG_DIALED || type == MSG_DIAL_FAILED || type == MSG_DIAL_FORBIDDEN ||
	     type == MSG_SIGNED || type == MSG_PSK_GIVEN || type == MSG_KEY_LENT || type == MSG_KEY_ANSWER) &&
	    testing_random(seed) % 2)
		memcpy(mutant->bytes + 8, id, sizeof(*id));
	return true;
}

/* Another role sends one mutant over a channel of its own, and is given up if it broke. */
static void attack_by_role(struct scene *scene, enum role peer, uint64_t id)
{
	const struct msg_context ctx = { &internal_messages, ROLE_WORKER, peer, RUN };
	struct rig *rig = &scene->good.rig;
	struct worker *worker = rig_worker(rig);
	const struct {
		uint32_t type;
		struct chan *chan;
		int *far;
	} ends[] = {
		[ROLE_FRONTDOOR] = { MSG_FRONTDOOR_CHAN, &worker->frontdoor, &rig->frontdoor },
		[ROLE_CONNECTOR] = { MSG_CONNECTOR_CHAN, &worker->connector, &rig->connector },
		[ROLE_KEYHOLDER] = { MSG_KEYHOLDER_CHAN, &worker->keyholder, &rig->keyholder },
	};
	const uint32_t chan_type = ends[peer].type;
	struct chan *chan = ends[peer].chan;
	int *far = ends[peer].far;
	static struct mutant mutant;
	enum msg_rule rule;

	mutant_draw(&mutant, &ctx, &scene->seed, make_internal, &id);
	rule = mutant_rule(&mutant);
	/* The connector may well forbid the good session; a dial that it forbids is none yet. */
	if (rule == RULE_NONE && mutant.len > 0 &&
	    mutant_header(&mutant).type == MSG_DIAL_FORBIDDEN)
		memcpy(mutant.bytes + 8, &id, sizeof(id));
	if (rule == RULE_NONE && mutant.len > 0 &&
	    mutant_header(&mutant).type == MSG_DIAL_FAILED) {
		const struct msg_dial_failed *failed = (const void *)(mutant.bytes + 8);

		if (failed->error == TLSB_E_NONE || failed->looking_up > 1)
			rule = RULE_CONTENT;
	}
	dispatch(scene, *far, &mutant);
	rig_turn(rig);
	expect_rule(scene, rule);
	if (!chan->owner != (rule != RULE_NONE || mutant_is_end(&mutant)))
		fail_msg("%s", mutant_text(&mutant));
	if (!chan->owner)
		rig_replace(rig, chan_type, far);
	rig_turn(rig);
}

static const struct wish as_me = { .identity = "me", .flags = CONNECT_NO_RESUMPTION };

/* As the supervisor: there is one identity, "me". */
static void give_identity(struct rig *rig, X509 *own)
{
	const struct msg_identity identity = { .key = 1 };
	const struct msg_policy policy = { .version_min = TLSB_TLS_1_2,
					   .flags = POLICY_MAY_BRING_CA,
					   .max_sessions = LIMIT_SESSIONS_PER_UID,
					   .max_memory = LIMIT_RING_BYTES_PER_UID,
					   .identity_count = 1 };
	unsigned char der[4096], *end = der;
	struct bounds all;
	int fd;

	bounds_init(&all);
	i2d_X509(own, &end);
	assert_int_equal(fd_sealed_copy("chain", (char *)der, (size_t)(end - der), &fd), 0);
	rig_tell(rig, MSG_POLICY, &policy, all.ciphers, NULL);
	rig_tell(rig, MSG_IDENTITY, &identity, "me", &fd);
	rig_turn(rig);
}

/* Clients on sockets that never say anything end after five seconds: now. */
static void show_out_silent_clients(struct scene *scene)
{
	struct client *client, *next;

	for (client = LIST_FIRST(&rig_worker(&scene->good.rig)->clients); client; client = next) {
		next = LIST_NEXT(client, in_worker);
		if (client->hello)
			client_refuse(client, TLSB_E_TIMEOUT, "no hello came in time");
	}
}

static void a_frontdoor_is_given_up_alone(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(50000, 4000);

	scene_init(&scene);
	while (scene.sent < most) {
		attack_by_role(&scene, ROLE_FRONTDOOR, 0);
		show_out_silent_clients(&scene);
		if (scene.sent % 16 == 0)
			expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

/* While a session waits for its connection. */
static void a_connector_is_given_up_alone(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(50000, 4000);

	scene_init(&scene);
	while (scene.sent < most) {
		struct program_session session;
		uint64_t id = rig_session(&scene.good.rig, &scene.host, &session, &anything);

		assert_int_not_equal(id, 0);
		for (int i = 0; i < 8; i++)
			attack_by_role(&scene, ROLE_CONNECTOR, id);
		session_close(&session);
		rig_turn(&scene.good.rig);
		expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

/* While a session with an identity waits for its signature: a mutant that is none of these is no
 * signature either, and the session ends or waits on. */
static void a_keyholder_is_given_up_alone(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(50000, 4000);
	struct rig *rig = &scene.good.rig;
	struct testing_identity me;
	SSL_CTX *server;

	scene_init(&scene);
	me = cert_new((struct cert_spec){ .name = "me" }, &rig->root);
	server = server_new(&rig->leaf, NULL, NULL);
	SSL_CTX_set_verify(server, SSL_VERIFY_PEER, NULL);
	while (scene.sent < most) {
		struct program_session session;
		struct peer peer;
		uint64_t id;

		give_identity(rig, me.x509);
		rig_connect(rig, &scene.host, &session, &as_me, &peer, server);
		id = LIST_FIRST(&rig_worker(rig)->all_sessions)->id;
		RIG_UNTIL(rig, rig_worker(rig)->fibre_count == 1);
		for (int i = 0; i < 8; i++)
			attack_by_role(&scene, ROLE_KEYHOLDER, id);
		assert_false(peer.shaken);
		session_close(&session);
		rig_turn(rig);
		rig_forget(rig, &peer);
		expect_unharmed(&scene);
	}
	SSL_CTX_free(server);
	testing_identity_free(&me);
	scene_deinit(&scene);
}

static bool ends_sessions(const struct mutant *mutant)
{
	const uint32_t type = mutant_header(mutant).type;

	return type == MSG_DRAIN || type == MSG_BADGE_GONE || type == MSG_SESSION_KILL;
}

static void a_mad_supervisor_is_left(void **state unused_)
{
	const uint64_t most = attack_share(50000, 3000);
	static struct scene scene;
	struct rig *rig = &scene.good.rig;

	scene_init(&scene);
	mad_connect(&rig->child, &rig->supervisor);
	for (; scene.sent < most; scene.sent++) {
		mad_attack(&scene.odd, &scene.seed, ends_sessions);
		rig_replace(rig, MSG_FRONTDOOR_CHAN, &rig->frontdoor);
		rig_replace(rig, MSG_CONNECTOR_CHAN, &rig->connector);
		rig_replace(rig, MSG_KEYHOLDER_CHAN, &rig->keyholder);
		if (scene.sent % 16 == 0)
			expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(programs_are_given_up_alone),
		TEST(a_frontdoor_is_given_up_alone),
		TEST(a_connector_is_given_up_alone),
		TEST(a_keyholder_is_given_up_alone),
		TEST(a_mad_supervisor_is_left),
	};

	return testing_run(tests);
}
