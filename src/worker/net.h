/*
 * The TCP socket under a TLS session, as an OpenSSL BIO of our own.  Unlike OpenSSL's socket BIO it
 *
 *   - says what happened: end of stream, errno;
 *   - never raises SIGPIPE, and does not let a failure to send stand in the way of reading what the
 *     peer had sent before it went: what cannot be sent is dropped and the failure noted;
 *   - reads on until the socket says that it is drained, since the socket's event is edge-triggered
 *     (a short read does not say so: a reset may be right behind the data, and both are one edge);
 *   - stops after LIMIT_PUMP_BYTES a turn, so that a peer that sends records without data (KeyUpdate,
 *     tickets) as fast as it can is still only one of many.
 */
#ifndef TLSB_WORKER_NET_H
#define TLSB_WORKER_NET_H

#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>

struct net {
	int fd;
	int error;    /* the errno that ended it, or 0 */
	bool eof;     /* the peer's FIN was read */
	int broken;   /* the errno that ended the sending half; what the peer sent may still be read */
	bool full;    /* the socket took no more; until it polls writable */
	bool drained; /* nothing to read until the socket polls readable again */
	bool partly;  /* the last read got less than it had room for: likely it was all */
	size_t turn;  /* bytes read this turn */
	bool more;    /* another record follows at once: TCP may join them */
};

/* Once per process, before the sandbox.  NULL without memory. */
BIO_METHOD *net_method_new(void);

/* A BIO over NET, which must outlive it; neither owns the descriptor.  NULL without memory. */
BIO *net_bio_new(const BIO_METHOD *method, struct net *net);

/*
 * What TCP has not sent yet is given up: when the descriptor is closed, which has to follow, the peer
 * hears a reset.  Without, the kernel goes on for PEER_SILENT_MS, and holds what no quota counts.
 */
void net_give_up(const struct net *net);

/* A turn of the event loop begins. */
static inline void net_turn(struct net *net)
{
	net->turn = 0;
}

/* What the socket's (edge-triggered) event said. */
static inline void net_event(struct net *net, bool readable, bool writable)
{
	net->drained = net->drained && !readable;
	net->full = net->full && !writable;
}

#endif
