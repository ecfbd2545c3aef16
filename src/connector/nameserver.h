/*
 * One name server: a c-ares channel, driven by the role's event loop.
 *
 * A channel for each server, with one try for each question: which server to ask next, and when, is
 * decided by question.c.  The channels are made before the sandbox is entered and kept for the
 * process' life, since c-ares opens files whenever a channel is made (/dev/urandom, in later
 * versions also resolv.conf, whatever the options); afterwards only the server's address changes.
 * c-ares is given no names to search, no hosts file, and sockets of our making: it makes messages,
 * matches answers to questions, falls back to TCP, and parses.
 */
#ifndef TLSB_CONNECTOR_NAMESERVER_H
#define TLSB_CONNECTOR_NAMESERVER_H

#include <event2/event.h>
#include <sys/queue.h>

#include "connector/address.h"

enum answer_kind {
	ANSWER_FOUND,
	ANSWER_NO_ADDRESS, /* the name exists */
	ANSWER_NO_NAME,
	ANSWER_FAILED,
};

struct answer {
	enum answer_kind kind;
	int status;     /* what c-ares called it */
	uint32_t ttl_s; /* least of the addresses and of the aliases that led to them */
	struct addresses found;
};

typedef void nameserver_done(void *arg, const struct answer *answer);

struct ares_channeldata;
struct nameserver_socket;

struct nameserver {
	struct ares_channeldata *channel;
	struct event_base *base;
	struct event *timer;
	LIST_HEAD(, nameserver_socket) sockets;
	struct address address;
	unsigned asked;          /* questions without an answer */
	bool shortage;           /* there was no socket to be had */
	bool deaf;               /* to one of its sockets, for want of memory */
	uint64_t avoid_until_ms; /* it did not answer: others are asked before it */
};

/* Before the sandbox: load c-ares and make a channel for a server not known yet.  0 or -errno. */
int nameserver_prepare(struct nameserver *server);

/* In the event loop's time.  0 or -ENOMEM. */
int nameserver_start(struct nameserver *server, struct event_base *base);

/* All zero is fine.  Questions under way end with ANSWER_FAILED. */
void nameserver_deinit(struct nameserver *server);

/* From now on ask ADDRESS.  Questions under way end with ANSWER_FAILED.  0 or -ENOMEM. */
int nameserver_set_address(struct nameserver *server, const struct address *address);

/*
 * Ask for NAME's addresses of V6 or V4.  DONE is called exactly once, perhaps before this returns.
 * No question is ever taken back: at the latest it ends after NAMESERVER_TIMEOUT_MS.
 */
void nameserver_ask(struct nameserver *server, const char *name, unsigned index,
		    nameserver_done *done, void *arg);

/* The longest time that resolv.conf can ask for, so that late answers still count. */
#define NAMESERVER_TIMEOUT_MS 30000

/* "did not answer", "SERVFAIL", ...: what a failed answer's status means. */
const char *nameserver_trouble(int status);

#endif
