/*
 * What a worker does when nobody waits for it.
 *
 * A program that ends a session and opens the next one need not wait until the first one's TLS and
 * memory are taken apart, nor until memory is mapped for the second.  So what sessions leave is freed when the
 * loop has no other event, and a channel that nobody has had lies ready for the next one.
 */
#ifndef TLSB_WORKER_LEISURE_H
#define TLSB_WORKER_LEISURE_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "ring/channel.h"
#include "wire/limits.h"

struct event;
struct worker;

/* What a session leaves. */
struct remains {
	SSL *ssl;
	struct channel channel;
};

struct leisure {
	struct event *event; /* behind all others */
	struct remains remains[LIMIT_REMAINS];
	unsigned count;
	struct channel spare; /* its page is NULL: there is none */
	int spare_fd;         /* its memory's, if there is one */
	uint32_t wanted; /* the next spare one's capacity */
};

/* 0 or -ENOMEM. */
int leisure_init(struct worker *worker);

/* Whatever waits is done now. */
void leisure_deinit(struct worker *worker);

/* Free them later.  SSL may be NULL, and the channel's page; both are taken. */
void leisure_free(struct worker *worker, SSL *ssl, struct channel *channel);

/* As channel_create(), and mostly at no cost. */
int leisure_channel(struct worker *worker, struct channel *ret_channel, uint32_t capacity,
		    int *ret_fd);

#endif
