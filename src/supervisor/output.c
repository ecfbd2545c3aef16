#include "supervisor/output.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "supervisor/journal.h"
#include "wire/limits.h"

static const char *const level_names[] = {
	[LOG_L_ERROR] = "ERROR", [LOG_L_WARNING] = "WARNING", [LOG_L_NOTICE] = "NOTICE",
	[LOG_L_INFO] = "INFO",	 [LOG_L_DEBUG] = "DEBUG",
};

/* A string that grows up to a size and is cut there. */
struct line {
	char *at;
	size_t left; /* its NUL included: at least 1 */
};

static void append(struct line *line, const char *format, ...) printf_(2, 3);
static void append(struct line *line, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line->at, line->left, format, args);
	va_end(args);
	if (n < 0)
		return;
	n = MIN(n, (int)line->left - 1);
	line->at += n;
	line->left -= (size_t)n;
}

/* A value with spaces or quotes in it is quoted, so that the line can be split again. */
static void append_value(struct line *line, const char *value)
{
	char escaped[4 * LIMIT_TEXT + 1];
	const char *c = text_escape_str(escaped, sizeof(escaped), value);

	if (escaped[0] != '\0' && !strpbrk(escaped, " \"=")) {
		append(line, "%s", escaped);
		return;
	}
	append(line, "\"");
	for (; *c; c++)
		append(line, *c == '"' ? "\\%c" : "%c", *c);
	append(line, "\"");
}

static const char *find(const struct log_pair *pairs, size_t count, enum log_field field)
{
	for (size_t i = 0; i < count; i++) {
		if (pairs[i].field == field)
			return pairs[i].value;
	}
	return NULL;
}

static int is_heading(enum log_field field)
{
	return field == FIELD_ROLE || field == FIELD_PID;
}

char *output_message(char *dst, size_t size, const char *text, const struct log_pair *pairs,
		     size_t count)
{
	const char *role = find(pairs, count, FIELD_ROLE), *pid = find(pairs, count, FIELD_PID);
	char escaped[4 * LIMIT_TEXT + 1];
	struct line line = { dst, size };

	append(&line, "%s[%s]: %s", role ? role : "supervisor", pid ? pid : LOG_NUMBER(getpid()),
	       text_escape_str(escaped, sizeof(escaped), text));
	for (size_t i = 0; i < count; i++) {
		if (is_heading(pairs[i].field) || !pairs[i].value)
			continue;
		append(&line, " %s=", log_field_name(pairs[i].field));
		append_value(&line, pairs[i].value);
	}
	return dst;
}

char *output_line(char *dst, size_t size, const struct timespec *now, enum log_level level,
		  const char *text, const struct log_pair *pairs, size_t count)
{
	struct line line = { dst, size };
	char date[32] = "";
	struct tm tm;

	/* UTC: no time zone file to open, and no hour that comes twice. */
	if (gmtime_r(&now->tv_sec, &tm))
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	append(&line, "%s.%03uZ %s ", date, (unsigned)(now->tv_nsec / 1000000),
	       level_names[level]);
	output_message(line.at, line.left, text, pairs, count);
	return dst;
}

/* Standard error may be a pipe whose reader stopped: no role must come to stand still for that. */
static int to_stderr(enum log_level level, const char *text, const struct log_pair *pairs,
		     size_t count)
{
	struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };
	char line[OUTPUT_LINE];
	struct timespec now;
	size_t len;

	if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT))
		return -EAGAIN;
	clock_gettime(CLOCK_REALTIME, &now);
	output_line(line, sizeof(line), &now, level, text, pairs, count);
	len = strnlen(line, sizeof(line) - 1);
	line[len++] = '\n';
	return write(STDERR_FILENO, line, len) < 0 ? -errno : 0;
}

/* A field's name and its longest value: a cut name would make the journal refuse the entry. */
#define JOURNAL_FIELD (4 * LIMIT_TEXT + 1 + 32)

_Static_assert(3 + FIELD_COUNT + 1 <= JOURNAL_FIELDS_MAX, "an entry takes all fields");

/* One field of a journal entry, "TLSBROKER_<NAME>=value", at *AT in the arena. */
static struct iovec journal_field(struct line *arena, enum log_field field, const char *value)
{
	struct iovec iov = { .iov_base = arena->at };
	char name[32], escaped[4 * LIMIT_TEXT + 1];

	text_copy(name, sizeof(name), log_field_name(field));
	for (char *c = name; *c; c++) {
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	}
	append(arena, "TLSBROKER_%s=%s", name, text_escape_str(escaped, sizeof(escaped), value));
	iov.iov_len = (size_t)(arena->at - (char *)iov.iov_base);
	return iov;
}

static int to_journal(int fd, enum log_level level, const char *text, const struct log_pair *pairs,
		      size_t count)
{
	static const char identifier[] = "SYSLOG_IDENTIFIER=tlsbrokerd";
	char message[OUTPUT_LINE] = "MESSAGE=", priority[] = "PRIORITY=0";
	char bytes[(FIELD_COUNT + 1) * JOURNAL_FIELD];
	struct iovec iov[3 + FIELD_COUNT + 1];
	struct line arena = { bytes, sizeof(bytes) };
	size_t len = strlen(message);
	int n = 0;

	output_message(message + len, sizeof(message) - len, text, pairs, count);
	priority[sizeof(priority) - 2] = (char)('0' + level);
	iov[n++] = (struct iovec){ message, strlen(message) };
	iov[n++] = (struct iovec){ priority, strlen(priority) };
	iov[n++] = (struct iovec){ (char *)(uintptr_t)identifier, strlen(identifier) };
	if (!find(pairs, count, FIELD_ROLE))
		iov[n++] = journal_field(&arena, FIELD_ROLE, "supervisor");
	for (size_t i = 0; i < count && (size_t)n < ARRAY_SIZE(iov); i++) {
		if (pairs[i].value)
			iov[n++] = journal_field(&arena, pairs[i].field, pairs[i].value);
	}
	return journal_send(fd, iov, n);
}

/* 0, or -errno for a line that is lost. */
static int put(const struct output *output, enum log_level level, const char *text,
	       const struct log_pair *pairs, size_t count)
{
	if (output->target == OUTPUT_JOURNAL)
		return to_journal(output->journal, level, text, pairs, count);
	return to_stderr(level, text, pairs, count);
}

static void lose(struct output *output, const struct log_pair *pairs, size_t count)
{
	const char *event = find(pairs, count, FIELD_EVENT);

	output->lost++;
	if (!event || strcmp(event, LOG_AUDIT) != 0)
		return;
	output->lost_audits++;
	if (output->audits_lost)
		++*output->audits_lost;
}

/* As long as that is not told, the next line is lost, too. */
static void tell_lost(struct output *output)
{
	const struct log_pair pairs[] = {
		{ FIELD_EVENT, output->lost_audits > 0 ? "lost" : NULL },
		{ FIELD_ERROR, LOG_NUMBER(output->lost) },
	};
	char text[96];

	snprintf(text, sizeof(text), "log lines lost, of which audit records: %u",
		 output->lost_audits);
	if (put(output, LOG_L_WARNING, text, pairs, ARRAY_SIZE(pairs)) == 0)
		output->lost = output->lost_audits = 0;
}

void output_write(void *arg, enum log_level level, const char *text, const struct log_pair *pairs,
		  size_t count)
{
	struct output *output = arg;

	if (output->lost > 0)
		tell_lost(output);
	if (output->lost > 0 || put(output, level, text, pairs, count) < 0)
		lose(output, pairs, count);
}
