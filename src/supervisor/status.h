/*
 * What runs, for "tlsbroker-cli status": a worker asks for one of its clients, rows go back.  A
 * user sees the roles, the counters and its own worker; root and the daemon's own user see all
 * workers.
 */
#ifndef TLSB_SUPERVISOR_STATUS_H
#define TLSB_SUPERVISOR_STATUS_H

#include "wire/chan.h"

int status_on_ask(struct chan *chan, struct msg *msg);

#endif
