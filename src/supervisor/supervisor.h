/*
 * The supervisor: the process that systemd or a person started.  It opens files, starts and
 * restarts the roles, writes the log and handles signals.  It never reads a byte that came from a
 * client or from the network; what roles send it is checked as if they had been taken over.
 *
 *   setup.c       from the command line to the sandbox
 *   supervisor.c  the event loop, signals, start-up and stop as a whole
 *   station.c     frontdoor, connector and keyholder: one of each, always
 *   workers.c     one for each user, and a spare; wishes.c gives them out, badge.c says whose
 *   process.c     any one process; spawn.c forks and execs it; rolelog.c what it has to say
 *   questions.c   what administrators and users ask for; status.c what everybody may know
 *   explain.c     why somebody may do what
 *   policy.c      the configuration, and each role's slice of it
 *   renewal.c     files that changed meanwhile; watch.c notices
 *   trustfile.c, identityfiles.c, pskfiles.c, resolver.c, peers.c   what the roles need of files
 */
#ifndef TLSB_SUPERVISOR_SUPERVISOR_H
#define TLSB_SUPERVISOR_SUPERVISOR_H

#include <event2/event.h>

#include "supervisor/environment.h"
#include "supervisor/listener.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/policy.h"
#include "supervisor/process.h"
#include "supervisor/questions.h"
#include "supervisor/renewal.h"
#include "supervisor/resolver.h"
#include "supervisor/spawn.h"
#include "supervisor/station.h"
#include "supervisor/workers.h"

enum supervisor_phase {
	PHASE_STARTING, /* a role that dies now ends the daemon */
	PHASE_RUNNING,
	PHASE_STOPPING, /* nothing is started any more */
};

enum supervisor_signal { ON_TERM, ON_INT, ON_HUP, ON_CHLD, SIGNAL_COUNT };

struct supervisor {
	const struct options *options;
	enum supervisor_phase phase;
	struct failure failure; /* why start-up failed; "" otherwise */
	uint64_t started_ms;
	uid_t uid;

	struct event_base *base;
	struct event *signals[SIGNAL_COUNT];
	struct event *watchdog; /* NULL without */
	struct event *deadline; /* of stopping */

	struct output output;
	struct listener listener;
	struct spawner spawner;
	struct policy policy;
	struct renewal renewal;
	struct resolver resolver;

	LIST_HEAD(, process) processes;
	struct station frontdoor, connector, keyholder;
	struct workers workers;
	struct questions questions;
	uint64_t counts[COUNTER_COUNT]; /* what processes that are over had counted */
};

/* Run the daemon.  Returns the exit status. */
int supervisor_main(const struct options *options);

/* Signals, watchdog and deadline into the event loop.  0 or -ENOMEM. */
int supervisor_add_events(struct supervisor *supervisor);

/* What every role can send us, by message type. */
extern chan_handler *const supervisor_handlers[MSG_COUNT];

/*
 * Read configuration and files again.  What is wrong with them, all of it, goes to ERRORS and to the log, and
 * everything stays as it was.  0, -EINVAL, or -errno.
 */
int supervisor_reload(struct supervisor *supervisor, struct conf_errors *errors);

/* Its keys for the keyholder; one that cannot be given them is ended. */
void supervisor_send_keys(struct supervisor *supervisor);

/* A role is ready, or a worker is over: perhaps all are. */
void supervisor_check(struct supervisor *supervisor);

/* During start-up: give up, for this reason. */
void supervisor_fail(struct supervisor *supervisor, const char *role, const char *reason);

/* Before a page of counters goes: keep what only grows. */
void supervisor_keep_counts(struct supervisor *supervisor, const struct counters *counters);

#endif
