#include "connector/namecache.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

struct namecache_entry {
	LIST_ENTRY(namecache_entry) in_bucket;
	TAILQ_ENTRY(namecache_entry) in_order;
	uint64_t expires_ms;
	unsigned index, count;
	char *name;            /* behind LIST */
	struct address list[]; /* COUNT of them */
};

/* FNV-1a.  Chosen names can share a bucket, but there are never more than LIMIT_CACHE_ENTRIES. */
static unsigned bucket_of(const char *name, unsigned index)
{
	uint32_t hash = 2166136261u ^ index;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return hash % NAMECACHE_BUCKETS;
}

static void forget(struct namecache *cache, struct namecache_entry *entry)
{
	LIST_REMOVE(entry, in_bucket);
	TAILQ_REMOVE(&cache->order, entry, in_order);
	cache->count--;
	free(entry);
}

static struct namecache_entry *find(struct namecache *cache, const char *name, unsigned index)
{
	struct namecache_entry *entry;

	LIST_FOREACH(entry, &cache->buckets[bucket_of(name, index)], in_bucket) {
		if (entry->index == index && strcmp(entry->name, name) == 0)
			return entry;
	}
	return NULL;
}

void namecache_init(struct namecache *cache)
{
	*cache = (struct namecache){ 0 };
	TAILQ_INIT(&cache->order);
}

void namecache_clear(struct namecache *cache)
{
	struct namecache_entry *entry;

	while ((entry = TAILQ_FIRST(&cache->order)))
		forget(cache, entry);
}

static struct namecache_entry *entry_new(const char *name, unsigned index,
					 const struct addresses *found)
{
	size_t list = found->count * sizeof(found->list[0]), len = strlen(name) + 1;
	struct namecache_entry *entry = malloc(sizeof(*entry) + list + len);

	if (!entry)
		return NULL;
	*entry = (struct namecache_entry){ .index = index, .count = found->count };
	memcpy(entry->list, found->list, list);
	entry->name = memcpy((char *)entry->list + list, name, len);
	return entry;
}

void namecache_put(struct namecache *cache, const char *name, unsigned index,
		   const struct addresses *found, uint32_t ttl_s, uint64_t now_ms)
{
	struct namecache_entry *entry = find(cache, name, index);

	if (entry)
		forget(cache, entry);
	if (ttl_s == 0)
		return;
	entry = entry_new(name, index, found);
	if (!entry)
		return;
	if (cache->count == LIMIT_CACHE_ENTRIES)
		forget(cache, TAILQ_LAST(&cache->order, namecache_order));
	entry->expires_ms = now_ms + (uint64_t)MIN(ttl_s, LIMIT_CACHE_S) * 1000;
	LIST_INSERT_HEAD(&cache->buckets[bucket_of(name, index)], entry, in_bucket);
	TAILQ_INSERT_HEAD(&cache->order, entry, in_order);
	cache->count++;
}

bool namecache_get(struct namecache *cache, const char *name, unsigned index, uint64_t now_ms,
		   struct addresses *ret_found)
{
	struct namecache_entry *entry = find(cache, name, index);

	if (!entry)
		return false;
	if (now_ms >= entry->expires_ms) {
		forget(cache, entry);
		return false;
	}
	TAILQ_REMOVE(&cache->order, entry, in_order);
	TAILQ_INSERT_HEAD(&cache->order, entry, in_order);
	ret_found->count = entry->count;
	memcpy(ret_found->list, entry->list, entry->count * sizeof(entry->list[0]));
	return true;
}
