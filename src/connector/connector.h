/*
 * The connector: looks up names and dials TCP, for the badge whose channel asks, and passes the
 * connected socket on.  It never sees a byte that goes over one.
 *
 *   connector.c   the role: messages from the supervisor
 *   dialler.c     a badge's channel and its queue      dial.c      one dial
 *   names.c       hosts file, resolv.conf, cache       lookup.c    one name
 *   question.c    one question to the name servers     nameserver.c   c-ares
 *   destinations.c   where a badge may connect to
 *   pace.c        how many sessions a badge begins
 *   eyeballs.c    racing connections                   explain.c   why it failed
 *   address.c, hosts.c, resolvconf.c: parsers          namecache.c
 */
#ifndef TLSB_CONNECTOR_CONNECTOR_H
#define TLSB_CONNECTOR_CONNECTOR_H

#include "connector/destinations.h"
#include "connector/dialler.h"
#include "connector/names.h"
#include "connector/pace.h"
#include "role/role.h"

extern const struct child_ops connector_ops;

struct connector {
	struct child *child;
	struct names names;
	struct destinations destinations, coming; /* in force; and those that are on their way */
	LIST_HEAD(, dialler) diallers;
	unsigned dialler_count;
	struct paces paces;
	bool draining;
};

#endif
