/* System calls: on what it has, and all that it must not make. */
#include "tests/lib/treason/treason.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "tests/lib/raw.h"

#define SYS_memfd_secret_ 447

static long map(int fd, int protection)
{
	const void *page = mmap(NULL, 4096, protection, MAP_SHARED, fd, 0);

	return page == MAP_FAILED ? -1 : 0;
}

static long map_anonymous(int protection)
{
	const void *page = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? -1 : 0;
}

static long make_writable(int fd)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	return page == MAP_FAILED ? -1 : mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static long punch(int fd)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	return page == MAP_FAILED ? -1 : madvise(page, 4096, MADV_REMOVE);
}

const char *try_counters_of_nonsense(void)
{
	uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, me.counters, 0);

	if (page == MAP_FAILED)
		return "not mapped";
	memset(page, 0xff, sizeof(struct counters));
	return supervisor_goes_on();
}

static long open_of(uint32_t pid, const char *what)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, what);
	return syscall(SYS_openat, AT_FDCWD, path, O_RDWR);
}

static long vm_of_others(long number)
{
	return syscall(number, me.order.victim, &me.vector, 1, &me.vector, 1, 0);
}

static long reopen(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return syscall(SYS_openat, AT_FDCWD, path, O_RDWR);
}

/* The one kind of file that it may make. */
static long exec_memory(void)
{
	int fd = (int)syscall(SYS_memfd_create, "x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (write(fd, "#!/bin/sh\n", 10) != 10)
		return 0;
	return syscall(SYS_execveat, fd, "", NULL, NULL, AT_EMPTY_PATH);
}

/* The client says what comes of it. */
const char *try_its_channels_for_its_client_when_it_has_ended(void)
{
	const int channels[] = { me.frontdoor, me.connector, me.keyholder };

	send_raw(me.client, "", 1, channels, 3);
	_exit(0);
}

/* It stays, after it has told, and does not even end when it should. */
const char *try_hearing_nothing_any_more(void)
{
	me.deaf = true;
	return NOTHING;
}

/* ---- the table ---- */

#define CALL(group, name, expression)                                                              \
	const char *try_##name(void)                                                        \
	{                                                                                          \
		return returned(expression);                                                       \
	}
#define DENIED(group, name, error, expression) CALL(group, name, expression)
#define ATTEMPT(group, name, outcome)
#include "tests/lib/treason/attempts.def"
#undef CALL
#undef DENIED
#undef ATTEMPT
