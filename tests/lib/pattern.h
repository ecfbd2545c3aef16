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

/* The next LEN bytes of the stream. */
static inline void pattern_fill(struct pattern *pattern, uint8_t *to, size_t len)
{
	while (len > 0) {
		uint64_t word = splitmix(pattern->seed + pattern->at / 8);
		size_t skip = pattern->at % 8, n = 8 - skip < len ? 8 - skip : len;

		memcpy(to, (uint8_t *)&word + skip, n);
		pattern->at += n;
		to += n;
		len -= n;
	}
}

/* 1 when FROM holds the next LEN bytes of the stream. */
static inline int pattern_matches(struct pattern *pattern, const uint8_t *from, size_t len)
{
	while (len > 0) {
		uint64_t word = splitmix(pattern->seed + pattern->at / 8);
		size_t skip = pattern->at % 8, n = 8 - skip < len ? 8 - skip : len;

		if (memcmp(from, (uint8_t *)&word + skip, n) != 0)
			return 0;
		pattern->at += n;
		from += n;
		len -= n;
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
