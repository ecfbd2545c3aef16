/*
 * The library reads each word of the shared page once for each look: shown on the compiled code,
 * access by access (trap.h).  First what each call touches, in order; then every call again, with a
 * worker that rewrites the page between two of its accesses, for each two of them.
 */
#include "tests/unit/lib_rig.h"

#include "libtlsbroker/internal.h"
#include "flips.h"
#include "guard.h"
#include "trap.h"
#include "wire/errors.h"

/* No call touches the page more often than this, whatever is done to it. */
#define MOST_TOUCHES 40

#define CANARY 0x77

static struct {
	uint8_t before[64], data[LIMIT_RING_MIN], after[64];
} buffer;

static struct tlsb_info info;

/* ---- calls ---- */

static long connects(struct tlsb_session *session)
{
	session->told = STATE_OPENING;
	return tlsb_connect(session, NULL, NULL);
}

static long shakes_hands(struct tlsb_session *session)
{
	return tlsb_handshake(session);
}

static long reads(struct tlsb_session *session)
{
	return tlsb_read(session, buffer.data, sizeof(buffer.data));
}

static long reads_a_byte(struct tlsb_session *session)
{
	return tlsb_read(session, buffer.data, 1);
}

static long writes(struct tlsb_session *session)
{
	return tlsb_write(session, buffer.data, sizeof(buffer.data));
}

static long peeks(struct tlsb_session *session)
{
	const void *data;

	return tlsb_peek(session, &data);
}

/* What it was shown is believed to be ten bytes, whatever has become of them. */
static long consumes(struct tlsb_session *session)
{
	session->peeked = 10;
	return tlsb_consume(session, 10);
}

static long reserves(struct tlsb_session *session)
{
	void *room;

	return tlsb_reserve(session, &room);
}

static long commits(struct tlsb_session *session)
{
	session->reserved = 10;
	return tlsb_commit(session, 10);
}

static long asks_how_much(struct tlsb_session *session)
{
	return tlsb_pending(session);
}

static long shuts_down(struct tlsb_session *session)
{
	return tlsb_shutdown(session);
}

static long waits(struct tlsb_session *session)
{
	return tlsb_wait(session, POLLIN | POLLOUT, 0);
}

static long informs(struct tlsb_session *session)
{
	return tlsb_info(session, &info, sizeof(info));
}

static long shows_its_descriptor(struct tlsb_session *session)
{
	session->shown = false;
	return tlsb_fd(session) >= 0;
}

/* ---- what they find ---- */

static void nothing(struct rig *rig unused_)
{
}

static void bytes(struct rig *rig)
{
	rig_produce(rig, "0123456789", 10);
}

static void full_rings(struct rig *rig)
{
	static const char data[LIMIT_RING_MIN];

	rig_produce(rig, data, sizeof(data));
	assert_int_equal(tlsb_write(rig->session, data, sizeof(data)), sizeof(data));
	rig_set(&rig->channel.page->worker_wants, WANT_DATA | WANT_ROOM);
}

static void the_servers_end(struct rig *rig)
{
	rig_set(&rig->channel.page->rx_end, 1);
}

static void an_error(struct rig *rig)
{
	memcpy(rig->channel.page->text, "reset", 6);
	rig_set(&rig->channel.page->error, TLSB_E_RESET);
	rig_set(&rig->channel.page->ended, 1);
}

static void both_ends(struct rig *rig)
{
	rig_set(&rig->channel.page->rx_end, 1);
	rig_set(&rig->channel.page->tx_end, 1);
	rig_set(&rig->channel.page->ended, 1);
}

/*
 * What a call touches, in this order.  One that could not go on looks twice, the second time after it
 * has asked the kernel, or armed its bell (doorbell.h); one that is polled also looks whether there is
 * something for other calls.  Within one look there is no word twice.
 */
#define ENDS    "ended state"
#define INPUT   ENDS " rx_end rx.head"
#define OUTPUT  ENDS " tx.tail"
#define OTHERS  "state rx.head rx_end tx.tail"
#define SOME_IN "state rx.head tx.tail" /* OTHERS, and bytes are there: the end does not matter */

static const struct scene {
	const char *name;
	void (*find)(struct rig *rig);
	long (*call)(struct tlsb_session *session);
	bool polled;
	long result;
	const char *touches;
} scenes[] = {
	{ "connect", nothing, connects, false, 0, ENDS },
	{ "handshake", nothing, shakes_hands, false, 0, ENDS },
	{ "read: nothing", nothing, reads, false, -1, INPUT " " INPUT },
	{ "read: nothing, polled", nothing, reads, true, -1,
	  INPUT " " OTHERS " >program_wants " INPUT " " OTHERS },
	{ "read: bytes", bytes, reads, false, 10, INPUT " >rx.tail worker_wants" },
	{ "read: bytes, polled", bytes, reads, true, 10,
	  INPUT " >rx.tail worker_wants " OTHERS " >program_wants " OTHERS },
	{ "read: one of them, polled", bytes, reads_a_byte, true, 1,
	  INPUT " >rx.tail worker_wants " SOME_IN " program_wants" },
	{ "read: a full ring", full_rings, reads, false, LIMIT_RING_MIN,
	  INPUT " >rx.tail worker_wants >worker_wants" },
	{ "read: the server's end", the_servers_end, reads, false, 0, INPUT },
	{ "read: an error", an_error, reads, false, -1, INPUT " error text" },
	{ "read: both ends", both_ends, reads, false, 0, INPUT },
	{ "write", nothing, writes, false, LIMIT_RING_MIN, OUTPUT " >tx.head worker_wants" },
	{ "write: polled", nothing, writes, true, LIMIT_RING_MIN, OUTPUT " >tx.head worker_wants" },
	{ "write: no room", full_rings, writes, false, -1, OUTPUT " " OUTPUT },
	{ "write: no room, polled", full_rings, writes, true, -1,
	  OUTPUT " " SOME_IN " >program_wants " OUTPUT " " SOME_IN " program_wants" },
	{ "write: an error", an_error, writes, false, -1, ENDS " error text" },
	{ "write: both ends", both_ends, writes, false, -1, ENDS " error rx_end" },
	{ "peek: nothing", nothing, peeks, false, -1, INPUT " " INPUT },
	{ "peek: bytes", bytes, peeks, false, 10, INPUT },
	{ "peek: bytes, polled", bytes, peeks, true, 10, INPUT },
	{ "peek: the server's end", the_servers_end, peeks, false, 0, INPUT },
	{ "consume", bytes, consumes, false, 0, "rx.head >rx.tail worker_wants" },
	{ "consume: polled", bytes, consumes, true, 0,
	  "rx.head >rx.tail worker_wants " OTHERS " >program_wants " OTHERS },
	{ "consume: nothing there", nothing, consumes, false, -1, "rx.head" },
	{ "reserve", nothing, reserves, false, LIMIT_RING_MIN, OUTPUT },
	{ "reserve: no room", full_rings, reserves, false, -1, OUTPUT " " OUTPUT },
	{ "commit", nothing, commits, false, 0, ">tx.head worker_wants" },
	{ "pending", bytes, asks_how_much, false, 10, "state rx.head" },
	{ "shutdown", nothing, shuts_down, false, -1,
	  ENDS " >tx_fin worker_wants tx_end " ENDS " tx_end" },
	{ "shutdown: both ends", both_ends, shuts_down, false, 0,
	  ENDS " >tx_fin worker_wants tx_end" },
	{ "wait", nothing, waits, true, POLLOUT, ENDS " rx.head rx_end tx.tail" },
	{ "info", nothing, informs, false, 0, "state info" },
	{ "fd", nothing, shows_its_descriptor, false, 1, ">program_wants " OTHERS },
	{ "fd: bytes", bytes, shows_its_descriptor, false, 1,
	  ">program_wants " SOME_IN " program_wants" },
};

/* ---- one call, seen ---- */

static void start(struct rig *rig)
{
	rig_listen(rig);
	rig_open(rig);
}

/* A session in which the scene's call finds what it is to find.  Returns its guard. */
static uint8_t *set(struct rig *rig, const struct scene *scene)
{
	uint8_t *guard;

	rig_established(rig);
	guard = guard_channel(&rig->session->channel);
	if (scene->polled)
		tlsb_fd(rig->session);
	scene->find(rig);
	memset(&buffer, CANARY, sizeof(buffer));
	rig->session->looked_ms = 0; /* so that a call without success asks the kernel, each time */
	return guard;
}

static void strike(struct rig *rig, uint8_t *guard)
{
	rig_drop_session(rig);
	guard_free(guard);
}

static void case_19_each_call_reads_each_word_once_a_look(void **state unused_)
{
	struct rig rig;

	start(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		uint8_t *guard = set(&rig, &scenes[i]);
		long result;

		trap_on(rig.session->channel.page, NULL);
		result = scenes[i].call(rig.session);
		trap_off(false);
		if (strcmp(trap.said, scenes[i].touches) != 0)
			print_message("%s\n", scenes[i].name);
		assert_string_equal(trap.said, scenes[i].touches);
		assert_int_equal(result, scenes[i].result);
		assert_false(trap.again);
		strike(&rig, guard);
	}
	rig_close(&rig);
}

/* ---- with an enemy in between ---- */

static const uint32_t evil[] = {
	0, 1, 2, 3, LIMIT_RING_MIN - 1, LIMIT_RING_MIN, LIMIT_RING_MIN + 1, 2 * LIMIT_RING_MIN,
	INT32_MAX, 0x80000000u, 0u - LIMIT_RING_MIN, UINT32_MAX,
};

static unsigned touches(void)
{
	unsigned count = 1;

	for (const char *s = trap.said; *s; s++)
		count += *s == ' ';
	return count;
}

static void assert_printable(const char *text, size_t size)
{
	size_t len = strnlen(text, size);

	assert_true(len < size);
	for (size_t i = 0; i < len; i++)
		assert_true((text[i] >= 0x20 && text[i] <= 0x7e) || text[i] == '\n');
}

/* Whatever the page became meanwhile. */
static void assert_sane(const struct scene *scene, const struct rig *rig, long result, uint32_t rx,
			uint32_t tx)
{
	const struct tlsb_session *session = rig->session;
	const bool read = scene->call == reads || scene->call == reads_a_byte;
	const long most = scene->call == reads_a_byte ? 1 : LIMIT_RING_MIN;
	const long moved = MAX(result, 0), tens = result == 0 ? 10 : 0;

	assert_in_range(result + 1, 0, most + 1);
	assert_true(touches() <= MOST_TOUCHES);
	/* Our own indices moved as the result says, and they alone. */
	assert_int_equal(session->channel.rx.own - rx,
			 scene->call == consumes ? tens : read ? moved : 0);
	assert_int_equal(session->channel.tx.own - tx,
			 scene->call == commits ? tens : scene->call == writes ? moved : 0);
	for (size_t i = 0; i < sizeof(buffer.before); i++) {
		assert_int_equal(buffer.before[i], CANARY);
		assert_int_equal(buffer.after[i], CANARY);
	}
	for (size_t i = read ? (size_t)moved : 0; i < sizeof(buffer.data); i++) {
		if (buffer.data[i] != CANARY)
			fail_msg("%s wrote byte %zu behind its %ld", scene->name, i, result);
	}
	assert_int_equal(error_info(session->code)->code, session->code);
	assert_printable(session->text, sizeof(session->text));
	if (scene->call == informs && result == 0) {
		assert_true(info.step_count <= TLSB_INFO_STEPS);
		assert_printable(info.cipher, sizeof(info.cipher));
		assert_printable(info.chain, sizeof(info.chain));
	}
}

struct play {
	struct rig rig;
	const struct scene *scene;
};

static unsigned attack(void *arg)
{
	struct play *play = arg;
	struct rig *rig = &play->rig;
	uint8_t *guard = set(rig, play->scene);
	const uint32_t rx = rig->session->channel.rx.own, tx = rig->session->channel.tx.own;
	long result;

	flips_begin(rig->channel.page);
	trap_on(rig->session->channel.page, flips_between);
	result = play->scene->call(rig->session);
	trap_off(false);
	assert_sane(play->scene, rig, result, rx, tx);
	strike(rig, guard);
	return trap.accesses;
}

static void case_19_no_call_believes_a_word_that_changes_under_it(void **state unused_)
{
	unsigned long tried = 0;
	struct play play;

	start(&play.rig);
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		play.scene = &scenes[i];
		tried += flips_all(play.scene->touches, evil, ARRAY_SIZE(evil),
				   attacks_full() ? 1 : 16, attack, &play);
	}
	rig_close(&play.rig);
	attacks_count("memory", tried, tried);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_19_each_call_reads_each_word_once_a_look),
		TEST(case_19_no_call_believes_a_word_that_changes_under_it),
	};

	return TRAP_WORKS ? testing_run(tests) : 77;
}
