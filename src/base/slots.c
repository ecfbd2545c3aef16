#include "base/slots.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"

#define NO_SLOT    UINT32_MAX
#define FIRST_SIZE 16u

struct slot {
	void *thing;         /* NULL: free */
	uint32_t generation; /* of the thing in it, or of the next one */
	uint32_t next_free;
};

void slots_init(struct slots *slots, uint32_t max)
{
	*slots = (struct slots){ .max = max, .free = NO_SLOT };
}

void slots_deinit(struct slots *slots)
{
	free(slots->slots);
	*slots = (struct slots){ .free = NO_SLOT };
}

static int grow(struct slots *slots)
{
	uint32_t size = MIN(MAX(slots->size * 2, FIRST_SIZE), slots->max);
	struct slot *bigger;

	if (size == slots->size)
		return -EMFILE;
	bigger = realloc(slots->slots, size * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	for (uint32_t i = size; i-- > slots->size;) {
		bigger[i] = (struct slot){ .generation = 1, .next_free = slots->free };
		slots->free = i;
	}
	slots->slots = bigger;
	slots->size = size;
	return 0;
}

int slots_add(struct slots *slots, void *thing, uint64_t *ret_id)
{
	struct slot *slot;
	int r = slots->free == NO_SLOT ? grow(slots) : 0;

	assert(thing);
	if (r < 0)
		return r;
	slot = &slots->slots[slots->free];
	*ret_id = (uint64_t)slot->generation << 32 | slots->free;
	slots->free = slot->next_free;
	slot->thing = thing;
	return 0;
}

static struct slot *find(const struct slots *slots, uint64_t id)
{
	uint32_t i = (uint32_t)id;

	if (i >= slots->size || !slots->slots[i].thing ||
	    slots->slots[i].generation != (uint32_t)(id >> 32))
		return NULL;
	return &slots->slots[i];
}

void *slots_get(const struct slots *slots, uint64_t id)
{
	struct slot *slot = find(slots, id);

	return slot ? slot->thing : NULL;
}

void slots_remove(struct slots *slots, uint64_t id)
{
	struct slot *slot = find(slots, id);

	assert(slot);
	slot->thing = NULL;
	if (++slot->generation == 0)
		slot->generation = 1;
	slot->next_free = slots->free;
	slots->free = (uint32_t)id;
}
