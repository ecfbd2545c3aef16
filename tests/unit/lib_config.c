/*
 * Settings: what is refused here, what is taken, and how it reaches the broker.
 */
#include "lib_rig.h"

#include <sys/resource.h>

#include "libtlsbroker/internal.h"

static const char pem[] = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";

static void takes_certificates_as_pem_and_as_der(void **state unused_)
{
	struct tlsb_config *config = tlsb_config_new();
	const char der[] = { 0x30, 0x03, 0x02, 0x01, 0x00 };

	assert_int_equal(tlsb_config_set_ca(config, pem, strlen(pem)), 0);
	assert_int_equal(tlsb_config_set_ca(config, pem, sizeof(pem)), 0);
	assert_int_equal(tlsb_config_set_ca(config, der, sizeof(der)), 0);
	assert_fails(tlsb_config_set_ca(config, NULL, 0), EINVAL);
	assert_fails(tlsb_config_set_ca(config, "", 0), EINVAL);
	assert_fails(tlsb_config_set_ca(config, "hello", 5), EINVAL);
	assert_fails(tlsb_config_set_ca(config, "\x30", 1), EINVAL);
	tlsb_config_free(config);
}

static void takes_a_mebibyte_of_certificates_and_no_byte_more(void **state unused_)
{
	struct tlsb_config *config = tlsb_config_new();
	char *big = calloc(1, LIMIT_CA_BYTES + 1);

	memcpy(big, pem, sizeof(pem));
	assert_int_equal(tlsb_config_set_ca(config, big, LIMIT_CA_BYTES), 0);
	assert_fails(tlsb_config_set_ca(config, big, LIMIT_CA_BYTES + 1), EFBIG);
	free(big);
	tlsb_config_free(config);
}

static const char key_pem[] = "-----BEGIN EC PARAMETERS-----\nBggq\n-----END EC PARAMETERS-----\n"
			      "-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n";

static void takes_a_certificate_and_its_key(void **state unused_)
{
	static const char der[] = { 0x30, 0x03, 0x02, 0x01, 0x00 };
	static const char *const bad[] = {
		"", "hello", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\n-----END ", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
		"-----BEGIN X-----\n-----END PRIVATE KEY-----\n",
	};
	struct tlsb_config *config = tlsb_config_new();

	assert_int_equal(tlsb_config_set_client_cert_key(config, pem, strlen(pem), key_pem,
							 strlen(key_pem)), 0);
	assert_int_equal(tlsb_config_set_client_cert_key(config, pem, sizeof(pem), key_pem,
							 sizeof(key_pem)), 0);
	assert_int_equal(tlsb_config_set_client_cert_key(config, der, sizeof(der), der, sizeof(der)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_fails(tlsb_config_set_client_cert_key(config, pem, strlen(pem), bad[i],
							     strlen(bad[i])), EINVAL);
		assert_fails(tlsb_config_set_client_cert_key(config, bad[i], strlen(bad[i]), key_pem,
							     strlen(key_pem)), EINVAL);
	}
	assert_fails(tlsb_config_set_client_cert_key(config, pem, strlen(pem), pem, strlen(pem)), EINVAL);
	assert_fails(tlsb_config_set_client_cert_key(config, NULL, 0, der, sizeof(der)), EINVAL);
	assert_fails(tlsb_config_set_client_cert_key(config, der, sizeof(der), NULL, 0), EINVAL);
	assert_memory_equal(config->key, der, sizeof(der)); /* the settings are as before */
	assert_int_equal(tlsb_config_set_client_cert_key(config, NULL, 0, NULL, 0), 0);
	assert_null(config->cert);
	assert_null(config->key);
	tlsb_config_free(config);
}

/* Of a file with both, each goes where it belongs and nowhere else. */
static void takes_apart_what_is_in_one_file(void **state unused_)
{
	struct tlsb_config *config = tlsb_config_new();
	char both[1024];
	int len = snprintf(both, sizeof(both), "text\n%s%sbetween\n%s", key_pem, pem, pem);

	assert_int_equal(tlsb_config_set_client_cert_key(config, both, (size_t)len, both, (size_t)len), 0);
	assert_null(memmem(config->cert, config->cert_len, "PRIVATE", 7));
	assert_null(memmem(config->cert, config->cert_len, "between", 7));
	assert_null(memmem(config->key, config->key_len, "CERTIFICATE", 11));
	assert_int_equal(config->cert_len, 2 * strlen(pem));
	assert_memory_equal(config->cert, pem, strlen(pem));
	assert_memory_equal(config->key, strstr(key_pem, "-----BEGIN EC PRIVATE"), config->key_len);
	tlsb_config_free(config);
}

static void takes_so_many_bytes_of_both(void **state unused_)
{
	struct tlsb_config *config = tlsb_config_new();
	char *big = calloc(1, LIMIT_OWN_CERT_BYTES + 1);

	big[0] = 0x30;
	assert_int_equal(tlsb_config_set_client_cert_key(config, big, LIMIT_OWN_CERT_BYTES, big,
							 LIMIT_KEY_BYTES), 0);
	assert_fails(tlsb_config_set_client_cert_key(config, big, LIMIT_OWN_CERT_BYTES + 1, big, 9), EFBIG);
	assert_fails(tlsb_config_set_client_cert_key(config, big, 9, big, LIMIT_KEY_BYTES + 1), EFBIG);
	free(big);
	tlsb_config_free(config);
}

/* One or the other: what was set last. */
static void shows_an_identity_or_a_certificate_of_its_own(void **state unused_)
{
	struct tlsb_config *config = tlsb_config_new();

	assert_int_equal(tlsb_config_set_identity(config, "me"), 0);
	assert_int_equal(tlsb_config_set_client_cert_key(config, pem, strlen(pem), key_pem,
							 strlen(key_pem)), 0);
	assert_string_equal(config->identity, "");
	assert_int_equal(tlsb_config_set_identity(config, NULL), 0);
	assert_non_null(config->key);
	assert_int_equal(tlsb_config_set_identity(config, "me"), 0);
	assert_null(config->key);
	assert_null(config->cert);
	assert_int_equal(tlsb_config_set_client_cert_key(config, NULL, 0, NULL, 0), 0);
	assert_string_equal(config->identity, "me");
	tlsb_config_free(config);
}

static void expect_key_file(int fd)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
	const char *key = strstr(key_pem, "-----BEGIN EC PRIVATE");
	char text[256];
	ssize_t len = pread(fd, text, sizeof(text), 0);

	assert_int_equal(fcntl(fd, F_GET_SEALS) & seals, seals);
	assert_int_equal(len, strlen(key));
	assert_memory_equal(text, key, (size_t)len);
}

/* Certificates in messages, the key in a file; and then the session has neither any more. */
static void sends_the_key_in_a_file_of_its_own(void **state unused_)
{
	struct rig rig;
	union msg_buffer buffer;
	size_t heard = 0;
	struct msg msg;
	char *big;
	int fd;

	rig_listen(&rig);
	rig_open(&rig);
	rig.config = tlsb_config_new();
	big = calloc(1, LIMIT_OWN_CERT_BYTES);
	big[0] = 0x30;
	assert_int_equal(tlsb_config_set_client_cert_key(rig.config, big, LIMIT_OWN_CERT_BYTES, key_pem,
							 strlen(key_pem)), 0);
	rig_start_connect(&rig);
	assert_null(rig.session->config->key);
	assert_null(rig.session->config->cert);
	assert_non_null(rig.config->key); /* for the next session */
	rig_take_session(&rig);
	while (heard < LIMIT_OWN_CERT_BYTES) {
		rig_expect(rig.socket, CLIENT_MSG_OWN_CERT, SETUP, &buffer, &msg, NULL);
		heard += msg.tail_len;
	}
	rig_expect(rig.socket, CLIENT_MSG_OWN_KEY, SETUP, &buffer, &msg, &fd);
	expect_key_file(fd);
	close(fd);
	rig_take_connect(&rig);
	assert_int_equal(rig.connect.cert_len, LIMIT_OWN_CERT_BYTES);
	free(big);
	rig_close(&rig);
}

/* Memory counts as a file: a program that may write none is not killed for one. */
static void a_program_that_may_write_no_files(void **state unused_)
{
	struct rlimit before, none;
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	rig.config = tlsb_config_new();
	assert_int_equal(tlsb_config_set_client_cert_key(rig.config, pem, strlen(pem), key_pem,
							 strlen(key_pem)), 0);
	rig_new_session(&rig);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_fails(tlsb_connect(rig.session, RIG_HOST, RIG_PORT), EMFILE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(tlsb_error_code(rig.session), TLSB_E_RESOURCES);
	assert_non_null(strstr(tlsb_error_text(rig.session), "a file as large as its key"));
	rig_close(&rig);
}

static void takes_only_names_and_addresses_as_server_name(void **state unused_)
{
	static const char *const good[] = { "a", "a.example", "a.example.", "_sip.a-b.example",
					    "192.0.2.1", "::1", "[::1]", "fe80::1%eth0",
					    "[fe80::1%eth0.1]", NULL };
	static const char *const bad[] = { "", " ", "a b", "a\n", "\xc3\xa4.example", "a/b", "a:443",
					   "-a", ".a", "[]", "[::1", "::1]", "[a]", "::1%", "::1%a b",
					   "::1%\n", "%eth0", "::g", NULL };
	struct tlsb_config *config = tlsb_config_new();
	char longest[LIMIT_HOST + 2];

	for (size_t i = 0; good[i]; i++)
		assert_int_equal(tlsb_config_set_server_name(config, good[i]), 0);
	for (size_t i = 0; bad[i]; i++)
		assert_fails(tlsb_config_set_server_name(config, bad[i]), EINVAL);
	memset(longest, 'a', sizeof(longest));
	longest[LIMIT_HOST + 1] = '\0';
	assert_fails(tlsb_config_set_server_name(config, longest), EINVAL);
	longest[LIMIT_HOST] = '\0';
	assert_int_equal(tlsb_config_set_server_name(config, longest), 0);
	assert_int_equal(tlsb_config_set_server_name(config, NULL), 0);
	tlsb_config_free(config);
}

static void takes_pins_as_they_are_written(void **state unused_)
{
	static const char pin[] = "sha256/MvmgJzcYjVyYHbjzyqWR5oMkSbnbTNVKxV0YZtN5QhQ=";
	struct tlsb_config *config = tlsb_config_new();

	assert_fails(tlsb_config_add_pin(config, NULL), EINVAL);
	assert_fails(tlsb_config_add_pin(config, ""), EINVAL);
	assert_fails(tlsb_config_add_pin(config, "sha256/"), EINVAL);
	assert_fails(tlsb_config_add_pin(config, pin + 8), EINVAL);
	for (int i = 0; i < LIMIT_PINS; i++)
		assert_int_equal(tlsb_config_add_pin(config, i % 2 ? pin : pin + 7), 0);
	assert_fails(tlsb_config_add_pin(config, pin), EFBIG);
	tlsb_config_free(config);
}

static void takes_protocols_without_gaps(void **state unused_)
{
	static const char *const bad[] = { ",", "h2,", ",h2", "h2,,h3", NULL };
	struct tlsb_config *config = tlsb_config_new();
	char longest[LIMIT_ALPN + 2];

	for (size_t i = 0; bad[i]; i++)
		assert_fails(tlsb_config_set_alpn(config, bad[i]), EINVAL);
	memset(longest, 'a', sizeof(longest));
	longest[LIMIT_ALPN + 1] = '\0';
	assert_fails(tlsb_config_set_alpn(config, longest), EINVAL);
	longest[LIMIT_ALPN] = '\0';
	assert_int_equal(tlsb_config_set_alpn(config, longest), 0);
	assert_int_equal(tlsb_config_set_alpn(config, "h2,http/1.1"), 0);
	assert_int_equal(tlsb_config_set_alpn(config, ""), 0);
	assert_int_equal(tlsb_config_set_alpn(config, NULL), 0);
	tlsb_config_free(config);
}

static void refuses_versions_below_every_floor(void **state unused_)
{
	struct tlsb_config *config = tlsb_config_new();

	for (int old = 0x0300; old < TLSB_TLS_1_2; old++) {
		assert_fails(tlsb_config_set_versions(config, old, 0), EACCES);
		assert_fails(tlsb_config_set_versions(config, 0, old), EACCES);
	}
	assert_fails(tlsb_config_set_versions(config, TLSB_TLS_1_3, TLSB_TLS_1_2), EINVAL);
	assert_fails(tlsb_config_set_versions(config, 0x0305, 0), EINVAL);
	assert_fails(tlsb_config_set_versions(config, -1, 0), EINVAL);
	assert_fails(tlsb_config_set_versions(config, 0x10000 + TLSB_TLS_1_2, 0), EINVAL);
	assert_int_equal(tlsb_config_set_versions(config, TLSB_TLS_1_2, TLSB_TLS_1_3), 0);
	assert_int_equal(tlsb_config_set_versions(config, 0, 0), 0);
	tlsb_config_free(config);
}

static void takes_cipher_names_and_no_selection_strings(void **state unused_)
{
	static const char *const bad[] = { "", ":", "A:", ":A", "A::B", "!A", "A+B", "@STRENGTH",
					   "A B", "A,B", "A\n", NULL };
	struct tlsb_config *config = tlsb_config_new();
	char longest[LIMIT_CIPHERS + 2];

	for (size_t i = 0; bad[i]; i++)
		assert_fails(tlsb_config_set_ciphers(config, bad[i]), EINVAL);
	memset(longest, 'A', sizeof(longest));
	longest[LIMIT_CIPHERS + 1] = '\0';
	assert_fails(tlsb_config_set_ciphers(config, longest), EINVAL);
	longest[LIMIT_CIPHERS] = '\0';
	assert_int_equal(tlsb_config_set_ciphers(config, longest), 0);
	assert_int_equal(tlsb_config_set_ciphers(config, "TLS_AES_128_GCM_SHA256:AES-X"), 0);
	assert_int_equal(tlsb_config_set_ciphers(config, NULL), 0);
	tlsb_config_free(config);
}

static void takes_only_families_of_addresses(void **state unused_)
{
	struct tlsb_config *config = tlsb_config_new();

	assert_int_equal(tlsb_config_set_family(config, AF_INET), 0);
	assert_int_equal(tlsb_config_set_family(config, AF_INET6), 0);
	assert_int_equal(tlsb_config_set_family(config, AF_UNSPEC), 0);
	assert_fails(tlsb_config_set_family(config, AF_UNIX), EINVAL);
	assert_fails(tlsb_config_set_family(config, -1), EINVAL);
	assert_fails(tlsb_config_set_family(config, 0x10000 + AF_INET), EINVAL);
	tlsb_config_free(config);
}

static void frees_nothing_at_all(void **state unused_)
{
	errno = EDOM;
	tlsb_config_free(NULL);
	tlsb_session_free(NULL);
	tlsb_close(NULL);
	assert_int_equal(errno, EDOM);
}

static void sends_the_settings_of_the_time_of_session_new(void **state unused_)
{
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	rig.config = tlsb_config_new();
	tlsb_config_set_server_name(rig.config, "name.example");
	tlsb_config_set_alpn(rig.config, "h2,h3");
	tlsb_config_set_ciphers(rig.config, "TLS_X");
	tlsb_config_set_versions(rig.config, TLSB_TLS_1_2, TLSB_TLS_1_3);
	tlsb_config_set_family(rig.config, AF_INET6);
	tlsb_config_set_resumption(rig.config, 0);
	tlsb_config_insecure_no_verify(rig.config);
	assert_int_equal(tlsb_config_add_pin(rig.config, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
			 0);
	rig_new_session(&rig);
	tlsb_config_set_alpn(rig.config, "other");
	tlsb_config_free(rig.config);
	rig.config = NULL;
	assert_fails(tlsb_connect(rig.session, "host.example", "8443"), EWOULDBLOCK);
	rig_take_session(&rig);
	rig_take_connect(&rig);
	assert_string_equal(rig.tail, "host.examplename.exampleh2,h3TLS_X0123456789abcdef0123456789abcdef");
	assert_int_equal(rig.connect.host_len, 12);
	assert_int_equal(rig.connect.name_len, 12);
	assert_int_equal(rig.connect.alpn_len, 5);
	assert_int_equal(rig.connect.ciphers_len, 5);
	assert_int_equal(rig.connect.pin_count, 1);
	assert_int_equal(rig.connect.port, 8443);
	assert_int_equal(rig.connect.family, AF_INET6);
	assert_int_equal(rig.connect.version_min, TLSB_TLS_1_2);
	assert_int_equal(rig.connect.version_max, TLSB_TLS_1_3);
	assert_int_equal(rig.connect.flags, CONNECT_NO_RESUMPTION | CONNECT_NO_VERIFY);
	assert_int_equal(rig.connect.ca_len, 0);
	assert_int_equal(rig.connect.deadline_ms, LIMIT_CONNECT_MS);
	rig_close(&rig);
}

static void sends_the_defaults_without_settings(void **state unused_)
{
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	rig_start_connect(&rig);
	rig_take_session(&rig);
	rig_take_connect(&rig);
	assert_string_equal(rig.tail, RIG_HOST);
	assert_int_equal(rig.connect.flags, 0);
	assert_int_equal(rig.connect.family, AF_UNSPEC);
	assert_int_equal(rig.connect.version_min, 0);
	assert_int_equal(rig.connect.version_max, 0);
	rig_close(&rig);
}

static void turns_resumption_off_and_on(void **state unused_)
{
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	rig.config = tlsb_config_new();
	tlsb_config_set_resumption(rig.config, 0);
	tlsb_config_set_resumption(rig.config, 1);
	rig_start_connect(&rig);
	rig_take_session(&rig);
	rig_take_connect(&rig);
	assert_int_equal(rig.connect.flags, 0);
	rig_close(&rig);
}

/* More certificates than a socket holds: the rest follows, call by call, as the worker reads. */
static void sends_a_mebibyte_of_certificates(void **state unused_)
{
	char *big = malloc(LIMIT_CA_BYTES), *got = malloc(LIMIT_CA_BYTES);
	const struct msg_context ctx = { &client_messages, ROLE_WORKER, ROLE_CLIENT, SETUP };
	union msg_buffer buffer;
	enum msg_rule rule;
	struct rig rig;
	struct msg msg;
	size_t len = 0;
	int calls = 0;

	for (size_t i = 0; i < LIMIT_CA_BYTES; i++)
		big[i] = (char)(i * 7 + i / 251);
	memcpy(big, pem, sizeof(pem));
	rig_listen(&rig);
	rig_open(&rig);
	rig.config = tlsb_config_new();
	assert_int_equal(tlsb_config_set_ca(rig.config, big, LIMIT_CA_BYTES), 0);
	rig_start_connect(&rig);
	rig_take_session(&rig);
	for (;;) {
		int r = msg_recv(rig.socket, &ctx, &buffer, &msg, &rule);

		if (r == -EAGAIN) { /* as a poller: a bell came for what was read */
			assert_true(is_readable(tlsb_fd(rig.session)));
			assert_fails(tlsb_connect(rig.session, NULL, NULL), EWOULDBLOCK);
			calls++;
			continue;
		}
		assert_int_equal(r, 1);
		if (msg.type == CLIENT_MSG_CONNECT)
			break;
		assert_int_equal(msg.type, CLIENT_MSG_CA);
		assert_true(len + msg.tail_len <= LIMIT_CA_BYTES);
		memcpy(got + len, msg.tail, msg.tail_len);
		len += msg.tail_len;
		rig_bell(&rig);
	}
	assert_true(calls > 0);
	assert_int_equal(((const struct msg_connect *)msg.body)->ca_len, LIMIT_CA_BYTES);
	assert_int_equal(len, LIMIT_CA_BYTES);
	assert_memory_equal(got, big, LIMIT_CA_BYTES);
	free(big);
	free(got);
	rig_close(&rig);
}

/* Case 38: what a server calls a key is one line of text, and the key is long enough. */
static void case_38_takes_identities_and_keys_that_can_be(void **state unused_)
{
	struct tlsb_config *config = tlsb_config_new();
	const char key[LIMIT_PSK_BYTES + 1] = "0123456789abcdef";
	char *large = malloc(65536 + 1), most[LIMIT_PSK_IDENTITY + 2];

	memset(large, 'x', 65536);
	large[65536] = '\0';
	memset(most, 'x', sizeof(most));
	most[LIMIT_PSK_IDENTITY] = '\0';
	assert_int_equal(tlsb_config_set_psk(config, "sensor7", NULL, 0), 0);
	assert_int_equal(tlsb_config_set_psk(config, "%n%s", key, 16), 0);
	assert_int_equal(tlsb_config_set_psk(config, most, key, LIMIT_PSK_BYTES), 0);
	assert_int_equal(tlsb_config_set_psk(config, "m\xc3\xbcller", key, 16), 0);
	assert_int_equal(tlsb_config_set_psk(config, NULL, NULL, 0), 0);
	assert_fails(tlsb_config_set_psk(config, NULL, key, 16), EINVAL);
	assert_fails(tlsb_config_set_psk(config, "", NULL, 0), EINVAL);
	assert_fails(tlsb_config_set_psk(config, "", key, 16), EINVAL);
	assert_fails(tlsb_config_set_psk(config, "a b", NULL, 0), EINVAL); /* no name of a section */
	assert_fails(tlsb_config_set_psk(config, "%n", NULL, 0), EINVAL);
	assert_fails(tlsb_config_set_psk(config, "a\n", key, 16), EINVAL);
	assert_fails(tlsb_config_set_psk(config, "a\x1b[31m", key, 16), EINVAL);
	assert_fails(tlsb_config_set_psk(config, "a\x7f", key, 16), EINVAL);
	assert_fails(tlsb_config_set_psk(config, large, key, 16), EINVAL);
	assert_fails(tlsb_config_set_psk(config, large, NULL, 0), EINVAL);
	most[LIMIT_PSK_IDENTITY] = 'x';
	most[LIMIT_PSK_IDENTITY + 1] = '\0';
	assert_fails(tlsb_config_set_psk(config, most, key, 16), EINVAL);
	assert_fails(tlsb_config_set_psk(config, "x", key, 15), EINVAL);
	assert_fails(tlsb_config_set_psk(config, "x", key, 0), EINVAL);
	assert_fails(tlsb_config_set_psk(config, "x", key, LIMIT_PSK_BYTES + 1), EINVAL);
	assert_fails(tlsb_config_set_psk(config, "x", key, SIZE_MAX), EINVAL);
	assert_fails(tlsb_config_set_psk(config, "x", NULL, 16), EINVAL);
	tlsb_config_free(config);
	free(large);
}

/* It goes before CONNECT, once; the session keeps no copy of it. */
static void sends_the_key_and_forgets_it(void **state unused_)
{
	const struct msg_preshared *body;
	union msg_buffer buffer;
	struct msg msg;
	struct rig rig;

	rig_listen(&rig);
	rig_open(&rig);
	rig.config = tlsb_config_new();
	assert_int_equal(tlsb_config_set_psk(rig.config, "sensor7", "0123456789abcdef", 16), 0);
	rig_start_connect(&rig);
	rig_take_session(&rig);
	rig_expect(rig.socket, CLIENT_MSG_PRESHARED, SETUP, &buffer, &msg, NULL);
	body = msg.body;
	assert_int_equal(body->name_len, 7);
	assert_int_equal(msg.tail_len, 7 + 16);
	assert_memory_equal(msg.tail, "sensor70123456789abcdef", 7 + 16);
	rig_take_connect(&rig);
	assert_null(memmem(rig.session->config, sizeof(*rig.config), "0123456789abcdef", 16));
	assert_non_null(memmem(rig.config, sizeof(*rig.config), "0123456789abcdef", 16));
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(takes_certificates_as_pem_and_as_der),
		TEST(takes_a_mebibyte_of_certificates_and_no_byte_more),
		TEST(takes_a_certificate_and_its_key),
		TEST(takes_apart_what_is_in_one_file),
		TEST(takes_so_many_bytes_of_both),
		TEST(shows_an_identity_or_a_certificate_of_its_own),
		TEST(sends_the_key_in_a_file_of_its_own),
		TEST(a_program_that_may_write_no_files),
		TEST(takes_only_names_and_addresses_as_server_name),
		TEST(takes_pins_as_they_are_written),
		TEST(case_38_takes_identities_and_keys_that_can_be),
		TEST(sends_the_key_and_forgets_it),
		TEST(takes_protocols_without_gaps),
		TEST(refuses_versions_below_every_floor),
		TEST(takes_cipher_names_and_no_selection_strings),
		TEST(takes_only_families_of_addresses),
		TEST(frees_nothing_at_all),
		TEST(sends_the_settings_of_the_time_of_session_new),
		TEST(sends_the_defaults_without_settings),
		TEST(turns_resumption_off_and_on),
		TEST(sends_a_mebibyte_of_certificates),
	};

	return testing_run(tests);
}
