/*
 * How the harnesses of tests/hostile count.  "make abuse" sets
 *
 *   ATTACKS  a file: each harness appends "CLASS TRIED SURVIVED" to it
 *   ABUSE    "full": as many attacks as there are; else as many as "make check" has time for
 *
 * An attack is survived when its victim did what it should, and nobody else noticed.
 */
#ifndef TLSB_TESTS_ATTACKS_H
#define TLSB_TESTS_ATTACKS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline bool attacks_full(void)
{
	const char *abuse = getenv("ABUSE");

	return abuse && strcmp(abuse, "full") == 0;
}

/* CLASS: "messages", "memory", "sockets", "servers" or "faults". */
static inline void attacks_count(const char *class, unsigned long tried, unsigned long survived)
{
	const char *path = getenv("ATTACKS");
	FILE *file = path ? fopen(path, "ae") : NULL;

	printf("# %s: %lu attacks, %lu survived\n", class, tried, survived);
	if (file) {
		fprintf(file, "%s %lu %lu\n", class, tried, survived);
		fclose(file);
	}
}

#endif
