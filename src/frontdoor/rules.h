/*
 * Which badge a caller has: the supervisor's rules, tried in their order, the first that matches.  What
 * is compared is what the kernel said when the caller connected: user, group, supplementary groups; and
 * where it runs, which has to be asked for first (cgroup.h) when a rule wants to know.
 */
#ifndef TLSB_FRONTDOOR_RULES_H
#define TLSB_FRONTDOOR_RULES_H

#include <stdbool.h>
#include <sys/socket.h>

#include "conf/conf.h"
#include "wire/msg.h"

struct rule {
	uint32_t badge; /* its number */
	uint32_t max_connections;
	uint32_t workers; /* of a user, at most */
	char name[LIMIT_BADGE + 1];
	unsigned match_count;
	struct conf_match matches[LIMIT_MATCHES];
	char *units; /* of those that are for a unit: its names, each with a NUL */
};

/* A set of rules; none: each user is a badge of its own, number 0. */
struct rules {
	struct rule *list;
	unsigned count;
	unsigned expected; /* so many will it be */
	uint32_t max_connections; /* where no rule says more */
};

void rules_deinit(struct rules *rules);

/* From the supervisor: a new set begins.  0 or -errno. */
int rules_begin(struct rules *ret_rules, const struct msg_badge_rules *body);

/* One more of them.  0, -EBADMSG or -ENOMEM. */
int rules_add(struct rules *rules, const struct msg *msg);

static inline bool rules_are_complete(const struct rules *rules)
{
	return rules->count == rules->expected;
}

/*
 * The badge of the caller at the other end of FD, into *ret_badge.  CGROUP is where it runs, NULL as long
 * as nobody has asked.  0; -EACCES: he has none; -EAGAIN: that depends on CGROUP; or -errno when the
 * kernel cannot say who he is.
 */
int rules_find(const struct rules *rules, int fd, const struct ucred *peer, const char *cgroup,
	       uint32_t *ret_badge);

/* What somebody says of a program that has not connected. */
struct rules_claims {
	struct ucred peer;
	const void *groups; /* gid_t each, aligned or not */
	unsigned group_count;
	const char *cgroup; /* NULL: not known */
};

/* What was decided, and what decided it. */
struct rules_choice {
	uint32_t badge, rule, match; /* the number; which rule, and which match of it, counted from 0 */
};

/*
 * Which badge it would have, decided as by rules_find().  ONLY: if not 0, only that badge is looked at.
 * 0 and *ret.  -EACCES: none.  -EAGAIN: that depends on its cgroup, for the first time at *ret.  -ENOMEM.
 */
int rules_explain(const struct rules *rules, const struct rules_claims *claims, uint32_t only,
		  struct rules_choice *ret);

/* The rule of this badge, or NULL. */
const struct rule *rules_of(const struct rules *rules, uint32_t badge);

#endif
