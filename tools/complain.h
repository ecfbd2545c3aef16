/*
 * The one shape of an error: "tlsbroker-cli: SUBJECT: TEXT" on standard error.
 */
#ifndef TLSB_TOOLS_COMPLAIN_H
#define TLSB_TOOLS_COMPLAIN_H

#include "base/macros.h"
#include "tools/exits.h"

/*
 * Print one line.  SUBJECT, what it is about, is escaped here; NULL: nothing in particular.
 * Hostile text among the arguments was escaped by the caller.  Returns EXIT.
 */
enum exit_code complain(enum exit_code exit, const char *subject, const char *format, ...)
	printf_(3, 4);

/* There is no broker at SOCKET: ERROR, an errno, says why. */
enum exit_code complain_of_broker(const char *socket, int error);

#endif
