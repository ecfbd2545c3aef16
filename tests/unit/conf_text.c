/*
 * The configuration's text: what is good, what is wrong and how that is said, every setting at its
 * bounds, and that what is printed says the same again.
 */
#include "testing.h"

#include <openssl/ssl.h>
#include <stdio.h>

#include "conf/conf.h"
#include "conf/nearest.h"
#include "tlsbroker.h"
#include "worker/tls.h"

#define PIN "MvmgJzcYjVyYHbjzyqWR5oMkSbnbTNVKxV0YZtN5QhQ="

/* A configuration of one file, "t". */
struct read {
	struct conf *conf;
	struct conf_errors errors;
};

static int read_more(struct read *read, const char *name, const char *text)
{
	return conf_add(read->conf, name, text, strlen(text), &read->errors);
}

static void read_begin(struct read *read)
{
	conf_errors_init(&read->errors);
	read->conf = conf_new();
	assert_non_null(read->conf);
}

static int read_end(struct read *read)
{
	if (conf_errors_result(&read->errors) == 0)
		conf_check(read->conf, &read->errors);
	conf_errors_sort(&read->errors);
	return conf_errors_result(&read->errors);
}

static int read_text(struct read *read, const char *text)
{
	read_begin(read);
	assert_int_equal(read_more(read, "t", text), 0);
	return read_end(read);
}

static void read_deinit(struct read *read)
{
	conf_errors_deinit(&read->errors);
	conf_free(read->conf);
}

static void accepts(const char *text)
{
	struct read read;

	if (read_text(&read, text) != 0)
		fail_msg("%s: %s", text, read.errors.list[0].text);
	read_deinit(&read);
}

/* Exactly these errors, in this order. */
#define refuses(text, ...) refuses_with(text, (const char *const[]){ __VA_ARGS__, NULL })

static void refuses_with(const char *text, const char *const *wanted)
{
	struct read read;
	unsigned count = 0;

	assert_int_equal(read_text(&read, text), -EINVAL);
	for (; wanted[count]; count++) {
		if (count >= read.errors.count)
			fail_msg("%s: not said: %s", text, wanted[count]);
		assert_string_equal(read.errors.list[count].text, wanted[count]);
	}
	if (read.errors.count != count)
		fail_msg("%s: said as well: %s", text, read.errors.list[count].text);
	read_deinit(&read);
}

static void refused_somehow(const char *text)
{
	struct read read;

	assert_int_equal(read_text(&read, text), -EINVAL);
	read_deinit(&read);
}

/* ---- the grammar ---- */

static void nothing_is_a_good_configuration(void **state unused_)
{
	struct read read;

	assert_int_equal(read_text(&read, ""), 0);
	assert_string_equal(conf_word(read.conf, NULL, SETTING_trust), CONF_TRUST);
	assert_int_equal(conf_get(read.conf, NULL, SETTING_min_version)->number, TLSB_TLS_1_2);
	assert_int_equal(conf_get(read.conf, NULL, SETTING_allow_insecure)->number, 0);
	assert_int_equal(conf_get(read.conf, NULL, SETTING_ciphers)->count,
			 CONF_CIPHER_COUNT - 3); /* without PSK-*: no forward secrecy */
	read_deinit(&read);
	accepts("\n\n# a remark\n// one\n/* and\n one */\n");
}

static void all_ways_to_write_a_value_are_one(void **state unused_)
{
	const char *const ways[] = {
		"trust=/a/b", "trust = \"/a/b\"", "trust = '/a/b'\r\n", "trust\n=\n{ /a/b }",
		"trust = \"\\x2fa\\057b\" # as octal and hexadecimal numbers",
	};
	struct read read;

	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		assert_int_equal(read_text(&read, ways[i]), 0);
		assert_string_equal(conf_word(read.conf, NULL, SETTING_trust), "/a/b");
		read_deinit(&read);
	}
}

static void errors_are_all_told_with_their_lines(void **state unused_)
{
	refuses("min-version = TLSv1.4\n"
		"trsut = /x\n"
		"\n"
		"allow-insecure = maybe\n"
		"min_version = TLSv1.3\n"
		"ciphers = { \"TLS_AES_256_GCM_SHA384\",\n"
		"            \"TLS_AES_256_GCM_SHA348\" }\n"
		"completely-unlike = { }\n",
		"t:1: min-version: \"TLSv1.4\" is neither TLSv1.2 nor TLSv1.3; did you mean TLSv1.2?",
		"t:2: trsut: there is no such setting; did you mean trust?",
		"t:4: allow-insecure: \"maybe\" is neither no nor yes",
		"t:5: min_version: there is no such setting; did you mean min-version?",
		"t:7: ciphers: \"TLS_AES_256_GCM_SHA348\" is no cipher suite that can be used; "
		"did you mean TLS_AES_256_GCM_SHA384?",
		"t:8: completely-unlike: there is no such setting");
}

static void strangers_are_told_wherever_they_are(void **state unused_)
{
	refuses("badge a { match = any\n mach = {\n x,\n y }\n privat = no tust = /x\n}\n"
		"badge b { match = any mach = z\n}\nmach = 7\n"
		"log { tust = 1 }\nbadge c { match = any tust = /x }\n",
		"t:2: mach: there is no such setting; did you mean match?",
		"t:5: privat: there is no such setting; did you mean private?",
		"t:5: tust: there is no such setting; did you mean trust?",
		"t:7: mach: there is no such setting; did you mean match?",
		"t:9: mach: there is no such setting",
		"t:10: log: there is no such setting",
		"t:11: tust: there is no such setting; did you mean trust?");
}

static void sections_that_do_not_exist_are_passed_over(void **state unused_)
{
	refuses("server \"x\" {\n  name = y\n  trust = /x\n}\n"
		"log {\n  file = { a, b }\n}\n"
		"min-version = TLSv1.1\n",
		"t:1: server: there is no such setting",
		"t:5: log: there is no such setting",
		"t:8: min-version: \"TLSv1.1\" is neither TLSv1.2 nor TLSv1.3; did you mean TLSv1.2?");
}

static void a_setting_is_set_once(void **state unused_)
{
	struct read read;

	refuses("trust = /a\ntrust = /b\n", "t:2: trust: is set already, at t:1");
	refuses("trust = { /a, /b }", "t:1: trust: takes one value, and not 2");
	refuses("trust = /a\ntrust += /b", "t:2: trust: takes one value, and not 2");
	refuses("trust = {}", "t:1: trust: there is nothing behind it");
	read_begin(&read);
	assert_int_equal(read_more(&read, "a", "trust = /a\n"), 0);
	assert_int_equal(read_more(&read, "b", "\n\ntrust = /b\n"), 0);
	assert_int_equal(read_end(&read), -EINVAL);
	assert_string_equal(read.errors.list[0].text, "b:3: trust: is set already, at a:1");
	read_deinit(&read);
}

static void errors_come_in_the_order_of_the_files(void **state unused_)
{
	struct read read;

	read_begin(&read);
	assert_int_equal(read_more(&read, "z", "x-1 = 1\nmin-version = x\n"), 0);
	assert_int_equal(read_more(&read, "a", "\n\"\n"), 0);
	assert_int_equal(read_end(&read), -EINVAL);
	assert_int_equal(read.errors.count, 3);
	assert_non_null(strstr(read.errors.list[0].text, "z:1: x-1"));
	assert_non_null(strstr(read.errors.list[1].text, "z:2: min-version"));
	assert_non_null(strstr(read.errors.list[2].text, "a:2: these quotes"));
	read_deinit(&read);
}

static void what_libconfuse_would_drop_is_refused(void **state unused_)
{
	char text[] = "trust = /a\nx";

	refuses("trust = /a*", "t:1: a word with * in it must be in quotes");
	refuses("trust = /a+b", "t:1: a word with this character in it must be in quotes");
	refuses("trust = /", "t:1: a word with this character in it must be in quotes");
	refuses("trust = \"${HOME}\"", "t:1: ${...} is not replaced by anything here: leave it out");
	refuses("\ntrust = ${HOME}", "t:2: ${...} is not replaced by anything here: leave it out");
	refuses("trust = \"/a\nb\"", "t:1: these quotes are not closed on the same line",
		"t:2: these quotes are not closed");
	refuses("trust = '/a", "t:1: these quotes are not closed");
	refuses("/* trust = \n/a", "t:1: this remark has no end");
	refuses("trust = \"/a\\nb\"", "t:1: trust: \"/a\\x0ab\" has a control character in it");
	text[10] = '\0';
	{
		struct read read;

		read_begin(&read);
		assert_int_equal(conf_add(read.conf, "t", text, sizeof(text) - 1, &read.errors), 0);
		assert_string_equal(read.errors.list[0].text, "t: this is no text: there is a NUL in it");
		read_deinit(&read);
	}
	/* An open quotation in one file is none in the next. */
	refuses("\"", "t:1: these quotes are not closed");
	accepts("trust = /a\n");
}

static void nothing_is_included_or_run(void **state unused_)
{
	refuses("include(\"/etc/passwd\")", "t:1: include: there is no such setting",
		"t:1: missing opening brace for section 'include'");
}

static void grammar_errors_end_a_file(void **state unused_)
{
	refuses("trust /a\nmin-version = x\n", "t:1: missing equal sign after option 'trust'");
	refuses("}\n", "t:1: unexpected closing brace");
	refuses("min-version = x\ntrust = {\n",
		"t:1: min-version: \"x\" is neither TLSv1.2 nor TLSv1.3", "t:3: premature end of file");
}

/* ---- badges ---- */

static void badges_are_read_in_their_order(void **state unused_)
{
	struct read read;

	assert_int_equal(read_text(&read, "badge b { match = any }\n"
				   "max-sessions = 7\n"
				   "badge \"a\" {\n\tmatch = { \"user:x\", \"gid:5\" }\n"
				   "\tmax-sessions = 9 }\n"), 0);
	assert_int_equal(read.conf->badge_count, 2);
	assert_string_equal(read.conf->badges[0].name, "b");
	assert_string_equal(read.conf->badges[1].name, "a");
	assert_int_equal(conf_number(read.conf, &read.conf->badges[0], SETTING_max_sessions), 7);
	assert_int_equal(conf_number(read.conf, &read.conf->badges[1], SETTING_max_sessions), 9);
	assert_int_equal(conf_number(read.conf, NULL, SETTING_max_sessions), 7);
	read_deinit(&read);
}

/* Of each word, and of the badge where it begins: somebody is told where to look. */
static void places_are_known(void **state unused_)
{
	const struct conf_value *value;
	struct read read;

	assert_int_equal(read_text(&read, "# badge \"a\" {\n"
				   "badge \"a\"\n{\n\n\tmatch = { any,\n\t\"gid:5\" }\n"
				   "\tmatch += uid:6\n\n}\n"
				   "  badge\tb { match = any } badge c { match = any }\n"
				   "\nbadge d {\n match = any }"), 0);
	value = &read.conf->badges[0].scope.values[SETTING_match];
	assert_int_equal(value->count, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(value->places[i].line, 5 + i);
	assert_int_equal(read.conf->badges[0].place.line, 2);
	assert_int_equal(read.conf->badges[1].place.line, 10);
	assert_int_equal(read.conf->badges[2].place.line, 10);
	assert_int_equal(read.conf->badges[3].place.line, 12);
	read_deinit(&read);
}

static void badges_have_their_own_errors(void **state unused_)
{
	refuses("badge \"a\" {\n}\n", "t:2: badge \"a\": has no match, so it is nobody's");
	refuses("badge \"a\" { match = {} }", "t:1: match: there is nothing behind it");
	refuses("badge \"\" { match = any }",
		"t:1: badge \"\": a name has 1 to 63 letters, digits, and . _ -");
	refuses("badge \"a:b\" { match = any }",
		"t:1: badge \"a:b\": a name has 1 to 63 letters, digits, and . _ -");
	refuses("badge a { match = any }\nbadge b { match = any }\nbadge a { match = uid:1 }\n",
		"t:3: badge \"a\": is there already, at t:1");
	refuses("bagde a { match = any }\nbadge b { match = uid:1 }\nx { match = any }\n",
		"t:1: bagde: there is no such setting; did you mean badge?",
		"t:3: x: there is no such setting");
	refuses("match = any", "t:1: match: not a setting of its own: it belongs into a badge");
	refuses("badge a {\n match = any\n allow-insecure = no\n mach = any\n}",
		"t:4: mach: there is no such setting; did you mean match?");
	refuses("min-version = TLSv1.3\n"
		"badge a { match = any\n ciphers = ECDHE-RSA-AES128-GCM-SHA256\n}\n"
		"badge b { match = any\n ciphers = ECDHE-RSA-AES128-GCM-SHA256\n"
		" min-version = TLSv1.2 }\n",
		"t:3: ciphers: none of them can be used with TLSv1.3 in badge a");
	refuses("badge x { match = any\npins = \"sha1/x\" }",
		"t:2: pins: \"sha1/x\" is not sha256/ and the base64 of a SHA-256");
	refuses("pins = \"sha256/" PIN "\"",
		"t:1: pins: not a setting of its own: it belongs into a badge");
	refuses("ciphers = ECDHE-RSA-AES128-GCM-SHA256\n"
		"badge a { match = any\n min-version = TLSv1.3\n}\n",
		"t:1: ciphers: none of them can be used with TLSv1.3 in badge a");
	refuses("bagde a { match = any }\n", "t:1: bagde: there is no such setting; did you mean badge?");
	refuses("badge a { match = { usr:x, \"user:\", uid:x, gid:-1, unit:x, any:x } }",
		"t:1: match: \"usr:x\" is none of user:NAME, group:NAME, uid:NUMBER, gid:NUMBER, "
		"unit:NAME and any; did you mean user:?",
		"t:1: match: \"user:\" has nothing behind the colon",
		"t:1: match: \"uid:x\" has no number behind the colon",
		"t:1: match: \"gid:-1\" has no number behind the colon",
		"t:1: match: \"unit:x\" has no type at its end, such as .service or .slice",
		"t:1: match: \"any:x\" is none of user:NAME, group:NAME, uid:NUMBER, gid:NUMBER, "
		"unit:NAME and any; did you mean any?");
}

static void psks_have_their_own_errors(void **state unused_)
{
	struct read read;

	refuses("psk \"\" { identity = x\n key = \"/k\" }",
		"t:1: psk \"\": a name has 1 to 63 letters, digits, and . _ -");
	refuses("psk a { identity = x }\npsk b {\n key = \"/k\"\n}\n",
		"t:1: psk \"a\": has no key", "t:2: psk \"b\": has no identity");
	refuses("psk a { identity = x\n key = \"/k\" }\npsk a { identity = y\n key = \"/k\" }",
		"t:3: psk \"a\": is there already, at t:1");
	refuses("psk a { identity = x\n key = \"/k\"\n certificate = \"/c\" }",
		"t:3: certificate: not a setting of a psk: it belongs into an identity");
	refuses("badge a { match = any\n key = \"/k\" }",
		"t:2: key: not a setting of a badge: it belongs into an identity");
	refuses("psk sensor7 { identity = x\n key = \"/k\" }\npsks = sensor8",
		"t:3: psks: there is no psk \"sensor8\"; did you mean sensor7?");
	/* Names of identities and of psks have nothing to do with each other. */
	accepts("identity a { certificate = \"/c\"\n key = \"/k\" }\n"
		"psk a { identity = \"a b:c%n\"\n key = \"credential:a.psk\" }\n"
		"badge x { match = any\n identities = a\n psks = a\n own-psk = no }");
	/* What a badge demands of a certificate, nobody has who has a psk. */
	refuses("psk a { identity = x\n key = \"/k\" }\ncrl = \"/l\"\n"
		"badge x { match = any\n psks = a\n pins = \"sha256/" PIN "\" }",
		"t:5: psks: none of them can be used: pins demands a certificate",
		"t:5: psks: none of them can be used: crl demands a certificate");
	refuses("psk a { identity = x\n key = \"/k\" }\npsks = a\nrequire-ocsp-staple = yes",
		"t:3: psks: none of them can be used: require-ocsp-staple demands a certificate");
	assert_int_equal(read_text(&read, "psk a { identity = x\n key = \"/k\" }\npsks = a\n"
					  "badge x { match = any\n psks = {}\n pins = \"sha256/" PIN "\" }\n"
					  "badge y { match = any }"), 0);
	assert_true(conf_has_psk(read.conf, NULL, "a"));
	assert_false(conf_has_psk(read.conf, NULL, "x"));
	assert_false(conf_has_psk(read.conf, &read.conf->badges[0], "a"));
	assert_true(conf_has_psk(read.conf, &read.conf->badges[1], "a"));
	assert_false(conf_has_identity(read.conf, NULL, "a"));
	read_deinit(&read);
}

/* Case 38: what a server calls a key is text in one line, whatever it says. */
static void case_38_identities_of_psks_are_text(void **state unused_)
{
	static const char *const odd[] = { "\\n", "\\x00a", "a\\x1bb", "\\x7f", "a\\nb", "${HOME}" };
	char text[65536 + 128], identity[65536 + 1];

	accepts("psk a { identity = \"%n%s%s%n\"\n key = \"/k\" }");
	accepts("psk a { identity = \"\\xc3\\xa4\"\n key = \"/k\" }");
	for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
		snprintf(text, sizeof(text), "psk a { key = \"/k\"\n identity = \"%s\" }", odd[i]);
		refused_somehow(text);
	}
	memset(identity, 'x', sizeof(identity));
	identity[65536] = '\0';
	snprintf(text, sizeof(text), "psk a { key = \"/k\"\n identity = \"%s\" }", identity);
	refused_somehow(text);
}

/* "badge a { match = { uid:1, uid:2, ... } }" with COUNT of them; or so many badges. */
static int read_many(struct read *read, unsigned badges, unsigned each)
{
	char *text = NULL;
	size_t len;
	FILE *stream = open_memstream(&text, &len);
	int r;

	assert_non_null(stream);
	for (unsigned i = 0; i < badges; i++) {
		fprintf(stream, "badge a%u { match = { uid:0", i);
		for (unsigned j = 1; j < each; j++)
			fprintf(stream, ", uid:%u", j);
		fputs(" } }\n", stream);
	}
	assert_int_equal(fclose(stream), 0);
	r = read_text(read, text);
	free(text);
	return r;
}

/* COUNT destinations of LEN bytes each. */
static int read_destinations(struct read *read, unsigned count, unsigned len)
{
	char *text = NULL;
	size_t text_len;
	FILE *stream = open_memstream(&text, &text_len);
	int r;

	assert_non_null(stream);
	fputs("badge a { match = any\n destinations = {", stream);
	for (unsigned i = 0; i < count; i++)
		fprintf(stream, "%s \"%0*u.a:1\"", i > 0 ? "," : "", (int)len - 4, i);
	fputs(" } }\n", stream);
	assert_int_equal(fclose(stream), 0);
	r = read_text(read, text);
	free(text);
	return r;
}

static void destinations_fit_into_their_message(void **state unused_)
{
	struct read read;

	assert_int_equal(read_destinations(&read, LIMIT_DESTINATIONS, 20), 0);
	read_deinit(&read);
	assert_int_equal(read_destinations(&read, LIMIT_DESTINATIONS + 1, 20), -EINVAL);
	assert_string_equal(read.errors.list[0].text, "t:2: destinations: more than 512 of them");
	read_deinit(&read);
	/* 15809 bytes in all, each with a NUL. */
	assert_int_equal(read_destinations(&read, 263, 59), 0);
	read_deinit(&read);
	assert_int_equal(read_destinations(&read, 264, 59), -EINVAL);
	assert_string_equal(read.errors.list[0].text,
			    "t:2: destinations: together they are longer than 15809 bytes");
	read_deinit(&read);
	refuses("badge a { match = any\n destinations = { \"a:1\",\n a.b, \"10.0.0.1/8:1\" } }",
		"t:3: destinations: \"a.b\" has no port, a number, two with - between them, or *, "
		"behind a colon",
		"t:3: destinations: \"10.0.0.1/8:1\" has bits set behind its prefix");
	refuses("badge a { match = any\n destinations = *:443 }",
		"t:2: a word with * in it must be in quotes");
}

static void badges_and_matches_have_limits(void **state unused_)
{
	struct read read;

	assert_int_equal(read_many(&read, LIMIT_BADGES, LIMIT_MATCHES), 0);
	read_deinit(&read);
	assert_int_equal(read_many(&read, LIMIT_BADGES + 1, 1), -EINVAL);
	assert_int_equal(read.errors.count, 1);
	read_deinit(&read);
	assert_int_equal(read_many(&read, 1, LIMIT_MATCHES + 1), -EINVAL);
	assert_string_equal(read.errors.list[0].text, "t:1: match: more than 64 of them");
	read_deinit(&read);
}

/* ---- values ---- */

#define BOTH "identity x { certificate = \"/c\"\nkey = \"/k\" }\npsk x { identity = x\nkey = \"/k\" }\n"

static void every_setting_takes_what_is_within_its_bounds(void **state unused_)
{
	for (unsigned i = 0; i < SETTING_COUNT; i++) {
		const struct setting_info *info = &setting_info[i];
		char text[256];

		assert_true(strlen(info->doc) > 10 && strlen(info->name) < 32);
		assert_true(info->most >= info->least);
		if (!(info->where & G) && info->type < CIPHERS && info->type != KEYFILE)
			continue; /* "private", "certificate": their types have others */
		switch (info->type) {
		case NUMBER:
		case SIZE:
			snprintf(text, sizeof(text), "%s = %llu", info->name,
				 (unsigned long long)info->least);
			accepts(text);
			snprintf(text, sizeof(text), "%s = %llu", info->name,
				 (unsigned long long)info->most);
			accepts(text);
			snprintf(text, sizeof(text), "%s = %llu", info->name,
				 (unsigned long long)info->least - 1);
			refused_somehow(text);
			snprintf(text, sizeof(text), "%s = %llu", info->name,
				 (unsigned long long)info->most + 1);
			refused_somehow(text);
			break;
		case MATCH:
			snprintf(text, sizeof(text), "badge x { %s = { uid:0, uid:4294967294, gid:0, "
				 "any, user:a, \"group:b c\", unit:x@1.service } }", info->name);
			accepts(text);
			snprintf(text, sizeof(text), "badge x { %s = uid:4294967295 }", info->name);
			refused_somehow(text);
			break;
		case DESTINATIONS:
			snprintf(text, sizeof(text), "badge x { match = any\n%s = {} }", info->name);
			accepts(text);
			snprintf(text, sizeof(text), "badge x { match = any\n%s = { \"a.example:1\", "
				 "\"*.b:65535\", \"10.0.0.0/8:1-2\", \"[2001:db8::]/32:*\" } }",
				 info->name);
			accepts(text);
			snprintf(text, sizeof(text), "badge x { match = any\n%s = \"a:65536\" }",
				 info->name);
			refused_somehow(text);
			break;
		case PINS:
			snprintf(text, sizeof(text), "badge x { match = any\n%s = \"sha256/" PIN "\" }",
				 info->name);
			accepts(text);
			snprintf(text, sizeof(text), "badge x { match = any\n%s = {} }", info->name);
			refused_somehow(text);
			snprintf(text, sizeof(text), "badge x { match = any\n%s = \"" PIN "\" }",
				 info->name);
			refused_somehow(text);
			break;
		case PATH:
			snprintf(text, sizeof(text), "%s = \"/\"", info->name);
			accepts(text);
			break;
		case KEYFILE:
			snprintf(text, sizeof(text),
				 "identity x { certificate = \"/c\"\n%s = \"/\" }", info->name);
			accepts(text);
			snprintf(text, sizeof(text),
				 "identity x { certificate = \"/c\"\n%s = \"credential:a.b-c_d\" }",
				 info->name);
			accepts(text);
			snprintf(text, sizeof(text),
				 "identity x { certificate = \"/c\"\n%s = \"credential:\" }", info->name);
			refused_somehow(text);
			snprintf(text, sizeof(text),
				 "identity x { certificate = \"/c\"\n%s = \"credential:../x\" }",
				 info->name);
			refused_somehow(text);
			snprintf(text, sizeof(text), "identity x { certificate = \"/c\"\n%s = \"a\" }",
				 info->name);
			refused_somehow(text);
			break;
		case TEXT:
			for (unsigned len = 0; len <= info->most + 1; len++) {
				char word[LIMIT_PSK_IDENTITY + 2];

				memset(word, '%', len);
				word[len] = '\0';
				snprintf(text, sizeof(text), "psk x { key = \"/k\"\n%s = \"%s\" }",
					 info->name, word);
				if (len >= info->least && len <= info->most)
					accepts(text);
				else
					refused_somehow(text);
			}
			break;
		case NAMES:
			snprintf(text, sizeof(text), "%s = {}", info->name);
			accepts(text);
			snprintf(text, sizeof(text), BOTH "%s = x", info->name);
			accepts(text);
			snprintf(text, sizeof(text), "%s = x", info->name);
			refused_somehow(text);
			snprintf(text, sizeof(text), BOTH "%s = { x, x }", info->name);
			refused_somehow(text);
			break;
		case VERSION:
			snprintf(text, sizeof(text), "%s = TLSv1.2", info->name);
			accepts(text);
			snprintf(text, sizeof(text), "%s = TLSv1.3", info->name);
			accepts(text);
			break;
		case YESNO:
			snprintf(text, sizeof(text), "%s = yes", info->name);
			accepts(text);
			snprintf(text, sizeof(text), "%s = no", info->name);
			accepts(text);
			break;
		case CIPHERS:
			for (unsigned j = 0; j < CONF_CIPHER_COUNT; j++) {
				snprintf(text, sizeof(text), "%s = %s", info->name,
					 cipher_info[j].name);
				accepts(text);
			}
			break;
		}
	}
}

static void values_beyond_their_bounds_are_refused(void **state unused_)
{
	refuses("trust = a", "t:1: trust: \"a\" does not begin with /: it would depend on where the "
			     "daemon starts");
	refuses("trust = \"\"", "t:1: trust: \"\" does not begin with /: it would depend on where the "
				"daemon starts");
	refuses("min-version = tlsv1.3",
		"t:1: min-version: \"tlsv1.3\" is neither TLSv1.2 nor TLSv1.3; did you mean TLSv1.3?");
	refuses("ciphers = {}", "t:1: ciphers: there is nothing behind it");
	refuses("ciphers = { TLS_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256 }",
		"t:1: ciphers: \"TLS_AES_128_GCM_SHA256\" is there twice");
	refuses("max-sessions = 1K", "t:1: max-sessions: \"1K\" is no number");
	refuses("max-sessions = -1", "t:1: max-sessions: \"-1\" is no number");
	refuses("max-sessions = 99999999999999999999999",
		"t:1: max-sessions: \"99999999999999999999999\" is not from 1 to 16384");
	refuses("max-memory = 1T", "t:1: max-memory: \"1T\" is no number of bytes, such as 64K, 10M or 1G");
	refuses("max-memory = 2G", "t:1: max-memory: \"2G\" is not from 32768 to 1073741824");
	refuses("allow-insecure = 1", "t:1: allow-insecure: \"1\" is neither no nor yes");
	refuses("ciphers = ECDHE-RSA-AES128-GCM-SHA256\nmin-version = TLSv1.3",
		"t:1: ciphers: none of them can be used with TLSv1.3");
	refuses("workers = 2", "t:1: workers: not a setting of its own: it belongs into a badge");
	refuses("badge x { match = any\nworkers = 0 }", "t:2: workers: \"0\" is not from 1 to 16");
	refuses("badge x { match = any\nworkers = 3 }\nmax-sessions = 2",
		"t:2: workers: with max-sessions and max-memory there can be 2 sessions, which 3 workers cannot share");
	refuses("badge x { match = any\nworkers = 3\nmax-memory = 64K }",
		"t:2: workers: with max-sessions and max-memory there can be 2 sessions, which 3 workers cannot share");
}

static void the_command_line_beats_the_file(void **state unused_)
{
	struct read read;

	assert_int_equal(read_text(&read, "trust = /a\nallow-insecure = no"), 0);
	assert_int_equal(conf_override(read.conf, SETTING_trust, "/b", &read.errors), 0);
	assert_int_equal(conf_override(read.conf, SETTING_allow_insecure, "yes", &read.errors), 0);
	assert_string_equal(conf_word(read.conf, NULL, SETTING_trust), "/b");
	assert_int_equal(conf_get(read.conf, NULL, SETTING_allow_insecure)->number, 1);
	assert_int_equal(conf_override(read.conf, SETTING_trust, "b", &read.errors), -EINVAL);
	read_deinit(&read);
}

/* What is in force, as text; the caller frees it. */
static char *dump(const struct conf *conf)
{
	char *text = NULL;
	size_t len;
	FILE *stream = open_memstream(&text, &len);

	assert_non_null(stream);
	conf_dump(conf, stream);
	assert_int_equal(fclose(stream), 0);
	return text;
}

static void says_the_same_again(const char *text)
{
	struct read read, again;
	char *first, *second;

	assert_int_equal(read_text(&read, text), 0);
	first = dump(read.conf);
	if (read_text(&again, first) != 0)
		fail_msg("%s: %s", first, again.errors.list[0].text);
	second = dump(again.conf);
	assert_string_equal(first, second);
	free(first);
	free(second);
	read_deinit(&read);
	read_deinit(&again);
}

static void what_is_printed_says_the_same_again(void **state unused_)
{
	says_the_same_again("");
	says_the_same_again("trust = \"/a b\\\"c\\\\d'e#f//g/*h\"\n");
	says_the_same_again("badge x { match = { any, uid:7 }\nmax-memory = 64K }\nmax-sessions = 3\n"
			    "badge y { match = \"user:a b\" }\n");
	says_the_same_again("badge x { match = any\npins = { \"sha256/" PIN "\" } }");
	says_the_same_again("psk a { identity = \"b \\\"c\\\\d\"\n key = \"/k\" }\npsks = a\nown-psk = no\n"
			    "badge x { match = any\n psks = {} }\nciphers = PSK-AES128-GCM-SHA256");
	says_the_same_again("min-version = TLSv1.3\nallow-insecure = yes\n"
			    "ciphers = { TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384 }");
}

static void the_nearest_word_is_near(void **state unused_)
{
	const char *const words[][3] = {
		/* meant, written, found */
		{ "trust", "turst", "trust" },
		{ "trust", "TRUST", "trust" },
		{ "trust", "trus", "trust" },
		{ "trust", "ttrust", "trust" },
		{ "trust", "xyzzy", NULL },
		{ "no", "maybe", NULL },
		{ "allow-insecure", "allow_insecure", "allow-insecure" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		struct nearest nearest = { .word = words[i][1] };

		nearest_try(&nearest, words[i][0]);
		if (words[i][2])
			assert_string_equal(nearest.best, words[i][2]);
		else
			assert_null(nearest.best);
	}
}

/* The table of cipher suites is what the worker's OpenSSL has, no more and no less. */
static void ciphers_are_those_of_the_worker(void **state unused_)
{
	struct tls tls = { 0 };
	STACK_OF(SSL_CIPHER) *have;

	assert_int_equal(tls_prepare(&tls), 0);
	have = SSL_CTX_get_ciphers(tls.ctx);
	assert_int_equal(sk_SSL_CIPHER_num(have), CONF_CIPHER_COUNT);
	for (int i = 0; i < CONF_CIPHER_COUNT; i++)
		assert_string_equal(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(have, i)),
				    cipher_info[i].name);
	tls_deinit(&tls);
}

/* Random text, and good text with random errors: an answer, and nothing else. */
static void random_text_does_no_harm(void **state unused_)
{
	static const char good[] = "trust = \"/a\" # x\nciphers = { TLS_AES_128_GCM_SHA256 }\n"
				   "/* y */ min-version = TLSv1.3\nallow-insecure = 'no'\n";
	static const char letters[] = "ab{}()=+,\"'\\/*#$\n \tx0";
	uint64_t seed = 7;

	for (int i = 0; i < 3000; i++) {
		char text[sizeof(good)];
		struct read read;

		memcpy(text, good, sizeof(good));
		for (uint64_t n = testing_random(&seed) % 4; n > 0; n--)
			text[testing_random(&seed) % (sizeof(text) - 1)] =
				letters[testing_random(&seed) % (sizeof(letters) - 1)];
		if (i % 3 == 0) {
			for (size_t at = 0; at < sizeof(text) - 1; at++)
				text[at] = letters[testing_random(&seed) % (sizeof(letters) - 1)];
		}
		if (read_text(&read, text) == 0)
			says_the_same_again(text);
		read_deinit(&read);
	}
	accepts(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_a_good_configuration),
		TEST(all_ways_to_write_a_value_are_one),
		TEST(errors_are_all_told_with_their_lines),
		TEST(strangers_are_told_wherever_they_are),
		TEST(sections_that_do_not_exist_are_passed_over),
		TEST(a_setting_is_set_once),
		TEST(errors_come_in_the_order_of_the_files),
		TEST(what_libconfuse_would_drop_is_refused),
		TEST(nothing_is_included_or_run),
		TEST(grammar_errors_end_a_file),
		TEST(badges_are_read_in_their_order),
		TEST(places_are_known),
		TEST(badges_have_their_own_errors),
		TEST(psks_have_their_own_errors),
		TEST(case_38_identities_of_psks_are_text),
		TEST(badges_and_matches_have_limits),
		TEST(destinations_fit_into_their_message),
		TEST(every_setting_takes_what_is_within_its_bounds),
		TEST(values_beyond_their_bounds_are_refused),
		TEST(the_command_line_beats_the_file),
		TEST(what_is_printed_says_the_same_again),
		TEST(the_nearest_word_is_near),
		TEST(ciphers_are_those_of_the_worker),
		TEST(random_text_does_no_harm),
	};

	return testing_run(tests);
}
