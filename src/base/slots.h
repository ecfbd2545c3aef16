/*
 * Ids for things that messages name: a slot and a generation, so that a stale id finds nothing, and
 * nobody ever sends a pointer.
 */
#ifndef TLSB_BASE_SLOTS_H
#define TLSB_BASE_SLOTS_H

#include <stdint.h>

struct slots {
	struct slot *slots;
	uint32_t size, max, free; /* free: head of the list of free slots, or UINT32_MAX */
};

/* At most MAX things at once. */
void slots_init(struct slots *slots, uint32_t max);
void slots_deinit(struct slots *slots);

/* A new id for THING (not NULL), never 0.  0 or -EMFILE, -ENOMEM. */
int slots_add(struct slots *slots, void *thing, uint64_t *ret_id);

/* The thing, or NULL when the id is stale or was never given. */
void *slots_get(const struct slots *slots, uint64_t id);

/* Forget it; its id stays stale for ever.  ID must be valid. */
void slots_remove(struct slots *slots, uint64_t id);

#endif
