#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "libtlsbroker/internal.h"
#include "wire/errors.h"
#include "wire/reach.h"

/* How long tlsb_badge() waits for the broker's first word. */
#define BADGE_WAIT_MS 1000

struct tlsb *tlsb_open(const char *socket_path)
{
	const struct msg_hello hello = { PROTOCOL_MAGIC, PROTOCOL_VERSION };
	struct tlsb *tlsb = calloc(1, sizeof(*tlsb));
	int r;

	if (!tlsb)
		return NULL;
	tlsb->lifeline = -1;
	r = reach_broker(socket_path, &tlsb->address);
	if (r < 0) {
		free(tlsb);
		errno = -r;
		return NULL;
	}
	tlsb->fd = r;
	pthread_mutex_init(&tlsb->lock, NULL);
	r = msg_send(tlsb->fd, &client_messages, CLIENT_MSG_HELLO, &hello, NULL, 0, NULL);
	if (r < 0 && r != -EPIPE && r != -ECONNRESET) {
		tlsb_close(tlsb);
		errno = -r;
		return NULL;
	}
	/* A connection that was closed at once may hold a refusal: the first session tells. */
	return tlsb;
}

void tlsb_close(struct tlsb *tlsb)
{
	int saved = errno;

	if (tlsb) {
		fd_close(tlsb->fd);
		fd_close(tlsb->lifeline);
		pthread_mutex_destroy(&tlsb->lock);
		free(tlsb);
	}
	errno = saved;
}

/* A message's tail as a string in DST, one longer than any tail of its kind. */
static void take_text(char *dst, size_t size, const struct msg *msg)
{
	size_t len = MIN((size_t)msg->tail_len, size - 1);

	memcpy(dst, msg->tail, len);
	dst[len] = '\0';
	info_make_printable(dst, size, ' ');
}

static void refuse(struct tlsb *tlsb, uint32_t code)
{
	const struct error_info *info = error_info(code ? code : TLSB_E_BROKER_PROTOCOL);

	tlsb->refused = info->code;
	text_copy(tlsb->refused_text, sizeof(tlsb->refused_text), info->text);
}

static void on_welcome(struct tlsb *tlsb, const struct msg *msg)
{
	const struct msg_welcome *welcome = msg->body;

	if (welcome->magic != PROTOCOL_MAGIC || welcome->version != PROTOCOL_VERSION) {
		refuse(tlsb, TLSB_E_BROKER_PROTOCOL);
		tlsb->gone = true; /* whatever else it says means something else */
	} else if (!tlsb->welcome) {
		take_text(tlsb->badge, sizeof(tlsb->badge), msg);
		tlsb->welcome = true;
	}
}

static void on_refused(struct tlsb *tlsb, const struct msg *msg)
{
	const struct msg_refused *refused = msg->body;

	refuse(tlsb, refused->error);
	tlsb->refusals++;
	if (msg->tail_len > 0)
		take_text(tlsb->refused_text, sizeof(tlsb->refused_text), msg);
}

/* Returns false when there is nothing to read now. */
static bool hear_one(struct tlsb *tlsb)
{
	const struct msg_context ctx = { &client_messages, ROLE_CLIENT, ROLE_WORKER, MAIN };
	union msg_buffer buffer;
	enum msg_rule rule;
	struct msg msg;
	int r = msg_recv(tlsb->fd, &ctx, &buffer, &msg, &rule);

	if (r == -EAGAIN)
		return false;
	if (r == -EBADMSG)
		refuse(tlsb, TLSB_E_BROKER_PROTOCOL);
	if (r != 1) {
		tlsb->gone = true;
		return false;
	}
	if (msg.type == CLIENT_MSG_WELCOME)
		on_welcome(tlsb, &msg);
	else if (msg.type == CLIENT_MSG_REFUSED)
		on_refused(tlsb, &msg);
	msg_close_fds(&msg);
	return true;
}

uint32_t open_listen(struct tlsb *tlsb, bool anew, char *ret_text)
{
	uint32_t refused;
	unsigned heard = 0;

	pthread_mutex_lock(&tlsb->lock);
	/* Not to the end: a worker that sends faster than we read would keep us here. */
	while (heard++ < LIMIT_CHAN_BATCH && !tlsb->gone && (anew || !tlsb->welcome) &&
	       hear_one(tlsb))
		;
	refused = anew || tlsb->gone ? tlsb->refused : TLSB_E_NONE;
	if (refused && ret_text) {
		text_copy(ret_text, LIMIT_TEXT + 1, tlsb->refused_text);
		if (!tlsb->gone && --tlsb->refusals == 0)
			tlsb->refused = TLSB_E_NONE;
	}
	pthread_mutex_unlock(&tlsb->lock);
	return refused;
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
	uint32_t refused = open_listen(tlsb, true, NULL);
	int number = EWOULDBLOCK;

	pthread_mutex_lock(&tlsb->lock);
	if (tlsb->welcome)
		number = 0;
	else if (refused)
		number = error_info(refused)->number;
	else if (tlsb->gone)
		number = ECONNABORTED;
	pthread_mutex_unlock(&tlsb->lock);
	return number;
}

const char *tlsb_badge(const struct tlsb *handle)
{
	struct tlsb *tlsb = unconst(handle);
	struct pollfd pfd = { .fd = tlsb->fd, .events = POLLIN };
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
	r = msg_send(tlsb->fd, &client_messages, CLIENT_MSG_LIFELINE, &nothing, NULL, 0, &pair[1]);
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
