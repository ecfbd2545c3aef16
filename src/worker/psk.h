/*
 * Pre-shared keys: sessions that know their server by one, and not by a certificate (RFC 8446, 2.2; RFC
 * 4279, RFC 5489).  OpenSSL wants the key itself.  So the keyholder gives it to us once the handshake
 * begins, and it is overwritten when that is over; it is in nobody's cache, and such sessions are not
 * resumed.
 *
 *   handshake.c -> psk_is_there() ~~ PSK_WANTED ~~> keyholder
 *                                 <~~ PSK_GIVEN ~~
 *
 * A server that does not take the key is verified by its certificate, as if there were none.
 *
 *   psk.c       which keys there are, and how one comes and goes
 *   pskoffer.c  what OpenSSL does with it
 */
#ifndef TLSB_WORKER_PSK_H
#define TLSB_WORKER_PSK_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "wire/msg.h"
#include "worker/bounds.h"

struct request;
struct session;
struct tls;
struct verdict;
struct worker;

/* One of the badge's; the key is the keyholder's. */
struct psk_name {
	char name[LIMIT_BADGE + 1];
	char identity[LIMIT_PSK_IDENTITY + 1]; /* what servers call it */
	uint32_t key;
};

struct psks {
	struct psk_name *list;
	uint32_t count, expected;
};

/* All zero is fine. */
void psks_deinit(struct psks *psks);

/* A new set begins, of so many.  0 or -errno. */
int psks_begin(struct psks *ret, uint32_t count);

/* One more of it.  0 or -EBADMSG. */
int psks_add(struct psks *psks, const struct msg *msg);

static inline bool psks_are_complete(const struct psks *psks)
{
	return psks->count == psks->expected;
}

/* The one of this name, or NULL. */
const struct psk_name *psks_find(const struct psks *psks, const char *name);

/* What a session uses of it, from the request to the end of the handshake. */
struct psk_use {
	char name[LIMIT_PSK_IDENTITY + 1];     /* as the program calls it; of its own, as the server does */
	char identity[LIMIT_PSK_IDENTITY + 1]; /* as the server calls it */
	bool is_own;
	uint32_t key;   /* its number, if it is not */
	bool sent;      /* the keyholder was asked for it, */
	unsigned tries; /* and so were others, which died */
	size_t len;     /* 0: it is not here yet */
	unsigned char bytes[LIMIT_PSK_BYTES];
	SSL_SESSION *offer; /* as TLS 1.3 has it */
};

/* Read a PRESHARED message, from a program: hostile.  0, -EBADMSG or -ENOMEM. */
int psk_parse(struct psk_use **ret, const struct msg *msg);

/* Overwrites the key, also where OpenSSL has it.  NULL is fine.  Returns NULL. */
struct psk_use *psk_free(struct psk_use *psk);

/*
 * Have SSL offer it.  -EACCES, -EINVAL: REQUEST is beyond the bounds, or asks for what does not go with it,
 * and *ret_text says why.  0 or -ENOMEM.
 */
int psk_apply(const struct tls *tls, SSL *ssl, struct request *request, const char **ret_text);

/* Whether the handshake can begin; else the keyholder is asked, and session_pump() is called later. */
bool psk_is_there(struct session *session);

/* The handshake is over: whether the server has taken the key, and so proven that it has it. */
bool psk_was_used(const struct session *session);

/*
 * What the failure of a handshake that has offered a key may be about: ERROR is OpenSSL's.  False: it is
 * about something else.
 */
bool psk_verdict(const struct psk_use *psk, unsigned long error, struct verdict *ret_verdict);

/* The keyholder's answer. */
void psk_on_given(struct worker *worker, const struct msg *msg);

/* The keyholder has gone; another one is there, or has room: those that wait ask it. */
void psk_on_keyholder_gone(struct worker *worker);
void psk_on_keyholder(struct worker *worker);

#endif
