/*
 * What workers ask for others, and what they answer: who may see and end what, and what becomes of a
 * worker that lies.
 */
#include "supervisor_rig.h"

#include "base/text.h"
#include "supervisor/explain.h"

#define BADGE_ADMIN 1
#define BADGE_OTHER 2

/* A worker that serves UID with this badge. */
static struct rig_process *add_worker(struct rig *rig, uint32_t uid, uint32_t badge)
{
	struct rig_process *added = rig_add_spare(rig);
	struct worker *worker = added->worker;

	rig->supervisor.workers.spare = NULL;
	worker->serial = ++rig->supervisor.workers.last_serial;
	worker->uid = uid;
	worker->badge = badge;
	worker->state = ROW_STATE_RUNNING;
	text_copy(worker->badge_name, sizeof(worker->badge_name), badge ? "named" : "own");
	return added;
}

/* Two badges, of which the first is an administrator's. */
static void prepare(struct rig *rig)
{
	static const char text[] = "badge \"admin\" { match = \"uid:1000\" admin = yes }\n"
				   "badge \"other\" { match = any }\n";
	struct conf_errors errors;
	struct conf *conf;

	rig_init(rig);
	conf = rig->supervisor.policy.conf;
	conf_errors_init(&errors);
	assert_int_equal(conf_add(conf, "conf", text, strlen(text), &errors), 0);
	assert_int_equal(conf_errors_result(&errors), 0);
	conf_errors_deinit(&errors);
	conf->badges[0].number = BADGE_ADMIN;
	conf->badges[1].number = BADGE_OTHER;
}

static void ask(struct rig *rig, struct rig_process *asker, uint32_t what, uint32_t worker,
		uint64_t session)
{
	const struct msg_question body = {
		.tag = 42, .what = what, .worker = worker, .session = session,
	};

	rig_say(rig, asker, MSG_QUESTION, &body);
}

/* The row that PROCESS was sent. */
static struct row row_of(struct rig_process *process, char text[LIMIT_ROW + 1])
{
	const struct msg_status_row *body;
	union msg_buffer buf;
	struct msg msg;

	assert_int_equal(rig_receive(process, &buf, &msg), MSG_STATUS_ROW);
	body = msg.body;
	assert_int_equal(body->tag, 42);
	memcpy(text, msg.tail, msg.tail_len);
	text[msg.tail_len] = '\0';
	return body->row;
}

static void expect_end(struct rig_process *process, uint32_t error, const char *words)
{
	char text[LIMIT_ROW + 1];
	struct row row = row_of(process, text);

	assert_int_equal(row.kind, ROW_END);
	assert_int_equal(row.value[0], error);
	if (!strstr(text, words))
		fail_msg("%s: %s", words, text);
}

/* A part of a list ends; the next one begins there. */
static void expect_part(struct rig_process *process, uint32_t worker)
{
	char text[LIMIT_ROW + 1];
	struct row row = row_of(process, text);

	assert_int_equal(row.kind, ROW_END);
	assert_int_equal(row.value[0], 0);
	assert_int_equal(row.worker, worker);
}

/* The id of the question that PROCESS was asked. */
static uint64_t asked(struct rig_process *process, uint32_t type)
{
	union msg_buffer buf;
	struct msg msg;

	assert_int_equal(rig_receive(process, &buf, &msg), type);
	if (type == MSG_SESSIONS)
		return ((const struct msg_sessions *)msg.body)->id;
	return ((const struct msg_session_kill *)msg.body)->id;
}

static void answer(struct rig *rig, struct rig_process *process, uint64_t id, uint32_t kind)
{
	const struct msg_session_row body = {
		.id = id, .row = { .kind = kind, .uid = 0, .badge = 77, .worker = 99, .pid = 5 },
	};

	assert_int_equal(msg_send(process->far, &internal_messages, MSG_SESSION_ROW, &body, "h:1\0a:1",
				  kind == ROW_END ? 0 : 8, NULL), 0);
	event_base_loop(rig->supervisor.base, EVLOOP_NONBLOCK);
}

static void a_worker_hears_of_its_own_badge_and_user_only(void **state unused_)
{
	struct rig_process *mine, *same_badge, *same_user, *old;
	struct rig rig;

	prepare(&rig);
	old = add_worker(&rig, 1001, BADGE_OTHER);
	old->worker->state = ROW_STATE_DRAINING;
	same_badge = add_worker(&rig, 1002, BADGE_OTHER);
	same_user = add_worker(&rig, 1001, BADGE_ADMIN);
	mine = add_worker(&rig, 1001, BADGE_OTHER);
	ask(&rig, mine, ASK_SESSIONS, 1, UINT64_MAX);
	answer(&rig, old, asked(old, MSG_SESSIONS), ROW_END);
	expect_part(mine, mine->worker->serial);
	ask(&rig, mine, ASK_SESSIONS, mine->worker->serial, UINT64_MAX);
	answer(&rig, mine, asked(mine, MSG_SESSIONS), ROW_END);
	expect_part(mine, 0);
	ask(&rig, mine, ASK_SESSIONS, mine->worker->serial + 1, UINT64_MAX);
	expect_part(mine, 0);
	rig_expect_nothing(same_badge);
	rig_expect_nothing(same_user);
	assert_true(LIST_EMPTY(&rig.supervisor.questions.list));
	rig_deinit(&rig);
}

/* Whatever a worker says of whose they are. */
static void what_is_listed_bears_its_workers_badge(void **state unused_)
{
	struct rig_process *admin, *other;
	char text[LIMIT_ROW + 1];
	struct row row;
	struct rig rig;
	uint64_t id;

	prepare(&rig);
	other = add_worker(&rig, 1001, BADGE_OTHER);
	admin = add_worker(&rig, 1000, BADGE_ADMIN);
	ask(&rig, admin, ASK_SESSIONS, 1, UINT64_MAX);
	id = asked(other, MSG_SESSIONS);
	answer(&rig, other, id, ROW_LISTED);
	row = row_of(admin, text);
	assert_int_equal(row.uid, 1001);
	assert_int_equal(row.badge, BADGE_OTHER);
	assert_int_equal(row.worker, other->worker->serial);
	assert_string_equal(text, "named");
	assert_string_equal(text + 6, "h:1");
	answer(&rig, other, id, ROW_END);
	expect_part(admin, admin->worker->serial);
	/* It is over: what comes now is nobody's, and no crime. */
	answer(&rig, other, id, ROW_LISTED);
	assert_false(other->gone);
	rig_expect_nothing(admin);
	rig_deinit(&rig);
}

static void who_is_no_administrator_any_more_hears_nothing(void **state unused_)
{
	struct rig_process *admin, *other;
	struct rig rig;
	uint64_t id;

	prepare(&rig);
	other = add_worker(&rig, 1001, BADGE_OTHER);
	admin = add_worker(&rig, 1000, BADGE_ADMIN);
	ask(&rig, admin, ASK_SESSIONS, 1, UINT64_MAX);
	id = asked(other, MSG_SESSIONS);
	admin->worker->badge = BADGE_OTHER;
	answer(&rig, other, id, ROW_LISTED);
	answer(&rig, other, id, ROW_END);
	rig_expect_nothing(admin);
	assert_true(LIST_EMPTY(&rig.supervisor.questions.list));
	rig_deinit(&rig);
}

static void a_worker_that_answers_what_it_was_not_asked_is_ended(void **state unused_)
{
	struct rig_process *admin, *other, *liar;
	struct rig rig;
	uint64_t id;

	prepare(&rig);
	other = add_worker(&rig, 1001, BADGE_OTHER);
	liar = add_worker(&rig, 1002, BADGE_OTHER);
	admin = add_worker(&rig, 1000, BADGE_ADMIN);
	ask(&rig, admin, ASK_SESSIONS, 1, UINT64_MAX);
	id = asked(other, MSG_SESSIONS);
	answer(&rig, liar, id, ROW_LISTED);
	assert_true(liar->gone);
	assert_int_equal(liar->broken, RULE_CONTENT);
	rig_expect_nothing(admin);
	for (int i = 0; i < LIMIT_LIST; i++)
		answer(&rig, other, id, ROW_LISTED);
	assert_false(other->gone);
	answer(&rig, other, id, ROW_LISTED); /* one more than there are in a part */
	assert_true(other->gone);
	rig_deinit(&rig);
}

static void a_worker_that_answers_with_other_rows_is_ended(void **state unused_)
{
	static const uint32_t kinds[] = { ROW_ROLE, ROW_WORKER, ROW_COUNTER, ROW_SESSION, ROW_BADGE,
					  ROW_TEXT, 8, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct rig_process *mine;
		struct rig rig;

		prepare(&rig);
		mine = add_worker(&rig, 1001, BADGE_OTHER);
		ask(&rig, mine, ASK_SESSIONS, 1, UINT64_MAX);
		answer(&rig, mine, asked(mine, MSG_SESSIONS), kinds[i]);
		assert_true(mine->gone);
		rig_deinit(&rig);
	}
}

static void a_spare_worker_asks_nothing(void **state unused_)
{
	struct rig_process *spare;
	struct rig rig;

	prepare(&rig);
	spare = rig_add_spare(&rig);
	ask(&rig, spare, ASK_BADGES, 0, 0);
	assert_true(spare->gone);
	rig_deinit(&rig);
}

static void only_an_administrator_ends_others_sessions(void **state unused_)
{
	struct rig_process *mine, *other, *admin;
	struct rig rig;

	prepare(&rig);
	mine = add_worker(&rig, 1001, BADGE_OTHER);
	other = add_worker(&rig, 1002, BADGE_OTHER);
	admin = add_worker(&rig, 1000, BADGE_ADMIN);
	ask(&rig, mine, ASK_KILL, other->worker->serial, 1);
	expect_end(mine, TLSB_E_POLICY, "admin: badge named may not end");
	ask(&rig, mine, ASK_KILL, 4711, 1);
	expect_end(mine, TLSB_E_POLICY, "admin: badge named may not end");
	rig_expect_nothing(other);
	ask(&rig, mine, ASK_KILL, mine->worker->serial, 1);
	answer(&rig, mine, asked(mine, MSG_SESSION_KILL), ROW_END);
	expect_end(mine, TLSB_E_NONE, "");
	ask(&rig, admin, ASK_KILL, other->worker->serial, 1);
	answer(&rig, other, asked(other, MSG_SESSION_KILL), ROW_END);
	expect_end(admin, TLSB_E_NONE, "");
	ask(&rig, admin, ASK_KILL, 4711, 1);
	expect_end(admin, TLSB_E_PARAMETER, "there is no session 4711.1");
	/* A list is no answer to that. */
	ask(&rig, admin, ASK_KILL, other->worker->serial, 1);
	answer(&rig, other, asked(other, MSG_SESSION_KILL), ROW_LISTED);
	assert_true(other->gone);
	rig_deinit(&rig);
}

static void other_questions_are_answered_or_refused(void **state unused_)
{
	struct rig_process *mine, *admin;
	char text[LIMIT_ROW + 1];
	struct rig rig;

	prepare(&rig);
	mine = add_worker(&rig, 1001, BADGE_OTHER);
	admin = add_worker(&rig, 1000, BADGE_ADMIN);
	ask(&rig, mine, ASK_RELOAD, 0, 0);
	expect_end(mine, TLSB_E_POLICY, "admin: badge named may not have the configuration");
	ask(&rig, mine, ASK_BADGES, 0, 0);
	assert_int_equal(row_of(mine, text).badge, BADGE_OTHER);
	expect_end(mine, TLSB_E_NONE, "");
	ask(&rig, admin, ASK_BADGES, 0, 0);
	assert_int_equal(row_of(admin, text).state, true);
	assert_int_equal(row_of(admin, text).value[0], 1);
	expect_end(admin, TLSB_E_NONE, "");
	ask(&rig, mine, 0, 0, 0);
	expect_end(mine, TLSB_E_PARAMETER, "does not know");
	ask(&rig, mine, UINT32_MAX, 0, 0);
	expect_end(mine, TLSB_E_PARAMETER, "does not know");
	rig_deinit(&rig);
}

static void whoever_waits_for_a_worker_that_dies_hears_so(void **state unused_)
{
	struct rig_process *mine, *other, *admin;
	struct rig rig;

	prepare(&rig);
	other = add_worker(&rig, 1002, BADGE_OTHER);
	mine = add_worker(&rig, 1001, BADGE_OTHER);
	admin = add_worker(&rig, 1000, BADGE_ADMIN);
	ask(&rig, admin, ASK_SESSIONS, 1, UINT64_MAX);
	ask(&rig, admin, ASK_KILL, other->worker->serial, 1);
	ask(&rig, mine, ASK_KILL, mine->worker->serial, 1);
	questions_forget(&rig.supervisor, other->worker);
	expect_end(admin, TLSB_E_RESOURCES, "is over");
	expect_part(admin, mine->worker->serial);
	(void)asked(mine, MSG_SESSION_KILL);
	questions_forget(&rig.supervisor, mine->worker); /* it asked itself */
	expect_end(mine, TLSB_E_RESOURCES, "is over");
	assert_true(LIST_EMPTY(&rig.supervisor.questions.list));
	rig_deinit(&rig);
}

static void questions_have_a_limit_and_an_end(void **state unused_)
{
	struct rig_process *mine, *other;
	struct rig rig;

	prepare(&rig);
	mine = add_worker(&rig, 1001, BADGE_OTHER);
	other = add_worker(&rig, 1002, BADGE_OTHER);
	for (int i = 0; i < LIMIT_QUESTIONS_OPEN; i++) {
		ask(&rig, mine, ASK_SESSIONS, 1, UINT64_MAX);
		(void)asked(mine, MSG_SESSIONS);
	}
	ask(&rig, mine, ASK_SESSIONS, 1, UINT64_MAX);
	expect_end(mine, TLSB_E_QUOTA, "too many questions");
	/* Another's are counted by themselves. */
	ask(&rig, other, ASK_SESSIONS, 1, UINT64_MAX);
	(void)asked(other, MSG_SESSIONS);
	rig_expect_nothing(other);
	while (!LIST_EMPTY(&rig.supervisor.questions.list))
		event_base_loop(rig.supervisor.base, EVLOOP_ONCE);
	ask(&rig, mine, ASK_KILL, mine->worker->serial, 1);
	assert_false(LIST_EMPTY(&rig.supervisor.questions.list));
	rig_deinit(&rig);
}

/* ---- EXPLAIN ---- */

static void inquire(struct rig *rig, struct rig_process *asker, uint32_t what, uint32_t badge,
		    const char *tail)
{
	const struct msg_inquiry body = {
		.tag = 42, .what = what,
		.about = { .uid = what == EXPLAIN_WHERE ? 0 : 4711, .badge = badge,
			   .port = what == EXPLAIN_WHERE ? 443 : 0 },
	};

	assert_int_equal(msg_send(asker->far, &internal_messages, MSG_INQUIRY, &body, tail,
				  strlen(tail), NULL), 0);
	event_base_loop(rig->supervisor.base, EVLOOP_NONBLOCK);
}

/* What a role was asked. */
static struct msg_who passed_on(struct rig_process *role, uint32_t type, const char *tail)
{
	union msg_buffer buf;
	struct msg msg;

	assert_int_equal(rig_receive(role, &buf, &msg), type);
	assert_int_equal(msg.tail_len, strlen(tail));
	assert_memory_equal(msg.tail, tail, msg.tail_len);
	return *(const struct msg_who *)msg.body;
}

static void decide(struct rig *rig, struct rig_process *role, const struct msg_decided *body)
{
	assert_int_equal(msg_send(role->far, &internal_messages, MSG_DECIDED, body, "because", 7,
				  NULL), 0);
	event_base_loop(rig->supervisor.base, EVLOOP_NONBLOCK);
}

/* A rule, and where it stands. */
static void expect_rule(struct rig_process *process, const char *setting, const char *place,
			const char *word)
{
	char text[LIMIT_ROW + 1], *at = text;

	assert_int_equal(row_of(process, text).kind, ROW_RULE);
	assert_string_equal(at, setting);
	at += strlen(at) + 1;
	assert_string_equal(at, place);
	at += strlen(at) + 1;
	assert_string_equal(at, word);
}

static void prepare_roles(struct rig *rig, struct rig_process **ret_frontdoor,
			  struct rig_process **ret_connector)
{
	prepare(rig);
	for (unsigned i = 0; i < 2; i++)
		rig->supervisor.policy.conf->badges[i].match_count = 1;
	*ret_frontdoor = rig_add_station(rig, &rig->supervisor.frontdoor);
	*ret_connector = rig_add_station(rig, &rig->supervisor.connector);
}

static void who_asks_about_himself_is_whom_the_channel_says(void **state unused_)
{
	struct rig_process *frontdoor, *connector, *mine;
	struct msg_decided decided = { .ruling = RULING_ALLOWED, .badge = BADGE_OTHER, .rule = 1 };
	struct msg_who who;
	struct rig rig;

	prepare_roles(&rig, &frontdoor, &connector);
	mine = add_worker(&rig, 1001, BADGE_OTHER);
	inquire(&rig, mine, EXPLAIN_MYSELF, 0, "0::/x.service\n");
	who = passed_on(frontdoor, MSG_WHO, "0::/x.service\n");
	assert_int_equal(who.about.uid, 1001); /* not 4711 */
	assert_int_equal(who.about.badge, BADGE_OTHER);
	decided.id = who.id;
	decide(&rig, frontdoor, &decided);
	expect_rule(mine, "badge", "conf:2", "other");
	expect_rule(mine, "match", "conf:2", "any");
	expect_end(mine, TLSB_E_NONE, "");
	inquire(&rig, mine, EXPLAIN_WHERE, BADGE_OTHER, "host");
	decided = (struct msg_decided){ .id = passed_on(connector, MSG_WHERE, "host").id,
					.ruling = RULING_REFUSED, .rule = NO_RULE };
	decide(&rig, connector, &decided);
	expect_rule(mine, "destinations", "-", "");
	expect_rule(mine, "private", "built in", "no");
	rig_deinit(&rig);
}

static void about_others_only_an_administrator_hears(void **state unused_)
{
	struct rig_process *frontdoor, *connector, *mine, *admin;
	struct msg_decided decided = { .ruling = RULING_UNDECIDED, .badge = BADGE_ADMIN };
	struct rig rig;

	prepare_roles(&rig, &frontdoor, &connector);
	mine = add_worker(&rig, 1001, BADGE_OTHER);
	admin = add_worker(&rig, 1000, BADGE_ADMIN);
	inquire(&rig, mine, EXPLAIN_WHO, 0, "");
	expect_end(mine, TLSB_E_POLICY, "admin: badge named may not ask about others");
	inquire(&rig, mine, EXPLAIN_WHERE, BADGE_ADMIN, "host");
	expect_end(mine, TLSB_E_POLICY, "admin: badge named may not ask about others");
	inquire(&rig, mine, EXPLAIN_WHERE, 99, "host"); /* and not even whether it is there */
	expect_end(mine, TLSB_E_POLICY, "admin: badge named may not ask about others");
	inquire(&rig, admin, EXPLAIN_WHERE, 99, "host");
	expect_end(admin, TLSB_E_POLICY, "there is no such badge");
	inquire(&rig, admin, 99, 0, "");
	expect_end(admin, TLSB_E_PARAMETER, "does not know");
	rig_expect_nothing(frontdoor);
	rig_expect_nothing(connector);
	inquire(&rig, admin, EXPLAIN_WHO, 0, "");
	decided.id = passed_on(frontdoor, MSG_WHO, "").id;
	decide(&rig, frontdoor, &decided);
	expect_rule(admin, "badge", "conf:1", "admin");
	expect_rule(admin, "match", "conf:1", "uid:1000");
	expect_end(admin, TLSB_E_POLICY, "match: uid:1000 comes first");
	/* Who is none any more hears nothing. */
	inquire(&rig, admin, EXPLAIN_WHO, 0, "");
	decided.id = passed_on(frontdoor, MSG_WHO, "").id;
	admin->worker->badge = BADGE_OTHER;
	decide(&rig, frontdoor, &decided);
	expect_end(admin, TLSB_E_POLICY, "may not ask about others");
	rig_deinit(&rig);
}

static void a_role_that_decides_nonsense_is_ended(void **state unused_)
{
	static const struct msg_decided nonsense[] = {
		{ .ruling = 0, .badge = BADGE_OTHER, .rule = 1 },
		{ .ruling = 7, .badge = BADGE_OTHER, .rule = 1 },
		{ .ruling = RULING_ALLOWED, .badge = BADGE_OTHER, .rule = 2 },
		{ .ruling = RULING_ALLOWED, .badge = BADGE_OTHER, .rule = NO_RULE },
		{ .ruling = RULING_ALLOWED, .badge = BADGE_OTHER, .rule = 1, .match = 1 },
		{ .ruling = RULING_ALLOWED, .badge = BADGE_ADMIN, .rule = 1 },
		{ .ruling = RULING_ALLOWED, .badge = BADGE_ADMIN, .rule = 0 }, /* another's */
	};

	for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
		struct rig_process *frontdoor, *connector, *mine;
		struct msg_decided decided = nonsense[i];
		struct rig rig;

		prepare_roles(&rig, &frontdoor, &connector);
		mine = add_worker(&rig, 1001, BADGE_OTHER);
		inquire(&rig, mine, EXPLAIN_MYSELF, 0, "");
		decided.id = passed_on(frontdoor, MSG_WHO, "").id;
		decide(&rig, connector, &(struct msg_decided){ .id = decided.id + 1, .ruling = 1 });
		assert_false(connector->gone); /* too late for a question: no crime */
		decide(&rig, connector, &(struct msg_decided){ .id = decided.id, .ruling = 1 });
		assert_true(connector->gone); /* it was not asked */
		decide(&rig, frontdoor, &decided);
		assert_true(frontdoor->gone);
		rig_expect_nothing(mine);
		rig_deinit(&rig);
	}
}

static void inquiries_that_do_not_add_up_end_their_worker(void **state unused_)
{
	static const struct {
		struct msg_inquiry body;
		const char *tail;
	} bad[] = {
		{ { .what = EXPLAIN_WHERE, .about.badge = BADGE_OTHER }, "host" }, /* no port */
		{ { .what = EXPLAIN_WHERE, .about = { .badge = BADGE_OTHER, .port = 1 } }, "" },
		{ { .what = EXPLAIN_WHERE, .about = { .uid = 1, .port = 1 } }, "host" },
		{ { .what = EXPLAIN_WHO, .about = { .badge = BADGE_OTHER } }, "" },
		{ { .what = EXPLAIN_WHO, .about = { .port = 1 } }, "" },
		{ { .what = EXPLAIN_MYSELF, .about = { .group_count = 2 } }, "1234567" },
		{ { .what = EXPLAIN_MYSELF, .about = { .group_count = UINT16_MAX } }, "1234567" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rig_process *frontdoor, *connector, *mine;
		struct rig rig;

		prepare_roles(&rig, &frontdoor, &connector);
		mine = add_worker(&rig, 1001, BADGE_OTHER);
		assert_int_equal(msg_send(mine->far, &internal_messages, MSG_INQUIRY, &bad[i].body,
					  bad[i].tail, strlen(bad[i].tail), NULL), 0);
		event_base_loop(rig.supervisor.base, EVLOOP_NONBLOCK);
		assert_true(mine->gone);
		rig_expect_nothing(frontdoor);
		rig_expect_nothing(connector);
		rig_deinit(&rig);
	}
}

static void after_a_reload_old_decisions_do_not_count(void **state unused_)
{
	struct rig_process *frontdoor, *connector, *mine;
	struct msg_decided decided = { .ruling = RULING_ALLOWED, .badge = BADGE_OTHER, .rule = 77 };
	struct rig rig;

	prepare_roles(&rig, &frontdoor, &connector);
	mine = add_worker(&rig, 1001, BADGE_OTHER);
	inquire(&rig, mine, EXPLAIN_MYSELF, 0, "");
	decided.id = passed_on(frontdoor, MSG_WHO, "").id;
	explain_reloaded(&rig.supervisor);
	expect_end(mine, TLSB_E_RESOURCES, "read again meanwhile");
	decide(&rig, frontdoor, &decided);
	assert_false(frontdoor->gone);
	rig_expect_nothing(mine);
	/* And who does not answer at all is waited for so long. */
	inquire(&rig, mine, EXPLAIN_MYSELF, 0, "");
	(void)passed_on(frontdoor, MSG_WHO, "");
	while (!LIST_EMPTY(&rig.supervisor.questions.list))
		event_base_loop(rig.supervisor.base, EVLOOP_ONCE);
	expect_end(mine, TLSB_E_RESOURCES, "frontdoor does not answer");
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_worker_hears_of_its_own_badge_and_user_only),
		TEST(what_is_listed_bears_its_workers_badge),
		TEST(who_is_no_administrator_any_more_hears_nothing),
		TEST(a_worker_that_answers_what_it_was_not_asked_is_ended),
		TEST(a_worker_that_answers_with_other_rows_is_ended),
		TEST(a_spare_worker_asks_nothing),
		TEST(only_an_administrator_ends_others_sessions),
		TEST(other_questions_are_answered_or_refused),
		TEST(whoever_waits_for_a_worker_that_dies_hears_so),
		TEST(questions_have_a_limit_and_an_end),
		TEST(who_asks_about_himself_is_whom_the_channel_says),
		TEST(about_others_only_an_administrator_hears),
		TEST(a_role_that_decides_nonsense_is_ended),
		TEST(inquiries_that_do_not_add_up_end_their_worker),
		TEST(after_a_reload_old_decisions_do_not_count),
	};

	return testing_run(tests);
}
