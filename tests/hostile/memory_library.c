/*
 * The library against a worker that was taken over: it rewrites a session's memory at full speed, in
 * a thread of its own, for seconds, while the program reads, writes and waits.  Each call returns,
 * with what it may; two other sessions on the same connection, in threads of their own, go on byte
 * by byte all the time.
 */
#include "enemy.h"
#include "guard.h"
#include "tests/attacks.h"
#include "tests/lib/pattern.h"
#include "tests/sanitized.h"
#include "tests/unit/lib_rig.h"

#include "libtlsbroker/internal.h"
#include "wire/errors.h"

#define GOOD     2
#define WINDOW   65536
#define ROUND_MS 20
#define LEAST    1000 /* bytes that a good session moves in each test, at the very least */
#define SOON_MS  60000 /* for a call that does not wait, on a busy machine */
#define HANG_MS  60000
#define CANARY   0x77

static uint64_t test_ms(void)
{
	return attacks_full() ? 10000 : 700;
}

/* ---- a worker as it should be: an echo ---- */

static uint32_t echo_some(struct rig *rig)
{
	struct channel *channel = &rig->channel;
	uint8_t *from = NULL, *to = NULL;
	int ready = ring_data(&channel->tx, &from), room;
	uint32_t n;

	if (ready == 0) {
		doorbell_arm(&channel->page->worker_wants, WANT_DATA);
		ready = ring_data(&channel->tx, &from);
	}
	room = ring_space(&channel->rx, &to);
	if (room == 0) {
		doorbell_arm(&channel->page->worker_wants, WANT_ROOM);
		room = ring_space(&channel->rx, &to);
	}
	n = (uint32_t)MIN(ready, room);
	if (n == 0)
		return 0;
	memcpy(to, from, n);
	ring_consume(&channel->tx, n);
	ring_produce(&channel->rx, n);
	if (doorbell_answer(&channel->page->program_wants, WANT_DATA | WANT_ROOM))
		rig_bell(rig);
	return n;
}

static void *echo_run(void *arg)
{
	struct rig *rig = arg;
	struct pollfd pfd = { .fd = rig->socket, .events = POLLIN };

	do {
		while (echo_some(rig) > 0)
			;
		(void)poll(&pfd, 1, -1);
	} while (rig_hear(rig) >= 0);
	return NULL;
}

/* ---- and its program, which checks what comes back ---- */

struct good {
	struct rig rig;
	pthread_t worker, program;
	atomic_bool stop;
	struct pattern out, in;
	const char *failed;
};

/* Returns how much was moved; -1: something is wrong. */
static ssize_t good_step(struct good *good, bool send)
{
	uint8_t data[4096];
	struct pattern next = good->out;
	ssize_t sent = 0, got;

	if (send && good->out.at - good->in.at < WINDOW) {
		pattern_fill(&next, data, sizeof(data));
		sent = tlsb_write(good->rig.session, data, sizeof(data));
		if (sent < 0 && errno != EWOULDBLOCK)
			return -1;
		good->out.at += (uint64_t)MAX(sent, 0);
	}
	got = tlsb_read(good->rig.session, data, sizeof(data));
	if ((got < 0 && errno != EWOULDBLOCK) ||
	    (got > 0 && !pattern_matches(&good->in, data, (size_t)got)))
		return -1;
	return MAX(sent, 0) + MAX(got, 0);
}

static void *good_run(void *arg)
{
	struct good *good = arg;
	int fd = tlsb_fd(good->rig.session);

	for (;;) {
		bool send = !atomic_load(&good->stop) || good->out.at <= LEAST;
		ssize_t moved = good_step(good, send);

		if (moved < 0)
			good->failed = "a byte, or a call";
		else if (moved == 0 && !send && good->in.at == good->out.at)
			return NULL;
		else if (moved == 0 && !is_readable_within(fd, HANG_MS))
			good->failed = "no bell";
		if (good->failed)
			return NULL;
	}
}

static void good_start(struct good *good, const struct rig *connection, uint64_t seed)
{
	*good = (struct good){ .rig = *connection };
	good->out.seed = good->in.seed = seed;
	rig_established(&good->rig);
	assert_int_equal(pthread_create(&good->worker, NULL, echo_run, &good->rig), 0);
	assert_int_equal(pthread_create(&good->program, NULL, good_run, good), 0);
}

static void good_stop(struct good *good)
{
	atomic_store(&good->stop, true);
	pthread_join(good->program, NULL);
	(void)tlsb_disconnect(good->rig.session);
	pthread_join(good->worker, NULL);
	if (good->failed)
		fail_msg("%s, after %lu bytes", good->failed, good->in.at);
	assert_true(good->in.at > LEAST);
	rig_drop_session(&good->rig);
}

struct scene {
	struct rig rig; /* the connection, and one hostile session after the other */
	struct good good[GOOD];
	unsigned long rounds, calls, failed, writes;
	uint64_t seed;
};

static void scene_init(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	scene->seed = 18;
	rig_listen(&scene->rig);
	rig_open(&scene->rig);
	for (uint64_t i = 0; i < GOOD; i++)
		good_start(&scene->good[i], &scene->rig, i + 1);
}

static void scene_deinit(struct scene *scene)
{
	for (int i = 0; i < GOOD; i++)
		good_stop(&scene->good[i]);
	rig_close(&scene->rig);
	print_message("%lu sessions, %lu calls, %lu failed; %lu writes\n", scene->rounds,
		      scene->calls, scene->failed, scene->writes);
	attacks_count("memory", scene->rounds, scene->rounds);
}

/* ---- a program's calls, whatever its memory says ---- */

static struct {
	uint8_t before[64], data[4096], after[64];
} buffer;

static void assert_printable(const char *text, size_t size)
{
	size_t len = strnlen(text, size);

	assert_true(len < size);
	for (size_t i = 0; i < len; i++)
		assert_true((text[i] >= 0x20 && text[i] <= 0x7e) || text[i] == '\n');
}

static void inform(const struct tlsb_session *session)
{
	struct tlsb_info info;

	if (tlsb_info(session, &info, sizeof(info)) < 0)
		return;
	assert_true(info.step_count <= TLSB_INFO_STEPS);
	assert_printable(info.cipher, sizeof(info.cipher));
	assert_printable(info.alpn, sizeof(info.alpn));
	assert_printable(info.subject, sizeof(info.subject));
	assert_printable(info.chain, sizeof(info.chain));
}

/* All that is shown is touched: it is there, whatever the enemy says. */
static ssize_t read_in_place(struct tlsb_session *session, size_t len)
{
	const void *data;
	ssize_t n = tlsb_peek(session, &data);

	if (n <= 0)
		return n;
	memcpy(buffer.data, data, MIN((size_t)n, sizeof(buffer.data)));
	return tlsb_consume(session, MIN(len, (size_t)n));
}

static ssize_t write_in_place(struct tlsb_session *session, size_t len)
{
	void *room;
	ssize_t n = tlsb_reserve(session, &room);

	if (n < 0)
		return n;
	memset(room, CANARY, (size_t)n);
	return tlsb_commit(session, MIN(len, (size_t)n));
}

static ssize_t call_at_random(struct tlsb_session *session, uint64_t random)
{
	const size_t len = 1 + (random >> 16) % sizeof(buffer.data);

	tlsb_set_timeout(session, random >> 8 & 3 ? 0 : 2);
	switch (random % 9) {
	case 0:
		return tlsb_read(session, buffer.data, len);
	case 1:
		return read_in_place(session, len);
	case 2:
		return tlsb_write(session, buffer.data, len);
	case 3:
		return write_in_place(session, len);
	case 4:
		return tlsb_wait(session, POLLIN | POLLOUT, random >> 8 & 2);
	case 5:
		return tlsb_pending(session) < 0 ? -1 : 0;
	case 6:
		inform(session);
		return tlsb_connect(session, NULL, NULL);
	case 7:
		return tlsb_handshake(session);
	default:
		/* Rarely: afterwards nothing can be written any more. */
		return random >> 16 & 31 ? !is_readable(tlsb_fd(session)) : tlsb_shutdown(session);
	}
}

static void call(struct scene *scene)
{
	const struct tlsb_session *session = scene->rig.session;
	const uint64_t began = clock_ms();
	ssize_t result;

	result = call_at_random(scene->rig.session, testing_random(&scene->seed));
	assert_true(clock_ms() - began < SOON_MS);
	assert_in_range(result + 1, 0, sizeof(buffer.data) + 1);
	assert_int_equal(error_info(session->code)->code, session->code);
	assert_printable(tlsb_error_text(session), LIMIT_TEXT + 1);
	scene->calls++;
	scene->failed += result < 0;
}

static void assert_nothing_else_written(void)
{
	for (size_t i = 0; i < sizeof(buffer.before); i++) {
		assert_int_equal(buffer.before[i], CANARY);
		assert_int_equal(buffer.after[i], CANARY);
	}
}

/* One session after the other is attacked in this way. */
static void attack(struct scene *scene, enum enemy_way way, uint64_t ms)
{
	const uint64_t end = clock_ms() + ms;
	struct rig *rig = &scene->rig;

	/* On a busy machine the enemy may not have had its turn yet. */
	while (clock_ms() < end || scene->failed == 0) {
		const uint64_t until = clock_ms() + ROUND_MS;
		struct enemy enemy;
		uint8_t *guard;

		memset(&buffer, CANARY, sizeof(buffer));
		rig_established(rig);
		guard = guard_channel(&rig->session->channel);
		enemy_start(&enemy, &rig->channel, way, ++scene->seed);
		do {
			for (int i = 0; i < 10; i++)
				call(scene);
		} while (rig->session->stage == STAGE_OPEN && clock_ms() < until);
		scene->writes += enemy_stop(&enemy);
		assert_nothing_else_written();
		rig_drop_session(rig);
		guard_free(guard);
		scene->rounds++;
	}
}

static void attack_in_ways(enum enemy_way one, enum enemy_way other)
{
	static struct scene scene;

	scene_init(&scene);
	attack(&scene, one, test_ms() / 2);
	attack(&scene, other, test_ms() / 2);
	assert_true(scene.failed > 0 && scene.failed < scene.calls);
	scene_deinit(&scene);
}

static void case_18_wild_words_are_an_error_of_their_session(void **state unused_)
{
	attack_in_ways(ENEMY_EDGES, ENEMY_RANDOM);
}

static void case_19_words_that_flip_are_an_error_of_their_session(void **state unused_)
{
	attack_in_ways(ENEMY_FLIPS, ENEMY_NEAR);
}

/* ---- bells and greetings ---- */

struct storm {
	pthread_t thread;
	const struct rig *rig;
	atomic_ulong tried;
	atomic_bool stop;
};

static void *storm_run(void *arg)
{
	struct storm *storm = arg;

	for (; !atomic_load_explicit(&storm->stop, memory_order_relaxed); storm->tried++)
		rig_bell(storm->rig);
	return NULL;
}

static void case_25_bells_at_full_speed_change_no_byte(void **state unused_)
{
	struct storm storms[2];
	struct good good;
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	good_start(&good, &rig, 25);
	for (size_t i = 0; i < ARRAY_SIZE(storms); i++) {
		storms[i] = (struct storm){ .rig = &good.rig };
		assert_int_equal(pthread_create(&storms[i].thread, NULL, storm_run, &storms[i]), 0);
	}
	usleep((useconds_t)test_ms() * 1000);
	for (size_t i = 0; i < ARRAY_SIZE(storms); i++) {
		while (atomic_load(&storms[i].tried) <= LEAST)
			usleep(1000);
		atomic_store(&storms[i].stop, true);
		pthread_join(storms[i].thread, NULL);
	}
	print_message("%lu bells beside %lu bytes\n", storms[0].tried + storms[1].tried, good.in.at);
	good_stop(&good);
	rig_close(&rig);
	attacks_count("memory", 1, 1);
}

static uint64_t cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Two calls that wait for 300 ms each: how long they computed. */
static uint64_t cpu_us_of_waiting(struct rig *rig)
{
	uint64_t began = cpu_us();

	tlsb_set_timeout(rig->session, 0);
	assert_int_equal(tlsb_wait(rig->session, POLLIN, 300), 0);
	/* But whoever polls for room is told, if need be by a worker that is asked to. */
	assert_true(is_readable(tlsb_fd(rig->session)) || rig_hear(rig) > 0);
	assert_true(is_readable(tlsb_fd(rig->session)));
	rig_bell(rig);
	tlsb_set_timeout(rig->session, 300);
	assert_fails(tlsb_read(rig->session, buffer.data, 1), ETIMEDOUT);
	return cpu_us() - began;
}

/* A bell for one call, such as room for a write, does not keep another one from sleeping. */
static void case_25_a_call_that_waits_does_not_spin(void **state unused_)
{
	static const char data[LIMIT_RING_MIN];
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	rig_established(&rig);
	tlsb_fd(rig.session);
	assert_int_equal(tlsb_write(rig.session, data, sizeof(data)), sizeof(data));
	assert_fails(tlsb_write(rig.session, data, 1), EWOULDBLOCK);
	rig_consume(&rig, NULL, sizeof(data));
	assert_takes(cpu_us_of_waiting(&rig), 0, 10000);
	rig_close(&rig);
	attacks_count("memory", 1, 1);
}

/* A worker that rings all the time, soon after each look of the program's, and brings nothing until the end. */
static void *tease_run(void *arg)
{
	struct storm *storm = arg;
	struct rig *rig = (struct rig *)(uintptr_t)storm->rig;

	for (; storm->tried < LEAST; storm->tried++) {
		rig_bell(rig);
		usleep(50);
	}
	rig_produce(rig, "x", 1);
	rig_bell(rig);
	return NULL;
}

/*
 * A call that has had answers looks for a moment before it sleeps: a worker that only ever rings gets no more
 * of the program's time by that than a bell is worth.
 */
static void case_25_bells_that_bring_nothing_are_not_looked_for(void **state unused_)
{
	struct storm storm;
	struct rig rig;
	uint64_t began, us;
	char byte;

	rig_listen(&rig);
	rig_open(&rig);
	rig_established(&rig);
	rig.tlsb->has_cpus = true;
	tlsb_set_timeout(rig.session, -1);
	storm = (struct storm){ .rig = &rig };
	began = cpu_us();
	assert_int_equal(pthread_create(&storm.thread, NULL, tease_run, &storm), 0);
	assert_int_equal(tlsb_read(rig.session, &byte, 1), 1);
	us = cpu_us() - began;
	pthread_join(storm.thread, NULL);
	print_message("%lu us for each bell\n", (unsigned long)us / LEAST);
	if (!SANITIZED)
		assert_true(us < LEAST * 100ULL);
	rig_close(&rig);
	attacks_count("memory", 1, 1);
}

/* How many greetings fit into the connection. */
static int greet(const struct rig *rig)
{
	const struct msg_welcome welcome = { .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION };
	int count = 0;

	while (msg_send(rig->main, &client_messages, CLIENT_MSG_WELCOME, &welcome, "me", 2, NULL) == 0)
		count++;
	return count;
}

/* A worker that greets faster than the program can listen would else keep the call for ever. */
static void case_25_greetings_without_end_do_not_hold_a_call(void **state unused_)
{
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	rig_established(&rig);
	assert_true(greet(&rig) > 4 * LIMIT_CHAN_BATCH);
	rig.socket = fd_close(rig.socket);
	rig.session->looked_ms = 0; /* it is to notice */
	assert_fails(tlsb_read(rig.session, buffer.data, 1), EWOULDBLOCK);
	assert_in_range(greet(&rig), LIMIT_CHAN_BATCH / 2, LIMIT_CHAN_BATCH + 2);
	assert_soon_fails(tlsb_read(rig.session, buffer.data, 1), ECONNRESET);
	rig_close(&rig);
	attacks_count("memory", 1, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_18_wild_words_are_an_error_of_their_session),
		TEST(case_19_words_that_flip_are_an_error_of_their_session),
		TEST(case_25_bells_at_full_speed_change_no_byte),
		TEST(case_25_a_call_that_waits_does_not_spin),
		TEST(case_25_bells_that_bring_nothing_are_not_looked_for),
		TEST(case_25_greetings_without_end_do_not_hold_a_call),
	};

	return testing_run(tests);
}
