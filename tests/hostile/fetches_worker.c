/*
 * The worker reads each word of a session's page once for each look: as fetches_library.c, for the
 * steps of the worker's side.
 */
#include "tests/unit/worker_rig.h"

#include "flips.h"
#include "guard.h"
#include "trap.h"
#include "worker/pump.h"

/* Whatever is done to the page: so many records are sent in a turn, with four touches for each. */
#define MOST_RECORDS (LIMIT_PUMP_BYTES / 1024)
#define MOST_TOUCHES (4 * MOST_RECORDS + 10)

static struct session *only_session(const struct one *one)
{
	return LIST_FIRST(&rig_worker(&one->rig)->all_sessions);
}

/* ---- steps ---- */

static void pumps_in(struct session *session)
{
	int error;

	net_turn(&session->net);
	net_event(&session->net, true, true);
	(void)pump_in(session, &error);
}

static void pumps_out(struct session *session)
{
	int error;

	net_turn(&session->net);
	(void)pump_out(session, &error);
}

static void rings(struct session *session)
{
	session->unrung_rx = session->unrung_tx = 1;
	pump_ring(session);
}

static void hears_a_bell(struct session *session)
{
	struct msg msg = { 0 };

	(void)session_on_bell(&session->chan, &msg);
}

static void sweeps(struct session *session)
{
	session->swept_at = session->bytes_read = 1;
	(void)session_sweep(session);
}

static void ends(struct session *session)
{
	session_end(session, TLSB_E_RESET, "over");
}

/* ---- what they find ---- */

static void nothing(struct one *one unused_)
{
}

static void bytes_to_send(struct one *one)
{
	char data[100] = { 0 };

	rig_turn(&one->rig);
	(void)session_write(&one->session, data, sizeof(data));
}

/* On the worker's socket already, where no event has told of them yet. */
static void bytes_to_read(struct one *one)
{
	peer_say(&one->peer, "something", 9);
	peer_step(&one->peer);
	usleep(200);
}

static void a_program_that_waits(struct one *one)
{
	doorbell_arm(&one->session.channel.page->program_wants,
		     WANT_DATA | WANT_ROOM | WANT_STATE);
}

static void a_full_ring(struct one *one)
{
	const uint32_t full = LIMIT_RING_MAX;

	only_session(one)->channel.rx.own += full;
	atomic_store(&one->session.channel.page->rx.head.value, full);
}

static void a_goodbye(struct one *one)
{
	atomic_store(&one->session.channel.page->tx_fin, 1);
}

/* What a step touches.  One that finds nothing arms its bell and looks a second time (doorbell.h). */
#define ROOM      "rx.tail"
#define OUT       "tx_fin tx.head"
#define OUT_EMPTY OUT " >worker_wants " OUT
#define LATE      "rx.tail tx.head program_wants" /* what may the program be rung for? */

static const struct scene {
	const char *name;
	void (*find)(struct one *one);
	void (*step)(struct session *session);
	const char *touches;
} scenes[] = {
	{ "in: nothing", nothing, pumps_in, ROOM },
	{ "in: bytes", bytes_to_read, pumps_in, ROOM " >rx.head program_wants " ROOM },
	{ "in: no room", a_full_ring, pumps_in, ROOM " >worker_wants " ROOM },
	{ "out: nothing", nothing, pumps_out, OUT_EMPTY },
	{ "out: bytes", bytes_to_send, pumps_out, OUT " >tx.tail " OUT_EMPTY },
	{ "out: goodbye", a_goodbye, pumps_out, OUT },
	{ "ring: nobody waits", nothing, rings, "program_wants" },
	{ "ring: the program waits", a_program_that_waits, rings, "program_wants >program_wants" },
	{ "bell: nothing", nothing, hears_a_bell, ROOM " " OUT_EMPTY " " LATE },
	{ "bell: the program waits", a_program_that_waits, hears_a_bell,
	  ROOM " " OUT_EMPTY " " LATE " >program_wants" },
	{ "bell: bytes", bytes_to_send, hears_a_bell,
	  ROOM " " OUT " >tx.tail " OUT_EMPTY " program_wants " LATE },
	{ "sweep", nothing, sweeps, ROOM },
	{ "end", nothing, ends, ">text >error >ended" },
};

/* ---- one step, seen ---- */

/* A session in which the step finds what it is to find.  Returns its guard. */
static uint8_t *set(struct one *one, const struct scene *scene)
{
	uint8_t *guard;

	rig_establish(&one->rig, &one->program, &one->session, &anything, &one->peer);
	rig_turn(&one->rig);
	guard = guard_channel(&only_session(one)->channel);
	scene->find(one);
	return guard;
}

static void step(struct one *one, const struct scene *scene, void (*enemy)(unsigned accesses))
{
	struct session *session = only_session(one);

	trap_on(session->channel.page, enemy);
	scene->step(session);
	trap_off(!only_session(one));
}

static void strike(struct one *one, uint8_t *guard)
{
	session_close(&one->session);
	rig_forget(&one->rig, &one->peer);
	RIG_UNTIL(&one->rig, !only_session(one));
	rig_expect_no_sessions(&one->rig);
	guard_free(guard);
}

static void start(struct one *one)
{
	rig_init(&one->rig);
	rig_program(&one->rig, &one->program);
}

static void stop(struct one *one)
{
	fd_close(one->program.fd);
	rig_deinit(&one->rig);
}

static void case_19_each_step_reads_each_word_once_a_look(void **state unused_)
{
	struct one one;

	start(&one);
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		uint8_t *guard = set(&one, &scenes[i]);

		step(&one, &scenes[i], NULL);
		if (strcmp(trap.said, scenes[i].touches) != 0)
			print_message("%s\n", scenes[i].name);
		assert_string_equal(trap.said, scenes[i].touches);
		assert_false(trap.again);
		strike(&one, guard);
	}
	stop(&one);
}

/* From the dial to the first byte: the worker writes, and reads nothing back but who waits. */
static void case_19_the_handshake_reads_nothing_back(void **state unused_)
{
	static const char touches[] = ">state program_wants >info >state program_wants ";
	struct one one;
	uint64_t id;
	int pair[2];

	start(&one);
	id = rig_session(&one.rig, &one.program, &one.session, &anything);
	tcp_pair(pair);
	peer_init(&one.peer, one.rig.server, pair[1]);
	one.rig.peers[0] = &one.peer;
	trap_on(only_session(&one)->channel.page, NULL);
	rig_dialed(&one.rig, id, pair[0]);
	RIG_UNTIL(&one.rig, session_word(&one.session.channel.page->state) == STATE_ESTABLISHED);
	trap_off(false);
	assert_memory_equal(trap.said, touches, sizeof(touches) - 1);
	session_close(&one.session);
	rig_forget(&one.rig, &one.peer);
	RIG_UNTIL(&one.rig, !only_session(&one));
	stop(&one);
}

/* ---- with an enemy in between ---- */

static const uint32_t evil[] = {
	0, 1, 2, 3, 7, LIMIT_RING_MAX - 1, LIMIT_RING_MAX, LIMIT_RING_MAX + 1, 2 * LIMIT_RING_MAX,
	INT32_MAX, 0x80000000u, 0u - LIMIT_RING_MAX, UINT32_MAX,
};

struct play {
	struct one one;
	const struct scene *scene;
};

static unsigned attack(void *arg)
{
	struct play *play = arg;
	struct one *one = &play->one;
	uint8_t *guard = set(one, play->scene);
	const uint32_t rx = only_session(one)->channel.rx.own, tx = only_session(one)->channel.tx.own;
	const struct session *session;

	flips_begin(one->session.channel.page);
	step(one, play->scene, flips_between);
	assert_true(trap.accesses <= MOST_TOUCHES);
	/* It is over, or it goes on, having done no more than a turn's share. */
	session = only_session(one);
	if (session) {
		assert_true(session->channel.rx.own - rx <= LIMIT_PUMP_BYTES);
		assert_true(session->channel.tx.own - tx <= LIMIT_PUMP_BYTES + SSL3_RT_MAX_PLAIN_LENGTH);
	}
	rig_turn(&one->rig);
	/* Its server may get what was never written, but never broken TLS. */
	assert_int_not_equal(one->peer.end, PEER_FAILED);
	strike(one, guard);
	return trap.accesses;
}

static void case_19_no_step_believes_a_word_that_changes_under_it(void **state unused_)
{
	unsigned long tried = 0;
	struct play play;

	start(&play.one);
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		play.scene = &scenes[i];
		tried += flips_all(play.scene->touches, evil, ARRAY_SIZE(evil),
				   attacks_full() ? 1 : 32, attack, &play);
	}
	stop(&play.one);
	attacks_count("memory", tried, tried);
}

/* ---- a program that writes byte after byte, as fast as they are sent ---- */

static void write_one_more(unsigned accesses unused_)
{
	struct ring_words *tx = &flips.page->tx;

	atomic_store(&tx->head.value, atomic_load(&tx->tail.value) + 1);
}

static void case_26_bytes_written_one_by_one_hold_nobody_up(void **state unused_)
{
	static const struct scene scene = { "out: byte after byte", nothing, pumps_out, NULL };
	uint8_t *guard;
	struct one one;

	start(&one);
	guard = set(&one, &scene);
	flips.page = one.session.channel.page;
	step(&one, &scene, write_one_more);
	assert_int_equal(only_session(&one)->bytes_written, MOST_RECORDS);
	assert_true(trap.accesses <= MOST_TOUCHES);
	strike(&one, guard);
	stop(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_19_each_step_reads_each_word_once_a_look),
		TEST(case_19_the_handshake_reads_nothing_back),
		TEST(case_19_no_step_believes_a_word_that_changes_under_it),
		TEST(case_26_bytes_written_one_by_one_hold_nobody_up),
	};

	return TRAP_WORKS ? testing_run(tests) : 77;
}
