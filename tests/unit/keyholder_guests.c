/*
 * Keys that programs have brought and workers have lent: every kind signs, for the worker alone that lent
 * it; how many there may be; and whatever a descriptor leads to, it is refused, nobody waits, and nothing
 * is left of it.
 */
#include "keyholder_rig.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include "base/clock.h"
#include "tests/attacks.h"
#include "tests/hostile/oddities.h"

#define SCHEME_ 0x0403

struct scene {
	struct rig rig;
	int worker;
	uint8_t bytes[256];
	size_t len;
};

static void scene_init(struct scene *scene)
{
	rig_init(&scene->rig);
	scene->worker = rig_worker(&scene->rig, 1);
	scene->len = flight_1_3(scene->bytes, FLIGHT_TEXT, 32);
}

static void expect_nothing_kept(const struct scene *scene)
{
	assert_int_equal(rig_keyholder(&scene->rig)->guest_memory, 0);
}

static void scene_deinit(struct scene *scene)
{
	fd_close(scene->worker);
	for (int i = 0; i < 60; i++)
		rig_turn(&scene->rig);
	assert_int_equal(rig_keyholder(&scene->rig)->asker_count, 0);
	assert_false(scene->rig.lost);
	expect_nothing_kept(scene);
	rig_deinit(&scene->rig);
}

static const struct asker *asker(const struct scene *scene)
{
	return LIST_FIRST(&rig_keyholder(&scene->rig)->askers);
}

/* ---- files ---- */

/* Sealed, as the library makes it. */
static int sealed(const void *bytes, size_t len)
{
	int fd;

	assert_int_equal(fd_sealed_copy("key", bytes, len, &fd), 0);
	return fd;
}

static int sealed_pem(const EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;
	int fd;

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	len = BIO_get_mem_data(bio, &data);
	fd = sealed(data, (size_t)len);
	BIO_free(bio);
	return fd;
}

static int sealed_der(const EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int len = i2d_PrivateKey(key, &der), fd;

	assert_true(len > 0);
	fd = sealed(der, (size_t)len);
	OPENSSL_free(der);
	return fd;
}

/* ---- as a worker ---- */

struct lent {
	struct msg_key_lent body;
	size_t len;
	char tail[LIMIT_PUBLIC_KEY + 1];
};

/* FD is consumed. */
static void lend(int worker, uint64_t id, int fd)
{
	const struct msg_key_lend body = { .id = id };

	assert_int_equal(msg_send(worker, &internal_messages, MSG_KEY_LEND, &body, NULL, 0, &fd), 0);
	fd_close(fd);
}

/* 1, 0: the channel was closed, or -EAGAIN. */
static int hears(int worker, struct lent *ret)
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
	assert_int_equal(msg.type, MSG_KEY_LENT);
	*ret = (struct lent){ .body = *(const struct msg_key_lent *)msg.body, .len = msg.tail_len };
	memcpy(ret->tail, msg.tail, msg.tail_len);
	return 1;
}

/* FD is consumed.  What it is told. */
static struct lent lends(struct scene *scene, int worker, int fd)
{
	static uint64_t id;
	struct lent lent = { .len = 0 };

	lend(worker, ++id, fd);
	rig_turn(&scene->rig);
	assert_int_equal(hears(worker, &lent), 1);
	assert_int_equal(lent.body.id, id);
	return lent;
}

static void give_back(struct scene *scene, int worker, uint32_t key)
{
	const struct msg_key_back body = { .key = key };

	assert_int_equal(worker_say(worker, MSG_KEY_BACK, &body, NULL, 0), 0);
	rig_turn(&scene->rig);
}

static void expect_public(const struct lent *lent, const EVP_PKEY *key)
{
	const unsigned char *der = (const unsigned char *)lent->tail;
	EVP_PKEY *public = d2i_PUBKEY(NULL, &der, (long)lent->len);

	assert_int_equal(lent->body.error, TLSB_E_NONE);
	assert_true(lent->body.key & KEY_IS_LENT);
	assert_non_null(public);
	assert_ptr_equal(der, lent->tail + lent->len);
	assert_int_equal(EVP_PKEY_eq(public, key), 1);
	EVP_PKEY_free(public);
}

static bool signs(struct scene *scene, int worker, uint32_t number, uint16_t scheme, EVP_PKEY *key)
{
	struct answer answer = rig_sign(&scene->rig, worker, number, scheme, scene->bytes, scene->len);

	if (answer.error != TLSB_E_NONE) {
		assert_int_equal(answer.error, TLSB_E_POLICY);
		assert_int_equal(answer.len, 0);
		return false;
	}
	return is_signature(key, scheme, &answer, scene->bytes, scene->len);
}

static void expect_refused(struct scene *scene, int fd, const char *why)
{
	struct lent lent = lends(scene, scene->worker, fd);

	if (lent.body.error != TLSB_E_PARAMETER || strcmp(lent.tail, why) != 0)
		fail_msg("%u %s, not: %s", lent.body.error, lent.tail, why);
	assert_int_equal(lent.body.key, 0);
	assert_int_equal(asker(scene)->guests.count, 0);
	expect_nothing_kept(scene);
}

/* ---- keys, which take long to make: each once ---- */

static const struct {
	const char *type, *group;
	unsigned bits;
	uint16_t scheme;
} kinds[] = {
	{ "EC", "P-256", 0, 0x0403 },  { "EC", "P-384", 0, 0x0503 },
	{ "EC", "P-521", 0, 0x0603 },  { "ED25519", NULL, 0, 0x0807 },
	{ "RSA", NULL, 2048, 0x0804 }, { "RSA-PSS", NULL, 2048, 0x0809 },
	{ "RSA", NULL, 2048, 0x0804 },
};

enum kind { P256, ED25519 = 3, RSA_, PSS, OTHER_RSA };

static EVP_PKEY *key_of(enum kind kind)
{
	static EVP_PKEY *keys[ARRAY_SIZE(kinds)];

	if (!keys[kind])
		keys[kind] = key_generate(kinds[kind].type, kinds[kind].group, kinds[kind].bits);
	return keys[kind];
}

#define ALL_NUMBERS "*"

/*
 * An RSA key of two halves, of which one number (NULL: none; ALL_NUMBERS: all but the public exponent) is
 * 2 to the power of BITS, and one, instead.  It signs nothing of use.
 */
static EVP_PKEY *made_of(const EVP_PKEY *public, const EVP_PKEY *private, const char *which, int bits)
{
	static const char *const all[] = {
		OSSL_PKEY_PARAM_RSA_N,		OSSL_PKEY_PARAM_RSA_E,
		OSSL_PKEY_PARAM_RSA_D,		OSSL_PKEY_PARAM_RSA_FACTOR1,
		OSSL_PKEY_PARAM_RSA_FACTOR2,	OSSL_PKEY_PARAM_RSA_EXPONENT1,
		OSSL_PKEY_PARAM_RSA_EXPONENT2,	OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *numbers[ARRAY_SIZE(all)] = { NULL };
	EVP_PKEY *made = NULL;
	OSSL_PARAM *params;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		assert_int_equal(EVP_PKEY_get_bn_param(i < 2 ? public : private, all[i], &numbers[i]), 1);
		if (which && (strcmp(all[i], which) == 0 || (strcmp(which, ALL_NUMBERS) == 0 && i != 1))) {
			assert_int_equal(BN_one(numbers[i]), 1);
			assert_int_equal(BN_set_bit(numbers[i], bits), 1);
		}
		assert_int_equal(OSSL_PARAM_BLD_push_BN(build, all[i], numbers[i]), 1);
	}
	params = OSSL_PARAM_BLD_to_param(build);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &made, EVP_PKEY_KEYPAIR, params), 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(ctx);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		BN_clear_free(numbers[i]);
	return made;
}

/* ---- what works ---- */

static void every_kind_of_key_signs_until_it_is_given_back(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	for (size_t i = 0; i < 2 * (size_t)OTHER_RSA; i++) {
		EVP_PKEY *key = key_of((enum kind)(i / 2));
		uint16_t scheme = kinds[i / 2].scheme;
		struct lent lent = lends(&scene, scene.worker, i % 2 ? sealed_der(key) : sealed_pem(key));

		expect_public(&lent, key);
		assert_true(signs(&scene, scene.worker, lent.body.key, scheme, key));
		assert_true(signs(&scene, scene.worker, lent.body.key, scheme, key));
		give_back(&scene, scene.worker, lent.body.key);
		expect_nothing_kept(&scene);
		assert_false(signs(&scene, scene.worker, lent.body.key, scheme, key));
	}
	assert_int_equal(rig_count(&scene.rig, COUNTER_keys_lent), 2 * OTHER_RSA);
	scene_deinit(&scene);
}

static void the_largest_rsa_key_is_one_of_4096_bits(void **state unused_)
{
	EVP_PKEY *key = key_of(RSA_), *small = key_generate("RSA", NULL, 1024);
	EVP_PKEY *large = made_of(key, key, ALL_NUMBERS, 4095);
	EVP_PKEY *larger = made_of(key, key, OSSL_PKEY_PARAM_RSA_N, 4096);
	struct scene scene;
	struct lent lent;

	scene_init(&scene);
	lent = lends(&scene, scene.worker, sealed_der(large));
	expect_public(&lent, large);
	/* As limits.h has it. */
	assert_int_equal(rig_keyholder(&scene.rig)->guest_memory, 3072);
	give_back(&scene, scene.worker, lent.body.key);
	expect_refused(&scene, sealed_der(larger), "is an RSA key of more than 4096 bits");
	expect_refused(&scene, sealed_der(small), "is an RSA key of less than 2048 bits");
	EVP_PKEY_free(large);
	EVP_PKEY_free(larger);
	EVP_PKEY_free(small);
	scene_deinit(&scene);
}

/* The digest tells one file from another, and that it is the same. */
static void the_same_file_has_the_same_digest(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0), *other = key_generate("EC", "P-256", 0);
	struct lent lent[3];
	struct scene scene;

	scene_init(&scene);
	lent[0] = lends(&scene, scene.worker, sealed_der(key));
	lent[1] = lends(&scene, scene.worker, sealed_der(key));
	lent[2] = lends(&scene, scene.worker, sealed_der(other));
	assert_memory_equal(lent[0].body.digest, lent[1].body.digest, 32);
	assert_memory_not_equal(lent[0].body.digest, lent[2].body.digest, 32);
	assert_true(lent[0].body.key != lent[1].body.key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	scene_deinit(&scene);
}

/* ---- whose it is ---- */

static void case_15_a_lent_key_is_of_one_channel_alone(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	struct scene scene;
	struct lent lent;
	int thief;

	scene_init(&scene);
	thief = rig_worker(&scene.rig, 1); /* of the same badge */
	lent = lends(&scene, scene.worker, sealed_pem(key));
	for (uint32_t number = 0; number < 64; number++)
		assert_false(signs(&scene, thief, KEY_IS_LENT | number, SCHEME_, key));
	assert_true(signs(&scene, scene.worker, lent.body.key, SCHEME_, key));
	/* To give back what one has not is no worker's way. */
	assert_int_equal(worker_say(thief, MSG_KEY_BACK,
				    &(struct msg_key_back){ .key = lent.body.key }, NULL, 0), 0);
	rig_turn(&scene.rig);
	assert_int_equal(rig_keyholder(&scene.rig)->asker_count, 1);
	assert_true(signs(&scene, scene.worker, lent.body.key, SCHEME_, key));
	EVP_PKEY_free(key);
	close(thief);
	scene_deinit(&scene);
}

static void keys_go_with_the_channel(void **state unused_)
{
	EVP_PKEY *key = key_of(RSA_);
	struct scene scene;

	scene_init(&scene);
	for (unsigned ask = 0; ask < 3; ask++) {
		int worker = rig_worker(&scene.rig, 1);

		for (unsigned i = 0; i < LIMIT_LENT; i++)
			lend(worker, i, sealed_der(key));
		if (ask > 0) /* some of them, or all */
			event_base_loop(scene.rig.child.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		for (unsigned i = 0; ask == 2 && i < 40; i++)
			rig_turn(&scene.rig);
		close(worker);
		for (int i = 0; i < 40; i++)
			rig_turn(&scene.rig);
		assert_int_equal(rig_keyholder(&scene.rig)->asker_count, 1);
		expect_nothing_kept(&scene);
	}
	scene_deinit(&scene);
}

/* The administrator's numbers are others: he cannot have one of these by mistake. */
static void the_configuration_has_no_lent_keys(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	struct scene scene;

	scene_init(&scene);
	rig_keys(&scene.rig, 1);
	rig_key_in(&scene.rig, KEY_IS_LENT | 1, 1, key_file(key, NULL));
	assert_true(scene.rig.lost);
	scene.rig.lost = false;
	EVP_PKEY_free(key);
	scene_deinit(&scene);
}

/* A signature that was asked for before the key went back is answered, and is none. */
static void what_is_taken_back_signs_nothing_any_more(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	struct scene scene;
	struct answer answer = { .len = 0 };
	struct lent lent;

	scene_init(&scene);
	lent = lends(&scene, scene.worker, sealed_pem(key));
	assert_int_equal(worker_asks(scene.worker, 5, lent.body.key, SCHEME_, scene.bytes, scene.len), 0);
	give_back(&scene, scene.worker, lent.body.key);
	assert_int_equal(worker_hears(scene.worker, &answer), 1);
	assert_int_equal(answer.id, 5);
	assert_int_equal(answer.error, TLSB_E_RESOURCES);
	assert_int_equal(answer.len, 0);
	EVP_PKEY_free(key);
	scene_deinit(&scene);
}

/* Nothing but handshakes is signed with them, either. */
static void case_42_lent_keys_sign_handshakes_alone(void **state unused_)
{
	static const char *const others[] = { "", "x", "tree 01\nauthor root\n", "SSHSIG" };
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	struct scene scene;
	struct lent lent;

	scene_init(&scene);
	lent = lends(&scene, scene.worker, sealed_pem(key));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		struct answer answer = rig_sign(&scene.rig, scene.worker, lent.body.key, SCHEME_,
						(const uint8_t *)others[i], strlen(others[i]));

		assert_int_equal(answer.error, TLSB_E_POLICY);
		assert_int_equal(answer.len, 0);
	}
	assert_true(signs(&scene, scene.worker, lent.body.key, SCHEME_, key));
	EVP_PKEY_free(key);
	scene_deinit(&scene);
}

/* ---- how many ---- */

static void a_worker_lends_so_many_and_no_more(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	struct lent lent = { .len = 0 };
	struct scene scene;

	scene_init(&scene);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < LIMIT_LENT; i++)
			lent = lends(&scene, scene.worker, sealed_der(key));
		assert_int_equal(asker(&scene)->guests.count, LIMIT_LENT);
		if (round == 0) {
			while (asker(&scene)->guests.count > 0)
				give_back(&scene, scene.worker, lent.body.key--);
		}
	}
	lend(scene.worker, 1, sealed_der(key));
	rig_turn(&scene.rig);
	assert_int_equal(hears(scene.worker, &lent), 0);
	assert_int_equal(rig_count(&scene.rig, COUNTER_violations), 1);
	expect_nothing_kept(&scene);
	EVP_PKEY_free(key);
	scene_deinit(&scene);
}

/* All workers together have so much memory; the administrator's keys have theirs whatever they do. */
static void all_workers_lend_so_many_and_the_configuration_has_its_own(void **state unused_)
{
	EVP_PKEY *key = made_of(key_of(RSA_), key_of(RSA_), ALL_NUMBERS, 4095);
	static int workers[LIMIT_WORKERS];
	unsigned count = 0, refused = 0;
	struct scene scene;
	struct lent lent;

	scene_init(&scene);
	while (count < LIMIT_WORKERS && refused == 0) {
		workers[count] = rig_worker(&scene.rig, 1);
		for (unsigned i = 0; i < LIMIT_LENT; i++) {
			lent = lends(&scene, workers[count], sealed_der(key));
			if (lent.body.error != TLSB_E_NONE) {
				assert_int_equal(lent.body.error, TLSB_E_RESOURCES);
				refused++;
			}
		}
		count++;
	}
	assert_int_equal(count, 11); /* ten that do their worst leave room */
	assert_in_range(rig_keyholder(&scene.rig)->guest_memory, LIMIT_LENT_MEMORY / 2,
			LIMIT_LENT_MEMORY);
	rig_keys(&scene.rig, 64);
	for (uint32_t i = 1; i <= 64; i++)
		rig_key(&scene.rig, i, 1, key);
	for (uint32_t i = 1; i <= 64; i++)
		assert_non_null(keys_find(&rig_keyholder(&scene.rig)->keys, KEY_PRIVATE, i, 1)->pkey);
	/* One that ends makes room for all that it had. */
	close(workers[0]);
	rig_turn(&scene.rig);
	assert_int_equal(lends(&scene, scene.worker, sealed_der(key)).body.error, TLSB_E_NONE);
	for (unsigned i = 1; i < count; i++)
		close(workers[i]);
	for (int i = 0; i < 40; i++)
		rig_turn(&scene.rig);
	rig_keys(&scene.rig, 0);
	EVP_PKEY_free(key);
	scene_deinit(&scene);
}

/* Between any two keys: how many of one worker's were read when the other had its own. */
struct watch {
	const struct asker *modest, *greedy;
	struct event *event;
	unsigned greedy_had;
};

static void on_watch(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct watch *watch = arg;

	if (watch->modest->guests.count > 0)
		watch->greedy_had = watch->greedy->guests.count;
	else
		event_active(watch->event, EV_TIMEOUT, 0);
}

/* Keys that are lent wait for their turns, and so hold up nobody for more than one of them. */
static void one_who_lends_much_does_not_hold_up_others(void **state unused_)
{
	EVP_PKEY *key = key_of(RSA_);
	struct watch watch = { .greedy_had = LIMIT_LENT };
	struct scene scene;
	int other;

	scene_init(&scene);
	watch.greedy = asker(&scene);
	other = rig_worker(&scene.rig, 1);
	watch.modest = asker(&scene);
	watch.event = event_new(scene.rig.child.base, -1, 0, on_watch, &watch);
	for (unsigned i = 0; i < LIMIT_LENT; i++)
		lend(scene.worker, i, sealed_der(key));
	lend(other, 0, sealed_der(key));
	event_active(watch.event, EV_TIMEOUT, 0);
	for (int i = 0; i < 20; i++)
		rig_turn(&scene.rig);
	assert_int_equal(watch.greedy->guests.count, LIMIT_LENT);
	assert_in_range(watch.greedy_had, 0, 4);
	event_free(watch.event);
	close(other);
	scene_deinit(&scene);
}

/* ---- case 7: what is no key ---- */

static void case_7_odd_descriptors_in_the_place_of_a_key(void **state unused_)
{
	struct oddities odd;
	struct scene scene;
	uint64_t began;
	int fds;

	scene_init(&scene);
	oddities_open(&odd);
	fds = testing_count_fds();
	for (unsigned i = 0; i < odd.count; i++) {
		began = clock_ms();
		expect_refused(&scene, dup(odd.fds[i]), "is not in a sealed file");
		assert_in_range(clock_ms() - began, 0, 15000); /* no socket was waited for that lingers */
	}
	assert_int_equal(testing_count_fds(), fds);
	assert_int_equal(rig_count(&scene.rig, COUNTER_keys_refused), odd.count);
	attacks_count("messages", odd.count, odd.count);
	oddities_close(&odd);
	scene_deinit(&scene);
}

/* Anonymous memory, but not as it has to be: who made it can still change it, or there is too much. */
static void case_7_memory_that_is_not_sealed_or_too_large(void **state unused_)
{
	static const int seals[] = { 0, F_SEAL_WRITE, F_SEAL_WRITE | F_SEAL_SHRINK,
				     F_SEAL_GROW | F_SEAL_SHRINK, F_SEAL_SEAL };
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	static char zeros[LIMIT_KEY_BYTES + 1];
	unsigned char *der = NULL;
	int len = i2d_PrivateKey(key, &der), fd;
	struct scene scene;

	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(seals); i++) {
		fd = memfd_create("key", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		assert_int_equal(write(fd, der, (size_t)len), len);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
		expect_refused(&scene, fd, "is not in a sealed file");
	}
	expect_refused(&scene, sealed(zeros, sizeof(zeros)), "is not in a sealed file");
	expect_refused(&scene, sealed(zeros, LIMIT_KEY_BYTES), "has no private key in it");
	expect_refused(&scene, sealed("", 0), "is not in a sealed file");
	/* Blocks behind its end, which somebody has to free. */
	fd = memfd_create("key", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(write(fd, der, (size_t)len), len);
	assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
	expect_refused(&scene, fd, "is not in a sealed file");
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	scene_deinit(&scene);
}

static void garbage_is_refused(void **state unused_)
{
	static const char *const texts[] = {
		"x", "0", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\nMIGH\n", "-----BEGIN CERTIFICATE-----\nMA==\n",
		"-----BEGIN RSA PRIVATE KEY-----\nMA==\n-----END RSA PRIVATE KEY-----\n",
	};
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	unsigned char *der = NULL, *damaged;
	int len = i2d_PrivateKey(key, &der);
	uint64_t tried = 0, seed = 1;
	struct scene scene;

	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++, tried++)
		expect_refused(&scene, sealed(texts[i], strlen(texts[i])), "has no private key in it");
	/* Cut, and with bits flipped: some of those are keys, but nothing is ever left of any. */
	for (int cut = 1; cut < len; cut++, tried++) {
		struct lent lent = lends(&scene, scene.worker, sealed(der, (size_t)cut));

		assert_int_equal(lent.body.error, TLSB_E_PARAMETER);
		expect_nothing_kept(&scene);
	}
	damaged = malloc((size_t)len);
	for (int i = 0; i < 300; i++, tried++) {
		struct lent lent;

		memcpy(damaged, der, (size_t)len);
		for (int n = 0; n <= i % 3; n++)
			damaged[testing_random(&seed) % (size_t)len] ^= (uint8_t)testing_random(&seed);
		lent = lends(&scene, scene.worker, sealed(damaged, (size_t)len));
		if (lent.body.error == TLSB_E_NONE)
			give_back(&scene, scene.worker, lent.body.key);
		expect_nothing_kept(&scene);
	}
	attacks_count("messages", tried, tried);
	free(damaged);
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	scene_deinit(&scene);
}

static void a_key_with_a_passphrase_is_refused(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	BIO *bio = BIO_new(BIO_s_mem());
	unsigned char passphrase[] = "x";
	struct scene scene;
	char *data;
	long len;

	scene_init(&scene);
	PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
	len = BIO_get_mem_data(bio, &data);
	expect_refused(&scene, sealed(data, (size_t)len), "is protected by a passphrase");
	assert_int_equal(BIO_reset(bio), 1);
	PEM_write_bio_PrivateKey_traditional(bio, key, EVP_aes_128_cbc(), passphrase, 1, NULL, NULL);
	len = BIO_get_mem_data(bio, &data);
	expect_refused(&scene, sealed(data, (size_t)len), "is protected by a passphrase");
	assert_int_equal(BIO_reset(bio), 1);
	i2d_PKCS8PrivateKey_bio(bio, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
	len = BIO_get_mem_data(bio, &data);
	expect_refused(&scene, sealed(data, (size_t)len), "has no private key in it");
	BIO_free(bio);
	EVP_PKEY_free(key);
	scene_deinit(&scene);
}

static void other_kinds_of_keys_are_refused(void **state unused_)
{
	EVP_PKEY *curve = key_generate("EC", "secp256k1", 0), *x25519 = key_generate("X25519", NULL, 0);
	EVP_PKEY *ed448 = key_generate("ED448", NULL, 0);
	struct scene scene;

	scene_init(&scene);
	expect_refused(&scene, sealed_der(curve), "is on a curve other than P-256, P-384 and P-521");
	expect_refused(&scene, sealed_der(x25519), "is neither RSA, ECDSA nor Ed25519");
	expect_refused(&scene, sealed_der(ed448), "is neither RSA, ECDSA nor Ed25519");
	EVP_PKEY_free(curve);
	EVP_PKEY_free(x25519);
	EVP_PKEY_free(ed448);
	scene_deinit(&scene);
}

/* ---- case 42: keys that are made to take long ---- */

static void case_42_keys_that_take_long_are_refused(void **state unused_)
{
	static const struct {
		const char *which;
		int bits;
	} odd[] = {
		{ OSSL_PKEY_PARAM_RSA_E, 64 },		 { OSSL_PKEY_PARAM_RSA_D, 2048 },
		{ OSSL_PKEY_PARAM_RSA_D, 60000 },	 { OSSL_PKEY_PARAM_RSA_FACTOR1, 60000 },
		{ OSSL_PKEY_PARAM_RSA_FACTOR2, 60000 },	 { OSSL_PKEY_PARAM_RSA_EXPONENT1, 60000 },
		{ OSSL_PKEY_PARAM_RSA_EXPONENT2, 60000 }, { OSSL_PKEY_PARAM_RSA_COEFFICIENT1, 60000 },
	};
	EVP_PKEY *key = key_of(RSA_);
	struct scene scene;

	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		EVP_PKEY *slow = made_of(key, key, odd[i].which, odd[i].bits);
		int fd = sealed_der(slow);

		EVP_PKEY_free(slow);
		expect_refused(&scene, fd, "is an RSA key of an unusual kind");
	}
	attacks_count("messages", ARRAY_SIZE(odd), ARRAY_SIZE(odd));
	scene_deinit(&scene);
}

/* A public half with any private one signs something, which is nobody's signature. */
static void a_forged_key_signs_nothing_of_use(void **state unused_)
{
	EVP_PKEY *key = key_of(RSA_);
	EVP_PKEY *forged = made_of(key, key_of(OTHER_RSA), NULL, 0);
	struct scene scene;
	struct answer answer = { .len = 0 };
	struct lent lent;

	scene_init(&scene);
	lent = lends(&scene, scene.worker, sealed_der(forged));
	expect_public(&lent, key);
	answer = rig_sign(&scene.rig, scene.worker, lent.body.key, 0x0804, scene.bytes, scene.len);
	assert_true(answer.error != TLSB_E_NONE ||
		    !is_signature(key, 0x0804, &answer, scene.bytes, scene.len));
	EVP_PKEY_free(forged);
	give_back(&scene, scene.worker, lent.body.key);
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kind_of_key_signs_until_it_is_given_back),
		TEST(the_largest_rsa_key_is_one_of_4096_bits),
		TEST(the_same_file_has_the_same_digest),
		TEST(case_15_a_lent_key_is_of_one_channel_alone),
		TEST(keys_go_with_the_channel),
		TEST(the_configuration_has_no_lent_keys),
		TEST(what_is_taken_back_signs_nothing_any_more),
		TEST(case_42_lent_keys_sign_handshakes_alone),
		TEST(a_worker_lends_so_many_and_no_more),
		TEST(all_workers_lend_so_many_and_the_configuration_has_its_own),
		TEST(one_who_lends_much_does_not_hold_up_others),
		TEST(case_7_odd_descriptors_in_the_place_of_a_key),
		TEST(case_7_memory_that_is_not_sealed_or_too_large),
		TEST(garbage_is_refused),
		TEST(a_key_with_a_passphrase_is_refused),
		TEST(other_kinds_of_keys_are_refused),
		TEST(case_42_keys_that_take_long_are_refused),
		TEST(a_forged_key_signs_nothing_of_use),
	};

	return testing_run(tests);
}
