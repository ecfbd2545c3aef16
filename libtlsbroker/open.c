#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "libtlsbroker/internal.h"
#include "wire/errors.h"
#include "wire/reach.h"

/* How long tlsb_badge() waits for the broker's first word. */
#define BADGE_WAIT_MS 1000

struct tlsb *tlsb_open(const char *socket_path)
{
	struct tlsb *tlsb = calloc(1, sizeof(*tlsb));
	int r;

	if (!tlsb)
		return NULL;
	tlsb->lifeline = tlsb->first.fd = -1;
	r = reach_broker(socket_path, &tlsb->address);
	if (r < 0) {
		free(tlsb);
		errno = -r;
		return NULL;
	}
	tlsb->has_cpus = spin_has_cpus();
	pthread_mutex_init(&tlsb->lock, NULL);
	r = link_begin(&tlsb->first, r);
	if (r < 0) {
		tlsb_close(tlsb);
		errno = -r;
		return NULL;
	}
	return tlsb;
}

void tlsb_close(struct tlsb *tlsb)
{
	int saved = errno;

	if (tlsb) {
		fd_close(tlsb->first.fd);
		for (uint32_t i = 0; tlsb->more && i < tlsb->more_count; i++)
			fd_close(tlsb->more[i].fd);
		free(tlsb->more);
		fd_close(tlsb->lifeline);
		pthread_mutex_destroy(&tlsb->lock);
		free(tlsb);
	}
	errno = saved;
}

bool open_is_there(const struct tlsb *tlsb)
{
	cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 || connect(fd, (const struct sockaddr *)&tlsb->address,
				 sizeof(tlsb->address)) == 0 ||
	       (errno != ECONNREFUSED && errno != ENOENT);
}

/* The two getters below only fill in what is not known yet: const for the caller. */
static struct tlsb *unconst(const struct tlsb *tlsb)
{
	return (struct tlsb *)(uintptr_t)tlsb;
}

/* 0 when there is a badge, else why not as an errno. */
static int why_no_badge(struct tlsb *tlsb)
{
	uint32_t refused = link_listen(tlsb, &tlsb->first, true, NULL);
	int number = EWOULDBLOCK;

	pthread_mutex_lock(&tlsb->lock);
	if (tlsb->first.welcome)
		number = 0;
	else if (refused)
		number = error_info(refused)->number;
	else if (tlsb->first.gone)
		number = ECONNABORTED;
	pthread_mutex_unlock(&tlsb->lock);
	return number;
}

const char *tlsb_badge(const struct tlsb *handle)
{
	struct tlsb *tlsb = unconst(handle);
	struct pollfd pfd = { .fd = tlsb->first.fd, .events = POLLIN };
	uint64_t now = clock_ms(), end = now + BADGE_WAIT_MS;
	int number = why_no_badge(tlsb);

	while (number == EWOULDBLOCK && now < end) {
		poll(&pfd, 1, (int)(end - now)); /* a signal only makes it look sooner */
		number = why_no_badge(tlsb);
		now = clock_ms();
	}
	if (number == 0)
		return tlsb->badge; /* written once, before it was said to be there */
	errno = number;
	return NULL;
}

/* Called with the lock.  0 or -errno. */
static int make_lifeline(struct tlsb *tlsb)
{
	const struct msg_lifeline nothing = { 0 };
	int pair[2], r = fd_seqpacket_pair(pair);

	if (r < 0)
		return r;
	r = msg_send(tlsb->first.fd, &client_messages, CLIENT_MSG_LIFELINE, &nothing, NULL, 0, &pair[1]);
	fd_close(pair[1]);
	if (r == -EAGAIN) {
		fd_close(pair[0]);
		return r;
	}
	/* Not sent for any other reason: the broker has gone, and our end shows it. */
	tlsb->lifeline = pair[0];
	return 0;
}

int tlsb_broker_fd(const struct tlsb *handle)
{
	struct tlsb *tlsb = unconst(handle);
	int fd, r = 0;

	pthread_mutex_lock(&tlsb->lock);
	if (tlsb->lifeline < 0)
		r = make_lifeline(tlsb);
	fd = tlsb->lifeline;
	pthread_mutex_unlock(&tlsb->lock);
	if (r < 0)
		errno = -r;
	return fd;
}
