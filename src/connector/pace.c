#include "connector/pace.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define SECOND_MS 1000

static bool is_over(const struct pace *pace, uint64_t now_ms)
{
	return now_ms - pace->since_ms >= SECOND_MS;
}

static void forget(struct pace *pace)
{
	LIST_REMOVE(pace, next);
	free(pace);
}

/* Those that no channel uses are gone after a second: so they are as few as workers that ended in it. */
static struct pace *find(struct paces *paces, uint32_t uid, uint32_t badge, uint64_t now_ms)
{
	struct pace *pace, *next, *found = NULL;

	for (pace = LIST_FIRST(paces); pace; pace = next) {
		next = LIST_NEXT(pace, next);
		if (pace->uid == uid && pace->badge == badge)
			found = pace;
		else if (pace->users == 0 && is_over(pace, now_ms))
			forget(pace);
	}
	return found;
}

struct pace *pace_get(struct paces *paces, uint32_t uid, uint32_t badge, uint64_t now_ms)
{
	struct pace *pace = find(paces, uid, badge, now_ms);

	if (!pace) {
		pace = calloc(1, sizeof(*pace));
		if (!pace)
			return NULL;
		pace->uid = uid;
		pace->badge = badge;
		pace->since_ms = now_ms;
		LIST_INSERT_HEAD(paces, pace, next);
	}
	pace->users++;
	return pace;
}

void pace_release(struct pace *pace)
{
	pace->users--;
}

int pace_take(struct pace *pace, uint32_t rate, uint64_t now_ms)
{
	if (is_over(pace, now_ms)) {
		pace->since_ms = now_ms;
		pace->count = 0;
	}
	if (rate > 0 && pace->count >= rate)
		return -EMFILE;
	pace->count++;
	return 0;
}

void paces_deinit(struct paces *paces)
{
	while (!LIST_EMPTY(paces))
		forget(LIST_FIRST(paces));
}
