/*
 * A pin: the SHA-256 of a server's public key, as RFC 7469 computes it, which is of the certificate's
 * SubjectPublicKeyInfo.  A key stays when its certificate is renewed.
 */
#ifndef TLSB_BASE_PIN_H
#define TLSB_BASE_PIN_H

#include <stdint.h>

#define PIN_PREFIX "sha256/"
#define PIN_BYTES  32

struct pin {
	uint8_t bytes[PIN_BYTES];
};

/* Read the base64 of 32 bytes, with or without PIN_PREFIX in front.  0, or -EINVAL: it is not that. */
int pin_parse(const char *text, struct pin *ret_pin);

/* The text of one: 51 bytes and a NUL. */
#define PIN_TEXT 51

/* As pin_parse() reads it, with the prefix.  Returns DST. */
char *pin_format(const struct pin *pin, char dst[PIN_TEXT + 1]);

#endif
