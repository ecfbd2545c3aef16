/*
 * CONNECT from a hostile program: every refusal, and that what is accepted is what was asked for.
 */
#include "testing.h"

#include <stdio.h>
#include <sys/socket.h>

#include "tlsbroker.h"
#include "worker/request.h"

/* What a program asks for.  Lengths count from the right ones; without a host or port there is one.
 */
struct ask {
	struct msg_connect body;
	const char *host, *name, *alpn, *ciphers;
	bool no_port;
	uint32_t ca_len; /* that came before */
	uint32_t extra;	 /* bytes behind the tail's strings */
	bool insecure;
};

static int parse(struct ask ask, struct request *request, const char **ret_text)
{
	const char *host = ask.host ? ask.host : "example.org";
	char tail[4096] = "";
	struct bounds bounds;
	struct msg msg = {.body = &ask.body, .tail = tail};
	int len = snprintf(tail, sizeof(tail), "%s%s%s%s", host, ask.name ? ask.name : "",
			   ask.alpn ? ask.alpn : "", ask.ciphers ? ask.ciphers : "");

	if (ask.body.port == 0 && !ask.no_port)
		ask.body.port = 443;
	ask.body.host_len += (uint16_t)strlen(host);
	ask.body.name_len += (uint16_t)strlen(ask.name ? ask.name : "");
	ask.body.alpn_len += (uint16_t)strlen(ask.alpn ? ask.alpn : "");
	ask.body.ciphers_len += (uint16_t)strlen(ask.ciphers ? ask.ciphers : "");
	msg.tail_len = (uint32_t)len + ask.extra;
	*request = (struct request){.ca_len = ask.ca_len, .key_fd = -1};
	*ret_text = NULL;
	bounds_init(&bounds);
	bounds.may_skip_verify = ask.insecure;
	return request_parse(request, &msg, &bounds, ret_text);
}

#define ASK(...) ((struct ask){__VA_ARGS__})

static struct request accepted(struct ask ask)
{
	struct request request;
	const char *text;

	assert_int_equal(parse(ask, &request, &text), 0);
	assert_null(text);
	return request;
}

static void refused(struct ask ask, int error, const char *words)
{
	struct request request;
	const char *text;

	assert_int_equal(parse(ask, &request, &text), error);
	if (words) {
		assert_non_null(text);
		assert_non_null(strstr(text, words));
		assert_true(strlen(text) <= LIMIT_TEXT);
	}
}

static void what_is_asked_for_is_kept(void **state unused_)
{
	struct request request = accepted((struct ask){
		.body = {.deadline_ms = 5000,
			 .flags = CONNECT_NO_RESUMPTION,
			 .family = AF_INET6,
			 .port = 8443,
			 .version_min = TLSB_TLS_1_2,
			 .version_max = TLSB_TLS_1_3},
		.host = "example.org",
		.name = "other.example",
		.alpn = "h2,http/1.1",
		.ciphers = "TLS_AES_128_GCM_SHA256",
	});

	assert_string_equal(request.host, "example.org");
	assert_string_equal(request.name, "other.example");
	assert_string_equal(request.alpn, "h2,http/1.1");
	assert_string_equal(request.ciphers, "TLS_AES_128_GCM_SHA256");
	assert_int_equal(request.port, 8443);
	assert_int_equal(request.family, AF_INET6);
	assert_int_equal(request.version_min, TLSB_TLS_1_2);
	assert_int_equal(request.version_max, TLSB_TLS_1_3);
	assert_int_equal(request.deadline_ms, 5000);
	assert_true(request.verify);
	assert_false(request.resume);
	assert_false(request.is_address);
}

static void without_a_name_the_host_is_verified(void **state unused_)
{
	assert_string_equal(accepted((struct ask){0}).name, "example.org");
	assert_true(accepted((struct ask){0}).verify);
	assert_true(accepted((struct ask){0}).resume);
	/* The root's dot is of the lookup, not of the certificate. */
	assert_string_equal(accepted(ASK(.host = "example.org.")).host, "example.org.");
	assert_string_equal(accepted(ASK(.host = "example.org.")).name, "example.org");
}

static void addresses_are_verified_as_addresses(void **state unused_)
{
	static const struct {
		const char *given, *host, *name;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{"2001:db8::1", "2001:db8::1", "2001:db8::1"},
		{"[2001:db8::1]", "2001:db8::1", "2001:db8::1"},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.1"},
		/* The zone is this machine's own affair: no certificate knows it. */
		{"fe80::1%lo", "fe80::1%lo", "fe80::1"},
		{"[fe80::1%2]", "fe80::1%2", "fe80::1"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct request request = accepted(ASK(.host = rows[i].given));

		assert_string_equal(request.host, rows[i].host);
		assert_string_equal(request.name, rows[i].name);
		assert_true(request.is_address);
	}
	assert_true(accepted(ASK(.name = "[::1]")).is_address);
	assert_string_equal(accepted(ASK(.name = "[::1]")).name, "::1");
	assert_false(accepted(ASK(.name = "name.example", .host = "192.0.2.1")).is_address);
	assert_false(accepted(ASK(.host = "192.0.2.1.example")).is_address);
}

static void what_is_no_host_is_refused(void **state unused_)
{
	static const char *const hosts[] = {
		"",
		"[]",
		"[",
		"]",
		"[::1",
		"::1]",
		"a b",
		"a/b",
		"a\nb",
		"a\x01",
		"user@host",
		"a:443/",
		"\xc3\xa4.example",
		"*",
		"*.example.org",
		"a,b",
		"[[::1]]",
		"'",
		"\"",
		"\\",
		"a=b",
		"#",
		".",
		"%",
		"%lo",
		"_%",
		"a%lo",
		"192.0.2.1%lo",
		"fe80::1%",
		"fe80::1%a%b",
		"fe80::1%a/b",
		"a:443",
		"[a]:443",
		"[::1]:443",
		":",
		"12345::",
		"1.2.3.4:5",
	};

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		refused(ASK(.host = hosts[i]), -EINVAL, "neither a host name nor");
		if (hosts[i][0])
			refused(ASK(.name = hosts[i]), -EINVAL, "neither a host name nor");
	}
}

static void the_longest_strings_fit_and_longer_ones_break_the_protocol(void **state unused_)
{
	char host[LIMIT_HOST + 2], alpn[LIMIT_ALPN + 2], ciphers[LIMIT_CIPHERS + 2];

	memset(host, 'a', sizeof(host));
	memset(alpn, 'a', sizeof(alpn));
	memset(ciphers, 'A', sizeof(ciphers));
	host[LIMIT_HOST] = alpn[LIMIT_ALPN] = ciphers[LIMIT_CIPHERS] = '\0';
	assert_string_equal(
		accepted(ASK(.host = host, .name = host, .alpn = alpn, .ciphers = ciphers)).name,
		host);
	host[LIMIT_HOST] = 'a';
	host[LIMIT_HOST + 1] = '\0';
	refused(ASK(.host = host), -EBADMSG, NULL);
	refused(ASK(.name = host), -EBADMSG, NULL);
	alpn[LIMIT_ALPN] = 'a';
	alpn[LIMIT_ALPN + 1] = '\0';
	refused(ASK(.alpn = alpn), -EBADMSG, NULL);
	ciphers[LIMIT_CIPHERS] = 'A';
	ciphers[LIMIT_CIPHERS + 1] = '\0';
	refused(ASK(.ciphers = ciphers), -EBADMSG, NULL);
}

static void lengths_that_do_not_add_up_break_the_protocol(void **state unused_)
{
	refused(ASK(.body.host_len = 1), -EBADMSG, NULL);
	refused(ASK(.body.host_len = UINT16_MAX - 11), -EBADMSG, NULL);
	refused(ASK(.body.name_len = 1), -EBADMSG, NULL);
	refused(ASK(.body.alpn_len = 1), -EBADMSG, NULL);
	refused(ASK(.body.ciphers_len = 1), -EBADMSG, NULL);
	refused(ASK(.body.ciphers_len = UINT16_MAX), -EBADMSG, NULL);
	refused(ASK(.extra = 1), -EBADMSG, NULL);
	refused(ASK(.body.host_len = 1, .extra = 1), -EBADMSG, NULL); /* a NUL in the host */
	refused(ASK(.body.name_len = 1, .extra = 1), -EBADMSG, NULL);
	refused(ASK(.body.alpn_len = 1, .extra = 1), -EBADMSG, NULL);
	refused(ASK(.body.ciphers_len = 1, .extra = 1), -EBADMSG, NULL);
}

static void numbers_that_mean_nothing_break_the_protocol(void **state unused_)
{
	refused(ASK(.no_port = true), -EBADMSG, NULL);
	refused(ASK(.body.flags = 4), -EBADMSG, NULL);
	refused(ASK(.body.flags = 0x8000, .insecure = true), -EBADMSG, NULL);
	refused(ASK(.body.family = AF_UNIX), -EBADMSG, NULL);
	refused(ASK(.body.family = AF_NETLINK), -EBADMSG, NULL);
	refused(ASK(.body.family = UINT16_MAX), -EBADMSG, NULL);
	refused(ASK(.body.ca_len = 1), -EBADMSG, NULL); /* none came */
	refused(ASK(.ca_len = 1), -EBADMSG, NULL);	/* one came, unsaid */
	refused(ASK(.body.ca_len = 5, .ca_len = 6), -EBADMSG, NULL);
	assert_int_equal(accepted(ASK(.body.ca_len = 6, .ca_len = 6)).ca_len, 6);
}

static void versions_have_a_floor_and_an_order(void **state unused_)
{
	static const uint16_t low[] = {1, 0x0200, 0x0300, 0x0301, 0x0302};
	static const uint16_t high[] = {0x0305, 0x7f1c, 0xfeff, UINT16_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(low); i++) {
		refused(ASK(.body.version_min = low[i]), -EACCES, "TLS 1.2");
		refused(ASK(.body.version_max = low[i]), -EACCES, "TLS 1.2");
	}
	for (size_t i = 0; i < ARRAY_SIZE(high); i++) {
		refused(ASK(.body.version_min = high[i]), -EINVAL, "range");
		refused(ASK(.body.version_max = high[i]), -EINVAL, "range");
	}
	refused(ASK(.body.version_min = TLSB_TLS_1_3, .body.version_max = TLSB_TLS_1_2), -EINVAL,
		"range");
	assert_int_equal(accepted(ASK(.body.version_max = TLSB_TLS_1_2)).version_max, TLSB_TLS_1_2);
	assert_int_equal(accepted(ASK(.body.version_min = TLSB_TLS_1_3)).version_min, TLSB_TLS_1_3);
}

static void only_the_administrator_switches_verification_off(void **state unused_)
{
	refused(ASK(.body.flags = CONNECT_NO_VERIFY), -EACCES, "allow-insecure");
	assert_false(accepted(ASK(.body.flags = CONNECT_NO_VERIFY, .insecure = true)).verify);
	assert_true(accepted(ASK(.insecure = true)).verify);
}

static void deadlines_have_a_maximum(void **state unused_)
{
	assert_int_equal(accepted(ASK(.body.deadline_ms = UINT32_MAX)).deadline_ms,
			 LIMIT_CONNECT_MAX_MS);
	assert_int_equal(accepted(ASK(.body.deadline_ms = 1)).deadline_ms, 1);
}

/* Random bytes as a message: refused or sane, nothing else. */
static void random_messages_are_refused_or_sane(void **state unused_)
{
	struct bounds bounds;
	uint64_t seed = 5;

	bounds_init(&bounds);
	for (int i = 0; i < 200000; i++) {
		struct msg_connect body;
		char tail[64];
		struct msg msg = {.body = &body, .tail = tail};
		struct request request = {.key_fd = -1};
		const char *text = NULL;
		int r;

		for (size_t at = 0; at < sizeof(body); at++)
			((uint8_t *)&body)[at] =
				(uint8_t)(testing_random(&seed) % 3 ? 0 : testing_random(&seed));
		for (size_t at = 0; at < sizeof(tail); at++)
			tail[at] = (char)testing_random(&seed);
		msg.tail_len = (uint32_t)(testing_random(&seed) % (sizeof(tail) + 1));
		r = request_parse(&request, &msg, &bounds, &text);
		assert_true(r == -EBADMSG || text || r == 0);
		assert_true(r != 0 || (request.verify && request.name[0] && request.port));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_asked_for_is_kept),
		TEST(without_a_name_the_host_is_verified),
		TEST(addresses_are_verified_as_addresses),
		TEST(what_is_no_host_is_refused),
		TEST(the_longest_strings_fit_and_longer_ones_break_the_protocol),
		TEST(lengths_that_do_not_add_up_break_the_protocol),
		TEST(numbers_that_mean_nothing_break_the_protocol),
		TEST(versions_have_a_floor_and_an_order),
		TEST(only_the_administrator_switches_verification_off),
		TEST(deadlines_have_a_maximum),
		TEST(random_messages_are_refused_or_sane),
	};

	return testing_run(tests);
}
