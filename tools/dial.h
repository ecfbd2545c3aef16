/*
 * A plain connection to the broker, for what the library has no call for.
 */
#ifndef TLSB_TOOLS_DIAL_H
#define TLSB_TOOLS_DIAL_H

#include <stddef.h>

/*
 * Connect to the broker at PATH; NULL: where tlsb_open() looks.  *ret_path (SIZE bytes) is the
 * place that was tried last, also on failure.  The caller owns *ret_fd, non-blocking.  0 or -errno.
 */
int dial_broker(const char *path, char *ret_path, size_t size, int *ret_fd);

#endif
