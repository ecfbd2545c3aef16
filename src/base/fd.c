#include "base/fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int fd_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

int fd_headroom(unsigned count)
{
	int tried[4], got = 0, enough;

	assert(count <= ARRAY_SIZE(tried));
	while ((unsigned)got < count &&
	       (tried[got] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0)
		got++;
	enough = (unsigned)got == count;
	while (got > 0)
		close(tried[--got]);
	return enough;
}

int fd_is_among_last(int fd, unsigned count, unsigned most)
{
	struct rlimit files = { .rlim_cur = most };

	(void)getrlimit(RLIMIT_NOFILE, &files);
	return (rlim_t)fd + count >= MIN(files.rlim_cur, (rlim_t)most);
}

int fd_seqpacket_pair(int ret_pair[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_pair) < 0)
		return -errno;
	return 0;
}

static int memfd_of_size(const char *name, size_t len, int *ret_fd)
{
	cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)len) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

int fd_sealed_copy(const char *name, const void *data, size_t len, int *ret_fd)
{
	cleanup_close_ int fd = -1;
	size_t done = 0;
	int r = memfd_of_size(name, len, &fd);

	if (r < 0)
		return r;
	while (done < len) {
		ssize_t n = pwrite(fd, (const char *)data + done, len - done, (off_t)done);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

int fd_sealed_size(const char *name, size_t len, int *ret_fd)
{
	cleanup_close_ int fd = -1;
	int r = memfd_of_size(name, len, &fd);

	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

int fd_read_all(int fd, size_t max, char **ret_data, size_t *ret_len)
{
	cleanup_free_ char *data = NULL;
	size_t size = 4096, len = 0;

	for (;;) {
		char *bigger = realloc(data, size + 1);
		ssize_t n;

		if (!bigger)
			return -ENOMEM;
		data = bigger;
		n = pread(fd, data + len, size - len, (off_t)len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
		if (len == size)
			size *= 2;
	}
	data[len] = '\0';
	*ret_data = data;
	data = NULL;
	*ret_len = len;
	return 0;
}
