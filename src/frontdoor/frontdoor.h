/*
 * The frontdoor role: accepts programs on the UNIX socket, asks the kernel who they are, enforces
 * what one user may hold, and passes each to the worker of its badge.  It reads no byte of what a
 * program sends, and knows no TLS, no network and no file.
 */
#ifndef TLSB_FRONTDOOR_FRONTDOOR_H
#define TLSB_FRONTDOOR_FRONTDOOR_H

#include "role/role.h"

extern const struct child_ops frontdoor_ops;

#endif
