#include "keyholder/input.h"

#include <stdbool.h>
#include <string.h>

#include "base/macros.h"
#include "tlsbroker.h"

/* ---- TLS 1.3 ---- */

static bool is_1_3(const uint8_t *bytes, size_t len)
{
	static const char context[] = "TLS 1.3, client CertificateVerify"; /* its NUL is part of it */
	const size_t spaces = 64, fixed = spaces + sizeof(context);

	/* Behind it stands a SHA-256 or a SHA-384. */
	if (len != fixed + 32 && len != fixed + 48)
		return false;
	for (size_t i = 0; i < spaces; i++) {
		if (bytes[i] != ' ')
			return false;
	}
	return memcmp(bytes + spaces, context, sizeof(context)) == 0;
}

/* ---- TLS 1.2 ---- */

enum handshake {
	CLIENT_HELLO = 1,
	SERVER_HELLO = 2,
	CERTIFICATE = 11,
	SERVER_KEY_EXCHANGE = 12,
	CERTIFICATE_REQUEST = 13,
	SERVER_HELLO_DONE = 14,
	CLIENT_KEY_EXCHANGE = 16,
	CERTIFICATE_STATUS = 22,
};

/* RFC 5246, 7.3; RFC 6066, 8.  Without a key exchange of the server's there is no forward secrecy. */
static const struct {
	uint8_t type;
	bool is_optional;
} flight[] = {
	{ CLIENT_HELLO, false },	 { SERVER_HELLO, false },
	{ CERTIFICATE, false },		 { CERTIFICATE_STATUS, true },
	{ SERVER_KEY_EXCHANGE, false },	 { CERTIFICATE_REQUEST, false },
	{ SERVER_HELLO_DONE, false },	 { CERTIFICATE, false },
	{ CLIENT_KEY_EXCHANGE, false },
};

static bool is_1_2(const uint8_t *bytes, size_t len)
{
	size_t step = 0;

	while (len > 0) {
		size_t body;

		if (len < 4)
			return false;
		body = (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
		if (body > len - 4)
			return false;
		while (step < ARRAY_SIZE(flight) && flight[step].is_optional &&
		       flight[step].type != bytes[0])
			step++;
		if (step == ARRAY_SIZE(flight) || flight[step].type != bytes[0])
			return false;
		/* A hello begins with its version; no other protocol's signatures look like that. */
		if (bytes[0] == CLIENT_HELLO && (body < 2 || bytes[4] != 3 || bytes[5] != 3))
			return false;
		step++;
		bytes += 4 + body;
		len -= 4 + body;
	}
	return step == ARRAY_SIZE(flight);
}

uint16_t input_version(const uint8_t *bytes, size_t len)
{
	if (is_1_3(bytes, len))
		return TLSB_TLS_1_3;
	return is_1_2(bytes, len) ? TLSB_TLS_1_2 : 0;
}
