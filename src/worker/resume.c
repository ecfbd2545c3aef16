#include "worker/resume.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "wire/limits.h"

/* Enough that a bucket of a full cache holds four entries. */
#define BUCKETS (LIMIT_RESUME_ENTRIES / 4)

struct entry {
	LIST_ENTRY(entry) in_bucket;
	TAILQ_ENTRY(entry) by_age;
	struct resume_key key;
	SSL_SESSION *session;
	time_t until;
};

struct resume_cache {
	LIST_HEAD(, entry) buckets[BUCKETS];
	TAILQ_HEAD(, entry) by_age; /* oldest first */
	unsigned count;
};

struct resume_cache *resume_cache_new(void)
{
	struct resume_cache *cache = calloc(1, sizeof(*cache));

	if (cache)
		TAILQ_INIT(&cache->by_age);
	return cache;
}

static void drop(struct resume_cache *cache, struct entry *entry)
{
	LIST_REMOVE(entry, in_bucket);
	TAILQ_REMOVE(&cache->by_age, entry, by_age);
	cache->count--;
	SSL_SESSION_free(entry->session);
	free(entry);
}

void resume_flush(struct resume_cache *cache)
{
	struct entry *entry;

	while ((entry = TAILQ_FIRST(&cache->by_age)))
		drop(cache, entry);
}

struct resume_cache *resume_cache_free(struct resume_cache *cache)
{
	if (cache) {
		resume_flush(cache);
		free(cache);
	}
	return NULL;
}

static unsigned bucket_of(const struct resume_key *key)
{
	/* The key is a digest: any of its bytes are as good as a hash. */
	return (key->bytes[0] | (unsigned)key->bytes[1] << 8) % BUCKETS;
}

/* The oldest entry of a key that has as many as it may have, or NULL. */
static struct entry *one_too_many(struct resume_cache *cache, const struct resume_key *key)
{
	struct entry *entry, *oldest = NULL;
	unsigned count = 0;

	LIST_FOREACH(entry, &cache->buckets[bucket_of(key)], in_bucket)
	{
		if (memcmp(&entry->key, key, sizeof(*key)) != 0)
			continue;
		oldest = entry; /* a bucket has its newest entry first */
		count++;
	}
	return count >= LIMIT_RESUME_OF_ONE ? oldest : NULL;
}

void resume_put(struct resume_cache *cache, const struct resume_key *key, SSL_SESSION *session,
		time_t until)
{
	struct entry *entry = malloc(sizeof(*entry)), *old;

	if (!entry || !SSL_SESSION_up_ref(session)) {
		free(entry);
		return; /* a session that is not kept costs a full handshake, nothing else */
	}
	*entry = (struct entry){ .key = *key, .session = session, .until = until };
	old = one_too_many(cache, key);
	if (!old && cache->count >= LIMIT_RESUME_ENTRIES)
		old = TAILQ_FIRST(&cache->by_age);
	if (old)
		drop(cache, old);
	LIST_INSERT_HEAD(&cache->buckets[bucket_of(key)], entry, in_bucket);
	TAILQ_INSERT_TAIL(&cache->by_age, entry, by_age);
	cache->count++;
}

SSL_SESSION *resume_take(struct resume_cache *cache, const struct resume_key *key,
			 time_t *ret_until)
{
	struct entry *entry, *next;
	time_t now = time(NULL);

	for (entry = LIST_FIRST(&cache->buckets[bucket_of(key)]); entry; entry = next) {
		SSL_SESSION *session = entry->session;

		next = LIST_NEXT(entry, in_bucket);
		if (memcmp(&entry->key, key, sizeof(*key)) != 0)
			continue;
		if (entry->until <= now || !SSL_SESSION_is_resumable(session)) {
			drop(cache, entry);
			continue;
		}
		SSL_SESSION_up_ref(session);
		*ret_until = entry->until;
		if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION)
			drop(cache, entry);
		return session;
	}
	return NULL;
}
