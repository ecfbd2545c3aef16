/*
 * Every way in which a server can fail a handshake: the code that says so, a text for a person, and
 * not one byte of the program's on the wire.
 */
#include "worker_rig.h"
#include "testing_clock.h"

static const char secret[] = "nothing of this may be seen by an unverified server";

/* One line that a person can read. */
static void expect_text(const char *text)
{
	assert_in_range(strlen(text), 10, LIMIT_TEXT);
	for (const char *p = text; *p; p++)
		assert_in_range(*p, ' ', '~');
}

struct fault {
	const char *what;
	struct cert_spec leaf;
	uint32_t error;
	const char *words;
	struct wish want;
	int issuer;    /* index into struct authorities */
	bool alone;    /* the issuer is not sent */
	bool tampered; /* a bit of the signature is wrong */
};

enum {
	ROOT,
	INTERMEDIATE,
	STRANGER,
	STRANGERS_INTERMEDIATE,
	NO_CA,
	CONSTRAINED,
	WEAK,
	OLD,
	ITSELF
};

struct authorities {
	struct testing_identity all[ITSELF];
	X509 *above[ITSELF]; /* sent behind it */
};

static void authorities_init(struct authorities *a, const struct testing_identity *root)
{
	struct testing_identity *all = a->all;

	*a = (struct authorities){0};
	all[ROOT] = (struct testing_identity){root->x509, root->key};
	X509_up_ref(root->x509);
	EVP_PKEY_up_ref(root->key);
	all[INTERMEDIATE] = cert_new((struct cert_spec){.name = "middle", .is_ca = true}, root);
	all[STRANGER] = cert_new((struct cert_spec){.name = "stranger", .is_ca = true}, NULL);
	all[STRANGERS_INTERMEDIATE] =
		cert_new((struct cert_spec){.name = "stranger's", .is_ca = true}, &all[STRANGER]);
	all[NO_CA] = cert_new((struct cert_spec){.name = "no CA"}, root);
	all[CONSTRAINED] =
		cert_new((struct cert_spec){.name = "constrained",
					    .is_ca = true,
					    .constraints = "permitted;DNS:other.example"},
			 root);
	all[WEAK] =
		cert_new((struct cert_spec){.name = "weak", .is_ca = true, .rsa_bits = 1024}, root);
	all[OLD] = cert_new(
		(struct cert_spec){.name = "old", .is_ca = true, .from = -9 * DAY, .until = -DAY},
		root);
}

static void authorities_deinit(struct authorities *a)
{
	for (size_t i = 0; i < ARRAY_SIZE(a->all); i++)
		testing_identity_free(&a->all[i]);
}

/* The same certificate with one bit of its signature changed. */
static void tamper(struct testing_identity *identity)
{
	uint8_t *der = NULL;
	const uint8_t *p;
	int len = i2d_X509(identity->x509, &der);

	der[len - 1] ^= 1;
	p = der;
	X509_free(identity->x509);
	identity->x509 = d2i_X509(NULL, &p, len);
	assert_non_null(identity->x509);
	OPENSSL_free(der);
}

static SSL_CTX *server_of(const struct fault *fault, const struct authorities *a)
{
	bool itself = fault->issuer == ITSELF;
	struct testing_identity leaf =
		cert_new(fault->leaf, itself ? NULL : &a->all[fault->issuer]);
	SSL_CTX *server;

	if (fault->tampered)
		tamper(&leaf);
	server =
		server_new(&leaf, itself || fault->alone ? NULL : a->all[fault->issuer].x509, NULL);
	testing_identity_free(&leaf);
	return server;
}

/* The program has bytes to send, and says so with every step; the handshake must fail all the same.
 */
static void expect_refusal(struct rig *rig, SSL_CTX *server, const struct fault *fault, int version)
{
	struct program_session session;
	struct program program;
	struct wish want = fault->want;
	struct peer peer;

	want.version_max = (uint32_t)version;
	rig_program(rig, &program);
	rig_connect(rig, &program, &session, &want, &peer, server);
	session_write(&session, secret, sizeof(secret));
	session_bell_worker(&session);
	RIG_UNTIL(rig, session_is_over(&session));
	rig_run_for(rig, 2);
	if (session.channel.page->error != fault->error)
		print_message("%s:\n", fault->what);
	session_expect_end(&session, fault->error, fault->words);
	expect_text(session.channel.page->text);
	assert_true(session_word(&session.channel.page->state) < STATE_ESTABLISHED);
	assert_int_equal(peer.got.len, 0);
	session_close(&session);
	rig_forget(rig, &peer);
	close(program.fd);
	rig_turn(rig);
	rig_expect_no_sessions(rig);
}

#define SERVER .names = "DNS:server.example", .name = "leaf"

static const struct fault certificate_faults[] = {
	{"another name",
	 {.name = "leaf", .names = "DNS:a.example,DNS:b.example"},
	 TLSB_E_CERT_NAME,
	 "it is for a.example, b.example",
	 .issuer = ROOT},
	{"the name only in the subject",
	 {.name = "server.example"},
	 TLSB_E_CERT_NAME,
	 "server.example",
	 .issuer = ROOT},
	{"a wildcard one level too high",
	 {.name = "leaf", .names = "DNS:*.example"},
	 TLSB_E_CERT_NAME,
	 "a.server.example",
	 .want = {.host = "a.server.example"},
	 .issuer = ROOT},
	{"a partial wildcard",
	 {.name = "leaf", .names = "DNS:s*.example.org"},
	 TLSB_E_CERT_NAME,
	 "server.example.org",
	 .want = {.host = "server.example.org"},
	 .issuer = ROOT},
	{"a longer name",
	 {.name = "leaf", .names = "DNS:server.example.evil.example"},
	 TLSB_E_CERT_NAME,
	 "server.example",
	 .issuer = ROOT},
	{"another address",
	 {.name = "leaf", .names = "IP:192.0.2.2,DNS:a.example,IP:2001:db8::1"},
	 TLSB_E_CERT_ADDRESS,
	 "it is for 192.0.2.2, a.example, 2001:db8::1",
	 .want = {.host = "192.0.2.1"},
	 .issuer = ROOT},
	{"an address as a name",
	 {.name = "leaf", .names = "DNS:192.0.2.1"},
	 TLSB_E_CERT_ADDRESS,
	 "192.0.2.1",
	 .want = {.host = "192.0.2.1"},
	 .issuer = ROOT},
	{"another IPv6 address",
	 {.name = "leaf", .names = "IP:2001:db8::2"},
	 TLSB_E_CERT_ADDRESS,
	 "2001:db8::1",
	 .want = {.host = "[2001:db8::1]"},
	 .issuer = ROOT},
	{"right for the host, wrong for the name",
	 {SERVER},
	 TLSB_E_CERT_NAME,
	 "other.example",
	 .want = {.name = "other.example"},
	 .issuer = ROOT},
	{"expired",
	 {SERVER, .from = -9 * DAY, .until = -2 * DAY},
	 TLSB_E_CERT_EXPIRED,
	 "expired",
	 .issuer = ROOT},
	{"not yet valid",
	 {SERVER, .from = 2 * DAY, .until = 9 * DAY},
	 TLSB_E_CERT_NOT_YET,
	 "clock",
	 .issuer = ROOT},
	{"its CA expired", {SERVER}, TLSB_E_CERT_EXPIRED, "expired", .issuer = OLD},
	{"self-signed", {SERVER}, TLSB_E_CERT_SELF_SIGNED, "self-signed", .issuer = ITSELF},
	{"an unknown CA", {SERVER}, TLSB_E_CERT_UNKNOWN_CA, "not trusted", .issuer = STRANGER},
	{"an unknown CA's intermediate",
	 {SERVER},
	 TLSB_E_CERT_UNKNOWN_CA,
	 "not trusted",
	 .issuer = STRANGERS_INTERMEDIATE},
	{"a missing intermediate",
	 {SERVER},
	 TLSB_E_CERT_INCOMPLETE,
	 "issuer",
	 .issuer = INTERMEDIATE,
	 .alone = true},
	{"for clients only",
	 {SERVER, .eku = "clientAuth"},
	 TLSB_E_CERT_PURPOSE,
	 "server",
	 .issuer = ROOT},
	{"issued by what is no CA", {SERVER}, TLSB_E_CERT_PURPOSE, "no CA", .issuer = NO_CA},
	{"a short RSA key", {SERVER, .rsa_bits = 1024}, TLSB_E_CERT_WEAK, "weak", .issuer = ROOT},
	{"a CA with a short key", {SERVER}, TLSB_E_CERT_WEAK, "weak", .issuer = WEAK},
	{"signed with SHA-1", {SERVER, .sha1 = true}, TLSB_E_CERT_WEAK, "weak", .issuer = ROOT},
	{"outside of the name constraints",
	 {SERVER},
	 TLSB_E_CERT_CONSTRAINT,
	 "may not issue",
	 .issuer = CONSTRAINED},
	{"a wrong signature",
	 {SERVER},
	 TLSB_E_CERT_SIGNATURE,
	 "signature",
	 .issuer = ROOT,
	 .tampered = true},
};

static void every_faulty_certificate_has_its_code(void **state unused_)
{
	struct authorities authorities;
	struct rig rig;

	rig_init(&rig);
	authorities_init(&authorities, &rig.root);
	for (size_t i = 0; i < ARRAY_SIZE(certificate_faults); i++) {
		SSL_CTX *server = server_of(&certificate_faults[i], &authorities);

		expect_refusal(&rig, server, &certificate_faults[i], TLSB_TLS_1_3);
		expect_refusal(&rig, server, &certificate_faults[i], TLSB_TLS_1_2);
		SSL_CTX_free(server);
	}
	assert_int_equal(rig_count(&rig, COUNTER_handshakes_failed),
			 2 * ARRAY_SIZE(certificate_faults));
	assert_int_equal(rig_count(&rig, COUNTER_handshakes_full), 0);
	assert_int_equal(rig_count(&rig, COUNTER_bytes_written), 0);
	authorities_deinit(&authorities);
	rig_deinit(&rig);
}

/* The same certificates, but without their faults. */
static void good_certificates_are_accepted(void **state unused_)
{
	static const struct fault good[] = {
		{"by name", {SERVER}, .issuer = ROOT},
		{"with the root's dot",
		 {SERVER},
		 .issuer = ROOT,
		 .want = {.host = "server.example."}},
		{"in capitals", {SERVER}, .issuer = ROOT, .want = {.host = "SERVER.Example"}},
		{"by a wildcard",
		 {.name = "x", .names = "DNS:*.example.org"},
		 .issuer = ROOT,
		 .want = {.host = "server.example.org"}},
		{"by address",
		 {.name = "x", .names = "IP:192.0.2.1"},
		 .issuer = ROOT,
		 .want = {.host = "192.0.2.1"}},
		{"by IPv6 address",
		 {.name = "x", .names = "IP:2001:db8::1"},
		 .issuer = ROOT,
		 .want = {.host = "[2001:db8:0::1]"}},
		{"by zoned address",
		 {.name = "x", .names = "IP:fe80::1"},
		 .issuer = ROOT,
		 .want = {.host = "fe80::1%lo"}},
		{"by another name",
		 {SERVER},
		 .issuer = ROOT,
		 .want = {.host = "192.0.2.1", .name = "server.example"}},
		{"through an intermediate", {SERVER}, .issuer = INTERMEDIATE},
		{"inside the constraints",
		 {.name = "x", .names = "DNS:a.other.example"},
		 .issuer = CONSTRAINED,
		 .want = {.host = "a.other.example"}},
		{"for servers", {SERVER, .eku = "serverAuth"}, .issuer = ROOT},
		{"an RSA key", {SERVER, .rsa_bits = 2048}, .issuer = ROOT},
	};
	struct authorities authorities;
	struct rig rig;

	rig_init(&rig);
	authorities_init(&authorities, &rig.root);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		SSL_CTX *server = server_of(&good[i], &authorities);
		struct program_session session;
		struct program program;
		struct peer peer;

		rig_program(&rig, &program);
		rig_connect(&rig, &program, &session, &good[i].want, &peer, server);
		RIG_UNTIL(&rig, session_word(&session.channel.page->state) == STATE_ESTABLISHED ||
					session_is_over(&session));
		if (session.channel.page->ended)
			print_message("%s: %s\n", good[i].what, session.channel.page->text);
		assert_int_equal(session.channel.page->ended, 0);
		assert_int_equal(session.channel.page->info.verified, 1);
		session_close(&session);
		rig_forget(&rig, &peer);
		close(program.fd);
		rig_turn(&rig);
		SSL_CTX_free(server);
	}
	authorities_deinit(&authorities);
	rig_deinit(&rig);
}

static void the_programs_own_ca_counts_instead_of_the_systems(void **state unused_)
{
	struct authorities authorities;
	struct testing_text pem = {0};
	struct fault fault = {.leaf = {SERVER}, .issuer = STRANGER};
	struct program_session session;
	struct program program;
	struct peer peer;
	SSL_CTX *server;
	struct rig rig;

	rig_init(&rig);
	authorities_init(&authorities, &rig.root);
	testing_append(&pem, "some text in front\n", 19);
	testing_append_pem(&pem, authorities.all[STRANGER].x509);
	fault.want.ca = pem.data;
	server = server_of(&fault, &authorities);
	rig_program(&rig, &program);
	rig_connect(&rig, &program, &session, &fault.want, &peer, server);
	RIG_UNTIL(&rig, session_word(&session.channel.page->state) == STATE_ESTABLISHED);
	assert_int_equal(rig_worker(&rig)->quota.ca_bytes, 0); /* parsed, then freed */
	session_close(&session);
	rig_forget(&rig, &peer);
	SSL_CTX_free(server);
	/* And the system's CA does not count then. */
	fault.issuer = ROOT;
	fault.error = TLSB_E_CERT_UNKNOWN_CA;
	fault.words = "not trusted";
	server = server_of(&fault, &authorities);
	close(program.fd);
	expect_refusal(&rig, server, &fault, 0);
	SSL_CTX_free(server);
	free(pem.data);
	authorities_deinit(&authorities);
	rig_deinit(&rig);
}

/* ---- not the certificate ---- */

static const struct fault no_fault = {.leaf = {SERVER}};

/* A server that is set up as FAULT says by CONFIGURE. */
static void expect_tls_failure(const struct fault *fault, void (*configure)(SSL_CTX *))
{
	struct rig rig;

	rig_init(&rig);
	configure(rig.server);
	expect_refusal(&rig, rig.server, fault, (int)fault->want.version_max);
	rig_deinit(&rig);
}

static void only_tls_1_1(SSL_CTX *ctx)
{
	SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
	SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
}

static void only_tls_1_2(SSL_CTX *ctx)
{
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
}

static void only_cbc(SSL_CTX *ctx)
{
	only_tls_1_2(ctx);
	SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-SHA");
}

static int no_such_protocol(SSL *ssl unused_, const unsigned char **out unused_,
			    unsigned char *out_len unused_, const unsigned char *in unused_,
			    unsigned in_len unused_, void *arg unused_)
{
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void other_protocols(SSL_CTX *ctx)
{
	SSL_CTX_set_alpn_select_cb(ctx, no_such_protocol, NULL);
}

static int odd_protocol(SSL *ssl unused_, const unsigned char **out, unsigned char *out_len,
			const unsigned char *in unused_, unsigned in_len unused_, void *arg unused_)
{
	*out = (const unsigned char *)"odd";
	*out_len = 3;
	return SSL_TLSEXT_ERR_OK;
}

static void a_protocol_not_offered(SSL_CTX *ctx)
{
	SSL_CTX_set_alpn_select_cb(ctx, odd_protocol, NULL);
}

static int wrong_name(SSL *ssl unused_, int *alert, void *arg unused_)
{
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void names_itself_otherwise(SSL_CTX *ctx)
{
	SSL_CTX_set_tlsext_servername_callback(ctx, wrong_name);
}

static void what_cannot_be_agreed_on_has_its_code(void **state unused_)
{
	static const struct {
		void (*configure)(SSL_CTX *);
		struct fault fault;
	} rows[] = {
		{only_tls_1_1, {.error = TLSB_E_TLS_VERSION, .words = "version"}},
		{only_tls_1_2,
		 {.error = TLSB_E_TLS_VERSION,
		  .words = "version",
		  .want = {.version_min = TLSB_TLS_1_3}}},
		{only_cbc, {.error = TLSB_E_TLS_CIPHER, .words = "cipher"}},
		{other_protocols,
		 {.error = TLSB_E_TLS_ALPN, .words = "protocol", .want = {.alpn = "h2"}}},
		{names_itself_otherwise, {.error = TLSB_E_TLS_ALERT, .words = "unrecognized name"}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expect_tls_failure(&rows[i].fault, rows[i].configure);
}

/* OpenSSL's own newer releases notice it first, with words of their own. */
static void a_server_may_only_choose_what_was_offered(void **state unused_)
{
	const struct wish wish = {.alpn = "h2,http/1.1"};
	struct program_session session;
	struct program program;
	struct peer peer;
	struct rig rig;

	rig_init(&rig);
	a_protocol_not_offered(rig.server);
	rig_program(&rig, &program);
	rig_connect(&rig, &program, &session, &wish, &peer, rig.server);
	session_write(&session, secret, sizeof(secret));
	RIG_UNTIL(&rig, session_is_over(&session));
	assert_true(session.channel.page->error == TLSB_E_TLS_ALPN ||
		    session.channel.page->error == TLSB_E_TLS);
	rig_run_for(&rig, 2);
	assert_int_equal(peer.got.len, 0);
	session_close(&session);
	rig_forget(&rig, &peer);
	close(program.fd);
	rig_deinit(&rig);
}

/* A server that says LEN bytes and then closes, or closes having read nothing (RESET), or stays. */
enum then { CLOSES, RESETS, STAYS };

static void expect_after(const void *said, size_t len, enum then then, uint32_t error,
			 const char *words)
{
	struct program_session session;
	struct program program;
	struct peer peer;
	struct rig rig;

	rig_init(&rig);
	rig_program(&rig, &program);
	rig_connect(&rig, &program, &session, &no_fault.want, &peer, NULL);
	session_write(&session, secret, sizeof(secret));
	assert_int_equal(send(peer.fd, said, len, 0), len);
	if (then == CLOSES)
		peer_cut(&peer);
	if (then == RESETS)
		peer_reset(&peer);
	RIG_UNTIL(&rig, session_is_over(&session));
	session_expect_end(&session, error, words);
	expect_text(session.channel.page->text);
	session_close(&session);
	rig_forget(&rig, &peer);
	close(program.fd);
	rig_turn(&rig);
	rig_expect_no_sessions(&rig);
	rig_deinit(&rig);
}

static void a_server_that_speaks_no_tls_is_told_apart(void **state unused_)
{
	static const char *const others[] = {
		"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
		"220 mail.example ESMTP\r\n",
		"SSH-2.0-OpenSSH_9.2p1\r\n",
		"\r\n\r\n\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		for (enum then then = CLOSES; then <= STAYS; then++)
			expect_after(others[i], strlen(others[i]), then, TLSB_E_NOT_TLS, "TLS");
	}
}

static void a_server_that_ends_the_handshake_is_told_apart(void **state unused_)
{
	static const uint8_t refusal[] = {21, 3, 3, 0, 2, 2, SSL_AD_ACCESS_DENIED};
	static const uint8_t unknown[] = {21, 3, 3, 0, 2, 2, 199};
	static const uint8_t half[] = {22, 3, 3, 0, 200, 2, 0, 0, 196, 3};

	expect_after("", 0, CLOSES, TLSB_E_TRUNCATED, "handshake");
	expect_after("", 0, RESETS, TLSB_E_RESET, "handshake");
	expect_after(half, sizeof(half), CLOSES, TLSB_E_TRUNCATED, "handshake");
	expect_after(half, sizeof(half), RESETS, TLSB_E_RESET, "handshake");
	for (enum then then = CLOSES; then <= STAYS; then++) {
		expect_after(refusal, sizeof(refusal), then, TLSB_E_TLS_ALERT, "access denied");
		expect_after(unknown, sizeof(unknown), then, TLSB_E_TLS_ALERT, "alert");
	}
}

/* Whatever a server says: an end, a code, a text; never a crash, never a byte of the program's. */
static void random_answers_end_with_a_verdict(void **state unused_)
{
	uint64_t seed = 17;

	for (int i = 0; i < 60; i++) {
		uint8_t said[300] = {22, 3, 3, 0, 120, 2, 0, 0, 116, 3, 3};
		struct program_session session;
		struct program program;
		struct peer peer;
		struct rig rig;

		for (size_t at = i % 2 ? 0 : 11; at < sizeof(said); at++)
			said[at] = (uint8_t)testing_random(&seed);
		rig_init(&rig);
		rig_program(&rig, &program);
		rig_connect(&rig, &program, &session, &no_fault.want, &peer, NULL);
		send(peer.fd, said, sizeof(said), 0);
		peer_cut(&peer);
		RIG_UNTIL(&rig, session_is_over(&session));
		assert_true(session.channel.page->error != TLSB_E_NONE);
		expect_text(session.channel.page->text);
		session_close(&session);
		rig_forget(&rig, &peer);
		close(program.fd);
		rig_deinit(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_faulty_certificate_has_its_code),
		TEST(good_certificates_are_accepted),
		TEST(the_programs_own_ca_counts_instead_of_the_systems),
		TEST(what_cannot_be_agreed_on_has_its_code),
		TEST(a_server_may_only_choose_what_was_offered),
		TEST(a_server_that_speaks_no_tls_is_told_apart),
		TEST(a_server_that_ends_the_handshake_is_told_apart),
		TEST(random_answers_end_with_a_verdict),
	};

	return testing_run(tests);
}
