/*
 * What the log says, as the supervisor would write it: one line for each peer that was given up, with
 * the rule that it broke.  Header-only.
 */
#ifndef TLSB_TESTS_WITNESS_H
#define TLSB_TESTS_WITNESS_H

#include "tests/unit/testing.h"

#include <event2/event.h>
#include <stdio.h>

#include "base/log.h"
#include "supervisor/output.h"
#include "wire/msg.h"

struct witness {
	const char *text; /* of the lines that count; NULL: of all that name a rule */
	unsigned rules[RULE_COUNT];
};

static inline void witness_see(void *arg, enum log_level level unused_, const char *text,
			       const struct log_pair *pairs, size_t count)
{
	struct witness *witness = arg;
	char line[OUTPUT_LINE], wanted[64];
	const char *rule = NULL;

	output_message(line, sizeof(line), text, pairs, count);
	for (const char *c = line; *c; c++)
		assert_in_range((unsigned char)*c, 0x20, 0x7e);
	for (size_t i = 0; i < count; i++) {
		if (pairs[i].field == FIELD_RULE)
			rule = pairs[i].value;
	}
	if (!rule || (witness->text && strcmp(text, witness->text) != 0))
		return;
	snprintf(wanted, sizeof(wanted), " rule=%s", rule);
	assert_non_null(strstr(line, wanted));
	for (enum msg_rule i = RULE_NONE; i < RULE_COUNT; i++) {
		if (strcmp(rule, msg_rule_name(i)) == 0) {
			witness->rules[i]++;
			return;
		}
	}
	fail_msg("no such rule: %s", rule);
}

/* libevent complains of descriptors that cannot be polled. */
static inline void witness_ignore(int severity unused_, const char *text unused_)
{
}

/* From now on this process's log comes here. */
static inline void witness_init(struct witness *witness, const char *text)
{
	*witness = (struct witness){ .text = text };
	event_set_log_callback(witness_ignore);
	log_set_sink(witness_see, witness, LOG_L_INFO);
}

static inline unsigned witness_count(const struct witness *witness)
{
	unsigned sum = 0;

	for (enum msg_rule i = RULE_NONE + 1; i < RULE_COUNT; i++)
		sum += witness->rules[i];
	return sum;
}

/* It has said exactly what was expected. */
static inline void witness_expect(const struct witness *witness, const struct witness *expected)
{
	for (enum msg_rule i = RULE_NONE; i < RULE_COUNT; i++) {
		if (witness->rules[i] != expected->rules[i])
			fail_msg("%u lines with rule=%s, expected %u", witness->rules[i],
				 msg_rule_name(i), expected->rules[i]);
	}
}

#endif
