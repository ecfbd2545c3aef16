#include "worker/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "tlsbroker.h"
#include "trust/lookup.h"
#include "trust/memory.h"
#include "worker/algorithms.h"
#include "worker/session.h"
#include "worker/signing.h"
#include "worker/staple.h"
#include "worker/verify.h"

/*
 * TLS 1.2 with AEAD only: with a MAC-then-encrypt suite, a program that rewrites its bytes while they are
 * encrypted could make the MAC wrong.  With forward secrecy, but for pre-shared keys, where the administrator
 * says so; OpenSSL offers the suites of these only with psk_apply().
 */
#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20:kECDHEPSK+CHACHA20:kPSK+AESGCM:kPSK+CHACHA20"

/* How much is read from a socket at once: four full records. */
#define READ_BUFFER (64 * 1024 + 1024)

static int session_index(void)
{
	static int index = -1; /* given once by OpenSSL, the same for the whole process */

	if (index < 0)
		index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return index;
}

struct session *tls_session_of(const SSL *ssl)
{
	return SSL_get_ex_data(ssl, session_index());
}

static int on_new_session(SSL *ssl, SSL_SESSION *resumable)
{
	session_on_resumable(tls_session_of(ssl), resumable);
	return 0; /* a reference of our own was taken, if it was kept */
}

static void on_message(int sent, int version, int type, const void *bytes, size_t len, SSL *ssl,
		       void *arg)
{
	(void)version;
	(void)arg;
	session_on_record(tls_session_of(ssl), sent, type, bytes, len);
}

static int configure(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_security_level(ctx, LIMIT_SECURITY_LEVEL);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, READ_BUFFER);
	SSL_CTX_set_max_cert_list(ctx, LIMIT_CHAIN_BYTES);
	SSL_CTX_set_verify_depth(ctx, LIMIT_CHAIN_DEPTH);
	verify_bound(ctx);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_new_session);
	SSL_CTX_set_msg_callback(ctx, on_message);
	if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2))
		return -ENOMEM;
	return 0;
}

int tls_prepare(struct tls *tls)
{
	const uint64_t init = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS |
			      OPENSSL_INIT_LOAD_CRYPTO_STRINGS;
	uint8_t seed[16];

	tzset(); /* libc looks for its time zone file once; certificate times go through it */
	if (!OPENSSL_init_ssl(init, NULL) || session_index() < 0)
		return -ENOMEM;
	memory_keep();
	tls->algorithms = algorithms_new();
	if (!tls->algorithms || RAND_bytes(seed, sizeof(seed)) != 1)
		return -ENOMEM;
	tls->net_method = net_method_new();
	tls->ctx = SSL_CTX_new_ex(algorithms_context(tls->algorithms), NULL, TLS_client_method());
	tls->cache = resume_cache_new();
	tls->provider = provider_new(signing_sign);
	if (!tls->net_method || !tls->ctx || !tls->cache || !tls->provider)
		return -ENOMEM;
	bounds_init(&tls->bounds);
	return configure(tls->ctx);
}

void tls_deinit(struct tls *tls)
{
	SSL_CTX_free(tls->ctx);
	identities_deinit(&tls->identities);
	psks_deinit(&tls->psks);
	provider_free(tls->provider);
	tls->cache = resume_cache_free(tls->cache);
	BIO_meth_free(tls->net_method);
	trust_index_close(&tls->trust);
	trust_index_close(&tls->crls);
	trust_index_close(&tls->crls_coming);
	algorithms_free(tls->algorithms);
}

/* What was verified against another bundle, or other pins, must be verified anew. */
static void forget_verified(struct tls *tls)
{
	tls->trust_number++;
	resume_flush(tls->cache);
}

int tls_set_crls(struct tls *tls, int fd)
{
	struct trust_index index;
	int r = trust_index_open(&index, fd);

	if (r < 0)
		return r;
	trust_index_close(&tls->crls_coming);
	tls->crls_coming = index;
	return 0;
}

bool tls_has_crls(const struct tls *tls)
{
	return tls->crls.bytes != NULL;
}

int tls_set_trust(struct tls *tls, int fd)
{
	struct trust_index index;
	struct trust_index old = tls->trust;
	X509_STORE *store;
	int r;

	if (tls->bounds.has_crls && !tls->crls_coming.bytes)
		return -ENOENT;
	r = trust_index_open(&index, fd);
	if (r < 0)
		return r;
	/* The store keeps pointers to the indexes: they live as long as the store. */
	tls->trust = index;
	r = trust_store_new(&tls->trust, &store);
	if (r == 0 && trust_store_add_crls(store, &tls->crls) < 0) {
		X509_STORE_free(store);
		r = -ENOMEM;
	}
	if (r < 0) {
		tls->trust = old;
		trust_index_close(&index);
		return r;
	}
	SSL_CTX_set_cert_store(tls->ctx, store);
	trust_index_close(&old);
	trust_index_close(&tls->crls);
	tls->crls = tls->crls_coming;
	tls->crls_coming = (struct trust_index){ .bytes = NULL };
	forget_verified(tls);
	return 0;
}

int tls_set_bounds(struct tls *tls, const struct bounds *bounds)
{
	char v12[LIMIT_CIPHERS + 1], v13[LIMIT_CIPHERS + 1];
	uint16_t min = bounds->version_min;
	int ok;

	bounds_ciphers_of(bounds, TLSB_TLS_1_2, v12);
	bounds_ciphers_of(bounds, TLSB_TLS_1_3, v13);
	/* What has no ciphers is not offered: OpenSSL would take its own for TLS 1.2, and fail for 1.3. */
	if (v12[0] == '\0')
		min = TLSB_TLS_1_3;
	ok = (v12[0] == '\0' || SSL_CTX_set_cipher_list(tls->ctx, v12)) &&
	     SSL_CTX_set_ciphersuites(tls->ctx, v13) &&
	     SSL_CTX_set_min_proto_version(tls->ctx, min) &&
	     SSL_CTX_set_max_proto_version(tls->ctx, bounds->version_max);
	ERR_clear_error();
	if (!ok)
		return -ENOMEM;
	tls->bounds = *bounds;
	forget_verified(tls);
	return 0;
}

/* The next certificate of a PEM text; blocks that are none, or are damaged, are passed over. */
static X509 *next_certificate(BIO *bio)
{
	for (;;) {
		size_t left = BIO_ctrl_pending(bio);
		X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
		unsigned long error = ERR_peek_last_error();

		ERR_clear_error();
		/* Without memory nothing is read, and would not be the next time. */
		if (cert || ERR_GET_LIB(error) != ERR_LIB_PEM || BIO_ctrl_pending(bio) >= left ||
		    ERR_GET_REASON(error) == PEM_R_NO_START_LINE)
			return cert;
	}
}

/* A store of the program's own certificates: PEM, or one in DER.  NULL when there is none in it. */
static X509_STORE *own_store(const char *ca, uint32_t len)
{
	X509_STORE *store = X509_STORE_new();
	BIO *bio = BIO_new_mem_buf(ca, (int)len);
	const unsigned char *der = (const unsigned char *)ca;
	unsigned count = 0;
	X509 *cert;

	while (store && bio && (cert = next_certificate(bio))) {
		count += (unsigned)X509_STORE_add_cert(store, cert);
		X509_free(cert);
	}
	if (count == 0 && store && (cert = d2i_X509(NULL, &der, (long)len))) {
		count += (unsigned)X509_STORE_add_cert(store, cert);
		X509_free(cert);
	}
	BIO_free(bio);
	ERR_clear_error();
	if (count > 0)
		return store;
	X509_STORE_free(store);
	return NULL;
}

/* "a,b" as RFC 7301 wants it: each behind its length. */
static int set_alpn(SSL *ssl, const char *list)
{
	unsigned char wire[LIMIT_ALPN + 1];
	size_t at = 0;

	for (const char *p = list; *list; p += strcspn(p, ",") + 1) {
		size_t len = strcspn(p, ",");

		if (len == 0 || at + 1 + len > sizeof(wire))
			return -EINVAL;
		wire[at++] = (unsigned char)len;
		memcpy(wire + at, p, len);
		at += len;
		if (p[len] == '\0')
			break;
	}
	/* The one function of OpenSSL that returns 0 for success. */
	return at > 0 && SSL_set_alpn_protos(ssl, wire, (unsigned)at) != 0 ? -ENOMEM : 0;
}

static int set_ciphers(const struct tls *tls, SSL *ssl, const char *list)
{
	struct {
		char names[LIMIT_CIPHERS + 2];
		size_t len;
	} v12 = { .len = 0 }, v13 = { .len = 0 }, *to;

	for (const char *at = list; *at; at += strspn(at, ":")) {
		const char *name = at;
		size_t len = strcspn(at, ":");
		int r = bounds_cipher(&tls->bounds, name, len);

		if (r < 0)
			return r;
		at += len;
		/* Neither list gets longer than the one that its names are from, and a colon. */
		to = strncmp(name, "TLS_", 4) == 0 ? &v13 : &v12;
		memcpy(to->names + to->len, name, len);
		to->names[to->len + len] = ':';
		to->len += len + 1;
	}
	if (v12.len > 0) {
		v12.names[v12.len - 1] = '\0';
		if (!SSL_set_cipher_list(ssl, v12.names))
			return -EINVAL;
	}
	if (v13.len > 0) {
		v13.names[v13.len - 1] = '\0';
		if (!SSL_set_ciphersuites(ssl, v13.names))
			return -EINVAL;
	}
	return 0;
}

/* Whom to verify.  There is no way through here that leaves a verified session without a name. */
static int set_peer(SSL *ssl, const struct request *request)
{
	/* What SSL_set_tlsext_host_name() is, without its cast that drops const. */
	if (!request->is_address &&
	    !SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
		      (void *)(uintptr_t)request->name))
		return -ENOMEM;
	if (!request->verify) {
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
		return 0;
	}
	SSL_set_verify(ssl, SSL_VERIFY_PEER, verify_on_step);
	/* Of each server: nobody knows before whether its certificate demands one. */
	SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
	return 0; /* the name is set where it is used: see verify.c */
}

/* Who we are: one that the badge has, one that the program brought, or nobody. */
static int set_identity(const struct tls *tls, SSL *ssl, const struct request *request,
			const char **ret_text)
{
	const struct identity *identity = request->own;
	int r;

	if (request->identity[0] != '\0') {
		identity = identities_find(&tls->identities, request->identity);
		if (!identity) {
			*ret_text = "identities: the program has none of the name that it asks for";
			return -EACCES;
		}
	}
	r = identity ? identity_use(identity, ssl) : 0;
	if (r == -EINVAL)
		*ret_text = "the certificate to be shown is too weak, or of no use in TLS";
	return r;
}

static int apply(const struct tls *tls, SSL *ssl, struct request *request,
		 const char **ret_text)
{
	uint16_t version_max = MIN(request->version_max, tls->bounds.version_max);
	int r;

	*ret_text = "no memory";
	if (set_peer(ssl, request) < 0 ||
	    (request->version_min && !SSL_set_min_proto_version(ssl, request->version_min)) ||
	    (version_max && !SSL_set_max_proto_version(ssl, version_max)))
		return -ENOMEM;
	if (set_alpn(ssl, request->alpn) < 0) {
		*ret_text = "the list of application protocols is unusable";
		return -EINVAL;
	}
	r = set_ciphers(tls, ssl, request->ciphers);
	if (r < 0) {
		*ret_text = r == -EACCES ? "ciphers: one that the program asks for may not be used"
					 : "a cipher suite is unknown to the broker";
		return r;
	}
	r = set_identity(tls, ssl, request, ret_text);
	if (r < 0)
		return r;
	if (request->psk) {
		r = psk_apply(tls, ssl, request, ret_text);
		if (r < 0)
			return r;
	}
	if (request->ca) {
		X509_STORE *store = own_store(request->ca, request->ca_len);

		if (!store) {
			*ret_text = "the CA that the program brought holds no usable certificate";
			return -EINVAL;
		}
		if (trust_store_add_crls(store, &tls->crls) < 0 ||
		    !SSL_set0_verify_cert_store(ssl, store)) {
			X509_STORE_free(store);
			return -ENOMEM;
		}
	}
	return 0;
}

int tls_client_new(struct tls *tls, struct request *request, struct net *net,
		   struct session *session, SSL **ret_ssl, const char **ret_text)
{
	SSL *ssl = SSL_new(tls->ctx);
	BIO *bio = net_bio_new(tls->net_method, net);
	int r;

	*ret_text = "no memory";
	if (!ssl || !bio || !SSL_set_ex_data(ssl, session_index(), session)) {
		BIO_free(bio);
		SSL_free(ssl);
		return -ENOMEM;
	}
	SSL_set_bio(ssl, bio, bio);
	SSL_set_connect_state(ssl);
	r = apply(tls, ssl, request, ret_text);
	ERR_clear_error();
	if (r < 0) {
		SSL_free(ssl);
		return r;
	}
	*ret_ssl = ssl;
	return 0;
}

static bool pins_satisfied(const struct pins *pins, const STACK_OF(X509) *chain, bool verified)
{
	return verified ? pins_hold(pins, chain) : pins_have(pins, sk_X509_value(chain, 0));
}

const char *tls_missing_pin(const struct tls *tls, const struct request *request,
			    const STACK_OF(X509) *chain)
{
	if (!pins_satisfied(&tls->bounds.pins, chain, request->verify))
		return "the broker's policy";
	return pins_satisfied(&request->pins, chain, request->verify) ? NULL : "the program";
}

bool tls_has_pins(const struct tls *tls, const struct request *request)
{
	return tls->bounds.pins.count + request->pins.count > 0;
}

bool tls_needs_staple(const struct tls *tls, const SSL *ssl)
{
	const X509 *cert = SSL_get0_peer_certificate(ssl);

	if (SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE)
		return false;
	return tls->bounds.needs_staple || (cert && staple_is_demanded(cert));
}

int tls_resume_key(const struct request *request, struct resume_key *ret_key)
{
	const uint16_t numbers[] = { request->port, request->version_min, request->version_max,
				     request->family, (uint16_t)request->pins.count,
				     (uint16_t)request->cert_len };
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	struct resume_key key;
	unsigned len = 0;
	int ok;

	/* Strings go in with their NULs, so that no two requests look alike. */
	ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
	     EVP_DigestUpdate(md, numbers, sizeof(numbers)) &&
	     EVP_DigestUpdate(md, request->host, strlen(request->host) + 1) &&
	     EVP_DigestUpdate(md, request->name, strlen(request->name) + 1) &&
	     EVP_DigestUpdate(md, request->alpn, strlen(request->alpn) + 1) &&
	     EVP_DigestUpdate(md, request->ciphers, strlen(request->ciphers) + 1) &&
	     EVP_DigestUpdate(md, request->identity, strlen(request->identity) + 1) &&
	     EVP_DigestUpdate(md, request->key_digest, sizeof(request->key_digest)) &&
	     EVP_DigestUpdate(md, request->cert ? request->cert : "", request->cert_len) &&
	     EVP_DigestUpdate(md, request->pins.list, request->pins.count * sizeof(struct pin)) &&
	     EVP_DigestUpdate(md, request->ca ? request->ca : "", request->ca_len) &&
	     EVP_DigestFinal_ex(md, key.bytes, &len);
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	if (!ok)
		return -ENOMEM;
	*ret_key = key;
	return 0;
}

time_t tls_chain_until(SSL *ssl, time_t until)
{
	STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
	struct tm tm;

	for (int i = 0; i < sk_X509_num(chain); i++) {
		if (!ASN1_TIME_to_tm(X509_get0_notAfter(sk_X509_value(chain, i)), &tm))
			return 0;
		until = MIN(until, timegm(&tm));
	}
	return until;
}
