#include "frontdoor/handed.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "wire/limits.h"

void handed_deinit(struct handed *handed)
{
	free(handed->ids);
	*handed = (struct handed){ 0 };
}

int handed_reserve(struct handed *handed)
{
	unsigned room = handed->room ? 2 * handed->room : 4;
	uint64_t *ids;

	if (handed->count < handed->room)
		return 0;
	ids = reallocarray(handed->ids, room, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	handed->ids = ids;
	handed->room = room;
	return 0;
}

void handed_add(struct handed *handed, uint64_t id)
{
	assert(handed->count < handed->room && handed->count < LIMIT_CLIENTS_PER_UID);
	handed->ids[handed->count++] = id;
}

int handed_remove(struct handed *handed, uint64_t id)
{
	/* At most LIMIT_CLIENTS_PER_UID of them, most often one or two: searched, not hashed. */
	for (unsigned i = 0; i < handed->count; i++) {
		if (handed->ids[i] == id) {
			handed->ids[i] = handed->ids[--handed->count];
			return 0;
		}
	}
	if (handed->inherited == 0)
		return -EPROTO;
	handed->inherited--;
	return 0;
}

int handed_inherit(struct handed *handed, uint32_t count)
{
	if (handed->told || count > LIMIT_CLIENTS_PER_UID)
		return -EPROTO;
	handed->told = true;
	handed->inherited = count;
	return 0;
}
