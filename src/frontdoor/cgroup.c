#include "frontdoor/cgroup.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "conf/unit.h"
#include "wire/limits.h"

/* From asm-generic/socket.h, for headers that are older than Linux 6.5. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* The next line of *TEXT, without its end; NULL: there is none.  What has no end is no line. */
static char *next_line(char **text)
{
	char *line = *text, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*text = end + 1;
	return line;
}

/*
 * "0::PATH" is the unified hierarchy; "N:name=systemd:PATH" the one that systemd had before, where the
 * former may be there and empty.
 */
char *cgroup_path(char *text)
{
	char *line, *unified = NULL, *named = NULL, *path;

	while ((line = next_line(&text))) {
		char *controllers = strchr(line, ':');

		if (strncmp(line, "0::", 3) == 0)
			unified = line + 3;
		else if (controllers && strncmp(controllers, ":name=systemd:", 14) == 0)
			named = controllers + 14;
	}
	path = unified && (strcmp(unified, "/") != 0 || !named) ? unified : named;
	/* "/../..." is outside of what we can see: of a container that we run in. */
	return path && path[0] == '/' && strncmp(path, "/..", 3) != 0 ? path : NULL;
}

/* The next component of *PATH, as systemd reads it; its length, 0 at the end. */
static size_t next_component(const char **path, const char **ret_name)
{
	const char *name = *path + strspn(*path, "/");
	size_t len = strcspn(name, "/");

	*path = name + len;
	/* It puts this in front of names that would mean something to the kernel. */
	if (len > 0 && name[0] == '_') {
		name++;
		len--;
	}
	*ret_name = name;
	return len;
}

char *cgroup_unit(const char *path, char dst[LIMIT_UNIT + 1])
{
	const char *name;
	size_t len;

	dst[0] = '\0';
	while ((len = next_component(&path, &name)) > 0 && unit_is_name(name, len)) {
		memcpy(dst, name, len);
		dst[len] = '\0';
		if (!unit_is_slice(name, len))
			break;
	}
	return dst;
}

bool cgroup_has_unit(const char *path, const char *unit)
{
	const char *name;
	size_t len;

	while ((len = next_component(&path, &name)) > 0 && unit_is_name(name, len)) {
		if (strlen(unit) == len && memcmp(unit, name, len) == 0)
			return true;
		if (!unit_is_slice(name, len))
			break;
	}
	return false;
}

/* The process that connected, not one that has its pid, has not ended. */
static bool is_alive(int socket)
{
	cleanup_close_ int pidfd = -1;
	socklen_t len = sizeof(pidfd);
	struct pollfd ended = { .events = POLLIN };

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) < 0)
		return false;
	ended.fd = pidfd;
	return poll(&ended, 1, 0) == 0;
}

/* All of FD, which has no size and cannot be read at an offset; with a NUL behind it. */
static int read_text(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = read(fd, text + len, size - 1 - len);
		if (n < 0 && errno != EINTR)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
	} while (n != 0 && len < size - 1);
	text[len] = '\0';
	return n == 0 ? 0 : -EFBIG;
}

int cgroup_read(int fd, int socket, char **ret_cgroup)
{
	cleanup_free_ char *text = malloc(LIMIT_CGROUP_BYTES + 1);
	char *path;
	int r = text ? read_text(fd, text, LIMIT_CGROUP_BYTES + 1) : -ENOMEM;

	if (r < 0)
		return r;
	path = cgroup_path(text);
	/* Its pid cannot have been another's since it connected: the file is its own. */
	if (!path || !is_alive(socket))
		return -ESRCH;
	*ret_cgroup = strdup(path);
	return *ret_cgroup ? 0 : -ENOMEM;
}
