/*
 * mailbox: a datagram socket in place of the journal's, whose reader sleeps until it is sent SIGUSR1;
 * then it prints what comes.
 *
 *   mailbox PATH
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int make_socket(const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
	    chmod(path, 0666) < 0)
		err(1, "%s", path);
	return fd;
}

int main(int argc, char **argv)
{
	static char entry[65536];
	sigset_t wake;
	int fd, number;

	if (argc != 2)
		errx(2, "usage: mailbox PATH");
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&wake);
	sigaddset(&wake, SIGUSR1);
	sigprocmask(SIG_BLOCK, &wake, NULL);
	fd = make_socket(argv[1]);
	printf("open\n");
	sigwait(&wake, &number);
	for (;;) {
		ssize_t n = recv(fd, entry, sizeof(entry), 0);

		if (n < 0)
			err(1, "recv");
		printf("entry\n%.*s", (int)n, entry);
	}
}
