/*
 * poll-client HOST PORT [CA.pem]: fetch a page over TLS and write it to standard output.
 *
 * No TLS library, no descriptor, no event loop.  A call that cannot finish says EWOULDBLOCK and is
 * made again, between other work or after a short sleep: each is only a look into memory.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <tlsbroker.h>
#include <unistd.h>

static void not_yet(const struct tlsb_session *session)
{
	if (errno != EWOULDBLOCK && *tlsb_error_text(session))
		errx(1, "%s", tlsb_error_text(session));
	if (errno != EWOULDBLOCK)
		err(1, "HOST or PORT");
	usleep(500); /* here a program does its other work */
}

static void fetch(struct tlsb_session *session, const char *host, const char *port)
{
	char buf[16384];
	int len = snprintf(buf, sizeof(buf), "GET / HTTP/1.0\r\nHost: %.253s\r\n\r\n", host);
	ssize_t n;

	while (tlsb_connect(session, host, port) < 0)
		not_yet(session);
	for (int sent = 0; sent < len; sent += n > 0 ? (int)n : 0) /* handshake, then write */
		if ((n = tlsb_write(session, buf + sent, (size_t)(len - sent))) < 0)
			not_yet(session);
	while ((n = tlsb_read(session, buf, sizeof(buf))) != 0) /* 0: its end, nothing is missing */
		if (n < 0)
			not_yet(session);
		else if (fwrite(buf, 1, (size_t)n, stdout) < (size_t)n)
			err(1, "standard output");
}

int main(int argc, char **argv)
{
	static char ca[1024 * 1024]; /* as much as the library takes */
	struct tlsb_config *config = tlsb_config_new();
	struct tlsb *broker = tlsb_open(NULL);
	FILE *file = argc > 3 ? fopen(argv[3], "r") : NULL;
	struct tlsb_session *session;

	if (argc < 3)
		errx(2, "usage: poll-client HOST PORT [CA.pem]");
	if (argc > 3 && (!file || tlsb_config_set_ca(config, ca, fread(ca, 1, sizeof(ca), file))))
		err(1, "%s", argv[3]);
	if (!broker || !(session = tlsb_session_new(broker, config)))
		err(1, "no broker");
	fetch(session, argv[1], argv[2]);
	tlsb_session_free(session);
	tlsb_config_free(config);
	tlsb_close(broker);
	return fflush(stdout) == 0 ? 0 : 1;
}
