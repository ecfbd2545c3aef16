#include "worker/ages.h"

#include <errno.h>
#include <event2/event.h>

#include "base/clock.h"
#include "tlsbroker.h"
#include "worker/session.h"
#include "worker/state.h"

/* When the session is due by a limit of AGE milliseconds since SINCE; never without one. */
static uint64_t due_by(uint64_t age, uint64_t since)
{
	return age ? since + age : UINT64_MAX;
}

/* Before it is open, and after its program has gone, it has other deadlines for what it waits for. */
static uint64_t due_idle(const struct session *session)
{
	return session->stage == STAGE_OPEN ?
		       due_by(session->worker->ages.idle_ms, session->moved_ms) : UINT64_MAX;
}

static uint64_t due_lifetime(const struct session *session)
{
	return due_by(session->worker->ages.lifetime_ms, session->born_ms);
}

static uint64_t due(const struct session *session)
{
	return MIN(due_idle(session), due_lifetime(session));
}

static void set_timer(struct ages *ages, uint64_t due_ms, uint64_t now_ms)
{
	uint64_t left = due_ms > now_ms ? due_ms - now_ms : 0;
	const struct timeval tv = { (time_t)(left / 1000), (suseconds_t)(left % 1000 * 1000) };

	ages->timer_ms = evtimer_add(ages->timer, &tv) == 0 ? due_ms : 0;
}

/* Ends it, if it is due. */
static bool end_if_due(struct session *session, uint64_t now_ms)
{
	const struct ages *ages = &session->worker->ages;

	if (due_lifetime(session) <= now_ms)
		session_end(session, TLSB_E_TIMEOUT, "max-lifetime: this session has lasted for %llu s",
			    (unsigned long long)ages->lifetime_ms / 1000);
	else if (due_idle(session) <= now_ms)
		session_end(session, TLSB_E_TIMEOUT,
			    "idle-timeout: nothing was received or sent for %llu s",
			    (unsigned long long)ages->idle_ms / 1000);
	else
		return false;
	return true;
}

static void on_timer(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct worker *worker = arg;
	struct session *session, *next;
	uint64_t now = clock_ms(), first = UINT64_MAX;

	worker->ages.timer_ms = 0;
	for (session = LIST_FIRST(&worker->all_sessions); session; session = next) {
		next = LIST_NEXT(session, in_worker);
		if (!end_if_due(session, now))
			first = MIN(first, due(session));
	}
	if (first != UINT64_MAX)
		set_timer(&worker->ages, MAX(first, now + LIMIT_AGE_STEP_MS), now);
}

void ages_note(const struct session *session)
{
	struct ages *ages = &session->worker->ages;
	uint64_t due_ms = due(session);

	if (due_ms != UINT64_MAX && (ages->timer_ms == 0 || due_ms < ages->timer_ms))
		set_timer(ages, due_ms, clock_ms());
}

void ages_set(struct worker *worker, uint32_t idle_s, uint32_t lifetime_s)
{
	struct ages *ages = &worker->ages;
	const struct session *session;

	ages->idle_ms = (uint64_t)idle_s * 1000;
	ages->lifetime_ms = (uint64_t)lifetime_s * 1000;
	LIST_FOREACH(session, &worker->all_sessions, in_worker)
		ages_note(session);
}

int ages_init(struct worker *worker)
{
	worker->ages.timer = evtimer_new(worker->child->base, on_timer, worker);
	return worker->ages.timer ? 0 : -ENOMEM;
}

void ages_deinit(struct worker *worker)
{
	if (worker->ages.timer)
		event_free(worker->ages.timer);
}
