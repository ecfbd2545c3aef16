#include "frontdoor/crew.h"

#include "frontdoor/badge.h"
#include "frontdoor/hand.h"

unsigned crew_count(const struct badge *badge, enum worker_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LIMIT_BADGE_WORKERS; i++)
		n += badge->hands[i].state == state;
	return n;
}

unsigned crew_clients(const struct badge *badge)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LIMIT_BADGE_WORKERS; i++)
		n += handed_count(&badge->hands[i].handed);
	return n;
}

struct hand *crew_nth(struct badge *badge, uint32_t nth)
{
	return nth < LIMIT_BADGE_WORKERS ? &badge->hands[nth] : NULL;
}

struct hand *crew_pid(struct badge *badge, uint32_t pid)
{
	for (unsigned i = 0; i < LIMIT_BADGE_WORKERS; i++) {
		if (badge->hands[i].state == WORKER_SERVING && badge->hands[i].pid == pid)
			return &badge->hands[i];
	}
	return NULL;
}

/* The first one that may be asked for, or NULL. */
static struct hand *find_absent(struct badge *badge)
{
	unsigned most = badge_max_workers(badge);

	for (unsigned i = 0; i < most; i++) {
		if (badge->hands[i].state == WORKER_ABSENT)
			return &badge->hands[i];
	}
	return NULL;
}

/* Of those with the fewest clients the first, so that the others come to have none, and end. */
static struct hand *find_least(struct badge *badge)
{
	unsigned most = badge_max_workers(badge);
	struct hand *least = NULL;

	for (unsigned i = 0; i < most; i++) {
		struct hand *hand = &badge->hands[i];

		if (hand->state == WORKER_SERVING &&
		    (!least || handed_count(&hand->handed) < handed_count(&least->handed)))
			least = hand;
	}
	return least;
}

bool crew_is_there(struct badge *badge)
{
	return find_least(badge);
}

struct hand *crew_next(struct badge *badge)
{
	struct hand *least = find_least(badge);

	if (!least || badge->settles || handed_count(&least->handed) == 0)
		return least;
	return crew_count(badge, WORKER_ASKED) > 0 || find_absent(badge) ? NULL : least;
}

void crew_want(struct badge *badge)
{
	unsigned asked = crew_count(badge, WORKER_ASKED);
	struct hand *hand;

	while (asked < badge->waiting_count && (hand = find_absent(badge))) {
		hand_want(hand);
		asked++;
	}
}

void crew_resize(struct badge *badge)
{
	for (unsigned i = 0; i < LIMIT_BADGE_WORKERS; i++)
		hand_update_idle(&badge->hands[i]);
}
