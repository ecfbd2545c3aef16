/*
 * resolv.conf(5), as far as it says whom to ask and for which names.
 *
 * Left out: sortlist, and options about the protocol, which are c-ares' business.  The search list
 * has no default from the machine's own name: that is nothing a sandboxed process should need.  A
 * name server with a scope ("fe80::1%eth0") is left out too: c-ares 1.18 cannot ask it.
 */
#ifndef TLSB_CONNECTOR_RESOLVCONF_H
#define TLSB_CONNECTOR_RESOLVCONF_H

#include "connector/address.h"

struct resolvconf {
	struct address server[LIMIT_NAME_SERVERS]; /* at least one: 127.0.0.1 */
	unsigned server_count;
	char domain[LIMIT_SEARCH_DOMAINS][LIMIT_HOST + 1]; /* lower case, no dot at the end */
	unsigned domain_count;
	unsigned ndots;
	unsigned timeout_ms; /* for one try */
	unsigned attempts;   /* rounds through the servers */
	bool rotate;
};

/* TEXT is NUL-ended, and is written into.  What makes no sense is left out. */
void resolvconf_parse(struct resolvconf *ret_conf, char *text);

/*
 * The names that HOST may stand for: with NDOTS dots or more itself first, with fewer last;
 * otherwise with each domain of the search list.  With a dot at its end, only itself.  1: number
 * INDEX is in ret_name, without such a dot.  0: it would be too long.  -1: there are no more.
 */
int resolvconf_candidate(const struct resolvconf *conf, const char *host, unsigned index,
			 char ret_name[LIMIT_HOST + 1]);

/* Whether both say the same. */
bool resolvconf_same(const struct resolvconf *one, const struct resolvconf *other);

#endif
