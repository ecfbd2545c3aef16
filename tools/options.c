/*
 * Options are rows of options.def; here is what each does.  A mistake is one line on standard error
 * that says what would be right, and status 2.
 */
#include "tools/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/macros.h"
#include "base/text.h"
#include "tools/complain.h"
#include "tlsbroker.h"

/*
 * Many servers take close_notify for "gone", and drop the answer that they are working on (nginx
 * does); others answer only when they have seen it.  So it is sent once the server is silent.
 */
#define EOF_WAIT_MS 1000
#define EOF_WAIT_MAX_S 3600

enum option_value {
#define OPTION(ID, value, name, argument, commands, doc) OPTION_##ID = value,
#include "tools/options.def"
#undef OPTION
};

struct option_row {
	int value;
	unsigned commands;
	const char *name, *argument, *doc;
};

static const struct option_row rows[] = {
#define OPTION(ID, value, name, argument, commands, doc) { value, commands, name, argument, doc },
#include "tools/options.def"
#undef OPTION
};

static const struct option longs[] = {
#define OPTION(ID, value, name, argument, commands, doc)                                           \
	{ name, (argument) ? required_argument : no_argument, NULL, value },
#include "tools/options.def"
#undef OPTION
	{ NULL, 0, NULL, 0 },
};

static const char shorts[] = ":46vhV";

static void print_options(unsigned commands)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct option_row *row = &rows[i];
		char head[64];

		if (!(row->commands & commands))
			continue;
		snprintf(head, sizeof(head), "%c%c%s --%s%s%s", row->value < 256 ? '-' : ' ',
			 row->value < 256 ? row->value : ' ', row->value < 256 ? "," : " ",
			 row->name, row->argument ? " " : "", row->argument ? row->argument : "");
		printf("  %-28s %s\n", head, row->doc);
	}
}

struct command_row {
	enum command command;
	const char *name, *operand, *doc;
};

static const struct command_row commands[] = {
#define COMMAND(ID, name, operand, doc) { ID, name, operand, doc },
#include "tools/commands.def"
#undef COMMAND
};

static int help(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("%s tlsbroker-cli %s [options]%s%s\n", i == 0 ? "usage:" : "      ",
		       commands[i].name, commands[i].operand ? " " : "",
		       commands[i].operand ? commands[i].operand : "");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		printf("\n%s: %s\n", commands[i].name, commands[i].doc);
		print_options(commands[i].command);
	}
	puts("\nexit status:");
	exits_print(stdout);
	return EXIT_OK;
}

static int usage(const char *subject, const char *wrong)
{
	return complain(EXIT_USAGE, subject, "%s (tlsbroker-cli --help says more)", wrong);
}

static int parse_version(const char *text, int *ret_version)
{
	if (strncmp(text, "TLSv", 4) == 0)
		text += 4;
	if (strcmp(text, "1.2") == 0)
		*ret_version = TLSB_TLS_1_2;
	else if (strcmp(text, "1.3") == 0)
		*ret_version = TLSB_TLS_1_3;
	else
		return usage(text, "the TLS version must be 1.2 or 1.3");
	return -1;
}

static int parse_timeout(const char *text, uint32_t *ret_seconds)
{
	if (text_parse_u32(text, 1, LIMIT_CONNECT_MAX_MS / 1000, ret_seconds) < 0)
		return complain(EXIT_USAGE, text, "--timeout must be 1 to %d seconds",
				LIMIT_CONNECT_MAX_MS / 1000);
	return -1;
}

static int parse_eof_wait(const char *text, int *ret_ms)
{
	uint32_t seconds;

	if (strcmp(text, "never") == 0) {
		*ret_ms = -1;
		return -1;
	}
	if (text_parse_u32(text, 0, EOF_WAIT_MAX_S, &seconds) < 0)
		return complain(EXIT_USAGE, text, "--eof-wait must be 0 to %d seconds, or never",
				EOF_WAIT_MAX_S);
	*ret_ms = (int)seconds * 1000;
	return -1;
}

static int parse_pid(const char *text, uint32_t *ret_pid)
{
	if (text_parse_u32(text, 1, INT32_MAX, ret_pid) < 0)
		return complain(EXIT_USAGE, text, "--pid must be the number of a process");
	return -1;
}

static int parse_padding(const char *text, bool *ret_pkcs1)
{
	*ret_pkcs1 = strcmp(text, "pkcs1") == 0;
	return *ret_pkcs1 || strcmp(text, "pss") == 0 ? -1 : usage(text, "--padding must be pss or pkcs1");
}

/* One option; as options_parse(). */
static int set(struct options *options, int value, const char *argument)
{
	switch ((enum option_value)value) {
	case OPTION_SOCKET:
		options->socket = argument;
		return -1;
	case OPTION_CA:
		options->ca = argument;
		return -1;
	case OPTION_NAME:
		options->name = argument;
		return -1;
	case OPTION_ALPN:
		options->alpn = argument;
		return -1;
	case OPTION_IPV4:
		options->family = AF_INET;
		return -1;
	case OPTION_IPV6:
		options->family = AF_INET6;
		return -1;
	case OPTION_TIMEOUT:
		return parse_timeout(argument, &options->timeout_s);
	case OPTION_EOF_WAIT:
		return parse_eof_wait(argument, &options->eof_wait_ms);
	case OPTION_RESUME:
		options->no_resumption = false;
		return -1;
	case OPTION_NO_RESUME:
		options->no_resumption = true;
		return -1;
	case OPTION_MIN_VERSION:
		return parse_version(argument, &options->version_min);
	case OPTION_MAX_VERSION:
		return parse_version(argument, &options->version_max);
	case OPTION_CIPHERS:
		options->ciphers = argument;
		return -1;
	case OPTION_PIN:
		if (options->pin_count == LIMIT_PINS)
			return complain(EXIT_USAGE, argument, "--pin: more than %d", LIMIT_PINS);
		options->pins[options->pin_count++] = argument;
		return -1;
	case OPTION_IDENTITY:
		options->identity = argument;
		return -1;
	case OPTION_PSK:
		options->psk = argument;
		return -1;
	case OPTION_PSK_FILE:
		options->psk_file = argument;
		return -1;
	case OPTION_CERT:
		options->cert = argument;
		return -1;
	case OPTION_KEY:
		options->key = argument;
		return -1;
	case OPTION_INSECURE:
		options->insecure = true;
		return -1;
	case OPTION_VERBOSE:
		options->verbose = true;
		return -1;
	case OPTION_SIGNATURE:
		options->signature = argument;
		return -1;
	case OPTION_PADDING:
		return parse_padding(argument, &options->pkcs1);
	case OPTION_JSON:
		options->json = true;
		return -1;
	case OPTION_USER:
		options->user = argument;
		return -1;
	case OPTION_PID:
		return parse_pid(argument, &options->pid);
	case OPTION_HELP:
		return help();
	case OPTION_VERSION:
		puts("tlsbroker-cli " TLSB_VERSION);
		return EXIT_OK;
	}
	return EXIT_USAGE;
}

static const struct option_row *find(int value)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].value == value)
			return &rows[i];
	}
	return NULL;
}

static int misplaced(const char *name)
{
	char word[32];

	snprintf(word, sizeof(word), "--%s", name);
	return usage(word, "not an option of this command");
}

/* What getopt_long() did not like; WORD is what it was looking at. */
static int misused(int result, const char *word)
{
	char letter[] = { '-', (char)optopt, '\0' };

	if (result == ':')
		return usage(word, "this option needs an argument");
	if (find(optopt))
		return usage(word, "this option takes no argument");
	/* In "-4x" the word is not finished: only the letter is known. */
	return usage(optopt > ' ' && optopt < 127 ? letter : word, "unknown option");
}

static int unknown_command(const char *word)
{
	char names[128] = "";
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
					i == 0 ? "" : ", ", commands[i].name);
	return complain(EXIT_USAGE, word,
			"unknown command; there are: %s (tlsbroker-cli --help says more)", names);
}

static int parse_command(int argc, char **argv, enum command *ret_command)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	if (!word)
		return usage(NULL, "say what to do: connect HOST:PORT, status, or another command");
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return help();
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
		return set(&(struct options){ 0 }, OPTION_VERSION, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(word, commands[i].name) == 0) {
			*ret_command = commands[i].command;
			return -1;
		}
	}
	return unknown_command(word);
}

/* "3.17": the worker's number and the session's. */
static int parse_session(char *word, struct options *options)
{
	char *dot = strchr(word, '.');
	uint32_t worker = 0, session = 0;
	int r = -EINVAL;

	if (dot) {
		*dot = '\0';
		r = text_parse_u32(word, 1, UINT32_MAX, &worker);
		*dot = '.';
	}
	if (r < 0 || text_parse_u32(dot + 1, 1, UINT32_MAX, &session) < 0)
		return usage(word, "a session is two numbers with a dot between them, as in sessions");
	options->worker = worker;
	options->session = session;
	return -1;
}

static int parse_target(const char *word, struct options *options)
{
	const char *wrong = target_parse(word, &options->target);

	options->subject = word;
	return wrong ? usage(word, wrong) : -1;
}

static const struct {
	const char *word;
	enum key_verb verb;
	int operands;
} key_verbs[] = {
	{ "list", KEYS_LIST, 0 },     { "import", KEYS_IMPORT, 1 },	{ "sign", KEYS_SIGN, 1 },
	{ "verify", KEYS_VERIFY, 1 }, { "destroy", KEYS_DESTROY, 1 },
};

static int parse_key_operand(const char *word, struct options *options)
{
	options->key_file = word;
	if (options->verb == KEYS_IMPORT)
		return -1;
	if (text_parse_u32(word, 1, UINT32_MAX, &options->key_number) < 0)
		return usage(word, "a key is a number, as in tlsbroker-cli keys");
	return -1;
}

static int parse_keys(int count, char **words, struct options *options)
{
	if (count == 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(key_verbs); i++) {
		if (strcmp(words[0], key_verbs[i].word) != 0)
			continue;
		options->verb = key_verbs[i].verb;
		if (count - 1 < key_verbs[i].operands)
			return usage(words[0], options->verb == KEYS_IMPORT ? "say which file"
									    : "say which key");
		if (count - 1 > key_verbs[i].operands)
			return usage(words[count - 1], "that is one word too many");
		return count == 1 ? -1 : parse_key_operand(words[1], options);
	}
	return usage(words[0], "keys can be: list, import FILE, sign KEY, verify KEY, destroy KEY");
}

static int parse_operands(int count, char **words, struct options *options)
{
	switch (options->command) {
	case CONNECT:
	case EXPLAIN:
		if (count != 1)
			return usage(NULL, count ? "one HOST:PORT only" : "say where to: HOST:PORT");
		return parse_target(words[0], options);
	case KEYS:
		return parse_keys(count, words, options);
	case KILL:
		if (count != 1)
			return usage(NULL, count ? "one session only" : "say which session");
		return parse_session(words[0], options);
	default:
		return count == 0 ? -1 : usage(words[0], "this command takes no operand");
	}
}

int options_parse(int argc, char **argv, struct options *ret_options)
{
	struct options options = { .family = AF_UNSPEC, .eof_wait_ms = EOF_WAIT_MS };
	int exit = parse_command(argc, argv, &options.command), value;

	if (exit >= 0)
		return exit;
	/* The command's word takes the place of the program's name. */
	argc--;
	argv++;
	while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (value == '?' || value == ':')
			return misused(value, argv[optind - 1]);
		if (!(find(value)->commands & options.command))
			return misplaced(find(value)->name);
		exit = set(&options, value, optarg);
		if (exit >= 0)
			return exit;
	}
	exit = parse_operands(argc - optind, argv + optind, &options);
	if (exit >= 0)
		return exit;
	if (options.version_max && options.version_min > options.version_max)
		return usage(NULL, "--min-version is above --max-version");
	if (options.psk_file && !options.psk)
		return usage(NULL, "--psk-file needs --psk, the name that the server has for the key");
	if (!options.cert != !options.key)
		return usage(NULL, "--cert and --key go together");
	if (options.cert && options.identity)
		return usage(NULL, "--cert or --identity, not both");
	if (options.command == KEYS && (options.verb == KEYS_VERIFY) != (options.signature != NULL))
		return usage(NULL, "keys verify and --signature go together");
	if (options.user && options.pid)
		return usage(NULL, "--user or --pid, not both");
	*ret_options = options;
	return -1;
}
