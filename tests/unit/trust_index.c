/*
 * The trust index: what becomes of good, bad and odd bundles, and of an index that lies.
 */
#include "testing_x509.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "trust/index.h"
#include "wire/limits.h"

#define SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

struct built {
	struct trust_index index;
	unsigned count, bad;
};

static int build(const char *pem, size_t len, struct built *ret_built)
{
	cleanup_close_ int fd = -1;
	int r = trust_index_build(pem, len, &fd, &ret_built->count, &ret_built->bad);

	if (r == 0) {
		assert_int_equal(trust_index_open(&ret_built->index, fd), 0);
		assert_int_equal(ret_built->index.count, ret_built->count);
	}
	return r;
}

/* Build, expect these numbers, forget. */
static void expect(const struct testing_text *text, unsigned count, unsigned bad)
{
	struct built built = { 0 };

	assert_int_equal(build(text->data, text->len, &built), 0);
	assert_int_equal(built.count, count);
	assert_int_equal(built.bad, bad);
	trust_index_close(&built.index);
}

static uint32_t subject_hash(X509 *x509)
{
	return (uint32_t)X509_NAME_hash_ex(X509_get_subject_name(x509), NULL, NULL, NULL);
}

/* 1 when exactly this certificate is in the index. */
static int contains(const struct trust_index *index, X509 *x509)
{
	unsigned char *der = NULL;
	size_t der_len = (size_t)i2d_X509(x509, &der), len;
	uint32_t wanted = subject_hash(x509), hash;
	const uint8_t *at;
	int found = 0;

	for (uint32_t i = trust_index_find(index, wanted);
	     trust_index_get(index, i, &hash, &at, &len) == 0 && hash == wanted; i++)
		found += len == der_len && memcmp(at, der, len) == 0;
	OPENSSL_free(der);
	return found;
}

static void indexes_every_root_of_the_system(void **state unused_)
{
	struct built built = { 0 };
	cleanup_close_ int fd = open(SYSTEM_BUNDLE, O_RDONLY | O_CLOEXEC);
	cleanup_free_ char *pem = NULL;
	unsigned seen = 0;
	size_t len;
	X509 *x509;
	BIO *bio;

	if (fd < 0)
		skip();
	assert_int_equal(fd_read_all(fd, LIMIT_TRUST_BYTES, &pem, &len), 0);
	assert_int_equal(build(pem, len, &built), 0);
	assert_int_equal(built.bad, 0);
	bio = BIO_new_mem_buf(pem, (int)len);
	while ((x509 = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL))) {
		assert_int_equal(contains(&built.index, x509), 1);
		X509_free(x509);
		seen++;
	}
	assert_true(seen >= built.count && built.count > 0);
	BIO_free(bio);
	trust_index_close(&built.index);
}

static void finds_what_was_put_in_and_nothing_else(void **state unused_)
{
	struct testing_identity a = testing_identity_new("a", NULL, 1);
	struct testing_identity b = testing_identity_new("b", NULL, 1);
	struct testing_identity other = testing_identity_new("other", NULL, 1);
	struct testing_text text = { 0 };
	struct built built = { 0 };

	testing_append_pem(&text, a.x509);
	testing_append_pem(&text, b.x509);
	assert_int_equal(build(text.data, text.len, &built), 0);
	assert_int_equal(contains(&built.index, a.x509), 1);
	assert_int_equal(contains(&built.index, b.x509), 1);
	assert_int_equal(trust_index_find(&built.index, subject_hash(other.x509)), 2);
	assert_int_equal(trust_index_find(&built.index, 0), 2);
	assert_int_equal(trust_index_find(&built.index, UINT32_MAX), 2);
	trust_index_close(&built.index);
	testing_identity_free(&a);
	testing_identity_free(&b);
	testing_identity_free(&other);
	free(text.data);
}

static void keeps_both_of_two_certificates_with_one_subject(void **state unused_)
{
	struct testing_identity a = testing_identity_new("same", NULL, 1);
	struct testing_identity b = testing_identity_new("same", NULL, 1);
	struct testing_text text = { 0 };
	struct built built = { 0 };

	testing_append_pem(&text, a.x509);
	testing_append_pem(&text, b.x509);
	assert_int_equal(build(text.data, text.len, &built), 0);
	assert_int_equal(built.count, 2);
	assert_int_equal(trust_index_find(&built.index, subject_hash(a.x509)), 0);
	assert_int_equal(contains(&built.index, a.x509), 1);
	assert_int_equal(contains(&built.index, b.x509), 1);
	trust_index_close(&built.index);
	testing_identity_free(&a);
	testing_identity_free(&b);
	free(text.data);
}

static void drops_duplicates(void **state unused_)
{
	struct testing_identity a = testing_identity_new("a", NULL, 1);
	struct testing_identity b = testing_identity_new("b", NULL, 1);
	struct testing_text text = { 0 };

	for (int i = 0; i < 50; i++) {
		testing_append_pem(&text, a.x509);
		testing_append_pem(&text, b.x509);
	}
	expect(&text, 2, 0);
	testing_identity_free(&a);
	testing_identity_free(&b);
	free(text.data);
}

/* Text, keys and request blocks are no certificates, and no errors either. */
static void skips_what_lies_between_certificates(void **state unused_)
{
	static const char garbage[] = "# a comment\n\n\x80\xff\x01 binary\n"
				      "-----BEGIN NOTHING-----\nAAAA\n-----END NOTHING-----\n"
				      "-----BEGIN \n----- BEGIN CERTIFICATE -----\n";
	struct testing_identity a = testing_identity_new("a", NULL, 1);
	struct testing_identity b = testing_identity_new("b", NULL, 1);
	struct testing_text text = { 0 };
	BIO *bio = BIO_new(BIO_s_mem());

	testing_append(&text, "\0\0\n", 3);
	testing_append(&text, garbage, sizeof(garbage) - 1);
	testing_append_pem(&text, a.x509);
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, a.key, NULL, NULL, 0, NULL, NULL), 1);
	testing_append_bio(&text, bio);
	testing_append(&text, garbage, sizeof(garbage) - 1);
	testing_append_pem(&text, b.x509);
	testing_append(&text, "no newline at the end", 21);
	expect(&text, 2, 0);
	testing_identity_free(&a);
	testing_identity_free(&b);
	free(text.data);
}

static void counts_bad_certificates_and_keeps_the_good(void **state unused_)
{
	static const char bad[] =
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"  /* not a DER */
		"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"  /* not base64 */
		"-----BEGIN CERTIFICATE-----\nMAA=\n-----END X509 CRL-----\n"     /* wrong end */
		"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";       /* empty */
	struct testing_identity a = testing_identity_new("a", NULL, 1);
	struct testing_identity b = testing_identity_new("b", NULL, 1);
	struct testing_text text = { 0 };

	testing_append(&text, bad, sizeof(bad) - 1);
	testing_append_pem(&text, a.x509);
	testing_append(&text, bad, sizeof(bad) - 1);
	testing_append_pem(&text, b.x509);
	testing_append(&text, bad, sizeof(bad) - 1);
	expect(&text, 2, 12);
	testing_identity_free(&a);
	testing_identity_free(&b);
	free(text.data);
}

static void counts_a_certificate_with_bytes_behind_it_as_bad(void **state unused_)
{
	struct testing_identity a = testing_identity_new("a", NULL, 1);
	struct testing_text text = { 0 };
	BIO *bio = BIO_new(BIO_s_mem());
	unsigned char *der = NULL;
	int len = i2d_X509(a.x509, &der);
	uint8_t longer[2048] = { 0 };

	memcpy(longer, der, (size_t)len);
	PEM_write_bio(bio, PEM_STRING_X509, "", longer, len + 1);
	PEM_write_bio(bio, PEM_STRING_X509_OLD, "", der, len);
	testing_append_bio(&text, bio);
	expect(&text, 1, 1);
	OPENSSL_free(der);
	testing_identity_free(&a);
	free(text.data);
}

static void refuses_bundles_without_a_certificate(void **state unused_)
{
	struct built built = { 0 };

	assert_int_equal(build("", 0, &built), -EINVAL);
	assert_int_equal(build("\n", 1, &built), -EINVAL);
	assert_int_equal(build("hello, world\n", 13, &built), -EINVAL);
	assert_int_equal(build("-----BEGIN CERTIFICATE-----", 27, &built), -EINVAL);
}

/* However the file is cut, what was whole before the cut is found, and at most one is bad. */
static void survives_a_cut_at_every_byte(void **state unused_)
{
	struct testing_identity a = testing_identity_new("a", NULL, 1);
	struct testing_text text = { 0 };
	size_t first;

	testing_append_pem(&text, a.x509);
	first = text.len;
	testing_append_pem(&text, a.x509);
	for (size_t len = 0; len <= text.len; len++) {
		struct built built = { 0 };
		int r = build(text.data, len, &built);

		assert_int_equal(r, len + 1 < first ? -EINVAL : 0);
		if (r == 0) {
			assert_int_equal(built.count, 1);
			assert_true(built.bad <= 1);
		}
		trust_index_close(&built.index);
	}
	testing_identity_free(&a);
	free(text.data);
}

static void ends_on_the_largest_files(void **state unused_)
{
	static const char line[] = "-----BEGIN CERTIFICATE-----\n";
	size_t size = LIMIT_TRUST_BYTES + 1;
	char *data = malloc(size);
	struct built built = { 0 };

	assert_non_null(data);
	memset(data, 'A', size);
	assert_int_equal(build(data, size, &built), -EFBIG);
	assert_int_equal(build(data, size - 1, &built), -EINVAL); /* one line */
	memset(data, '\n', size);
	assert_int_equal(build(data, size - 1, &built), -EINVAL);
	for (size_t at = 0; at + sizeof(line) < size; at += sizeof(line) - 1)
		memcpy(data + at, line, sizeof(line) - 1);
	assert_int_equal(build(data, size - 1, &built), -EINVAL);
	free(data);
}

/* An administrator can say in the bundle what a root is good for: that must not get lost. */
static void keeps_the_settings_of_a_trusted_certificate(void **state unused_)
{
	struct testing_identity a = testing_identity_new("a", NULL, 1);
	struct testing_text text = { 0 };
	struct built built = { 0 };
	BIO *bio = BIO_new(BIO_s_mem());
	const uint8_t *der;
	uint32_t hash;
	size_t len;
	X509 *back;

	X509_add1_reject_object(a.x509, OBJ_nid2obj(NID_server_auth));
	assert_int_equal(PEM_write_bio_X509_AUX(bio, a.x509), 1);
	testing_append_bio(&text, bio);
	assert_int_equal(build(text.data, text.len, &built), 0);
	assert_int_equal(trust_index_get(&built.index, 0, &hash, &der, &len), 0);
	back = d2i_X509_AUX(NULL, &der, (long)len);
	assert_non_null(back);
	assert_int_equal(sk_ASN1_OBJECT_num(X509_get0_reject_objects(back)), 1);
	X509_free(back);
	trust_index_close(&built.index);
	testing_identity_free(&a);
	free(text.data);
}

/* ---- an index that lies ---- */

/* Three entries, each with eight bytes for a certificate. */
struct forged {
	struct trust_header header;
	struct trust_entry entries[3];
	uint8_t der[3][8];
};

static struct forged forge(void)
{
	struct forged forged = { .header = { TRUST_MAGIC, 3 } };

	for (uint32_t i = 0; i < 3; i++)
		forged.entries[i] = (struct trust_entry){
			.hash = 100 * (i + 1),
			.offset = (uint32_t)offsetof(struct forged, der) + 8 * i,
			.len = 8,
		};
	return forged;
}

static int open_bytes(const void *bytes, size_t len)
{
	struct trust_index index = { 0 };
	cleanup_close_ int fd = -1;
	int r;

	assert_int_equal(fd_sealed_copy("test", bytes, len, &fd), 0);
	r = trust_index_open(&index, fd);
	trust_index_close(&index);
	return r;
}

#define REFUSES(change)                                                                            \
	do {                                                                                       \
		struct forged f = forge();                                                         \
		change;                                                                            \
		assert_int_equal(open_bytes(&f, sizeof(f)), -EPROTO);                              \
	} while (0)

static void refuses_every_field_that_lies(void **state unused_)
{
	const uint32_t table = offsetof(struct forged, der);
	struct forged good = forge();

	assert_int_equal(open_bytes(&good, sizeof(good)), 0);
	REFUSES(f.header.magic ^= 1);
	REFUSES(f.header.count = 0);
	REFUSES(f.header.count = 4); /* the fourth would be made of certificates: out of order */
	REFUSES(f.header.count = 1000);
	REFUSES(f.header.count = UINT32_MAX);
	REFUSES(f.header.count = UINT32_MAX / 16 + 1); /* times 16 is small in 32 bits */
	for (int i = 0; i < 3; i++) {
		REFUSES(f.entries[i].offset = 0);
		REFUSES(f.entries[i].offset = table - 1);
		REFUSES(f.entries[i].offset = sizeof(f) - 7);
		REFUSES(f.entries[i].offset = sizeof(f) + 1);
		REFUSES(f.entries[i].offset = UINT32_MAX);
		REFUSES(f.entries[i].len = 0);
		REFUSES(f.entries[i].len = sizeof(f));
		REFUSES(f.entries[i].len = UINT32_MAX);
		REFUSES(f.entries[i].len = UINT32_MAX - 7); /* wraps around to 0 or so */
		REFUSES(f.entries[i].reserved = 1);
		REFUSES(f.entries[i].reserved = 1u << 31);
	}
	REFUSES(f.entries[0].hash = 201);
	REFUSES(f.entries[2].hash = 199);
}

/* One flipped bit is refused, or harmless: whatever get() hands out lies inside. */
static void stays_inside_whichever_bit_is_flipped(void **state unused_)
{
	for (size_t bit = 0; bit < 8 * sizeof(struct forged); bit++) {
		struct forged forged = forge();
		struct trust_index index = { 0 };
		cleanup_close_ int fd = -1;

		((uint8_t *)&forged)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(fd_sealed_copy("test", &forged, sizeof(forged), &fd), 0);
		if (trust_index_open(&index, fd) < 0)
			continue;
		for (uint32_t i = 0; i < index.count; i++) {
			const uint8_t *der;
			uint32_t hash;
			size_t len;

			assert_int_equal(trust_index_get(&index, i, &hash, &der, &len), 0);
			assert_true(der >= index.bytes && len <= index.len &&
				    (size_t)(der - index.bytes) <= index.len - len);
			assert_true(trust_index_find(&index, hash) <= i);
		}
		trust_index_close(&index);
	}
}

static void refuses_an_index_of_any_shorter_length(void **state unused_)
{
	struct forged forged = forge();
	char junk[4096];

	for (size_t len = 0; len < sizeof(forged); len++)
		assert_int_equal(open_bytes(&forged, len), -EPROTO);
	memset(junk, 0xff, sizeof(junk));
	assert_int_equal(open_bytes(junk, sizeof(junk)), -EPROTO);
	memset(junk, 0, sizeof(junk));
	assert_int_equal(open_bytes(junk, sizeof(junk)), -EPROTO);
}

static int open_with_seals(int seals)
{
	struct forged forged = forge();
	struct trust_index index = { 0 };
	cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	assert_int_equal(write(fd, &forged, sizeof(forged)), sizeof(forged));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	r = trust_index_open(&index, fd);
	trust_index_close(&index);
	return r;
}

static void refuses_what_is_not_sealed(void **state unused_)
{
	const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	struct trust_index index = { 0 };
	cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(open_with_seals(all), 0);
	assert_int_equal(open_with_seals(0), -EPROTO);
	assert_int_equal(open_with_seals(all & ~F_SEAL_WRITE), -EPROTO);
	assert_int_equal(open_with_seals(all & ~F_SEAL_SHRINK), -EPROTO);
	assert_int_equal(open_with_seals(all & ~F_SEAL_GROW), -EPROTO);
	assert_int_equal(trust_index_open(&index, null), -EPROTO);
	assert_int_equal(trust_index_open(&index, -1), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(indexes_every_root_of_the_system),
		TEST(finds_what_was_put_in_and_nothing_else),
		TEST(keeps_both_of_two_certificates_with_one_subject),
		TEST(drops_duplicates),
		TEST(skips_what_lies_between_certificates),
		TEST(counts_bad_certificates_and_keeps_the_good),
		TEST(counts_a_certificate_with_bytes_behind_it_as_bad),
		TEST(refuses_bundles_without_a_certificate),
		TEST(survives_a_cut_at_every_byte),
		TEST(ends_on_the_largest_files),
		TEST(keeps_the_settings_of_a_trusted_certificate),
		TEST(refuses_every_field_that_lies),
		TEST(stays_inside_whichever_bit_is_flipped),
		TEST(refuses_an_index_of_any_shorter_length),
		TEST(refuses_what_is_not_sealed),
	};

	return testing_run(tests);
}
