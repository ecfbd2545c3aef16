/*
 * What every unit test has around it: a time limit, and as many descriptors open after it as
 * before.  Header-only:
 *
 *   static void ring_refuses_a_forged_head(void **state unused_) { ... }
 *
 *   int main(void)
 *   {
 *           const struct CMUnitTest tests[] = { TEST(ring_refuses_a_forged_head) };
 *
 *           return testing_run(tests);
 *   }
 */
#ifndef TLSB_TESTS_TESTING_H
#define TLSB_TESTS_TESTING_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/macros.h"

/* A test that takes so long hangs: no busy machine takes a hundred times what an idle one does. */
#define TESTING_SECONDS 1000

/* Open descriptors of this process. */
static inline int testing_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/*
 * FD's other end has been closed, whatever is left to be read.  Not always at once: who looks through
 * /proc/PID/fd, as "ss -p" and lsof do, holds each file for a moment, and the last who holds it closes it.
 */
static inline bool testing_hangs_up(int fd)
{
	struct pollfd pfd = { .fd = fd };

	return poll(&pfd, 1, 10000) == 1 && (pfd.revents & POLLHUP);
}

/* The same, and all has been read: on both sides. */
static inline bool testing_is_closed(int fd)
{
	char byte;

	return testing_hangs_up(fd) && recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* Close a socket whose other end is to see it now, for the same reason. */
static inline void testing_close(int fd)
{
	shutdown(fd, SHUT_RDWR);
	close(fd);
}

/* An abstract name, so that no file is left behind; another one each time, as the last may not be free yet. */
static inline struct sockaddr_un testing_address(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	static unsigned count;

	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "tlsbroker-test-%d-%u",
		 (int)getpid(), count++);
	return address;
}

static inline int testing_setup(void **state)
{
	alarm(TESTING_SECONDS);
	*state = (void *)(intptr_t)testing_count_fds();
	return 0;
}

static inline int testing_teardown(void **state)
{
	alarm(0);
	assert_int_equal(testing_count_fds(), (int)(intptr_t)*state);
	return 0;
}

/* A row of the list of tests.  The test may use *state, but must leave it as it was. */
#define TEST(function)                                                                             \
	cmocka_unit_test_setup_teardown(function, testing_setup, testing_teardown)

#define testing_run(tests) cmocka_run_group_tests(tests, NULL, NULL)

/*
 * TRY is an expression that does what is measured, and says how long that took.  Too soon is wrong at once; too
 * late is wrong when it is so each time, since a busy machine is late now and then, and what is slow is so always.
 */
#define TESTING_TRIES 20
#define assert_takes(try, least, most)                                                             \
	do {                                                                                       \
		uint64_t took_ = (try);                                                            \
		for (int tries_ = 1; took_ > (most) && tries_ < TESTING_TRIES; tries_++)           \
			took_ = (try);                                                             \
		assert_in_range(took_, least, most);                                               \
	} while (0)

/* A deterministic sequence of numbers (xorshift64*); SEED is not 0. */
static inline uint64_t testing_random(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(2685821657736338717);
}

#endif
