/*
 * Which user the daemon runs as.  Never root: a daemon started as root becomes another user before
 * it reads a file or starts a role, and checks that there is no way back.
 */
#ifndef TLSB_SUPERVISOR_IDENTITY_H
#define TLSB_SUPERVISOR_IDENTITY_H

#include <sys/types.h>

#include "supervisor/failure.h"

struct identity {
	uid_t uid;
	gid_t gid;
};

/* 1 when this process has root's rights, now or at hand. */
int identity_is_root(void);

/*
 * Who to be: GIVEN, which must not be root; without privileges only oneself.  GIVEN may be NULL: then
 * DEFAULT_NAME for root, oneself for anybody else.  0 or -errno.
 */
int identity_find(const char *given, const char *default_name, struct identity *ret_identity,
		  struct failure *failure);

/* Become that user for good.  0 or -errno: the daemon must not go on. */
int identity_assume(const struct identity *identity, struct failure *failure);

#endif
