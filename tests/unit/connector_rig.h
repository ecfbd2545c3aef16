/*
 * The connector role inside a test: its real event loop and handlers, with the test at the far end
 * of every channel, as supervisor and as workers, and as the servers that are dialled. Header-only.
 */
#ifndef TLSB_TESTS_CONNECTOR_RIG_H
#define TLSB_TESTS_CONNECTOR_RIG_H

#include "testing.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "connector/connector.h"
#include "connector/lookup.h"
#include "tlsbroker.h"

struct rig {
	struct child child;
	int supervisor; /* the supervisor's end of the connector's channel */
	bool lost;	/* the connector gave its supervisor up */
	bool mute;	/* the supervisor does not answer RESOLVER_CHECK */
	unsigned checks;
};

/* What a worker was sent: DIALED with a socket, or DIAL_FAILED with a text. */
struct answer_to_worker {
	uint32_t type;
	struct msg_dialed dialed;
	int fd;
	struct msg_dial_failed failed;
	char text[LIMIT_TEXT + 1];
};

static inline void rig_on_lost(struct chan *chan, enum msg_rule rule unused_,
			       const char *what unused_)
{
	container_of((struct child *)chan->owner, struct rig, child)->lost = true;
}

static inline struct connector *rig_connector(const struct rig *rig)
{
	return rig->child.state;
}

/* As the supervisor.  FDS, as many as the row says, are consumed. */
static inline void rig_tell(struct rig *rig, uint32_t type, const void *body, int *fds)
{
	assert_int_equal(msg_send(rig->supervisor, &internal_messages, type, body, NULL, 0, fds),
			 0);
	for (unsigned i = 0; i < internal_messages.rows[type].fds; i++)
		fd_close(fds[i]);
}

/* As the supervisor: answer. */
static inline void rig_serve(struct rig *rig)
{
	const struct msg_context ctx = {&internal_messages, ROLE_SUPERVISOR, ROLE_CONNECTOR, RUN};
	const struct msg_resolver_same same = {0};
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;

	while (msg_recv(rig->supervisor, &ctx, &buf, &msg, &rule) == 1) {
		if (msg.type != MSG_RESOLVER_CHECK)
			continue;
		rig->checks++;
		if (!rig->mute)
			rig_tell(rig, MSG_RESOLVER_SAME, &same, NULL);
	}
	assert_int_equal(rule, RULE_NONE);
}

/* Let the role do what there is to do. */
static inline void rig_turn(struct rig *rig)
{
	for (int i = 0; i < 8; i++) {
		event_base_loop(rig->child.base, EVLOOP_NONBLOCK);
		rig_serve(rig);
	}
	assert_false(rig->lost);
}

static inline void rig_run_for(struct rig *rig, unsigned ms)
{
	uint64_t end = clock_ms() + ms;

	do {
		rig_turn(rig);
		usleep(300);
	} while (clock_ms() < end);
}

/* As the supervisor: both files. */
static inline void rig_files(struct rig *rig, const char *hosts, const char *resolv_conf)
{
	const struct msg_resolver body = {0};
	int fds[2];

	assert_int_equal(fd_sealed_copy("hosts", hosts, strlen(hosts), &fds[0]), 0);
	assert_int_equal(fd_sealed_copy("resolv", resolv_conf, strlen(resolv_conf), &fds[1]), 0);
	rig_tell(rig, MSG_RESOLVER, &body, fds);
	rig_turn(rig);
}

static inline void rig_init(struct rig *rig)
{
	const struct msg_start start = {0};
	struct counters *counters;
	int pair[2], page;

	*rig = (struct rig){.child = {.role = ROLE_CONNECTOR, .ops = &connector_ops}};
	assert_int_equal(connector_ops.prepare(&rig->child), 0);
	rig->child.base = event_base_new();
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig->supervisor = pair[1];
	assert_int_equal(chan_init(&rig->child.supervisor, rig->child.base, pair[0],
				   &internal_messages, ROLE_CONNECTOR, ROLE_SUPERVISOR, RUN,
				   connector_ops.handlers, rig_on_lost, &rig->child),
			 0);
	assert_int_equal(counters_create(&counters, &page), 0);
	counters_unmap(counters);
	rig_tell(rig, MSG_START, &start, &page);
	rig_turn(rig);
}

static inline void rig_deinit(struct rig *rig)
{
	connector_ops.stop(&rig->child);
	chan_deinit(&rig->child.supervisor);
	counters_unmap(rig->child.counters);
	event_base_free(rig->child.base);
	fd_close(rig->supervisor);
}

/* A channel for a worker: its end of it. */
static inline int rig_worker_of_pid(struct rig *rig, uint32_t uid, uint32_t pid)
{
	const struct msg_worker_chan body = {.uid = uid, .pid = pid};
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig_tell(rig, MSG_WORKER_CHAN, &body, &pair[0]);
	rig_turn(rig);
	return pair[1];
}

/* For a new worker of this user. */
static inline int rig_worker(struct rig *rig, uint32_t uid)
{
	static uint32_t pid = 1000;

	return rig_worker_of_pid(rig, uid, ++pid);
}

/* As a worker. */
static inline int rig_send(int worker, uint32_t type, const void *body, const char *tail)
{
	return msg_send(worker, &internal_messages, type, body, tail, tail ? strlen(tail) : 0,
			NULL);
}

static inline void rig_dial(int worker, uint64_t id, const char *host, uint16_t port,
			    uint16_t family, uint32_t deadline_ms)
{
	const struct msg_dial body = {
		.id = id, .deadline_ms = deadline_ms, .port = port, .family = family};

	assert_int_equal(rig_send(worker, MSG_DIAL, &body, host), 0);
}

static inline void rig_cancel(int worker, uint64_t id)
{
	const struct msg_dial_cancel body = {.id = id};

	assert_int_equal(rig_send(worker, MSG_DIAL_CANCEL, &body, NULL), 0);
}

/* As a worker: 1 and the next answer if there is one, 0 if the channel was closed, or -EAGAIN. */
static inline int rig_poll(int worker, struct answer_to_worker *ret_answer)
{
	const struct msg_context ctx = {&internal_messages, ROLE_WORKER, ROLE_CONNECTOR, RUN};
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;
	int r;

	/* That rules have changed is no answer. */
	while ((r = msg_recv(worker, &ctx, &buf, &msg, &rule)) == 1 &&
	       msg.type == MSG_DESTINATIONS_NEW)
		;
	*ret_answer = (struct answer_to_worker){.fd = -1};
	if (r != 1)
		return r;
	ret_answer->type = msg.type;
	if (msg.type == MSG_DIALED) {
		memcpy(&ret_answer->dialed, msg.body, sizeof(ret_answer->dialed));
		ret_answer->fd = msg_take_fd(&msg, 0);
	} else {
		memcpy(&ret_answer->failed, msg.body,
		       MIN(sizeof(ret_answer->failed), (size_t)msg.info->body));
		memcpy(ret_answer->text, msg.tail, msg.tail_len);
	}
	return 1;
}

/* The next answer; the test fails when none comes within MS. */
static inline void rig_wait(struct rig *rig, int worker, unsigned ms,
			    struct answer_to_worker *ret_answer)
{
	uint64_t end = clock_ms() + ms;
	int r;

	while ((r = rig_poll(worker, ret_answer)) == -EAGAIN && clock_ms() < end) {
		rig_turn(rig);
		usleep(200);
	}
	assert_int_equal(r, 1);
}

/* It is DIALED to this address, and the socket's peer is really there. */
static inline void rig_expect_dialed(struct answer_to_worker *answer, uint64_t id,
				     const char *address)
{
	union address_any peer;
	socklen_t len = sizeof(peer);
	char text[ADDRESS_TEXT];

	if (answer->type != MSG_DIALED)
		print_message("%s\n", answer->text);
	assert_int_equal(answer->type, MSG_DIALED);
	assert_int_equal(answer->dialed.id, id);
	inet_ntop(answer->dialed.family, answer->dialed.address, text, sizeof(text));
	assert_string_equal(text, address);
	assert_int_equal(getpeername(answer->fd, &peer.any, &len), 0);
	assert_int_equal(peer.any.sa_family, answer->dialed.family);
	assert_int_equal(ntohs(peer.v4.sin_port), answer->dialed.port);
	answer->fd = fd_close(answer->fd);
}

/* It is DIAL_FAILED with this error, and a text in which WORDS stand. */
static inline void rig_expect_failed(const struct answer_to_worker *answer, uint64_t id,
				     enum tlsb_error error, const char *words)
{
	assert_int_equal(answer->type, MSG_DIAL_FAILED);
	assert_int_equal(answer->failed.id, id);
	if (answer->failed.error != error || !strstr(answer->text, words))
		print_message("%s\n", answer->text);
	assert_int_equal(answer->failed.error, error);
	assert_non_null(strstr(answer->text, words));
}

static inline uint64_t rig_count(const struct rig *rig, enum counter which)
{
	return counters_get(rig->child.counters, which);
}

/* A listening socket on a literal address; *PORT 0: any, and then *PORT is it.  -1: cannot. */
static inline int rig_listen(const char *literal, uint16_t *port, int backlog)
{
	struct address address;
	union address_any any;
	socklen_t len;
	int fd, one = 1;

	assert_int_equal(address_parse(literal, &address), 0);
	len = address_sockaddr(&address, *port, &any);
	fd = socket(any.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, &any.any, len) < 0 || listen(fd, backlog) < 0) {
		fd_close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, &any.any, &len), 0);
	*port = ntohs(any.v4.sin_port); /* in both at the same place */
	return fd;
}

/* The same port of both families; what has it of one may be taken of the other.  false: no IPv6. */
static inline bool rig_listen_twice(int *ret_v4, int *ret_v6, uint16_t *ret_port, int backlog)
{
	for (;;) {
		*ret_port = 0;
		*ret_v6 = rig_listen("::1", ret_port, backlog);
		if (*ret_v6 < 0)
			return false;
		*ret_v4 = rig_listen("127.0.0.1", ret_port, backlog);
		if (*ret_v4 >= 0)
			return true;
		assert_int_equal(errno, EADDRINUSE);
		close(*ret_v6);
	}
}

/* A server that does not answer: its queue of new connections is full, so SYNs are dropped. */
struct silent_server {
	int listener, clients[4];
};

static inline bool rig_listen_silently(struct silent_server *server, const char *literal,
				       uint16_t *port)
{
	struct address address;
	union address_any any;
	socklen_t len;

	server->listener = rig_listen(literal, port, 0);
	if (server->listener < 0)
		return false;
	assert_int_equal(address_parse(literal, &address), 0);
	len = address_sockaddr(&address, *port, &any);
	for (unsigned i = 0; i < ARRAY_SIZE(server->clients); i++) {
		server->clients[i] =
			socket(any.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(server->clients[i], &any.any, len);
	}
	return true;
}

static inline void rig_close_silent(struct silent_server *server)
{
	for (unsigned i = 0; i < ARRAY_SIZE(server->clients); i++)
		fd_close(server->clients[i]);
	fd_close(server->listener);
}

/*
 * From now on this process has a network of its own, with nothing but a loopback interface, and may
 * bind port 53.  False: not possible here.
 */
static inline bool rig_own_network(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	request.ifr_flags = IFF_UP;
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0) {
		fd_close(fd);
		return false;
	}
	close(fd);
	return true;
}

#endif
