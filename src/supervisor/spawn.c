#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "role/role.h"

/* Descriptors that the child must still have while it arranges 0 to 3 are kept above them. */
#define FIRST_HIGH_FD 10

static int open_high(const char *path, int flags, int *ret_fd)
{
	cleanup_close_ int fd = open(path, flags | O_CLOEXEC);
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FIRST_HIGH_FD);

	if (high < 0)
		return -errno;
	*ret_fd = high;
	return 0;
}

int spawn_init(struct spawner *ret_spawner, int keep_stderr, enum sandbox_mode sandbox)
{
	struct spawner spawner = { -1, -1, keep_stderr, sandbox };
	int r = open_high("/proc/self/exe", O_PATH, &spawner.exe_fd);

	if (r == 0)
		r = open_high("/dev/null", O_RDWR, &spawner.null_fd);
	if (r < 0) {
		spawn_deinit(&spawner);
		return r;
	}
	*ret_spawner = spawner;
	return 0;
}

void spawn_deinit(struct spawner *spawner)
{
	spawner->exe_fd = fd_close(spawner->exe_fd);
	spawner->null_fd = fd_close(spawner->null_fd);
}

/* Child: 0 to 3 as they should be, everything else closed by exec. */
static int arrange_fds(const struct spawner *spawner, int channel)
{
	if (channel == SUPERVISOR_FD) {
		if (fcntl(channel, F_SETFD, 0) < 0)
			return -1;
	} else if (dup2(channel, SUPERVISOR_FD) < 0) {
		return -1;
	}
	if (dup2(spawner->null_fd, STDIN_FILENO) < 0 || dup2(spawner->null_fd, STDOUT_FILENO) < 0)
		return -1;
	if (!spawner->keep_stderr && dup2(spawner->null_fd, STDERR_FILENO) < 0)
		return -1;
	/* Ours are all close-on-exec at birth; a library's might not be. */
	return close_range(SUPERVISOR_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
}

/*
 * Child: the supervisor's handlers are gone, nothing is blocked.  SIGPIPE stays ignored: to all
 * roles a peer that went away is an errno, not a death.
 */
static int arrange_signals(void)
{
	static const int handled[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
	sigset_t none;

	for (size_t i = 0; i < ARRAY_SIZE(handled); i++) {
		if (signal(handled[i], SIG_DFL) == SIG_ERR)
			return -1;
	}
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

static noreturn_ void become(const struct spawner *spawner, enum role role, int channel,
			     pid_t parent)
{
	char program[] = "tlsbrokerd", option[] = "-x", name[32], mode[32];
	char *const argv[] = { program, option, name, mode, NULL };
	char *const envp[] = { NULL };

	snprintf(name, sizeof(name), "%s", role_name(role));
	snprintf(mode, sizeof(mode), "--sandbox=%s", sandbox_mode_name(spawner->sandbox));
	/* The supervisor may have died before we were tied to its life: then another is our parent.
	 */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	/* A session of its own: Ctrl-C is the supervisor's to handle, which drains the others. */
	setsid();
	if (arrange_fds(spawner, channel) < 0 || arrange_signals() < 0)
		_exit(1);
	execveat(spawner->exe_fd, "", argv, envp, AT_EMPTY_PATH);
	_exit(1);
}

int spawn_role(const struct spawner *spawner, enum role role, int *ret_fd, pid_t *ret_pid)
{
	pid_t parent = getpid(), pid;
	sigset_t all, before;
	int pair[2], r;

	r = fd_seqpacket_pair(pair);
	if (r < 0)
		return r;
	/* Until it has exec'd, a signal's handler in the child would write into our event loop. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		become(spawner, role, pair[1], parent);
	r = pid < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	fd_close(pair[1]);
	if (r < 0) {
		fd_close(pair[0]);
		return r;
	}
	*ret_fd = pair[0];
	*ret_pid = pid;
	return 0;
}
