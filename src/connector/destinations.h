/*
 * Where each badge may connect to, and how often: the supervisor's rules.  A badge is known by the
 * number that came with its worker's channel; number 0, a user's own, may connect to wherever the user could.
 *
 * A name that is in the rules stands for the server that proves to have it: only a dial that is to be
 * verified as that very name goes by it, and only to addresses that mean the same to everybody.  What is
 * verified is the worker's to do.  One that lies about it still gets no further than to the addresses
 * that the allowed names have, and that the rules allow.
 */
#ifndef TLSB_CONNECTOR_DESTINATIONS_H
#define TLSB_CONNECTOR_DESTINATIONS_H

#include "conf/destination.h"
#include "connector/address.h"
#include "wire/msg.h"

/* Of one badge. */
struct reach {
	uint32_t badge;
	char name[LIMIT_BADGE + 1];
	bool restricted;  /* else to anywhere */
	bool has_private; /* names may lead to private addresses */
	uint32_t max_rate; /* sessions that a user may begin in a second; 0: any number */
	unsigned count;
	struct destination *rules;
};

struct destinations {
	struct reach *list;
	unsigned count;
	unsigned expected; /* so many will it be */
	uint32_t max_rate; /* of badge 0 */
};

/* All zero is fine. */
void destinations_deinit(struct destinations *destinations);

/* From the supervisor: a new set begins.  0 or -errno. */
int destinations_begin(struct destinations *ret, const struct msg_destination_rules *body);

/* One more badge of it.  0, -EBADMSG or -ENOMEM. */
int destinations_add(struct destinations *destinations, const struct msg *msg);

static inline bool destinations_are_complete(const struct destinations *destinations)
{
	return destinations->count == destinations->expected;
}

/* What this badge may reach.  0, *ret is NULL: everything.  -EACCES: nobody knows this badge. */
int destinations_find(const struct destinations *destinations, uint32_t badge,
		      const struct reach **ret);

/* How many sessions of a user with this badge may begin in a second; 0: any number. */
uint32_t destinations_rate(const struct destinations *destinations, uint32_t badge);

/* What is known before anything is looked up. */
struct judgement {
	enum ruling ruling;
	uint32_t rule;   /* which one decided, counted from 0; NO_RULE: none did */
	bool by_name;    /* addresses are dialled for the sake of its name */
	bool other_name; /* it is refused because of the name to be verified */
};

/*
 * May HOST be dialled, which is to be verified as NAME?  ADDRESS is what it means, NULL if it is a name;
 * REACH is NULL for who may connect to everywhere.
 */
struct judgement reach_judge(const struct reach *reach, const struct address *address,
			     const char *host, const char *name, uint16_t port);

/* Whether this address may be dialled; BY_NAME: for the sake of a name that may. */
bool reach_has_address(const struct reach *reach, const struct address *address, uint16_t port,
		       bool by_name);

/* Whether what was dialled as HOST, to be verified as NAME, may be connected to this address. */
bool reach_has_connection(const struct reach *reach, const char *host, const char *name,
			  const struct address *address, uint16_t port);

#endif
