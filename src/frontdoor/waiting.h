/*
 * Quotas, and the room where clients wait for their worker to be started; before that, perhaps, for the
 * supervisor to find out about them what their badge depends on.
 *
 * The room is shared fairly: nobody is turned away while it has places; when it is full, who comes
 * gets a place of the user that has most of them, unless that user has hardly more than itself.
 * So however many clients one user sends, another's get in.
 */
#ifndef TLSB_FRONTDOOR_WAITING_H
#define TLSB_FRONTDOOR_WAITING_H

#include "frontdoor/state.h"
#include "tlsbroker.h"

/* A new client, as the kernel describes it: handed over, made to wait, or refused.  Consumes FD. */
void waiting_admit(struct frontdoor *frontdoor, int fd, const struct ucred *peer);

/*
 * An answer about a client: FD is what the supervisor opened, which stays the caller's; or -1, and ERROR
 * says why.  0; -EPROTO: nothing was asked.
 */
int waiting_on_answer(struct frontdoor *frontdoor, uint64_t question, int fd, uint32_t error);

/* Hand over the badge's clients, as far as its workers take them. */
void waiting_serve(struct badge *badge);

/* The same, to the workers that are there: those clients need not wait for others. */
void waiting_settle(struct badge *badge);

/* The same for every badge: after a while, when a worker was too slow. */
void waiting_serve_all(struct frontdoor *frontdoor);

/* Refuse all of the badge's clients, or all that there are, which forgets badges. */
void waiting_refuse(struct badge *badge, enum tlsb_error error, const char *text);
void waiting_refuse_all(struct frontdoor *frontdoor, enum tlsb_error error, const char *text);

/* Refuse those that have waited too long. */
void waiting_expire(struct frontdoor *frontdoor, uint64_t now_ms);

#endif
