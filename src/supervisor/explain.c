#include "supervisor/explain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/supervisor.h"
#include "wire/inquiry.h"

/* A word longer than a row is cut: a path, which somebody who reads it can look up. */
static void send_rule(const struct questioner *asker, uint32_t badge, const char *setting,
		      const char *word, const struct conf_place *place)
{
	const struct row row = { .kind = ROW_RULE, .badge = badge };
	char tail[LIMIT_ROW + 1], where[LIMIT_ROW / 2] = "-";
	int len;

	if (place && place->line > 0)
		snprintf(where, sizeof(where), "%s:%u", place->file, place->line);
	else if (place)
		snprintf(where, sizeof(where), "%s", place->file);
	len = snprintf(tail, sizeof(tail), "%s%c%s%c%.*s", setting, '\0', where, '\0',
		       LIMIT_ROW / 2 - 32, word);
	questions_send_row(asker, &row, tail, (size_t)len);
}

/* All that holds for a badge, but what was asked for. */
static void send_settings(const struct questioner *asker, uint32_t number)
{
	const struct conf *conf = asker->supervisor->policy.conf;
	const struct conf_badge *badge = number ? conf_badge(conf, number) : NULL;

	for (enum setting i = 0; i < SETTING_COUNT; i++) {
		const struct setting_info *info = &setting_info[i];
		const struct conf_value *value = conf_get(conf, badge, i);

		if (i == SETTING_match || i == SETTING_destinations ||
		    !(info->where & (badge ? B : G)))
			continue;
		if (value->count == 0)
			send_rule(asker, number, info->name, "", NULL);
		for (unsigned j = 0; j < value->count; j++)
			send_rule(asker, number, info->name, value->words[j], &value->places[j]);
	}
}

static void end(const struct questioner *asker, enum ruling ruling, enum tlsb_error error,
		const char *text, size_t len)
{
	const struct row row = { .kind = ROW_END, .value = { error, ruling } };

	questions_send_row(asker, &row, text, len);
}

/* ---- answers: from frontdoor and connector, which may have been taken over ---- */

static int on_who(const struct questioner *asker, const struct question *question,
		  const struct msg_decided *body)
{
	const struct conf *conf = asker->supervisor->policy.conf;
	const bool is_it = question->what == EXPLAIN_MYSELF;
	const struct conf_value *match;
	const struct conf_badge *badge;

	if (body->ruling == RULING_REFUSED && !is_it) {
		questions_end(asker, TLSB_E_POLICY, "match: no badge is for this user and program");
		return 0;
	}
	if (body->rule >= conf->badge_count || body->match >= conf->badges[body->rule].match_count)
		return -EBADMSG;
	badge = &conf->badges[body->rule];
	if (badge->number != body->badge || (is_it && badge->number != question->badge))
		return -EBADMSG;
	match = &badge->scope.values[SETTING_match];
	send_rule(asker, badge->number, "badge", badge->name, &badge->place);
	/* What a badge has come by, it has: that it is not found any more is its own doing. */
	if (body->ruling == RULING_ALLOWED || !is_it)
		send_rule(asker, badge->number, "match", match->words[body->match],
			  &match->places[body->match]);
	if (body->ruling == RULING_UNDECIDED && !is_it)
		questions_end(asker, TLSB_E_POLICY,
			      "match: %.100s comes first: which unit is not known without --pid",
			      match->words[body->match]);
	else
		end(asker, RULING_ALLOWED, TLSB_E_NONE, "", 0);
	return 0;
}

static int on_where(const struct questioner *asker, const struct question *question,
		    const struct msg_decided *body, const char *text, size_t len)
{
	const struct conf *conf = asker->supervisor->policy.conf;
	const struct conf_badge *badge = question->badge ? conf_badge(conf, question->badge) : NULL;
	const struct conf_value *value = conf_get(conf, badge, SETTING_destinations);
	enum tlsb_error error = TLSB_E_NONE;

	if (body->rule != NO_RULE && body->rule >= value->count)
		return -EBADMSG;
	if (body->ruling == RULING_REFUSED)
		error = TLSB_E_POLICY;
	else if (body->ruling == RULING_UNUSABLE)
		error = TLSB_E_PARAMETER;
	if (body->rule != NO_RULE)
		send_rule(asker, question->badge, "destinations", value->words[body->rule],
			  &value->places[body->rule]);
	else
		send_rule(asker, question->badge, "destinations", "",
			  value->is_set ? &value->place : NULL);
	send_settings(asker, question->badge);
	end(asker, body->ruling, error, text, len);
	return 0;
}

static bool is_own(const struct questioner *asker, const struct question *question)
{
	return question->what != EXPLAIN_WHO && question->badge == asker->worker->badge;
}

int explain_on_decided(struct chan *chan, struct msg *msg)
{
	const struct msg_decided *body = msg->body;
	const struct process *process = chan->owner;
	struct supervisor *supervisor = process->supervisor;
	struct question *question = questions_find(&supervisor->questions, body->id);
	bool is_where = process->role == ROLE_CONNECTOR;
	struct questioner asker;
	int r = 0;

	if (body->ruling < RULING_ALLOWED || body->ruling > RULING_UNDECIDED)
		return -EBADMSG;
	if (!question)
		return 0; /* given up: it was too late */
	if (question->answerer != 0 || is_where != (question->what == EXPLAIN_WHERE))
		return -EPERM;
	/* Who asks may have been an administrator when it did. */
	if (questions_find_asker(supervisor, question, &asker) &&
	    (is_own(&asker, question) || questions_needs_admin(&asker, "ask about others")))
		r = is_where ? on_where(&asker, question, body, msg->tail, msg->tail_len)
			     : on_who(&asker, question, body);
	if (r == 0)
		questions_drop(question); /* else it is given up when its time is over */
	return r;
}

void explain_reloaded(struct supervisor *supervisor)
{
	struct question *question, *next;
	struct questioner asker;

	for (question = LIST_FIRST(&supervisor->questions.list); question; question = next) {
		next = LIST_NEXT(question, next);
		if (question->answerer != 0)
			continue;
		if (questions_find_asker(supervisor, question, &asker))
			questions_end(&asker, TLSB_E_RESOURCES,
				      "the configuration has been read again meanwhile: ask again");
		questions_drop(question);
	}
}

/* ---- questions: what they say is from a program ---- */

static void ask(const struct questioner *asker, struct station *station, uint32_t type,
		const struct msg *msg, struct inquiry about)
{
	const struct msg_inquiry *asked = msg->body;
	struct msg_who body = { .about = about };
	struct question *question;

	_Static_assert(sizeof(struct msg_who) == sizeof(struct msg_where), "their bodies are the same");
	if (!station->process) {
		questions_end(asker, TLSB_E_RESOURCES, "%s is being started again",
			      role_name(station->role));
		return;
	}
	question = questions_new(asker, 0, asked->what);
	if (!question)
		return;
	question->badge = about.badge;
	body.id = question->id;
	chan_send(&station->process->chan, type, &body, msg->tail, msg->tail_len, NULL);
}

/* Without badges in the configuration nobody has to be asked who somebody is. */
static void end_own(const struct questioner *asker, uint32_t uid)
{
	char name[LIMIT_BADGE + 1];

	policy_badge_name(&asker->supervisor->policy, 0, uid, name);
	send_rule(asker, 0, "badge", name, NULL);
	end(asker, RULING_ALLOWED, TLSB_E_NONE, "", 0);
}

static void on_inquiry(const struct questioner *asker, const struct msg *msg)
{
	const struct msg_inquiry *body = msg->body;
	struct supervisor *supervisor = asker->supervisor;
	struct inquiry about = body->about;

	switch (body->what) {
	case EXPLAIN_MYSELF:
		about.uid = asker->worker->uid;
		about.badge = asker->worker->badge;
		break;
	case EXPLAIN_WHO:
		if (!questions_needs_admin(asker, "ask about others"))
			return;
		break;
	case EXPLAIN_WHERE:
		if (about.badge != asker->worker->badge &&
		    !questions_needs_admin(asker, "ask about others"))
			return;
		if (policy_has_badge(&supervisor->policy, about.badge))
			ask(asker, &supervisor->connector, MSG_WHERE, msg, about);
		else
			questions_end(asker, TLSB_E_POLICY, "there is no such badge, or not any more");
		return;
	default:
		questions_end(asker, TLSB_E_PARAMETER, "the broker does not know that question");
		return;
	}
	if (supervisor->policy.conf->badge_count == 0)
		end_own(asker, about.uid);
	else if (about.badge != 0 && !policy_has_badge(&supervisor->policy, about.badge))
		questions_end(asker, TLSB_E_POLICY, "match: this badge has gone");
	else
		ask(asker, &supervisor->frontdoor, MSG_WHO, msg, about);
}

int explain_on_inquiry(struct chan *chan, struct msg *msg)
{
	const struct msg_inquiry *body = msg->body;
	struct process *process = chan->owner;
	const struct questioner asker = { process->supervisor, process->owner, body->tag };

	if (!worker_has_badge(asker.worker))
		return -EPERM;
	if (!inquiry_is_good(&body->about, body->what, msg->tail_len))
		return -EBADMSG;
	on_inquiry(&asker, msg);
	return 0;
}
