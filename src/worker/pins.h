/*
 * Keys that a server's certificates are known by.  A set of pins is a floor: of the chain that was
 * verified at least one certificate has one of these keys; where nobody verifies, the server's own.
 */
#ifndef TLSB_WORKER_PINS_H
#define TLSB_WORKER_PINS_H

#include <openssl/x509.h>
#include <stdbool.h>

#include "base/pin.h"
#include "wire/msg.h"

struct pins {
	unsigned count; /* none: whatever key it is */
	struct pin list[LIMIT_PINS];
};

/* COUNT pins at *AT of a message's tail, as bytes.  Advances *AT.  0 or -EBADMSG. */
int pins_read(struct pins *pins, const struct msg *msg, uint32_t *at, unsigned count);

/* Whether CERT has one of these keys. */
bool pins_have(const struct pins *pins, X509 *cert);

/* Whether one of CHAIN has one; or there are no pins. */
bool pins_hold(const struct pins *pins, const STACK_OF(X509) *chain);

#endif
