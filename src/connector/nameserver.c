#include "connector/nameserver.h"

/* The calls of 1.18 (Debian 12), which later versions have too but call old. */
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/macros.h"

struct nameserver_socket {
	LIST_ENTRY(nameserver_socket) next;
	struct nameserver *server;
	struct event *ready;
};

struct asked {
	struct nameserver *server;
	unsigned index;
	nameserver_done *done;
	void *arg;
};

/* ---- sockets, made so that no further call is needed to make them close-on-exec and so on ---- */

static ares_socket_t open_socket(int family, int type, int protocol, void *arg)
{
	struct nameserver *server = arg;
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	server->shortage = fd < 0 && errno != EAFNOSUPPORT;
	return fd;
}

static int close_socket(ares_socket_t fd, void *arg unused_)
{
	return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *to, ares_socklen_t len,
			  void *arg unused_)
{
	return connect(fd, to, len);
}

static ares_ssize_t receive(ares_socket_t fd, void *data, size_t len, int flags,
			    struct sockaddr *from, ares_socklen_t *from_len, void *arg unused_)
{
	return recvfrom(fd, data, len, flags, from, from_len);
}

static ares_ssize_t send_parts(ares_socket_t fd, const struct iovec *parts, int count,
			       void *arg unused_)
{
	/* sendmsg(2) only reads through it, but msghdr has no const. */
	struct msghdr mh = {
		.msg_iov = (struct iovec *)(uintptr_t)parts,
		.msg_iovlen = (size_t)count,
	};

	ssize_t n = sendmsg(fd, &mh, MSG_NOSIGNAL);

	/*
	 * This error is of the question before, which c-ares would leave waiting, since the error
	 * is told only once.  Send again: what comes back then is read, and ends both questions.
	 */
	if (n < 0 && errno == ECONNREFUSED)
		n = sendmsg(fd, &mh, MSG_NOSIGNAL);
	return n;
}

static const struct ares_socket_functions socket_functions = {
	.asocket = open_socket,
	.aclose = close_socket,
	.aconnect = connect_socket,
	.arecvfrom = receive,
	.asendv = send_parts,
};

/* ---- the event loop ---- */

/*
 * After each call of c-ares.  A socket that we cannot listen to would be asked on and on, as long as
 * there are questions: so they end, it is closed, and the next question gets another one.
 */
static void settle(struct nameserver *server)
{
	struct timeval longest = { NAMESERVER_TIMEOUT_MS / 1000, 0 }, left;

	if (server->deaf)
		ares_cancel(server->channel);
	server->deaf = false;
	if (server->asked == 0)
		event_del(server->timer);
	else
		event_add(server->timer, ares_timeout(server->channel, &longest, &left));
}

static void on_timer(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct nameserver *server = arg;

	ares_process_fd(server->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	settle(server);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	/* c-ares may close the socket, and with it free ARG, before it returns. */
	struct nameserver *server = ((struct nameserver_socket *)arg)->server;

	ares_process_fd(server->channel, what & EV_READ ? fd : ARES_SOCKET_BAD,
			what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	settle(server);
}

static struct nameserver_socket *socket_get(struct nameserver *server, ares_socket_t fd)
{
	struct nameserver_socket *found;

	LIST_FOREACH(found, &server->sockets, next) {
		if (event_get_fd(found->ready) == fd)
			return found;
	}
	found = calloc(1, sizeof(*found));
	if (!found)
		return NULL;
	found->server = server;
	found->ready = event_new(server->base, fd, EV_READ | EV_PERSIST, on_ready, found);
	if (!found->ready) {
		free(found);
		return NULL;
	}
	LIST_INSERT_HEAD(&server->sockets, found, next);
	return found;
}

static void socket_forget(struct nameserver_socket *forgotten)
{
	LIST_REMOVE(forgotten, next);
	event_free(forgotten->ready);
	free(forgotten);
}

/* c-ares says what it waits for. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct nameserver *server = arg;
	struct nameserver_socket *it = socket_get(server, fd);
	short what = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));

	if (it && !what) {
		socket_forget(it);
		return;
	}
	if (it) {
		event_del(it->ready);
		event_assign(it->ready, server->base, fd, what | EV_PERSIST, on_ready, it);
	}
	if (what && (!it || event_add(it->ready, NULL) < 0))
		server->deaf = true;
}

/* ---- the channel ---- */

int nameserver_prepare(struct nameserver *server)
{
	struct in_addr nobody = { htonl(INADDR_LOOPBACK) };
	char lookups[] = "b"; /* name servers, not the hosts file */
	struct ares_options options = {
		/* CHECKRESP would make "cannot be reached" of SERVFAIL and the like. */
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP,
		.timeout = NAMESERVER_TIMEOUT_MS,
		.tries = 1,
		.servers = &nobody,
		.nservers = 1,
		.lookups = lookups,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = server,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
		   ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SORTLIST |
		   ARES_OPT_NOROTATE | ARES_OPT_SOCK_STATE_CB;

	*server = (struct nameserver){ 0 };
#ifdef ARES_OPT_UDP_MAX_QUERIES
	options.udp_max_queries = 1; /* a port of its own for each question, harder to guess */
	mask |= ARES_OPT_UDP_MAX_QUERIES;
#endif
#ifdef ARES_OPT_QUERY_CACHE
	options.qcache_max_ttl = 0; /* there is one, see namecache.h */
	mask |= ARES_OPT_QUERY_CACHE;
#endif
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return -ENOMEM;
	if (ares_init_options(&server->channel, &options, mask) != ARES_SUCCESS) {
		ares_library_cleanup();
		return -ENOMEM;
	}
	ares_set_socket_functions(server->channel, &socket_functions, server);
	return 0;
}

int nameserver_start(struct nameserver *server, struct event_base *base)
{
	server->base = base;
	server->timer = event_new(base, -1, 0, on_timer, server);
	return server->timer ? 0 : -ENOMEM;
}

void nameserver_deinit(struct nameserver *server)
{
	struct nameserver_socket *it, *next;

	if (!server->channel)
		return;
	ares_destroy(server->channel);
	for (it = LIST_FIRST(&server->sockets); it; it = next) {
		next = LIST_NEXT(it, next);
		socket_forget(it);
	}
	if (server->timer)
		event_free(server->timer);
	ares_library_cleanup();
	*server = (struct nameserver){ 0 };
}

int nameserver_set_address(struct nameserver *server, const struct address *address)
{
	char text[ADDRESS_TEXT], csv[ADDRESS_TEXT + 8];

	address_text(address, text);
	snprintf(csv, sizeof(csv), address->family == AF_INET6 ? "[%s]:53" : "%s:53", text);
	ares_cancel(server->channel); /* with questions under way it would keep the old one */
	settle(server);
	if (ares_set_servers_csv(server->channel, csv) != ARES_SUCCESS)
		return -ENOMEM;
	server->address = *address;
	server->avoid_until_ms = 0;
	return 0;
}

/* ---- questions ---- */

/* From the network: c-ares has checked its form, not its sense. */
static void take_addresses(const struct ares_addrinfo *info, unsigned index, struct answer *answer)
{
	int ttl = LIMIT_CACHE_S;

	for (const struct ares_addrinfo_cname *alias = info->cnames; alias; alias = alias->next)
		ttl = MIN(ttl, alias->ttl);
	for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next) {
		const union address_any *any = (const void *)node->ai_addr;
		struct address address;

		if (node->ai_family != (index == V6 ? AF_INET6 : AF_INET))
			continue;
		/* An IPv4 address has no business in an AAAA record. */
		if (index == V6 && IN6_IS_ADDR_V4MAPPED(&any->v6.sin6_addr))
			continue;
		address = index == V6 ? address_from_bytes(AF_INET6, &any->v6.sin6_addr) :
					address_from_bytes(AF_INET, &any->v4.sin_addr);
		if (address_is_unspecified(&address))
			continue;
		addresses_add(&answer->found, &address);
		ttl = MIN(ttl, node->ai_ttl);
	}
	answer->kind = answer->found.count > 0 ? ANSWER_FOUND : ANSWER_NO_ADDRESS;
	answer->ttl_s = (uint32_t)MAX(ttl, 0);
}

static void on_answer(void *arg, int status, int timeouts unused_, struct ares_addrinfo *info)
{
	struct asked *asked = arg;
	struct answer answer = { .kind = ANSWER_FAILED, .status = status };

	if (status == ARES_SUCCESS)
		take_addresses(info, asked->index, &answer);
	else if (status == ARES_ENODATA)
		answer.kind = ANSWER_NO_ADDRESS;
	else if (status == ARES_ENOTFOUND)
		answer.kind = ANSWER_NO_NAME;
	else if (asked->server->deaf || (status == ARES_ECONNREFUSED && asked->server->shortage))
		answer.status = ARES_ENOMEM; /* c-ares does not tell the difference */
	if (info)
		ares_freeaddrinfo(info);
	asked->server->asked--;
	asked->done(asked->arg, &answer);
	free(asked);
}

void nameserver_ask(struct nameserver *server, const char *name, unsigned index,
		    nameserver_done *done, void *arg)
{
	const struct ares_addrinfo_hints hints = {
		.ai_flags =
			ARES_AI_NOSORT, /* sorting would make sockets and ask the routing table */
		.ai_family = index == V6 ? AF_INET6 : AF_INET,
		.ai_socktype = SOCK_STREAM,
	};
	struct asked *asked = server->asked < LIMIT_QUESTIONS ? malloc(sizeof(*asked)) : NULL;

	if (!asked) {
		done(arg, &(struct answer){ .kind = ANSWER_FAILED, .status = ARES_ENOMEM });
		return;
	}
	*asked = (struct asked){ server, index, done, arg };
	server->asked++;
	ares_getaddrinfo(server->channel, name, NULL, &hints, on_answer, asked);
	settle(server);
}

const char *nameserver_trouble(int status)
{
	switch (status) {
	case ARES_ETIMEOUT:
		return "did not answer";
	case ARES_ECONNREFUSED:
		return "cannot be reached";
	case ARES_ESERVFAIL:
		return "failed (SERVFAIL)";
	case ARES_EREFUSED:
		return "refused to answer (REFUSED)";
	case ARES_ENOTIMP:
		return "cannot answer (NOTIMP)";
	case ARES_EFORMERR:
		return "did not understand (FORMERR)";
	case ARES_EBADNAME:
		return "cannot be asked for such a name";
	case ARES_ENOMEM:
		return "could not be asked, for want of memory or descriptors";
	default:
		return "sent an answer that makes no sense";
	}
}
