/*
 * The keyholder's keys: which files are accepted, which badge may use which, and how a new set takes the
 * place of the old one.
 */
#include "keyholder_rig.h"

#include <fcntl.h>

#include "keys/keyfile.h"

/* ---- files ---- */

/* FD is consumed. */
static void accepts(int fd, const char *type)
{
	const char *why = NULL;
	EVP_PKEY *key = NULL;
	int r = keyfile_read(fd, &key, &why);

	if (r < 0)
		fail_msg("%s: %s", type, why);
	assert_true(EVP_PKEY_is_a(key, type));
	EVP_PKEY_free(key);
	close(fd);
}

static void refuses(int fd, const char *words)
{
	const char *why = NULL;
	EVP_PKEY *key = NULL;

	assert_int_equal(keyfile_read(fd, &key, &why), -EINVAL);
	assert_null(key);
	if (!strstr(why, words))
		fail_msg("\"%s\" does not say \"%s\"", why, words);
	close(fd);
}

static void accepts_new(const char *type, const char *group, unsigned bits)
{
	EVP_PKEY *key = key_generate(type, group, bits);
	unsigned char *der = NULL;
	int len = i2d_PrivateKey(key, &der);

	accepts(key_file(key, NULL), type);
	assert_true(len > 0);
	accepts(file_of(der, (size_t)len), type);
	OPENSSL_free(der);
	EVP_PKEY_free(key);
}

static void refuses_new(const char *type, const char *group, unsigned bits, const char *words)
{
	EVP_PKEY *key = key_generate(type, group, bits);

	refuses(key_file(key, NULL), words);
	EVP_PKEY_free(key);
}

static void keys_that_tls_uses_are_accepted(void **state unused_)
{
	accepts_new("EC", "P-256", 0);
	accepts_new("EC", "P-384", 0);
	accepts_new("EC", "P-521", 0);
	accepts_new("ED25519", NULL, 0);
	accepts_new("RSA", NULL, 2048);
	accepts_new("RSA-PSS", NULL, 2048);
}

static void other_keys_are_refused(void **state unused_)
{
	refuses_new("EC", "P-224", 0, "is on a curve other than");
	refuses_new("EC", "secp256k1", 0, "is on a curve other than");
	refuses_new("EC", "brainpoolP256r1", 0, "is on a curve other than");
	refuses_new("RSA", NULL, 1024, "less than 2048 bits");
	refuses_new("RSA-PSS", NULL, 1024, "less than 2048 bits");
	refuses_new("X25519", NULL, 0, "is neither RSA, ECDSA nor Ed25519");
	refuses_new("ED448", NULL, 0, "is neither RSA, ECDSA nor Ed25519");
}

static void a_dsa_key_is_refused(void **state unused_)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DSA", NULL);
	EVP_PKEY *numbers = NULL, *key = NULL;
	EVP_PKEY_CTX *of_numbers;

	assert_true(EVP_PKEY_paramgen_init(ctx) > 0);
	assert_true(EVP_PKEY_CTX_set_params(ctx, (OSSL_PARAM[]){
		OSSL_PARAM_size_t("pbits", &(size_t){ 1024 }),
		OSSL_PARAM_size_t("qbits", &(size_t){ 160 }), OSSL_PARAM_END }) > 0);
	assert_true(EVP_PKEY_paramgen(ctx, &numbers) > 0);
	of_numbers = EVP_PKEY_CTX_new_from_pkey(NULL, numbers, NULL);
	assert_true(EVP_PKEY_keygen_init(of_numbers) > 0 && EVP_PKEY_generate(of_numbers, &key) > 0);
	refuses(key_file(key, NULL), "is neither RSA, ECDSA nor Ed25519");
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_CTX_free(of_numbers);
	EVP_PKEY_free(numbers);
	EVP_PKEY_free(key);
}

static void what_is_no_key_is_refused(void **state unused_)
{
	static char large[LIMIT_KEY_BYTES + 1];
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;
	int pipes[2];

	refuses(file_of("", 0), "has no private key in it");
	refuses(file_of("x", 1), "has no private key in it");
	refuses(file_of("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 58),
		"has no private key in it");
	assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
	len = BIO_get_mem_data(bio, &data);
	refuses(file_of(data, (size_t)len), "has no private key in it");
	BIO_free(bio);
	refuses(key_file(key, "secret"), "is protected by a passphrase");
	memset(large, '\n', sizeof(large));
	refuses(file_of(large, LIMIT_KEY_BYTES), "has no private key in it");
	refuses(file_of(large, sizeof(large)), "is too large for a key");
	refuses(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "is not a regular file");
	refuses(open("/dev/zero", O_RDONLY | O_CLOEXEC), "is not a regular file");
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	refuses(pipes[0], "is not a regular file");
	close(pipes[1]);
	EVP_PKEY_free(key);
}

/* Each prefix of one, and each bit of one flipped: a key or none, and nothing is left. */
static void damaged_files_do_no_harm(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	unsigned char *der = NULL;
	int len = i2d_PrivateKey(key, &der);

	for (int bit = 0; bit < 8 * len; bit++) {
		const char *why = NULL;
		EVP_PKEY *read = NULL;
		int fd;

		der[bit / 8] ^= (unsigned char)(1 << bit % 8);
		fd = file_of(der, (size_t)len);
		if (keyfile_read(fd, &read, &why) < 0)
			assert_non_null(why);
		EVP_PKEY_free(read);
		close(fd);
		der[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	for (int cut = 0; cut < len; cut++)
		refuses(file_of(der, (size_t)cut), "has no private key in it");
	OPENSSL_free(der);
	EVP_PKEY_free(key);
}

/* ---- grants ---- */

static struct answer ask(struct rig *rig, int worker, uint32_t key)
{
	uint8_t bytes[256];

	return rig_sign(rig, worker, key, 0x0403, bytes, flight_1_3(bytes, FLIGHT_TEXT, 32));
}

/* "Not yours" and "there is none" are one answer, to the byte but for the id. */
static void a_key_is_for_the_badges_it_was_granted_to(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	struct answer others, unknown;
	struct rig rig;
	int worker, other;

	rig_init(&rig);
	rig_keys(&rig, 2);
	rig_key(&rig, 7, 1, key);
	rig_key(&rig, 8, 2, key);
	worker = rig_worker(&rig, 1);
	other = rig_worker(&rig, 2);
	assert_int_equal(ask(&rig, worker, 7).error, TLSB_E_NONE);
	assert_int_equal(ask(&rig, other, 8).error, TLSB_E_NONE);
	others = ask(&rig, worker, 8);
	unknown = ask(&rig, worker, 9);
	assert_int_equal(others.error, TLSB_E_POLICY);
	assert_int_equal(others.len, 0);
	others.id = unknown.id;
	assert_memory_equal(&others, &unknown, sizeof(others));
	assert_int_equal(ask(&rig, worker, 0).error, TLSB_E_POLICY);
	assert_int_equal(ask(&rig, worker, UINT32_MAX).error, TLSB_E_POLICY);
	assert_int_equal(rig_count(&rig, COUNTER_signatures), 2);
	assert_int_equal(rig_count(&rig, COUNTER_signatures_refused), 4);
	close(worker);
	close(other);
	rig_deinit(&rig);
	EVP_PKEY_free(key);
}

static void a_key_may_be_for_many_badges(void **state unused_)
{
	const struct msg_key body = { .key = 3, .badge_count = LIMIT_BADGES };
	char tail[LIMIT_GRANTS], name[LIMIT_BADGE];
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	struct rig rig;

	rig_init(&rig);
	rig_keys(&rig, 1);
	for (uint32_t i = 0; i < LIMIT_BADGES; i++)
		memcpy(tail + 4 * i, &(uint32_t){ 2 * i }, 4);
	memset(name, 'n', sizeof(name));
	memcpy(tail + 4 * LIMIT_BADGES, name, sizeof(name));
	rig_tell(&rig, MSG_KEY, &body, tail, sizeof(tail), key_file(key, NULL));
	assert_false(rig.lost);
	for (uint32_t badge = 0; badge < 2 * LIMIT_BADGES; badge++)
		assert_int_equal(!keys_find(&rig_keyholder(&rig)->keys, KEY_PRIVATE, 3,
					   badge), badge % 2);
	rig_deinit(&rig);
	EVP_PKEY_free(key);
}

/* Until the last one is there, the old ones are in force; a set that begins again starts anew. */
static void keys_are_replaced_as_a_set(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	struct rig rig;
	int worker;

	rig_init(&rig);
	worker = rig_worker(&rig, 1);
	assert_int_equal(ask(&rig, worker, 1).error, TLSB_E_POLICY);
	rig_keys(&rig, 2);
	rig_key(&rig, 1, 1, key);
	assert_int_equal(ask(&rig, worker, 1).error, TLSB_E_POLICY);
	rig_key(&rig, 2, 1, key);
	assert_int_equal(ask(&rig, worker, 1).error, TLSB_E_NONE);
	rig_keys(&rig, 2);
	rig_key(&rig, 3, 1, key);
	assert_int_equal(ask(&rig, worker, 1).error, TLSB_E_NONE);
	assert_int_equal(ask(&rig, worker, 3).error, TLSB_E_POLICY);
	rig_keys(&rig, 1);
	rig_key(&rig, 4, 1, key);
	assert_int_equal(ask(&rig, worker, 1).error, TLSB_E_POLICY);
	assert_int_equal(ask(&rig, worker, 3).error, TLSB_E_POLICY);
	assert_int_equal(ask(&rig, worker, 4).error, TLSB_E_NONE);
	rig_keys(&rig, 0);
	assert_int_equal(ask(&rig, worker, 4).error, TLSB_E_POLICY);
	assert_false(rig.lost);
	close(worker);
	rig_deinit(&rig);
	EVP_PKEY_free(key);
}

/* The supervisor has looked at it, but a file may change: that key does not sign, the others do. */
static void a_file_that_was_damaged_since_is_one_key_less(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	struct rig rig;
	int worker;

	rig_init(&rig);
	worker = rig_worker(&rig, 1);
	rig_keys(&rig, 2);
	rig_key_in(&rig, 1, 1, file_of("garbage", 7));
	rig_key(&rig, 2, 1, key);
	assert_false(rig.lost);
	assert_int_equal(ask(&rig, worker, 1).error, TLSB_E_RESOURCES);
	assert_int_equal(ask(&rig, worker, 2).error, TLSB_E_NONE);
	close(worker);
	rig_deinit(&rig);
	EVP_PKEY_free(key);
}

/* What the supervisor may not say. */
static void keys_that_lie_are_refused(void **state unused_)
{
	static const struct {
		struct msg_key body;
		size_t tail_len;
		uint32_t announced;
	} lies[] = {
		{ { .key = 0, .badge_count = 1 }, 8, 1 },
		{ { .key = 1, .badge_count = 3 }, 8, 1 },
		{ { .key = 1, .badge_count = LIMIT_BADGES + 1 }, LIMIT_GRANTS, 1 },
		{ { .key = 1, .badge_count = UINT32_MAX }, 8, 1 },
		{ { .key = 1, .badge_count = 0x40000001 }, 8, 1 },
		{ { .key = 1, .badge_count = 0 }, LIMIT_BADGE + 1, 1 },
		{ { .key = 1, .badge_count = 1 }, 8, 0 },
		{ { .key = 1, .badge_count = 1, .kind = KEY_PSK + 1 }, 8, 1 },
		{ { .key = 1, .badge_count = 1, .kind = UINT32_MAX }, 8, 1 },
	};
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	char tail[LIMIT_GRANTS];
	struct rig rig;

	memset(tail, 'x', sizeof(tail));
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		rig_init(&rig);
		rig_keys(&rig, lies[i].announced);
		rig_tell(&rig, MSG_KEY, &lies[i].body, tail, lies[i].tail_len, key_file(key, NULL));
		assert_true(rig.lost);
		rig_deinit(&rig);
	}
	rig_init(&rig);
	rig_keys(&rig, LIMIT_KEYS);
	assert_false(rig.lost);
	rig_keys(&rig, LIMIT_KEYS + 1);
	assert_true(rig.lost);
	rig_deinit(&rig);
	EVP_PKEY_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_that_tls_uses_are_accepted),
		TEST(other_keys_are_refused),
		TEST(a_dsa_key_is_refused),
		TEST(what_is_no_key_is_refused),
		TEST(damaged_files_do_no_harm),
		TEST(a_key_is_for_the_badges_it_was_granted_to),
		TEST(a_key_may_be_for_many_badges),
		TEST(keys_are_replaced_as_a_set),
		TEST(a_file_that_was_damaged_since_is_one_key_less),
		TEST(keys_that_lie_are_refused),
	};

	return testing_run(tests);
}
