/* A client's socket in the frontdoor's hands: refused; or given away, and closed by ticks_close(). */
#ifndef TLSB_FRONTDOOR_CALLER_H
#define TLSB_FRONTDOOR_CALLER_H

#include "frontdoor/state.h"
#include "tlsbroker.h"

/* Tell a client why it cannot stay, and now and then the log; FD is closed. */
void caller_refuse(struct frontdoor *frontdoor, int fd, const struct ucred *peer,
		   enum tlsb_error error, const char *text);

#endif
