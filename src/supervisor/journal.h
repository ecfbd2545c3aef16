/*
 * The journal's socket.  libsystemd has the same, but waits as long as the journal does not read; and
 * while the supervisor waits nobody is started, and in the end the watchdog ends all.
 */
#ifndef TLSB_SUPERVISOR_JOURNAL_H
#define TLSB_SUPERVISOR_JOURNAL_H

#include <sys/uio.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Fields of an entry at most. */
#define JOURNAL_FIELDS_MAX 40

/* A socket to send entries from.  0 or -errno. */
int journal_open(int *ret_fd);

/* An entry: fields "NAME=value" without newlines.  0 or -errno, -EAGAIN if nobody reads. */
int journal_send(int fd, const struct iovec *fields, int count);

#endif
