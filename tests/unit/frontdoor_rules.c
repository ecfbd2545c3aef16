/*
 * Who has which badge: the rules from the supervisor, the first that matches, limits at n and n + 1.
 */
#include "frontdoor_rig.h"

#include <grp.h>

#include "frontdoor/rules.h"

#define FEW_GROUPS 64

struct given {
	const char *name;
	uint32_t badge, max_connections;
	struct conf_match matches[3];
	uint32_t match_count;
};

static void give_rules(struct rig *rig, const struct given *given, unsigned count)
{
	const struct msg_badge_rules rules = { .count = count, .max_connections = 2 };

	assert_int_equal(msg_send(rig->supervisor, &internal_messages, MSG_BADGE_RULES, &rules, NULL,
				  0, NULL), 0);
	for (unsigned i = 0; i < count; i++) {
		const struct msg_badge_rule rule = { given[i].badge, given[i].max_connections,
						     given[i].match_count,
						     (uint16_t)strlen(given[i].name), 0 };
		char tail[LIMIT_TAIL];
		size_t len = strlen(given[i].name), more = given[i].match_count * 8;

		memcpy(tail, given[i].name, len);
		memcpy(tail + len, given[i].matches, more);
		assert_int_equal(msg_send(rig->supervisor, &internal_messages, MSG_BADGE_RULE, &rule,
					  tail, len + more, NULL), 0);
	}
	rig_turn(rig);
}

static void expect_wanted(struct rig *rig, uint32_t uid, uint32_t badge)
{
	union msg_buffer buf;
	struct msg msg;
	const struct msg_worker_wanted *wanted;

	assert_int_equal(rig_hear(rig, &buf, &msg), 1);
	wanted = msg.body;
	assert_int_equal(msg.type, MSG_WORKER_WANTED);
	assert_int_equal(wanted->uid, uid);
	assert_int_equal(wanted->badge, badge);
}

static void the_first_rule_that_matches_wins(void **state unused_)
{
	const uid_t me = getuid();
	const struct given given[] = {
		{ "other", 4, 9, { { MATCH_UID, me + 1 }, { MATCH_UID, me + 2 } }, 2 },
		{ "mine", 9, 9, { { MATCH_UID, me + 3 }, { MATCH_UID, me } }, 2 },
		{ "late", 5, 9, { { MATCH_UID, me } }, 1 },
		{ "rest", 6, 9, { { MATCH_ANY, 0 } }, 1 },
	};
	struct rig rig;
	int client;

	rig_init(&rig);
	give_rules(&rig, given, 4);
	client = rig_connect(&rig);
	rig_turn(&rig);
	expect_wanted(&rig, me, 9);
	fd_close(client);
	/* In another order, another one. */
	give_rules(&rig, given + 2, 2);
	client = rig_connect(&rig);
	rig_turn(&rig);
	expect_wanted(&rig, me, 5);
	fd_close(client);
	give_rules(&rig, given + 3, 1);
	client = rig_connect(&rig);
	rig_turn(&rig);
	expect_wanted(&rig, me, 6);
	fd_close(client);
	/* And without any rule, each user is a badge of its own. */
	give_rules(&rig, NULL, 0);
	client = rig_connect(&rig);
	rig_turn(&rig);
	expect_wanted(&rig, me, 0);
	fd_close(client);
	rig_deinit(&rig);
}

static void who_matches_nothing_is_refused_with_a_reason(void **state unused_)
{
	const struct given given = { "other", 1, 9, { { MATCH_UID, getuid() + 1 }, { 99, 0 } }, 2 };
	const struct given empty = { "none", 1, 9, { { MATCH_ANY, 0 } }, 0 };
	struct rig rig;
	int client;

	rig_init(&rig);
	give_rules(&rig, &given, 1);
	client = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect_refused(client, TLSB_E_POLICY, "match: no badge");
	give_rules(&rig, &empty, 1);
	client = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect_refused(client, TLSB_E_POLICY, "match: no badge");
	rig_expect_nothing(&rig);
	rig_deinit(&rig);
}

static void rules_take_effect_all_at_once(void **state unused_)
{
	const struct given given = { "mine", 3, 9, { { MATCH_ANY, 0 } }, 1 };
	const struct msg_badge_rules two = { .count = 2, .max_connections = 2 };
	struct rig rig;
	int client;

	rig_init(&rig);
	give_rules(&rig, &given, 1);
	/* One of two: the old ones stay. */
	assert_int_equal(msg_send(rig.supervisor, &internal_messages, MSG_BADGE_RULES, &two, NULL, 0,
				  NULL), 0);
	rig_turn(&rig);
	client = rig_connect(&rig);
	rig_turn(&rig);
	expect_wanted(&rig, getuid(), 3);
	fd_close(client);
	rig_deinit(&rig);
}

/* The kernel's list of the groups that the caller had when it connected. */
static void supplementary_groups_count(void **state unused_)
{
	gid_t many[200];
	struct conf_match match = { MATCH_GID, 54321 };
	struct rule rule = { .badge = 7, .match_count = 1 };
	struct rules rules = { .list = &rule, .count = 1 };
	const struct ucred peer = { .uid = getuid(), .gid = 1 };
	uint32_t badge = 0;
	int pair[2];

	if (getuid() != 0)
		skip();
	rule.matches[0] = match;
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = 1000 + i;
	many[ARRAY_SIZE(many) - 1] = 54321;
	assert_int_equal(setgroups(3, many), 0);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	assert_int_equal(rules_find(&rules, pair[0], &peer, NULL, &badge), -EACCES);
	fd_close(pair[0]);
	fd_close(pair[1]);
	assert_int_equal(setgroups(ARRAY_SIZE(many), many), 0);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	/* What changes afterwards does not count. */
	assert_int_equal(setgroups(0, many), 0);
	assert_int_equal(rules_find(&rules, pair[0], &peer, NULL, &badge), 0);
	assert_int_equal(badge, 7);
	fd_close(pair[0]);
	fd_close(pair[1]);
	/* The primary group is not in that list, and counts as well. */
	rule.matches[0].id = 1;
	assert_int_equal(rules_find(&rules, -1, &peer, NULL, &badge), 0);
	/* Whose groups nobody knows is not let in by a later rule either. */
	rule.matches[0].id = 2;
	assert_int_equal(rules_find(&rules, -1, &peer, NULL, &badge), -EBADF);
}

/* What is said of somebody is judged as what the kernel says of who connects. */
static void claims_are_decided_as_connections_are(void **state unused_)
{
	static char units[] = "a.service\0b.service";
	struct rule list[] = {
		{ .badge = 3, .match_count = 2,
		  .matches = { { MATCH_UID, 7 }, { MATCH_GID, 500 } } },
		{ .badge = 4, .match_count = 2, .units = units,
		  .matches = { { MATCH_UNIT, 0 }, { MATCH_UNIT, 0 } } },
		{ .badge = 5, .match_count = 1, .matches = { { MATCH_ANY, 0 } } },
	};
	const struct rules rules = { .list = list, .count = 3 };
	uint32_t groups[FEW_GROUPS + 2] = { 1, 2, 3 };
	struct rules_claims claims = { .peer = { .uid = 7, .gid = 9 }, .groups = groups };
	struct rules_choice choice;

	assert_int_equal(rules_explain(&rules, &claims, 0, &choice), 0);
	assert_true(choice.badge == 3 && choice.rule == 0 && choice.match == 0);
	claims.peer.uid = 8;
	assert_int_equal(rules_explain(&rules, &claims, 0, &choice), -EAGAIN);
	assert_true(choice.badge == 4 && choice.rule == 1 && choice.match == 0);
	claims.cgroup = "/system.slice/b.service";
	assert_int_equal(rules_explain(&rules, &claims, 0, &choice), 0);
	assert_true(choice.badge == 4 && choice.rule == 1 && choice.match == 1);
	claims.cgroup = "/system.slice/c.service/b.service";
	assert_int_equal(rules_explain(&rules, &claims, 0, &choice), 0);
	assert_true(choice.badge == 5 && choice.rule == 2 && choice.match == 0);
	/* Only one badge is of interest. */
	assert_int_equal(rules_explain(&rules, &claims, 3, &choice), -EACCES);
	assert_int_equal(rules_explain(&rules, &claims, 99, &choice), -EACCES);
	/* Few groups, and many. */
	groups[2] = 500;
	claims.group_count = 2;
	assert_int_equal(rules_explain(&rules, &claims, 3, &choice), -EACCES);
	claims.group_count = 3;
	assert_int_equal(rules_explain(&rules, &claims, 3, &choice), 0);
	assert_int_equal(choice.match, 1);
	groups[2] = 3;
	groups[FEW_GROUPS + 1] = 500;
	claims.group_count = FEW_GROUPS + 1;
	assert_int_equal(rules_explain(&rules, &claims, 3, &choice), -EACCES);
	claims.group_count = FEW_GROUPS + 2;
	assert_int_equal(rules_explain(&rules, &claims, 0, &choice), 0);
	assert_int_equal(choice.badge, 3);
}

/* Whatever a program has written. */
static void who_is_asked_about_may_be_anything(void **state unused_)
{
	const struct given given[] = {
		{ "root", 4, 9, { { MATCH_GID, 0x41414141 } }, 1 },
		{ "rest", 6, 9, { { MATCH_ANY, 0 } }, 1 },
	};
	struct msg_who body = { .id = 99 };
	static char tail[LIMIT_TAIL];
	uint64_t seed = 7;
	struct rig rig;

	rig_init(&rig);
	give_rules(&rig, given, 2);
	for (unsigned i = 0; i < 2000; i++) {
		size_t len = testing_random(&seed) % (i % 2 ? 64 : sizeof(tail) + 1);
		union msg_buffer buf;
		struct msg msg;
		const struct msg_decided *decided;

		for (size_t j = 0; j < len; j++)
			tail[j] = "0:/\n.sA\0"[testing_random(&seed) % 8];
		body.about.group_count = (uint16_t)(testing_random(&seed) % (len / 4 + 1));
		assert_int_equal(msg_send(rig.supervisor, &internal_messages, MSG_WHO, &body, tail, len,
					  NULL), 0);
		rig_turn(&rig);
		assert_int_equal(rig_hear(&rig, &buf, &msg), 1);
		decided = msg.body;
		assert_int_equal(msg.type, MSG_DECIDED);
		assert_int_equal(decided->id, 99);
		assert_int_equal(decided->ruling, RULING_ALLOWED);
		assert_true(decided->badge == (decided->rule == 0 ? 4 : 6) && decided->match == 0);
	}
	rig_deinit(&rig);
}

static void connections_are_counted_for_each_badge_and_user(void **state unused_)
{
	const struct given given = { "mine", 3, 1, { { MATCH_ANY, 0 } }, 1 };
	struct rig rig;
	int clients[3], refused;

	rig_init(&rig);
	give_rules(&rig, &given, 1);
	clients[0] = rig_connect(&rig);
	clients[1] = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect_silence(clients[0]);
	rig_expect_refused(clients[1], TLSB_E_QUOTA, "max-connections: badge mine, user ");
	/* The limit without badges is another one: two of a badge that is another one. */
	give_rules(&rig, NULL, 0);
	for (int i = 1; i < 3; i++)
		clients[i] = rig_connect(&rig);
	rig_turn(&rig);
	for (int i = 1; i < 3; i++)
		rig_expect_silence(clients[i]);
	refused = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect_refused(refused, TLSB_E_QUOTA, "max-connections: user ");
	for (int i = 0; i < 3; i++)
		fd_close(clients[i]);
	rig_deinit(&rig);
}

static void refuses(uint32_t badge, uint32_t most, uint32_t match_count, const char *tail)
{
	const struct msg_badge_rule body = { badge, most, match_count, (uint16_t)strcspn(tail, "\n"),
					     0 };
	const struct msg msg = { .body = &body, .tail = tail, .tail_len = (uint32_t)strlen(tail) };
	const struct msg_badge_rules one = { 1, 1 };
	struct rules rules = { .list = NULL };

	assert_int_equal(rules_begin(&rules, &one), 0);
	assert_int_equal(rules_add(&rules, &msg), -EBADMSG);
	assert_int_equal(rules.count, 0);
	rules_deinit(&rules);
}

static void rules_that_make_no_sense_are_refused(void **state unused_)
{
	const struct msg_badge_rules many = { LIMIT_BADGES + 1, 1 }, none = { 0, 0 },
				     more = { 0, LIMIT_CLIENTS_PER_UID + 1 };
	struct rules rules = { .list = NULL };

	assert_int_equal(rules_begin(&rules, &many), -EBADMSG);
	assert_int_equal(rules_begin(&rules, &none), -EBADMSG);
	assert_int_equal(rules_begin(&rules, &more), -EBADMSG);
	refuses(0, 1, 0, "name");
	refuses(1, 0, 0, "name");
	refuses(1, LIMIT_CLIENTS_PER_UID + 1, 0, "name");
	refuses(1, 1, 1, "n\n123456");
	refuses(1, 1, LIMIT_MATCHES + 1, "name");
	refuses(1, 1, UINT32_MAX, "name");
	refuses(1, 1, 0, "a name that is longer than any name may be: sixty-three letters, not more");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_rule_that_matches_wins),
		TEST(who_matches_nothing_is_refused_with_a_reason),
		TEST(rules_take_effect_all_at_once),
		TEST(supplementary_groups_count),
		TEST(claims_are_decided_as_connections_are),
		TEST(who_is_asked_about_may_be_anything),
		TEST(connections_are_counted_for_each_badge_and_user),
		TEST(rules_that_make_no_sense_are_refused),
	};

	return testing_run(tests);
}
