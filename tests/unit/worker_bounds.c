/*
 * The policy's bounds in a worker: what the supervisor may say, and that no request gets below them.
 */
#include "testing.h"

#include <stdio.h>

#include "tlsbroker.h"
#include "worker/request.h"
#include "worker/tls.h"

static int parse(uint16_t version, uint16_t flags, const char *ciphers, struct bounds *ret)
{
	const struct msg_policy policy = { .version_min = version, .flags = flags };
	const struct msg msg = { .body = &policy, .tail = ciphers,
				 .tail_len = (uint32_t)strlen(ciphers) };

	return bounds_parse(ret, &msg);
}

static int parse_pins(unsigned said, unsigned bytes)
{
	const struct msg_policy policy = { .version_min = TLSB_TLS_1_2,
					   .pin_count = (uint16_t)said };
	const char tail[22 + 4096] = "TLS_AES_128_GCM_SHA256";
	const struct msg msg = { .body = &policy, .tail = tail, .tail_len = 22 + bytes };
	struct bounds bounds;

	return bounds_parse(&bounds, &msg);
}

static void pins_are_all_there_and_not_too_many(void **state unused_)
{
	assert_int_equal(parse_pins(0, 0), 0);
	assert_int_equal(parse_pins(1, 32), 0);
	assert_int_equal(parse_pins(LIMIT_PINS, 32 * LIMIT_PINS), 0);
	assert_int_equal(parse_pins(LIMIT_PINS + 1, 32 * (LIMIT_PINS + 1)), -EBADMSG);
	assert_int_equal(parse_pins(0, 32), -EBADMSG);
	assert_int_equal(parse_pins(1, 31), -EBADMSG);
	assert_int_equal(parse_pins(1, 33), -EBADMSG);
	assert_int_equal(parse_pins(2, 32), -EBADMSG);
	assert_int_equal(parse_pins(UINT16_MAX, 32), -EBADMSG);
}

#define V12 "ECDHE-ECDSA-AES128-GCM-SHA256"
#define V13 "TLS_AES_128_GCM_SHA256"

static void bounds_that_make_no_sense_are_refused(void **state unused_)
{
	struct bounds bounds, before;

	bounds_init(&bounds);
	before = bounds;
	assert_int_equal(parse(0, 0, V13, &bounds), -EBADMSG);
	assert_int_equal(parse(TLSB_TLS_1_2 - 1, 0, V13, &bounds), -EBADMSG);
	assert_int_equal(parse(TLSB_TLS_1_3 + 1, 0, V13, &bounds), -EBADMSG);
	assert_int_equal(parse(TLSB_TLS_1_2, POLICY_KNOWN_FLAGS + 1, V13, &bounds), -EBADMSG);
	assert_int_equal(parse(TLSB_TLS_1_2, 0, "", &bounds), -EBADMSG);
	assert_int_equal(parse(TLSB_TLS_1_2, 0, ":", &bounds), -EBADMSG);
	assert_int_equal(parse(TLSB_TLS_1_2, 0, V13 ":NULL-MD5", &bounds), -EBADMSG);
	assert_int_equal(parse(TLSB_TLS_1_3, 0, V12, &bounds), -EBADMSG);
	assert_memory_equal(&bounds, &before, sizeof(bounds));
	assert_int_equal(parse(TLSB_TLS_1_3, 0, V12 ":" V13, &bounds), 0);
	assert_int_equal(parse(TLSB_TLS_1_2, POLICY_MAY_SKIP_VERIFY, V12, &bounds), 0);
	assert_int_equal(bounds.version_max, TLSB_TLS_1_2);
}

static int ask_with_ca(const struct bounds *bounds)
{
	const struct msg_connect connect = { .port = 443, .host_len = 1, .ca_len = 9 };
	const struct msg msg = { .body = &connect, .tail = "a", .tail_len = 1 };
	struct request request = { .ca_len = 9, .key_fd = -1 };
	const char *text = "";
	int r = request_parse(&request, &msg, bounds, &text);

	assert_true(r == 0 || strncmp(text, "own-ca: ", 8) == 0);
	return r;
}

static int ask_with_cert(const struct bounds *bounds)
{
	const struct msg_connect connect = { .port = 443, .host_len = 1, .cert_len = 9 };
	const struct msg msg = { .body = &connect, .tail = "a", .tail_len = 1 };
	struct request request = { .cert_len = 9, .key_fd = 0 };
	const char *text = "";
	int r = request_parse(&request, &msg, bounds, &text);

	assert_true(r == 0 || strncmp(text, "own-certificate: ", 17) == 0);
	return r;
}

static int ask(const struct bounds *bounds, uint16_t min, uint16_t max, uint16_t flags)
{
	const struct msg_connect connect = { .port = 443, .host_len = 1, .version_min = min,
					     .version_max = max, .flags = flags };
	const struct msg msg = { .body = &connect, .tail = "a", .tail_len = 1 };
	struct request request = { .ca_len = 0, .key_fd = -1 };
	const char *text = NULL;
	int r = request_parse(&request, &msg, bounds, &text);

	assert_true(r == 0 || text);
	return r;
}

static void no_program_gets_below_the_floor(void **state unused_)
{
	struct bounds bounds;

	assert_int_equal(parse(TLSB_TLS_1_3, 0, V13, &bounds), 0);
	assert_int_equal(ask(&bounds, 0, 0, 0), 0);
	assert_int_equal(ask(&bounds, TLSB_TLS_1_3, TLSB_TLS_1_3, 0), 0);
	assert_int_equal(ask(&bounds, TLSB_TLS_1_2, 0, 0), -EACCES);
	assert_int_equal(ask(&bounds, 0, TLSB_TLS_1_2, 0), -EACCES);
	assert_int_equal(ask(&bounds, 1, 1, 0), -EACCES);
	assert_int_equal(ask(&bounds, TLSB_TLS_1_3 + 1, 0, 0), -EINVAL);
	assert_int_equal(ask(&bounds, 0, 0, CONNECT_NO_VERIFY), -EACCES);
	assert_int_equal(ask_with_ca(&bounds), -EACCES);
	assert_int_equal(parse(TLSB_TLS_1_3, POLICY_MAY_BRING_CA, V13, &bounds), 0);
	assert_int_equal(ask_with_ca(&bounds), 0);
	assert_int_equal(ask_with_cert(&bounds), -EACCES);
	assert_int_equal(parse(TLSB_TLS_1_3, POLICY_MAY_BRING_CERT, V13, &bounds), 0);
	assert_int_equal(ask_with_ca(&bounds), -EACCES);
	assert_int_equal(ask_with_cert(&bounds), 0);
	assert_int_equal(parse(TLSB_TLS_1_2, POLICY_MAY_SKIP_VERIFY, V12, &bounds), 0);
	assert_int_equal(ask(&bounds, TLSB_TLS_1_3, 0, 0), -EACCES);
	assert_int_equal(ask(&bounds, TLSB_TLS_1_2, TLSB_TLS_1_3, CONNECT_NO_VERIFY), 0);
}

/* What OpenSSL is left with. */
static void openssl_has_what_the_policy_lets_it_have(void **state unused_)
{
	static const struct {
		const char *ciphers;
		uint16_t floor, min, max;
	} rows[] = {
		{ V12 ":" V13, TLSB_TLS_1_2, TLSB_TLS_1_2, TLSB_TLS_1_3 },
		{ V12 ":" V13, TLSB_TLS_1_3, TLSB_TLS_1_3, TLSB_TLS_1_3 },
		{ V12, TLSB_TLS_1_2, TLSB_TLS_1_2, TLSB_TLS_1_2 },
		{ V13, TLSB_TLS_1_2, TLSB_TLS_1_3, TLSB_TLS_1_3 },
	};
	struct tls tls = { 0 };

	assert_int_equal(tls_prepare(&tls), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bounds bounds;

		assert_int_equal(parse(rows[i].floor, 0, rows[i].ciphers, &bounds), 0);
		assert_int_equal(tls_set_bounds(&tls, &bounds), 0);
		assert_int_equal(SSL_CTX_get_min_proto_version(tls.ctx), rows[i].min);
		assert_int_equal(SSL_CTX_get_max_proto_version(tls.ctx), rows[i].max);
		assert_int_equal(bounds_cipher(&tls.bounds, "TLS_AES_256_GCM_SHA384", 22), -EACCES);
		assert_int_equal(bounds_cipher(&tls.bounds, "NULL-MD5", 8), -EINVAL);
	}
	tls_deinit(&tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bounds_that_make_no_sense_are_refused),
		TEST(pins_are_all_there_and_not_too_many),
		TEST(no_program_gets_below_the_floor),
		TEST(openssl_has_what_the_policy_lets_it_have),
	};

	return testing_run(tests);
}
