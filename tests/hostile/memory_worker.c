/*
 * The worker's real loop against programs that rewrite their session's memory at full speed, in a
 * thread of their own, for seconds: each such session ends or goes on, its server gets proper TLS in
 * every case, and two other sessions of the same worker go on byte by byte all the time.
 */
#include "enemy.h"
#include "guard.h"
#include "tests/attacks.h"
#include "tests/lib/pattern.h"
#include "tests/unit/worker_rig.h"

#define GOOD      2
#define WINDOW    65536 /* bytes under way in a good session */
#define ROUND_MS  20    /* a session is attacked so long, unless it ends */
#define LEAST     1000  /* bytes that a good session moves in each test, at the very least */

static uint64_t test_ms(void)
{
	return attacks_full() ? 10000 : 700;
}

/* ---- sessions that are as they should be ---- */

struct good {
	struct program_session session;
	struct peer peer;
	struct pattern out, in;
	bool last; /* nothing more is sent */
};

struct scene {
	struct rig rig;
	struct program program, hostile;
	struct good good[GOOD];
	unsigned long rounds, ended, writes;
	uint64_t seed;
};

static void peer_tidy(struct peer *peer)
{
	peer->got.len = 0;
	if (peer->sent == peer->to_send.len)
		peer->sent = peer->to_send.len = 0;
}

static void good_step(struct good *good)
{
	uint8_t data[8192], *span = NULL;
	struct pattern next = good->out;
	int ready;

	if ((!good->last || good->out.at <= LEAST) && good->out.at - good->in.at < WINDOW) {
		pattern_fill(&next, data, sizeof(data));
		good->out.at += session_write(&good->session, data, sizeof(data));
	}
	ready = ring_data(&good->session.channel.rx, &span);
	assert_true(ready >= 0);
	if (ready > 0) {
		assert_true(pattern_matches(&good->in, span, (size_t)ready));
		ring_consume(&good->session.channel.rx, (uint32_t)ready);
	}
	if (doorbell_answer(&good->session.channel.page->worker_wants, WANT_ROOM))
		session_bell_worker(&good->session);
	assert_false(session_is_over(&good->session));
	peer_tidy(&good->peer);
}

static void turn(struct scene *scene)
{
	rig_turn(&scene->rig);
	for (int i = 0; i < GOOD; i++)
		good_step(&scene->good[i]);
}

static void scene_init(struct scene *scene)
{
	*scene = (struct scene){ .seed = 18 };
	rig_init(&scene->rig);
	rig_program(&scene->rig, &scene->program);
	rig_program(&scene->rig, &scene->hostile);
	for (uint64_t i = 0; i < GOOD; i++) {
		struct good *good = &scene->good[i];

		rig_establish(&scene->rig, &scene->program, &good->session, &anything, &good->peer);
		good->peer.echo = true;
		good->out.seed = good->in.seed = i + 1;
	}
}

/* Everything that was sent has come back; and then nothing of any session is left. */
static void scene_deinit(struct scene *scene)
{
	for (int i = 0; i < GOOD; i++) {
		struct good *good = &scene->good[i];

		good->last = true;
		RIG_UNTIL(&scene->rig, (turn(scene), good->in.at > LEAST && good->in.at == good->out.at));
	}
	for (int i = 0; i < GOOD; i++) {
		session_close(&scene->good[i].session);
		rig_forget(&scene->rig, &scene->good[i].peer);
	}
	fd_close(scene->program.fd);
	fd_close(scene->hostile.fd);
	RIG_UNTIL(&scene->rig, LIST_EMPTY(&rig_worker(&scene->rig)->all_sessions));
	rig_expect_no_sessions(&scene->rig);
	rig_deinit(&scene->rig);
	print_message("%lu sessions attacked, %lu ended, %lu writes\n", scene->rounds, scene->ended,
		      scene->writes);
	attacks_count("memory", scene->rounds, scene->rounds);
}

/* Mappings of channels in this process. */
static int count_channels(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int count = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, "tlsbroker-channel") != NULL;
	fclose(maps);
	return count;
}

/* ---- sessions that are not ---- */

struct victim {
	struct program_session session;
	struct peer peer;
	uint8_t *guard;
};

static void victim_init(struct scene *scene, struct victim *victim, const struct wish *wish)
{
	rig_establish(&scene->rig, &scene->hostile, &victim->session, wish, &victim->peer);
	/* The newest is the first. */
	victim->guard = guard_channel(&LIST_FIRST(&rig_worker(&scene->rig)->all_sessions)->channel);
}

/* Traffic both ways, as far as the rings' words still let the worker move any. */
static void victim_step(struct victim *victim)
{
	static const char data[20000];

	session_bell_worker(&victim->session);
	if (victim->peer.to_send.len == 0 && victim->peer.end == PEER_RUNS)
		peer_say(&victim->peer, data, sizeof(data));
}

static void victim_deinit(struct scene *scene, struct victim *victim)
{
	if (victim->peer.end == PEER_FAILED)
		fail_msg("the server got what is no TLS");
	session_close(&victim->session);
	rig_forget(&scene->rig, &victim->peer);
	/* It may still linger, to send what it has. */
	RIG_UNTIL(&scene->rig, rig_worker(&scene->rig)->quota.sessions == GOOD);
	guard_free(victim->guard);
	scene->rounds++;
}

/* One session after the other is attacked in this way. */
static void attack(struct scene *scene, enum enemy_way way, uint64_t ms)
{
	const uint64_t end = clock_ms() + ms;

	/* On a busy machine the enemy may not have had its turn yet. */
	while (clock_ms() < end || scene->ended == 0) {
		struct victim victim;
		struct enemy enemy;
		uint64_t until;

		victim_init(scene, &victim, &anything);
		enemy_start(&enemy, &victim.session.channel, way, ++scene->seed);
		until = clock_ms() + ROUND_MS;
		do {
			victim_step(&victim);
			turn(scene);
			peer_tidy(&victim.peer);
		} while (!session_is_over(&victim.session) && clock_ms() < until);
		scene->ended += victim.session.hung;
		scene->writes += enemy_stop(&enemy);
		victim_deinit(scene, &victim);
	}
}

static void attack_in_ways(enum enemy_way one, enum enemy_way other)
{
	struct scene scene;

	scene_init(&scene);
	attack(&scene, one, test_ms() / 2);
	attack(&scene, other, test_ms() / 2);
	assert_true(scene.ended > 0);
	assert_true(rig_count(&scene.rig, COUNTER_violations) > 0);
	scene_deinit(&scene);
	assert_int_equal(count_channels(), 0);
}

static void case_18_wild_words_end_their_own_session(void **state unused_)
{
	attack_in_ways(ENEMY_EDGES, ENEMY_RANDOM);
}

static void case_19_words_that_flip_end_their_own_session(void **state unused_)
{
	attack_in_ways(ENEMY_FLIPS, ENEMY_NEAR);
}

/* The bytes change, the stream does not: as many as were written arrive, in proper TLS. */
static void send_changing_bytes(struct scene *scene, const struct wish *wish, uint64_t ms)
{
	static const char data[4096];
	const uint64_t end = clock_ms() + ms;
	size_t sent = 0, arrived = 0;
	struct victim victim;
	struct enemy enemy;

	victim_init(scene, &victim, wish);
	enemy_start(&enemy, &victim.session.channel, ENEMY_BYTES, ++scene->seed);
	while (clock_ms() < end || arrived < sent || sent <= LEAST) {
		if (clock_ms() < end || sent <= LEAST)
			sent += session_write(&victim.session, data, sizeof(data));
		turn(scene);
		arrived += victim.peer.got.len;
		peer_tidy(&victim.peer);
		assert_false(session_is_over(&victim.session));
		assert_int_equal(victim.peer.end, PEER_RUNS);
	}
	assert_int_equal(arrived, sent);
	scene->writes += enemy_stop(&enemy);
	victim_deinit(scene, &victim);
}

static void case_23_bytes_that_change_while_they_are_encrypted_are_data(void **state unused_)
{
	static const struct wish wishes[] = {
		{ .version_min = TLSB_TLS_1_3, .ciphers = "TLS_AES_128_GCM_SHA256" },
		{ .version_min = TLSB_TLS_1_3, .ciphers = "TLS_CHACHA20_POLY1305_SHA256" },
		{ .version_max = TLSB_TLS_1_2, .ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" },
		{ .version_max = TLSB_TLS_1_2, .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305" },
	};
	struct scene scene;

	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(wishes); i++)
		send_changing_bytes(&scene, &wishes[i], test_ms() / ARRAY_SIZE(wishes));
	assert_int_equal(rig_count(&scene.rig, COUNTER_violations), 0);
	scene_deinit(&scene);
}

/* ---- bells ---- */

struct storm {
	pthread_t thread;
	struct program_session *session;
	unsigned long tried;
	atomic_ulong sent;
	atomic_bool stop;
};

static void *storm_run(void *arg)
{
	const struct msg_bell bell = { 0 };
	struct storm *storm = arg;

	while (!atomic_load_explicit(&storm->stop, memory_order_relaxed)) {
		doorbell_arm(&storm->session->channel.page->program_wants, 7);
		storm->sent += program_send(storm->session->fd, CLIENT_MSG_BELL, &bell, NULL, 0,
					    NULL) == 0;
		storm->tried++;
	}
	return NULL;
}

static void case_25_bells_at_full_speed_hold_nobody_up(void **state unused_)
{
	const uint64_t end = clock_ms() + test_ms();
	struct victim victim;
	struct scene scene;
	struct storm storm;

	scene_init(&scene);
	victim_init(&scene, &victim, &anything);
	storm = (struct storm){ .session = &victim.session };
	assert_int_equal(pthread_create(&storm.thread, NULL, storm_run, &storm), 0);
	/* Nobody reads what the worker rings: its socket fills, and it does not block. */
	while (clock_ms() < end || atomic_load(&storm.sent) <= LEAST)
		turn(&scene);
	atomic_store(&storm.stop, true);
	pthread_join(storm.thread, NULL);
	assert_false(session_is_over(&victim.session));
	print_message("%lu bells tried, %lu sent\n", storm.tried, storm.sent);
	victim_deinit(&scene, &victim);
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_18_wild_words_end_their_own_session),
		TEST(case_19_words_that_flip_end_their_own_session),
		TEST(case_23_bytes_that_change_while_they_are_encrypted_are_data),
		TEST(case_25_bells_at_full_speed_hold_nobody_up),
	};

	return testing_run(tests);
}
