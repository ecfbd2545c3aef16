/*
 * The steps of sandbox_enter(): for sandbox.c, and for tests that look at one alone.
 */
#ifndef TLSB_SANDBOX_STEPS_H
#define TLSB_SANDBOX_STEPS_H

#include "sandbox/sandbox.h"

/* Lower the resource limits to what the role needs; soft and hard, so that there is no way back. */
int rlimits_lower(enum role role, enum sandbox_mode mode);

/*
 * Take file access away, and TCP and signals as far as the kernel's Landlock can.  FILES is for the
 * supervisor; NULL is fine.  -EOPNOTSUPP: the kernel has no Landlock, and nothing was taken away.
 */
int landlock_enter(enum role role, const struct sandbox_files *files);

/* Load the role's filter; *ret_calls as in sandbox_enter(). */
int seccomp_filter_enter(enum role role, enum sandbox_mode mode, unsigned *ret_calls);

/* Write the role's filter, as the kernel gets it, to FD: for tests that run it by themselves. */
int seccomp_filter_export(enum role role, enum sandbox_mode mode, int fd);

/* A call that must fail does fail.  0, or -ENOTRECOVERABLE: it did not. */
int selftest_files(enum role role);
int selftest_filter(enum role role);

/*
 * prctl(2) options that no kernel knows.  A role's own filter answers its own one with this errno,
 * which the kernel would never do; the supervisor's filter lets the children's pass, so that a
 * child proves its own filter and not the one it inherited.
 */
#define CANARY_SUPERVISOR 0x746c7301
#define CANARY_CHILD      0x746c7302
#define CANARY_ERRNO      EDOTDOT

#endif
