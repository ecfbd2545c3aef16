#include "tools/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/macros.h"
#include "base/text.h"
#include "tools/complain.h"
#include "tools/file.h"
#include "tools/pump.h"
#include "tools/report.h"
#include "tlsbroker.h"
#include "wire/reach.h"

/* The broker keeps the deadline; we wait a little longer for its word of what was too slow. */
#define GRACE_MS 1500

static void cleanup_config(struct tlsb_config **config)
{
	tlsb_config_free(*config);
}

static void cleanup_session(struct tlsb_session **session)
{
	tlsb_session_free(*session);
}

static void cleanup_broker(struct tlsb **broker)
{
	tlsb_close(*broker);
}

static enum exit_code session_failed(const struct options *options, struct tlsb_session *session,
				     int error)
{
	int code = tlsb_error_code(session);

	if (code != TLSB_E_NONE)
		return complain(exits_from_error((uint32_t)code), options->subject, "%s",
				tlsb_error_text(session));
	if (error == EINVAL)
		return complain(EXIT_USAGE, options->subject, "not a host name or address");
	return complain(exits_from_errno(error), options->subject, "%s", strerror(error));
}

/* There is no session yet, so the errno is all there is. */
static enum exit_code broker_failed(const struct options *options, int error)
{
	struct sockaddr_un address;

	if (error == ENOMEM || error == EMFILE)
		return complain(EXIT_OTHER, options->subject, "%s", strerror(error));
	/* The library does not say where it looked: it looks as this does. */
	fd_close(reach_broker(options->socket, &address));
	return complain_of_broker(address.sun_path, error);
}

/* EXPECTED: what ARGUMENT should have been. */
static enum exit_code set_failed(const char *argument, const char *expected)
{
	int error = errno;

	if (error == EINVAL)
		return complain(EXIT_USAGE, argument, "%s", expected);
	return complain(exits_from_errno(error), argument, "%s", strerror(error));
}

static int read_ca(const char *path, struct tlsb_config *config)
{
	cleanup_(file_forget) struct file text = { NULL, 0 };
	int error = file_read(path, LIMIT_CA_BYTES, &text);

	if (!error && tlsb_config_set_ca(config, text.data, text.len) < 0)
		error = errno;
	return error;
}

static enum exit_code set_ca(struct tlsb_config *config, const char *path)
{
	int error = read_ca(path, config);

	if (error == EINVAL)
		return complain(EXIT_USAGE, path, "holds no CA certificate, neither PEM nor DER");
	if (error == EFBIG)
		return complain(EXIT_USAGE, path, "more than %u bytes of certificates",
				LIMIT_CA_BYTES);
	return error ? complain(EXIT_USAGE, path, "%s", strerror(error)) : EXIT_OK;
}

/* Together they may be in one file, which then is larger than either may be. */
static enum exit_code set_cert_key(struct tlsb_config *config, const struct options *options)
{
	cleanup_(file_forget) struct file cert = { NULL, 0 };
	cleanup_(file_forget) struct file key = { NULL, 0 };
	const size_t max = 2 * (LIMIT_OWN_CERT_BYTES + LIMIT_KEY_BYTES);
	int error = file_read(options->cert, max, &cert);

	if (error)
		return complain(EXIT_USAGE, options->cert, "%s", strerror(error));
	error = file_read(options->key, max, &key);
	if (error)
		return complain(EXIT_USAGE, options->key, "%s", strerror(error));
	if (tlsb_config_set_client_cert_key(config, cert.data, cert.len, key.data, key.len) == 0)
		return EXIT_OK;
	if (errno == EINVAL)
		return complain(EXIT_USAGE, options->cert, "no certificate, or %s no private key, "
				"neither PEM nor DER", options->key);
	return complain(EXIT_USAGE, options->cert, "%s", strerror(errno));
}

static enum exit_code set_pins(struct tlsb_config *config, const struct options *options)
{
	for (unsigned i = 0; i < options->pin_count; i++) {
		if (tlsb_config_add_pin(config, options->pins[i]) < 0)
			return set_failed(options->pins[i], "--pin must be sha256/ and the base64 of "
							    "a public key's SHA-256");
	}
	return EXIT_OK;
}

/* The file may be a pipe.  How many bytes the key has, or -errno; -EINVAL, -ERANGE: it is none. */
static int read_psk(const char *path, uint8_t key[LIMIT_PSK_BYTES])
{
	char text[4 * LIMIT_PSK_BYTES];
	cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, text + len, sizeof(text) - len);
		len += n > 0 ? (size_t)n : 0;
	} while ((n > 0 && len < sizeof(text)) || (n < 0 && errno == EINTR));
	r = n < 0 ? -errno : text_parse_hex(text, len, key, LIMIT_PSK_BYTES);
	explicit_bzero(text, sizeof(text));
	return r;
}

static enum exit_code set_psk(struct tlsb_config *config, const struct options *options)
{
	uint8_t key[LIMIT_PSK_BYTES];
	int len = options->psk_file ? read_psk(options->psk_file, key) : 0, r;

	if (len < 0 && len != -EINVAL && len != -ERANGE)
		return complain(EXIT_USAGE, options->psk_file, "%s", strerror(-len));
	if (options->psk_file && (len < LIMIT_PSK_LEAST || len > LIMIT_PSK_BYTES))
		return complain(EXIT_USAGE, options->psk_file,
				"holds no key of %d to %d bytes in hexadecimal digits",
				LIMIT_PSK_LEAST, LIMIT_PSK_BYTES);
	r = tlsb_config_set_psk(config, options->psk, len > 0 ? key : NULL, (size_t)len);
	explicit_bzero(key, sizeof(key));
	if (r == 0)
		return EXIT_OK;
	return set_failed(options->psk, options->psk_file
						? "--psk must be 1 to 128 bytes, none of them a "
						  "control character"
						: "--psk must be 1 to 63 letters, digits, and . _ -");
}

static enum exit_code configure(struct tlsb_config *config, const struct options *options)
{
	enum exit_code exit;

	if (options->name && tlsb_config_set_server_name(config, options->name) < 0)
		return set_failed(options->name, "--name must be a host name or an IP address");
	if (options->alpn && tlsb_config_set_alpn(config, options->alpn) < 0)
		return set_failed(options->alpn, "--alpn must be protocols separated by commas, "
						 "255 bytes at most");
	if (options->ciphers && tlsb_config_set_ciphers(config, options->ciphers) < 0)
		return set_failed(options->ciphers, "--ciphers must be names of cipher suites "
						    "separated by colons, 511 bytes at most");
	if (tlsb_config_set_versions(config, options->version_min, options->version_max) < 0)
		return set_failed("--min-version", "cannot be used");
	if (tlsb_config_set_family(config, options->family) < 0)
		return set_failed("-4, -6", "cannot be used");
	if (options->no_resumption && tlsb_config_set_resumption(config, 0) < 0)
		return set_failed("--no-resume", "cannot be used");
	if (options->identity && tlsb_config_set_identity(config, options->identity) < 0)
		return set_failed(options->identity, "--identity must be 1 to 63 letters, digits, "
						     "and . _ -");
	if (options->insecure && tlsb_config_insecure_no_verify(config) < 0)
		return set_failed("--insecure", "cannot be used");
	if (options->ca && (exit = set_ca(config, options->ca)) != EXIT_OK)
		return exit;
	if (options->psk && (exit = set_psk(config, options)) != EXIT_OK)
		return exit;
	if (options->cert && (exit = set_cert_key(config, options)) != EXIT_OK)
		return exit;
	return set_pins(config, options);
}

/* Milliseconds until DEADLINE, at least one. */
static int left(uint64_t deadline)
{
	uint64_t now = clock_ms();

	return deadline > now ? (int)(deadline - now) : 1;
}

/* Connect and handshake under one deadline.  0, or the errno. */
static int establish(struct tlsb_session *session, const struct options *options)
{
	int ms = options->timeout_s ? (int)options->timeout_s * 1000 : LIMIT_CONNECT_MS;
	uint64_t deadline = clock_ms() + (uint64_t)ms + GRACE_MS;
	int r;

	/* What is set at the first call is the broker's deadline too. */
	tlsb_set_timeout(session, ms);
	r = tlsb_connect(session, options->target.host, options->target.port);
	while (r < 0 && tlsb_error_code(session) == TLSB_E_NONE && clock_ms() < deadline &&
	       (errno == ETIMEDOUT || errno == EINTR)) {
		tlsb_set_timeout(session, left(deadline));
		r = tlsb_connect(session, NULL, NULL);
	}
	if (r < 0)
		return errno;
	do {
		tlsb_set_timeout(session, left(deadline));
		r = tlsb_handshake(session);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? errno : 0;
}

static enum exit_code use(struct tlsb_session *session, const struct options *options)
{
	struct pump_result result = { 0 };
	struct tlsb_info info;
	enum exit_code exit;
	int error = establish(session, options);

	if (error)
		return session_failed(options, session, error);
	if (options->verbose && tlsb_info(session, &info, sizeof(info)) == 0)
		report_established(stderr, &info);
	tlsb_set_timeout(session, 0);
	exit = pump_run(session, options->eof_wait_ms, &result);
	if (options->verbose)
		report_ended(stderr, result.received, result.sent);
	if (result.session_error)
		return session_failed(options, session, result.session_error);
	return exit;
}

enum exit_code connect_run(const struct options *options)
{
	cleanup_(cleanup_config) struct tlsb_config *config = tlsb_config_new();
	/* In this order: the session is freed first. */
	cleanup_(cleanup_broker) struct tlsb *broker = NULL;
	cleanup_(cleanup_session) struct tlsb_session *session = NULL;
	enum exit_code exit;

	if (!config)
		return complain(EXIT_OTHER, options->subject, "%s", strerror(errno));
	exit = configure(config, options);
	if (exit != EXIT_OK)
		return exit;
	broker = tlsb_open(options->socket);
	if (!broker)
		return broker_failed(options, errno);
	session = tlsb_session_new(broker, config);
	if (!session)
		return complain(EXIT_OTHER, options->subject, "%s", strerror(errno));
	return use(session, options);
}
