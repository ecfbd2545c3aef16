/*
 * A supervisor without processes: its channels end in the test, which plays frontdoor, connector,
 * keyholder and workers.
 */
#ifndef TLSB_TESTS_SUPERVISOR_RIG_H
#define TLSB_TESTS_SUPERVISOR_RIG_H

#include "testing.h"

#include <stdio.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "supervisor/supervisor.h"
#include "supervisor/wishes.h"
#include "tlsbroker.h"

#define RIG_PROCESSES 8

/* One end is the supervisor's, the other the test's. */
struct rig_process {
	struct process process;
	struct worker *worker; /* of a worker */
	int far;
	enum msg_rule broken; /* the rule that we broke, so that our channel ended */
	bool gone;
};

struct rig {
	struct supervisor supervisor;
	struct options options;
	struct rig_process processes[RIG_PROCESSES];
	unsigned count;
};

static inline void rig_on_gone(struct chan *chan, enum msg_rule rule, const char *what unused_)
{
	struct rig_process *process = container_of(chan, struct rig_process, process.chan);

	process->gone = true;
	process->broken = rule;
}

static inline struct rig_process *rig_add(struct rig *rig, enum role role)
{
	struct rig_process *added = &rig->processes[rig->count++];
	struct process *process = &added->process;
	int pair[2], page;

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	assert_int_equal(counters_create(&process->counters, &page), 0);
	fd_close(page);
	process->supervisor = &rig->supervisor;
	process->role = role;
	process->ready = true;
	process->pid = 1000000 + (pid_t)rig->count; /* for show: it is never signalled */
	process->reaped = true;
	added->far = pair[1];
	process->timer = evtimer_new(rig->supervisor.base, wishes_on_timer, NULL);
	assert_non_null(process->timer);
	LIST_INSERT_HEAD(&rig->supervisor.processes, process, next);
	assert_int_equal(chan_init(&process->chan, rig->supervisor.base, pair[0],
				   &internal_messages, ROLE_SUPERVISOR, role, RUN,
				   supervisor_handlers, rig_on_gone, process), 0);
	return added;
}

/* A worker that waits for a user. */
static inline struct rig_process *rig_add_spare(struct rig *rig)
{
	struct rig_process *added = rig_add(rig, ROLE_WORKER);
	struct worker *worker = calloc(1, sizeof(*worker));

	assert_non_null(worker);
	worker->process = &added->process;
	worker->state = ROW_STATE_SPARE;
	worker->serial = ++rig->supervisor.workers.last_serial;
	added->process.owner = added->worker = worker;
	TAILQ_INSERT_TAIL(&rig->supervisor.workers.list, worker, next);
	rig->supervisor.workers.spare = worker;
	return added;
}

/* What came for PROCESS next; its descriptors are the test's.  Fails when nothing did. */
static inline uint32_t rig_receive(struct rig_process *process, union msg_buffer *buf,
				   struct msg *msg)
{
	const struct msg_context ctx = { &internal_messages, process->process.role,
					 ROLE_SUPERVISOR, RUN };
	enum msg_rule rule;

	for (;;) {
		assert_int_equal(msg_recv(process->far, &ctx, buf, msg, &rule), 1);
		/* Its slice of the policy goes before a badge; what is in it is for others to test. */
		if (msg->type != MSG_POLICY && msg->type != MSG_CRLS && msg->type != MSG_TRUST)
			return msg->type;
		msg_close_fds(msg);
	}
}

static inline void rig_expect_nothing(struct rig_process *process)
{
	const struct msg_context ctx = { &internal_messages, process->process.role,
					 ROLE_SUPERVISOR, RUN };
	union msg_buffer buf;
	enum msg_rule rule;
	struct msg msg;

	assert_int_equal(msg_recv(process->far, &ctx, &buf, &msg, &rule), -EAGAIN);
}

/* PROCESS says something, and the supervisor handles it. */
static inline void rig_say(struct rig *rig, struct rig_process *process, uint32_t type,
			   const void *body)
{
	assert_int_equal(msg_send(process->far, &internal_messages, type, body, NULL, 0, NULL), 0);
	event_base_loop(rig->supervisor.base, EVLOOP_NONBLOCK);
}

static inline void rig_init(struct rig *rig)
{
	struct supervisor *supervisor = &rig->supervisor;

	memset(rig, 0, sizeof(*rig));
	supervisor->options = &rig->options;
	supervisor->phase = PHASE_RUNNING;
	supervisor->uid = 990;
	supervisor->policy.conf = conf_new();
	assert_non_null(supervisor->policy.conf);
	assert_int_equal(fd_sealed_copy("trust", "x", 1, &supervisor->policy.trust.fd), 0);
	supervisor->base = event_base_new();
	assert_non_null(supervisor->base);
	LIST_INIT(&supervisor->processes);
	assert_int_equal(station_init(&supervisor->frontdoor, supervisor, ROLE_FRONTDOOR), 0);
	assert_int_equal(station_init(&supervisor->connector, supervisor, ROLE_CONNECTOR), 0);
	assert_int_equal(station_init(&supervisor->keyholder, supervisor, ROLE_KEYHOLDER), 0);
	assert_int_equal(workers_init(&supervisor->workers, supervisor), 0);
	/* As if so many were leaving that no process may be started. */
	supervisor->workers.draining = LIMIT_WORKERS_LEAVING;
}

static inline struct rig_process *rig_add_station(struct rig *rig, struct station *station)
{
	struct rig_process *added = rig_add(rig, station->role);

	station->process = &added->process;
	added->process.owner = station;
	return added;
}

static inline void rig_deinit(struct rig *rig)
{
	for (unsigned i = 0; i < rig->count; i++) {
		struct rig_process *process = &rig->processes[i];

		chan_deinit(&process->process.chan);
		counters_unmap(process->process.counters);
		event_free(process->process.timer);
		fd_close(process->far);
	}
	questions_deinit(&rig->supervisor.questions);
	workers_deinit(&rig->supervisor.workers);
	station_deinit(&rig->supervisor.frontdoor);
	station_deinit(&rig->supervisor.connector);
	station_deinit(&rig->supervisor.keyholder);
	event_base_free(rig->supervisor.base);
	policy_deinit(&rig->supervisor.policy);
}

#endif
