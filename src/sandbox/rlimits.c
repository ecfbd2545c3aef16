/*
 * What the kernel refuses beyond the table of system calls: cores, big files, processes.
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "ring/channel.h"
#include "sandbox/steps.h"
#include "wire/limits.h"

/*
 * The largest file a role can make.  A memfd counts as one: the worker's only ones are channels.
 * The supervisor's largest is the trust index, which is smaller than the PEM it is made from.
 */
static rlim_t file_bytes(enum role role)
{
	switch (role) {
	case ROLE_SUPERVISOR:
		return LIMIT_TRUST_BYTES;
	case ROLE_WORKER:
		return channel_file_bytes(LIMIT_RING_MAX);
	default:
		return 0;
	}
}

static rlim_t open_files(enum role role)
{
	static const rlim_t files[] = {
		[ROLE_SUPERVISOR] = LIMIT_PASSING_FILES,
		[ROLE_FRONTDOOR] = LIMIT_PASSING_FILES,
		[ROLE_CONNECTOR] = LIMIT_PASSING_FILES,
		[ROLE_KEYHOLDER] = LIMIT_KEYHOLDER_FILES,
		[ROLE_WORKER] = LIMIT_WORKER_FILES,
	};
	struct rlimit limit;

	_Static_assert(sizeof(files) / sizeof(files[0]) == ROLE_COUNT, "a row for each role");
	/* Less than the roles that pass descriptors get, also where those get less than they want. */
	if (role == ROLE_WORKER && getrlimit(RLIMIT_NOFILE, &limit) == 0)
		return MIN(files[role], limit.rlim_max - limit.rlim_max / 4);
	return files[role];
}

/* Never above the hard limit we came with: an administrator may have set it lower than ours. */
static int lower(int resource, rlim_t soft, rlim_t hard)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return -errno;
	limit.rlim_max = hard < limit.rlim_max ? hard : limit.rlim_max;
	limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

/* The supervisor's standard error may be a file, and a log is allowed to grow. */
static int logs_to_file(enum role role)
{
	struct stat st;

	return role == ROLE_SUPERVISOR && fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode);
}

int rlimits_lower(enum role role, enum sandbox_mode mode)
{
	int r = lower(RLIMIT_CORE, 0, 0);

	if (r == 0)
		r = lower(RLIMIT_NOFILE, open_files(role), open_files(role));
	if (mode == SANDBOX_OFF)
		return r;
	/* A library that warns on standard error, maybe a file, shall get an error and not die. */
	if (r == 0 && signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		r = -errno;
	if (r == 0 && !logs_to_file(role))
		r = lower(RLIMIT_FSIZE, file_bytes(role), file_bytes(role));
	/* Not binding for root: there seccomp is all that keeps a role from starting processes. */
	if (r == 0 && role != ROLE_SUPERVISOR)
		r = lower(RLIMIT_NPROC, 0, 0);
	return r;
}

_Static_assert(LIMIT_PASSING_FILES >= LIMIT_SUPERVISOR_FILES &&
		       LIMIT_PASSING_FILES >= LIMIT_FRONTDOOR_FILES &&
		       LIMIT_PASSING_FILES >= LIMIT_CONNECTOR_FILES &&
		       LIMIT_PASSING_FILES >= LIMIT_KEYHOLDER_FILES,
	       "children are started with the supervisor's limits, and have to get below them");
_Static_assert(LIMIT_PASSING_FILES > LIMIT_WORKER_FILES, "see worker/unread.h");
_Static_assert(LIMIT_TRUST_BYTES >= LIMIT_HOSTS_BYTES && LIMIT_TRUST_BYTES >= LIMIT_RESOLV_BYTES,
	       "the supervisor makes no file larger than a trust index");
