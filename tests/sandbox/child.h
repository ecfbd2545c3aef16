/*
 * Run a function in a process of its own, inside a role's sandbox, and see how it ends.
 */
#ifndef TLSB_TESTS_SANDBOX_CHILD_H
#define TLSB_TESTS_SANDBOX_CHILD_H

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"
#include "sandbox/sandbox.h"

#define CHILD_SECONDS 300

/* The child's exit status when the sandbox could not be entered. */
#define NOT_ENTERED 125

/* Returns the exit status, or minus the signal that killed it. */
static inline int child_run(int (*run)(void *arg), void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		alarm(CHILD_SECONDS);
		_exit(run(arg));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* In the child: 0, or it says why not and ends. */
static inline void child_enter(enum role role, enum sandbox_mode mode,
			       const struct sandbox_files *files)
{
	const char *what = NULL;
	unsigned calls = 0;
	int r = sandbox_enter_with_files(role, mode, SANDBOX_KEEP_ALL, files, &calls, &what);

	if (r == 0)
		return;
	fprintf(stderr, "%s: %s: %d\n", role_name(role), what, r);
	_exit(NOT_ENTERED);
}

#endif
