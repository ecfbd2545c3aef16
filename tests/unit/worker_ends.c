/*
 * How sessions end: each end by its own name, to those concerned, and nothing lost that need not
 * be.
 */
#include "worker_rig.h"
#include "testing_clock.h"

#include <poll.h>

static bool is_ended(struct program_session *session)
{
	return session_word(&session->channel.page->ended) != 0;
}

/* All that can still be read. */
static void read_out(struct rig *rig, struct program_session *session, struct testing_text *text)
{
	do
		rig_turn(rig);
	while (session_read(session, text, SIZE_MAX) > 0);
}

static void write_all(struct one *one, const struct testing_text *text)
{
	for (size_t done = 0; done < text->len;) {
		done += session_write(&one->session, text->data + done, text->len - done);
		rig_turn(&one->rig);
	}
}

/* ---- by the server ---- */

static void a_clean_end_is_told_after_the_last_byte(void **state unused_)
{
	struct control_page *page;
	struct testing_text got = {0};
	struct one one;

	one_init(&one, &anything);
	page = one.session.channel.page;
	session_listen(&one.session);
	one.session.bells = 0;
	doorbell_arm(&page->program_wants, WANT_STATE);
	peer_say(&one.peer, "last", 4);
	RIG_UNTIL(&one.rig, one.peer.sent == 4);
	SSL_shutdown(one.peer.ssl);
	RIG_UNTIL(&one.rig, session_word(&page->rx_end) == 1);
	assert_int_equal(session_read(&one.session, &got, 99), 4);
	assert_int_equal(page->ended, 0); /* the other direction is open */
	session_listen(&one.session);
	assert_int_equal(one.session.bells, 1);
	session_finish(&one.session);
	RIG_UNTIL(&one.rig, session_is_over(&one.session));
	session_expect_end(&one.session, TLSB_E_NONE, "");
	assert_int_equal(session_word(&page->tx_end), 1);
	free(got.data);
	one_deinit(&one);
}

static void a_cut_stream_is_never_a_clean_end(void **state unused_)
{
	struct testing_text down = noise(400000, 1), got = {0};
	struct one one;

	one_init(&one, &anything);
	peer_say(&one.peer, down.data, down.len);
	RIG_UNTIL(&one.rig,
		  (session_read(&one.session, &got, SIZE_MAX), one.peer.sent == down.len));
	peer_cut(&one.peer);
	RIG_UNTIL(&one.rig, (session_read(&one.session, &got, SIZE_MAX), is_ended(&one.session)));
	read_out(&one.rig, &one.session, &got);
	session_expect_end(&one.session, TLSB_E_TRUNCATED, "close_notify");
	assert_int_equal(session_word(&one.session.channel.page->rx_end), 0);
	assert_true(same(&got, &down));
	free(down.data);
	free(got.data);
	one_deinit(&one);
}

/* Data and reset may be there together, before the worker looks. */
static void a_reset_is_told_at_once(void **state unused_)
{
	for (int round = 0; round < 3; round++) {
		struct testing_text got = {0};
		struct one one;

		one_init(&one, &anything);
		rig_run_for(&one.rig, 3);
		if (round > 0)
			assert_int_equal(SSL_write(one.peer.ssl, "data", 4), 4);
		if (round > 1)
			rig_turn(&one.rig);
		peer_reset(&one.peer);
		RIG_UNTIL(&one.rig, session_is_over(&one.session));
		session_expect_end(&one.session, TLSB_E_RESET, "reset");
		session_read(&one.session, &got, 99);
		assert_int_equal(got.len, round > 0 ? 4 : 0);
		free(got.data);
		one_deinit(&one);
	}
}

/* With a full ring, what the server had sent before its end is still there to be read. */
static void an_end_behind_a_full_ring_waits_for_its_turn(void **state unused_)
{
	struct testing_text down = noise(LIMIT_RING_MAX + 100000, 2), got = {0};
	struct one one;

	one_init(&one, &anything);
	peer_say(&one.peer, down.data, down.len);
	RIG_UNTIL(&one.rig, one.peer.sent == down.len);
	SSL_shutdown(one.peer.ssl);
	peer_cut(&one.peer);
	rig_run_for(&one.rig, 5);
	assert_int_equal(session_word(&one.session.channel.page->rx_end), 0);
	RIG_UNTIL(&one.rig, (session_read(&one.session, &got, 1000), got.len == down.len));
	RIG_UNTIL(&one.rig, session_word(&one.session.channel.page->rx_end) == 1);
	assert_false(is_ended(&one.session));
	assert_true(same(&got, &down));
	free(down.data);
	free(got.data);
	one_deinit(&one);
}

static int wants_a_certificate(int ok unused_, X509_STORE_CTX *ctx unused_)
{
	return 1;
}

/* TLS 1.3: the server's refusal comes after the client's handshake is over. */
static void a_server_that_wants_a_client_certificate_says_so(void **state unused_)
{
	struct program_session session;
	struct program program;
	struct peer peer;
	struct rig rig;

	rig_init(&rig);
	SSL_CTX_set_verify(rig.server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			   wants_a_certificate);
	rig_program(&rig, &program);
	rig_connect(&rig, &program, &session, &anything, &peer, rig.server);
	RIG_UNTIL(&rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_TLS_ALERT, "certificate required");
	session_close(&session);
	rig_forget(&rig, &peer);
	close(program.fd);
	rig_deinit(&rig);
}

/* ---- half a session ---- */

static void the_program_may_end_first_and_read_on(void **state unused_)
{
	struct testing_text down = noise(500000, 3), got = {0};
	struct control_page *page;
	struct one one;

	one_init(&one, &anything);
	page = one.session.channel.page;
	assert_int_equal(session_write(&one.session, "question", 8), 8);
	session_finish(&one.session);
	RIG_UNTIL(&one.rig, one.peer.end == PEER_CLOSED);
	RIG_UNTIL(&one.rig, session_word(&page->tx_end) == 1);
	assert_int_equal(one.peer.got.len, 8);
	assert_false(is_ended(&one.session));
	peer_say(&one.peer, down.data, down.len);
	RIG_UNTIL(&one.rig, (session_read(&one.session, &got, 5000), got.len == down.len));
	SSL_shutdown(one.peer.ssl);
	RIG_UNTIL(&one.rig, session_is_over(&one.session));
	session_expect_end(&one.session, TLSB_E_NONE, "");
	assert_int_equal(session_word(&page->rx_end), 1);
	assert_true(same(&got, &down));
	free(down.data);
	free(got.data);
	one_deinit(&one);
}

static void the_server_may_end_first_and_read_on(void **state unused_)
{
	struct testing_text up = noise(500000, 4);
	struct one one;

	one_init(&one, &anything);
	SSL_shutdown(one.peer.ssl);
	RIG_UNTIL(&one.rig, session_word(&one.session.channel.page->rx_end) == 1);
	write_all(&one, &up);
	session_finish(&one.session);
	RIG_UNTIL(&one.rig, session_is_over(&one.session));
	session_expect_end(&one.session, TLSB_E_NONE, "");
	RIG_UNTIL(&one.rig, one.peer.end == PEER_CLOSED);
	assert_true(same(&one.peer.got, &up));
	free(up.data);
	one_deinit(&one);
}

static void a_cut_after_the_programs_own_end_is_still_a_cut(void **state unused_)
{
	struct one one;

	one_init(&one, &anything);
	session_finish(&one.session);
	RIG_UNTIL(&one.rig, session_word(&one.session.channel.page->tx_end) == 1);
	peer_cut(&one.peer);
	RIG_UNTIL(&one.rig, session_is_over(&one.session));
	session_expect_end(&one.session, TLSB_E_TRUNCATED, "close_notify");
	one_deinit(&one);
}

/* ---- by the program ---- */

/* Fill every buffer between the program and a server that does not read.  Returns what was written.
 */
static struct testing_text fill(struct one *one)
{
	struct testing_text up = noise(12000000, 5);
	size_t written = 0, before;

	one->peer.deaf = true;
	do {
		before = written;
		for (int i = 0; i < 50; i++) {
			written +=
				session_write(&one->session, up.data + written, up.len - written);
			rig_turn(&one->rig);
		}
	} while (written > before);
	up.len = written;
	return up;
}

static void what_was_written_is_sent_after_a_disconnect(void **state unused_)
{
	struct testing_text up;
	struct one one;

	one_init(&one, &anything);
	up = fill(&one);
	session_disconnect(&one.session);
	channel_deinit(&one.session.channel); /* the program's memory is gone with it */
	rig_run_for(&one.rig, 20);
	assert_int_equal(one.peer.end, PEER_RUNS);
	one.peer.deaf = false;
	RIG_UNTIL(&one.rig, one.peer.end != PEER_RUNS);
	assert_int_equal(one.peer.end, PEER_CLOSED);
	assert_true(same(&one.peer.got, &up));
	free(up.data);
	one_deinit(&one);
}

static void what_was_written_is_sent_after_the_programs_death(void **state unused_)
{
	struct testing_text up;
	struct one one;

	one_init(&one, &anything);
	up = fill(&one);
	session_close(&one.session);
	one.program.fd = fd_close(one.program.fd);
	rig_run_for(&one.rig, 20);
	assert_int_equal(one.rig.gone, 1);
	one.peer.deaf = false;
	RIG_UNTIL(&one.rig, one.peer.end != PEER_RUNS);
	assert_int_equal(one.peer.end, PEER_TRUNCATED); /* it never said that this was all */
	assert_true(same(&one.peer.got, &up));
	free(up.data);
	one_deinit(&one);
}

/* The connection to the broker alone closes: its sessions go with it. */
static void a_closed_connection_takes_its_sessions_along(void **state unused_)
{
	struct one one;

	one_init(&one, &anything);
	assert_int_equal(session_write(&one.session, "last words", 10), 10);
	one.program.fd = fd_close(one.program.fd);
	RIG_UNTIL(&one.rig, session_is_over(&one.session));
	RIG_UNTIL(&one.rig, one.peer.end == PEER_TRUNCATED);
	assert_int_equal(one.peer.got.len, 10);
	one_deinit(&one);
}

/* Bells that nobody read make the kernel say "reset" before it gives us the program's goodbye. */
static void unread_bells_do_not_swallow_a_goodbye(void **state unused_)
{
	struct control_page *page;
	struct one one;

	one_init(&one, &anything);
	page = one.session.channel.page;
	doorbell_arm(&page->program_wants, WANT_DATA | WANT_STATE | WANT_ROOM);
	peer_say(&one.peer, "x", 1);
	RIG_UNTIL(&one.rig, session_word(&page->rx.head.value) == 1);
	assert_int_equal(session_write(&one.session, "bye", 3), 3);
	session_disconnect(&one.session);
	RIG_UNTIL(&one.rig, one.peer.end != PEER_RUNS);
	assert_int_equal(one.peer.end, PEER_CLOSED);
	assert_int_equal(one.peer.got.len, 3);
	one_deinit(&one);
}

/* The socket is full at the very moment at which only close_notify is left. */
static void a_full_socket_does_not_swallow_close_notify(void **state unused_)
{
	struct session *session;
	struct one one;

	one_init(&one, &anything);
	rig_run_for(&one.rig, 3);
	session = LIST_FIRST(&rig_worker(&one.rig)->all_sessions);
	session->net.full = true;
	session_disconnect(&one.session);
	rig_run_for(&one.rig, 3);
	assert_int_equal(one.peer.end, PEER_RUNS);
	peer_say(&one.peer, "x", 1); /* any event tells that it is writable */
	RIG_UNTIL(&one.rig, one.peer.end != PEER_RUNS);
	assert_int_equal(one.peer.end, PEER_CLOSED);
	one_deinit(&one);
}

/* A server that answers before it reads on: neither side may wait for the other. */
static void a_server_that_echoes_gets_everything(void **state unused_)
{
	struct testing_text up;
	struct one one;

	one_init(&one, &anything);
	up = fill(&one);
	one.peer.echo = true;
	session_disconnect(&one.session);
	one.peer.deaf = false;
	RIG_UNTIL(&one.rig, one.peer.end != PEER_RUNS);
	assert_int_equal(one.peer.end, PEER_CLOSED);
	assert_true(same(&one.peer.got, &up));
	free(up.data);
	one_deinit(&one);
}

/* The last answer on its way is not turned into a reset that would take our bytes from the server.
 */
static void unread_bytes_do_not_make_the_end_a_reset(void **state unused_)
{
	struct testing_text down = noise(LIMIT_RING_MAX + 50000, 6);
	struct one one;

	one_init(&one, &anything);
	peer_say(&one.peer, down.data, down.len);
	RIG_UNTIL(&one.rig, one.peer.sent == down.len);
	assert_int_equal(session_write(&one.session, "enough", 6), 6);
	session_disconnect(&one.session);
	RIG_UNTIL(&one.rig, one.peer.end != PEER_RUNS);
	assert_int_equal(one.peer.end, PEER_CLOSED);
	assert_int_equal(one.peer.got.len, 6);
	free(down.data);
	one_deinit(&one);
}

/* What was under way has arrived; behind it is a reset, and not silence. */
static void expect_reset(int fd)
{
	struct pollfd waiter = { .fd = fd, .events = POLLIN };
	char scrap[65536];
	ssize_t n;

	do {
		assert_int_equal(poll(&waiter, 1, 60000), 1);
		n = recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT);
	} while (n > 0);
	assert_int_equal(n, -1);
	assert_int_equal(errno, ECONNRESET);
}

/* And a server that neither reads nor closes costs a second, no more, and no CPU. */
static void a_lingering_session_is_given_up(void **state unused_)
{
	struct testing_text up;
	unsigned wakes = 0;
	uint64_t began;
	struct one one;

	one_init(&one, &anything);
	up = fill(&one);
	session_close(&one.session);
	began = clock_ms();
	for (; !LIST_EMPTY(&rig_worker(&one.rig)->all_sessions) && clock_ms() < began + 5000; wakes++)
		event_base_loop(one.rig.child.base, EVLOOP_ONCE);
	assert_in_range(clock_ms() - began, LIMIT_ORPHAN_MS - 50, LIMIT_ORPHAN_MS + 300);
	assert_true(wakes < 20);
	expect_reset(one.peer.fd);
	free(up.data);
	one_deinit(&one);
}

/* A server that has everything and does not close: waited for, quietly. */
static void waiting_for_the_servers_end_costs_no_time(void **state unused_)
{
	struct one one;

	one_init(&one, &anything);
	rig_run_for(&one.rig, 3);
	session_disconnect(&one.session);
	RIG_UNTIL(&one.rig, one.peer.end == PEER_CLOSED);
	assert_true(testing_looks(one.rig.child.base, 200) < 100);
	assert_false(LIST_EMPTY(&rig_worker(&one.rig)->all_sessions)); /* nor has time gone by with looking */
	one_deinit(&one);
}

/* ---- before there is anything to lose ---- */

static void a_session_may_be_given_up_at_any_stage(void **state unused_)
{
	struct program_session session;
	struct program program;
	struct peer peer;
	struct rig rig;

	rig_init(&rig);
	rig_program(&rig, &program);
	for (int clean = 0; clean < 2; clean++) {
		rig.cancels = 0;
		program_open(&program, &session); /* nothing asked */
		rig_turn(&rig);
		if (clean)
			session_disconnect(&session);
		session_close(&session);
		rig_turn(&rig);
		rig_expect_no_sessions(&rig);
		assert_true(rig_session(&rig, &program, &session, &anything) != 0); /* dialling */
		if (clean)
			session_disconnect(&session);
		session_close(&session);
		rig_turn(&rig);
		assert_int_equal(rig_dial(&rig), 0);
		assert_int_equal(rig.cancels, 1);
		rig_expect_no_sessions(&rig);
		rig_connect(&rig, &program, &session, &anything, &peer, NULL); /* handshake */
		assert_int_equal(session_word(&session.channel.page->state), STATE_CONNECTED);
		if (clean)
			session_disconnect(&session);
		session_close(&session);
		rig_turn(&rig);
		assert_int_equal(rig_dial(&rig), 0);
		assert_int_equal(rig.cancels, 1);
		rig_expect_no_sessions(&rig);
		rig_forget(&rig, &peer);
	}
	assert_int_equal(rig_count(&rig, COUNTER_violations), 0);
	close(program.fd);
	rig_deinit(&rig);
}

static void keep_text(void *arg, enum log_level level unused_, const char *text,
		      const struct log_pair *pairs unused_, size_t count unused_)
{
	snprintf(arg, LIMIT_TEXT, "%s", text);
}

/* Asked for and given up in one breath: the program has gone, the broker lacks nothing. */
static void a_session_that_is_given_up_at_once_is_no_shortage(void **state unused_)
{
	struct program_session session;
	char text[LIMIT_TEXT];
	struct program program;
	struct rig rig;

	rig_init(&rig);
	rig_program(&rig, &program);
	log_set_sink(keep_text, text, LOG_L_DEBUG);
	for (int clean = 0; clean < 2; clean++) {
		text[0] = '\0';
		program_open(&program, &session);
		session_ask(&session, &anything);
		if (clean)
			session_disconnect(&session);
		session_close(&session);
		rig_turn(&rig);
		assert_string_equal(text, "session closed");
		rig_expect_no_sessions(&rig);
	}
	close(program.fd);
	rig_deinit(&rig);
}

/* CA parts and a goodbye at once: nobody broke anything. */
static void a_session_may_be_given_up_while_it_brings_certificates(void **state unused_)
{
	const struct msg_ca part = {0};
	struct program_session session;
	struct program program;
	struct rig rig;

	rig_init(&rig);
	rig_program(&rig, &program);
	program_open(&program, &session);
	for (int i = 0; i < 3; i++)
		assert_int_equal(program_send(session.fd, CLIENT_MSG_CA, &part, "part", 4, NULL),
				 0);
	session_close(&session);
	rig_turn(&rig);
	rig_expect_no_sessions(&rig);
	assert_int_equal(rig_count(&rig, COUNTER_violations), 0);
	close(program.fd);
	rig_deinit(&rig);
}

/* ---- deadlines and the connector ---- */

static void a_deadline_covers_dialling_and_handshake(void **state unused_)
{
	const struct wish wish = {.deadline_ms = 60};
	struct program_session session;
	struct program program;
	struct peer peer;
	struct rig rig;

	rig_init(&rig);
	rig_program(&rig, &program);
	assert_true(rig_session(&rig, &program, &session, &wish) != 0);
	RIG_UNTIL(&rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_TIMEOUT, "no connection with server.example:443");
	assert_int_equal(rig_dial(&rig), 0);
	assert_int_equal(rig.cancels, 1);
	session_close(&session);
	rig_connect(&rig, &program, &session, &wish, &peer, NULL);
	RIG_UNTIL(&rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_TIMEOUT, "no TLS handshake");
	session_close(&session);
	rig_forget(&rig, &peer);
	/* An established session has none. */
	rig_establish(&rig, &program, &session, &wish, &peer);
	rig_run_for(&rig, 100);
	assert_false(is_ended(&session));
	session_close(&session);
	rig_forget(&rig, &peer);
	close(program.fd);
	rig_deinit(&rig);
}

static void what_the_connector_says_reaches_the_program(void **state unused_)
{
	static const char text[] = "server.example does not exist";
	struct program_session session;
	struct program program;
	struct msg_dial_failed failed = {.error = TLSB_E_DNS};
	struct rig rig;

	rig_init(&rig);
	rig_program(&rig, &program);
	failed.id = rig_session(&rig, &program, &session, &anything);
	assert_int_equal(msg_send(rig.connector, &internal_messages, MSG_DIAL_FAILED, &failed, text,
				  strlen(text), NULL),
			 0);
	RIG_UNTIL(&rig, session_is_over(&session));
	session_expect_end(&session, TLSB_E_DNS, text);
	assert_int_equal(rig_dial(&rig), 0);
	assert_int_equal(rig.cancels, 0);
	session_close(&session);
	close(program.fd);
	rig_deinit(&rig);
}

static void a_connector_that_dies_takes_only_its_dials_along(void **state unused_)
{
	struct program_session dialling, waiting;
	struct peer peer;
	uint64_t id;
	int pair[2];
	struct one one;

	one_init(&one, &anything);
	assert_true(rig_session(&one.rig, &one.program, &dialling, &anything) != 0);
	one.rig.connector = fd_close(one.rig.connector);
	RIG_UNTIL(&one.rig, session_is_over(&dialling));
	session_expect_end(&dialling, TLSB_E_WORKER_DIED, "try again");
	session_close(&dialling);
	/* Asked while there is none: dialled as soon as there is one. */
	program_open(&one.program, &waiting);
	session_ask(&waiting, &anything);
	rig_turn(&one.rig);
	session_listen(&waiting);
	assert_false(waiting.hung);
	rig_replace(&one.rig, MSG_CONNECTOR_CHAN, &one.rig.connector);
	id = rig_dial(&one.rig);
	assert_int_not_equal(id, 0);
	tcp_pair(pair);
	peer_init(&peer, one.rig.server, pair[1]);
	one.rig.peers[1] = &peer;
	rig_dialed(&one.rig, id, pair[0]);
	RIG_UNTIL(&one.rig, session_word(&waiting.channel.page->state) == STATE_ESTABLISHED);
	/* And the one that was open before has noticed nothing. */
	assert_int_equal(session_write(&one.session, "still here", 10), 10);
	RIG_UNTIL(&one.rig, one.peer.got.len == 10);
	session_close(&waiting);
	rig_forget(&one.rig, &peer);
	one_deinit(&one);
}

static void a_connector_may_be_replaced_without_dying_first(void **state unused_)
{
	struct program_session session;
	struct program program;
	struct rig rig;

	rig_init(&rig);
	rig_program(&rig, &program);
	assert_true(rig_session(&rig, &program, &session, &anything) != 0);
	rig_replace(&rig, MSG_CONNECTOR_CHAN, &rig.connector);
	RIG_UNTIL(&rig, session_is_over(&session));
	assert_true(session.channel.page->error == TLSB_E_WORKER_DIED);
	assert_int_equal(rig_dial(&rig), 0);
	session_close(&session);
	close(program.fd);
	rig_deinit(&rig);
}

static void a_new_frontdoor_is_told_how_many_there_are(void **state unused_)
{
	const struct msg_context ctx = {&internal_messages, ROLE_FRONTDOOR, ROLE_WORKER, RUN};
	enum msg_rule rule = RULE_NONE;
	const struct msg_frontdoor_chan body = {0};
	union msg_buffer buf;
	struct msg msg;
	int pair[2];
	struct one one;

	one_init(&one, &anything);
	one.rig.frontdoor = fd_close(one.rig.frontdoor);
	event_base_loop(one.rig.child.base, EVLOOP_NONBLOCK);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	one.rig.frontdoor = pair[1];
	rig_tell(&one.rig, MSG_FRONTDOOR_CHAN, &body, NULL, &pair[0]);
	event_base_loop(one.rig.child.base, EVLOOP_NONBLOCK);
	assert_int_equal(msg_recv(one.rig.frontdoor, &ctx, &buf, &msg, &rule), 1);
	assert_int_equal(msg.type, MSG_CLIENTS);
	assert_int_equal(((const struct msg_clients *)msg.body)->count, 1);
	assert_false(is_ended(&one.session));
	one_deinit(&one);
}

/* ---- drain ---- */

static bool stops(struct rig *rig)
{
	return event_base_got_exit(rig->child.base) != 0;
}

static void an_idle_worker_drains_at_once(void **state unused_)
{
	const struct msg_drain drain = {.deadline_ms = 10000};
	struct program program;
	struct rig rig;

	rig_init(&rig);
	rig_program(&rig, &program);
	rig_tell(&rig, MSG_DRAIN, &drain, NULL, NULL);
	event_base_loop(rig.child.base, EVLOOP_NONBLOCK);
	assert_true(stops(&rig));
	close(program.fd);
	rig_deinit(&rig);
}

static void a_draining_worker_lets_sessions_end_and_begins_none(void **state unused_)
{
	const struct msg_drain drain = {.deadline_ms = 10000};
	struct program_session late;
	struct one one;

	one_init(&one, &anything);
	rig_tell(&one.rig, MSG_DRAIN, &drain, NULL, NULL);
	rig_turn(&one.rig);
	assert_false(stops(&one.rig));
	program_open(&one.program, &late);
	RIG_UNTIL(&one.rig, session_is_over(&late));
	assert_int_equal(late.error, TLSB_E_STOPPING);
	session_close(&late);
	assert_int_equal(session_write(&one.session, "goes on", 7), 7);
	RIG_UNTIL(&one.rig, one.peer.got.len == 7);
	session_disconnect(&one.session);
	session_close(&one.session);
	for (int i = 0; i < 1000 && !stops(&one.rig); i++) {
		event_base_loop(one.rig.child.base, EVLOOP_NONBLOCK);
		peer_step(&one.peer);
		if (one.peer.end == PEER_CLOSED)
			peer_cut(&one.peer);
	}
	assert_true(stops(&one.rig));
	assert_int_equal(one.peer.end, PEER_CLOSED);
	one_deinit(&one);
}

static void the_drains_deadline_ends_what_is_left(void **state unused_)
{
	const struct msg_drain drain = {.deadline_ms = 50};
	struct program_session dialling;
	struct one one;

	one_init(&one, &anything);
	assert_true(rig_session(&one.rig, &one.program, &dialling, &anything) != 0);
	rig_tell(&one.rig, MSG_DRAIN, &drain, NULL, NULL);
	RIG_UNTIL(&one.rig, session_is_over(&one.session) && session_is_over(&dialling));
	session_expect_end(&one.session, TLSB_E_STOPPING, "shutting down");
	session_expect_end(&dialling, TLSB_E_STOPPING, "shutting down");
	RIG_UNTIL(&one.rig, one.peer.end != PEER_RUNS);
	assert_true(one.peer.end != PEER_CLOSED); /* the program had not said that this was all */
	session_close(&dialling);
	one_deinit(&one);
}

/* ---- memory ---- */

static void an_idle_session_gives_its_pages_back(void **state unused_)
{
	struct testing_text down = noise(200000, 7), got = {0};
	struct session *session;
	struct one one;

	one_init(&one, &anything);
	session = LIST_FIRST(&rig_worker(&one.rig)->all_sessions);
	peer_say(&one.peer, down.data, down.len);
	RIG_UNTIL(&one.rig, (session_read(&one.session, &got, 150000), got.len >= 150000));
	assert_true(session_sweep(session)); /* just came */
	RIG_UNTIL(&one.rig, (session_read(&one.session, &got, 40000), got.len >= 190000));
	(void)session_sweep(session);
	assert_true(session_sweep(session)); /* idle, but not read out */
	RIG_UNTIL(&one.rig, (session_read(&one.session, &got, SIZE_MAX), got.len == down.len));
	assert_false(session_sweep(session));
	assert_true(same(&got, &down));
	for (size_t i = 0; i < session->capacity; i++)
		assert_int_equal(one.session.channel.rx.bytes[i], 0);
	peer_say(&one.peer, "again", 5);
	RIG_UNTIL(&one.rig, (session_read(&one.session, &got, 99), got.len == down.len + 5));
	assert_memory_equal(got.data + down.len, "again", 5);
	free(down.data);
	free(got.data);
	one_deinit(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_clean_end_is_told_after_the_last_byte),
		TEST(a_cut_stream_is_never_a_clean_end),
		TEST(a_reset_is_told_at_once),
		TEST(an_end_behind_a_full_ring_waits_for_its_turn),
		TEST(a_server_that_wants_a_client_certificate_says_so),
		TEST(the_program_may_end_first_and_read_on),
		TEST(the_server_may_end_first_and_read_on),
		TEST(a_cut_after_the_programs_own_end_is_still_a_cut),
		TEST(what_was_written_is_sent_after_a_disconnect),
		TEST(what_was_written_is_sent_after_the_programs_death),
		TEST(a_closed_connection_takes_its_sessions_along),
		TEST(unread_bells_do_not_swallow_a_goodbye),
		TEST(a_full_socket_does_not_swallow_close_notify),
		TEST(a_server_that_echoes_gets_everything),
		TEST(unread_bytes_do_not_make_the_end_a_reset),
		TEST(a_lingering_session_is_given_up),
		TEST(waiting_for_the_servers_end_costs_no_time),
		TEST(a_session_may_be_given_up_at_any_stage),
		TEST(a_session_that_is_given_up_at_once_is_no_shortage),
		TEST(a_session_may_be_given_up_while_it_brings_certificates),
		TEST(a_deadline_covers_dialling_and_handshake),
		TEST(what_the_connector_says_reaches_the_program),
		TEST(a_connector_that_dies_takes_only_its_dials_along),
		TEST(a_connector_may_be_replaced_without_dying_first),
		TEST(a_new_frontdoor_is_told_how_many_there_are),
		TEST(an_idle_worker_drains_at_once),
		TEST(a_draining_worker_lets_sessions_end_and_begins_none),
		TEST(the_drains_deadline_ends_what_is_left),
		TEST(an_idle_session_gives_its_pages_back),
	};

	return testing_run(tests);
}
