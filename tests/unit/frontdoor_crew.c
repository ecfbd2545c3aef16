/*
 * A badge with several workers: which one a client gets, when a further one is asked for, and what one of
 * them can do to the others.
 */
#include "frontdoor_rig.h"
#include "testing_clock.h"

#include "frontdoor/badge.h"
#include "frontdoor/rules.h"

#define BADGE 5

/* One badge, of all users, with so many workers. */
static void give_rule(struct rig *rig, uint32_t max_connections, unsigned workers)
{
	const struct msg_badge_rules rules = { .count = 1, .max_connections = 9 };
	const struct msg_badge_rule rule = { .badge = BADGE, .max_connections = max_connections,
					     .match_count = 1, .name_len = 4,
					     .more_workers = (uint16_t)(workers - 1) };
	const struct conf_match match = { MATCH_ANY, 0 };
	char tail[4 + sizeof(match)];

	memcpy(mempcpy(tail, "busy", 4), &match, sizeof(match));
	assert_int_equal(msg_send(rig->supervisor, &internal_messages, MSG_BADGE_RULES, &rules, NULL,
				  0, NULL), 0);
	assert_int_equal(msg_send(rig->supervisor, &internal_messages, MSG_BADGE_RULE, &rule, tail,
				  sizeof(tail), NULL), 0);
	rig_turn(rig);
}

/* WORKER_WANTED or WORKER_RETIRE, and which one. */
static void expect(struct rig *rig, uint32_t type, uint32_t nth)
{
	union msg_buffer buf;
	struct msg msg;
	const struct msg_worker_wanted *body;

	assert_int_equal(rig_hear(rig, &buf, &msg), 1);
	body = msg.body;
	assert_int_equal(msg.type, type);
	assert_int_equal(body->uid, getuid());
	assert_int_equal(body->badge, BADGE);
	assert_int_equal(body->nth, nth);
}

static int give_worker(struct rig *rig, uint32_t nth)
{
	const struct msg_worker_chan body = { .uid = getuid(), .badge = BADGE, .nth = nth,
					      .pid = 100 + nth };
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig_tell(rig, MSG_WORKER_CHAN, &body, pair[0]);
	return pair[1];
}

static int connect_one(struct rig *rig)
{
	int program = rig_connect(rig);

	rig_turn(rig);
	return program;
}

static bool has_client(int worker)
{
	struct msg_client body;
	int fd = rig_take_client(worker, &body);

	fd_close(fd);
	return fd >= 0;
}

static bool is_open(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* So many workers with one client each. */
static void begin(struct rig *rig, uint32_t max_connections, unsigned count, int programs[],
		  int workers[])
{
	rig_init(rig);
	give_rule(rig, max_connections, count);
	for (uint32_t i = 0; i < count; i++) {
		programs[i] = connect_one(rig);
		expect(rig, MSG_WORKER_WANTED, i);
		workers[i] = give_worker(rig, i);
	}
	rig_expect_nothing(rig);
}

static void end(struct rig *rig, unsigned count, const int programs[], const int workers[])
{
	for (unsigned i = 0; i < count; i++) {
		fd_close(programs[i]);
		fd_close(workers[i]);
	}
	rig_deinit(rig);
}

static void a_quiet_badge_keeps_one(void **state unused_)
{
	struct rig rig;
	int program, worker;

	rig_init(&rig);
	give_rule(&rig, 9, 4);
	program = connect_one(&rig);
	expect(&rig, MSG_WORKER_WANTED, 0);
	worker = give_worker(&rig, 0);
	for (int i = 0; i < 10; i++) {
		rig_client_gone(&rig, worker, rig_take_id(worker));
		close(program);
		program = connect_one(&rig);
	}
	rig_expect_nothing(&rig);
	close(program);
	close(worker);
	rig_deinit(&rig);
}

static void each_of_several_programs_gets_one(void **state unused_)
{
	int programs[4], workers[4], more[4];
	struct rig rig;

	rig_init(&rig);
	give_rule(&rig, 99, 4);
	for (int i = 0; i < 4; i++)
		programs[i] = rig_connect(&rig);
	rig_turn(&rig);
	for (uint32_t i = 0; i < 4; i++)
		expect(&rig, MSG_WORKER_WANTED, i);
	/* They come in any order. */
	for (uint32_t i = 4; i-- > 0;) {
		workers[i] = give_worker(&rig, i);
		assert_true(has_client(workers[i]));
		assert_false(has_client(workers[i]));
	}
	/* Then the one with the fewest gets the next. */
	for (int i = 0; i < 4; i++)
		more[i] = connect_one(&rig);
	rig_expect_nothing(&rig);
	for (int i = 0; i < 4; i++) {
		assert_true(has_client(workers[i]));
		assert_false(has_client(workers[i]));
		close(more[i]);
	}
	assert_int_equal(rig_count(&rig, COUNTER_clients), 8);
	end(&rig, 4, programs, workers);
}

static void a_client_waits_for_a_further_one_but_not_for_nothing(void **state unused_)
{
	const struct msg_worker_none none = { getuid(), BADGE, TLSB_E_RESOURCES, 1 };
	int programs[3], worker;
	struct rig rig;

	rig_init(&rig);
	give_rule(&rig, 9, 3);
	programs[0] = connect_one(&rig);
	expect(&rig, MSG_WORKER_WANTED, 0);
	worker = give_worker(&rig, 0);
	assert_true(has_client(worker));
	programs[1] = connect_one(&rig);
	expect(&rig, MSG_WORKER_WANTED, 1);
	assert_false(has_client(worker));
	rig_tell(&rig, MSG_WORKER_NONE, &none, -1);
	assert_true(has_client(worker)); /* the one that is there does it */
	rig_expect_nothing(&rig);
	rig_frontdoor(&rig)->wait_ms = 50;
	programs[2] = connect_one(&rig);
	expect(&rig, MSG_WORKER_WANTED, 1);
	assert_false(has_client(worker));
	rig_run_for(&rig, 200); /* no answer at all */
	assert_true(has_client(worker));
	for (int i = 0; i < 3; i++)
		close(programs[i]);
	close(worker);
	rig_deinit(&rig);
}

/* A further worker is a convenience: for it no idle one of somebody else's has to go. */
static void nobody_makes_room_for_a_further_one(void **state unused_)
{
	const struct msg_worker_chan idle = { .uid = getuid() + 1, .badge = BADGE, .pid = 7 };
	const struct msg_worker_none none = { getuid(), BADGE, TLSB_E_RESOURCES, 1 };
	int program, worker, other[2], next;
	struct rig rig;

	rig_init(&rig);
	rig_frontdoor(&rig)->settle_ms = 0;
	give_rule(&rig, 9, 2);
	assert_int_equal(fd_seqpacket_pair(other), 0);
	rig_tell(&rig, MSG_WORKER_CHAN, &idle, other[0]);
	program = connect_one(&rig);
	expect(&rig, MSG_WORKER_WANTED, 0);
	worker = give_worker(&rig, 0);
	next = connect_one(&rig);
	expect(&rig, MSG_WORKER_WANTED, 1);
	rig_tell(&rig, MSG_WORKER_NONE, &none, -1);
	rig_expect_nothing(&rig);
	assert_true(has_client(worker) && has_client(worker));
	close(other[1]);
	close(next);
	close(program);
	close(worker);
	rig_deinit(&rig);
}

static void a_death_concerns_its_own_clients(void **state unused_)
{
	const struct msg_worker_gone gone = { .uid = getuid(), .badge = BADGE, .pid = 101 };
	int programs[3], workers[3], next;
	struct rig rig;

	begin(&rig, 9, 3, programs, workers);
	rig_tell(&rig, MSG_WORKER_GONE, &gone, -1);
	assert_int_equal(rig_count(&rig, COUNTER_clients), 2);
	assert_true(has_client(workers[1]));
	assert_true(testing_is_closed(workers[1]));
	for (int i = 0; i < 3; i += 2) {
		rig_expect_silence(programs[i]);
		assert_true(has_client(workers[i]));
		assert_true(is_open(workers[i]));
	}
	/* The next client gets the next worker in its place. */
	next = connect_one(&rig);
	expect(&rig, MSG_WORKER_WANTED, 1);
	close(workers[1]);
	workers[1] = give_worker(&rig, 1);
	assert_true(has_client(workers[1]));
	close(next);
	end(&rig, 3, programs, workers);
}

static void max_connections_are_those_of_all(void **state unused_)
{
	int programs[3], workers[3], last;
	struct rig rig;

	begin(&rig, 4, 3, programs, workers);
	last = connect_one(&rig);
	assert_true(has_client(workers[0]) && has_client(workers[0]));
	rig_expect_refused(connect_one(&rig), TLSB_E_QUOTA,
			   "has 4 clients connected to the broker; the limit is 4");
	/* One that goes, wherever it was, makes room. */
	rig_client_gone(&rig, workers[2], rig_take_id(workers[2]));
	close(last);
	last = connect_one(&rig);
	assert_true(has_client(workers[2]));
	close(last);
	end(&rig, 3, programs, workers);
}

/* Ids of another one's clients, and more clients than there can be: it is ended, and the others go on. */
static void a_worker_lies_about_its_own_clients_only(void **state unused_)
{
	int programs[3], workers[3];
	struct msg_clients many = { .count = LIMIT_CLIENTS_PER_UID };
	struct rig rig;

	begin(&rig, 9, 3, programs, workers);
	rig_client_gone(&rig, workers[1], rig_take_id(workers[0]));
	expect(&rig, MSG_WORKER_RETIRE, 1);
	assert_true(has_client(workers[1]));
	assert_true(testing_is_closed(workers[1]));
	assert_true(is_open(workers[0]));
	assert_int_equal(rig_count(&rig, COUNTER_clients), 2);
	many.count++;
	rig_say(&rig, workers[2], MSG_CLIENTS, &many);
	expect(&rig, MSG_WORKER_RETIRE, 2);
	assert_true(is_open(workers[0]));
	assert_int_equal(rig_count(&rig, COUNTER_clients), 1);
	/* As many as there can be is no lie that can be seen; it is its own badge that is full then. */
	many.count--;
	rig_say(&rig, workers[0], MSG_CLIENTS, &many);
	rig_expect_refused(connect_one(&rig), TLSB_E_QUOTA, "max-connections: badge busy");
	end(&rig, 3, programs, workers);
}

static void fewer_after_a_reload(void **state unused_)
{
	int programs[3], workers[3], next;
	struct rig rig;
	uint64_t id;

	begin(&rig, 9, 3, programs, workers);
	rig_frontdoor(&rig)->settle_ms = 20;
	rig_client_gone(&rig, workers[1], rig_take_id(workers[1]));
	id = rig_take_id(workers[2]);
	assert_true(has_client(workers[0]));
	give_rule(&rig, 9, 1);
	rig_run_for(&rig, 200);
	/* The one without clients ends; the other keeps its own, and gets none. */
	expect(&rig, MSG_WORKER_RETIRE, 1);
	assert_true(testing_is_closed(workers[1]));
	next = connect_one(&rig);
	assert_true(has_client(workers[0]));
	assert_false(has_client(workers[2]));
	assert_true(is_open(workers[2]));
	rig_expect_nothing(&rig);
	rig_client_gone(&rig, workers[2], id);
	rig_run_for(&rig, 200);
	expect(&rig, MSG_WORKER_RETIRE, 2);
	assert_true(testing_is_closed(workers[2]));
	/* The one that may stay does, also without clients. */
	assert_int_equal(rig_count(&rig, COUNTER_clients), 2);
	rig_expect_nothing(&rig);
	close(next);
	end(&rig, 3, programs, workers);
}

static void more_after_a_reload(void **state unused_)
{
	int programs[2], workers[2];
	struct rig rig;

	begin(&rig, 9, 1, programs, workers);
	give_rule(&rig, 9, 2);
	rig_expect_nothing(&rig);
	programs[1] = connect_one(&rig);
	expect(&rig, MSG_WORKER_WANTED, 1);
	workers[1] = give_worker(&rig, 1);
	assert_true(has_client(workers[1]));
	end(&rig, 2, programs, workers);
}

/* One that was asked for, and comes when there are to be fewer: its client is not lost. */
static void one_too_many_comes_late(void **state unused_)
{
	int programs[2], workers[2];
	struct rig rig;

	begin(&rig, 9, 1, programs, workers);
	rig_frontdoor(&rig)->settle_ms = 20;
	give_rule(&rig, 9, 2);
	assert_true(has_client(workers[0]));
	programs[1] = connect_one(&rig);
	expect(&rig, MSG_WORKER_WANTED, 1);
	give_rule(&rig, 9, 1);
	workers[1] = give_worker(&rig, 1);
	assert_true(has_client(workers[0]));
	rig_run_for(&rig, 200);
	expect(&rig, MSG_WORKER_RETIRE, 1);
	assert_true(testing_is_closed(workers[1]));
	end(&rig, 2, programs, workers);
}

static void a_rule_has_bounds(void **state unused_)
{
	const struct msg_badge_rules body = { .count = 2, .max_connections = 1 };
	struct msg_badge_rule rule = { .badge = 1, .max_connections = 1, .name_len = 1,
				       .more_workers = LIMIT_BADGE_WORKERS };
	const struct msg msg = { .type = MSG_BADGE_RULE, .body = &rule, .tail = "x", .tail_len = 1 };
	struct rules rules = { .list = NULL };

	assert_int_equal(rules_begin(&rules, &body), 0);
	assert_int_equal(rules_add(&rules, &msg), -EBADMSG);
	rule.more_workers--;
	assert_int_equal(rules_add(&rules, &msg), 0);
	assert_int_equal(rules.list[0].workers, LIMIT_BADGE_WORKERS);
	rules_deinit(&rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_quiet_badge_keeps_one),
		cmocka_unit_test(each_of_several_programs_gets_one),
		cmocka_unit_test(a_client_waits_for_a_further_one_but_not_for_nothing),
		cmocka_unit_test(nobody_makes_room_for_a_further_one),
		cmocka_unit_test(a_death_concerns_its_own_clients),
		cmocka_unit_test(max_connections_are_those_of_all),
		cmocka_unit_test(a_worker_lies_about_its_own_clients_only),
		cmocka_unit_test(fewer_after_a_reload),
		cmocka_unit_test(more_after_a_reload),
		cmocka_unit_test(one_too_many_comes_late),
		cmocka_unit_test(a_rule_has_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
