/*
 * How long sessions may be idle, and may last, when the administrator says so.  One timer for all, set to
 * when the first of them is due: nothing wakes a worker without such a limit, or without sessions, and
 * data that moves sets no timer.  What a reload changes holds for sessions that are there.
 */
#ifndef TLSB_WORKER_AGES_H
#define TLSB_WORKER_AGES_H

#include <stdint.h>

struct event;
struct session;
struct worker;

struct ages {
	uint64_t idle_ms, lifetime_ms; /* 0: no limit */
	struct event *timer;
	uint64_t timer_ms; /* what it is set to; 0: it is not */
};

/* 0 or -ENOMEM. */
int ages_init(struct worker *worker);
void ages_deinit(struct worker *worker);

/* The policy says so, in seconds; 0: no limit. */
void ages_set(struct worker *worker, uint32_t idle_s, uint32_t lifetime_s);

/* A session has begun, or is open now. */
void ages_note(const struct session *session);

#endif
