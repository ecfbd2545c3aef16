/*
 * One question, which addresses of V6 or V4 a name has, put to the name servers as resolv.conf
 * says: one after the other, each again after the last, until one answers.  Answers that come late,
 * when the next server has been asked already, still count.
 */
#ifndef TLSB_CONNECTOR_QUESTION_H
#define TLSB_CONNECTOR_QUESTION_H

#include "connector/nameserver.h"
#include "connector/resolvconf.h"

/* Whom to ask.  SERVER's first conf.server_count are in use. */
struct nameservers {
	struct nameserver server[LIMIT_NAME_SERVERS];
	struct resolvconf conf;
	unsigned turn; /* with "options rotate": who is asked first */
};

struct question;

/* Called from the event loop, once.  May free the question. */
typedef void question_done(void *arg, const struct answer *answer);

/* NAME stays the caller's, and there for as long as the question.  0 or -ENOMEM. */
int question_new(struct nameservers *servers, struct event_base *base, const char *name,
		 unsigned index, question_done *done, void *arg, struct question **ret_question);

/* What is under way ends unheard.  NULL is fine.  Returns NULL. */
struct question *question_free(struct question *question);

/* After ANSWER_FAILED: whether it was for want of memory or descriptors. */
bool question_lacked_resources(const struct question *question);

/* After ANSWER_FAILED: "127.0.0.53 did not answer; ..." into DST. */
void question_trouble(const struct question *question, char *dst, size_t size);

#endif
