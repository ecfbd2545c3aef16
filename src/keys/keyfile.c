#include "keys/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "keys/decode.h"
#include "trust/memory.h"
#include "wire/limits.h"

/* Below this an allocation is rounded up: the size of an elliptic curve's numbers. */
#define SMALLEST 32

#define RSA_BITS_MIN 2048

int keyfile_prepare(size_t bytes)
{
	memory_wipe();
	if (CRYPTO_secure_malloc_initialized())
		return 0;
	switch (CRYPTO_secure_malloc_init(bytes, SMALLEST)) {
	case 0:
		return -ENOMEM;
	case 1:
		return 0;
	default:
		return 1;
	}
}

static bool is_curve_known(const EVP_PKEY *key)
{
	static const char *const curves[] = { "prime256v1", "secp384r1", "secp521r1" };
	char name[32];

	if (!EVP_PKEY_get_group_name(key, name, sizeof(name), NULL))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(curves); i++) {
		if (strcmp(curves[i], name) == 0)
			return true;
	}
	return false;
}

/* NULL: it can be used. */
static const char *what_is_wrong(const EVP_PKEY *key)
{
	if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS")) {
		if (EVP_PKEY_get_bits(key) < RSA_BITS_MIN)
			return "is an RSA key of less than 2048 bits";
		return EVP_PKEY_get_size(key) > LIMIT_SIGNATURE ? "is too large an RSA key" : NULL;
	}
	if (EVP_PKEY_is_a(key, "EC"))
		return is_curve_known(key) ? NULL : "is on a curve other than P-256, P-384 and P-521";
	return EVP_PKEY_is_a(key, "ED25519") ? NULL : "is neither RSA, ECDSA nor Ed25519";
}

/* RET_PRIVATE is NULL when a public key is of no use. */
static int parse(const char *bytes, size_t len, EVP_PKEY **ret_key, bool *ret_private,
		 const char **ret_why)
{
	unsigned long failures = memory_failures();
	bool encrypted = false;
	EVP_PKEY *key = decode_private(bytes, len, &encrypted);

	if (ret_private) {
		*ret_private = key;
		key = key || encrypted ? key : decode_public(bytes, len);
	}
	ERR_clear_error();
	if (memory_failures() != failures) {
		EVP_PKEY_free(key);
		return -ENOMEM;
	}
	*ret_why = encrypted ? "is protected by a passphrase"
		   : ret_private ? "has no key in it" : "has no private key in it";
	if (key)
		*ret_why = what_is_wrong(key);
	if (*ret_why) {
		EVP_PKEY_free(key);
		return -EINVAL;
	}
	*ret_key = key;
	return 0;
}

/*
 * What OpenSSL has left of the numbers where its calls had their variables, below our own; and what
 * copying left in vector registers: the next signal would put these on the stack.
 */
__attribute__((noinline)) void keyfile_wipe_traces(void)
{
	unsigned char room[64 * 1024];

	OPENSSL_cleanse(room, sizeof(room));
	/* Which registers a copy goes through depends on its length. */
	for (size_t len = 16; len <= 4096; len += 16) {
		memmove(room + len / 2, room, len);
		__asm__ volatile("" : : "r"(room) : "memory");
	}
}

/* A regular file, or who calls has looked what it is. */
static int load(int fd, char **ret_bytes, size_t *ret_len, const char **ret_why)
{
	size_t len = 0;
	char *bytes;
	ssize_t n;

	bytes = OPENSSL_secure_malloc(LIMIT_KEY_BYTES + 1);
	if (!bytes)
		return -ENOMEM;
	do {
		n = pread(fd, bytes + len, LIMIT_KEY_BYTES + 1 - len, (off_t)len);
		len += n > 0 ? (size_t)n : 0;
	} while ((n > 0 && len <= LIMIT_KEY_BYTES) || (n < 0 && errno == EINTR));
	if (n >= 0 && len <= LIMIT_KEY_BYTES) {
		*ret_bytes = bytes;
		*ret_len = len;
		return 0;
	}
	*ret_why = "is too large for a key";
	n = n < 0 ? -errno : -EINVAL;
	keyfile_release(bytes);
	return (int)n;
}

int keyfile_load(int fd, char **ret_bytes, size_t *ret_len, const char **ret_why)
{
	struct stat st;

	*ret_why = "is not a regular file";
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return load(fd, ret_bytes, ret_len, ret_why);
}

void keyfile_release(char *bytes)
{
	OPENSSL_secure_clear_free(bytes, LIMIT_KEY_BYTES + 1);
	keyfile_wipe_traces();
}

int keyfile_read(int fd, EVP_PKEY **ret_key, const char **ret_why)
{
	char *bytes = NULL;
	size_t len = 0;
	int r = keyfile_load(fd, &bytes, &len, ret_why);

	if (!bytes)
		return r;
	r = parse(bytes, len, ret_key, NULL, ret_why);
	keyfile_release(bytes);
	return r;
}

/* ---- of a program ---- */

bool keyfile_is_lent(int fd)
{
	static const int needed = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
	int seals = fcntl(fd, F_GET_SEALS); /* fails for all that is not anonymous memory */
	struct stat st;

	/* Blocks may lie behind its end; who closes it last waits until they are freed. */
	return seals >= 0 && (seals & needed) == needed && fstat(fd, &st) == 0 && st.st_size > 0 &&
	       st.st_size <= LIMIT_KEY_BYTES && st.st_blocks * 512 <= 2 * (blkcnt_t)LIMIT_KEY_BYTES;
}

static int bits_of(const EVP_PKEY *key, const char *param)
{
	BIGNUM *number = NULL;
	int bits = 0;

	if (EVP_PKEY_get_bn_param(key, param, &number))
		bits = BN_num_bits(number);
	BN_clear_free(number);
	return bits;
}

/* What OpenSSL calculates with takes time by its numbers' lengths, and whoever made the key chose them. */
static const char *what_takes_long(const EVP_PKEY *key, bool is_private)
{
	static const char *const numbers[] = {
		OSSL_PKEY_PARAM_RSA_D,	       OSSL_PKEY_PARAM_RSA_FACTOR1,
		OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
		OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
	};
	const int bits = EVP_PKEY_get_bits(key);

	if (!EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "RSA-PSS"))
		return NULL;
	if (bits > LIMIT_LENT_RSA_BITS)
		return "is an RSA key of more than 4096 bits";
	if (bits_of(key, OSSL_PKEY_PARAM_RSA_E) > LIMIT_RSA_EXPONENT_BITS ||
	    bits_of(key, OSSL_PKEY_PARAM_RSA_FACTOR3) > 0)
		return "is an RSA key of an unusual kind";
	for (size_t i = 0; is_private && i < ARRAY_SIZE(numbers); i++) {
		const int length = bits_of(key, numbers[i]);

		if (length == 0 || length > bits)
			return "is an RSA key of an unusual kind";
	}
	return NULL;
}

/* RET_PRIVATE as in parse(); RET_DIGEST may be NULL. */
static int read_hostile(int fd, EVP_PKEY **ret_key, bool *ret_private, uint8_t *ret_digest,
			const char **ret_why)
{
	unsigned long failures = memory_failures();
	EVP_PKEY *key = NULL;
	char *bytes = NULL;
	size_t len = 0;
	int r = -EINVAL;

	*ret_why = "is not in a sealed file";
	if (keyfile_is_lent(fd))
		r = load(fd, &bytes, &len, ret_why);
	if (!bytes)
		return r;
	r = parse(bytes, len, &key, ret_private, ret_why);
	if (r == 0 && ret_digest && !EVP_Digest(bytes, len, ret_digest, NULL, EVP_sha256(), NULL))
		r = -ENOMEM;
	if (r == 0)
		*ret_why = what_takes_long(key, !ret_private || *ret_private);
	ERR_clear_error();
	keyfile_release(bytes);
	if (memory_failures() != failures)
		r = -ENOMEM; /* a number that could not be looked at may be of any length */
	else if (r == 0 && *ret_why)
		r = -EINVAL;
	if (r < 0) {
		EVP_PKEY_free(key);
		return r;
	}
	*ret_key = key;
	return 0;
}

int keyfile_read_lent(int fd, EVP_PKEY **ret_key, uint8_t ret_digest[KEYFILE_DIGEST],
		      const char **ret_why)
{
	return read_hostile(fd, ret_key, NULL, ret_digest, ret_why);
}

int keyfile_read_imported(int fd, EVP_PKEY **ret_key, bool *ret_private, const char **ret_why)
{
	return read_hostile(fd, ret_key, ret_private, NULL, ret_why);
}
