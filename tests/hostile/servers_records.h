/*
 * A server that has shaken hands like any other, and from then on writes its records by itself: any
 * content type, any bytes, rightly encrypted.  AES-128-GCM, in TLS 1.3 (RFC 8446, 5.2) and TLS 1.2
 * (RFC 5288).  Header-only.
 */
#ifndef TLSB_TESTS_SERVERS_RECORDS_H
#define TLSB_TESTS_SERVERS_RECORDS_H

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "tests/unit/worker_rig.h"

#define SECRET_BYTES 32 /* SHA-256's; TLS 1.2's master secret has 48 */
#define MASTER_BYTES 48

struct scribe {
	struct one one;
	int version;
	uint8_t secret[MASTER_BYTES];
	uint8_t key[16], iv[12]; /* TLS 1.2: four bytes of it */
	uint64_t sequence;
	struct testing_text out; /* not yet with the kernel */
};

/* ---- secrets ---- */

/* OpenSSL's key log is the only way to them; there is one server at a time. */
static uint8_t scribe_secret[MASTER_BYTES];

static char scribe_digest[] = "SHA256";

static inline void scribe_on_key(const SSL *ssl unused_, const char *line)
{
	const char *hex = strrchr(line, ' ') + 1;

	if (strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) != 0 &&
	    strncmp(line, "CLIENT_RANDOM ", 14) != 0)
		return;
	for (size_t i = 0; i < MASTER_BYTES && hex[2 * i]; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		scribe_secret[i] = (uint8_t)byte;
	}
}

static inline void scribe_derive(const char *kdf_name, OSSL_PARAM *params, uint8_t *dst, size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, kdf_name, NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);

	assert_int_equal(EVP_KDF_derive(ctx, dst, len, params), 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

/* HKDF-Expand-Label(secret, LABEL, "", LEN) */
static inline void scribe_expand(const struct scribe *scribe, const char *label, uint8_t *dst,
				 size_t len)
{
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	uint8_t info[64];
	size_t n = (size_t)snprintf((char *)info + 3, sizeof(info) - 4, "tls13 %s", label);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, scribe_digest, 0),
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
						  (void *)(uintptr_t)scribe->secret, SECRET_BYTES),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, n + 4),
		OSSL_PARAM_construct_end(),
	};

	info[0] = 0;
	info[1] = (uint8_t)len;
	info[2] = (uint8_t)n;
	info[3 + n] = 0;
	scribe_derive("HKDF", params, dst, len);
}

static inline void scribe_keys_1_3(struct scribe *scribe)
{
	scribe_expand(scribe, "key", scribe->key, sizeof(scribe->key));
	scribe_expand(scribe, "iv", scribe->iv, sizeof(scribe->iv));
	scribe->sequence = 0;
}

static inline void scribe_keys_1_2(struct scribe *scribe)
{
	uint8_t seed[13 + 64] = "key expansion", block[40];
	const SSL *ssl = scribe->one.peer.ssl;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, scribe_digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, scribe->secret,
						  MASTER_BYTES),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof(seed)),
		OSSL_PARAM_construct_end(),
	};

	SSL_get_server_random(ssl, seed + 13, 32);
	SSL_get_client_random(ssl, seed + 45, 32);
	scribe_derive("TLS1-PRF", params, block, sizeof(block));
	memcpy(scribe->key, block + 16, 16); /* client's key, server's, client's salt, server's */
	memcpy(scribe->iv, block + 36, 4);
	scribe->sequence = 1; /* Finished was the first */
}

/* ---- a session ---- */

/* An established session with VERSION, its program and a server that has sent no ticket. */
static inline void scribe_init(struct scribe *scribe, int version)
{
	struct one *one = &scribe->one;

	*scribe = (struct scribe){.version = version};
	rig_init(&one->rig);
	SSL_CTX_set_max_proto_version(one->rig.server, version);
	SSL_CTX_set_num_tickets(one->rig.server, 0);
	SSL_CTX_set_options(one->rig.server, SSL_OP_NO_TICKET);
	SSL_CTX_set_keylog_callback(one->rig.server, scribe_on_key);
	assert_int_equal(SSL_CTX_set_ciphersuites(one->rig.server, "TLS_AES_128_GCM_SHA256"), 1);
	assert_int_equal(SSL_CTX_set_cipher_list(one->rig.server, "ECDHE-ECDSA-AES128-GCM-SHA256"), 1);
	rig_program(&one->rig, &one->program);
	rig_establish(&one->rig, &one->program, &one->session, &anything, &one->peer);
	memcpy(scribe->secret, scribe_secret, MASTER_BYTES);
	if (version == TLS1_3_VERSION)
		scribe_keys_1_3(scribe);
	else
		scribe_keys_1_2(scribe);
}

static inline void scribe_deinit(struct scribe *scribe)
{
	free(scribe->out.data);
	one_deinit(&scribe->one);
}

/* ---- records ---- */

static inline void scribe_seal(const struct scribe *scribe, const uint8_t nonce[12],
			       const uint8_t *aad, int aad_len, const uint8_t *plain, int len,
			       uint8_t *dst)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, scribe->key, nonce), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &n, aad, aad_len), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, dst, &n, plain, len), 1);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, dst + n, &n), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, dst + len), 1);
	EVP_CIPHER_CTX_free(ctx);
}

static inline void scribe_number(uint8_t *dst, uint64_t number, int bytes)
{
	while (bytes-- > 0) {
		dst[bytes] = (uint8_t)number;
		number >>= 8;
	}
}

static inline void scribe_record_1_3(struct scribe *scribe, uint8_t type, const uint8_t *data,
				     size_t len)
{
	uint8_t wire[5 + 16384 + 1 + 16] = {SSL3_RT_APPLICATION_DATA, 3, 3}, plain[16385];
	uint8_t nonce[12] = {0};

	memcpy(plain, data, len);
	plain[len++] = type;
	scribe_number(wire + 3, len + 16, 2);
	scribe_number(nonce + 4, scribe->sequence++, 8);
	for (size_t i = 0; i < sizeof(nonce); i++)
		nonce[i] ^= scribe->iv[i];
	scribe_seal(scribe, nonce, wire, 5, plain, (int)len, wire + 5);
	testing_append(&scribe->out, wire, 5 + len + 16);
}

static inline void scribe_record_1_2(struct scribe *scribe, uint8_t type, const uint8_t *data,
				     size_t len)
{
	uint8_t wire[5 + 8 + 16384 + 16] = {type, 3, 3}, aad[13], nonce[12];

	scribe_number(wire + 3, 8 + len + 16, 2);
	scribe_number(wire + 5, scribe->sequence, 8);
	scribe_number(aad, scribe->sequence++, 8);
	memcpy(aad + 8, wire, 3);
	scribe_number(aad + 11, len, 2);
	memcpy(nonce, scribe->iv, 4);
	memcpy(nonce + 4, wire + 5, 8);
	scribe_seal(scribe, nonce, aad, sizeof(aad), data, (int)len, wire + 13);
	testing_append(&scribe->out, wire, 13 + len + 16);
}

/* One record of LEN bytes, at most 16384, to what goes out. */
static inline void scribe_record(struct scribe *scribe, uint8_t type, const void *data, size_t len)
{
	if (scribe->version == TLS1_3_VERSION)
		scribe_record_1_3(scribe, type, data, len);
	else
		scribe_record_1_2(scribe, type, data, len);
}

/* TLS 1.3: KeyUpdate, and the next key. */
static inline void scribe_key_update(struct scribe *scribe, bool requested)
{
	const uint8_t message[] = {SSL3_MT_KEY_UPDATE, 0, 0, 1, requested};
	uint8_t next[SECRET_BYTES];

	scribe_record(scribe, SSL3_RT_HANDSHAKE, message, sizeof(message));
	scribe_expand(scribe, "traffic upd", next, sizeof(next));
	memcpy(scribe->secret, next, sizeof(next));
	scribe_keys_1_3(scribe);
}

/* As much as the kernel takes. */
static inline void scribe_send(struct scribe *scribe)
{
	ssize_t n = send(scribe->one.peer.fd, scribe->out.data, scribe->out.len,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0) {
		scribe->out.len -= (size_t)n;
		memmove(scribe->out.data, scribe->out.data + n, scribe->out.len);
	}
}

#endif
