#include "supervisor/seats.h"

#include <stdlib.h>

#include "base/macros.h"

/* As many empty seats as used ones. */
#define SEATS_MAX (2 * LIMIT_WORKERS)

void seats_init(struct seats *seats)
{
	TAILQ_INIT(&seats->list);
	seats->count = 0;
}

static void remove_seat(struct seats *seats, struct seat *seat)
{
	TAILQ_REMOVE(&seats->list, seat, next);
	seats->count--;
	free(seat);
}

void seats_deinit(struct seats *seats)
{
	struct seat *seat, *next;

	for (seat = TAILQ_FIRST(&seats->list); seat; seat = next) {
		next = TAILQ_NEXT(seat, next);
		free(seat);
	}
	seats_init(seats);
}

struct seat *seats_find(struct seats *seats, uint32_t uid, uint32_t badge, uint32_t nth)
{
	struct seat *seat;

	TAILQ_FOREACH(seat, &seats->list, next) {
		if (seat->uid == uid && seat->badge == badge && seat->nth == nth)
			return seat;
	}
	return NULL;
}

unsigned seats_width(const struct seats *seats, uint32_t uid, uint32_t badge)
{
	const struct seat *seat;
	unsigned width = 0;

	TAILQ_FOREACH(seat, &seats->list, next) {
		if (seat->uid == uid && seat->badge == badge && seat->worker)
			width = MAX(width, seat->nth + 1);
	}
	return width;
}

static bool in_use(const struct seat *seat)
{
	return seat->worker || seat->wanted;
}

unsigned seats_in_use(const struct seats *seats)
{
	const struct seat *seat;
	unsigned n = 0;

	TAILQ_FOREACH(seat, &seats->list, next)
		n += in_use(seat);
	return n;
}

static void forget_one(struct seats *seats)
{
	struct seat *seat;

	TAILQ_FOREACH(seat, &seats->list, next) {
		if (!in_use(seat)) {
			remove_seat(seats, seat);
			return;
		}
	}
}

struct seat *seats_make(struct seats *seats, uint32_t uid, uint32_t badge, uint32_t nth)
{
	struct seat *seat = seats_find(seats, uid, badge, nth);

	if (seat)
		return seat;
	if (seats->count >= SEATS_MAX)
		forget_one(seats);
	if (seats->count >= SEATS_MAX)
		return NULL;
	seat = calloc(1, sizeof(*seat));
	if (!seat)
		return NULL;
	seat->uid = uid;
	seat->badge = badge;
	seat->nth = nth;
	TAILQ_INSERT_TAIL(&seats->list, seat, next);
	seats->count++;
	return seat;
}

void seat_died(struct seat *seat, uint64_t now_ms, uint64_t ran_ms)
{
	seat->restarts++;
	seat->not_before_ms = now_ms + backoff_next(&seat->backoff, ran_ms);
}

static bool waits(const struct seat *seat)
{
	return seat->wanted && !seat->worker;
}

struct seat *seats_next(struct seats *seats, uint64_t now_ms)
{
	struct seat *seat;

	TAILQ_FOREACH(seat, &seats->list, next) {
		if (waits(seat) && seat->not_before_ms <= now_ms)
			return seat;
	}
	return NULL;
}

int64_t seats_wait_ms(const struct seats *seats, uint64_t now_ms)
{
	const struct seat *seat;
	int64_t least = -1;

	TAILQ_FOREACH(seat, &seats->list, next) {
		int64_t wait = (int64_t)(seat->not_before_ms - now_ms);

		if (waits(seat) && wait > 0 && (least < 0 || wait < least))
			least = wait;
	}
	return least;
}
