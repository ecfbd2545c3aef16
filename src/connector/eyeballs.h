/*
 * Happy Eyeballs (RFC 8305): TCP connections to the addresses of one host, each begun a little
 * after the one before or when one fails, the families taking turns, IPv6 first; the first that is
 * there wins, the others are dropped.
 *
 * Addresses come in two portions, in either order, as names are looked up.  When only the IPv4 ones
 * are there, IPv6 gets another 50 ms (section 3).  Addresses are not sorted by RFC 6724: that needs
 * the routing table.  What has no route fails at once and costs no time.
 */
#ifndef TLSB_CONNECTOR_EYEBALLS_H
#define TLSB_CONNECTOR_EYEBALLS_H

#include <event2/event.h>
#include <sys/queue.h>

#include "connector/address.h"

#define EYEBALLS_RESOLUTION_DELAY_MS 50
#define EYEBALLS_STAGGER_MS          250

struct eyeballs;
struct eyeballs_attempt;

/* FD is the connected socket, the callee's, or -1: see FAILURES.  Called from the event loop, once;
 * may free it. */
typedef void eyeballs_done(void *arg, int fd, const struct address *address, uint32_t tcp_us);

struct eyeballs_failure {
	struct address address;
	int error; /* errno */
	unsigned ms;
};

struct eyeballs {
	struct event_base *base;
	struct event *timer;
	uint16_t port;
	unsigned *in_all; /* attempts under way, of all eyeballs of this badge */
	eyeballs_done *done;
	void *arg;

	struct addresses known[FAMILIES];
	bool told[FAMILIES];
	unsigned next[FAMILIES];                                  /* of KNOWN */
	unsigned last_family;                                     /* of the last attempt */
	TAILQ_HEAD(eyeballs_attempts, eyeballs_attempt) attempts; /* oldest first */
	unsigned running;
	bool started, hurry, over;
	uint64_t told_us, first_us, last_us;

	struct eyeballs_failure failures[FAMILIES * LIMIT_ADDRESSES];
	unsigned failed;
};

/* IN_ALL is counted up and down: the badge's attempts.  0 or -ENOMEM. */
int eyeballs_new(struct event_base *base, uint16_t port, unsigned *in_all, eyeballs_done *done,
		 void *arg, struct eyeballs **ret_eyeballs);

/* Drop all attempts.  NULL is fine.  Returns NULL. */
struct eyeballs *eyeballs_free(struct eyeballs *eyeballs);

/* These are all addresses of V6 or V4, perhaps none.  Once for each of them. */
void eyeballs_add(struct eyeballs *eyeballs, unsigned index, const struct addresses *addresses);

/* Whether that was done. */
bool eyeballs_has(const struct eyeballs *eyeballs, unsigned index);

/* Count what is still under way as a failure: its time is up. */
void eyeballs_give_up(struct eyeballs *eyeballs);

#endif
