/*
 * epoll-client [-c CA.pem] HOST PORT [HOST PORT]...: ask all servers at once for their page, and
 * print a line for each when it is there: what TLS was agreed, how much came, its first line.
 *
 * One thread, one epoll descriptor, no TLS library.  A session is one descriptor, the same from
 * tlsb_session_new() to tlsb_session_free(), and EPOLLIN is the only event there is: "a call gets
 * further now".  Which one that is, is for the program to know:
 *
 *   connect -> handshake -> send -> receive -> report
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <tlsbroker.h>
#include <unistd.h>

struct fetch {
	const char *host, *port;
	struct tlsb_session *session;
	int step; /* which of steps[] is to be done */
	char request[300];
	size_t request_len, sent, received;
	char first_line[80];
};

/* What a step says: done, to be called again when the descriptor is readable, failed with errno. */
enum { FAILED = -1, LATER = 0, DONE = 1 };

static int outcome(ssize_t r)
{
	if (r >= 0)
		return DONE;
	return errno == EWOULDBLOCK ? LATER : FAILED;
}

static int step_connect(struct fetch *fetch)
{
	return outcome(tlsb_connect(fetch->session, fetch->host, fetch->port));
}

static int step_handshake(struct fetch *fetch)
{
	return outcome(tlsb_handshake(fetch->session));
}

static int step_send(struct fetch *fetch)
{
	while (fetch->sent < fetch->request_len) {
		ssize_t n = tlsb_write(fetch->session, fetch->request + fetch->sent,
				       fetch->request_len - fetch->sent);

		if (n < 0)
			return outcome(n);
		fetch->sent += (size_t)n;
	}
	return DONE;
}

static void keep_first_line(struct fetch *fetch, const char *data, size_t len)
{
	size_t room = sizeof(fetch->first_line) - 1;

	for (size_t i = 0; fetch->received + i < room && i < len; i++) {
		int printable = data[i] >= ' ' && data[i] <= '~'; /* else: the line ends here */

		fetch->first_line[fetch->received + i] = printable ? data[i] : '\0';
	}
}

/*
 * One buffer each time, then it is the others' turn: the descriptor stays readable as long as there
 * is more, so nothing is forgotten.
 */
static int step_receive(struct fetch *fetch)
{
	char buf[65536];
	ssize_t n = tlsb_read(fetch->session, buf, sizeof(buf));

	if (n <= 0)
		return outcome(n); /* 0 is the server's own end; a cut stream would be an error */
	keep_first_line(fetch, buf, (size_t)n);
	fetch->received += (size_t)n;
	return LATER;
}

static int (*const steps[])(struct fetch *) = {
	step_connect,
	step_handshake,
	step_send,
	step_receive,
};

#define STEPS ((int)(sizeof(steps) / sizeof(steps[0])))

/* As far as it gets without waiting. */
static int advance(struct fetch *fetch)
{
	int r = DONE;

	while (r == DONE && fetch->step < STEPS) {
		r = steps[fetch->step](fetch);
		if (r == DONE)
			fetch->step++;
	}
	return r;
}

static void report(const struct fetch *fetch, int r)
{
	const char *text = tlsb_error_text(fetch->session);
	struct tlsb_info info;

	if (r == FAILED)
		printf("%s:%s: %s\n", fetch->host, fetch->port, *text ? text : strerror(errno));
	else if (tlsb_info(fetch->session, &info, sizeof(info)) == 0)
		printf("%s:%s: TLS 1.%d, %s%s, %zu bytes: %s\n", fetch->host, fetch->port,
		       (int)info.version - TLSB_TLS_1_2 + 2, info.cipher,
		       info.resumed ? ", resumed" : "", fetch->received, fetch->first_line);
	fflush(stdout);
}

/* 1 while there is more to come. */
static int turn(struct fetch *fetch)
{
	int r = advance(fetch);

	if (r == LATER)
		return 1;
	report(fetch, r);
	tlsb_session_free(fetch->session); /* closes the descriptor: epoll forgets it */
	fetch->session = NULL;
	return 0;
}

static void begin(struct fetch *fetch, struct tlsb *broker, const struct tlsb_config *config,
		  int epoll)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = fetch };

	fetch->request_len = (size_t)snprintf(fetch->request, sizeof(fetch->request),
					      "GET / HTTP/1.0\r\nHost: %.253s\r\n\r\n", fetch->host);
	fetch->session = tlsb_session_new(broker, config);
	if (!fetch->session ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, tlsb_fd(fetch->session), &event) < 0)
		err(1, "%s", fetch->host);
}

static void trust(struct tlsb_config *config, const char *path)
{
	static char ca[1024 * 1024]; /* as much as the library takes */
	FILE *file = fopen(path, "r");

	if (!file || tlsb_config_set_ca(config, ca, fread(ca, 1, sizeof(ca), file)) < 0)
		err(1, "%s", path);
	fclose(file);
}

static void loop(int epoll, int open)
{
	struct epoll_event events[64];

	while (open > 0) {
		int n = epoll_wait(epoll, events, 64, -1);

		if (n < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < n; i++)
			open -= !turn(events[i].data.ptr);
	}
}

int main(int argc, char **argv)
{
	int first = argc > 2 && strcmp(argv[1], "-c") == 0 ? 3 : 1;
	int count = (argc - first) / 2, open = 0, failed = 0;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct fetch *fetches = calloc((size_t)(count > 0 ? count : 1), sizeof(*fetches));
	struct tlsb_config *config = tlsb_config_new();
	struct tlsb *broker;

	if (count == 0 || (argc - first) % 2 != 0)
		errx(2, "usage: epoll-client [-c CA.pem] HOST PORT [HOST PORT]...");
	broker = tlsb_open(NULL);
	if (!broker || !config || !fetches || epoll < 0)
		err(1, "no broker");
	if (first == 3)
		trust(config, argv[2]);
	for (int i = 0; i < count; i++) {
		fetches[i].host = argv[first + 2 * i];
		fetches[i].port = argv[first + 2 * i + 1];
		begin(&fetches[i], broker, config, epoll);
		open += turn(&fetches[i]);
	}
	loop(epoll, open);
	for (int i = 0; i < count; i++)
		failed += fetches[i].step < STEPS;
	tlsb_config_free(config);
	tlsb_close(broker);
	free(fetches);
	close(epoll);
	return failed ? 1 : 0;
}
