#include "supervisor/status.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "supervisor/supervisor.h"

/* Who asked, and what they may see. */
struct asking {
	struct supervisor *supervisor;
	struct chan *chan;
	uint64_t tag;
	uint32_t uid;
	bool sees_all;
};

static void send_row(const struct asking *asking, const struct row *row, const char *tail)
{
	const struct msg_status_row body = { asking->tag, *row };

	chan_send(asking->chan, MSG_STATUS_ROW, &body, tail, strlen(tail), NULL);
}

static void send_process(const struct asking *asking, const struct process *process,
			 enum row_state state, unsigned restarts)
{
	struct row row = { .kind = ROW_ROLE, .state = (uint32_t)state };

	row.pid = (uint32_t)process->pid;
	row.value[0] = process_age_ms(process);
	row.value[1] = restarts;
	send_row(asking, &row, role_name(process->role));
}

static void send_station(const struct asking *asking, const struct station *station)
{
	struct row row = { .kind = ROW_ROLE, .state = ROW_STATE_BACKOFF };

	if (station->process) {
		send_process(asking, station->process,
			     station->process->ready ? ROW_STATE_RUNNING : ROW_STATE_STARTING,
			     station->restarts);
		return;
	}
	row.value[1] = station->restarts;
	send_row(asking, &row, role_name(station->role));
}

static void send_roles(const struct asking *asking)
{
	const struct supervisor *supervisor = asking->supervisor;
	struct row row = { .kind = ROW_ROLE, .state = ROW_STATE_RUNNING };

	if (supervisor->phase == PHASE_STOPPING)
		row.state = ROW_STATE_DRAINING;
	row.pid = (uint32_t)getpid();
	row.value[0] = clock_ms() - supervisor->started_ms;
	send_row(asking, &row, role_name(ROLE_SUPERVISOR));
	send_station(asking, &supervisor->frontdoor);
	send_station(asking, &supervisor->connector);
	send_station(asking, &supervisor->keyholder);
	if (supervisor->workers.spare)
		send_process(asking, supervisor->workers.spare->process,
			     supervisor->workers.spare->state, 0);
}

static void send_badge(const struct asking *asking, struct row *row)
{
	char name[LIMIT_BADGE + 1];

	row->kind = ROW_WORKER;
	policy_badge_name(&asking->supervisor->policy, row->badge, row->uid, name);
	send_row(asking, row, name);
}

static void send_workers(const struct asking *asking)
{
	const struct worker *worker;

	TAILQ_FOREACH(worker, &asking->supervisor->workers.list, next) {
		const struct process *process = worker->process;
		struct row row = { .state = (uint32_t)worker->state, .uid = worker->uid,
				   .badge = worker->badge, .worker = worker->serial };

		if (worker->state != ROW_STATE_RUNNING && worker->state != ROW_STATE_DRAINING)
			continue;
		if (!asking->sees_all && worker->uid != asking->uid)
			continue;
		row.pid = (uint32_t)process->pid;
		row.value[0] = process_age_ms(process);
		row.value[1] = worker->seat ? worker->seat->restarts : 0;
		row.value[2] = counters_get(process->counters, COUNTER_clients);
		row.value[3] = counters_get(process->counters, COUNTER_sessions);
		send_badge(asking, &row);
	}
}

/* Users whose worker died, and who wait for the next one. */
static void send_waiting(const struct asking *asking)
{
	const struct seat *seat;

	TAILQ_FOREACH(seat, &asking->supervisor->workers.seats.list, next) {
		struct row row = { .state = ROW_STATE_BACKOFF, .uid = seat->uid,
				   .badge = seat->badge };

		if (seat->worker || !seat->wanted)
			continue;
		if (!asking->sees_all && seat->uid != asking->uid)
			continue;
		row.value[1] = seat->restarts;
		send_badge(asking, &row);
	}
}

/* The frontdoor counts all clients; each worker counts its own again, for its row. */
static bool adds_up(const struct process *process, enum counter counter)
{
	return counter != COUNTER_clients || process->role != ROLE_WORKER;
}

static void send_counters(const struct asking *asking)
{
	for (enum counter i = 0; i < COUNTER_COUNT; i++) {
		struct row row = { .kind = ROW_COUNTER };
		const struct process *process;

		row.value[0] = asking->supervisor->counts[i];
		LIST_FOREACH(process, &asking->supervisor->processes, next) {
			if (adds_up(process, i))
				row.value[0] += counters_get(process->counters, i);
		}
		send_row(asking, &row, counter_info[i].name);
	}
}

/* From a worker: who its client is, it may say only of its own user. */
int status_on_ask(struct chan *chan, struct msg *msg)
{
	const struct msg_status_ask *ask = msg->body;
	struct process *process = chan->owner;
	const struct worker *worker = process->owner;
	struct asking asking = { process->supervisor, chan, ask->tag, ask->uid, false };
	struct row end = { .kind = ROW_END };

	if ((worker->state != ROW_STATE_RUNNING && worker->state != ROW_STATE_DRAINING) ||
	    worker->uid != ask->uid)
		return -EPERM;
	asking.sees_all = ask->uid == 0 || ask->uid == process->supervisor->uid ||
			  policy_is_admin(&process->supervisor->policy, worker->badge, worker->uid,
					  process->supervisor->uid);
	send_roles(&asking);
	send_workers(&asking);
	send_waiting(&asking);
	send_counters(&asking);
	send_row(&asking, &end, "");
	return 0;
}
