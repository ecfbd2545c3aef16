/*
 * Programs that break every rule: each is cut off alone, and nobody else notices.
 */
#include "worker_rig.h"
#include "testing_clock.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/un.h>

#include "worker/client.h"

/* The other user of the worker is as well as ever. */
static void expect_unharmed(struct one *one)
{
	size_t before = one->peer.got.len;
	struct testing_text got = {0};

	assert_int_equal(session_write(&one->session, "up", 2), 2);
	peer_say(&one->peer, "down", 4);
	RIG_UNTIL(&one->rig, one->peer.got.len == before + 2);
	RIG_UNTIL(&one->rig, (session_read(&one->session, &got, 99), got.len == 4));
	free(got.data);
}

/* ---- the shared memory ---- */

/* Where a hostile program can write, and what. */
enum word { TX_HEAD, TX_TAIL, RX_HEAD, RX_TAIL, STATE, WANTS };

static _Atomic uint32_t *word_of(struct control_page *page, enum word word)
{
	switch (word) {
	case TX_HEAD:
		return &page->tx.head.value;
	case TX_TAIL:
		return &page->tx.tail.value;
	case RX_HEAD:
		return &page->rx.head.value;
	case RX_TAIL:
		return &page->rx.tail.value;
	case STATE:
		return &page->state;
	default:
		return &page->worker_wants;
	}
}

static void impossible_indices_end_the_session(void **state unused_)
{
	static const struct {
		enum word word;
		uint32_t value;
	} rows[] = {
		{TX_HEAD, LIMIT_RING_MAX + 1}, {TX_HEAD, UINT32_MAX},
		{TX_HEAD, 0x80000000},	       {RX_TAIL, 1},
		{RX_TAIL, 0x80000000},	       {RX_TAIL, -(LIMIT_RING_MAX + 1)},
	};
	struct one good;

	one_init(&good, &anything);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct program_session session;
		struct peer peer;

		rig_establish(&good.rig, &good.program, &session, &anything, &peer);
		atomic_store(word_of(session.channel.page, rows[i].word), rows[i].value);
		session_bell_worker(&session);
		RIG_UNTIL(&good.rig, session_is_over(&session));
		session_expect_end(&session, TLSB_E_BROKER_PROTOCOL, "ring");
		assert_int_equal(rig_count(&good.rig, COUNTER_violations), i + 1);
		assert_int_equal(peer.got.len, 0);
		session_close(&session);
		rig_forget(&good.rig, &peer);
		expect_unharmed(&good);
	}
	one_deinit(&good);
}

/* Words that are the worker's own are not read back: a program only fools itself. */
static void the_workers_own_words_are_not_read_back(void **state unused_)
{
	static const enum word words[] = {TX_TAIL, RX_HEAD, STATE, WANTS};
	struct testing_text got = {0};
	struct one one;

	one_init(&one, &anything);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		uint32_t right =
			atomic_exchange(word_of(one.session.channel.page, words[i]), 0xdeadbeef);

		session_bell_worker(&one.session);
		rig_run_for(&one.rig, 2);
		assert_int_equal(rig_count(&one.rig, COUNTER_violations), 0);
		atomic_store(word_of(one.session.channel.page, words[i]), right);
		session_bell_worker(&one.session);
		expect_unharmed(&one);
	}
	free(got.data);
	one_deinit(&one);
}

static void bytes_that_go_away_again_end_the_session(void **state unused_)
{
	struct testing_text up = noise(12000000, 1);
	size_t written = 0, before;
	struct one one;

	one_init(&one, &anything);
	one.peer.deaf = true;
	do {
		before = written;
		for (int i = 0; i < 50; i++) {
			written += session_write(&one.session, up.data + written, up.len - written);
			rig_turn(&one.rig);
		}
	} while (written > before);
	/* A write is half done: take back all that was not sent yet. */
	atomic_store(&one.session.channel.page->tx.head.value,
		     atomic_load(&one.session.channel.page->tx.tail.value));
	session_bell_worker(&one.session);
	RIG_UNTIL(&one.rig, session_is_over(&one.session));
	session_expect_end(&one.session, TLSB_E_BROKER_PROTOCOL, "ring");
	free(up.data);
	one_deinit(&one);
}

/* Random words everywhere in the page, at every stage, goodbye included. */
static void a_page_of_noise_harms_nobody_else(void **state unused_)
{
	uint64_t seed = 23;
	struct one good;

	one_init(&good, &anything);
	for (int i = 0; i < 200; i++) {
		struct program_session session;
		struct peer peer;

		rig_establish(&good.rig, &good.program, &session, &anything, &peer);
		for (int n = 0; n < 4; n++) {
			size_t at = testing_random(&seed) % (PAGE_BYTES / 4);

			if (n % 2)
				atomic_store(word_of(session.channel.page,
						     (enum word)(testing_random(&seed) % 6)),
					     (uint32_t)testing_random(&seed) >>
						     testing_random(&seed) % 32);
			((uint32_t *)(void *)session.channel.page)[at] =
				(uint32_t)testing_random(&seed);
			session_bell_worker(&session);
			if (peer.end == PEER_RUNS)
				peer_say(&peer, "something", 9);
			rig_turn(&good.rig);
		}
		if (i % 3 == 0 && session.fd >= 0)
			(void)program_send(session.fd, CLIENT_MSG_DISCONNECT,
					   &(struct msg_disconnect){0}, NULL, 0, NULL);
		session_close(&session);
		rig_turn(&good.rig);
		rig_forget(&good.rig, &peer);
	}
	expect_unharmed(&good);
	one_deinit(&good);
}

/* ---- descriptors ---- */

static int tcp_end(void)
{
	int pair[2];

	tcp_pair(pair);
	close(pair[1]);
	return pair[0];
}

static int pipe_end(void)
{
	int pair[2];

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	close(pair[1]);
	return pair[0];
}

static int unix_end(int type)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
	close(pair[1]);
	return pair[0];
}

static int stream_end(void)
{
	return unix_end(SOCK_STREAM);
}

static int datagram_end(void)
{
	return unix_end(SOCK_DGRAM);
}

static int unconnected(void)
{
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

static int unconnected_tcp(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* A socket that is listening under an abstract name, and one that is connected to it. */
static int named(bool want_listener)
{
	const struct sockaddr_un name = {AF_UNIX, "\0tlsbroker-worker-hostile"};
	int listener = unconnected(), fd = unconnected();

	assert_int_equal(bind(listener, (const struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&name, sizeof(name)), 0);
	close(want_listener ? fd : listener);
	return want_listener ? listener : fd;
}

static int listening(void)
{
	return named(true);
}

static int connected_to_a_name(void)
{
	return named(false);
}

static int plain_memory(void)
{
	return memfd_create("hostile", MFD_CLOEXEC);
}

static int path_only(void)
{
	return open("/", O_PATH | O_CLOEXEC);
}

static int directory(void)
{
	return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int null_device(void)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int (*const odd_descriptors[])(void) = {
	tcp_end,      pipe_end,	       stream_end, datagram_end,
	unconnected,  unconnected_tcp, listening,  connected_to_a_name,
	plain_memory, path_only,       directory,  null_device,
};

static void odd_descriptors_end_the_program(void **state unused_)
{
	static const uint32_t types[] = {CLIENT_MSG_SESSION, CLIENT_MSG_LIFELINE};
	struct one good;

	one_init(&good, &anything);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(odd_descriptors); i++) {
		const struct msg_session nothing = {0};
		int fd = odd_descriptors[i / 2](), fds = testing_count_fds();
		struct program program;

		assert_true(fd >= 0);
		rig_program(&good.rig, &program);
		assert_int_equal(program_send(program.fd, types[i % 2], &nothing, NULL, 0, &fd), 0);
		rig_turn(&good.rig);
		if (!program_is_closed(&program))
			fail_msg("descriptor %zu", i / 2);
		assert_int_equal(rig_count(&good.rig, COUNTER_violations), i + 1);
		close(program.fd);
		assert_int_equal(testing_count_fds(), fds);
		close(fd);
	}
	expect_unharmed(&good);
	one_deinit(&good);
}

static void a_lifeline_is_kept_and_there_is_one(void **state unused_)
{
	const struct msg_lifeline nothing = {0};
	struct program program;
	struct rig rig;
	int pair[2], second[2];
	char byte;

	rig_init(&rig);
	rig_program(&rig, &program);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	assert_int_equal(program_send(program.fd, CLIENT_MSG_LIFELINE, &nothing, NULL, 0, &pair[1]),
			 0);
	close(pair[1]);
	rig_turn(&rig);
	assert_int_equal(recv(pair[0], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fd_seqpacket_pair(second), 0);
	assert_int_equal(
		program_send(program.fd, CLIENT_MSG_LIFELINE, &nothing, NULL, 0, &second[1]), 0);
	close(second[1]);
	rig_turn(&rig);
	assert_true(program_is_closed(&program));
	assert_true(testing_is_closed(pair[0]));
	assert_true(testing_is_closed(second[0]));
	close(pair[0]);
	close(second[0]);
	close(program.fd);
	rig_deinit(&rig);
}

/* Sockets that lead back into the worker: both ends of a pair, and the program's own connection. */
static void sockets_that_lead_back_are_harmless(void **state unused_)
{
	const struct msg_session nothing = {0};
	struct program program;
	struct one good;
	int pair[2];

	one_init(&good, &anything);
	rig_program(&good.rig, &program);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			program_send(program.fd, CLIENT_MSG_SESSION, &nothing, NULL, 0, &pair[i]),
			0);
		close(pair[i]);
	}
	rig_turn(&good.rig);
	assert_int_equal(
		program_send(program.fd, CLIENT_MSG_SESSION, &nothing, NULL, 0, &program.fd), 0);
	rig_turn(&good.rig);
	close(program.fd);
	rig_run_for(&good.rig, 5);
	expect_unharmed(&good);
	/* What is left waits for a CONNECT that cannot come; its deadline ends it. */
	RIG_UNTIL(&good.rig, rig_worker(&good.rig)->quota.sessions == 1);
	one_deinit(&good);
}

/* ---- messages out of turn ---- */

static void send_empty(int fd, uint32_t type)
{
	const uint8_t zero[256] = {0};
	int pair[2] = {-1, -1};

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	(void)program_send(fd, type, zero, NULL, 0, pair);
	close(pair[0]);
	close(pair[1]);
}

static void messages_of_another_phase_end_the_program(void **state unused_)
{
	static const uint32_t before_hello[] = {
		CLIENT_MSG_LIFELINE, CLIENT_MSG_SESSION, CLIENT_MSG_STATUS,    CLIENT_MSG_CA,
		CLIENT_MSG_CONNECT,  CLIENT_MSG_BELL,	 CLIENT_MSG_DISCONNECT};
	static const uint32_t after_hello[] = {
		CLIENT_MSG_HELLO,   CLIENT_MSG_CA,	   CLIENT_MSG_CONNECT,
		CLIENT_MSG_BELL,    CLIENT_MSG_DISCONNECT, CLIENT_MSG_WELCOME,
		CLIENT_MSG_REFUSED, CLIENT_MSG_ROW,	   CLIENT_MSG_OPENED};
	struct program program;
	unsigned violations = 0;
	struct one good;

	one_init(&good, &anything);
	for (size_t i = 0; i < ARRAY_SIZE(before_hello); i++) {
		rig_program_silent(&good.rig, &program);
		send_empty(program.fd, before_hello[i]);
		rig_turn(&good.rig);
		assert_true(program_is_closed(&program));
		assert_false(program.welcome);
		assert_int_equal(rig_count(&good.rig, COUNTER_violations), ++violations);
		close(program.fd);
	}
	for (size_t i = 0; i < ARRAY_SIZE(after_hello); i++) {
		rig_program(&good.rig, &program);
		send_empty(program.fd, after_hello[i]);
		rig_turn(&good.rig);
		assert_true(program_is_closed(&program));
		assert_int_equal(rig_count(&good.rig, COUNTER_violations), ++violations);
		close(program.fd);
	}
	expect_unharmed(&good);
	one_deinit(&good);
}

static void messages_of_another_phase_end_the_session(void **state unused_)
{
	static const uint32_t in_setup[] = {CLIENT_MSG_HELLO,
					    CLIENT_MSG_LIFELINE,
					    CLIENT_MSG_SESSION,
					    CLIENT_MSG_STATUS,
					    CLIENT_MSG_BELL,
					    CLIENT_MSG_OPENED,
					    CLIENT_MSG_CA /* an empty one */,
					    CLIENT_MSG_CONNECT};
	static const uint32_t later[] = {CLIENT_MSG_HELLO,   CLIENT_MSG_SESSION, CLIENT_MSG_STATUS,
					 CLIENT_MSG_CONNECT, CLIENT_MSG_CA,	 CLIENT_MSG_OPENED,
					 CLIENT_MSG_REFUSED};
	struct program_session session;
	unsigned violations = 0;
	struct one good;

	one_init(&good, &anything);
	for (size_t i = 0; i < ARRAY_SIZE(in_setup); i++) {
		program_open(&good.program, &session);
		send_empty(session.fd, in_setup[i]);
		RIG_UNTIL(&good.rig, session_is_over(&session));
		assert_true(session.refused);
		assert_int_equal(session.error, TLSB_E_BROKER_PROTOCOL);
		assert_int_equal(rig_count(&good.rig, COUNTER_violations), ++violations);
		session_close(&session);
	}
	for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
		good.rig.cancels = 0;
		assert_true(rig_session(&good.rig, &good.program, &session, &anything) != 0);
		send_empty(session.fd, later[i]);
		RIG_UNTIL(&good.rig, session_is_over(&session));
		session_expect_end(&session, TLSB_E_BROKER_PROTOCOL, "protocol");
		assert_int_equal(rig_count(&good.rig, COUNTER_violations), ++violations);
		assert_int_equal(rig_dial(&good.rig), 0);
		assert_int_equal(good.rig.cancels, 1);
		session_close(&session);
	}
	expect_unharmed(&good);
	one_deinit(&good);
}

static void another_protocol_is_refused_by_name(void **state unused_)
{
	static const struct msg_hello hellos[] = {
		{PROTOCOL_MAGIC, PROTOCOL_VERSION + 1}, {PROTOCOL_MAGIC, 0}, {0, PROTOCOL_VERSION}};
	struct rig rig;

	rig_init(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(hellos); i++) {
		struct program program;

		rig_program_silent(&rig, &program);
		assert_int_equal(
			program_send(program.fd, CLIENT_MSG_HELLO, &hellos[i], NULL, 0, NULL), 0);
		rig_turn(&rig);
		program_listen(&program);
		assert_true(program.hung && program.refused && !program.welcome);
		assert_int_equal(program.error, TLSB_E_BROKER_PROTOCOL);
		close(program.fd);
	}
	assert_int_equal(rig.gone, ARRAY_SIZE(hellos));
	assert_int_equal(rig_count(&rig, COUNTER_clients), 0);
	rig_deinit(&rig);
}

static void who_says_nothing_is_shown_out(void **state unused_)
{
	struct program silent, program;
	struct program_session session;
	struct rig rig;
	uint64_t began;

	rig_init(&rig);
	rig_program_silent(&rig, &silent);
	rig_program(&rig, &program);
	program_open(&program, &session);
	began = clock_ms();
	RIG_UNTIL(&rig, (program_listen(&silent), silent.hung) && session_is_over(&session));
	assert_in_range(clock_ms() - began, LIMIT_HELLO_MS - 100, LIMIT_HELLO_MS + 500);
	assert_int_equal(silent.error, TLSB_E_TIMEOUT);
	assert_int_equal(session.error, TLSB_E_TIMEOUT);
	program_listen(&program);
	assert_false(program.hung);
	session_close(&session);
	close(silent.fd);
	close(program.fd);
	rig_deinit(&rig);
}

/* ---- too much ---- */

static void sessions_beyond_the_quota_are_refused_with_a_text(void **state unused_)
{
	struct program_session sessions[3];
	struct one good;

	one_init(&good, &anything);
	rig_worker(&good.rig)->quota.sessions_max = 3;
	for (int i = 0; i < 3; i++) {
		program_open(&good.program, &sessions[i]);
		rig_turn(&good.rig);
		assert_int_equal(session_is_over(&sessions[i]), i == 2);
	}
	assert_int_equal(sessions[2].error, TLSB_E_QUOTA);
	assert_non_null(strstr(sessions[2].text, "the limit is 3"));
	session_close(&sessions[0]);
	session_close(&sessions[2]);
	rig_turn(&good.rig);
	program_open(&good.program, &sessions[2]);
	rig_turn(&good.rig);
	assert_false(session_is_over(&sessions[2]));
	expect_unharmed(&good);
	session_close(&sessions[1]);
	session_close(&sessions[2]);
	one_deinit(&good);
}

/* Send LEN bytes of CA in parts, the worker getting its turns. */
static void send_ca(struct rig *rig, struct program_session *session, size_t len)
{
	static const char part[LIMIT_TAIL];
	const struct msg_ca nothing = {0};

	while (len > 0) {
		size_t n = MIN(len, sizeof(part));

		if (program_send(session->fd, CLIENT_MSG_CA, &nothing, part, n, NULL) == -EPIPE)
			return;
		rig_turn(rig);
		len -= n;
	}
}

static void certificates_have_limits(void **state unused_)
{
	enum { FULL = LIMIT_CA_BYTES_PER_UID / LIMIT_CA_BYTES };
	struct program_session sessions[FULL], more;
	struct one good;

	one_init(&good, &anything);
	/* One byte more than one session may bring. */
	program_open(&good.program, &more);
	send_ca(&good.rig, &more, LIMIT_CA_BYTES + 1);
	RIG_UNTIL(&good.rig, session_is_over(&more));
	assert_int_equal(more.error, TLSB_E_BROKER_PROTOCOL);
	session_close(&more);
	assert_int_equal(rig_worker(&good.rig)->quota.ca_bytes, 0);
	/* As many sessions as may bring so much, and one byte more. */
	for (int i = 0; i < FULL; i++) {
		program_open(&good.program, &sessions[i]);
		send_ca(&good.rig, &sessions[i], LIMIT_CA_BYTES);
		assert_false(session_is_over(&sessions[i]));
	}
	program_open(&good.program, &more);
	send_ca(&good.rig, &more, 1);
	RIG_UNTIL(&good.rig, session_is_over(&more));
	assert_int_equal(more.error, TLSB_E_QUOTA);
	assert_non_null(strstr(more.text, "too many certificates"));
	session_close(&more);
	for (int i = 0; i < FULL; i++)
		session_close(&sessions[i]);
	rig_turn(&good.rig);
	assert_int_equal(rig_worker(&good.rig)->quota.ca_bytes, 0);
	expect_unharmed(&good);
	one_deinit(&good);
}

/* A program that rings and rings, and reads nothing. */
static void bells_without_end_disturb_nobody(void **state unused_)
{
	struct program_session noisy;
	struct peer peer;
	struct one good;

	one_init(&good, &anything);
	rig_establish(&good.rig, &good.program, &noisy, &anything, &peer);
	for (int i = 0; i < 200; i++) {
		for (int n = 0; n < 100; n++) {
			doorbell_arm(&noisy.channel.page->program_wants, 7);
			session_bell_worker(&noisy);
		}
		peer_say(&peer, "x", 1);
		rig_turn(&good.rig);
		if (i % 50 == 0)
			expect_unharmed(&good);
	}
	session_close(&noisy);
	rig_forget(&good.rig, &peer);
	one_deinit(&good);
}

/* ---- answers that come too late ---- */

/* The worker has let go of the other end. */
static bool is_let_go(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void a_connection_for_a_session_that_has_ended_is_closed(void **state unused_)
{
	static const uint64_t others[] = {0, 1, UINT64_MAX, UINT64_C(1) << 32, 12345};
	struct program_session session;
	struct one good;
	uint64_t id;
	int pair[2];

	one_init(&good, &anything);
	id = rig_session(&good.rig, &good.program, &session, &anything);
	session_close(&session);
	rig_turn(&good.rig);
	for (size_t i = 0; i <= ARRAY_SIZE(others); i++) {
		uint64_t of = i < ARRAY_SIZE(others) ? others[i] : id;

		tcp_pair(pair);
		rig_dialed(&good.rig, of, pair[0]);
		RIG_UNTIL(&good.rig, is_let_go(pair[1]));
		close(pair[1]);
		assert_int_equal(msg_send(good.rig.connector, &internal_messages, MSG_DIAL_FAILED,
					  &(struct msg_dial_failed){.id = of, .error = TLSB_E_DNS},
					  NULL, 0, NULL),
				 0);
		rig_turn(&good.rig);
	}
	expect_unharmed(&good);
	one_deinit(&good);
}

static void a_second_connection_for_a_session_is_closed(void **state unused_)
{
	struct session *session;
	struct one one;
	int pair[2];

	one_init(&one, &anything);
	session = LIST_FIRST(&rig_worker(&one.rig)->all_sessions);
	tcp_pair(pair);
	rig_dialed(&one.rig, session->id, pair[0]);
	RIG_UNTIL(&one.rig, is_let_go(pair[1]));
	close(pair[1]);
	expect_unharmed(&one);
	one_deinit(&one);
}

/* ---- status ---- */

static void a_program_may_ask_what_runs(void **state unused_)
{
	const struct msg_context ctx = {&internal_messages, ROLE_SUPERVISOR, ROLE_WORKER, RUN};
	const struct msg_status nothing = {0};
	enum msg_rule rule = RULE_NONE;
	struct msg_status_row row = {0};
	union msg_buffer buf;
	struct msg msg;
	struct one one;
	int r;

	one_init(&one, &anything);
	rig_turn(&one.rig);
	assert_int_equal(program_send(one.program.fd, CLIENT_MSG_STATUS, &nothing, NULL, 0, NULL),
			 0);
	event_base_loop(one.rig.child.base, EVLOOP_NONBLOCK);
	while ((r = msg_recv(one.rig.supervisor, &ctx, &buf, &msg, &rule)) == 1) {
		if (msg.type == MSG_STATUS_ASK)
			row.tag = ((const struct msg_status_ask *)msg.body)->tag;
	}
	assert_int_not_equal(row.tag, 0);
	row.row.kind = ROW_ROLE;
	rig_tell(&one.rig, MSG_STATUS_ROW, &row, "worker", NULL);
	row.row.kind = ROW_END;
	rig_tell(&one.rig, MSG_STATUS_ROW, &row, NULL, NULL);
	row.tag++; /* nobody's */
	rig_tell(&one.rig, MSG_STATUS_ROW, &row, NULL, NULL);
	rig_turn(&one.rig);
	program_listen(&one.program);
	assert_int_equal(one.program.rows, 3); /* its session, the role, the end */
	/* A second question may follow; two at once may not. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			program_send(one.program.fd, CLIENT_MSG_STATUS, &nothing, NULL, 0, NULL),
			0);
	rig_turn(&one.rig);
	assert_true(program_is_closed(&one.program));
	one_deinit(&one);
}

/* More sessions than the socket holds rows of: none is queued but one, and none is left out. */
static void a_long_answer_keeps_its_readers_pace(void **state unused_)
{
	enum { SESSIONS = 100 };
	const struct msg_status nothing = {0};
	struct program_session sessions[SESSIONS];
	const struct client *client;
	unsigned rounds = 0;
	int smallest = 1;
	struct one one;

	one_init(&one, &anything);
	client = LIST_FIRST(&rig_worker(&one.rig)->clients);
	assert_int_equal(
		setsockopt(client->chan.fd, SOL_SOCKET, SO_SNDBUF, &smallest, sizeof(smallest)), 0);
	for (int i = 0; i < SESSIONS; i++) {
		program_open(&one.program, &sessions[i]);
		rig_turn(&one.rig);
	}
	assert_int_equal(program_send(one.program.fd, CLIENT_MSG_STATUS, &nothing, NULL, 0, NULL),
			 0);
	for (; one.program.rows < SESSIONS + 1 && rounds < 10000; rounds++) {
		rig_turn(&one.rig);
		assert_true(chan_queued(&client->chan) <= 1);
		program_listen(&one.program);
	}
	assert_int_equal(one.program.rows, SESSIONS + 1);
	assert_true(rounds > 5); /* it did not fit at once */
	for (int i = 0; i < SESSIONS; i++)
		session_close(&sessions[i]);
	one_deinit(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(impossible_indices_end_the_session),
		TEST(the_workers_own_words_are_not_read_back),
		TEST(bytes_that_go_away_again_end_the_session),
		TEST(a_page_of_noise_harms_nobody_else),
		TEST(odd_descriptors_end_the_program),
		TEST(a_lifeline_is_kept_and_there_is_one),
		TEST(sockets_that_lead_back_are_harmless),
		TEST(messages_of_another_phase_end_the_program),
		TEST(messages_of_another_phase_end_the_session),
		TEST(another_protocol_is_refused_by_name),
		TEST(who_says_nothing_is_shown_out),
		TEST(sessions_beyond_the_quota_are_refused_with_a_text),
		TEST(certificates_have_limits),
		TEST(bells_without_end_disturb_nobody),
		TEST(a_connection_for_a_session_that_has_ended_is_closed),
		TEST(a_second_connection_for_a_session_is_closed),
		TEST(a_program_may_ask_what_runs),
		TEST(a_long_answer_keeps_its_readers_pace),
	};

	return testing_run(tests);
}
