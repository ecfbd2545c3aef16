/* Its channels. */
#include "tests/lib/treason/treason.h"

#include "tests/lib/raw.h"

struct treason me;

static int of_peer(enum role peer)
{
	switch (peer) {
	case ROLE_SUPERVISOR:
		return SUPERVISOR_FD;
	case ROLE_FRONTDOOR:
		return me.frontdoor;
	case ROLE_CONNECTOR:
		return me.connector;
	default:
		return me.keyholder;
	}
}

int wait_for(int fd, uint32_t what, int ms)
{
	struct epoll_event event = { .events = what };
	int epoll = epoll_create1(EPOLL_CLOEXEC), n;

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	n = epoll_wait(epoll, &event, 1, ms);
	close(epoll);
	return n > 0;
}

enum heard hear(enum role peer, int ms, struct msg *ret)
{
	static union msg_buffer buffer;
	const struct msg_context ctx = { &internal_messages, ROLE_WORKER, peer, RUN };
	enum msg_rule rule;
	int r;

	while ((r = msg_recv(of_peer(peer), &ctx, &buffer, ret, &rule)) == -EAGAIN) {
		if (!wait_for(of_peer(peer), EPOLLIN, ms))
			return SILENCE;
	}
	return r == 1 ? HEARD : CLOSED;
}

int tell(enum role peer, uint32_t type, const void *body, const void *tail, size_t len)
{
	const int fds[LIMIT_MESSAGE_FDS] = { me.trust, me.trust, me.trust };
	int r;

	while ((r = msg_send(of_peer(peer), &internal_messages, type, body, tail, len, fds)) ==
	       -EAGAIN) {
		if (!wait_for(of_peer(peer), EPOLLOUT, SOON_MS))
			break;
	}
	return r;
}

void tell_raw(enum role peer, uint32_t type, size_t len, int fd, unsigned count)
{
	static union message message;
	int fds[MANY_FDS];

	for (unsigned i = 0; i < count; i++)
		fds[i] = fd;
	memset(&message, 0, sizeof(message));
	message.header.type = type;
	send_raw(of_peer(peer), message.bytes, len, fds, count);
}

const char *cut_off(enum role peer)
{
	struct msg msg;

	for (;;) {
		switch (hear(peer, SOON_MS, &msg)) {
		case HEARD:
			msg_close_fds(&msg);
			break;
		case CLOSED:
			return CUT;
		case SILENCE:
			return "still connected";
		}
	}
}

const char *not_ended(void)
{
	wait_for(me.client, 0, SOON_MS);
	return "still alive";
}

const char *returned(long r)
{
	return r < 0 ? strerror(errno) : SUCCEEDED;
}

const char *endless(enum role peer, uint32_t type, const void *body, const void *tail,
		    size_t len)
{
	for (unsigned i = 0; i < ENDLESS; i++) {
		if (tell(peer, type, body, tail, len) < 0)
			return cut_off(peer);
	}
	return "all were taken";
}

int want_channels(uint32_t type, uint32_t answer, int *fd)
{
	static const struct msg_empty wanted;
	struct msg msg;
	int channels = 0;

	for (unsigned i = 0; i < 1000; i++)
		tell(ROLE_SUPERVISOR, type, &wanted, NULL, 0);
	while (hear(ROLE_SUPERVISOR, AWHILE_MS, &msg) == HEARD) {
		if (msg.type != answer)
			return -1;
		channels++;
		close(*fd);
		*fd = msg_take_fd(&msg, 0);
	}
	return channels;
}
