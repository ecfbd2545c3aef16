/*
 * What processes have used, as the kernel says.
 */
#ifndef TLSB_BENCH_USAGE_H
#define TLSB_BENCH_USAGE_H

#include <stddef.h>
#include <sys/types.h>

struct crowd {
	pid_t pids[4096];
	size_t count;
};

/* PID; and PID with all that come from it. */
void crowd_add(struct crowd *, pid_t pid);
void crowd_add_family(struct crowd *, pid_t pid);

/* Seconds of processor time that they have used so far. */
double crowd_cpu(const struct crowd *);

/* How often they have been put to sleep, or were made to make room. */
double crowd_switches(const struct crowd *);

struct footprint {
	double kib;    /* shared pages once */
	double tables; /* KiB of page tables */
	double files;  /* descriptors; -1 when one of them may not be looked at */
	double kernel; /* KiB of slabs, stacks and page tables, of the whole machine */
};

struct footprint crowd_footprint(const struct crowd *);

#endif
