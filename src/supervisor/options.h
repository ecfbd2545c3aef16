/*
 * The command line: of the daemon, and of the roles that it starts itself.
 */
#ifndef TLSB_SUPERVISOR_OPTIONS_H
#define TLSB_SUPERVISOR_OPTIONS_H

#include <stdio.h>

#include "sandbox/sandbox.h"
#include "supervisor/failure.h"
#include "wire/roles.h"

#define OPTIONS_USER       "tlsbroker"

enum options_action { ACTION_RUN, ACTION_HELP, ACTION_VERSION, ACTION_CHECK, ACTION_DUMP };

struct options {
	enum options_action action;
	enum role role;     /* ROLE_SUPERVISOR but for "-x" */
	const char *socket; /* NULL: where it belongs, see environment.h */
	const char *config; /* NULL: where it belongs, see policy.h */
	const char *trust;  /* NULL: as the configuration says */
	const char *user;   /* NULL: not given */
	const char *credentials; /* the folder with those that systemd passed, or NULL */
	int debug;          /* -d: everything to standard error */
	int verbose;
	int allow_insecure;
	enum sandbox_mode sandbox;
};

/* Strings point into ARGV.  0; or -EINVAL, and what is wrong with the command line in *FAILURE. */
int options_parse(int argc, char **argv, struct options *ret_options, struct failure *failure);

void options_print_help(FILE *stream);

#endif
