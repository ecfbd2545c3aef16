/*
 * What a program can do to its worker with messages, case by case: lengths, a good session replayed
 * with every byte wrong in turn, floods of descriptors, odd ones, none left, ids that are not its own.
 * The other program's session goes on, and nothing is kept.
 */
#include "scarce.h"
#include "worker_scene.h"

/* From asm-generic/socket.h of Linux 6.5, for older headers. */
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

/* ---- recorded sessions ---- */

/* On which of its two sockets a program sends a message. */
enum line { ON_MAIN, ON_SESSION };

struct spoken {
	enum line line;
	size_t len;
	uint8_t bytes[128];
	bool brings_socket;
};

#define SPOKEN 7

/* All that a program says, from hello to goodbye. */
struct record {
	struct spoken spoken[SPOKEN + 1];
	unsigned count;
};

static void record_add(struct record *record, enum line line, uint32_t type, const void *body,
		       const char *tail)
{
	const struct msg_context ctx = { &client_messages, ROLE_WORKER, ROLE_CLIENT, HELLO };
	struct spoken *spoken = &record->spoken[record->count++];
	static struct mutant mutant;

	mutant_init(&mutant, &ctx, type, body, tail, strlen(tail));
	assert_true(mutant.len <= sizeof(spoken->bytes));
	*spoken = (struct spoken){ line, mutant.len, { 0 }, mutant.nfds > 0 };
	memcpy(spoken->bytes, mutant.bytes, mutant.len);
}

static void record_init(struct record *record)
{
	const struct msg_hello hello = { PROTOCOL_MAGIC, PROTOCOL_VERSION };
	const struct msg_connect connect = { .deadline_ms = 20000, .port = 443, .host_len = 14,
					     .alpn_len = 2, .flags = CONNECT_NO_RESUMPTION };

	*record = (struct record){ .count = 0 };
	record_add(record, ON_MAIN, CLIENT_MSG_HELLO, &hello, "");
	record_add(record, ON_MAIN, CLIENT_MSG_LIFELINE, NULL, "");
	record_add(record, ON_MAIN, CLIENT_MSG_STATUS, NULL, "");
	record_add(record, ON_MAIN, CLIENT_MSG_SESSION, NULL, "");
	record_add(record, ON_SESSION, CLIENT_MSG_CONNECT, &connect, "server.exampleh2");
	record_add(record, ON_SESSION, CLIENT_MSG_BELL, NULL, "");
	record_add(record, ON_SESSION, CLIENT_MSG_DISCONNECT, NULL, "");
}

static void speak(int fd, const struct spoken *spoken, int with_fd)
{
	static struct mutant mutant;

	memcpy(mutant.bytes, spoken->bytes, spoken->len);
	mutant.len = spoken->len;
	mutant.nfds = spoken->brings_socket;
	if (mutant_try_send(fd, &mutant, (int[2]){ with_fd, with_fd }) < 0)
		assert_true(errno == EPIPE || errno == ECONNRESET); /* it was hung up already */
}

/* What has the type of a SESSION brings the session's socket.  Returns how often it was dialled. */
static unsigned replay(struct scene *scene, const struct record *record)
{
	struct rig *rig = &scene->good.rig;
	struct program program;
	int lifeline[2], session[2];
	unsigned dials = 0;

	assert_int_equal(fd_seqpacket_pair(lifeline), 0);
	assert_int_equal(fd_seqpacket_pair(session), 0);
	rig_program_silent(rig, &program);
	for (unsigned i = 0; i < record->count; i++) {
		const struct spoken *spoken = &record->spoken[i];
		const bool is_session = spoken->bytes[0] == CLIENT_MSG_SESSION;

		speak(spoken->line == ON_MAIN ? program.fd : session[0], spoken,
		      is_session ? session[1] : lifeline[1]);
		if (i + 2 >= record->count) /* to be there before what ends it */
			rig_turn(rig);
	}
	close(session[1]);
	close(lifeline[1]);
	rig_turn(rig);
	while (rig_dial(rig) != 0)
		dials++;
	close(session[0]);
	close(lifeline[0]);
	close(program.fd);
	rig_turn(rig);
	scene->sent++;
	return dials;
}

/* What is said of these in the log is for the other tests; here it is only not too much. */
static void scene_forgets_rules(struct scene *scene)
{
	memcpy(scene->expected.rules, scene->log.rules, sizeof(scene->log.rules));
}

static void replay_changed(struct scene *scene, const struct record *record)
{
	unsigned before = witness_count(&scene->log);

	assert_true(replay(scene, record) <= 1);
	assert_true(witness_count(&scene->log) <= before + 2); /* its program, its session */
	if (scene->sent % 16 == 0) {
		scene_forgets_rules(scene);
		expect_unharmed(scene);
	}
}

static void case_4_each_bit_flipped(void **state unused_)
{
	static struct scene scene;
	struct record good, bad;

	scene_init(&scene);
	record_init(&good);
	assert_int_equal(replay(&scene, &good), 1);
	expect_unharmed(&scene); /* nothing in it breaks a rule */
	for (unsigned i = 0; i < good.count; i++) {
		for (size_t bit = 0; bit < 8 * good.spoken[i].len; bit++) {
			bad = good;
			bad.spoken[i].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			replay_changed(&scene, &bad);
		}
	}
	scene_forgets_rules(&scene);
	scene_deinit(&scene);
}

static void case_4_each_byte_deleted_or_repeated(void **state unused_)
{
	static struct scene scene;
	struct record good, bad;

	scene_init(&scene);
	record_init(&good);
	for (unsigned i = 0; i < good.count; i++) {
		for (size_t at = 0; at < good.spoken[i].len; at++) {
			struct spoken *spoken = &bad.spoken[i];

			bad = good;
			memmove(spoken->bytes + at, spoken->bytes + at + 1, --spoken->len - at);
			replay_changed(&scene, &bad);
			bad = good;
			memmove(spoken->bytes + at + 1, spoken->bytes + at, spoken->len++ - at);
			replay_changed(&scene, &bad);
		}
	}
	scene_forgets_rules(&scene);
	scene_deinit(&scene);
}

static void case_4_each_message_left_out_repeated_or_late(void **state unused_)
{
	static struct scene scene;
	struct record good, bad;

	scene_init(&scene);
	record_init(&good);
	for (unsigned i = 0; i < good.count; i++) {
		const size_t rest = (good.count - i - 1) * sizeof(good.spoken[0]);

		bad = good;
		memmove(&bad.spoken[i], &bad.spoken[i + 1], rest);
		bad.count--;
		replay_changed(&scene, &bad);
		bad = good;
		memmove(&bad.spoken[i + 1], &bad.spoken[i], rest + sizeof(good.spoken[0]));
		bad.count++;
		replay_changed(&scene, &bad);
		for (unsigned j = 0; j < good.count; j++) {
			bad = good;
			bad.spoken[i] = good.spoken[j];
			bad.spoken[j] = good.spoken[i];
			replay_changed(&scene, &bad);
		}
	}
	scene_forgets_rules(&scene);
	scene_deinit(&scene);
}

/* ---- lengths ---- */

/* The most address space that this process ever had, in KiB. */
static unsigned long peak_kb(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long kb = 0;
	char line[128];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "VmPeak: %lu", &kb);
	fclose(file);
	return kb;
}

/* A session that asks with this CONNECT, certificates of CA_LEN bytes and this tail. */
static void ask_with(struct scene *scene, const struct msg_connect *connect, size_t tail_len)
{
	const struct msg_context ctx = { &client_messages, ROLE_WORKER, ROLE_CLIENT, SETUP };
	static const char tail[2296] = "server.example";
	struct program_session session;
	static struct mutant mutant;

	program_open(&scene->host, &session);
	mutant_init(&mutant, &ctx, CLIENT_MSG_CONNECT, connect, tail, tail_len);
	dispatch(scene, session.fd, &mutant);
	rig_turn(&scene->good.rig);
	session_listen(&session);
	assert_true(session.refused);
	assert_int_equal(session.error, TLSB_E_BROKER_PROTOCOL);
	scene->expected.rules[RULE_CONTENT]++;
	session_close(&session);
	rig_turn(&scene->good.rig);
}

/* Lengths inside a message say more or less than there is: nothing is allocated for them. */
static void case_3_lengths_that_lie(void **state unused_)
{
	static const uint32_t lies[] = { 1,	 13,	     15,	 127,	     128,
					 255,	 256,	     0x7fff,	 0x8000,     0xffff,
					 0x0e00, 0x7fffffff, 0x80000000, 0xffffffff, 0x0e000000 };
	static const size_t tails[] = { 0, 1, 13, 14, 15, 254, 2295, 2296 };
	static struct scene scene;
	unsigned long before;

	scene_init(&scene);
	before = peak_kb();
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		for (size_t t = 0; t < ARRAY_SIZE(tails); t++) {
			struct msg_connect bad[6];

			for (size_t n = 0; n < ARRAY_SIZE(bad); n++)
				bad[n] = (struct msg_connect){ .deadline_ms = 20000, .port = 443,
							       .host_len = (uint16_t)tails[t] };
			bad[0].host_len = (uint16_t)(lies[i] == tails[t] ? 0 : lies[i]);
			bad[1].name_len = (uint16_t)lies[i];
			bad[2].alpn_len = (uint16_t)lies[i];
			bad[3].ciphers_len = (uint16_t)lies[i];
			bad[4].ca_len = lies[i];
			bad[5].pin_count = (uint16_t)lies[i];
			for (size_t n = 0; n < ARRAY_SIZE(bad); n++) {
				/* Truncated to 16 bits some are no lies. */
				if (n != 4 && (uint16_t)lies[i] == 0)
					continue;
				if (n == 0 && bad[0].host_len == tails[t])
					continue;
				ask_with(&scene, &bad[n], tails[t]);
			}
		}
		expect_unharmed(&scene);
	}
	assert_true(peak_kb() - before < 16 * 1024);
	scene_deinit(&scene);
}

/* Messages of every length up to a few bytes, around the limit, and as long as a socket takes. */
static void case_3_lengths_of_messages(void **state unused_)
{
	static const size_t lens[] = { 0,    1,	   2,	 3,    4,     5,     6,	    7,
				       8,    9,	   15,	 16,   17,    16384, 16392, 16400,
				       17407, 17408, 17409, 17410, 32768, 65536, 131072, 180000 };
	static uint8_t bytes[180000];
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < 8 * ARRAY_SIZE(lens); i++) {
		const size_t len = lens[i / 8];
		const uint32_t type = (const uint32_t[]){ CLIENT_MSG_CA, CLIENT_MSG_CONNECT,
							  CLIENT_MSG_SESSION, UINT32_MAX }[i % 4];
		struct program_session session;
		struct program program;
		int fd;

		memset(bytes, i % 8 < 4 ? 0 : 0xff, sizeof(bytes));
		memcpy(bytes, &type, sizeof(type));
		rig_program(&scene.good.rig, &program);
		program_open(&scene.host, &session);
		rig_turn(&scene.good.rig);
		fd = i % 2 ? program.fd : session.fd;
		assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT), len);
		rig_turn(&scene.good.rig);
		close(program.fd);
		session_close(&session);
		rig_turn(&scene.good.rig);
		scene.sent++;
		scene_forgets_rules(&scene);
		expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

/* ---- descriptors ---- */

static void case_5_a_flood_of_descriptors_is_closed(void **state unused_)
{
	const struct msg_context ctx = { &client_messages, ROLE_WORKER, ROLE_CLIENT, MAIN };
	static struct mutant mutant;
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < MUTANT_FLOOD; i++) {
		struct program program;

		rig_program(&scene.good.rig, &program);
		mutant_init_flood(&mutant, &ctx,
				  i % 4 < 2 ? CLIENT_MSG_SESSION : CLIENT_MSG_STATUS, i);
		dispatch(&scene, program.fd, &mutant);
		rig_turn(&scene.good.rig);
		assert_true(program_is_closed(&program));
		expect_rule(&scene, RULE_FDS);
		close(program.fd);
		expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

/* Every odd descriptor in the place of a socket; for its own see worker_hostile. */
static void case_7_odd_descriptors_end_the_program(void **state unused_)
{
	const struct msg_session nothing = { 0 };
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < 2 * scene.odd.count; i++) {
		const uint32_t type = i % 2 ? CLIENT_MSG_SESSION : CLIENT_MSG_LIFELINE;
		struct program program;

		rig_program(&scene.good.rig, &program);
		assert_int_equal(program_send(program.fd, type, &nothing, NULL, 0,
					      &scene.odd.fds[i / 2]),
				 0);
		rig_turn(&scene.good.rig);
		program_listen(&program);
		if (!program.hung)
			fail_msg("kept %s", scene.odd.names[i / 2]);
		expect_rule(&scene, RULE_CONTENT);
		close(program.fd);
		expect_unharmed(&scene);
		scene.sent++;
	}
	scene_deinit(&scene);
}

/*
 * A program chooses the options of a session's socket, and the kernel then adds things to each of its
 * messages: credentials, times, and a descriptor of the sender's process.
 */
static void case_7_a_socket_that_makes_descriptors(void **state unused_)
{
	static const int options[] = { SO_PASSPIDFD, SO_PASSCRED, SO_PASSSEC, SO_TIMESTAMP };
	const struct msg_session nothing = { 0 };
	static struct scene scene;
	const int on = 1;

	scene_init(&scene);
	for (unsigned set = 1; set < 16; set++) {
		struct program_session session;
		int pair[2];

		assert_int_equal(fd_seqpacket_pair(pair), 0);
		for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
			if (set >> i & 1) /* an old kernel has not all of them */
				(void)setsockopt(pair[1], SOL_SOCKET, options[i], &on, sizeof(on));
		}
		session = (struct program_session){ .fd = pair[0] };
		assert_int_equal(program_send(scene.host.fd, CLIENT_MSG_SESSION, &nothing, NULL, 0,
					      &pair[1]),
				 0);
		close(pair[1]);
		session_ask(&session, &anything);
		for (int i = 0; i < 50; i++)
			session_bell_worker(&session);
		rig_turn(&scene.good.rig);
		rig_turn(&scene.good.rig);
		session_listen(&session);
		channel_deinit(&session.channel);
		while (rig_dial(&scene.good.rig) != 0)
			;
		/* While it is open: our end, and what it may have in the worker. */
		assert_true(testing_count_fds() <= scene.fds + 3);
		session_close(&session);
		rig_turn(&scene.good.rig);
		scene.sent += 51;
		scene_forgets_rules(&scene);
		expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

/* ---- no descriptors left ---- */

/*
 * The worker may have LEFT more descriptors, and a program passes COUNT.  Some come and the kernel
 * says that others are lost: all are closed, nothing spins, and the good session goes on meanwhile.
 */
static void pass_to_a_full_worker(struct scene *scene, unsigned left, size_t count)
{
	const struct msg_context ctx = { &client_messages, ROLE_WORKER, ROLE_CLIENT, MAIN };
	struct rig *rig = &scene->good.rig;
	static struct mutant mutant;
	struct program program;
	struct scarce scarce;
	int before, pair[2];

	rig_program(rig, &program);
	before = testing_count_fds();
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	mutant_init(&mutant, &ctx, CLIENT_MSG_SESSION, NULL, NULL, 0);
	mutant.nfds = count;
	mutant_send(program.fd, &mutant, pair);
	close(pair[0]);
	close(pair[1]);
	scarce_begin(&scarce, left);
	rig_turn(rig);
	expect_echo(scene);
	assert_true(testing_looks(rig->child.base, 20) < 100);
	program_listen(&program);
	scarce_end(&scarce);
	/* One too many is a breach; one that there was no room for is not the program's fault. */
	assert_true(program.hung || program.refused || count == 1);
	if (program.refused)
		assert_int_equal(program.error, TLSB_E_RESOURCES);
	rig_turn(rig);
	assert_true(testing_count_fds() <= before + 1);
	close(program.fd);
	rig_turn(rig);
	scene->sent++;
	scene_forgets_rules(scene);
	expect_unharmed(scene);
}

static void case_6_descriptors_for_which_there_is_no_room(void **state unused_)
{
	static struct scene scene;

	scene_init(&scene);
	for (unsigned left = 0; left < SCARCE_LEFT; left++) {
		for (size_t i = 0; i < ARRAY_SIZE(scarce_counts); i++)
			pass_to_a_full_worker(&scene, left, scarce_counts[i]);
	}
	scene_deinit(&scene);
}

/* ---- ids ---- */

/* As the connector: a connection for the session of this id, which does not want one. */
static void expect_connection_is_closed(struct scene *scene, uint64_t id)
{
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig_dialed(&scene->good.rig, id, pair[0]);
	rig_turn(&scene->good.rig);
	assert_true(testing_is_closed(pair[1]));
	close(pair[1]);
	scene->sent++;
}

/* Ids that no session has, and those of sessions that have their connection: nothing happens. */
static void case_12_ids_of_sessions(void **state unused_)
{
	const struct wish patient = { .deadline_ms = 600000 };
	static struct scene scene;
	const uint64_t most = attack_share(100000, 100000);
	struct program_session session;
	uint64_t id, open;

	scene_init(&scene);
	open = LIST_FIRST(&rig_worker(&scene.good.rig)->all_sessions)->id;
	id = rig_session(&scene.good.rig, &scene.host, &session, &patient);
	while (scene.sent < most) {
		const uint64_t ids[] = { open,			     scene.sent,
					 scene.sent << 32,	     UINT64_MAX - scene.sent,
					 id + (UINT64_C(1) << 32),   id ^ (1 + scene.sent),
					 testing_random(&scene.seed) };
		const uint64_t other = ids[scene.sent % ARRAY_SIZE(ids)];

		if (other == id)
			scene.sent++;
		else
			expect_connection_is_closed(&scene, other);
	}
	session_listen(&session);
	assert_false(session.hung);
	assert_int_equal(session.channel.page->state, STATE_OPENING);
	expect_connection_is_closed(&scene, 0);
	session_close(&session);
	scene_deinit(&scene);
}

/* A session's id, after it has ended and another has its place: not the other's. */
static void case_13_a_connection_for_the_session_before(void **state unused_)
{
	static struct scene scene;

	scene_init(&scene);
	for (int i = 0; i < 200; i++) {
		struct program_session first, second;
		uint64_t stale, id;

		stale = rig_session(&scene.good.rig, &scene.host, &first, &anything);
		session_close(&first);
		rig_turn(&scene.good.rig);
		id = rig_session(&scene.good.rig, &scene.host, &second, &anything);
		assert_int_equal((uint32_t)id, (uint32_t)stale); /* the same place */
		assert_true(id != stale);
		expect_connection_is_closed(&scene, stale);
		session_listen(&second);
		assert_false(second.hung);
		assert_int_equal(second.channel.page->state, STATE_OPENING);
		session_close(&second);
		rig_turn(&scene.good.rig);
	}
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_3_lengths_that_lie),
		TEST(case_3_lengths_of_messages),
		TEST(case_4_each_bit_flipped),
		TEST(case_4_each_byte_deleted_or_repeated),
		TEST(case_4_each_message_left_out_repeated_or_late),
		TEST(case_5_a_flood_of_descriptors_is_closed),
		TEST(case_6_descriptors_for_which_there_is_no_room),
		TEST(case_7_odd_descriptors_end_the_program),
		TEST(case_7_a_socket_that_makes_descriptors),
		TEST(case_12_ids_of_sessions),
		TEST(case_13_a_connection_for_the_session_before),
	};

	return testing_run(tests);
}
