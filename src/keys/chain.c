#include "keys/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/macros.h"
#include "keys/keyfile.h"
#include "trust/memory.h"
#include "wire/limits.h"

/* ---- the supervisor's half ---- */

struct der {
	size_t len;
	uint8_t bytes[LIMIT_CHAIN_BYTES];
};

/* NULL: there is none any more, or it is damaged. */
static X509 *next(BIO *bio)
{
	return PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
}

static bool append(struct der *der, X509 *certificate)
{
	int len = i2d_X509(certificate, NULL);
	uint8_t *at = der->bytes + der->len;

	if (len <= 0 || (size_t)len > sizeof(der->bytes) - der->len)
		return false;
	der->len += (size_t)i2d_X509(certificate, &at);
	return true;
}

/* NULL, or what is wrong.  The caller frees *ret_own. */
static const char *read_chain(const char *pem, size_t len, struct der *der, X509 **ret_own)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	const char *wrong = NULL;
	X509 *certificate;
	unsigned long error;

	*ret_own = NULL;
	der->len = 0;
	while (bio && !wrong && (certificate = next(bio))) {
		if (!append(der, certificate))
			wrong = "is longer than a chain of certificates may be";
		if (*ret_own)
			X509_free(certificate);
		else
			*ret_own = certificate;
	}
	error = ERR_peek_last_error();
	if (!wrong && !*ret_own)
		wrong = "has no certificate in it";
	else if (!wrong && ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
		wrong = "has a damaged certificate in it";
	ERR_clear_error();
	BIO_free(bio);
	return wrong;
}

static int check_key(const X509 *own, int key_fd, const char **ret_why)
{
	EVP_PKEY *key = NULL;
	int r = keyfile_read(key_fd, &key, ret_why);

	if (r == 0 && X509_check_private_key(own, key) != 1) {
		*ret_why = "does not belong to the certificate";
		r = -EINVAL;
	}
	EVP_PKEY_free(key);
	ERR_clear_error();
	return r == -EINVAL ? -EKEYREJECTED : r;
}

int chain_build(const char *pem, size_t len, int key_fd, int *ret_fd, const char **ret_why)
{
	unsigned long failures = memory_failures();
	struct der *der = malloc(sizeof(*der));
	X509 *own = NULL;
	int r = 0;

	if (!der)
		return -ENOMEM;
	*ret_why = read_chain(pem, len, der, &own);
	if (memory_failures() != failures)
		r = -ENOMEM;
	else if (*ret_why)
		r = -EINVAL;
	if (r == 0 && key_fd >= 0)
		r = check_key(own, key_fd, ret_why);
	if (r == 0)
		r = fd_sealed_copy("tlsbroker-identity", der->bytes, der->len, ret_fd);
	X509_free(own);
	free(der);
	return r;
}

/* ---- the worker's half ---- */

static int parse(const unsigned char *at, size_t len, X509 **ret_own, STACK_OF(X509) **ret_others)
{
	const unsigned char *end = at + len;
	STACK_OF(X509) *others = sk_X509_new_null();
	X509 *own = d2i_X509(NULL, &at, (long)len), *other = own;

	while (own && others && other && at < end) {
		other = d2i_X509(NULL, &at, end - at);
		if (other && !sk_X509_push(others, other)) {
			X509_free(other);
			other = NULL;
		}
	}
	ERR_clear_error();
	if (!own || !others || !other) {
		X509_free(own);
		sk_X509_pop_free(others, X509_free);
		return -EPROTO;
	}
	*ret_own = own;
	*ret_others = others;
	return 0;
}

static int parse_pem(const char *pem, size_t len, X509 **ret_own, STACK_OF(X509) **ret_others,
		     const char **ret_why)
{
	struct der *der = malloc(sizeof(*der));
	X509 *own = NULL;
	int r = -EPROTO;

	if (!der)
		return -ENOMEM;
	*ret_why = read_chain(pem, len, der, &own);
	if (!*ret_why)
		r = parse(der->bytes, der->len, ret_own, ret_others);
	X509_free(own);
	free(der);
	return r;
}

int chain_parse(const char *bytes, size_t len, X509 **ret_own, STACK_OF(X509) **ret_others,
		const char **ret_why)
{
	unsigned long failures = memory_failures();
	int r = -EPROTO;

	*ret_why = NULL;
	if (memmem(bytes, len, "-----BEGIN ", 11))
		r = parse_pem(bytes, len, ret_own, ret_others, ret_why);
	else if (len > LIMIT_CHAIN_BYTES)
		*ret_why = "is longer than a chain of certificates may be";
	else
		r = parse((const unsigned char *)bytes, len, ret_own, ret_others);
	if (memory_failures() != failures) {
		if (r == 0) {
			X509_free(*ret_own);
			sk_X509_pop_free(*ret_others, X509_free);
		}
		return -ENOMEM;
	}
	if (r < 0 && !*ret_why)
		*ret_why = "is no certificate, neither in PEM nor in DER";
	return r == -EPROTO ? -EINVAL : r;
}

int chain_open(int fd, X509 **ret_own, STACK_OF(X509) **ret_others)
{
	static const int needed = F_SEAL_WRITE | F_SEAL_SHRINK;
	int r, seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *bytes;

	if (seals < 0 || (seals & needed) != needed)
		return -EPROTO;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || st.st_size > LIMIT_CHAIN_BYTES)
		return -EPROTO;
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	r = parse(bytes, (size_t)st.st_size, ret_own, ret_others);
	munmap(bytes, (size_t)st.st_size);
	return r;
}
