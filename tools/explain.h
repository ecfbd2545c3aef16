/*
 * "tlsbroker-cli explain": which badge, which rule, and what is in force then; from those who decide it.
 */
#ifndef TLSB_TOOLS_EXPLAIN_H
#define TLSB_TOOLS_EXPLAIN_H

#include "tools/options.h"
#include "tools/status.h"

/* Returns the exit status; what went wrong has been said. */
enum exit_code explain_run(const struct options *options);

/* The answer to the standard output, as JSON.  0 or -ENOMEM. */
int explain_json_print(const struct options *options, const char *title,
		       const struct status *status);

/* Whether this row is about who it is and where it may connect to, and not about what holds then. */
bool explain_decides(const struct status_row *row);

/* "allowed", "refused", ... */
const char *explain_ruling(const struct status *status);

#endif
