/*
 * The protocol's messages as a program sends them that does without the library, and its manners.
 */
#ifndef TLSB_TESTS_RAW_H
#define TLSB_TESTS_RAW_H

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire/messages.h"

/* As many descriptors as the kernel puts into one message, nearly. */
#define MANY_FDS 250

union message {
	struct msg_header header;
	uint8_t bytes[LIMIT_MESSAGE + 64];
};

/* -1 with errno: EAGAIN, the broker's queue is full. */
static inline int raw_connect(int fd, const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	return connect(fd, (struct sockaddr *)&name, sizeof(name));
}

static inline int dial(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	for (int i = 0; raw_connect(fd, path) < 0; i++) {
		if (errno != EAGAIN || i > 1000) {
			perror("connect to the broker");
			exit(2);
		}
		usleep(5000);
	}
	return fd;
}

/* -1 with EPIPE when it has been hung up already, which is as good as taking the message. */
static inline int send_raw(int fd, const void *bytes, size_t len, const int *fds, unsigned count)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(MANY_FDS * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : 0;
}

static inline size_t put(union message *message, uint32_t type, const void *body, size_t len)
{
	message->header = (struct msg_header){ .type = type };
	memcpy(message->bytes + sizeof(message->header), body, len);
	return sizeof(message->header) + len;
}

static inline int say(int fd, uint32_t type, const void *body, size_t len, int with_fd)
{
	union message message;

	return send_raw(fd, message.bytes, put(&message, type, body, len), &with_fd,
			with_fd >= 0 ? 1 : 0);
}

static inline int say_hello(int fd)
{
	struct msg_hello body = { .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION };

	return say(fd, CLIENT_MSG_HELLO, &body, sizeof(body), -1);
}

static inline int hello(const char *path)
{
	int fd = dial(path);

	say_hello(fd);
	return fd;
}

/* Our end of a new session on MAIN. */
static inline int session(int main_fd)
{
	struct msg_empty body = { 0 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	say(main_fd, CLIENT_MSG_SESSION, &body, sizeof(body), pair[1]);
	close(pair[1]);
	return pair[0];
}

static inline size_t connect_message(union message *message, const char *host, uint16_t port)
{
	const size_t len = strlen(host);
	struct {
		struct msg_connect body;
		char host[LIMIT_HOST];
	} it = { .body = { .deadline_ms = 5000, .family = AF_UNSPEC, .port = port,
			   .host_len = (uint16_t)len } };

	if (len > LIMIT_HOST)
		abort();
	memcpy(it.host, host, len);
	return put(message, CLIENT_MSG_CONNECT, &it, offsetof(__typeof__(it), host) + len);
}

/* Read answers until the other side hangs up; 0 when it does not, in time. */
static inline int hung_up(int fd, int ms)
{
	static union message sink;
	struct pollfd waiter = { .fd = fd, .events = POLLIN };

	while (poll(&waiter, 1, ms) > 0) {
		ssize_t n = recv(fd, sink.bytes, sizeof(sink.bytes), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return 1;
	}
	return 0;
}

#endif
