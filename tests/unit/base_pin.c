/*
 * A pin in writing: one way to write each, and nothing else.
 */
#include "testing.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "base/pin.h"

static void every_pin_is_read_as_it_was_written(void **state unused_)
{
	uint64_t seed = 1;

	for (int i = 0; i < 2000; i++) {
		char text[64] = PIN_PREFIX, written[PIN_TEXT + 1];
		struct pin pin, read;

		for (int n = 0; n < PIN_BYTES; n++)
			pin.bytes[n] = i == 0 ? 0 : i == 1 ? 0xff : (uint8_t)testing_random(&seed);
		EVP_EncodeBlock((unsigned char *)text + strlen(text), pin.bytes, PIN_BYTES);
		assert_string_equal(pin_format(&pin, written), text);
		assert_int_equal(pin_parse(text, &read), 0);
		assert_memory_equal(&read, &pin, sizeof(pin));
		assert_int_equal(pin_parse(text + strlen(PIN_PREFIX), &read), 0);
		assert_memory_equal(&read, &pin, sizeof(pin));
	}
}

static void whatever_is_no_pin_is_refused(void **state unused_)
{
	static const char *const bad[] = {
		"",
		"sha256/",
		"=",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",	  /* no mark at the end */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",	  /* a digit less */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",	  /* one more */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",	  /* two marks */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",	  /* bits that are not in it */
		"AAAAAAAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAAAAAAA=",	  /* the other alphabet */
		"AAAAAAAAAAAAAAAAAAAAA\nAAAAAAAAAAAAAAAAAAAAA=",
		" AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"sha1/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"sha256/sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	};
	struct pin pin = { { 7 } }, before = pin;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(pin_parse(bad[i], &pin), -EINVAL);
	assert_memory_equal(&pin, &before, sizeof(pin));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_pin_is_read_as_it_was_written),
		TEST(whatever_is_no_pin_is_refused),
	};

	return testing_run(tests);
}
