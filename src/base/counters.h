/*
 * A role's counters: a page that it shares with the supervisor, which only reads.  Plain numbers, so
 * a role that lies harms the numbers and nothing else.
 */
#ifndef TLSB_BASE_COUNTERS_H
#define TLSB_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

enum counter {
#define COUNTER(name, kind, doc) COUNTER_##name,
#include "base/counters.def"
#undef COUNTER
	COUNTER_COUNT,
};

enum counter_kind { COUNT, GAUGE };

struct counters {
	_Atomic uint64_t value[COUNTER_COUNT];
};

struct counter_info {
	const char *name;
	enum counter_kind kind;
	const char *doc;
};

extern const struct counter_info counter_info[COUNTER_COUNT];

/* Supervisor: a new page; *ret_fd is sent to the role.  The caller unmaps and closes.  0 or -errno. */
int counters_create(struct counters **ret_counters, int *ret_fd);

/* Role: map the page.  FD stays the caller's.  0 or -errno. */
int counters_attach(struct counters **ret_counters, int fd);

/* NULL is fine. */
void counters_unmap(struct counters *counters);

/* One writer for each page, so no read-modify-write is needed. */
static inline void counters_add(struct counters *counters, enum counter which, int64_t delta)
{
	uint64_t old = atomic_load_explicit(&counters->value[which], memory_order_relaxed);

	atomic_store_explicit(&counters->value[which], old + (uint64_t)delta, memory_order_relaxed);
}

static inline uint64_t counters_get(const struct counters *counters, enum counter which)
{
	return atomic_load_explicit(&counters->value[which], memory_order_relaxed);
}

#endif
