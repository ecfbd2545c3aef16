#include "sandbox/sandbox.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "sandbox/steps.h"

static const char *const modes[] = {
	[SANDBOX_ENFORCE] = "enforce",
	[SANDBOX_LOG] = "log",
#ifdef SANDBOX_CAN_BE_OFF
	[SANDBOX_OFF] = "off",
#endif
};

int sandbox_mode_from_name(const char *name, enum sandbox_mode *ret_mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(name, modes[i]) == 0) {
			*ret_mode = (enum sandbox_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *sandbox_mode_name(enum sandbox_mode mode)
{
	return (size_t)mode < ARRAY_SIZE(modes) ? modes[mode] : "off";
}

/* What the steps share. */
struct entry {
	enum role role;
	enum sandbox_mode mode;
	int keep_fds;
	const struct sandbox_files *files;
	unsigned calls;
	const char *lacking;
};

/*
 * What libc does on first use has to be done while it can: gmtime_r(), which the dates in
 * certificates go through, reads the time zone.  It need not succeed; nobody wants local time.
 */
static int step_libc(struct entry *entry unused_)
{
	tzset();
	return 0;
}

/* By system call: glibc has the function only since 2.34. */
static int step_descriptors(struct entry *entry)
{
	if (entry->keep_fds == SANDBOX_KEEP_ALL)
		return 0;
	return syscall(SYS_close_range, (unsigned)entry->keep_fds, ~0u, 0) < 0 ? -errno : 0;
}

static int step_limits(struct entry *entry)
{
	return rlimits_lower(entry->role, entry->mode);
}

/* No core file, and no other process of our user reads our memory. */
static int step_not_dumpable(struct entry *entry unused_)
{
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

static int step_no_new_privileges(struct entry *entry unused_)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* A kernel without Landlock is tolerated: seccomp alone denies the children every file. */
static int step_landlock(struct entry *entry)
{
	int r;

	if (entry->mode == SANDBOX_OFF)
		return 0;
	r = landlock_enter(entry->role, entry->files);
	if (r == -EOPNOTSUPP) {
		entry->lacking = "Landlock";
		return 0;
	}
	return r < 0 ? r : selftest_files(entry->role);
}

static int step_seccomp(struct entry *entry)
{
	if (entry->mode == SANDBOX_OFF)
		return 0;
	return seccomp_filter_enter(entry->role, entry->mode, &entry->calls);
}

static int step_selftest(struct entry *entry)
{
	return entry->mode == SANDBOX_OFF ? 0 : selftest_filter(entry->role);
}

static const struct {
	const char *name;
	int (*take)(struct entry *entry);
} steps[] = {
	{ "sandbox: C library", step_libc },
	{ "sandbox: closing descriptors", step_descriptors },
	{ "sandbox: resource limits", step_limits },
	{ "sandbox: not dumpable", step_not_dumpable },
	{ "sandbox: no new privileges", step_no_new_privileges },
	{ "sandbox: Landlock", step_landlock },
	{ "sandbox: seccomp", step_seccomp },
	{ "sandbox: self-test", step_selftest },
};

int sandbox_enter_with_files(enum role role, enum sandbox_mode mode, int keep_fds,
			     const struct sandbox_files *files, unsigned *ret_calls,
			     const char **ret_what)
{
	struct entry entry = { .role = role, .mode = mode, .keep_fds = keep_fds, .files = files };

	if ((size_t)mode >= ARRAY_SIZE(modes)) {
		*ret_what = "sandbox: this build cannot do without";
		return -EINVAL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int r = steps[i].take(&entry);

		if (r < 0) {
			*ret_what = steps[i].name;
			return r;
		}
	}
	*ret_calls = entry.calls;
	*ret_what = entry.lacking;
	return 0;
}

int sandbox_enter(enum role role, enum sandbox_mode mode, int keep_fds, unsigned *ret_calls,
		  const char **ret_what)
{
	return sandbox_enter_with_files(role, mode, keep_fds, NULL, ret_calls, ret_what);
}
