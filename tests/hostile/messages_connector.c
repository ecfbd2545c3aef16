/*
 * Every message to the connector, broken in every way, by workers and by the supervisor, while one
 * well-behaved worker has connections made: the worker that sent it is given up, alone.
 */
#include "tests/unit/connector_rig.h"

#include "mad.h"
#include "scarce.h"
#include "witness.h"

#define BATCH 16

struct scene {
	struct rig rig;
	int good; /* the good worker's end */
	int listener;
	uint16_t port;
	uint64_t next_id;
	struct oddities odd;
	struct witness log, expected;
	uint64_t seed, sent;
	int fds;
};

static void scene_init(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	if (!rig_own_network())
		skip(); /* a host that was mutated must not be somebody's */
	scene->seed = mutant_seed();
	rig_init(&scene->rig);
	rig_files(&scene->rig, "127.0.0.1 server.example\n", "nameserver 127.0.0.1\n");
	scene->good = rig_worker(&scene->rig, 1000);
	scene->listener = rig_listen("127.0.0.1", &scene->port, 64);
	assert_true(scene->listener >= 0);
	oddities_open(&scene->odd);
	scene->fds = testing_count_fds();
	witness_init(&scene->log, NULL);
}

/* The good worker gets its connection. */
static void expect_dialled(struct scene *scene)
{
	struct answer_to_worker answer;
	uint64_t id = ++scene->next_id;

	rig_dial(scene->good, id, "server.example", scene->port, AF_UNSPEC, 10000);
	rig_wait(&scene->rig, scene->good, 10000, &answer);
	rig_expect_dialed(&answer, id, "127.0.0.1");
	close(accept(scene->listener, NULL, NULL));
}

static void expect_unharmed(struct scene *scene)
{
	expect_dialled(scene);
	assert_int_equal(rig_connector(&scene->rig)->dialler_count, 1);
	assert_int_equal(testing_count_fds(), scene->fds);
	witness_expect(&scene->log, &scene->expected);
	assert_int_equal(rig_count(&scene->rig, COUNTER_violations),
			 witness_count(&scene->expected));
}

static void scene_deinit(struct scene *scene)
{
	expect_unharmed(scene);
	attacks_count("messages", scene->sent, scene->sent);
	oddities_close(&scene->odd);
	close(scene->good);
	close(scene->listener);
	rig_deinit(&scene->rig);
}

static void dispatch(struct scene *scene, int fd, const struct mutant *mutant)
{
	oddities_send(&scene->odd, fd, mutant, &scene->seed);
	scene->sent++;
}

/* What it was told is read; 1: it is there still. */
static bool is_kept(int worker)
{
	struct answer_to_worker answer;
	int r;

	while ((r = rig_poll(worker, &answer)) == 1)
		fd_close(answer.fd);
	return r == -EAGAIN;
}

static bool is_given_up(int worker)
{
	return testing_hangs_up(worker) && !is_kept(worker);
}

/* ---- workers ---- */

static bool make(struct mutant *mutant, const struct msg_context *ctx, uint32_t type,
		 uint64_t *seed, void *arg)
{
	static const char *const hosts[] = { "server.example", "127.0.0.1", "::1", "nobody.example",
					     "[::1]", "fe80::1%lo", "." };
	const struct scene *scene = arg;
	const char *host = hosts[testing_random(seed) % ARRAY_SIZE(hosts)];
	const struct msg_dial dial = { .id = testing_random(seed), .deadline_ms = 5000,
				       .port = scene->port };

	const struct msg_dial_still still = { .id = testing_random(seed), .port = scene->port,
					      .family = AF_INET6 };

	if (testing_random(seed) % 8 == 0)
		return false;
	if (type == MSG_DIAL_STILL) {
		mutant_init(mutant, ctx, type, &still, host, strlen(host));
		return true;
	}
	if (type != MSG_DIAL)
		return false;
	mutant_init(mutant, ctx, type, &dial, host, strlen(host));
	return true;
}

/* Of a host of LEN bytes, and the name behind it, only the characters count. */
static enum msg_rule judge_host(const char *host, size_t len, size_t name_len)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._:-%[]";

	for (size_t i = 0; i < len; i++) {
		if (!memchr(allowed, host[i], sizeof(allowed) - 1))
			return RULE_CONTENT;
	}
	if (len <= name_len || len - name_len > LIMIT_HOST || name_len > LIMIT_HOST)
		return RULE_CONTENT;
	return RULE_NONE;
}

/* About a connection that is said to be there. */
static enum msg_rule judge_still(const struct mutant *mutant)
{
	const struct msg_dial_still *still = (const void *)(mutant->bytes + 8);
	const size_t at = 8 + sizeof(*still);

	if (still->port == 0 || (still->family != AF_INET && still->family != AF_INET6))
		return RULE_CONTENT;
	return judge_host((const char *)mutant->bytes + at, mutant->len - at, still->name_len);
}

static enum msg_rule judge_dial(const struct mutant *mutant)
{
	const struct msg_dial *dial = (const void *)(mutant->bytes + 8);
	const size_t at = 8 + sizeof(*dial);

	if (judge_host((const char *)mutant->bytes + at, mutant->len - at, dial->name_len) !=
		    RULE_NONE ||
	    dial->port == 0)
		return RULE_CONTENT;
	if (dial->family != AF_UNSPEC && dial->family != AF_INET && dial->family != AF_INET6)
		return RULE_CONTENT;
	return RULE_NONE;
}

static enum msg_rule judge(const struct mutant *mutant)
{
	enum msg_rule rule = mutant_rule(mutant);

	if (rule == RULE_NONE && mutant->len > 0 && mutant_header(mutant).type == MSG_DIAL)
		rule = judge_dial(mutant);
	if (rule == RULE_NONE && mutant->len > 0 && mutant_header(mutant).type == MSG_DIAL_STILL)
		rule = judge_still(mutant);
	return rule;
}

static void attack_with_many(struct scene *scene)
{
	const struct msg_context ctx = { &internal_messages, ROLE_CONNECTOR, ROLE_WORKER, RUN };
	static struct mutant mutants[BATCH];
	struct rig *rig = &scene->rig;
	int workers[BATCH];

	for (uint32_t i = 0; i < BATCH; i++)
		workers[i] = rig_worker(rig, 2000 + i);
	for (int i = 0; i < BATCH; i++) {
		mutant_draw(&mutants[i], &ctx, &scene->seed, make, scene);
		dispatch(scene, workers[i], &mutants[i]);
	}
	rig_turn(rig);
	for (int i = 0; i < BATCH; i++) {
		enum msg_rule rule = judge(&mutants[i]);

		if (rule == RULE_NONE && !mutant_is_end(&mutants[i]) ? !is_kept(workers[i])
								     : !is_given_up(workers[i]))
			fail_msg("%s", mutant_text(&mutants[i]));
		scene->expected.rules[rule] += rule != RULE_NONE;
		testing_close(workers[i]);
	}
	rig_turn(rig);
	for (int fd; (fd = accept4(scene->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;)
		close(fd);
	expect_unharmed(scene);
}

static void workers_are_given_up_alone(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(400000, 20000);

	scene_init(&scene);
	fcntl(scene.listener, F_SETFL, O_NONBLOCK);
	while (scene.sent < most)
		attack_with_many(&scene);
	scene_deinit(&scene);
}

/* ---- the supervisor ---- */

static bool drains(const struct mutant *mutant)
{
	return mutant_header(mutant).type == MSG_DRAIN;
}

/* Channels on descriptors that never say anything stay: what the supervisor gave is not doubted. */
static void forget_its_workers(struct scene *scene)
{
	struct connector *connector = rig_connector(&scene->rig);

	while (!LIST_EMPTY(&connector->diallers))
		dialler_free(LIST_FIRST(&connector->diallers));
	fd_close(scene->good);
	scene->good = rig_worker(&scene->rig, 1000);
}

static void a_mad_supervisor_is_left(void **state unused_)
{
	static const struct msg_destination_rules unlimited;
	const uint64_t most = attack_share(100000, 4000);
	static struct scene scene;

	scene_init(&scene);
	mad_connect(&scene.rig.child, &scene.rig.supervisor);
	for (; scene.sent < most; scene.sent++) {
		mad_attack(&scene.odd, &scene.seed, drains);
		if (scene.sent % 16 == 0) {
			/* It may have sent other limits, and other files. */
			rig_tell(&scene.rig, MSG_DESTINATION_RULES, &unlimited, NULL);
			rig_files(&scene.rig, "127.0.0.1 server.example\n", "");
			expect_dialled(&scene);
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
	const struct msg_context ctx = { &internal_messages, ROLE_CONNECTOR, ROLE_WORKER, RUN };
	static struct mutant mutant;
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < MUTANT_FLOOD; i++) {
		int worker = rig_worker(&scene.rig, 2000);

		mutant_init_flood(&mutant, &ctx, MSG_DIAL_CANCEL, i);
		dispatch(&scene, worker, &mutant);
		rig_turn(&scene.rig);
		assert_true(is_given_up(worker));
		scene.expected.rules[RULE_FDS]++;
		testing_close(worker);
		rig_turn(&scene.rig);
		expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

static void case_6_descriptors_for_which_there_is_no_room(void **state unused_)
{
	const struct msg_context ctx = { &internal_messages, ROLE_CONNECTOR, ROLE_WORKER, RUN };
	static struct mutant mutant;
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < SCARCE_LEFT * ARRAY_SIZE(scarce_counts); i++) {
		int worker = rig_worker(&scene.rig, 2000);
		struct scarce scarce;

		mutant_init(&mutant, &ctx, MSG_DIAL_CANCEL, NULL, NULL, 0);
		mutant.nfds = scarce_counts[i / SCARCE_LEFT];
		dispatch(&scene, worker, &mutant);
		scarce_begin(&scarce, i % SCARCE_LEFT);
		rig_turn(&scene.rig);
		scarce_end(&scarce);
		assert_true(is_given_up(worker));
		scene.expected.rules[RULE_FDS]++;
		testing_close(worker);
		rig_turn(&scene.rig);
		expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

/*
 * One worker's dials take all the descriptors there are, but for a few: another worker's channel still
 * comes in, and the connector lives.
 */
static void case_6_the_last_descriptors_are_not_for_dials(void **state unused_)
{
	static struct scene scene;
	struct silent_server silent;
	struct scarce scarce;
	uint16_t port = 0;
	int greedy, newcomer;

	scene_init(&scene);
	assert_true(rig_listen_silently(&silent, "127.0.0.2", &port));
	greedy = rig_worker(&scene.rig, 2000);
	scarce_begin(&scarce, 2 * LIMIT_CONNECTOR_SPARE_FILES);
	for (uint64_t id = 1; id <= LIMIT_DIALS_PER_BADGE; id++)
		rig_dial(greedy, id, "127.0.0.2", port, AF_UNSPEC, 60000);
	rig_turn(&scene.rig);
	assert_true(is_kept(greedy));
	newcomer = rig_worker(&scene.rig, 3000);
	assert_true(is_kept(newcomer));
	assert_int_equal(rig_connector(&scene.rig)->dialler_count, 3);
	testing_close(newcomer);
	testing_close(greedy);
	rig_turn(&scene.rig);
	scarce_end(&scarce);
	rig_close_silent(&silent);
	scene.sent += LIMIT_DIALS_PER_BADGE;
	scene_deinit(&scene);
}

/* ---- ids ---- */

/* A dial that waits for its answer. */
static void dial_nobody(struct scene *scene, struct silent_server *silent, int worker, uint64_t id)
{
	uint16_t port = 0;

	assert_true(rig_listen_silently(silent, "127.0.0.2", &port));
	rig_dial(worker, id, "127.0.0.2", port, AF_UNSPEC, 60000);
	rig_turn(&scene->rig);
}

/*
 * Ids of dials: another worker's, those that are over, those that never were.  There is no answer to
 * any, and the others' dials go on.
 */
static void case_12_foreign_and_unknown_ids_get_one_answer(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(100000, 100000);
	struct silent_server silent;
	struct answer_to_worker answer;
	int thief;

	scene_init(&scene);
	thief = rig_worker(&scene.rig, 2000);
	dial_nobody(&scene, &silent, scene.good, 4711);
	for (unsigned i = 0; i < most; i++) {
		const uint64_t ids[] = { 4711, 1, i, testing_random(&scene.seed) };

		rig_cancel(thief, ids[i % ARRAY_SIZE(ids)]);
		if (i % 8 == 7)
			rig_turn(&scene.rig);
	}
	rig_turn(&scene.rig);
	scene.sent += most;
	assert_int_equal(rig_poll(thief, &answer), -EAGAIN);
	assert_int_equal(rig_poll(scene.good, &answer), -EAGAIN);
	/* The same id is two dials. */
	rig_dial(thief, 4711, "127.0.0.1", scene.port, AF_UNSPEC, 5000);
	rig_wait(&scene.rig, thief, 5000, &answer);
	rig_expect_dialed(&answer, 4711, "127.0.0.1");
	close(accept(scene.listener, NULL, NULL));
	assert_int_equal(rig_poll(scene.good, &answer), -EAGAIN);
	rig_cancel(scene.good, 4711);
	testing_close(thief);
	rig_turn(&scene.rig);
	rig_close_silent(&silent);
	scene_deinit(&scene);
}

static void case_13_an_id_is_one_dial_at_a_time(void **state unused_)
{
	static struct scene scene;
	struct silent_server silent;
	struct answer_to_worker answer;
	int worker;

	scene_init(&scene);
	worker = rig_worker(&scene.rig, 2000);
	/* Over: it cancels nothing, and may be used again. */
	for (int i = 0; i < 2; i++) {
		rig_dial(worker, 7, "127.0.0.1", scene.port, AF_UNSPEC, 5000);
		rig_wait(&scene.rig, worker, 5000, &answer);
		rig_expect_dialed(&answer, 7, "127.0.0.1");
		close(accept(scene.listener, NULL, NULL));
		rig_cancel(worker, 7);
		rig_turn(&scene.rig);
	}
	/* Under way: a second of the same name is a lie. */
	dial_nobody(&scene, &silent, worker, 7);
	assert_true(is_kept(worker));
	rig_dial(worker, 7, "127.0.0.1", scene.port, AF_UNSPEC, 5000);
	rig_turn(&scene.rig);
	assert_true(is_given_up(worker));
	scene.expected.rules[RULE_CONTENT]++;
	scene.sent++;
	testing_close(worker);
	rig_turn(&scene.rig);
	rig_close_silent(&silent);
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(workers_are_given_up_alone),
		TEST(a_mad_supervisor_is_left),
		TEST(case_5_a_flood_of_descriptors_is_closed),
		TEST(case_6_descriptors_for_which_there_is_no_room),
		TEST(case_6_the_last_descriptors_are_not_for_dials),
		TEST(case_12_foreign_and_unknown_ids_get_one_answer),
		TEST(case_13_an_id_is_one_dial_at_a_time),
	};

	return testing_run(tests);
}
