/*
 * A certificate store over the trust index: real chains, and how little of the bundle it parses.
 */
#include "testing_x509.h"

#include <stdio.h>

#include "base/fd.h"
#include "trust/index.h"
#include "trust/lookup.h"

/* A bundle, its index and its store. */
struct trust {
	struct testing_text pem;
	struct trust_index index;
	X509_STORE *store;
};

static void trust_init(struct trust *trust)
{
	cleanup_close_ int fd = -1;
	unsigned count, bad;

	assert_int_equal(trust_index_build(trust->pem.data, trust->pem.len, &fd, &count, &bad), 0);
	assert_int_equal(bad, 0);
	assert_int_equal(trust_index_open(&trust->index, fd), 0);
	assert_int_equal(trust_store_new(&trust->index, &trust->store), 0);
}

static void trust_deinit(struct trust *trust)
{
	X509_STORE_free(trust->store);
	trust_index_close(&trust->index);
	free(trust->pem.data);
}

/* How many certificates the store has parsed and kept. */
static int parsed(const struct trust *trust)
{
	return sk_X509_OBJECT_num(X509_STORE_get0_objects(trust->store));
}

/* X509_V_OK or what is wrong with LEAF, which came with INTERMEDIATE (or NULL). */
static int verify(const struct trust *trust, X509 *leaf, X509 *intermediate)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *sent = sk_X509_new_null();
	int error;

	if (intermediate)
		sk_X509_push(sent, intermediate);
	assert_int_equal(X509_STORE_CTX_init(ctx, trust->store, leaf, sent), 1);
	X509_STORE_CTX_set_default(ctx, "ssl_server");
	X509_verify_cert(ctx);
	error = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	sk_X509_free(sent);
	return error;
}

struct chain {
	struct testing_identity root, intermediate, leaf;
};

static struct chain chain_new(const char *root_name)
{
	struct chain chain;

	chain.root = testing_identity_new(root_name, NULL, 1);
	chain.intermediate = testing_identity_new("intermediate", &chain.root, 1);
	chain.leaf = testing_identity_new("leaf", &chain.intermediate, 0);
	return chain;
}

static void chain_free(struct chain *chain)
{
	testing_identity_free(&chain->root);
	testing_identity_free(&chain->intermediate);
	testing_identity_free(&chain->leaf);
}

/* COUNT roots that nobody asks for. */
static void append_strangers(struct testing_text *pem, int count)
{
	for (int i = 0; i < count; i++) {
		char name[32];
		struct testing_identity other;

		snprintf(name, sizeof(name), "stranger %d", i);
		other = testing_identity_new(name, NULL, 1);
		testing_append_pem(pem, other.x509);
		testing_identity_free(&other);
	}
}

static void verifies_a_chain_and_parses_only_its_root(void **state unused_)
{
	struct chain chain = chain_new("root");
	struct trust trust = { 0 };

	append_strangers(&trust.pem, 100);
	testing_append_pem(&trust.pem, chain.root.x509);
	append_strangers(&trust.pem, 50);
	trust_init(&trust);
	assert_int_equal(parsed(&trust), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(verify(&trust, chain.leaf.x509, chain.intermediate.x509),
				 X509_V_OK);
		assert_int_equal(parsed(&trust), 1);
	}
	trust_deinit(&trust);
	chain_free(&chain);
}

static void verifies_through_an_intermediate_of_the_bundle(void **state unused_)
{
	struct chain chain = chain_new("root");
	struct trust trust = { 0 };

	testing_append_pem(&trust.pem, chain.intermediate.x509);
	testing_append_pem(&trust.pem, chain.root.x509);
	append_strangers(&trust.pem, 10);
	trust_init(&trust);
	assert_int_equal(verify(&trust, chain.leaf.x509, NULL), X509_V_OK);
	assert_int_equal(parsed(&trust), 2);
	trust_deinit(&trust);
	chain_free(&chain);
}

static void refuses_a_chain_whose_root_is_not_there(void **state unused_)
{
	struct chain chain = chain_new("root");
	struct trust trust = { 0 };

	append_strangers(&trust.pem, 10);
	trust_init(&trust);
	assert_int_equal(verify(&trust, chain.leaf.x509, chain.intermediate.x509),
			 X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
	assert_int_equal(verify(&trust, chain.root.x509, NULL),
			 X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
	assert_int_equal(parsed(&trust), 0);
	trust_deinit(&trust);
	chain_free(&chain);
}

/* A root of the right name with another key does not do, and is not in the right one's way. */
static void tries_every_root_of_one_subject(void **state unused_)
{
	struct chain chains[3] = { chain_new("same"), chain_new("same"), chain_new("same") };
	struct trust trust = { 0 };

	testing_append_pem(&trust.pem, chains[0].root.x509);
	testing_append_pem(&trust.pem, chains[1].root.x509);
	append_strangers(&trust.pem, 10);
	trust_init(&trust);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(verify(&trust, chains[i].leaf.x509, chains[i].intermediate.x509),
				 X509_V_OK);
		assert_int_equal(parsed(&trust), 2);
	}
	assert_int_not_equal(verify(&trust, chains[2].leaf.x509, chains[2].intermediate.x509),
			     X509_V_OK);
	trust_deinit(&trust);
	for (int i = 0; i < 3; i++)
		chain_free(&chains[i]);
}

static void refuses_a_chain_that_ends_in_a_trusted_intermediate(void **state unused_)
{
	struct chain chain = chain_new("root");
	struct trust trust = { 0 };

	testing_append_pem(&trust.pem, chain.intermediate.x509);
	trust_init(&trust);
	assert_int_equal(verify(&trust, chain.leaf.x509, NULL),
			 X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT);
	trust_deinit(&trust);
	chain_free(&chain);
}

static void obeys_a_root_that_is_rejected_for_servers(void **state unused_)
{
	struct chain chain = chain_new("root");
	struct trust trust = { 0 };
	BIO *bio = BIO_new(BIO_s_mem());

	X509_add1_reject_object(chain.root.x509, OBJ_nid2obj(NID_server_auth));
	assert_int_equal(PEM_write_bio_X509_AUX(bio, chain.root.x509), 1);
	testing_append_bio(&trust.pem, bio);
	trust_init(&trust);
	assert_int_equal(verify(&trust, chain.leaf.x509, chain.intermediate.x509),
			 X509_V_ERR_CERT_REJECTED);
	trust_deinit(&trust);
	chain_free(&chain);
}

/* Two certificates in one index, both filed under HASH, as if their names' hashes were equal. */
static void index_with_collision(struct trust *trust, X509 *a, X509 *b, uint32_t hash)
{
	struct {
		struct trust_header header;
		struct trust_entry entries[2];
		uint8_t der[4096];
	} file = { .header = { TRUST_MAGIC, 2 } };
	X509 *both[2] = { a, b };
	unsigned char *at = file.der;
	cleanup_close_ int fd = -1;

	for (int i = 0; i < 2; i++) {
		uint32_t offset = (uint32_t)(at - (uint8_t *)&file);
		int len = i2d_X509(both[i], &at);

		file.entries[i] = (struct trust_entry){ hash, offset, (uint32_t)len, 0 };
	}
	assert_int_equal(fd_sealed_copy("test", &file, sizeof(file), &fd), 0);
	assert_int_equal(trust_index_open(&trust->index, fd), 0);
	assert_int_equal(trust_store_new(&trust->index, &trust->store), 0);
}

static void tells_names_apart_whose_hashes_collide(void **state unused_)
{
	struct chain chain = chain_new("root");
	struct testing_identity other = testing_identity_new("other", NULL, 1);
	uint32_t hash = (uint32_t)X509_NAME_hash_ex(X509_get_subject_name(chain.root.x509), NULL,
						    NULL, NULL);
	struct trust trust = { 0 };

	index_with_collision(&trust, other.x509, chain.root.x509, hash);
	assert_int_equal(verify(&trust, chain.leaf.x509, chain.intermediate.x509), X509_V_OK);
	assert_int_equal(parsed(&trust), 1);
	trust_deinit(&trust);

	trust = (struct trust){ 0 };
	index_with_collision(&trust, other.x509, other.x509, hash);
	assert_int_not_equal(verify(&trust, chain.leaf.x509, chain.intermediate.x509), X509_V_OK);
	assert_int_equal(parsed(&trust), 0);
	trust_deinit(&trust);
	testing_identity_free(&other);
	chain_free(&chain);
}

/* Sealed, in order, inside: but not a certificate.  It is as if it were not there. */
static void passes_over_an_entry_that_is_no_certificate(void **state unused_)
{
	struct chain chain = chain_new("root");
	struct {
		struct trust_header header;
		struct trust_entry entry;
		uint8_t der[8];
	} file = { .header = { TRUST_MAGIC, 1 }, .der = "\x30\x82\xff\xff" };
	struct trust trust = { 0 };
	cleanup_close_ int fd = -1;

	file.entry = (struct trust_entry){
		.hash = (uint32_t)X509_NAME_hash_ex(X509_get_subject_name(chain.root.x509), NULL,
						    NULL, NULL),
		.offset = sizeof(file.header) + sizeof(file.entry),
		.len = sizeof(file.der),
	};
	assert_int_equal(fd_sealed_copy("test", &file, sizeof(file), &fd), 0);
	assert_int_equal(trust_index_open(&trust.index, fd), 0);
	assert_int_equal(trust_store_new(&trust.index, &trust.store), 0);
	assert_int_not_equal(verify(&trust, chain.leaf.x509, chain.intermediate.x509), X509_V_OK);
	trust_deinit(&trust);
	chain_free(&chain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(verifies_a_chain_and_parses_only_its_root),
		TEST(verifies_through_an_intermediate_of_the_bundle),
		TEST(refuses_a_chain_whose_root_is_not_there),
		TEST(tries_every_root_of_one_subject),
		TEST(refuses_a_chain_that_ends_in_a_trusted_intermediate),
		TEST(obeys_a_root_that_is_rejected_for_servers),
		TEST(tells_names_apart_whose_hashes_collide),
		TEST(passes_over_an_entry_that_is_no_certificate),
	};

	return testing_run(tests);
}
