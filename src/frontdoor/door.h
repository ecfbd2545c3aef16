/*
 * The listening socket.  Out of descriptors, it never spins and never dies: clients wait in the
 * kernel's queue until some are free.
 */
#ifndef TLSB_FRONTDOOR_DOOR_H
#define TLSB_FRONTDOOR_DOOR_H

#include "frontdoor/state.h"

/* Accept on FD, in place of any other socket; FD is consumed.  0 or -errno. */
int door_open(struct frontdoor *frontdoor, int fd);

/* Accept no more.  A door that is closed already is fine. */
void door_close(struct frontdoor *frontdoor);

/* A descriptor became free: accept again, if that was what we waited for. */
void door_resume(struct frontdoor *frontdoor);

#endif
