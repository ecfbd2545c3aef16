/*
 * After a reload: sessions that would not be begun today end.  What the worker knows, it asks itself:
 * versions, ciphers, pins, trust.  Where a session may connect to, only the connector knows.
 *
 * Both go through all sessions a little at a time, so that those that stay do not notice.
 */
#ifndef TLSB_WORKER_REVIEW_H
#define TLSB_WORKER_REVIEW_H

#include "wire/chan.h"

struct session;
struct worker;

/* 0 or -ENOMEM. */
int review_init(struct worker *worker);
void review_deinit(struct worker *worker);

/* Policy or trust are other ones: look at all sessions that were established before. */
void review_begin(struct worker *worker);

/*
 * Why a session that is established may not go on, a text for the program that begins with the setting;
 * NULL: it may.  WITH_CHAIN: its chain of certificates is verified again, too.
 */
const char *review_objection(struct session *session, bool with_chain);

/* The connector's rules may be other ones: ask it about all connections that there are. */
void review_ask_connector(struct worker *worker);

/* From the connector: its rules are; and about one connection. */
chan_handler review_on_destinations_new, review_on_forbidden;

/* For the connector's channel: it has taken what was asked, and the rest can follow. */
void review_on_drained(struct chan *chan);

#endif
