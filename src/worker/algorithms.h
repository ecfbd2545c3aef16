/*
 * Those of OpenSSL's algorithms that a TLS client has use for, as a provider (provider(7)) of its own.
 *
 * OpenSSL 3.0 asks all its decoders, by all names of each kind of key, whenever it reads a certificate: a
 * hundred, for keys in whatever form, which is a fifth of a handshake (docs/PERFORMANCE.md).  One is left for
 * each kind of key that a certificate may have.  And keys, ciphers and signatures that are not there no server can have us use.
 */
#ifndef TLSB_WORKER_ALGORITHMS_H
#define TLSB_WORKER_ALGORITHMS_H

#include <openssl/types.h>

struct algorithms;

/*
 * From now on this thread has no others, wherever it names no library context of its own.  There may be one
 * at a time.  NULL: no memory.
 */
struct algorithms *algorithms_new(void);

/* All are there again.  NULL is fine.  What was made with them must have gone. */
void algorithms_free(struct algorithms *algorithms);

/* Their library context, for what is to keep it. */
OSSL_LIB_CTX *algorithms_context(const struct algorithms *algorithms);

#endif
