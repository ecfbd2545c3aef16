/*
 * The benchmark's measure: what a program does that links OpenSSL itself.  Blocking sockets, one
 * context for all sessions, the bundle loaded once, the library's own defaults: what the manual
 * pages show, no more and no less.  With $BENCH_READ_AHEAD it asks the kernel for 64 KiB at a time, as
 * few programs do.
 */
#include "bench/driver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

struct backend {
	SSL_CTX *ctx;
	SSL_SESSION *session; /* the newest ticket */
	struct sockaddr_in address;
	int resume;
};

struct link {
	SSL *ssl;
};

static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
	struct backend *backend = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	SSL_SESSION_free(backend->session);
	backend->session = session;
	return 1; /* kept */
}

static void show_identity(SSL_CTX *ctx)
{
	const char *name = getenv("BENCH_IDENTITY");
	char certificate[256], key[256];

	if (!name)
		return;
	snprintf(certificate, sizeof(certificate), "%s.pem", name);
	snprintf(key, sizeof(key), "%s.key", name);
	if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		die("%s: cannot be used", name);
}

static struct backend *backend_new(const char *port, const char *trust, int resume)
{
	struct backend *backend = calloc(1, sizeof(*backend));

	if (!backend || !(backend->ctx = SSL_CTX_new(TLS_client_method())))
		die("no memory");
	if (SSL_CTX_load_verify_file(backend->ctx, trust) != 1)
		die("%s: cannot be used", trust);
	SSL_CTX_set_verify(backend->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_min_proto_version(backend->ctx, TLS1_2_VERSION);
	SSL_CTX_set_app_data(backend->ctx, backend);
	show_identity(backend->ctx);
	if (getenv("BENCH_READ_AHEAD")) {
		SSL_CTX_set_read_ahead(backend->ctx, 1);
		SSL_CTX_set_default_read_buffer_len(backend->ctx, 65536);
	}
	if (resume) {
		SSL_CTX_set_session_cache_mode(backend->ctx,
					       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(backend->ctx, on_ticket);
	}
	backend->address.sin_family = AF_INET;
	backend->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	backend->address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	backend->resume = resume;
	return backend;
}

static void backend_free(struct backend *backend)
{
	SSL_SESSION_free(backend->session);
	SSL_CTX_free(backend->ctx);
	free(backend);
}

static void backend_greet(struct backend *backend)
{
	(void)backend;
}

static struct link *link_begin(struct backend *backend, int wait)
{
	struct link *link = calloc(1, sizeof(*link));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	char name[] = WORK_NAME;

	if (!link || fd < 0)
		die("no memory or descriptor");
	if (connect(fd, (struct sockaddr *)&backend->address, sizeof(backend->address)) < 0)
		die("cannot connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	link->ssl = SSL_new(backend->ctx);
	if (!link->ssl || !SSL_set_fd(link->ssl, fd) || !SSL_set1_host(link->ssl, name) ||
	    !SSL_set_tlsext_host_name(link->ssl, name))
		die("no memory");
	if (backend->session)
		SSL_set_session(link->ssl, backend->session);
	if (!wait) {
		fcntl(fd, F_SETFL, O_NONBLOCK);
		SSL_connect(link->ssl); /* says hello */
		fcntl(fd, F_SETFL, 0);
	}
	return link;
}

static void link_finish(struct link *link)
{
	if (SSL_connect(link->ssl) != 1) {
		ERR_print_errors_fp(stderr);
		die("the handshake failed");
	}
}

static int link_resumed(const struct link *link)
{
	return SSL_session_reused(link->ssl);
}

static void link_free(struct link *link)
{
	int fd = SSL_get_fd(link->ssl);

	SSL_shutdown(link->ssl);
	SSL_free(link->ssl);
	close(fd);
	free(link);
}

static size_t link_read(struct link *link, void *buf, size_t len)
{
	size_t done;

	if (SSL_read_ex(link->ssl, buf, len, &done) != 1)
		die("the server has gone");
	return done;
}

static void link_write(struct link *link, const void *buf, size_t len)
{
	size_t done;

	if (SSL_write_ex(link->ssl, buf, len, &done) != 1)
		die("the server has gone");
}

static size_t link_use(struct link *link, size_t len, use_fn *use)
{
	return use_a_copy(link, len, use);
}

static size_t link_make(struct link *link, size_t len, make_fn *make)
{
	return make_a_copy(link, len, make);
}

int main(int argc, char **argv)
{
	return driver_main(argc, argv);
}
