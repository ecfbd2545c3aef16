/*
 * An OCSP response that a server sends along with its certificate ("stapled": RFC 6066, 8): what the CA
 * says of it, not long ago.  Nobody is asked over the network.
 */
#ifndef TLSB_WORKER_STAPLE_H
#define TLSB_WORKER_STAPLE_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct staple {
	uint32_t code;	  /* of enum tlsb_error; NONE: the certificate is good */
	const char *text; /* why it is not, behind "the certificate of NAME" */
	time_t until;	  /* how long it is, wall-clock seconds */
};

/* Whether CERT says that no server may show it without one (RFC 7633). */
bool staple_is_demanded(const X509 *cert);

/*
 * Judge LEN bytes that came with CHAIN, which is verified, the server's own certificate first.  NULL: none
 * came.  It costs no more than verifying a certificate: see LIMIT_STAPLE_BYTES.
 */
struct staple staple_judge(const STACK_OF(X509) *chain, const uint8_t *der, size_t len);

#endif
