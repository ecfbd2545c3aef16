/*
 * Private keys that programs bring along: passed on to the keyholder, unread, for as long as the handshake
 * takes.  From then on they sign as an identity's key does (signing.h).
 *
 *   setup.c -> lending_begin() ~~ KEY_LEND ~~> keyholder    a descriptor, and its key's number comes back
 *                              <~~ KEY_LENT ~~              with the public half: is it the certificate's?
 *   session_begin() ... the handshake ... lending_free() ~~ KEY_BACK ~~>
 *
 * A worker lends no more than LIMIT_LENT of them at once; sessions that come then stand in line.  A
 * keyholder that dies has lost what it was lent, and the handshakes end that need it.
 */
#ifndef TLSB_WORKER_LENDING_H
#define TLSB_WORKER_LENDING_H

#include "wire/msg.h"

struct lending;
struct session;
struct worker;

/* What is said of a session whose server has seen a certificate that the program brought: no identity of
 * the configuration has such a name. */
#define OWN_IDENTITY "(own)"

/* The session's certificate and key are here: have the key lent, then begin.  May end the session. */
void lending_begin(struct session *session);

/* The key goes back.  NULL is fine.  Returns NULL. */
struct lending *lending_free(struct lending *lending);

/* The keyholder's answer. */
void lending_on_lent(struct worker *worker, const struct msg *msg);

/* The keyholder has gone; another one is there. */
void lending_on_keyholder_gone(struct worker *worker);
void lending_on_keyholder(struct worker *worker);

#endif
