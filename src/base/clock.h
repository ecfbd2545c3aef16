/*
 * Deadlines follow the monotonic clock, so a changed wall clock moves none of them.
 */
#ifndef TLSB_BASE_CLOCK_H
#define TLSB_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds since boot, suspend not counted. */
static inline uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Microseconds, to measure with. */
static inline uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The same to the resolution of the kernel's tick, without a system call even on odd clocks. */
static inline uint64_t clock_coarse_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

#endif
