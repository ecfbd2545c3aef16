/*
 * The server that the benchmarks' clients talk to: sends, takes or echoes bytes (work.h) over TLS,
 * as fast as OpenSSL lets it.  One thread, epoll, any number of connections.
 *
 *	peer CERT.pem KEY.pem [CA.pem]
 *
 * with CA.pem wants certificates of its clients, too; listens on a free port of 127.0.0.1, prints its number, and serves until its standard input ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "bench/work.h"

/* Records for one connection before the others get a turn. */
#define TURN 64

struct peer {
	int epoll, listener;
	SSL_CTX *ctx;
	char source[WORK_BYTES];
};

struct connection {
	SSL *ssl;
	struct work work;      /* count: bytes still to come or go */
	size_t have;           /* bytes of the next request; bytes to echo */
	char buf[WORK_BYTES];
	uint32_t events;       /* what epoll waits for */
};

static void die(const char *what)
{
	perror(what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static void connection_free(struct connection *c)
{
	int fd = SSL_get_fd(c->ssl);

	SSL_free(c->ssl);
	close(fd);
	free(c);
}

/* A step: bytes moved, 0 when it has to wait (for *events), -1 when the connection is over. */
static int step(struct connection *c, int done, uint32_t *events)
{
	if (done > 0)
		return done;
	switch (SSL_get_error(c->ssl, done)) {
	case SSL_ERROR_WANT_READ:
		*events = EPOLLIN;
		return 0;
	case SSL_ERROR_WANT_WRITE:
		*events = EPOLLOUT;
		return 0;
	default:
		return -1;
	}
}

static int take_request(struct connection *c, uint32_t *events)
{
	int r = step(c, SSL_read(c->ssl, c->buf + c->have, (int)(sizeof(c->work) - c->have)), events);

	if (r <= 0)
		return r;
	c->have += (size_t)r;
	if (c->have == sizeof(c->work)) {
		memcpy(&c->work, c->buf, sizeof(c->work));
		c->have = 0;
	}
	return r;
}

static int send_source(struct peer *peer, struct connection *c, uint32_t *events)
{
	size_t len = c->work.count < WORK_BYTES ? (size_t)c->work.count : WORK_BYTES;
	int r = step(c, SSL_write(c->ssl, peer->source, (int)len), events);

	if (r > 0)
		c->work.count -= (uint64_t)r;
	return r;
}

static int take_sink(struct connection *c, uint32_t *events)
{
	int r;

	if (c->work.count > 0) {
		r = step(c, SSL_read(c->ssl, c->buf, WORK_BYTES), events);
		if (r > 0)
			c->work.count -= (uint64_t)r;
		if (r <= 0 || c->work.count > 0)
			return r;
	}
	r = step(c, SSL_write(c->ssl, "!", 1), events);
	if (r > 0)
		c->work.kind = 0;
	return r;
}

static int echo(struct connection *c, uint32_t *events)
{
	int r;

	if (c->have == 0) {
		r = step(c, SSL_read(c->ssl, c->buf, WORK_BYTES), events);
		if (r <= 0)
			return r;
		c->have = (size_t)r;
	}
	r = step(c, SSL_write(c->ssl, c->buf, (int)c->have), events);
	if (r > 0) {
		c->work.count -= (uint64_t)r;
		c->have = 0;
	}
	return r;
}

static int advance(struct peer *peer, struct connection *c, uint32_t *events)
{
	if (!SSL_is_init_finished(c->ssl))
		return step(c, SSL_do_handshake(c->ssl), events);
	if (c->work.count == 0 && c->work.kind != WORK_SINK)
		c->work.kind = 0;
	switch (c->work.kind) {
	case 0:
		return take_request(c, events);
	case WORK_SOURCE:
		return send_source(peer, c, events);
	case WORK_SINK:
		return take_sink(c, events);
	case WORK_ECHO:
		return echo(c, events);
	default:
		return -1;
	}
}

static void serve(struct peer *peer, struct connection *c)
{
	struct epoll_event event = { .data.ptr = c };
	uint32_t events = EPOLLIN | EPOLLOUT; /* after a whole turn: whatever comes first */
	int r = 1;

	for (int turn = 0; turn < TURN && r > 0; turn++)
		r = advance(peer, c, &events);
	ERR_clear_error();
	if (r < 0) {
		connection_free(c);
		return;
	}
	if (r > 0)
		events = EPOLLIN | EPOLLOUT;
	if (events == c->events)
		return;
	event.events = c->events = events;
	if (epoll_ctl(peer->epoll, EPOLL_CTL_MOD, SSL_get_fd(c->ssl), &event) < 0)
		die("epoll_ctl");
}

static void accept_all(struct peer *peer)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct connection *c;
	int fd, on = 1;

	while ((fd = accept4(peer->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		c = calloc(1, sizeof(*c));
		if (!c || !(c->ssl = SSL_new(peer->ctx)) || !SSL_set_fd(c->ssl, fd))
			die("connection");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		SSL_set_accept_state(c->ssl);
		event.data.ptr = c;
		c->events = event.events;
		if (epoll_ctl(peer->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			die("epoll_ctl");
	}
	if (errno != EAGAIN && errno != ECONNABORTED)
		die("accept");
}

static SSL_CTX *context(const char *cert, const char *key, const char *ca)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		die(cert);
	if (ca && SSL_CTX_load_verify_file(ctx, ca) != 1)
		die(ca);
	if (ca)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"bench", 5);
	return ctx;
}

static int listen_loopback(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		die("listen");
	printf("%u\n", (unsigned)ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

static void watch(struct peer *peer, int fd, void *tag)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = tag };

	if (epoll_ctl(peer->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

int main(int argc, char **argv)
{
	static struct peer peer;
	struct epoll_event events[64];
	struct rlimit files;
	int n;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: peer CERT.pem KEY.pem [CA.pem]\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	peer.ctx = context(argv[1], argv[2], argv[3]);
	peer.listener = listen_loopback();
	peer.epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(&peer, peer.listener, &peer.listener);
	watch(&peer, STDIN_FILENO, &peer.epoll);
	for (;;) {
		n = epoll_wait(peer.epoll, events, 64, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &peer.epoll)
				return 0; /* whoever started this has gone */
			if (events[i].data.ptr == &peer.listener)
				accept_all(&peer);
			else
				serve(&peer, events[i].data.ptr);
		}
	}
}
