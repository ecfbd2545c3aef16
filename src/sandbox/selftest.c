/*
 * The proof, in the process itself, that the sandbox is real: a typing error, a container's odd
 * kernel or a library that fails quietly would otherwise show when it is too late.
 *
 * A filter that kills cannot be tried by being killed, and a process that starts none cannot send
 * another to die.  So each filter answers one call that no program makes in a way that the kernel
 * never would (steps.h), and that this process is the one meant by it is read back from the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "base/fd.h"
#include "sandbox/steps.h"

/*
 * Before the filter, which would kill for it.  No role may list the root folder, root included.
 * What a child tries is something that the rules it inherited from the supervisor allow.
 */
int selftest_files(enum role role)
{
	const char *path = role == ROLE_SUPERVISOR ? "/" : "/dev/urandom";
	cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 && errno == EACCES ? 0 : -ENOTRECOVERABLE;
}

int selftest_filter(enum role role)
{
	int canary = role == ROLE_SUPERVISOR ? CANARY_SUPERVISOR : CANARY_CHILD;

	if (prctl(canary, 0, 0, 0, 0) != -1 || errno != CANARY_ERRNO)
		return -ENOTRECOVERABLE;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_FILTER)
		return -ENOTRECOVERABLE;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return -ENOTRECOVERABLE;
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : -ENOTRECOVERABLE;
}
