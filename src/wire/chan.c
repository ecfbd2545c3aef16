#include "wire/chan.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "base/ticks.h"

/* A message that waits for room in the socket. */
struct chan_packet {
	STAILQ_ENTRY(chan_packet) next;
	uint32_t type;
	size_t len, tail_len; /* LEN: with the body */
	int fds[LIMIT_MESSAGE_FDS];
	uint8_t bytes[]; /* body, tail */
};

static void packet_free(struct chan_packet *packet)
{
	for (size_t i = 0; i < ARRAY_SIZE(packet->fds); i++)
		fd_close(packet->fds[i]);
	explicit_bzero(packet->bytes, packet->len); /* it may be a key */
	free(packet);
}

static void break_now(struct chan *chan, enum msg_rule rule, const char *what)
{
	if (chan->gone)
		return;
	chan->gone = true;
	event_del(chan->readable);
	event_del(chan->writable);
	evtimer_del(chan->later);
	chan->on_gone(chan, rule, what);
}

/* Of what a worker passes us nothing is to hold us up, see base/ticks.h; the other roles mean well. */
static bool is_foreign(const struct chan *chan)
{
	return chan->ctx.peer == ROLE_WORKER;
}

static int receive(struct chan *chan, union msg_buffer *buf, struct msg *msg, enum msg_rule *ret_rule)
{
	int r;

	if (is_foreign(chan))
		ticks_begin();
	r = msg_recv(chan->fd, &chan->ctx, buf, msg, ret_rule);
	if (is_foreign(chan))
		ticks_end();
	return r;
}

static void close_fds(struct msg *msg, bool foreign)
{
	if (msg->fds[0] < 0)
		return;
	if (foreign)
		ticks_begin();
	msg_close_fds(msg);
	if (foreign)
		ticks_end();
}

/* gcc 14 sees that the pointer may stay when this returns, and not that then nothing is left to look at it. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdangling-pointer"
#endif

/* Returns false when the channel is not there any more, or broke. */
static bool dispatch_one(struct chan *chan, struct msg *msg)
{
	bool destroyed = false, *outer = chan->destroyed, foreign = is_foreign(chan);
	int r;

	chan->destroyed = &destroyed;
	if (!msg->starved)
		r = chan->handlers[msg->type](chan, msg);
	else
		r = chan->on_starved ? chan->on_starved(chan, msg) : -EMFILE;
	close_fds(msg, foreign);
	if (destroyed) {
		if (outer)
			*outer = true;
		return false;
	}
	chan->destroyed = outer;
	if (r < 0)
		break_now(chan, RULE_CONTENT, msg->info->name);
	return r == 0 && !chan->gone;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

static void on_readable(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct chan *chan = arg;
	union msg_buffer buf;

	if (chan->flooded || chan->starved) {
		break_now(chan, chan->flooded ? RULE_FLOOD : RULE_NONE,
			  chan->flooded ? "queue full" : "no memory left for a message");
		return;
	}
	for (unsigned i = 0; i < chan->batch; i++) {
		enum msg_rule rule = RULE_NONE;
		struct msg msg;
		int r = receive(chan, &buf, &msg, &rule);

		if (r == -EAGAIN || r == -ENOMEM || r == -ENOBUFS) /* the message is still there */
			return;
		if (r <= 0) {
			break_now(chan, rule, r == 0 ? "closed" : strerror(-r));
			return;
		}
		if (!dispatch_one(chan, &msg))
			return;
	}
}

/* Reported from the event loop, so that no caller of chan_send() loses its channel under its feet. */
static int break_soon(struct chan *chan, bool *why)
{
	*why = true;
	event_active(chan->readable, EV_READ, 0);
	return -EPIPE;
}

/* The socket has room, but the reader has yet to pick up our earlier descriptors, or the kernel has no
 * memory: polling would spin until that changes. */
static void try_later(struct chan *chan)
{
	static const struct timeval soon = { 0, 5000 };

	if (evtimer_add(chan->later, &soon) == 0) /* else it spins, which ends */
		event_del(chan->writable);
}

static void on_later(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct chan *chan = arg;

	if (event_add(chan->writable, NULL) < 0)
		break_soon(chan, &chan->starved);
}

static void on_writable(evutil_socket_t fd, short what unused_, void *arg)
{
	struct chan *chan = arg;
	struct chan_packet *packet;

	while ((packet = STAILQ_FIRST(&chan->queue))) {
		size_t body = chan->ctx.table->rows[packet->type].body;
		int r = msg_send(fd, chan->ctx.table, packet->type, packet->bytes,
				 packet->bytes + body, packet->tail_len, packet->fds);

		if (r == -EAGAIN || r == -ENOMEM) {
			if (errno != EWOULDBLOCK)
				try_later(chan);
			return;
		}
		if (r < 0) {
			break_now(chan, RULE_NONE, strerror(-r));
			return;
		}
		STAILQ_REMOVE_HEAD(&chan->queue, next);
		chan->queued--;
		packet_free(packet);
	}
	event_del(chan->writable);
	if (chan->on_drained)
		chan->on_drained(chan);
}

/* A message that PEER may send and nobody handles is our bug; better found at start than later. */
static void assert_complete(const struct chan *chan)
{
	const struct msg_table *table = chan->ctx.table;

	for (uint32_t type = 0; type < table->count; type++) {
		if ((table->rows[type].from & (1u << chan->ctx.peer)) &&
		    (table->rows[type].to & (1u << chan->ctx.self)))
			assert(chan->handlers[type]);
	}
}

int chan_init(struct chan *chan, struct event_base *base, int fd, const struct msg_table *table,
	      enum role self, enum role peer, enum msg_phase phase, chan_handler *const *handlers,
	      chan_gone *on_gone, void *owner)
{
	*chan = (struct chan){
		.fd = fd,
		.owner = owner,
		.ctx = { table, self, peer, phase },
		.handlers = handlers,
		.on_gone = on_gone,
		.batch = LIMIT_CHAN_BATCH,
	};
	STAILQ_INIT(&chan->queue);
	assert_complete(chan);
	chan->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, chan);
	chan->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, chan);
	chan->later = evtimer_new(base, on_later, chan);
	if (!chan->readable || !chan->writable || !chan->later || event_add(chan->readable, NULL) < 0) {
		chan_deinit(chan);
		return -ENOMEM;
	}
	return 0;
}

int chan_detach(struct chan *chan)
{
	struct chan_packet *packet;
	int fd = chan->fd;

	if (chan->destroyed)
		*chan->destroyed = true;
	if (chan->readable)
		event_free(chan->readable);
	if (chan->writable)
		event_free(chan->writable);
	if (chan->later)
		event_free(chan->later);
	while ((packet = STAILQ_FIRST(&chan->queue))) {
		STAILQ_REMOVE_HEAD(&chan->queue, next);
		packet_free(packet);
	}
	*chan = (struct chan){ .fd = -1, .gone = true };
	return fd;
}

void chan_deinit(struct chan *chan)
{
	bool foreign = is_foreign(chan);

	if (!chan->owner && !chan->readable)
		return;
	if (foreign)
		ticks_close(chan_detach(chan));
	else
		fd_close(chan_detach(chan));
}

static int enqueue(struct chan *chan, uint32_t type, const void *body, const void *tail,
		   size_t tail_len, int fds[LIMIT_MESSAGE_FDS])
{
	size_t body_len = chan->ctx.table->rows[type].body;
	struct chan_packet *packet;

	if (chan->queued >= LIMIT_CHAN_QUEUE)
		return break_soon(chan, &chan->flooded);
	packet = malloc(sizeof(*packet) + body_len + tail_len);
	if (!packet || event_add(chan->writable, NULL) < 0) {
		free(packet); /* lost, and the other side would wait for it */
		return break_soon(chan, &chan->starved);
	}
	packet->type = type;
	packet->len = body_len + tail_len;
	packet->tail_len = tail_len;
	for (size_t i = 0; i < ARRAY_SIZE(packet->fds); i++)
		packet->fds[i] = fd_steal(&fds[i]);
	memcpy(packet->bytes, body, body_len);
	if (tail_len > 0)
		memcpy(packet->bytes + body_len, tail, tail_len);
	STAILQ_INSERT_TAIL(&chan->queue, packet, next);
	chan->queued++;
	return 0;
}

int chan_send(struct chan *chan, uint32_t type, const void *body, const void *tail,
	      size_t tail_len, const int *fds)
{
	int owned[LIMIT_MESSAGE_FDS];
	int r = -EPIPE;

	for (size_t i = 0; i < ARRAY_SIZE(owned); i++)
		owned[i] = fds && i < chan->ctx.table->rows[type].fds ? fds[i] : -1;
	if (!chan->gone) {
		r = -EAGAIN;
		if (chan->queued == 0)
			r = msg_send(chan->fd, chan->ctx.table, type, body, tail, tail_len, owned);
		if (r == -EAGAIN || r == -ENOMEM)
			r = enqueue(chan, type, body, tail, tail_len, owned);
		else if (r < 0)
			r = -EPIPE; /* the reading side sees the hang-up, and calls on_gone */
	}
	for (size_t i = 0; i < ARRAY_SIZE(owned); i++)
		fd_close(owned[i]);
	return r;
}

int chan_send_body(struct chan *chan, uint32_t type, const void *body)
{
	return chan_send(chan, type, body, NULL, 0, NULL);
}
