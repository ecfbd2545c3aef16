/*
 * One name being looked up: in the hosts file, then in the cache, then at the name servers, with
 * the names that the search list makes of it, AAAA and A at once.  All who want the same name at
 * the same time share one lookup.
 *
 *   FRESH   waits until the supervisor has said whether the files have changed
 *   ASKED   questions about one candidate are under way
 *   OVER    it is known; lasts as long as somebody looks at it
 *
 * A half is what is known of one family's addresses.  Those who wait are told whenever they can do
 * more: when the first half is FOUND, and when the lookup is OVER.
 */
#ifndef TLSB_CONNECTOR_LOOKUP_H
#define TLSB_CONNECTOR_LOOKUP_H

#include "connector/names.h"
#include "tlsbroker.h"

enum half_state {
	HALF_PENDING,
	HALF_FOUND,
	HALF_NONE,   /* there are none, or they are not wanted */
	HALF_FAILED, /* nobody could say */
};

struct half {
	enum half_state state;
	struct addresses found;
	uint32_t ttl_s;
	bool from_cache;
	struct question *question;
};

enum lookup_stage { LOOKUP_FRESH, LOOKUP_ASKED, LOOKUP_OVER };

struct lookup_waiter {
	LIST_ENTRY(lookup_waiter) next;
	struct lookup *lookup; /* NULL: does not wait */
	/* Called from the event loop.  May leave; may join others. */
	void (*on_news)(struct lookup_waiter *waiter);
};

struct lookup {
	LIST_ENTRY(lookup) next; /* unless OVER */
	struct names *names;
	enum lookup_stage stage;
	LIST_HEAD(, lookup_waiter) waiters;
	bool telling;
	struct event *turn;
	char host[LIMIT_HOST + 2]; /* as asked for, in lower case */
	uint16_t family;
	unsigned candidate; /* which of those that the search list makes */
	unsigned tried;     /* so many of them */
	char name[LIMIT_HOST + 1];
	struct half half[FAMILIES];
	bool exists, asked;
	enum tlsb_error error; /* OVER: TLSB_E_NONE, or why no half is FOUND */
	char text[LIMIT_TEXT + 1];
};

/*
 * Look HOST up, which address_of_host() called a name, for addresses of FAMILY or (AF_UNSPEC) all.
 * WAITER hears of it from the event loop.  0 or -ENOMEM.
 */
int lookup_join(struct names *names, const char *host, uint16_t family,
		struct lookup_waiter *waiter);

/* Not interested any more.  With the last one the lookup goes.  Nothing if WAITER does not wait. */
void lookup_leave(struct lookup_waiter *waiter);

/* Whether WAITER is the only one left. */
bool lookup_is_alone(const struct lookup_waiter *waiter);

/* "127.0.0.53, 192.0.2.1": the name servers that there are, into DST.  Returns DST. */
char *lookup_servers(const struct lookup *lookup, char *dst, size_t size);

/* The files are as fresh as can be: all who wait for that can go on. */
void lookup_go_on(struct names *names);

/* The name servers are about to change: take all questions back. */
void lookup_start_over(struct names *names);

#endif
