/*
 * What other roles have in the log: who they are and whose is the supervisor's to say, and audit
 * records are lost only when they are too many, and not without a word.
 */
#include "supervisor_rig.h"
#include "testing_clock.h"

#include "base/clock.h"
#include "base/text.h"
#include "supervisor/rolelog.h"

/* What the log got last, and how often. */
struct seen {
	unsigned lines, lost;
	char last[OUTPUT_LINE];
};

static void see(void *arg, enum log_level level unused_, const char *text,
		const struct log_pair *pairs, size_t count)
{
	struct seen *seen = arg;

	assert_in_range(count, 0, FIELD_COUNT);
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < i; j++)
			assert_true(pairs[i].field != pairs[j].field);
	}
	output_message(seen->last, sizeof(seen->last), text, pairs, count);
	seen->lines++;
	seen->lost += strstr(seen->last, " event=lost ") != NULL;
}

static void prepare(struct rig *rig, struct seen *seen)
{
	*seen = (struct seen){ .lines = 0 };
	rig_init(rig);
	log_set_sink(see, seen, LOG_L_INFO);
}

/* A field's tag is its number, one up. */
#define TAG(field) (char)((field) + 1)

/* PROCESS says TEXT, with COUNT fields. */
static void say(struct rig *rig, struct rig_process *process, const char *text,
		const struct log_pair *pairs, size_t count)
{
	const struct msg_log body = { .level = LOG_L_INFO };
	char tail[512];
	size_t len = strlen(text) + 1;

	memcpy(tail, text, len);
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(tail + len, sizeof(tail) - len, "%c%s",
					TAG(pairs[i].field), pairs[i].value) + 1;
	assert_int_equal(msg_send(process->far, &internal_messages, MSG_LOG, &body, tail, len, NULL),
			 0);
	event_base_loop(rig->supervisor.base, EVLOOP_NONBLOCK);
}

static void serves(struct rig_process *process, uint32_t uid, const char *badge)
{
	process->worker->state = ROW_STATE_RUNNING;
	process->worker->uid = uid;
	process->worker->serial = uid - 990;
	text_copy(process->worker->badge_name, LIMIT_BADGE + 1, badge);
}

static void a_workers_lines_are_its_own_badges_whatever_it_says(void **state unused_)
{
	static const struct log_pair lies[] = {
		{ FIELD_BADGE, "root" }, { FIELD_UID, "0" }, { FIELD_SESSION, "7" },
		{ FIELD_EVENT, LOG_AUDIT }, { FIELD_SERVER, "h:1" }, { FIELD_UNIT, "root.service" },
	};
	struct rig_process *worker;
	struct seen seen;
	struct rig rig;

	prepare(&rig, &seen);
	worker = rig_add_spare(&rig);
	serves(worker, 1000, "billing");
	say(&rig, worker, "session closed", lies, ARRAY_SIZE(lies));
	assert_int_equal(seen.lines, 1);
	assert_string_equal(strchr(seen.last, ']'), "]: session closed badge=billing uid=1000 "
						    "session=10.7 event=session server=h:1");
	/* All that a line can have, all of it said. */
	say(&rig, worker, "x", lies, 3);
	assert_string_equal(strchr(seen.last, ']'), "]: x badge=billing uid=1000 session=10.7");
	rig_deinit(&rig);
}

static void a_spare_worker_is_nobodys_and_others_say_who_is_concerned(void **state unused_)
{
	static const struct log_pair whose[] = { { FIELD_UID, "1000" }, { FIELD_SESSION, "7" } };
	struct rig_process *spare, *frontdoor;
	struct seen seen;
	struct rig rig;

	prepare(&rig, &seen);
	spare = rig_add_spare(&rig);
	say(&rig, spare, "x", whose, 1);
	assert_string_equal(strchr(seen.last, ']'), "]: x");
	frontdoor = rig_add_station(&rig, &rig.supervisor.frontdoor);
	say(&rig, frontdoor, "x", whose, ARRAY_SIZE(whose));
	assert_string_equal(strchr(seen.last, ']'), "]: x uid=1000 session=7");
	rig_deinit(&rig);
}

static void client(struct rig *rig, struct rig_process *frontdoor, uint32_t badge, uint32_t pid,
		   const char *unit)
{
	const struct msg_client_unit body = { .uid = 1000, .badge = badge, .pid = pid };

	assert_int_equal(msg_send(frontdoor->far, &internal_messages, MSG_CLIENT_UNIT, &body, unit,
				  strlen(unit), NULL),
			 0);
	event_base_loop(rig->supervisor.base, EVLOOP_NONBLOCK);
}

/* A program's unit is what the frontdoor said last of its number, of a program of this worker's. */
static void units_are_the_frontdoors_word(void **state unused_)
{
	static const struct log_pair it = { FIELD_CLIENT, "42" }, other = { FIELD_CLIENT, "1066" };
	static const struct log_pair odd = { FIELD_CLIENT, "42x" }, none = { FIELD_CLIENT, "x" };
	struct rig_process *worker, *frontdoor;
	struct seat *seat;
	struct seen seen;
	struct rig rig;

	prepare(&rig, &seen);
	worker = rig_add_spare(&rig);
	serves(worker, 1000, "billing");
	frontdoor = rig_add_station(&rig, &rig.supervisor.frontdoor);
	client(&rig, frontdoor, 7, 42, "lost.service"); /* there is nobody of whom it could be said */
	seat = seats_make(&rig.supervisor.workers.seats, 1000, 7, 0);
	seat->worker = worker->worker;
	worker->worker->seat = seat;
	say(&rig, worker, "x", &it, 1);
	assert_null(strstr(seen.last, "unit="));
	client(&rig, frontdoor, 7, 42, "billing.service");
	client(&rig, frontdoor, 8, 42, "other.service");
	say(&rig, worker, "x", &it, 1);
	assert_string_equal(strchr(seen.last, ']'),
			    "]: x badge=billing uid=1000 unit=billing.service client=42");
	say(&rig, worker, "x", &other, 1); /* in the same place */
	assert_null(strstr(seen.last, "unit="));
	say(&rig, worker, "x", &none, 1);
	assert_null(strstr(seen.last, "unit="));
	say(&rig, worker, "x", &odd, 1); /* its own word */
	assert_non_null(strstr(seen.last, "unit=billing.service"));
	client(&rig, frontdoor, 7, 1066, "x.slice");
	say(&rig, worker, "x", &it, 1);
	assert_null(strstr(seen.last, "unit="));
	client(&rig, frontdoor, 7, 1066, "");
	say(&rig, worker, "x", &other, 1);
	assert_null(strstr(seen.last, "unit="));
	assert_false(frontdoor->gone);
	client(&rig, frontdoor, 7, 42, "no name");
	assert_true(frontdoor->gone);
	rig_deinit(&rig);
}

static void every_field_may_be_said_at_once(void **state unused_)
{
	struct log_pair all[FIELD_COUNT];
	struct rig_process *worker;
	struct seen seen;
	struct rig rig;
	size_t count = 0;

	prepare(&rig, &seen);
	worker = rig_add_spare(&rig);
	serves(worker, 1000, "billing");
	for (enum log_field field = FIELD_BADGE; field < FIELD_COUNT; field++)
		all[count++] = (struct log_pair){ field, "v" };
	say(&rig, worker, "x", all, count);
	assert_false(worker->gone);
	assert_non_null(strstr(seen.last, " session=10.v "));
	rig_deinit(&rig);
}

/* COUNT lines, as fast as they can be said. */
static void flood(struct rig *rig, struct rig_process *process, unsigned count, bool audit)
{
	static const struct log_pair event = { FIELD_EVENT, LOG_AUDIT };

	for (unsigned i = 0; i < count; i++) {
		/* However slow the machine is: all within one second. */
		process->process.lines.since_ms = process->process.audits.since_ms = clock_ms();
		say(rig, process, "x", &event, audit);
	}
}

static void audit_records_are_not_lost_among_other_lines(void **state unused_)
{
	struct rig_process *worker, *other;
	struct seen seen;
	struct rig rig;

	prepare(&rig, &seen);
	worker = rig_add_spare(&rig);
	other = rig_add_station(&rig, &rig.supervisor.frontdoor);
	flood(&rig, worker, LIMIT_LOG_LINES + 50, false);
	assert_int_equal(seen.lines, LIMIT_LOG_LINES);
	flood(&rig, worker, LIMIT_AUDIT_LINES, true);
	assert_int_equal(seen.lines, LIMIT_LOG_LINES + LIMIT_AUDIT_LINES);
	assert_int_equal(rig.supervisor.counts[COUNTER_audits_lost], 0);
	flood(&rig, worker, 3, true);
	assert_int_equal(seen.lines, LIMIT_LOG_LINES + LIMIT_AUDIT_LINES);
	assert_int_equal(rig.supervisor.counts[COUNTER_audits_lost], 3);
	rolelog_end(&worker->process);
	assert_int_equal(seen.lost, 1);
	assert_string_equal(strchr(seen.last, ']'),
			    "]: too many sessions: some left no audit record event=lost error=3");
	rolelog_end(&worker->process); /* once */
	assert_int_equal(seen.lost, 1);
	/* Who has no sessions has no more lines for calling them so. */
	seen.lines = 0;
	flood(&rig, other, LIMIT_LOG_LINES + 3, true);
	assert_int_equal(seen.lines, LIMIT_LOG_LINES);
	assert_int_equal(rig.supervisor.counts[COUNTER_audits_lost], 3);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_workers_lines_are_its_own_badges_whatever_it_says),
		TEST(a_spare_worker_is_nobodys_and_others_say_who_is_concerned),
		TEST(units_are_the_frontdoors_word),
		TEST(every_field_may_be_said_at_once),
		TEST(audit_records_are_not_lost_among_other_lines),
	};

	return testing_run(tests);
}
