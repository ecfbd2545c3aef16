#include "tools/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/macros.h"

void outlet_init(struct outlet *outlet, int fd)
{
	char path[32];
	struct stat st;
	int own;

	outlet->fd = fd;
	outlet->kind = OUTLET_FILE;
	if (fstat(fd, &st) < 0)
		return;
	if (S_ISSOCK(st.st_mode))
		outlet->kind = OUTLET_SOCKET;
	if (!S_ISFIFO(st.st_mode))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	outlet->kind = own < 0 ? OUTLET_SHARED_PIPE : OUTLET_PIPE;
	if (own >= 0)
		outlet->fd = own;
}

void outlet_deinit(struct outlet *outlet)
{
	if (outlet->kind == OUTLET_PIPE)
		outlet->fd = fd_close(outlet->fd);
}

/* pipe(7): after POLLOUT, PIPE_BUF bytes go in without waiting. */
static ssize_t write_shared(int fd, const void *data, size_t len)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };

	if (poll(&room, 1, 0) == 0) {
		errno = EWOULDBLOCK;
		return -1;
	}
	return write(fd, data, MIN(len, (size_t)PIPE_BUF));
}

ssize_t outlet_write(struct outlet *outlet, const void *data, size_t len)
{
	ssize_t n;

	if (outlet->kind == OUTLET_SOCKET)
		n = send(outlet->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (outlet->kind == OUTLET_SHARED_PIPE)
		n = write_shared(outlet->fd, data, len);
	else
		n = write(outlet->fd, data, len);
	if (n >= 0)
		return n;
	return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
}
