/*
 * A status for people: one table for each kind of row, the name first, as wide as it must be.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/status.h"

/* Names longer than this push their row's columns aside instead of everybody's. */
#define WIDEST 40

const char *status_age(char buf[24], uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (s >= 86400)
		snprintf(buf, 24, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		snprintf(buf, 24, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
	else if (s >= 60)
		snprintf(buf, 24, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else
		snprintf(buf, 24, "%" PRIu64 ".%" PRIu64 "s", s, ms / 100 % 10);
	return buf;
}

static int widest(const struct status *status, uint32_t kind, const char *head)
{
	size_t width = strlen(head);

	for (size_t i = 0; i < status->count; i++) {
		size_t len = strlen(status->rows[i].name);

		if (status->rows[i].row.kind == kind && len > width && len <= WIDEST)
			width = len;
	}
	return (int)width;
}

static void print_role(const struct row *row)
{
	char buf[24];

	printf("  %8u  %-11s  %8s  %8" PRIu64 "\n", row->pid, status_state(row),
	       status_age(buf, row->value[0]), row->value[1]);
}

static void print_worker(const struct row *row)
{
	char buf[24];

	printf("  %8u  %-11s  %8s  %8" PRIu64 "  %10u  %7" PRIu64 "  %8" PRIu64 "\n", row->pid,
	       status_state(row), status_age(buf, row->value[0]), row->value[1], row->uid, row->value[2],
	       row->value[3]);
}

static void print_session(const struct row *row)
{
	char buf[24];

	printf("  %8u  %-11s  %8s  %14" PRIu64 "  %14" PRIu64 "  %9" PRIu64 "\n", row->pid,
	       status_state(row), status_age(buf, row->value[0]), row->value[1], row->value[2],
	       row->value[3]);
}

static void print_counter(const struct row *row)
{
	/* Signed: a gauge whose role died between two counts may be below zero for a moment. */
	printf("  %14" PRId64 "\n", (int64_t)row->value[0]);
}

static const struct table {
	uint32_t kind;
	const char *head, *columns;
	void (*print)(const struct row *row);
} tables[] = {
	{ ROW_ROLE, "ROLE", "       PID  STATE             AGE  RESTARTS", print_role },
	{ ROW_WORKER, "WORKER",
	  "       PID  STATE             AGE  RESTARTS         UID  CLIENTS  SESSIONS",
	  print_worker },
	{ ROW_SESSION, "SESSION",
	  "    CLIENT  STATE             AGE            READ         WRITTEN      RINGS",
	  print_session },
	{ ROW_COUNTER, "COUNTER", "           VALUE", print_counter },
};

static void print_table(const struct status *status, const struct table *table)
{
	int width = widest(status, table->kind, table->head), any = 0;

	for (size_t i = 0; i < status->count; i++) {
		const struct status_row *row = &status->rows[i];

		if (row->row.kind != table->kind)
			continue;
		if (!any++)
			printf("\n%-*s%s\n", width, table->head, table->columns);
		printf("%-*s", width, row->name);
		table->print(&row->row);
	}
}

int status_text_print(const struct status *status)
{
	printf("broker at %s; you are %s\n", status->socket, status->badge);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		print_table(status, &tables[i]);
	return 0;
}
