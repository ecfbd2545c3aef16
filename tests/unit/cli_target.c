/*
 * How the command line tool reads HOST:PORT.  The tool's objects are no part of the daemon that unit
 * tests are linked with, so the file under test is included.
 */
#include "testing.h"

#include "tools/target.c"

static void parses(const char *text, const char *host, const char *port)
{
	struct target target;

	assert_null(target_parse(text, &target));
	assert_string_equal(target.host, host);
	assert_string_equal(target.port, port);
}

static void target_takes_names_and_addresses(void **state unused_)
{
	parses("example.org:443", "example.org", "443");
	parses("example.org.:443", "example.org.", "443");
	parses("localhost:1", "localhost", "1");
	parses("192.0.2.1:65535", "192.0.2.1", "65535");
	parses("a:0443", "a", "443");
}

static void target_takes_ipv6_in_brackets(void **state unused_)
{
	parses("[::1]:443", "::1", "443");
	parses("[2001:db8::1]:8443", "2001:db8::1", "8443");
	parses("[fe80::1%2]:443", "fe80::1%2", "443");
	parses("[example.org]:443", "example.org", "443");
}

static void target_refuses_what_is_not_host_and_port(void **state unused_)
{
	static const char *const wrong[] = {
		"",	   ":",	       ":443",	   "a",	     "a:",	  "a:0",     "a:65536",
		"a:-1",	   "a:+1",     "a: 1",	   "a:1 ",   "a:https",	  "a:0x1bb", "::1",
		"::1:443", "a:b:443",  "[::1]",	   "[::1]:", "[::1]443",  "[]:443",  "[::1:443",
		"::1]:44", "a]:443",   "[[::1]]:4", "a[:443", "a:4294967739", "[a]:[b]:443",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct target target = { .host = "as before" };
		const char *why = target_parse(wrong[i], &target);

		if (!why)
			fail_msg("\"%s\" was taken", wrong[i]);
		assert_true(strlen(why) > 8);
		assert_string_equal(target.host, "as before");
	}
}

static void target_takes_the_longest_host_and_not_one_byte_more(void **state unused_)
{
	char text[LIMIT_HOST + 8];
	struct target target;

	memset(text, 'a', sizeof(text));
	strcpy(text + LIMIT_HOST, ":443");
	assert_null(target_parse(text, &target));
	assert_int_equal(strlen(target.host), LIMIT_HOST);
	text[LIMIT_HOST] = 'a';
	strcpy(text + LIMIT_HOST + 1, ":443");
	assert_non_null(target_parse(text, &target));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(target_takes_names_and_addresses),
		TEST(target_takes_ipv6_in_brackets),
		TEST(target_refuses_what_is_not_host_and_port),
		TEST(target_takes_the_longest_host_and_not_one_byte_more),
	};

	return testing_run(tests);
}
