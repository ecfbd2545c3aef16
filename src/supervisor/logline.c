#include "supervisor/logline.h"

#include <errno.h>
#include <string.h>

/* The string at *AT, which must end inside; NULL if it does not. */
static const char *next_string(const struct msg *msg, uint32_t *at)
{
	const char *start = msg->tail + *at;
	const char *end = memchr(start, '\0', msg->tail_len - *at);

	if (!end)
		return NULL;
	*at += (uint32_t)(end - start) + 1;
	return start;
}

/* The field that a tag stands for, or FIELD_COUNT when a role may not set it. */
static enum log_field field_of(unsigned char tag)
{
	enum log_field field = (enum log_field)(tag - 1); /* a tag is one up: never NUL */

	if (tag == 0 || tag > FIELD_COUNT || field == FIELD_ROLE || field == FIELD_PID)
		return FIELD_COUNT;
	return field;
}

int logline_parse(const struct msg *msg, struct logline *ret_line)
{
	const struct msg_log *body = msg->body;
	struct logline line = { .level = (enum log_level)body->level };
	uint32_t seen = 0, at = 0;

	_Static_assert(FIELD_COUNT <= 32, "one bit for each field");
	if (body->level < LOG_L_ERROR || body->level > LOG_L_DEBUG)
		return -EBADMSG;
	line.text = next_string(msg, &at);
	if (!line.text)
		return -EBADMSG;
	while (at < msg->tail_len) {
		enum log_field field = field_of((unsigned char)msg->tail[at++]);
		const char *value = next_string(msg, &at);

		if (field == FIELD_COUNT || (seen & (1u << field)) || !value)
			return -EBADMSG;
		seen |= 1u << field;
		line.pairs[line.count++] = (struct log_pair){ field, value };
	}
	*ret_line = line;
	return 0;
}

bool logline_has(const struct logline *line, enum log_field field)
{
	for (size_t i = 0; i < line->count; i++) {
		if (line->pairs[i].field == field)
			return true;
	}
	return false;
}

bool log_budget_take(struct log_budget *budget, unsigned most, uint64_t now_ms)
{
	if (now_ms - budget->since_ms >= 1000) {
		budget->since_ms = now_ms;
		budget->lines = 0;
	}
	if (budget->lines < most) {
		budget->lines++;
		return true;
	}
	budget->suppressed++;
	return false;
}
