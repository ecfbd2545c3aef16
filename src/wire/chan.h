/*
 * A channel in a role's event loop: receives, checks and dispatches messages, queues what the other
 * end is too slow for.  Daemon only; the library uses msg.h alone.
 *
 * A channel that breaks (closed, a rule broken, queue full) calls on_gone exactly once and does
 * nothing more; the owner then calls chan_deinit().
 */
#ifndef TLSB_WIRE_CHAN_H
#define TLSB_WIRE_CHAN_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "wire/msg.h"

struct chan;

/*
 * Handle one checked message.  May take its descriptors; may deinit the channel.  0, or a negative
 * errno when the content is not acceptable: the channel then breaks with RULE_CONTENT.
 */
typedef int chan_handler(struct chan *chan, struct msg *msg);

/* Why a channel broke: RULE_NONE when the peer closed it, an error of the socket ended it, or we had no
 * memory for what was to be sent. */
typedef void chan_gone(struct chan *chan, enum msg_rule rule, const char *what);

struct chan_packet;

struct chan {
	int fd;
	void *owner;
	struct msg_context ctx;
	chan_handler *const *handlers; /* by message type */
	chan_gone *on_gone;
	unsigned batch; /* messages handled before others have their turn */
	void (*on_drained)(struct chan *chan); /* nothing is queued any more; or NULL */
	chan_handler *on_starved; /* for messages that lost their descriptors; NULL: it breaks */
	struct event *readable, *writable;
	struct event *later; /* to try again when polling would not help */
	STAILQ_HEAD(, chan_packet) queue;
	unsigned queued;
	bool gone;
	bool flooded; /* its queue overflowed: breaks at the next turn of the loop */
	bool starved; /* so does one that had no memory for a message; its peer has done nothing wrong */
	bool *destroyed; /* set while dispatching: told when the channel is deinit'ed */
};

/*
 * Take over FD, a non-blocking SOCK_SEQPACKET socket, which is closed on failure too.  HANDLERS has
 * an entry for every type that PEER may send to SELF in any phase.  0 or -ENOMEM.
 */
int chan_init(struct chan *chan, struct event_base *base, int fd, const struct msg_table *table,
	      enum role self, enum role peer, enum msg_phase phase, chan_handler *const *handlers,
	      chan_gone *on_gone, void *owner);

/* Close and forget; what is queued is lost.  A channel that is all zero, or deinit'ed, is fine. */
void chan_deinit(struct chan *chan);

/* The same, but the socket is the caller's now. */
int chan_detach(struct chan *chan);

/*
 * Send, or queue.  FDS (as many as the row says) are consumed in every case.  0, or -EPIPE when the
 * channel has gone or just broke: on_gone is then called from the event loop, not from here.
 */
int chan_send(struct chan *chan, uint32_t type, const void *body, const void *tail,
	      size_t tail_len, const int *fds);

/* As chan_send(), without tail and descriptors. */
int chan_send_body(struct chan *chan, uint32_t type, const void *body);

/* Messages that wait for the other end. */
static inline unsigned chan_queued(const struct chan *chan)
{
	return chan->queued;
}

#endif
