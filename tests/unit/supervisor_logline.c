/*
 * The log: lines from roles that may have been taken over, and what is written of them.
 */
#include "testing.h"

#include <stdio.h>

#include "supervisor/logline.h"
#include "supervisor/output.h"

/* A MSG_LOG with this tail, as it would have come. */
static int parse(uint32_t level, const char *tail, size_t len, struct logline *line)
{
	const struct msg_log body = { .level = level };
	const struct msg msg = { .type = MSG_LOG, .body = &body, .tail = tail,
				 .tail_len = (uint32_t)len };

	return logline_parse(&msg, line);
}

/* A string constant with all its NULs but the compiler's. */
#define TAIL(s) (s), sizeof(s) - 1

/* A tag is the field's number, one up. */
#define UID    "\x04"
#define SERVER "\x07"

static void logline_with_fields_is_read(void **state unused_)
{
	struct logline line;

	_Static_assert(FIELD_UID == 3 && FIELD_SERVER == 6, "the tags above");
	assert_int_equal(parse(LOG_L_INFO, TAIL("text\0" UID "1000\0" SERVER "h:1\0"), &line), 0);
	assert_int_equal(line.level, LOG_L_INFO);
	assert_string_equal(line.text, "text");
	assert_int_equal(line.count, 2);
	assert_int_equal(line.pairs[0].field, FIELD_UID);
	assert_string_equal(line.pairs[0].value, "1000");
	assert_string_equal(line.pairs[1].value, "h:1");
	assert_int_equal(parse(LOG_L_DEBUG, TAIL("\0"), &line), 0);
	assert_int_equal(line.count, 0);
}

static void logline_that_lies_is_refused(void **state unused_)
{
	static const struct {
		const char *what, *tail;
		size_t len;
	} cases[] = {
		{ "nothing at all", TAIL("") },
		{ "no NUL behind the text", TAIL("text") },
		{ "no NUL behind a value", TAIL("text\0" UID "1000") },
		{ "a tag and nothing else", TAIL("text\0" UID) },
		{ "a tag that is NUL", TAIL("text\0\0x\0") },
		{ "somebody else's role", TAIL("text\0\x01supervisor\0") },
		{ "somebody else's pid", TAIL("text\0\x02" "1\0") },
		{ "a field twice", TAIL("text\0" UID "1\0" UID "2\0") },
		{ "a field that is none", TAIL("text\0\x1fx\0") },
		{ "a negative field", TAIL("text\0\xffx\0") },
	};
	struct logline line;

	_Static_assert(FIELD_COUNT == 30, "0x1f is the first tag that is no field");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (parse(LOG_L_INFO, cases[i].tail, cases[i].len, &line) != -EBADMSG)
			fail_msg("accepted: %s", cases[i].what);
	}
	for (uint32_t level = 0; level < 20; level++) {
		int r = parse(level, TAIL("text\0"), &line);

		assert_int_equal(r, level >= 3 && level <= 7 ? 0 : -EBADMSG);
	}
	assert_int_equal(parse(UINT32_MAX, TAIL("text\0"), &line), -EBADMSG);
}

/* Whatever comes, the strings end inside. */
static void logline_survives_noise(void **state unused_)
{
	uint64_t seed = 7;

	for (int round = 0; round < 20000; round++) {
		size_t len = testing_random(&seed) % 64;
		char *tail = malloc(len + 1); /* so that a sanitizer sees its end */
		struct logline line;

		assert_non_null(tail);
		for (size_t i = 0; i < len; i++)
			tail[i] = (char)(testing_random(&seed) % (FIELD_COUNT + 3));
		if (parse(LOG_L_INFO, tail, len, &line) == 0) {
			assert_true(line.count < FIELD_COUNT - 1);
			for (size_t i = 0; i < line.count; i++)
				assert_in_range(line.pairs[i].value + strlen(line.pairs[i].value) -
							tail, 0, len - 1);
		}
		free(tail);
	}
}

static void log_budget_holds_for_each_second(void **state unused_)
{
	struct log_budget budget = { 0 };
	uint64_t now = 5000;

	for (int i = 0; i < LIMIT_LOG_LINES; i++)
		assert_true(log_budget_take(&budget, LIMIT_LOG_LINES, now));
	assert_false(log_budget_take(&budget, LIMIT_LOG_LINES, now));
	assert_false(log_budget_take(&budget, LIMIT_LOG_LINES, now + 999));
	assert_int_equal(budget.suppressed, 2);
	assert_true(log_budget_take(&budget, LIMIT_LOG_LINES, now + 1000));
}

static void output_line_has_all_its_parts(void **state unused_)
{
	const struct timespec time = { .tv_sec = 1769862896, .tv_nsec = 789999999 };
	const struct log_pair pairs[] = {
		{ FIELD_ROLE, "worker" }, { FIELD_PID, "123" },	   { FIELD_UID, "1000" },
		{ FIELD_SERVER, "a b\"c" }, { FIELD_BADGE, NULL }, { FIELD_ERROR, "" },
	};
	char line[OUTPUT_LINE];

	output_line(line, sizeof(line), &time, LOG_L_INFO, "session\nestablished", pairs,
		    ARRAY_SIZE(pairs));
	assert_string_equal(line,
			    "2026-01-31T12:34:56.789Z INFO worker[123]: "
			    "session\\x0aestablished uid=1000 server=\"a b\\\"c\" error=\"\"");
}

static void output_message_is_the_supervisors_own_without_a_role(void **state unused_)
{
	char line[OUTPUT_LINE], expected[64];

	snprintf(expected, sizeof(expected), "supervisor[%d]: ready", getpid());
	assert_string_equal(output_message(line, sizeof(line), "ready", NULL, 0), expected);
}

/* A value cannot look like another field, nor like another line. */
static void output_message_keeps_values_apart(void **state unused_)
{
	const struct log_pair pairs[] = { { FIELD_SERVER, "x uid=0" }, { FIELD_ADDRESS, "y=z" },
					  { FIELD_OUTCOME, "\x1b[2J\r\n" } };
	char line[OUTPUT_LINE];

	output_message(line, sizeof(line), "t", pairs, ARRAY_SIZE(pairs));
	assert_non_null(strstr(line, " server=\"x uid=0\" address=\"y=z\" "));
	assert_non_null(strstr(line, " outcome=\\x1b[2J\\x0d\\x0a"));
}

static void output_is_cut_at_every_size(void **state unused_)
{
	char value[300], line[600];
	const struct log_pair pairs[] = { { FIELD_SERVER, value }, { FIELD_ERROR, value } };
	const struct timespec time = { .tv_sec = 0 };

	memset(value, '"', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (size_t size = 1; size < sizeof(line); size++) {
		memset(line, '#', sizeof(line));
		output_line(line, size, &time, LOG_L_ERROR, value, pairs, ARRAY_SIZE(pairs));
		assert_int_equal(strlen(line), size - 1);
		assert_int_equal(line[size], '#');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(logline_with_fields_is_read),
		TEST(logline_that_lies_is_refused),
		TEST(logline_survives_noise),
		TEST(log_budget_holds_for_each_second),
		TEST(output_line_has_all_its_parts),
		TEST(output_message_is_the_supervisors_own_without_a_role),
		TEST(output_message_keeps_values_apart),
		TEST(output_is_cut_at_every_size),
	};

	return testing_run(tests);
}
