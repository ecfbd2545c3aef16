/*
 * Where a badge may connect to: rules and what they match, and a worker that asks for what it may not.
 */
#include "connector_rig.h"
#include "testing_clock.h"

#include "connector/destinations.h"

/* ---- one rule ---- */

static void is_bad(const char *text, const char *words)
{
	struct destination destination;
	const char *why = "";

	if (destination_parse(text, &destination, &why) == 0)
		fail_msg("\"%s\" is taken for a destination", text);
	if (!strstr(why, words))
		fail_msg("\"%s\" %s, and not: %s", text, why, words);
}

static void rules_that_are_none_are_refused(void **state unused_)
{
	char longest[LIMIT_HOST + 16], text[LIMIT_HOST + 32];

	is_bad("", "has no port");
	is_bad("api.example", "has no port");
	is_bad("api.example:", "has no port");
	is_bad("api.example:0", "has no port");
	is_bad("api.example:65536", "has no port");
	is_bad("api.example:443-442", "has no port");
	is_bad("api.example:443-", "has no port");
	is_bad("api.example:-443", "has no port");
	is_bad("api.example:443-444-445", "has no port");
	is_bad("api.example:https", "has no port");
	is_bad("2001:db8::1:443", "not in brackets");
	is_bad("[2001:db8::1:443", "not in brackets");
	is_bad("[2001:db8::1]", "has no port");
	is_bad("[]:443", "no address");
	is_bad("[1.2.3.4]:443", "no address");
	is_bad("[fe80::1%2]:443", "no address");
	is_bad(":443", "no host name");
	is_bad(".example:443", "no host name");
	is_bad("a..b:443", "no host name");
	is_bad("*.:443", "no host name");
	is_bad("*example:443", "no host name");
	is_bad("a.*.b:443", "no host name");
	is_bad("api example:443", "no host name");
	is_bad("10.0.0.0/33:443", "number of bits");
	is_bad("10.0.0.0/x:443", "number of bits");
	is_bad("10.0.0.0/:443", "number of bits");
	is_bad("[2001:db8::]/129:443", "number of bits");
	is_bad("10.0.0.1/8:443", "bits set behind its prefix");
	is_bad("[2001:db8::1]/32:443", "bits set behind its prefix");
	is_bad("[::ffff:10.0.0.0]/104:443", "is an IPv4 address");
	is_bad("example/8:443", "no address");
	/* What some parsers take for 127.0.0.1. */
	is_bad("127.1:443", "no address");
	is_bad("0177.0.0.1:443", "no address");
	is_bad("2130706433:443", "no address");
	is_bad("0x7f.1:443", "ends in a number");
	is_bad("a.0x7f000001:443", "ends in a number");
	memset(longest, 'a', sizeof(longest));
	longest[LIMIT_HOST + 3] = '\0';
	snprintf(text, sizeof(text), "%s:1", longest);
	is_bad(text, "is too long");
}

static struct destination rule(const char *text)
{
	struct destination destination;
	const char *why;

	if (destination_parse(text, &destination, &why) < 0)
		fail_msg("\"%s\" %s", text, why);
	return destination;
}

static bool has_name(const char *text, const char *name, uint16_t port)
{
	const struct destination destination = rule(text);
	char plain[LIMIT_HOST + 1];

	return destination_has_name(&destination, destination_plain_name(name, plain), port);
}

static bool has_address(const char *text, const char *literal, uint16_t port)
{
	const struct destination destination = rule(text);
	struct address address;
	const char *why;

	assert_int_equal(address_of_host(literal, &address, &why), HOST_ADDRESS);
	return destination_has_address(&destination, address.family, address.bytes, port);
}

static void names_match_as_dns_has_them(void **state unused_)
{
	assert_true(has_name("api.example:443", "api.example", 443));
	assert_true(has_name("API.example.:443", "api.EXAMPLE", 443)); /* case 14 */
	assert_true(has_name("api.example:443", "api.example.", 443)); /* case 14 */
	assert_false(has_name("api.example:443", "api.example", 444));
	assert_false(has_name("api.example:443", "xapi.example", 443));
	assert_false(has_name("api.example:443", "x.api.example", 443));
	assert_false(has_name("api.example:443", "api.example..", 443));
	assert_true(has_name("*.internal:8443", "a.internal", 8443));
	assert_true(has_name("*.internal:8443", "a.b.internal", 8443));
	assert_false(has_name("*.internal:8443", "internal", 8443));
	assert_false(has_name("*.internal:8443", ".internal", 8443));
	assert_false(has_name("*.internal:8443", "xinternal", 8443));
	assert_false(has_name("*.internal:8443", "a.internal.evil", 8443));
	assert_true(has_name("*:443", "anything", 443));
	assert_false(has_name("10.0.0.0/8:443", "10.0.0.1", 443));
}

static void ports_match_at_their_bounds(void **state unused_)
{
	assert_true(has_name("a:1-1024", "a", 1));
	assert_true(has_name("a:1-1024", "a", 1024));
	assert_false(has_name("a:1-1024", "a", 1025));
	assert_false(has_name("a:2-2", "a", 1));
	assert_true(has_name("a:2-2", "a", 2));
	assert_true(has_name("a:*", "a", 1) && has_name("a:*", "a", 65535));
	assert_true(has_name("a:65535", "a", 65535));
}

static void addresses_match_to_the_bit(void **state unused_)
{
	assert_true(has_address("10.0.0.0/8:5671", "10.0.0.0", 5671));
	assert_true(has_address("10.0.0.0/8:5671", "10.255.255.255", 5671));
	assert_true(has_address("10.0.0.0/8:5671", "::ffff:10.1.2.3", 5671)); /* case 14 */
	assert_false(has_address("10.0.0.0/8:5671", "11.0.0.0", 5671));
	assert_false(has_address("10.0.0.0/8:5671", "10.0.0.0", 5672));
	assert_true(has_address("172.16.0.0/12:1", "172.31.255.255", 1));
	assert_false(has_address("172.16.0.0/12:1", "172.32.0.0", 1));
	assert_true(has_address("192.0.2.1:1", "192.0.2.1", 1));
	assert_false(has_address("192.0.2.1:1", "192.0.2.2", 1));
	assert_true(has_address("0.0.0.0/0:1", "203.0.113.9", 1));
	assert_false(has_address("0.0.0.0/0:1", "2001:db8::1", 1));
	assert_true(has_address("[2001:db8::]/32:*", "2001:db8:ffff::1", 7));
	assert_false(has_address("[2001:db8::]/32:*", "2001:db9::", 7));
	assert_true(has_address("[2001:db8::8]/125:1", "2001:db8::f", 1));
	assert_false(has_address("[2001:db8::8]/125:1", "2001:db8::10", 1));
	assert_true(has_address("[fe80::]/10:1", "fe80::1%2", 1)); /* case 14 */
	assert_true(has_address("[::]/0:1", "::1", 1));
}

static void private_addresses_are_known_in_every_wrapping(void **state unused_)
{
	static const char *const inner[] = {
		"127.0.0.1", "127.255.255.255", "10.0.0.1", "172.16.0.1", "172.31.255.255",
		"192.168.0.1", "169.254.169.254", "100.64.0.1", "100.127.255.255", "0.1.2.3",
		"198.18.0.1", "192.0.0.8", "224.0.0.1", "255.255.255.255", "::1", "::127.0.0.1",
		"::ffff:10.0.0.1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fdff::1", "ff02::1",
		"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1",
		"2002:a00:1::",
	};
	static const char *const outer[] = {
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255",
		"192.169.0.0", "169.253.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
		"128.0.0.0", "223.255.255.255", "2001:db8::1", "2606:4700::1111", "64:ff9b::101:101",
		"2002:101:101::1", "fbff::1",
	};
	struct address address;
	const char *why;

	for (unsigned i = 0; i < ARRAY_SIZE(inner); i++) {
		assert_int_equal(address_of_host(inner[i], &address, &why), HOST_ADDRESS);
		if (!destination_is_private(address.family, address.bytes))
			fail_msg("%s is not private", inner[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(outer); i++) {
		assert_int_equal(address_of_host(outer[i], &address, &why), HOST_ADDRESS);
		if (destination_is_private(address.family, address.bytes))
			fail_msg("%s is private", outer[i]);
	}
}

/* ---- a connector with rules, and a worker that has been taken over ---- */

#define BADGE 7

static void give_rules(struct rig *rig, uint16_t flags, const char *const *rules)
{
	const struct msg_destination_rules one = {.count = 1};
	struct msg_destination_rule body = {.badge = BADGE, .flags = flags, .name_len = 4};
	char tail[LIMIT_TAIL], *at = mempcpy(tail, "test", 4);

	for (; *rules; rules++, body.count++)
		at = mempcpy(at, *rules, strlen(*rules) + 1);
	rig_tell(rig, MSG_DESTINATION_RULES, &one, NULL);
	assert_int_equal(msg_send(rig->supervisor, &internal_messages, MSG_DESTINATION_RULE, &body,
				  tail, (size_t)(at - tail), NULL), 0);
	rig_turn(rig);
}

#define RULES(...) ((const char *const[]){__VA_ARGS__, NULL})

static int badge_worker(struct rig *rig, uint32_t badge)
{
	static uint32_t pid = 1;
	const struct msg_worker_chan body = {.uid = 1000, .badge = badge, .pid = pid++};
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig_tell(rig, MSG_WORKER_CHAN, &body, &pair[0]);
	rig_turn(rig);
	return pair[1];
}

/* Ask for HOST, to be verified as NAME ("": as itself). */
static void ask(struct rig *rig, int worker, const char *host, const char *name, uint16_t port,
		struct answer_to_worker *answer)
{
	const struct msg_dial body = {.id = 1, .deadline_ms = 5000, .port = port,
				      .name_len = (uint16_t)strlen(name)};
	char tail[2 * LIMIT_HOST + 1];

	snprintf(tail, sizeof(tail), "%s%s", host, name);
	assert_int_equal(rig_send(worker, MSG_DIAL, &body, tail), 0);
	rig_wait(rig, worker, 4000, answer);
}

static void reaches(struct rig *rig, int worker, const char *host, const char *name, uint16_t port,
		    const char *address)
{
	struct answer_to_worker answer;

	ask(rig, worker, host, name, port, &answer);
	rig_expect_dialed(&answer, 1, address);
}

static void denied(struct rig *rig, int worker, const char *host, const char *name, uint16_t port,
		   const char *words)
{
	struct answer_to_worker answer;
	uint64_t lookups = rig_count(rig, COUNTER_lookups);

	ask(rig, worker, host, name, port, &answer);
	rig_expect_failed(&answer, 1, TLSB_E_POLICY, words);
	assert_int_equal(rig_count(rig, COUNTER_lookups), lookups); /* no question left, either */
}

#define HOSTS                                                                                      \
	"127.0.0.1 api.example evil.example db.internal metadata.internal\n"                        \
	"::1 api.example\n127.0.0.1 both.example\n127.0.0.2 both.example\n"

struct scene {
	struct rig rig;
	int server, worker;
	uint16_t port;
};

static void scene_init(struct scene *scene)
{
	scene->port = 0;
	scene->server = rig_listen("127.0.0.1", &scene->port, 16);
	assert_true(scene->server >= 0);
	rig_init(&scene->rig);
	rig_files(&scene->rig, HOSTS, "");
	scene->worker = badge_worker(&scene->rig, BADGE);
}

static void scene_deinit(struct scene *scene)
{
	rig_deinit(&scene->rig);
	close(scene->worker);
	close(scene->server);
}

static void case_14_names_bind_what_is_verified(void **state unused_)
{
	struct scene scene;
	struct rig *rig = &scene.rig;

	scene_init(&scene);
	give_rules(rig, DESTINATION_RESTRICTED | DESTINATION_MAY_BE_PRIVATE,
		   RULES("api.example:1-65535", "*.internal:*"));
	reaches(rig, scene.worker, "api.example", "", scene.port, "127.0.0.1");
	reaches(rig, scene.worker, "API.Example", "api.example", scene.port, "127.0.0.1");
	reaches(rig, scene.worker, "api.example.", "api.example", scene.port, "127.0.0.1");
	reaches(rig, scene.worker, "db.internal", "", scene.port, "127.0.0.1");
	denied(rig, scene.worker, "api.example", "evil.example", scene.port,
	       "destinations: badge test may not connect to api.example port");
	denied(rig, scene.worker, "api.example", "evil.example", scene.port,
	       "when another name is to be verified");
	denied(rig, scene.worker, "api.example", "db.internal", scene.port, "another name");
	denied(rig, scene.worker, "evil.example", "api.example", scene.port, "badge test");
	denied(rig, scene.worker, "evil.example", "", scene.port, "badge test");
	denied(rig, scene.worker, "internal", "", scene.port, "badge test");
	denied(rig, scene.worker, "127.0.0.1", "api.example", scene.port, "badge test");
	denied(rig, scene.worker, "127.0.0.1", "", scene.port, "badge test");
	denied(rig, scene.worker, "[::1]", "", scene.port, "badge test");
	scene_deinit(&scene);
}

/* What a name server says cannot lead to where there is no rule for. */
static void case_14_names_do_not_lead_into_private_ranges(void **state unused_)
{
	struct scene scene;
	struct rig *rig = &scene.rig;

	scene_init(&scene);
	give_rules(rig, DESTINATION_RESTRICTED, RULES("api.example:*", "*.internal:*", "localhost:*"));
	denied(rig, scene.worker, "metadata.internal", "", scene.port,
	       "it leads to 127.0.0.1, which is private");
	denied(rig, scene.worker, "api.example", "", scene.port, "which is private");
	denied(rig, scene.worker, "localhost", "", scene.port, "which is private");
	/* With a rule for the address, it may. */
	give_rules(rig, DESTINATION_RESTRICTED, RULES("api.example:*", "127.0.0.0/8:*"));
	reaches(rig, scene.worker, "api.example", "", scene.port, "127.0.0.1");
	scene_deinit(&scene);
}

static void case_14_addresses_are_judged_as_dialled(void **state unused_)
{
	struct scene scene;
	struct rig *rig = &scene.rig;

	scene_init(&scene);
	give_rules(rig, DESTINATION_RESTRICTED, RULES("127.0.0.1:*"));
	reaches(rig, scene.worker, "127.0.0.1", "", scene.port, "127.0.0.1");
	reaches(rig, scene.worker, "::ffff:127.0.0.1", "", scene.port, "127.0.0.1");
	/* By a range, whatever name leads there, and whatever is to be verified. */
	reaches(rig, scene.worker, "evil.example", "", scene.port, "127.0.0.1");
	reaches(rig, scene.worker, "evil.example", "api.example", scene.port, "127.0.0.1");
	/* Of several addresses only those that are allowed. */
	reaches(rig, scene.worker, "both.example", "", scene.port, "127.0.0.1");
	denied(rig, scene.worker, "127.0.0.2", "", scene.port, "badge test");
	give_rules(rig, DESTINATION_RESTRICTED, RULES("127.0.0.3:*"));
	denied(rig, scene.worker, "both.example", "", scene.port, "it leads to 127.0.0.1");
	give_rules(rig, DESTINATION_RESTRICTED, RULES("127.0.0.1:1"));
	denied(rig, scene.worker, "evil.example", "", scene.port, "badge test");
	scene_deinit(&scene);
}

static void other_spellings_are_no_way_around(void **state unused_)
{
	static const char *const spellings[] = { "0177.0.0.1", "2130706433", "0x7f.1", "127.1",
						 "0x7f000001" };
	struct answer_to_worker answer;
	struct scene scene;

	scene_init(&scene);
	give_rules(&scene.rig, DESTINATION_RESTRICTED | DESTINATION_MAY_BE_PRIVATE, RULES("*:*"));
	for (unsigned i = 0; i < ARRAY_SIZE(spellings); i++) {
		ask(&scene.rig, scene.worker, spellings[i], "", scene.port, &answer);
		rig_expect_failed(&answer, 1, TLSB_E_PARAMETER, "ends in a number");
	}
	denied(&scene.rig, scene.worker, "fe80::1%1", "", scene.port, "badge test");
	scene_deinit(&scene);
}

/* As a worker: it has a connection, so dialled.  Whether the connector forbids it. */
static bool still_forbidden(struct rig *rig, int worker, const char *host, const char *name,
			    uint16_t port, const char *address)
{
	struct msg_dial_still body = { .id = 77, .family = AF_INET, .port = port,
				       .name_len = (uint16_t)strlen(name) };
	struct answer_to_worker answer;
	char tail[2 * LIMIT_HOST + 1];

	if (inet_pton(AF_INET, address, body.address) != 1) {
		body.family = AF_INET6;
		assert_int_equal(inet_pton(AF_INET6, address, body.address), 1);
	}
	snprintf(tail, sizeof(tail), "%s%s", host, name);
	assert_int_equal(rig_send(worker, MSG_DIAL_STILL, &body, tail), 0);
	rig_turn(rig);
	if (rig_poll(worker, &answer) != 1)
		return false;
	assert_int_equal(answer.type, MSG_DIAL_FORBIDDEN);
	assert_int_equal(answer.failed.id, 77);
	assert_non_null(strstr(answer.text, "destinations: badge "));
	return true;
}

/* Every connection is judged as if it were dialled today. */
static void connections_are_judged_by_todays_rules(void **state unused_)
{
	static const struct {
		const char *host, *name, *address;
		uint16_t port;
		bool forbidden;
	} rows[] = {
		{ "api.example", "", "192.0.2.1", 443, false },
		{ "API.example.", "api.EXAMPLE", "192.0.2.1", 443, false },
		{ "api.example", "", "192.0.2.1", 444, true },
		{ "api.example", "other.example", "192.0.2.1", 443, true },
		{ "api.example", "", "169.254.169.254", 443, true }, /* private */
		{ "api.example", "", "::1", 443, true },
		{ "other.example", "", "192.0.2.1", 443, true },
		{ "other.example", "", "10.1.2.3", 5671, false },
		{ "10.1.2.3", "", "10.1.2.3", 5671, false },
		{ "10.1.2.3", "whoever.example", "10.1.2.3", 5671, false },
		{ "10.1.2.3", "", "11.1.2.3", 5671, true },
	};
	struct scene scene;

	scene_init(&scene);
	give_rules(&scene.rig, DESTINATION_RESTRICTED, RULES("api.example:443", "10.0.0.0/8:5671"));
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (still_forbidden(&scene.rig, scene.worker, rows[i].host, rows[i].name,
				    rows[i].port, rows[i].address) != rows[i].forbidden)
			fail_msg("row %u", i);
	}
	give_rules(&scene.rig, 0, RULES(NULL)); /* anywhere */
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		assert_false(still_forbidden(&scene.rig, scene.worker, rows[i].host, rows[i].name,
					     rows[i].port, rows[i].address));
	give_rules(&scene.rig, DESTINATION_RESTRICTED, RULES(NULL)); /* nowhere */
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		assert_true(still_forbidden(&scene.rig, scene.worker, rows[i].host, rows[i].name,
					    rows[i].port, rows[i].address));
	scene_deinit(&scene);
}

static bool is_told_of_rules(int worker)
{
	const struct msg_context ctx = { &internal_messages, ROLE_WORKER, ROLE_CONNECTOR, RUN };
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;

	return msg_recv(worker, &ctx, &buf, &msg, &rule) == 1 && msg.type == MSG_DESTINATIONS_NEW;
}

/* It was begun when it was allowed, and is over when it is not. */
static void a_dial_under_way_is_judged_by_the_new_rules(void **state unused_)
{
	struct answer_to_worker answer;
	struct scene scene;
	struct msg_dial body = { .id = 5, .deadline_ms = 5000 };

	scene_init(&scene);
	body.port = scene.port;
	give_rules(&scene.rig, DESTINATION_RESTRICTED, RULES("127.0.0.1:*"));
	assert_true(is_told_of_rules(scene.worker));
	/* The connection is there when the connector looks next; the new rules are read before. */
	assert_int_equal(rig_send(scene.worker, MSG_DIAL, &body, "127.0.0.1"), 0);
	event_base_loop(scene.rig.child.base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	if (rig_poll(scene.worker, &answer) == -EAGAIN) {
		destinations_deinit(&rig_connector(&scene.rig)->destinations);
		rig_wait(&scene.rig, scene.worker, 4000, &answer);
		rig_expect_failed(&answer, 5, TLSB_E_POLICY, "destinations: badge ");
	} else {
		fd_close(answer.fd);
	}
	give_rules(&scene.rig, DESTINATION_RESTRICTED, RULES("127.0.0.1:*"));
	assert_true(is_told_of_rules(scene.worker));
	scene_deinit(&scene);
}

static void who_is_not_known_reaches_nothing(void **state unused_)
{
	const struct msg_destination_rules none = {.count = 0};
	struct scene scene;
	int own, unknown;

	scene_init(&scene);
	give_rules(&scene.rig, DESTINATION_RESTRICTED, (const char *const[]){NULL});
	denied(&scene.rig, scene.worker, "127.0.0.1", "", scene.port, "badge test");
	denied(&scene.rig, scene.worker, "api.example", "", scene.port, "badge test");
	give_rules(&scene.rig, 0, (const char *const[]){NULL});
	reaches(&scene.rig, scene.worker, "evil.example", "api.example", scene.port, "127.0.0.1");
	unknown = badge_worker(&scene.rig, BADGE + 1);
	denied(&scene.rig, unknown, "127.0.0.1", "", scene.port, "badge that has gone");
	own = badge_worker(&scene.rig, 0);
	reaches(&scene.rig, own, "127.0.0.1", "", scene.port, "127.0.0.1");
	rig_tell(&scene.rig, MSG_DESTINATION_RULES, &none, NULL);
	rig_turn(&scene.rig);
	denied(&scene.rig, scene.worker, "127.0.0.1", "", scene.port, "badge that has gone");
	close(unknown);
	close(own);
	scene_deinit(&scene);
}

/* Names that are too long for the message, or none: the channel breaks, nothing is dialled. */
static void dials_that_make_no_sense_end_the_channel(void **state unused_)
{
	static const struct {
		uint16_t name_len;
		const char *tail;
	} rows[] = { { 4, "abc" }, { UINT16_MAX, "abc" }, { 3, "abc" }, { 1, "a b" }, { 1, "ab\n" } };

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct msg_dial body = {.id = 1, .deadline_ms = 5000, .port = 1,
					      .name_len = rows[i].name_len};
		struct answer_to_worker answer;
		struct scene scene;

		scene_init(&scene);
		assert_int_equal(rig_send(scene.worker, MSG_DIAL, &body, rows[i].tail), 0);
		rig_turn(&scene.rig);
		assert_int_equal(rig_poll(scene.worker, &answer), 0);
		scene_deinit(&scene);
	}
}

static void rules_that_make_no_sense_are_refused(void **state unused_)
{
	static const struct {
		struct msg_destination_rule body;
		const char *tail;
		size_t len;
	} rows[] = {
		{ { 0, 0, 0, 1, 0 }, "a", 1 },
		{ { 1, 0, 4, 1, 0 }, "a", 1 },
		{ { 1, 1, 0, 1, 0 }, "a", 1 },
		{ { 1, 1, 0, 1, 0 }, "ab:1", 4 },
		{ { 1, 1, 0, 1, 0 }, "ab:1\0c", 6 },
		{ { 1, 1, 0, 1, 0 }, "ab\0", 3 },
		{ { 1, 2, 0, 1, 0 }, "ab:1\0", 5 },
		{ { 1, 0, 0, 9, 0 }, "ab:1\0", 5 },
		{ { 1, LIMIT_DESTINATIONS + 1, 0, 1, 0 }, "ab:1\0", 5 },
		{ { 1, UINT32_MAX, 0, 1, 0 }, "ab:1\0", 5 },
	};
	const struct msg_destination_rules one = {.count = 1}, many = {.count = LIMIT_BADGES + 1};
	struct destinations destinations = {.list = NULL};

	assert_int_equal(destinations_begin(&destinations, &many), -EBADMSG);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct msg msg = {.body = &rows[i].body, .tail = rows[i].tail,
					.tail_len = (uint32_t)rows[i].len};

		assert_int_equal(destinations_begin(&destinations, &one), 0);
		assert_int_equal(destinations_add(&destinations, &msg), -EBADMSG);
		assert_int_equal(destinations.count, 0);
	}
	destinations_deinit(&destinations);
}

/* ---- what would be ---- */

/* HOST as it came from a program, LEN bytes. */
static uint32_t ask_where(struct rig *rig, uint32_t badge, const char *host, size_t len,
			  uint16_t port, struct msg_decided *ret)
{
	const struct msg_context ctx = { &internal_messages, ROLE_SUPERVISOR, ROLE_CONNECTOR, RUN };
	const struct msg_where body = { .id = 9, .about = { .badge = badge, .port = port } };
	enum msg_rule rule;
	union msg_buffer buf;
	struct msg msg;

	assert_int_equal(msg_send(rig->supervisor, &internal_messages, MSG_WHERE, &body, host, len,
				  NULL), 0);
	event_base_loop(rig->child.base, EVLOOP_NONBLOCK);
	assert_int_equal(msg_recv(rig->supervisor, &ctx, &buf, &msg, &rule), 1);
	assert_int_equal(msg.type, MSG_DECIDED);
	memcpy(ret, msg.body, sizeof(*ret));
	assert_int_equal(ret->id, 9);
	assert_true(msg.tail_len > 0);
	return ret->ruling;
}

static void would(struct rig *rig, uint32_t badge, const char *host, uint16_t port,
		  enum ruling ruling, uint32_t rule)
{
	struct msg_decided decided;

	ask_where(rig, badge, host, strlen(host), port, &decided);
	if (decided.ruling != ruling || decided.rule != rule)
		fail_msg("%s:%u: ruling %u by rule %u", host, port, decided.ruling, decided.rule);
}

static void what_would_be_is_said_beforehand(void **state unused_)
{
	struct rig rig;

	rig_init(&rig);
	rig_files(&rig, HOSTS, "");
	would(&rig, 0, "api.example", 443, RULING_ALLOWED, NO_RULE);
	would(&rig, BADGE, "api.example", 443, RULING_REFUSED, NO_RULE); /* not known yet */
	give_rules(&rig, DESTINATION_RESTRICTED,
		   RULES("api.example:443", "*.internal:443", "10.0.0.0/8:1-79", "10.1.0.0/16:79"));
	would(&rig, BADGE, "API.example.", 443, RULING_BY_NAME, 0);
	would(&rig, BADGE, "db.internal", 443, RULING_BY_NAME, 1);
	would(&rig, BADGE, "evil.example", 443, RULING_REFUSED, NO_RULE);
	would(&rig, BADGE, "evil.example", 79, RULING_BY_ADDRESS, 2);
	would(&rig, BADGE, "10.1.2.3", 79, RULING_ALLOWED, 2);
	would(&rig, BADGE, "::ffff:10.1.2.3", 79, RULING_ALLOWED, 2);
	would(&rig, BADGE, "10.1.2.3", 80, RULING_REFUSED, NO_RULE);
	would(&rig, BADGE, "11.1.2.3", 79, RULING_REFUSED, NO_RULE);
	would(&rig, BADGE, "0177.0.0.1", 79, RULING_UNUSABLE, NO_RULE);
	would(&rig, BADGE, "a..b", 79, RULING_UNUSABLE, NO_RULE);
	would(&rig, 99, "10.1.2.3", 79, RULING_REFUSED, NO_RULE);
	give_rules(&rig, DESTINATION_RESTRICTED | DESTINATION_MAY_BE_PRIVATE, RULES("api.example:443"));
	would(&rig, BADGE, "api.example", 443, RULING_ALLOWED, 0);
	give_rules(&rig, 0, RULES(NULL));
	would(&rig, BADGE, "10.1.2.3", 79, RULING_ALLOWED, NO_RULE);
	rig_deinit(&rig);
}

/* Whatever a program has written. */
static void where_may_be_anything(void **state unused_)
{
	struct msg_decided decided;
	uint64_t seed = 7;
	struct rig rig;
	char host[LIMIT_HOST];

	rig_init(&rig);
	rig_files(&rig, HOSTS, "");
	give_rules(&rig, DESTINATION_RESTRICTED, RULES("*:443", "10.0.0.0/8:443"));
	for (unsigned i = 0; i < 5000; i++) {
		size_t len = testing_random(&seed) % (i % 2 ? 12 : LIMIT_HOST) + 1;

		for (size_t j = 0; j < len; j++)
			host[j] = i % 3 ? "1.a:x[%\0"[testing_random(&seed) % 8]
					: (char)testing_random(&seed);
		ask_where(&rig, BADGE, host, len, 443, &decided);
		assert_in_range(decided.ruling, RULING_ALLOWED, RULING_UNUSABLE);
		assert_true(!memchr(host, '\0', len) || decided.ruling == RULING_UNUSABLE);
	}
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rules_that_are_none_are_refused),
		TEST(names_match_as_dns_has_them),
		TEST(ports_match_at_their_bounds),
		TEST(addresses_match_to_the_bit),
		TEST(private_addresses_are_known_in_every_wrapping),
		TEST(case_14_names_bind_what_is_verified),
		TEST(case_14_names_do_not_lead_into_private_ranges),
		TEST(case_14_addresses_are_judged_as_dialled),
		TEST(other_spellings_are_no_way_around),
		TEST(connections_are_judged_by_todays_rules),
		TEST(a_dial_under_way_is_judged_by_the_new_rules),
		TEST(who_is_not_known_reaches_nothing),
		TEST(what_would_be_is_said_beforehand),
		TEST(where_may_be_anything),
		TEST(dials_that_make_no_sense_end_the_channel),
		TEST(rules_that_make_no_sense_are_refused),
	};

	return testing_run(tests);
}
