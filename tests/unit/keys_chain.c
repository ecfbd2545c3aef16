/*
 * Certificates of identities: PEM in, checked against the key; DER out, sealed; and back in the worker.
 */
#include "testing_x509.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "keys/chain.h"
#include "wire/limits.h"

/* A chain of three and its key's file. */
struct scene {
	struct testing_identity root, between, own, other;
	struct testing_text pem; /* own, between */
	int key_fd;
};

static int key_file(const EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	struct testing_text text = { 0 };
	int fd = memfd_create("key", MFD_CLOEXEC);

	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	testing_append_bio(&text, bio);
	assert_int_equal(write(fd, text.data, text.len), (ssize_t)text.len);
	free(text.data);
	return fd;
}

static void scene_init(struct scene *scene)
{
	*scene = (struct scene){ .root = testing_identity_new("root", NULL, 1) };
	scene->between = testing_identity_new("between", &scene->root, 1);
	scene->own = testing_identity_new("own", &scene->between, 0);
	scene->other = testing_identity_new("other", &scene->root, 0);
	testing_append_pem(&scene->pem, scene->own.x509);
	testing_append_pem(&scene->pem, scene->between.x509);
	scene->key_fd = key_file(scene->own.key);
}

static void scene_deinit(struct scene *scene)
{
	testing_identity_free(&scene->root);
	testing_identity_free(&scene->between);
	testing_identity_free(&scene->own);
	testing_identity_free(&scene->other);
	free(scene->pem.data);
	close(scene->key_fd);
}

static void expect_chain(int fd, X509 *own, X509 *other)
{
	STACK_OF(X509) *others = NULL;
	X509 *first = NULL;

	assert_int_equal(chain_open(fd, &first, &others), 0);
	assert_int_equal(X509_cmp(first, own), 0);
	assert_int_equal(sk_X509_num(others), other ? 1 : 0);
	if (other)
		assert_int_equal(X509_cmp(sk_X509_value(others, 0), other), 0);
	X509_free(first);
	sk_X509_pop_free(others, X509_free);
}

static void accepts(struct scene *scene, const struct testing_text *text, int key_fd, X509 *other)
{
	const char *why = NULL;
	int fd = -1, r = chain_build(text->data, text->len, key_fd, &fd, &why);

	if (r < 0)
		fail_msg("%s", why);
	expect_chain(fd, scene->own.x509, other);
	close(fd);
}

static void refuses(const struct testing_text *text, int key_fd, int error, const char *words)
{
	const char *why = NULL;
	int fd = -1;

	assert_int_equal(chain_build(text->data, text->len, key_fd, &fd, &why), error);
	assert_int_equal(fd, -1);
	if (!strstr(why, words))
		fail_msg("\"%s\" does not say \"%s\"", why, words);
}

static void chains_come_out_as_they_went_in(void **state unused_)
{
	struct testing_text text = { 0 };
	struct scene scene;

	scene_init(&scene);
	accepts(&scene, &scene.pem, scene.key_fd, scene.between.x509);
	accepts(&scene, &scene.pem, -1, scene.between.x509);
	/* One alone; and text before, between and behind. */
	testing_append(&text, "subject=own\n\n", 13);
	testing_append_pem(&text, scene.own.x509);
	accepts(&scene, &text, scene.key_fd, NULL);
	testing_append(&text, "# next\n", 7);
	testing_append_pem(&text, scene.between.x509);
	testing_append(&text, "# end\n", 6);
	accepts(&scene, &text, scene.key_fd, scene.between.x509);
	free(text.data);
	scene_deinit(&scene);
}

static void a_key_of_another_certificate_is_refused(void **state unused_)
{
	struct testing_text text = { 0 };
	struct scene scene;
	int other, broken;

	scene_init(&scene);
	other = key_file(scene.other.key);
	refuses(&scene.pem, other, -EKEYREJECTED, "does not belong to the certificate");
	/* The CA's certificate first. */
	testing_append_pem(&text, scene.between.x509);
	testing_append_pem(&text, scene.own.x509);
	refuses(&text, scene.key_fd, -EKEYREJECTED, "does not belong to the certificate");
	broken = memfd_create("key", MFD_CLOEXEC);
	refuses(&scene.pem, broken, -EKEYREJECTED, "has no private key in it");
	free(text.data);
	close(other);
	close(broken);
	scene_deinit(&scene);
}

static void damaged_chains_are_refused(void **state unused_)
{
	struct testing_text text = { 0 };
	struct scene scene;

	scene_init(&scene);
	refuses(&(struct testing_text){ .data = (char[1]){ 0 } }, -1, -EINVAL, "has no certificate in it");
	testing_append(&text, "no certificate\n", 15);
	refuses(&text, -1, -EINVAL, "has no certificate in it");
	/* Each line but the first and last of the second certificate left out would be too slow: cut it. */
	for (size_t cut = scene.pem.len - 2; cut > scene.pem.len - 400; cut -= 7) {
		struct testing_text less = { .data = scene.pem.data, .len = cut };

		refuses(&less, -1, -EINVAL, "has a damaged certificate in it");
	}
	free(text.data);
	scene_deinit(&scene);
}

/* As much as a worker takes, and a certificate more. */
static void chains_have_a_length(void **state unused_)
{
	struct testing_text text = { 0 };
	struct scene scene;
	const char *why;
	size_t der;
	int fd, len;

	scene_init(&scene);
	testing_append_pem(&text, scene.own.x509);
	der = (size_t)i2d_X509(scene.own.x509, NULL);
	len = i2d_X509(scene.between.x509, NULL);
	while (der + (size_t)len <= LIMIT_CHAIN_BYTES) {
		testing_append_pem(&text, scene.between.x509);
		der += (size_t)len;
	}
	assert_int_equal(chain_build(text.data, text.len, scene.key_fd, &fd, &why), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), (off_t)der);
	close(fd);
	testing_append_pem(&text, scene.between.x509);
	refuses(&text, scene.key_fd, -EINVAL, "is longer than a chain");
	free(text.data);
	scene_deinit(&scene);
}

/* ---- the worker's half ---- */

static void expect_no_chain(int fd)
{
	STACK_OF(X509) *others = NULL;
	X509 *own = NULL;

	assert_int_equal(chain_open(fd, &own, &others), -EPROTO);
	assert_null(own);
	assert_null(others);
	close(fd);
}

static int sealed(const void *bytes, size_t len)
{
	int fd;

	assert_int_equal(fd_sealed_copy("chain", bytes, len, &fd), 0);
	return fd;
}

static void what_is_no_chain_is_refused(void **state unused_)
{
	static char large[LIMIT_CHAIN_BYTES + 1];
	unsigned char bytes[4096], *end = bytes;
	struct scene scene;
	size_t len;
	int fd;

	scene_init(&scene);
	i2d_X509(scene.own.x509, &end);
	len = (size_t)(end - bytes);
	for (size_t cut = 1; cut < len; cut++)
		expect_no_chain(sealed(bytes, cut));
	bytes[len] = 0x30;
	expect_no_chain(sealed(bytes, len + 1));
	expect_no_chain(sealed(large, sizeof(large)));
	expect_no_chain(open("/dev/null", O_RDONLY | O_CLOEXEC));
	/* Not sealed; or against growth alone. */
	for (int i = 0; i < 2; i++) {
		fd = memfd_create("chain", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		assert_int_equal(write(fd, bytes, len), (ssize_t)len);
		if (i == 1)
			assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
		expect_no_chain(fd);
	}
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(chains_come_out_as_they_went_in),
		TEST(a_key_of_another_certificate_is_refused),
		TEST(damaged_chains_are_refused),
		TEST(chains_have_a_length),
		TEST(what_is_no_chain_is_refused),
	};

	return testing_run(tests);
}
