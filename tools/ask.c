#include "tools/ask.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/complain.h"

const char *ask_session(char buf[48], uint32_t worker, uint64_t number)
{
	snprintf(buf, 48, "%" PRIu32 ".%" PRIu64, worker, number);
	return buf;
}

/* Part by part, each from where the last one ended. */
static enum exit_code fetch_sessions(struct status *status)
{
	struct msg_ask body = { .what = ASK_SESSIONS, .worker = 1, .session = UINT64_MAX };
	enum exit_code exit;

	do {
		exit = status_ask(status, CLIENT_MSG_ASK, &body, NULL, 0);
		/* It must go on, or somebody makes fun of us. */
		if (exit == EXIT_OK && status->end.worker != 0 &&
		    (status->end.worker < body.worker ||
		     (status->end.worker == body.worker &&
		      status->end.value[1] >= body.session)))
			return complain(EXIT_BROKER, status->socket, "the broker's answer has no end");
		body.worker = status->end.worker;
		body.session = status->end.value[1];
	} while (exit == EXIT_OK && status->end.value[0] == 0 && body.worker != 0);
	return exit;
}

static enum exit_code fetch(struct status *status, const struct options *options)
{
	struct msg_ask body = { .worker = options->worker, .session = options->session };

	switch (options->command) {
	case SESSIONS:
		return fetch_sessions(status);
	case KILL:
		body.what = ASK_KILL;
		break;
	case BADGES:
		body.what = ASK_BADGES;
		break;
	default:
		body.what = ASK_RELOAD;
	}
	return status_ask(status, CLIENT_MSG_ASK, &body, NULL, 0);
}

/* ---- for people ---- */

static void print_listed(const struct status_row *it)
{
	const struct row *row = &it->row;
	char id[48], age[24];

	printf("%-10s  %-16s  %8" PRIu32 "  %8" PRIu32 "  %-11s  %8s  %12" PRIu64 "  %12" PRIu64
	       "  %s  %s\n",
	       ask_session(id, row->worker, row->value[3]), status_string(it, 0), row->uid, row->pid,
	       status_state(row), status_age(age, row->value[0]), row->value[1], row->value[2],
	       status_string(it, 1), status_string(it, 2));
}

static void print_badge(const struct status_row *it)
{
	const struct row *row = &it->row;

	printf("%-24s  %6" PRIu32 "  %-5s  %7" PRIu64 "  %7" PRIu64 "  %8" PRIu64 "\n",
	       status_string(it, 0), row->badge, row->state ? "yes" : "no", row->value[0],
	       row->value[1], row->value[2]);
}

static void print_rows(const struct status *status, uint32_t kind, const char *head,
		       void (*print)(const struct status_row *it))
{
	puts(head);
	for (size_t i = 0; i < status->count; i++) {
		if (status->rows[i].row.kind == kind)
			print(&status->rows[i]);
	}
}

static void print_text(const struct options *options, const struct status *status)
{
	char id[48];

	switch (options->command) {
	case SESSIONS:
		print_rows(status, ROW_LISTED,
			   "SESSION     BADGE                  UID    CLIENT  STATE             AGE"
			   "          READ       WRITTEN  SERVER  ADDRESS",
			   print_listed);
		break;
	case BADGES:
		print_rows(status, ROW_BADGE,
			   "BADGE                     NUMBER  ADMIN  WORKERS  CLIENTS  SESSIONS",
			   print_badge);
		break;
	case KILL:
		printf("session %s has ended\n",
		       ask_session(id, options->worker, options->session));
		break;
	default:
		puts(status->text);
	}
}

/* Why it was not done: all that was said of it, the reason last. */
static enum exit_code refused(const struct status *status)
{
	for (size_t i = 0; i < status->count; i++) {
		if (status->rows[i].row.kind == ROW_TEXT)
			(void)complain(EXIT_OK, NULL, "%s", status_string(&status->rows[i], 0));
	}
	return complain(exits_from_error((uint32_t)status->end.value[0]), NULL, "%s", status->text);
}

enum exit_code ask_run(const struct options *options)
{
	struct status status;
	enum exit_code exit;

	status_init(&status);
	exit = status_open(&status, options->socket);
	if (exit == EXIT_OK)
		exit = fetch(&status, options);
	if (exit == EXIT_OK && options->json && ask_json_print(options, &status) < 0)
		exit = complain(EXIT_OTHER, NULL, "%s", strerror(ENOMEM));
	if (exit == EXIT_OK && status.end.value[0] != 0)
		exit = refused(&status);
	else if (exit == EXIT_OK && !options->json)
		print_text(options, &status);
	status_deinit(&status);
	return exit;
}
