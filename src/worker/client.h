/*
 * One program's connection: its hello, its new sessions, its questions about status.
 */
#ifndef TLSB_WORKER_CLIENT_H
#define TLSB_WORKER_CLIENT_H

#include <stdbool.h>
#include <sys/queue.h>

#include "wire/chan.h"

struct errand;
struct session;
struct worker;

struct client {
	LIST_ENTRY(client) in_worker;
	LIST_HEAD(, session) sessions;
	LIST_HEAD(, errand) errands;
	struct worker *worker;
	struct chan chan;
	uint64_t id; /* the frontdoor's; 0: of an earlier frontdoor */
	uint32_t pid;
	int lifeline;
	struct event *hello; /* the deadline for it */
	uint64_t status_tag; /* of the question that is being answered; 0: none */
	uint64_t status_below; /* sessions with smaller numbers are still to be told; 0: none */
};

/* By client_msg_type, for both kinds of sockets: the phase keeps them apart. */
extern chan_handler *const client_handlers[];

/* FD is taken.  0 or -ENOMEM. */
int client_new(struct worker *worker, const struct msg_client *msg, int fd);

/* Close the connection; its sessions are orphaned. */
void client_end(struct client *client);

/* Refuse it for good: CODE and TEXT are the last thing it hears. */
void client_refuse(struct client *client, uint32_t code, const char *text);

/* The supervisor's answer to a STATUS. */
void client_on_row(struct client *client, const struct row *row, const char *name, uint32_t len);

#endif
