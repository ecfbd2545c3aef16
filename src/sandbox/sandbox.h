/*
 * What a process gives up before it meets anything hostile.
 *
 * The supervisor enters its own sandbox before it starts anybody, so every child has two: the
 * supervisor's filter and file rules are inherited across exec and stay in force under its own.
 */
#ifndef TLSB_SANDBOX_SANDBOX_H
#define TLSB_SANDBOX_SANDBOX_H

#include <limits.h>

#include "wire/roles.h"

enum sandbox_mode {
	SANDBOX_ENFORCE, /* a forbidden system call kills the process */
	SANDBOX_LOG,     /* the audit log says what would have died, say after a libc update */
	SANDBOX_OFF,     /* only with -DSANDBOX_CAN_BE_OFF: sanitizers make calls of their own */
};

/* "enforce", "log", and in debug builds "off".  0 or -EINVAL. */
int sandbox_mode_from_name(const char *name, enum sandbox_mode *ret_mode);
const char *sandbox_mode_name(enum sandbox_mode mode);

/* For the supervisor, whose descriptors are all wanted: close none. */
#define SANDBOX_KEEP_ALL INT_MAX

/*
 * What the supervisor goes on using of the file system.  It may read the files of the list, what
 * their symbolic links lead to, and what they are replaced by: so their folders are granted.
 * /etc and what exec'ing its own binary again needs are always granted.
 */
struct sandbox_files {
	const char *const *read; /* ends with NULL */
	const char *list;        /* a folder, to be listed, and its files to be read; or NULL */
	const char *remove;      /* its socket, or NULL */
};

/*
 * The order is the design: close_range, rlimits, not dumpable, no_new_privs, Landlock, seccomp,
 * then the self-test: calls that must fail do fail.  KEEP_FDS: descriptors 0 to KEEP_FDS - 1 stay
 * open, every other one is closed.
 *
 * In SANDBOX_LOG only seccomp is lenient.  In SANDBOX_OFF there is no Landlock and no seccomp, and
 * no limit that a sanitizer would break: it writes reports and starts a helper.
 *
 * 0, with *ret_calls the number of system calls the filter lets through, and *ret_what naming what
 * this kernel lacks ("Landlock"), or NULL: the caller logs it.  Or -errno, with *ret_what naming
 * the step: the caller then refuses to run.
 */
int sandbox_enter(enum role role, enum sandbox_mode mode, int keep_fds, unsigned *ret_calls,
		  const char **ret_what);

/*
 * The same for the supervisor, which names its files.  Without them, in sandbox_enter(), it may
 * read whatever its user may read, and remove nothing.
 */
int sandbox_enter_with_files(enum role role, enum sandbox_mode mode, int keep_fds,
			     const struct sandbox_files *files, unsigned *ret_calls,
			     const char **ret_what);

#endif
