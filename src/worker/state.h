/*
 * What a worker holds.  See worker.h for the rooms.
 */
#ifndef TLSB_WORKER_STATE_H
#define TLSB_WORKER_STATE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "base/slots.h"
#include "role/role.h"
#include "worker/ages.h"
#include "worker/leisure.h"
#include "worker/quota.h"
#include "worker/signing.h"
#include "worker/tls.h"
#include "worker/unread.h"

struct client;
struct errand;
struct fibre;
struct lending;
struct session;
struct signing;

struct worker {
	struct child *child;
	struct chan frontdoor, connector, keyholder; /* all zero while there is none */
	struct tls tls;
	struct identities coming; /* those that are on their way */
	struct psks psks_coming;
	struct quota quota;
	struct ages ages;
	struct unread unread;
	struct leisure leisure;
	struct slots sessions; /* by the id that DIAL carries */
	LIST_HEAD(, client) clients;
	LIST_HEAD(, session) all_sessions;
	uint32_t client_count;
	uint64_t sessions_seen;
	uint32_t sessions_most; /* at once, since memory was given back */
	uint32_t uid;
	char badge[LIMIT_BADGE + 1];
	uint32_t more_workers; /* that it may have, for the library */
	bool draining;
	struct event *drain_end;
	uint64_t status_tags;
	struct event *sweep; /* pending while there may be memory to give back */
	struct event *review;  /* of the sessions, after a reload; see review.h */
	uint64_t review_below; /* the session numbers that it has not looked at yet */
	uint64_t asked_below;  /* the same, about whom the connector was not asked */
	struct event *connector_away; /* pending while there is no channel to the connector */
	struct event *keyholder_away; /* the same, to the keyholder */
	TAILQ_HEAD(, signing) signings_in_line;
	struct signs_asked signs_asked;
	TAILQ_HEAD(, lending) lendings_in_line;
	unsigned lends_asked, lent_count; /* keys on their way to the keyholder, and those that it has */
	struct slots errands; /* about keys, by the id that KEY_ASK carries */
	TAILQ_HEAD(, errand) errands_in_line;
	unsigned errands_asked; /* of the keyholder, and not answered */
	unsigned fibre_count; /* of handshakes that wait for a signature */
	struct fibre *idle_fibre;
};

/* Data came, or sessions ended: look for idle memory later.  No timer runs while all are idle. */
void worker_sweep_soon(struct worker *worker);

/* Ends the process when it drains and nothing is left to wait for. */
void worker_check_drained(struct worker *worker);

#endif
