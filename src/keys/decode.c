/*
 * What a file says of itself decides what OpenSSL looks for in it.  Left to itself, OpenSSL has every decoder
 * that it knows try every file: that takes three times as long, and gives all of them to whoever hands in a
 * key to attack one.  It still does for what says of itself nothing that we use, so that it can be said what
 * it is.
 */
#include "keys/decode.h"

#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/macros.h"

static bool is_pem(const char *bytes, size_t len)
{
	return memmem(bytes, len, "-----BEGIN ", 11);
}

/* Nobody is there to be asked for it; OpenSSL would look for a terminal. */
static int no_passphrase(char *buf unused_, int size unused_, int writing unused_, void *arg)
{
	bool *asked = arg;

	*asked = true;
	return -1;
}

/* What PKCS #8 says that is in it, in OpenSSL's words; NULL: what we have no use for. */
static const char *name_of(const X509_ALGOR *algorithm)
{
	const ASN1_OBJECT *object = NULL;
	const void *curve = NULL;
	int kind = V_ASN1_UNDEF;

	X509_ALGOR_get0(&object, &kind, &curve, algorithm);
	switch (OBJ_obj2nid(object)) {
	case NID_rsaEncryption:
		return "RSA";
	case NID_rsassaPss:
		return "RSA-PSS";
	case NID_X9_62_id_ecPublicKey: /* SM2 is written like a curve, and another thing to OpenSSL */
		return kind == V_ASN1_OBJECT && OBJ_obj2nid(curve) == NID_sm2 ? NULL : "EC";
	case NID_ED25519:
		return "ED25519";
	default:
		return NULL;
	}
}

static EVP_PKEY *decode_pkcs8(const char *name, const unsigned char *der, size_t len)
{
	EVP_PKEY *key = NULL;
	OSSL_DECODER_CTX *ctx = OSSL_DECODER_CTX_new_for_pkey(&key, "DER", "PrivateKeyInfo", name,
							      EVP_PKEY_KEYPAIR, NULL, NULL);

	if (!ctx || !OSSL_DECODER_from_data(ctx, &der, &len)) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	OSSL_DECODER_CTX_free(ctx);
	return key;
}

/*
 * Before PKCS #8 a file did not say what it is.  All are sequences that begin with a number, then come, of a
 * key on a curve, bytes, and of RSA's eight numbers and sometimes more.
 */
static int type_of(const unsigned char *der, long len)
{
	const unsigned char *end;
	int tag = 0, class = 0, second = 0, count = 0;
	long length = 0;

	if (ASN1_get_object(&der, &length, &tag, &class, len) != V_ASN1_CONSTRUCTED || tag != V_ASN1_SEQUENCE)
		return EVP_PKEY_NONE;
	for (end = der + length; der < end; der += length) {
		if (ASN1_get_object(&der, &length, &tag, &class, end - der) & 0x80)
			return EVP_PKEY_NONE;
		second = ++count == 2 ? tag : second;
	}
	if (second == V_ASN1_OCTET_STRING)
		return EVP_PKEY_EC;
	return second == V_ASN1_INTEGER && count >= 9 ? EVP_PKEY_RSA : EVP_PKEY_NONE;
}

static EVP_PKEY *decode_der(const unsigned char *der, long len)
{
	const unsigned char *at = der;
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, len);
	const X509_ALGOR *algorithm = NULL;
	const char *name = NULL;
	int type;

	if (info && PKCS8_pkey_get0(NULL, NULL, NULL, &algorithm, info))
		name = name_of(algorithm);
	PKCS8_PRIV_KEY_INFO_free(info);
	if (name)
		return decode_pkcs8(name, der, (size_t)len);
	type = type_of(der, len);
	return type == EVP_PKEY_NONE ? d2i_AutoPrivateKey(NULL, &der, len)
				     : d2i_PrivateKey(type, NULL, &der, len);
}

static bool is_encrypted(const unsigned char *der, long len)
{
	X509_SIG *sealed = d2i_X509_SIG(NULL, &der, len);

	X509_SIG_free(sealed);
	return sealed;
}

static EVP_PKEY *decode_block(const char *label, const unsigned char *der, long len, bool *ret_encrypted)
{
	if (strcmp(label, PEM_STRING_RSA) == 0)
		return d2i_PrivateKey(EVP_PKEY_RSA, NULL, &der, len);
	if (strcmp(label, PEM_STRING_ECPRIVATEKEY) == 0)
		return d2i_PrivateKey(EVP_PKEY_EC, NULL, &der, len);
	if (strcmp(label, PEM_STRING_PKCS8) != 0)
		return decode_der(der, len);
	*ret_encrypted = is_encrypted(der, len);
	return NULL;
}

/* The first block of PEM that is WANTED, to be freed with its label.  False: there is none. */
static bool find_block(const char *bytes, size_t len, const char *wanted, unsigned char **ret_der,
		       long *ret_len, char **ret_label, bool *ret_encrypted)
{
	BIO *bio = BIO_new_mem_buf(bytes, (int)len);
	int found = bio && PEM_bytes_read_bio(ret_der, ret_len, ret_label, wanted, bio, no_passphrase,
					      ret_encrypted);

	BIO_free(bio);
	return found;
}

EVP_PKEY *decode_private(const char *bytes, size_t len, bool *ret_encrypted)
{
	unsigned char *der = NULL;
	EVP_PKEY *key = NULL;
	char *label = NULL;
	long der_len = 0;

	*ret_encrypted = false;
	if (!is_pem(bytes, len))
		return decode_der((const unsigned char *)bytes, (long)len);
	if (find_block(bytes, len, PEM_STRING_EVP_PKEY, &der, &der_len, &label, ret_encrypted))
		key = decode_block(label, der, der_len, ret_encrypted);
	OPENSSL_clear_free(der, (size_t)der_len);
	OPENSSL_free(label);
	return key;
}

EVP_PKEY *decode_public(const char *bytes, size_t len)
{
	const unsigned char *at = (const unsigned char *)bytes;
	unsigned char *der = NULL;
	EVP_PKEY *key = NULL;
	bool encrypted;
	long der_len = 0;

	if (!is_pem(bytes, len))
		return d2i_PUBKEY(NULL, &at, (long)len);
	if (find_block(bytes, len, PEM_STRING_PUBLIC, &der, &der_len, NULL, &encrypted)) {
		at = der;
		key = d2i_PUBKEY(NULL, &at, der_len);
	}
	OPENSSL_free(der);
	return key;
}
