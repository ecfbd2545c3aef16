#include "frontdoor/badge.h"

#include <stdio.h>

#include "frontdoor/crew.h"
#include "frontdoor/hand.h"

struct badge *badge_find(struct frontdoor *frontdoor, uint32_t uid, uint32_t number)
{
	struct badge *badge;

	LIST_FOREACH(badge, &frontdoor->badges[uid % BADGE_BUCKETS], in_bucket) {
		if (badge->uid == uid && badge->number == number)
			return badge;
	}
	return NULL;
}

struct badge *badge_get(struct frontdoor *frontdoor, uint32_t uid, uint32_t number)
{
	struct badge *badge = badge_find(frontdoor, uid, number);

	if (badge)
		return badge;
	badge = calloc(1, sizeof(*badge));
	if (!badge)
		return NULL;
	badge->frontdoor = frontdoor;
	badge->uid = uid;
	badge->number = number;
	for (uint32_t i = 0; i < LIMIT_BADGE_WORKERS; i++) {
		badge->hands[i].badge = badge;
		badge->hands[i].nth = i;
	}
	TAILQ_INIT(&badge->waiting);
	LIST_INSERT_HEAD(&frontdoor->badges[uid % BADGE_BUCKETS], badge, in_bucket);
	return badge;
}

void badge_release(struct badge *badge)
{
	if (badge->waiting_count > 0 || crew_count(badge, WORKER_ASKED) > 0 ||
	    crew_count(badge, WORKER_SERVING) > 0)
		return;
	LIST_REMOVE(badge, in_bucket);
	free(badge);
}

char *badge_title(const struct badge *badge, char *dst, size_t size)
{
	const struct rule *rule = rules_of(&badge->frontdoor->rules, badge->number);

	if (rule)
		snprintf(dst, size, "badge %s, user %u", rule->name, badge->uid);
	else
		snprintf(dst, size, "user %u", badge->uid);
	return dst;
}

uint32_t badge_max_connections(const struct badge *badge)
{
	const struct rules *rules = &badge->frontdoor->rules;
	const struct rule *rule = rules_of(rules, badge->number);

	if (badge->number == BADGE_UNDECIDED)
		return LIMIT_CLIENTS_PER_UID; /* more than that none has */
	return rule ? rule->max_connections : rules->max_connections;
}

unsigned badge_max_workers(const struct badge *badge)
{
	const struct rule *rule = rules_of(&badge->frontdoor->rules, badge->number);

	if (badge->number == BADGE_UNDECIDED)
		return 0;
	return rule ? rule->workers : 1;
}

void badge_forget_all(struct frontdoor *frontdoor)
{
	for (unsigned i = 0; i < BADGE_BUCKETS; i++) {
		struct badge *badge;

		while ((badge = LIST_FIRST(&frontdoor->badges[i]))) {
			for (unsigned j = 0; j < LIMIT_BADGE_WORKERS; j++)
				hand_forget(&badge->hands[j]);
			badge_release(badge);
		}
	}
}
