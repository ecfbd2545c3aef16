/*
 * Text from elsewhere: whatever it holds, what comes out is one printable line that fits.
 */
#include "testing.h"

#include <ctype.h>

#include "base/text.h"

static void leaves_printable_text_alone(void **state unused_)
{
	char out[64];

	assert_string_equal(text_escape_str(out, sizeof(out), "CN=Example CA, O=\"A & B\" ~!"),
			    "CN=Example CA, O=\"A & B\" ~!");
	assert_string_equal(text_escape_str(out, sizeof(out), ""), "");
	assert_string_equal(text_escape_str(out, sizeof(out), NULL), "");
	assert_string_equal(text_escape(out, sizeof(out), NULL, 0), "");
}

static void escapes_everything_else(void **state unused_)
{
	char out[64];

	assert_string_equal(text_escape(out, sizeof(out), "a\0b\nc\x7f\x80\xff\x1b[31m", 13),
			    "a\\x00b\\x0ac\\x7f\\x80\\xff\\x1b[31m");
	assert_string_equal(text_escape_str(out, sizeof(out), "C:\\x0a"), "C:\\\\x0a");
}

/* Two different sources never look the same: an escape cannot be forged. */
static void makes_different_text_of_different_bytes(void **state unused_)
{
	char one[8], two[8];

	for (int a = 0; a < 256; a++) {
		for (int b = 0; b < a; b++) {
			text_escape(one, sizeof(one), &(char){ (char)a }, 1);
			text_escape(two, sizeof(two), &(char){ (char)b }, 1);
			assert_string_not_equal(one, two);
		}
	}
}

static void cuts_at_a_whole_character(void **state unused_)
{
	char out[64];

	assert_string_equal(text_escape_str(out, 9, "12345678"), "12345678");
	assert_string_equal(text_escape_str(out, 9, "123456789"), "12345...");
	assert_string_equal(text_escape_str(out, 9, "1234\n6789"), "1234...");
	assert_string_equal(text_escape_str(out, 9, "\n\n\n"), "\\x0a...");
	assert_string_equal(text_escape_str(out, 4, "12345"), "...");
	assert_string_equal(text_escape_str(out, 3, "12345"), "12");
	assert_string_equal(text_escape_str(out, 3, "\n"), "");
	assert_string_equal(text_escape_str(out, 1, "1"), "");
}

/* Every size, random bytes: in bounds, terminated, printable. */
static void stays_in_bounds_whatever_comes(void **state unused_)
{
	uint64_t seed = 3;

	for (int turn = 0; turn < 20000; turn++) {
		size_t size = (size_t)(testing_random(&seed) % 40) + 1;
		size_t len = (size_t)(testing_random(&seed) % 40);
		char out[64], source[40];

		memset(out, 0x55, sizeof(out));
		for (size_t i = 0; i < len; i++)
			source[i] = (char)testing_random(&seed);
		text_escape(out, size, source, len);
		assert_true(strnlen(out, sizeof(out)) < size);
		for (size_t i = 0; out[i] != '\0'; i++)
			assert_true(isprint((unsigned char)out[i]));
		for (size_t i = size; i < sizeof(out); i++)
			assert_int_equal(out[i], 0x55);
	}
}

static void copies_and_cuts(void **state unused_)
{
	char out[4];

	assert_string_equal(text_copy(out, sizeof(out), "ab"), "ab");
	assert_string_equal(text_copy(out, sizeof(out), "abc"), "abc");
	assert_string_equal(text_copy(out, sizeof(out), "abcd"), "abc");
	assert_string_equal(text_copy(out, 1, "abcd"), "");
}

static int parse(const char *s, uint32_t min, uint32_t max, uint32_t expected)
{
	uint32_t value = 4711;
	int r = text_parse_u32(s, min, max, &value);

	assert_int_equal(value, r == 0 ? expected : 4711);
	return r;
}

static void parses_whole_numbers_in_range(void **state unused_)
{
	assert_int_equal(parse("0", 0, 10, 0), 0);
	assert_int_equal(parse("10", 0, 10, 10), 0);
	assert_int_equal(parse("007", 0, 10, 7), 0);
	assert_int_equal(parse("4294967295", 0, UINT32_MAX, UINT32_MAX), 0);
	assert_int_equal(parse("11", 0, 10, 0), -ERANGE);
	assert_int_equal(parse("4", 5, 10, 0), -ERANGE);
	assert_int_equal(parse("4294967296", 0, UINT32_MAX, 0), -ERANGE);
	assert_int_equal(parse("99999999999999999999999999", 0, UINT32_MAX, 0), -ERANGE);
}

static void parses_nothing_else(void **state unused_)
{
	const char *const odd[] = { "",	  " ",	"-1",	"+1",  " 1", "1 ",
				    "1x", "x1", "0x10", "1.0", "1\n" };

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		assert_int_equal(parse(odd[i], 0, UINT32_MAX, 0), -EINVAL);
}

static void parses_hexadecimal_digits(void **state unused_)
{
	static const char *const odd[] = { "0", "0x00", " 00", "0 0", "gg", "00\n00", "00:11", "-1" };
	uint8_t bytes[4] = { 9, 9, 9, 9 };

	assert_int_equal(text_parse_hex("00fFA9", 6, bytes, 4), 3);
	assert_memory_equal(bytes, "\x00\xff\xa9\x09", 4);
	assert_int_equal(text_parse_hex("01020304 \t\r\n", 12, bytes, 4), 4);
	assert_memory_equal(bytes, "\x01\x02\x03\x04", 4);
	assert_int_equal(text_parse_hex("", 0, bytes, 4), 0);
	assert_int_equal(text_parse_hex("\n", 1, bytes, 4), 0);
	assert_int_equal(text_parse_hex("0102030405", 10, bytes, 4), -ERANGE);
	assert_int_equal(text_parse_hex("00\0", 3, bytes, 4), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		assert_int_equal(text_parse_hex(odd[i], strlen(odd[i]), bytes, 4), -EINVAL);
	assert_memory_equal(bytes, "\x01\x02\x03\x04", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(leaves_printable_text_alone),
		TEST(escapes_everything_else),
		TEST(makes_different_text_of_different_bytes),
		TEST(cuts_at_a_whole_character),
		TEST(stays_in_bounds_whatever_comes),
		TEST(copies_and_cuts),
		TEST(parses_whole_numbers_in_range),
		TEST(parses_nothing_else),
		TEST(parses_hexadecimal_digits),
	};

	return testing_run(tests);
}
