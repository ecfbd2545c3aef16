/*
 * Case 27: chains of certificates with every kind of fault at every place, each with the code that it
 * must be refused with, and good ones that look odd but must be taken.  A row is a chain below a root
 * that is trusted: top, middle, leaf.  Each is shown in TLS 1.2 and in TLS 1.3.
 */
#include "tests/unit/testing_clock.h"
#include "tests/unit/worker_rig.h"

#include "tests/attacks.h"

#define HOST "server.example"

static unsigned long tried, survived;

/* ---- certificates ---- */

enum md { WITH_SHA256, WITH_SHA1, WITH_MD5, WITH_SHA512 };

/* Strings are as in openssl's x509v3_config(5).  All zero: there is none. */
struct spec {
	const char *bc;	 /* basic constraints; "" for none */
	const char *ku, *eku, *nc, *san;
	const char *cn;
	const char *raw; /* a DNS name as it is, RAW_LEN bytes */
	int raw_len;
	long from, until; /* days from now; both 0: valid */
	const char *curve;
	int rsa_bits;
	enum md md;
	enum { SERIAL_ONE, SERIAL_NEGATIVE, SERIAL_HUGE, SERIAL_ZERO } serial;
	bool v1;       /* a version 1 certificate, with extensions all the same */
	bool unknown;  /* a critical extension that nobody knows */
	bool twice;    /* its last extension stands there twice */
	bool tampered; /* a bit of its signature is wrong */
};

#define CA   .bc = "critical,CA:TRUE", .ku = "critical,keyCertSign,cRLSign"
#define LEAF .bc = "critical,CA:FALSE", .san = "DNS:" HOST

static EVP_PKEY *key_of(const struct spec *spec)
{
	static EVP_PKEY *rsa[5]; /* making one takes long; they may be everybody's */
	EVP_PKEY **kept = &rsa[spec->rsa_bits / 1024];

	if (spec->rsa_bits == 0)
		return EVP_EC_gen(spec->curve ? spec->curve : "P-256");
	if (!*kept)
		*kept = EVP_RSA_gen((unsigned)spec->rsa_bits);
	EVP_PKEY_up_ref(*kept);
	return *kept;
}

static void set_serial(ASN1_INTEGER *serial, const struct spec *spec)
{
	static const unsigned char huge[40] = {0x7f};

	ASN1_INTEGER_set(serial, spec->serial == SERIAL_NEGATIVE ? -5
				 : spec->serial == SERIAL_ZERO	 ? 0
								 : 1);
	if (spec->serial == SERIAL_HUGE)
		ASN1_STRING_set(serial, huge, sizeof(huge));
}

static void add(X509 *cert, X509 *issuer, int nid, const char *value)
{
	if (value && *value)
		testing_add_extension(cert, issuer, nid, value);
}

static void add_raw_name(X509 *cert, const char *raw, int len)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	ASN1_STRING_set(text, raw, len);
	GENERAL_NAME_set0_value(name, GEN_DNS, text);
	sk_GENERAL_NAME_push(names, name);
	assert_int_equal(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0), 1);
	GENERAL_NAMES_free(names);
}

static void add_unknown(X509 *cert)
{
	ASN1_OBJECT *object = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;

	ASN1_OCTET_STRING_set(data, (const unsigned char *)"\x05", 2);
	extension = X509_EXTENSION_create_by_OBJ(NULL, object, 1, data);
	assert_int_equal(X509_add_ext(cert, extension, -1), 1);
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(data);
	ASN1_OBJECT_free(object);
}

static void add_extensions(X509 *cert, X509 *issuer, const struct spec *spec)
{
	add(cert, issuer, NID_basic_constraints, spec->bc);
	add(cert, issuer, NID_key_usage, spec->ku);
	add(cert, issuer, NID_ext_key_usage, spec->eku);
	add(cert, issuer, NID_name_constraints, spec->nc);
	add(cert, issuer, NID_subject_alt_name, spec->san);
	if (spec->raw)
		add_raw_name(cert, spec->raw, spec->raw_len);
	if (spec->unknown)
		add_unknown(cert);
	if (spec->twice)
		X509_add_ext(cert, X509_get_ext(cert, X509_get_ext_count(cert) - 1), -1);
}

static X509 *tampered(X509 *cert)
{
	uint8_t *der = NULL;
	const uint8_t *p;
	int len = i2d_X509(cert, &der);

	X509_free(cert);
	der[len - 1] ^= 1;
	p = der;
	cert = d2i_X509(NULL, &p, len);
	assert_non_null(cert);
	OPENSSL_free(der);
	return cert;
}

/* SPEC's certificate, by ISSUER, or by itself if that is NULL.  KEY: NULL for one of its own. */
static struct testing_identity make(const struct spec *spec, const char *name,
				    const struct testing_identity *issuer, EVP_PKEY *key)
{
	struct testing_identity own = {X509_new(), key ? key : key_of(spec)};
	X509 *signer = issuer ? issuer->x509 : own.x509;
	const EVP_MD *const digests[] = {EVP_sha256(), EVP_sha1(), EVP_md5(), EVP_sha512()};
	X509_NAME *subject = X509_get_subject_name(own.x509);

	if (key)
		EVP_PKEY_up_ref(key);
	X509_set_version(own.x509, spec->v1 ? X509_VERSION_1 : X509_VERSION_3);
	set_serial(X509_get_serialNumber(own.x509), spec);
	X509_gmtime_adj(X509_getm_notBefore(own.x509),
			(spec->from || spec->until ? spec->from : -1) * DAY);
	X509_gmtime_adj(X509_getm_notAfter(own.x509),
			(spec->from || spec->until ? spec->until : 1) * DAY);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
				   (const unsigned char *)(spec->cn ? spec->cn : name), -1, -1, 0);
	X509_set_issuer_name(own.x509, X509_get_subject_name(signer));
	X509_set_pubkey(own.x509, own.key);
	add_extensions(own.x509, signer, spec);
	assert_true(X509_sign(own.x509, issuer ? issuer->key : own.key, digests[spec->md]) > 0);
	if (spec->tampered)
		own.x509 = tampered(own.x509);
	return own;
}

/* ---- one handshake ---- */

/* What the session came to: an error, or TLSB_E_NONE when it was established. */
static uint32_t outcome(struct rig *rig, SSL_CTX *server, const char *host, char text[LIMIT_TEXT + 1])
{
	const struct wish wish = {.host = host, .flags = CONNECT_NO_RESUMPTION};
	struct program_session session;
	struct program program;
	struct peer peer;
	uint32_t error;

	rig_program(rig, &program);
	rig_connect(rig, &program, &session, &wish, &peer, server);
	session_write(&session, "secret", 6);
	RIG_UNTIL(rig, session_is_over(&session) ||
			       session_word(&session.channel.page->state) == STATE_ESTABLISHED);
	error = session.channel.page->error;
	memcpy(text, session.channel.page->text, LIMIT_TEXT + 1);
	if (error) {
		rig_run_for(rig, 1);
		assert_int_equal(peer.got.len, 0);
		assert_true(session_word(&session.channel.page->state) < STATE_ESTABLISHED);
	} else {
		assert_int_equal(session.channel.page->info.verified, 1);
	}
	session_close(&session);
	rig_forget(rig, &peer);
	close(program.fd);
	rig_turn(rig);
	return error;
}

static void expect(struct rig *rig, SSL_CTX *server, const char *what, const char *host, int from,
		   uint32_t error)
{
	for (int version = from; version <= TLS1_3_VERSION; version++) {
		char text[LIMIT_TEXT + 1];
		uint32_t came;

		SSL_CTX_set_min_proto_version(server, version);
		SSL_CTX_set_max_proto_version(server, version);
		came = outcome(rig, server, host ? host : HOST, text);
		tried++;
		survived += came == error;
		if (came != error)
			print_message("%s: %u instead of %u: %s\n", what, came, error, text);
	}
}

/* ---- the matrix ---- */

struct trial {
	const char *what;
	struct spec leaf, middle, top; /* middle, top: without .bc and .cn, there is none */
	const char *host;
	uint32_t error;
	bool only_1_3; /* OpenSSL's server does not show it in TLS 1.2 */
};

#define MIDDLE .middle = {CA}
#define TOP    .top = {CA}

static const struct trial rows[] = {
	/* good ones */
	{ .what = "a leaf below the root", .leaf = {LEAF} },
	{ .what = "one CA between", .leaf = {LEAF}, MIDDLE },
	{ .what = "two CAs between", .leaf = {LEAF}, MIDDLE, TOP },
	{ .what = "no basic constraints in the leaf", .leaf = {.bc = "", .san = "DNS:" HOST},
	  MIDDLE },
	{ .what = "a path length that is just enough", .leaf = {LEAF}, MIDDLE,
	  .top = {.bc = "critical,CA:TRUE,pathlen:1", .ku = "critical,keyCertSign"} },
	{ .what = "SHA-512 everywhere", .leaf = {LEAF, .md = WITH_SHA512},
	  .middle = {CA, .md = WITH_SHA512} },
	{ .what = "P-384 and RSA in one chain", .leaf = {LEAF, .curve = "P-384"},
	  .middle = {CA, .rsa_bits = 2048} },
	{ .what = "an RSA key of 3072 bits", .leaf = {LEAF, .rsa_bits = 3072}, MIDDLE },
	{ .what = "for servers and clients", .leaf = {LEAF, .eku = "serverAuth,clientAuth"},
	  MIDDLE },
	{ .what = "a CA for servers only", .leaf = {LEAF, .eku = "serverAuth"},
	  .middle = {CA, .eku = "serverAuth"} },
	{ .what = "permitted by name", .leaf = {LEAF},
	  .middle = {CA, .nc = "critical,permitted;DNS:example"} },
	{ .what = "permitted in other letters", .leaf = {LEAF},
	  .middle = {CA, .nc = "critical,permitted;DNS:EXAMPLE"} },
	{ .what = "excluded is another name", .leaf = {LEAF},
	  .middle = {CA, .nc = "critical,excluded;DNS:example.org"} },
	{ .what = "permitted address", .leaf = {.bc = "CA:FALSE", .san = "IP:192.0.2.1"},
	  .middle = {CA, .nc = "critical,permitted;IP:192.0.2.0/255.255.255.0"},
	  .host = "192.0.2.1" },
	{ .what = "a wildcard", .leaf = {.bc = "CA:FALSE", .san = "DNS:*.example.org"},
	  .host = "server.example.org" },
	{ .what = "a name in capitals", .leaf = {.bc = "CA:FALSE", .san = "DNS:SERVER.EXAMPLE"} },
	{ .what = "IDNA in its wire form",
	  .leaf = {.bc = "CA:FALSE", .san = "DNS:xn--bcher-kva.example"},
	  .host = "xn--bcher-kva.example" },
	{ .what = "a negative serial number", .leaf = {LEAF, .serial = SERIAL_NEGATIVE}, MIDDLE },
	{ .what = "a serial number of 40 bytes", .leaf = {LEAF, .serial = SERIAL_HUGE}, MIDDLE },
	/* OpenSSL is lenient here, and the CA's own signature says that it is one. */
	{ .what = "a CA of version 1, which has no extensions, with them", .leaf = {LEAF},
	  .middle = {CA, .v1 = true} },

	/* what may be a CA */
	{ .what = "a CA without basic constraints", .leaf = {LEAF},
	  .middle = {.bc = "", .cn = "m", .ku = "keyCertSign"}, .error = TLSB_E_CERT_PURPOSE },
	{ .what = "a CA that says it is none", .leaf = {LEAF},
	  .middle = {.bc = "critical,CA:FALSE"}, .error = TLSB_E_CERT_PURPOSE },
	{ .what = "a CA that says it is none, higher up", .leaf = {LEAF}, MIDDLE,
	  .top = {.bc = "critical,CA:FALSE"}, .error = TLSB_E_CERT_PURPOSE },
	{ .what = "path length exceeded", .leaf = {LEAF}, MIDDLE,
	  .top = {.bc = "critical,CA:TRUE,pathlen:0", .ku = "critical,keyCertSign"},
	  .error = TLSB_E_CERT },
	{ .what = "a CA that may not sign certificates", .leaf = {LEAF},
	  .middle = {.bc = "critical,CA:TRUE", .ku = "critical,digitalSignature"},
	  .error = TLSB_E_CERT_PURPOSE },
	{ .what = "a CA that may not sign certificates, higher up", .leaf = {LEAF}, MIDDLE,
	  .top = {.bc = "critical,CA:TRUE", .ku = "critical,cRLSign"},
	  .error = TLSB_E_CERT_PURPOSE },
	{ .what = "basic constraints twice in a CA", .leaf = {LEAF},
	  .middle = {.bc = "critical,CA:TRUE", .twice = true}, .error = TLSB_E_CERT_UNKNOWN_CA },

	/* what for */
	{ .what = "a leaf for clients", .leaf = {LEAF, .eku = "clientAuth"}, MIDDLE,
	  .error = TLSB_E_CERT_PURPOSE },
	{ .what = "a leaf for code", .leaf = {LEAF, .eku = "codeSigning"}, MIDDLE,
	  .error = TLSB_E_CERT_PURPOSE },
	{ .what = "a CA for clients", .leaf = {LEAF}, .middle = {CA, .eku = "clientAuth"},
	  .error = TLSB_E_CERT_PURPOSE },
	{ .what = "a CA for clients, higher up", .leaf = {LEAF}, MIDDLE,
	  .top = {CA, .eku = "clientAuth"}, .error = TLSB_E_CERT_PURPOSE },
	{ .what = "a leaf that may only sign certificates",
	  .leaf = {LEAF, .ku = "critical,keyCertSign"}, MIDDLE, .only_1_3 = true, .error = TLSB_E_CERT_PURPOSE },
	{ .what = "an unknown critical extension", .leaf = {LEAF, .unknown = true}, MIDDLE,
	  .error = TLSB_E_CERT },
	{ .what = "an unknown critical extension in a CA", .leaf = {LEAF},
	  .middle = {CA, .unknown = true}, .error = TLSB_E_CERT },
	{ .what = "its names twice", .leaf = {LEAF, .twice = true}, MIDDLE,
	  .only_1_3 = true, .error = TLSB_E_CERT_UNKNOWN_CA },

	/* name constraints */
	{ .what = "not permitted", .leaf = {LEAF},
	  .middle = {CA, .nc = "critical,permitted;DNS:example.org"},
	  .error = TLSB_E_CERT_CONSTRAINT },
	{ .what = "not permitted, higher up", .leaf = {LEAF}, MIDDLE,
	  .top = {CA, .nc = "critical,permitted;DNS:example.org"},
	  .error = TLSB_E_CERT_CONSTRAINT },
	{ .what = "excluded", .leaf = {LEAF},
	  .middle = {CA, .nc = "critical,excluded;DNS:example"}, .error = TLSB_E_CERT_CONSTRAINT },
	{ .what = "excluded in other letters", .leaf = {LEAF},
	  .middle = {CA, .nc = "critical,excluded;DNS:ExAmPlE"}, .error = TLSB_E_CERT_CONSTRAINT },
	{ .what = "permitted and excluded", .leaf = {LEAF},
	  .middle = {CA, .nc = "critical,permitted;DNS:example,excluded;DNS:server.example"},
	  .error = TLSB_E_CERT_CONSTRAINT },
	{ .what = "permitted only in part of a label", .leaf = {LEAF},
	  .middle = {CA, .nc = "critical,permitted;DNS:xample"}, .error = TLSB_E_CERT_CONSTRAINT },
	{ .what = "one of its names is not permitted",
	  .leaf = {.bc = "CA:FALSE", .san = "DNS:" HOST ",DNS:other.org"},
	  .middle = {CA, .nc = "critical,permitted;DNS:example"},
	  .error = TLSB_E_CERT_CONSTRAINT },
	{ .what = "an address that is not permitted",
	  .leaf = {.bc = "CA:FALSE", .san = "IP:192.0.2.1"},
	  .middle = {CA, .nc = "critical,permitted;IP:198.51.100.0/255.255.255.0"},
	  .host = "192.0.2.1", .error = TLSB_E_CERT_CONSTRAINT },
	{ .what = "an address that is excluded",
	  .leaf = {.bc = "CA:FALSE", .san = "IP:192.0.2.1"},
	  .middle = {CA, .nc = "critical,excluded;IP:192.0.2.0/255.255.255.0"},
	  .host = "192.0.2.1", .error = TLSB_E_CERT_CONSTRAINT },
	{ .what = "a wildcard into what is excluded",
	  .leaf = {.bc = "CA:FALSE", .san = "DNS:*.example.org"},
	  .middle = {CA, .nc = "critical,excluded;DNS:example.org"}, .host = "server.example.org",
	  .error = TLSB_E_CERT_CONSTRAINT },
	{ .what = "a name with the root's dot, excluded",
	  .leaf = {.bc = "CA:FALSE", .san = "DNS:" HOST "."},
	  .middle = {CA, .nc = "critical,excluded;DNS:example"}, .error = TLSB_E_CERT_NAME },

	/* names */
	{ .what = "another name", .leaf = {.bc = "CA:FALSE", .san = "DNS:other.example"},
	  .error = TLSB_E_CERT_NAME },
	{ .what = "no name at all", .leaf = {.bc = "CA:FALSE"}, .error = TLSB_E_CERT_NAME },
	{ .what = "the name only in the subject", .leaf = {.bc = "CA:FALSE", .cn = HOST},
	  .error = TLSB_E_CERT_NAME },
	{ .what = "the name in the subject, others beside it",
	  .leaf = {.bc = "CA:FALSE", .cn = HOST, .san = "DNS:other.example"},
	  .error = TLSB_E_CERT_NAME },
	{ .what = "a wildcard alone", .leaf = {.bc = "CA:FALSE", .san = "DNS:*"},
	  .error = TLSB_E_CERT_NAME },
	{ .what = "a wildcard with a dot", .leaf = {.bc = "CA:FALSE", .san = "DNS:*."},
	  .error = TLSB_E_CERT_NAME },
	{ .what = "two wildcards", .leaf = {.bc = "CA:FALSE", .san = "DNS:*.*.example"},
	  .host = "a.b.example", .error = TLSB_E_CERT_NAME },
	{ .what = "a wildcard for two labels",
	  .leaf = {.bc = "CA:FALSE", .san = "DNS:*.example.org"}, .host = "a.b.example.org",
	  .error = TLSB_E_CERT_NAME },
	{ .what = "a wildcard for no label",
	  .leaf = {.bc = "CA:FALSE", .san = "DNS:*.server.example"}, .error = TLSB_E_CERT_NAME },
	{ .what = "a wildcard that is not first",
	  .leaf = {.bc = "CA:FALSE", .san = "DNS:server.*"}, .error = TLSB_E_CERT_NAME },
	{ .what = "part of a label", .leaf = {.bc = "CA:FALSE", .san = "DNS:s*.example.org"},
	  .host = "server.example.org", .error = TLSB_E_CERT_NAME },
	{ .what = "the end of a label", .leaf = {.bc = "CA:FALSE", .san = "DNS:*r.example.org"},
	  .host = "server.example.org", .error = TLSB_E_CERT_NAME },
	{ .what = "a wildcard in IDNA",
	  .leaf = {.bc = "CA:FALSE", .san = "DNS:xn--*.example.org"},
	  .host = "xn--bcher-kva.example.org", .error = TLSB_E_CERT_NAME },
	{ .what = "a wildcard for a whole top level", .leaf = {.bc = "CA:FALSE", .san = "DNS:*"},
	  .host = "example", .error = TLSB_E_CERT_NAME },
	{ .what = "a wildcard below a top level", .leaf = {.bc = "CA:FALSE", .san = "DNS:*.example"},
	  .error = TLSB_E_CERT_NAME },
	{ .what = "a NUL behind the name",
	  .leaf = {.bc = "CA:FALSE", .raw = HOST "\0.evil.example", .raw_len = 28},
	  .error = TLSB_E_CERT_NAME },
	{ .what = "a NUL at the end of the name",
	  .leaf = {.bc = "CA:FALSE", .raw = HOST "\0", .raw_len = 15}, .error = TLSB_E_CERT_NAME },
	{ .what = "a NUL in front of the name",
	  .leaf = {.bc = "CA:FALSE", .raw = "\0" HOST, .raw_len = 15}, .error = TLSB_E_CERT_NAME },
	{ .what = "an empty name", .leaf = {.bc = "CA:FALSE", .raw = "", .raw_len = 0},
	  .error = TLSB_E_CERT_NAME },
	{ .what = "the name with a blank",
	  .leaf = {.bc = "CA:FALSE", .raw = HOST " ", .raw_len = 15}, .error = TLSB_E_CERT_NAME },
	{ .what = "only the beginning of the name",
	  .leaf = {.bc = "CA:FALSE", .san = "DNS:server.exampl"}, .error = TLSB_E_CERT_NAME },
	{ .what = "the name as an address's text",
	  .leaf = {.bc = "CA:FALSE", .san = "DNS:192.0.2.1"}, .host = "192.0.2.1",
	  .error = TLSB_E_CERT_ADDRESS },
	{ .what = "an address by wildcard", .leaf = {.bc = "CA:FALSE", .san = "DNS:*.0.2.1"},
	  .host = "192.0.2.1", .error = TLSB_E_CERT_ADDRESS },
	{ .what = "an address in the subject", .leaf = {.bc = "CA:FALSE", .cn = "192.0.2.1"},
	  .host = "192.0.2.1", .error = TLSB_E_CERT_ADDRESS },
	{ .what = "an IPv4 address mapped into IPv6",
	  .leaf = {.bc = "CA:FALSE", .san = "IP:::ffff:192.0.2.1"}, .host = "192.0.2.1",
	  .error = TLSB_E_CERT_ADDRESS },
	{ .what = "the name as a URI",
	  .leaf = {.bc = "CA:FALSE", .san = "URI:https://" HOST "/"}, .error = TLSB_E_CERT_NAME },
	{ .what = "the name as an e-mail address",
	  .leaf = {.bc = "CA:FALSE", .san = "email:root@" HOST}, .error = TLSB_E_CERT_NAME },

	/* times */
	{ .what = "an expired leaf", .leaf = {LEAF, .from = -9, .until = -1}, MIDDLE,
	  .error = TLSB_E_CERT_EXPIRED },
	{ .what = "an expired CA", .leaf = {LEAF}, .middle = {CA, .from = -9, .until = -1},
	  .error = TLSB_E_CERT_EXPIRED },
	{ .what = "an expired CA, higher up", .leaf = {LEAF}, MIDDLE,
	  .top = {CA, .from = -9, .until = -1}, .error = TLSB_E_CERT_EXPIRED },
	{ .what = "a leaf of tomorrow", .leaf = {LEAF, .from = 1, .until = 9}, MIDDLE,
	  .error = TLSB_E_CERT_NOT_YET },
	{ .what = "a CA of tomorrow", .leaf = {LEAF}, .middle = {CA, .from = 1, .until = 9},
	  .error = TLSB_E_CERT_NOT_YET },
	{ .what = "an end before its beginning", .leaf = {LEAF, .from = 2, .until = -2}, MIDDLE,
	  .error = TLSB_E_CERT_NOT_YET },

	/* strength */
	{ .what = "SHA-1 under the leaf", .leaf = {LEAF, .md = WITH_SHA1}, MIDDLE,
	  .error = TLSB_E_CERT_WEAK },
	{ .what = "SHA-1 under a CA", .leaf = {LEAF}, .middle = {CA, .md = WITH_SHA1},
	  .error = TLSB_E_CERT_WEAK },
	{ .what = "MD5 under the leaf", .leaf = {LEAF, .md = WITH_MD5},
	  .middle = {CA, .rsa_bits = 2048}, .error = TLSB_E_CERT_WEAK },
	{ .what = "a short RSA key", .leaf = {LEAF, .rsa_bits = 1024}, MIDDLE,
	  .error = TLSB_E_CERT_WEAK },
	{ .what = "a CA's short RSA key", .leaf = {LEAF}, .middle = {CA, .rsa_bits = 1024},
	  .error = TLSB_E_CERT_WEAK },
	{ .what = "a short RSA key higher up", .leaf = {LEAF}, MIDDLE,
	  .top = {CA, .rsa_bits = 1024}, .error = TLSB_E_CERT_WEAK },
	{ .what = "a CA's short curve", .leaf = {LEAF}, .middle = {CA, .curve = "P-192"},
	  .error = TLSB_E_CERT_WEAK },

	/* signatures */
	{ .what = "a wrong signature", .leaf = {LEAF, .tampered = true}, MIDDLE,
	  .error = TLSB_E_CERT_SIGNATURE },
	{ .what = "a CA's wrong signature", .leaf = {LEAF}, .middle = {CA, .tampered = true},
	  .error = TLSB_E_CERT_SIGNATURE },
	{ .what = "a wrong signature higher up", .leaf = {LEAF}, MIDDLE,
	  .top = {CA, .tampered = true}, .error = TLSB_E_CERT_SIGNATURE },
};

static bool is_there(const struct spec *spec)
{
	return spec->bc || spec->cn;
}

static void show(struct rig *rig, const struct trial *row)
{
	struct testing_identity top = {0}, middle = {0}, leaf;
	const struct testing_identity *issuer = &rig->root;
	SSL_CTX *server;

	if (is_there(&row->top)) {
		top = make(&row->top, "top", issuer, NULL);
		issuer = &top;
	}
	if (is_there(&row->middle)) {
		middle = make(&row->middle, "middle", issuer, NULL);
		issuer = &middle;
	}
	leaf = make(&row->leaf, "leaf", issuer, NULL);
	server = server_new(&leaf, middle.x509, top.x509);
	expect(rig, server, row->what, row->host, row->only_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION,
	       row->error);
	SSL_CTX_free(server);
	testing_identity_free(&top);
	testing_identity_free(&middle);
	testing_identity_free(&leaf);
}

static void case_27_a_matrix_of_chains_is_judged_right(void **state unused_)
{
	struct rig rig;

	rig_init(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		show(&rig, &rows[i]);
	rig_deinit(&rig);
	assert_int_equal(survived, tried);
}

/* ---- chains that are none ---- */

static const struct spec ca = {CA}, leaf_spec = {LEAF}, old = {CA, .from = -9, .until = -1};

/* SECOND and THIRD are sent behind the leaf. */
static void expect_chain(struct rig *rig, const char *what, const struct testing_identity *leaf,
			 X509 *second, X509 *third, uint32_t error)
{
	SSL_CTX *server = server_new(leaf, second, third);

	expect(rig, server, what, NULL, TLS1_2_VERSION, error);
	SSL_CTX_free(server);
}

/* The same CA signed by the trusted root and by a stranger, or with two ends of validity. */
static void case_27_one_good_path_among_bad_ones_is_found(void **state unused_)
{
	struct testing_identity stranger, good, bad, expired, leaf;
	struct rig rig;

	rig_init(&rig);
	stranger = make(&ca, "stranger", NULL, NULL);
	good = make(&ca, "cross", &rig.root, NULL);
	bad = make(&ca, "cross", &stranger, good.key);
	expired = make(&old, "cross", &rig.root, good.key);
	leaf = make(&leaf_spec, "leaf", &good, NULL);
	expect_chain(&rig, "cross-signed, the good one first", &leaf, good.x509, bad.x509, 0);
	expect_chain(&rig, "one has expired, the good one first", &leaf, good.x509, expired.x509, 0);
	expect_chain(&rig, "one has expired, the good one last", &leaf, expired.x509, good.x509, 0);
	expect_chain(&rig, "the bad one alone", &leaf, bad.x509, NULL, TLSB_E_CERT_UNKNOWN_CA);
	expect_chain(&rig, "a root that nobody wants behind it", &leaf, good.x509, rig.root.x509, 0);
	expect_chain(&rig, "the leaf twice", &leaf, leaf.x509, good.x509, 0);
	expect_chain(&rig, "in the wrong order", &leaf, rig.root.x509, good.x509, 0);
	testing_identity_free(&stranger);
	testing_identity_free(&good);
	testing_identity_free(&bad);
	testing_identity_free(&expired);
	testing_identity_free(&leaf);
	rig_deinit(&rig);
	assert_int_equal(survived, tried);
}

static void case_27_loops_and_impostors_are_refused(void **state unused_)
{
	struct testing_identity a, b, a_by_b, b_by_a, impostor, leaf, by_impostor, itself;
	struct rig rig;

	rig_init(&rig);
	a = make(&ca, "a", NULL, NULL);
	b = make(&ca, "b", NULL, NULL);
	a_by_b = make(&ca, "a", &b, a.key);
	b_by_a = make(&ca, "b", &a, b.key);
	leaf = make(&leaf_spec, "leaf", &a, NULL);
	impostor = make(&ca, "root", NULL, NULL); /* the trusted root's name, another key */
	by_impostor = make(&leaf_spec, "leaf", &impostor, NULL);
	itself = make(&leaf_spec, "leaf", NULL, NULL);
	expect_chain(&rig, "two CAs that vouch for each other", &leaf, a_by_b.x509, b_by_a.x509,
		     TLSB_E_CERT_UNKNOWN_CA);
	expect_chain(&rig, "a CA of the root's name", &by_impostor, impostor.x509, NULL,
		     TLSB_E_CERT_SIGNATURE);
	expect_chain(&rig, "the same, not sent", &by_impostor, NULL, NULL, TLSB_E_CERT_SIGNATURE);
	expect_chain(&rig, "self-signed", &itself, NULL, NULL, TLSB_E_CERT_SELF_SIGNED);
	expect_chain(&rig, "self-signed, the root behind it", &itself, rig.root.x509, NULL,
		     TLSB_E_CERT_SELF_SIGNED);
	testing_identity_free(&a);
	testing_identity_free(&b);
	testing_identity_free(&a_by_b);
	testing_identity_free(&b_by_a);
	testing_identity_free(&impostor);
	testing_identity_free(&leaf);
	testing_identity_free(&by_impostor);
	testing_identity_free(&itself);
	rig_deinit(&rig);
	assert_int_equal(survived, tried);
}

/* The root that is trusted is judged like the others: its own time, its own limits. */
static void case_27_a_trusted_root_has_its_limits(void **state unused_)
{
	static const struct {
		const char *what;
		struct spec root;
		uint32_t error;
	} roots[] = {
		{"a root", {CA}, TLSB_E_NONE},
		{"a root that has expired", {CA, .from = -9, .until = -1}, TLSB_E_CERT_EXPIRED},
		{"a root with a path length of none", {.bc = "critical,CA:TRUE,pathlen:0"}, TLSB_E_NONE},
		{"a root that is constrained", {CA, .nc = "critical,permitted;DNS:example.org"},
		 TLSB_E_CERT_CONSTRAINT},
		{"a root for clients", {CA, .eku = "clientAuth"}, TLSB_E_CERT_PURPOSE},
		{"a root with a short key", {CA, .rsa_bits = 1024}, TLSB_E_CERT_WEAK},
		{"a root that says it is no CA", {.bc = "critical,CA:FALSE"}, TLSB_E_CERT_PURPOSE},
		{"a root that signed itself with SHA-1", {CA, .md = WITH_SHA1}, TLSB_E_NONE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		struct testing_identity root = make(&roots[i].root, "own root", NULL, NULL);
		struct testing_identity leaf = make(&leaf_spec, "leaf", &root, NULL);
		struct rig rig;

		rig_init(&rig);
		rig_trust(&rig, root.x509);
		expect_chain(&rig, roots[i].what, &leaf, NULL, NULL, roots[i].error);
		testing_identity_free(&root);
		testing_identity_free(&leaf);
		rig_deinit(&rig);
	}
	assert_int_equal(survived, tried);
}

static int sum_up(void **state unused_)
{
	attacks_count("servers", tried, survived);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_27_a_matrix_of_chains_is_judged_right),
		TEST(case_27_one_good_path_among_bad_ones_is_found),
		TEST(case_27_loops_and_impostors_are_refused),
		TEST(case_27_a_trusted_root_has_its_limits),
	};

	return cmocka_run_group_tests(tests, NULL, sum_up);
}
