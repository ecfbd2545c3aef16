/*
 * tlspeer: a TLS server for the tests, one thread for each connection, on OpenSSL.  What it does is
 * asked for by the client's first line:
 *
 *   echo                 send back what comes, until close_notify
 *   source N SEED        N bytes of pattern SEED, then close_notify
 *   sink                 read to the end, answer "HEX N\n": SHA-256 and length
 *   truncate N           N bytes, then FIN without close_notify
 *   reset N              N bytes, then RST
 *   silent               neither read nor write any more
 *   halfclose            close_notify at once, but go on reading
 *   keyupdate N          N KeyUpdates that ask for one back, then echo
 *   trickle N            echo, but N KeyUpdates between any two answers
 *   renegotiate N        N HelloRequests (TLS 1.2), then echo
 *   tickets N            N more NewSessionTickets (TLS 1.3), then echo
 *
 * Prints "listening PORT", and for each connection "handshake ..." and "end ...", one line each.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/pattern.h"

#define STACK_BYTES (256 * 1024) /* a thousand threads at once */
#define BUFFER      (64 * 1024)

/* More than any TLS client takes. */
#define STAPLE_MAX 65536

struct server {
	SSL_CTX *context;
	int listener;
	int mute; /* accept, then say nothing */
	int junk; /* accept, then speak something that is no TLS */
	uint8_t alpn[256];
	unsigned alpn_len;
};

struct peer {
	struct server *server;
	SSL *ssl;
	int fd;
	char command[64];
	uint64_t argument, seed;
	uint64_t read, wrote;
	EVP_MD_CTX *digest; /* of what the command's direction carries */
	uint8_t *buffer;
};

struct command {
	const char *name;
	void (*run)(struct peer *peer);
};

/* ---- what the commands are made of ---- */

static int give(struct peer *peer, const void *data, size_t len)
{
	if (SSL_write(peer->ssl, data, (int)len) <= 0)
		return 0;
	peer->wrote += len;
	return 1;
}

static int take(struct peer *peer)
{
	int n = SSL_read(peer->ssl, peer->buffer, BUFFER);

	if (n <= 0)
		return 0;
	peer->read += (uint64_t)n;
	return n;
}

static int give_pattern(struct peer *peer)
{
	struct pattern pattern = { .seed = peer->seed };

	for (uint64_t left = peer->argument; left > 0;) {
		size_t n = left < BUFFER ? left : BUFFER;

		pattern_fill(&pattern, peer->buffer, n);
		EVP_DigestUpdate(peer->digest, peer->buffer, n);
		if (!give(peer, peer->buffer, n))
			return 0;
		left -= n;
	}
	return 1;
}

static void shut_tcp(struct peer *peer, int reset)
{
	struct linger linger = { .l_onoff = reset, .l_linger = 0 };

	setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	SSL_set_quiet_shutdown(peer->ssl, 1);
	close(peer->fd);
	peer->fd = -1;
}

/*
 * Closing with bytes unread is a reset, which may overtake what we sent: and a client may still have
 * something under way, such as its answer to a key update.
 */
static void close_tcp(int fd)
{
	struct timeval patience = { .tv_sec = 5 };
	char away[4096];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (shutdown(fd, SHUT_WR) == 0)
		while (recv(fd, away, sizeof(away), 0) > 0)
			;
	close(fd);
}

/* ---- the commands ---- */

static void run_echo(struct peer *peer)
{
	int n;

	while ((n = take(peer)) > 0)
		if (!give(peer, peer->buffer, (size_t)n))
			return;
	SSL_shutdown(peer->ssl);
}

static void run_source(struct peer *peer)
{
	if (!give_pattern(peer))
		return;
	SSL_shutdown(peer->ssl);
}

static void run_sink(struct peer *peer)
{
	char hex[65], answer[128];
	EVP_MD_CTX *digest = digest_new();
	int n;

	while ((n = take(peer)) > 0)
		EVP_DigestUpdate(digest, peer->buffer, (size_t)n);
	if (SSL_get_shutdown(peer->ssl) & SSL_RECEIVED_SHUTDOWN) {
		digest_end(digest, hex);
		n = snprintf(answer, sizeof(answer), "%s %llu\n", hex,
			     (unsigned long long)peer->read);
		give(peer, answer, (size_t)n);
		SSL_shutdown(peer->ssl);
	} else {
		EVP_MD_CTX_free(digest);
	}
}

static void run_truncate(struct peer *peer)
{
	give_pattern(peer);
	shut_tcp(peer, 0);
}

static void run_reset(struct peer *peer)
{
	give_pattern(peer);
	shut_tcp(peer, 1);
}

static void run_silent(struct peer *peer)
{
	char byte;

	/* Returns only when the connection has gone: nothing is taken from it. */
	while (recv(peer->fd, &byte, 1, MSG_PEEK) > 0)
		usleep(100000);
}

static void run_halfclose(struct peer *peer)
{
	SSL_shutdown(peer->ssl);
	while (take(peer) > 0)
		;
}

static int key_updates(struct peer *peer)
{
	for (uint64_t i = 0; i < peer->argument; i++)
		if (SSL_key_update(peer->ssl, SSL_KEY_UPDATE_REQUESTED) != 1 ||
		    SSL_do_handshake(peer->ssl) != 1)
			return 0;
	return 1;
}

static void run_keyupdate(struct peer *peer)
{
	if (key_updates(peer))
		run_echo(peer);
}

static void run_trickle(struct peer *peer)
{
	int n;

	while ((n = take(peer)) > 0)
		if (!key_updates(peer) || !give(peer, peer->buffer, (size_t)n))
			return;
	SSL_shutdown(peer->ssl);
}

static void run_renegotiate(struct peer *peer)
{
	for (uint64_t i = 0; i < peer->argument; i++)
		if (SSL_renegotiate(peer->ssl) != 1 || SSL_do_handshake(peer->ssl) != 1)
			return;
	run_echo(peer);
}

static void run_tickets(struct peer *peer)
{
	for (uint64_t i = 0; i < peer->argument; i++)
		if (SSL_new_session_ticket(peer->ssl) != 1 || SSL_do_handshake(peer->ssl) != 1)
			return;
	run_echo(peer);
}

static const struct command commands[] = {
	{ "echo", run_echo },           { "source", run_source },
	{ "sink", run_sink },           { "truncate", run_truncate },
	{ "reset", run_reset },         { "silent", run_silent },
	{ "halfclose", run_halfclose }, { "keyupdate", run_keyupdate },
	{ "trickle", run_trickle },     { "renegotiate", run_renegotiate },
	{ "tickets", run_tickets },
};

/* ---- one connection ---- */

/* The first line, byte by byte: what follows belongs to the command. */
static int read_command(struct peer *peer)
{
	char line[64];
	size_t len = 0;

	while (len < sizeof(line) - 1) {
		if (SSL_read(peer->ssl, &line[len], 1) <= 0)
			return 0;
		if (line[len] == '\n')
			break;
		len++;
	}
	line[len] = 0;
	return sscanf(line, "%15s %lu %lu", peer->command, &peer->argument, &peer->seed) >= 1;
}

static void say_handshake(struct peer *peer)
{
	const char *name = SSL_get_servername(peer->ssl, TLSEXT_NAMETYPE_host_name);
	const uint8_t *alpn;
	unsigned alpn_len;

	SSL_get0_alpn_selected(peer->ssl, &alpn, &alpn_len);
	printf("handshake version=%s resumed=%d sni=%s alpn=%.*s\n", SSL_get_version(peer->ssl),
	       SSL_session_reused(peer->ssl), name ? name : "", (int)alpn_len,
	       alpn ? (const char *)alpn : "");
}

static void serve(struct peer *peer)
{
	char hex[65];

	SSL_set_fd(peer->ssl, peer->fd);
	if (SSL_accept(peer->ssl) != 1) {
		const char *why = ERR_reason_error_string(ERR_peek_last_error());

		printf("refused reason=%s\n", why ? why : "closed");
		return;
	}
	say_handshake(peer);
	if (read_command(peer)) {
		for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
			if (strcmp(commands[i].name, peer->command) == 0)
				commands[i].run(peer);
	}
	printf("end command=%s read=%lu wrote=%lu sha256=%s\n", peer->command, peer->read,
	       peer->wrote, digest_end(peer->digest, hex));
	peer->digest = NULL;
}

static void *peer_thread(void *argument)
{
	struct peer *peer = argument;

	if (peer->server->mute || peer->server->junk) {
		static const char greeting[] = "220 this is not TLS, but a mail server\r\n";

		if (peer->server->junk)
			send(peer->fd, greeting, sizeof(greeting) - 1, MSG_NOSIGNAL);
		run_silent(peer);
	} else {
		serve(peer);
	}
	EVP_MD_CTX_free(peer->digest);
	SSL_free(peer->ssl);
	if (peer->fd >= 0)
		close_tcp(peer->fd);
	free(peer->buffer);
	free(peer);
	return NULL;
}

/* ---- the server ---- */

static void accept_one(struct server *server, const pthread_attr_t *attributes)
{
	int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC), one = 1;
	struct peer *peer;
	pthread_t thread;

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		abort();
	*peer = (struct peer){ .server = server, .fd = fd, .ssl = SSL_new(server->context),
			       .digest = digest_new(), .buffer = malloc(BUFFER) };
	if (!peer->ssl || !peer->buffer || pthread_create(&thread, attributes, peer_thread, peer))
		abort();
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		   const unsigned char *in, unsigned in_len, void *argument)
{
	struct server *server = argument;
	unsigned char *chosen;

	(void)ssl;
	if (SSL_select_next_proto(&chosen, out_len, server->alpn, server->alpn_len, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static void set_alpn(struct server *server, const char *list)
{
	for (const char *at = list; *at;) {
		size_t len = strcspn(at, ",");

		if (server->alpn_len + len + 1 > sizeof(server->alpn))
			abort();
		server->alpn[server->alpn_len++] = (uint8_t)len;
		memcpy(server->alpn + server->alpn_len, at, len);
		server->alpn_len += (unsigned)len;
		at += len + (at[len] == ',');
	}
	SSL_CTX_set_alpn_select_cb(server->context, on_alpn, server);
}

static int set_version(SSL_CTX *context, const char *name)
{
	int version = strcmp(name, "1.3") == 0   ? TLS1_3_VERSION
		      : strcmp(name, "1.2") == 0 ? TLS1_2_VERSION
						 : TLS1_1_VERSION;

	return SSL_CTX_set_min_proto_version(context, version) == 1 &&
	       SSL_CTX_set_max_proto_version(context, version) == 1;
}

static int listen_on(const char *address)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };
	int is_six = inet_pton(AF_INET6, address, &six.sin6_addr) == 1, fd, one = 1;
	socklen_t len = is_six ? sizeof(six) : sizeof(four);
	struct sockaddr *name = is_six ? (struct sockaddr *)&six : (struct sockaddr *)&four;

	if (!is_six && inet_pton(AF_INET, address, &four.sin_addr) != 1)
		return -1;
	fd = socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, name, len) < 0 || listen(fd, 4096) < 0 ||
	    getsockname(fd, name, &len) < 0)
		return -1;
	printf("listening %d\n", ntohs(is_six ? six.sin6_port : four.sin_port));
	return fd;
}

static void usage(void)
{
	fprintf(stderr, "usage: tlspeer [--weak] --cert PEM --key PEM [--listen ADDRESS]\n"
			"               [--alpn LIST] [--tls 1.1|1.2|1.3] [--mute] [--junk]\n"
			"               [--staple FILE] [--clients-from PEM]\n");
	exit(2);
}

/* Whatever is in the file by then: an OCSP response, or anything else. */
static int on_status(SSL *ssl, void *file)
{
	FILE *stream = fopen(file, "re");
	unsigned char *bytes = OPENSSL_malloc(STAPLE_MAX);
	size_t len = stream && bytes ? fread(bytes, 1, STAPLE_MAX, stream) : 0;

	if (stream)
		fclose(stream);
	SSL_set_tlsext_status_ocsp_resp(ssl, bytes, (long)len);
	return SSL_TLSEXT_ERR_OK;
}

/* Who has none of this CA, or cannot sign with it, gets no session. */
static int demand_certificates(SSL_CTX *context, const char *ca)
{
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_session_id_context(context, (const unsigned char *)"tlspeer", 7);
	return SSL_CTX_load_verify_file(context, ca);
}

static void staple(SSL_CTX *context, char *file)
{
	SSL_CTX_set_tlsext_status_cb(context, on_status);
	SSL_CTX_set_tlsext_status_arg(context, file);
}

/* Returns the address to listen on. */
static const char *parse(struct server *server, int argc, char **argv)
{
	static const struct option options[] = {
		{ "cert", 1, NULL, 'c' }, { "key", 1, NULL, 'k' },  { "listen", 1, NULL, 'l' },
		{ "tls", 1, NULL, 't' },  { "alpn", 1, NULL, 'a' }, { "mute", 0, NULL, 'm' },
		{ "junk", 0, NULL, 'j' }, { "weak", 0, NULL, 'w' }, { "staple", 1, NULL, 's' },
		{ "clients-from", 1, NULL, 'C' },
		{ 0 },
	};
	const char *address = "127.0.0.1";
	SSL_CTX *context = server->context;

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		int ok = 1;

		switch (c) {
		case 'c': ok = SSL_CTX_use_certificate_chain_file(context, optarg); break;
		case 'k': ok = SSL_CTX_use_PrivateKey_file(context, optarg, SSL_FILETYPE_PEM); break;
		case 'l': address = optarg; break;
		case 't': ok = set_version(context, optarg); break;
		case 'a': set_alpn(server, optarg); break;
		case 'm': server->mute = 1; break;
		case 'j': server->junk = 1; break;
		/* First of all: OpenSSL would not load a weak certificate otherwise. */
		case 'w': ok = SSL_CTX_set_cipher_list(context, "DEFAULT@SECLEVEL=0"); break;
		case 'C': ok = demand_certificates(context, optarg); break;
		case 's': staple(context, optarg); break;
		default: usage();
		}
		if (ok != 1) {
			ERR_print_errors_fp(stderr);
			exit(1);
		}
	}
	return address;
}

int main(int argc, char **argv)
{
	struct server server = { .context = SSL_CTX_new(TLS_server_method()) };
	struct rlimit files = { 0 };
	pthread_attr_t attributes;

	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	SSL_CTX_set_session_id_context(server.context, (const unsigned char *)"tlspeer", 7);
	server.listener = listen_on(parse(&server, argc, argv));
	if (server.listener < 0) {
		perror("tlspeer: listen");
		return 1;
	}
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	for (;;)
		accept_one(&server, &attributes);
}
