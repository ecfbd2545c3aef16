/*
 * A call that can stop in the middle and be gone on with later, on a stack of its own.
 *
 * OpenSSL asks for a signature deep within a handshake, and has the answer before it returns; a worker
 * cannot wait for one that another process makes.  OpenSSL's own way out (SSL_MODE_ASYNC) does the same
 * with a stack of 32 KiB that nothing guards; this one is large, and what lies below it is a fault.
 */
#ifndef TLSB_WORKER_FIBRE_H
#define TLSB_WORKER_FIBRE_H

#include <stdbool.h>

struct fibre;

/* NULL: no memory. */
struct fibre *fibre_new(void);

/* Not in the middle of a call.  NULL is fine.  Returns NULL. */
struct fibre *fibre_free(struct fibre *fibre);

/* Call RUN(ARG).  True when it has returned, false when it has stopped. */
bool fibre_call(struct fibre *fibre, void (*run)(void *arg), void *arg);

/* Go on with the call that has stopped.  As fibre_call(). */
bool fibre_resume(struct fibre *fibre);

/* Within a call: stop, until it is gone on with. */
void fibre_stop(void);

#endif
