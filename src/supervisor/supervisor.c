#include "supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/explain.h"
#include "supervisor/notify.h"
#include "supervisor/peers.h"
#include "supervisor/rolelog.h"
#include "supervisor/setup.h"
#include "supervisor/status.h"
#include "supervisor/units.h"
#include "supervisor/wishes.h"

chan_handler *const supervisor_handlers[MSG_COUNT] = {
	[MSG_READY] = process_on_ready,
	[MSG_LOG] = rolelog_on_line,
	[MSG_WORKER_WANTED] = wishes_on_wanted,
	[MSG_WORKER_RETIRE] = wishes_on_retire,
	[MSG_RESOLVER_CHECK] = resolver_on_check,
	[MSG_STATUS_ASK] = status_on_ask,
	[MSG_QUESTION] = questions_on_question,
	[MSG_SESSION_ROW] = questions_on_row,
	[MSG_INQUIRY] = explain_on_inquiry,
	[MSG_DECIDED] = explain_on_decided,
	[MSG_CONNECTOR_WANTED] = workers_on_connector_wanted,
	[MSG_KEYHOLDER_WANTED] = workers_on_keyholder_wanted,
	[MSG_PEER_WANTED] = peers_on_wanted,
	[MSG_CLIENT_UNIT] = units_on_client,
};

void supervisor_keep_counts(struct supervisor *supervisor, const struct counters *counters)
{
	for (enum counter i = 0; i < COUNTER_COUNT; i++) {
		if (counter_info[i].kind == COUNT)
			supervisor->counts[i] += counters_get(counters, i);
	}
}

void supervisor_fail(struct supervisor *supervisor, const char *role, const char *reason)
{
	if (supervisor->failure.text[0] != '\0')
		return; /* the first reason is the one that counts */
	failure_set(&supervisor->failure, -EPROTO, "%s: could not start: %s%s", role, reason,
		    supervisor->options->debug ? "" : "; -d shows what it says");
	event_base_loopbreak(supervisor->base);
}

static bool is_ready(const struct station *station)
{
	return station->process && station->process->ready;
}

void supervisor_check(struct supervisor *supervisor)
{
	const struct workers *workers = &supervisor->workers;

	if (supervisor->phase == PHASE_STOPPING && workers->draining == 0) {
		event_base_loopbreak(supervisor->base);
		return;
	}
	if (supervisor->phase != PHASE_STARTING || !is_ready(&supervisor->frontdoor) ||
	    !is_ready(&supervisor->connector) || !is_ready(&supervisor->keyholder) ||
	    !workers->spare || workers->spare->state != ROW_STATE_SPARE)
		return;
	supervisor->phase = PHASE_RUNNING;
	log_event(LOG_L_NOTICE, "ready",
		  { FIELD_MS, LOG_NUMBER(clock_ms() - supervisor->started_ms) });
	notify_ready(workers->running);
}

/*
 * The frontdoor lets nobody in any more, sessions go on until they end or their time is over, then
 * everything else ends.  A second signal is a person who does not want to wait.
 */
static void on_stop(evutil_socket_t signal_number unused_, short what unused_, void *arg)
{
	const struct timeval deadline = { .tv_sec = LIMIT_DRAIN_MS / 1000 + 1 };
	const struct msg_drain body = { .deadline_ms = LIMIT_DRAIN_MS };
	struct supervisor *supervisor = arg;

	notify_stopping();
	if (supervisor->phase != PHASE_RUNNING) {
		event_base_loopbreak(supervisor->base);
		return;
	}
	log_pairs(LOG_L_NOTICE, "stopping", NULL, 0);
	supervisor->phase = PHASE_STOPPING;
	listener_close(&supervisor->listener);
	station_send(&supervisor->frontdoor, MSG_DRAIN, &body, NULL);
	workers_drain(&supervisor->workers);
	event_add(supervisor->deadline, &deadline);
	supervisor_check(supervisor);
}

static void on_deadline(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct supervisor *supervisor = arg;

	log_pairs(LOG_L_WARNING, "sessions did not end in time", NULL, 0);
	event_base_loopbreak(supervisor->base);
}

/* One that has not got all of them has none of the new ones: another gets them all. */
void supervisor_send_keys(struct supervisor *supervisor)
{
	struct process *keyholder = supervisor->keyholder.process;
	int r = keyholder ? policy_send_keyholder(&supervisor->policy, &keyholder->chan) : 0;

	if (r == 0)
		return;
	log_event(LOG_L_ERROR, "the keyholder cannot be given its keys, and is started again",
		  { FIELD_ERROR, strerror(-r) });
	process_kill(keyholder);
}

/* New sessions see what is new; of those that are open, the roles end what is forbidden now. */
static int reload(struct supervisor *supervisor, struct conf_errors *errors)
{
	struct policy policy = POLICY_NONE;
	int r = policy_load(supervisor->options, &supervisor->policy, &policy, errors);

	policy_log_errors(errors);
	if (r < 0) {
		log_event(LOG_L_ERROR, "the old configuration is kept",
			  { FIELD_ERROR, r == -EINVAL ? "the new one has errors" : strerror(-r) });
		return r;
	}
	policy.trust.generation = supervisor->policy.trust.generation + 1;
	policy_deinit(&supervisor->policy);
	supervisor->policy = policy;
	/* First of all what takes something away; nobody has a new badge before its rules are there. */
	workers_end_badges(&supervisor->workers);
	if (supervisor->connector.process)
		policy_send_connector(&supervisor->policy, &supervisor->connector.process->chan);
	if (supervisor->frontdoor.process)
		policy_send_frontdoor(&supervisor->policy, &supervisor->frontdoor.process->chan);
	supervisor_send_keys(supervisor);
	workers_send_policy(&supervisor->workers);
	explain_reloaded(supervisor);
	policy_log_trust(&supervisor->policy);
	renewal_begin(supervisor);
	return 0;
}

int supervisor_reload(struct supervisor *supervisor, struct conf_errors *errors)
{
	int r;

	if (supervisor->phase == PHASE_STOPPING)
		return -ESHUTDOWN;
	notify_reloading();
	r = reload(supervisor, errors);
	if (supervisor->phase == PHASE_RUNNING)
		notify_ready(supervisor->workers.running);
	return r;
}

static void on_reload(evutil_socket_t signal_number unused_, short what unused_, void *arg)
{
	struct conf_errors errors;

	conf_errors_init(&errors);
	(void)supervisor_reload(arg, &errors); /* the log has said what is wrong */
	conf_errors_deinit(&errors);
}

static void on_child(evutil_socket_t signal_number unused_, short what unused_, void *arg)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		process_reaped(arg, pid, status);
}

static int add_signal(struct supervisor *supervisor, enum supervisor_signal which, int number,
		      event_callback_fn callback)
{
	struct event *event = evsignal_new(supervisor->base, number, callback, supervisor);

	supervisor->signals[which] = event;
	return event && event_add(event, NULL) == 0 ? 0 : -ENOMEM;
}

int supervisor_add_events(struct supervisor *supervisor)
{
	int r = add_signal(supervisor, ON_TERM, SIGTERM, on_stop);

	if (r == 0)
		r = add_signal(supervisor, ON_INT, SIGINT, on_stop);
	if (r == 0)
		r = add_signal(supervisor, ON_HUP, SIGHUP, on_reload);
	if (r == 0)
		r = add_signal(supervisor, ON_CHLD, SIGCHLD, on_child);
	if (r == 0)
		r = notify_watchdog(supervisor->base, &supervisor->watchdog);
	if (r < 0)
		return r;
	supervisor->deadline = evtimer_new(supervisor->base, on_deadline, supervisor);
	return supervisor->deadline ? 0 : -ENOMEM;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

/* In this order: nobody is left who could ask for anything, then what they would have asked for. */
static void end(struct supervisor *supervisor)
{
	listener_close(&supervisor->listener);
	process_end_all(supervisor);
	renewal_deinit(supervisor);
	questions_deinit(&supervisor->questions);
	workers_deinit(&supervisor->workers);
	station_deinit(&supervisor->frontdoor);
	station_deinit(&supervisor->connector);
	station_deinit(&supervisor->keyholder);
	for (int i = 0; i < SIGNAL_COUNT; i++)
		free_event(supervisor->signals[i]);
	free_event(supervisor->watchdog);
	free_event(supervisor->deadline);
	if (supervisor->base)
		event_base_free(supervisor->base);
	spawn_deinit(&supervisor->spawner);
	policy_deinit(&supervisor->policy);
}

static void start_all(struct supervisor *supervisor)
{
	int r = station_start(&supervisor->connector);

	if (r == 0)
		r = station_start(&supervisor->keyholder);
	if (r == 0)
		r = station_start(&supervisor->frontdoor);
	if (r == 0)
		r = workers_start(&supervisor->workers);
	if (r < 0)
		failure_set(&supervisor->failure, r, "starting the roles: %s", strerror(-r));
}

int supervisor_main(const struct options *options)
{
	struct supervisor supervisor = {
		.options = options,
		.started_ms = clock_ms(),
		.listener = { .fd = -1 },
		.spawner = { .exe_fd = -1, .null_fd = -1 },
		.policy = POLICY_NONE,
	};

	LIST_INIT(&supervisor.processes);
	if (setup_all(&supervisor) == 0)
		start_all(&supervisor);
	if (supervisor.failure.text[0] == '\0')
		event_base_dispatch(supervisor.base);
	end(&supervisor);
	if (supervisor.failure.text[0] == '\0')
		return 0;
	fprintf(stderr, "tlsbrokerd: %s\n", supervisor.failure.text);
	return 1;
}
