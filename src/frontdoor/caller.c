#include "frontdoor/caller.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "wire/errors.h"

/* Much longer than a close takes that does not wait; and all that we lose by one that does. */
#define TICK_US 200

/* More than a program sends before it looks for an answer. */
#define MOST_UNREAD 4

static void on_tick(int number unused_)
{
}

int caller_prepare(void)
{
	/* Without SA_RESTART.  libevent and msg.h go on after EINTR. */
	const struct sigaction action = { .sa_handler = on_tick };

	return sigaction(SIGALRM, &action, NULL) < 0 ? -errno : 0;
}

static void ticking(suseconds_t microseconds)
{
	/* Repeated: the first may come before the wait begins. */
	const struct itimerval ticks = { { 0, microseconds }, { 0, microseconds } };

	setitimer(ITIMER_REAL, &ticks, NULL);
}

void caller_close(int fd)
{
	ticking(TICK_US);
	fd_close(fd);
	ticking(0);
}

/*
 * The program does not wait before it says hello.  If that lies unread when we close, the kernel
 * reports a reset before our word, so we let it send no more and drop what is there: into no buffer
 * at all, not a byte of it is looked at.
 */
static void drop_unread(int fd)
{
	shutdown(fd, SHUT_RD);
	ticking(TICK_US);
	for (int i = 0; i < MOST_UNREAD; i++) {
		struct msghdr nowhere = { 0 };

		if (recvmsg(fd, &nowhere, MSG_DONTWAIT | MSG_TRUNC) <= 0)
			break;
	}
	ticking(0);
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
	caller_close(fd);
}
