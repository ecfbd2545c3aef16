/*
 * A status for programs.  Members are only ever added, so a reader ignores those that it does not
 * know.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/text.h"
#include "tools/status.h"

static json_t *role_json(const struct status_row *it)
{
	const struct row *row = &it->row;

	return json_pack("{s:s, s:I, s:s, s:I, s:I}", "role", it->name, "pid", (json_int_t)row->pid,
			 "state", status_state(row), "age_ms", (json_int_t)row->value[0],
			 "restarts", (json_int_t)row->value[1]);
}

static json_t *worker_json(const struct status_row *it)
{
	const struct row *row = &it->row;

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I}", "badge", it->name,
			 "badge_number", (json_int_t)row->badge, "uid", (json_int_t)row->uid, "pid", (json_int_t)row->pid,
			 "worker", (json_int_t)row->worker, "state", status_state(row), "age_ms",
			 (json_int_t)row->value[0], "restarts", (json_int_t)row->value[1], "clients", (json_int_t)row->value[2],
			 "sessions", (json_int_t)row->value[3]);
}

static json_t *session_json(const struct status_row *it)
{
	const struct row *row = &it->row;

	return json_pack("{s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I}", "server", it->name, "uid",
			 (json_int_t)row->uid, "client_pid", (json_int_t)row->pid, "state",
			 status_state(row), "age_ms", (json_int_t)row->value[0], "bytes_read",
			 (json_int_t)row->value[1], "bytes_written", (json_int_t)row->value[2],
			 "ring_bytes", (json_int_t)row->value[3]);
}

/* The rows of one kind, as an array under NAME. */
static int add_array(json_t *root, const char *name, const struct status *status, uint32_t kind,
		     json_t *(*make)(const struct status_row *it))
{
	json_t *array = json_array();
	int r = array ? 0 : -1;

	for (size_t i = 0; r == 0 && i < status->count; i++) {
		if (status->rows[i].row.kind == kind)
			r = json_array_append_new(array, make(&status->rows[i]));
	}
	if (r < 0) {
		json_decref(array);
		return -1;
	}
	return json_object_set_new(root, name, array);
}

static int add_counters(json_t *root, const struct status *status)
{
	json_t *counters = json_object();
	int r = counters ? 0 : -1;

	for (size_t i = 0; r == 0 && i < status->count; i++) {
		const struct status_row *it = &status->rows[i];

		if (it->row.kind == ROW_COUNTER)
			r = json_object_set_new(counters, it->name,
						json_integer((json_int_t)it->row.value[0]));
	}
	if (r < 0) {
		json_decref(counters);
		return -1;
	}
	return json_object_set_new(root, "counters", counters);
}

static int fill(json_t *root, const struct status *status)
{
	char socket[4 * sizeof(status->socket) + 1];

	/* The path is the caller's, but JSON wants UTF-8 or less. */
	text_escape_str(socket, sizeof(socket), status->socket);
	if (json_object_set_new(root, "socket", json_string(socket)) < 0 ||
	    json_object_set_new(root, "badge", json_string(status->badge)) < 0 ||
	    json_object_set_new(root, "uid", json_integer(status->uid)) < 0 ||
	    json_object_set_new(root, "protocol", json_integer(PROTOCOL_VERSION)) < 0)
		return -1;
	if (add_array(root, "roles", status, ROW_ROLE, role_json) < 0 ||
	    add_array(root, "workers", status, ROW_WORKER, worker_json) < 0 ||
	    add_array(root, "sessions", status, ROW_SESSION, session_json) < 0)
		return -1;
	return add_counters(root, status);
}

int status_json_print(const struct status *status)
{
	json_t *root = json_object();
	int r = -ENOMEM;

	if (root && fill(root, status) == 0 && json_dumpf(root, stdout, JSON_INDENT(2)) == 0 &&
	    putchar('\n') != EOF)
		r = 0;
	json_decref(root);
	return r;
}
