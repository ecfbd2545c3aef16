#include "tools/explain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/complain.h"
#include "tools/whom.h"

/* ---- questions ---- */

static enum exit_code find_whom(const struct options *options, struct whom *whom)
{
	if (options->user)
		return whom_user(options->user, whom);
	return options->pid ? whom_process(options->pid, whom) : whom_self(whom);
}

static enum exit_code ask_who(struct status *status, const struct options *options,
			      const struct whom *whom)
{
	const struct msg_explain body = {
		.what = options->user || options->pid ? EXPLAIN_WHO : EXPLAIN_MYSELF,
		.about = { .uid = whom->uid, .gid = whom->gid,
			   .group_count = (uint16_t)whom->group_count },
	};
	const size_t groups = whom->group_count * sizeof(whom->groups[0]);
	char tail[LIMIT_TAIL];

	memcpy(tail, whom->groups, groups);
	memcpy(tail + groups, whom->cgroup, strlen(whom->cgroup));
	return status_ask(status, CLIENT_MSG_EXPLAIN, &body, tail, groups + strlen(whom->cgroup));
}

static enum exit_code ask_where(struct status *status, const struct target *target)
{
	struct msg_explain body = {
		.what = EXPLAIN_WHERE,
		.about = { .port = (uint16_t)strtoul(target->port, NULL, 10) },
	};

	for (size_t i = 0; i < status->count; i++) {
		if (strcmp(status_string(&status->rows[i], 0), "badge") == 0)
			body.about.badge = status->rows[i].row.badge;
	}
	return status_ask(status, CLIENT_MSG_EXPLAIN, &body, target->host, strlen(target->host));
}

/* ---- answers ---- */

bool explain_decides(const struct status_row *row)
{
	static const char *const names[] = { "badge", "match", "destinations" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(status_string(row, 0), names[i]) == 0)
			return true;
	}
	return false;
}

const char *explain_ruling(const struct status *status)
{
	static const char *const names[] = {
		[RULING_ALLOWED] = "allowed",
		[RULING_BY_NAME] = "by-name",
		[RULING_BY_ADDRESS] = "by-address",
	};
	uint64_t ruling = status->end.value[1];

	if (status->end.value[0] != 0 || ruling >= ARRAY_SIZE(names) || !names[ruling])
		return "refused";
	return names[ruling];
}

static const char *word_of(const struct status *status, const struct status_row *row)
{
	const char *word = status_string(row, 2);

	if (word[0] != '\0')
		return word;
	if (strcmp(status_string(row, 0), "destinations") != 0)
		return "-";
	return status->end.value[0] != 0 ? "none of them" : "anywhere";
}

static void print_text(const char *title, const struct status *status)
{
	printf("%s\n", title);
	for (size_t i = 0; i < status->count; i++) {
		const struct status_row *row = &status->rows[i];
		const char *name = status_string(row, 0);
		bool again = i > 0 && strcmp(name, status_string(&status->rows[i - 1], 0)) == 0;

		if (row->row.kind == ROW_RULE)
			printf("  %-24s  %-32s  %s\n", again ? "" : name, word_of(status, row),
			       status_string(row, 1));
	}
	if (status->end.value[0] == 0)
		printf("%s: %s\n", explain_ruling(status), status->text);
}

enum exit_code explain_run(const struct options *options)
{
	static struct whom whom;
	struct status status;
	enum exit_code exit = find_whom(options, &whom);

	status_init(&status);
	if (exit == EXIT_OK)
		exit = status_open(&status, options->socket);
	if (exit == EXIT_OK)
		exit = ask_who(&status, options, &whom);
	if (exit == EXIT_OK && status.end.value[0] == 0)
		exit = ask_where(&status, &options->target);
	if (exit == EXIT_OK && !options->json)
		print_text(whom.title, &status);
	else if (exit == EXIT_OK && explain_json_print(options, whom.title, &status) < 0)
		exit = complain(EXIT_OTHER, NULL, "%s", strerror(ENOMEM));
	if (exit == EXIT_OK && status.end.value[0] != 0)
		exit = complain(exits_from_error((uint32_t)status.end.value[0]), NULL, "%s",
				status.text);
	status_deinit(&status);
	return exit;
}
