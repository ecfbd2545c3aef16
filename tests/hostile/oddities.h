/*
 * Descriptors of every odd kind, for messages that bring descriptors: nothing that is asked for
 * anywhere is any of these.  Header-only.
 */
#ifndef TLSB_TESTS_ODDITIES_H
#define TLSB_TESTS_ODDITIES_H

#include "tests/unit/testing.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include "base/fd.h"
#include "mutate.h"

#define ODDITIES_MOST 32

struct oddities {
	int fds[ODDITIES_MOST];
	const char *names[ODDITIES_MOST];
	unsigned count;
	int others[8]; /* what has to stay open beside them */
	unsigned others_count;
	int watched[2]; /* for the epoll that is sent over what it watches */
};

static inline void oddities_add(struct oddities *odd, int fd, const char *name)
{
	if (fd < 0)
		fail_msg("%s: %s", name, strerror(errno));
	assert_true(odd->count < ODDITIES_MOST);
	odd->fds[odd->count] = fd;
	odd->names[odd->count++] = name;
}

static inline void oddities_keep(struct oddities *odd, int fd)
{
	assert_true(fd >= 0 && odd->others_count < ARRAY_SIZE(odd->others));
	odd->others[odd->others_count++] = fd;
}

static inline void oddities_add_pair(struct oddities *odd, int type, const char *name)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
	oddities_add(odd, pair[0], name);
	oddities_keep(odd, pair[1]);
}

/* One that listens under an abstract name, and one that is connected to it. */
static inline void oddities_add_named(struct oddities *odd)
{
	struct sockaddr_un name = testing_address();
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	oddities_add(odd, listener, "a socket that listens");
	oddities_add(odd, fd, "a socket that is connected to a name");
}

/* Closing it waits until its peer has everything, or five seconds. */
static inline void oddities_add_lingering(struct oddities *odd)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 5 };
	struct sockaddr_in name = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(name);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&name, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, len), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	oddities_add(odd, fd, "a TCP socket that lingers");
	oddities_keep(odd, listener);
}

/* An epoll that watches the socket in whose queue it lies. */
static inline void oddities_add_epoll(struct oddities *odd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, odd->watched), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(epoll_ctl(fd, EPOLL_CTL_ADD, odd->watched[i], &event), 0);
		oddities_keep(odd, odd->watched[i]);
	}
	oddities_add(odd, fd, "an epoll that watches a socket in which it lies");
	odd->watched[0] = fd;
}

/* It lies there now, and again whenever somebody has taken it out. */
static inline void oddities_tie_epoll(const struct oddities *odd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .align = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { (char[1]){ 0 }, 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes) };

	memcpy(CMSG_DATA(&control.align), &odd->watched[0], sizeof(int));
	assert_int_equal(sendmsg(odd->watched[1], &mh, 0), 1);
}

static inline void oddities_open(struct oddities *odd)
{
	int pipes[2];

	*odd = (struct oddities){ 0 };
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	oddities_add(odd, pipes[0], "a pipe to read");
	oddities_add(odd, pipes[1], "a pipe to write");
	oddities_add_epoll(odd);
	oddities_tie_epoll(odd);
	oddities_add(odd, open("/", O_PATH | O_CLOEXEC), "a path");
	oddities_add(odd, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "a folder");
	oddities_add(odd, open("/proc/self/mem", O_RDWR | O_CLOEXEC), "this process's memory");
	oddities_add(odd, open("/proc/self/exe", O_RDONLY | O_CLOEXEC), "a program");
	oddities_add(odd, open("/dev/null", O_RDWR | O_CLOEXEC), "nothing");
	oddities_add(odd, open("/dev/zero", O_RDWR | O_CLOEXEC), "zeros");
	oddities_add(odd, memfd_create("odd", MFD_CLOEXEC), "memory without seals");
	oddities_add(odd, memfd_create("odd", MFD_CLOEXEC | MFD_ALLOW_SEALING), "empty memory");
	oddities_add(odd, eventfd(0, EFD_CLOEXEC), "an eventfd");
	oddities_add(odd, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "a timer");
	oddities_add(odd, (int)syscall(SYS_pidfd_open, getpid(), 0), "this process");
	oddities_add_pair(odd, SOCK_STREAM, "a stream");
	oddities_add_pair(odd, SOCK_DGRAM, "datagrams");
	oddities_add(odd, socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "an unused socket");
	oddities_add(odd, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "an unused TCP socket");
	oddities_add(odd, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "a UDP socket");
	oddities_add_named(odd);
	oddities_add_lingering(odd);
}

/* Send a mutant, with both ends of a pair or with any odd ones. */
static inline void oddities_send(const struct oddities *odd, int fd, const struct mutant *mutant,
				 uint64_t *seed)
{
	int pair[2] = { -1, -1 }, fds[2];

	for (int i = 0; i < 2; i++)
		fds[i] = odd->fds[testing_random(seed) % odd->count];
	if (mutant->kind == FDS_GOOD && mutant->nfds > 0) {
		assert_int_equal(fd_seqpacket_pair(pair), 0);
		memcpy(fds, pair, sizeof(fds));
	}
	mutant_send(fd, mutant, fds);
	fd_close(pair[0]);
	fd_close(pair[1]);
}

static inline void oddities_close(struct oddities *odd)
{
	for (unsigned i = 0; i < odd->count; i++)
		close(odd->fds[i]);
	for (unsigned i = 0; i < odd->others_count; i++)
		close(odd->others[i]);
}

#endif
