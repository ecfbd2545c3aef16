#include "wire/msg.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "base/macros.h"

#define MSG(NAME, name, from, to, phase, zero, tail, fds)                                          \
	{ #NAME, (from), (to), (phase), sizeof(struct msg_##name), (zero), (tail), (fds) },
static const struct msg_info internal_rows[] = {
#include "wire/messages.def"
};
static const struct msg_info client_rows[] = {
#include "wire/client.def"
};
#undef MSG

#define MSG(NAME, name, from, to, phase, zero, tail, fds)                                          \
	_Static_assert(sizeof(struct msg_##name) % 8 == 0, #name ": size not a multiple of 8");    \
	_Static_assert(sizeof(struct msg_header) + sizeof(struct msg_##name) + (tail) <=           \
			       LIMIT_MESSAGE, #name ": longer than a message may be");             \
	_Static_assert(sizeof(struct msg_##name) - (zero) <= LIMIT_MESSAGE,                        \
		       #name ": more reserved than there is"); /* it wraps */                      \
	_Static_assert((fds) <= LIMIT_MESSAGE_FDS, #name ": too many descriptors");                \
	_Static_assert((phase) != 0 && (from) != 0 && (to) != 0, #name ": can never come");
#include "wire/messages.def"
#include "wire/client.def"
#undef MSG

const struct msg_table internal_messages = { internal_rows, MSG_COUNT };
const struct msg_table client_messages = { client_rows, CLIENT_MSG_COUNT };

/* From linux/socket.h (6.5): newer than our oldest headers. */
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

/* Room for a few more descriptors than any message has: more than those is MSG_CTRUNC. */
#define CONTROL_FDS 8

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * CONTROL_FDS)];
};

const char *msg_rule_name(enum msg_rule rule)
{
	static const char *const names[RULE_COUNT] = {
		[RULE_NONE] = "none",	      [RULE_HEADER] = "header",	    [RULE_TYPE] = "type",
		[RULE_SENDER] = "sender",     [RULE_RECEIVER] = "receiver", [RULE_SIZE] = "size",
		[RULE_TAIL] = "tail",	      [RULE_FDS] = "descriptors",   [RULE_PHASE] = "phase",
		[RULE_RESERVED] = "reserved", [RULE_CONTENT] = "content",   [RULE_FLOOD] = "flood",
	};

	return names[rule];
}

static int all_zero(const uint8_t *bytes, size_t len)
{
	uint8_t seen = 0;

	for (size_t i = 0; i < len; i++)
		seen |= bytes[i];
	return seen == 0;
}

enum msg_rule msg_check(const struct msg_context *ctx, const void *buf, size_t len, size_t nfds,
			struct msg *ret_msg)
{
	const uint8_t *bytes = buf;
	const struct msg_info *info;
	struct msg_header header;
	size_t rest;

	if (len < sizeof(header) || len > LIMIT_MESSAGE)
		return RULE_HEADER;
	memcpy(&header, bytes, sizeof(header));
	if (header.reserved != 0)
		return RULE_HEADER;
	if (header.type >= ctx->table->count)
		return RULE_TYPE;
	info = &ctx->table->rows[header.type];
	if ((info->from & (1u << ctx->peer)) == 0)
		return RULE_SENDER;
	if ((info->to & (1u << ctx->self)) == 0)
		return RULE_RECEIVER;
	rest = len - sizeof(header);
	if (rest < info->body)
		return RULE_SIZE;
	if (rest - info->body > info->tail_max)
		return info->tail_max == 0 ? RULE_SIZE : RULE_TAIL;
	if (nfds != info->fds)
		return RULE_FDS;
	if ((info->phases & (uint32_t)ctx->phase) == 0)
		return RULE_PHASE;
	bytes += sizeof(header);
	if (!all_zero(bytes + info->body - info->zero, info->zero))
		return RULE_RESERVED;
	*ret_msg = (struct msg){
		.type = header.type,
		.info = info,
		.body = bytes,
		.tail = (const char *)bytes + info->body,
		.tail_len = (uint32_t)(rest - info->body),
	};
	for (size_t i = 0; i < ARRAY_SIZE(ret_msg->fds); i++)
		ret_msg->fds[i] = -1;
	return RULE_NONE;
}

/* Whoever made a socket can have set it (SO_PASSPIDFD) to bring one of these with each message. */
static void close_pidfd(const struct cmsghdr *c)
{
	int fd;

	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	fd_close(fd); /* not one if the kernel had none to give */
}

/* Collect the descriptors that came with a message; all of them are now ours.  -1 behind them. */
static size_t collect_fds(struct msghdr *mh, int fds[CONTROL_FDS])
{
	size_t count = 0;

	memset(fds, -1, CONTROL_FDS * sizeof(*fds));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n;

		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_PIDFD)
			close_pidfd(c);
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n && count < CONTROL_FDS; i++)
			memcpy(&fds[count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return count;
}

/* Returns 0: how many are left. */
static size_t close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fd_close(fds[i]);
	return 0;
}

/* How many descriptors a message of this type has; any number for what is no message. */
static size_t wanted_fds(const struct msg_context *ctx, const union msg_buffer *buf, size_t len)
{
	if (len < sizeof(buf->header) || buf->header.type >= ctx->table->count)
		return 0;
	return ctx->table->rows[buf->header.type].fds;
}

static int receive(int fd, int flags, const struct msg_context *ctx, union msg_buffer *buf,
		   struct msg *ret_msg, enum msg_rule *ret_rule)
{
	union control control;
	struct iovec iov = { buf->bytes, sizeof(buf->bytes) };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	int fds[CONTROL_FDS];
	enum msg_rule rule;
	bool starved;
	size_t nfds;
	ssize_t n;

	/* A peer that closes before it has read all of ours makes the next receive fail, once, although
	 * its last messages are still there to be read. */
	do
		n = recvmsg(fd, &mh, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	nfds = collect_fds(&mh, fds);
	if (n == 0 && nfds == 0)
		return 0; /* an empty message looks the same, and ends the peer the same way */
	/* Descriptors were lost though there was room for more: we have no number left for them.  A
	 * message that should have some is judged as if they had come; its handler is told. */
	starved = (mh.msg_flags & MSG_CTRUNC) && nfds < CONTROL_FDS;
	if (starved)
		nfds = close_all(fds, nfds);
	if (!starved && (mh.msg_flags & MSG_CTRUNC))
		rule = RULE_FDS; /* more came than any message has */
	else if (mh.msg_flags & MSG_TRUNC)
		rule = RULE_HEADER;
	else
		rule = msg_check(ctx, buf->bytes, (size_t)n,
				 starved ? wanted_fds(ctx, buf, (size_t)n) : nfds, ret_msg);
	if (rule == RULE_NONE && starved && ret_msg->info->fds == 0)
		rule = RULE_FDS;
	if (rule != RULE_NONE) {
		close_all(fds, nfds);
		*ret_rule = rule;
		return -EBADMSG;
	}
	ret_msg->starved = starved;
	for (size_t i = 0; i < nfds; i++)
		ret_msg->fds[i] = fds[i];
	return 1;
}

int msg_recv(int fd, const struct msg_context *ctx, union msg_buffer *buf, struct msg *ret_msg,
	     enum msg_rule *ret_rule)
{
	return receive(fd, MSG_DONTWAIT, ctx, buf, ret_msg, ret_rule);
}

int msg_await(int fd, const struct msg_context *ctx, union msg_buffer *buf, struct msg *ret_msg,
	      enum msg_rule *ret_rule)
{
	return receive(fd, 0, ctx, buf, ret_msg, ret_rule);
}

int msg_send(int fd, const struct msg_table *table, uint32_t type, const void *body,
	     const void *tail, size_t tail_len, const int *fds)
{
	const struct msg_info *info = &table->rows[type];
	struct msg_header header = { .type = type };
	/* sendmsg(2) only reads through these, but iovec has no const. */
	struct iovec iov[3] = {
		{ &header, sizeof(header) },
		{ (void *)(uintptr_t)body, info->body },
		{ (void *)(uintptr_t)tail, tail_len },
	};
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = tail_len ? 3 : 2 };
	union control control;
	ssize_t n;

	assert(type < table->count && tail_len <= info->tail_max);
	if (info->fds > 0) {
		size_t len = sizeof(int) * info->fds;

		mh.msg_control = memset(control.bytes, 0, sizeof(control.bytes));
		mh.msg_controllen = CMSG_SPACE(len);
		struct cmsghdr *c = &control.align;
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(len);
		memcpy(CMSG_DATA(c), fds, len);
	}
	do
		n = sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	/* ETOOMANYREFS: the receiver has not picked up our earlier descriptors yet. */
	return errno == EWOULDBLOCK || errno == ETOOMANYREFS || errno == ENOBUFS ? -EAGAIN : -errno;
}

int msg_take_fd(struct msg *msg, unsigned i)
{
	assert(i < msg->info->fds && msg->fds[i] >= 0);
	return fd_steal(&msg->fds[i]);
}

void msg_close_fds(struct msg *msg)
{
	for (size_t i = 0; i < ARRAY_SIZE(msg->fds); i++)
		msg->fds[i] = fd_close(msg->fds[i]);
}

void msg_wipe(const struct msg *msg)
{
	explicit_bzero((void *)(uintptr_t)msg->tail, msg->tail_len);
}

int msg_tail_string(const struct msg *msg, uint32_t *at, uint32_t len, char *dst, size_t size)
{
	if (len > msg->tail_len - *at || len >= size || memchr(msg->tail + *at, '\0', len))
		return -EBADMSG;
	memcpy(dst, msg->tail + *at, len);
	dst[len] = '\0';
	*at += len;
	return 0;
}
