/*
 * filters: what the kernel does to the system calls of processes that run, for root.
 *
 *   filters look PID...       reads the filters of each thread, and runs them over every number and many
 *                             arguments: the role's own says what syscalls.def says, no other one undoes
 *                             it, and other architectures are closed.  A line for each process.
 *   filters strike PID CALL   that process makes this call; one that the filter lets through is no end
 *   filters calls             their names
 *
 * Exit status: 0, 1 when it is not so, 77 when this kernel does not show filters.
 */
#include <err.h>
#include <glob.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "tests/sandbox/filter.h"

#define NUMBERS	    600 /* the kernel has about 470 */
#define TRIES	    16  /* of arguments, for each */
#define FILTERS_MAX 16

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

static const char *const roles[] = {
#define ROLE(NAME, name, ...) [ROLE_##NAME] = #name,
#include "roles.def"
#undef ROLE
};

static struct program programs[FILTERS_MAX];
static unsigned count;
static unsigned long tried;

/* ---- one thread's ---- */

static void seize(pid_t tid, long options)
{
	int status;

	if (ptrace(PTRACE_SEIZE, tid, 0, options) < 0 ||
	    ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0 || waitpid(tid, &status, __WALL) != tid)
		err(errno == EPERM ? 77 : 1, "thread %d", (int)tid);
}

/* The latest one last. */
static void read_filters(pid_t tid)
{
	seize(tid, 0);
	for (count = 0; count < FILTERS_MAX; count++) {
		long n = ptrace((enum __ptrace_request)PTRACE_SECCOMP_GET_FILTER, tid,
				(void *)(uintptr_t)count, programs[count].code);

		if (n < 0 && errno == ENOENT)
			break;
		if (n < 0)
			err(errno == EIO || errno == EACCES ? 77 : 1, "the filters of %d", (int)tid);
		programs[count].count = (size_t)n;
	}
	ptrace(PTRACE_DETACH, tid, 0, 0);
}

/* As the kernel does: of several answers the one that forbids most. */
static uint32_t answer(const struct seccomp_data *data)
{
	uint32_t least = SECCOMP_RET_ALLOW;

	for (unsigned i = 0; i < count; i++) {
		uint32_t action = filter_run(&programs[i], data);

		if ((int32_t)(action & SECCOMP_RET_ACTION_FULL) <
		    (int32_t)(least & SECCOMP_RET_ACTION_FULL))
			least = action;
	}
	return least;
}

static void expect(enum role role, pid_t pid, const struct seccomp_data *data, uint32_t wanted)
{
	uint32_t own = filter_run(&programs[count - 1], data), all = answer(data);

	tried++;
	if (own == wanted && (wanted != SECCOMP_RET_KILL_PROCESS || all == wanted))
		return;
	errx(1, "%s %d: call %d(%#llx, %#llx, %#llx): %#x, with all filters %#x, instead of %#x",
	     roles[role], (int)pid, data->nr, data->args[0], data->args[1], data->args[2], own,
	     all, wanted);
}

static void judge(enum role role, pid_t pid)
{
	static const uint32_t others[] = { AUDIT_ARCH_I386, AUDIT_ARCH_X86_64, AUDIT_ARCH_ARM,
					   AUDIT_ARCH_AARCH64 };
	uint64_t seed = 1;

	for (int nr = -1; nr < NUMBERS; nr++) {
		struct seccomp_data data = { .arch = OWN_ARCH, .nr = nr };

		for (int i = 0; i < TRIES; i++) {
			expect(role, pid, &data, filter_expected(role, pid, &data));
			filter_fill_arguments(&data, &seed);
		}
		for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
			data.arch = others[i];
			data.nr = others[i] == OWN_ARCH ? X32_BIT + nr : nr;
			expect(role, pid, &data, SECCOMP_RET_KILL_PROCESS);
		}
	}
}

/* ---- processes ---- */

/* By its command line, "tlsbrokerd -x ROLE ...". */
static enum role role_of(pid_t pid)
{
	char path[64], line[256] = "";
	const char *name = line;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	file = fopen(path, "re");
	if (!file || fread(line, 1, sizeof(line) - 1, file) == 0)
		err(1, "%s", path);
	fclose(file);
	name += strlen(name) + 1;
	if (strcmp(name, "-x") != 0)
		return ROLE_SUPERVISOR;
	name += strlen(name) + 1;
	for (enum role role = 0; role < ROLE_COUNT; role++) {
		if (strcmp(name, roles[role]) == 0)
			return role;
	}
	errx(1, "%d is no role", (int)pid);
}

static void look(pid_t pid)
{
	const enum role role = role_of(pid);
	unsigned threads = 0;
	char path[64];
	glob_t tasks;

	snprintf(path, sizeof(path), "/proc/%d/task/*", (int)pid);
	if (glob(path, 0, NULL, &tasks) != 0)
		errx(1, "%d has no threads", (int)pid);
	while (threads < tasks.gl_pathc) {
		read_filters(atoi(strrchr(tasks.gl_pathv[threads], '/') + 1));
		if (count < (role == ROLE_SUPERVISOR ? 1u : 2u))
			errx(1, "%s %d has %u filters", roles[role], (int)pid, count);
		judge(role, pid);
		threads++;
	}
	globfree(&tasks);
	printf("looked %s pid=%d threads=%u filters=%u calls=%lu\n", roles[role], (int)pid, threads,
	       count, tried);
}

/* ---- calls that are made ---- */

#define I386 (-1) /* by int $0x80 */

static const struct call {
	const char *name;
	long number;
	unsigned long args[4];
} calls[] = {
	{ "execve", SYS_execve, { 0 } },
	{ "clone3", SYS_clone3, { 0 } },
	{ "ptrace", SYS_ptrace, { PTRACE_TRACEME } },
	{ "io_uring_setup", SYS_io_uring_setup, { 1 } },
#ifdef SYS_open
	{ "open", SYS_open, { 0 } },
#endif
	{ "openat_to_write", SYS_openat, { 0, 0, O_WRONLY } },
	{ "openat2", SYS_openat2, { 0 } },
	{ "bpf", SYS_bpf, { 0 } },
	{ "userfaultfd", SYS_userfaultfd, { 0 } },
	{ "pidfd_getfd", SYS_pidfd_getfd, { 0 } },
	{ "process_vm_readv", SYS_process_vm_readv, { 1 } },
	{ "socket_netlink", SYS_socket, { AF_NETLINK, SOCK_RAW } },
	{ "prctl_dumpable", SYS_prctl, { PR_SET_DUMPABLE, 1 } },
	/* The supervisor's filter lets these through: for the loader, in what it starts. */
	{ "code_map", SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS } },
	{ "code_protect", SYS_mprotect, { 0, 4096, PROT_READ | PROT_EXEC } },
	{ "code_protect_high", SYS_mprotect, { 0, 4096, 1UL << 32 | PROT_READ | PROT_EXEC } },
	{ "x32", X32_BIT + SYS_getpid, { 0 } },
	{ "i386", I386, { 0 } },
};

#ifdef __x86_64__
/* Stopped where it enters the next system call: it makes another one.  Filters see what it makes. */
static void make_call(pid_t pid, const struct call *call)
{
	struct user_regs_struct regs;
	int status;

	if (ptrace(PTRACE_SYSCALL, pid, 0, 0) < 0 || waitpid(pid, &status, __WALL) != pid ||
	    ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0)
		err(1, "system calls of %d", (int)pid);
	if (call->number == I386) {
		/* Instead of what it would have done next. */
		if (ptrace(PTRACE_POKETEXT, pid, (void *)regs.rip, (void *)0x80cdUL) < 0)
			err(1, "code of %d", (int)pid);
		regs.orig_rax = (unsigned long long)-1;
		regs.rax = 20; /* getpid(2), there */
	} else {
		regs.orig_rax = (unsigned long long)call->number;
		regs.rdi = call->args[0];
		regs.rsi = call->args[1];
		regs.rdx = call->args[2];
		regs.r10 = call->args[3];
	}
	if (ptrace(PTRACE_SETREGS, pid, 0, &regs) < 0 || ptrace(PTRACE_DETACH, pid, 0, 0) < 0)
		err(1, "registers of %d", (int)pid);
}
#else
static void make_call(pid_t pid unused_, const struct call *call unused_)
{
	errx(77, "not for this architecture");
}
#endif

static void strike(pid_t pid, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (strcmp(calls[i].name, name) != 0)
			continue;
		seize(pid, PTRACE_O_TRACESYSGOOD);
		make_call(pid, &calls[i]);
		return;
	}
	errx(2, "%s: no such call", name);
}

int main(int argc, char **argv)
{
	if (argc >= 3 && strcmp(argv[1], "look") == 0) {
		for (int i = 2; i < argc; i++)
			look(atoi(argv[i]));
	} else if (argc == 4 && strcmp(argv[1], "strike") == 0) {
		strike(atoi(argv[2]), argv[3]);
	} else if (argc == 2 && strcmp(argv[1], "calls") == 0) {
		for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
			printf("%s\n", calls[i].name);
	} else {
		errx(2, "usage: filters look PID... | strike PID CALL | calls");
	}
	return 0;
}
