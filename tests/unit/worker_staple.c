/*
 * OCSP responses that servers staple to their certificates: what is good, and each way in which one is not;
 * when they are demanded, how long a session is resumed that had one, and what a reload makes of it.
 */
#include "worker_rig.h"
#include "testing_clock.h"

#include "testing_ocsp.h"

#define DELEGATE "critical,OCSPSigning"

struct scene {
	struct rig rig;
	struct testing_identity between, leaf, demanding, delegate;
	struct testing_text staple;
	SSL_CTX *server;
	bool resumed;
};

static void policy(struct scene *scene, unsigned flags)
{
	rig_policy(&scene->rig, TLSB_TLS_1_2, (uint16_t)flags, NULL);
	rig_turn(&scene->rig);
}

static void serve(struct scene *scene, const struct testing_identity *leaf)
{
	SSL_CTX_free(scene->server);
	scene->server = server_new(leaf, scene->between.x509, NULL);
	staple_serve(scene->server, &scene->staple);
}

static void scene_init(struct scene *scene)
{
	*scene = (struct scene){ .server = NULL };
	rig_init_with(&scene->rig, 1);
	scene->between = cert_new((struct cert_spec){ .name = "between", .is_ca = true },
				  &scene->rig.root);
	scene->leaf = cert_new((struct cert_spec){ .name = "leaf", .names = "DNS:server.example" },
			       &scene->between);
	scene->demanding = cert_new((struct cert_spec){ .name = "leaf",
							.names = "DNS:server.example",
							.features = "status_request" },
				    &scene->between);
	scene->delegate = cert_new((struct cert_spec){ .name = "delegate", .eku = DELEGATE },
				   &scene->between);
	serve(scene, &scene->leaf);
	policy(scene, POLICY_NEEDS_STAPLE);
}

static void scene_deinit(struct scene *scene)
{
	SSL_CTX_free(scene->server);
	free(scene->staple.data);
	testing_identity_free(&scene->between);
	testing_identity_free(&scene->leaf);
	testing_identity_free(&scene->demanding);
	testing_identity_free(&scene->delegate);
	rig_deinit(&scene->rig);
}

static void staple(struct scene *scene, struct staple_spec spec)
{
	if (!spec.issuer)
		spec.issuer = &scene->between;
	if (!spec.cert)
		spec.cert = scene->leaf.x509;
	free(scene->staple.data);
	scene->staple = staple_new(spec);
}

/* One session.  Its error has to be CODE, with WORDS in its text. */
static void expect_as(struct scene *scene, const struct wish *wish, uint32_t code, const char *words)
{
	struct rig *rig = &scene->rig;
	struct program_session session;
	struct control_page *page;
	struct program program;
	struct peer peer;

	rig_program(rig, &program);
	rig_connect(rig, &program, &session, wish, &peer, scene->server);
	page = session.channel.page;
	RIG_UNTIL(rig, session_is_over(&session) ||
			       (peer.shaken && session_word(&page->state) == STATE_ESTABLISHED));
	if (page->error != code || !strstr(page->text, words))
		print_message("%u %s, and not %u %s\n", page->error, page->text, code, words);
	assert_int_equal(page->error, code);
	assert_non_null(strstr(page->text, words));
	if (code == TLSB_E_NONE) {
		peer_say(&peer, "x", 1); /* comes behind the tickets */
		RIG_UNTIL(rig, page->rx.head.value == 1);
		session_disconnect(&session);
	} else {
		assert_true(session_word(&page->state) != STATE_ESTABLISHED);
		assert_false(peer.shaken);
	}
	RIG_UNTIL(rig, peer.end != PEER_RUNS);
	scene->resumed = peer.resumed;
	session_close(&session);
	rig_forget(rig, &peer);
	close(program.fd);
	rig_turn(rig);
}

/* In both versions of TLS, which order things differently. */
static void expect(struct scene *scene, uint32_t code, const char *words)
{
	for (unsigned version = TLSB_TLS_1_2; version <= TLSB_TLS_1_3; version++) {
		const struct wish wish = { .version_max = version, .flags = CONNECT_NO_RESUMPTION };

		expect_as(scene, &wish, code, words);
	}
}

static void expect_good(struct scene *scene)
{
	expect(scene, TLSB_E_NONE, "");
}

static void expect_unknown(struct scene *scene, const char *words)
{
	expect(scene, TLSB_E_CERT_REVOCATION, words);
}

static void the_issuer_and_whom_it_authorized_may_vouch(void **state unused_)
{
	const EVP_MD *const digests[] = { EVP_sha1(), EVP_sha256(), EVP_sha384(), EVP_sha512() };
	struct scene scene;

	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
		staple(&scene, (struct staple_spec){ .id_digest = digests[i], .flags = OCSP_NOCERTS });
		expect_good(&scene);
	}
	staple(&scene, (struct staple_spec){ .flags = OCSP_RESPID_KEY });
	expect_good(&scene);
	staple(&scene, (struct staple_spec){ .signer = &scene.delegate });
	expect_good(&scene);
	staple(&scene,
	       (struct staple_spec){ .signer = &scene.delegate, .flags = OCSP_RESPID_KEY });
	expect_good(&scene);
	scene_deinit(&scene);
}

static void clocks_may_differ_a_little(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	staple(&scene, (struct staple_spec){ .from = LIMIT_STAPLE_SKEW_S - 60, .until = 3600 });
	expect_good(&scene);
	staple(&scene, (struct staple_spec){ .from = LIMIT_STAPLE_SKEW_S + 60, .until = 3600 });
	expect_unknown(&scene, "is not valid yet");
	staple(&scene, (struct staple_spec){ .from = -3600, .until = -LIMIT_STAPLE_SKEW_S + 60 });
	expect_good(&scene);
	staple(&scene, (struct staple_spec){ .from = -3600, .until = -LIMIT_STAPLE_SKEW_S - 60 });
	expect_unknown(&scene, "has expired");
	staple(&scene, (struct staple_spec){ .from = 100, .until = 50 });
	expect_unknown(&scene, "cannot be read");
	staple(&scene, (struct staple_spec){ .endless = true });
	expect_unknown(&scene, "does not say how long");
	scene_deinit(&scene);
}

static void what_it_says_counts(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	staple(&scene, (struct staple_spec){ .status = V_OCSP_CERTSTATUS_REVOKED });
	expect(&scene, TLSB_E_CERT_REVOKED, "server.example was revoked");
	staple(&scene, (struct staple_spec){ .status = V_OCSP_CERTSTATUS_UNKNOWN });
	expect_unknown(&scene, "server.example is unknown to its CA");
	staple(&scene, (struct staple_spec){ .serial = 77 });
	expect_unknown(&scene, "for another certificate");
	staple(&scene, (struct staple_spec){ .issuer = &scene.rig.root, .cert = scene.between.x509 });
	expect_unknown(&scene, "for another certificate");
	staple(&scene, (struct staple_spec){ .critical = true });
	expect_unknown(&scene, "cannot be understood");
	staple(&scene, (struct staple_spec){ .critical_single = true });
	expect_unknown(&scene, "cannot be understood");
	scene_deinit(&scene);
}

static void what_is_none_is_refused(void **state unused_)
{
	OCSP_RESPONSE *later = OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, NULL);
	struct testing_text junk = noise(LIMIT_STAPLE_BYTES, 7);
	struct scene scene;
	uint8_t *der = NULL;
	int len;

	scene_init(&scene);
	expect_unknown(&scene, "sent no OCSP response, which the broker's policy demands");
	testing_append(&scene.staple, junk.data, junk.len);
	expect_unknown(&scene, "cannot be read");
	testing_append(&scene.staple, junk.data, 1);
	expect_unknown(&scene, "too long");
	staple(&scene, (struct staple_spec){ 0 });
	testing_append(&scene.staple, "", 1);
	expect_unknown(&scene, "cannot be read");
	staple(&scene, (struct staple_spec){ 0 });
	scene.staple.len--;
	expect_unknown(&scene, "cannot be read");
	len = i2d_OCSP_RESPONSE(later, &der);
	free(scene.staple.data);
	scene.staple = (struct testing_text){ 0 };
	testing_append(&scene.staple, der, (size_t)len);
	expect_unknown(&scene, "its CA had no answer");
	OPENSSL_free(der);
	OCSP_RESPONSE_free(later);
	free(junk.data);
	scene_deinit(&scene);
}

/* A response that SPEC's certificate, which ISSUER has issued, has signed for the leaf. */
static void signed_by(struct scene *scene, struct cert_spec spec,
		      const struct testing_identity *issuer)
{
	struct testing_identity signer;

	spec.name = spec.name ? spec.name : "signer";
	signer = cert_new(spec, issuer);
	staple(scene, (struct staple_spec){ .signer = &signer });
	testing_identity_free(&signer);
}

static void nobody_else_may_vouch(void **state unused_)
{
	const char *const who = "from somebody who may not speak for its CA";
	struct testing_identity twin;
	struct scene scene;

	scene_init(&scene);
	staple(&scene, (struct staple_spec){ .signer = &scene.leaf });
	expect_unknown(&scene, who);
	signed_by(&scene, (struct cert_spec){ .eku = NULL }, &scene.between);
	expect_unknown(&scene, who);
	signed_by(&scene, (struct cert_spec){ .eku = "serverAuth" }, &scene.between);
	expect_unknown(&scene, who);
	signed_by(&scene, (struct cert_spec){ .eku = DELEGATE }, NULL);
	expect_unknown(&scene, who);
	/* Who speaks for the CA above does not speak for this one; nor does that CA itself. */
	signed_by(&scene, (struct cert_spec){ .eku = DELEGATE }, &scene.rig.root);
	expect_unknown(&scene, who);
	staple(&scene, (struct staple_spec){ .signer = &scene.rig.root });
	expect_unknown(&scene, who);
	signed_by(&scene, (struct cert_spec){ .eku = DELEGATE, .from = -2 * DAY, .until = -DAY },
		  &scene.between);
	expect_unknown(&scene, who);
	signed_by(&scene, (struct cert_spec){ .eku = DELEGATE, .rsa_bits = 1024 }, &scene.between);
	expect_unknown(&scene, who);
	signed_by(&scene, (struct cert_spec){ .eku = DELEGATE, .sha1 = true }, &scene.between);
	expect_unknown(&scene, who);
	staple(&scene, (struct staple_spec){ .signer = &scene.delegate, .flags = OCSP_NOCERTS });
	expect_unknown(&scene, who);
	/* One who calls himself as the CA does. */
	twin = cert_new((struct cert_spec){ .name = "between", .is_ca = true }, NULL);
	staple(&scene, (struct staple_spec){ .signer = &twin });
	expect_unknown(&scene, "has a wrong signature");
	testing_identity_free(&twin);
	staple(&scene, (struct staple_spec){ 0 });
	expect_good(&scene);
	scene_deinit(&scene);
}

static void signatures_are_verified_and_strong(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	staple(&scene, (struct staple_spec){ .forged = true });
	expect_unknown(&scene, "has a wrong signature");
	staple(&scene, (struct staple_spec){ .forged = true, .signer = &scene.delegate });
	expect_unknown(&scene, "has a wrong signature");
	staple(&scene, (struct staple_spec){ .forged = true, .status = V_OCSP_CERTSTATUS_REVOKED });
	expect_unknown(&scene, "has a wrong signature");
	staple(&scene, (struct staple_spec){ .digest = EVP_sha1() });
	expect_unknown(&scene, "a digest that is too weak");
	scene_deinit(&scene);
}

/* Before the key is used for anything: a curve over a binary field, RSA of 16384 bits. */
static void case_32_a_signer_with_a_slow_key_is_refused(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	signed_by(&scene, (struct cert_spec){ .eku = DELEGATE, .key = EVP_EC_gen("sect571r1") }, NULL);
	expect_unknown(&scene, "would take too long to verify");
	signed_by(&scene, (struct cert_spec){ .eku = DELEGATE, .key = EVP_EC_gen("sect571r1") },
		  &scene.between);
	expect_unknown(&scene, "would take too long to verify");
	scene_deinit(&scene);
}

static void a_certificate_may_demand_one_itself(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	policy(&scene, 0);
	serve(&scene, &scene.demanding);
	expect_unknown(&scene, "sent no OCSP response, which the certificate itself demands");
	staple(&scene, (struct staple_spec){ .status = V_OCSP_CERTSTATUS_REVOKED });
	expect(&scene, TLSB_E_CERT_REVOKED, "was revoked");
	staple(&scene, (struct staple_spec){ 0 });
	expect_good(&scene);
	scene_deinit(&scene);
}

static void where_nobody_demands_it_nobody_looks(void **state unused_)
{
	const struct wish unverified = { .flags = CONNECT_NO_VERIFY };
	struct scene scene;

	scene_init(&scene);
	policy(&scene, POLICY_MAY_SKIP_VERIFY);
	expect_good(&scene);
	staple(&scene, (struct staple_spec){ .status = V_OCSP_CERTSTATUS_REVOKED });
	expect_good(&scene);
	policy(&scene, POLICY_NEEDS_STAPLE | POLICY_MAY_SKIP_VERIFY);
	serve(&scene, &scene.demanding);
	expect_as(&scene, &unverified, TLSB_E_NONE, "");
	expect(&scene, TLSB_E_CERT_REVOKED, "was revoked");
	scene_deinit(&scene);
}

static void a_cas_own_server_vouches_for_itself(void **state unused_)
{
	struct testing_identity self = cert_new(
		(struct cert_spec){ .name = "self", .names = "DNS:server.example" }, NULL);
	struct testing_text pem = { 0 };
	struct wish wish = { .flags = CONNECT_NO_RESUMPTION };
	struct scene scene;

	scene_init(&scene);
	policy(&scene, POLICY_NEEDS_STAPLE | POLICY_MAY_BRING_CA);
	testing_append_pem(&pem, self.x509);
	wish.ca = pem.data;
	serve(&scene, &self);
	expect_as(&scene, &wish, TLSB_E_CERT_REVOCATION, "sent no OCSP response");
	staple(&scene, (struct staple_spec){ .issuer = &self, .cert = self.x509 });
	expect_as(&scene, &wish, TLSB_E_NONE, "");
	free(pem.data);
	testing_identity_free(&self);
	scene_deinit(&scene);
}

static void resumption_ends_with_the_response(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	for (unsigned version = TLSB_TLS_1_2; version <= TLSB_TLS_1_3; version++) {
		const struct wish wish = { .version_max = version };

		/* One that has just expired, and is good for the sake of clocks. */
		staple(&scene, (struct staple_spec){ .from = -3600, .until = -10 });
		for (int i = 0; i < 2; i++) {
			expect_as(&scene, &wish, TLSB_E_NONE, "");
			assert_false(scene.resumed);
		}
		staple(&scene, (struct staple_spec){ 0 });
		expect_as(&scene, &wish, TLSB_E_NONE, "");
		assert_false(scene.resumed);
		/* None comes with a resumed session; nor would it be looked at. */
		staple(&scene, (struct staple_spec){ .status = V_OCSP_CERTSTATUS_REVOKED });
		for (int i = 0; i < 2; i++) {
			expect_as(&scene, &wish, TLSB_E_NONE, "");
			assert_true(scene.resumed);
		}
		/* What was made without the demand is not resumed with it. */
		policy(&scene, 0);
		expect_as(&scene, &wish, TLSB_E_NONE, "");
		assert_false(scene.resumed);
		policy(&scene, POLICY_NEEDS_STAPLE);
		expect_as(&scene, &wish, TLSB_E_CERT_REVOKED, "was revoked");
	}
	scene_deinit(&scene);
}

/* ---- what a reload makes of sessions that are open ---- */

struct opened {
	struct program program;
	struct program_session session;
	struct peer peer;
};

static void open_one(struct scene *scene, struct opened *one, const struct wish *wish)
{
	rig_program(&scene->rig, &one->program);
	rig_connect(&scene->rig, &one->program, &one->session, wish, &one->peer, scene->server);
	RIG_UNTIL(&scene->rig, one->peer.shaken && session_word(&one->session.channel.page->state) ==
							   STATE_ESTABLISHED);
}

static void close_one(struct scene *scene, struct opened *one)
{
	session_close(&one->session);
	rig_forget(&scene->rig, &one->peer);
	close(one->program.fd);
}

static void a_reload_that_demands_it_ends_who_had_none(void **state unused_)
{
	const struct wish fresh = { .flags = CONNECT_NO_RESUMPTION };
	const struct wish unverified = { .flags = CONNECT_NO_VERIFY };
	struct opened with, demanding, resumed, without, blind;
	struct scene scene;

	scene_init(&scene);
	policy(&scene, POLICY_NEEDS_STAPLE | POLICY_MAY_SKIP_VERIFY);
	staple(&scene, (struct staple_spec){ 0 });
	open_one(&scene, &with, &fresh);
	policy(&scene, POLICY_MAY_SKIP_VERIFY);
	open_one(&scene, &without, &fresh);
	open_one(&scene, &blind, &unverified);
	serve(&scene, &scene.demanding);
	expect_as(&scene, &anything, TLSB_E_NONE, "");
	open_one(&scene, &resumed, &anything);
	assert_true(resumed.peer.resumed);
	open_one(&scene, &demanding, &fresh);
	policy(&scene, POLICY_NEEDS_STAPLE | POLICY_MAY_SKIP_VERIFY);
	rig_trust(&scene.rig, scene.rig.root.x509);
	RIG_UNTIL(&scene.rig, session_is_over(&without.session));
	session_expect_end(&without.session, TLSB_E_POLICY, "require-ocsp-staple: ");
	for (int i = 0; i < 20; i++)
		rig_turn(&scene.rig);
	assert_false(session_is_over(&with.session));
	assert_false(session_is_over(&demanding.session));
	assert_false(session_is_over(&resumed.session));
	assert_false(session_is_over(&blind.session));
	close_one(&scene, &with);
	close_one(&scene, &demanding);
	close_one(&scene, &resumed);
	close_one(&scene, &without);
	close_one(&scene, &blind);
	scene_deinit(&scene);
}

/* The demand comes before the server's flight, or when that was already looked at. */
static void a_reload_in_the_middle_of_a_handshake_counts(void **state unused_)
{
	const struct wish old = { .version_max = TLSB_TLS_1_2 };
	struct opened one;
	struct scene scene;

	scene_init(&scene);
	for (int looked_at = 0; looked_at < 2; looked_at++) {
		policy(&scene, 0);
		rig_program(&scene.rig, &one.program);
		rig_connect(&scene.rig, &one.program, &one.session, &old, &one.peer, NULL);
		one.peer.ssl = SSL_new(scene.server);
		SSL_set_fd(one.peer.ssl, one.peer.fd);
		SSL_set_accept_state(one.peer.ssl);
		if (looked_at) {
			peer_step(&one.peer);
			event_base_loop(scene.rig.child.base, EVLOOP_ONCE);
			assert_int_equal(session_word(&one.session.channel.page->state),
					 STATE_CONNECTED);
		}
		policy(&scene, POLICY_NEEDS_STAPLE);
		RIG_UNTIL(&scene.rig, session_is_over(&one.session));
		session_expect_end(&one.session,
				   looked_at ? TLSB_E_POLICY : TLSB_E_CERT_REVOCATION,
				   looked_at ? "require-ocsp-staple: " : "sent no OCSP response");
		close_one(&scene, &one);
	}
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_issuer_and_whom_it_authorized_may_vouch),
		TEST(clocks_may_differ_a_little),
		TEST(what_it_says_counts),
		TEST(what_is_none_is_refused),
		TEST(nobody_else_may_vouch),
		TEST(signatures_are_verified_and_strong),
		TEST(case_32_a_signer_with_a_slow_key_is_refused),
		TEST(a_certificate_may_demand_one_itself),
		TEST(where_nobody_demands_it_nobody_looks),
		TEST(a_cas_own_server_vouches_for_itself),
		TEST(resumption_ends_with_the_response),
		TEST(a_reload_that_demands_it_ends_who_had_none),
		TEST(a_reload_in_the_middle_of_a_handshake_counts),
	};

	return testing_run(tests);
}
