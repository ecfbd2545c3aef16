/*
 * What programs ask for besides sessions: lists, the end of a session, a reload.  A question comes over
 * the asker's worker; who asks is the badge and user of that worker's channel, whatever it says, and so a
 * worker hears of other badges' sessions only if its badge is an administrator's.
 *
 * Sessions are known to their workers.  They are asked for a part of their list, or to end one, and what
 * they answer is passed on with their badge and user, as far as somebody is waiting for it:
 *
 *	asker's worker --QUESTION--> supervisor --SESSIONS--> worker
 *	               <-STATUS_ROW-            <-SESSION_ROW-
 */
#ifndef TLSB_SUPERVISOR_QUESTIONS_H
#define TLSB_SUPERVISOR_QUESTIONS_H

#include <event2/event.h>
#include <sys/queue.h>

#include "base/macros.h"
#include "tlsbroker.h"
#include "wire/chan.h"

struct worker;
struct supervisor;

/* One that a worker has yet to answer. */
struct question {
	LIST_ENTRY(question) next;
	uint64_t id, tag;         /* ours; the asker's */
	uint32_t asker, answerer; /* numbers of workers; 0: frontdoor or connector */
	uint32_t what;            /* enum ask_kind, or explain_kind */
	uint32_t badge;           /* that is asked about, of EXPLAIN_WHERE */
	unsigned rows;            /* so many more may come */
	uint64_t since_ms;
};

/* All zero is fine. */
struct questions {
	LIST_HEAD(, question) list;
	struct event *timer; /* pending while the list is not empty */
	uint64_t last_id;
};

void questions_deinit(struct questions *questions);

/* A worker is over: who waits for its answer waits for nothing. */
void questions_forget(struct supervisor *supervisor, const struct worker *worker);

/* Somebody who waits for an answer. */
struct questioner {
	struct supervisor *supervisor;
	struct worker *worker;
	uint64_t tag;
};

/* A part of the answer; its end. */
void questions_send_row(const struct questioner *asker, const struct row *row, const char *tail,
			size_t len);
void questions_end(const struct questioner *asker, enum tlsb_error error, const char *format, ...)
	printf_(3, 4);

bool questions_is_admin(const struct questioner *asker);

/* False, and the asker has heard so, when that is for administrators. */
bool questions_needs_admin(const struct questioner *asker, const char *what);

/* A new question, that this worker is to answer, or a role: 0.  NULL, and the asker has heard why. */
struct question *questions_new(const struct questioner *asker, uint32_t answerer, uint32_t what);

/* The one with this id, or NULL: it has been given up. */
struct question *questions_find(const struct questions *questions, uint64_t id);

/* Who asked it.  False: it has gone. */
bool questions_find_asker(struct supervisor *supervisor, const struct question *question,
			  struct questioner *ret);

/* It has been answered. */
void questions_drop(struct question *question);

/* From workers. */
chan_handler questions_on_question, questions_on_row;

#endif
