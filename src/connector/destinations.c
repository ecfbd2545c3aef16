#include "connector/destinations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

void destinations_deinit(struct destinations *destinations)
{
	for (unsigned i = 0; i < destinations->count; i++)
		free(destinations->list[i].rules);
	free(destinations->list);
	*destinations = (struct destinations){ .list = NULL };
}

int destinations_begin(struct destinations *ret, const struct msg_destination_rules *body)
{
	struct destinations coming = { .expected = body->count,
				       .max_rate = body->max_session_rate };

	if (body->count > LIMIT_BADGES)
		return -EBADMSG;
	coming.list = calloc(MAX(body->count, 1U), sizeof(*coming.list));
	if (!coming.list)
		return -ENOMEM;
	destinations_deinit(ret);
	*ret = coming;
	return 0;
}

/* Rules in writing, each with its NUL, from *AT on. */
static int read_rules(struct reach *reach, const struct msg *msg, uint32_t at)
{
	for (unsigned i = 0; i < reach->count; i++) {
		const char *text = msg->tail + at, *why;
		size_t len = strnlen(text, msg->tail_len - at);

		if (at + len >= msg->tail_len ||
		    destination_parse(text, &reach->rules[i], &why) < 0)
			return -EBADMSG;
		at += (uint32_t)len + 1;
	}
	return at == msg->tail_len ? 0 : -EBADMSG;
}

int destinations_add(struct destinations *destinations, const struct msg *msg)
{
	const struct msg_destination_rule *body = msg->body;
	struct reach reach = {
		.badge = body->badge,
		.restricted = (body->flags & DESTINATION_RESTRICTED) != 0,
		.has_private = (body->flags & DESTINATION_MAY_BE_PRIVATE) != 0,
		.max_rate = body->max_session_rate,
		.count = body->count,
	};
	uint32_t at = 0;
	int r;

	if (destinations_are_complete(destinations) || body->badge == 0 ||
	    (body->flags & ~(unsigned)DESTINATION_KNOWN_FLAGS) != 0 ||
	    body->count > LIMIT_DESTINATIONS || body->name_len > msg->tail_len ||
	    msg_tail_string(msg, &at, body->name_len, reach.name, sizeof(reach.name)) < 0)
		return -EBADMSG;
	reach.rules = calloc(MAX(body->count, 1U), sizeof(*reach.rules));
	if (!reach.rules)
		return -ENOMEM;
	r = read_rules(&reach, msg, at);
	if (r < 0) {
		free(reach.rules);
		return r;
	}
	destinations->list[destinations->count++] = reach;
	return 0;
}

int destinations_find(const struct destinations *destinations, uint32_t badge,
		      const struct reach **ret)
{
	*ret = NULL;
	if (badge == 0)
		return 0;
	for (unsigned i = 0; i < destinations->count; i++) {
		if (destinations->list[i].badge != badge)
			continue;
		if (destinations->list[i].restricted)
			*ret = &destinations->list[i];
		return 0;
	}
	return -EACCES;
}

uint32_t destinations_rate(const struct destinations *destinations, uint32_t badge)
{
	for (unsigned i = 0; badge != 0 && i < destinations->count; i++) {
		if (destinations->list[i].badge == badge)
			return destinations->list[i].max_rate;
	}
	return badge == 0 ? destinations->max_rate : 0;
}

/* The first rule for a dial by this name, or NO_RULE. */
static uint32_t find_name(const struct reach *reach, const char *host, uint16_t port)
{
	char plain[LIMIT_HOST + 1];

	destination_plain_name(host, plain);
	for (unsigned i = 0; i < reach->count; i++) {
		if (destination_has_name(&reach->rules[i], plain, port))
			return i;
	}
	return NO_RULE;
}

static bool is_same_name(const char *host, const char *name)
{
	char plain_host[LIMIT_HOST + 1], plain_name[LIMIT_HOST + 1];

	return strcmp(destination_plain_name(host, plain_host),
		      destination_plain_name(name, plain_name)) == 0;
}

/* The first rule for this address, or NO_RULE. */
static uint32_t find_address(const struct reach *reach, const struct address *address,
			     uint16_t port)
{
	for (unsigned i = 0; i < reach->count; i++) {
		if (destination_has_address(&reach->rules[i], address->family, address->bytes,
					    port))
			return i;
	}
	return NO_RULE;
}

/* The first range that is open at this port, or NO_RULE: with one a name is worth looking up. */
static uint32_t find_range(const struct reach *reach, uint16_t port)
{
	for (unsigned i = 0; i < reach->count; i++) {
		const struct destination *rule = &reach->rules[i];

		if (rule->kind == DESTINATION_ADDRESS && port >= rule->port_low &&
		    port <= rule->port_high)
			return i;
	}
	return NO_RULE;
}

static struct judgement judge_name(const struct reach *reach, const char *host, const char *name,
				   uint16_t port)
{
	uint32_t rule = find_name(reach, host, port), range = find_range(reach, port);
	bool other = rule != NO_RULE && !is_same_name(host, name);

	if (rule != NO_RULE && !other)
		return (struct judgement){ .ruling = reach->has_private ? RULING_ALLOWED
									 : RULING_BY_NAME,
					   .rule = rule, .by_name = true };
	if (range != NO_RULE)
		return (struct judgement){ .ruling = RULING_BY_ADDRESS, .rule = range };
	return (struct judgement){ .ruling = RULING_REFUSED, .rule = NO_RULE,
				   .other_name = other };
}

struct judgement reach_judge(const struct reach *reach, const struct address *address,
			     const char *host, const char *name, uint16_t port)
{
	struct judgement judgement = { .ruling = RULING_ALLOWED, .rule = NO_RULE };

	if (!reach)
		return judgement;
	if (!address)
		return judge_name(reach, host, name, port);
	judgement.rule = find_address(reach, address, port);
	if (judgement.rule == NO_RULE)
		judgement.ruling = RULING_REFUSED;
	return judgement;
}

bool reach_has_address(const struct reach *reach, const struct address *address, uint16_t port,
		       bool by_name)
{
	if (by_name &&
	    (reach->has_private || !destination_is_private(address->family, address->bytes)))
		return true;
	return find_address(reach, address, port) != NO_RULE;
}

bool reach_has_connection(const struct reach *reach, const char *host, const char *name,
			  const struct address *address, uint16_t port)
{
	struct address same;
	const char *why;
	bool by_name = address_of_host(host, &same, &why) == HOST_NAME &&
		       find_name(reach, host, port) != NO_RULE && is_same_name(host, name);

	return reach_has_address(reach, address, port, by_name);
}
