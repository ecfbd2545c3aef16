/*
 * What somebody may have meant: of all valid words, the one that takes the fewest changes.
 */
#ifndef TLSB_CONF_NEAREST_H
#define TLSB_CONF_NEAREST_H

#include <stddef.h>

/* The search for one word; all zero but for WORD is its beginning. */
struct nearest {
	const char *word;
	const char *best; /* so far, or NULL */
	unsigned distance;
};

/* VALID is a word, too. */
void nearest_try(struct nearest *nearest, const char *valid);

/* "; did you mean X?" into DST, or nothing when no word is near.  Returns DST. */
char *nearest_hint(const struct nearest *nearest, char *dst, size_t size);

#endif
