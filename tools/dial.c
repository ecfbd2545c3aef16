#include "tools/dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/text.h"

static int dial(const char *path, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_close_ int fd = -1;

	/* As the library does: an empty path would be an abstract name, which anybody may take. */
	if (path[0] == '\0')
		return -ENOENT;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	text_copy(address.sun_path, sizeof(address.sun_path), path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

int dial_broker(const char *path, char *ret_path, size_t size, int *ret_fd)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int r;

	if (!path)
		path = getenv("TLSBROKER_SOCKET");
	if (path) {
		text_copy(ret_path, size, path);
		return dial(path, ret_fd);
	}
	if (runtime && runtime[0] == '/') {
		snprintf(ret_path, size, "%s/tlsbroker/tlsbroker.sock", runtime);
		r = dial(ret_path, ret_fd);
		if (r != -ENOENT && r != -ECONNREFUSED)
			return r;
	}
	text_copy(ret_path, size, "/run/tlsbroker/tlsbroker.sock");
	return dial(ret_path, ret_fd);
}
