/*
 * All that is known about names: the hosts file and resolv.conf as the supervisor sent them last,
 * the name servers, the cache, and the lookups under way (lookup.h).
 *
 * The files may change at any time and we cannot look.  So before a name is looked up the
 * supervisor is asked whether they have, unless it was asked in the last two seconds; the lookup
 * waits meanwhile.
 */
#ifndef TLSB_CONNECTOR_NAMES_H
#define TLSB_CONNECTOR_NAMES_H

#include "connector/hosts.h"
#include "connector/namecache.h"
#include "connector/question.h"
#include "role/role.h"

#define NAMES_FRESH_MS 2000

struct lookup;

struct names {
	struct child *child;
	struct nameservers servers;
	struct hosts hosts;
	struct namecache cache;
	LIST_HEAD(, lookup) lookups; /* those that are not over */
	uint64_t checked_ms; /* when the supervisor last said what is in the files; 0: never */
	bool asking;
};

/* Before the sandbox.  0 or -errno. */
int names_prepare(struct names *names);

/* When CHILD has its event loop.  0 or -ENOMEM. */
int names_start(struct names *names, struct child *child);

/* Nobody may look up names any more. */
void names_deinit(struct names *names);

/* Whether a lookup can go on; else the supervisor has been asked, and lookup_go_on() will come. */
bool names_are_fresh(struct names *names);

/*
 * The supervisor's answers: copies of both files (borrowed), or that nothing has changed.  -ENOMEM:
 * what is known now is neither the old nor the new; a file that is bad is only not taken over.
 */
int names_on_files(struct names *names, int hosts_fd, int resolvconf_fd);
void names_on_same(struct names *names);

#endif
