#include "connector/question.h"

#define CARES_NO_DEPRECATED
#include <ares.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macros.h"

/* A server that did not answer is asked last for so long. */
#define AVOID_MS 30000

/* One try.  It ends when its server's channel says so, which may be after the question has gone. */
struct
try {
	LIST_ENTRY(try) next;
	struct question *question; /* NULL: gone */
	struct nameserver *server;
};

struct question {
	struct nameservers *servers;
	const char *name;
	unsigned index;
	struct event *timer; /* the next try is due, or the answer is there */
	LIST_HEAD(, try) tries;
	struct try *latest; /* NULL: it has failed */
	unsigned order[LIMIT_NAME_SERVERS], order_count;
	unsigned done_count, most; /* tries */
	int trouble[LIMIT_NAME_SERVERS];
	bool answered;
	struct answer answer;
	question_done *done;
	void *arg;
};

static struct timeval milliseconds(unsigned ms)
{
	return (struct timeval){ ms / 1000, (suseconds_t)(ms % 1000) * 1000 };
}

/* From the event loop's next turn, so that nobody is called back from a call of his own. */
static void soon(struct question *question)
{
	event_active(question->timer, EV_TIMEOUT, 0);
}

static void did_not_answer(struct nameserver *server)
{
	server->avoid_until_ms = clock_ms() + AVOID_MS;
}

static void on_try(void *arg, const struct answer *answer)
{
	struct try *try = arg;
	struct question *question = try->question;
	bool latest;

	if (answer->kind != ANSWER_FAILED)
		try->server->avoid_until_ms = 0;
	else if (answer->status == ARES_ETIMEOUT || answer->status == ARES_ECONNREFUSED)
		did_not_answer(try->server);
	if (!question) {
		free(try);
		return;
	}
	LIST_REMOVE(try, next);
	latest = question->latest == try;
	if (latest)
		question->latest = NULL;
	if (answer->kind == ANSWER_FAILED)
		question->trouble[try->server - question->servers->server] = answer->status;
	free(try);
	if (question->answered)
		return;
	if (answer->kind != ANSWER_FAILED) {
		question->answered = true;
		question->answer = *answer;
	}
	if (question->answered || latest)
		soon(question);
}

static int start_try(struct question *question)
{
	struct try *try = calloc(1, sizeof(*try));
	struct timeval wait = milliseconds(question->servers->conf.timeout_ms);
	unsigned which = question->order[question->done_count % question->order_count];

	if (!try)
		return -ENOMEM;
	question->done_count++;
	*try = (struct try){ .question = question, .server = &question->servers->server[which] };
	LIST_INSERT_HEAD(&question->tries, try, next);
	question->latest = try;
	event_add(question->timer, &wait);
	nameserver_ask(try->server, question->name, question->index, on_try, try);
	return 0;
}

static void on_timer(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct question *question = arg;

	if (!question->answered) {
		if (question->latest) {
			did_not_answer(question->latest->server);
			question->trouble[question->latest->server - question->servers->server] =
				ARES_ETIMEOUT;
		}
		if (question->done_count < question->most && start_try(question) == 0)
			return;
		question->answer = (struct answer){ .kind = ANSWER_FAILED };
		question->answered = true;
	}
	event_del(question->timer);
	question->done(question->arg, &question->answer);
}

/* In the order of resolv.conf, but those last of which is known that they do not answer. */
static void make_order(struct question *question)
{
	struct nameservers *servers = question->servers;
	unsigned count = servers->conf.server_count;
	unsigned first = servers->conf.rotate ? servers->turn++ % count : 0;
	uint64_t now = clock_ms();

	for (int avoided = 0; avoided <= 1; avoided++) {
		for (unsigned i = 0; i < count; i++) {
			unsigned which = (first + i) % count;

			if ((servers->server[which].avoid_until_ms > now) == avoided)
				question->order[question->order_count++] = which;
		}
	}
	question->most = question->order_count * servers->conf.attempts;
}

int question_new(struct nameservers *servers, struct event_base *base, const char *name,
		 unsigned index, question_done *done, void *arg, struct question **ret_question)
{
	struct question *question = calloc(1, sizeof(*question));

	if (!question)
		return -ENOMEM;
	*question = (struct question){
		.servers = servers, .name = name, .index = index, .done = done, .arg = arg
	};
	question->timer = event_new(base, -1, 0, on_timer, question);
	make_order(question);
	if (!question->timer || start_try(question) < 0) {
		question_free(question);
		return -ENOMEM;
	}
	*ret_question = question;
	return 0;
}

struct question *question_free(struct question *question)
{
	struct try *try;

	if (!question)
		return NULL;
	while ((try = LIST_FIRST(&question->tries))) {
		LIST_REMOVE(try, next);
		try->question = NULL;
	}
	if (question->timer)
		event_free(question->timer);
	free(question);
	return NULL;
}

bool question_lacked_resources(const struct question *question)
{
	for (unsigned i = 0; i < ARRAY_SIZE(question->trouble); i++) {
		if (question->trouble[i] == ARES_ENOMEM)
			return true;
	}
	return false;
}

void question_trouble(const struct question *question, char *dst, size_t size)
{
	size_t len = 0;

	*dst = '\0';
	for (unsigned i = 0; i < question->order_count && len < size; i++) {
		unsigned which = question->order[i];
		char text[ADDRESS_TEXT];

		if (question->trouble[which] == ARES_SUCCESS)
			continue;
		len += (size_t)snprintf(
			dst + len, size - len, "%s%s %s", len ? "; " : "",
			address_text(&question->servers->server[which].address, text),
			nameserver_trouble(question->trouble[which]));
	}
}
