/*
 * Certificates whose only purpose is that a client works for long: for tests that measure for how
 * long.  Their CA is one that the client trusts, else it would stop before most of the work.
 * Header-only; on OpenSSL alone.  What cannot fail aborts.
 */
#ifndef TLSB_TESTS_BOMBS_H
#define TLSB_TESTS_BOMBS_H

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOMBS_NAME  "bomb.example" /* whom each is for, if anybody */
#define BOMBS_CHAIN 400 /* certificates */

struct bomb_ca {
	X509 *cert;
	EVP_PKEY *key;
};

/* What a server sends: the leaf first. */
struct bomb_chain {
	int room; /* bytes that the client takes in all; set before a bomb is made */
	X509 *certs[BOMBS_CHAIN];
	int count;
	EVP_PKEY *key; /* the leaf's */
	EVP_PKEY *cas; /* that of all the CAs on the way */
};

static inline void *bomb_need(void *pointer)
{
	if (!pointer)
		abort();
	return pointer;
}

static inline void bomb_must(int ok)
{
	if (ok <= 0)
		abort();
}

static inline void bomb_chain_deinit(struct bomb_chain *chain)
{
	for (int i = 0; i < chain->count; i++)
		X509_free(chain->certs[i]);
	EVP_PKEY_free(chain->key);
	EVP_PKEY_free(chain->cas);
}

/* ---- keys ---- */

/*
 * About BITS of RSA modulus out of small primes, which are quickly found: worthless as a key, but as
 * much work as any other for who verifies with it.  The exponent is a power of a prime of 64 bits,
 * which keeps it from having a factor in common with what must have none.
 */
static inline EVP_PKEY *bomb_rsa(int bits, int exponent_bits)
{
	BIGNUM *n = BN_new(), *phi = BN_new(), *e = BN_new(), *d = BN_new(), *p = BN_new();
	BN_CTX *ctx = BN_CTX_new();
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *from = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params;

	bomb_must(BN_one(e));
	for (int i = 0; i < exponent_bits / 64; i++)
		bomb_must(BN_mul_word(e, UINT64_MAX - 58));
	do {
		bomb_must(BN_one(n) && BN_one(phi));
		for (int i = 0; i < bits / 512; i++) {
			bomb_must(BN_generate_prime_ex(p, 512, 0, NULL, NULL, NULL));
			bomb_must(BN_mul(n, n, p, ctx) && BN_sub_word(p, 1) &&
				  BN_mul(phi, phi, p, ctx));
		}
	} while (!BN_mod_inverse(d, e, phi, ctx));
	bomb_must(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
		  OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) &&
		  OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_D, d));
	params = bomb_need(OSSL_PARAM_BLD_to_param(build));
	bomb_must(EVP_PKEY_fromdata_init(from));
	bomb_must(EVP_PKEY_fromdata(from, &key, EVP_PKEY_KEYPAIR, params));
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(from);
	BN_CTX_free(ctx);
	BN_free(n);
	BN_free(phi);
	BN_free(e);
	BN_free(d);
	BN_free(p);
	return key;
}

/* A key that spells its curve out instead of naming it. */
static inline EVP_PKEY *bomb_explicit_ec(const char *curve)
{
	EVP_PKEY *key = bomb_need(EVP_EC_gen(curve));

	bomb_must(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"));
	bomb_must(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
						 "compressed"));
	return key;
}

/* ---- certificates ---- */

static inline void bomb_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	extension = bomb_need(X509V3_EXT_conf_nid(NULL, &ctx, nid, value));
	bomb_must(X509_add_ext(cert, extension, -1));
	X509_EXTENSION_free(extension);
}

/* All but the signature.  IS_CA also when it may only be one by its looks. */
static inline X509 *bomb_begin(const char *name, X509 *issuer, EVP_PKEY *key, int is_ca)
{
	X509 *cert = bomb_need(X509_new());
	X509_NAME *subject = X509_get_subject_name(cert);
	static long serial = 1;

	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -86400);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	bomb_must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
					     (const unsigned char *)name, -1, -1, 0));
	X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject);
	bomb_must(X509_set_pubkey(cert, key));
	bomb_extension(cert, NULL, NID_basic_constraints,
		       is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	return cert;
}

static inline X509 *bomb_sign(X509 *cert, EVP_PKEY *key)
{
	bomb_must(X509_sign(cert, key, EVP_sha256()));
	return cert;
}

/* COUNT DNS names "0.x" ..., and the server's own. */
static inline void bomb_names(X509 *cert, int count)
{
	GENERAL_NAMES *names = bomb_need(GENERAL_NAMES_new());

	for (int i = -1; i < count; i++) {
		GENERAL_NAME *name = bomb_need(GENERAL_NAME_new());
		ASN1_IA5STRING *text = bomb_need(ASN1_IA5STRING_new());
		char line[32];

		snprintf(line, sizeof(line), "%x.x", (unsigned)i);
		bomb_must(ASN1_STRING_set(text, i < 0 ? BOMBS_NAME : line, -1));
		GENERAL_NAME_set0_value(name, GEN_DNS, text);
		bomb_must(sk_GENERAL_NAME_push(names, name));
	}
	bomb_must(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0));
	GENERAL_NAMES_free(names);
}

/* COUNT excluded subtrees, none of which is anybody's. */
static inline void bomb_constraints(X509 *cert, int count)
{
	NAME_CONSTRAINTS *constraints = bomb_need(NAME_CONSTRAINTS_new());

	constraints->excludedSubtrees = bomb_need(sk_GENERAL_SUBTREE_new_null());
	for (int i = 0; i < count; i++) {
		GENERAL_SUBTREE *tree = bomb_need(GENERAL_SUBTREE_new());
		ASN1_IA5STRING *text = bomb_need(ASN1_IA5STRING_new());
		char line[32];

		snprintf(line, sizeof(line), "%x.y", (unsigned)i);
		bomb_must(ASN1_STRING_set(text, line, -1));
		GENERAL_NAME_set0_value(tree->base, GEN_DNS, text);
		bomb_must(sk_GENERAL_SUBTREE_push(constraints->excludedSubtrees, tree));
	}
	bomb_must(X509_add1_ext_i2d(cert, NID_name_constraints, constraints, 1, 0));
	NAME_CONSTRAINTS_free(constraints);
}

/* LEN bytes of an extension that nobody knows. */
static inline void bomb_blob(X509 *cert, int number, int len)
{
	ASN1_OCTET_STRING *data = bomb_need(ASN1_OCTET_STRING_new());
	unsigned char *bytes = bomb_need(calloc(1, (size_t)len));
	X509_EXTENSION *extension;
	ASN1_OBJECT *object;
	char id[64];

	snprintf(id, sizeof(id), "1.3.6.1.4.1.99999.%d", number);
	object = bomb_need(OBJ_txt2obj(id, 1));
	bomb_must(ASN1_OCTET_STRING_set(data, bytes, len));
	extension = bomb_need(X509_EXTENSION_create_by_OBJ(NULL, object, 0, data));
	bomb_must(X509_add_ext(cert, extension, -1));
	X509_EXTENSION_free(extension);
	ASN1_OBJECT_free(object);
	ASN1_OCTET_STRING_free(data);
	free(bytes);
}

static inline void bomb_push(struct bomb_chain *chain, X509 *cert)
{
	if (chain->count == BOMBS_CHAIN)
		abort();
	chain->certs[chain->count++] = cert;
}

static inline int bomb_bytes(X509 *cert)
{
	return i2d_X509(cert, NULL) + 5; /* as it stands in TLS 1.3's message */
}

/* A leaf of the server's, for CA to sign. */
static inline X509 *bomb_leaf(struct bomb_chain *chain, X509 *ca)
{
	chain->key = bomb_need(EVP_EC_gen("P-256"));
	return bomb_begin("leaf", ca, chain->key, 0);
}

static inline void bomb_plain_leaf(struct bomb_chain *chain, const struct bomb_ca *ca)
{
	X509 *leaf = bomb_leaf(chain, ca->cert);

	bomb_names(leaf, 0);
	bomb_push(chain, bomb_sign(leaf, ca->key));
}

/* COUNT CAs below ROOT, one below the other, all with the chain's key of CAs; a leaf below them. */
static inline void bomb_ladder(struct bomb_chain *chain, const struct bomb_ca *root, int count,
			       void (*adorn)(X509 *cert, int room))
{
	int room = chain->room / (count + 1) - 600; /* without what every certificate has */
	struct bomb_ca above = *root;
	X509 *cas[BOMBS_CHAIN], *leaf;

	for (int i = 0; i < count; i++) {
		char name[32];

		snprintf(name, sizeof(name), "step %d", i);
		cas[i] = bomb_begin(name, above.cert, chain->cas, 1);
		if (adorn)
			adorn(cas[i], room);
		bomb_sign(cas[i], above.key);
		above = (struct bomb_ca){ cas[i], chain->cas };
	}
	leaf = bomb_leaf(chain, above.cert);
	if (adorn)
		adorn(leaf, room);
	else
		bomb_names(leaf, 0);
	bomb_push(chain, bomb_sign(leaf, above.key));
	for (int i = count; i-- > 0;)
		bomb_push(chain, cas[i]);
}

/* A plain leaf, and behind it as many of CERT, which is consumed, as fit. */
static inline void bomb_fill(struct bomb_chain *chain, const struct bomb_ca *ca, X509 *cert)
{
	int room = chain->room - 16, size = bomb_bytes(cert);

	bomb_plain_leaf(chain, ca);
	for (room -= bomb_bytes(chain->certs[0]); room > size; room -= size) {
		X509_up_ref(cert);
		bomb_push(chain, cert);
	}
	X509_free(cert);
}

/* ---- the bombs ---- */

static inline void bomb_ten_thousand_names(const struct bomb_ca *root, struct bomb_chain *chain)
{
	X509 *leaf = bomb_leaf(chain, root->cert);

	bomb_names(leaf, 10000);
	for (int i = 0; i < 10; i++)
		bomb_blob(leaf, i, 20000); /* names of the usual length would be so much longer */
	bomb_push(chain, bomb_sign(leaf, root->key));
}

static inline void bomb_names_that_fit(const struct bomb_ca *root, struct bomb_chain *chain)
{
	X509 *leaf = bomb_leaf(chain, root->cert);

	bomb_names(leaf, (chain->room - 700) / 8);
	bomb_push(chain, bomb_sign(leaf, root->key));
}

static inline void bomb_rsa_16384(const struct bomb_ca *root, struct bomb_chain *chain)
{
	EVP_PKEY *quick = bomb_rsa(2048, 64);
	X509 *ca, *leaf;

	chain->cas = bomb_rsa(16384, 64);
	ca = bomb_sign(bomb_begin("large", root->cert, chain->cas, 1), root->key);
	leaf = bomb_leaf(chain, ca);
	bomb_names(leaf, 0);
	/* Nobody will see that this signature is another key's before verifying it. */
	bomb_push(chain, bomb_sign(leaf, quick));
	bomb_push(chain, ca);
	EVP_PKEY_free(quick);
}

static inline void bomb_rsa_8192(const struct bomb_ca *root, struct bomb_chain *chain)
{
	chain->cas = bomb_rsa(8192, 64);
	bomb_ladder(chain, root, 9, NULL);
}

/* Up to 3072 bits, OpenSSL takes an exponent of any length. */
static inline void bomb_rsa_exponent(const struct bomb_ca *root, struct bomb_chain *chain)
{
	chain->cas = bomb_rsa(3072, 3008);
	bomb_ladder(chain, root, 9, NULL);
}

static inline void bomb_slow_curve(const struct bomb_ca *root, struct bomb_chain *chain)
{
	chain->cas = bomb_need(EVP_EC_gen("brainpoolP512r1"));
	bomb_ladder(chain, root, 9, NULL);
}

static inline void bomb_binary_curve(const struct bomb_ca *root, struct bomb_chain *chain)
{
	chain->cas = bomb_need(EVP_EC_gen("sect571k1"));
	bomb_ladder(chain, root, 9, NULL);
}

static inline void bomb_deep(const struct bomb_ca *root, struct bomb_chain *chain)
{
	chain->cas = bomb_need(EVP_EC_gen("P-256"));
	bomb_ladder(chain, root, chain->room / 350, NULL); /* up to a hundred */
}

/* OpenSSL's own limit is a million comparisons for each pair of certificates. */
static inline void bomb_adorn_constrained(X509 *cert, int room)
{
	bomb_names(cert, room / 20);
	bomb_constraints(cert, room / 20);
}

static inline void bomb_name_constraints(const struct bomb_ca *root, struct bomb_chain *chain)
{
	chain->cas = bomb_need(EVP_EC_gen("P-256"));
	bomb_ladder(chain, root, 2, bomb_adorn_constrained);
}

static inline void bomb_explicit_curve(const struct bomb_ca *root, struct bomb_chain *chain)
{
	chain->cas = bomb_explicit_ec("P-256");
	bomb_ladder(chain, root, 1, NULL);
}

static inline void bomb_explicit_curves(const struct bomb_ca *root, struct bomb_chain *chain)
{
	chain->cas = bomb_explicit_ec("P-521");
	bomb_fill(chain, root,
		  bomb_sign(bomb_begin("x", root->cert, chain->cas, 1), root->key));
}

/*
 * A compressed point on a curve whose "prime" is none: taking a square root there once never ended
 * (CVE-2022-0778).
 */
static inline void bomb_endless_root(const struct bomb_ca *root, struct bomb_chain *chain)
{
	static const unsigned char prime[] = { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 0 };
	unsigned char *der = NULL, *at;
	X509 *cert;
	int len;

	chain->cas = bomb_explicit_ec("P-256");
	cert = bomb_sign(bomb_begin("x", root->cert, chain->cas, 1), root->key);
	len = i2d_X509(cert, &der);
	X509_free(cert);
	bomb_plain_leaf(chain, root);
	at = bomb_need(memmem(der, (size_t)len, prime, sizeof(prime)));
	for (int room = chain->room - 1000; room > len + 5; room -= len + 5) {
		const unsigned char *p = der;

		at[31] -= 4; /* stays 3 modulo 4 */
		at[30] -= (unsigned char)(chain->count % 2);
		bomb_push(chain, bomb_need(d2i_X509(NULL, &p, len)));
	}
	OPENSSL_free(der);
}

/* Each may be the issuer of each, and none is the leaf's. */
static inline void bomb_same_subject(const struct bomb_ca *root, struct bomb_chain *chain)
{
	struct bomb_ca self;
	X509 *leaf;

	self.key = chain->cas = bomb_need(EVP_EC_gen("P-256"));
	self.cert = bomb_begin("same", NULL, chain->cas, 1);
	leaf = bomb_leaf(chain, self.cert);
	bomb_names(leaf, 0);
	bomb_push(chain, bomb_sign(leaf, root->key));
	for (int room = chain->room - 1000; room > 400;) {
		X509 *cert = bomb_sign(bomb_begin("same", self.cert, chain->cas, 1), self.key);

		room -= bomb_bytes(cert);
		bomb_push(chain, cert);
	}
	X509_free(self.cert);
}

static inline void bomb_adorn_blob(X509 *cert, int room)
{
	bomb_names(cert, 0);
	bomb_blob(cert, 0, room);
}

static inline void bomb_huge_extensions(const struct bomb_ca *root, struct bomb_chain *chain)
{
	chain->cas = bomb_need(EVP_EC_gen("P-256"));
	bomb_ladder(chain, root, 1, bomb_adorn_blob);
}

static inline void bomb_many_extensions(const struct bomb_ca *root, struct bomb_chain *chain)
{
	X509 *leaf = bomb_leaf(chain, root->cert);

	bomb_names(leaf, 0);
	for (int i = 0; i < (chain->room - 1000) / 21; i++)
		bomb_blob(leaf, i, 1);
	bomb_push(chain, bomb_sign(leaf, root->key));
}

static inline void bomb_adorn_policies(X509 *cert, int room)
{
	CERTIFICATEPOLICIES *policies = bomb_need(CERTIFICATEPOLICIES_new());

	for (int i = 0; i < room / 9; i++) {
		POLICYINFO *policy = bomb_need(POLICYINFO_new());
		char id[32];

		snprintf(id, sizeof(id), "1.2.3.%d", i);
		policy->policyid = bomb_need(OBJ_txt2obj(id, 1));
		bomb_must(sk_POLICYINFO_push(policies, policy));
	}
	bomb_must(X509_add1_ext_i2d(cert, NID_certificate_policies, policies, 0, 0));
	CERTIFICATEPOLICIES_free(policies);
	bomb_extension(cert, NULL, NID_policy_constraints, "critical,requireExplicitPolicy:0");
	bomb_names(cert, 0);
}

static inline void bomb_policies(const struct bomb_ca *root, struct bomb_chain *chain)
{
	chain->cas = bomb_need(EVP_EC_gen("P-256"));
	bomb_ladder(chain, root, 8, bomb_adorn_policies);
}

static inline void bomb_long_subject(const struct bomb_ca *root, struct bomb_chain *chain)
{
	X509 *leaf = bomb_leaf(chain, root->cert);

	bomb_names(leaf, 0);
	for (int i = 0; i < (chain->room - 1000) / 12; i++)
		bomb_must(X509_NAME_add_entry_by_txt(X509_get_subject_name(leaf), "O", MBSTRING_ASC,
						     (const unsigned char *)"x", 1, -1, 0));
	bomb_push(chain, bomb_sign(leaf, root->key));
}

static const struct bomb {
	const char *name, *what;
	void (*make)(const struct bomb_ca *root, struct bomb_chain *chain);
	const char *refusal; /* words of it, or NULL: taken, and within the time */
} bombs[] = {
	{ "many-names", "10,000 names, 280 kB", bomb_ten_thousand_names, "too long; certificates" },
	{ "names-that-fit", "as many names as fit", bomb_names_that_fit, NULL },
	{ "rsa-16384", "an RSA key of 16384 bits", bomb_rsa_16384, "RSA key of 163" },
	{ "rsa-8192", "nine RSA keys of 8192 bits with long exponents", bomb_rsa_8192, NULL },
	{ "rsa-exponent", "RSA exponents as long as the keys", bomb_rsa_exponent, "exponent of 3" },
	{ "slow-curve", "nine keys on the slowest curve that is taken", bomb_slow_curve, NULL },
	{ "binary-curve", "nine keys on a binary curve", bomb_binary_curve, "on a curve" },
	{ "deep", "as long a chain as fits", bomb_deep, "too long a chain" },
	{ "constraints", "names against name constraints", bomb_name_constraints, "to compare" },
	{ "explicit-curve", "a key that spells out its curve", bomb_explicit_curve, "explicit" },
	{ "explicit-curves", "as many spelt-out curves as fit", bomb_explicit_curves, NULL },
	{ "endless-root", "points on curves modulo what is no prime", bomb_endless_root, NULL },
	{ "same-subject", "CAs of which each could issue each", bomb_same_subject, "not trusted" },
	{ "huge-extensions", "unknown extensions, as large as fit", bomb_huge_extensions, NULL },
	{ "many-extensions", "as many extensions as fit", bomb_many_extensions, NULL },
	{ "policies", "nine certificates full of policies", bomb_policies, NULL },
	{ "long-subject", "a subject of as many parts as fit", bomb_long_subject, NULL },
};

#define BOMBS_COUNT (sizeof(bombs) / sizeof(bombs[0]))

#endif
