/*
 * Every message to the keyholder, broken in every way, by workers and by the supervisor, while one
 * well-behaved worker has signatures made: the worker that sent it is given up, alone.
 */
#include "tests/unit/keyholder_rig.h"

#include "mad.h"
#include "scarce.h"
#include "witness.h"

#define BATCH 16

#define KEY   7
#define BADGE 3

struct scene {
	struct rig rig;
	int good; /* the good worker's end */
	EVP_PKEY *key;
	struct oddities odd;
	struct witness log, expected;
	uint64_t seed, sent;
	int fds;
};

static void give_keys(struct scene *scene)
{
	rig_keys(&scene->rig, 1);
	rig_key(&scene->rig, KEY, BADGE, scene->key);
}

static void scene_init(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	scene->seed = mutant_seed();
	rig_init(&scene->rig);
	scene->key = key_generate("EC", "P-256", 0);
	give_keys(scene);
	scene->good = rig_worker(&scene->rig, BADGE);
	oddities_open(&scene->odd);
	scene->fds = testing_count_fds();
	witness_init(&scene->log, NULL);
}

/* The good worker gets its signature. */
static void expect_signed(struct scene *scene)
{
	uint8_t bytes[256];
	size_t len = flight_1_3(bytes, FLIGHT_TEXT, 32);
	struct answer answer = rig_sign(&scene->rig, scene->good, KEY, 0x0403, bytes, len);

	assert_int_equal(answer.error, TLSB_E_NONE);
	assert_true(is_signature(scene->key, 0x0403, &answer, bytes, len));
}

static void expect_unharmed(struct scene *scene)
{
	expect_signed(scene);
	assert_int_equal(rig_keyholder(&scene->rig)->asker_count, 1);
	assert_true(TAILQ_EMPTY(&rig_keyholder(&scene->rig)->busy));
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
	rig_deinit(&scene->rig);
	EVP_PKEY_free(scene->key);
}

static void dispatch(struct scene *scene, int fd, const struct mutant *mutant)
{
	oddities_send(&scene->odd, fd, mutant, &scene->seed);
	scene->sent++;
}

/* What it was told is read; 1: it is there still.  None of it is a signature. */
static bool is_kept(int worker)
{
	struct answer answer;
	int r;

	while ((r = worker_hears(worker, &answer)) == 1) {
		assert_int_not_equal(answer.error, TLSB_E_NONE);
		assert_int_equal(answer.len, 0);
	}
	return r == -EAGAIN;
}

static bool is_given_up(int worker)
{
	return testing_hangs_up(worker) && !is_kept(worker);
}

/* ---- workers ---- */

/* What a real worker sends, for the good one's key, which is not this badge's. */
static bool make(struct mutant *mutant, const struct msg_context *ctx, uint32_t type,
		 uint64_t *seed, void *arg unused_)
{
	const struct msg_sign sign = { .id = testing_random(seed), .key = KEY, .scheme = 0x0403 };
	uint8_t bytes[256];
	size_t len = flight_1_3(bytes, FLIGHT_TEXT, 32);
	const size_t wish_len = testing_random(seed) % 3 * 32;
	const struct msg_key_ask ask = { .wish = mutant_wish(seed, wish_len) };

	if ((type != MSG_SIGN && type != MSG_KEY_ASK) || testing_random(seed) % 8 == 0)
		return false;
	if (type == MSG_SIGN)
		mutant_init(mutant, ctx, type, &sign, bytes, len);
	else
		mutant_init(mutant, ctx, type, &ask, bytes, wish_len);
	return true;
}

/* What the table cannot know. */
static bool is_content_good(const struct mutant *mutant)
{
	struct msg_key_ask ask;

	switch (mutant_header(mutant).type) {
	case MSG_KEY_BACK: /* nobody has lent any */
		return false;
	case MSG_KEY_ASK:
		memcpy(&ask, mutant->bytes + 8, sizeof(ask));
		return mutant_is_wish(&ask.wish, mutant->len - 8 - sizeof(ask));
	default:
		return true;
	}
}

/* The table has said it all: what may be asked is answered, whatever it is. */
static void attack_with_many(struct scene *scene)
{
	const struct msg_context ctx = { &internal_messages, ROLE_KEYHOLDER, ROLE_WORKER, RUN };
	static struct mutant mutants[BATCH];
	struct rig *rig = &scene->rig;
	int workers[BATCH];

	for (uint32_t i = 0; i < BATCH; i++)
		workers[i] = rig_worker(rig, BADGE + 1 + i);
	for (int i = 0; i < BATCH; i++) {
		mutant_draw(&mutants[i], &ctx, &scene->seed, make, scene);
		dispatch(scene, workers[i], &mutants[i]);
	}
	rig_turn(rig);
	for (int i = 0; i < BATCH; i++) {
		enum msg_rule rule = mutant_rule(&mutants[i]);

		if (rule == RULE_NONE && !mutant_is_end(&mutants[i]) && !is_content_good(&mutants[i]))
			rule = RULE_CONTENT;
		if (rule == RULE_NONE && !mutant_is_end(&mutants[i]) ? !is_kept(workers[i])
								     : !is_given_up(workers[i]))
			fail_msg("%s", mutant_text(&mutants[i]));
		scene->expected.rules[rule] += rule != RULE_NONE;
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

/* What the next end would have signed: that is never more than its bound, and never anything of TLS. */
static bool say_any(struct scene *scene, int worker, size_t *part)
{
	static const uint8_t bytes[LIMIT_TAIL];
	const struct msg_sign_part nothing = { 0 };
	const struct msg_sign sign = { .id = scene->sent, .key = KEY, .scheme = 0x0403 };
	size_t len = testing_random(&scene->seed) % (LIMIT_TAIL + 1);
	bool is_end = testing_random(&scene->seed) % 8 == 0;

	if (is_end)
		assert_int_equal(worker_say(worker, MSG_SIGN, &sign, bytes, len), 0);
	else
		assert_int_equal(worker_say(worker, MSG_SIGN_PART, &nothing, bytes, len), 0);
	scene->sent++;
	rig_turn(&scene->rig);
	*part += len;
	if (*part > LIMIT_SIGN_BYTES)
		return false;
	*part = is_end ? 0 : *part;
	return true;
}

/* Parts and ends of any length in any order: who goes beyond the bound is given up. */
static void case_42_parts_in_any_order(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(100000, 5000);

	scene_init(&scene);
	while (scene.sent < most) {
		int worker = rig_worker(&scene.rig, BADGE);
		bool good = true;
		size_t part = 0;

		for (int i = 0; i < 40 && good; i++)
			good = say_any(&scene, worker, &part);
		assert_true(good ? is_kept(worker) : is_given_up(worker));
		scene.expected.rules[RULE_CONTENT] += !good;
		testing_close(worker);
		rig_turn(&scene.rig);
		expect_unharmed(&scene);
	}
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
	struct keyholder *keyholder = rig_keyholder(&scene->rig);

	while (!LIST_EMPTY(&keyholder->askers))
		asker_free(LIST_FIRST(&keyholder->askers));
	fd_close(scene->good);
	scene->good = rig_worker(&scene->rig, BADGE);
}

static void a_mad_supervisor_is_left(void **state unused_)
{
	const uint64_t most = attack_share(100000, 4000);
	static struct scene scene;

	scene_init(&scene);
	mad_connect(&scene.rig.child, &scene.rig.supervisor);
	for (; scene.sent < most; scene.sent++) {
		mad_attack(&scene.odd, &scene.seed, drains);
		if (scene.sent % 16 == 0) {
			/* It may have taken the keys away. */
			give_keys(&scene);
			forget_its_workers(&scene);
			expect_unharmed(&scene);
		}
	}
	give_keys(&scene);
	forget_its_workers(&scene);
	scene_deinit(&scene);
}

/* ---- descriptors ---- */

static void case_5_a_flood_of_descriptors_is_closed(void **state unused_)
{
	const struct msg_context ctx = { &internal_messages, ROLE_KEYHOLDER, ROLE_WORKER, RUN };
	static struct mutant mutant;
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < MUTANT_FLOOD; i++) {
		int worker = rig_worker(&scene.rig, BADGE);

		mutant_init_flood(&mutant, &ctx, i % 2 ? MSG_SIGN : MSG_SIGN_PART, i);
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
	const struct msg_context ctx = { &internal_messages, ROLE_KEYHOLDER, ROLE_WORKER, RUN };
	static struct mutant mutant;
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < SCARCE_LEFT * ARRAY_SIZE(scarce_counts); i++) {
		int worker = rig_worker(&scene.rig, BADGE);
		struct scarce scarce;

		mutant_init(&mutant, &ctx, MSG_SIGN, NULL, NULL, 0);
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

/* A descriptor of every odd kind in the place of a key's file: that key does not sign, the other does. */
static void case_7_odd_files_of_keys(void **state unused_)
{
	static struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < scene.odd.count; i++) {
		rig_keys(&scene.rig, 2);
		rig_key_in(&scene.rig, KEY + 1, BADGE, dup(scene.odd.fds[i]));
		rig_key(&scene.rig, KEY, BADGE, scene.key);
		assert_false(scene.rig.lost);
		assert_null(keys_find(&rig_keyholder(&scene.rig)->keys, KEY_PRIVATE, KEY + 1,
				      BADGE)->pkey);
		scene.sent++;
		expect_unharmed(&scene);
	}
	scene_deinit(&scene);
}

/* ---- ids ---- */

/* Keys of others, and those that there are not: one answer to all, and it is the same. */
static void case_12_foreign_and_unknown_keys_get_one_answer(void **state unused_)
{
	static struct scene scene;
	const uint64_t most = attack_share(100000, 20000);
	uint8_t bytes[256];
	size_t len = flight_1_3(bytes, FLIGHT_TEXT, 32);
	int thief;

	scene_init(&scene);
	thief = rig_worker(&scene.rig, BADGE + 1);
	for (uint64_t i = 0; i < most; i++) {
		const uint32_t keys[] = { KEY, 0, (uint32_t)i, (uint32_t)testing_random(&scene.seed) };
		struct answer answer = rig_sign(&scene.rig, thief, keys[i % ARRAY_SIZE(keys)], 0x0403,
						bytes, len);

		assert_int_equal(answer.error, TLSB_E_POLICY);
		assert_int_equal(answer.len, 0);
	}
	scene.sent += most;
	assert_int_equal(rig_count(&scene.rig, COUNTER_signatures_refused), most);
	assert_int_equal(rig_count(&scene.rig, COUNTER_signatures), 0);
	testing_close(thief);
	rig_turn(&scene.rig);
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(workers_are_given_up_alone),
		TEST(case_42_parts_in_any_order),
		TEST(a_mad_supervisor_is_left),
		TEST(case_5_a_flood_of_descriptors_is_closed),
		TEST(case_6_descriptors_for_which_there_is_no_room),
		TEST(case_7_odd_files_of_keys),
		TEST(case_12_foreign_and_unknown_keys_get_one_answer),
	};

	return testing_run(tests);
}
