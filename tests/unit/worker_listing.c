/*
 * What the supervisor asks of a worker's sessions, and what a program asks of the supervisor: lists come in
 * parts and miss nothing, a session ends when it is to, and there is one question at a time.
 */
#include "worker_rig.h"

#define SESSIONS (2 * LIMIT_LIST + 6)

/* What the supervisor heard last. */
struct heard {
	unsigned listed, ends;
	uint64_t number; /* of the last one listed */
	uint64_t below, code;
	uint64_t tag; /* of a question */
};

/* Without rig_turn(), which reads the supervisor's messages itself. */
static struct heard hear(struct rig *rig, uint64_t id)
{
	const struct msg_context ctx = { &internal_messages, ROLE_SUPERVISOR, ROLE_WORKER, RUN };
	struct heard heard = { .number = UINT64_MAX };
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;

	event_base_loop(rig->child.base, EVLOOP_NONBLOCK);
	while (msg_recv(rig->supervisor, &ctx, &buf, &msg, &rule) == 1) {
		const struct msg_session_row *body = msg.body;

		if (msg.type == MSG_QUESTION)
			heard.tag = ((const struct msg_question *)msg.body)->tag;
		if (msg.type != MSG_SESSION_ROW)
			continue;
		assert_int_equal(body->id, id);
		if (body->row.kind == ROW_END) {
			heard.ends++;
			heard.code = body->row.value[0];
			heard.below = body->row.value[1];
			continue;
		}
		assert_int_equal(body->row.kind, ROW_LISTED);
		assert_int_equal(msg.tail[msg.tail_len - 1], '\0');
		/* From the newest on. */
		assert_true(body->row.value[3] < heard.number);
		heard.number = body->row.value[3];
		heard.listed++;
	}
	assert_int_equal(rule, RULE_NONE);
	return heard;
}

static struct heard list(struct rig *rig, uint64_t below)
{
	static uint64_t id;
	const struct msg_sessions ask = { .id = ++id, .below = below };

	rig_tell(rig, MSG_SESSIONS, &ask, NULL, NULL);
	return hear(rig, id);
}

static struct heard end(struct rig *rig, uint64_t number)
{
	const struct msg_session_kill ask = { .id = 77, .number = number };

	rig_tell(rig, MSG_SESSION_KILL, &ask, NULL, NULL);
	return hear(rig, ask.id);
}

static void a_list_comes_in_parts_and_misses_nothing(void **state unused_)
{
	struct program_session sessions[SESSIONS];
	unsigned total = 0, parts = 0;
	uint64_t below = UINT64_MAX;
	struct one one;

	one_init(&one, &anything);
	for (int i = 0; i < SESSIONS; i++) {
		program_open(&one.program, &sessions[i]);
		rig_turn(&one.rig);
	}
	while (below > 0) {
		struct heard heard = list(&one.rig, below);

		assert_int_equal(heard.ends, 1);
		assert_in_range(heard.listed, 1, LIMIT_LIST);
		total += heard.listed;
		parts++;
		assert_true(heard.below == 0 || heard.below == heard.number);
		below = heard.below;
	}
	assert_int_equal(total, SESSIONS + 1); /* with one's own */
	assert_int_equal(parts, 3);
	assert_int_equal(list(&one.rig, 0).listed, 0);
	assert_int_equal(list(&one.rig, 1).listed, 0);
	for (int i = 0; i < SESSIONS; i++)
		session_close(&sessions[i]);
	one_deinit(&one);
}

static void what_is_to_end_ends_and_nothing_else(void **state unused_)
{
	struct program_session other;
	struct heard heard;
	struct one one;

	one_init(&one, &anything);
	program_open(&one.program, &other);
	rig_turn(&one.rig);
	heard = end(&one.rig, 4711);
	assert_int_equal(heard.ends, 1);
	assert_int_equal(heard.code, TLSB_E_PARAMETER);
	assert_int_equal(list(&one.rig, UINT64_MAX).listed, 2);
	heard = end(&one.rig, list(&one.rig, UINT64_MAX).number);
	assert_int_equal(heard.code, TLSB_E_NONE);
	heard = list(&one.rig, UINT64_MAX);
	assert_int_equal(heard.listed, 1);
	session_expect_end(&one.session, TLSB_E_POLICY, "ended by hand");
	/* Once is enough. */
	assert_int_equal(end(&one.rig, heard.number).code, TLSB_E_NONE);
	assert_int_equal(end(&one.rig, heard.number).code, TLSB_E_PARAMETER);
	assert_int_equal(list(&one.rig, UINT64_MAX).listed, 0);
	session_close(&other);
	one_deinit(&one);
}

static void a_program_has_one_question_at_a_time(void **state unused_)
{
	const struct msg_ask ask = { .what = UINT32_MAX }; /* not for the worker to judge */
	struct msg_status_row row = { .row.kind = ROW_END };
	struct one one;

	one_init(&one, &anything);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(program_send(one.program.fd, CLIENT_MSG_ASK, &ask, NULL, 0, NULL), 0);
		row.tag = hear(&one.rig, 0).tag;
		assert_int_not_equal(row.tag, 0);
		rig_tell(&one.rig, MSG_STATUS_ROW, &row, NULL, NULL);
		rig_turn(&one.rig);
		program_listen(&one.program);
		assert_int_equal(one.program.rows, i + 1);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(program_send(one.program.fd, CLIENT_MSG_ASK, &ask, NULL, 0, NULL), 0);
	rig_turn(&one.rig);
	assert_true(program_is_closed(&one.program));
	one_deinit(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_list_comes_in_parts_and_misses_nothing),
		TEST(what_is_to_end_ends_and_nothing_else),
		TEST(a_program_has_one_question_at_a_time),
	};

	return testing_run(tests);
}
