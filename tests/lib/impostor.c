/*
 * impostor: a program that would be taken for somebody else.
 *
 *   impostor --socket PATH names FOLDER   its socket is bound to names that look like credentials
 *   impostor --socket PATH passed UID     a program of UID connects, and others use its connection
 *   impostor --socket PATH reused UID BETTER FILE PID...
 *                                         a program of UID connects to a broker whose processes, PID...,
 *                                         are stopped; another one gets its process id, writes itself
 *                                         into FILE, is BETTER, lets the broker go on, and asks
 *   impostor --socket PATH execed HOST P  what a program of its own that it starts inherits
 *
 * It asks the broker who it is, and what it may see, and prints for each
 *
 *   badge uid=N label=TEXT workers=N name=TEXT
 *
 * or "refused TEXT", where workers are those that it sees of other users.  Exit status 0: it always got an
 * answer; 77: it cannot be tried here.
 */
#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/lib/raw.h"
#include "tlsbroker.h"

#define SOON_MS 60000

/* ---- who the broker thinks we are ---- */

/* The next message, of TYPE; its tail is cut off at the body's end and at *RET_LEN bytes. */
static void expect(int fd, uint32_t type, union message *message, size_t *ret_len)
{
	struct pollfd waiter = { .fd = fd, .events = POLLIN };
	ssize_t n = poll(&waiter, 1, SOON_MS) > 0 ? recv(fd, message, sizeof(*message), 0) : -1;

	if (n < (ssize_t)sizeof(message->header) || message->header.type != type)
		errx(1, "no answer of type %u", type);
	*ret_len = (size_t)n - sizeof(message->header);
}

/* Rows of workers that are not the user's. */
static unsigned ask_for_strangers(int fd, uint32_t uid)
{
	const struct msg_empty nothing = { 0 };
	unsigned strangers = 0;
	union message message;
	struct msg_row body;
	size_t len;

	say(fd, CLIENT_MSG_STATUS, &nothing, sizeof(nothing), -1);
	do {
		expect(fd, CLIENT_MSG_ROW, &message, &len);
		memcpy(&body, message.bytes + sizeof(message.header), sizeof(body));
		strangers += body.row.kind == ROW_WORKER && body.row.uid != uid;
	} while (body.row.kind != ROW_END);
	return strangers;
}

/* It is refused before it has said anything. */
static void hear_refusal(int fd)
{
	union message message;
	size_t len;

	expect(fd, CLIENT_MSG_REFUSED, &message, &len);
	len -= sizeof(struct msg_refused);
	printf("refused %.*s\n", (int)len,
	       (const char *)message.bytes + sizeof(message.header) + sizeof(struct msg_refused));
}

/* The connection's hello has not been said. */
static void ask(int fd, const char *name)
{
	struct msg_welcome welcome;
	union message message;
	char label[LIMIT_BADGE + 1] = "";
	size_t len;

	say_hello(fd);
	expect(fd, CLIENT_MSG_WELCOME, &message, &len);
	memcpy(&welcome, message.bytes + sizeof(message.header), sizeof(welcome));
	memcpy(label, message.bytes + sizeof(message.header) + sizeof(welcome),
	       len - sizeof(welcome));
	printf("badge uid=%u label=%s workers=%u name=%s\n", welcome.uid, label,
	       ask_for_strangers(fd, welcome.uid), name);
}

/* ---- names ---- */

/* Broken on purpose at the end: so there is a line about it in the log. */
static void ask_as(const char *path, const struct sockaddr_un *name, socklen_t len, const char *what)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (bind(fd, (const struct sockaddr *)name, len) < 0)
		err(1, "bind to %s", what);
	while (raw_connect(fd, path) < 0) {
		if (errno != EAGAIN)
			err(1, "connect as %s", what);
		usleep(5000);
	}
	ask(fd, what);
	send_raw(fd, "", 1, NULL, 0);
	if (!hung_up(fd, SOON_MS))
		errx(1, "not hung up: %s", what);
	close(fd);
}

static void ask_as_file(const char *path, const char *folder, const char *file, const char *what)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int len = snprintf(name.sun_path, sizeof(name.sun_path), "%s/%s", folder, file);

	/* No NUL has to be there behind the last byte. */
	if (len > (int)sizeof(name.sun_path))
		len = sizeof(name.sun_path);
	ask_as(path, &name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len), what);
}

static void ask_as_abstract(const char *path, const char *bytes, size_t len, const char *what)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	memcpy(name.sun_path + 1, bytes, len);
	ask_as(path, &name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len), what);
}

static void be_named(const char *path, char **args)
{
	char longest[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

	memset(longest, 'A', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	ask_as_file(path, args[0], "x;uid=0;", "a name with a uid");
	ask_as_file(path, args[0], "x uid=0 badge=uid:0", "a name with fields");
	ask_as_file(path, args[0], "x\nERROR forged uid=0", "a name of two lines");
	ask_as_file(path, args[0], "x\033[2J\033]0;root\007%s%n", "a name with commands");
	ask_as_file(path, args[0], longest, "a name of 108 bytes");
	ask_as_abstract(path, "", 0, "the empty name");
	ask_as_abstract(path, "x;uid=0;", 8, "an abstract name with a uid");
	ask_as_abstract(path, "a\0uid=0\0\0b\n\377", 12, "an abstract name with NULs");
	ask_as_abstract(path, "\0\0\0\0\0\0\0\0", 8, "an abstract name of nothing but NULs");
	ask_as_abstract(path, longest, sizeof(longest) - 1, "an abstract name of 108 bytes");
}

/* ---- connections that are passed on ---- */

static void become(uid_t uid)
{
	if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		err(1, "become %u", uid);
}

static void expect_success(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		errx(1, "a process that should have asked did not");
}

/* A connection of UID's, whose process has ended; that process's id. */
static pid_t connect_and_die(const char *path, uid_t uid, int *ret_fd)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		err(1, "socketpair");
	pid = fork();
	if (pid == 0) {
		int fd;

		become(uid);
		fd = dial(path);
		_exit(send_raw(pair[1], "x", 1, &fd, 1) < 0 ? 1 : 0);
	}
	close(pair[1]);
	expect_success(pid);
	{
		union {
			struct cmsghdr head;
			char bytes[CMSG_SPACE(sizeof(int))];
		} control;
		char byte;
		struct iovec iov = { &byte, 1 };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
				      .msg_control = control.bytes,
				      .msg_controllen = sizeof(control.bytes) };

		if (recvmsg(pair[0], &msg, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&msg))
			errx(1, "no connection came");
		memcpy(ret_fd, CMSG_DATA(&control.head), sizeof(int));
	}
	close(pair[0]);
	return pid;
}

/* A process with this process id, which nobody has. */
static pid_t fork_as(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid,
				   .set_tid_size = 1 };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static void be_passed(const char *path, char **args)
{
	const uid_t uid = (uid_t)strtoul(args[0], NULL, 10);
	pid_t pid, again;
	int fd;

	connect_and_die(path, uid, &fd);
	ask(fd, "root, with a connection that it was given");
	close(fd);

	pid = connect_and_die(path, uid, &fd);
	again = fork_as(pid);
	if (again < 0)
		err(77, "this root may not choose process ids");
	if (again == 0) {
		ask(fd, "root, with the process id of whoever connected");
		exit(0);
	}
	expect_success(again);
	close(fd);

	fd = dial(path);
	again = fork();
	if (again == 0) {
		become(uid);
		ask(fd, "a child of root that is somebody else by now");
		exit(0);
	}
	expect_success(again);
	close(fd);
}

static void join(const char *file)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		err(1, "%s", file);
	close(fd);
}

static void be_reused(const char *path, char **args)
{
	const uid_t uid = (uid_t)strtoul(args[0], NULL, 10), better = (uid_t)strtoul(args[1], NULL, 10);
	pid_t pid, again;
	int fd;

	pid = connect_and_die(path, uid, &fd);
	again = fork_as(pid);
	if (again < 0)
		err(77, "this root may not choose process ids");
	if (again == 0) {
		join(args[2]);
		for (char **stopped = args + 3; *stopped; stopped++)
			kill((pid_t)strtol(*stopped, NULL, 10), SIGCONT);
		become(better);
		hear_refusal(fd);
		exit(0);
	}
	expect_success(again);
	close(fd);
}

/* ---- what a program that was started inherits ---- */

static unsigned count_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* With a session that is open: as many descriptors as before there was any. */
static void be_execed(const char *path, char **args)
{
	struct tlsb *tlsb = tlsb_open(path);
	struct tlsb_session *session = tlsb ? tlsb_session_new(tlsb, NULL) : NULL;
	unsigned before = 0;
	pid_t pid;

	if (!session)
		err(1, "tlsb_open");
	tlsb_set_timeout(session, SOON_MS);
	if (tlsb_connect(session, args[0], args[1]) < 0 || tlsb_handshake(session) < 0)
		errx(1, "%s", tlsb_error_text(session));
	tlsb_fd(session);
	before = count_fds();
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "impostor", "count", NULL);
		_exit(1);
	}
	expect_success(pid);
	printf("here %u\n", before);
	tlsb_session_free(session);
	tlsb_close(tlsb);
	printf("without %u\n", count_fds());
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*be)(const char *path, char **args);
		int args; /* at least */
	} ways[] = { { "names", be_named, 1 }, { "passed", be_passed, 1 },
		     { "reused", be_reused, 4 }, { "execed", be_execed, 2 } };

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && strcmp(argv[1], "count") == 0) {
		printf("started %u\n", count_fds());
		return 0;
	}
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (argc >= 4 + ways[i].args && strcmp(argv[1], "--socket") == 0 &&
		    strcmp(argv[3], ways[i].name) == 0) {
			ways[i].be(argv[2], argv + 4);
			return 0;
		}
	}
	fprintf(stderr, "usage: impostor --socket PATH names|passed|reused|execed ...\n");
	return 2;
}
