/*
 * The supervisor's sandbox, which is the hardest: it has to go on reading files that others
 * replace, and to start roles that enter their own sandbox under the one they inherit.
 *
 * The roles are played by this program, exec'd again as "-x ROLE".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ares.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "child.h"
#include "ring/channel.h"

#define CHANNEL 3

/* ---- a role ---- */

static int run_loop_for_a_moment(void)
{
	const struct timeval moment = { .tv_usec = 1000 };
	struct event_base *base = event_base_new();
	int r;

	if (!base)
		return -1;
	r = event_base_loopexit(base, &moment) == 0 ? event_base_dispatch(base) : -1;
	event_base_free(base);
	return r;
}

static void on_address(void *arg, int status, int timeouts unused_,
		       struct ares_addrinfo *info unused_)
{
	*(int *)arg = status;
}

/* Look a name up at a server that is not there, and dial an address that nobody listens at. */
static int work_as_connector(ares_channel resolver)
{
	/* NUMERICSERV: to look "443" up, glibc would ask nscd and read /etc/services. */
	const struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NUMERICSERV };
	struct sockaddr_in nobody = { .sin_family = AF_INET, .sin_port = htons(9),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int status = -1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ares_getaddrinfo(resolver, "name.example.", "443", &hints, on_address, &status);
	for (int i = 0; i < 2000 && status == -1; i++) {
		if (run_loop_for_a_moment() < 0)
			return -1;
		ares_process_fd(resolver, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	}
	if (fd < 0 || connect(fd, (struct sockaddr *)&nobody, sizeof(nobody)) == 0)
		return -1;
	return status > 0 && errno == ECONNREFUSED ? close(fd) : -1;
}

static int work_as_worker(void)
{
	cleanup_close_ int fd = -1;
	struct channel channel;
	unsigned char bytes[32];
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = ctx ? SSL_new(ctx) : NULL;

	if (!ssl || RAND_bytes(bytes, sizeof(bytes)) != 1)
		return -1;
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	if (channel_create(&channel, LIMIT_RING_MAX, &fd) < 0)
		return -1;
	channel_release_rx(&channel);
	channel_deinit(&channel);
	return 0;
}

/* What a role reads before its sandbox, under the supervisor's. */
static ares_channel prepare(void)
{
	char lookups[] = "b";
	struct ares_options options = { .timeout = 20, .tries = 1, .lookups = lookups };
	ares_channel resolver;

	OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL);
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS ||
	    ares_init_options(&resolver, &options,
			      ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS) !=
		    ARES_SUCCESS ||
	    ares_set_servers_ports_csv(resolver, "127.0.0.1:9") != ARES_SUCCESS)
		_exit(2);
	return resolver;
}

/* Exit status 0 when all of it worked and the test has had a look. */
static int be_role(const char *name)
{
	ares_channel resolver = prepare();
	enum role role;
	char byte = 0;
	int r = role_from_name(name, &role);

	if (r < 0)
		return 3;
	child_enter(role, SANDBOX_ENFORCE, NULL);
	r = run_loop_for_a_moment();
	if (r == 0 && role == ROLE_CONNECTOR)
		r = work_as_connector(resolver);
	if (r == 0 && role == ROLE_WORKER)
		r = work_as_worker();
	if (r < 0)
		return 4;
	/* Everything done: be looked at, until the other end closes. */
	if (write(CHANNEL, &byte, 1) != 1 || read(CHANNEL, &byte, 1) != 0)
		return 5;
	return 0;
}

/* ---- a supervisor ---- */

struct start {
	const char *role;
	int channel;
	int mine; /* the test's end */
	int exe;
};

static noreturn_ void exec_role(const struct start *start)
{
	char program[] = "tlsbrokerd", option[] = "-x", name[32];
	char *const argv[] = { program, option, name, NULL };
	char *const envp[] = { NULL };

	snprintf(name, sizeof(name), "%s", start->role);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(start->channel, CHANNEL) < 0 || syscall(SYS_close_range, CHANNEL + 1, ~0u, 4) < 0)
		_exit(6);
	execveat(start->exe, "", argv, envp, AT_EMPTY_PATH);
	_exit(7);
}

static int supervise(void *arg)
{
	static const char *const read[] = { "/etc/hosts", "/etc/resolv.conf", NULL };
	const struct sandbox_files files = { .read = read };
	const struct start *start = arg;
	int status;
	pid_t pid;

	close(start->mine);
	child_enter(ROLE_SUPERVISOR, SANDBOX_ENFORCE, &files);
	pid = fork();
	if (pid == 0)
		exec_role(start);
	close(start->channel);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 8;
	if (WIFSIGNALED(status))
		return 64 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

/* The value behind NAME in /proc/PID/status, or -1. */
static long status_of(pid_t pid, const char *name)
{
	char path[64], line[256];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (value < 0 && fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			value = strtol(line + strlen(name) + 1, NULL, 10);
	}
	fclose(f);
	return value;
}

/* Who is at the other end of the channel: its supervisor forked it, so the kernel must be asked. */
static pid_t sender_of_next_byte(int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes) };
	struct ucred *peer;

	if (recvmsg(fd, &mh, 0) != 1 || !CMSG_FIRSTHDR(&mh))
		return -1;
	peer = (struct ucred *)(void *)CMSG_DATA(CMSG_FIRSTHDR(&mh));
	return peer->pid;
}

static void start_and_look_at(const char *role)
{
	const int on = 1;
	int pair[2], status;
	struct start start = { .role = role };
	pid_t pid, supervisor;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	start.mine = pair[0];
	start.channel = pair[1];
	start.exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	supervisor = fork();
	if (supervisor == 0) {
		alarm(CHILD_SECONDS);
		_exit(supervise(&start));
	}
	close(pair[1]);
	close(start.exe);
	pid = sender_of_next_byte(pair[0]);
	if (pid > 0) {
		assert_int_equal(status_of(pid, "NoNewPrivs"), 1);
		assert_int_equal(status_of(pid, "Seccomp"), 2);
		assert_int_equal(status_of(pid, "Seccomp_filters"), 2);
		assert_int_equal(status_of(supervisor, "NoNewPrivs"), 1);
		assert_int_equal(status_of(supervisor, "Seccomp"), 2);
	}
	close(pair[0]);
	assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
	assert_int_equal(status, 0);
	assert_true(pid > 0);
}

static void the_supervisor_starts_a_frontdoor(void **state unused_)
{
	start_and_look_at("frontdoor");
}

static void the_supervisor_starts_a_connector(void **state unused_)
{
	start_and_look_at("connector");
}

static void the_supervisor_starts_a_worker(void **state unused_)
{
	start_and_look_at("worker");
}

/* ---- files ---- */

/*
 * given/trust.pem -> ../target/trust.pem, given/resolv.conf -> later/not/there/resolv.conf, which
 * is not there yet; links/now -> v1 with a file behind it, and side/link -> ../target with the same;
 * other/secret and side/secret, which are not given; socket/s.
 */
struct tree {
	char root[64];
	const char *read[5];
	char paths[4][96];
	char socket[96];
};

static void put(const char *root, const char *name, const char *content)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	close(fd);
}

static void run(const char *root, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && %s", root, command);
	assert_int_equal(system(line), 0);
}

static void tree_make(struct tree *tree)
{
	*tree = (struct tree){ .root = "/tmp/sandbox-test-XXXXXX" };
	assert_non_null(mkdtemp(tree->root));
	run(tree->root, "mkdir -p given target other socket later links/v1 side && "
			"ln -s v1 links/now && ln -s ../target side/link && "
			"ln -s ../target/trust.pem given/trust.pem && "
			"ln -s $PWD/later/not/there/resolv.conf given/resolv.conf");
	put(tree->root, "target/trust.pem", "old");
	put(tree->root, "links/v1/ca.pem", "old");
	put(tree->root, "other/secret", "secret");
	put(tree->root, "side/secret", "secret");
	put(tree->root, "socket/s", "");
	snprintf(tree->paths[0], sizeof(tree->paths[0]), "%s/given/trust.pem", tree->root);
	snprintf(tree->paths[1], sizeof(tree->paths[1]), "%s/given/resolv.conf", tree->root);
	snprintf(tree->paths[2], sizeof(tree->paths[2]), "%s/links/now/ca.pem", tree->root);
	snprintf(tree->paths[3], sizeof(tree->paths[3]), "%s/side/link/trust.pem", tree->root);
	snprintf(tree->socket, sizeof(tree->socket), "%s/socket/s", tree->root);
	for (int i = 0; i < 4; i++)
		tree->read[i] = tree->paths[i];
}

static void tree_remove(struct tree *tree)
{
	char line[96];

	snprintf(line, sizeof(line), "rm -r %s", tree->root);
	assert_int_equal(system(line), 0);
}

/* 0 when the file reads as expected; else the errno, or 255 for other content. */
static int reads(const char *root, const char *name, const char *expected)
{
	char path[128], content[16] = "";
	cleanup_close_ int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, content, sizeof(content) - 1) < 0)
		return errno;
	return strcmp(content, expected) == 0 ? 0 : 255;
}

static int removes(const char *root, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return unlinkat(AT_FDCWD, path, 0) == 0 ? 0 : errno;
}

/* How the test (root or not) and the sandboxed supervisor take turns. */
struct turns {
	struct tree *tree;
	int fd;
};

static int use_files(void *arg)
{
	const struct turns *turns = arg;
	const struct tree *tree = turns->tree;
	struct sandbox_files files = { .read = tree->read, .remove = tree->socket };
	char byte = 0;

	child_enter(ROLE_SUPERVISOR, SANDBOX_ENFORCE, &files);
	if (reads(tree->root, "given/trust.pem", "old") != 0)
		return 1;
	if (reads(tree->root, "links/now/ca.pem", "old") != 0 ||
	    reads(tree->root, "side/link/trust.pem", "old") != 0)
		return 9;
	if (reads(tree->root, "other/secret", "secret") != EACCES ||
	    reads(tree->root, "side/secret", "secret") != EACCES)
		return 2;
	if (write(turns->fd, &byte, 1) != 1 || read(turns->fd, &byte, 1) != 1)
		return 3;
	if (reads(tree->root, "given/trust.pem", "new") != 0)
		return 4;
	if (reads(tree->root, "given/resolv.conf", "late") != 0)
		return 5;
	if (reads(tree->root, "links/now/ca.pem", "new") != 0)
		return 6;
	if (removes(tree->root, "other/secret") != EACCES || removes(tree->root, "socket/s") != 0)
		return 7;
	return 0;
}

static void it_reads_what_files_are_replaced_by_and_nothing_else(void **state unused_)
{
	struct tree tree;
	struct turns turns = { .tree = &tree };
	int pair[2], status;
	char byte = 0;
	pid_t pid;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1)
		skip();
	tree_make(&tree);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	turns.fd = pair[1];
	pid = fork();
	if (pid == 0) {
		alarm(CHILD_SECONDS);
		close(pair[0]);
		_exit(use_files(&turns));
	}
	close(pair[1]);
	assert_int_equal(read(pair[0], &byte, 1), 1);
	run(tree.root, "printf new >target/.tmp && mv target/.tmp target/trust.pem && "
		       "mkdir links/v2 && printf new >links/v2/ca.pem && ln -s v2 links/.tmp && "
		       "mv -T links/.tmp links/now && rm -r links/v1 && "
		       "mkdir -p later/not/there && printf late >later/not/there/resolv.conf");
	assert_int_equal(write(pair[0], &byte, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pair[0]);
	tree_remove(&tree);
	assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_supervisor_starts_a_frontdoor),
		cmocka_unit_test(the_supervisor_starts_a_connector),
		cmocka_unit_test(the_supervisor_starts_a_worker),
		cmocka_unit_test(it_reads_what_files_are_replaced_by_and_nothing_else),
	};

	if (argc == 3 && strcmp(argv[1], "-x") == 0)
		return be_role(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
