/*
 * Standard output that is written without ever waiting for its reader, and without setting
 * O_NONBLOCK on a description that other processes share.
 */
#ifndef TLSB_TOOLS_OUTLET_H
#define TLSB_TOOLS_OUTLET_H

#include <stddef.h>
#include <sys/types.h>

enum outlet_kind {
	OUTLET_FILE,        /* a file or terminal: write(2) takes what it is given */
	OUTLET_SOCKET,
	OUTLET_PIPE,        /* opened again as ours, non-blocking */
	OUTLET_SHARED_PIPE, /* not ours to open again: a page at a time, when there is room */
};

struct outlet {
	int fd;
	enum outlet_kind kind;
};

/* FD stays the caller's and open.  Never fails. */
void outlet_init(struct outlet *outlet, int fd);
void outlet_deinit(struct outlet *outlet);

/* Write some of LEN > 0 bytes.  How many; -EAGAIN: poll(2) outlet->fd for POLLOUT first; -errno. */
ssize_t outlet_write(struct outlet *outlet, const void *data, size_t len);

#endif
