/*
 * Closing what somebody else made.
 *
 * Whoever talks to us can pass us descriptors that we never asked for: they are closed as they come,
 * or with the socket in which they lie unread.  One of them may be a TCP socket with SO_LINGER set
 * and bytes that its peer does not take; whoever closes it last waits, in close(2) or even in
 * recvmsg(2), for as long as whoever made it said, and nobody else is served.  A signal ends the
 * wait, so wherever such a thing can happen a timer ticks.
 */
#ifndef TLSB_BASE_TICKS_H
#define TLSB_BASE_TICKS_H

/* Before the sandbox: what the timer's signal does, which is nothing.  0 or -errno.  In a process
 * that does not call it, nothing ticks. */
int ticks_prepare(void);

/* In between, no wait lasts; calls that would wait fail with EINTR.  Both keep errno. */
void ticks_begin(void);
void ticks_end(void);

/* fd_close(), without waiting for anything that came with it. */
int ticks_close(int fd);

#endif
