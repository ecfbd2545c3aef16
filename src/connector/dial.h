/*
 * One dial: a host, a port, a deadline; at its end a connected socket or a reason, sent to the
 * worker.
 *
 *   WAITING   in its badge's queue; only the deadline runs
 *   RUNNING   the name is looked up and addresses are dialled, partly at the same time
 *   DEAF      answered or cancelled, but the last one whose lookup is under way.  It keeps its
 * place among the running ones until that ends, so that a worker cannot have names looked up faster
 * than name servers answer; and the cache gets what was asked for.
 */
#ifndef TLSB_CONNECTOR_DIAL_H
#define TLSB_CONNECTOR_DIAL_H

#include "connector/dialler.h"
#include "connector/eyeballs.h"
#include "connector/explain.h"

enum dial_stage { DIAL_WAITING, DIAL_RUNNING, DIAL_DEAF };

struct dial {
	TAILQ_ENTRY(dial) next; /* in WAITING or RUNNING of its dialler */
	struct dialler *dialler;
	uint64_t id;
	enum dial_stage stage;
	uint16_t port, family;
	unsigned deadline_ms;
	struct event *deadline;
	uint64_t started_us;
	uint32_t name_us;
	struct lookup_waiter waiter;
	struct eyeballs *eyeballs;
	bool by_name;     /* the rules have the name, and what it leads to may be dialled */
	bool has_refused; /* an address that is not to be dialled: */
	struct address refused;
	const char *name; /* as what it is to be verified; behind the host */
	char host[];
};

/* BODY, HOST and NAME, as what it is to be verified, have been checked.  In no list yet; its deadline
 * runs.  NULL: no memory. */
struct dial *dial_new(struct dialler *dialler, const struct msg_dial *body, const char *host,
		      const char *name);

/* For tsearch(3). */
int dial_compare(const void *one, const void *other);

/* It is among the running ones: begin.  It may have ended when this returns. */
void dial_run(struct dial *dial);

/* End with an answer. */
void dial_fail(struct dial *dial, const struct explained *why);

/* End without one.  It may become DEAF. */
void dial_end(struct dial *dial);

/* Gone at once, with its dialler. */
void dial_free(struct dial *dial);

#endif
