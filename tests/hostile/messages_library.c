/*
 * Every message to the library, broken in every way, by a worker that was taken over, while the
 * program has sessions elsewhere: with a good broker, and another one with the same worker.  The
 * session that the message was for fails with TLSB_E_BROKER_PROTOCOL, alone; the program keeps its
 * descriptors.
 */
#include "tests/unit/lib_rig.h"

#include "oddities.h"
#include "scarce.h"

enum step { ASKED, OPENED, CONNECTED, ESTABLISHED, STEPS };

struct scene {
	struct rig good; /* another broker */
	struct rig rig;	 /* the one that was taken over */
	/* An established session with it, which it leaves alone. */
	struct tlsb_session *other;
	struct channel channel;
	int socket;
	struct oddities odd;
	uint64_t seed, sent;
	int fds;
};

/* ---- the good sessions ---- */

static void expect_bytes(struct scene *scene, struct tlsb_session *session, struct channel *channel)
{
	char sent[64], got[64];
	uint8_t *span = NULL;
	size_t len = 1 + testing_random(&scene->seed) % sizeof(sent);

	for (size_t i = 0; i < len; i++)
		sent[i] = (char)testing_random(&scene->seed);
	assert_int_equal(tlsb_write(session, sent, len), len);
	assert_true(ring_data(&channel->tx, &span) >= (int)len);
	memcpy(got, span, len);
	assert_memory_equal(got, sent, len);
	ring_consume(&channel->tx, (uint32_t)len);
	assert_true(ring_space(&channel->rx, &span) >= (int)len);
	memcpy(span, got, len);
	ring_produce(&channel->rx, (uint32_t)len);
	memset(got, 0, sizeof(got));
	assert_int_equal(tlsb_read(session, got, sizeof(got)), len);
	assert_memory_equal(got, sent, len);
}

static void expect_unharmed(struct scene *scene)
{
	expect_bytes(scene, scene->good.session, &scene->good.channel);
	expect_bytes(scene, scene->other, &scene->channel);
	assert_int_equal(tlsb_error_code(scene->good.session), TLSB_E_NONE);
	assert_int_equal(tlsb_error_code(scene->other), TLSB_E_NONE);
	assert_int_equal(testing_count_fds(), scene->fds);
}

/* The rig has no session of its own any more, and is ready for the next one. */
static void set_aside(struct scene *scene)
{
	struct rig *rig = &scene->rig;

	scene->other = rig->session;
	scene->channel = rig->channel;
	scene->socket = fd_steal(&rig->socket);
	rig->session = NULL;
	rig->channel = (struct channel){ 0 };
}

static void scene_init(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	scene->seed = mutant_seed();
	rig_listen(&scene->good);
	rig_open(&scene->good);
	rig_established(&scene->good);
	rig_listen(&scene->rig);
	rig_open(&scene->rig);
	rig_established(&scene->rig);
	set_aside(scene);
	oddities_open(&scene->odd);
	scene->fds = testing_count_fds();
}

static void scene_deinit(struct scene *scene)
{
	attacks_count("messages", scene->sent, scene->sent);
	tlsb_session_free(scene->other);
	fd_close(scene->socket);
	channel_deinit(&scene->channel);
	oddities_close(&scene->odd);
	rig_close(&scene->rig);
	rig_close(&scene->good);
}

/* ---- a session's socket ---- */

static void session_arrives(struct scene *scene, enum step step)
{
	struct rig *rig = &scene->rig;

	if (step == ASKED) {
		rig_start_connect(rig);
		rig_take_session(rig);
		rig_take_connect(rig);
	} else if (step == OPENED) {
		rig_connecting(rig);
	} else if (step == CONNECTED) {
		rig_connected(rig);
	} else {
		rig_established(rig);
	}
}

static bool make(struct mutant *mutant, const struct msg_context *ctx, uint32_t type,
		 uint64_t *seed, void *arg unused_)
{
	const struct msg_opened opened = { .capacity = LIMIT_RING_MIN };
	const struct msg_refused refused = { .error = TLSB_E_DNS };
	const struct msg_welcome welcome = { PROTOCOL_MAGIC, PROTOCOL_VERSION, 7, 0 };

	if (testing_random(seed) % 4 == 0)
		return false;
	if (type == CLIENT_MSG_OPENED)
		mutant_init(mutant, ctx, type, &opened, NULL, 0);
	else if (type == CLIENT_MSG_REFUSED)
		mutant_init(mutant, ctx, type, &refused, "no\n\x1b%n", 6);
	else if (type == CLIENT_MSG_WELCOME)
		mutant_init(mutant, ctx, type, &welcome, "uid:7", 5);
	else
		return false;
	return true;
}

/*
 * What the table lets through, and what comes of it: no memory that it could bring here is a channel,
 * and only a refusal may have another reason than the protocol.
 */
static uint32_t judge_session(const struct mutant *mutant, const struct tlsb_session *session)
{
	if (mutant_is_end(mutant))
		return TLSB_E_NONE;
	if (mutant_rule(mutant) != RULE_NONE)
		return TLSB_E_BROKER_PROTOCOL;
	switch (mutant_header(mutant).type) {
	case CLIENT_MSG_OPENED:
		return TLSB_E_BROKER_PROTOCOL;
	case CLIENT_MSG_REFUSED:
		return (uint32_t)tlsb_error_code(session);
	default:
		return TLSB_E_NONE;
	}
}

static void expect_harmless_text(const char *text)
{
	assert_true(strlen(text) <= LIMIT_TEXT);
	for (; *text; text++)
		assert_in_range((unsigned char)*text, 0x20, 0x7e);
}

static void attack_session(struct scene *scene)
{
	const struct msg_context ctx = { &client_messages, ROLE_CLIENT, ROLE_WORKER, SESSION };
	const enum step step = (enum step)(testing_random(&scene->seed) % STEPS);
	struct rig *rig = &scene->rig;
	static struct mutant mutant;
	char byte;

	session_arrives(scene, step);
	if (testing_random(&scene->seed) % 2)
		tlsb_fd(rig->session);
	mutant_draw(&mutant, &ctx, &scene->seed, make, NULL);
	oddities_send(&scene->odd, rig->socket, &mutant, &scene->seed);
	scene->sent++;
	tlsb_fd(rig->session); /* for a poller, the socket is read at the next call */
	assert_int_equal(tlsb_read(rig->session, &byte, 1), -1);
	if ((uint32_t)tlsb_error_code(rig->session) != judge_session(&mutant, rig->session))
		fail_msg("%s: %d %s", mutant_text(&mutant), tlsb_error_code(rig->session),
			 tlsb_error_text(rig->session));
	if (mutant.len > 0 && mutant_rule(&mutant) == RULE_NONE &&
	    mutant_header(&mutant).type == CLIENT_MSG_REFUSED)
		assert_int_not_equal(tlsb_error_code(rig->session), TLSB_E_NONE);
	expect_harmless_text(tlsb_error_text(rig->session));
	rig_drop_session(rig);
	expect_unharmed(scene);
}

static void sessions_fail_alone(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(300000, 16000);

	scene_init(&scene);
	while (scene.sent < most)
		attack_session(&scene);
	scene_deinit(&scene);
}

/* ---- the connection itself ---- */

/* A new connection to the broker that was taken over; the one before is closed. */
static void connect_anew(struct scene *scene, struct tlsb **tlsb, int *broker)
{
	union msg_buffer buffer;
	struct msg msg;

	*tlsb = tlsb_open(scene->rig.path);
	assert_non_null(*tlsb);
	*broker = accept4(scene->rig.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(*broker >= 0);
	rig_expect(*broker, CLIENT_MSG_HELLO, HELLO, &buffer, &msg, NULL);
}

/* What the badge is, or why there is none. */
static int judge_badge(const struct mutant *mutant)
{
	const struct msg_welcome *welcome = (const void *)(mutant->bytes + 8);

	if (mutant_is_end(mutant))
		return ECONNABORTED;
	if (mutant_rule(mutant) != RULE_NONE)
		return EPROTO;
	if (mutant_header(mutant).type == CLIENT_MSG_WELCOME)
		return welcome->magic == PROTOCOL_MAGIC && welcome->version == PROTOCOL_VERSION ?
			       0 : EPROTO;
	return -1; /* a refusal, for whatever reason; or nothing that is of interest here */
}

static void attack_connection(struct scene *scene)
{
	const struct msg_context ctx = { &client_messages, ROLE_CLIENT, ROLE_WORKER, MAIN };
	static struct mutant mutant;
	struct tlsb *tlsb;
	const char *badge;
	int broker, wanted;

	connect_anew(scene, &tlsb, &broker);
	mutant_draw(&mutant, &ctx, &scene->seed, make, NULL);
	oddities_send(&scene->odd, broker, &mutant, &scene->seed);
	scene->sent++;
	close(broker); /* else it waits for a word that does not come */
	errno = 0;
	badge = tlsb_badge(tlsb);
	wanted = judge_badge(&mutant);
	if (wanted >= 0 && (badge ? 0 : errno) != wanted)
		fail_msg("%s: %s %s", mutant_text(&mutant), badge ? badge : "no badge",
			 strerrorname_np(errno));
	if (badge)
		expect_harmless_text(badge);
	else
		assert_int_not_equal(errno, 0);
	tlsb_close(tlsb);
	expect_unharmed(scene);
}

static void connections_fail_alone(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(100000, 6000);

	scene_init(&scene);
	while (scene.sent < most)
		attack_connection(&scene);
	scene_deinit(&scene);
}

/* A session that is open goes on when its connection's other messages are bad; the next one fails. */
static void case_4_a_bad_word_on_the_connection_ends_no_session(void **state unused_)
{
	const struct msg_context ctx = { &client_messages, ROLE_CLIENT, ROLE_WORKER, MAIN };
	static struct mutant mutant;
	static struct scene scene;

	scene_init(&scene);
	mutant_init(&mutant, &ctx, CLIENT_MSG_WELCOME, NULL, NULL, 0);
	mutant.len--;
	oddities_send(&scene.odd, scene.rig.main, &mutant, &scene.seed);
	expect_unharmed(&scene);
	rig_new_session(&scene.rig);
	assert_fails(tlsb_connect(scene.rig.session, RIG_HOST, RIG_PORT), EWOULDBLOCK);
	rig_take_session(&scene.rig);
	rig_take_connect(&scene.rig);
	rig_send_opened(&scene.rig);
	assert_fails(tlsb_connect(scene.rig.session, NULL, NULL), EPROTO);
	assert_int_equal(tlsb_error_code(scene.rig.session), TLSB_E_BROKER_PROTOCOL);
	rig_drop_session(&scene.rig);
	expect_unharmed(&scene);
	scene.sent++;
	scene_deinit(&scene);
}

/* ---- descriptors ---- */

/* As many descriptors as a message can have, a hundred times, on either socket: all are closed. */
static void case_5_a_flood_of_descriptors_is_closed(void **state unused_)
{
	const struct msg_context ctx = { &client_messages, ROLE_CLIENT, ROLE_WORKER, SESSION };
	static struct mutant mutant;
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < MUTANT_FLOOD; i++) {
		session_arrives(&scene, (enum step)(i % STEPS));
		mutant_init_flood(&mutant, &ctx, CLIENT_MSG_OPENED, i);
		oddities_send(&scene.odd, scene.rig.socket, &mutant, &scene.seed);
		tlsb_fd(scene.rig.session);
		assert_fails(tlsb_read(scene.rig.session, (char[1]){ 0 }, 1), EPROTO);
		rig_drop_session(&scene.rig);
		expect_unharmed(&scene);
		scene.sent++;
	}
	scene_deinit(&scene);
}

/* While the program itself has room for few or none: it loses that session, and nothing else. */
static void case_6_descriptors_for_which_there_is_no_room(void **state unused_)
{
	const struct msg_context ctx = { &client_messages, ROLE_CLIENT, ROLE_WORKER, SESSION };
	static struct mutant mutant;
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < SCARCE_LEFT * ARRAY_SIZE(scarce_counts); i++) {
		const unsigned left = i % SCARCE_LEFT;
		const size_t count = scarce_counts[i / SCARCE_LEFT];
		/* Room for one more than the library looks at tells it that there were too many. */
		const bool starved = left < MIN(count, RECEIVED_FDS);
		struct scarce scarce;

		session_arrives(&scene, ASKED);
		mutant_init(&mutant, &ctx, CLIENT_MSG_OPENED, NULL, NULL, 0);
		mutant.nfds = count;
		oddities_send(&scene.odd, scene.rig.socket, &mutant, &scene.seed);
		scarce_begin(&scarce, left);
		assert_fails(tlsb_handshake(scene.rig.session), starved ? EMFILE : EPROTO);
		scarce_end(&scarce);
		assert_int_equal(tlsb_error_code(scene.rig.session),
				 starved ? TLSB_E_RESOURCES : TLSB_E_BROKER_PROTOCOL);
		rig_drop_session(&scene.rig);
		expect_unharmed(&scene);
		scene.sent++;
	}
	scene_deinit(&scene);
}

/* Every odd descriptor in the place of the channel's memory, its own socket too. */
static void case_7_odd_descriptors_are_no_channel(void **state unused_)
{
	const struct msg_opened opened = { .capacity = LIMIT_RING_MIN };
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i <= scene.odd.count; i++) {
		session_arrives(&scene, ASKED);
		rig_send(scene.rig.socket, CLIENT_MSG_OPENED, &opened, NULL,
			 i < scene.odd.count ? &scene.odd.fds[i] : &scene.rig.socket);
		assert_fails(tlsb_handshake(scene.rig.session), EPROTO);
		assert_int_equal(tlsb_error_code(scene.rig.session), TLSB_E_BROKER_PROTOCOL);
		rig_drop_session(&scene.rig);
		expect_unharmed(&scene);
		scene.sent++;
	}
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sessions_fail_alone),
		TEST(connections_fail_alone),
		TEST(case_4_a_bad_word_on_the_connection_ends_no_session),
		TEST(case_5_a_flood_of_descriptors_is_closed),
		TEST(case_6_descriptors_for_which_there_is_no_room),
		TEST(case_7_odd_descriptors_are_no_channel),
	};

	return testing_run(tests);
}
