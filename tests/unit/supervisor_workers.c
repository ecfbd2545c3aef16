/*
 * A badge with several workers: how many there may be, what each may have of what their user may have, and
 * how that changes with their number.
 */
#include "supervisor_rig.h"

#define BADGE 1

struct cast {
	struct rig rig;
	struct rig_process *frontdoor, *connector, *keyholder;
};

/* The configuration is now this badge, with so many workers, and ten sessions for all of them. */
static void configure(struct cast *cast, unsigned workers)
{
	struct policy *policy = &cast->rig.supervisor.policy;
	struct conf_errors errors;
	char text[200];

	conf_free(policy->conf);
	policy->conf = conf_new();
	assert_non_null(policy->conf);
	snprintf(text, sizeof(text), "badge busy { match = any\nworkers = %u\nmax-sessions = 10\n"
		 "max-memory = 1000001 }\n", workers);
	conf_errors_init(&errors);
	assert_int_equal(conf_add(policy->conf, "t", text, strlen(text), &errors), 0);
	conf_check(policy->conf, &errors);
	assert_int_equal(conf_errors_result(&errors), 0);
	conf_errors_deinit(&errors);
	assert_int_equal(policy->conf->badge_count, 1);
	policy->conf->badges[0].number = BADGE;
}

static void begin(struct cast *cast, unsigned workers)
{
	rig_init(&cast->rig);
	cast->frontdoor = rig_add_station(&cast->rig, &cast->rig.supervisor.frontdoor);
	cast->connector = rig_add_station(&cast->rig, &cast->rig.supervisor.connector);
	cast->keyholder = rig_add_station(&cast->rig, &cast->rig.supervisor.keyholder);
	configure(cast, workers);
}

static void want(struct cast *cast, uint32_t nth)
{
	rig_say(&cast->rig, cast->frontdoor, MSG_WORKER_WANTED,
		&(struct msg_worker_wanted){ .uid = 1000, .badge = BADGE, .nth = nth });
}

static void retire(struct cast *cast, uint32_t nth)
{
	rig_say(&cast->rig, cast->frontdoor, MSG_WORKER_RETIRE,
		&(struct msg_worker_retire){ .uid = 1000, .badge = BADGE, .nth = nth });
}

/* The worker's next POLICY. */
static struct msg_policy expect_policy(struct rig_process *worker)
{
	const struct msg_context ctx = { &internal_messages, ROLE_WORKER, ROLE_SUPERVISOR, RUN };
	union msg_buffer buf;
	enum msg_rule rule;
	struct msg msg;

	for (;;) {
		assert_int_equal(msg_recv(worker->far, &ctx, &buf, &msg, &rule), 1);
		msg_close_fds(&msg);
		if (msg.type == MSG_POLICY)
			return *(const struct msg_policy *)msg.body;
	}
}

/* No POLICY among what is left. */
static void expect_no_policy(struct rig_process *worker)
{
	const struct msg_context ctx = { &internal_messages, ROLE_WORKER, ROLE_SUPERVISOR, RUN };
	union msg_buffer buf;
	enum msg_rule rule;
	struct msg msg;

	while (msg_recv(worker->far, &ctx, &buf, &msg, &rule) == 1) {
		msg_close_fds(&msg);
		assert_int_not_equal(msg.type, MSG_POLICY);
	}
}

static void expect_channel(struct rig_process *process, uint32_t nth)
{
	union msg_buffer buf;
	struct msg msg;

	assert_int_equal(rig_receive(process, &buf, &msg), MSG_WORKER_CHAN);
	assert_int_equal(((const struct msg_worker_chan *)msg.body)->nth, nth);
	msg_close_fds(&msg);
}

static void expect_none(struct cast *cast, uint32_t nth)
{
	union msg_buffer buf;
	struct msg msg;
	const struct msg_worker_none *none;

	assert_int_equal(rig_receive(cast->frontdoor, &buf, &msg), MSG_WORKER_NONE);
	none = msg.body;
	assert_int_equal(none->nth, nth);
	assert_int_equal(none->error, TLSB_E_RESOURCES);
}

static struct rig_process *seat_one(struct cast *cast, uint32_t nth)
{
	struct rig_process *worker = rig_add_spare(&cast->rig);

	want(cast, nth);
	expect_channel(cast->frontdoor, nth);
	assert_int_equal(worker->worker->nth, nth);
	return worker;
}

static void as_many_as_are_configured(void **state unused_)
{
	struct rig_process *workers[3];
	struct cast cast;

	begin(&cast, 3);
	for (uint32_t i = 0; i < 3; i++)
		workers[i] = seat_one(&cast, i);
	assert_int_equal(seats_in_use(&cast.rig.supervisor.workers.seats), 3);
	rig_add_spare(&cast.rig);
	want(&cast, 3);
	expect_none(&cast, 3);
	want(&cast, UINT32_MAX);
	expect_none(&cast, UINT32_MAX);
	assert_int_equal(seats_in_use(&cast.rig.supervisor.workers.seats), 3);
	/* A new frontdoor hears which is which. */
	workers_connect(&cast.rig.supervisor, ROLE_FRONTDOOR);
	for (uint32_t i = 0; i < 3; i++)
		expect_channel(cast.frontdoor, i);
	/* One that retires is one: the others stay. */
	retire(&cast, 1);
	retire(&cast, 7);
	assert_int_equal(workers[1]->worker->state, ROW_STATE_DRAINING);
	assert_int_equal(workers[0]->worker->state, ROW_STATE_RUNNING);
	assert_int_equal(workers[2]->worker->state, ROW_STATE_RUNNING);
	assert_int_equal(seats_in_use(&cast.rig.supervisor.workers.seats), 2);
	rig_deinit(&cast.rig);
}

static void what_the_user_may_have_is_divided(void **state unused_)
{
	uint64_t memory = 0;
	uint32_t sessions = 0;
	struct cast cast;

	begin(&cast, 4);
	for (uint32_t i = 0; i < 4; i++) {
		struct msg_policy policy = expect_policy(seat_one(&cast, i));

		assert_int_equal(policy.more_workers, 3);
		assert_int_equal(policy.flags & POLICY_IS_SHARE, POLICY_IS_SHARE);
		assert_int_equal(policy.max_sessions, i < 2 ? 3 : 2);
		sessions += policy.max_sessions;
		memory += policy.max_memory;
	}
	assert_int_equal(sessions, 10);
	assert_int_equal(memory, 1000001);
	rig_deinit(&cast.rig);
}

static void one_has_all(void **state unused_)
{
	struct msg_policy policy;
	struct cast cast;

	begin(&cast, 1);
	policy = expect_policy(seat_one(&cast, 0));
	assert_int_equal(policy.more_workers, 0);
	assert_int_equal(policy.flags & POLICY_IS_SHARE, 0);
	assert_int_equal(policy.max_sessions, 10);
	assert_int_equal(policy.max_memory, 1000001);
	rig_deinit(&cast.rig);
}

/* With fewer workers than there are, these still share: only when they have gone the others get their part. */
static void fewer_workers_share_until_the_surplus_has_gone(void **state unused_)
{
	struct rig_process *workers[3];
	struct cast cast;

	begin(&cast, 3);
	for (uint32_t i = 0; i < 3; i++) {
		workers[i] = seat_one(&cast, i);
		expect_policy(workers[i]);
		expect_no_policy(workers[i]);
	}
	configure(&cast, 1);
	workers_send_policy(&cast.rig.supervisor.workers);
	assert_int_equal(expect_policy(workers[0]).max_sessions, 4);
	assert_int_equal(expect_policy(workers[1]).max_sessions, 3);
	assert_int_equal(expect_policy(workers[2]).max_sessions, 3);
	retire(&cast, 2);
	assert_int_equal(expect_policy(workers[0]).max_sessions, 5);
	assert_int_equal(expect_policy(workers[1]).max_sessions, 5);
	expect_no_policy(workers[2]);
	retire(&cast, 1);
	assert_int_equal(expect_policy(workers[0]).max_sessions, 10);
	expect_no_policy(workers[1]);
	expect_no_policy(workers[0]);
	rig_deinit(&cast.rig);
}

/* One of those that there may be leaves its part to the one that follows it. */
static void others_do_not_get_the_part_of_one_that_comes_back(void **state unused_)
{
	struct rig_process *workers[2];
	struct cast cast;

	begin(&cast, 2);
	for (uint32_t i = 0; i < 2; i++) {
		workers[i] = seat_one(&cast, i);
		expect_policy(workers[i]);
	}
	retire(&cast, 1);
	expect_no_policy(workers[0]);
	rig_deinit(&cast.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_many_as_are_configured),
		cmocka_unit_test(what_the_user_may_have_is_divided),
		cmocka_unit_test(one_has_all),
		cmocka_unit_test(fewer_workers_share_until_the_surplus_has_gone),
		cmocka_unit_test(others_do_not_get_the_part_of_one_that_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
