/*
 * "tlsbroker-cli explain": who has which badge, and where that may connect to.  Those who decide it, frontdoor
 * and connector, are asked, by the rules that they have; what a program wrote passes through here unread.
 * What is added is what only the supervisor knows: where the rules stand, and what else is in force.
 *
 *	worker --INQUIRY--> supervisor --WHO----> frontdoor --DECIDED--> supervisor --STATUS_ROW--> worker
 *	                               --WHERE--> connector
 *
 * Everybody may ask about himself, which is the badge of the channel; about others an administrator may.
 */
#ifndef TLSB_SUPERVISOR_EXPLAIN_H
#define TLSB_SUPERVISOR_EXPLAIN_H

#include "wire/chan.h"

struct supervisor;

/* From workers; from frontdoor and connector. */
chan_handler explain_on_inquiry, explain_on_decided;

/* There are new rules: what is decided by now may be by old ones. */
void explain_reloaded(struct supervisor *supervisor);

#endif
