/*
 * What the parts of a worker that was taken over have in common: what it has, its channels, and the
 * words for what came of an attempt.
 */
#ifndef TLSB_TESTS_TREASON_H
#define TLSB_TESTS_TREASON_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "role/role.h"
#include "tlsbroker.h"

/* What came of it. */
#define SIGNED	     "signed"
#define GIVEN	     "given"
#define DIALLED	     "dialled"
#define REFUSED	     "refused"
#define NO_HOST	     "not taken for a host"
#define NO_KEY	     "not taken for a key"
#define CUT	     "cut off"
#define OVER	     "served no more"
#define BOUNDED	     "bounded"
#define NOTHING	     "nothing"
#define SUCCEEDED    "succeeded"
#define DENIED_EPERM "Operation not permitted"
/* It does not come back to tell: the log does. */
#define KILLED "killed by its sandbox"
#define ENDED  "killed by the supervisor"

/* How long to wait for what must come, and for what may not come at all. */
#define SOON_MS	  30000
#define AWHILE_MS 60

/* So many are without end: no queue is that long, no socket's buffer that large. */
#define ENDLESS 30000

/* What the client wants: the number of an attempt, and what to try it on. */
struct order {
	uint32_t number;
	uint32_t victim;
	uint16_t ours, theirs;
	uint32_t stolen; /* a key that another badge has imported */
};

/* The worker's. */
struct treason {
	int frontdoor, connector, keyholder, client;
	int trust, chain, counters; /* kept from the messages that brought them */
	uint32_t key, psk;
	bool deaf;
	struct order order;
	void *page;
	struct iovec vector;
	char bytes[4096];
};

extern struct treason me;

/* Wait until FD is ready; there is no poll(2) here.  0: it is not, in time. */
int wait_for(int fd, uint32_t what, int ms);

enum heard { HEARD, CLOSED, SILENCE };

/* The next message; its descriptors are ours. */
enum heard hear(enum role peer, int ms, struct msg *ret);

/* Send a message, if need be when there is room for it.  Less than 0: it is not wanted any more. */
int tell(enum role peer, uint32_t type, const void *body, const void *tail, size_t len);

/* What is not a message of the table: LEN bytes, and FD COUNT times. */
void tell_raw(enum role peer, uint32_t type, size_t len, int fd, unsigned count);

/* Whether a peer has had enough, after all that it still had to say. */
const char *cut_off(enum role peer);

/* The same message without end; what it is answered is not read. */
const char *endless(enum role peer, uint32_t type, const void *body, const void *tail, size_t len);

/* A new private key in a file with these seals; the caller closes it. */
#define KEY_SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)
int key_file(int seals);

/* How many channels come for a thousand that are wanted at once, the last of them in *FD; or -1. */
int want_channels(uint32_t type, uint32_t answer, int *fd);

/* After what the supervisor kills us for. */
const char *not_ended(void);

/* Nothing comes of what was said before, and what is said now is answered. */
const char *supervisor_goes_on(void);

/* Of a system call. */
const char *returned(long r);

/* A message that is not a worker's to send, made well in all else. */
const char *forge(enum role peer, uint32_t type);

#define CALL(group, name, expression)	      const char *try_##name(void);
#define DENIED(group, name, error, expression) const char *try_##name(void);
#define ATTEMPT(group, name, outcome)	      const char *try_##name(void);
#include "tests/lib/treason/attempts.def"
#undef CALL
#undef DENIED
#undef ATTEMPT

#endif
