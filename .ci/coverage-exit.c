/*
 * Linked into the build that counts branches.  gcov writes what a process counted when it calls exit();
 * the daemon's processes, and those of its tests, end in other ways.  Here each of them writes first:
 *
 *   _exit(), execveat()      written before it
 *   SIGKILL from one of us   asked to write and to die, with a signal of its own, and then killed
 *   SIGKILL by the parent's death   that signal instead
 *   SIGTERM, not handled     written by a handler
 *   the sandbox              written before it closes; what comes after is lost
 *
 * All of them look from outside as they would without this.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gcov.h>
#include <seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WRITE_AND_DIE SIGRTMAX
#define PATIENCE_MS   3000
#define LARGEST_FILE  (512 * 1024) /* of gcov's, by far */

#define HOOK __attribute__((visibility("default")))

static bool closed; /* files are out of reach */

/* The counters, once: nothing interrupts it. */
static void write_counters(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, before);
	if (!closed)
		__gcov_dump();
}

static void on_signal(int number)
{
	int deadly = number == WRITE_AND_DIE ? SIGKILL : number;
	sigset_t none;

	write_counters(NULL);
	signal(deadly, SIG_DFL);
	syscall(SYS_kill, getpid(), deadly);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* exit() writes the counters itself, behind this; it is not to be interrupted by a request to do so. */
static void on_exit_begun(int status, void *arg)
{
	sigset_t all;

	(void)arg;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	if (!closed)
		return;
	fflush(NULL);
	for (;;)
		syscall(SYS_exit_group, status);
}

/* A role that a sandboxed supervisor started can write nothing from its beginning. */
static bool is_born_closed(int argc, char **argv)
{
	return argc > 2 && strcmp(argv[1], "-x") == 0 &&
	       (argc == 3 || strcmp(argv[3], "--sandbox=off") != 0);
}

__attribute__((constructor)) static void begin(int argc, char **argv)
{
	struct sigaction old;

	on_exit(on_exit_begun, NULL);
	closed = is_born_closed(argc, argv);
	if (closed)
		return;
	signal(WRITE_AND_DIE, on_signal);
	if (sigaction(SIGTERM, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
		signal(SIGTERM, on_signal);
}

HOOK __attribute__((noreturn)) void _exit(int status)
{
	write_counters(NULL);
	for (;;)
		syscall(SYS_exit_group, status);
}

HOOK int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
	sigset_t before;
	int r;

	write_counters(&before);
	sigprocmask(SIG_SETMASK, &before, NULL); /* the new program inherits it */
	r = (int)syscall(SYS_execveat, dir, path, argv, envp, flags);
	__gcov_reset(); /* still here: what was written is not to be added again */
	return r;
}

/* ---- being killed ---- */

/* A line of a file in /proc; empty if there is none. */
static void read_line(pid_t pid, const char *file, const char *key, char *line, int size)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	f = fopen(path, "re");
	while (f && fgets(line, size, f) && strncmp(line, key, strlen(key)) != 0)
		;
	if (!f || strncmp(line, key, strlen(key)) != 0)
		line[0] = '\0';
	if (f)
		fclose(f);
}

/* Does that process have our handler? */
static bool would_write(pid_t pid)
{
	char line[256] = "";
	const char *caught = "SigCgt:";

	read_line(pid, "status", caught, line, sizeof(line));
	return line[0] && (strtoull(line + strlen(caught), NULL, 16) >> (WRITE_AND_DIE - 1) & 1);
}

static bool has_ended(pid_t pid)
{
	char line[256] = "";

	read_line(pid, "status", "State:", line, sizeof(line));
	return !line[0] || strchr(line, 'Z') || strchr(line, 'X');
}

HOOK int kill(pid_t pid, int number)
{
	const struct timespec pause = { .tv_nsec = 2000000 };

	if (number == SIGKILL && pid > 0 && !closed && would_write(pid)) {
		syscall(SYS_kill, pid, WRITE_AND_DIE);
		syscall(SYS_kill, pid, SIGCONT); /* one that is stopped cannot write */
		for (int ms = 0; ms < PATIENCE_MS && !has_ended(pid); ms += 2)
			nanosleep(&pause, NULL);
	}
	return (int)syscall(SYS_kill, pid, number);
}

HOOK int prctl(int option, ...)
{
	unsigned long a[4];
	va_list ap;

	va_start(ap, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (option == PR_SET_PDEATHSIG && a[0] == SIGKILL)
		a[0] = (unsigned long)WRITE_AND_DIE;
	return (int)syscall(SYS_prctl, option, a[0], a[1], a[2], a[3]);
}

/* ---- the sandbox ---- */

/* Counting goes on, but there is nowhere to write any more. */
static void close_counters(void)
{
	sigset_t before;

	write_counters(&before);
	closed = true;
	signal(WRITE_AND_DIE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* A role that makes no large files can make none of ours. */
HOOK int setrlimit(__rlimit_resource_t which, const struct rlimit *limit)
{
	if (which == RLIMIT_FSIZE && limit->rlim_cur < LARGEST_FILE)
		close_counters();
	return (int)syscall(SYS_prlimit64, 0, which, limit, NULL); /* as libc does */
}

HOOK long syscall(long number, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	if (number == SYS_landlock_restrict_self)
		close_counters();
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

HOOK int seccomp_load(const scmp_filter_ctx ctx)
{
	int (*real)(const scmp_filter_ctx);

	*(void **)&real = dlsym(RTLD_NEXT, "seccomp_load");
	close_counters();
	return real(ctx);
}
