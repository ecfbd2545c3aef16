#include "supervisor/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <string.h>

/* Long options without a letter: beyond every letter. */
enum { HELP = 'h', VERSION = 'V', SOCKET = 256, CONFIG, TRUST, USER, SANDBOX, ALLOW_INSECURE };

static const char short_options[] = "+:dhnTvVx:";

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, SOCKET },
	{ "config", required_argument, NULL, CONFIG },
	{ "trust", required_argument, NULL, TRUST },
	{ "user", required_argument, NULL, USER },
	{ "sandbox", required_argument, NULL, SANDBOX },
	{ "allow-insecure", no_argument, NULL, ALLOW_INSECURE },
	{ "version", no_argument, NULL, VERSION },
	{ "help", no_argument, NULL, HELP },
	{ NULL, 0, NULL, 0 },
};

void options_print_help(FILE *stream)
{
	fputs("usage: tlsbrokerd [OPTION]...\n"
	      "Hold the TLS sessions of programs that are linked with libtlsbroker.\n\n"
	      "  --socket PATH            listen on PATH; by default as root or as a service\n"
	      "                           /run/tlsbroker/tlsbroker.sock, else\n"
	      "                           $XDG_RUNTIME_DIR/tlsbroker/tlsbroker.sock\n"
	      "  --config FILE            the configuration, and with it conf.d/*.conf next to it; by\n"
	      "                           default /etc/tlsbroker/tlsbroker.conf, if it is there\n"
	      "  -n                       check the configuration, all of it, and start nothing\n"
	      "  -T                       print the configuration that is in force, and start nothing\n"
	      "  --trust FILE             CA certificates in PEM form, instead of the configuration's\n"
	      "  --user NAME              when started as root, become NAME; by default\n"
	      "                           " OPTIONS_USER "\n"
	      "  -d                       log to standard error\n"
	      "  -v                       log more\n"
	      "  --sandbox=enforce|log    kill a process that makes a forbidden system call (the\n"
	      "                           default), or only have the kernel log it\n"
	      "  --allow-insecure         let programs ask for sessions without verification, whatever\n"
	      "                           the configuration says\n"
	      "  -V, --version            print the version\n"
	      "  -h, --help               print this\n",
	      stream);
}

/* An option that needs a value does not take an empty one. */
static int take_text(const char **where, const char *name, struct failure *failure)
{
	if (optarg[0] == '\0')
		return failure_set(failure, -EINVAL, "--%s: is empty", name);
	*where = optarg;
	return 0;
}

static int take_sandbox(struct options *options, struct failure *failure)
{
	if (sandbox_mode_from_name(optarg, &options->sandbox) < 0)
		return failure_set(failure, -EINVAL, "--sandbox: \"%s\" is not enforce or log",
				   optarg);
	return 0;
}

/* Internal: which role this process is.  The supervisor gives it, nobody else. */
static int take_role(struct options *options, struct failure *failure)
{
	if (role_from_name(optarg, &options->role) < 0 || options->role == ROLE_SUPERVISOR)
		return failure_set(failure, -EINVAL, "-x: \"%s\" is not a role", optarg);
	return 0;
}

static bool has_long_form(int value)
{
	for (const struct option *option = long_options; option->name; option++) {
		if (option->val == value)
			return true;
	}
	return false;
}

static int refuse(int code, char **argv, struct failure *failure)
{
	const char *word = argv[optind - 1];

	if (code == ':' && optopt < SOCKET)
		return failure_set(failure, -EINVAL, "option -%c needs a value", optopt);
	if (code == ':')
		return failure_set(failure, -EINVAL, "option %s needs a value", word);
	if (has_long_form(optopt))
		return failure_set(failure, -EINVAL, "option %s takes no value", word);
	if (optopt != 0)
		return failure_set(failure, -EINVAL, "unknown option -%c", optopt);
	return failure_set(failure, -EINVAL, "unknown option %s", word);
}

static int take(int code, char **argv, struct options *options, struct failure *failure)
{
	switch (code) {
	case SOCKET:
		return take_text(&options->socket, "socket", failure);
	case CONFIG:
		return take_text(&options->config, "config", failure);
	case TRUST:
		return take_text(&options->trust, "trust", failure);
	case USER:
		return take_text(&options->user, "user", failure);
	case SANDBOX:
		return take_sandbox(options, failure);
	case ALLOW_INSECURE:
		options->allow_insecure = 1;
		return 0;
	case VERSION:
		options->action = ACTION_VERSION;
		return 0;
	case HELP:
		options->action = ACTION_HELP;
		return 0;
	case 'd':
		options->debug = 1;
		return 0;
	case 'n':
		options->action = ACTION_CHECK;
		return 0;
	case 'T':
		options->action = ACTION_DUMP;
		return 0;
	case 'v':
		options->verbose = 1;
		return 0;
	case 'x':
		return take_role(options, failure);
	default:
		return refuse(code, argv, failure);
	}
}

int options_parse(int argc, char **argv, struct options *ret_options, struct failure *failure)
{
	struct options options = {
		.role = ROLE_SUPERVISOR,
		.sandbox = SANDBOX_ENFORCE,
		.credentials = getenv("CREDENTIALS_DIRECTORY"), /* systemd.exec(5) */
	};
	int code;

	opterr = 0;
	optind = 0; /* glibc's word for "from the start" */
	while ((code = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		int r = take(code, argv, &options, failure);

		if (r < 0)
			return r;
	}
	if (optind < argc)
		return failure_set(failure, -EINVAL, "unexpected argument \"%s\"", argv[optind]);
	*ret_options = options;
	return 0;
}
