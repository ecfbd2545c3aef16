/*
 * Log lines that other roles send.  From a role that may have been taken over: hostile.  It can say
 * what it likes in a line of its own, but not be somebody else, not break the line, and not flood.
 */
#ifndef TLSB_SUPERVISOR_LOGLINE_H
#define TLSB_SUPERVISOR_LOGLINE_H

#include <stdbool.h>

#include "base/log.h"
#include "wire/msg.h"

/* Strings point into the message. */
struct logline {
	enum log_level level;
	const char *text;
	size_t count;
	struct log_pair pairs[FIELD_COUNT];
};

/*
 * Read a MSG_LOG.  -EBADMSG: no such level, a string without its NUL, a field that does not exist,
 * comes twice, or is not the role's to set (role, pid).  0 or -EBADMSG.
 */
int logline_parse(const struct msg *msg, struct logline *ret_line);

/* Does it have this field? */
bool logline_has(const struct logline *line, enum log_field field);

/* How much a role may still say in this second. */
struct log_budget {
	uint64_t since_ms;
	unsigned lines;
	unsigned suppressed; /* lines since a number was last told */
};

/* One line, of at most MOST in a second: may it pass?  If not, it is counted. */
bool log_budget_take(struct log_budget *budget, unsigned most, uint64_t now_ms);

#endif
