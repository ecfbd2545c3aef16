/*
 * File descriptors have one owner at each moment.  A local that owns one is declared
 * cleanup_close_; ownership leaves it only through fd_steal().
 */
#ifndef TLSB_BASE_FD_H
#define TLSB_BASE_FD_H

#include <stddef.h>
#include <sys/types.h>

#include "base/macros.h"

/* Close FD if it is one (>= 0), keeping errno.  Returns -1, so that fd = fd_close(fd) forgets it. */
int fd_close(int fd);

/* Give up ownership: returns *FD and sets it to -1. */
static inline int fd_steal(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline void cleanup_close_p(int *fd)
{
	fd_close(*fd);
}
#define cleanup_close_ cleanup_(cleanup_close_p)

/* 1 when COUNT (at most 4) more descriptors could be had now. */
int fd_headroom(unsigned count);

/*
 * 1 when FD is among the last COUNT numbers that this process may have: MOST, or fewer if the kernel says
 * so.  Descriptors are numbered lowest first, so then few are left.  The kernel is asked each time
 * since an administrator may change its limit (prlimit(1)).
 */
int fd_is_among_last(int fd, unsigned count, unsigned most);

/* A connected SOCK_SEQPACKET pair, close-on-exec and non-blocking.  0 or -errno. */
int fd_seqpacket_pair(int ret_pair[2]);

/*
 * An anonymous file holding a copy of DATA, then sealed against every change, so that it can be
 * shared with processes that trust neither us nor each other.  NAME is for /proc only.  0 or
 * -errno.
 */
int fd_sealed_copy(const char *name, const void *data, size_t len, int *ret_fd);

/* An anonymous file of LEN zero bytes whose size is sealed but whose bytes are not.  0 or -errno. */
int fd_sealed_size(const char *name, size_t len, int *ret_fd);

/*
 * Read all of FD from its start into a new buffer, with a NUL behind it that is not counted.
 * -EFBIG when it holds more than MAX bytes.  The caller frees *ret_data.  0 or -errno.
 */
int fd_read_all(int fd, size_t max, char **ret_data, size_t *ret_len);

#endif
