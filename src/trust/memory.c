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
static bool wipes, keeps;

/* ---- large blocks, as of memory_keep() ---- */

/* As large as a message, a record to send, or several that were read at once. */
#define LARGE_BYTES (16 * 1024)
#define LARGE_BYTES_MAX (72 * 1024)

static void *kept[4];

/* One in which SIZE bytes are not much less than what fits, or NULL. */
static void *take_kept(size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept) && size >= LARGE_BYTES; i++) {
		size_t fits = kept[i] ? malloc_usable_size(kept[i]) : 0;
		void *p = kept[i];

		if (fits >= size && fits - size < size / 8) {
			kept[i] = NULL;
			return p;
		}
	}
	return NULL;
}

static bool keep(void *old)
{
	size_t fits = keeps && old ? malloc_usable_size(old) : 0;

	for (size_t i = 0; i < ARRAY_SIZE(kept) && fits >= LARGE_BYTES && fits < LARGE_BYTES_MAX; i++) {
		if (!kept[i]) {
			kept[i] = old;
			return true;
		}
	}
	return false;
}

/* ---- OpenSSL's hooks ---- */

static void *watched_malloc(size_t size, const char *file unused_, int line unused_)
{
	void *p = take_kept(size);

	if (!p && size > 0) {
		p = malloc(size);
		failures += !p;
	}
	return p;
}

static void watched_free(void *old, const char *file unused_, int line unused_)
{
	if (wipes && old)
		OPENSSL_cleanse(old, malloc_usable_size(old));
	if (!keep(old))
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

	if (!old)
		return watched_malloc(size, NULL, 0);
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

void memory_keep(void)
{
	keeps = true;
}

unsigned long memory_failures(void)
{
	return failures;
}
