/*
 * The frontdoor role inside a test: its real event loop and handlers, with the test at the far end
 * of every socket, as supervisor, as worker and as program.  Header-only.
 */
#ifndef TLSB_TESTS_FRONTDOOR_RIG_H
#define TLSB_TESTS_FRONTDOOR_RIG_H

#include "testing.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/counters.h"
#include "base/fd.h"
#include "frontdoor/frontdoor.h"
#include "frontdoor/state.h"
#include "tlsbroker.h"

struct rig {
	struct child child;
	int supervisor; /* the supervisor's end of the frontdoor's channel */
	struct sockaddr_un address;
	bool lost; /* the frontdoor gave its supervisor up */
};

static inline void rig_on_lost(struct chan *chan, enum msg_rule rule unused_,
			       const char *what unused_)
{
	struct child *child = chan->owner;

	container_of(child, struct rig, child)->lost = true;
}

/* Let the role do what there is to do. */
static inline void rig_turn(struct rig *rig)
{
	for (int i = 0; i < 4; i++)
		event_base_loop(rig->child.base, EVLOOP_NONBLOCK);
	assert_false(rig->lost);
}

static inline void rig_run_for(struct rig *rig, int ms)
{
	const struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_base_loopexit(rig->child.base, &tv);
	event_base_dispatch(rig->child.base);
	assert_false(rig->lost);
}

/* As the supervisor.  FD, if it is one, is consumed. */
static inline void rig_tell(struct rig *rig, uint32_t type, const void *body, int fd)
{
	assert_int_equal(msg_send(rig->supervisor, &internal_messages, type, body, NULL, 0, &fd),
			 0);
	fd_close(fd);
	rig_turn(rig);
}

/* 1 and the message, if PEER has sent one to SELF at FD; else what msg_recv() says. */
static inline int rig_receive(int fd, const struct msg_table *table, enum role self,
			      enum role peer, enum msg_phase phase, union msg_buffer *buf,
			      struct msg *ret_msg)
{
	const struct msg_context ctx = { table, self, peer, phase };
	enum msg_rule rule = RULE_NONE;

	return msg_recv(fd, &ctx, buf, ret_msg, &rule);
}

/* As the supervisor: the next message that is not for the log. */
static inline int rig_hear(struct rig *rig, union msg_buffer *buf, struct msg *ret_msg)
{
	int r;

	do
		r = rig_receive(rig->supervisor, &internal_messages, ROLE_SUPERVISOR,
				ROLE_FRONTDOOR, RUN, buf, ret_msg);
	while (r == 1 && ret_msg->type == MSG_LOG);
	return r;
}

/* The supervisor gets WORKER_WANTED or WORKER_RETIRE next, for this user. */
static inline void rig_expect(struct rig *rig, uint32_t type, uint32_t uid)
{
	union msg_buffer buf;
	struct msg msg;

	assert_int_equal(rig_hear(rig, &buf, &msg), 1);
	assert_int_equal(msg.type, type);
	assert_int_equal(((const struct msg_worker_wanted *)msg.body)->uid, uid);
}

static inline void rig_expect_nothing(struct rig *rig)
{
	union msg_buffer buf;
	struct msg msg;

	assert_int_equal(rig_hear(rig, &buf, &msg), -EAGAIN);
}

static inline int rig_listening_socket(struct rig *rig)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	rig->address = testing_address();
	assert_int_equal(bind(fd, (struct sockaddr *)&rig->address, sizeof(rig->address)), 0);
	assert_int_equal(listen(fd, 4096), 0);
	return fd;
}

static inline void rig_init(struct rig *rig)
{
	const struct msg_start start = { 0 };
	const struct msg_listen door = { 0 };
	struct counters *counters;
	int pair[2], page;

	*rig = (struct rig){ .child = { .role = ROLE_FRONTDOOR, .ops = &frontdoor_ops } };
	rig->child.base = event_base_new();
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig->supervisor = pair[1];
	assert_int_equal(frontdoor_ops.prepare(&rig->child), 0);
	assert_int_equal(chan_init(&rig->child.supervisor, rig->child.base, pair[0],
				   &internal_messages, ROLE_FRONTDOOR, ROLE_SUPERVISOR, RUN,
				   frontdoor_ops.handlers, rig_on_lost, &rig->child),
			 0);
	assert_int_equal(counters_create(&counters, &page), 0);
	counters_unmap(counters);
	rig_tell(rig, MSG_START, &start, page);
	rig_tell(rig, MSG_LISTEN, &door, rig_listening_socket(rig));
}

static inline void rig_deinit(struct rig *rig)
{
	frontdoor_ops.stop(&rig->child);
	chan_deinit(&rig->child.supervisor);
	counters_unmap(rig->child.counters);
	event_base_free(rig->child.base);
	fd_close(rig->supervisor);
}

static inline struct frontdoor *rig_frontdoor(struct rig *rig)
{
	return rig->child.state;
}

static inline uint64_t rig_count(struct rig *rig, enum counter which)
{
	return counters_get(rig->child.counters, which);
}

/* Give the frontdoor a worker for UID; returns the worker's end. */
static inline int rig_give_worker(struct rig *rig, uint32_t uid)
{
	const struct msg_worker_chan body = { .uid = uid };
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig_tell(rig, MSG_WORKER_CHAN, &body, pair[0]);
	return pair[1];
}

/* As the worker: say something without descriptors. */
static inline void rig_say(struct rig *rig, int worker, uint32_t type, const void *body)
{
	assert_int_equal(msg_send(worker, &internal_messages, type, body, NULL, 0, NULL), 0);
	rig_turn(rig);
}

static inline void rig_client_gone(struct rig *rig, int worker, uint64_t id)
{
	const struct msg_client_gone body = { .id = id };

	rig_say(rig, worker, MSG_CLIENT_GONE, &body);
}

/* As the worker: the next client, its socket included; or -1. */
static inline int rig_take_client(int worker, struct msg_client *ret_body)
{
	union msg_buffer buf;
	struct msg msg;
	int r = rig_receive(worker, &internal_messages, ROLE_WORKER, ROLE_FRONTDOOR, RUN, &buf,
			    &msg);

	if (r != 1)
		return -1;
	assert_int_equal(msg.type, MSG_CLIENT);
	*ret_body = *(const struct msg_client *)msg.body;
	return msg_take_fd(&msg, 0);
}

/* The same when only its id matters. */
static inline uint64_t rig_take_id(int worker)
{
	struct msg_client body;
	int fd = rig_take_client(worker, &body);

	assert_true(fd >= 0);
	fd_close(fd);
	return body.id;
}

/* A program of this user connects; only root can be others. */
static inline int rig_connect_as(struct rig *rig, uid_t uid)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	assert_true(fd >= 0);
	if (uid != geteuid())
		assert_int_equal(seteuid(uid), 0);
	r = connect(fd, (struct sockaddr *)&rig->address, sizeof(rig->address));
	if (geteuid() != getuid())
		assert_int_equal(seteuid(getuid()), 0);
	assert_int_equal(r, 0);
	return fd;
}

static inline int rig_connect(struct rig *rig)
{
	return rig_connect_as(rig, getuid());
}

/* The program reads REFUSED with this code, then the end.  Closes FD. */
static inline void rig_expect_refused(int fd, uint32_t error, const char *in_text)
{
	union msg_buffer buf;
	struct msg msg;
	char text[LIMIT_TEXT + 1];
	uint32_t at = 0;

	assert_true(testing_hangs_up(fd));
	assert_int_equal(rig_receive(fd, &client_messages, ROLE_CLIENT, ROLE_FRONTDOOR, HELLO, &buf,
				     &msg),
			 1);
	assert_int_equal(msg.type, CLIENT_MSG_REFUSED);
	assert_int_equal(((const struct msg_refused *)msg.body)->error, error);
	assert_int_equal(msg_tail_string(&msg, &at, msg.tail_len, text, sizeof(text)), 0);
	if (!strstr(text, in_text))
		fail_msg("\"%s\" is not in \"%s\"", in_text, text);
	assert_int_equal(rig_receive(fd, &client_messages, ROLE_CLIENT, ROLE_FRONTDOOR, HELLO, &buf,
				     &msg),
			 0);
	fd_close(fd);
}

/* Nothing was said to it, and it is still there. */
static inline void rig_expect_silence(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

/* For tests with many clients: the shell's usual 1,024 descriptors are too few. */
static inline void rig_allow_files(rlim_t count)
{
	struct rlimit files;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	if (files.rlim_cur >= count)
		return;
	if (files.rlim_max < count)
		skip();
	files.rlim_cur = count;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

#endif
