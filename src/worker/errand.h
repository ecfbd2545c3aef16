/*
 * What programs want of keys that the keyholder has for them: each on a socket of its own, passed on and
 * answered, then closed.
 *
 *   client.c -> errand_new()    KEY_IMPORT, KEY_USE ~~ KEY_HOLD, KEY_ASK ~~> keyholder
 *                               KEY_DONE, REFUSED   <~~~~~~ KEY_ANSWER ~~~~~
 *
 * A private key passes through as a descriptor, unread.  Whose keys these are the keyholder knows by the
 * channel.  It is asked LIMIT_KEY_ASKS things at once; the others wait on their sockets.
 */
#ifndef TLSB_WORKER_ERRAND_H
#define TLSB_WORKER_ERRAND_H

#include "wire/chan.h"

struct client;
struct worker;

struct errand {
	LIST_ENTRY(errand) of_client;
	TAILQ_ENTRY(errand) in_line;
	struct worker *worker;
	struct chan chan;
	uint64_t id;
	uint32_t client_pid;
	enum { SILENT, IN_LINE, ASKED } progress;
	int fd; /* of a key to be imported, or -1 */
	struct key_wish wish;
	size_t len;
	uint8_t tail[LIMIT_HASH + LIMIT_KEY_SIGNATURE];
};

/* On the socket that MSG has brought.  0; -EMFILE: there are too many, or -ENOMEM: it still has it. */
int errand_new(struct client *client, struct msg *msg);

/* Its program has gone: of what is on its way nobody hears. */
void errand_free(struct errand *errand);

/* The program's. */
chan_handler errand_on_import, errand_on_use;

/* The keyholder's answer. */
void errand_on_answer(struct worker *worker, const struct msg *msg);

/* The keyholder has gone; another one is there. */
void errand_on_keyholder_gone(struct worker *worker);
void errand_on_keyholder(struct worker *worker);

#endif
