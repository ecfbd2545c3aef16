/*
 * The command line tool's command line: each mistake is one line that names it, and status 2.  The
 * files under test are included: see cli_target.c.
 */
#include "cli_said.h"

#include <getopt.h>
#include <sys/socket.h>

#define options_parse cli_options_parse /* the daemon has one, too */
#include "tools/complain.c"
#include "tools/exits.c"
#include "tools/options.c"
#include "tools/target.c"

#define MOST_WORDS 12

static int parse(const char *const *words, struct options *options, struct said *said)
{
	static char copies[MOST_WORDS][300];
	char *argv[MOST_WORDS + 2] = { copies[0] };
	int argc = 1, r;

	strcpy(copies[0], "tlsbroker-cli");
	for (; *words; words++, argc++) {
		assert_in_range(argc, 1, MOST_WORDS - 1);
		argv[argc] = strcpy(copies[argc], *words);
	}
	said_begin(said);
	optind = 0; /* from the start */
	opterr = 0;
	r = options_parse(argc, argv, options);
	said_end(said);
	return r;
}

static void mistakes_are_named(void **state unused_)
{
	static const struct {
		const char *words[MOST_WORDS];
		const char *named;
	} mistakes[] = {
		{ { NULL }, "say what to do: connect HOST:PORT, status, or another command" },
		{ { "dance" }, "dance: unknown command" },
		{ { "connect" }, "say where to: HOST:PORT" },
		{ { "connect", "a:1", "b:2" }, "one HOST:PORT only" },
		{ { "connect", "a" }, "a: no port" },
		{ { "explain" }, "say where to: HOST:PORT" },
		{ { "explain", "a:1", "b:2" }, "one HOST:PORT only" },
		{ { "explain", "a" }, "a: no port" },
		{ { "explain", "--pid", "0", "a:1" }, "0: --pid must be the number of a process" },
		{ { "explain", "--pid", "x", "a:1" }, "x: --pid must be the number of a process" },
		{ { "explain", "--pid", "1", "--user", "u", "a:1" }, "--user or --pid, not both" },
		{ { "explain", "--ca", "x", "a:1" }, "--ca: not an option of this command" },
		{ { "connect", "--user", "u", "a:1" }, "--user: not an option of this command" },
		{ { "status", "a:1" }, "a:1: this command takes no operand" },
		{ { "kill" }, "say which session" },
		{ { "kill", "1.1", "1.2" }, "one session only" },
		{ { "kill", "17" }, "17: a session is two numbers" },
		{ { "kill", "0.1" }, "0.1: a session is two numbers" },
		{ { "kill", "1.x" }, "1.x: a session is two numbers" },
		{ { "kill", "1.4294967296" }, "1.4294967296: a session is two numbers" },
		{ { "kill", "" }, "a session is two numbers" },
		{ { "keys", "dance" }, "dance: keys can be: list, import FILE," },
		{ { "keys", "import" }, "import: say which file" },
		{ { "keys", "sign" }, "sign: say which key" },
		{ { "keys", "sign", "1", "2" }, "2: that is one word too many" },
		{ { "keys", "list", "x" }, "x: that is one word too many" },
		{ { "keys", "destroy", "x" }, "x: a key is a number" },
		{ { "keys", "destroy", "0" }, "0: a key is a number" },
		{ { "keys", "destroy", "4294967296" }, "4294967296: a key is a number" },
		{ { "keys", "verify", "1" }, "keys verify and --signature go together" },
		{ { "keys", "sign", "1", "--signature", "x" }, "keys verify and --signature go together" },
		{ { "keys", "sign", "1", "--padding", "x" }, "x: --padding must be pss or pkcs1" },
		{ { "keys", "--ca", "x" }, "--ca: not an option of this command" },
		{ { "status", "--padding", "pss" }, "--padding: not an option of this command" },
		{ { "reload", "now" }, "now: this command takes no operand" },
		{ { "sessions", "-v" }, "--verbose: not an option of this command" },
		{ { "connect", "--nonsense", "a:1" }, "--nonsense: unknown option" },
		{ { "connect", "-4x", "a:1" }, "-x: unknown option" },
		{ { "connect", "--ca" }, "--ca: this option needs an argument" },
		{ { "connect", "--insecure=yes", "a:1" },
		  "--insecure=yes: this option takes no argument" },
		{ { "status", "--ca", "x" }, "--ca: not an option of this command" },
		{ { "connect", "--json", "a:1" }, "--json: not an option of this command" },
		{ { "connect", "--timeout", "0", "a:1" }, "0: --timeout must be 1 to 600 seconds" },
		{ { "connect", "--timeout", "601", "a:1" }, "601: --timeout must be" },
		{ { "connect", "--timeout", "1s", "a:1" }, "1s: --timeout must be" },
		{ { "connect", "--eof-wait", "3601", "a:1" }, "3601: --eof-wait must be" },
		{ { "connect", "--pin" }, "--pin: this option needs an argument" },
		{ { "status", "--pin", "x" }, "--pin: not an option of this command" },
		{ { "connect", "--eof-wait", "", "a:1" }, ": --eof-wait must be" },
		{ { "connect", "--min-version", "1.1", "a:1" },
		  "1.1: the TLS version must be 1.2 or 1.3" },
		{ { "connect", "--max-version", "TLSv1", "a:1" }, "the TLS version must be" },
		{ { "connect", "--min-version", "1.3", "--max-version", "1.2", "a:1" },
		  "--min-version is above --max-version" },
	};
	static struct said said;
	struct options options;

	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
		assert_int_equal(parse(mistakes[i].words, &options, &said), EXIT_USAGE);
		said_one_line(&said);
		assert_int_equal(strncmp(said.text, "tlsbroker-cli: ", 15), 0);
		if (!strstr(said.text, mistakes[i].named))
			fail_msg("%s: %s", mistakes[i].named, said.text);
	}
}

static void what_to_do_with_keys(void **state unused_)
{
	static struct said said;
	struct options options;

	assert_int_equal(parse((const char *[]){ "keys", NULL }, &options, &said), -1);
	assert_int_equal(options.command, KEYS);
	assert_int_equal(options.verb, KEYS_LIST);
	assert_int_equal(parse((const char *[]){ "keys", "list", "--json", NULL }, &options, &said), -1);
	assert_true(options.json);
	assert_int_equal(parse((const char *[]){ "keys", "import", "0", NULL }, &options, &said), -1);
	assert_int_equal(options.verb, KEYS_IMPORT);
	assert_string_equal(options.key_file, "0");
	assert_int_equal(parse((const char *[]){ "keys", "sign", "4294967295", "--padding", "pkcs1", NULL },
			       &options, &said), -1);
	assert_int_equal(options.verb, KEYS_SIGN);
	assert_int_equal(options.key_number, UINT32_MAX);
	assert_true(options.pkcs1);
	assert_int_equal(parse((const char *[]){ "keys", "verify", "7", "--signature", "f", "--padding",
						 "pss", NULL },
			       &options, &said), -1);
	assert_int_equal(options.verb, KEYS_VERIFY);
	assert_string_equal(options.signature, "f");
	assert_false(options.pkcs1);
	assert_int_equal(parse((const char *[]){ "keys", "destroy", "7", NULL }, &options, &said), -1);
	assert_int_equal(options.verb, KEYS_DESTROY);
	assert_string_equal(said.text, "");
}

static void settings_are_taken(void **state unused_)
{
	static struct said said;
	struct options options;

	assert_int_equal(parse((const char *[]){ "connect", "--min-version", "1.2", "--max-version",
						 "TLSv1.3", "[::1]:443", NULL },
			       &options, &said),
			 -1);
	assert_string_equal(said.text, "");
	assert_int_equal(options.command, CONNECT);
	assert_int_equal(options.version_min, TLSB_TLS_1_2);
	assert_int_equal(options.version_max, TLSB_TLS_1_3);
	assert_string_equal(options.target.host, "::1");
	assert_string_equal(options.target.port, "443");
	assert_int_equal(options.eof_wait_ms, EOF_WAIT_MS);
	assert_int_equal(parse((const char *[]){ "connect", "-4", "-6", "--eof-wait", "never",
						 "--timeout", "600", "a:1", NULL },
			       &options, &said),
			 -1);
	assert_int_equal(options.family, AF_INET6);
	assert_int_equal(options.eof_wait_ms, -1);
	assert_int_equal(options.timeout_s, 600);
	assert_int_equal(parse((const char *[]){ "connect", "--no-resume", "--insecure", "-v",
						 "--eof-wait", "3600", "a:1", NULL },
			       &options, &said),
			 -1);
	assert_true(options.no_resumption && options.insecure && options.verbose);
	assert_int_equal(options.eof_wait_ms, 3600000);
	assert_int_equal(parse((const char *[]){ "connect", "--no-resume", "--resume", "a:1", NULL },
			       &options, &said),
			 -1);
	assert_false(options.no_resumption);
	assert_int_equal(parse((const char *[]){ "status", "--json", "--socket", "s", NULL }, &options,
			       &said),
			 -1);
	assert_int_equal(options.command, STATUS);
	assert_true(options.json);
	assert_string_equal(options.socket, "s");
}

static void help_and_version_are_had_anywhere(void **state unused_)
{
	static const char *const words[][3] = {
		{ "--help" }, { "-h" }, { "connect", "--help" }, { "status", "-h" },
		{ "--version" }, { "-V" }, { "connect", "-V" }, { "status", "--version" },
	};
	static struct said said;
	struct options options;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		assert_int_equal(parse(words[i], &options, &said), EXIT_OK);
		assert_non_null(strstr(said.text, i < 4 ? "usage: tlsbroker-cli" : TLSB_VERSION));
	}
	/* Each option is in the help, with its argument. */
	parse(words[0], &options, &said);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char option[64];

		snprintf(option, sizeof(option), "--%s%s%s ", rows[i].name,
			 rows[i].argument ? " " : "", rows[i].argument ? rows[i].argument : "");
		assert_non_null(strstr(said.text, option));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mistakes_are_named),
		TEST(what_to_do_with_keys),
		TEST(settings_are_taken),
		TEST(help_and_version_are_had_anywhere),
	};

	return testing_run(tests);
}
