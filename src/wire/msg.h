/*
 * One message: how it looks on a SOCK_SEQPACKET socket, and what is checked before anybody looks at
 * it.  Used by the daemon and by the library; knows no event loop.
 *
 *   | type u32 | zero u32 | body, exactly as long as the table says | tail, at most so long |
 *
 * The kernel keeps message borders, so a message is whole or it is refused.
 */
#ifndef TLSB_WIRE_MSG_H
#define TLSB_WIRE_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/limits.h"
#include "wire/messages.h"

/* A row of messages.def or client.def. */
struct msg_info {
	const char *name;
	uint32_t from, to;  /* sets of roles */
	uint32_t phases;    /* set of enum msg_phase */
	uint32_t body, zero, tail_max;
	uint32_t fds;
};

struct msg_table {
	const struct msg_info *rows;
	uint32_t count;
};

extern const struct msg_table internal_messages; /* between our processes */
extern const struct msg_table client_messages;   /* between program and daemon */

/* Which rule a message broke.  The order is that of the checks. */
enum msg_rule {
	RULE_NONE = 0,
	RULE_HEADER,   /* shorter or longer than any message, or reserved header bits set */
	RULE_TYPE,     /* no such type */
	RULE_SENDER,   /* not this peer's to send */
	RULE_RECEIVER, /* not ours to receive */
	RULE_SIZE,     /* shorter than its body */
	RULE_TAIL,     /* tail too long */
	RULE_FDS,      /* more or fewer descriptors than the row says, or some were cut off */
	RULE_PHASE,    /* not now */
	RULE_RESERVED, /* reserved bytes of the body set */
	RULE_CONTENT,  /* a handler refused what the body or tail says */
	RULE_FLOOD,    /* the peer does not read what it is sent */
	RULE_COUNT,
};

const char *msg_rule_name(enum msg_rule rule);

/* A received message.  BODY and TAIL point into the receiver's buffer. */
struct msg {
	uint32_t type;
	const struct msg_info *info;
	const void *body;
	const char *tail; /* not NUL-terminated */
	uint32_t tail_len;
	int fds[LIMIT_MESSAGE_FDS]; /* the receiver's, unless taken; -1 where there is none */
	bool starved; /* it came with descriptors, but this process had no number free for them */
};

/* Where messages are received into. */
union msg_buffer {
	struct msg_header header;
	uint64_t align;
	uint8_t bytes[LIMIT_MESSAGE + 1]; /* one more, to notice what is longer */
};

/* Who is at both ends, and how far they are. */
struct msg_context {
	const struct msg_table *table;
	enum role self, peer;
	enum msg_phase phase;
};

/*
 * Check LEN bytes at BUF with NFDS descriptors against the table: everything but RULE_CONTENT.
 * Touches no descriptor.  RULE_NONE, and *ret_msg (its fds all -1) is filled; or the first rule
 * broken.
 */
enum msg_rule msg_check(const struct msg_context *ctx, const void *buf, size_t len, size_t nfds,
			struct msg *ret_msg);

/*
 * Receive one message without blocking.  1: *ret_msg is checked, its fds are the caller's, to be
 * released with msg_close_fds(); or it is starved: all is well but that its fds are lost.  0: the peer has closed.  -EAGAIN: none is there.  -EBADMSG: it
 * broke *ret_rule; its descriptors are closed.  Else -errno of recvmsg(2).
 */
int msg_recv(int fd, const struct msg_context *ctx, union msg_buffer *buf, struct msg *ret_msg,
	     enum msg_rule *ret_rule);

/* The same, but that it sleeps until there is one: for who has nothing else to do, on a socket that blocks. */
int msg_await(int fd, const struct msg_context *ctx, union msg_buffer *buf, struct msg *ret_msg,
	      enum msg_rule *ret_rule);

/*
 * Send one message without blocking: TYPE's body of the table's size, TAIL, and the row's number of
 * descriptors from FDS, which stay the caller's.  0, -EAGAIN (the socket is full, or too many
 * descriptors are in flight), or -errno.
 */
int msg_send(int fd, const struct msg_table *table, uint32_t type, const void *body,
	     const void *tail, size_t tail_len, const int *fds);

/* Take descriptor I out of a message: now the caller's.  Never -1 in a checked message. */
int msg_take_fd(struct msg *msg, unsigned i);

/* Close the descriptors that nobody took. */
void msg_close_fds(struct msg *msg);

/* Its tail was a secret, of which nothing is to stay in the receiver's buffer. */
void msg_wipe(const struct msg *msg);

/*
 * The next LEN bytes of a tail at *AT as a string in DST (SIZE bytes, SIZE > LEN).  -EBADMSG when
 * they are not there, do not fit, or hold a NUL.  Advances *AT.  0 or -EBADMSG.
 */
int msg_tail_string(const struct msg *msg, uint32_t *at, uint32_t len, char *dst, size_t size);

#endif
