/*
 * Frontdoor, connector and keyholder: roles of which there is exactly one, started again whenever it dies and
 * then given what the dead one had.
 */
#ifndef TLSB_SUPERVISOR_STATION_H
#define TLSB_SUPERVISOR_STATION_H

#include "supervisor/backoff.h"
#include "supervisor/process.h"

struct station {
	struct supervisor *supervisor;
	enum role role;
	struct process *process; /* NULL: it died, and is not yet started again */
	struct backoff backoff;
	struct event *timer;     /* its next start */
	unsigned restarts;
	uint64_t logged_ms;      /* that it cannot be started */
};

/* 0 or -ENOMEM. */
int station_init(struct station *station, struct supervisor *supervisor, enum role role);

/* All zero is fine. */
void station_deinit(struct station *station);

/* The first start.  0 or -errno. */
int station_start(struct station *station);

/* FDS are consumed, also when it is dead: the next one gets its own. */
void station_send(struct station *station, uint32_t type, const void *body, const int *fds);

#endif
