/*
 * A thread that rewrites a session's memory through a mapping of its own, as fast as it can, until
 * it is stopped.  Header-only.
 */
#ifndef TLSB_TESTS_ENEMY_H
#define TLSB_TESTS_ENEMY_H

#include <pthread.h>
#include <stdbool.h>

#include "ring/channel.h"
#include "tests/unit/testing.h"

enum enemy_way {
	ENEMY_EDGES,  /* every word is on an edge */
	ENEMY_RANDOM, /* every word is anything */
	ENEMY_NEAR,   /* every word is possible, and wrong */
	ENEMY_FLIPS,  /* indices are possible, impossible, possible ... */
	ENEMY_BYTES,  /* no word is touched, only the bytes in the rings */
	ENEMY_WAYS,
};

struct enemy {
	pthread_t thread;
	struct channel *channel; /* mapped until it is stopped; whose, does not matter */
	enum enemy_way way;
	uint64_t seed;
	unsigned long writes;
	atomic_bool stop;
};

static inline _Atomic uint32_t *enemy_word(struct control_page *page, unsigned number)
{
	_Atomic uint32_t *words[] = {
		&page->state,         &page->ended,         &page->error,         &page->rx_end,
		&page->tx_end,        &page->rx.head.value, &page->rx.tail.value, &page->tx.head.value,
		&page->tx.tail.value, &page->program_wants, &page->tx_fin,        &page->worker_wants,
	};

	return words[number % ARRAY_SIZE(words)];
}

static inline void enemy_put(struct enemy *enemy, _Atomic uint32_t *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
	enemy->writes++;
}

/* Head and tail of a ring as far apart as they may be, and not as they are; or too far. */
static inline void enemy_move(struct enemy *enemy, struct ring_words *words, uint32_t random,
			      uint32_t too_far)
{
	uint32_t apart = random % (enemy->channel->tx.capacity + 1) + too_far;

	if (random >> 31)
		enemy_put(enemy, &words->head.value, atomic_load(&words->tail.value) + apart);
	else
		enemy_put(enemy, &words->tail.value, atomic_load(&words->head.value) - apart);
}

static inline void enemy_write_texts(struct enemy *enemy, uint64_t random)
{
	struct control_page *page = enemy->channel->page;

	((volatile char *)page->text)[random % sizeof(page->text)] = (char)(random >> 32);
	((volatile char *)&page->info)[random % sizeof(page->info)] = (char)(random >> 40);
	enemy->writes += 2;
}

static inline void enemy_write_bytes(struct enemy *enemy, uint64_t random)
{
	const struct ring *ring = random >> 63 ? &enemy->channel->rx : &enemy->channel->tx;
	volatile uint64_t *bytes = (void *)ring->bytes;

	for (uint32_t i = 0; i < 64; i++)
		bytes[(random + i) % (ring->capacity / 8)] = random + i;
	enemy->writes += 64;
}

static inline void enemy_strike(struct enemy *enemy)
{
	static const uint32_t edges[] = { 0, 1, INT32_MAX, 0x80000000u, 0x80000001u, UINT32_MAX,
					  LIMIT_RING_MAX, LIMIT_RING_MAX + 1, 0u - LIMIT_RING_MAX,
					  LIMIT_RING_MIN, LIMIT_RING_MIN + 1, 2 * LIMIT_RING_MAX };
	struct control_page *page = enemy->channel->page;
	uint64_t random = testing_random(&enemy->seed);
	uint32_t low = (uint32_t)random, high = (uint32_t)(random >> 32);
	struct ring_words *words = low & 16 ? &page->rx : &page->tx;

	switch (enemy->way) {
	case ENEMY_EDGES:
		enemy_put(enemy, enemy_word(page, low), edges[high % ARRAY_SIZE(edges)]);
		break;
	case ENEMY_RANDOM:
		enemy_put(enemy, enemy_word(page, low), high >> (random >> 27 & 31));
		enemy_write_texts(enemy, random);
		break;
	case ENEMY_NEAR:
		enemy_move(enemy, words, high, 0);
		enemy_put(enemy, &page->program_wants, low & 7);
		enemy_put(enemy, &page->worker_wants, low >> 3 & 7);
		break;
	case ENEMY_FLIPS:
		enemy_move(enemy, words, high, 0);
		enemy_move(enemy, words, high, enemy->channel->tx.capacity);
		enemy_move(enemy, words, high, 0);
		break;
	default:
		enemy_write_bytes(enemy, random);
	}
}

static inline void *enemy_run(void *arg)
{
	struct enemy *enemy = arg;

	while (!atomic_load_explicit(&enemy->stop, memory_order_relaxed))
		enemy_strike(enemy);
	return NULL;
}

static inline void enemy_start(struct enemy *enemy, struct channel *channel, enum enemy_way way,
			       uint64_t seed)
{
	*enemy = (struct enemy){ .channel = channel, .way = way, .seed = seed * 2 + 1 };
	assert_int_equal(pthread_create(&enemy->thread, NULL, enemy_run, enemy), 0);
}

/* Returns how often it wrote. */
static inline unsigned long enemy_stop(struct enemy *enemy)
{
	atomic_store(&enemy->stop, true);
	pthread_join(enemy->thread, NULL);
	return enemy->writes;
}

#endif
