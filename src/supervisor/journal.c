#include "supervisor/journal.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/macros.h"

int journal_open(int *ret_fd)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int journal_send(int fd, const struct iovec *fields, int count)
{
	/* Not connected: a journal that was started again may have another socket. */
	struct sockaddr_un journal = { AF_UNIX, JOURNAL_SOCKET };
	struct iovec iov[2 * JOURNAL_FIELDS_MAX];
	struct msghdr mh = {
		.msg_name = &journal,
		.msg_namelen = sizeof(journal),
		.msg_iov = iov,
	};
	char newline = '\n';

	assert(count <= JOURNAL_FIELDS_MAX);
	for (int i = 0; i < count; i++) {
		iov[mh.msg_iovlen++] = fields[i];
		iov[mh.msg_iovlen++] = (struct iovec){ &newline, 1 };
	}
	return sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
