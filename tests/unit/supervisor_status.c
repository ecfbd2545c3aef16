/*
 * Status: who may see what, and what becomes of a worker that asks as somebody else.
 */
#include "supervisor_rig.h"

/* A worker that serves UID. */
static struct rig_process *add_worker(struct rig *rig, uint32_t uid)
{
	struct rig_process *added = rig_add_spare(rig);
	struct seat *seat = seats_make(&rig->supervisor.workers.seats, uid, 0, 0);

	assert_non_null(seat);
	rig->supervisor.workers.spare = NULL;
	seat->worker = added->worker;
	added->worker->seat = seat;
	added->worker->uid = uid;
	added->worker->state = ROW_STATE_RUNNING;
	return added;
}

struct seen {
	unsigned roles, workers, counters;
	uint32_t supervisor; /* its state */
	uint32_t uids[RIG_PROCESSES], states[RIG_PROCESSES];
	uint64_t sessions_opened;
};

/* ASKER asks as UID; everything up to the end's row. */
static struct seen ask(struct rig *rig, struct rig_process *asker, uint32_t uid)
{
	const struct msg_status_ask body = { .tag = 42, .uid = uid };
	struct seen seen = { 0 };

	rig_say(rig, asker, MSG_STATUS_ASK, &body);
	for (;;) {
		const struct msg_status_row *row;
		union msg_buffer buf;
		struct msg msg;

		assert_int_equal(rig_receive(asker, &buf, &msg), MSG_STATUS_ROW);
		row = msg.body;
		assert_int_equal(row->tag, 42);
		switch (row->row.kind) {
		case ROW_ROLE:
			if (seen.roles++ == 0)
				seen.supervisor = row->row.state;
			break;
		case ROW_WORKER:
			assert_in_range(seen.workers, 0, RIG_PROCESSES - 1);
			seen.states[seen.workers] = row->row.state;
			seen.uids[seen.workers++] = row->row.uid;
			break;
		case ROW_COUNTER:
			seen.counters++;
			if (msg.tail_len == strlen("sessions_opened") &&
			    memcmp(msg.tail, "sessions_opened", msg.tail_len) == 0)
				seen.sessions_opened = row->row.value[0];
			break;
		default:
			assert_int_equal(row->row.kind, ROW_END);
			return seen;
		}
	}
}

static void status_shows_a_user_only_its_own_worker(void **state unused_)
{
	struct rig rig;
	struct rig_process *mine;
	struct seen seen;

	rig_init(&rig);
	mine = add_worker(&rig, 1000);
	add_worker(&rig, 1001);
	seen = ask(&rig, mine, 1000);
	assert_int_equal(seen.workers, 1);
	assert_int_equal(seen.uids[0], 1000);
	assert_int_equal(seen.counters, COUNTER_COUNT);
	assert_int_equal(seen.roles, 4); /* no spare, the others down or not */
	rig_deinit(&rig);
}

static void status_shows_root_and_the_daemons_user_everything(void **state unused_)
{
	struct rig rig;
	struct rig_process *roots, *daemons;

	rig_init(&rig);
	roots = add_worker(&rig, 0);
	daemons = add_worker(&rig, rig.supervisor.uid);
	add_worker(&rig, 1000);
	assert_int_equal(ask(&rig, roots, 0).workers, 3);
	assert_int_equal(ask(&rig, daemons, rig.supervisor.uid).workers, 3);
	rig_deinit(&rig);
}

/* Whose worker died waits for the next one; the old one may still be leaving. */
static void status_shows_who_waits_only_to_who_may_see_it(void **state unused_)
{
	struct rig rig;
	struct rig_process *leaving, *roots;
	struct seen seen;

	rig_init(&rig);
	roots = add_worker(&rig, 0);
	leaving = add_worker(&rig, 1000);
	leaving->worker->seat->worker = NULL;
	leaving->worker->seat->wanted = true;
	leaving->worker->seat = NULL;
	leaving->worker->state = ROW_STATE_DRAINING;
	seats_make(&rig.supervisor.workers.seats, 1001, 0, 0)->wanted = true;
	assert_non_null(seats_make(&rig.supervisor.workers.seats, 1002, 0, 0)); /* wants nothing now */
	rig_add_spare(&rig);
	seen = ask(&rig, leaving, 1000);
	assert_int_equal(seen.workers, 2);
	assert_int_equal(seen.uids[0], 1000);
	assert_int_equal(seen.states[0], ROW_STATE_DRAINING);
	assert_int_equal(seen.uids[1], 1000);
	assert_int_equal(seen.states[1], ROW_STATE_BACKOFF);
	assert_int_equal(seen.roles, 5); /* with the spare, which is no worker of anybody's */
	assert_int_equal(seen.supervisor, ROW_STATE_RUNNING);
	rig.supervisor.phase = PHASE_STOPPING;
	seen = ask(&rig, roots, 0);
	assert_int_equal(seen.workers, 4);
	assert_int_equal(seen.supervisor, ROW_STATE_DRAINING);
	rig.supervisor.phase = PHASE_RUNNING;
	rig_deinit(&rig);
}

static void status_ends_a_worker_that_asks_as_somebody_else(void **state unused_)
{
	const struct msg_status_ask as_root = { .uid = 0 };
	struct rig rig;
	struct rig_process *worker, *spare;

	rig_init(&rig);
	worker = add_worker(&rig, 1000);
	rig_say(&rig, worker, MSG_STATUS_ASK, &as_root);
	assert_true(worker->gone);
	assert_int_equal(worker->broken, RULE_CONTENT);
	/* A spare serves nobody, so it cannot ask for anybody; its uid is 0 for want of one. */
	spare = rig_add_spare(&rig);
	rig_say(&rig, spare, MSG_STATUS_ASK, &as_root);
	assert_true(spare->gone);
	rig_deinit(&rig);
}

static void status_adds_up_the_living_and_the_dead(void **state unused_)
{
	struct rig rig;
	struct rig_process *worker, *other;

	rig_init(&rig);
	worker = add_worker(&rig, 1000);
	other = add_worker(&rig, 1001);
	counters_add(worker->process.counters, COUNTER_sessions_opened, 5);
	counters_add(other->process.counters, COUNTER_sessions_opened, 2);
	counters_add(other->process.counters, COUNTER_sessions, 9);
	supervisor_keep_counts(&rig.supervisor, other->process.counters);
	assert_int_equal(rig.supervisor.counts[COUNTER_sessions_opened], 2);
	assert_int_equal(rig.supervisor.counts[COUNTER_sessions], 0); /* what was, is no more */
	assert_int_equal(ask(&rig, worker, 1000).sessions_opened, 5 + 2 + 2);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(status_shows_a_user_only_its_own_worker),
		TEST(status_shows_root_and_the_daemons_user_everything),
		TEST(status_shows_who_waits_only_to_who_may_see_it),
		TEST(status_ends_a_worker_that_asks_as_somebody_else),
		TEST(status_adds_up_the_living_and_the_dead),
	};

	return testing_run(tests);
}
