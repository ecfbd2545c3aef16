/*
 * TLS servers for the worker's tests: certificates with every kind of fault, and a server that runs
 * in steps on one end of a TCP connection, so that a test decides what happens first. Header-only.
 */
#ifndef TLSB_TESTS_WORKER_PEER_H
#define TLSB_TESTS_WORKER_PEER_H

#include "testing_x509.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/fd.h"

/* ---- certificates ---- */

#define DAY 86400L

/* What a certificate says; all zero: a P-256 leaf that is valid for a day each way. */
struct cert_spec {
	const char *name, *names; /* subject; subject alternative names */
	const char *eku, *constraints, *features;
	long from, until; /* seconds from now, if not both 0 */
	EVP_PKEY *key;	  /* of a special kind */
	int rsa_bits;
	bool is_ca, sha1;
};

static inline struct testing_identity cert_new(struct cert_spec spec,
					       const struct testing_identity *issuer)
{
	struct testing_identity own = {X509_new(), spec.key	   ? spec.key
						   : spec.rsa_bits ? EVP_RSA_gen((unsigned)spec.rsa_bits)
								   : EVP_EC_gen("P-256")};
	X509_NAME *subject = X509_get_subject_name(own.x509);
	X509 *signer = issuer ? issuer->x509 : own.x509;
	bool dated = spec.from || spec.until;

	X509_set_version(own.x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(own.x509), 1);
	X509_gmtime_adj(X509_getm_notBefore(own.x509), dated ? spec.from : -DAY);
	X509_gmtime_adj(X509_getm_notAfter(own.x509), dated ? spec.until : DAY);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)spec.name,
				   -1, -1, 0);
	X509_set_issuer_name(own.x509, X509_get_subject_name(signer));
	X509_set_pubkey(own.x509, own.key);
	testing_add_extension(own.x509, NULL, NID_basic_constraints,
			      spec.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	testing_add_extension(own.x509, NULL, NID_subject_key_identifier, "hash");
	testing_add_extension(own.x509, signer, NID_authority_key_identifier, "keyid");
	if (spec.names)
		testing_add_extension(own.x509, NULL, NID_subject_alt_name, spec.names);
	if (spec.eku)
		testing_add_extension(own.x509, NULL, NID_ext_key_usage, spec.eku);
	if (spec.constraints)
		testing_add_extension(own.x509, NULL, NID_name_constraints, spec.constraints);
	if (spec.features)
		testing_add_extension(own.x509, NULL, NID_tlsfeature, spec.features);
	assert_true(X509_sign(own.x509, issuer ? issuer->key : own.key,
			      spec.sha1 ? EVP_sha1() : EVP_sha256()) > 0);
	return own;
}

/* ---- a server's settings ---- */

/* A server that shows LEAF and up to two more certificates.  The caller frees it. */
static inline SSL_CTX *server_new(const struct testing_identity *leaf, X509 *second, X509 *third)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	SSL_CTX_set_security_level(ctx,
				   0); /* whatever is wrong with it: the worker has to notice */
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"test", 4);
	assert_int_equal(SSL_CTX_use_certificate(ctx, leaf->x509), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, leaf->key), 1);
	if (second)
		assert_int_equal(SSL_CTX_add1_chain_cert(ctx, second), 1);
	if (third)
		assert_int_equal(SSL_CTX_add1_chain_cert(ctx, third), 1);
	return ctx;
}

/* ---- a connection ---- */

/* Two ends of one TCP connection over the loopback, neither of which ever blocks. */
static inline void tcp_pair(int ret_pair[2])
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(name);
	int one = 1;
	cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&name, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &len), 0);
	ret_pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(ret_pair[0], (struct sockaddr *)&name, len), 0);
	ret_pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(ret_pair[1] >= 0);
	fcntl(ret_pair[0], F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 2; i++)
		setsockopt(ret_pair[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

enum peer_end {
	PEER_RUNS,
	PEER_CLOSED,	/* close_notify came */
	PEER_TRUNCATED, /* the stream ended without it */
	PEER_RESET,
	PEER_FAILED, /* TLS failed: an alert, usually */
};

/* A server's side of one connection. */
struct peer {
	int fd;
	SSL *ssl;
	bool deaf;   /* reads nothing */
	bool echo;   /* sends back what it reads */
	bool shaken; /* the handshake is over */
	bool resumed;
	enum peer_end end;
	struct testing_text got;
	struct testing_text to_send;
	size_t sent;
};

static inline void peer_init(struct peer *peer, SSL_CTX *ctx, int fd)
{
	*peer = (struct peer){.fd = fd, .ssl = ctx ? SSL_new(ctx) : NULL};
	if (!ctx)
		return;
	signal(SIGPIPE, SIG_IGN); /* OpenSSL's own sockets raise it; the worker's must not */
	SSL_set_fd(peer->ssl, fd);
	SSL_set_accept_state(peer->ssl);
	SSL_set_mode(peer->ssl,
		     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static inline void peer_deinit(struct peer *peer)
{
	SSL_free(peer->ssl);
	fd_close(peer->fd);
	free(peer->got.data);
	free(peer->to_send.data);
	*peer = (struct peer){.fd = -1};
}

/* No close_notify: the stream is just over. */
static inline void peer_cut(struct peer *peer)
{
	shutdown(peer->fd, SHUT_WR);
}

/* As a machine that has forgotten the connection. */
static inline void peer_reset(struct peer *peer)
{
	const struct linger now = {.l_onoff = 1};

	setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	peer->fd = fd_close(peer->fd);
	peer->end = PEER_RESET;
}

static inline void peer_say(struct peer *peer, const void *data, size_t len)
{
	testing_append(&peer->to_send, data, len);
}

/* Returns false when nothing more goes now. */
static inline bool peer_judge(struct peer *peer, int result)
{
	int error = SSL_get_error(peer->ssl, result);
	unsigned long reason = ERR_peek_error();

	ERR_clear_error();
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return false;
	if (error == SSL_ERROR_ZERO_RETURN)
		peer->end = PEER_CLOSED;
	else if (ERR_GET_REASON(reason) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		peer->end = PEER_TRUNCATED;
	else
		peer->end = error == SSL_ERROR_SYSCALL ? PEER_RESET : PEER_FAILED;
	return false;
}

static inline void peer_read(struct peer *peer)
{
	char buf[16384];
	size_t n;
	int r;

	for (;;) {
		ERR_clear_error();
		r = SSL_read_ex(peer->ssl, buf, sizeof(buf), &n);
		if (r <= 0) {
			peer_judge(peer, r);
			return;
		}
		testing_append(&peer->got, buf, n);
		if (peer->echo)
			peer_say(peer, buf, n);
	}
}

/* Returns true when everything is sent. */
static inline bool peer_write(struct peer *peer)
{
	size_t n;

	while (peer->sent < peer->to_send.len) {
		int r;

		ERR_clear_error();
		r = SSL_write_ex(peer->ssl, peer->to_send.data + peer->sent,
				 peer->to_send.len - peer->sent, &n);
		if (r <= 0) {
			enum peer_end before = peer->end;

			peer_judge(peer, r);
			if (before != PEER_RUNS)
				peer->end = before;
			return false;
		}
		peer->sent += n;
	}
	return true;
}

/* Go as far as it goes without waiting. */
static inline void peer_step(struct peer *peer)
{
	int r;

	if (!peer->ssl || peer->fd < 0 || peer->end >= PEER_TRUNCATED)
		return;
	if (!peer->shaken) {
		ERR_clear_error();
		r = SSL_accept(peer->ssl);
		if (r <= 0 && !peer_judge(peer, r))
			return;
		peer->shaken = true;
		peer->resumed = SSL_session_reused(peer->ssl) != 0;
	}
	/* One that echoes writes like a simple server: it does not read before what it has is sent.
	 */
	if (!peer_write(peer) && peer->echo)
		return;
	if (!peer->deaf && peer->end == PEER_RUNS)
		peer_read(peer);
}

#endif
