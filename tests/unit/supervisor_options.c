/*
 * The daemon's command line.
 */
#include "testing.h"

#include "base/text.h"
#include "supervisor/options.h"

#define MOST_ARGS 8

static int parse(const char *const *words, struct options *options, struct failure *failure)
{
	static char copies[MOST_ARGS][64];
	static char *argv[MOST_ARGS + 1];
	int argc = 0;

	for (; words[argc]; argc++) {
		assert_true(argc < MOST_ARGS && strlen(words[argc]) < sizeof(copies[0]));
		argv[argc] = text_copy(copies[argc], sizeof(copies[0]), words[argc]);
	}
	argv[argc] = NULL;
	return options_parse(argc, argv, options, failure);
}

#define WORDS(...) ((const char *const[]){ "tlsbrokerd", __VA_ARGS__ NULL })

static void options_have_defaults(void **state unused_)
{
	struct options options;
	struct failure failure;

	assert_int_equal(parse(WORDS(), &options, &failure), 0);
	assert_int_equal(options.action, ACTION_RUN);
	assert_int_equal(options.role, ROLE_SUPERVISOR);
	assert_int_equal(options.sandbox, SANDBOX_ENFORCE);
	assert_null(options.trust);
	assert_null(options.config);
	assert_null(options.socket);
	assert_null(options.user);
	assert_false(options.debug || options.verbose || options.allow_insecure);
}

static void options_are_all_taken(void **state unused_)
{
	struct options options;
	struct failure failure;

	assert_int_equal(parse(WORDS("--socket=/run/s", "--trust", "/t", "--user", "u", "-dv",
				     "--allow-insecure", ), &options, &failure), 0);
	assert_string_equal(options.socket, "/run/s");
	assert_string_equal(options.trust, "/t");
	assert_string_equal(options.user, "u");
	assert_true(options.debug && options.verbose && options.allow_insecure);
	assert_int_equal(parse(WORDS("-x", "worker", "--sandbox=log", ), &options, &failure), 0);
	assert_int_equal(options.role, ROLE_WORKER);
	assert_int_equal(options.sandbox, SANDBOX_LOG);
	assert_int_equal(parse(WORDS("-n", "--config", "/c", ), &options, &failure), 0);
	assert_int_equal(options.action, ACTION_CHECK);
	assert_string_equal(options.config, "/c");
	assert_int_equal(parse(WORDS("-T", ), &options, &failure), 0);
	assert_int_equal(options.action, ACTION_DUMP);
	assert_int_equal(parse(WORDS("--help", ), &options, &failure), 0);
	assert_int_equal(options.action, ACTION_HELP);
	assert_int_equal(parse(WORDS("-h", ), &options, &failure), 0);
	assert_int_equal(options.action, ACTION_HELP);
	assert_int_equal(parse(WORDS("--version", ), &options, &failure), 0);
	assert_int_equal(options.action, ACTION_VERSION);
	assert_int_equal(parse(WORDS("-V", ), &options, &failure), 0);
	assert_int_equal(options.action, ACTION_VERSION);
}

static void options_say_what_is_wrong(void **state unused_)
{
	static const struct {
		const char *words[4];
		const char *text;
	} cases[] = {
		{ { "t", "--bogus" }, "unknown option --bogus" },
		{ { "t", "-z" }, "unknown option -z" },
		{ { "t", "-dz" }, "unknown option -z" },
		{ { "t", "--socket" }, "option --socket needs a value" },
		{ { "t", "-x" }, "option -x needs a value" },
		{ { "t", "--user" }, "option --user needs a value" },
		{ { "t", "-:" }, "unknown option -:" },
		{ { "t", "--help=3" }, "option --help=3 takes no value" },
		{ { "t", "--version=3" }, "option --version=3 takes no value" },
		{ { "t", "--allow-insecure=no" }, "option --allow-insecure=no takes no value" },
		{ { "t", "--trust", "" }, "--trust: is empty" },
		{ { "t", "file" }, "unexpected argument \"file\"" },
		{ { "t", "--", "-d" }, "unexpected argument \"-d\"" },
		{ { "t", "--sandbox=maybe" }, "--sandbox: \"maybe\" is not enforce or log" },
#ifndef SANDBOX_CAN_BE_OFF
		{ { "t", "--sandbox=off" }, "--sandbox: \"off\" is not enforce or log" },
#endif
		{ { "t", "-x", "supervisor" }, "-x: \"supervisor\" is not a role" },
		{ { "t", "-x", "client" }, "-x: \"client\" is not a role" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct options options;
		struct failure failure = { "" };

		assert_int_equal(parse(cases[i].words, &options, &failure), -EINVAL);
		assert_string_equal(failure.text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(options_have_defaults),
		TEST(options_are_all_taken),
		TEST(options_say_what_is_wrong),
	};

	return testing_run(tests);
}
