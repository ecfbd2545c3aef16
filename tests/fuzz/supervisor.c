/*
 * The supervisor: what roles that were taken over can make of it by their messages and their deaths.
 * Its real handlers; only fork and files are the stage's.  Nobody is signalled that it did not start,
 * and it starts no more processes than it may.
 *
 *   steps: which (1), and what belongs to it
 */
#include "tests/fuzz/stage.h"

#include <errno.h>
#include <unistd.h>

#include "supervisor/supervisor.h"
#include "supervisor/wishes.h"

#define USERS      4
#define STEPS_MOST 48

/* One of each station, a spare, a worker for each user, and those that are leaving. */
#define PROCESSES_MOST (4 + USERS + LIMIT_WORKERS_LEAVING)

enum step {
	ROLE_SAYS,
	ROLE_IS_READY,
	FRONTDOOR_WANTS,
	FRONTDOOR_RETIRES,
	WORKER_ASKS,
	ROLE_HANGS_UP,
	ROLE_DIES,
	TIME_PASSES,
	SENDING_FAILS,
	NO_SOCKETS,
	STOP,
	STEPS,
};

static struct supervisor supervisor;
static const struct options options = { .verbose = 1 };

/* A message of ours: what a role says that behaves. */
struct said {
	struct msg_header header;
	union {
		struct msg_ready ready;
		struct msg_worker_wanted wanted;
		struct msg_status_ask ask;
	} body;
};

static void start(void)
{
	supervisor = (struct supervisor){
		.options = &options,
		.base = stage_base(),
		.uid = USERS - 1,
		.listener = { .fd = -1 },
		.policy = { conf_new(), { .fd = stage_file((const uint8_t *)"", 0) } },
	};
	LIST_INIT(&supervisor.processes);
	must(supervisor_add_events(&supervisor) == 0);
	must(station_init(&supervisor.frontdoor, &supervisor, ROLE_FRONTDOOR) == 0);
	must(station_init(&supervisor.connector, &supervisor, ROLE_CONNECTOR) == 0);
	must(station_init(&supervisor.keyholder, &supervisor, ROLE_KEYHOLDER) == 0);
	must(workers_init(&supervisor.workers, &supervisor) == 0);
	supervisor.listener.fd = stage_fd();
	must(station_start(&supervisor.connector) == 0);
	must(station_start(&supervisor.keyholder) == 0);
	must(station_start(&supervisor.frontdoor) == 0);
	must(workers_start(&supervisor.workers) == 0);
}

static void stop(void)
{
	listener_close(&supervisor.listener);
	process_end_all(&supervisor);
	workers_deinit(&supervisor.workers);
	station_deinit(&supervisor.frontdoor);
	station_deinit(&supervisor.connector);
	station_deinit(&supervisor.keyholder);
	for (int i = 0; i < SIGNAL_COUNT; i++)
		event_free(supervisor.signals[i]);
	event_free(supervisor.deadline);
	policy_deinit(&supervisor.policy);
	kernel = (struct kernel){ .now_ms = kernel.now_ms };
	must(stage_fds() == 0 && stage_events() == 0);
}

/* The process that NUMBER stands for; or NULL. */
static struct process *some_process(unsigned number)
{
	struct process *process;

	LIST_FOREACH(process, &supervisor.processes, next) {
		if (number-- == 0)
			return process;
	}
	return NULL;
}

static void deliver(const struct process *process, const struct packet *packet)
{
	if (!process || process->hung_up)
		return;
	stage_put(process->chan.fd, packet);
	stage_ready(process->chan.fd, EV_READ);
}

static void say(const struct process *process, struct said *said, uint32_t type)
{
	const struct packet packet = {
		.bytes = (const uint8_t *)said,
		.len = sizeof(said->header) + internal_messages.rows[type].body,
	};

	said->header.type = type;
	deliver(process, &packet);
}

static void role_says(struct input *input)
{
	struct process *process = some_process(take_u8(input) % 8);
	struct packet_space space;
	struct packet packet = stage_take_packet(input, &internal_messages, &space);

	deliver(process, &packet);
}

static void role_hangs_up(struct process *process)
{
	if (!process || process->hung_up)
		return;
	stage_hang_up(process->chan.fd);
	stage_ready(process->chan.fd, EV_READ);
}

static void role_dies(struct process *process, int status)
{
	bool reaped;

	if (!process)
		return;
	reaped = process->reaped;
	if (!process->hung_up)
		stage_hang_up(process->chan.fd);
	if (!reaped)
		process_reaped(&supervisor, process->pid, status);
	stage_turn();
}

static void worker_asks(struct process *process)
{
	const struct worker *worker = process ? process->owner : NULL;
	struct said said = { 0 };

	if (!process || process->role != ROLE_WORKER)
		return;
	said.body.ask = (struct msg_status_ask){ .tag = 7, .uid = worker->uid };
	say(process, &said, MSG_STATUS_ASK);
}

static void take_step(struct input *input)
{
	static const int errors[] = { 0, EAGAIN, EPIPE, EMFILE };
	struct said said = { 0 };
	struct process *process;

	switch ((enum step)(take_u8(input) % STEPS)) {
	case ROLE_SAYS:
		role_says(input);
		break;
	case ROLE_IS_READY:
		said.body.ready.system_calls = 42;
		say(some_process(take_u8(input) % 8), &said, MSG_READY);
		break;
	case FRONTDOOR_WANTS:
		said.body.wanted.uid = take_u8(input) % USERS;
		say(supervisor.frontdoor.process, &said, MSG_WORKER_WANTED);
		break;
	case FRONTDOOR_RETIRES:
		said.body.wanted.uid = take_u8(input) % USERS;
		say(supervisor.frontdoor.process, &said, MSG_WORKER_RETIRE);
		break;
	case WORKER_ASKS:
		worker_asks(some_process(take_u8(input) % 8));
		break;
	case ROLE_HANGS_UP:
		role_hangs_up(some_process(take_u8(input) % 8));
		break;
	case ROLE_DIES:
		process = some_process(take_u8(input) % 8);
		role_dies(process, take_u16(input) & 0x7f7f);
		break;
	case TIME_PASSES:
		stage_sleep(take_u16(input));
		break;
	case SENDING_FAILS:
		kernel.send_error = errors[take_u8(input) % ARRAY_SIZE(errors)];
		break;
	case NO_SOCKETS:
		kernel.socket_error = take_u8(input) & 1 ? EMFILE : 0;
		break;
	default:
		event_active(supervisor.signals[ON_TERM], EV_SIGNAL, 1);
		stage_turn();
	}
}

static void check_processes(void)
{
	const struct workers *workers = &supervisor.workers;
	const struct process *process;
	const struct worker *worker;
	unsigned count = 0, seated = 0, draining = 0;

	LIST_FOREACH(process, &supervisor.processes, next)
		count++;
	must(count <= PROCESSES_MOST);
	TAILQ_FOREACH(worker, &workers->list, next) {
		must(!worker->seat || worker->seat->worker == worker);
		must(!worker->seat || worker->seat->uid == worker->uid);
		seated += worker->seat != NULL;
		draining += worker->state == ROW_STATE_DRAINING;
	}
	must(seated == workers->running && draining == workers->draining);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };

	start();
	for (int i = 0; i < STEPS_MOST && input.left > 0; i++) {
		take_step(&input);
		check_processes();
	}
	stop();
	return 0;
}
