/*
 * How the command line tool names the steps of a handshake.  The file under test is included: see
 * cli_target.c.
 */
#include "testing.h"

#include "tools/report.c"

static void names_are(const struct tlsb_info *info, const char *const names[])
{
	for (uint32_t i = 0; i < info->step_count; i++)
		assert_string_equal(report_step_name(info, i), names[i]);
}

static void report_names_the_steps_of_tls_1_3(void **state unused_)
{
	static const char *const names[] = { "ClientHello", "ServerHello", "ChangeCipherSpec",
					     "EncryptedExtensions", "Certificate",
					     "CertificateVerify", "Finished", "Finished" };
	struct tlsb_info info = {
		.step_count = 8,
		.steps = { { 1, 1, 0 }, { 0, 2, 1 }, { 0, 254, 1 }, { 0, 8, 1 },
			   { 0, 11, 1 }, { 0, 15, 1 }, { 0, 20, 1 }, { 1, 20, 2 } },
	};

	names_are(&info, names);
}

static void report_tells_a_retry_from_a_server_hello(void **state unused_)
{
	static const char *const names[] = { "ClientHello", "HelloRetryRequest", "ClientHello",
					     "ServerHello" };
	struct tlsb_info info = {
		.step_count = 4,
		.steps = { { 1, 1, 0 }, { 0, 2, 1 }, { 1, 1, 1 }, { 0, 2, 2 } },
	};

	names_are(&info, names);
}

static void report_prints_more_steps_than_there_are_as_far_as_they_go(void **state unused_)
{
	struct tlsb_info info = { .step_count = UINT32_MAX, .chain = "CN=a < CN=b\nCN=b < CN=c" };
	cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	memset(info.steps, 2, sizeof(info.steps));
	report_established(out, &info);
	fclose(out);
	assert_non_null(strstr(text, "CN=a < CN=b\n"));
	assert_non_null(strstr(text, " CN=b < CN=c\n"));
	assert_non_null(strstr(text, "verified     NO"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(report_names_the_steps_of_tls_1_3),
		TEST(report_tells_a_retry_from_a_server_hello),
		TEST(report_prints_more_steps_than_there_are_as_far_as_they_go),
	};

	return testing_run(tests);
}
