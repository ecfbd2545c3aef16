/*
 * The clock of a test that is one process with one thread: it stands still while anything is computed, and
 * goes on by what the test waits.  So what is measured by it is what was waited for, on a busy machine as on
 * an idle one.  It is never ahead of the clock on the wall: what another process or the kernel does within a
 * time, it has done by then.
 *
 * It takes the place of libc's calls, for libevent and c-ares as well: include this, and it is so.
 */
#ifndef TLSB_TESTS_TESTING_CLOCK_H
#define TLSB_TESTS_TESTING_CLOCK_H

#include "testing.h"

#include <event2/event.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>

/* Who looks at it again and again sees it go on: otherwise some would do so for ever. */
#define TESTING_CLOCK_LOOK_NS 1000

/* Who is not woken in time has waited so much more at most. */
#define TESTING_CLOCK_LATE_NS 5000000

static uint64_t testing_clock_ns = UINT64_C(1000000000000);
static unsigned testing_clock_looks;

/* The one on the wall. */
static inline uint64_t testing_wall_ns(void)
{
	struct timespec now;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* 0, or -1 with EINTR. */
static inline int testing_clock_wait(uint64_t ns)
{
	const struct timespec span = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
	uint64_t began = testing_wall_ns();
	int r = (int)syscall(SYS_nanosleep, &span, NULL);

	testing_clock_ns += MIN(testing_wall_ns() - began, ns + TESTING_CLOCK_LATE_NS);
	return r;
}

static inline uint64_t testing_clock_end(int timeout_ms)
{
	return timeout_ms < 0 ? UINT64_MAX : testing_clock_ns + (uint64_t)timeout_ms * 1000000;
}

#pragma GCC visibility push(default)

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)
		return (int)syscall(SYS_clock_gettime, clock, ret);
	testing_clock_looks++;
	testing_clock_ns += TESTING_CLOCK_LOOK_NS;
	ret->tv_sec = (time_t)(testing_clock_ns / 1000000000);
	ret->tv_nsec = (long)(testing_clock_ns % 1000000000);
	return 0;
}

int usleep(useconds_t us)
{
	return testing_clock_wait(us * UINT64_C(1000));
}

/* Waits a millisecond at a time, and looks behind each. */
int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	const uint64_t end_ns = testing_clock_end(timeout_ms);
	const struct timespec at_once = { 0, 0 };

	for (;;) {
		long r = syscall(SYS_ppoll, fds, count, &at_once, NULL, (size_t)0);

		if (r != 0 || testing_clock_ns >= end_ns)
			return (int)r;
		if (testing_clock_wait(MIN(1000000, end_ns - testing_clock_ns)) < 0)
			return -1;
	}
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms)
{
	const uint64_t end_ns = testing_clock_end(timeout_ms);

	for (;;) {
		long r = syscall(SYS_epoll_pwait, fd, events, most, 0, NULL, (size_t)(_NSIG / 8));

		if (r != 0 || testing_clock_ns >= end_ns)
			return (int)r;
		if (testing_clock_wait(MIN(1000000, end_ns - testing_clock_ns)) < 0)
			return -1;
	}
}

#pragma GCC visibility pop

/*
 * How often the loop, or what it calls, looks at the clock in so long, less than a second: what spins does so all
 * the time.  Turns of the loop would not tell: an event that makes itself active again stays within one.
 */
static inline unsigned testing_looks(struct event_base *base, unsigned ms)
{
	const struct timeval span = { 0, (suseconds_t)ms * 1000 };
	unsigned before = testing_clock_looks;

	event_base_loopexit(base, &span);
	event_base_loop(base, 0);
	return testing_clock_looks - before;
}

#endif
