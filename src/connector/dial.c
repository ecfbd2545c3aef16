#include "connector/dial.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/macros.h"
#include "connector/connector.h"
#include "wire/errors.h"

static struct child *child_of(const struct dial *dial)
{
	return dial->dialler->connector->child;
}

int dial_compare(const void *one, const void *other)
{
	const struct dial *a = one, *b = other;

	return (a->id > b->id) - (a->id < b->id);
}

void dial_free(struct dial *dial)
{
	lookup_leave(&dial->waiter);
	eyeballs_free(dial->eyeballs);
	if (dial->deadline)
		event_free(dial->deadline);
	free(dial);
}

static void remove_and_free(struct dial *dial)
{
	struct dialler *dialler = dial->dialler;

	if (dial->stage == DIAL_WAITING) {
		TAILQ_REMOVE(&dialler->waiting, dial, next);
		dialler->waiting_count--;
	} else {
		TAILQ_REMOVE(&dialler->running, dial, next);
		dialler->running_count--;
	}
	dial_free(dial);
	dialler_look(dialler);
}

static bool lookup_needs_it(const struct dial *dial)
{
	const struct lookup *lookup = dial->waiter.lookup;

	return lookup && lookup->stage == LOOKUP_ASKED && lookup_is_alone(&dial->waiter);
}

void dial_end(struct dial *dial)
{
	const struct timeval alone = { LIMIT_LOOKUP_ALONE_MS / 1000, 0 };

	tdelete(dial, &dial->dialler->by_id, dial_compare);
	dial->eyeballs = eyeballs_free(dial->eyeballs);
	if (!lookup_needs_it(dial)) {
		remove_and_free(dial);
		return;
	}
	dial->stage = DIAL_DEAF;
	event_add(dial->deadline, &alone);
}

/* ---- answers ---- */

static void log_end(const struct dial *dial, const struct address *address,
		    const struct explained *why)
{
	char server[LIMIT_HOST + 8], text[ADDRESS_TEXT];

	if (!log_wanted(LOG_L_DEBUG))
		return;
	snprintf(server, sizeof(server), "%s:%u", dial->host, dial->port);
	log_event(LOG_L_DEBUG, why ? why->text : "dialled",
		  { FIELD_UID, LOG_NUMBER(dial->dialler->uid) }, { FIELD_SERVER, server },
		  { FIELD_ADDRESS, address ? address_text(address, text) : NULL },
		  { FIELD_MS, LOG_NUMBER((clock_us() - dial->started_us) / 1000) },
		  { FIELD_OUTCOME, why ? error_info(why->error)->name : "ok" });
}

void dial_fail(struct dial *dial, const struct explained *why)
{
	log_end(dial, NULL, why);
	dialler_send_failed(dial->dialler, dial->id, why);
	dial_end(dial);
}

/* ---- what the badge may reach ---- */

/* 0 and the rules, NULL for none.  -EACCES: its badge has gone, or was never known. */
static int find_reach(const struct dial *dial, const struct reach **ret)
{
	return destinations_find(&dial->dialler->connector->destinations, dial->dialler->badge,
				 ret);
}

static void fail_policy(struct dial *dial, const struct reach *reach, const char *what)
{
	struct explained why;

	explain_policy(&why, reach ? reach->name : NULL, dial->host, dial->port, what);
	dial_fail(dial, &why);
}

/* All that was found is not to be dialled. */
static void fail_refused(struct dial *dial)
{
	const struct reach *reach = NULL;
	char what[ADDRESS_TEXT + 64], text[ADDRESS_TEXT];

	(void)find_reach(dial, &reach);
	snprintf(what, sizeof(what), ": it leads to %s%s", address_text(&dial->refused, text),
		 dial->by_name ? ", which is private, or this machine's" : "");
	fail_policy(dial, reach, what);
}

/* Before anything is looked up or sent.  Returns whether the dial goes on. */
static bool may_begin(struct dial *dial, enum host_kind kind, const struct address *address)
{
	struct judgement judgement;
	const struct reach *reach;

	if (find_reach(dial, &reach) < 0) {
		fail_policy(dial, NULL, "");
		return false;
	}
	judgement = reach_judge(reach, kind == HOST_ADDRESS ? address : NULL, dial->host,
				dial->name, dial->port);
	dial->by_name = judgement.by_name;
	if (judgement.ruling != RULING_REFUSED)
		return true;
	fail_policy(dial, reach,
		    judgement.other_name ? " when another name is to be verified" : "");
	return false;
}

/* Those of FOUND that may be dialled. */
static struct addresses allowed(struct dial *dial, const struct addresses *found)
{
	struct addresses some = { .count = 0 };
	const struct reach *reach;
	int r = find_reach(dial, &reach);

	for (unsigned i = 0; i < found->count; i++) {
		const struct address *address = &found->list[i];

		if (r == 0 &&
		    (!reach || reach_has_address(reach, address, dial->port, dial->by_name))) {
			addresses_add(&some, address);
			continue;
		}
		if (!dial->has_refused)
			dial->refused = *address;
		dial->has_refused = true;
	}
	return some;
}

/* ---- what comes of it ---- */

/* The rules may have changed since it was begun. */
static bool may_still(const struct dial *dial, const struct address *address)
{
	const struct reach *reach;

	return find_reach(dial, &reach) == 0 &&
	       (!reach ||
		reach_has_connection(reach, dial->host, dial->name, address, dial->port));
}

static void on_dialled(struct dial *dial, int fd, const struct address *address, uint32_t tcp_us)
{
	struct msg_dialed body = {
		.id = dial->id,
		.family = address->family,
		.port = dial->port,
		.name_us = dial->name_us,
		.tcp_us = tcp_us,
	};

	memcpy(body.address, address->bytes, sizeof(body.address));
	log_end(dial, address, NULL);
	chan_send(&dial->dialler->chan, MSG_DIALED, &body, NULL, 0, &fd);
	dial_end(dial);
}

static void on_eyeballs_done(void *arg, int fd, const struct address *address, uint32_t tcp_us)
{
	struct dial *dial = arg;
	struct explained why;

	if (fd >= 0 && !may_still(dial, address)) {
		fd_close(fd);
		dial->refused = *address;
		fail_refused(dial);
		return;
	}
	if (fd >= 0) {
		on_dialled(dial, fd, address, tcp_us);
		return;
	}
	if (dial->has_refused && dial->eyeballs->failed == 0) {
		fail_refused(dial);
		return;
	}
	explain_failures(&why, dial->host, dial->port, dial->eyeballs);
	dial_fail(dial, &why);
}

static void on_deadline(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct dial *dial = arg;
	struct explained why;

	if (dial->stage == DIAL_DEAF) {
		remove_and_free(dial);
		return;
	}
	if (dial->eyeballs)
		eyeballs_give_up(dial->eyeballs);
	explain_deadline(&why, dial->host, dial->port, dial->deadline_ms, dial->eyeballs,
			 dial->waiter.lookup);
	dial_fail(dial, &why);
}

/* ---- the way there ---- */

static void on_news(struct lookup_waiter *waiter)
{
	struct dial *dial = container_of(waiter, struct dial, waiter);
	struct lookup *lookup = waiter->lookup;
	bool over = lookup->stage == LOOKUP_OVER;
	struct explained why;

	if (dial->stage == DIAL_DEAF) {
		if (over)
			remove_and_free(dial);
		return;
	}
	if (over && lookup->error != TLSB_E_NONE) {
		explain_as(&why, lookup->error, "%s", lookup->text);
		why.looking_up = true;
		dial_fail(dial, &why);
		return;
	}
	if (dial->name_us == 0)
		dial->name_us = (uint32_t)(clock_us() - dial->started_us);
	for (unsigned i = 0; i < FAMILIES; i++) {
		struct addresses found;

		if (lookup->half[i].state == HALF_PENDING || eyeballs_has(dial->eyeballs, i))
			continue;
		found = allowed(dial, &lookup->half[i].found);
		eyeballs_add(dial->eyeballs, i, &found);
	}
	if (over)
		lookup_leave(waiter);
}

static void run_address(struct dial *dial, const struct address *address)
{
	unsigned index = address->family == AF_INET6 ? V6 : V4;
	struct addresses one = { .count = 1 }, none = { 0 };
	struct explained why;

	if (!address_wanted(dial->family, index)) {
		explain_as(&why, TLSB_E_DNS, "%s is an IPv%d address, but only IPv%d may be used",
			   dial->host, index == V6 ? 6 : 4, index == V6 ? 4 : 6);
		dial_fail(dial, &why);
		return;
	}
	one.list[0] = *address;
	eyeballs_add(dial->eyeballs, index == V6 ? V4 : V6, &none);
	eyeballs_add(dial->eyeballs, index, &one);
}

void dial_run(struct dial *dial)
{
	struct connector *connector = dial->dialler->connector;
	enum host_kind kind;
	struct address address;
	const char *refused;
	struct explained why;
	int r;

	dial->started_us = clock_us();
	kind = address_of_host(dial->host, &address, &refused);
	if (kind == HOST_UNUSABLE) {
		explain_as(&why, TLSB_E_PARAMETER, "%.120s %s", dial->host, refused);
		dial_fail(dial, &why);
		return;
	}
	if (!may_begin(dial, kind, &address))
		return;
	r = eyeballs_new(child_of(dial)->base, dial->port, &dial->dialler->attempts,
			 on_eyeballs_done, dial, &dial->eyeballs);
	if (r == 0 && kind == HOST_NAME)
		r = lookup_join(&connector->names, dial->host, dial->family, &dial->waiter);
	if (r < 0) {
		explain_as(&why, TLSB_E_RESOURCES, "the broker's connector has no memory left");
		dial_fail(dial, &why);
	} else if (kind == HOST_ADDRESS) {
		run_address(dial, &address);
	}
}

struct dial *dial_new(struct dialler *dialler, const struct msg_dial *body, const char *host,
		      const char *name)
{
	size_t size = strlen(host) + 1, name_size = strlen(name) + 1;
	unsigned ms = MIN(body->deadline_ms, LIMIT_CONNECT_MAX_MS);
	const struct timeval deadline = { ms / 1000, (suseconds_t)(ms % 1000) * 1000 };
	struct dial *dial = calloc(1, sizeof(*dial) + size + name_size);

	if (!dial)
		return NULL;
	dial->dialler = dialler;
	dial->id = body->id;
	dial->port = body->port;
	dial->family = body->family;
	dial->deadline_ms = ms;
	dial->started_us = clock_us();
	dial->waiter.on_news = on_news;
	memcpy(dial->host, host, size);
	dial->name = memcpy(dial->host + size, name, name_size);
	dial->deadline = event_new(child_of(dial)->base, -1, 0, on_deadline, dial);
	if (!dial->deadline || event_add(dial->deadline, &deadline) < 0) {
		dial_free(dial);
		return NULL;
	}
	return dial;
}
