/*
 * "tlsbroker-cli connect": one session.
 */
#ifndef TLSB_TOOLS_CONNECT_H
#define TLSB_TOOLS_CONNECT_H

#include "tools/exits.h"
#include "tools/options.h"

/* Returns the exit status; what went wrong has been said. */
enum exit_code connect_run(const struct options *options);

#endif
