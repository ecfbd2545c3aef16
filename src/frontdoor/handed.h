/*
 * The clients that one worker was handed and has not given back: what its user's quota counts.  The
 * worker says when one has gone; it can be wrong only about its own user.
 */
#ifndef TLSB_FRONTDOOR_HANDED_H
#define TLSB_FRONTDOOR_HANDED_H

#include <stdbool.h>
#include <stdint.h>

struct handed {
	uint64_t *ids;
	unsigned count, room;
	unsigned inherited; /* of an earlier frontdoor, whose ids we do not know */
	bool told;          /* how many those are was said */
};

/* All of them gone; all zero is fine. */
void handed_deinit(struct handed *handed);

/* Make room, so that handed_add() cannot fail.  0 or -ENOMEM. */
int handed_reserve(struct handed *handed);
void handed_add(struct handed *handed, uint64_t id);

/* From the worker: that client has gone.  -EPROTO: it never had it. */
int handed_remove(struct handed *handed, uint64_t id);

/* From the worker: it already has COUNT clients.  -EPROTO: too many, or said before. */
int handed_inherit(struct handed *handed, uint32_t count);

static inline unsigned handed_count(const struct handed *handed)
{
	return handed->count + handed->inherited;
}

#endif
