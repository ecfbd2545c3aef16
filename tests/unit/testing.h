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
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"

#define TESTING_SECONDS 30

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

/* A deterministic sequence of numbers (xorshift64*); SEED is not 0. */
static inline uint64_t testing_random(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(2685821657736338717);
}

#endif
