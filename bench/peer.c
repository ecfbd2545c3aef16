/*
 * The server that the benchmarks' clients talk to: sends, takes or echoes bytes (work.h) over TLS,
 * as fast as OpenSSL lets it.  epoll, any number of connections, dealt out to its threads in turn.
 *
 *	peer [-n THREADS] [CERT.pem KEY.pem [CA.pem]]
 *
 * has one thread; with CA.pem wants certificates of its clients, too; with no file at all speaks plain
 * TCP, for comparison.  Listens on a free port of 127.0.0.1, prints its number, and serves until its
 * standard input ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
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

#define MOST_THREADS 64

struct peer {
	int listener;
	SSL_CTX *ctx; /* NULL: plain TCP */
	unsigned threads, next;
	struct thread {
		struct peer *peer;
		int epoll;
	} thread[MOST_THREADS]; /* the first one is main()'s, and accepts */
	struct tally tally;
	char source[WORK_BYTES];
};

struct connection {
	int fd, epoll;
	SSL *ssl;
	struct work work; /* count: bytes still to come or go */
	size_t have;      /* bytes of the next request; bytes to send from buf */
	size_t sent;      /* ... of which these are gone */
	char buf[WORK_BYTES];
	uint32_t events; /* what epoll waits for */
};

static void die(const char *what)
{
	perror(what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static void connection_free(struct connection *c)
{
	SSL_free(c->ssl);
	close(c->fd);
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

static int plain_step(ssize_t done, uint32_t wanted, uint32_t *events)
{
	if (done > 0)
		return (int)done;
	*events = wanted;
	return done < 0 && errno == EAGAIN ? 0 : -1;
}

static int take(struct connection *c, void *buf, size_t len, uint32_t *events)
{
	return c->ssl ? step(c, SSL_read(c->ssl, buf, (int)len), events) :
			plain_step(recv(c->fd, buf, len, 0), EPOLLIN, events);
}

static int put(struct connection *c, const void *buf, size_t len, uint32_t *events)
{
	return c->ssl ? step(c, SSL_write(c->ssl, buf, (int)len), events) :
			plain_step(send(c->fd, buf, len, MSG_NOSIGNAL), EPOLLOUT, events);
}

static int shake_hands(struct peer *peer, struct connection *c, uint32_t *events)
{
	int r = step(c, SSL_do_handshake(c->ssl), events);

	if (r > 0) {
		__atomic_add_fetch(&peer->tally.handshakes, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&peer->tally.resumed, (uint64_t)SSL_session_reused(c->ssl),
				   __ATOMIC_RELAXED);
	}
	return r;
}

static int take_request(struct connection *c, uint32_t *events)
{
	int r = take(c, c->buf + c->have, sizeof(c->work) - c->have, events);

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
	int r = put(c, peer->source, len, events);

	if (r > 0)
		c->work.count -= (uint64_t)r;
	return r;
}

static int take_sink(struct connection *c, uint32_t *events)
{
	int r;

	if (c->work.count > 0) {
		r = take(c, c->buf, WORK_BYTES, events);
		if (r > 0)
			c->work.count -= (uint64_t)r;
		if (r <= 0 || c->work.count > 0)
			return r;
	}
	r = put(c, "!", 1, events);
	if (r > 0)
		c->work.kind = 0;
	return r;
}

/* What is in c->buf, from c->sent on. */
static int send_rest(struct connection *c, uint32_t *events)
{
	int r = put(c, c->buf + c->sent, c->have - c->sent, events);

	if (r <= 0)
		return r;
	c->work.count -= (uint64_t)r;
	c->sent += (size_t)r;
	if (c->sent == c->have)
		c->have = c->sent = 0;
	return r;
}

static int echo(struct connection *c, uint32_t *events)
{
	int r;

	if (c->have == 0) {
		r = take(c, c->buf, WORK_BYTES, events);
		if (r <= 0)
			return r;
		c->have = (size_t)r;
	}
	return send_rest(c, events);
}

static int tell(struct peer *peer, struct connection *c, uint32_t *events)
{
	if (c->have == 0) {
		memcpy(c->buf, &peer->tally, sizeof(peer->tally));
		c->have = c->work.count = sizeof(peer->tally);
	}
	return send_rest(c, events);
}

static int advance(struct peer *peer, struct connection *c, uint32_t *events)
{
	if (c->ssl && !SSL_is_init_finished(c->ssl))
		return shake_hands(peer, c, events);
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
	case WORK_TALLY:
		return tell(peer, c, events);
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
	if (epoll_ctl(c->epoll, EPOLL_CTL_MOD, c->fd, &event) < 0)
		die("epoll_ctl");
}

static struct connection *connection_new(struct peer *peer, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c)
		die("connection");
	c->fd = fd;
	c->epoll = peer->thread[peer->next++ % peer->threads].epoll;
	if (peer->ctx) {
		if (!(c->ssl = SSL_new(peer->ctx)) || !SSL_set_fd(c->ssl, fd))
			die("connection");
		SSL_set_accept_state(c->ssl);
	}
	return c;
}

static void watch(int epoll, int fd, void *tag)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = tag };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

static void accept_all(struct peer *peer)
{
	struct connection *c;
	int fd, on = 1;

	while ((fd = accept4(peer->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		c = connection_new(peer, fd);
		c->events = EPOLLIN;
		watch(c->epoll, fd, c); /* from now on that thread's */
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
	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_ciphersuites(ctx, WORK_CIPHER);
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

/* Until whoever started this has gone, which the first thread sees. */
static void *run(void *arg)
{
	struct thread *thread = arg;
	struct peer *peer = thread->peer;
	struct epoll_event events[64];

	for (;;) {
		int n = epoll_wait(thread->epoll, events, 64, -1);

		for (int i = 0; i < n; i++) {
			if (!events[i].data.ptr)
				return NULL;
			if (events[i].data.ptr == &peer->listener)
				accept_all(peer);
			else
				serve(peer, events[i].data.ptr);
		}
	}
}

static void start_threads(struct peer *peer)
{
	pthread_t id;

	for (unsigned i = 0; i < peer->threads; i++) {
		peer->thread[i].peer = peer;
		peer->thread[i].epoll = epoll_create1(EPOLL_CLOEXEC);
		if (i > 0 && pthread_create(&id, NULL, run, &peer->thread[i]) != 0)
			die("pthread_create");
	}
}

static unsigned read_threads(int argc, char **argv)
{
	unsigned threads = 1;
	int option;

	while ((option = getopt(argc, argv, "n:")) == 'n')
		threads = (unsigned)strtoul(optarg, NULL, 10);
	argc -= optind;
	if (option != -1 || threads < 1 || (argc != 0 && argc != 2 && argc != 3)) {
		fprintf(stderr, "usage: peer [-n THREADS] [CERT.pem KEY.pem [CA.pem]]\n");
		exit(2);
	}
	return threads < MOST_THREADS ? threads : MOST_THREADS;
}

static void raise_files(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv)
{
	static struct peer peer;

	peer.threads = read_threads(argc, argv);
	argv += optind;
	signal(SIGPIPE, SIG_IGN); /* clients may be killed */
	raise_files();
	if (argv[0])
		peer.ctx = context(argv[0], argv[1], argv[2]);
	peer.listener = listen_loopback();
	start_threads(&peer);
	watch(peer.thread[0].epoll, peer.listener, &peer.listener);
	watch(peer.thread[0].epoll, STDIN_FILENO, NULL);
	run(&peer.thread[0]);
	return 0;
}
