/*
 * What the daemon is started with: its environment, who it is, and what systemd hands over and is told.
 * Each in a process of its own, since it cannot be taken back.
 */
#include "testing.h"

#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#include "base/fd.h"
#include "base/text.h"
#include "supervisor/environment.h"
#include "supervisor/identity.h"
#include "supervisor/journal.h"
#include "supervisor/listener.h"
#include "supervisor/notify.h"

/* Somebody who is nobody on any machine. */
#define STRANGER 61999

/* Run it elsewhere; what it returns, or minus the signal that ended it. */
static int elsewhere(int (*run)(const void *arg), const void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(TESTING_SECONDS);
		_exit(run(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* In there assertions cannot be cmocka's; 1 is a failure at this line. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

/* ---- the environment ---- */

struct setting {
	const char *name, *value;
	const char *runtime_dir; /* what it comes to */
	bool service, journal;
};

static int read_one(const void *arg)
{
	const struct setting *setting = arg;
	struct environment environment;

	clearenv();
	setenv("PATH", "/nowhere", 1);
	setenv("LD_PRELOAD", "x", 1);
	setenv(setting->name, setting->value, 1);
	environment_read(&environment);
	MUST(strcmp(environment.runtime_dir, setting->runtime_dir) == 0);
	MUST(environment.is_service == setting->service);
	MUST(environment.has_journal ==
	     (setting->journal && access(JOURNAL_SOCKET, F_OK) == 0));
	MUST(!getenv("PATH") && !getenv("LD_PRELOAD") && !getenv("XDG_RUNTIME_DIR"));
	MUST(!!getenv("NOTIFY_SOCKET") == (setting->service && strlen(setting->value) < 128));
	return 0;
}

static void of_the_environment_little_is_taken_and_less_is_kept(void **state unused_)
{
	char own[64], other[64], broken[64], half[64], much[300];
	const struct setting settings[] = {
		{ "XDG_RUNTIME_DIR", "/run/user/1", "/run/user/1", false, false },
		{ "XDG_RUNTIME_DIR", "run/user/1", "", false, false },
		{ "XDG_RUNTIME_DIR", "", "", false, false },
		{ "XDG_RUNTIME_DIR", much, "", false, false },
		{ "NOTIFY_SOCKET", "/run/notify", "", true, true },
		{ "NOTIFY_SOCKET", much, "", true, true },
		{ "JOURNAL_STREAM", own, "", false, true },
		{ "JOURNAL_STREAM", other, "", false, false },
		{ "JOURNAL_STREAM", broken, "", false, false },
		{ "JOURNAL_STREAM", half, "", false, false },
		{ "JOURNAL_STREAM", "", "", false, false },
	};
	struct stat st;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	snprintf(other, sizeof(other), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
	snprintf(broken, sizeof(broken), "%ju:%jux", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	snprintf(half, sizeof(half), "%ju", (uintmax_t)st.st_dev);
	memset(much, '/', sizeof(much) - 1);
	much[sizeof(much) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		if (elsewhere(read_one, &settings[i]) != 0)
			fail_msg("%s=%s", settings[i].name, settings[i].value);
	}
}

static void the_sockets_place_depends_on_who_starts_it(void **state unused_)
{
	struct environment user = { .runtime_dir = "/run/user/1" }, service = { .is_service = 1 };
	struct environment both = { .runtime_dir = "/run/user/1", .is_service = 1 }, none = { .is_service = 0 };
	struct failure failure;
	char path[108], small[20];

	assert_int_equal(environment_socket(&user, 1, path, sizeof(path), &failure), 0);
	assert_string_equal(path, SERVICE_SOCKET);
	assert_int_equal(environment_socket(&service, 0, path, sizeof(path), &failure), 0);
	assert_string_equal(path, SERVICE_SOCKET);
	assert_int_equal(environment_socket(&both, 0, path, sizeof(path), &failure), 0);
	assert_string_equal(path, "/run/user/1/tlsbroker/tlsbroker.sock");
	assert_int_equal(environment_socket(&none, 0, path, sizeof(path), &failure), -EINVAL);
	assert_non_null(strstr(failure.text, "$XDG_RUNTIME_DIR is not set; say --socket PATH"));
	assert_int_equal(environment_socket(&user, 0, small, sizeof(small), &failure), -ENAMETOOLONG);
	assert_non_null(strstr(failure.text, "/run/user/1: too long"));
}

/* ---- who it is ---- */

static int as_stranger(const void *arg unused_)
{
	struct identity identity;
	struct failure failure;

	MUST(setgroups(0, NULL) == 0);
	MUST(setresgid(STRANGER, STRANGER, STRANGER) == 0);
	MUST(setresuid(STRANGER, STRANGER, STRANGER) == 0);
	MUST(identity_find(NULL, "nobody", &identity, &failure) == 0);
	MUST(identity.uid == STRANGER && identity.gid == STRANGER);
	MUST(identity_assume(&identity, &failure) == 0);
	MUST(identity_find("nobody", "nobody", &identity, &failure) == -EPERM);
	MUST(strstr(failure.text, "only root can become another user"));
	return 0;
}

static int as_root(const void *arg unused_)
{
	struct identity identity;
	struct failure failure;

	MUST(identity_find("root", NULL, &identity, &failure) == -EPERM);
	MUST(strstr(failure.text, "--user root: must not be root"));
	MUST(identity_find("no-such-user", NULL, &identity, &failure) == -ENOENT);
	MUST(strstr(failure.text, "--user no-such-user: there is no such user"));
	MUST(identity_find(NULL, "no-such-user", &identity, &failure) == -ENOENT);
	MUST(strstr(failure.text, "; make it, or say --user NAME"));
	MUST(identity_find("nobody", NULL, &identity, &failure) == 0);
	MUST(identity.uid != 0 && identity.gid != 0);
	MUST(identity_assume(&identity, &failure) == 0);
	MUST(getuid() == identity.uid && setuid(0) < 0 && getgroups(0, NULL) == 0);
	return 0;
}

/* Root's rights are only put aside, in one way or another. */
static int half_dropped(const void *arg)
{
	const uid_t *ids = arg;
	struct identity identity = { STRANGER, STRANGER };
	struct failure failure;

	MUST(setresuid(ids[0], ids[1], ids[2]) == 0);
	MUST(identity_assume(&identity, &failure) == -EPERM);
	MUST(strstr(failure.text, "61999"));
	return 0;
}

static void root_becomes_somebody_else_for_good(void **state unused_)
{
	/* real, effective, saved */
	static const uid_t ways[][3] = {
		{ STRANGER, STRANGER, 0 },
		{ 0, STRANGER, STRANGER }, /* it is root, and may not even leave its groups */
		{ STRANGER + 1, STRANGER + 1, STRANGER + 1 },
		{ STRANGER + 1, STRANGER, STRANGER },
	};

	if (getuid() != 0)
		skip();
	assert_int_equal(elsewhere(as_stranger, NULL), 0);
	assert_int_equal(elsewhere(as_root, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		assert_int_equal(elsewhere(half_dropped, ways[i]), 0);
}

/* ---- what systemd hands over ---- */

struct handing {
	const char *fds;
	int type;       /* of the socket; 0: it is a file */
	bool listening;
	int result;
	const char *words;
};

static int inherit(const void *arg)
{
	const struct handing *handing = arg;
	struct listener listener = { .fd = -1 };
	struct failure failure = { "" };
	char pid[24];
	int fd, r;

	if (handing->type)
		fd = socket(AF_UNIX, handing->type, 0);
	else
		fd = open("/dev/null", O_RDWR);
	if (handing->listening)
		MUST(bind(fd, &(struct sockaddr){ .sa_family = AF_UNIX }, sizeof(sa_family_t)) == 0 &&
		     listen(fd, 1) == 0);
	MUST(fd == SD_LISTEN_FDS_START || dup2(fd, SD_LISTEN_FDS_START) >= 0);
	MUST(dup2(SD_LISTEN_FDS_START, SD_LISTEN_FDS_START + 1) >= 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	if (handing->fds)
		setenv("LISTEN_FDS", handing->fds, 1);
	r = listener_inherit(&listener, &failure);
	MUST(r == handing->result);
	MUST(!getenv("LISTEN_FDS"));
	MUST(strstr(failure.text, handing->words));
	if (r <= 0)
		return 0;
	MUST(listener.fd >= 0 && fcntl(listener.fd, F_GETFL) & O_NONBLOCK);
	MUST(fcntl(listener.fd, F_GETFD) & FD_CLOEXEC);
	MUST(listener.path[0] == '\0');
	listener_close(&listener);
	return 0;
}

static void of_systemd_one_listening_socket_is_taken(void **state unused_)
{
	static const struct handing rows[] = {
		{ NULL, SOCK_SEQPACKET, true, 0, "" },
		{ "0", SOCK_SEQPACKET, true, -EINVAL, "LISTEN_FDS: Invalid argument" },
		{ "1", SOCK_SEQPACKET, true, 1, "" },
		{ "2", SOCK_SEQPACKET, true, -EINVAL, "2 sockets were handed over; it must be one" },
		{ "many", SOCK_SEQPACKET, true, -EINVAL, "LISTEN_FDS: Invalid argument" },
		{ "1", SOCK_STREAM, true, -EINVAL, "not a listening AF_UNIX SOCK_SEQPACKET socket" },
		{ "1", SOCK_SEQPACKET, false, -EINVAL, "not a listening" },
		{ "1", 0, false, -EINVAL, "not a listening" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (elsewhere(inherit, &rows[i]) != 0)
			fail_msg("row %zu", i);
	}
}

/* ---- what systemd is told ---- */

static int make_mailbox(char *folder, char *path, size_t size)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_non_null(mkdtemp(folder));
	snprintf(path, size, "%s/notify", folder);
	text_copy(name.sun_path, sizeof(name.sun_path), path);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

static void expect_told(int mailbox, const char *text)
{
	char got[200] = "";

	assert_true(recv(mailbox, got, sizeof(got) - 1, 0) > 0);
	if (strncmp(got, text, strlen(text)) != 0)
		fail_msg("%s, not %s", got, text);
}

static void the_manager_is_told_what_happens(void **state unused_)
{
	char folder[] = "/tmp/tlsbroker-notify.XXXXXX", path[64];
	int mailbox = make_mailbox(folder, path, sizeof(path));

	setenv("NOTIFY_SOCKET", path, 1);
	notify_ready(0);
	expect_told(mailbox, "READY=1\nSTATUS=Running 0 workers");
	notify_workers(3);
	expect_told(mailbox, "STATUS=Running 3 workers");
	notify_reloading();
	expect_told(mailbox, "RELOADING=1\nMONOTONIC_USEC=");
	notify_stopping();
	expect_told(mailbox, "STOPPING=1\n");
	unsetenv("NOTIFY_SOCKET");
	close(mailbox);
	unlink(path);
	rmdir(folder);
}

static void the_watchdog_is_fed_twice_in_its_time(void **state unused_)
{
	char folder[] = "/tmp/tlsbroker-notify.XXXXXX", path[64], pid[24];
	int mailbox = make_mailbox(folder, path, sizeof(path));
	struct event_base *base = event_base_new();
	struct event *timer;

	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(notify_watchdog(base, &timer), 0);
	assert_null(timer); /* there is none */
	setenv("WATCHDOG_USEC", "40000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog(base, &timer), 0);
	assert_null(timer); /* it is somebody else's */
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog(base, &timer), 0);
	assert_non_null(timer);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
		expect_told(mailbox, "WATCHDOG=1");
	}
	event_free(timer);
	event_base_free(base);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	close(mailbox);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_the_environment_little_is_taken_and_less_is_kept),
		TEST(the_sockets_place_depends_on_who_starts_it),
		TEST(root_becomes_somebody_else_for_good),
		TEST(of_systemd_one_listening_socket_is_taken),
		TEST(the_manager_is_told_what_happens),
		TEST(the_watchdog_is_fed_twice_in_its_time),
	};

	return testing_run(tests);
}
