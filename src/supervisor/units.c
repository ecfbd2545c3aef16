#include "supervisor/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/unit.h"
#include "supervisor/supervisor.h"

/* As many as one user's programs may be. */
#define ROWS LIMIT_CLIENTS_PER_UID

struct unit_of {
	uint32_t pid;
	char *name; /* NULL: not known */
};

void units_deinit(struct units *units)
{
	for (unsigned i = 0; units->rows && i < ROWS; i++)
		free(units->rows[i].name);
	free(units->rows);
	units->rows = NULL;
}

/* Without memory the records say less. */
static void note(struct units *units, uint32_t pid, const char *name, size_t len)
{
	struct unit_of *row;

	if (!units->rows && !(units->rows = calloc(ROWS, sizeof(*units->rows))))
		return;
	row = &units->rows[pid % ROWS];
	free(row->name);
	row->pid = pid;
	row->name = len > 0 ? strndup(name, len) : NULL;
}

const char *units_find(const struct units *units, const char *pid)
{
	unsigned long number = strtoul(pid, NULL, 10);
	const struct unit_of *row = units->rows ? &units->rows[number % ROWS] : NULL;

	return row && row->pid == number ? row->name : NULL;
}

int units_on_client(struct chan *chan, struct msg *msg)
{
	const struct msg_client_unit *body = msg->body;
	const struct process *process = chan->owner;
	struct seat *seat = seats_find(&process->supervisor->workers.seats, body->uid, body->badge,
				       body->nth);

	if (msg->tail_len > 0 && !unit_is_name(msg->tail, msg->tail_len))
		return -EBADMSG;
	if (seat && seat->worker) /* else it has just died, and this client with it */
		note(&seat->worker->units, body->pid, msg->tail, msg->tail_len);
	return 0;
}
