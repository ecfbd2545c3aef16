#include "trust/memory.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/macros.h"

static unsigned long failures; /* OpenSSL's hooks have no argument of ours */

static void *watched_malloc(size_t size, const char *file unused_, int line unused_)
{
	void *p = size > 0 ? malloc(size) : NULL;

	failures += !p && size > 0;
	return p;
}

static void *watched_realloc(void *old, size_t size, const char *file unused_, int line unused_)
{
	void *p;

	if (size == 0) {
		free(old);
		return NULL;
	}
	p = realloc(old, size);
	failures += !p;
	return p;
}

static void watched_free(void *old, const char *file unused_, int line unused_)
{
	free(old);
}

int memory_watch(void)
{
	return CRYPTO_set_mem_functions(watched_malloc, watched_realloc, watched_free) ? 0 : -EBUSY;
}

unsigned long memory_failures(void)
{
	return failures;
}
