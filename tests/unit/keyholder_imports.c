/*
 * Keys that programs have imported: every kind signs and verifies every hash, as OpenSSL has it; whose they
 * are; that they and those of TLS are never taken for each other; and what all of it may cost.
 */
#include "keyholder_rig.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include "tests/attacks.h"
#include "tests/hostile/oddities.h"

#define MOST 4

struct scene {
	struct rig rig;
	int worker; /* of badge 1, user 1000 */
};

static int worker_of(struct rig *rig, uint32_t badge, uint32_t uid)
{
	static uint32_t pid = 5000;
	const struct msg_worker_chan body = { .uid = uid, .badge = badge, .pid = ++pid };
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig_tell(rig, MSG_WORKER_CHAN, &body, NULL, 0, pair[0]);
	return pair[1];
}

/* As the supervisor: badges 1 and 2 may have so many. */
static void limit(struct rig *rig, uint32_t first, uint32_t second)
{
	const struct msg_key_limits body = { .max_keys = 0 };
	const struct key_limit limits[] = { { 1, first }, { 2, second } };

	rig_tell(rig, MSG_KEY_LIMITS, &body, limits, sizeof(limits), -1);
}

static void scene_init(struct scene *scene)
{
	rig_init(&scene->rig);
	limit(&scene->rig, MOST, MOST);
	scene->worker = worker_of(&scene->rig, 1, 1000);
}

static const struct imports *imports(const struct scene *scene)
{
	return &rig_keyholder(&scene->rig)->imports;
}

static void scene_deinit(struct scene *scene)
{
	fd_close(scene->worker);
	for (int i = 0; i < 60; i++)
		rig_turn(&scene->rig);
	assert_int_equal(rig_keyholder(&scene->rig)->asker_count, 0);
	assert_false(scene->rig.lost);
	limit(&scene->rig, 0, 0);
	assert_int_equal(imports(scene)->count, 0);
	assert_int_equal(imports(scene)->memory, 0);
	rig_deinit(&scene->rig);
}

/* ---- as a worker ---- */

struct told {
	struct msg_key_answer body;
	size_t len;
	uint8_t tail[LIMIT_KEY_SIGNATURE + 1];
};

/* 1, 0: the channel was closed, or -EAGAIN. */
static int hears(int worker, struct told *ret)
{
	const struct msg_context ctx = { &internal_messages, ROLE_WORKER, ROLE_KEYHOLDER, RUN };
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;
	int r = msg_recv(worker, &ctx, &buf, &msg, &rule);

	assert_int_equal(rule, RULE_NONE);
	if (r == -ECONNRESET)
		return 0;
	if (r != 1)
		return r;
	assert_int_equal(msg.type, MSG_KEY_ANSWER);
	memset(ret, 0, sizeof(*ret));
	memcpy(&ret->body, msg.body, sizeof(ret->body));
	ret->len = msg.tail_len;
	memcpy(ret->tail, msg.tail, msg.tail_len);
	return 1;
}

static int sealed(const void *bytes, size_t len)
{
	int fd;

	assert_int_equal(fd_sealed_copy("key", bytes, len, &fd), 0);
	return fd;
}

static int private_file(const EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int len = i2d_PrivateKey(key, &der), fd;

	fd = sealed(der, (size_t)len);
	OPENSSL_free(der);
	return fd;
}

static int public_file(const EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der), fd;

	fd = sealed(der, (size_t)len);
	OPENSSL_free(der);
	return fd;
}

static int public_pem(const EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;
	int fd;

	assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
	len = BIO_get_mem_data(bio, &data);
	fd = sealed(data, (size_t)len);
	BIO_free(bio);
	return fd;
}

/* FD is consumed. */
static void hold(int worker, uint64_t id, int fd)
{
	const struct msg_key_hold body = { .id = id };

	assert_int_equal(msg_send(worker, &internal_messages, MSG_KEY_HOLD, &body, NULL, 0, &fd), 0);
	fd_close(fd);
}

static struct told answer(struct scene *scene, int worker, uint32_t action)
{
	struct told told;

	rig_turn(&scene->rig);
	assert_int_equal(hears(worker, &told), 1);
	assert_int_equal(told.body.id, 9);
	assert_int_equal(told.body.action, action);
	return told;
}

static struct told import_by(struct scene *scene, int worker, int fd)
{
	hold(worker, 9, fd);
	return answer(scene, worker, KEY_IMPORT);
}

/* Its number. */
static uint32_t import(struct scene *scene, int fd)
{
	struct told told = import_by(scene, scene->worker, fd);

	assert_int_equal(told.body.error, TLSB_E_NONE);
	assert_true(told.body.told.key & KEY_IS_IMPORTED);
	return told.body.told.key;
}

static void wish(int worker, uint64_t id, const struct key_wish *want, const void *tail, size_t len)
{
	const struct msg_key_ask body = { .id = id, .wish = *want };

	assert_int_equal(worker_say(worker, MSG_KEY_ASK, &body, tail, len), 0);
}

static struct told ask(struct scene *scene, int worker, const struct key_wish *want, const void *tail,
		       size_t len)
{
	wish(worker, 9, want, tail, len);
	return answer(scene, worker, want->action);
}

static const uint8_t hash[LIMIT_HASH] = { 1, 2, 3, 4, 5 };

static struct told sign_by(struct scene *scene, int worker, uint32_t key, uint16_t algorithm, size_t len)
{
	const struct key_wish want = { .key = key, .action = KEY_SIGN_HASH, .algorithm = algorithm,
				       .hash_len = (uint32_t)len };

	return ask(scene, worker, &want, hash, len);
}

static uint32_t verify(struct scene *scene, int worker, uint32_t key, uint16_t algorithm, size_t len,
		       const void *signature, size_t signature_len)
{
	const struct key_wish want = { .key = key, .action = KEY_VERIFY_HASH, .algorithm = algorithm,
				       .hash_len = (uint32_t)len };
	uint8_t tail[LIMIT_HASH + LIMIT_KEY_SIGNATURE];

	memcpy(mempcpy(tail, hash, len), signature, signature_len);
	return ask(scene, worker, &want, tail, len + signature_len).body.error;
}

static struct told act(struct scene *scene, int worker, enum key_action action, uint32_t key)
{
	const struct key_wish want = { .key = key, .action = (uint16_t)action };

	return ask(scene, worker, &want, NULL, 0);
}

static void destroy(struct scene *scene, uint32_t key)
{
	assert_int_equal(act(scene, scene->worker, KEY_DESTROY, key).body.error, TLSB_E_NONE);
}

/* ---- signatures ---- */

static const struct algorithm {
	uint16_t code;
	size_t hash_len;
	const char *digest;
	int padding; /* of RSA */
} algorithms[] = {
	{ TLSB_ECDSA_SHA256, 32, "SHA256", 0 },
	{ TLSB_ECDSA_SHA384, 48, "SHA384", 0 },
	{ TLSB_ECDSA_SHA512, 64, "SHA512", 0 },
	{ TLSB_RSA_PSS_SHA256, 32, "SHA256", RSA_PKCS1_PSS_PADDING },
	{ TLSB_RSA_PSS_SHA384, 48, "SHA384", RSA_PKCS1_PSS_PADDING },
	{ TLSB_RSA_PSS_SHA512, 64, "SHA512", RSA_PKCS1_PSS_PADDING },
	{ TLSB_RSA_PKCS1_SHA256, 32, "SHA256", RSA_PKCS1_PADDING },
	{ TLSB_RSA_PKCS1_SHA384, 48, "SHA384", RSA_PKCS1_PADDING },
	{ TLSB_RSA_PKCS1_SHA512, 64, "SHA512", RSA_PKCS1_PADDING },
};

static EVP_PKEY_CTX *context(EVP_PKEY *key, const struct algorithm *how, int (*init)(EVP_PKEY_CTX *))
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);

	assert_int_equal(init(ctx), 1);
	assert_true(EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(how->digest)) > 0);
	if (how->padding && EVP_PKEY_is_a(key, "RSA"))
		assert_true(EVP_PKEY_CTX_set_rsa_padding(ctx, how->padding) > 0);
	if (how->padding == RSA_PKCS1_PSS_PADDING)
		assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
	return ctx;
}

/* OpenSSL's own opinion. */
static bool is_good(EVP_PKEY *key, const struct algorithm *how, const struct told *told)
{
	EVP_PKEY_CTX *ctx = context(key, how, EVP_PKEY_verify_init);
	bool good = EVP_PKEY_verify(ctx, told->tail, told->len, hash, how->hash_len) == 1;

	EVP_PKEY_CTX_free(ctx);
	return good;
}

static size_t sign_here(EVP_PKEY *key, const struct algorithm *how, uint8_t *signature)
{
	EVP_PKEY_CTX *ctx = context(key, how, EVP_PKEY_sign_init);
	size_t len = LIMIT_KEY_SIGNATURE;

	assert_int_equal(EVP_PKEY_sign(ctx, signature, &len, hash, how->hash_len), 1);
	EVP_PKEY_CTX_free(ctx);
	return len;
}

static bool fits(const EVP_PKEY *key, const struct algorithm *how)
{
	if (EVP_PKEY_is_a(key, "EC"))
		return how->padding == 0;
	return how->padding == RSA_PKCS1_PSS_PADDING ||
	       (how->padding == RSA_PKCS1_PADDING && EVP_PKEY_is_a(key, "RSA"));
}

static void expect_signs(struct scene *scene, EVP_PKEY *key, uint32_t private, uint32_t public,
			 const struct algorithm *how)
{
	struct told told = sign_by(scene, scene->worker, private, how->code, how->hash_len);
	uint8_t signature[LIMIT_KEY_SIGNATURE];
	size_t len;

	assert_int_equal(told.body.error, TLSB_E_NONE);
	assert_true(is_good(key, how, &told));
	len = sign_here(key, how, signature);
	for (int i = 0; i < 2; i++) {
		uint32_t number = i ? public : private;

		assert_int_equal(verify(scene, scene->worker, number, how->code, how->hash_len, signature,
					len), TLSB_E_NONE);
		assert_int_equal(verify(scene, scene->worker, number, how->code, how->hash_len, signature,
					len - 1), TLSB_E_KEY_SIGNATURE);
		signature[len / 2] ^= 1;
		assert_int_equal(verify(scene, scene->worker, number, how->code, how->hash_len, signature,
					len), TLSB_E_KEY_SIGNATURE);
		signature[len / 2] ^= 1;
	}
	assert_int_equal(verify(scene, scene->worker, public, how->code, how->hash_len, "", 0),
			 TLSB_E_KEY_SIGNATURE);
}

static void try_all(struct scene *scene, EVP_PKEY *key)
{
	uint32_t private = import(scene, private_file(key)), public = import(scene, public_file(key));

	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		const struct algorithm *how = &algorithms[i];
		struct told told;

		if (fits(key, how)) {
			expect_signs(scene, key, private, public, how);
			continue;
		}
		told = sign_by(scene, scene->worker, private, how->code, how->hash_len);
		assert_int_equal(told.body.error, TLSB_E_KEY_USE);
		assert_int_equal(told.len, 0);
		assert_int_equal(verify(scene, scene->worker, private, how->code, how->hash_len, "x", 1),
				 TLSB_E_KEY_USE);
	}
	/* A hash of another length; what is no algorithm; only half a key. */
	assert_int_equal(sign_by(scene, scene->worker, private, fits(key, algorithms) ? 0x0403 : 0x0804,
				 31).body.error, TLSB_E_PARAMETER);
	assert_int_equal(sign_by(scene, scene->worker, private, 0x0807, 32).body.error, TLSB_E_KEY_USE);
	assert_int_equal(sign_by(scene, scene->worker, private, 0, 32).body.error, TLSB_E_KEY_USE);
	assert_int_equal(sign_by(scene, scene->worker, private, 0x0203, 20).body.error, TLSB_E_KEY_USE);
	assert_int_equal(sign_by(scene, scene->worker, public, 0x0403, 32).body.error, TLSB_E_KEY_USE);
	destroy(scene, private);
	destroy(scene, public);
	EVP_PKEY_free(key);
}

static void every_kind_signs_and_verifies(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	try_all(&scene, key_generate("EC", "P-256", 0));
	try_all(&scene, key_generate("EC", "P-384", 0));
	try_all(&scene, key_generate("EC", "P-521", 0));
	try_all(&scene, key_generate("RSA", NULL, 2048));
	try_all(&scene, key_generate("RSA-PSS", NULL, 2048));
	assert_true(rig_count(&scene.rig, COUNTER_hashes_signed) > 0);
	assert_true(rig_count(&scene.rig, COUNTER_hashes_verified) > 0);
	scene_deinit(&scene);
}

/* ---- what is taken for a key ---- */

static void expect_no_key(struct scene *scene, int fd, uint32_t error, const char *words)
{
	struct told told = import_by(scene, scene->worker, fd);
	const struct key_told nothing = { .key = 0 };

	assert_int_equal(told.body.error, error);
	assert_memory_equal(&told.body.told, &nothing, sizeof(nothing));
	if (!strstr((char *)told.tail, words))
		fail_msg("\"%s\" does not say \"%s\"", (char *)told.tail, words);
	assert_int_equal(imports(scene)->count, 0);
	assert_int_equal(imports(scene)->memory, 0);
}

static void what_is_no_key_is_refused(void **state unused_)
{
	EVP_PKEY *ed = key_generate("ED25519", NULL, 0), *weak = key_generate("RSA", NULL, 1024),
		 *curve = key_generate("EC", "secp256k1", 0), *x = key_generate("X25519", NULL, 0),
		 *key = key_generate("EC", "P-256", 0);
	struct oddities odd;
	struct scene scene;
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der);

	scene_init(&scene);
	expect_no_key(&scene, private_file(ed), TLSB_E_KEY_USE, "signs messages and no hashes");
	expect_no_key(&scene, public_file(ed), TLSB_E_KEY_USE, "signs messages and no hashes");
	expect_no_key(&scene, private_file(weak), TLSB_E_PARAMETER, "less than 2048 bits");
	expect_no_key(&scene, public_file(weak), TLSB_E_PARAMETER, "less than 2048 bits");
	expect_no_key(&scene, private_file(curve), TLSB_E_PARAMETER, "a curve other than");
	expect_no_key(&scene, public_file(curve), TLSB_E_PARAMETER, "a curve other than");
	expect_no_key(&scene, public_file(x), TLSB_E_PARAMETER, "neither RSA, ECDSA nor Ed25519");
	expect_no_key(&scene, sealed("garbage", 7), TLSB_E_PARAMETER, "has no key in it");
	expect_no_key(&scene, sealed("-----BEGIN PUBLIC KEY-----\n", 27), TLSB_E_PARAMETER,
		      "has no key in it");
	expect_no_key(&scene, sealed("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 58),
		      TLSB_E_PARAMETER, "has no key in it");
	expect_no_key(&scene, file_of(der, (size_t)len), TLSB_E_PARAMETER, "is not in a sealed file");
	der[len - 1] ^= 1; /* no point of the curve */
	expect_no_key(&scene, sealed(der, (size_t)len), TLSB_E_PARAMETER, "has no key in it");
	OPENSSL_free(der);
	oddities_open(&odd);
	for (unsigned i = 0; i < odd.count; i++)
		expect_no_key(&scene, dup(odd.fds[i]), TLSB_E_PARAMETER, "is not in a sealed file");
	oddities_close(&odd);
	assert_int_equal(rig_count(&scene.rig, COUNTER_keys_imported), 0);
	scene_deinit(&scene);
	EVP_PKEY_free(ed);
	EVP_PKEY_free(weak);
	EVP_PKEY_free(curve);
	EVP_PKEY_free(x);
	EVP_PKEY_free(key);
}

/* A public key with a modulus and an exponent of so many bits, of which nobody knows the factors. */
static EVP_PKEY *rsa_public(int bits, int exponent_bits)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *n = BN_new(), *e = BN_new();
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params;

	assert_int_equal(BN_rand(n, bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD), 1);
	assert_int_equal(BN_rand(e, exponent_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD), 1);
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n);
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e);
	params = OSSL_PARAM_BLD_to_param(build);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(ctx);
	BN_free(n);
	BN_free(e);
	return key;
}

/* Numbers whose use takes long are the maker's choice: of public keys as of private ones. */
static void keys_that_take_long_are_refused(void **state unused_)
{
	static const struct {
		int bits, exponent;
		const char *words;
	} cases[] = {
		{ 4104, 17, "more than 4096 bits" },
		{ 8192, 17, "more than 4096 bits" },
		{ 16384, 17, "more than 4096 bits" },
		{ 2048, 65, "of an unusual kind" },
		{ 2048, 2047, "of an unusual kind" },
		{ 4096, 4095, "of an unusual kind" },
	};
	struct scene scene;

	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		EVP_PKEY *key = rsa_public(cases[i].bits, cases[i].exponent);

		expect_no_key(&scene, public_file(key), TLSB_E_PARAMETER, cases[i].words);
		EVP_PKEY_free(key);
	}
	scene_deinit(&scene);
}

static void what_is_told_of_a_key(void **state unused_)
{
	EVP_PKEY *key = key_generate("RSA", NULL, 2048);
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der);
	uint8_t fingerprint[32];
	struct key_told told;
	struct scene scene;

	assert_int_equal(EVP_Digest(der, (size_t)len, fingerprint, NULL, EVP_sha256(), NULL), 1);
	OPENSSL_free(der);
	scene_init(&scene);
	told = import_by(&scene, scene.worker, private_file(key)).body.told;
	assert_int_equal(told.type, KEY_TYPE_RSA);
	assert_int_equal(told.bits, 2048);
	assert_int_equal(told.purpose, TLSB_KEY_HASH);
	assert_int_equal(told.has_private, 1);
	assert_memory_equal(told.fingerprint, fingerprint, 32);
	told = import_by(&scene, scene.worker, public_pem(key)).body.told;
	assert_int_equal(told.has_private, 0);
	assert_memory_equal(told.fingerprint, fingerprint, 32);
	scene_deinit(&scene);
	EVP_PKEY_free(key);
}

/* ---- whose they are ---- */

/* To the byte: what is another's, and what never was. */
static void others_get_the_answer_of_what_never_was(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	const struct {
		uint32_t badge, uid;
	} strangers[] = { { 1, 1001 }, { 2, 1000 }, { 2, 1001 }, { 0, 1000 } };
	struct scene scene;
	uint32_t mine;

	scene_init(&scene);
	mine = import(&scene, private_file(key));
	for (size_t i = 0; i < ARRAY_SIZE(strangers); i++) {
		int other = worker_of(&scene.rig, strangers[i].badge, strangers[i].uid);
		struct told theirs = sign_by(&scene, other, mine, TLSB_ECDSA_SHA256, 32);
		struct told none = sign_by(&scene, other, mine ^ 1, TLSB_ECDSA_SHA256, 32);

		assert_int_equal(theirs.body.error, TLSB_E_KEY);
		assert_memory_equal(&theirs, &none, sizeof(theirs));
		theirs = act(&scene, other, KEY_DESTROY, mine);
		none = act(&scene, other, KEY_DESTROY, mine ^ 1);
		assert_int_equal(theirs.body.error, TLSB_E_KEY);
		assert_memory_equal(&theirs, &none, sizeof(theirs));
		assert_int_equal(verify(&scene, other, mine, TLSB_ECDSA_SHA256, 32, "x", 1), TLSB_E_KEY);
		assert_int_equal(act(&scene, other, KEY_NEXT, 0).body.error, TLSB_E_KEY);
		assert_int_equal(act(&scene, other, KEY_NEXT, mine - 1).body.error, TLSB_E_KEY);
		close(other);
	}
	rig_turn(&scene.rig);
	assert_int_equal(sign_by(&scene, scene.worker, mine, TLSB_ECDSA_SHA256, 32).body.error,
			 TLSB_E_NONE);
	scene_deinit(&scene);
	EVP_PKEY_free(key);
}

static void another_worker_of_the_same_user_has_it(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	struct scene scene;
	uint32_t mine;
	int second;

	scene_init(&scene);
	mine = import(&scene, private_file(key));
	second = worker_of(&scene.rig, 1, 1000);
	assert_int_equal(sign_by(&scene, second, mine, TLSB_ECDSA_SHA256, 32).body.error, TLSB_E_NONE);
	/* Nor does it go with the channel on which it came. */
	close(scene.worker);
	rig_turn(&scene.rig);
	assert_int_equal(rig_keyholder(&scene.rig)->asker_count, 1);
	assert_int_equal(sign_by(&scene, second, mine, TLSB_ECDSA_SHA256, 32).body.error, TLSB_E_NONE);
	scene.worker = second;
	destroy(&scene, mine);
	assert_int_equal(act(&scene, second, KEY_DESTROY, mine).body.error, TLSB_E_KEY);
	scene_deinit(&scene);
	EVP_PKEY_free(key);
}

/* Numbers of keys that have gone do not come again soon; one key that comes twice is two. */
static void numbers_are_not_in_a_row(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	uint32_t numbers[64];
	struct scene scene;

	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		numbers[i] = import(&scene, public_file(key));
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(numbers[i], numbers[j]);
		assert_true(i == 0 || numbers[i] - numbers[i - 1] > 16);
		if (i % 2)
			destroy(&scene, numbers[i]);
		if (i % 8 == 0)
			limit(&scene.rig, LIMIT_KEYS_OF_ONE, 0);
	}
	scene_deinit(&scene);
	EVP_PKEY_free(key);
}

/* ---- what they are for ---- */

/* Neither for what a TLS client signs nor for what it is given. */
static void imported_keys_are_not_for_tls(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	const struct msg_key_back back = { .key = 0 };
	struct msg_key_back mine_back = back;
	uint8_t bytes[256];
	size_t len = flight_1_3(bytes, FLIGHT_TEXT, 32);
	struct answer signature;
	struct told told;
	struct scene scene;
	uint32_t mine;

	scene_init(&scene);
	mine = import(&scene, private_file(key));
	signature = rig_sign(&scene.rig, scene.worker, mine, 0x0403, bytes, len);
	assert_int_equal(signature.error, TLSB_E_POLICY);
	assert_int_equal(signature.len, 0);
	signature = rig_sign(&scene.rig, scene.worker, mine | KEY_IS_LENT, 0x0403, bytes, len);
	assert_int_equal(signature.error, TLSB_E_POLICY);
	/* Giving it back as if it had been lent is as giving back what never was. */
	mine_back.key = mine;
	assert_int_equal(worker_say(scene.worker, MSG_KEY_BACK, &mine_back, NULL, 0), 0);
	rig_turn(&scene.rig);
	assert_int_equal(hears(scene.worker, &told), 0);
	close(scene.worker);
	scene.worker = worker_of(&scene.rig, 1, 1000);
	assert_int_equal(sign_by(&scene, scene.worker, mine, TLSB_ECDSA_SHA256, 32).body.error,
			 TLSB_E_NONE);
	scene_deinit(&scene);
	EVP_PKEY_free(key);
}

static uint32_t lend(struct scene *scene, int fd)
{
	const struct msg_context ctx = { &internal_messages, ROLE_WORKER, ROLE_KEYHOLDER, RUN };
	const struct msg_key_lend body = { .id = 1 };
	const struct msg_key_lent *lent;
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;

	assert_int_equal(msg_send(scene->worker, &internal_messages, MSG_KEY_LEND, &body, NULL, 0, &fd),
			 0);
	close(fd);
	rig_turn(&scene->rig);
	assert_int_equal(msg_recv(scene->worker, &ctx, &buf, &msg, &rule), 1);
	assert_int_equal(msg.type, MSG_KEY_LENT);
	lent = msg.body;
	assert_int_equal(lent->error, TLSB_E_NONE);
	return lent->key;
}

static void keys_of_tls_sign_no_hash(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	struct told told;
	struct scene scene;
	uint32_t lent;

	scene_init(&scene);
	rig_keys(&scene.rig, 2);
	rig_key(&scene.rig, 7, 1, key);
	rig_key(&scene.rig, 8, 2, key);
	lent = lend(&scene, private_file(key));
	told = sign_by(&scene, scene.worker, 7, TLSB_ECDSA_SHA256, 32);
	assert_int_equal(told.body.error, TLSB_E_POLICY); /* it is listed, so this is no secret */
	assert_int_equal(act(&scene, scene.worker, KEY_DESTROY, 7).body.error, TLSB_E_POLICY);
	assert_int_equal(verify(&scene, scene.worker, 7, TLSB_ECDSA_SHA256, 32, "x", 1), TLSB_E_POLICY);
	told = sign_by(&scene, scene.worker, 8, TLSB_ECDSA_SHA256, 32);
	assert_int_equal(told.body.error, TLSB_E_KEY);
	assert_int_equal(told.len, 0);
	told = sign_by(&scene, scene.worker, lent, TLSB_ECDSA_SHA256, 32);
	assert_int_equal(told.body.error, TLSB_E_KEY);
	assert_int_equal(act(&scene, scene.worker, KEY_DESTROY, lent).body.error, TLSB_E_KEY);
	assert_int_equal(rig_count(&scene.rig, COUNTER_hashes_signed), 0);
	scene_deinit(&scene);
	EVP_PKEY_free(key);
}

static void the_list_has_both(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-384", 0);
	uint32_t mine[3], after = 0;
	struct told told;
	struct scene scene;

	scene_init(&scene);
	rig_keys(&scene.rig, 3);
	rig_key(&scene.rig, 7, 1, key);
	rig_key_in(&scene.rig, 9, 1, file_of("nonsense", 8)); /* of no use: not listed */
	rig_key(&scene.rig, 8, 2, key);
	for (int i = 0; i < 3; i++)
		mine[i] = import(&scene, public_file(key));
	told = act(&scene, scene.worker, KEY_NEXT, 0);
	assert_int_equal(told.body.told.key, 7);
	assert_int_equal(told.body.told.purpose, TLSB_KEY_TLS);
	assert_int_equal(told.body.told.bits, 384);
	assert_int_equal(told.body.told.type, KEY_TYPE_EC);
	assert_int_equal(told.len, 4);
	assert_memory_equal(told.tail, "name", 4);
	after = 7;
	for (int i = 0; i < 3; i++) {
		told = act(&scene, scene.worker, KEY_NEXT, after);
		assert_int_equal(told.body.error, TLSB_E_NONE);
		assert_true(told.body.told.key > after);
		after = told.body.told.key;
		assert_true(after == mine[0] || after == mine[1] || after == mine[2]);
		assert_int_equal(told.body.told.purpose, TLSB_KEY_HASH);
		assert_int_equal(told.len, 0);
	}
	assert_int_equal(act(&scene, scene.worker, KEY_NEXT, after).body.error, TLSB_E_KEY);
	assert_int_equal(act(&scene, scene.worker, KEY_NEXT, UINT32_MAX).body.error, TLSB_E_KEY);
	scene_deinit(&scene);
	EVP_PKEY_free(key);
}

/* ---- how many ---- */

static void there_may_be_so_many_of_each(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	uint32_t mine[MOST];
	struct scene scene;
	struct told told;
	int other;

	scene_init(&scene);
	for (int i = 0; i < MOST; i++)
		mine[i] = import(&scene, private_file(key));
	told = import_by(&scene, scene.worker, private_file(key));
	assert_int_equal(told.body.error, TLSB_E_QUOTA);
	assert_non_null(strstr((char *)told.tail, "max-keys"));
	other = worker_of(&scene.rig, 1, 1001);
	assert_int_equal(import_by(&scene, other, private_file(key)).body.error, TLSB_E_NONE);
	destroy(&scene, mine[0]);
	mine[0] = import(&scene, private_file(key));
	/* Fewer: those that there are stay.  None: they go. */
	limit(&scene.rig, 1, MOST);
	assert_int_equal(imports(&scene)->count, MOST + 1);
	assert_int_equal(import_by(&scene, scene.worker, private_file(key)).body.error, TLSB_E_QUOTA);
	limit(&scene.rig, 0, MOST);
	assert_int_equal(imports(&scene)->count, 0);
	assert_int_equal(sign_by(&scene, scene.worker, mine[0], TLSB_ECDSA_SHA256, 32).body.error,
			 TLSB_E_KEY);
	told = import_by(&scene, scene.worker, private_file(key));
	assert_int_equal(told.body.error, TLSB_E_POLICY);
	assert_non_null(strstr((char *)told.tail, "max-keys"));
	close(other);
	scene_deinit(&scene);
	EVP_PKEY_free(key);
}

/* Without a configuration, each user is badge 0; with one, that badge is nobody's. */
static void users_without_badges_have_theirs(void **state unused_)
{
	const struct msg_key_limits body = { .max_keys = 1 };
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	struct scene scene;
	int first, second;

	scene_init(&scene);
	first = worker_of(&scene.rig, 0, 1000);
	second = worker_of(&scene.rig, 0, 1001);
	assert_int_equal(import_by(&scene, first, public_file(key)).body.error, TLSB_E_POLICY);
	rig_tell(&scene.rig, MSG_KEY_LIMITS, &body, NULL, 0, -1);
	assert_int_equal(import_by(&scene, first, public_file(key)).body.error, TLSB_E_NONE);
	assert_int_equal(import_by(&scene, first, public_file(key)).body.error, TLSB_E_QUOTA);
	assert_int_equal(import_by(&scene, second, public_file(key)).body.error, TLSB_E_NONE);
	assert_int_equal(import_by(&scene, scene.worker, public_file(key)).body.error, TLSB_E_POLICY);
	limit(&scene.rig, 1, 1);
	assert_int_equal(imports(&scene)->count, 0);
	close(first);
	close(second);
	scene_deinit(&scene);
	EVP_PKEY_free(key);
}

static void limits_that_do_not_add_up(void **state unused_)
{
	const struct msg_key_limits body = { .max_keys = 1 };
	struct scene scene;

	scene_init(&scene);
	rig_tell(&scene.rig, MSG_KEY_LIMITS, &body, "1234567", 7, -1);
	assert_true(scene.rig.lost);
	scene.rig.lost = false;
	rig_deinit(&scene.rig);
	close(scene.worker);
}

/* Users enough, who all do their worst: the memory for private keys ends, and the others' does not. */
static void case_25_memory_for_imported_keys_ends(void **state unused_)
{
	EVP_PKEY *key = key_generate("RSA", NULL, 2048), *later = key_generate("RSA", NULL, 3072);
	uint32_t error = TLSB_E_NONE, uid = 2000;
	struct scene scene;
	int fd = private_file(key);

	scene_init(&scene);
	limit(&scene.rig, LIMIT_KEYS_OF_ONE, 1);
	for (; error == TLSB_E_NONE && uid < 3000; uid++) {
		int worker = worker_of(&scene.rig, 1, uid);

		for (int i = 0; i < LIMIT_KEYS_OF_ONE && error == TLSB_E_NONE; i++)
			error = import_by(&scene, worker, dup(fd)).body.error;
		close(worker);
		rig_turn(&scene.rig);
	}
	assert_int_equal(error, TLSB_E_RESOURCES);
	assert_in_range(imports(&scene)->memory, LIMIT_IMPORTED_MEMORY / 2, LIMIT_IMPORTED_MEMORY);
	rig_keys(&scene.rig, 1);
	rig_key(&scene.rig, 7, 1, later);
	assert_non_null(keys_find(&rig_keyholder(&scene.rig)->keys, KEY_PRIVATE, 7, 1)->pkey);
	(void)lend(&scene, private_file(later));
	assert_int_equal(import_by(&scene, scene.worker, private_file(later)).body.error,
			 TLSB_E_RESOURCES);
	limit(&scene.rig, 0, 0);
	limit(&scene.rig, 1, 1);
	destroy(&scene, import(&scene, private_file(later)));
	close(fd);
	scene_deinit(&scene);
	EVP_PKEY_free(key);
	EVP_PKEY_free(later);
}

/* ---- floods ---- */

/* Who asks more at once than there may be, or does not read what it is told. */
static void case_42_who_floods_is_cut_off(void **state unused_)
{
	const struct key_wish next = { .action = KEY_NEXT };
	struct scene scene;
	struct told told;
	unsigned sent = 0;
	int r;

	scene_init(&scene);
	for (int i = 0; i <= LIMIT_KEY_ASKS; i++)
		wish(scene.worker, 9, &next, NULL, 0);
	rig_turn(&scene.rig);
	while ((r = hears(scene.worker, &told)) == 1)
		;
	assert_int_equal(r, 0);
	close(scene.worker);
	scene.worker = worker_of(&scene.rig, 1, 1000);
	do {
		const struct msg_key_ask body = { .id = 9, .wish = next };

		r = worker_say(scene.worker, MSG_KEY_ASK, &body, NULL, 0);
		if (sent++ % 8 == 0)
			rig_turn(&scene.rig);
	} while ((r == 0 || r == -EAGAIN) && sent < 20000);
	assert_true(r == -EPIPE || r == -ECONNRESET);
	attacks_count("messages", sent, sent);
	close(scene.worker);
	scene.worker = worker_of(&scene.rig, 1, 1000);
	assert_int_equal(act(&scene, scene.worker, KEY_NEXT, 0).body.error, TLSB_E_KEY);
	scene_deinit(&scene);
}

/* Wishes whose numbers do not add up are no worker's. */
static void wishes_that_do_not_add_up(void **state unused_)
{
	static const struct {
		struct key_wish wish;
		size_t len;
	} cases[] = {
		{ { .action = KEY_IMPORT }, 0 },
		{ { .action = KEY_ACTIONS }, 0 },
		{ { .action = UINT16_MAX }, 0 },
		{ { .action = KEY_SIGN_HASH, .hash_len = 32 }, 31 },
		{ { .action = KEY_SIGN_HASH, .hash_len = 31 }, 32 },
		{ { .action = KEY_SIGN_HASH, .hash_len = 65 }, 65 },
		{ { .action = KEY_SIGN_HASH, .hash_len = UINT32_MAX }, 32 },
		{ { .action = KEY_VERIFY_HASH, .hash_len = 33 }, 32 },
		{ { .action = KEY_VERIFY_HASH, .hash_len = 65 }, 100 },
		{ { .action = KEY_VERIFY_HASH, .hash_len = 32 }, 32 + 513 },
		{ { .action = KEY_VERIFY_HASH, .hash_len = UINT32_MAX }, 32 },
		{ { .action = KEY_DESTROY }, 1 },
		{ { .action = KEY_DESTROY, .hash_len = 1 }, 0 },
		{ { .action = KEY_NEXT, .algorithm = 1 }, 0 },
	};
	static const uint8_t tail[LIMIT_HASH + LIMIT_KEY_SIGNATURE];
	struct scene scene;
	struct told told;

	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		wish(scene.worker, 9, &cases[i].wish, tail, cases[i].len);
		rig_turn(&scene.rig);
		if (hears(scene.worker, &told) != 0)
			fail_msg("case %zu was accepted", i);
		close(scene.worker);
		scene.worker = worker_of(&scene.rig, 1, 1000);
	}
	assert_int_equal(rig_count(&scene.rig, COUNTER_violations), ARRAY_SIZE(cases));
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kind_signs_and_verifies),
		TEST(what_is_no_key_is_refused),
		TEST(keys_that_take_long_are_refused),
		TEST(what_is_told_of_a_key),
		TEST(others_get_the_answer_of_what_never_was),
		TEST(another_worker_of_the_same_user_has_it),
		TEST(numbers_are_not_in_a_row),
		TEST(imported_keys_are_not_for_tls),
		TEST(keys_of_tls_sign_no_hash),
		TEST(the_list_has_both),
		TEST(there_may_be_so_many_of_each),
		TEST(users_without_badges_have_theirs),
		TEST(limits_that_do_not_add_up),
		TEST(case_25_memory_for_imported_keys_ends),
		TEST(case_42_who_floods_is_cut_off),
		TEST(wishes_that_do_not_add_up),
	};

	return testing_run(tests);
}
