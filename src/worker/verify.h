/*
 * The verification of a server's certificate: OpenSSL's, but no more of it than a worker has time for;
 * and what else is asked of it: pins, revocation lists, an OCSP response.
 */
#ifndef TLSB_WORKER_VERIFY_H
#define TLSB_WORKER_VERIFY_H

#include <openssl/ssl.h>
#include <stdbool.h>

/* Why a chain is too much; "" while it is not. */
struct objection {
	char text[100];
};

/* Whether CHAIN is verified soon enough, whoever made it; else OBJECTION says what is too much. */
bool verify_is_fair(const STACK_OF(X509) *chain, struct objection *objection);

/* Sessions of CTX verify no chain that would hold up the others; see LIMIT_CHAIN_BYTES and below. */
void verify_bound(SSL_CTX *ctx);

/* For SSL_set_verify(): tells the session why its server's certificate was refused. */
int verify_on_step(int ok, X509_STORE_CTX *store);

#endif
