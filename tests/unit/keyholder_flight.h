/*
 * What a TLS client signs, made by hand: the text of TLS 1.3, and the messages of TLS 1.2 one by one, so
 * that a test can change either.  Header-only.
 */
#ifndef TLSB_TESTS_KEYHOLDER_FLIGHT_H
#define TLSB_TESTS_KEYHOLDER_FLIGHT_H

#include "testing.h"

#include <stdio.h>

#define FLIGHT_SPACES 64
#define FLIGHT_TEXT   "TLS 1.3, client CertificateVerify"

/* RFC 8446, 4.4.3: 64 spaces, a text with its NUL, a hash. */
static inline size_t flight_1_3(uint8_t bytes[256], const char *text, size_t hash_len)
{
	size_t len = FLIGHT_SPACES;

	memset(bytes, ' ', len);
	memcpy(bytes + len, text, strlen(text) + 1);
	len += strlen(text) + 1;
	memset(bytes + len, 0xd5, hash_len);
	return len + hash_len;
}

/* RFC 5246, 7.4: what goes before a client's CertificateVerify. */
static const uint8_t flight_types[] = { 1, 2, 11, 22, 12, 13, 14, 11, 16 };

/* Which of them need not be there. */
#define FLIGHT_STATUS 3

/* One message: so many bytes of the version and then noise.  Returns the end. */
static inline uint8_t *flight_add(uint8_t *at, uint8_t type, size_t body)
{
	const uint8_t head[] = { type, (uint8_t)(body >> 16), (uint8_t)(body >> 8), (uint8_t)body };

	memcpy(at, head, sizeof(head));
	at += sizeof(head);
	for (size_t i = 0; i < body; i++)
		at[i] = i < 2 ? 3 : (uint8_t)(i * 37);
	return at + body;
}

/* Of COUNT types, each message with BODY bytes. */
static inline size_t flight_1_2(uint8_t *bytes, const uint8_t *types, size_t count, size_t body)
{
	uint8_t *at = bytes;

	for (size_t i = 0; i < count; i++)
		at = flight_add(at, types[i], body);
	return (size_t)(at - bytes);
}

#endif
