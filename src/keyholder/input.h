/*
 * What may be signed: only what a TLS client signs to prove that it has a key, and nothing that means
 * something elsewhere.
 *
 * In TLS 1.3 that is a fixed text and the hash of a handshake (RFC 8446, 4.4.3): the text is checked.
 * In TLS 1.2 it is all messages of the handshake so far (RFC 5246, 7.4.8): they are checked to be one
 * of each, in their order, with lengths that add up.
 *
 * What cannot be checked from here: that there is such a handshake, and with whom.  A worker that was
 * taken over can have signed, with keys that its badge was granted and only as long as it runs, that
 * it is the identity, to any server that it can reach.  It never gets the key.
 */
#ifndef TLSB_KEYHOLDER_INPUT_H
#define TLSB_KEYHOLDER_INPUT_H

#include <stddef.h>
#include <stdint.h>

/* The version of TLS in which a client signs these bytes, TLSB_TLS_1_2 or TLSB_TLS_1_3; 0: in none. */
uint16_t input_version(const uint8_t *bytes, size_t len);

#endif
