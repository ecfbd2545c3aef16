/*
 * Where the broker's socket is, and a place in its queue of new clients: for the library, and for the
 * tool, which asks what the library has no call for.
 */
#ifndef TLSB_WIRE_REACH_H
#define TLSB_WIRE_REACH_H

#include <sys/un.h>

/*
 * Connect to the broker at PATH; NULL: $TLSBROKER_SOCKET, else the user's own in $XDG_RUNTIME_DIR, else
 * the system's.  Waits up to a second while the broker's queue is full.  *ret_address is the place that
 * was tried last, also on failure, cut when it is too long.  The descriptor, non-blocking, or -errno:
 * -ENOENT, -ECONNREFUSED (nobody is there), -EAGAIN (the queue stayed full), -ENAMETOOLONG, ...
 */
int reach_broker(const char *path, struct sockaddr_un *ret_address);

#endif
