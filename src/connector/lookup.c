#include "connector/lookup.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macros.h"

/* From the event loop's next turn, so that nobody is called back from a call of his own. */
static void soon(struct lookup *lookup)
{
	event_active(lookup->turn, EV_TIMEOUT, 0);
}

static void free_questions(struct lookup *lookup)
{
	for (unsigned i = 0; i < FAMILIES; i++)
		lookup->half[i].question = question_free(lookup->half[i].question);
}

static void lookup_free(struct lookup *lookup)
{
	if (lookup->stage != LOOKUP_OVER)
		LIST_REMOVE(lookup, next);
	free_questions(lookup);
	if (lookup->turn)
		event_free(lookup->turn);
	free(lookup);
}

/* The last thing done to LOOKUP by a caller: it may be gone afterwards. */
static void tell(struct lookup *lookup)
{
	struct lookup_waiter *waiter, *next;

	lookup->telling = true;
	for (waiter = LIST_FIRST(&lookup->waiters); waiter; waiter = next) {
		/* A waiter can free itself here but none of the others. */
		next = LIST_NEXT(waiter, next);
		waiter->on_news(waiter);
	}
	lookup->telling = false;
	if (LIST_EMPTY(&lookup->waiters))
		lookup_free(lookup);
}

static void finish(struct lookup *lookup, enum tlsb_error error)
{
	struct child *child = lookup->names->child;

	free_questions(lookup);
	lookup->stage = LOOKUP_OVER;
	lookup->error = error;
	LIST_REMOVE(lookup, next);
	if (!lookup->asked)
		counters_add(child->counters, COUNTER_lookups_cached, 1);
}

/* ---- what needs no name server ---- */

/* RFC 6761 section 6.3: never asked of anybody.  The hosts file may say otherwise. */
static bool is_localhost(const char *name)
{
	static const char localhost[] = "localhost";
	size_t len = strlen(name), tail = sizeof(localhost) - 1;

	return len >= tail && strcmp(name + len - tail, localhost) == 0 &&
	       (len == tail || name[len - tail - 1] == '.');
}

static void set_half(struct half *half, const struct address *address)
{
	half->state = HALF_FOUND;
	addresses_add(&half->found, address);
}

static bool find_localhost(struct lookup *lookup, const char *name)
{
	static const uint8_t one[16] = { [15] = 1 };
	const struct address v6 = address_from_bytes(AF_INET6, one);
	const struct address v4 = address_from_bytes(AF_INET, (const uint8_t[]){ 127, 0, 0, 1 });

	if (!is_localhost(name))
		return false;
	lookup->half[V6].state = lookup->half[V4].state = HALF_NONE;
	if (address_wanted(lookup->family, V6))
		set_half(&lookup->half[V6], &v6);
	if (address_wanted(lookup->family, V4))
		set_half(&lookup->half[V4], &v4);
	return true;
}

static bool find_in_hosts(struct lookup *lookup, const char *name)
{
	struct addresses found[FAMILIES] = { 0 };

	if (!hosts_find(&lookup->names->hosts, name, lookup->family, found))
		return false;
	for (unsigned i = 0; i < FAMILIES; i++) {
		lookup->half[i].state = found[i].count > 0 ? HALF_FOUND : HALF_NONE;
		lookup->half[i].found = found[i];
	}
	return true;
}

/* Returns whether the lookup is over. */
static bool find_locally(struct lookup *lookup)
{
	char name[sizeof(lookup->host)];
	size_t len = strlen(lookup->host);

	if (lookup->host[len - 1] == '.')
		len--;
	memcpy(name, lookup->host, len);
	name[len] = '\0';
	if (!find_in_hosts(lookup, name) && !find_localhost(lookup, name))
		return false;
	if (lookup->half[V6].state == HALF_FOUND || lookup->half[V4].state == HALF_FOUND) {
		finish(lookup, TLSB_E_NONE);
		return true;
	}
	snprintf(lookup->text, sizeof(lookup->text),
		 "the hosts file says that %.120s has no address (0.0.0.0 or ::)", name);
	finish(lookup, TLSB_E_DNS);
	return true;
}

/* ---- candidates ---- */

static void on_answer_v6(void *arg, const struct answer *answer);
static void on_answer_v4(void *arg, const struct answer *answer);

static void ask_half(struct lookup *lookup, unsigned index)
{
	struct names *names = lookup->names;
	struct half *half = &lookup->half[index];

	*half = (struct half){ .state = HALF_NONE };
	if (!address_wanted(lookup->family, index))
		return;
	if (namecache_get(&names->cache, lookup->name, index, clock_ms(), &half->found)) {
		half->state = half->found.count > 0 ? HALF_FOUND : HALF_NONE;
		half->from_cache = true;
		lookup->exists = true;
		return;
	}
	if (!lookup->asked)
		counters_add(names->child->counters, COUNTER_lookups, 1);
	lookup->asked = true;
	half->state = question_new(&names->servers, names->child->base, lookup->name, index,
				   index == V6 ? on_answer_v6 : on_answer_v4, lookup,
				   &half->question) < 0 ?
			      HALF_FAILED :
			      HALF_PENDING;
}

/* Returns whether there was another candidate. */
static bool ask_next_candidate(struct lookup *lookup)
{
	int r;

	do
		r = resolvconf_candidate(&lookup->names->servers.conf, lookup->host,
					 lookup->candidate++, lookup->name);
	while (r == 0);
	if (r < 0)
		return false;
	lookup->tried++;
	for (unsigned i = 0; i < FAMILIES; i++)
		ask_half(lookup, i);
	lookup->stage = LOOKUP_ASKED;
	return true;
}

/* ---- answers ---- */

/* What is known stays known; that a family has no addresses, as long as the other has some. */
static void keep(struct lookup *lookup)
{
	uint32_t ttl = LIMIT_CACHE_S;

	for (unsigned i = 0; i < FAMILIES; i++) {
		const struct half *half = &lookup->half[i];

		/* How long an entry still holds is not said here; it is not made to last longer. */
		if (half->state == HALF_FOUND)
			ttl = half->from_cache ? 0 : MIN(ttl, half->ttl_s);
	}
	for (unsigned i = 0; i < FAMILIES; i++) {
		const struct half *half = &lookup->half[i];
		bool known = half->state == HALF_FOUND || half->state == HALF_NONE;

		if (known && !half->from_cache && address_wanted(lookup->family, i))
			namecache_put(&lookup->names->cache, lookup->name, i, &half->found,
				      half->state == HALF_FOUND ? half->ttl_s : ttl, clock_ms());
	}
}

static void explain_none(struct lookup *lookup)
{
	const char *what = lookup->family == AF_INET  ? "IPv4 address" :
			   lookup->family == AF_INET6 ? "IPv6 address" :
							"address";

	if (lookup->exists)
		snprintf(lookup->text, sizeof(lookup->text), "%.120s exists but has no %s",
			 lookup->host, what);
	else
		snprintf(lookup->text, sizeof(lookup->text), "the name %.120s does not exist%s",
			 lookup->host,
			 lookup->tried > 1 ? ", nor does it with the search domains" : "");
}

static enum tlsb_error explain_failed(struct lookup *lookup, const struct question *question)
{
	char trouble[LIMIT_TEXT / 2] = "no memory";

	if (question)
		question_trouble(question, trouble, sizeof(trouble));
	snprintf(lookup->text, sizeof(lookup->text), "no name server could say what %.80s is: %s",
		 lookup->host, trouble);
	return !question || question_lacked_resources(question) ? TLSB_E_RESOURCES :
								  TLSB_E_DNS_SERVER;
}

static bool is(const struct lookup *lookup, enum half_state state)
{
	return lookup->half[V6].state == state || lookup->half[V4].state == state;
}

/*
 * A candidate of which both halves are known to be empty makes way for the next.  One that fails
 * does not: what comes after it in the search list is another host.
 */
static void evaluate(struct lookup *lookup)
{
	while (!is(lookup, HALF_PENDING)) {
		if (is(lookup, HALF_FOUND)) {
			keep(lookup);
			finish(lookup, TLSB_E_NONE);
			return;
		}
		if (is(lookup, HALF_FAILED)) {
			const struct half *half = lookup->half;

			half += half[V4].state == HALF_FAILED ? V4 : V6;
			finish(lookup, explain_failed(lookup, half->question));
			return;
		}
		free_questions(lookup);
		if (!ask_next_candidate(lookup)) {
			explain_none(lookup);
			finish(lookup, TLSB_E_DNS);
			return;
		}
	}
}

static void on_answer(struct lookup *lookup, unsigned index, const struct answer *answer)
{
	struct half *half = &lookup->half[index];

	if (answer->kind == ANSWER_FOUND || answer->kind == ANSWER_NO_ADDRESS)
		lookup->exists = true;
	half->state = answer->kind == ANSWER_FOUND  ? HALF_FOUND :
		      answer->kind == ANSWER_FAILED ? HALF_FAILED :
						      HALF_NONE;
	half->found = answer->found;
	half->ttl_s = answer->ttl_s;
	evaluate(lookup);
	if (is(lookup, HALF_FOUND) || lookup->stage == LOOKUP_OVER)
		tell(lookup);
}

static void on_answer_v6(void *arg, const struct answer *answer)
{
	on_answer(arg, V6, answer);
}

static void on_answer_v4(void *arg, const struct answer *answer)
{
	on_answer(arg, V4, answer);
}

/* ---- those who wait ---- */

static void on_turn(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct lookup *lookup = arg;

	if (lookup->stage == LOOKUP_FRESH) {
		if (!names_are_fresh(lookup->names))
			return;
		if (!find_locally(lookup))
			ask_next_candidate(lookup);
	}
	if (lookup->stage == LOOKUP_ASKED)
		evaluate(lookup);
	if (is(lookup, HALF_FOUND) || lookup->stage == LOOKUP_OVER)
		tell(lookup);
}

static struct lookup *lookup_new(struct names *names, const char *host, uint16_t family)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));

	if (!lookup)
		return NULL;
	lookup->names = names;
	lookup->family = family;
	for (size_t i = 0; i < sizeof(lookup->host) - 1 && host[i]; i++)
		lookup->host[i] = (char)tolower((unsigned char)host[i]);
	LIST_INSERT_HEAD(&names->lookups, lookup, next);
	lookup->turn = event_new(names->child->base, -1, 0, on_turn, lookup);
	if (!lookup->turn) {
		lookup_free(lookup);
		return NULL;
	}
	return lookup;
}

int lookup_join(struct names *names, const char *host, uint16_t family,
		struct lookup_waiter *waiter)
{
	struct lookup *lookup;

	LIST_FOREACH(lookup, &names->lookups, next) {
		if (lookup->family == family && strcasecmp(lookup->host, host) == 0)
			break;
	}
	if (!lookup)
		lookup = lookup_new(names, host, family);
	if (!lookup)
		return -ENOMEM;
	LIST_INSERT_HEAD(&lookup->waiters, waiter, next);
	waiter->lookup = lookup;
	soon(lookup);
	return 0;
}

void lookup_leave(struct lookup_waiter *waiter)
{
	struct lookup *lookup = waiter->lookup;

	if (!lookup)
		return;
	LIST_REMOVE(waiter, next);
	waiter->lookup = NULL;
	if (LIST_EMPTY(&lookup->waiters) && !lookup->telling)
		lookup_free(lookup);
}

bool lookup_is_alone(const struct lookup_waiter *waiter)
{
	return LIST_FIRST(&waiter->lookup->waiters) == waiter && !LIST_NEXT(waiter, next);
}

char *lookup_servers(const struct lookup *lookup, char *dst, size_t size)
{
	const struct nameservers *servers = &lookup->names->servers;
	size_t len = 0;

	*dst = '\0';
	for (unsigned i = 0; i < servers->conf.server_count && len < size; i++) {
		char text[ADDRESS_TEXT];

		len += (size_t)snprintf(dst + len, size - len, "%s%s", i ? ", " : "",
					address_text(&servers->conf.server[i], text));
	}
	return dst;
}

void lookup_go_on(struct names *names)
{
	struct lookup *lookup;

	LIST_FOREACH(lookup, &names->lookups, next) {
		if (lookup->stage == LOOKUP_FRESH)
			soon(lookup);
	}
}

void lookup_start_over(struct names *names)
{
	struct lookup *lookup;

	LIST_FOREACH(lookup, &names->lookups, next) {
		if (lookup->stage != LOOKUP_ASKED)
			continue;
		free_questions(lookup);
		if (is(lookup, HALF_FOUND)) {
			/* Somebody dials these addresses already; the other half will not come. */
			for (unsigned i = 0; i < FAMILIES; i++) {
				if (lookup->half[i].state == HALF_PENDING)
					lookup->half[i].state = HALF_FAILED;
			}
		} else {
			memset(lookup->half, 0, sizeof(lookup->half));
			lookup->stage = LOOKUP_FRESH;
			lookup->candidate = lookup->tried = 0;
		}
		soon(lookup);
	}
}
