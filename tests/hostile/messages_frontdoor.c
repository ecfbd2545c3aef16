/*
 * Every message to the frontdoor, broken in every way, by workers and by the supervisor, while one
 * well-behaved worker is handed programs: the worker that sent it is given up, alone, and its end is
 * asked for.
 */
#include "tests/unit/frontdoor_rig.h"

#include "frontdoor/badge.h"
#include "mad.h"
#include "scarce.h"
#include "witness.h"

#define BATCH 16
#define FIRST_UID 70000 /* of the hostile workers */

struct scene {
	struct rig rig;
	int good; /* the good worker's end; its user is ours */
	struct oddities odd;
	struct witness log, expected;
	uint64_t seed, sent;
	int fds;
};

static void scene_init(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	scene->seed = mutant_seed();
	rig_init(&scene->rig);
	scene->good = rig_give_worker(&scene->rig, getuid());
	oddities_open(&scene->odd);
	scene->fds = testing_count_fds();
	witness_init(&scene->log, NULL);
}

/* A program connects, and the good worker gets it, and gives it back. */
static void expect_served(struct scene *scene)
{
	struct msg_client body;
	int program = rig_connect(&scene->rig), fd;

	rig_turn(&scene->rig);
	fd = rig_take_client(scene->good, &body);
	assert_true(fd >= 0);
	assert_int_equal(body.uid, getuid());
	assert_int_equal(send(program, "x", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(fd, (char[1]){ 0 }, 1, MSG_DONTWAIT), 1);
	rig_client_gone(&scene->rig, scene->good, body.id);
	close(fd);
	close(program);
}

static unsigned count_badges(struct scene *scene)
{
	const struct badge *badge;
	unsigned count = 0;

	for (unsigned i = 0; i < BADGE_BUCKETS; i++) {
		LIST_FOREACH(badge, &rig_frontdoor(&scene->rig)->badges[i], in_bucket)
			count++;
	}
	return count;
}

static void expect_unharmed(struct scene *scene)
{
	expect_served(scene);
	assert_int_equal(count_badges(scene), 1);
	assert_int_equal(rig_count(&scene->rig, COUNTER_clients), 0);
	assert_int_equal(testing_count_fds(), scene->fds);
	witness_expect(&scene->log, &scene->expected);
	assert_int_equal(rig_count(&scene->rig, COUNTER_violations),
			 witness_count(&scene->expected));
	rig_expect_nothing(&scene->rig);
}

static void scene_deinit(struct scene *scene)
{
	expect_unharmed(scene);
	attacks_count("messages", scene->sent, scene->sent);
	oddities_close(&scene->odd);
	close(scene->good);
	rig_deinit(&scene->rig);
}

static void dispatch(struct scene *scene, int fd, const struct mutant *mutant)
{
	oddities_send(&scene->odd, fd, mutant, &scene->seed);
	scene->sent++;
}

/* It may not have read what came last. */
static bool is_closed(int fd)
{
	char byte;

	return testing_hangs_up(fd) && (recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
}

static bool is_open(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* ---- workers ---- */

/* A worker that has been handed nobody can give nobody back; it may have too many to begin with. */
static enum msg_rule judge(const struct mutant *mutant)
{
	const struct msg_clients *clients = (const void *)(mutant->bytes + 8);
	enum msg_rule rule = mutant_rule(mutant);

	if (rule != RULE_NONE || mutant_is_end(mutant))
		return rule;
	if (mutant_header(mutant).type == MSG_CLIENTS && clients->count <= LIMIT_CLIENTS_PER_UID)
		return RULE_NONE;
	return RULE_CONTENT;
}

static void attack_with_many(struct scene *scene)
{
	const struct msg_context ctx = { &internal_messages, ROLE_FRONTDOOR, ROLE_WORKER, RUN };
	static struct mutant mutants[BATCH];
	struct rig *rig = &scene->rig;
	int workers[BATCH];

	for (uint32_t i = 0; i < BATCH; i++)
		workers[i] = rig_give_worker(rig, FIRST_UID + i);
	for (int i = 0; i < BATCH; i++) {
		mutant_draw(&mutants[i], &ctx, &scene->seed, NULL, NULL);
		dispatch(scene, workers[i], &mutants[i]);
		rig_turn(rig);
	}
	for (uint32_t i = 0; i < BATCH; i++) {
		enum msg_rule rule = judge(&mutants[i]);

		if (rule != RULE_NONE || mutant_is_end(&mutants[i])
			    ? !is_closed(workers[i])
			    : !is_open(workers[i]))
			fail_msg("%s", mutant_text(&mutants[i]));
		scene->expected.rules[rule] += rule != RULE_NONE;
		if (rule != RULE_NONE) /* whoever it is by now, the supervisor is to end it */
			rig_expect(rig, MSG_WORKER_RETIRE, FIRST_UID + i);
		testing_close(workers[i]);
	}
	rig_turn(rig);
	expect_unharmed(scene);
}

static void workers_are_given_up_alone(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(400000, 20000);

	scene_init(&scene);
	while (scene.sent < most)
		attack_with_many(&scene);
	scene_deinit(&scene);
}

/* ---- the supervisor ---- */

/* It may close the door, and give our user another worker: not that. */
static bool is_in_its_power(const struct mutant *mutant)
{
	const struct msg_worker_chan *body = (const void *)(mutant->bytes + 8);
	const uint32_t type = mutant_header(mutant).type;

	return type == MSG_DRAIN || type == MSG_LISTEN ||
	       (type == MSG_WORKER_CHAN && body->uid == getuid());
}

/* Channels on descriptors that never say anything stay: what the supervisor gave is not doubted. */
static void forget_its_workers(struct scene *scene)
{
	struct frontdoor *frontdoor = rig_frontdoor(&scene->rig);
	union msg_buffer buf;
	struct msg msg;

	badge_forget_all(frontdoor);
	fd_close(scene->good);
	while (rig_hear(&scene->rig, &buf, &msg) == 1)
		;
	scene->good = rig_give_worker(&scene->rig, getuid());
}

static void a_mad_supervisor_is_left(void **state unused_)
{
	const uint64_t most = attack_share(100000, 4000);
	static struct scene scene;

	scene_init(&scene);
	mad_connect(&scene.rig.child, &scene.rig.supervisor);
	for (; scene.sent < most; scene.sent++) {
		mad_attack(&scene.odd, &scene.seed, is_in_its_power);
		if (scene.sent % 16 == 0) {
			expect_served(&scene);
			forget_its_workers(&scene);
			expect_unharmed(&scene);
		}
	}
	forget_its_workers(&scene);
	scene_deinit(&scene);
}

/* ---- descriptors ---- */

static void case_5_a_flood_of_descriptors_is_closed(void **state unused_)
{
	const struct msg_context ctx = { &internal_messages, ROLE_FRONTDOOR, ROLE_WORKER, RUN };
	static struct mutant mutant;
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < MUTANT_FLOOD; i++) {
		int worker = rig_give_worker(&scene.rig, FIRST_UID);

		mutant_init_flood(&mutant, &ctx, MSG_CLIENTS, i);
		dispatch(&scene, worker, &mutant);
		rig_turn(&scene.rig);
		assert_true(is_closed(worker));
		rig_expect(&scene.rig, MSG_WORKER_RETIRE, FIRST_UID);
		scene.expected.rules[RULE_FDS]++;
		testing_close(worker);
		expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

/* Of as many as a worker likes, while there is room for few or none. */
static void case_6_descriptors_for_which_there_is_no_room(void **state unused_)
{
	const struct msg_context ctx = { &internal_messages, ROLE_FRONTDOOR, ROLE_WORKER, RUN };
	static struct mutant mutant;
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < SCARCE_LEFT * ARRAY_SIZE(scarce_counts); i++) {
		int worker = rig_give_worker(&scene.rig, FIRST_UID);
		struct scarce scarce;

		mutant_init(&mutant, &ctx, MSG_CLIENTS, NULL, NULL, 0);
		mutant.nfds = scarce_counts[i / SCARCE_LEFT];
		dispatch(&scene, worker, &mutant);
		scarce_begin(&scarce, i % SCARCE_LEFT);
		rig_turn(&scene.rig);
		scarce_end(&scarce);
		assert_true(is_closed(worker));
		rig_expect(&scene.rig, MSG_WORKER_RETIRE, FIRST_UID);
		scene.expected.rules[RULE_FDS]++;
		testing_close(worker);
		expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

/* A worker's channel that it has no room for: it ends, since it would not miss that worker's clients. */
static void case_6_a_channel_for_which_there_is_no_room(void **state unused_)
{
	const struct msg_worker_chan body = { .uid = FIRST_UID };
	static struct scene scene;
	struct scarce scarce;
	int pair[2];

	scene_init(&scene);
	mad_connect(&scene.rig.child, &scene.rig.supervisor);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	assert_int_equal(msg_send(scene.rig.supervisor, &internal_messages, MSG_WORKER_CHAN, &body,
				  NULL, 0, &pair[0]),
			 0);
	close(pair[0]);
	scarce_begin(&scarce, 0);
	rig_turn(&scene.rig);
	scarce_end(&scarce);
	assert_true(mad.lost);
	assert_true(is_closed(pair[1]));
	close(pair[1]);
	mad_connect(&scene.rig.child, &scene.rig.supervisor);
	scene.sent++;
	scene_deinit(&scene);
}

/* ---- ids ---- */

/*
 * Ids of clients: those of another worker, those given back before, those that never were.  The answer
 * is one and the same, and the clients of others stay where they are.
 */
static void case_12_foreign_and_unknown_ids_get_one_answer(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(100000, 100000);
	struct msg_client theirs;
	uint64_t stale;
	int program, fd;

	scene_init(&scene);
	program = rig_connect(&scene.rig);
	rig_turn(&scene.rig);
	fd = rig_take_client(scene.good, &theirs);
	assert_true(fd >= 0);
	stale = theirs.id - 1;
	for (unsigned i = 0; i < most; i++) {
		const uint64_t ids[] = { theirs.id, stale, theirs.id + 1 + i, i,
					 testing_random(&scene.seed) };
		const struct msg_client_gone body = { .id = ids[i % ARRAY_SIZE(ids)] };
		int worker = rig_give_worker(&scene.rig, FIRST_UID);

		rig_say(&scene.rig, worker, MSG_CLIENT_GONE, &body);
		assert_true(is_closed(worker));
		rig_expect(&scene.rig, MSG_WORKER_RETIRE, FIRST_UID);
		rig_expect_nothing(&scene.rig);
		testing_close(worker);
	}
	scene.expected.rules[RULE_CONTENT] += most;
	scene.sent += most;
	assert_int_equal(rig_count(&scene.rig, COUNTER_clients), 1);
	rig_expect_silence(program);
	rig_client_gone(&scene.rig, scene.good, theirs.id);
	close(fd);
	close(program);
	scene_deinit(&scene);
}

/* An id is good for one client, once. */
static void case_13_an_id_that_was_given_back_is_refused(void **state unused_)
{
	static struct scene scene;
	struct msg_client first, second;
	int programs[2], fds[2];

	scene_init(&scene);
	programs[0] = rig_connect(&scene.rig);
	rig_turn(&scene.rig);
	fds[0] = rig_take_client(scene.good, &first);
	rig_client_gone(&scene.rig, scene.good, first.id);
	programs[1] = rig_connect(&scene.rig);
	rig_turn(&scene.rig);
	fds[1] = rig_take_client(scene.good, &second);
	assert_int_not_equal(first.id, second.id);
	assert_int_equal(rig_count(&scene.rig, COUNTER_clients), 1);
	rig_client_gone(&scene.rig, scene.good, first.id);
	assert_true(is_closed(scene.good));
	scene.expected.rules[RULE_CONTENT]++;
	scene.sent++;
	rig_expect(&scene.rig, MSG_WORKER_RETIRE, getuid());
	for (int i = 0; i < 2; i++) {
		close(programs[i]);
		close(fds[i]);
	}
	close(scene.good);
	scene.good = rig_give_worker(&scene.rig, getuid());
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(workers_are_given_up_alone),
		TEST(a_mad_supervisor_is_left),
		TEST(case_5_a_flood_of_descriptors_is_closed),
		TEST(case_6_descriptors_for_which_there_is_no_room),
		TEST(case_6_a_channel_for_which_there_is_no_room),
		TEST(case_12_foreign_and_unknown_ids_get_one_answer),
		TEST(case_13_an_id_that_was_given_back_is_refused),
	};

	return testing_run(tests);
}
