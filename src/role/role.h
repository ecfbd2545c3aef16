/*
 * What all child roles have in common: the channel to the supervisor on descriptor 3, the sandbox,
 * the log's way home, counters, the event loop.  A role's own folder has the rest.
 *
 *   main.c: argv -> child_main() -> prepare(), sandbox, event loop, READY to the supervisor; START
 *   comes, start() is called, other messages follow; until the supervisor's channel closes or the
 *   role breaks the loop.
 */
#ifndef TLSB_ROLE_ROLE_H
#define TLSB_ROLE_ROLE_H

#include <event2/event.h>

#include "base/counters.h"
#include "sandbox/sandbox.h"
#include "wire/chan.h"

#define SUPERVISOR_FD 3

struct child {
	struct event_base *base;
	struct chan supervisor; /* owner: this struct child */
	struct counters *counters;
	enum role role;
	int verbose;
	unsigned lost_lines, lost_audits; /* that the log does not know of yet */
	const struct child_ops *ops;
	void *state; /* the role's own */
};

struct child_ops {
	/* For messages from the supervisor, START excepted; by type. */
	chan_handler *const *handlers;
	/* Before the sandbox and the event loop: load what needs files, keeping no descriptor.  May be
	 * NULL.  0 or -errno. */
	int (*prepare)(struct child *child);
	/* In the sandbox, when START has come: first of all messages.  0 or -errno. */
	int (*start)(struct child *child);
	/* The event loop has ended. */
	void (*stop)(struct child *child);
};

/*
 * A role's event loop.  What has more to do than its turn allows makes its own event active again, and
 * libevent would go on with it for ever: this one looks for the others' events every LIMIT_LOOP_MS.
 * NULL: no memory.
 */
struct event_base *child_base_new(void);

/* The priority of an event for which the loop has time when there is no other. */
#define CHILD_LEISURE 2

/* Of no use any more: end as if the supervisor had gone, so that it starts another. */
void child_give_up(struct child *child);

/* Every role's handler of MSG_START. */
int child_on_start(struct chan *chan, struct msg *msg);

/* Run a child role to its end.  Returns the exit status. */
int child_main(enum role role, const struct child_ops *ops, enum sandbox_mode mode);

#endif
