/*
 * The verification of a server's certificate: OpenSSL's, but no more of it than a worker has time for.
 */
#ifndef TLSB_WORKER_VERIFY_H
#define TLSB_WORKER_VERIFY_H

#include <openssl/ssl.h>

/* Sessions of CTX verify no chain that would hold up the others; see LIMIT_CHAIN_BYTES and below. */
void verify_bound(SSL_CTX *ctx);

/* For SSL_set_verify(): tells the session why its server's certificate was refused. */
int verify_on_step(int ok, X509_STORE_CTX *store);

#endif
