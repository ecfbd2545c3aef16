/*
 * Which exit status the command line tool gives to which error.  The file under test is included:
 * see cli_target.c.
 */
#include "testing.h"

#include "tools/exits.c"

static void exits_tell_the_causes_apart(void **state unused_)
{
	assert_int_equal(exits_from_error(TLSB_E_NONE), 0);
	assert_int_equal(exits_from_error(TLSB_E_TRUNCATED), 1);
	assert_int_equal(exits_from_error(TLSB_E_RESET), 1);
	assert_int_equal(exits_from_error(TLSB_E_PARAMETER), 2);
	assert_int_equal(exits_from_error(TLSB_E_REFUSED), 3);
	assert_int_equal(exits_from_error(TLSB_E_UNREACHABLE), 3);
	assert_int_equal(exits_from_error(TLSB_E_TLS_ALERT), 5);
	assert_int_equal(exits_from_error(TLSB_E_NOT_TLS), 5);
	assert_int_equal(exits_from_error(TLSB_E_POLICY), 6);
	assert_int_equal(exits_from_error(TLSB_E_QUOTA), 6);
	assert_int_equal(exits_from_error(TLSB_E_RESOURCES), 6);
	assert_int_equal(exits_from_error(TLSB_E_BROKER_GONE), 7);
	assert_int_equal(exits_from_error(TLSB_E_WORKER_DIED), 7);
	assert_int_equal(exits_from_error(TLSB_E_STOPPING), 7);
	assert_int_equal(exits_from_error(TLSB_E_BROKER_PROTOCOL), 7);
	assert_int_equal(exits_from_error(TLSB_E_DNS), 8);
	assert_int_equal(exits_from_error(TLSB_E_DNS_SERVER), 8);
	assert_int_equal(exits_from_error(TLSB_E_TIMEOUT), 9);
}

static void exits_of_every_certificate_error_are_the_same(void **state unused_)
{
	for (uint32_t code = TLSB_E_CERT; code <= TLSB_E_CERT_REVOCATION; code++)
		assert_int_equal(exits_from_error(code), 4);
}

static void exits_of_an_error_are_never_success(void **state unused_)
{
	/* Known codes and unknown ones. */
	for (uint32_t code = 1; code < 300; code++)
		assert_int_not_equal(exits_from_error(code), 0);
	assert_int_equal(exits_from_error(UINT32_MAX), 7);
	for (int error = 1; error < 200; error++)
		assert_int_not_equal(exits_from_errno(error), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exits_tell_the_causes_apart),
		TEST(exits_of_every_certificate_error_are_the_same),
		TEST(exits_of_an_error_are_never_success),
	};

	return testing_run(tests);
}
