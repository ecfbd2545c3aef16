/*
 * Revocation lists in a worker: they come with the policy and the trust, or neither does; what they say of
 * each certificate in a chain; and that no key signs for them that nobody has vouched for.
 */
#include "worker_rig.h"
#include "testing_clock.h"

#include "base/clock.h"

struct scene {
	struct rig rig;
	struct testing_identity between, leaf;
	SSL_CTX *server;
};

static void scene_init(struct scene *scene)
{
	rig_init_with(&scene->rig, 0);
	scene->between = cert_new((struct cert_spec){ .name = "between", .is_ca = true },
				  &scene->rig.root);
	scene->leaf = cert_new((struct cert_spec){ .name = "leaf", .names = "DNS:server.example" },
			       &scene->between);
	scene->server = server_new(&scene->leaf, scene->between.x509, NULL);
}

static void scene_deinit(struct scene *scene)
{
	SSL_CTX_free(scene->server);
	testing_identity_free(&scene->between);
	testing_identity_free(&scene->leaf);
	rig_deinit(&scene->rig);
}

/* Append a list of ISSUER's, signed with KEY; REVOKED may be NULL. */
static void add_list(struct testing_text *pem, const struct testing_identity *issuer, EVP_PKEY *key,
		     X509 *revoked)
{
	X509_CRL *crl = X509_CRL_new();
	BIO *bio = BIO_new(BIO_s_mem());
	ASN1_TIME *time = ASN1_TIME_new();
	char *data;
	long len;

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509));
	X509_gmtime_adj(time, -3600);
	X509_CRL_set1_lastUpdate(crl, time);
	if (revoked) {
		X509_REVOKED *entry = X509_REVOKED_new();

		X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked));
		X509_REVOKED_set_revocationDate(entry, time);
		X509_CRL_add0_revoked(crl, entry);
	}
	X509_gmtime_adj(time, 3600);
	X509_CRL_set1_nextUpdate(crl, time);
	assert_true(X509_CRL_sign(crl, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509_CRL(bio, crl), 1);
	len = BIO_get_mem_data(bio, &data);
	testing_append(pem, data, (size_t)len);
	BIO_free(bio);
	ASN1_TIME_free(time);
	X509_CRL_free(crl);
}

/* As the supervisor: policy, lists, trust.  PEM is freed. */
static void give(struct scene *scene, struct testing_text *pem)
{
	const struct msg_crls none = { 0 };
	unsigned count, bad;
	int fd;

	assert_int_equal(trust_index_build_crls(pem->data, pem->len, &fd, &count, &bad), 0);
	assert_int_equal(bad, 0);
	rig_policy(&scene->rig, TLSB_TLS_1_2, POLICY_HAS_CRLS | POLICY_MAY_BRING_CA, NULL);
	rig_tell(&scene->rig, MSG_CRLS, &none, NULL, &fd);
	rig_trust(&scene->rig, scene->rig.root.x509);
	free(pem->data);
	*pem = (struct testing_text){ 0 };
}

static uint32_t outcome(struct scene *scene, SSL_CTX *server)
{
	struct rig *rig = &scene->rig;
	struct program_session session;
	struct program program;
	struct peer peer;
	uint32_t error;

	rig_program(rig, &program);
	rig_connect(rig, &program, &session, &anything, &peer, server);
	RIG_UNTIL(rig, session_is_over(&session) ||
			       (peer.shaken && session_word(&session.channel.page->state) ==
						       STATE_ESTABLISHED));
	error = session.channel.page->error;
	session_close(&session);
	rig_forget(rig, &peer);
	close(program.fd);
	RIG_UNTIL(rig, LIST_EMPTY(&rig_worker(rig)->all_sessions));
	return error;
}

static void every_ca_of_the_chain_needs_a_list(void **state unused_)
{
	struct testing_text pem = { 0 };
	struct scene scene;

	scene_init(&scene);
	assert_int_equal(outcome(&scene, scene.server), TLSB_E_NONE);
	add_list(&pem, &scene.between, scene.between.key, NULL);
	give(&scene, &pem);
	assert_int_equal(outcome(&scene, scene.server), TLSB_E_CERT_REVOCATION);
	add_list(&pem, &scene.rig.root, scene.rig.root.key, NULL);
	give(&scene, &pem);
	assert_int_equal(outcome(&scene, scene.server), TLSB_E_CERT_REVOCATION);
	add_list(&pem, &scene.rig.root, scene.rig.root.key, NULL);
	add_list(&pem, &scene.between, scene.between.key, NULL);
	give(&scene, &pem);
	for (int i = 0; i < 3; i++) /* also from the cache */
		assert_int_equal(outcome(&scene, scene.server), TLSB_E_NONE);
	scene_deinit(&scene);
}

static void what_is_on_a_list_is_refused(void **state unused_)
{
	struct testing_text pem = { 0 };
	struct scene scene;

	scene_init(&scene);
	for (int i = 0; i < 2; i++) {
		add_list(&pem, &scene.rig.root, scene.rig.root.key,
			 i == 0 ? NULL : scene.between.x509);
		add_list(&pem, &scene.between, scene.between.key, i == 0 ? scene.leaf.x509 : NULL);
		give(&scene, &pem);
		assert_int_equal(outcome(&scene, scene.server), TLSB_E_CERT_REVOKED);
	}
	/* Without lists in the policy there are none. */
	rig_policy(&scene.rig, TLSB_TLS_1_2, 0, NULL);
	rig_trust(&scene.rig, scene.rig.root.x509);
	assert_int_equal(outcome(&scene, scene.server), TLSB_E_NONE);
	scene_deinit(&scene);
}

static void a_list_that_somebody_else_has_signed_is_none(void **state unused_)
{
	struct testing_text pem = { 0 };
	struct scene scene;

	scene_init(&scene);
	add_list(&pem, &scene.rig.root, scene.leaf.key, NULL);
	add_list(&pem, &scene.between, scene.between.key, NULL);
	give(&scene, &pem);
	assert_int_equal(outcome(&scene, scene.server), TLSB_E_CERT_REVOCATION);
	scene_deinit(&scene);
}

/*
 * A server sends a CA of its own making with the name of one that has a list, and a key that is slow.  It is
 * refused before that key is used for anything.
 */
static void case_32_a_list_is_not_verified_with_a_servers_own_key(void **state unused_)
{
	struct testing_text pem = { 0 };
	struct testing_identity slow, leaf;
	struct scene scene;
	SSL_CTX *server;

	scene_init(&scene);
	slow = cert_new((struct cert_spec){ .name = "between", .is_ca = true,
					    .key = EVP_EC_gen("brainpoolP512r1") },
			NULL);
	leaf = cert_new((struct cert_spec){ .name = "leaf", .names = "DNS:server.example" }, &slow);
	/* It says that the root has issued it, which has not. */
	X509_set_issuer_name(slow.x509, X509_get_subject_name(scene.rig.root.x509));
	assert_true(X509_sign(slow.x509, slow.key, EVP_sha256()) > 0);
	server = server_new(&leaf, slow.x509, NULL);
	add_list(&pem, &scene.rig.root, scene.rig.root.key, NULL);
	add_list(&pem, &scene.between, scene.between.key, NULL);
	give(&scene, &pem);
	assert_true(outcome(&scene, server) != TLSB_E_NONE);
	assert_true(outcome(&scene, server) != TLSB_E_CERT_REVOCATION);
	assert_int_equal(outcome(&scene, scene.server), TLSB_E_NONE);
	SSL_CTX_free(server);
	testing_identity_free(&slow);
	testing_identity_free(&leaf);
	scene_deinit(&scene);
}

/* A trust bundle without the lists that the policy names does not come into force. */
static void trust_and_lists_come_together(void **state unused_)
{
	struct testing_text pem = { 0 };
	struct scene scene;

	scene_init(&scene);
	add_list(&pem, &scene.rig.root, scene.rig.root.key, NULL);
	add_list(&pem, &scene.between, scene.between.key, scene.leaf.x509);
	give(&scene, &pem);
	assert_int_equal(outcome(&scene, scene.server), TLSB_E_CERT_REVOKED);
	rig_policy(&scene.rig, TLSB_TLS_1_2, POLICY_HAS_CRLS, NULL);
	rig_trust(&scene.rig, scene.leaf.x509);
	assert_int_equal(outcome(&scene, scene.server), TLSB_E_CERT_REVOKED); /* as before */
	scene_deinit(&scene);
}

static void lists_are_found_in_pem_and_der(void **state unused_)
{
	struct testing_identity ca = cert_new((struct cert_spec){ .name = "ca", .is_ca = true }, NULL);
	struct testing_text pem = { 0 };
	unsigned count, bad;
	X509_CRL *crl;
	uint8_t *der = NULL;
	BIO *bio;
	int fd, len;

	assert_int_equal(trust_index_build_crls("", 0, &fd, &count, &bad), -EINVAL);
	assert_int_equal(trust_index_build_crls("x", 1, &fd, &count, &bad), -EINVAL);
	assert_int_equal(trust_index_build_crls("x", LIMIT_CRL_BYTES + 1, &fd, &count, &bad), -EFBIG);
	testing_append_pem(&pem, ca.x509); /* is none */
	assert_int_equal(trust_index_build_crls(pem.data, pem.len, &fd, &count, &bad), -EINVAL);
	add_list(&pem, &ca, ca.key, NULL);
	add_list(&pem, &ca, ca.key, ca.x509);
	testing_append(&pem, "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n", 54);
	assert_int_equal(trust_index_build_crls(pem.data, pem.len, &fd, &count, &bad), 0);
	assert_int_equal(count, 2);
	assert_int_equal(bad, 1);
	close(fd);
	bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
	len = i2d_X509_CRL(crl, &der);
	assert_int_equal(trust_index_build_crls((char *)der, (size_t)len, &fd, &count, &bad), 0);
	assert_int_equal(count, 1);
	close(fd);
	assert_int_equal(trust_index_build_crls((char *)der, (size_t)len - 1, &fd, &count, &bad),
			 -EINVAL);
	OPENSSL_free(der);
	X509_CRL_free(crl);
	BIO_free(bio);
	free(pem.data);
	testing_identity_free(&ca);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lists_are_found_in_pem_and_der),
		TEST(every_ca_of_the_chain_needs_a_list),
		TEST(what_is_on_a_list_is_refused),
		TEST(a_list_that_somebody_else_has_signed_is_none),
		TEST(case_32_a_list_is_not_verified_with_a_servers_own_key),
		TEST(trust_and_lists_come_together),
	};

	return testing_run(tests);
}
