#include "worker/worker.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "tlsbroker.h"
#include "worker/client.h"
#include "worker/errand.h"
#include "worker/fibre.h"
#include "worker/lending.h"
#include "worker/listing.h"
#include "worker/review.h"
#include "worker/session.h"
#include "worker/signing.h"
#include "worker/state.h"

static struct worker *worker_of(struct chan *chan)
{
	struct child *child = chan->owner;

	return child->state;
}

void worker_check_drained(struct worker *worker)
{
	if (worker->draining && LIST_EMPTY(&worker->all_sessions))
		event_base_loopexit(worker->child->base, NULL);
}

/* ---- memory of idle sessions ---- */

void worker_sweep_soon(struct worker *worker)
{
	static const struct timeval later = { LIMIT_SWEEP_MS / 1000, LIMIT_SWEEP_MS % 1000 * 1000 };

	if (worker->sweep && !evtimer_pending(worker->sweep, NULL))
		evtimer_add(worker->sweep, &later);
}

/*
 * What sessions leave behind, the heap keeps: something that lives on lies above it.  Thousands of
 * sessions leave a hundred megabytes.  Once half of the most have ended, the kernel gets them back.
 */
static void trim_heap(struct worker *worker)
{
	if (worker->quota.sessions > worker->sessions_most / 2)
		return;
	malloc_trim(0);
	worker->sessions_most = worker->quota.sessions;
}

static void on_sweep(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct worker *worker = arg;
	struct session *session;
	bool again = false;

	LIST_FOREACH(session, &worker->all_sessions, in_worker)
		again = session_sweep(session) || again;
	trim_heap(worker);
	if (again)
		worker_sweep_soon(worker);
}

/* ---- drain ---- */

static void end_everything(struct worker *worker, enum tlsb_error code, const char *text)
{
	struct session *session, *next;

	for (session = LIST_FIRST(&worker->all_sessions); session; session = next) {
		next = LIST_NEXT(session, in_worker);
		/* The server hears a clean end only if the program has said all that it had to. */
		session_end(session, code, "%s", text);
	}
}

static const char stopping[] = "tlsbrokerd is shutting down";

static void on_drain_end(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	end_everything(arg, TLSB_E_STOPPING, stopping);
}

static int on_drain(struct chan *chan, struct msg *msg)
{
	struct worker *worker = worker_of(chan);
	const struct msg_drain *drain = msg->body;
	struct timeval tv = { drain->deadline_ms / 1000, drain->deadline_ms % 1000 * 1000 };

	if (worker->draining)
		return 0;
	worker->draining = true;
	worker->drain_end = evtimer_new(worker->child->base, on_drain_end, worker);
	if (!worker->drain_end || evtimer_add(worker->drain_end, &tv) < 0)
		end_everything(worker, TLSB_E_STOPPING, stopping);
	worker_check_drained(worker);
	return 0;
}

static int on_badge_gone(struct chan *chan, struct msg *msg unused_)
{
	end_everything(worker_of(chan), TLSB_E_POLICY,
		       "badge: it is not in the configuration any more");
	return 0;
}

/* A role that breaks the table may be anybody's by now: nothing more is read from it. */
static void report_broken(struct worker *worker, const char *text, enum msg_rule rule,
			  const char *what)
{
	if (rule == RULE_NONE)
		return;
	counters_add(worker->child->counters, COUNTER_violations, 1);
	log_event(LOG_L_ERROR, text, { FIELD_RULE, msg_rule_name(rule) }, { FIELD_ERROR, what });
}

/* ---- frontdoor ---- */

/* The frontdoor is not to count it any more. */
static int client_is_gone(struct chan *chan, uint64_t id)
{
	return chan_send_body(chan, MSG_CLIENT_GONE, &(struct msg_client_gone){ .id = id });
}

static int on_client(struct chan *chan, struct msg *msg)
{
	const struct msg_client *client = msg->body;

	/* Without memory the program sees its connection close; the others stay. */
	if (client_new(chan->owner, client, msg_take_fd(msg, 0)) < 0)
		return client_is_gone(chan, client->id);
	return 0;
}

/* No descriptor left for a client: its connection was lost on the way, and is over. */
static int on_starved(struct chan *chan, struct msg *msg)
{
	const struct msg_client *client = msg->body;

	if (msg->type != MSG_CLIENT)
		return -EMFILE;
	return client_is_gone(chan, client->id);
}

static void on_frontdoor_gone(struct chan *chan, enum msg_rule rule, const char *what)
{
	report_broken(chan->owner, "the frontdoor broke the protocol", rule, what);
	chan_deinit(chan); /* the supervisor starts another, and sends FRONTDOOR_CHAN */
}

static chan_handler *const frontdoor_handlers[MSG_COUNT] = { [MSG_CLIENT] = on_client };

static int set_frontdoor(struct worker *worker, int fd)
{
	struct client *client;
	int r;

	chan_deinit(&worker->frontdoor);
	r = chan_init(&worker->frontdoor, worker->child->base, fd, &internal_messages, ROLE_WORKER,
		      ROLE_FRONTDOOR, RUN, frontdoor_handlers, on_frontdoor_gone, worker);
	if (r < 0)
		return r;
	worker->frontdoor.on_starved = on_starved;
	/* Ids are the frontdoor's: a new one knows none of ours, only how many there are. */
	LIST_FOREACH(client, &worker->clients, in_worker)
		client->id = 0;
	return chan_send_body(&worker->frontdoor, MSG_CLIENTS,
			      &(struct msg_clients){ .count = worker->client_count });
}

static int on_frontdoor_chan(struct chan *chan, struct msg *msg)
{
	return set_frontdoor(worker_of(chan), msg_take_fd(msg, 0));
}

/* ---- connector ---- */

/* An answer for a session that has ended meanwhile finds nothing: its descriptor is closed. */
static struct session *dialling(struct chan *chan, uint64_t id)
{
	struct worker *worker = chan->owner;
	struct session *session = slots_get(&worker->sessions, id);

	return session && session->stage == STAGE_DIALLING ? session : NULL;
}

static int on_dialed(struct chan *chan, struct msg *msg)
{
	const struct msg_dialed *dialed = msg->body;
	struct session *session = dialling(chan, dialed->id);

	if (session)
		session_on_dialed(session, dialed, msg_take_fd(msg, 0));
	return 0;
}

static int on_dialed_starved(struct chan *chan, struct msg *msg)
{
	const struct msg_dialed *dialed = msg->body;
	struct session *session = dialling(chan, dialed->id);

	if (session) {
		session->dial_sent = false;
		session_end(session, TLSB_E_RESOURCES, "the broker has no descriptors left");
	}
	return 0;
}

static int on_dial_failed(struct chan *chan, struct msg *msg)
{
	const struct msg_dial_failed *failed = msg->body;
	struct session *session = dialling(chan, failed->id);

	if (failed->error == TLSB_E_NONE || failed->looking_up > 1)
		return -EBADMSG; /* else the log would have it end well */
	if (session) {
		session->looking_up = failed->looking_up != 0;
		session->dial_sent = false; /* nothing to cancel */
		session_end(session, failed->error, "%.*s", (int)msg->tail_len, msg->tail);
	}
	return 0;
}

static void await_connector(struct worker *worker)
{
	static const struct timeval away = { LIMIT_CONNECTOR_AWAY_MS / 1000,
					     LIMIT_CONNECTOR_AWAY_MS % 1000 * 1000 };

	if (worker->connector_away)
		evtimer_add(worker->connector_away, &away);
}

/* It has not died, then: only our channel broke, of which nobody else knows. */
static void on_connector_away(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	static const struct msg_connector_wanted wanted;
	struct worker *worker = arg;

	chan_send_body(&worker->child->supervisor, MSG_CONNECTOR_WANTED, &wanted);
	await_connector(worker);
}

static void on_connector_gone(struct chan *chan, enum msg_rule rule, const char *what)
{
	struct worker *worker = chan->owner;
	struct session *session, *next;
	bool starved = chan->starved;

	report_broken(worker, "the connector broke the protocol", rule, what);
	chan_deinit(chan);
	await_connector(worker);
	for (session = LIST_FIRST(&worker->all_sessions); session; session = next) {
		next = LIST_NEXT(session, in_worker);
		if (session->stage == STAGE_DIALLING && session->dial_sent) {
			session->dial_sent = false;
			session_end(session, TLSB_E_WORKER_DIED,
				    "the broker's connector died while it connected; try again");
		}
	}
	/* The connector lives, so no other one comes: without it there are no new sessions. */
	if (starved)
		child_give_up(worker->child);
}

static chan_handler *const connector_handlers[MSG_COUNT] = {
	[MSG_DIALED] = on_dialed,
	[MSG_DIAL_FAILED] = on_dial_failed,
	[MSG_DESTINATIONS_NEW] = review_on_destinations_new,
	[MSG_DIAL_FORBIDDEN] = review_on_forbidden,
};

static int set_connector(struct worker *worker, int fd)
{
	struct session *session, *next;
	int r;

	if (worker->connector.owner)
		on_connector_gone(&worker->connector, RULE_NONE, "replaced");
	if (worker->connector_away)
		evtimer_del(worker->connector_away);
	r = chan_init(&worker->connector, worker->child->base, fd, &internal_messages, ROLE_WORKER,
		      ROLE_CONNECTOR, RUN, connector_handlers, on_connector_gone, worker);
	worker->connector.on_starved = on_dialed_starved;
	worker->connector.on_drained = review_on_drained;
	for (session = LIST_FIRST(&worker->all_sessions); r == 0 && session; session = next) {
		next = LIST_NEXT(session, in_worker);
		if (session->stage == STAGE_DIALLING && !session->dial_sent)
			session_dial(session);
	}
	/* It may go by rules that the one before did not have yet. */
	if (r == 0)
		review_ask_connector(worker);
	return r;
}

static int on_connector_chan(struct chan *chan, struct msg *msg)
{
	return set_connector(worker_of(chan), msg_take_fd(msg, 0));
}

/* ---- keyholder ---- */

static int on_signed(struct chan *chan, struct msg *msg)
{
	signing_on_signed(chan->owner, msg);
	return 0;
}

static int on_psk_given(struct chan *chan, struct msg *msg)
{
	psk_on_given(chan->owner, msg);
	return 0;
}

static void await_keyholder(struct worker *worker)
{
	static const struct timeval away = { LIMIT_CONNECTOR_AWAY_MS / 1000,
					     LIMIT_CONNECTOR_AWAY_MS % 1000 * 1000 };

	if (worker->keyholder_away)
		evtimer_add(worker->keyholder_away, &away);
}

/* As on_connector_away(). */
static void on_keyholder_away(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	static const struct msg_keyholder_wanted wanted;
	struct worker *worker = arg;

	chan_send_body(&worker->child->supervisor, MSG_KEYHOLDER_WANTED, &wanted);
	await_keyholder(worker);
}

static void on_keyholder_gone(struct chan *chan, enum msg_rule rule, const char *what)
{
	struct worker *worker = chan->owner;

	report_broken(worker, "the keyholder broke the protocol", rule, what);
	chan_deinit(chan);
	await_keyholder(worker);
	lending_on_keyholder_gone(worker);
	errand_on_keyholder_gone(worker);
	signing_on_keyholder_gone(worker);
}

static int on_key_lent(struct chan *chan, struct msg *msg)
{
	lending_on_lent(chan->owner, msg);
	return 0;
}

static int on_key_answer(struct chan *chan, struct msg *msg)
{
	errand_on_answer(chan->owner, msg);
	return 0;
}

static chan_handler *const keyholder_handlers[MSG_COUNT] = {
	[MSG_KEY_ANSWER] = on_key_answer,
	[MSG_SIGNED] = on_signed,
	[MSG_KEY_LENT] = on_key_lent,
	[MSG_PSK_GIVEN] = on_psk_given,
};

static int set_keyholder(struct worker *worker, int fd)
{
	int r;

	if (worker->keyholder.owner)
		on_keyholder_gone(&worker->keyholder, RULE_NONE, "replaced");
	if (worker->keyholder_away)
		evtimer_del(worker->keyholder_away);
	r = chan_init(&worker->keyholder, worker->child->base, fd, &internal_messages, ROLE_WORKER,
		      ROLE_KEYHOLDER, RUN, keyholder_handlers, on_keyholder_gone, worker);
	if (r == 0) {
		signing_on_keyholder(worker);
		lending_on_keyholder(worker);
		errand_on_keyholder(worker);
	}
	return r;
}

static int on_keyholder_chan(struct chan *chan, struct msg *msg)
{
	return set_keyholder(worker_of(chan), msg_take_fd(msg, 0));
}

/* ---- supervisor ---- */

static int on_badge(struct chan *chan, struct msg *msg)
{
	struct worker *worker = worker_of(chan);
	const struct msg_badge *badge = msg->body;
	uint32_t at = 0;
	int r;

	if (worker->badge[0] != '\0')
		return -EALREADY;
	r = msg_tail_string(msg, &at, msg->tail_len, worker->badge, sizeof(worker->badge));
	worker->uid = badge->uid;
	if (r == 0)
		r = set_frontdoor(worker, msg_take_fd(msg, 0));
	if (r == 0)
		r = set_connector(worker, msg_take_fd(msg, 1));
	if (r == 0)
		r = set_keyholder(worker, msg_take_fd(msg, 2));
	return r;
}

/* What was to be resumed may not be any more. */
static void forget_offers(struct worker *worker)
{
	struct session *session, *next;

	for (session = LIST_FIRST(&worker->all_sessions); session; session = next) {
		next = LIST_NEXT(session, in_worker);
		session_on_trust(session);
	}
}

/* All of the new ones at once, in place of all of the old ones. */
static void identities_have_come(struct worker *worker)
{
	identities_deinit(&worker->tls.identities);
	worker->tls.identities = worker->coming;
	worker->coming = (struct identities){ .list = NULL };
}

static void psks_have_come(struct worker *worker)
{
	psks_deinit(&worker->tls.psks);
	worker->tls.psks = worker->psks_coming;
	worker->psks_coming = (struct psks){ .list = NULL };
}

/* IDENTITYs and PSKs follow, then TRUST. */
static int on_policy(struct chan *chan, struct msg *msg)
{
	const struct msg_policy *policy = msg->body;
	struct worker *worker = worker_of(chan);
	struct bounds bounds;
	int r = bounds_parse(&bounds, msg);

	if (r < 0)
		return r;
	quota_set(&worker->quota, policy->max_sessions, policy->max_memory);
	worker->quota.is_share = (policy->flags & POLICY_IS_SHARE) != 0;
	worker->more_workers = policy->more_workers;
	ages_set(worker, policy->idle_s, policy->lifetime_s);
	r = tls_set_bounds(&worker->tls, &bounds);
	if (r == 0)
		forget_offers(worker);
	if (r == 0)
		r = identities_begin(&worker->coming, policy->identity_count);
	if (r == 0 && identities_are_complete(&worker->coming))
		identities_have_come(worker);
	if (r == 0)
		r = psks_begin(&worker->psks_coming, policy->psk_count);
	if (r == 0 && psks_are_complete(&worker->psks_coming))
		psks_have_come(worker);
	return r;
}

static int on_identity(struct chan *chan, struct msg *msg)
{
	struct worker *worker = worker_of(chan);
	int r = identities_add(&worker->coming, msg, worker->tls.provider);

	if (r == 0 && identities_are_complete(&worker->coming))
		identities_have_come(worker);
	return r;
}

static int on_psk(struct chan *chan, struct msg *msg)
{
	struct worker *worker = worker_of(chan);
	int r = psks_add(&worker->psks_coming, msg);

	if (r == 0 && psks_are_complete(&worker->psks_coming))
		psks_have_come(worker);
	return r;
}

static int on_crls(struct chan *chan, struct msg *msg)
{
	return tls_set_crls(&worker_of(chan)->tls, msg->fds[0]);
}

static int on_trust(struct chan *chan, struct msg *msg)
{
	struct worker *worker = worker_of(chan);
	int r = tls_set_trust(&worker->tls, msg->fds[0]);

	if (r < 0)
		log_event(LOG_L_ERROR, "the trust index is unusable; the old one stays",
			  { FIELD_ERROR, strerror(-r) });
	else
		forget_offers(worker);
	review_begin(worker);
	/* Without any, it can verify nobody: another worker is tried then. */
	return r == -EPROTO || !worker->tls.trust.bytes ? r : 0;
}

static int on_status_row(struct chan *chan, struct msg *msg)
{
	struct worker *worker = worker_of(chan);
	const struct msg_status_row *body = msg->body;
	struct client *client;

	LIST_FOREACH(client, &worker->clients, in_worker)
	{
		if (client->status_tag == body->tag) {
			client_on_row(client, &body->row, msg->tail, msg->tail_len);
			break;
		}
	}
	return 0;
}

static int prepare(struct child *child)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return -ENOMEM;
	worker->child = child;
	child->state = worker;
	TAILQ_INIT(&worker->signings_in_line);
	TAILQ_INIT(&worker->lendings_in_line);
	TAILQ_INIT(&worker->errands_in_line);
	slots_init(&worker->sessions, LIMIT_SESSIONS_PER_UID);
	slots_init(&worker->errands, LIMIT_KEY_SOCKETS);
	return tls_prepare(&worker->tls);
}

static int start(struct child *child)
{
	struct worker *worker = child->state;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	quota_init(&worker->quota, files.rlim_cur);
	worker->sweep = evtimer_new(child->base, on_sweep, worker);
	worker->connector_away = evtimer_new(child->base, on_connector_away, worker);
	worker->keyholder_away = evtimer_new(child->base, on_keyholder_away, worker);
	if (ages_init(worker) < 0 || review_init(worker) < 0 || unread_init(worker) < 0 ||
	    leisure_init(worker) < 0)
		return -ENOMEM;
	return worker->sweep && worker->connector_away && worker->keyholder_away ? 0 : -ENOMEM;
}

static void stop(struct child *child)
{
	struct worker *worker = child->state;
	struct client *client;

	/* Without a drain the supervisor has died, and so does everything: programs see their sockets
	 * close, and nobody behind the door. */
	if (!worker->draining)
		_exit(1);
	end_everything(worker, TLSB_E_STOPPING, stopping);
	while ((client = LIST_FIRST(&worker->clients)))
		client_end(client);
	chan_deinit(&worker->frontdoor);
	chan_deinit(&worker->connector);
	chan_deinit(&worker->keyholder);
	if (worker->drain_end)
		event_free(worker->drain_end);
	if (worker->sweep)
		event_free(worker->sweep);
	if (worker->connector_away)
		event_free(worker->connector_away);
	if (worker->keyholder_away)
		event_free(worker->keyholder_away);
	fibre_free(worker->idle_fibre);
	identities_deinit(&worker->coming);
	psks_deinit(&worker->psks_coming);
	ages_deinit(worker);
	unread_deinit(worker);
	leisure_deinit(worker);
	review_deinit(worker);
	tls_deinit(&worker->tls);
	slots_deinit(&worker->sessions);
	slots_deinit(&worker->errands);
	free(worker);
}

static chan_handler *const supervisor_handlers[MSG_COUNT] = {
	[MSG_START] = child_on_start,
	[MSG_DRAIN] = on_drain,
	[MSG_BADGE] = on_badge,
	[MSG_BADGE_GONE] = on_badge_gone,
	[MSG_FRONTDOOR_CHAN] = on_frontdoor_chan,
	[MSG_CONNECTOR_CHAN] = on_connector_chan,
	[MSG_KEYHOLDER_CHAN] = on_keyholder_chan,
	[MSG_IDENTITY] = on_identity,
	[MSG_PSK] = on_psk,
	[MSG_POLICY] = on_policy,
	[MSG_CRLS] = on_crls,
	[MSG_TRUST] = on_trust,
	[MSG_STATUS_ROW] = on_status_row,
	[MSG_SESSIONS] = listing_on_sessions,
	[MSG_SESSION_KILL] = listing_on_kill,
};

const struct child_ops worker_ops = {
	.handlers = supervisor_handlers,
	.prepare = prepare,
	.start = start,
	.stop = stop,
};
