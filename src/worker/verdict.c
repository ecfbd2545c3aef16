#include "worker/verdict.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/macros.h"
#include "base/text.h"
#include "tlsbroker.h"
#include "trust/memory.h"
#include "worker/facts.h"

static void say(struct verdict *verdict, uint32_t code, const char *format, ...) printf_(3, 4);

static void say(struct verdict *verdict, uint32_t code, const char *format, ...)
{
	va_list ap;

	verdict->code = code;
	va_start(ap, format);
	vsnprintf(verdict->text, sizeof(verdict->text), format, ap);
	va_end(ap);
}

/* ---- certificates ---- */

static const struct {
	int reason;
	uint32_t code;
	const char *text;
} certificate_rows[] = {
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, TLSB_E_CERT_SELF_SIGNED,
	  "is self-signed and not trusted here" },
	{ X509_V_ERR_INVALID_PURPOSE, TLSB_E_CERT_PURPOSE, "may not be used for a TLS server" },
	{ X509_V_ERR_INVALID_CA, TLSB_E_CERT_PURPOSE, "was issued by a certificate that is no CA" },
	{ X509_V_ERR_CERT_REJECTED, TLSB_E_CERT_PURPOSE, "is rejected for TLS servers" },
	{ X509_V_ERR_CERT_UNTRUSTED, TLSB_E_CERT_PURPOSE, "is not trusted for TLS servers" },
	{ X509_V_ERR_EE_KEY_TOO_SMALL, TLSB_E_CERT_WEAK, "has a key that is too weak" },
	{ X509_V_ERR_CA_KEY_TOO_SMALL, TLSB_E_CERT_WEAK, "has a CA whose key is too weak" },
	{ X509_V_ERR_CA_MD_TOO_WEAK, TLSB_E_CERT_WEAK, "is signed with a digest that is too weak" },
	{ X509_V_ERR_PERMITTED_VIOLATION, TLSB_E_CERT_CONSTRAINT,
	  "is for a name that its CA may not issue for" },
	{ X509_V_ERR_EXCLUDED_VIOLATION, TLSB_E_CERT_CONSTRAINT,
	  "is for a name that its CA may not issue for" },
	{ X509_V_ERR_SUBTREE_MINMAX, TLSB_E_CERT_CONSTRAINT, "has unusable name constraints" },
	{ X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE, TLSB_E_CERT_CONSTRAINT,
	  "has name constraints of an unknown kind" },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, TLSB_E_CERT_SIGNATURE, "has a wrong signature" },
	{ X509_V_ERR_CERT_REVOKED, TLSB_E_CERT_REVOKED, "was revoked" },
	{ X509_V_ERR_UNABLE_TO_GET_CRL, TLSB_E_CERT_REVOCATION,
	  "may have been revoked: there is no revocation list of its CA" },
	{ X509_V_ERR_CRL_HAS_EXPIRED, TLSB_E_CERT_REVOCATION,
	  "may have been revoked: its CA's revocation list has expired" },
	{ X509_V_ERR_CRL_NOT_YET_VALID, TLSB_E_CERT_REVOCATION,
	  "may have been revoked: its CA's revocation list is not valid yet" },
	{ X509_V_ERR_CRL_SIGNATURE_FAILURE, TLSB_E_CERT_REVOCATION,
	  "may have been revoked: its CA's revocation list has a wrong signature" },
	{ X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, TLSB_E_CERT_REVOCATION,
	  "may have been revoked: the revocation list is not its CA's" },
	{ X509_V_ERR_KEYUSAGE_NO_CRL_SIGN, TLSB_E_CERT_REVOCATION,
	  "may have been revoked: its CA may not sign revocation lists" },
	{ X509_V_ERR_DIFFERENT_CRL_SCOPE, TLSB_E_CERT_REVOCATION,
	  "may have been revoked: its CA's revocation list is about others" },
	{ X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION, TLSB_E_CERT_REVOCATION,
	  "may have been revoked: its CA's revocation list cannot be understood" },
	{ X509_V_ERR_OUT_OF_MEM, TLSB_E_RESOURCES,
	  "could not be verified: the broker has no memory left" },
	{ X509_V_ERR_CERT_CHAIN_TOO_LONG, TLSB_E_CERT, "has too long a chain" },
};

/* A host that a certificate is for, as a person writes it.  false: it is something else. */
static bool name_text(const GENERAL_NAME *name, char *dst, size_t size)
{
	const unsigned char *bytes;
	int len;

	if (name->type != GEN_DNS && name->type != GEN_IPADD)
		return false;
	bytes = ASN1_STRING_get0_data(name->d.ia5);
	len = ASN1_STRING_length(name->d.ia5);
	if (name->type == GEN_DNS)
		text_escape(dst, size, bytes, (size_t)len);
	else if (len == 4 || len == 16)
		inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, dst, (socklen_t)size);
	else
		return false;
	return true;
}

/* The names and addresses that the certificate is for, as far as they fit. */
static void list_names(X509 *cert, char *dst, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	size_t used = 0;

	dst[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && used + 8 < size; i++) {
		char one[80];

		if (!name_text(sk_GENERAL_NAME_value(names, i), one, sizeof(one)))
			continue;
		used += (size_t)snprintf(dst + used, size - used, "%s%s", used ? ", " : "", one);
		used = MIN(used, size - 1);
	}
	GENERAL_NAMES_free(names);
}

static void name_mismatch(X509 *cert, const char *name, uint32_t code, struct verdict *verdict)
{
	char names[128] = "";

	if (cert)
		list_names(cert, names, sizeof(names));
	say(verdict, code, "the certificate is not for %s%s%s%s", name,
	    names[0] ? " (it is for " : "", names, names[0] ? ")" : "");
}

/* The day that a certificate begins or ends to be valid. */
static void day_of(const ASN1_TIME *time, char dst[16])
{
	struct tm tm;

	if (!time || !ASN1_TIME_to_tm(time, &tm) || strftime(dst, 16, "%Y-%m-%d", &tm) == 0)
		text_copy(dst, 16, "an unknown day");
}

static void date_verdict(X509 *cert, const char *name, bool expired, struct verdict *verdict)
{
	char day[16];

	day_of(expired ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert), day);
	if (expired)
		say(verdict, TLSB_E_CERT_EXPIRED, "the certificate of %s expired on %s", name, day);
	else
		say(verdict, TLSB_E_CERT_NOT_YET,
		    "the certificate of %s is not valid before %s; is this machine's clock right?",
		    name, day);
}

/*
 * No trusted root was found.  A leaf that came alone is more often a server that leaves out its
 * intermediate certificate than a CA that is unknown: nobody can tell from outside, the text says both.
 */
static void unknown_issuer(X509_STORE_CTX *store, X509 *cert, const char *name,
			   struct verdict *verdict)
{
	bool alone = sk_X509_num(X509_STORE_CTX_get0_untrusted(store)) <= 1;
	char issuer[120];

	facts_name(X509_get_issuer_name(cert), issuer, sizeof(issuer));
	if (alone)
		say(verdict, TLSB_E_CERT_INCOMPLETE,
		    "%s sent its certificate without that of its issuer %s, which is not trusted here",
		    name, issuer);
	else
		say(verdict, TLSB_E_CERT_UNKNOWN_CA, "the CA of %s is not trusted here: %s", name,
		    issuer);
}

void verdict_of_certificate(X509_STORE_CTX *store, const char *name, struct verdict *ret_verdict)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(store);
	int error = X509_STORE_CTX_get_error(store);

	switch (error) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
		name_mismatch(cert, name, TLSB_E_CERT_NAME, ret_verdict);
		return;
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		name_mismatch(cert, name, TLSB_E_CERT_ADDRESS, ret_verdict);
		return;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		date_verdict(cert, name, error == X509_V_ERR_CERT_HAS_EXPIRED, ret_verdict);
		return;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		unknown_issuer(store, cert, name, ret_verdict);
		return;
	default:
		break;
	}
	for (size_t i = 0; i < ARRAY_SIZE(certificate_rows); i++) {
		if (certificate_rows[i].reason == error) {
			say(ret_verdict, certificate_rows[i].code, "the certificate of %s %s", name,
			    certificate_rows[i].text);
			return;
		}
	}
	say(ret_verdict, TLSB_E_CERT, "the certificate of %s was refused: %s", name,
	    X509_verify_cert_error_string(error));
}

void verdict_of_objection(const char *name, const char *why, struct verdict *ret_verdict)
{
	say(ret_verdict, TLSB_E_CERT, "the certificates of %s are not accepted: %s", name, why);
}

void verdict_of_staple(const char *name, const struct staple *staple, struct verdict *ret_verdict)
{
	say(ret_verdict, staple->code, "the certificate of %s %s", name, staple->text);
}

void verdict_of_pins(const char *name, const char *whose, struct verdict *ret_verdict)
{
	say(ret_verdict, TLSB_E_CERT_PIN, "the certificate of %s has none of the keys that %s has pinned",
	    name, whose);
}

/* ---- everything else ---- */

#define TEXT_OF_(number) #number
#define TEXT_OF(number)	 TEXT_OF_(number)

static const struct {
	int reason;
	uint32_t code;
	const char *text;
} tls_rows[] = {
	{ SSL_R_WRONG_VERSION_NUMBER, TLSB_E_NOT_TLS, "the server does not speak TLS on this port" },
	{ SSL_R_HTTP_REQUEST, TLSB_E_NOT_TLS, "the server speaks plain HTTP on this port" },
	{ SSL_R_PACKET_LENGTH_TOO_LONG, TLSB_E_NOT_TLS, "the server does not speak TLS on this port" },
	{ SSL_R_RECORD_LENGTH_MISMATCH, TLSB_E_NOT_TLS, "the server does not speak TLS on this port" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, TLSB_E_TLS_VERSION,
	  "the server wants a TLS version that is not allowed here" },
	{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, TLSB_E_TLS_VERSION,
	  "the server speaks none of the TLS versions allowed here" },
	{ SSL_R_NO_CIPHERS_AVAILABLE, TLSB_E_TLS_CIPHER,
	  "the chosen cipher suites do not fit the chosen TLS versions" },
	{ SSL_R_UNKNOWN_CIPHER_RETURNED, TLSB_E_TLS_CIPHER, "the server chose a suite not offered" },
	{ SSL_R_WRONG_CIPHER_RETURNED, TLSB_E_TLS_CIPHER, "the server chose a suite not offered" },
	{ SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, TLSB_E_TLS_CIPHER,
	  "the server refused the handshake: no common cipher suite, or it wants what was not "
	  "offered" },
	{ SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY, TLSB_E_TLS_CIPHER,
	  "the server wants stronger cipher suites" },
	{ SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, TLSB_E_TLS_ALPN,
	  "the server speaks none of the application protocols offered" },
	{ SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, TLSB_E_TLS_ALERT,
	  "the server wants a certificate of the program's (TLS alert \"certificate required\")" },
	{ SSL_R_EXCESSIVE_MESSAGE_SIZE, TLSB_E_TLS,
	  "a message of the server's handshake is too long; certificates, and what comes with them, may "
	  "have " TEXT_OF(LIMIT_CHAIN_KIB) " KiB in all" },
	{ ERR_R_MALLOC_FAILURE, TLSB_E_TLS,
	  "a message of the server's handshake is empty where it may not be" },
	{ SSL_R_DH_KEY_TOO_SMALL, TLSB_E_CERT_WEAK, "the server's key exchange is too weak" },
};

static void tls_verdict(unsigned long error, struct verdict *verdict)
{
	int reason = ERR_GET_REASON(error);
	const char *said = ERR_reason_error_string(error);

	for (size_t i = 0; ERR_GET_LIB(error) == ERR_LIB_SSL && i < ARRAY_SIZE(tls_rows); i++) {
		if (tls_rows[i].reason == reason) {
			say(verdict, tls_rows[i].code, "%s", tls_rows[i].text);
			return;
		}
	}
	/* OpenSSL numbers the alerts that a peer sent from here on. */
	if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET)
		say(verdict, TLSB_E_TLS_ALERT, "the server refused with the TLS alert \"%s\" (%d)",
		    SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET),
		    reason - SSL_AD_REASON_OFFSET);
	else
		say(verdict, TLSB_E_TLS, "TLS failed: %s", said ? said : "no reason given");
}

static void socket_verdict(const struct net *net, bool established, struct verdict *verdict)
{
	const char *when = established ? "" : " during the handshake";

	/* After a reset that the sending half was told of, the receiving half only sees an end.  But
	 * EPIPE is what sending to a peer gives that had ended its stream before it reset us. */
	int error = net->error ? net->error : net->broken;

	if (net->eof && (!net->broken || net->broken == EPIPE))
		say(verdict, TLSB_E_TRUNCATED,
		    established ? "the stream ended without close_notify: data may be missing" :
				  "the server closed the connection during the handshake");
	else if (error == ENOMEM || error == ENOBUFS)
		say(verdict, TLSB_E_RESOURCES, "the broker has no memory left%s", when);
	else if (error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH)
		say(verdict, TLSB_E_TIMEOUT, "the server does not answer any more%s", when);
	else
		say(verdict, TLSB_E_RESET, "the server reset the connection%s", when);
}

/*
 * Whatever OpenSSL made of it: was it memory that was missing?  It says the same when it has asked for
 * nothing, for an empty OCSP response, and has got that.  Reads the error queue to its end.
 */
static bool lacked_memory(unsigned long error)
{
	bool lacked = false;

	for (; error != 0; error = ERR_get_error())
		lacked |= ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
	return lacked && memory_failures() > 0;
}

void verdict_of(const struct net *net, int error, bool established, struct verdict *ret_verdict)
{
	unsigned long reason = ERR_get_error();
	bool eof = ERR_GET_LIB(reason) == ERR_LIB_SSL &&
		   ERR_GET_REASON(reason) == SSL_R_UNEXPECTED_EOF_WHILE_READING;

	/* What TLS has to say comes first: a socket may well break when we send our alert about it. */
	if (lacked_memory(reason))
		say(ret_verdict, TLSB_E_RESOURCES, "the broker has no memory left");
	else if (error != SSL_ERROR_SSL || reason == 0 || eof)
		socket_verdict(net, established, ret_verdict);
	else
		tls_verdict(reason, ret_verdict);
	ERR_clear_error();
}
