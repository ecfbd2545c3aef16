#include "trust/memory.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

/* OpenSSL's hooks have no argument of ours. */
static unsigned long failures;
static bool wipes;

static void *watched_malloc(size_t size, const char *file unused_, int line unused_)
{
	void *p = size > 0 ? malloc(size) : NULL;

	failures += !p && size > 0;
	return p;
}

static void watched_free(void *old, const char *file unused_, int line unused_)
{
	if (wipes && old)
		OPENSSL_cleanse(old, malloc_usable_size(old));
	free(old);
}

/* realloc() would leave a copy behind. */
static void *move(void *old, size_t size)
{
	void *p = malloc(size);

	if (p && old)
		memcpy(p, old, MIN(malloc_usable_size(old), size));
	if (p)
		watched_free(old, NULL, 0);
	return p;
}

static void *watched_realloc(void *old, size_t size, const char *file unused_, int line unused_)
{
	void *p;

	if (size == 0) {
		watched_free(old, NULL, 0);
		return NULL;
	}
	p = wipes ? move(old, size) : realloc(old, size);
	failures += !p;
	return p;
}

int memory_watch(void)
{
	return CRYPTO_set_mem_functions(watched_malloc, watched_realloc, watched_free) ? 0 : -EBUSY;
}

void memory_wipe(void)
{
	wipes = true;
}

unsigned long memory_failures(void)
{
	return failures;
}
