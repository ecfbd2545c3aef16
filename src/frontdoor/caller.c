#include "frontdoor/caller.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/ticks.h"
#include "wire/errors.h"

/* More than a program sends before it looks for an answer. */
#define MOST_UNREAD 4

/*
 * The program does not wait before it says hello.  If that lies unread when we close, the kernel
 * reports a reset before our word, so we let it send no more and drop what is there: into no buffer
 * at all, not a byte of it is looked at.
 */
static void drop_unread(int fd)
{
	shutdown(fd, SHUT_RD);
	ticks_begin();
	for (int i = 0; i < MOST_UNREAD; i++) {
		struct msghdr nowhere = { 0 };

		if (recvmsg(fd, &nowhere, MSG_DONTWAIT | MSG_TRUNC) <= 0)
			break;
	}
	ticks_end();
}

/* One line for many refusals; COUNTER_clients_refused has them all. */
static bool worth_a_line(struct frontdoor *frontdoor, uint32_t uid, enum tlsb_error error)
{
	struct refusal *last = &frontdoor->refusals[uid % BADGE_BUCKETS];
	uint64_t now = clock_ms();

	if (last->uid == uid && last->error == error &&
	    now - last->logged_ms < LIMIT_REFUSAL_LOG_MS)
		return false;
	*last = (struct refusal){ .logged_ms = now, .uid = uid, .error = error };
	return true;
}

void caller_refuse(struct frontdoor *frontdoor, int fd, const struct ucred *peer,
		   enum tlsb_error error, const char *text)
{
	const struct msg_refused body = { .error = error };

	if (worth_a_line(frontdoor, peer->uid, error))
		log_event(LOG_L_NOTICE, text, { FIELD_UID, LOG_NUMBER(peer->uid) },
			  { FIELD_CLIENT, LOG_NUMBER(peer->pid) },
			  { FIELD_OUTCOME, error_info(error)->name });
	counters_add(frontdoor->child->counters, COUNTER_clients_refused, 1);
	drop_unread(fd);
	/* Its socket is empty, so this fails only when the client has gone already. */
	(void)msg_send(fd, &client_messages, CLIENT_MSG_REFUSED, &body, text,
		       strnlen(text, LIMIT_TEXT), NULL);
	ticks_close(fd);
}
