/*
 * A stream of bytes that both ends of a test can make up and check: byte I of stream SEED is byte
 * I % 8 of splitmix64(SEED + I / 8).  Lost, repeated, swapped or stale bytes cannot go unseen.
 */
#ifndef TLSB_TESTS_PATTERN_H
#define TLSB_TESTS_PATTERN_H

#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pattern {
	uint64_t seed;
	uint64_t at;
};

static inline uint64_t splitmix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* The stream's next bytes, LEN at most, up to the end of their word: how many. */
static inline size_t pattern_next(struct pattern *pattern, size_t len, uint8_t bytes[8])
{
	uint64_t word = splitmix(pattern->seed + pattern->at / 8);
	size_t skip = pattern->at % 8, n = 8 - skip < len ? 8 - skip : len;

	memcpy(bytes, &word, 8);
	if (skip > 0)
		memmove(bytes, bytes + skip, n);
	pattern->at += n;
	return n;
}

/*
 * The next LEN bytes of the stream.  Gibibytes of them: whole words are copied, and compared, without
 * a call for each.
 */
static inline void pattern_fill(struct pattern *pattern, uint8_t *to, size_t len)
{
	uint8_t bytes[8];

	for (size_t n; len > 0; to += n, len -= n) {
		n = pattern_next(pattern, len, bytes);
		if (n == 8)
			memcpy(to, bytes, 8);
		else
			memcpy(to, bytes, n);
	}
}

static inline int pattern_same(const uint8_t *a, const uint8_t *b, size_t n)
{
	uint64_t x, y;

	if (n != 8)
		return memcmp(a, b, n) == 0;
	memcpy(&x, a, 8);
	memcpy(&y, b, 8);
	return x == y;
}

/* 1 when FROM holds the next LEN bytes of the stream. */
static inline int pattern_matches(struct pattern *pattern, const uint8_t *from, size_t len)
{
	uint8_t bytes[8];

	for (size_t n; len > 0; from += n, len -= n) {
		n = pattern_next(pattern, len, bytes);
		if (!pattern_same(from, bytes, n))
			return 0;
	}
	return 1;
}

/* A running SHA-256. */
static inline EVP_MD_CTX *digest_new(void)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();

	if (!digest || EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1)
		abort();
	return digest;
}

/* Its value in hexadecimal; frees it. */
static inline const char *digest_end(EVP_MD_CTX *digest, char hex[65])
{
	uint8_t raw[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (EVP_DigestFinal_ex(digest, raw, &len) != 1)
		abort();
	for (unsigned i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", raw[i]);
	EVP_MD_CTX_free(digest);
	return hex;
}

#endif
