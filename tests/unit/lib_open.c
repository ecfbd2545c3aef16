/*
 * The connection to the broker: where it is looked for, who we are there, and how it ends.
 */
#include "lib_rig.h"

#include <pthread.h>
#include <sys/stat.h>

static void reports_a_broker_that_is_not_there(void **state unused_)
{
	char path[200];
	struct rig rig;

	rig_listen(&rig);
	fd_close(rig.listener);
	rig.listener = -1;
	assert_null(tlsb_open(rig.path));
	assert_int_equal(errno, ECONNREFUSED);
	unlink(rig.path);
	assert_null(tlsb_open(rig.path));
	assert_int_equal(errno, ENOENT);
	assert_null(tlsb_open(""));
	assert_int_equal(errno, ENOENT);
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_null(tlsb_open(path));
	assert_int_equal(errno, ENAMETOOLONG);
	path[108] = '\0';
	assert_null(tlsb_open(path));
	assert_int_equal(errno, ENAMETOOLONG);
	path[107] = '\0';
	assert_null(tlsb_open(path));
	assert_int_equal(errno, ENOENT);
	rmdir(rig.folder);
}

/* Fills the broker's queue, and leaves behind how many it took. */
static unsigned fill_queue(const struct rig *rig, int fds[], unsigned count)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, rig->path, strlen(rig->path) + 1);
	for (unsigned i = 0; i < count; i++) {
		fds[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(fds[i], (struct sockaddr *)&address, sizeof(address)) == 0)
			continue;
		assert_int_equal(errno, EAGAIN);
		fd_close(fds[i]);
		return i;
	}
	fail();
	return 0;
}

static void *make_room(void *arg)
{
	struct rig *rig = arg;

	usleep(50000);
	return (void *)(intptr_t)accept(rig->listener, NULL, NULL);
}

static uint64_t ms_until_the_queue_is_too_long(const struct rig *rig)
{
	uint64_t began = clock_ms();

	assert_null(tlsb_open(rig->path));
	assert_int_equal(errno, EAGAIN);
	return clock_ms() - began;
}

/* Somebody floods the broker: a new program waits for its turn, but not for ever. */
static void waits_for_a_place_in_the_queue(void **state unused_)
{
	pthread_t thread;
	unsigned count;
	void *accepted;
	struct rig rig;
	int fds[100];

	rig_listen(&rig);
	count = fill_queue(&rig, fds, 100);
	assert_int_equal(pthread_create(&thread, NULL, make_room, &rig), 0);
	for (int i = 0; i < TESTING_TRIES && !rig.tlsb; i++) /* on a busy machine the thread may be late */
		rig.tlsb = tlsb_open(rig.path);
	assert_non_null(rig.tlsb);
	assert_int_equal(pthread_join(thread, &accepted), 0);

	assert_takes(ms_until_the_queue_is_too_long(&rig), 900, 2000);

	fd_close((int)(intptr_t)accepted);
	for (unsigned i = 0; i < count; i++)
		fd_close(fds[i]);
	tlsb_close(rig.tlsb);
	rig_stop_listening(&rig);
	rmdir(rig.folder);
}

/* Returns once the broker of the rig has been found, or has not. */
static void look_for(struct rig *rig, int number)
{
	rig->tlsb = tlsb_open(NULL);
	if (number) {
		assert_null(rig->tlsb);
		assert_string_equal(strerrorname_np(errno), strerrorname_np(number));
		return;
	}
	assert_non_null(rig->tlsb);
	tlsb_close(rig->tlsb);
	rig->tlsb = NULL;
	fd_close(accept(rig->listener, NULL, NULL));
}

static void looks_where_the_environment_says(void **state unused_)
{
	struct rig rig;

	rig_listen(&rig);
	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	setenv("TLSBROKER_SOCKET", rig.path, 1);
	look_for(&rig, 0);
	setenv("TLSBROKER_SOCKET", "/nonexistent/socket", 1);
	look_for(&rig, ENOENT);
	setenv("TLSBROKER_SOCKET", "", 1);
	look_for(&rig, ENOENT);
	unsetenv("TLSBROKER_SOCKET");
	unsetenv("XDG_RUNTIME_DIR");
	rig_close(&rig);
}

static void looks_for_the_users_own_broker(void **state unused_)
{
	char folder[64], path[96], longest[200];
	struct rig rig;

	rig_listen(&rig);
	unsetenv("TLSBROKER_SOCKET");
	snprintf(folder, sizeof(folder), "%s/tlsbroker", rig.folder);
	snprintf(path, sizeof(path), "%s/tlsbroker.sock", folder);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(rename(rig.path, path), 0);
	setenv("XDG_RUNTIME_DIR", rig.folder, 1);
	look_for(&rig, 0);
	/* Not an absolute path: as if it were not set, says the XDG specification. */
	assert_int_equal(chdir("/tmp"), 0);
	setenv("XDG_RUNTIME_DIR", rig.folder + 5, 1);
	rig.tlsb = tlsb_open(NULL); /* the system's, if this machine has one */
	tlsb_close(rig.tlsb);
	rig.tlsb = NULL;
	assert_true(accept(rig.listener, NULL, NULL) < 0);
	memset(longest, '/', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	setenv("XDG_RUNTIME_DIR", longest, 1);
	look_for(&rig, ENAMETOOLONG);
	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(rename(path, rig.path), 0);
	rmdir(folder);
	rig_close(&rig);
}

static void learns_its_badge_once(void **state unused_)
{
	const char *badge;
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	rig_welcome(&rig, PROTOCOL_MAGIC, PROTOCOL_VERSION, "uid:1000");
	badge = tlsb_badge(rig.tlsb);
	assert_string_equal(badge, "uid:1000");
	rig_welcome(&rig, PROTOCOL_MAGIC, PROTOCOL_VERSION, "uid:0");
	assert_ptr_equal(tlsb_badge(rig.tlsb), badge);
	assert_string_equal(badge, "uid:1000");
	rig_close(&rig);
}

static void makes_a_hostile_badge_printable(void **state unused_)
{
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	rig_welcome(&rig, PROTOCOL_MAGIC, PROTOCOL_VERSION, "uid:\x1b[31m\n\\x2d");
	assert_string_equal(tlsb_badge(rig.tlsb), "uid:?[31m?\\x2d");
	rig_close(&rig);
}

static uint64_t ms_without_a_badge(struct rig *rig)
{
	uint64_t began = clock_ms();

	assert_null(tlsb_badge(rig->tlsb));
	assert_int_equal(errno, EWOULDBLOCK);
	return clock_ms() - began;
}

static void waits_a_second_for_its_badge(void **state unused_)
{
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	assert_takes(ms_without_a_badge(&rig), 999, 2000);
	rig_close(&rig);
}

static void refuses_a_broker_of_another_version(void **state unused_)
{
	for (int i = 0; i < 2; i++) {
		struct rig rig;

		rig_listen(&rig);
		rig_open(&rig);
		rig_welcome(&rig, PROTOCOL_MAGIC + (i == 0), PROTOCOL_VERSION + (i == 1), "uid:7");
		rig_start_connect(&rig);
		rig_take_session(&rig);
		rig_take_connect(&rig);
		rig_send_opened(&rig);
		assert_fails(tlsb_connect(rig.session, NULL, NULL), EPROTO);
		assert_int_equal(tlsb_error_code(rig.session), TLSB_E_BROKER_PROTOCOL);
		assert_null(tlsb_badge(rig.tlsb));
		assert_int_equal(errno, EPROTO);
		rig_close(&rig);
	}
}

/* The front door refuses without having read anything: hello and session are lost unread. */
static void reports_the_front_doors_refusal_with_its_text(void **state unused_)
{
	struct rig rig;

	for (int early = 0; early < 2; early++) {
		rig_listen(&rig);
		rig.tlsb = tlsb_open(rig.path);
		rig.main = accept4(rig.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		rig_new_session(&rig);
		if (!early)
			assert_fails(tlsb_connect(rig.session, RIG_HOST, RIG_PORT), EWOULDBLOCK);
		rig_refuse(rig.main, TLSB_E_QUOTA, "8 programs of this user");
		rig.main = fd_close(rig.main);
		assert_true(early || is_readable(tlsb_fd(rig.session)));
		assert_fails(tlsb_connect(rig.session, RIG_HOST, RIG_PORT), EMFILE);
		assert_int_equal(tlsb_error_code(rig.session), TLSB_E_QUOTA);
		assert_string_equal(tlsb_error_text(rig.session), "8 programs of this user");
		assert_null(tlsb_badge(rig.tlsb));
		assert_int_equal(errno, EMFILE);
		rig_close(&rig);
	}
}

static void reports_a_refusal_that_came_before_hello(void **state unused_)
{
	struct rig rig;

	rig_listen(&rig);
	rig.tlsb = tlsb_open(rig.path);
	rig.main = accept4(rig.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	rig_refuse(rig.main, TLSB_E_POLICY, "");
	rig.main = fd_close(rig.main);
	assert_null(tlsb_badge(rig.tlsb));
	assert_int_equal(errno, EACCES);
	rig_new_session(&rig);
	assert_fails(tlsb_connect(rig.session, RIG_HOST, RIG_PORT), EACCES);
	assert_string_equal(tlsb_error_text(rig.session), "the broker's policy does not allow this");
	rig_close(&rig);
}

static void reports_a_broker_that_has_gone(void **state unused_)
{
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	rig_stop_listening(&rig);
	rig.main = fd_close(rig.main);
	assert_null(tlsb_badge(rig.tlsb));
	assert_int_equal(errno, ECONNABORTED);
	rig_new_session(&rig);
	assert_fails(tlsb_connect(rig.session, RIG_HOST, RIG_PORT), ECONNABORTED);
	assert_int_equal(tlsb_error_code(rig.session), TLSB_E_BROKER_GONE);
	rig_close(&rig);
}

/* A worker without descriptors refuses a session on the connection, which goes on. */
static void tells_a_sessions_refusal_to_one_session(void **state unused_)
{
	struct tlsb_session *sessions[3];
	union msg_buffer buffer;
	struct rig rig;
	struct msg msg;
	int fd;

	rig_listen(&rig);
	rig_open(&rig);
	for (int i = 0; i < 3; i++) {
		sessions[i] = tlsb_session_new(rig.tlsb, NULL);
		assert_fails(tlsb_connect(sessions[i], RIG_HOST, RIG_PORT), EWOULDBLOCK);
		rig_expect(rig.main, CLIENT_MSG_SESSION, MAIN, &buffer, &msg, &fd);
		fd_close(fd);
		if (i < 2)
			rig_refuse(rig.main, TLSB_E_RESOURCES, "no descriptors");
	}
	for (int i = 0; i < 3; i++) {
		assert_soon_fails(tlsb_connect(sessions[i], NULL, NULL), i < 2 ? EMFILE : ECONNRESET);
		assert_int_equal(tlsb_error_code(sessions[i]),
				 i < 2 ? TLSB_E_RESOURCES : TLSB_E_WORKER_DIED);
		tlsb_session_free(sessions[i]);
	}
	rig_established(&rig);
	rig_close(&rig);
}

static void survives_nonsense_on_the_connection(void **state unused_)
{
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	assert_int_equal(send(rig.main, "nonsense", 8, MSG_NOSIGNAL), 8);
	assert_null(tlsb_badge(rig.tlsb));
	assert_int_equal(errno, EPROTO);
	rig_close(&rig);
}

static void shows_the_brokers_end_on_a_descriptor(void **state unused_)
{
	union msg_buffer buffer;
	struct rig rig;
	struct msg msg;
	int fd, theirs;

	rig_listen(&rig);
	rig_open(&rig);
	fd = tlsb_broker_fd(rig.tlsb);
	assert_true(fd >= 0);
	assert_int_equal(tlsb_broker_fd(rig.tlsb), fd);
	rig_expect(rig.main, CLIENT_MSG_LIFELINE, MAIN, &buffer, &msg, &theirs);
	assert_false(is_readable(fd));
	rig_welcome(&rig, PROTOCOL_MAGIC, PROTOCOL_VERSION, "uid:7");
	assert_false(is_readable(fd));
	fd_close(theirs);
	assert_true(is_readable(fd));
	rig_close(&rig);
}

static void shows_a_refusal_on_that_descriptor(void **state unused_)
{
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	assert_false(is_readable(tlsb_broker_fd(rig.tlsb)));
	rig_refuse(rig.main, TLSB_E_QUOTA, "enough");
	rig.main = fd_close(rig.main); /* with the lifeline in it, unread */
	assert_true(is_readable(tlsb_broker_fd(rig.tlsb)));
	rig_close(&rig);
}

static void makes_that_descriptor_after_the_end_too(void **state unused_)
{
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	rig.main = fd_close(rig.main);
	assert_true(is_readable(tlsb_broker_fd(rig.tlsb)));
	rig_close(&rig);
}

/* Nobody reads: sessions fill the connection, and each has to say so to its poller. */
static void asks_again_when_the_connection_is_full(void **state unused_)
{
	struct tlsb_session *sessions[1000];
	int count = 0, full = 0, late, theirs;
	union msg_buffer buffer;
	struct rig rig;
	struct msg msg;

	rig_listen(&rig);
	rig_open(&rig);
	while (count < 400) { /* two descriptors each, of the usual 1024 */
		sessions[count] = tlsb_session_new(rig.tlsb, NULL);
		assert_non_null(sessions[count]);
		assert_fails(tlsb_connect(sessions[count], RIG_HOST, RIG_PORT), EWOULDBLOCK);
		full += is_readable(tlsb_fd(sessions[count++]));
	}
	assert_in_range(full, 1, 399);
	assert_fails(tlsb_broker_fd(rig.tlsb), EWOULDBLOCK);
	late = count - 1;
	/* Tried again in vain: still to be tried again, without bells piling up. */
	for (int i = 0; i < 1000; i++)
		assert_fails(tlsb_connect(sessions[late], NULL, NULL), EWOULDBLOCK);
	assert_true(is_readable(tlsb_fd(sessions[late])));
	for (int i = 0; i < count; i++) {
		rig_expect(rig.main, CLIENT_MSG_SESSION, MAIN, &buffer, &msg, &theirs);
		fd_close(theirs);
		for (int j = late; j > late - full; j--)
			if (tlsb_error_code(sessions[j]) == TLSB_E_NONE)
				(void)tlsb_connect(sessions[j], NULL, NULL);
	}
	for (int i = 0; i < count; i++) /* all begin to wait for what is known in a moment */
		(void)tlsb_connect(sessions[i], NULL, NULL);
	for (int i = 0; i < count; i++) {
		assert_soon_fails(tlsb_connect(sessions[i], NULL, NULL), ECONNRESET);
		tlsb_session_free(sessions[i]);
	}
	assert_true(tlsb_broker_fd(rig.tlsb) >= 0);
	rig_close(&rig);
}

/* A program that asks for the descriptor only after the call that could not go on. */
static void makes_a_late_descriptor_readable_when_full(void **state unused_)
{
	struct tlsb_session *sessions[400];
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	for (int i = 0; i < 400; i++) {
		sessions[i] = tlsb_session_new(rig.tlsb, NULL);
		assert_fails(tlsb_connect(sessions[i], RIG_HOST, RIG_PORT), EWOULDBLOCK);
	}
	assert_true(is_readable(tlsb_fd(sessions[399])));
	assert_false(is_readable(tlsb_fd(sessions[0])));
	/* And the end of the broker ends it, though it was never asked for. */
	rig_stop_listening(&rig);
	rig.main = fd_close(rig.main);
	assert_fails(tlsb_connect(sessions[399], NULL, NULL), ECONNABORTED);
	for (int i = 0; i < 400; i++)
		tlsb_session_free(sessions[i]);
	rig_close(&rig);
}

static uint64_t ms_until_connecting_times_out(struct tlsb_session *session)
{
	uint64_t began = clock_ms();

	assert_fails(tlsb_connect(session, RIG_HOST, RIG_PORT), ETIMEDOUT);
	return clock_ms() - began;
}

static void blocks_while_the_connection_is_full(void **state unused_)
{
	struct tlsb_session *sessions[400];
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	for (int i = 0; i < 400; i++) {
		sessions[i] = tlsb_session_new(rig.tlsb, NULL);
		if (i < 399)
			assert_fails(tlsb_connect(sessions[i], RIG_HOST, RIG_PORT), EWOULDBLOCK);
	}
	tlsb_set_timeout(sessions[399], 100);
	assert_takes(ms_until_connecting_times_out(sessions[399]), 100, 400);
	assert_int_equal(tlsb_error_code(sessions[399]), TLSB_E_NONE);
	for (int i = 0; i < 400; i++)
		tlsb_session_free(sessions[i]);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reports_a_broker_that_is_not_there),
		TEST(waits_for_a_place_in_the_queue),
		TEST(looks_where_the_environment_says),
		TEST(looks_for_the_users_own_broker),
		TEST(learns_its_badge_once),
		TEST(makes_a_hostile_badge_printable),
		TEST(waits_a_second_for_its_badge),
		TEST(refuses_a_broker_of_another_version),
		TEST(reports_the_front_doors_refusal_with_its_text),
		TEST(reports_a_refusal_that_came_before_hello),
		TEST(reports_a_broker_that_has_gone),
		TEST(tells_a_sessions_refusal_to_one_session),
		TEST(survives_nonsense_on_the_connection),
		TEST(shows_the_brokers_end_on_a_descriptor),
		TEST(shows_a_refusal_on_that_descriptor),
		TEST(makes_that_descriptor_after_the_end_too),
		TEST(asks_again_when_the_connection_is_full),
		TEST(makes_a_late_descriptor_readable_when_full),
		TEST(blocks_while_the_connection_is_full),
	};

	return testing_run(tests);
}
