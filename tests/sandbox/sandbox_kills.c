/*
 * Every role's sandbox, from the inside: what must kill does kill, what a role needs works.  Each
 * call of probes.def is really made, in a process of its own, in every role.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#include "child.h"

/* More than the design's aim, and somebody should have to say why. */
#define WORKER_CALLS_MAX 45

/* What a role would have been given before, or over its channels. */
struct kit {
	int listener; /* with a client that waits */
	int tcp;      /* connected, with a byte to read */
	int udp;
	int memfd;
	int channel[2];
	int pair[2];
	void *page; /* shared */
	struct sockaddr_in address;
	struct sockaddr *any;
	struct msghdr message;
	struct iovec iov;
	struct stat st;
	char zeros[512];
	int one;
	socklen_t len;
};

static void must(int ok)
{
	if (!ok)
		_exit(NOT_ENTERED);
}

/* A client that waits at the front door; its end stays open. */
static int waiting_client(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	int client = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(address);

	/* A name that the kernel chooses. */
	must(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0 && listen(fd, 1) == 0);
	must(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
	must(connect(client, (struct sockaddr *)&address, len) == 0);
	return fd;
}

static int connected_tcp(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), server = socket(AF_INET, SOCK_STREAM, 0), peer;
	socklen_t len = sizeof(*address);

	*address = (struct sockaddr_in){ .sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	must(bind(server, (struct sockaddr *)address, len) == 0 && listen(server, 1) == 0);
	must(getsockname(server, (struct sockaddr *)address, &len) == 0);
	must(connect(fd, (struct sockaddr *)address, len) == 0);
	peer = accept(server, NULL, NULL);
	must(send(peer, "x", 1, 0) == 1);
	return fd;
}

static void kit_make(struct kit *kit)
{
	*kit = (struct kit){ .one = 1, .len = sizeof(int) };
	kit->any = (struct sockaddr *)(void *)kit->zeros;
	kit->listener = waiting_client();
	kit->tcp = connected_tcp(&kit->address);
	kit->udp = socket(AF_INET, SOCK_DGRAM, 0);
	kit->memfd = memfd_create("kit", MFD_ALLOW_SEALING);
	must(kit->udp >= 0 && kit->memfd >= 0 && ftruncate(kit->memfd, 4096) == 0);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, kit->channel) == 0);
	kit->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, kit->memfd, 0);
	must(kit->page != MAP_FAILED);
	kit->iov = (struct iovec){ kit->zeros, 1 };
	kit->message = (struct msghdr){ .msg_iov = &kit->iov, .msg_iovlen = 1 };
}

static long fork_and_wait(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : waitpid(pid, NULL, 0);
}

static long map(long prot)
{
	long at = syscall(SYS_mmap, NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == -1 ? -1 : 0;
}

#ifdef __x86_64__
static long i386_call(int number)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(number), "b"(0), "c"(0), "d"(0) : "memory");
	return r;
}
#endif

#define ANY(call) ((void)(call), 0)

#define PROBE(name, roles, expression)                                                             \
	static long try_##name(struct kit *kit)                                                    \
	{                                                                                          \
		(void)kit;                                                                         \
		return (expression);                                                               \
	}
#include "probes.def"
#undef PROBE

struct probe {
	const char *name;
	unsigned roles;
	long (*attempt)(struct kit *kit);
};

static const struct probe probes[] = {
#define PROBE(name, roles, expression) { #name, (roles), try_##name },
#include "probes.def"
#undef PROBE
};

struct attempt {
	enum role role;
	const struct probe *probe;
};

static int make_attempt(void *arg)
{
	const struct attempt *attempt = arg;
	struct kit kit;

	kit_make(&kit);
	child_enter(attempt->role, SANDBOX_ENFORCE, NULL);
	return attempt->probe->attempt(&kit) >= 0 ? 0 : 1;
}

/* The supervisor's filter is everybody's, see syscalls.def. */
static bool may(enum role role, const struct probe *probe)
{
	return role == ROLE_SUPERVISOR ? probe->roles != 0 : (probe->roles & (1u << role)) != 0;
}

static void probe_role(enum role role)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
		struct attempt attempt = { role, &probes[i] };
		int expected = may(role, &probes[i]) ? 0 : -SIGSYS;
		int seen = child_run(make_attempt, &attempt);

		if (seen != expected) {
			print_error("%s: %s: ended with %d instead of %d\n", role_name(role),
				    probes[i].name, seen, expected);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void each_call_in_the_supervisor(void **state unused_)
{
	probe_role(ROLE_SUPERVISOR);
}

static void each_call_in_the_frontdoor(void **state unused_)
{
	probe_role(ROLE_FRONTDOOR);
}

static void each_call_in_the_connector(void **state unused_)
{
	probe_role(ROLE_CONNECTOR);
}

static void each_call_in_the_keyholder(void **state unused_)
{
	probe_role(ROLE_KEYHOLDER);
}

static void each_call_in_the_worker(void **state unused_)
{
	probe_role(ROLE_WORKER);
}

static int fail_assertion(void *arg)
{
	child_enter(*(enum role *)arg, SANDBOX_ENFORCE, NULL);
	abort();
}

static void abort_is_told_apart_from_a_forbidden_call(void **state unused_)
{
	for (enum role role = 0; role < ROLE_COUNT; role++)
		assert_int_equal(child_run(fail_assertion, &role), -SIGABRT);
}

/* The log mode kills nobody, the other architecture's calls excepted. */
static int forbidden_but_logged(void *arg)
{
	child_enter(*(enum role *)arg, SANDBOX_LOG, NULL);
	return socket(AF_NETLINK, SOCK_RAW, 0) >= 0 && dup(0) >= 0 ? 0 : 1;
}

static void log_mode_lets_live(void **state unused_)
{
	for (enum role role = 0; role < ROLE_COUNT; role++)
		assert_int_equal(child_run(forbidden_but_logged, &role), 0);
}

static int count_calls(void *arg)
{
	const char *what;
	unsigned calls;

	if (sandbox_enter(*(enum role *)arg, SANDBOX_ENFORCE, 3, &calls, &what) < 0)
		return NOT_ENTERED;
	return (int)calls;
}

static void a_worker_may_make_few_calls(void **state unused_)
{
	for (enum role role = 0; role < ROLE_COUNT; role++) {
		int calls = child_run(count_calls, &role);

		print_message("%s: %d system calls\n", role_name(role), calls);
		assert_in_range(calls, 20, NOT_ENTERED - 1);
		if (role == ROLE_WORKER)
			assert_in_range(calls, 20, WORKER_CALLS_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_may_make_few_calls),
		cmocka_unit_test(each_call_in_the_supervisor),
		cmocka_unit_test(each_call_in_the_frontdoor),
		cmocka_unit_test(each_call_in_the_connector),
		cmocka_unit_test(each_call_in_the_keyholder),
		cmocka_unit_test(each_call_in_the_worker),
		cmocka_unit_test(abort_is_told_apart_from_a_forbidden_call),
		cmocka_unit_test(log_mode_lets_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
