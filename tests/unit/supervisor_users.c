/*
 * Names of users and groups in files, and the numbers that badges keep.
 */
#include "testing.h"

#include "supervisor/policy.h"
#include "supervisor/users.h"

static void names_are_found_whole(void **state unused_)
{
	static const char text[] = "root:x:0:0:root:/root:/bin/sh\n"
				   "long:x:12345678901234567:\n"
				   "broken\n"
				   "none:x\n"
				   "a:x:1000\n"
				   "ab:x:4294967294:1:\n"
				   "most:x:4294967295:1:\n"
				   "a:x:7:";
	uint32_t id = 99;

	assert_int_equal(users_find(text, "root", &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(users_find(text, "a", &id), 0);
	assert_int_equal(id, 1000);
	assert_int_equal(users_find(text, "ab", &id), 0);
	assert_int_equal(id, 4294967294u);
	assert_int_equal(users_find(text, "roo", &id), -ENOENT);
	assert_int_equal(users_find(text, "x", &id), -ENOENT);
	assert_int_equal(users_find(text, "broken", &id), -ENOENT);
	assert_true(users_find(text, "none", &id) < 0);
	assert_true(users_find(text, "long", &id) < 0);
	assert_true(users_find(text, "most", &id) < 0);
	assert_int_equal(users_find("", "a", &id), -ENOENT);
	assert_int_equal(id, 4294967294u);
}

static struct conf *conf_of(const char *text, struct conf_errors *errors)
{
	struct conf *conf = conf_new();

	assert_non_null(conf);
	conf_errors_init(errors);
	assert_int_equal(conf_add(conf, "t", text, strlen(text), errors), 0);
	assert_int_equal(errors->count, 0);
	assert_int_equal(users_resolve(conf, errors), 0);
	return conf;
}

static void matches_become_numbers(void **state unused_)
{
	struct conf_errors errors;
	struct conf *conf = conf_of("badge a { match = { user:root, group:root, uid:5, gid:6, any } }",
				    &errors);
	static const struct conf_match wanted[] = {
		{ MATCH_UID, 0 }, { MATCH_GID, 0 }, { MATCH_UID, 5 }, { MATCH_GID, 6 }, { MATCH_ANY, 0 },
	};

	assert_int_equal(errors.count, 0);
	assert_int_equal(conf->badges[0].match_count, ARRAY_SIZE(wanted));
	assert_memory_equal(conf->badges[0].matches, wanted, sizeof(wanted));
	conf_errors_deinit(&errors);
	conf_free(conf);
}

static void who_does_not_exist_is_an_error(void **state unused_)
{
	struct conf_errors errors;
	struct conf *conf = conf_of("\nbadge a { match = { user:roott,\ngroup:no-such-group } }",
				    &errors);

	assert_int_equal(errors.count, 2);
	assert_string_equal(errors.list[0].text, "t:3: match: there is no user \"roott\" in "
						 "/etc/passwd; did you mean root?");
	assert_non_null(strstr(errors.list[1].text, "there is no group \"no-such-group\""));
	conf_errors_deinit(&errors);
	conf_free(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_are_found_whole),
		TEST(matches_become_numbers),
		TEST(who_does_not_exist_is_an_error),
	};

	return testing_run(tests);
}
