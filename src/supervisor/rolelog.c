#include "supervisor/rolelog.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "supervisor/supervisor.h"

/* Lines of its own that it may not have said: as it would have said them. */
static void tell_left_out(const struct process *process, struct log_budget *budget,
			  const char *text, const char *event)
{
	if (budget->suppressed == 0)
		return;
	log_event(LOG_L_WARNING, text, { FIELD_EVENT, event },
		  { FIELD_ROLE, role_name(process->role) },
		  { FIELD_PID, LOG_NUMBER(process->pid) },
		  { FIELD_ERROR, LOG_NUMBER(budget->suppressed) });
	budget->suppressed = 0;
}

void rolelog_end(struct process *process)
{
	tell_left_out(process, &process->lines, "too many log lines: some were left out", NULL);
	tell_left_out(process, &process->audits, "too many sessions: some left no audit record",
		      "lost");
}

static void on_timer(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	rolelog_end(arg);
}

int rolelog_init(struct process *process)
{
	process->log_timer = evtimer_new(process->supervisor->base, on_timer, process);
	return process->log_timer ? 0 : -ENOMEM;
}

void rolelog_deinit(struct process *process)
{
	if (process->log_timer)
		event_free(process->log_timer);
}

/* May the process say this line now? */
static bool has_room(struct process *process, const struct logline *line)
{
	const struct timeval second = { .tv_sec = 1 };
	bool audit = process->role == ROLE_WORKER && logline_has(line, FIELD_EVENT);

	if (audit ? log_budget_take(&process->audits, LIMIT_AUDIT_LINES, clock_ms())
		  : log_budget_take(&process->lines, LIMIT_LOG_LINES, clock_ms()))
		return true;
	if (audit)
		process->supervisor->counts[COUNTER_audits_lost]++;
	if (process->log_timer && !evtimer_pending(process->log_timer, NULL))
		event_add(process->log_timer, &second);
	return false;
}

/* What is written: what we know, then what was said. */
struct entry {
	struct log_pair pairs[FIELD_COUNT];
	size_t count;
	char pid[24], uid[24], session[LIMIT_TEXT + 1];
};

static void add(struct entry *entry, enum log_field field, const char *value)
{
	entry->pairs[entry->count++] = (struct log_pair){ field, value };
}

/* A worker says nothing about whose it is, and its sessions' numbers are numbers of its own. */
static void add_said(struct entry *entry, const struct log_pair *said, const struct worker *worker)
{
	if (worker && (said->field == FIELD_BADGE || said->field == FIELD_UID ||
		       said->field == FIELD_UNIT))
		return;
	if (!worker || said->field != FIELD_SESSION) {
		add(entry, said->field, said->value);
		return;
	}
	snprintf(entry->session, sizeof(entry->session), "%u.%s", worker->serial, said->value);
	add(entry, FIELD_SESSION, entry->session);
}

static void add_unit(struct entry *entry, const struct worker *worker, const struct logline *line)
{
	for (size_t i = 0; i < line->count; i++) {
		const char *unit = line->pairs[i].field == FIELD_CLIENT
					   ? units_find(&worker->units, line->pairs[i].value)
					   : NULL;

		if (unit)
			add(entry, FIELD_UNIT, unit);
	}
}

/* No line has both of the fields that we always set, and no field twice: so there is room. */
static void fill(struct entry *entry, const struct process *process, const struct logline *line)
{
	const struct worker *worker = process->role == ROLE_WORKER ? process->owner : NULL;

	entry->count = 0;
	add(entry, FIELD_ROLE, role_name(process->role));
	add(entry, FIELD_PID, log_number(entry->pid, (uint64_t)process->pid));
	if (worker && worker_has_badge(worker)) {
		add(entry, FIELD_BADGE, worker->badge_name);
		add(entry, FIELD_UID, log_number(entry->uid, worker->uid));
		add_unit(entry, worker, line);
	}
	for (size_t i = 0; i < line->count; i++)
		add_said(entry, &line->pairs[i], worker);
}

int rolelog_on_line(struct chan *chan, struct msg *msg)
{
	struct process *process = chan->owner;
	struct logline line;
	struct entry entry;
	int r = logline_parse(msg, &line);

	if (r < 0)
		return r;
	if (!has_room(process, &line))
		return 0;
	fill(&entry, process, &line);
	log_pairs(line.level, line.text, entry.pairs, entry.count);
	return 0;
}
