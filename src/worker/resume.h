/*
 * Sessions that may be resumed, for this badge alone: the cache lives and dies with its worker.
 *
 * A resumed session's certificate is not verified again, so the key holds everything that the
 * verification depended on, an entry ends with the chain's validity, and with that of an OCSP response,
 * and the whole cache goes when the trust bundle or the policy changes.
 */
#ifndef TLSB_WORKER_RESUME_H
#define TLSB_WORKER_RESUME_H

#include <openssl/ssl.h>
#include <stdint.h>
#include <time.h>

#define RESUME_KEY_BYTES 32

struct resume_key {
	uint8_t bytes[RESUME_KEY_BYTES];
};

struct resume_cache;

/* NULL without memory. */
struct resume_cache *resume_cache_new(void);
struct resume_cache *resume_cache_free(struct resume_cache *cache);

/* Keep SESSION (a reference is taken) until UNTIL, wall-clock seconds.  The
 * oldest makes room, the key's own if it has LIMIT_RESUME_OF_ONE. */
void resume_put(struct resume_cache *cache, const struct resume_key *key, SSL_SESSION *session,
		time_t until);

/*
 * A session for this key, or NULL; the caller frees it.  *ret_until: how long what is derived from it
 * may be kept.  A TLS 1.3 ticket is taken out, since using one twice lets an observer link the two
 * connections (RFC 8446, C.4); a TLS 1.2 session stays.
 */
SSL_SESSION *resume_take(struct resume_cache *cache, const struct resume_key *key,
			 time_t *ret_until);

/* Forget everything. */
void resume_flush(struct resume_cache *cache);

#endif
