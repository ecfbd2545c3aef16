/*
 * OpenSSL's memory in a fuzz target: not the sanitizer's, which takes more time for it than all the
 * rest together.  What OpenSSL does with its own memory is not what is looked for; ours is watched.  Not
 * for a target whose OpenSSL keeps hold of ours from one input to the next: it would seem to leak.
 */
#ifndef TLSB_TESTS_OPENSSL_H
#define TLSB_TESTS_OPENSSL_H

#include <openssl/crypto.h>

#include "tests/fuzz/fuzz.h"

/* libc's own, under the names that no sanitizer takes. */
void *__libc_malloc(size_t size);
void *__libc_realloc(void *at, size_t size);
void __libc_free(void *at);

static inline void *plain_malloc(size_t size, const char *file unused_, int line unused_)
{
	return __libc_malloc(size);
}

static inline void *plain_realloc(void *at, size_t size, const char *file unused_, int line unused_)
{
	return __libc_realloc(at, size);
}

static inline void plain_free(void *at, const char *file unused_, int line unused_)
{
	__libc_free(at);
}

/* Before the first use of OpenSSL. */
static inline void use_plain_memory(void)
{
	must(CRYPTO_set_mem_functions(plain_malloc, plain_realloc, plain_free) == 1);
}

#endif
