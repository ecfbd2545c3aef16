/*
 * The steps of entering the sandbox, each by itself: limits, descriptors, Landlock; and the
 * self-test, which has to fail when a step was left out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "child.h"
#include "ring/channel.h"
#include "sandbox/steps.h"

#define ABI_WITH_SIGNALS 6

static void mode_off_is_for_debug_builds(void **state unused_)
{
	enum sandbox_mode mode = SANDBOX_ENFORCE;

	assert_int_equal(sandbox_mode_from_name("log", &mode), 0);
	assert_int_equal(mode, SANDBOX_LOG);
	assert_string_equal(sandbox_mode_name(SANDBOX_ENFORCE), "enforce");
	assert_int_equal(sandbox_mode_from_name("", &mode), -EINVAL);
	assert_int_equal(sandbox_mode_from_name("Enforce", &mode), -EINVAL);
#ifdef SANDBOX_CAN_BE_OFF
	assert_int_equal(sandbox_mode_from_name("off", &mode), 0);
#else
	const char *what = NULL;
	unsigned calls;

	assert_int_equal(sandbox_mode_from_name("off", &mode), -EINVAL);
	assert_int_equal(sandbox_enter(ROLE_WORKER, SANDBOX_OFF, 3, &calls, &what), -EINVAL);
	assert_non_null(what);
#endif
}

/* ---- the self-test ---- */

static int test_without_filter(void *arg unused_)
{
	return selftest_filter(ROLE_WORKER) == -ENOTRECOVERABLE &&
	       selftest_filter(ROLE_SUPERVISOR) == -ENOTRECOVERABLE &&
	       selftest_files(ROLE_WORKER) == -ENOTRECOVERABLE &&
	       selftest_files(ROLE_SUPERVISOR) == -ENOTRECOVERABLE ? 0 : 1;
}

static int test_with_inherited_filter(void *arg unused_)
{
	child_enter(ROLE_SUPERVISOR, SANDBOX_ENFORCE, NULL);
	return selftest_filter(ROLE_SUPERVISOR) == 0 && selftest_files(ROLE_SUPERVISOR) == 0 &&
	       selftest_filter(ROLE_WORKER) == -ENOTRECOVERABLE &&
	       selftest_files(ROLE_WORKER) == -ENOTRECOVERABLE ? 0 : 1;
}

static int test_while_dumpable(void *arg unused_)
{
	unsigned calls;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    seccomp_filter_enter(ROLE_WORKER, SANDBOX_ENFORCE, &calls) < 0)
		return NOT_ENTERED;
	return selftest_filter(ROLE_WORKER) == -ENOTRECOVERABLE ? 0 : 1;
}

static void the_self_test_fails_without_a_sandbox(void **state unused_)
{
	assert_int_equal(child_run(test_without_filter, NULL), 0);
}

static void the_self_test_is_not_content_with_the_supervisors_sandbox(void **state unused_)
{
	assert_int_equal(child_run(test_with_inherited_filter, NULL), 0);
}

static void the_self_test_wants_a_process_that_is_not_dumpable(void **state unused_)
{
	assert_int_equal(child_run(test_while_dumpable, NULL), 0);
}

/* ---- descriptors and limits ---- */

static int keep_four(void *arg unused_)
{
	const char *what;
	unsigned calls;

	if (dup2(0, 3) != 3 || dup2(0, 4) != 4 || dup2(0, 500) != 500)
		return NOT_ENTERED;
	if (sandbox_enter(ROLE_WORKER, SANDBOX_ENFORCE, 4, &calls, &what) < 0)
		return NOT_ENTERED;
	for (int fd = 0; fd < 4; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			return 1;
	}
	return fcntl(4, F_GETFD) < 0 && fcntl(500, F_GETFD) < 0 ? 0 : 2;
}

static void only_the_first_descriptors_stay_open(void **state unused_)
{
	assert_int_equal(child_run(keep_four, NULL), 0);
}

static int limit_is(int resource, rlim_t expected)
{
	struct rlimit limit;

	return getrlimit(resource, &limit) == 0 && limit.rlim_cur == expected &&
	       limit.rlim_max == expected;
}

static int limit_files(int resource)
{
	struct rlimit limit;

	return getrlimit(resource, &limit) == 0 ? (int)limit.rlim_cur : -1;
}

static int look_at_limits(void *arg)
{
	static const rlim_t bytes[] = {
		[ROLE_SUPERVISOR] = LIMIT_TRUST_BYTES,
		[ROLE_WORKER] = PAGE_BYTES + 2 * LIMIT_RING_MAX,
		[ROLE_CONNECTOR] = 0,
		[ROLE_KEYHOLDER] = 0,
		[ROLE_FRONTDOOR] = 0,
	};
	enum role role = *(enum role *)arg;
	int null = open("/dev/null", O_WRONLY);

	if (dup2(null, STDERR_FILENO) < 0 || rlimits_lower(role, SANDBOX_ENFORCE) < 0)
		return NOT_ENTERED;
	if (!limit_is(RLIMIT_CORE, 0) || !limit_is(RLIMIT_FSIZE, bytes[role]))
		return 1;
	if (role != ROLE_SUPERVISOR && !limit_is(RLIMIT_NPROC, 0))
		return 2;
	return limit_files(RLIMIT_NOFILE) >= 256 ? 0 : 3;
}

static void every_role_has_its_limits(void **state unused_)
{
	for (enum role role = 0; role < ROLE_COUNT; role++)
		assert_int_equal(child_run(look_at_limits, &role), 0);
}

static int lower_hard_limit_first(void *arg unused_)
{
	const struct rlimit few = { 64, 64 };

	if (setrlimit(RLIMIT_NOFILE, &few) < 0)
		return NOT_ENTERED;
	return rlimits_lower(ROLE_WORKER, SANDBOX_ENFORCE) == 0 && limit_is(RLIMIT_NOFILE, 64 - 64 / 4) ? 0
												: 1;
}

static void an_administrators_lower_limit_stays(void **state unused_)
{
	assert_int_equal(child_run(lower_hard_limit_first, NULL), 0);
}

static int log_to_file(void *arg unused_)
{
	/* A memfd is a regular file as well. */
	int fd = memfd_create("log", MFD_CLOEXEC);

	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		return NOT_ENTERED;
	if (rlimits_lower(ROLE_SUPERVISOR, SANDBOX_ENFORCE) < 0)
		return NOT_ENTERED;
	return pwrite(STDERR_FILENO, "x", 1, LIMIT_TRUST_BYTES + 1) == 1 ? 0 : 1;
}

static void a_log_that_is_a_file_may_grow(void **state unused_)
{
	assert_int_equal(child_run(log_to_file, NULL), 0);
}

static int make_channel(void *arg)
{
	int fd;

	child_enter(ROLE_WORKER, SANDBOX_ENFORCE, NULL);
	fd = memfd_create("channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return 1;
	return ftruncate(fd, *(off_t *)arg) < 0 ? errno : 0;
}

static void a_worker_makes_no_file_larger_than_a_channel(void **state unused_)
{
	off_t size = (off_t)channel_file_bytes(LIMIT_RING_MAX);

	assert_int_equal(child_run(make_channel, &size), 0);
	size++;
	assert_int_equal(child_run(make_channel, &size), EFBIG);
}

/* ---- what Landlock denies to the supervisor, whose filter lets the calls through ---- */

static int abi(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

static int exec_another(void *arg unused_)
{
	char *const none[] = { NULL };
	int program = open("/bin/true", O_PATH | O_CLOEXEC);

	child_enter(ROLE_SUPERVISOR, SANDBOX_ENFORCE, NULL);
	if (program < 0)
		return NOT_ENTERED;
	execveat(program, "", none, none, AT_EMPTY_PATH);
	return errno == EACCES ? 0 : 1;
}

static void the_supervisor_executes_no_other_program(void **state unused_)
{
	if (abi() < 1)
		skip();
	assert_int_equal(child_run(exec_another, NULL), 0);
}

static int signal_outside(void *arg unused_)
{
	child_enter(ROLE_SUPERVISOR, SANDBOX_ENFORCE, NULL);
	return kill(getppid(), 0) < 0 && errno == EPERM ? 0 : 1;
}

static void the_supervisor_signals_nobody_but_its_children(void **state unused_)
{
	if (abi() < ABI_WITH_SIGNALS)
		skip();
	assert_int_equal(child_run(signal_outside, NULL), 0);
}

static int signal_child(void *arg unused_)
{
	int status;
	pid_t pid;

	child_enter(ROLE_SUPERVISOR, SANDBOX_ENFORCE, NULL);
	pid = fork();
	if (pid == 0) {
		for (;;)
			poll(NULL, 0, -1);
	}
	if (pid < 0 || kill(pid, SIGKILL) < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : 2;
}

static void the_supervisor_signals_its_children(void **state unused_)
{
	assert_int_equal(child_run(signal_child, NULL), 0);
}

static int read_unnamed(void *arg unused_)
{
	static const char *const none[] = { NULL };
	const struct sandbox_files files = { .read = none };

	child_enter(ROLE_SUPERVISOR, SANDBOX_ENFORCE, &files);
	return open("/dev/zero", O_RDONLY) < 0 && errno == EACCES ? 0 : 1;
}

static int can_read_of_parent(const char *what)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)getppid(), what);
	return open(path, O_RDONLY | O_CLOEXEC) >= 0;
}

static int look_at_others(void *arg unused_)
{
	static const char *const none[] = { NULL };
	const struct sandbox_files files = { .read = none };

	child_enter(ROLE_SUPERVISOR, SANDBOX_ENFORCE, &files);
	return can_read_of_parent("cgroup") && !can_read_of_parent("exe") &&
	       !can_read_of_parent("mem") ? 0 : 1;
}

/* Even of its own user, and as root. */
static void the_supervisor_sees_where_others_run_and_no_secrets(void **state unused_)
{
	if (abi() < 1)
		skip();
	assert_int_equal(child_run(look_at_others, NULL), 0);
}

static void the_supervisor_reads_nothing_that_it_did_not_name(void **state unused_)
{
	if (abi() < 1)
		skip();
	assert_int_equal(child_run(read_unnamed, NULL), 0);
}

/* What an older kernel, or one where it is switched off, answers. */
static int enter_without_landlock(void *arg)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	enum role role = *(enum role *)arg;
	const char *what = NULL;
	unsigned calls = 0;

	if (!ctx ||
	    seccomp_rule_add(ctx, SCMP_ACT_ERRNO(role == ROLE_WORKER ? ENOSYS : EOPNOTSUPP),
			     SCMP_SYS(landlock_create_ruleset), 0) < 0 ||
	    seccomp_load(ctx) < 0)
		return NOT_ENTERED;
	if (sandbox_enter(role, SANDBOX_ENFORCE, SANDBOX_KEEP_ALL, &calls, &what) < 0)
		return 1;
	return calls > 0 && what && strcmp(what, "Landlock") == 0 ? 0 : 2;
}

static void a_kernel_without_landlock_is_told(void **state unused_)
{
	for (enum role role = 0; role < ROLE_COUNT; role++)
		assert_int_equal(child_run(enter_without_landlock, &role), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mode_off_is_for_debug_builds),
		cmocka_unit_test(the_self_test_fails_without_a_sandbox),
		cmocka_unit_test(the_self_test_is_not_content_with_the_supervisors_sandbox),
		cmocka_unit_test(the_self_test_wants_a_process_that_is_not_dumpable),
		cmocka_unit_test(only_the_first_descriptors_stay_open),
		cmocka_unit_test(every_role_has_its_limits),
		cmocka_unit_test(an_administrators_lower_limit_stays),
		cmocka_unit_test(a_log_that_is_a_file_may_grow),
		cmocka_unit_test(a_worker_makes_no_file_larger_than_a_channel),
		cmocka_unit_test(the_supervisor_executes_no_other_program),
		cmocka_unit_test(the_supervisor_signals_nobody_but_its_children),
		cmocka_unit_test(the_supervisor_signals_its_children),
		cmocka_unit_test(the_supervisor_reads_nothing_that_it_did_not_name),
		cmocka_unit_test(the_supervisor_sees_where_others_run_and_no_secrets),
		cmocka_unit_test(a_kernel_without_landlock_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
