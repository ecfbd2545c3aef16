/*
 * An enemy for trap.h: at a certain moment of its victim's call it rewrites one word of the page, or
 * the whole page; and, if it flips, undoes that after the next access, and so on to the end.
 * Header-only.
 */
#ifndef TLSB_TESTS_FLIPS_H
#define TLSB_TESTS_FLIPS_H

#include "tests/attacks.h"
#include "tests/unit/testing.h"
#include "trap.h"

static const size_t flips_words[] = {
	offsetof(struct control_page, state),   offsetof(struct control_page, ended),
	offsetof(struct control_page, error),   offsetof(struct control_page, rx_end),
	offsetof(struct control_page, tx_end),  offsetof(struct control_page, rx.head),
	offsetof(struct control_page, rx.tail), offsetof(struct control_page, tx.head),
	offsetof(struct control_page, tx.tail), offsetof(struct control_page, program_wants),
	offsetof(struct control_page, tx_fin),  offsetof(struct control_page, worker_wants),
};

static struct flips {
	struct control_page *page; /* the enemy's mapping */
	struct control_page before;
	size_t word; /* which of the words; past their end: the whole page */
	uint32_t value;
	unsigned at; /* after how many accesses */
	bool flips;
} flips;

static inline void flips_write(void)
{
	_Atomic uint32_t *words = (void *)flips.page;

	for (size_t i = 0; i < offsetof(struct control_page, text) / sizeof(*words); i++) {
		if (flips.word == ARRAY_SIZE(flips_words) ||
		    flips_words[flips.word] == i * sizeof(*words))
			atomic_store(&words[i], flips.value);
	}
	if (flips.word == ARRAY_SIZE(flips_words)) {
		memset(flips.page->text, (int)flips.value | 0x80, sizeof(flips.page->text));
		memset(&flips.page->info, (int)flips.value | 0x80, sizeof(flips.page->info));
	}
}

/* For trap_on(). */
static inline void flips_between(unsigned accesses)
{
	if (accesses < flips.at || (accesses > flips.at && !flips.flips))
		return;
	if ((accesses - flips.at) % 2 == 0)
		flips_write();
	else
		memcpy(flips.page, &flips.before, sizeof(flips.before));
}

/* Before trap_on(): PAGE is as the victim is to find it. */
static inline void flips_begin(struct control_page *page)
{
	flips.page = page;
	memcpy(&flips.before, page, sizeof(flips.before));
	if (flips.at == 0)
		flips_write();
}

/* Is it a word that the call reads, or the whole page?  The others are nothing to it. */
static inline bool flips_matter(const char *touches)
{
	return flips.word == ARRAY_SIZE(flips_words) ||
	       strstr(touches, trap_name(flips_words[flips.word]));
}

/*
 * A call that TOUCHES these words, at each moment of it, with each of them and every VALUE; or with
 * one in ONE_IN of these.  ATTACK makes one call, and returns how often it touched the page.  Returns
 * how many were made.
 */
static inline unsigned long flips_all(const char *touches, const uint32_t *values, size_t count,
				      unsigned one_in, unsigned (*attack)(void *arg), void *arg)
{
	const size_t all = (ARRAY_SIZE(flips_words) + 1) * count * 2;
	unsigned long tried = 0;
	unsigned most = 1;
	uint64_t seed = 19;

	/* Copying text or info is many accesses, of which each 16th is enough. */
	for (flips.at = 0; flips.at < most; flips.at += flips.at < 16 ? 1 : 16) {
		for (size_t i = 0; i < all; i++) {
			flips.flips = i % 2;
			flips.value = values[i / 2 % count];
			flips.word = i / 2 / count;
			if (!flips_matter(touches) ||
			    (tried > 0 && testing_random(&seed) % one_in != 0))
				continue; /* but the first says how many moments there are */
			most = MAX(most, attack(arg));
			tried++;
		}
	}
	return tried;
}

#endif
