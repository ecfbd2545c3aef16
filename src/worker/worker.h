/*
 * The worker: the TLS sessions of one badge.  Everything that parses hostile bytes from the network
 * happens here, so this process can open nothing, dial nothing and start nothing; what it knows of
 * the outside comes over its channels to supervisor, frontdoor and connector.
 *
 *   worker.c    the role: channels, badge, trust, drain
 *   client.c    one program's connection: hello, new sessions, status
 *   session.c   one session's life: asked for, dialled, handshake, data, end
 *   request.c   what a program asked for in CONNECT, checked
 *   bounds.c    what it may ask for: the policy
 *   pump.c      bytes between rings and TLS
 *   tls.c       OpenSSL contexts and settings      net.c      the TCP socket below it
 *   verdict.c   what an OpenSSL failure means      facts.c    what was agreed, for tlsb_info()
 *   resume.c    resumption cache                   quota.c    what one user may hold
 *   signing.c   handshakes that show an identity    lending.c  one that the program has brought
 *   audit.c     the record that every session leaves    listing.c  for "sessions" and "kill"
 *   unread.c    channels on their way to programs, and sessions that wait for a place among them
 *   leisure.c   what is done when nobody waits: freeing, and a channel for the next session
 *   ages.c      how long sessions may be idle, and last
 */
#ifndef TLSB_WORKER_WORKER_H
#define TLSB_WORKER_WORKER_H

#include "role/role.h"

extern const struct child_ops worker_ops;

#endif
