/*
 * What an OpenSSL failure means: an enum tlsb_error and one line that a person can act on.
 */
#ifndef TLSB_WORKER_VERDICT_H
#define TLSB_WORKER_VERDICT_H

#include <openssl/ssl.h>

#include "wire/limits.h"
#include "worker/net.h"
#include "worker/staple.h"

struct verdict {
	uint32_t code;
	char text[LIMIT_TEXT + 1];
};

/*
 * Verification of a chain has failed at STORE's current certificate.  NAME: whom the certificate
 * should have been for.
 */
void verdict_of_certificate(X509_STORE_CTX *store, const char *name, struct verdict *ret_verdict);

/* Something in the chain of NAME's certificate is more than is verified here; WHY is printable. */
void verdict_of_objection(const char *name, const char *why, struct verdict *ret_verdict);

/* By its OCSP response, or without one. */
void verdict_of_staple(const char *name, const struct staple *staple, struct verdict *ret_verdict);

/* No key is one of the pins of WHOSE. */
void verdict_of_pins(const char *name, const char *whose, struct verdict *ret_verdict);

/*
 * TLS over NET has failed with SSL_get_error() == ERROR for another reason, and OpenSSL's error queue
 * is as it left it; it is empty afterwards.  ESTABLISHED: the handshake was over by then.
 */
void verdict_of(const struct net *net, int error, bool established, struct verdict *ret_verdict);

#endif
