/*
 * Users who wait for a worker: the frontdoor's wishes, and how they come true.  What the frontdoor
 * asks for is bounded whatever it asks: LIMIT_WORKERS users, one process started at a time.
 */
#ifndef TLSB_SUPERVISOR_WISHES_H
#define TLSB_SUPERVISOR_WISHES_H

#include "supervisor/workers.h"

int wishes_on_wanted(struct chan *chan, struct msg *msg);
int wishes_on_retire(struct chan *chan, struct msg *msg);

/* Serve whoever can be served now; wake up again when somebody else can. */
void wishes_serve(struct workers *workers);

/* An event's callback that does so; ARG is the struct workers. */
void wishes_on_timer(evutil_socket_t fd, short what, void *arg);

/* Who waits hears now that there is no worker, rather than wait for better times. */
void wishes_refuse_all(struct workers *workers);

/* The frontdoor died, and with it the clients that waited in it. */
void wishes_forget(struct workers *workers);

#endif
