/*
 * The library's own structs.  libc, base, wire and ring; no globals, no threads, no log.
 *
 *   open.c      the broker's handle                  config.c  settings
 *   link.c      its connections to workers           stream.c  bytes
 *   connect.c   from tlsb_connect() to the channel   wait.c    sleeping
 *   session.c   how far a session is, how it ended   info.c    what was agreed
 *   keys.c      keys that are kept in the broker     spin.c    looking a moment longer
 *
 * Whatever comes from the broker is hostile: messages are checked by wire/msg.h, words of the control
 * page are read once into private memory and judged there.
 */
#ifndef TLSB_LIBTLSBROKER_INTERNAL_H
#define TLSB_LIBTLSBROKER_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "base/pin.h"
#include "ring/channel.h"
#include "ring/doorbell.h"
#include "tlsbroker.h"
#include "wire/msg.h"

/* A connection to the broker, that is to a worker.  Closed while no session is its: those know its number. */
struct link {
	int fd;    /* -1: there is none */
	bool gone; /* the broker closed the connection */
	bool welcome;
	bool doubted; /* the last one was refused: it is used when it has been welcomed */
	uint32_t refused; /* the enum tlsb_error that the broker refused us with, or 0 */
	char refused_text[LIMIT_TEXT + 1];
	uint32_t refusals; /* how many sessions have to be told that on a connection that goes on */
	unsigned sessions; /* that are its, until they are freed */
	uint64_t not_before_ms; /* while it is closed: it is not opened sooner */
};

struct tlsb {
	struct sockaddr_un address; /* to see later whether anybody is still there */
	bool has_cpus;              /* more than one, when it was opened */
	pthread_mutex_t lock;       /* for all below: the handle may be used from several threads */
	struct link first;
	struct link *more; /* so many, if the badge has several workers; NULL until they are needed */
	uint32_t more_count;
	char badge[LIMIT_BADGE + 1];
	int lifeline; /* our end; the first connection's worker holds the other */
	char key_text[LIMIT_TEXT + 1]; /* why the last thing that was wanted of a key has failed */
};

struct tlsb_config {
	char *ca;
	size_t ca_len;
	char *cert, *key; /* of our own; the key is cleansed before it is freed */
	size_t cert_len, key_len;
	char name[LIMIT_HOST + 1];
	char alpn[LIMIT_ALPN + 1];
	char ciphers[LIMIT_CIPHERS + 1];
	char identity[LIMIT_BADGE + 1];
	char psk[LIMIT_PSK_IDENTITY + 1]; /* "": none */
	uint16_t psk_len; /* 0: it is one of the broker's */
	uint8_t psk_key[LIMIT_PSK_BYTES];
	uint16_t version_min, version_max;
	uint16_t family;
	uint16_t flags; /* enum connect_flags */
	uint16_t pin_count;
	struct pin pins[LIMIT_PINS];
};

/* How far we are with the broker; the session's own state is in the control page. */
enum stage {
	STAGE_NEW,     /* nothing was asked for */
	STAGE_ASKING,  /* messages are being sent */
	STAGE_ASKED,   /* all sent; OPENED is to come */
	STAGE_OPEN,    /* the channel is mapped */
	STAGE_OVER,    /* failed or refused; code says why */
	STAGE_CLOSED,  /* tlsb_disconnect() */
};

/* What spin.c knows of a session; see below. */
struct spin {
	uint64_t since_us;    /* the wait has begun */
	uint64_t moved;       /* bytes, since the wait before */
	unsigned short_waits; /* in a row */
	unsigned doubt;       /* more than so many of them make it worth a try */
	unsigned tries;       /* of spinning that are left; 0: it sleeps at once */
	bool is_dialogue;     /* this wait is for an answer, and no part of a stream */
};

struct tlsb_session {
	struct tlsb *tlsb;
	struct link *link;
	struct tlsb_config *config;
	enum stage stage;
	int fd, theirs; /* a socket pair; the second until it is sent */
	int timeout_ms;
	bool hung;      /* the other end is closed */
	bool ended;     /* the page says so: as the last call found it */
	uint64_t hung_ms; /* since when it is not known who died */
	bool fin;       /* tlsb_shutdown() was called */
	uint32_t seen;  /* enum session_state: as the last call found it */
	uint32_t told;  /* the same, as far as the program knows from a call's success */
	uint32_t peeked, reserved; /* how much of the rings the program was shown, and may move */

	/* For wait.c, which explains them. */
	bool shown;       /* the program has the descriptor */
	bool self_rung;   /* our own bell is in it */
	bool asked;       /* the worker was asked for a bell since one was last taken */
	uint32_t armed;   /* enum want: armed since then */
	uint32_t blocked; /* enum want: for which calls returned EWOULDBLOCK */
	struct spin spin;

	char host[LIMIT_HOST + 1];
	uint16_t port;
	uint32_t deadline_ms;
	uint64_t deadline_end_ms; /* when the broker gives up, as we count it */
	size_t ca_sent, cert_sent;
	bool key_sent, psk_sent;
	struct channel channel;
	uint64_t looked_ms; /* when a pure poller's broker was last seen alive */
	uint32_t code;      /* enum tlsb_error */
	char text[LIMIT_TEXT + 1];
};

/* ---- link.c ---- */

/* FD is connected, and is the link's from now on.  0, or -errno: it cannot be used. */
int link_begin(struct link *link, int fd);

/*
 * The connection for a new session, until link_leave(): of those that are there the one with the fewest
 * sessions.  If they all have some, and the badge may have more workers, a further one.
 */
struct link *link_for_session(struct tlsb *tlsb);
void link_leave(struct tlsb *tlsb, struct link *link);

/*
 * Read what came on the connection itself: WELCOME, REFUSED, its end.  Returns the enum tlsb_error of
 * a refusal, and its text in RET_TEXT (LIMIT_TEXT + 1 bytes, NULL: only looking), or TLSB_E_NONE.  A
 * refusal of the connection itself stays; one on a connection that goes on was for a session that
 * has hung up, and is told once.  Not ANEW: only until there was a WELCOME, and only the former.
 */
uint32_t link_listen(struct tlsb *tlsb, struct link *link, bool anew, char *ret_text);

/*
 * Whether anybody listens at the broker's address.  The socket's type is the wrong one on purpose:
 * EPROTOTYPE means that the broker is there, and it need not accept anything to say so.
 */
bool open_is_there(const struct tlsb *tlsb);

/* So long after a hang-up it is certain whether a worker died or the daemon. */
#define GONE_SETTLES_MS 100

/* ---- config.c ---- */

/*
 * What of DATA is of this KIND: all blocks of PEM whose label ends so, or DER as it is.  One file may hold
 * several kinds, of which none is to go where another one goes.  *RET is freed with config_free_secret().
 * 0 or an errno.
 */
int config_pick(const char *data, size_t len, const char *kind, size_t max, char **ret,
		size_t *ret_len);

/* Overwritten first.  NULL is fine. */
void config_free_secret(char *data, size_t len);

/* 0; -EFBIG: the program may not make a file as large as that; or -errno. */
int config_key_file(const char *key, size_t len, int *ret_fd);

/* A copy, or a default one for NULL; NULL without memory. */
struct tlsb_config *config_copy(const struct tlsb_config *config);

/* Certificates and key have been sent, or will not be: forget them. */
void config_forget_files(struct tlsb_config *config);

/* 1 when S may be a host name or an IP literal. */
int config_is_host(const char *s);

/* ---- connect.c ---- */

/* Send what is still to be sent.  0, or -1 with errno: EWOULDBLOCK, or the session is over. */
int connect_ask(struct tlsb_session *session);

/* The broker's connection is full: make our descriptor readable, for want of a better bell. */
void connect_ring_self(struct tlsb_session *session);

/* ---- session.c ---- */

/* The session is over, or this call cannot be: remember why (the first reason stays).  Returns -1
 * with the code's errno.  TEXT may be NULL: the code's own. */
int session_fail(struct tlsb_session *session, uint32_t code, const char *text);

/*
 * Bring the session as far as it is now: ask, map, see its end.  Returns the enum session_state, or
 * -1 with errno: EWOULDBLOCK before there is a channel, else how the session ended.  *RET_OVER: the
 * session goes no further than that state, and what the rings hold.
 */
int session_state(struct tlsb_session *session, bool *ret_over);

/* A call cannot go on: OVER, then find out why and fail; else EWOULDBLOCK.  Returns -1. */
int session_not_yet(struct tlsb_session *session, bool over);

/* Take one message off the session's socket, if there is one. */
void session_receive(struct tlsb_session *session);

/* The same, but that it sleeps until there is one. */
void session_await(struct tlsb_session *session);

/* Wake the worker. */
void session_bell(struct tlsb_session *session);

/* ---- info.c ---- */

/* Text from the broker in SIZE bytes: ended, and nothing in it that a terminal could obey.  The byte
 * ALSO may stay. */
void info_make_printable(char *text, size_t size, char also);

/* ---- spin.c ---- */

/*
 * To be put to sleep and woken again takes longer than many an answer.  So a call that waits for one looks
 * for a moment before it sleeps, if the last waits were short, and no more if that was of no use: the
 * more often it was not, the more short waits it takes to try again.  Never on a machine, or with an
 * affinity, of one processor: there the worker could not even begin.
 */
bool spin_has_cpus(void);

/* A call with wants in session->blocked begins to wait. */
void spin_begin(struct tlsb_session *session);

/* The moment before sleeping.  True: one of this call's WANTS is there. */
typedef bool spin_fn(const struct tlsb_session *session, uint32_t wants);
bool spin_until(struct tlsb_session *session, uint32_t wants, spin_fn *is_there);

/* It has slept, and was woken. */
void spin_slept(struct tlsb_session *session);

/* ---- wait.c ---- */

/* One try of an operation: its result, or -1 with EWOULDBLOCK. */
typedef ssize_t attempt_fn(struct tlsb_session *session, void *arg);

/* Try, and sleep and try again as the session's timeout allows; WANTS: what would help. */
ssize_t wait_for(struct tlsb_session *session, attempt_fn *attempt, void *arg, uint32_t wants);

/* Bytes were read: keep the descriptor readable if something is left, let it sleep if not. */
void wait_after_read(struct tlsb_session *session);

#endif
