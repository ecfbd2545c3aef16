/*
 * Every message to the supervisor, broken in every way, by each of the roles, before and after READY,
 * while a well-behaved frontdoor and worker are served: the process that sent it is killed, alone.
 */
#include "conf/unit.h"
#include "tests/unit/supervisor_rig.h"

#include <sys/wait.h>

#include "oddities.h"
#include "scarce.h"
#include "witness.h"

#define GOOD_UID 1000

struct scene {
	struct rig rig;
	struct rig_process *frontdoor, *connector, *keyholder, *worker;
	struct oddities odd;
	struct witness log, expected;
	uint64_t seed, sent;
	int fds;
};

/* ---- a good frontdoor and a good worker ---- */

static int take_channel(struct rig_process *process, uint32_t type)
{
	union msg_buffer buf;
	struct msg msg;

	assert_int_equal(rig_receive(process, &buf, &msg), type);
	if (type == MSG_WORKER_CHAN)
		assert_int_equal(((const struct msg_worker_chan *)msg.body)->uid, GOOD_UID);
	return msg_take_fd(&msg, 0);
}

/* Both ends of a channel between frontdoor and worker, which the frontdoor asked for. */
static void expect_renewed(struct scene *scene)
{
	const struct msg_worker_wanted body = { .uid = GOOD_UID };
	int ends[2];

	rig_say(&scene->rig, scene->frontdoor, MSG_WORKER_WANTED, &body);
	ends[0] = take_channel(scene->frontdoor, MSG_WORKER_CHAN);
	ends[1] = take_channel(scene->worker, MSG_FRONTDOOR_CHAN);
	assert_int_equal(send(ends[0], "x", 1, MSG_DONTWAIT), 1);
	assert_int_equal(recv(ends[1], (char[1]){ 0 }, 1, MSG_DONTWAIT), 1);
	fd_close(ends[0]);
	fd_close(ends[1]);
}

static void expect_status(struct scene *scene)
{
	const struct msg_status_ask ask = { .tag = 0x1234567890, .uid = GOOD_UID };
	const struct msg_status_row *row;
	union msg_buffer buf;
	struct msg msg;

	rig_say(&scene->rig, scene->worker, MSG_STATUS_ASK, &ask);
	do {
		assert_int_equal(rig_receive(scene->worker, &buf, &msg), MSG_STATUS_ROW);
		row = msg.body;
		assert_int_equal(row->tag, ask.tag);
	} while (row->row.kind != ROW_END);
}

static void expect_unharmed(struct scene *scene)
{
	expect_renewed(scene);
	expect_status(scene);
	rig_expect_nothing(scene->frontdoor);
	rig_expect_nothing(scene->connector);
	rig_expect_nothing(scene->keyholder);
	rig_expect_nothing(scene->worker);
	assert_false(scene->frontdoor->gone || scene->connector->gone || scene->keyholder->gone ||
		     scene->worker->gone);
	assert_int_equal(testing_count_fds(), scene->fds);
	witness_expect(&scene->log, &scene->expected);
	assert_int_equal(scene->rig.supervisor.counts[COUNTER_violations],
			 witness_count(&scene->expected));
}

static void scene_init(struct scene *scene)
{
	const struct msg_worker_wanted body = { .uid = GOOD_UID };
	union msg_buffer buf;
	struct msg msg;

	memset(scene, 0, sizeof(*scene));
	scene->seed = mutant_seed();
	rig_init(&scene->rig);
	scene->frontdoor = rig_add_station(&scene->rig, &scene->rig.supervisor.frontdoor);
	scene->connector = rig_add_station(&scene->rig, &scene->rig.supervisor.connector);
	scene->keyholder = rig_add_station(&scene->rig, &scene->rig.supervisor.keyholder);
	scene->worker = rig_add_spare(&scene->rig);
	rig_say(&scene->rig, scene->frontdoor, MSG_WORKER_WANTED, &body);
	rig_receive(scene->worker, &buf, &msg);
	msg_close_fds(&msg);
	fd_close(take_channel(scene->frontdoor, MSG_WORKER_CHAN));
	fd_close(take_channel(scene->connector, MSG_WORKER_CHAN));
	fd_close(take_channel(scene->keyholder, MSG_WORKER_CHAN));
	oddities_open(&scene->odd);
	scene->fds = testing_count_fds();
	witness_init(&scene->log, "a role broke the protocol, and is killed");
}

static void scene_deinit(struct scene *scene)
{
	expect_unharmed(scene);
	attacks_count("messages", scene->sent, scene->sent);
	oddities_close(&scene->odd);
	rig_deinit(&scene->rig);
}

/* ---- a process that has been taken over ---- */

struct taken {
	struct process *process;
	struct station station; /* if it is no worker */
	struct worker worker;	/* if it is a worker */
	int far;
	bool ready, over;
};

static void on_ready(struct process *process unused_)
{
}

static void on_over(struct process *process)
{
	struct taken *taken = process->role == ROLE_WORKER ?
				      container_of(process->owner, struct taken, worker) :
				      container_of(process->owner, struct taken, station);

	taken->over = true;
}

static const struct process_ops taken_ops = { on_ready, on_over };

static void taken_init(struct scene *scene, struct taken *taken, enum role role,
		       enum msg_phase phase)
{
	struct supervisor *supervisor = &scene->rig.supervisor;
	struct process *process = calloc(1, sizeof(*process));
	int pair[2], page;

	assert_non_null(process);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	assert_int_equal(counters_create(&process->counters, &page), 0);
	close(page);
	*taken = (struct taken){ .process = process, .far = pair[1] };
	taken->worker = (struct worker){ .process = process, .uid = GOOD_UID + 1 };
	taken->worker.serial = ++supervisor->workers.last_serial;
	taken->worker.state = testing_random(&scene->seed) % 2 ? ROW_STATE_RUNNING : ROW_STATE_SPARE;
	taken->station = (struct station){ .supervisor = supervisor, .role = role };
	process->supervisor = supervisor;
	process->ops = &taken_ops;
	process->role = role;
	process->owner = role == ROLE_WORKER ? (void *)&taken->worker : (void *)&taken->station;
	process->pid = 4711;
	process->reaped = true; /* there is nobody to be killed */
	process->timer = evtimer_new(supervisor->base, wishes_on_timer, &supervisor->workers);
	process->log_timer = evtimer_new(supervisor->base, wishes_on_timer, &supervisor->workers);
	assert_int_equal(chan_init(&process->chan, supervisor->base, pair[0], &internal_messages,
				   ROLE_SUPERVISOR, role, phase, supervisor_handlers,
				   process_on_gone, process),
			 0);
	LIST_INSERT_HEAD(&supervisor->processes, process, next);
}

/* Its end: what its death alone would have done. */
static void taken_deinit(struct scene *scene, struct taken *taken)
{
	testing_close(taken->far);
	event_base_loop(scene->rig.supervisor.base, EVLOOP_NONBLOCK);
	assert_true(taken->over);
	/* As when the frontdoor dies: who waited in it waits no more. */
	wishes_forget(&scene->rig.supervisor.workers);
}

static bool make(struct mutant *mutant, const struct msg_context *ctx, uint32_t type,
		 uint64_t *seed, void *arg unused_)
{
	const struct msg_status_ask ask = { .tag = testing_random(seed), .uid = GOOD_UID + 1 };
	const struct msg_log body = { .level = LOG_L_INFO };
	const struct msg_question question = { .tag = ask.tag, .what = testing_random(seed) % 6,
					       .worker = testing_random(seed) % 4, .session = 1 };
	const struct msg_inquiry inquiry = {
		.tag = ask.tag, .what = EXPLAIN_MYSELF - 1 + testing_random(seed) % 5,
		.about = { .uid = testing_random(seed) % 2, .badge = testing_random(seed) % 2,
			   .port = testing_random(seed) % 2, .group_count = testing_random(seed) % 3 },
	};
	const struct msg_decided decided = { .id = testing_random(seed) % 4,
					     .ruling = testing_random(seed) % 8 };
	const struct msg_session_row row = { .id = testing_random(seed) % 4,
					     .row.kind = testing_random(seed) % 2 ? ROW_LISTED
										  : ROW_END };
	/* A text, and fields: its rule, the uid. */
	static const char tail[] = "broke\n\x1b[2J\0" "\x11" "none\0" "\x04" "1000";

	if (testing_random(seed) % 4 == 0)
		return false;
	if (type == MSG_LOG)
		mutant_init(mutant, ctx, type, &body, tail, sizeof(tail));
	else if (type == MSG_STATUS_ASK)
		mutant_init(mutant, ctx, type, &ask, NULL, 0);
	else if (type == MSG_QUESTION)
		mutant_init(mutant, ctx, type, &question, NULL, 0);
	else if (type == MSG_INQUIRY)
		mutant_init(mutant, ctx, type, &inquiry, "12345678", testing_random(seed) % 9);
	else if (type == MSG_DECIDED)
		mutant_init(mutant, ctx, type, &decided, "because", 7);
	else if (type == MSG_CLIENT_UNIT)
		mutant_init(mutant, ctx, type, NULL, "x.service", testing_random(seed) % 2 * 9);
	else if (type == MSG_SESSION_ROW)
		mutant_init(mutant, ctx, type, &row, "h:1", 4);
	else
		return false;
	return true;
}

/* What a frontdoor may do: not to the good worker. */
static bool is_in_its_power(const struct mutant *mutant)
{
	const struct msg_worker_wanted *body = (const void *)(mutant->bytes + 8);
	const uint32_t type = mutant_header(mutant).type;

	return (type == MSG_WORKER_WANTED || type == MSG_WORKER_RETIRE) && body->uid == GOOD_UID;
}

/* Do its numbers agree with its tail? */
static bool adds_up(const struct mutant *mutant)
{
	const struct msg_inquiry *body = (const void *)(mutant->bytes + 8);
	const struct inquiry *about = &body->about;
	size_t tail = mutant->len - 8 - sizeof(*body);

	if (body->what == EXPLAIN_WHERE)
		return about->port && tail >= 1 && tail <= 253 && !about->uid && !about->gid &&
		       !about->group_count;
	return !about->port && !about->badge && about->group_count <= 1024 &&
	       about->group_count * 4ul <= tail && tail - about->group_count * 4ul <= 12288;
}

/* The name of a unit, or none. */
static bool is_unit(const struct mutant *mutant)
{
	const size_t head = 8 + sizeof(struct msg_client_unit);

	return mutant->len == head ||
	       unit_is_name((const char *)mutant->bytes + head, mutant->len - head);
}

/* Whether it answers a question that another worker has left open: then who may is the point. */
static bool is_answer(struct scene *scene, const struct mutant *mutant)
{
	const uint32_t type = mutant_header(mutant).type;
	uint64_t id;

	if (mutant->len < 16 || (type != MSG_DECIDED && type != MSG_SESSION_ROW))
		return false;
	memcpy(&id, mutant->bytes + 8, sizeof(id));
	return questions_find(&scene->rig.supervisor.questions, id) != NULL;
}

/* -1: what decides is judged by other tests: the log's text (supervisor_logline). */
static int judge(const struct mutant *mutant, const struct taken *taken)
{
	const struct msg_status_ask *ask = (const void *)(mutant->bytes + 8);
	const struct msg_session_row *row = (const void *)(mutant->bytes + 8);
	const struct msg_decided *decided = (const void *)(mutant->bytes + 8);
	enum msg_rule rule = mutant_rule(mutant);

	if (rule != RULE_NONE || mutant_is_end(mutant))
		return (int)rule;
	switch (mutant_header(mutant).type) {
	case MSG_LOG:
		return -1;
	case MSG_STATUS_ASK:
		if (taken->worker.state != ROW_STATE_RUNNING || ask->uid != taken->worker.uid)
			return RULE_CONTENT;
		return RULE_NONE;
	case MSG_SESSION_ROW: /* nobody has asked: that alone is no crime */
		return row->row.kind == ROW_LISTED || row->row.kind == ROW_END ? RULE_NONE
									       : RULE_CONTENT;
	case MSG_INQUIRY:
		return taken->worker.state == ROW_STATE_RUNNING && adds_up(mutant) ? RULE_NONE
										    : RULE_CONTENT;
	case MSG_CLIENT_UNIT:
		return is_unit(mutant) ? RULE_NONE : RULE_CONTENT;
	case MSG_DECIDED: /* nobody has asked: that alone is no crime */
		return decided->ruling >= 1 && decided->ruling <= 6 ? RULE_NONE : RULE_CONTENT;
	case MSG_QUESTION:
	case MSG_CONNECTOR_WANTED:
	case MSG_KEYHOLDER_WANTED:
		return taken->worker.state == ROW_STATE_RUNNING ? RULE_NONE : RULE_CONTENT;
	default:
		return RULE_NONE;
	}
}

static void attack_once(struct scene *scene)
{
	static const enum role roles[] = { ROLE_FRONTDOOR, ROLE_CONNECTOR, ROLE_KEYHOLDER,
					   ROLE_WORKER };
	static struct mutant mutant;
	struct msg_context ctx = {
		&internal_messages, ROLE_SUPERVISOR, roles[testing_random(&scene->seed) % ARRAY_SIZE(roles)],
		testing_random(&scene->seed) % 4 == 0 ? FRESH : RUN
	};
	struct taken taken;
	bool answers;
	int rule;

	taken_init(scene, &taken, ctx.peer, ctx.phase);
	do
		mutant_draw(&mutant, &ctx, &scene->seed, make, NULL);
	while (mutant_rule(&mutant) == RULE_NONE && is_in_its_power(&mutant));
	answers = is_answer(scene, &mutant);
	oddities_send(&scene->odd, taken.far, &mutant, &scene->seed);
	scene->sent++;
	event_base_loop(scene->rig.supervisor.base, EVLOOP_NONBLOCK);
	rule = judge(&mutant, &taken);
	if (answers && rule == RULE_NONE)
		rule = -1; /* the same: supervisor_questions */
	if (rule < 0)
		rule = taken.over ? RULE_CONTENT : RULE_NONE;
	if (taken.over != (rule != RULE_NONE || mutant_is_end(&mutant)))
		fail_msg("%s", mutant_text(&mutant));
	scene->expected.rules[rule] += rule != RULE_NONE;
	taken_deinit(scene, &taken);
}

/* What a hostile role made it send to the good ones. */
static void drop_what_came(struct rig_process *process)
{
	const struct msg_context ctx = { &internal_messages, process->process.role,
					 ROLE_SUPERVISOR, RUN };
	union msg_buffer buf;
	enum msg_rule rule;
	struct msg msg;

	while (msg_recv(process->far, &ctx, &buf, &msg, &rule) == 1)
		msg_close_fds(&msg);
}

static void roles_are_given_up_alone(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(400000, 16000);

	scene_init(&scene);
	while (scene.sent < most) {
		attack_once(&scene);
		if (scene.sent % 16 == 0) {
			drop_what_came(scene.frontdoor);
			drop_what_came(scene.connector);
			drop_what_came(scene.keyholder);
			expect_unharmed(&scene);
		}
	}
	scene_deinit(&scene);
}

/* A process that breaks the protocol is not only left, but killed; the others live. */
static void who_breaks_the_protocol_is_killed(void **state unused_)
{
	static struct scene scene;
	struct taken taken;
	siginfo_t info;
	pid_t pids[2];

	scene_init(&scene);
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			pause();
			_exit(0);
		}
	}
	taken_init(&scene, &taken, ROLE_WORKER, RUN);
	taken.process->reaped = false;
	taken.process->pid = pids[0];
	assert_int_equal(send(taken.far, "x", 1, 0), 1);
	event_base_loop(scene.rig.supervisor.base, EVLOOP_NONBLOCK);
	scene.expected.rules[RULE_HEADER]++;
	scene.sent++;
	assert_int_equal(waitid(P_PID, (id_t)pids[0], &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(info.si_code, CLD_KILLED);
	assert_int_equal(info.si_status, SIGKILL);
	assert_int_equal(waitpid(pids[1], NULL, WNOHANG), 0);
	assert_int_equal(waitpid(pids[0], NULL, 0), pids[0]);
	process_reaped(&scene.rig.supervisor, pids[0], SIGKILL);
	assert_true(taken.over);
	fd_close(taken.far);
	kill(pids[1], SIGKILL);
	waitpid(pids[1], NULL, 0);
	scene_deinit(&scene);
}

static void case_5_a_flood_of_descriptors_is_closed(void **state unused_)
{
	static const enum role roles[] = { ROLE_FRONTDOOR, ROLE_CONNECTOR, ROLE_KEYHOLDER,
					   ROLE_WORKER };
	static struct mutant mutant;
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < MUTANT_FLOOD; i++) {
		const struct msg_context ctx = { &internal_messages, ROLE_SUPERVISOR, roles[i % ARRAY_SIZE(roles)],
						 i % 2 ? RUN : FRESH };
		struct taken taken;

		taken_init(&scene, &taken, ctx.peer, ctx.phase);
		mutant_init_flood(&mutant, &ctx, MSG_READY, i);
		oddities_send(&scene.odd, taken.far, &mutant, &scene.seed);
		event_base_loop(scene.rig.supervisor.base, EVLOOP_NONBLOCK);
		assert_true(taken.over);
		scene.expected.rules[RULE_FDS]++;
		scene.sent++;
		taken_deinit(&scene, &taken);
		expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

static void case_6_descriptors_for_which_there_is_no_room(void **state unused_)
{
	static const enum role roles[] = { ROLE_FRONTDOOR, ROLE_CONNECTOR, ROLE_KEYHOLDER,
					   ROLE_WORKER };
	static struct mutant mutant;
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < SCARCE_LEFT * ARRAY_SIZE(scarce_counts); i++) {
		const struct msg_context ctx = { &internal_messages, ROLE_SUPERVISOR, roles[i % ARRAY_SIZE(roles)],
						 FRESH };
		struct scarce scarce;
		struct taken taken;

		taken_init(&scene, &taken, ctx.peer, ctx.phase);
		mutant_init(&mutant, &ctx, MSG_READY, NULL, NULL, 0);
		mutant.nfds = scarce_counts[i / SCARCE_LEFT];
		oddities_send(&scene.odd, taken.far, &mutant, &scene.seed);
		scarce_begin(&scarce, i % SCARCE_LEFT);
		event_base_loop(scene.rig.supervisor.base, EVLOOP_NONBLOCK);
		scarce_end(&scarce);
		assert_true(taken.over);
		scene.expected.rules[RULE_FDS]++;
		scene.sent++;
		taken_deinit(&scene, &taken);
		expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

/* A frontdoor that asks for a worker's channel while there is none to be had is told so: it asks again
 * for the next client, and else would wait for ever. */
static void case_6_a_channel_that_cannot_be_made_is_refused(void **state unused_)
{
	const struct msg_worker_wanted body = { .uid = GOOD_UID };
	static struct scene scene;

	scene_init(&scene);
	for (unsigned left = 0; left < 2; left++) {
		const struct msg_worker_none *none;
		struct scarce scarce;
		union msg_buffer buf;
		struct msg msg;

		scarce_begin(&scarce, left);
		rig_say(&scene.rig, scene.frontdoor, MSG_WORKER_WANTED, &body);
		scarce_end(&scarce);
		assert_int_equal(rig_receive(scene.frontdoor, &buf, &msg), MSG_WORKER_NONE);
		none = msg.body;
		assert_int_equal(none->uid, GOOD_UID);
		assert_int_equal(none->error, TLSB_E_RESOURCES);
		scene.sent++;
		expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

/* ---- ids ---- */

/* A worker asks what runs, as somebody else: any of 100,000 users.  It is killed for each. */
static void case_12_foreign_and_unknown_users_get_one_answer(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(100000, 100000);

	scene_init(&scene);
	for (unsigned i = 0; i < most; i++) {
		const uint32_t uids[] = { GOOD_UID, 0, scene.rig.supervisor.uid, 2000 + i };
		const struct msg_status_ask ask = { .tag = i + 1, .uid = uids[i % 4] };
		struct taken taken;

		taken_init(&scene, &taken, ROLE_WORKER, RUN);
		assert_int_equal(msg_send(taken.far, &internal_messages, MSG_STATUS_ASK, &ask, NULL,
					  0, NULL),
				 0);
		event_base_loop(scene.rig.supervisor.base, EVLOOP_NONBLOCK);
		assert_true(taken.over);
		assert_true(testing_is_closed(taken.far));
		taken_deinit(&scene, &taken);
	}
	scene.expected.rules[RULE_CONTENT] += most;
	scene.sent += most;
	scene_deinit(&scene);
}

/* Once a role is ready it is not ready again, and before it, it may only log. */
static void a_role_is_ready_once(void **state unused_)
{
	const struct msg_ready body = { .system_calls = 40 };
	static struct scene scene;
	struct taken taken;

	scene_init(&scene);
	taken_init(&scene, &taken, ROLE_CONNECTOR, FRESH);
	for (int i = 0; i < 2; i++) {
		assert_false(taken.over);
		assert_int_equal(msg_send(taken.far, &internal_messages, MSG_READY, &body, NULL, 0,
					  NULL),
				 0);
		event_base_loop(scene.rig.supervisor.base, EVLOOP_NONBLOCK);
	}
	scene.expected.rules[RULE_PHASE]++;
	scene.sent++;
	taken_deinit(&scene, &taken);
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(roles_are_given_up_alone),
		TEST(who_breaks_the_protocol_is_killed),
		TEST(case_5_a_flood_of_descriptors_is_closed),
		TEST(case_6_descriptors_for_which_there_is_no_room),
		TEST(case_6_a_channel_that_cannot_be_made_is_refused),
		TEST(case_12_foreign_and_unknown_users_get_one_answer),
		TEST(a_role_is_ready_once),
	};

	return testing_run(tests);
}
