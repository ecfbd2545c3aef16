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

#include "wire/chan.h"

struct worker;
struct supervisor;

/* One that a worker has yet to answer. */
struct question {
	LIST_ENTRY(question) next;
	uint64_t id, tag;         /* ours; the asker's */
	uint32_t asker, answerer; /* numbers of workers */
	uint32_t what;            /* enum ask_kind */
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

/* From workers. */
chan_handler questions_on_question, questions_on_row;

#endif
