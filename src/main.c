/*
 * argv -> role -> run.  What a person or systemd starts is the supervisor; "-x ROLE" is how the
 * supervisor starts the others.
 */
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "connector/connector.h"
#include "frontdoor/frontdoor.h"
#include "keyholder/keyholder.h"
#include "role/role.h"
#include "supervisor/options.h"
#include "supervisor/policy.h"
#include "supervisor/supervisor.h"
#include "trust/memory.h"
#include "worker/worker.h"

#define EXIT_USAGE 2

static int usage(const char *what)
{
	fprintf(stderr, "tlsbrokerd: %s; see tlsbrokerd --help\n", what);
	return EXIT_USAGE;
}

/* The exit status of what only had to print. */
static int printed(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fputs("tlsbrokerd: standard output could not be written\n", stderr);
	return 1;
}

static int run_role(const struct options *options)
{
	static const struct child_ops *const ops[ROLE_COUNT] = {
		[ROLE_FRONTDOOR] = &frontdoor_ops,
		[ROLE_CONNECTOR] = &connector_ops,
		[ROLE_KEYHOLDER] = &keyholder_ops,
		[ROLE_WORKER] = &worker_ops,
	};
	struct stat st;

	if (fstat(SUPERVISOR_FD, &st) < 0 || !S_ISSOCK(st.st_mode))
		return usage("-x: only tlsbrokerd itself starts roles");
	/* Started through a descriptor, so the kernel named us after its number. */
	prctl(PR_SET_NAME, "tlsbrokerd");
	return child_main(options->role, ops[options->role], options->sandbox);
}

int main(int argc, char **argv)
{
	struct options options;
	struct failure failure;
	int status;

	if (memory_watch() < 0) {
		fputs("tlsbrokerd: OpenSSL had memory before it could be watched\n", stderr);
		return 1;
	}
	if (options_parse(argc, argv, &options, &failure) < 0)
		return usage(failure.text);
	switch (options.action) {
	case ACTION_HELP:
		options_print_help(stdout);
		return printed();
	case ACTION_VERSION:
		printf("tlsbrokerd %s\n", TLSB_VERSION);
		return printed();
	case ACTION_CHECK:
	case ACTION_DUMP:
		status = policy_main(&options);
		return printed() == 0 ? status : 1;
	case ACTION_RUN:
		break;
	}
	return options.role == ROLE_SUPERVISOR ? supervisor_main(&options) : run_role(&options);
}
