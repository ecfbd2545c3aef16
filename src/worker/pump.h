/*
 * Bytes between the rings and TLS, zero-copy on our side: SSL_read writes into the receive ring,
 * SSL_write reads from the transmit ring.  The program may rewrite what it has published while it is
 * being encrypted; it then sends other bytes, and nothing else follows.
 */
#ifndef TLSB_WORKER_PUMP_H
#define TLSB_WORKER_PUMP_H

struct session;

enum pump {
	PUMP_WAIT,   /* as far as it goes: an event or a bell will come */
	PUMP_AGAIN,  /* the turn's share is used up, there is more */
	PUMP_END,    /* in: close_notify came.  out: close_notify went, if it was owed */
	PUMP_BROKEN, /* TLS or TCP failed; *ret_error is SSL_get_error()'s */
	PUMP_FLOOD,  /* in: too many records without data, LIMIT_IDLE_RECORDS */
	PUMP_LIE,    /* the program's ring words are impossible */
};

/* Network to program. */
enum pump pump_in(struct session *session, int *ret_error);

/* Program to network, and close_notify behind the last byte when that was asked for. */
enum pump pump_out(struct session *session, int *ret_error);

/* Ring for everything that was published since the last bell. */
void pump_ring(struct session *session);

#endif
