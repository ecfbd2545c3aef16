#include "wire/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"

#define SYSTEM_SOCKET "/run/tlsbroker/tlsbroker.sock"

/* How long to wait for a place in the broker's queue. */
#define QUEUE_WAIT_MS 1000

/*
 * Who waits for a place in a full queue gets one in his turn.  Who only tries, now and then, gets none
 * as long as others wait: so this connect() may block.
 */
static int connect_in_turn(int fd, const struct sockaddr_un *address)
{
	const struct timeval patience = { QUEUE_WAIT_MS / 1000, QUEUE_WAIT_MS % 1000 * 1000 };
	uint64_t end = clock_ms() + QUEUE_WAIT_MS;
	int r;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	do
		r = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	while (r < 0 && errno == EINTR && clock_ms() < end);
	if (r < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int reach(const char *path, struct sockaddr_un *ret_address)
{
	cleanup_close_ int fd = -1;
	int r;

	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	text_copy(ret_address->sun_path, sizeof(ret_address->sun_path), path);
	if (path[0] == '\0')
		return -ENOENT; /* it would be an abstract name, which anybody may take */
	if (strlen(path) >= sizeof(ret_address->sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = connect_in_turn(fd, ret_address);
	return r < 0 ? r : fd_steal(&fd);
}

int reach_broker(const char *path, struct sockaddr_un *ret_address)
{
	const char *folder = secure_getenv("XDG_RUNTIME_DIR");
	char own[sizeof(ret_address->sun_path) + 1]; /* one more: what is cut stays too long */
	struct sockaddr_un system;
	int r = -ENOENT, s;

	if (!path)
		path = secure_getenv("TLSBROKER_SOCKET");
	if (path)
		return reach(path, ret_address);
	if (folder && folder[0] == '/') {
		snprintf(own, sizeof(own), "%s/tlsbroker/tlsbroker.sock", folder);
		r = reach(own, ret_address);
		if (r != -ENOENT && r != -ECONNREFUSED)
			return r;
	}
	s = reach(SYSTEM_SOCKET, &system);
	/* That nobody listens any more is worth more than that there was never anybody. */
	if (s == -ENOENT && r == -ECONNREFUSED)
		return r;
	*ret_address = system;
	return s;
}
