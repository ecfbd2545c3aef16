/*
 * A session's life: what each call says in each phase, every way to end, what was agreed.
 */
#include "lib_rig.h"

#include <sys/wait.h>

#include "wire/errors.h"

static const uint32_t codes[] = {
#define TLSB_ERROR(name, number, fatal, text) TLSB_E_##name,
#include "wire/errors.def"
#undef TLSB_ERROR
};

static void start(struct rig *rig)
{
	rig_listen(rig);
	rig_open(rig);
}

/* Every call on a session that is in no state for any of them. */
static void assert_all_fail(struct tlsb_session *session, int number)
{
	char byte = 'x';

	assert_fails(tlsb_handshake(session), number);
	assert_fails(tlsb_read(session, &byte, 1), number);
	assert_fails(tlsb_write(session, &byte, 1), number);
	assert_fails(tlsb_shutdown(session), number);
}

static void fails_calls_before_connect(void **state unused_)
{
	struct tlsb_info info;
	struct rig rig;

	start(&rig);
	rig_new_session(&rig);
	assert_all_fail(rig.session, ENOTCONN);
	assert_fails(tlsb_pending(rig.session), ENOTCONN);
	assert_fails(tlsb_disconnect(rig.session), ENOTCONN);
	assert_fails(tlsb_wait(rig.session, POLLIN, 0), ENOTCONN);
	assert_fails(tlsb_info(rig.session, &info, sizeof(info)), ENOTCONN);
	assert_int_equal(tlsb_error_code(rig.session), TLSB_E_NONE);
	assert_string_equal(tlsb_error_text(rig.session), "");
	assert_false(is_readable(tlsb_fd(rig.session)));
	rig_close(&rig);
}

static void refuses_targets_without_sending_anything(void **state unused_)
{
	static const char *const targets[][2] = {
		{ NULL, "443" }, { "", "443" }, { "a", NULL }, { "a", "" }, { "a", "0" },
		{ "a", "65536" }, { "a", "-1" }, { "a", "+1" }, { "a", " 1" }, { "a", "1 " },
		{ "a", "https" }, { "a", "0x1bb" }, { "a b", "443" }, { "a\nb", "443" },
		{ "\xc3\xa4", "443" }, { "a:443", "443" }, { "[a]", "443" }, { "::1%\x01", "443" },
	};
	char byte, longest[LIMIT_HOST + 2];
	struct rig rig;

	start(&rig);
	rig_new_session(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		assert_fails(tlsb_connect(rig.session, targets[i][0], targets[i][1]), EINVAL);
	memset(longest, 'a', sizeof(longest));
	longest[LIMIT_HOST + 1] = '\0';
	assert_fails(tlsb_connect(rig.session, longest, "443"), EINVAL);
	assert_true(recv(rig.main, &byte, 1, MSG_DONTWAIT) < 0);
	longest[LIMIT_HOST] = '\0';
	assert_fails(tlsb_connect(rig.session, longest, "65535"), EWOULDBLOCK);
	rig_close(&rig);
}

static void goes_through_its_states(void **state unused_)
{
	struct rig rig;
	char byte;

	start(&rig);
	rig_start_connect(&rig);
	assert_fails(tlsb_connect(rig.session, RIG_HOST, RIG_PORT), EWOULDBLOCK);
	rig_take_session(&rig);
	rig_take_connect(&rig);
	assert_all_fail(rig.session, EWOULDBLOCK);
	rig_send_opened(&rig);
	assert_fails(tlsb_connect(rig.session, RIG_HOST, RIG_PORT), EWOULDBLOCK);
	assert_all_fail(rig.session, EWOULDBLOCK);
	rig_state(&rig, STATE_CONNECTED);
	assert_int_equal(tlsb_connect(rig.session, RIG_HOST, RIG_PORT), 0);
	assert_fails(tlsb_connect(rig.session, RIG_HOST, RIG_PORT), EISCONN);
	assert_all_fail(rig.session, EWOULDBLOCK);
	rig_state(&rig, STATE_ESTABLISHED);
	assert_int_equal(tlsb_handshake(rig.session), 0);
	assert_int_equal(tlsb_handshake(rig.session), 0);
	assert_fails(tlsb_connect(rig.session, RIG_HOST, RIG_PORT), EISCONN);
	assert_fails(tlsb_read(rig.session, &byte, 1), EWOULDBLOCK);
	assert_int_equal(tlsb_write(rig.session, "x", 1), 1);
	rig_close(&rig);
}

static void nothing_of_the_program_leaves_before_the_handshake(void **state unused_)
{
	struct rig rig;

	start(&rig);
	rig_connected(&rig);
	assert_fails(tlsb_write(rig.session, "secret", 6), EWOULDBLOCK);
	assert_int_equal(rig_has_data(&rig), 0);
	/* Nor is anything believed that comes before it. */
	rig_produce(&rig, "forged", 6);
	assert_int_equal(tlsb_pending(rig.session), 0);
	assert_fails(tlsb_read(rig.session, (char[8]){ 0 }, 8), EWOULDBLOCK);
	rig_close(&rig);
}

static void reads_finish_the_handshake_by_themselves(void **state unused_)
{
	struct rig rig;
	char data[8];

	start(&rig);
	rig_connecting(&rig);
	assert_fails(tlsb_read(rig.session, data, sizeof(data)), EWOULDBLOCK);
	rig_state(&rig, STATE_CONNECTED);
	assert_fails(tlsb_read(rig.session, data, sizeof(data)), EWOULDBLOCK);
	rig_state(&rig, STATE_ESTABLISHED);
	rig_produce(&rig, "hello", 5);
	assert_int_equal(tlsb_pending(rig.session), 5);
	assert_int_equal(tlsb_read(rig.session, data, sizeof(data)), 5);
	rig_close(&rig);
}

/* The worker as another process, since a connect with a timeout waits for it. */
static void connect_and_tell(struct rig *rig, int timeout_ms, uint32_t deadline_ms)
{
	pid_t pid;
	int status;

	rig_new_session(rig);
	tlsb_set_timeout(rig->session, timeout_ms);
	pid = fork();
	if (pid == 0) {
		struct pollfd pfd = { .fd = rig->main, .events = POLLIN };

		poll(&pfd, 1, -1);
		rig_take_session(rig);
		pfd.fd = rig->socket;
		poll(&pfd, 1, -1);
		rig_take_connect(rig);
		rig_refuse(rig->socket,
			   rig->connect.deadline_ms == deadline_ms ? TLSB_E_DNS : TLSB_E_TLS, "");
		_exit(0);
	}
	assert_fails(tlsb_connect(rig->session, RIG_HOST, RIG_PORT), ENOENT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	rig_drop_session(rig);
}

static void tells_the_worker_the_programs_deadline(void **state unused_)
{
	struct rig rig;

	start(&rig);
	connect_and_tell(&rig, -1, LIMIT_CONNECT_MS);
	connect_and_tell(&rig, 5000, 5000);
	connect_and_tell(&rig, LIMIT_CONNECT_MAX_MS, LIMIT_CONNECT_MAX_MS);
	connect_and_tell(&rig, INT32_MAX, LIMIT_CONNECT_MAX_MS);
	rig_close(&rig);
}

/* A session that is to connect within 200 ms, and a broker that says 20 ms later why that is not to be. */
static bool hears_why_it_is_late(struct rig *rig)
{
	bool heard;
	pid_t pid;
	int status;

	rig_new_session(rig);
	tlsb_set_timeout(rig->session, 200);
	pid = fork();
	if (pid == 0) {
		struct pollfd pfd = { .fd = rig->main, .events = POLLIN };

		poll(&pfd, 1, -1);
		rig_take_session(rig);
		pfd.fd = rig->socket;
		poll(&pfd, 1, -1);
		rig_take_connect(rig);
		usleep(220000);
		rig_refuse(rig->socket, TLSB_E_TIMEOUT, "too slow");
		_exit(0);
	}
	assert_fails(tlsb_connect(rig->session, RIG_HOST, RIG_PORT), ETIMEDOUT);
	heard = tlsb_error_code(rig->session) == TLSB_E_TIMEOUT;
	if (heard)
		assert_string_equal(tlsb_error_text(rig->session), "too slow");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	rig_drop_session(rig);
	return heard;
}

static void waits_for_what_the_broker_says_at_the_deadline(void **state unused_)
{
	bool heard = false;
	struct rig rig;

	start(&rig);
	for (int i = 0; i < TESTING_TRIES && !heard; i++) /* on a busy machine the broker itself may be late */
		heard = hears_why_it_is_late(&rig);
	assert_true(heard);
	rig_close(&rig);
}

/* ---- how it ends ---- */

static void assert_ended(struct tlsb_session *session, uint32_t code, const char *text)
{
	const struct error_info *info = error_info(code);

	assert_all_fail(session, info->number);
	assert_int_equal(tlsb_error_code(session), (int)code);
	assert_string_equal(tlsb_error_text(session), text);
	assert_int_equal(tlsb_error_is_fatal((int)code), 1);
	/* The kernel may take a moment to say that the other end was closed. */
	assert_true(is_readable_within(tlsb_fd(session), 60000));
	assert_int_equal(tlsb_wait(session, POLLIN, 0), POLLIN);
	assert_int_equal(tlsb_wait(session, POLLOUT, -1), POLLOUT);
}

static void reports_every_refusal_of_a_session(void **state unused_)
{
	struct rig rig;

	start(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		uint32_t code = codes[i] ? codes[i] : TLSB_E_BROKER_PROTOCOL;

		rig_start_connect(&rig);
		rig_take_session(&rig);
		rig_refuse(rig.socket, codes[i], "because"); /* CONNECT is unread */
		rig.socket = fd_close(rig.socket);
		assert_fails(tlsb_connect(rig.session, NULL, NULL), error_info(code)->number);
		assert_ended(rig.session, code, "because");
		assert_fails(tlsb_disconnect(rig.session), ENOTCONN);
		rig_drop_session(&rig);
	}
	rig_close(&rig);
}

static void reports_every_end_in_every_state(void **state unused_)
{
	struct rig rig;

	start(&rig);
	for (int reached = STATE_OPENING; reached <= STATE_ESTABLISHED; reached++) {
		for (size_t i = 1; i < ARRAY_SIZE(codes); i++) {
			rig_connecting(&rig);
			rig_state(&rig, (enum session_state)reached);
			rig_end(&rig, codes[i], "because");
			if (reached == STATE_OPENING)
				assert_fails(tlsb_connect(rig.session, NULL, NULL),
					     error_info(codes[i])->number);
			else
				assert_int_equal(tlsb_connect(rig.session, NULL, NULL), 0);
			if (reached == STATE_ESTABLISHED)
				assert_int_equal(tlsb_handshake(rig.session), 0);
			else
				assert_ended(rig.session, codes[i], "because");
			assert_fails(tlsb_write(rig.session, "x", 1), error_info(codes[i])->number);
			rig_drop_session(&rig);
		}
	}
	rig_close(&rig);
}

static void has_a_text_of_its_own_for_every_code(void **state unused_)
{
	struct rig rig;

	start(&rig);
	for (size_t i = 1; i < ARRAY_SIZE(codes); i++) {
		rig_connecting(&rig);
		rig_end(&rig, codes[i], "");
		assert_fails(tlsb_connect(rig.session, NULL, NULL), error_info(codes[i])->number);
		assert_string_equal(tlsb_error_text(rig.session), error_info(codes[i])->text);
		rig_drop_session(&rig);
	}
	assert_int_equal(tlsb_error_is_fatal(TLSB_E_NONE), 0);
	rig_close(&rig);
}

static void reports_a_worker_that_died_at_any_step(void **state unused_)
{
	struct rig rig;

	start(&rig);
	for (int step = 0; step < 6; step++) {
		rig_start_connect(&rig);
		rig_take_session(&rig);
		if (step > 0)
			rig_take_connect(&rig);
		if (step > 1)
			rig_send_opened(&rig);
		if (step > 2)
			rig_set(&rig.channel.page->state, STATE_CONNECTED);
		if (step > 3)
			assert_int_equal(tlsb_connect(rig.session, NULL, NULL), 0);
		if (step > 4) {
			rig_set(&rig.channel.page->state, STATE_ESTABLISHED);
			assert_int_equal(tlsb_handshake(rig.session), 0);
		}
		assert_int_equal(is_readable(tlsb_fd(rig.session)), step == 2 || step == 3);
		rig.socket = fd_close(rig.socket);
		assert_true(is_readable(tlsb_fd(rig.session)));
		if (step < 3)
			assert_soon_fails(tlsb_connect(rig.session, NULL, NULL), ECONNRESET);
		else if (step == 3)
			assert_int_equal(tlsb_connect(rig.session, NULL, NULL), 0);
		if (step < 5)
			assert_soon_fails(tlsb_handshake(rig.session), ECONNRESET);
		assert_soon_fails(tlsb_read(rig.session, (char[1]){ 0 }, 1), ECONNRESET);
		assert_fails(tlsb_write(rig.session, "x", 1), ECONNRESET);
		assert_int_equal(tlsb_error_code(rig.session), TLSB_E_WORKER_DIED);
		rig_drop_session(&rig);
	}
	rig_close(&rig);
}

static void reports_a_daemon_that_died(void **state unused_)
{
	struct rig rig;

	start(&rig);
	rig_established(&rig);
	tlsb_fd(rig.session); /* one that only polls memory looks for the dead every 100 ms */
	rig.listener = fd_close(rig.listener); /* its socket's file is left behind */
	rig.main = fd_close(rig.main);
	rig.socket = fd_close(rig.socket);
	assert_fails(tlsb_read(rig.session, (char[1]){ 0 }, 1), ECONNABORTED);
	assert_int_equal(tlsb_error_code(rig.session), TLSB_E_BROKER_GONE);
	rig_close(&rig);
}

/* The handshake was over before the end: what the server sent in it is not lost. */
static void reads_everything_before_it_reports_the_end(void **state unused_)
{
	char data[8];
	struct rig rig;

	start(&rig);
	rig_connecting(&rig);
	rig_state(&rig, STATE_ESTABLISHED);
	rig_produce(&rig, "hello", 5);
	rig_end(&rig, TLSB_E_TRUNCATED, "cut");
	assert_int_equal(tlsb_connect(rig.session, NULL, NULL), 0);
	assert_int_equal(tlsb_handshake(rig.session), 0);
	assert_fails(tlsb_write(rig.session, "x", 1), ECONNRESET);
	assert_int_equal(tlsb_pending(rig.session), 5);
	assert_int_equal(tlsb_read(rig.session, data, 3), 3);
	assert_true(is_readable(tlsb_fd(rig.session)));
	assert_int_equal(tlsb_read(rig.session, data, sizeof(data)), 2);
	assert_fails(tlsb_read(rig.session, data, sizeof(data)), ECONNRESET);
	assert_int_equal(tlsb_error_code(rig.session), TLSB_E_TRUNCATED);
	assert_string_equal(tlsb_error_text(rig.session), "cut");
	rig_close(&rig);
}

static void reads_what_a_dead_worker_left(void **state unused_)
{
	char data[8];
	struct rig rig;

	start(&rig);
	rig_established(&rig);
	tlsb_fd(rig.session);
	rig_produce(&rig, "hello", 5);
	rig.socket = fd_close(rig.socket);
	assert_int_equal(tlsb_read(rig.session, data, sizeof(data)), 5);
	assert_soon_fails(tlsb_read(rig.session, data, sizeof(data)), ECONNRESET);
	assert_int_equal(tlsb_error_code(rig.session), TLSB_E_WORKER_DIED);
	rig_close(&rig);
}

static void ends_cleanly_in_one_direction_after_the_other(void **state unused_)
{
	char data[8];
	struct rig rig;

	start(&rig);
	rig_established(&rig);
	rig_produce(&rig, "bye", 3);
	rig_set(&rig.channel.page->rx_end, 1);
	assert_int_equal(tlsb_read(rig.session, data, sizeof(data)), 3);
	assert_int_equal(tlsb_read(rig.session, data, sizeof(data)), 0);
	assert_int_equal(tlsb_read(rig.session, data, sizeof(data)), 0);
	assert_int_equal(tlsb_write(rig.session, "more", 4), 4);
	assert_fails(tlsb_shutdown(rig.session), EWOULDBLOCK);
	assert_int_equal(atomic_load(&rig.channel.page->tx_fin), 1);
	assert_fails(tlsb_write(rig.session, "x", 1), EPIPE);
	assert_fails(tlsb_shutdown(rig.session), EWOULDBLOCK);
	rig_consume(&rig, data, 4);
	rig_set(&rig.channel.page->tx_end, 1);
	assert_int_equal(tlsb_shutdown(rig.session), 0);
	rig_end(&rig, TLSB_E_NONE, "");
	assert_int_equal(tlsb_shutdown(rig.session), 0);
	assert_int_equal(tlsb_read(rig.session, data, sizeof(data)), 0);
	assert_fails(tlsb_write(rig.session, "x", 1), EPIPE);
	assert_int_equal(tlsb_error_code(rig.session), TLSB_E_NONE);
	rig_close(&rig);
}

static void reading_goes_on_after_shutdown(void **state unused_)
{
	char data[8];
	struct rig rig;

	start(&rig);
	rig_established(&rig);
	assert_fails(tlsb_shutdown(rig.session), EWOULDBLOCK);
	rig_set(&rig.channel.page->tx_end, 1);
	rig_produce(&rig, "late", 4);
	assert_int_equal(tlsb_read(rig.session, data, sizeof(data)), 4);
	assert_int_equal(tlsb_shutdown(rig.session), 0);
	assert_fails(tlsb_read(rig.session, data, sizeof(data)), EWOULDBLOCK);
	rig_close(&rig);
}

static void disconnects_in_every_state(void **state unused_)
{
	struct rig rig;

	start(&rig);
	for (int step = 0; step < 4; step++) {
		if (step == 0)
			rig_start_connect(&rig);
		if (step == 1)
			rig_connecting(&rig);
		if (step == 2)
			rig_connected(&rig);
		if (step == 3)
			rig_established(&rig);
		if (step == 0) {
			rig_take_session(&rig);
			rig_take_connect(&rig);
		}
		assert_int_equal(tlsb_disconnect(rig.session), 0);
		assert_int_equal(rig_hear(&rig), -1);
		assert_all_fail(rig.session, ENOTCONN);
		assert_fails(tlsb_connect(rig.session, RIG_HOST, RIG_PORT), ENOTCONN);
		assert_fails(tlsb_disconnect(rig.session), ENOTCONN);
		assert_int_equal(tlsb_error_code(rig.session), TLSB_E_NONE);
		assert_true(is_readable(tlsb_fd(rig.session)));
		rig_drop_session(&rig);
	}
	rig_close(&rig);
}

/* What was written, then DISCONNECT, then the hang-up: in this order for the worker. */
static void says_goodbye_before_it_hangs_up(void **state unused_)
{
	union msg_buffer buffer;
	struct rig rig;
	struct msg msg;
	char data[4];

	start(&rig);
	rig_established(&rig);
	assert_int_equal(tlsb_write(rig.session, "last", 4), 4);
	tlsb_session_free(rig.session);
	rig.session = NULL;
	rig_expect(rig.socket, CLIENT_MSG_DISCONNECT, SESSION, &buffer, &msg, NULL);
	assert_true(testing_is_closed(rig.socket));
	rig_consume(&rig, data, 4);
	assert_memory_equal(data, "last", 4);
	rig_close(&rig);
}

static void a_failed_session_is_closed_for_the_worker_too(void **state unused_)
{
	struct rig rig;

	start(&rig);
	rig_established(&rig);
	rig_set(&rig.channel.page->state, 77);
	assert_fails(tlsb_read(rig.session, (char[1]){ 0 }, 1), EPROTO);
	assert_int_equal(rig_hear(&rig), -1);
	assert_true(is_readable(tlsb_fd(rig.session)));
	rig_close(&rig);
}

static void zero_bytes_are_read_and_written_at_once(void **state unused_)
{
	struct rig rig;

	start(&rig);
	rig_established(&rig);
	assert_int_equal(tlsb_read(rig.session, NULL, 0), 0);
	assert_int_equal(tlsb_write(rig.session, NULL, 0), 0);
	rig_close(&rig);
}

/* ---- what was agreed ---- */

static void tells_what_was_agreed(void **state unused_)
{
	struct tlsb_info *page, info;
	struct rig rig;

	start(&rig);
	rig_connected(&rig);
	assert_fails(tlsb_info(rig.session, &info, sizeof(info)), ENOTCONN);
	page = &rig.channel.page->info;
	*page = (struct tlsb_info){ .version = TLSB_TLS_1_3, .verified = 1, .step_count = 2,
				    .cipher = "TLS_X", .chain = "a < b\nb < c" };
	rig_state(&rig, STATE_ESTABLISHED);
	assert_fails(tlsb_info(rig.session, NULL, sizeof(info)), EINVAL);
	assert_fails(tlsb_info(rig.session, &info, 0), EINVAL);
	assert_int_equal(tlsb_info(rig.session, &info, sizeof(info)), 0);
	assert_int_equal(info.version, TLSB_TLS_1_3);
	assert_int_equal(info.step_count, 2);
	assert_string_equal(info.cipher, "TLS_X");
	assert_string_equal(info.chain, "a < b\nb < c");
	tlsb_disconnect(rig.session);
	assert_int_equal(tlsb_info(rig.session, &info, sizeof(info)), 0);
	rig_close(&rig);
}

static void tells_older_and_newer_programs_what_they_know(void **state unused_)
{
	struct {
		struct tlsb_info info;
		char newer[16];
	} newer;
	struct tlsb_info older;
	struct rig rig;

	start(&rig);
	rig_established(&rig);
	rig.channel.page->info.version = TLSB_TLS_1_2;
	rig.channel.page->info.resumed = 1;
	memset(&older, 0x55, sizeof(older));
	assert_int_equal(tlsb_info(rig.session, &older, sizeof(older.version)), 0);
	assert_int_equal(older.version, TLSB_TLS_1_2);
	assert_int_equal(older.resumed, 0x55555555);
	memset(&newer, 0x55, sizeof(newer));
	assert_int_equal(tlsb_info(rig.session, &newer.info, sizeof(newer)), 0);
	assert_int_equal(newer.info.resumed, 1);
	for (size_t i = 0; i < sizeof(newer.newer); i++)
		assert_int_equal(newer.newer[i], 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fails_calls_before_connect),
		TEST(refuses_targets_without_sending_anything),
		TEST(goes_through_its_states),
		TEST(nothing_of_the_program_leaves_before_the_handshake),
		TEST(reads_finish_the_handshake_by_themselves),
		TEST(tells_the_worker_the_programs_deadline),
		TEST(waits_for_what_the_broker_says_at_the_deadline),
		TEST(reports_every_refusal_of_a_session),
		TEST(reports_every_end_in_every_state),
		TEST(has_a_text_of_its_own_for_every_code),
		TEST(reports_a_worker_that_died_at_any_step),
		TEST(reports_a_daemon_that_died),
		TEST(reads_everything_before_it_reports_the_end),
		TEST(reads_what_a_dead_worker_left),
		TEST(ends_cleanly_in_one_direction_after_the_other),
		TEST(reading_goes_on_after_shutdown),
		TEST(disconnects_in_every_state),
		TEST(says_goodbye_before_it_hangs_up),
		TEST(a_failed_session_is_closed_for_the_worker_too),
		TEST(zero_bytes_are_read_and_written_at_once),
		TEST(tells_what_was_agreed),
		TEST(tells_older_and_newer_programs_what_they_know),
	};

	return testing_run(tests);
}
