/*
 * A client's socket in the frontdoor's hands: refused, or given away.
 *
 * A client can pass us descriptors that we never asked for: they lie unread in its socket, and the
 * close of that socket is then theirs too.  One of them may be a TCP socket with SO_LINGER set and
 * bytes that its peer does not take; close(2) waits for such a one, for as long as whoever made it
 * said, and nobody else would be let in.  A signal ends the wait, so wherever a client's socket is
 * touched for the last time, a timer ticks.
 */
#ifndef TLSB_FRONTDOOR_CALLER_H
#define TLSB_FRONTDOOR_CALLER_H

#include "frontdoor/state.h"
#include "tlsbroker.h"

/* Before the sandbox: what the timer's signal does, which is nothing.  0 or -errno. */
int caller_prepare(void);

/* Close a client's socket without waiting for anything that came with it. */
void caller_close(int fd);

/* Tell a client why it cannot stay, and now and then the log; FD is closed. */
void caller_refuse(struct frontdoor *frontdoor, int fd, const struct ucred *peer,
		   enum tlsb_error error, const char *text);

#endif
