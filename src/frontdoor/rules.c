#include "frontdoor/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "conf/unit.h"
#include "frontdoor/cgroup.h"

/* From asm-generic/socket.h, for libcs that are older than Linux 4.13. */
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

/* Most callers have fewer groups; setgroups(2) takes up to 65536. */
#define FEW_GROUPS 64

void rules_deinit(struct rules *rules)
{
	for (unsigned i = 0; i < rules->count; i++)
		free(rules->list[i].units);
	free(rules->list);
	*rules = (struct rules){ .max_connections = LIMIT_CLIENTS_PER_UID };
}

int rules_begin(struct rules *ret_rules, const struct msg_badge_rules *body)
{
	struct rules rules = { .expected = body->count, .max_connections = body->max_connections };

	if (body->count > LIMIT_BADGES || body->max_connections < 1 ||
	    body->max_connections > LIMIT_CLIENTS_PER_UID)
		return -EBADMSG;
	rules.list = calloc(MAX(body->count, 1U), sizeof(*rules.list));
	if (!rules.list)
		return -ENOMEM;
	rules_deinit(ret_rules);
	*ret_rules = rules;
	return 0;
}

/* As many names of units as there are matches for one, from AT on to the tail's end. */
static int take_units(struct rule *rule, const struct msg *msg, uint32_t at)
{
	const char *name = msg->tail + at;
	size_t left = msg->tail_len - at;

	for (unsigned i = 0; i < rule->match_count; i++) {
		size_t len = strnlen(name, left);

		if (rule->matches[i].kind != MATCH_UNIT)
			continue;
		if (len == left || !unit_is_name(name, len))
			return -EBADMSG;
		name += len + 1;
		left -= len + 1;
	}
	if (left > 0)
		return -EBADMSG;
	rule->units = malloc(msg->tail_len - at + 1);
	if (!rule->units)
		return -ENOMEM;
	memcpy(rule->units, msg->tail + at, msg->tail_len - at);
	return 0;
}

int rules_add(struct rules *rules, const struct msg *msg)
{
	const struct msg_badge_rule *body = msg->body;
	size_t matches = body->match_count * sizeof(struct conf_match);
	struct rule rule = { .badge = body->badge, .max_connections = body->max_connections,
			     .workers = 1U + body->more_workers,
			     .match_count = body->match_count };
	uint32_t at = 0;
	int r;

	if (rules_are_complete(rules) || body->badge == 0 || body->match_count > LIMIT_MATCHES ||
	    body->max_connections < 1 || body->max_connections > LIMIT_CLIENTS_PER_UID ||
	    rule.workers > LIMIT_BADGE_WORKERS ||
	    msg_tail_string(msg, &at, body->name_len, rule.name, sizeof(rule.name)) < 0 ||
	    matches > msg->tail_len - at)
		return -EBADMSG;
	memcpy(rule.matches, msg->tail + at, matches);
	r = take_units(&rule, msg, at + (uint32_t)matches);
	if (r == 0)
		rules->list[rules->count++] = rule;
	return r;
}

/* The caller's groups, asked for when the first rule wants to know them. */
struct groups {
	gid_t few[FEW_GROUPS];
	gid_t *list, *many; /* LIST: NULL: not yet asked for */
	unsigned count;
};

static int read_groups(struct groups *groups, int fd)
{
	socklen_t len = sizeof(groups->few);
	int r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups->few, &len);

	groups->list = groups->few;
	if (r < 0 && errno == ERANGE) { /* the kernel has said how many there are */
		groups->many = malloc(len);
		if (!groups->many)
			return -ENOMEM;
		groups->list = groups->many;
		r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups->many, &len);
	}
	if (r < 0)
		return -errno;
	groups->count = len / sizeof(*groups->list);
	return 0;
}

/* 1: he is in it.  0: not.  -errno: nobody knows. */
static int is_in_group(struct groups *groups, int fd, const struct ucred *peer, gid_t gid)
{
	int r = 0;

	if (peer->gid == gid)
		return 1;
	if (!groups->list)
		r = read_groups(groups, fd);
	for (unsigned i = 0; r == 0 && i < groups->count; i++) {
		if (groups->list[i] == gid)
			r = 1;
	}
	return r;
}

/* What is known of a caller, and what is found out about him on the way. */
struct caller {
	int fd;
	const struct ucred *peer;
	const char *cgroup;
	struct groups groups;
};

/* UNIT is the name, if it is for one. */
static int matches(const struct conf_match *match, const char *unit, struct caller *caller)
{
	const struct ucred *peer = caller->peer;

	switch (match->kind) {
	case MATCH_ANY:
		return 1;
	case MATCH_UID:
		return peer->uid == match->id;
	case MATCH_GID:
		return is_in_group(&caller->groups, caller->fd, peer, match->id);
	case MATCH_UNIT:
		return caller->cgroup ? cgroup_has_unit(caller->cgroup, unit) : -EAGAIN;
	default:
		return 0;
	}
}

/* 1: the rule is for him, for *ret_match.  0: not.  -errno: then no later rule may be, either. */
static int applies(const struct rule *rule, struct caller *caller, uint32_t *ret_match)
{
	const char *unit = rule->units;

	for (unsigned i = 0; i < rule->match_count; i++) {
		int r = matches(&rule->matches[i], unit, caller);

		*ret_match = i;
		if (r != 0)
			return r;
		if (rule->matches[i].kind == MATCH_UNIT)
			unit += strlen(unit) + 1;
	}
	return 0;
}

/* The first rule that is for him; if ONLY is a badge's number, that one's is the first and the last. */
static int find(const struct rules *rules, struct caller *caller, uint32_t only,
		struct rules_choice *ret)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < rules->count; i++) {
		if (only != 0 && rules->list[i].badge != only)
			continue;
		ret->badge = rules->list[i].badge;
		ret->rule = i;
		r = applies(&rules->list[i], caller, &ret->match);
	}
	free(caller->groups.many);
	if (r < 0)
		return r;
	return r == 0 ? -EACCES : 0;
}

int rules_explain(const struct rules *rules, const struct rules_claims *claims, uint32_t only,
		  struct rules_choice *ret)
{
	struct caller caller = { .fd = -1, .peer = &claims->peer, .cgroup = claims->cgroup };

	if (claims->group_count > FEW_GROUPS) {
		caller.groups.many = calloc(claims->group_count, sizeof(gid_t));
		if (!caller.groups.many)
			return -ENOMEM;
	}
	caller.groups.list = caller.groups.many ? caller.groups.many : caller.groups.few;
	caller.groups.count = claims->group_count;
	memcpy(caller.groups.list, claims->groups, claims->group_count * sizeof(gid_t));
	return find(rules, &caller, only, ret);
}

int rules_find(const struct rules *rules, int fd, const struct ucred *peer, const char *cgroup,
	       uint32_t *ret_badge)
{
	struct caller caller = { .fd = fd, .peer = peer, .cgroup = cgroup };
	struct rules_choice choice = { .badge = 0 };
	int r = rules->count > 0 ? find(rules, &caller, 0, &choice) : 0;

	if (r == 0)
		*ret_badge = choice.badge;
	return r;
}

const struct rule *rules_of(const struct rules *rules, uint32_t badge)
{
	for (unsigned i = 0; badge && i < rules->count; i++) {
		if (rules->list[i].badge == badge)
			return &rules->list[i];
	}
	return NULL;
}
