/*
 * The same work through the broker at $TLSBROKER_SOCKET, whose own trust is the bundle that the
 * in-process client loads.  Blocking calls, so that both sleep in the kernel while they wait.
 */
#include "bench/driver.h"

#include <errno.h>
#include <tlsbroker.h>

struct backend {
	struct tlsb *broker;
	struct tlsb_config *config;
	const char *port;
};

struct link {
	struct tlsb_session *session;
};

static struct backend *backend_new(const char *port, const char *trust, int resume)
{
	struct backend *backend = calloc(1, sizeof(*backend));

	(void)trust; /* the broker has it */
	if (!backend)
		die("no memory");
	backend->port = port;
	backend->broker = tlsb_open(NULL);
	backend->config = tlsb_config_new();
	if (!backend->broker || !backend->config)
		die("no broker: %s", strerror(errno));
	if (tlsb_config_set_server_name(backend->config, WORK_NAME) < 0 ||
	    tlsb_config_set_resumption(backend->config, resume) < 0 ||
	    tlsb_config_set_identity(backend->config, getenv("BENCH_IDENTITY")) < 0)
		die("settings: %s", strerror(errno));
	return backend;
}

static void backend_free(struct backend *backend)
{
	tlsb_config_free(backend->config);
	tlsb_close(backend->broker);
	free(backend);
}

__attribute__((noreturn)) static void failed(const struct link *link, const char *what)
{
	die("%s: %s: %s", what, strerror(errno), tlsb_error_text(link->session));
}

static void backend_greet(struct backend *backend)
{
	if (!tlsb_badge(backend->broker))
		die("badge: %s", strerror(errno));
}

static struct link *link_begin(struct backend *backend, int wait)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		die("no memory");
	link->session = tlsb_session_new(backend->broker, backend->config);
	if (!link->session)
		die("session: %s", strerror(errno));
	tlsb_set_timeout(link->session, wait ? -1 : 0);
	if (tlsb_connect(link->session, "127.0.0.1", backend->port) < 0 &&
	    (wait || errno != EWOULDBLOCK))
		failed(link, "connect");
	return link;
}

static void link_finish(struct link *link)
{
	tlsb_set_timeout(link->session, -1);
	if (tlsb_handshake(link->session) < 0)
		failed(link, "handshake");
}

static int link_resumed(const struct link *link)
{
	struct tlsb_info info;

	if (tlsb_info(link->session, &info, sizeof(info)) < 0)
		failed(link, "info");
	return (int)info.resumed;
}

static void link_free(struct link *link)
{
	tlsb_session_free(link->session);
	free(link);
}

static size_t link_read(struct link *link, void *buf, size_t len)
{
	ssize_t r = tlsb_read(link->session, buf, len);

	if (r <= 0)
		failed(link, "read");
	return (size_t)r;
}

static void link_write(struct link *link, const void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t r = tlsb_write(link->session, (const char *)buf + done, len - done);

		if (r < 0)
			failed(link, "write");
		done += (size_t)r;
	}
}

static size_t link_use(struct link *link, size_t len, use_fn *use)
{
	const void *data;
	ssize_t r = tlsb_peek(link->session, &data);

	if (r <= 0)
		failed(link, "peek");
	if (len > (size_t)r)
		len = (size_t)r;
	use(data, len);
	if (tlsb_consume(link->session, len) < 0)
		failed(link, "consume");
	return len;
}

static size_t link_make(struct link *link, size_t len, make_fn *make)
{
	void *room;
	ssize_t r = tlsb_reserve(link->session, &room);

	if (r < 0)
		failed(link, "reserve");
	if (len > (size_t)r)
		len = (size_t)r;
	make(room, len);
	if (tlsb_commit(link->session, len) < 0)
		failed(link, "commit");
	return len;
}

int main(int argc, char **argv)
{
	return driver_main(argc, argv);
}
