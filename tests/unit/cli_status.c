/*
 * "tlsbroker-cli status" with a broker that lies, breaks off, or is none: one line that says so, and
 * the status that means it.  The files under test are included: see cli_target.c.
 */
#include "cli_said.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "tlsbroker.h"

#include "tools/complain.c"
#include "tools/exits.c"
#include "tools/status.c"
#include "tools/status_text.c"

/* That output is jansson's, with which tests are not linked. */
int status_json_print(const struct status *status unused_)
{
	return -ENOMEM;
}

/* ---- a broker of a few words ---- */

static void say(int fd, uint32_t type, const void *body, const char *tail)
{
	msg_send(fd, &client_messages, type, body, tail, tail ? strlen(tail) : 0, NULL);
}

static void welcome(int fd)
{
	const struct msg_welcome body = { .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION,
					  .uid = 1000 };

	say(fd, CLIENT_MSG_WELCOME, &body, "uid:1000");
}

static void row(int fd, uint32_t kind, uint32_t state, uint64_t age_ms, const char *name)
{
	const struct msg_row body = { { .kind = kind, .state = state, .pid = 7, .value = { age_ms } } };

	say(fd, CLIENT_MSG_ROW, &body, name);
}

static void answers(int fd)
{
	welcome(fd);
	row(fd, ROW_ROLE, ROW_STATE_RUNNING, 5600, "supervisor");
	row(fd, ROW_ROLE, ROW_STATE_BACKOFF, 184000, "connector");
	row(fd, ROW_ROLE, 77, 3720000, "frontdoor");
	row(fd, ROW_WORKER, ROW_STATE_DRAINING, 93600000, "uid:1000");
	row(fd, ROW_SESSION, STATE_ESTABLISHED, 1, "a name far too long for a column that all have:443");
	row(fd, ROW_SESSION, 77, 1, "odd\n\033[2Jname:443");
	row(fd, ROW_COUNTER, 0, 0, "sessions");
	row(fd, ROW_END, 0, 0, "");
}

/* More than fit into the first allocation, and into the second. */
static void answers_at_length(int fd)
{
	welcome(fd);
	fcntl(fd, F_SETFL, 0);
	for (int i = 0; i < 200; i++)
		row(fd, ROW_SESSION, STATE_OPENING, 1, "s");
	row(fd, ROW_END, 0, 0, "");
}

static void is_silent(int fd)
{
	char end;

	(void)!read(fd, &end, 1); /* HELLO */
	(void)!read(fd, &end, 1);
	(void)!read(fd, &end, 1);
}

static void hangs_up(int fd unused_)
{
}

static void refuses(int fd)
{
	const struct msg_refused body = { .error = TLSB_E_QUOTA };

	say(fd, CLIENT_MSG_REFUSED, &body, "too\tmany programs");
}

static void is_of_another_age(int fd)
{
	const struct msg_welcome body = { .magic = PROTOCOL_MAGIC, .version = 99 };

	say(fd, CLIENT_MSG_WELCOME, &body, "");
}

static void is_something_else(int fd)
{
	const struct msg_welcome body = { .version = PROTOCOL_VERSION };

	say(fd, CLIENT_MSG_WELCOME, &body, "");
}

static void says_what_is_no_message(int fd)
{
	(void)!write(fd, "220 mail.example ESMTP\r\n", 24);
}

static void has_no_end(int fd)
{
	const struct msg_row body = { { .kind = ROW_COUNTER } };
	int r;

	welcome(fd);
	do
		r = msg_send(fd, &client_messages, CLIENT_MSG_ROW, &body, "x", 1, NULL);
	while (r == 0 || r == -EAGAIN);
}

/* ---- the tool ---- */

/* Run the tool against a broker of this kind. */
static enum exit_code ask_broker(void (*broker)(int fd), struct options *options, struct said *said)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	char folder[] = "/tmp/tlsbroker-cli.XXXXXX";
	enum exit_code exit;
	int listener, fd;
	pid_t pid;

	assert_non_null(mkdtemp(folder));
	snprintf(name.sun_path, sizeof(name.sun_path), "%s/s", folder);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(listener, 1), 0);
	pid = fork();
	if (pid == 0) {
		alarm(TESTING_SECONDS);
		signal(SIGPIPE, SIG_IGN);
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		broker(fd);
		_exit(0);
	}
	close(listener);
	options->socket = name.sun_path;
	said_begin(said);
	exit = status_run(options);
	said_end(said);
	waitpid(pid, NULL, 0);
	unlink(name.sun_path);
	rmdir(folder);
	return exit;
}

static void bad_brokers_are_told_apart(void **state unused_)
{
	static const struct {
		void (*broker)(int fd);
		enum exit_code exit;
		const char *words;
	} rows[] = {
		{ hangs_up, EXIT_BROKER, "the broker closed the connection" },
		{ refuses, EXIT_POLICY, "too\\x09many programs" },
		{ is_of_another_age, EXIT_BROKER, "speaks version 99 of the protocol, this program" },
		{ is_something_else, EXIT_BROKER, "of the protocol, this program" },
		{ says_what_is_no_message, EXIT_BROKER, "broke the protocol: " },
		{ has_no_end, EXIT_BROKER, "the broker's answer has no end" },
		{ is_silent, EXIT_BROKER, "no answer for 5 seconds" },
	};
	static struct said said;
	struct options options = { .command = STATUS };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(ask_broker(rows[i].broker, &options, &said), rows[i].exit);
		said_one_line(&said);
		if (!strstr(said.text, rows[i].words))
			fail_msg("%s: %s", rows[i].words, said.text);
	}
}

static void an_answer_is_printed_as_it_came_but_harmless(void **state unused_)
{
	static const char *const words[] = { "supervisor ", "running", "5.6s", "3m04s", "1h02m",
					     "1d02h", "backoff", "draining", "established", " ?" };
	static struct said said;
	struct options options = { .command = STATUS };

	assert_int_equal(ask_broker(answers, &options, &said), EXIT_OK);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strstr(said.text, words[i]))
			fail_msg("%s: %s", words[i], said.text);
	}
	assert_null(strchr(said.text, '\033'));
	assert_int_equal(ask_broker(answers_at_length, &options, &said), EXIT_OK);
	options.json = true; /* which has no memory left, here */
	assert_int_equal(ask_broker(answers, &options, &said), EXIT_OTHER);
	assert_non_null(strstr(said.text, "Cannot allocate memory"));
}

static void no_broker_is_said_with_where_it_should_be(void **state unused_)
{
	char long_path[200];
	struct options options = { .command = STATUS, .socket = "/nonexistent/socket" };
	static struct said said;

	said_begin(&said);
	assert_int_equal(status_run(&options), EXIT_BROKER);
	said_end(&said);
	said_one_line(&said);
	assert_non_null(strstr(said.text, "/nonexistent/socket: no broker: No such file"));
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	options.socket = long_path;
	said_begin(&said);
	assert_int_equal(status_run(&options), EXIT_BROKER);
	said_end(&said);
	assert_non_null(strstr(said.text, "File name too long"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bad_brokers_are_told_apart),
		TEST(an_answer_is_printed_as_it_came_but_harmless),
		TEST(no_broker_is_said_with_where_it_should_be),
	};

	return testing_run(tests);
}
