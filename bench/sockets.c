/*
 * Listening sockets for a proxy, on ports that the kernel gives: bound before the proxy starts, so that
 * nobody else can have them meanwhile.
 *
 *	sockets COUNT PROGRAM [ARGUMENT...]
 *
 * becomes PROGRAM with descriptors from 3 on, and with $BENCH_PORTS, their ports.  nginx finds them by
 * $NGINX, stunnel by $LISTEN_FDS, as if systemd had started it; HAProxy is told by its configuration.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST 3
#define MOST  8

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The port of a socket that listens as descriptor FD.  Not blocking: nginx leaves that as it is, and its
 * processes all accept from it. */
static unsigned listen_as(int fd)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);
	int made = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (made < 0 || (made != fd && (dup2(made, fd) < 0 || close(made) < 0)))
		die("socket");
	if (bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		die("listen");
	return ntohs(address.sin_port);
}

static void set_number(const char *name, long number)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", number);
	setenv(name, text, 1);
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? (int)strtol(argv[1], NULL, 10) : 0;
	char ports[MOST * 6 + 1] = "", nginx[MOST * 4 + 1] = "";

	if (count < 1 || count > MOST) {
		fprintf(stderr, "usage: sockets COUNT PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	for (int fd = FIRST; fd < FIRST + count; fd++) {
		size_t p = strlen(ports), n = strlen(nginx);

		snprintf(ports + p, sizeof(ports) - p, "%s%u", p ? " " : "", listen_as(fd));
		snprintf(nginx + n, sizeof(nginx) - n, "%d;", fd);
	}
	setenv("BENCH_PORTS", ports, 1);
	setenv("NGINX", nginx, 1);
	set_number("LISTEN_FDS", count);
	set_number("LISTEN_PID", (long)getpid());
	execvp(argv[2], argv + 2);
	die(argv[2]);
}
