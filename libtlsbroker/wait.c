/*
 * Sleeping and being woken.  What tlsb_fd() promises to a program that asked for the descriptor is
 * this invariant, true between any two calls of a session with a channel.  When one of these is so
 *
 *   - there is something to read, or the end of it,
 *   - a call that returned EWOULDBLOCK, and was not tried again, can get further,
 *
 * then a bell is in the session's socket, or on its way, or the socket has hung up; and when none of
 * them is so, the worker's next word that makes it so is preceded by our want for it.
 *
 * Hence: a bell is taken out only when none is so (or the call itself cannot go on); each taking is
 * followed by arming for all that is waited for, and by a second look (doorbell.h).  What that look
 * finds is either answered already, or the worker is asked to ring for it.  A session keeps in
 * "armed" what it armed since a bell was last taken: a bit of it that is down in the page means that
 * a bell is in the socket or on its way.  A worker that plays with the page loses us bells, not more.
 *
 * To a program that never asked for the descriptor nothing is promised.  When it polls, it reads
 * memory; when its calls sleep, they arm just before, and take what has woken them.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "base/clock.h"
#include "base/macros.h"
#include "libtlsbroker/internal.h"

/* How often a session that takes no bells looks whether its worker is still alive. */
#define LOOK_ALIVE_MS 100

/* How long a call that ends when the broker's deadline does waits for what the broker says then. */
#define LAST_WORD_MS 250

#define NEVER UINT64_MAX

/* How a call waits. */
enum waiting {
	WAITING_NOT,
	WAITING_POLL,    /* in poll(2), which signals end, and a timeout */
	WAITING_RECEIVE, /* in recvmsg(2), which takes the bell with the same system call */
};

/*
 * Which wants the worker is to ring for: what calls wait for, and data always.  An established
 * session has no further state: how it ends comes with its data, its room, or the hang-up.
 */
static uint32_t awaited(const struct tlsb_session *session)
{
	uint32_t wants = session->blocked | WANT_DATA;

	return session->seen == STATE_ESTABLISHED ? wants & ~WANT_STATE : wants;
}

/* What an established session's rings have. */
static uint32_t rings_ready(const struct tlsb_session *session)
{
	const struct control_page *page = session->channel.page;
	uint32_t found = 0;
	uint8_t *span;

	if (ring_data(&session->channel.rx, &span) != 0 ||
	    atomic_load_explicit(&page->rx_end, memory_order_seq_cst) != 0)
		found |= WANT_DATA;
	/* After tlsb_shutdown() there is nothing more to write: only its end is waited for. */
	if (session->fin ? atomic_load_explicit(&page->tx_end, memory_order_seq_cst) != 0 :
			   ring_space(&session->channel.tx, &span) != 0)
		found |= WANT_ROOM;
	return found;
}

/* Which of what is awaited is so now. */
static uint32_t ready(const struct tlsb_session *session)
{
	const struct control_page *page = session->channel.page;
	uint32_t state = atomic_load_explicit(&page->state, memory_order_seq_cst);
	uint32_t found = state != session->seen ? WANT_STATE : 0;

	if (session->seen == STATE_ESTABLISHED) /* before, the rings mean nothing */
		found |= rings_ready(session);
	return found & awaited(session);
}

/* A bit that is up, or answered and its bell not taken, needs no arming. */
static void arm(struct tlsb_session *session)
{
	uint32_t wants = awaited(session) & ~session->armed;

	if (wants)
		doorbell_arm(&session->channel.page->program_wants, wants);
	session->armed |= wants;
}

/* Take a bell, by waiting for it or not.  Arming follows. */
static void take_by(struct tlsb_session *session, void (*receive)(struct tlsb_session *session))
{
	session->armed = 0;
	session->asked = false;
	receive(session);
}

/* Take a bell if there is one. */
static void take(struct tlsb_session *session)
{
	take_by(session, session_receive);
}

/* Something is ready: a bell must be there for it.  The worker rings when it is asked. */
static void keep_promise(struct tlsb_session *session)
{
	_Atomic uint32_t *wants = &session->channel.page->program_wants;

	if (session->asked || doorbell_armed(wants, session->armed) != session->armed)
		return;
	arm(session);
	session->asked = true;
	session_bell(session);
}

/* A dead worker rings no bell and writes no word: ask the kernel now and then. */
static bool look_alive(struct tlsb_session *session)
{
	uint64_t now = clock_coarse_ms();

	if (now - session->looked_ms < LOOK_ALIVE_MS)
		return false;
	session->looked_ms = now;
	take(session);
	return true;
}

/* What another call waits for does not help this one: it would sleep without having armed. */
static bool is_ready(const struct tlsb_session *session, uint32_t wants)
{
	return (ready(session) & wants) != 0;
}

/* A call found nothing to do.  True when something may have changed: it is to look again. */
static bool before_sleep(struct tlsb_session *session, uint32_t wants, enum waiting how)
{
	session->blocked |= wants;
	if (session->stage != STAGE_OPEN)
		return false; /* the call itself read the socket, there being nothing else */
	if (how == WAITING_NOT && !session->shown)
		return look_alive(session);
	if (how != WAITING_NOT) {
		spin_begin(session);
		if (spin_until(session, wants, is_ready))
			return true;
	} else if ((ready(session) & ~wants) != 0) {
		look_alive(session); /* the descriptor has to stay readable for another call */
	} else {
		take(session);
	}
	if (session->stage == STAGE_OPEN)
		arm(session);
	return true;
}

/* At a call's end: is there something for other calls than this one?  Then the promise is theirs. */
static void after_call(struct tlsb_session *session, uint32_t wants)
{
	int saved = errno;

	if (session->shown && session->stage == STAGE_OPEN && (ready(session) & ~wants) != 0)
		keep_promise(session);
	errno = saved;
}

/* One look, and a second one when the first found nothing. */
static ssize_t try_twice(struct tlsb_session *session, attempt_fn *attempt, void *arg,
			 uint32_t wants, enum waiting how)
{
	uint32_t seen = session->seen;
	ssize_t r = attempt(session, arg);

	if (r < 0 && errno == EWOULDBLOCK && before_sleep(session, wants, how))
		r = attempt(session, arg);
	else if (session->seen == seen)
		return r;
	/* The call's own wants were armed before it looked; others may be ready all the time, and the
	 * rings since the session was established: before, we did not look at them. */
	if (how == WAITING_NOT)
		after_call(session, r < 0 ? wants : 0);
	return r;
}

/* One call's worth of trying, without sleeping. */
static ssize_t try_now(struct tlsb_session *session, attempt_fn *attempt, void *arg,
		       uint32_t wants)
{
	return try_twice(session, attempt, arg, wants, WAITING_NOT);
}

/*
 * Sleep until END_MS at most, and take what has come: also a bell that was for another call, which would
 * wake this one at once, again and again.  0, or -1 with EINTR.
 */
static int sleep_until(struct tlsb_session *session, enum waiting how, uint64_t end_ms)
{
	struct pollfd pfds[2] = {
		{ .fd = session->fd, .events = POLLIN },
		{ .fd = session->link->fd, .events = POLLOUT }, /* full, and we have to ask yet */
	};
	bool asking = session->stage == STAGE_ASKING && session->theirs >= 0;
	uint64_t now = end_ms == NEVER ? 0 : clock_ms();
	int timeout_ms = end_ms == NEVER ? -1 : (int)MIN(end_ms - MIN(now, end_ms), INT_MAX);

	/* A socket that has hung up wakes at once, for ever; who died is known in a moment. */
	if (session->hung)
		return poll(NULL, 0, 1) < 0 ? -1 : 0;
	if (how == WAITING_RECEIVE && !asking) {
		take_by(session, session_await);
	} else {
		if (poll(pfds, asking ? 2 : 1, timeout_ms) < 0)
			return -1;
		take(session);
	}
	spin_slept(session);
	return 0;
}

/* Try and sleep until END_MS.  As the attempt, or -1 with ETIMEDOUT or EINTR. */
static ssize_t try_until(struct tlsb_session *session, attempt_fn *attempt, void *arg,
			 uint32_t wants, enum waiting how, uint64_t end_ms)
{
	ssize_t r;

	for (;;) {
		bool last = end_ms != NEVER && clock_ms() >= end_ms;

		r = try_twice(session, attempt, arg, wants, how);
		if (r >= 0 || errno != EWOULDBLOCK)
			break;
		if (last) {
			errno = ETIMEDOUT;
			break;
		}
		if (sleep_until(session, how, end_ms) < 0)
			break;
	}
	after_call(session, r < 0 ? wants : 0);
	return r;
}

/* Until when a call that begins now may block. */
static uint64_t end_of_call(const struct tlsb_session *session)
{
	uint64_t end_ms, deadline_ms = session->deadline_end_ms;

	if (session->timeout_ms <= 0)
		return NEVER;
	end_ms = clock_ms() + (uint64_t)session->timeout_ms;
	/* The timeout that became the deadline would end a moment too early to hear what was slow. */
	if (session->seen < STATE_ESTABLISHED && end_ms >= deadline_ms)
		end_ms = MAX(end_ms, deadline_ms + LAST_WORD_MS);
	return end_ms;
}

ssize_t wait_for(struct tlsb_session *session, attempt_fn *attempt, void *arg, uint32_t wants)
{
	/* What the program has it may have set not to block. */
	enum waiting how = session->timeout_ms < 0 && !session->shown ? WAITING_RECEIVE : WAITING_POLL;
	uint64_t end_ms = end_of_call(session);
	ssize_t r;

	do
		r = session->timeout_ms == 0 ? try_now(session, attempt, arg, wants) :
					       try_until(session, attempt, arg, wants, how, end_ms);
	while (r < 0 && errno == EINTR);
	if (r >= 0 || (errno != EWOULDBLOCK && errno != ETIMEDOUT))
		session->blocked &= ~wants;
	return r;
}

void wait_after_read(struct tlsb_session *session)
{
	uint32_t found;

	if (!session->shown)
		return;
	found = ready(session);
	if (found == 0) {
		/* Nothing is left: so that the next poll() sleeps. */
		take(session);
		if (session->stage != STAGE_OPEN)
			return;
		arm(session);
		found = ready(session);
	}
	if (found != 0)
		keep_promise(session);
}

int tlsb_fd(const struct tlsb_session *handle)
{
	/* Only how we are woken changes: const for the caller. */
	struct tlsb_session *session = (struct tlsb_session *)(uintptr_t)handle;

	if (session->shown)
		return session->fd;
	session->shown = true;
	connect_ring_self(session);
	if (session->stage == STAGE_OPEN) {
		arm(session);
		if (ready(session) != 0)
			keep_promise(session);
	}
	return session->fd;
}

int tlsb_set_timeout(struct tlsb_session *session, int ms)
{
	if (ms < -1) {
		errno = EINVAL;
		return -1;
	}
	session->timeout_ms = ms;
	return 0;
}

struct interest {
	int events; /* asked for */
	int found;
};

/* What of a session's events is there now. */
static int find_events(struct tlsb_session *session, int events)
{
	uint32_t found;

	if (session->seen > session->told)
		return events; /* connect or handshake get further */
	if (session->seen < STATE_ESTABLISHED)
		return 0;
	found = rings_ready(session);
	return events & ((found & WANT_DATA ? POLLIN : 0) | (found & WANT_ROOM ? POLLOUT : 0));
}

/* As an operation: 0 when one of the events is there, or the session is over. */
static ssize_t try_events(struct tlsb_session *session, void *arg)
{
	struct interest *interest = arg;
	bool over = true;
	int state = session_state(session, &over);

	if (state < 0 && errno == EWOULDBLOCK)
		return -1;
	interest->found = over ? interest->events : find_events(session, interest->events);
	errno = EWOULDBLOCK;
	return interest->found ? 0 : -1;
}

int tlsb_wait(struct tlsb_session *session, int events, int timeout_ms)
{
	struct interest interest = { .events = events };
	uint32_t wants = WANT_STATE | (events & POLLIN ? WANT_DATA : 0) |
			 (events & POLLOUT ? WANT_ROOM : 0);
	uint64_t end_ms = timeout_ms > 0 ? clock_ms() + (uint64_t)timeout_ms : NEVER;
	uint32_t blocked = session->blocked;
	ssize_t r;

	if (session->stage == STAGE_NEW || (events & ~(POLLIN | POLLOUT)) != 0 || events == 0) {
		errno = session->stage == STAGE_NEW ? ENOTCONN : EINVAL;
		return -1;
	}
	r = timeout_ms == 0 ? try_now(session, try_events, &interest, wants) :
			      try_until(session, try_events, &interest, wants, WAITING_POLL, end_ms);
	session->blocked = blocked; /* this call does not wait any more, others may */
	if (r == 0)
		return interest.found;
	return errno == ETIMEDOUT || errno == EWOULDBLOCK ? 0 : -1;
}
