#include "supervisor/questions.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "supervisor/supervisor.h"
#include "tlsbroker.h"

void questions_send_row(const struct questioner *asker, const struct row *row, const char *tail,
			size_t len)
{
	const struct msg_status_row body = { asker->tag, *row };

	chan_send(&asker->worker->process->chan, MSG_STATUS_ROW, &body, tail, len, NULL);
}

void questions_end(const struct questioner *asker, enum tlsb_error error, const char *format, ...)
{
	const struct row row = { .kind = ROW_END, .value = { error } };
	char text[LIMIT_TEXT + 1];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	questions_send_row(asker, &row, text, strlen(text));
}

static struct worker *find_worker(struct supervisor *supervisor, uint32_t serial)
{
	struct worker *worker;

	TAILQ_FOREACH(worker, &supervisor->workers.list, next) {
		if (worker->serial == serial && worker_has_badge(worker))
			return worker;
	}
	return NULL;
}

bool questions_is_admin(const struct questioner *asker)
{
	return policy_is_admin(&asker->supervisor->policy, asker->worker->badge,
			       asker->worker->uid, asker->supervisor->uid);
}

/* Whether this worker's sessions are any of the asker's business. */
static bool may_see(const struct questioner *asker, const struct worker *worker)
{
	return (worker->uid == asker->worker->uid && worker->badge == asker->worker->badge) ||
	       questions_is_admin(asker);
}

bool questions_needs_admin(const struct questioner *asker, const char *what)
{
	if (questions_is_admin(asker))
		return true;
	questions_end(asker, TLSB_E_POLICY, "admin: badge %s may not %s", asker->worker->badge_name, what);
	return false;
}

static void log_wish(const struct questioner *asker, const char *text, const char *session)
{
	log_event(LOG_L_NOTICE, text, { FIELD_BADGE, asker->worker->badge_name },
		  { FIELD_UID, LOG_NUMBER(asker->worker->uid) }, { FIELD_SESSION, session });
}

/* ---- what other workers are asked ---- */

void questions_drop(struct question *question)
{
	LIST_REMOVE(question, next);
	free(question);
}

bool questions_find_asker(struct supervisor *supervisor, const struct question *question,
			  struct questioner *ret)
{
	*ret = (struct questioner){ supervisor, find_worker(supervisor, question->asker),
			       question->tag };
	return ret->worker != NULL;
}

/* A part of a list ends, and the next one begins there; or, worker 0, there is none. */
static void end_part(const struct questioner *asker, uint32_t worker, uint64_t below)
{
	const struct row row = { .kind = ROW_END, .worker = worker, .value = { 0, below } };

	questions_send_row(asker, &row, "", 0);
}

/* The next worker whose sessions the asker may see. */
static struct worker *next_worker(const struct questioner *asker, uint32_t from)
{
	struct worker *worker;

	/* They stand in the order of their numbers. */
	TAILQ_FOREACH(worker, &asker->supervisor->workers.list, next) {
		if (worker->serial >= from && worker_has_badge(worker) && may_see(asker, worker))
			return worker;
	}
	return NULL;
}

static const char *name_of(const struct question *question, char name[32])
{
	if (question->answerer == 0)
		return role_name(question->what == EXPLAIN_WHERE ? ROLE_CONNECTOR : ROLE_FRONTDOOR);
	snprintf(name, 32, "worker %u", question->answerer);
	return name;
}

/* There will be no answer.  A list goes on with the next worker, so that one cannot hide the others. */
static void give_up(struct supervisor *supervisor, struct question *question, const char *why)
{
	struct questioner asker;
	struct worker *next;
	char name[32];

	if (!questions_find_asker(supervisor, question, &asker)) {
		questions_drop(question);
		return;
	}
	if (question->what == ASK_SESSIONS) {
		next = next_worker(&asker, question->answerer + 1);
		end_part(&asker, next ? next->serial : 0, UINT64_MAX);
	} else {
		questions_end(&asker, TLSB_E_RESOURCES, "%s %s", name_of(question, name), why);
	}
	questions_drop(question);
}

struct question *questions_find(const struct questions *questions, uint64_t id)
{
	struct question *question;

	LIST_FOREACH(question, &questions->list, next) {
		if (question->id == id)
			break;
	}
	return question;
}

void questions_forget(struct supervisor *supervisor, const struct worker *worker)
{
	struct question *question, *next;

	for (question = LIST_FIRST(&supervisor->questions.list); question; question = next) {
		next = LIST_NEXT(question, next);
		if (question->answerer == worker->serial)
			give_up(supervisor, question, "is over");
		else if (question->asker == worker->serial)
			questions_drop(question);
	}
}

static void set_timer(struct questions *questions)
{
	const struct timeval later = { LIMIT_ANSWER_MS / 1000, LIMIT_ANSWER_MS % 1000 * 1000 };

	if (!LIST_EMPTY(&questions->list) && !evtimer_pending(questions->timer, NULL))
		event_add(questions->timer, &later);
}

static void on_timer(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct supervisor *supervisor = arg;
	struct question *question, *next;
	uint64_t now = clock_ms();

	for (question = LIST_FIRST(&supervisor->questions.list); question; question = next) {
		next = LIST_NEXT(question, next);
		if (now - question->since_ms >= LIMIT_ANSWER_MS)
			give_up(supervisor, question, "does not answer");
	}
	set_timer(&supervisor->questions);
}

static bool asks_too_much(const struct questioner *asker)
{
	const struct question *question;
	unsigned open = 0;

	LIST_FOREACH(question, &asker->supervisor->questions.list, next)
		open += question->asker == asker->worker->serial;
	return open >= LIMIT_QUESTIONS_OPEN;
}

struct question *questions_new(const struct questioner *asker, uint32_t answerer, uint32_t what)
{
	struct questions *questions = &asker->supervisor->questions;
	struct question *question;

	if (asks_too_much(asker)) {
		questions_end(asker, TLSB_E_QUOTA, "too many questions of this user at once");
		return NULL;
	}
	if (!questions->timer)
		questions->timer = evtimer_new(asker->supervisor->base, on_timer, asker->supervisor);
	question = questions->timer ? malloc(sizeof(*question)) : NULL;
	if (!question) {
		questions_end(asker, TLSB_E_RESOURCES, "the broker has no memory left");
		return NULL;
	}
	*question = (struct question){
		.id = ++questions->last_id, .tag = asker->tag, .asker = asker->worker->serial,
		.answerer = answerer, .what = what,
		.rows = what == ASK_SESSIONS ? LIMIT_LIST : 0, .since_ms = clock_ms(),
	};
	LIST_INSERT_HEAD(&questions->list, question, next);
	set_timer(questions);
	return question;
}

/* The same to a worker: its id, or 0. */
static uint64_t ask(const struct questioner *asker, const struct worker *worker, enum ask_kind what)
{
	const struct question *question = questions_new(asker, worker->serial, what);

	return question ? question->id : 0;
}

void questions_deinit(struct questions *questions)
{
	while (!LIST_EMPTY(&questions->list))
		questions_drop(LIST_FIRST(&questions->list));
	if (questions->timer)
		event_free(questions->timer);
	questions->timer = NULL;
}

/* ---- their answers: from a worker, hostile ---- */

static void on_listed(const struct questioner *asker, const struct worker *worker, const struct msg *msg)
{
	const struct msg_session_row *body = msg->body;
	struct row row = body->row;
	size_t len = strlen(worker->badge_name) + 1;
	char tail[LIMIT_ROW];

	_Static_assert(LIMIT_BADGE + 1 + LIMIT_SESSION_ROW == LIMIT_ROW, "it all fits");
	/* What we know ourselves it does not tell us. */
	row.worker = worker->serial;
	row.badge = worker->badge;
	row.uid = worker->uid;
	memcpy(tail, worker->badge_name, len);
	memcpy(tail + len, msg->tail, msg->tail_len);
	questions_send_row(asker, &row, tail, len + msg->tail_len);
}

static void on_end(const struct questioner *asker, const struct question *question,
		   const struct worker *worker, const struct msg *msg)
{
	const struct msg_session_row *body = msg->body;
	const struct worker *next;

	if (question->what != ASK_SESSIONS) {
		questions_end(asker, body->row.value[0] == 0 ? TLSB_E_NONE : TLSB_E_PARAMETER, "%.*s",
		    (int)MIN(msg->tail_len, (uint32_t)LIMIT_TEXT), msg->tail);
	} else if (body->row.value[1] > 0) {
		end_part(asker, worker->serial, body->row.value[1]);
	} else {
		next = next_worker(asker, worker->serial + 1);
		end_part(asker, next ? next->serial : 0, UINT64_MAX);
	}
}

int questions_on_row(struct chan *chan, struct msg *msg)
{
	const struct msg_session_row *body = msg->body;
	struct process *process = chan->owner;
	struct supervisor *supervisor = process->supervisor;
	const struct worker *worker = process->owner;
	struct question *question = questions_find(&supervisor->questions, body->id);
	struct questioner asker;

	if (body->row.kind != ROW_LISTED && body->row.kind != ROW_END)
		return -EBADMSG;
	if (!question)
		return 0; /* given up: it was too late */
	if (question->answerer != worker->serial)
		return -EPERM;
	if (body->row.kind == ROW_LISTED && question->rows-- == 0)
		return -EBADMSG;
	/* Who asks may have been an administrator when it did. */
	if (questions_find_asker(supervisor, question, &asker) && may_see(&asker, worker)) {
		if (body->row.kind == ROW_LISTED)
			on_listed(&asker, worker, msg);
		else
			on_end(&asker, question, worker, msg);
	}
	if (body->row.kind == ROW_END)
		questions_drop(question);
	return 0;
}

/* ---- questions ---- */

static void on_sessions(const struct questioner *asker, const struct msg_question *what)
{
	struct msg_sessions body = { .below = what->session };
	struct worker *worker = next_worker(asker, what->worker);

	if (!worker) {
		end_part(asker, 0, 0);
		return;
	}
	if (worker->serial != what->worker)
		body.below = UINT64_MAX; /* that one is over meanwhile */
	body.id = ask(asker, worker, ASK_SESSIONS);
	if (body.id)
		chan_send_body(&worker->process->chan, MSG_SESSIONS, &body);
}

static void on_kill(const struct questioner *asker, const struct msg_question *what)
{
	struct msg_session_kill body = { .number = what->session };
	struct worker *worker = find_worker(asker->supervisor, what->worker);
	char session[48];

	/* The same for what is not there and for what is somebody else's. */
	if ((!worker || !may_see(asker, worker)) &&
	    !questions_needs_admin(asker, "end sessions of other badges and users"))
		return;
	snprintf(session, sizeof(session), "%u.%s", what->worker, LOG_NUMBER(what->session));
	if (!worker) {
		questions_end(asker, TLSB_E_PARAMETER, "there is no session %s", session);
		return;
	}
	body.id = ask(asker, worker, ASK_KILL);
	if (!body.id)
		return;
	log_wish(asker, "a session is to end", session);
	chan_send_body(&worker->process->chan, MSG_SESSION_KILL, &body);
}

static void on_reload(const struct questioner *asker)
{
	const struct row row = { .kind = ROW_TEXT };
	struct conf_errors errors;
	int r;

	if (!questions_needs_admin(asker, "have the configuration read again"))
		return;
	log_wish(asker, "the configuration is to be read again", NULL);
	conf_errors_init(&errors);
	r = supervisor_reload(asker->supervisor, &errors);
	for (unsigned i = 0; i < errors.count; i++)
		questions_send_row(asker, &row, errors.list[i].text,
			 strnlen(errors.list[i].text, LIMIT_ROW));
	if (r == 0)
		questions_end(asker, TLSB_E_NONE, "the new configuration is in force");
	else if (errors.count > 0)
		questions_end(asker, TLSB_E_PARAMETER, "the old configuration is kept: errors: %u",
		    errors.count);
	else
		questions_end(asker, TLSB_E_RESOURCES, "the old configuration is kept: %s", strerror(-r));
	conf_errors_deinit(&errors);
}

/* A badge, and what its workers have counted; of number 0, those of one user. */
static void send_badge(const struct questioner *asker, uint32_t number, uint32_t uid, const char *name)
{
	const struct supervisor *supervisor = asker->supervisor;
	struct row row = { .kind = ROW_BADGE, .uid = uid, .badge = number };
	const struct worker *worker;

	row.state = policy_is_admin(&supervisor->policy, number, uid, supervisor->uid);
	TAILQ_FOREACH(worker, &supervisor->workers.list, next) {
		const struct counters *counters = worker->process->counters;

		if (!worker_has_badge(worker) || worker->badge != number ||
		    (number == 0 && worker->uid != uid))
			continue;
		row.value[0]++;
		row.value[1] += counters_get(counters, COUNTER_clients);
		row.value[2] += counters_get(counters, COUNTER_sessions);
	}
	questions_send_row(asker, &row, name, strlen(name));
}

static void on_badges(const struct questioner *asker)
{
	const struct supervisor *supervisor = asker->supervisor;
	const struct conf *conf = supervisor->policy.conf;
	const struct worker *worker;
	bool admin = questions_is_admin(asker);

	for (unsigned i = 0; i < conf->badge_count; i++) {
		const struct conf_badge *badge = &conf->badges[i];

		if (admin || badge->number == asker->worker->badge)
			send_badge(asker, badge->number, 0, badge->name);
	}
	/* A user may have one that drains and one that runs: the badge is that of the last. */
	TAILQ_FOREACH(worker, &supervisor->workers.list, next) {
		if (worker->badge == 0 && worker->state == ROW_STATE_RUNNING &&
		    may_see(asker, worker))
			send_badge(asker, 0, worker->uid, worker->badge_name);
	}
	questions_end(asker, TLSB_E_NONE, "%s", "");
}

int questions_on_question(struct chan *chan, struct msg *msg)
{
	const struct msg_question *body = msg->body;
	struct process *process = chan->owner;
	const struct questioner asker = { process->supervisor, process->owner, body->tag };

	if (!worker_has_badge(asker.worker))
		return -EPERM;
	switch (body->what) {
	case ASK_SESSIONS:
		on_sessions(&asker, body);
		return 0;
	case ASK_KILL:
		on_kill(&asker, body);
		return 0;
	case ASK_BADGES:
		on_badges(&asker);
		return 0;
	case ASK_RELOAD:
		on_reload(&asker);
		return 0;
	default:
		questions_end(&asker, TLSB_E_PARAMETER, "the broker does not know that question");
		return 0;
	}
}
