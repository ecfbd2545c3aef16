/*
 * What the supervisor asks of this worker's sessions for others: a part of their list, the end of one.
 */
#ifndef TLSB_WORKER_LISTING_H
#define TLSB_WORKER_LISTING_H

#include "wire/chan.h"

struct session;

/* How far a session is, as the program sees it: enum session_state. */
uint32_t listing_state(const struct session *session);

/* From the supervisor. */
chan_handler listing_on_sessions, listing_on_kill;

#endif
