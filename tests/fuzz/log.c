/*
 * A log line on its way out: what a role sent, hostile, through the parser and through both formats.
 * A line must be one printable line that says who sent it; a journal entry's fields must be those that
 * a role may set, each once, each well-formed.
 *
 *   level (1), tail of a LOG message
 */
#include "tests/fuzz/stage.h"

#include "supervisor/logline.h"
#include "supervisor/output.h"

static void judge_field(const char *field, size_t len, bool *ret_own)
{
	size_t name = 0;

	while (name < len && ((field[name] >= 'A' && field[name] <= 'Z') || field[name] == '_'))
		name++;
	must(name > 0 && name < len && field[name] == '=');
	must(is_printable(field, len) && len <= OUTPUT_LINE + 16);
	*ret_own = len > 10 && memcmp(field, "TLSBROKER_", 10) == 0;
}

static bool same_name(const struct iovec *a, const struct iovec *b)
{
	const char *end = memchr(a->iov_base, '=', a->iov_len);
	size_t len = (size_t)(end - (const char *)a->iov_base) + 1;

	return len <= b->iov_len && memcmp(a->iov_base, b->iov_base, len) == 0;
}

static void judge_entry(const struct iovec *iov, int n)
{
	int own_fields = 0;
	bool own;

	for (int i = 0; i < n; i++) {
		judge_field(iov[i].iov_base, iov[i].iov_len, &own);
		own_fields += own;
		for (int j = 0; own && j < i; j++)
			must(!same_name(&iov[i], &iov[j]));
	}
	must(own_fields >= 2 && n == own_fields + 3);
}

/* As rolelog.c does. */
static size_t add_heading(struct log_pair pairs[FIELD_COUNT], const struct logline *line)
{
	pairs[0] = (struct log_pair){ FIELD_ROLE, "worker" };
	pairs[1] = (struct log_pair){ FIELD_PID, "4711" };
	must(line->count + 2 <= FIELD_COUNT);
	memcpy(pairs + 2, line->pairs, line->count * sizeof(pairs[0]));
	return line->count + 2;
}

static void judge_line(const struct logline *line, const struct log_pair *pairs, size_t count,
		       size_t size)
{
	static const char heading[] = " worker[4711]: ";
	const struct timespec now = { 1700000000, 123456789 };
	char *text = malloc(size);

	must(text && output_line(text, size, &now, line->level, line->text, pairs, count) == text);
	must(strlen(text) < size && is_printable(text, strlen(text)));
	if (size >= 128) {
		must(strncmp(text, "2023-11-14T22:13:20.123Z ", 25) == 0);
		must(strstr(text, heading) - text < 40);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	const struct msg_log body = { .level = take_u8(&input) };
	struct msg msg = { .type = MSG_LOG, .body = &body, .fds = { -1, -1, -1 } };
	struct output journal = { .target = OUTPUT_JOURNAL };
	struct log_pair pairs[FIELD_COUNT];
	struct logline line;
	uint8_t cut = take_u8(&input);
	size_t len, count;

	msg.info = &internal_messages.rows[MSG_LOG];
	msg.tail = (const char *)take(&input, msg.info->tail_max, &len);
	msg.tail_len = (uint32_t)len;
	if (logline_parse(&msg, &line) < 0)
		return 0;
	count = add_heading(pairs, &line);
	judge_line(&line, pairs, count, OUTPUT_LINE);
	judge_line(&line, pairs, count, 1u + cut);
	kernel.on_journal = judge_entry;
	output_write(&journal, line.level, line.text, pairs, count);
	return 0;
}
