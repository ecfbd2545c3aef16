/*
 * Start a role: fork, then exec this same binary afresh, so that each has an address space layout
 * of its own.  The child inherits its channel on descriptor 3 and nothing else: /dev/null as 0 and
 * 1, no environment, no signal handlers, no terminal; and it dies when the supervisor dies.
 */
#ifndef TLSB_SUPERVISOR_SPAWN_H
#define TLSB_SUPERVISOR_SPAWN_H

#include <sys/types.h>

#include "sandbox/sandbox.h"

struct spawner {
	int exe_fd;       /* this binary, wherever its file is by now */
	int null_fd;      /* /dev/null */
	int keep_stderr;  /* with -d only: a descriptor that a role could write to at will */
	enum sandbox_mode sandbox;
};

/* Open what is needed, before the sandbox forbids it.  0 or -errno. */
int spawn_init(struct spawner *ret_spawner, int keep_stderr, enum sandbox_mode sandbox);

/* All zero is not fine; initialised is. */
void spawn_deinit(struct spawner *spawner);

/* Start ROLE.  The caller owns its channel *ret_fd and waits for *ret_pid.  0 or -errno. */
int spawn_role(const struct spawner *spawner, enum role role, int *ret_fd, pid_t *ret_pid);

#endif
