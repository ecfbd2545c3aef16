/*
 * A TCP socket that holds up whoever closes it last: linger is on, and nobody reads what was written
 * to it.
 */
#ifndef TLSB_TESTS_TESTING_LINGER_H
#define TLSB_TESTS_TESTING_LINGER_H

#include "testing.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/fd.h"

/* A socket whose close waits for 20 seconds; its peer is the test's as well. */
static inline int testing_lingering_socket(int *ret_peer)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	const struct linger linger = { 1, 20 };
	cleanup_close_ int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(address);
	char junk[65536] = { 0 };

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listening, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listening, 1), 0);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &len), 0);
	connect(fd, (struct sockaddr *)&address, len);
	*ret_peer = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fd, junk, sizeof(junk), MSG_NOSIGNAL) > 0)
		;
	return fd;
}

#endif
