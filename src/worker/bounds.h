/*
 * What the administrator's policy lets the sessions of this badge do: a program may ask for more than
 * that, a newer version or fewer ciphers, never for less.
 */
#ifndef TLSB_WORKER_BOUNDS_H
#define TLSB_WORKER_BOUNDS_H

#include <stdbool.h>

#include "wire/msg.h"
#include "worker/pins.h"

struct bounds {
	uint16_t version_min, version_max; /* max: of the ciphers that may be used */
	bool may_skip_verify, may_bring_ca, may_bring_cert, may_bring_psk, has_crls, needs_staple;
	char ciphers[LIMIT_CIPHERS + 1]; /* names, with colons between them */
	struct pins pins;
};

/* What holds until the supervisor has said something. */
void bounds_init(struct bounds *bounds);

/* Read a POLICY message.  On failure *ret is not touched.  0 or -EBADMSG. */
int bounds_parse(struct bounds *ret, const struct msg *msg);

/*
 * Whether a cipher suite of this name, LEN bytes, may be used.  0; -EACCES: the policy says no.
 * -EINVAL: there is none of that name.
 */
int bounds_cipher(const struct bounds *bounds, const char *name, size_t len);

/* The names in it that are of this version of TLS, with colons between them, into DST. */
void bounds_ciphers_of(const struct bounds *bounds, uint16_t version,
		       char dst[LIMIT_CIPHERS + 1]);

/* Which of them: by what the server is known with them. */
enum bounds_which { BOUNDS_ANY, BOUNDS_WITH_PSK, BOUNDS_WITHOUT_PSK };

/* The same of LIST, some of them. */
void bounds_ciphers_in(const char *list, uint16_t version, enum bounds_which which,
		       char dst[LIMIT_CIPHERS + 1]);

/* Why the server may not be known by a pre-shared key, beginning with the setting; NULL: it may. */
const char *bounds_against_psk(const struct bounds *bounds);

#endif
