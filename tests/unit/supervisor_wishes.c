/*
 * Giving out workers: what the frontdoor asks for, and what each of the others gets of it.
 */
#include "base/clock.h"
#include "supervisor_rig.h"
#include "testing_clock.h"

struct cast {
	struct rig rig;
	struct rig_process *frontdoor, *connector, *keyholder;
};

static void begin(struct cast *cast)
{
	rig_init(&cast->rig);
	cast->frontdoor = rig_add_station(&cast->rig, &cast->rig.supervisor.frontdoor);
	cast->connector = rig_add_station(&cast->rig, &cast->rig.supervisor.connector);
	cast->keyholder = rig_add_station(&cast->rig, &cast->rig.supervisor.keyholder);
}

static void want(struct cast *cast, uint32_t uid)
{
	rig_say(&cast->rig, cast->frontdoor, MSG_WORKER_WANTED,
		&(struct msg_worker_wanted){ .uid = uid });
}

/* The frontdoor hears that there is no worker for this user. */
static void expect_none(struct cast *cast, uint32_t uid)
{
	union msg_buffer buf;
	struct msg msg;
	const struct msg_worker_none *none;

	assert_int_equal(rig_receive(cast->frontdoor, &buf, &msg), MSG_WORKER_NONE);
	none = msg.body;
	assert_int_equal(none->uid, uid);
	assert_int_equal(none->error, TLSB_E_RESOURCES);
}

/* A channel for this user; returns its descriptor. */
static int expect_channel(struct rig_process *process, uint32_t uid)
{
	union msg_buffer buf;
	struct msg msg;

	assert_int_equal(rig_receive(process, &buf, &msg), MSG_WORKER_CHAN);
	assert_int_equal(((const struct msg_worker_chan *)msg.body)->uid, uid);
	return msg_take_fd(&msg, 0);
}

static void assert_connected(int a, int b)
{
	char byte = 0;

	assert_int_equal(send(a, "x", 1, MSG_DONTWAIT), 1);
	assert_int_equal(recv(b, &byte, 1, MSG_DONTWAIT), 1);
	assert_int_equal(byte, 'x');
}

static void wish_makes_the_spare_a_users_worker(void **state unused_)
{
	struct cast cast;
	struct rig_process *spare;
	union msg_buffer buf;
	struct msg msg;
	int frontdoor, connector, keyholder;

	begin(&cast);
	spare = rig_add_spare(&cast.rig);
	want(&cast, 1000);
	assert_int_equal(rig_receive(spare, &buf, &msg), MSG_BADGE);
	assert_int_equal(((const struct msg_badge *)msg.body)->uid, 1000);
	assert_int_equal(msg.tail_len, strlen("uid:1000"));
	assert_memory_equal(msg.tail, "uid:1000", msg.tail_len);
	frontdoor = expect_channel(cast.frontdoor, 1000);
	connector = expect_channel(cast.connector, 1000);
	keyholder = expect_channel(cast.keyholder, 1000);
	assert_connected(msg.fds[0], frontdoor);
	assert_connected(msg.fds[1], connector);
	assert_connected(msg.fds[2], keyholder);
	msg_close_fds(&msg);
	fd_close(frontdoor);
	fd_close(connector);
	fd_close(keyholder);
	assert_null(cast.rig.supervisor.workers.spare);
	rig_deinit(&cast.rig);
}

static void wish_waits_for_a_spare_and_is_refused_when_there_will_be_none(void **state unused_)
{
	struct cast cast;

	begin(&cast);
	want(&cast, 1000);
	want(&cast, 1000);
	rig_expect_nothing(cast.frontdoor);
	assert_int_equal(seats_in_use(&cast.rig.supervisor.workers.seats), 1);
	wishes_refuse_all(&cast.rig.supervisor.workers);
	expect_none(&cast, 1000);
	rig_expect_nothing(cast.frontdoor);
	assert_int_equal(seats_in_use(&cast.rig.supervisor.workers.seats), 0);
	rig_deinit(&cast.rig);
}

static void wishes_are_bounded_whatever_the_frontdoor_asks(void **state unused_)
{
	struct cast cast;

	begin(&cast);
	for (uint32_t uid = 1; uid <= LIMIT_WORKERS; uid++)
		want(&cast, uid);
	rig_expect_nothing(cast.frontdoor);
	want(&cast, LIMIT_WORKERS + 1);
	expect_none(&cast, LIMIT_WORKERS + 1);
	want(&cast, 1); /* who waits already may ask again */
	rig_expect_nothing(cast.frontdoor);
	wishes_forget(&cast.rig.supervisor.workers);
	want(&cast, LIMIT_WORKERS + 1);
	rig_expect_nothing(cast.frontdoor);
	rig_deinit(&cast.rig);
}

static void wish_for_a_worker_that_is_there_renews_the_channel(void **state unused_)
{
	struct cast cast;
	struct rig_process *worker;
	union msg_buffer buf;
	struct msg msg;
	int frontdoor;

	begin(&cast);
	worker = rig_add_spare(&cast.rig);
	want(&cast, 1000);
	rig_receive(worker, &buf, &msg);
	msg_close_fds(&msg);
	fd_close(expect_channel(cast.frontdoor, 1000));
	fd_close(expect_channel(cast.connector, 1000));
	fd_close(expect_channel(cast.keyholder, 1000));
	want(&cast, 1000);
	assert_int_equal(rig_receive(worker, &buf, &msg), MSG_FRONTDOOR_CHAN);
	frontdoor = expect_channel(cast.frontdoor, 1000);
	assert_connected(msg.fds[0], frontdoor);
	msg_close_fds(&msg);
	fd_close(frontdoor);
	rig_expect_nothing(cast.connector);
	rig_expect_nothing(cast.keyholder);
	rig_deinit(&cast.rig);
}

static void retired_worker_drains_and_its_user_can_have_another(void **state unused_)
{
	struct cast cast;
	struct rig_process *first, *second;
	union msg_buffer buf;
	struct msg msg;

	begin(&cast);
	first = rig_add_spare(&cast.rig);
	want(&cast, 1000);
	rig_receive(first, &buf, &msg);
	msg_close_fds(&msg);
	fd_close(expect_channel(cast.frontdoor, 1000));
	rig_say(&cast.rig, cast.frontdoor, MSG_WORKER_RETIRE,
		&(struct msg_worker_retire){ .uid = 1000 });
	assert_int_equal(rig_receive(first, &buf, &msg), MSG_DRAIN);
	assert_int_equal(first->worker->state, ROW_STATE_DRAINING);

	second = rig_add_spare(&cast.rig);
	want(&cast, 1000);
	assert_int_equal(rig_receive(second, &buf, &msg), MSG_BADGE);
	msg_close_fds(&msg);
	rig_deinit(&cast.rig);
}

/* A retired worker, an unknown user: there is nobody, so nothing happens. */
static void retirement_of_nobody_is_ignored(void **state unused_)
{
	struct cast cast;

	begin(&cast);
	rig_say(&cast.rig, cast.frontdoor, MSG_WORKER_RETIRE,
		&(struct msg_worker_retire){ .uid = 7 });
	assert_false(cast.frontdoor->gone);
	rig_deinit(&cast.rig);
}

static void new_frontdoor_gets_channels_but_not_to_those_who_leave(void **state unused_)
{
	struct cast cast;
	struct rig_process *worker, *leaving;
	union msg_buffer buf;
	struct msg msg;

	begin(&cast);
	leaving = rig_add_spare(&cast.rig);
	want(&cast, 1000);
	worker = rig_add_spare(&cast.rig);
	want(&cast, 1001);
	rig_say(&cast.rig, cast.frontdoor, MSG_WORKER_RETIRE,
		&(struct msg_worker_retire){ .uid = 1000 });
	for (int i = 0; i < 2; i++) {
		fd_close(expect_channel(cast.frontdoor, 1000 + (uint32_t)i));
		fd_close(expect_channel(cast.connector, 1000 + (uint32_t)i));
		fd_close(expect_channel(cast.keyholder, 1000 + (uint32_t)i));
	}
	workers_connect(&cast.rig.supervisor, ROLE_FRONTDOOR);
	fd_close(expect_channel(cast.frontdoor, 1001));
	rig_expect_nothing(cast.frontdoor);
	workers_connect(&cast.rig.supervisor, ROLE_CONNECTOR);
	fd_close(expect_channel(cast.connector, 1000));
	fd_close(expect_channel(cast.connector, 1001));
	workers_connect(&cast.rig.supervisor, ROLE_KEYHOLDER);
	fd_close(expect_channel(cast.keyholder, 1000));
	fd_close(expect_channel(cast.keyholder, 1001));
	rig_receive(worker, &buf, &msg); /* its badge */
	msg_close_fds(&msg);
	assert_int_equal(rig_receive(worker, &buf, &msg), MSG_FRONTDOOR_CHAN);
	msg_close_fds(&msg);
	assert_int_equal(leaving->worker->state, ROW_STATE_DRAINING);
	rig_deinit(&cast.rig);
}

/* Of the two roles that a worker asks for itself: what it says then, what it gets, and whose it is. */
struct asked {
	uint32_t wanted, chan;
	enum role role;
	struct station *station;
	struct rig_process *process;
};

/* Its channel broke, though the role lives: it gets another, and so does the role. */
static void expect_a_channel_again(struct cast *cast, const struct asked *asked)
{
	const struct msg_empty wanted = { 0 };
	union msg_buffer buf;
	struct rig_process *worker, *spare;
	struct process *process;
	struct msg msg;
	int near, far;

	worker = rig_add_spare(&cast->rig);
	worker->worker->uid = 1000;
	worker->worker->state = ROW_STATE_RUNNING;
	cast->rig.supervisor.workers.spare = NULL;
	rig_say(&cast->rig, worker, asked->wanted, &wanted);
	assert_int_equal(rig_receive(worker, &buf, &msg), asked->chan);
	near = msg_take_fd(&msg, 0);
	far = expect_channel(asked->process, 1000);
	assert_connected(near, far);
	close(near);
	close(far);
	/* It may not keep two roles busy with it. */
	rig_say(&cast->rig, worker, asked->wanted, &wanted);
	rig_expect_nothing(worker);
	rig_expect_nothing(asked->process);
	worker->worker->renewed_ms[asked->role] -= LIMIT_CONNECTOR_AWAY_MS;
	/* One that has just been started has given a channel to everybody. */
	asked->process->process.started_ms = clock_ms();
	rig_say(&cast->rig, worker, asked->wanted, &wanted);
	rig_expect_nothing(worker);
	rig_expect_nothing(asked->process);
	asked->process->process.started_ms = 0;
	worker->worker->renewed_ms[asked->role] = 0;
	/* Between its death and its successor there is nobody to connect to, and no need to. */
	process = asked->station->process;
	asked->station->process = NULL;
	rig_say(&cast->rig, worker, asked->wanted, &wanted);
	rig_expect_nothing(worker);
	rig_expect_nothing(asked->process);
	asked->station->process = process;
	/* Who serves nobody has nobody to ask for. */
	spare = rig_add_spare(&cast->rig);
	rig_say(&cast->rig, spare, asked->wanted, &wanted);
	assert_true(spare->gone);
	assert_int_equal(spare->broken, RULE_CONTENT);
	rig_expect_nothing(asked->process);
}

static void worker_without_a_connector_gets_a_channel_again(void **state unused_)
{
	struct cast cast;

	begin(&cast);
	expect_a_channel_again(&cast, &(struct asked){ MSG_CONNECTOR_WANTED, MSG_CONNECTOR_CHAN,
						       ROLE_CONNECTOR,
						       &cast.rig.supervisor.connector,
						       cast.connector });
	rig_deinit(&cast.rig);
}

static void worker_without_a_keyholder_gets_a_channel_again(void **state unused_)
{
	struct cast cast;

	begin(&cast);
	expect_a_channel_again(&cast, &(struct asked){ MSG_KEYHOLDER_WANTED, MSG_KEYHOLDER_CHAN,
						       ROLE_KEYHOLDER,
						       &cast.rig.supervisor.keyholder,
						       cast.keyholder });
	rig_deinit(&cast.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(wish_makes_the_spare_a_users_worker),
		TEST(wish_waits_for_a_spare_and_is_refused_when_there_will_be_none),
		TEST(wishes_are_bounded_whatever_the_frontdoor_asks),
		TEST(wish_for_a_worker_that_is_there_renews_the_channel),
		TEST(retired_worker_drains_and_its_user_can_have_another),
		TEST(retirement_of_nobody_is_ignored),
		TEST(new_frontdoor_gets_channels_but_not_to_those_who_leave),
		TEST(worker_without_a_connector_gets_a_channel_again),
		TEST(worker_without_a_keyholder_gets_a_channel_again),
	};

	return testing_run(tests);
}
