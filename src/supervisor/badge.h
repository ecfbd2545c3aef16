/*
 * What makes a worker serve a user: the badge's name, and channels to frontdoor, connector and
 * keyholder.  The other ends go there with the user's number, so who a worker is follows from the
 * channel, and never from what it says.
 */
#ifndef TLSB_SUPERVISOR_BADGE_H
#define TLSB_SUPERVISOR_BADGE_H

#include "wire/roles.h"

struct seat;
struct supervisor;
struct worker;

/* Make a worker without a badge the one for this seat.  0; -EPIPE: it has gone; or -errno. */
int badge_give(struct supervisor *supervisor, const struct worker *worker, const struct seat *seat);

/* This worker has ended: its channels are served no more, even if it has given them away. */
void badge_over(struct supervisor *supervisor, const struct worker *worker);

/* A new channel between a worker and ROLE, in place of one that broke.  As badge_give(). */
int badge_renew(struct supervisor *supervisor, const struct worker *worker, enum role role);

#endif
