/*
 * What was agreed, gathered while the handshake runs, for tlsb_info().
 */
#ifndef TLSB_WORKER_FACTS_H
#define TLSB_WORKER_FACTS_H

#include <openssl/ssl.h>

#include "tlsbroker.h"
#include "wire/messages.h"

/* A name as RFC 2253 writes it, one printable line, cut if need be.  Returns DST. */
char *facts_name(const X509_NAME *name, char *dst, size_t size);

/* Where the connector got to. */
void facts_dialed(struct tlsb_info *info, const struct msg_dialed *dialed);

/* A message of the handshake passed, MS after the connection was there. */
void facts_step(struct tlsb_info *info, int sent, int content_type, const uint8_t *bytes,
		size_t len, uint64_t ms);

/* The handshake is over. */
void facts_established(struct tlsb_info *info, SSL *ssl, int verified, uint64_t us);

#endif
