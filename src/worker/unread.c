#include "worker/unread.h"

#include <assert.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "worker/session.h"
#include "worker/state.h"

/* How often to look while somebody waits for a place, and while only ends of sessions are kept. */
#define LINE_MS 5
#define KEPT_MS 1000

static int look_soon(struct unread *unread)
{
	const uint64_t ms = TAILQ_EMPTY(&unread->line) ? KEPT_MS : LINE_MS;
	const struct timeval tv = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000 };

	return evtimer_add(unread->look, &tv);
}

enum there { READ, THERE, UNKNOWN };

static enum there is_there(const struct parcel *parcel)
{
	int fd = parcel->session ? parcel->session->chan.fd : parcel->fd;
	uint32_t memory[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(memory);

	if (parcel->session && chan_queued(&parcel->session->chan) > 0)
		return THERE; /* it may not even be sent */
	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len) < 0)
		return UNKNOWN;
	return memory[SK_MEMINFO_WMEM_ALLOC] > 0 ? THERE : READ;
}

static void forget(struct unread *unread, struct parcel *parcel)
{
	if (parcel->session)
		parcel->session->unread = false;
	else
		fd_close(parcel->fd);
	*parcel = unread->parcels[--unread->count];
}

static struct parcel *find(struct unread *unread, const struct session *session)
{
	for (unsigned i = 0; i < unread->count; i++) {
		if (unread->parcels[i].session == session)
			return &unread->parcels[i];
	}
	return NULL;
}

/* Forget what has been read, for certain; returns whether sockets of sessions that are over are left. */
static bool look(struct unread *unread)
{
	bool kept = false;

	for (unsigned i = unread->count; i-- > 0;) {
		struct parcel *parcel = &unread->parcels[i];

		if (is_there(parcel) == READ)
			forget(unread, parcel);
		else if (!parcel->session)
			kept = true;
	}
	return kept;
}

static bool has_place(struct unread *unread)
{
	if (unread->count == LIMIT_UNREAD)
		look(unread);
	return unread->count < LIMIT_UNREAD;
}

static void leave_line(struct unread *unread, struct session *session)
{
	TAILQ_REMOVE(&unread->line, session, in_line);
	session->stage = STAGE_SETUP;
}

static void on_look(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct worker *worker = arg;
	struct unread *unread = &worker->unread;
	bool kept = look(unread);
	struct session *session;

	while (unread->count < LIMIT_UNREAD && (session = TAILQ_FIRST(&unread->line))) {
		leave_line(unread, session);
		session_waited(session, session->in_line_ms);
		session_begin(session);
	}
	if (kept || !TAILQ_EMPTY(&unread->line))
		(void)look_soon(unread); /* it was on the heap, which keeps its place */
}

static void stand_in_line(struct unread *unread, struct session *session)
{
	session->stage = STAGE_IN_LINE;
	session->in_line_ms = clock_ms();
	TAILQ_INSERT_TAIL(&unread->line, session, in_line);
	if (session_arm_timer(session, session->request->deadline_ms) < 0 ||
	    look_soon(unread) < 0) {
		session_end(session, TLSB_E_RESOURCES, "the broker has no memory left");
		return;
	}
	if (log_seldom(&unread->logged_ms))
		log_event(LOG_L_NOTICE, "sessions wait: programs do not look at those that they have",
			  { FIELD_UID, LOG_NUMBER(session->worker->uid) },
			  { FIELD_CLIENT, LOG_NUMBER(session->client_pid) });
}

void unread_begin(struct session *session)
{
	struct unread *unread = &session->worker->unread;

	/* Nobody overtakes. */
	if (TAILQ_EMPTY(&unread->line) && has_place(unread))
		session_begin(session);
	else
		stand_in_line(unread, session);
}

void unread_add(struct session *session)
{
	struct unread *unread = &session->worker->unread;

	assert(unread->count < LIMIT_UNREAD);
	unread->parcels[unread->count++] = (struct parcel){ .session = session, .fd = -1 };
	session->unread = true;
}

/* The parcel of a session that has one; NULL when that has been read, for certain. */
static struct parcel *look_at(struct session *session, enum there *ret)
{
	struct unread *unread = &session->worker->unread;
	struct parcel *parcel = find(unread, session);

	assert(parcel); /* session->unread says so */
	*ret = is_there(parcel);
	if (*ret != READ)
		return parcel;
	forget(unread, parcel);
	return NULL;
}

bool unread_is_there(struct session *session)
{
	enum there there = READ;

	if (session->unread)
		(void)look_at(session, &there);
	return there == THERE; /* else a bell is too many at most */
}

void unread_hang_up(struct session *session)
{
	struct unread *unread = &session->worker->unread;
	struct parcel *parcel;
	enum there there;

	if (session->stage == STAGE_IN_LINE)
		leave_line(unread, session);
	parcel = session->unread ? look_at(session, &there) : NULL;
	if (!parcel) {
		chan_deinit(&session->chan);
		return;
	}
	*parcel = (struct parcel){ .fd = chan_detach(&session->chan) };
	session->unread = false; /* it may linger, and end later */
	(void)shutdown(parcel->fd, SHUT_RDWR); /* for the program it is closed */
	(void)look_soon(unread); /* else the next session that finds no place looks */
}

int unread_init(struct worker *worker)
{
	TAILQ_INIT(&worker->unread.line);
	worker->unread.look = evtimer_new(worker->child->base, on_look, worker);
	return worker->unread.look ? 0 : -ENOMEM;
}

void unread_deinit(struct worker *worker)
{
	struct unread *unread = &worker->unread;

	while (unread->count > 0)
		forget(unread, &unread->parcels[0]);
	if (unread->look)
		event_free(unread->look);
}

_Static_assert(LIMIT_UNREAD * LIMIT_WORKERS < LIMIT_WORKER_FILES,
	       "what all programs together leave lying does not stop any worker");
