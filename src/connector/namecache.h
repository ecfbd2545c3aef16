/*
 * What name servers said, for as long as they said it holds (TTL), at most LIMIT_CACHE_S.
 *
 * One entry for each name and family.  That a name has no address of one family is kept only beside
 * addresses of the other one, for their time: a failure is always asked again.  All badges share
 * the cache, as they would share the machine's own name server.
 */
#ifndef TLSB_CONNECTOR_NAMECACHE_H
#define TLSB_CONNECTOR_NAMECACHE_H

#include <sys/queue.h>

#include "connector/address.h"

#define NAMECACHE_BUCKETS 512

struct namecache_entry;

struct namecache {
	LIST_HEAD(, namecache_entry) buckets[NAMECACHE_BUCKETS];
	TAILQ_HEAD(namecache_order, namecache_entry) order; /* last used first */
	unsigned count;
};

void namecache_init(struct namecache *cache);

/* Forget everything.  All zero is fine. */
void namecache_clear(struct namecache *cache);

/* Keep FOUND, which replaces what was there.  A TTL of 0, or no memory: nothing is kept. */
void namecache_put(struct namecache *cache, const char *name, unsigned index,
		   const struct addresses *found, uint32_t ttl_s, uint64_t now_ms);

/* Whether it is known which addresses of V6 or V4 a name has; then *ret_found. */
bool namecache_get(struct namecache *cache, const char *name, unsigned index, uint64_t now_ms,
		   struct addresses *ret_found);

#endif
