#include "frontdoor/door.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/ticks.h"
#include "frontdoor/caller.h"
#include "frontdoor/waiting.h"

static const struct timeval pause_time = { 0, LIMIT_ACCEPT_PAUSE_MS * 1000 };

static void refuse_for_want_of_files(struct frontdoor *frontdoor, int fd, const struct ucred *peer)
{
	caller_refuse(frontdoor, fd, peer, TLSB_E_RESOURCES,
		      "the broker has no descriptors left for another client");
}

/* What the kernel says of the peer, asked once.  Its address says nothing, and is not asked for. */
static int read_peer(int fd, struct ucred *ret_peer)
{
	socklen_t len = sizeof(*ret_peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret_peer, &len) < 0 ? -errno : 0;
}

static int accept_client(struct frontdoor *frontdoor)
{
	int fd;

	do
		fd = accept4(frontdoor->door.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	return fd < 0 ? -errno : fd;
}

static void keep_reserve(struct door *door)
{
	if (door->reserve < 0)
		door->reserve = fcntl(door->fd, F_DUPFD_CLOEXEC, 0);
}

/* One client learns why; the others wait in the kernel. */
static void refuse_one(struct frontdoor *frontdoor)
{
	struct door *door = &frontdoor->door;
	struct ucred peer;
	int fd;

	if (door->reserve < 0)
		return;
	door->reserve = fd_close(door->reserve);
	fd = accept_client(frontdoor);
	if (fd >= 0 && read_peer(fd, &peer) == 0)
		refuse_for_want_of_files(frontdoor, fd, &peer);
	else if (fd >= 0)
		ticks_close(fd);
	keep_reserve(door);
}

static void pause_accepting(struct frontdoor *frontdoor, int error)
{
	struct door *door = &frontdoor->door;

	if (log_seldom(&door->logged_ms))
		log_event(LOG_L_WARNING, "cannot accept clients for the moment",
			  { FIELD_ERROR, strerror(error) });
	if (event_add(door->resume, &pause_time) < 0)
		return; /* without an end to it there is no pause: it is tried again at once */
	door->paused = true;
	event_del(door->readable);
}

static void on_acceptable(evutil_socket_t listening unused_, short what unused_, void *arg)
{
	struct frontdoor *frontdoor = arg;

	for (int i = 0; i < LIMIT_ACCEPT_BATCH; i++) {
		struct ucred peer;
		int fd = accept_client(frontdoor);

		if (fd == -EAGAIN)
			return;
		if (fd == -EMFILE || fd == -ENFILE)
			refuse_one(frontdoor);
		if (fd < 0) {
			pause_accepting(frontdoor, -fd);
			return;
		}
		if (read_peer(fd, &peer) < 0)
			ticks_close(fd);
		else if (fd_is_among_last(fd, LIMIT_FRONTDOOR_SPARE_FILES, LIMIT_FRONTDOOR_FILES))
			refuse_for_want_of_files(frontdoor, fd, &peer);
		else
			waiting_admit(frontdoor, fd, &peer);
	}
}

void door_resume(struct frontdoor *frontdoor)
{
	struct door *door = &frontdoor->door;

	if (!door->paused)
		return;
	keep_reserve(door);
	if (event_add(door->readable, NULL) < 0) {
		event_add(door->resume, &pause_time); /* it was on the heap, which keeps its place */
		return;
	}
	door->paused = false;
	event_del(door->resume);
}

static void on_resume(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	door_resume(arg);
}

int door_open(struct frontdoor *frontdoor, int fd)
{
	struct event_base *base = frontdoor->child->base;
	struct door *door = &frontdoor->door;
	int flags;

	door_close(frontdoor);
	door->fd = fd;
	/* A socket that systemd made may block. */
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		int error = errno;

		door_close(frontdoor);
		return -error;
	}
	door->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_acceptable, frontdoor);
	door->resume = evtimer_new(base, on_resume, frontdoor);
	if (!door->readable || !door->resume || event_add(door->readable, NULL) < 0) {
		door_close(frontdoor);
		return -ENOMEM;
	}
	keep_reserve(door);
	return 0;
}

void door_close(struct frontdoor *frontdoor)
{
	struct door *door = &frontdoor->door;

	if (door->readable)
		event_free(door->readable);
	if (door->resume)
		event_free(door->resume);
	fd_close(door->reserve);
	fd_close(door->fd);
	*door = (struct door){ .fd = -1, .reserve = -1, .logged_ms = door->logged_ms };
}
