/*
 * The same work over plain TCP: for a program that leaves TLS to a proxy, or to nobody, as
 * the floor below everything else.
 */
#include "bench/driver.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

struct backend {
	struct sockaddr_in address;
};

struct link {
	int fd;
};

static struct backend *backend_new(const char *port, const char *trust, int resume)
{
	struct backend *backend = calloc(1, sizeof(*backend));

	(void)trust, (void)resume; /* the proxy's */
	if (!backend)
		die("no memory");
	backend->address.sin_family = AF_INET;
	backend->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	backend->address.sin_port = htons((uint16_t)number(port));
	return backend;
}

static void backend_free(struct backend *backend)
{
	free(backend);
}

static void backend_greet(struct backend *backend)
{
	(void)backend;
}

static struct link *link_begin(struct backend *backend, int wait)
{
	struct link *link = calloc(1, sizeof(*link));
	int on = 1;

	(void)wait;
	if (!link || (link->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		die("no memory or descriptor");
	if (connect(link->fd, (struct sockaddr *)&backend->address, sizeof(backend->address)) < 0)
		die("cannot connect");
	setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return link;
}

static void link_finish(struct link *link)
{
	(void)link;
}

static int link_resumed(const struct link *link)
{
	(void)link; /* the proxy knows */
	return 1;
}

static void link_free(struct link *link)
{
	close(link->fd);
	free(link);
}

static size_t link_read(struct link *link, void *buf, size_t len)
{
	ssize_t r = recv(link->fd, buf, len, 0);

	if (r <= 0)
		die("the other side has gone");
	return (size_t)r;
}

static void link_write(struct link *link, const void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t r = send(link->fd, (const char *)buf + done, len - done, MSG_NOSIGNAL);

		if (r < 0)
			die("the other side has gone");
		done += (size_t)r;
	}
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
