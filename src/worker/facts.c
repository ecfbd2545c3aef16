#include "worker/facts.h"

#include <arpa/inet.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/macros.h"
#include "base/text.h"

/* Not a HandshakeType: the one message of TLS 1.2's handshake that is a content type of its own. */
#define STEP_CHANGE_CIPHER_SPEC 254

void facts_dialed(struct tlsb_info *info, const struct msg_dialed *dialed)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(dialed->family == AF_INET ? AF_INET : AF_INET6, dialed->address, text,
		  sizeof(text));
	snprintf(info->address, sizeof(info->address), dialed->family == AF_INET ? "%s:%u" : "[%s]:%u",
		 text, dialed->port);
	info->name_us = dialed->name_us;
	info->tcp_us = dialed->tcp_us;
}

void facts_step(struct tlsb_info *info, int sent, int content_type, const uint8_t *bytes,
		size_t len, uint64_t ms)
{
	struct tlsb_step *step = &info->steps[info->step_count];

	if (info->step_count >= TLSB_INFO_STEPS || len == 0 ||
	    (content_type != SSL3_RT_HANDSHAKE && content_type != SSL3_RT_CHANGE_CIPHER_SPEC))
		return;
	step->sent = sent != 0;
	step->type = content_type == SSL3_RT_HANDSHAKE ? bytes[0] : STEP_CHANGE_CIPHER_SPEC;
	step->ms = (uint16_t)MIN(ms, UINT16_MAX);
	info->step_count++;
}

/* What is not printable ASCII is escaped by OpenSSL: twice would be once too often. */
char *facts_name(const X509_NAME *name, char *dst, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;

	dst[0] = '\0';
	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0 &&
	    BIO_write(bio, "", 1) == 1 && BIO_get_mem_data(bio, &text) > 0)
		text_copy(dst, size, text);
	BIO_free(bio);
	return dst;
}

static void certificate_facts(struct tlsb_info *info, X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	struct tm tm;

	facts_name(X509_get_subject_name(cert), info->subject, sizeof(info->subject));
	info->key_bits = key ? (uint32_t)EVP_PKEY_get_bits(key) : 0;
	if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm))
		info->not_after = timegm(&tm);
}

/*
 * The chain that was verified, or, if none was, as it was sent.  A resumed session has only what was
 * sent when it was new: the server's own certificate in front was verified then, the rest may not have
 * been of any use.
 */
static void chain_facts(struct tlsb_info *info, SSL *ssl)
{
	STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
	int count;
	size_t used = 0;

	if (!chain)
		chain = SSL_get_peer_cert_chain(ssl);
	count = SSL_session_reused(ssl) ? MIN(sk_X509_num(chain), 1) : sk_X509_num(chain);
	for (int i = 0; i < count && used < sizeof(info->chain) - 1; i++) {
		const X509 *cert = sk_X509_value(chain, i);
		char subject[200], issuer[200];

		facts_name(X509_get_subject_name(cert), subject, sizeof(subject));
		facts_name(X509_get_issuer_name(cert), issuer, sizeof(issuer));
		used += (size_t)snprintf(info->chain + used, sizeof(info->chain) - used, "%s%s < %s",
					 used ? "\n" : "", subject, issuer);
	}
}

static void alpn_facts(struct tlsb_info *info, const SSL *ssl)
{
	const unsigned char *protocol;
	unsigned len;

	SSL_get0_alpn_selected(ssl, &protocol, &len);
	text_escape(info->alpn, sizeof(info->alpn), protocol, len);
}

/* NULL: there was none, or it has no name. */
static const char *group_name(SSL *ssl)
{
	int group = SSL_get_negotiated_group(ssl);

	if (group == 0)
		return NULL;
	if (!(group & TLSEXT_nid_unknown))
		return OBJ_nid2sn(group);
#if OPENSSL_VERSION_PREREQ(3, 2)
	return SSL_get0_group_name(ssl); /* newer ones are known by their names alone */
#else
	return NULL;
#endif
}

void facts_established(struct tlsb_info *info, SSL *ssl, int verified, uint64_t us)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	const char *group = group_name(ssl);

	info->version = (uint32_t)SSL_version(ssl);
	info->resumed = SSL_session_reused(ssl) != 0;
	info->verified = verified != 0;
	info->tls_us = (uint32_t)MIN(us, UINT32_MAX);
	text_copy(info->cipher, sizeof(info->cipher), SSL_get_cipher_name(ssl));
	text_copy(info->group, sizeof(info->group), group ? group : "");
	alpn_facts(info, ssl);
	if (cert)
		certificate_facts(info, cert);
	chain_facts(info, ssl);
}
