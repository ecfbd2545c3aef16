/*
 * The worker: the TLS sessions of one badge.  Everything that parses hostile bytes from the network
 * happens here, so this process can open nothing, dial nothing and start nothing; what it knows of
 * the outside comes over its channels to supervisor, frontdoor and connector.
 *
 *   worker.c    the role: channels, badge, trust, drain
 *   client.c    one program's connection: hello, new sessions, status
 *   session.c   one session's life; by its stages: setup.c, handshake.c, flow.c, linger.c
 *   request.c   what a program asked for in CONNECT, checked
 *   bounds.c    what it may ask for: the policy    review.c   what a reload means for sessions that are there
 *   pump.c      bytes between rings and TLS
 *   tls.c       OpenSSL contexts and settings      net.c      the TCP socket below it
 *   algorithms.c  what is left of OpenSSL's        provider.c  keys that are elsewhere, for OpenSSL
 *   verify.c    what certificates may cost, and be  pins.c, staple.c  what else is demanded of them
 *   psk.c       pre-shared keys                    pskoffer.c  how OpenSSL offers them
 *   verdict.c   what an OpenSSL failure means      facts.c    what was agreed, for tlsb_info()
 *   resume.c    resumption cache                   quota.c    what one user may hold
 *   signing.c   handshakes that show an identity    lending.c  one that the program has brought
 *   identity.c  which ones there are                fibre.c    a handshake that can wait for a signature
 *   errand.c    what programs ask of keys
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
