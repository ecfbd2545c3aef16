/*
 * What every fuzz target has: an input that is eaten from the front, and must().
 *
 * A target is one file with LLVMFuzzerTestOneInput().  Linked with libFuzzer it looks for inputs of its
 * own ("make fuzz"); linked with replay.c, by any compiler, it is a test over its seeds.  What must
 * hold of every input stands in the target; the sanitizers see the rest.
 */
#ifndef TLSB_TESTS_FUZZ_H
#define TLSB_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Like assert(), in every build. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct input {
	const uint8_t *at;
	size_t left;
};

/* The next LEN bytes at most; where they are.  *RET_LEN: how many there were. */
static inline const uint8_t *take(struct input *input, size_t len, size_t *ret_len)
{
	const uint8_t *bytes = input->at;

	*ret_len = MIN(len, input->left);
	input->at += *ret_len;
	input->left -= *ret_len;
	return bytes;
}

/* The same into DST, with zeros where the input had come to its end. */
static inline void take_into(struct input *input, void *dst, size_t len)
{
	size_t n;
	const uint8_t *bytes = take(input, len, &n);

	memset(dst, 0, len);
	if (n > 0)
		memcpy(dst, bytes, n);
}

static inline uint8_t take_u8(struct input *input)
{
	uint8_t value;

	take_into(input, &value, sizeof(value));
	return value;
}

static inline uint16_t take_u16(struct input *input)
{
	uint16_t value;

	take_into(input, &value, sizeof(value));
	return value;
}

static inline uint32_t take_u32(struct input *input)
{
	uint32_t value;

	take_into(input, &value, sizeof(value));
	return value;
}

/* All that is left, up to MOST bytes, as a string that ends at its allocation's end: the sanitizer sees
 * who reads on.  A NUL in it ends it for most, not for all.  The caller frees it. */
static inline char *take_string(struct input *input, size_t most)
{
	size_t len;
	const uint8_t *bytes = take(input, most, &len);
	char *string = malloc(len + 1);

	must(string);
	if (len > 0)
		memcpy(string, bytes, len);
	string[len] = '\0';
	return string;
}

/* One printable line of ASCII, which is what a terminal or a log may be given. */
static inline bool is_printable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	}
	return true;
}

#endif
