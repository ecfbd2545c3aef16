/*
 * The handle's connections.  Most have one.  The broker says of a badge with several workers how many it
 * has, and gives each connection to the one with the fewest: so sessions are spread by spreading them
 * over connections.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/macros.h"
#include "base/text.h"
#include "libtlsbroker/internal.h"
#include "wire/errors.h"

/* A further connection that cannot be had is not asked for again with each session. */
#define RETRY_MS 1000

/* A message's tail as a string in DST, one longer than any tail of its kind. */
static void take_text(char *dst, size_t size, const struct msg *msg)
{
	size_t len = MIN((size_t)msg->tail_len, size - 1);

	memcpy(dst, msg->tail, len);
	dst[len] = '\0';
	info_make_printable(dst, size, ' ');
}

static void refuse(struct link *link, uint32_t code)
{
	const struct error_info *info = error_info(code ? code : TLSB_E_BROKER_PROTOCOL);

	link->refused = info->code;
	text_copy(link->refused_text, sizeof(link->refused_text), info->text);
}

static void on_welcome(struct tlsb *tlsb, struct link *link, const struct msg *msg)
{
	const struct msg_welcome *welcome = msg->body;

	if (welcome->magic != PROTOCOL_MAGIC || welcome->version != PROTOCOL_VERSION) {
		refuse(link, TLSB_E_BROKER_PROTOCOL);
		link->gone = true; /* whatever else it says means something else */
	} else if (!link->welcome) {
		/* What concerns the whole handle the first one says, once. */
		if (link == &tlsb->first) {
			take_text(tlsb->badge, sizeof(tlsb->badge), msg);
			tlsb->more_count = MIN(welcome->more_workers, LIMIT_BADGE_WORKERS - 1U);
		}
		link->welcome = true;
	}
}

static void on_refused(struct link *link, const struct msg *msg)
{
	const struct msg_refused *refused = msg->body;

	refuse(link, refused->error);
	link->refusals++;
	if (msg->tail_len > 0)
		take_text(link->refused_text, sizeof(link->refused_text), msg);
}

/* Returns false when there is nothing to read now. */
static bool hear_one(struct tlsb *tlsb, struct link *link)
{
	const struct msg_context ctx = { &client_messages, ROLE_CLIENT, ROLE_WORKER, MAIN };
	union msg_buffer buffer;
	enum msg_rule rule;
	struct msg msg;
	int r = msg_recv(link->fd, &ctx, &buffer, &msg, &rule);

	if (r == -EAGAIN)
		return false;
	if (r == -EBADMSG)
		refuse(link, TLSB_E_BROKER_PROTOCOL);
	if (r != 1) {
		link->gone = true;
		return false;
	}
	if (msg.type == CLIENT_MSG_WELCOME)
		on_welcome(tlsb, link, &msg);
	else if (msg.type == CLIENT_MSG_REFUSED)
		on_refused(link, &msg);
	msg_close_fds(&msg);
	return true;
}

/* Called with the lock.  Not to the end: a worker that sends faster than we read would keep us here. */
static void hear(struct tlsb *tlsb, struct link *link, bool anew)
{
	unsigned heard = 0;

	while (heard++ < LIMIT_CHAN_BATCH && !link->gone && (anew || !link->welcome) &&
	       hear_one(tlsb, link))
		;
}

uint32_t link_listen(struct tlsb *tlsb, struct link *link, bool anew, char *ret_text)
{
	uint32_t refused;

	pthread_mutex_lock(&tlsb->lock);
	hear(tlsb, link, anew);
	refused = anew || link->gone ? link->refused : TLSB_E_NONE;
	if (refused && ret_text) {
		text_copy(ret_text, LIMIT_TEXT + 1, link->refused_text);
		if (!link->gone && --link->refusals == 0)
			link->refused = TLSB_E_NONE;
	}
	pthread_mutex_unlock(&tlsb->lock);
	return refused;
}

int link_begin(struct link *link, int fd)
{
	const struct msg_hello hello = { PROTOCOL_MAGIC, PROTOCOL_VERSION };
	int r;

	*link = (struct link){ .fd = fd };
	r = msg_send(fd, &client_messages, CLIENT_MSG_HELLO, &hello, NULL, 0, NULL);
	/* A connection that was closed at once may hold a refusal: the first session tells. */
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

/* ---- several of them; called with the lock ---- */

/* It waits for nobody: when the broker is flooded, sessions go by the connections that there are. */
static int reach_again(const struct tlsb *tlsb)
{
	cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&tlsb->address, sizeof(tlsb->address)) < 0)
		return -errno;
	return fd_steal(&fd);
}

/* If it was refused, or not even reached, there may be no room for it: others should not be lost with it. */
static void close_link(struct link *link)
{
	bool doubted = !link->welcome;

	fd_close(link->fd);
	*link = (struct link){ .fd = -1, .doubted = doubted,
			       .not_before_ms = doubted ? clock_ms() + RETRY_MS : 0 };
}

static void open_link(const struct tlsb *tlsb, struct link *link)
{
	bool doubted = link->doubted;
	int fd = reach_again(tlsb);

	if (fd < 0 || link_begin(link, fd) < 0)
		close_link(link);
	else
		link->doubted = doubted;
}

/* One more, if one is closed; or one that is gone, and its sessions, too.  NULL: there is none. */
static struct link *open_one(struct tlsb *tlsb)
{
	for (uint32_t i = 0; i < tlsb->more_count; i++) {
		struct link *link = &tlsb->more[i];

		if (link->gone && link->sessions == 0)
			close_link(link);
		if (link->fd >= 0 || clock_ms() < link->not_before_ms)
			continue;
		open_link(tlsb, link);
		return link;
	}
	return NULL;
}

static bool is_usable(struct tlsb *tlsb, struct link *link)
{
	if (link->fd >= 0 && link->doubted)
		hear(tlsb, link, false);
	return link->fd >= 0 && !link->gone && (link->welcome || !link->doubted);
}

static struct link *find_least(struct tlsb *tlsb)
{
	struct link *least = is_usable(tlsb, &tlsb->first) ? &tlsb->first : NULL;

	for (uint32_t i = 0; i < tlsb->more_count; i++) {
		struct link *link = &tlsb->more[i];

		if (is_usable(tlsb, link) && (!least || link->sessions < least->sessions))
			least = link;
	}
	return least;
}

/* When there is none, the first one says why. */
static struct link *choose(struct tlsb *tlsb)
{
	struct link *link, *fresh;

	/* Nobody may have read from it since it was lost. */
	while ((link = find_least(tlsb))) {
		hear(tlsb, link, true);
		if (!link->gone)
			break;
	}
	if (link && link->sessions == 0)
		return link;
	fresh = open_one(tlsb);
	if (fresh && is_usable(tlsb, fresh))
		return fresh;
	return link ? link : &tlsb->first;
}

static int prepare_more(struct tlsb *tlsb)
{
	if (tlsb->more)
		return 0;
	tlsb->more = calloc(tlsb->more_count, sizeof(*tlsb->more));
	if (!tlsb->more)
		return -ENOMEM;
	for (uint32_t i = 0; i < tlsb->more_count; i++)
		tlsb->more[i].fd = -1;
	return 0;
}

struct link *link_for_session(struct tlsb *tlsb)
{
	struct link *link = &tlsb->first;

	pthread_mutex_lock(&tlsb->lock);
	if (tlsb->more_count > 0 && prepare_more(tlsb) == 0)
		link = choose(tlsb);
	link->sessions++;
	pthread_mutex_unlock(&tlsb->lock);
	return link;
}

void link_leave(struct tlsb *tlsb, struct link *link)
{
	pthread_mutex_lock(&tlsb->lock);
	link->sessions--;
	pthread_mutex_unlock(&tlsb->lock);
}
