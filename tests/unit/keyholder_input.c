/*
 * What may be signed (keyholder/input.c): the text of TLS 1.3 and the messages of TLS 1.2, and nothing that
 * differs from them by a byte, a length, or a message.
 */
#include "keyholder_flight.h"

#include "tests/attacks.h"
#include "keyholder/input.h"
#include "tests/unit/testing_x509.h"
#include "tlsbroker.h"
#include "wire/limits.h"

static uint64_t refused;

/* From memory of its own, so that a sanitizer sees its end. */
static uint16_t version_of(const void *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	uint16_t version;

	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, bytes, len);
	version = input_version(copy, len);
	free(copy);
	return version;
}

static void refuse(const void *bytes, size_t len, const char *what)
{
	if (version_of(bytes, len) != 0)
		fail_msg("signed: %s", what);
	refused++;
}

/* ---- TLS 1.3 ---- */

static void the_text_of_tls_1_3_with_either_hash_is_signed(void **state unused_)
{
	uint8_t bytes[256];

	assert_int_equal(version_of(bytes, flight_1_3(bytes, FLIGHT_TEXT, 32)), TLSB_TLS_1_3);
	assert_int_equal(version_of(bytes, flight_1_3(bytes, FLIGHT_TEXT, 48)), TLSB_TLS_1_3);
}

static void each_bit_of_the_fixed_text_counts(void **state unused_)
{
	const size_t fixed = FLIGHT_SPACES + sizeof(FLIGHT_TEXT);
	uint8_t bytes[256];

	for (size_t hash = 32; hash <= 48; hash += 16) {
		size_t len = flight_1_3(bytes, FLIGHT_TEXT, hash);

		for (size_t bit = 0; bit < 8 * fixed; bit++) {
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			refuse(bytes, len, "a text with a bit flipped");
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		/* The hash may be any. */
		for (size_t i = fixed; i < len; i++) {
			bytes[i] ^= 0xff;
			assert_int_equal(version_of(bytes, len), TLSB_TLS_1_3);
		}
	}
}

static void every_other_length_is_refused(void **state unused_)
{
	uint8_t bytes[256];

	for (size_t hash = 0; hash < 128; hash++) {
		size_t len = flight_1_3(bytes, FLIGHT_TEXT, hash);

		if (hash != 32 && hash != 48)
			refuse(bytes, len, "a hash of another length");
	}
	for (size_t len = 0; len < flight_1_3(bytes, FLIGHT_TEXT, 32); len++)
		refuse(bytes, len, "a text that was cut");
}

static void other_texts_of_tls_1_3_are_refused(void **state unused_)
{
	static const char *const texts[] = {
		"TLS 1.3, server CertificateVerify", "TLS 1.3, client certificateverify",
		"TLS 1.2, client CertificateVerify", "TLS 1.3, client CertificateVerif",
		"TLS 1.3, client CertificateVerify ", "",
		/* RFC 9345 and RFC 9261: what else keys sign in the neighbourhood of TLS. */
		"TLS, client delegated credentials", "TLS, server delegated credentials",
		"Exported Authenticator",
	};
	uint8_t bytes[256];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		refuse(bytes, flight_1_3(bytes, texts[i], 32), texts[i]);
		refuse(bytes, flight_1_3(bytes, texts[i], 48), texts[i]);
		/* One of the right length altogether. */
		refuse(bytes, flight_1_3(bytes, texts[i], 32 + strlen(FLIGHT_TEXT) - MIN(strlen(texts[i]),
							strlen(FLIGHT_TEXT))), texts[i]);
	}
}

/* ---- TLS 1.2 ---- */

#define COUNT ARRAY_SIZE(flight_types)

static void the_messages_of_tls_1_2_are_signed(void **state unused_)
{
	static uint8_t bytes[LIMIT_SIGN_BYTES];
	static const uint8_t plain[] = { 1, 2, 11, 12, 13, 14, 11, 16 };

	for (size_t body = 2; body < 300; body += 7) {
		assert_int_equal(version_of(bytes, flight_1_2(bytes, flight_types, COUNT, body)),
				 TLSB_TLS_1_2);
		assert_int_equal(version_of(bytes, flight_1_2(bytes, plain, sizeof(plain), body)),
				 TLSB_TLS_1_2);
	}
	/* As long as it may be. */
	assert_int_equal(version_of(bytes, flight_1_2(bytes, plain, sizeof(plain), 8000)),
			 TLSB_TLS_1_2);
}

static void each_message_missing_is_noticed(void **state unused_)
{
	uint8_t bytes[1024], types[COUNT];

	for (size_t without = 0; without < COUNT; without++) {
		size_t count = 0;

		for (size_t i = 0; i < COUNT; i++) {
			if (i != without)
				types[count++] = flight_types[i];
		}
		if (without != FLIGHT_STATUS)
			refuse(bytes, flight_1_2(bytes, types, count, 8), "a message less");
	}
	for (size_t count = 0; count < COUNT; count++)
		refuse(bytes, flight_1_2(bytes, flight_types, count, 8), "the first messages only");
	for (size_t from = 1; from < COUNT; from++)
		refuse(bytes, flight_1_2(bytes, flight_types + from, COUNT - from, 8),
		       "the last messages only");
}

static void each_message_twice_is_noticed(void **state unused_)
{
	uint8_t bytes[1024], types[COUNT + 1];

	for (size_t twice = 0; twice < COUNT; twice++) {
		for (size_t i = 0; i < COUNT + 1; i++)
			types[i] = flight_types[i <= twice ? i : i - 1];
		refuse(bytes, flight_1_2(bytes, types, COUNT + 1, 8), "a message twice");
	}
}

static void each_two_messages_exchanged_are_noticed(void **state unused_)
{
	uint8_t bytes[1024], types[COUNT];

	for (size_t i = 0; i < COUNT; i++) {
		for (size_t j = i + 1; j < COUNT; j++) {
			memcpy(types, flight_types, COUNT);
			types[i] = flight_types[j];
			types[j] = flight_types[i];
			if (types[i] != types[j])
				refuse(bytes, flight_1_2(bytes, types, COUNT, 8),
				       "two messages exchanged");
		}
	}
}

static void each_other_type_is_noticed(void **state unused_)
{
	uint8_t bytes[1024], types[COUNT + 1];

	for (size_t at = 0; at < COUNT; at++) {
		for (unsigned type = 0; type < 256; type++) {
			memcpy(types, flight_types, COUNT);
			types[at] = (uint8_t)type;
			if (type != flight_types[at])
				refuse(bytes, flight_1_2(bytes, types, COUNT, 8), "another type");
		}
	}
	for (unsigned type = 0; type < 256; type++) {
		memcpy(types, flight_types, COUNT);
		types[COUNT] = (uint8_t)type;
		refuse(bytes, flight_1_2(bytes, types, COUNT + 1, 8), "a message more");
	}
}

/* Every prefix, every byte of every length, and bytes behind the last message. */
static void lengths_that_do_not_add_up_are_noticed(void **state unused_)
{
	uint8_t bytes[1024] = { 0 };
	const size_t body = 8, each = 4 + body, len = flight_1_2(bytes, flight_types, COUNT, body);

	for (size_t cut = 0; cut < len; cut++)
		refuse(bytes, cut, "messages that were cut");
	for (size_t more = 1; more < 8; more++)
		refuse(bytes, len + more, "bytes behind the last message");
	for (size_t i = 0; i < COUNT; i++) {
		for (size_t byte = 1; byte < 4; byte++) {
			for (unsigned value = 0; value < 256; value++) {
				uint8_t *at = &bytes[i * each + byte], was = *at;
				/* A certificate as long as itself and the message behind it, which need
				 * not be there, is one. */
				bool fits = i == FLIGHT_STATUS - 1 && byte == 3 && value == body + each;

				*at = (uint8_t)value;
				if (value != was && !fits)
					refuse(bytes, len, "another length");
				*at = was;
			}
		}
	}
	assert_int_equal(version_of(bytes, len), TLSB_TLS_1_2);
}

static void a_hello_says_its_version(void **state unused_)
{
	uint8_t bytes[1024];
	const size_t len = flight_1_2(bytes, flight_types, COUNT, 8);

	for (unsigned version = 0; version < 0x10000; version++) {
		bytes[4] = (uint8_t)(version >> 8);
		bytes[5] = (uint8_t)version;
		if (version != 0x0303)
			refuse(bytes, len, "a hello of another version");
	}
	/* Too short to say it. */
	for (size_t body = 0; body < 2; body++)
		refuse(bytes, flight_1_2(bytes, flight_types, COUNT, body), "a hello without a version");
}

/* ---- what keys sign elsewhere ---- */

static void a_certificate_is_not_signed(void **state unused_)
{
	struct testing_identity ca = testing_identity_new("ca", NULL, 1);
	unsigned char *tbs = NULL;
	int len = i2d_re_X509_tbs(ca.x509, &tbs);

	assert_true(len > 0);
	refuse(tbs, (size_t)len, "a certificate");
	OPENSSL_free(tbs);
	testing_identity_free(&ca);
}

static void nothing_else_is_signed(void **state unused_)
{
	static const char *const others[] = {
		"", "x", "ssh-userauth", "{\"alg\":\"ES256\"}.{\"sub\":\"root\"}", "tree 0123\nparent 4567\n",
		"SSHSIG", "\x30\x82\x01", "\x01", "\x01\x00\x00\x02\x03\x03",
	};
	uint8_t bytes[4096];
	uint64_t seed = 11;

	refuse(NULL, 0, "nothing");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		refuse(others[i], strlen(others[i]), others[i]);
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = testing_random(&seed) % (i % 2 ? 64 : sizeof(bytes));

		for (size_t at = 0; at < len; at++)
			bytes[at] = (uint8_t)testing_random(&seed);
		refuse(bytes, len, "noise");
	}
	/* SHA-2 values alone. */
	for (size_t len = 32; len <= 64; len += 16)
		refuse(bytes, len, "a hash");
	attacks_count("messages", refused, refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_text_of_tls_1_3_with_either_hash_is_signed),
		TEST(each_bit_of_the_fixed_text_counts),
		TEST(every_other_length_is_refused),
		TEST(other_texts_of_tls_1_3_are_refused),
		TEST(the_messages_of_tls_1_2_are_signed),
		TEST(each_message_missing_is_noticed),
		TEST(each_message_twice_is_noticed),
		TEST(each_two_messages_exchanged_are_noticed),
		TEST(each_other_type_is_noticed),
		TEST(lengths_that_do_not_add_up_are_noticed),
		TEST(a_hello_says_its_version),
		TEST(a_certificate_is_not_signed),
		TEST(nothing_else_is_signed),
	};

	return testing_run(tests);
}
