/*
 * The commands that ask the broker for something: sessions, kill, badges, reload.
 */
#ifndef TLSB_TOOLS_ASK_H
#define TLSB_TOOLS_ASK_H

#include "tools/options.h"
#include "tools/status.h"

/* Returns the exit status; what went wrong has been said. */
enum exit_code ask_run(const struct options *options);

/* "3.17": a session's number in all of the daemon. */
const char *ask_session(char buf[48], uint32_t worker, uint64_t number);

/* The answer to the standard output, as JSON.  0 or -ENOMEM. */
int ask_json_print(const struct options *options, const struct status *status);

#endif
