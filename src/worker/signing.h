/*
 * Handshakes that show an identity.  When OpenSSL wants the signature, the handshake stops (fibre.h)
 * until the keyholder has made it; all other sessions go on.
 *
 *   handshake.c -> signing_handshake() -> OpenSSL -> provider.c -> signing_sign() ~~ SIGN ~~> keyholder
 *                                                                              <~~ SIGNED ~~
 *
 * A keyholder that dies meanwhile is followed by another, which is asked again.
 */
#ifndef TLSB_WORKER_SIGNING_H
#define TLSB_WORKER_SIGNING_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "wire/msg.h"
#include "worker/provider.h"

struct session;
struct signing;
struct worker;

/*
 * What the keyholder has not answered yet, also for sessions that have ended: it answers in the order in
 * which it was asked, and cuts off who asks for more than LIMIT_SIGNS and LIMIT_SIGNS_BYTES at once.
 */
struct signs_asked {
	uint32_t lens[LIMIT_SIGNS]; /* in a ring */
	unsigned first, count;
	size_t bytes;
	unsigned psks; /* and so many pre-shared keys */
};

/* For SESSION, whose SSL is to use an identity.  NULL: no memory. */
struct signing *signing_new(struct session *session);

/* Before the SSL is freed: a handshake that has stopped fails.  NULL is fine.  Returns NULL. */
struct signing *signing_free(struct signing *signing);

/*
 * SSL_do_handshake(), as far as it goes now.  1: *ret_result is what it returned and *ret_error what
 * SSL_get_error() says.  0: it has stopped, and session_pump() is called when it can go on.  -ENOMEM.
 */
int signing_handshake(struct signing *signing, SSL *ssl, int *ret_result, int *ret_error);

/* Whether a signature was made: the server has asked who we are, and was told. */
bool signing_has_signed(const struct signing *signing);

/* The provider's. */
provider_signer signing_sign;

/* The keyholder's answer. */
void signing_on_signed(struct worker *worker, const struct msg *msg);

/* The keyholder has gone; another one is there, or has room: what was asked of the one is asked of the other,
 * pre-shared keys (psk.h), too. */
void signing_on_keyholder_gone(struct worker *worker);
void signing_on_keyholder(struct worker *worker);

#endif
