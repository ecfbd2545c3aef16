/*
 * tlsbroker-cli: TLS from the command line, through the broker; and a look into the broker.
 *
 *   main.c      argv -> command        options.[ch], options.def   the command line
 *   connect.c   one session            pump.c, outlet.c            its bytes
 *   report.c    what -v prints         exits.[ch], exits.def       exit statuses
 *   commands.def the commands
 *   status.c    asks the broker        status_text.c, status_json.c
 *   ask.c       sessions, kill, badges, reload      ask_json.c
 *   explain.c   who may connect to where            whom.c      and who that is
 *   keys.c      keys in the broker                  keys_print.c
 *   file.c      files that are read as a whole
 *
 * It holds no TLS code: what arrives here is plain text, and printable where it is printed.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "tools/ask.h"
#include "tools/complain.h"
#include "tools/connect.h"
#include "tools/explain.h"
#include "tools/keys.h"
#include "tools/options.h"
#include "tools/status.h"

/* A session's socket must not become standard input because that was closed. */
static void open_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int run(const struct options *options)
{
	if (options->command == CONNECT)
		return connect_run(options);
	if (options->command == STATUS)
		return status_run(options);
	if (options->command == EXPLAIN)
		return explain_run(options);
	if (options->command == KEYS)
		return keys_run(options);
	return ask_run(options);
}

int main(int argc, char **argv)
{
	struct options options;
	int exit;

	open_standard_fds();
	signal(SIGPIPE, SIG_IGN); /* a reader that has gone is an error with a text: EPIPE */
	exit = options_parse(argc, argv, &options);
	if (exit < 0)
		exit = run(&options);
	if (fflush(stdout) != 0 || ferror(stdout))
		return complain(EXIT_OTHER, "standard output", "could not be written");
	return exit;
}
