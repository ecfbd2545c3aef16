/*
 * What is remembered of a user's worker: that it is wanted, that it is there, and how the last ones
 * died.  A seat outlives its worker, so that one that dies again and again is started more slowly.
 *
 * Bounded: when there are too many, an empty seat that nobody waits for is forgotten.
 */
#ifndef TLSB_SUPERVISOR_SEATS_H
#define TLSB_SUPERVISOR_SEATS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "supervisor/backoff.h"
#include "wire/limits.h"

struct worker;

struct seat {
	TAILQ_ENTRY(seat) next;
	uint32_t uid, badge; /* for whom, and as what */
	uint32_t nth;        /* of that badge's, from 0 on */
	bool wanted;           /* the frontdoor waits for a worker */
	struct worker *worker; /* who serves, or NULL */
	struct backoff backoff;
	uint64_t not_before_ms; /* the next worker's earliest start */
	unsigned restarts;
};

struct seats {
	TAILQ_HEAD(, seat) list; /* the oldest first */
	unsigned count;
};

void seats_init(struct seats *seats);
void seats_deinit(struct seats *seats);

/* This seat of this user with this badge, or NULL. */
struct seat *seats_find(struct seats *seats, uint32_t uid, uint32_t badge, uint32_t nth);

/* The same, made if need be; NULL when all are in use, or without memory. */
struct seat *seats_make(struct seats *seats, uint32_t uid, uint32_t badge, uint32_t nth);

/* How many seats this user with this badge has, up to the last one with a worker. */
unsigned seats_width(const struct seats *seats, uint32_t uid, uint32_t badge);

/* Seats that have a worker, or wait for one. */
unsigned seats_in_use(const struct seats *seats);

/* Its worker died after RAN_MS. */
void seat_died(struct seat *seat, uint64_t now_ms, uint64_t ran_ms);

/* Whom to serve next: waits, and may be served now.  NULL: nobody. */
struct seat *seats_next(struct seats *seats, uint64_t now_ms);

/* Milliseconds until somebody who waits may be served; -1: nobody waits for time to pass. */
int64_t seats_wait_ms(const struct seats *seats, uint64_t now_ms);

#endif
