/*
 * What a program asked for: the CONNECT message, checked and kept until the handshake is over.
 */
#ifndef TLSB_WORKER_REQUEST_H
#define TLSB_WORKER_REQUEST_H

#include <stdbool.h>

#include "keys/keyfile.h"
#include "wire/msg.h"
#include "worker/bounds.h"
#include "worker/psk.h"

struct identity;

struct request {
	char host[LIMIT_HOST + 1];
	char name[LIMIT_HOST + 1]; /* to verify; the host's own when none was given */
	char alpn[LIMIT_ALPN + 1];
	char ciphers[LIMIT_CIPHERS + 1];
	char identity[LIMIT_BADGE + 1]; /* "": none */
	uint16_t port;
	uint16_t family;
	uint16_t version_min, version_max;
	uint32_t deadline_ms;
	bool verify;
	bool resume;
	bool is_address; /* name is an IP address: no SNI, verified as an address */
	char *ca;        /* the program's own CA certificates, or NULL */
	uint32_t ca_len;
	struct pins pins; /* the program's own */
	struct psk_use *psk; /* NULL: none */
	char *cert;       /* the program's own certificate, or NULL */
	uint32_t cert_len;
	int key_fd;       /* its key, until it is lent; never read */
	uint8_t key_digest[KEYFILE_DIGEST];
	struct identity *own; /* of both, once the key is lent */
};

/* NULL: no memory. */
struct request *request_new(void);

/*
 * Read a CONNECT message, from a program: hostile.  CA, certificate and key stay untouched.  -EBADMSG: it
 * breaks the protocol.  -EINVAL, -EACCES: it asks for what cannot be or is beyond its BOUNDS, *ret_text
 * says it.
 */
int request_parse(struct request *request, const struct msg *msg, const struct bounds *bounds,
		  const char **ret_text);

/* NULL is fine. */
struct request *request_free(struct request *request);

#endif
