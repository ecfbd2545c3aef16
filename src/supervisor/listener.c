#include "supervisor/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "wire/limits.h"

/* Two daemons that start at once take turns; a lock that is held longer is somebody's mischief. */
#define LOCK_TRIES 20

static int make_folder(const char *folder, mode_t mode, const struct identity *owner)
{
	cleanup_close_ int fd = -1;

	if (mkdir(folder, mode) < 0)
		return errno == EEXIST ? 0 : -errno;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, mode) < 0) /* the umask may have taken some of it */
		return -errno;
	if (geteuid() == 0 && fchown(fd, owner->uid, owner->gid) < 0)
		return -errno;
	return 0;
}

/* Open the socket's folder, made if need be, and locked if that can be had. */
static int open_folder(const char *path, mode_t mode, const struct identity *owner, int *ret_fd,
		       struct failure *failure)
{
	char folder[sizeof(((struct listener *)0)->path)] = ".";
	const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
	const char *slash = strrchr(path, '/');
	cleanup_close_ int fd = -1;
	struct stat st;
	int r = 0;

	if (slash)
		text_copy(folder, (size_t)(slash - path) + (slash == path ? 2 : 1), path);
	r = make_folder(folder, mode, owner);
	if (r < 0)
		return failure_set(failure, r, "%s: %s", folder, strerror(-r));
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return failure_set(failure, -errno, "%s: %s", folder, strerror(errno));
	if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
		return failure_set(failure, -EPERM,
				   "%s: anybody can write there, and so replace the socket",
				   folder);
	for (int i = 0; i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
		nanosleep(&pause, NULL);
	*ret_fd = fd_steal(&fd);
	return 0;
}

static void fill_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(address->sun_path, path, strlen(path) + 1);
}

/*
 * 0 when nobody has the socket at PATH any more.  Asked for with a socket of another kind, so that
 * a daemon that is there is not made to accept, and to serve, somebody who wants nothing.
 */
static int check_dead(const char *path, struct failure *failure)
{
	cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;

	if (fd < 0)
		return failure_set(failure, -errno, "socket: %s", strerror(errno));
	fill_address(&address, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN)
		return failure_set(failure, -EADDRINUSE, "%s: is another program's socket", path);
	if (errno == EPROTOTYPE)
		return failure_set(failure, -EADDRINUSE, "%s: tlsbrokerd is already running", path);
	if (errno != ECONNREFUSED)
		return failure_set(failure, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* Make room at PATH, but only by removing a dead socket. */
static int clear_path(const char *path, struct failure *failure)
{
	struct stat st;
	int r;

	if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failure_set(failure, -errno, "%s: %s", path,
							 strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return failure_set(failure, -EEXIST, "%s: is there, and is not a socket", path);
	r = check_dead(path, failure);
	if (r < 0)
		return r;
	if (unlinkat(AT_FDCWD, path, 0) < 0)
		return failure_set(failure, -errno, "%s: left behind, and cannot be removed: %s",
				   path, strerror(errno));
	return 0;
}

static int bind_and_listen(struct listener *listener, struct failure *failure)
{
	cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	struct stat st = { 0 };
	mode_t mask;
	int r = 0;

	fill_address(&address, listener->path);
	/*
	 * Policy says who may do what, not the file's mode.  A chmod(2) behind bind(2) would follow
	 * a link that the folder's owner put there meanwhile; the umask cannot.
	 */
	mask = umask(0111);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, LIMIT_CLIENTS_QUEUED) < 0)
		r = -errno;
	umask(mask);
	if (r == 0 && fstatat(AT_FDCWD, listener->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r < 0)
		return failure_set(failure, r, "%s: %s", listener->path, strerror(-r));
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	listener->fd = fd_steal(&fd);
	return 0;
}

int listener_open(struct listener *ret_listener, const char *path, mode_t folder_mode,
		  const struct identity *owner, struct failure *failure)
{
	struct listener listener = { .fd = -1 };
	cleanup_close_ int folder = -1; /* holds the lock */
	int r;

	if (strlen(path) >= sizeof(listener.path))
		return failure_set(failure, -ENAMETOOLONG, "%s: too long for a socket", path);
	text_copy(listener.path, sizeof(listener.path), path);
	r = open_folder(path, folder_mode, owner, &folder, failure);
	if (r == 0)
		r = clear_path(path, failure);
	if (r == 0)
		r = bind_and_listen(&listener, failure);
	if (r == 0)
		*ret_listener = listener;
	return r;
}

int listener_inherit(struct listener *ret_listener, struct failure *failure)
{
	int n = sd_listen_fds(1), flags;

	if (n == 0)
		return 0;
	if (n < 0)
		return failure_set(failure, n, "LISTEN_FDS: %s", strerror(-n));
	if (n > 1)
		return failure_set(failure, -EINVAL,
				   "LISTEN_FDS: %d sockets were handed over; it must be one", n);
	if (sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_SEQPACKET, 1) <= 0)
		return failure_set(failure, -EINVAL,
				   "LISTEN_FDS: not a listening AF_UNIX SOCK_SEQPACKET socket");
	flags = fcntl(SD_LISTEN_FDS_START, F_GETFL);
	if (flags < 0 || fcntl(SD_LISTEN_FDS_START, F_SETFL, flags | O_NONBLOCK) < 0)
		return failure_set(failure, -errno, "LISTEN_FDS: %s", strerror(errno));
	*ret_listener = (struct listener){ .fd = SD_LISTEN_FDS_START };
	return 1;
}

void listener_close(struct listener *listener)
{
	struct stat st;

	listener->fd = fd_close(listener->fd);
	if (listener->path[0] == '\0')
		return;
	if (fstatat(AT_FDCWD, listener->path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == listener->dev && st.st_ino == listener->ino)
		unlinkat(AT_FDCWD, listener->path, 0);
	listener->path[0] = '\0';
}
