/*
 * Few descriptors: between scarce_begin() and scarce_end() this process gets LEFT more at most.
 * Header-only.
 */
#ifndef TLSB_TESTS_SCARCE_H
#define TLSB_TESTS_SCARCE_H

#include "tests/unit/testing.h"

#include <sys/resource.h>

struct scarce {
	struct rlimit old;
};

static inline void scarce_begin(struct scarce *scarce, unsigned left)
{
	const int lowest_free = dup(STDIN_FILENO);
	struct rlimit low;

	assert_true(lowest_free >= 0);
	close(lowest_free);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &scarce->old), 0);
	low = (struct rlimit){ (rlim_t)lowest_free + left, scarce->old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
}

static inline void scarce_end(const struct scarce *scarce)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &scarce->old), 0);
}

/* More descriptors in a message than SCARCE_LEFT lets in. */
#define SCARCE_LEFT 12
static const size_t scarce_counts[] = { 1, 2, 3, 4, 5, 8, 9, 10, 20, 250 };

#endif
