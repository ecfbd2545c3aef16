/*
 * The keyholder: private and pre-shared keys, and nothing else.  No byte from the network gets here but
 * inside of what a worker wants signed, none from a program but keys of its own, and hashes.  No private key
 * ever leaves; a pre-shared one does, for a handshake, to a worker whose badge was granted it: OpenSSL wants the
 * key itself.
 *
 *   keyholder.c   the role: messages from the supervisor; whose turn it is
 *   asker.c       a worker's channel, and what it wants
 *   keys.c        the keys, and who may use them
 *   guests.c      keys that programs have brought, each for the worker that lent it
 *   input.c       what may be signed at all       sign.c   the signature
 *   imports.c     keys that programs have imported, to sign hashes
 *   errand.c      what is wanted of these         hash.c   signatures of hashes
 */
#ifndef TLSB_KEYHOLDER_KEYHOLDER_H
#define TLSB_KEYHOLDER_KEYHOLDER_H

#include "keyholder/asker.h"
#include "keyholder/imports.h"
#include "keyholder/keys.h"
#include "role/role.h"

extern const struct child_ops keyholder_ops;

struct keyholder {
	struct child *child;
	struct keys keys, coming; /* in force; and those that are on their way */
	size_t guest_memory; /* of all keys that workers have lent */
	struct imports imports;
	LIST_HEAD(, asker) askers;
	unsigned asker_count;
	TAILQ_HEAD(, asker) busy; /* who wants something signed: one signature each, in turn */
	struct event *turn;
	bool is_unlocked; /* the kernel did not let us keep the keys out of swap space */
};

/* It has its first job. */
void keyholder_queue(struct asker *asker);

#endif
