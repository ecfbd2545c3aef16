/*
 * OpenSSL, set up once for the worker, and what a session may change of it.
 */
#ifndef TLSB_WORKER_TLS_H
#define TLSB_WORKER_TLS_H

#include <openssl/ssl.h>

#include "trust/index.h"
#include "worker/identity.h"
#include "worker/net.h"
#include "worker/psk.h"
#include "worker/request.h"
#include "worker/resume.h"

struct algorithms;

struct tls {
	struct algorithms *algorithms;
	SSL_CTX *ctx;
	BIO_METHOD *net_method;
	struct bounds bounds;
	struct trust_index trust;
	struct trust_index crls, crls_coming; /* in force; and with the next trust.  Empty: none */
	unsigned trust_number; /* how many of it and of bounds there were before */
	struct resume_cache *cache;
	struct provider *provider; /* of private keys, which are the keyholder's */
	struct identities identities;
	struct psks psks;
};

struct session;

/*
 * Before the sandbox: everything that OpenSSL may want from files or will want often.  No
 * configuration file is read, so no environment or file of the machine changes what it does.
 * 0 or -ENOMEM.
 */
int tls_prepare(struct tls *tls);
void tls_deinit(struct tls *tls);

/* These revocation lists, the index in FD, which stays the caller's, will come with the next trust.  0 or
 * -errno. */
int tls_set_crls(struct tls *tls, int fd);

/* No server's chain is good without a list of each of its CAs. */
bool tls_has_crls(const struct tls *tls);

/*
 * Verify new sessions against the index in FD, which stays the caller's, and against the lists that came
 * since the last one.  0 or -errno: -ENOENT, the policy says that there are lists, and none came.
 */
int tls_set_trust(struct tls *tls, int fd);

/* New sessions stay within BOUNDS, and resume none that was made within others.  On failure everything
 * stays as it was.  0 or -ENOMEM. */
int tls_set_bounds(struct tls *tls, const struct bounds *bounds);

/*
 * A TLS client over NET for REQUEST; SESSION is what the callbacks get (session_on_...).  On failure
 * *ret_text says why, for the program's eyes: -EINVAL when the request cannot be used, -EACCES when
 * it is beyond the bounds, else -ENOMEM.
 */
int tls_client_new(struct tls *tls, struct request *request, struct net *net,
		   struct session *session, SSL **ret_ssl, const char **ret_text);

/* The session of a callback's SSL. */
struct session *tls_session_of(const SSL *ssl);

/*
 * Whose pins this chain, or without verification the server's own certificate in front of it, does not
 * satisfy; NULL: it satisfies the policy's and the program's.
 */
const char *tls_missing_pin(const struct tls *tls, const struct request *request,
			    const STACK_OF(X509) *chain);

/* Whether there are any, of either. */
bool tls_has_pins(const struct tls *tls, const struct request *request);

/* Whether the policy, or the server's certificate itself, demands an OCSP response with it. */
bool tls_needs_staple(const struct tls *tls, const SSL *ssl);

/* What resumption depends on: see resume.h.  0 or -ENOMEM: then nothing may be resumed. */
int tls_resume_key(const struct request *request, struct resume_key *ret_key);

/* The earliest end of validity in the verified chain, at most UNTIL, wall-clock seconds. */
time_t tls_chain_until(SSL *ssl, time_t until);

#endif
