/*
 * Which unit a client is in: what is read in the kernel's file, whom it is believed of, and what
 * others notice while it is asked for.
 */
#include "frontdoor_rig.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "frontdoor/cgroup.h"
#include "frontdoor/waiting.h"

#define BILLING "0::/system.slice/billing.service\n"

/* ---- the file ---- */

static void reads(const char *text, const char *wanted)
{
	char copy[512];
	const char *path;

	snprintf(copy, sizeof(copy), "%s", text);
	path = cgroup_path(copy);
	if (!wanted)
		assert_null(path);
	else
		assert_string_equal(path ? path : "none", wanted);
}

static void the_line_that_is_systemds_is_read(void **state unused_)
{
	reads(BILLING, "/system.slice/billing.service");
	reads("0::/\n", "/");
	/* Version 1, alone and with an empty unified hierarchy beside it. */
	reads("9:name=systemd:/a.slice\n8:pids:/b.slice\n1:cpu,cpuacct:/c.slice\n", "/a.slice");
	reads("9:name=systemd:/a.slice\n0::/\n", "/a.slice");
	reads("0::/\n9:name=systemd:/a.slice\n", "/a.slice");
	/* Where both are there, systemd goes by the unified one. */
	reads("9:name=systemd:/a.slice\n0::/b.slice\n", "/b.slice");
	/* A name is what is behind the second colon, whatever it is. */
	reads("0::/x:name=systemd:/a.slice\n", "/x:name=systemd:/a.slice");
	reads("4:memory:/0::/a.slice\n0::/b.slice\n", "/b.slice");
	reads("4:memory:/y:name=systemd:/a.slice\n", NULL);
	reads("4:name=systemdx:/a.slice\n", NULL);
	/* What a container that we are in does not show, what is cut off, and what is nothing. */
	reads("0::/../billing.service\n", NULL);
	reads("0::/..\n", NULL);
	reads("0::/system.slice/billing.service", NULL);
	reads("0::\n", NULL);
	reads("0::system.slice\n", NULL);
	reads("0:\n:\n\n", NULL);
	reads("", NULL);
}

struct look {
	const char *path, *unit;
	bool is_in;
};

static const struct look looks[] = {
	{ "/system.slice/billing.service", "billing.service", true },
	{ "/system.slice/billing.service", "system.slice", true },
	{ "/system.slice/billing.service", "illing.service", false },
	{ "/system.slice/billing.service", "billing.servic", false },
	{ "/system.slice/billing.service", "billing.services", false },
	{ "/system.slice/billing.service/payload", "billing.service", true },
	{ "/a.slice/a-b.slice/a-b-c.slice/x@y.service", "a-b.slice", true },
	{ "/a.slice/a-b.slice/a-b-c.slice/x@y.service", "x@y.service", true },
	{ "/a.slice/a-b.slice/a-b-c.slice/x@y.service", "x@z.service", false },
	{ "/init.scope", "init.scope", true },
	{ "//system.slice///billing.service/", "billing.service", true },
	/* Below a unit that is no slice all names are its own choice. */
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/billing.service", "billing.service",
	  false },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/billing.service", "app.slice", false },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/billing.service",
	  "user@1000.service", true },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/billing.service", "user-1000.slice",
	  true },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/billing.service", "user.slice", true },
	{ "/machine.slice/box.scope/system.slice/billing.service", "billing.service", false },
	{ "/docker/0123/system.slice/billing.service", "billing.service", false },
	{ "/docker/0123/system.slice/billing.service", "system.slice", false },
	{ "/billing.service/system.slice", "system.slice", false },
	/* As systemd writes names that would mean something to the kernel. */
	{ "/system.slice/_cpu.service", "cpu.service", true },
	{ "/_memory.slice/_cpu.service", "memory.slice", true },
	{ "/_memory.slice/_cpu.service", "cpu.service", true },
	{ "/system.slice/__x.service", "_x.service", true },
	{ "/system.slice/__x.service", "x.service", false },
	/* Not systemd's at all, or over. */
	{ "/system.slice/billing.service (deleted)", "billing.service", false },
	{ "/system.slice/../billing.service", "billing.service", false },
	{ "/system.slice/.service", ".service", false },
	{ "/system.slice/a b.slice/billing.service", "billing.service", false },
	{ "/.slice/billing.service", "billing.service", false },
	{ "/a@.slice/billing.service", "billing.service", false },
	{ "/system.slice/billing.timer", "billing.timer", false },
	{ "/_/billing.service", "billing.service", false },
	{ "/", "billing.service", false },
};

static void only_systemds_own_names_count(void **state unused_)
{
	for (unsigned i = 0; i < ARRAY_SIZE(looks); i++) {
		if (cgroup_has_unit(looks[i].path, looks[i].unit) != looks[i].is_in)
			fail_msg("%s in %s", looks[i].unit, looks[i].path);
	}
}

/* Below user 1000's own service, in 200,000 ways: never another unit than those above it. */
static void whatever_a_user_calls_its_groups_it_is_nobody_else(void **state unused_)
{
	static const char *const words[] = { "/", "/", "_", ".", "..", "billing.service", "system.slice",
					     "0::", ":name=systemd:", "\t", "@", " (deleted)", "user.slice",
					     "init.scope", "\377", "\\x2f", "-" };
	static const char above[] = "/user.slice/user-1000.slice/user@1000.service";
	uint64_t seed = 20261121;

	for (int i = 0; i < 200000; i++) {
		char text[512];
		const char *path;
		size_t len = (size_t)snprintf(text, sizeof(text), "3:x:/\n0::%s/", above);

		for (uint64_t n = testing_random(&seed) % 12; n > 0; n--)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
						words[testing_random(&seed) % ARRAY_SIZE(words)]);
		memcpy(text + len, "\n", 2);
		path = cgroup_path(text);
		assert_non_null(path);
		if (cgroup_has_unit(path, "billing.service") || cgroup_has_unit(path, "system.slice") ||
		    cgroup_has_unit(path, "init.scope") || !cgroup_has_unit(path, "user-1000.slice"))
			fail_msg("%s", path);
	}
}

/* ---- the rules ---- */

struct given {
	uint32_t badge;
	struct conf_match match;
	const char *unit;
};

static void give_rules(struct rig *rig, const struct given *given, uint32_t count)
{
	const struct msg_badge_rules rules = { count, 100 };

	assert_int_equal(msg_send(rig->supervisor, &internal_messages, MSG_BADGE_RULES, &rules, NULL,
				  0, NULL), 0);
	for (unsigned i = 0; i < count; i++) {
		const struct msg_badge_rule rule = { given[i].badge, 100, 1, 1, 0 };
		char tail[64] = "n", *end = mempcpy(tail + 1, &given[i].match, 8);

		if (given[i].unit)
			end = mempcpy(end, given[i].unit, strlen(given[i].unit) + 1);
		assert_int_equal(msg_send(rig->supervisor, &internal_messages, MSG_BADGE_RULE, &rule,
					  tail, (size_t)(end - tail), NULL), 0);
	}
	rig_turn(rig);
}

static const struct given by_unit[] = {
	{ 3, { MATCH_UID, 61003 }, NULL },
	{ 4, { MATCH_UNIT, 0 }, "billing.service" },
	{ 5, { MATCH_UNIT, 0 }, "user.slice" },
	{ 6, { MATCH_ANY, 0 }, NULL },
};

static void give_units(struct rig *rig)
{
	rig_init(rig);
	give_rules(rig, by_unit, ARRAY_SIZE(by_unit));
}

static void expect_wanted(struct rig *rig, uint32_t badge)
{
	union msg_buffer buf;
	struct msg msg;

	assert_int_equal(rig_hear(rig, &buf, &msg), 1);
	assert_int_equal(msg.type, MSG_WORKER_WANTED);
	assert_int_equal(((const struct msg_worker_wanted *)msg.body)->badge, badge);
}

/* The supervisor is asked about this process; the question's number. */
static uint64_t expect_question(struct rig *rig, pid_t pid)
{
	const struct msg_peer_wanted *wanted;
	union msg_buffer buf;
	struct msg msg;

	assert_int_equal(rig_hear(rig, &buf, &msg), 1);
	assert_int_equal(msg.type, MSG_PEER_WANTED);
	wanted = msg.body;
	assert_int_equal(wanted->pid, pid);
	return wanted->id;
}

static void answer(struct rig *rig, uint64_t id, const char *text, size_t len)
{
	const struct msg_peer body = { .id = id };
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, 1 << 17), 1 << 17);
	assert_int_equal(write(ends[1], text, len), len);
	close(ends[1]);
	rig_tell(rig, MSG_PEER, &body, ends[0]);
}

static void answer_none(struct rig *rig, uint64_t id, uint32_t error)
{
	const struct msg_peer_none body = { .id = id, .error = error };

	rig_tell(rig, MSG_PEER_NONE, &body, -1);
}

/* A client whose file has this text gets that badge. */
static void gets(struct rig *rig, const char *text, uint32_t badge)
{
	int client = rig_connect(rig);

	rig_turn(rig);
	answer(rig, expect_question(rig, getpid()), text, strlen(text));
	rig_expect_silence(client);
	expect_wanted(rig, badge);
	fd_close(client);
}

static void can_get_a_pidfd(void)
{
	int pair[2], pidfd = -1;
	socklen_t len = sizeof(pidfd);

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	if (getsockopt(pair[0], SOL_SOCKET, 77 /* SO_PEERPIDFD */, &pidfd, &len) < 0)
		skip();
	fd_close(pidfd);
	fd_close(pair[0]);
	fd_close(pair[1]);
}

static void the_unit_decides(void **state unused_)
{
	struct rig rig;

	can_get_a_pidfd();
	give_units(&rig);
	gets(&rig, BILLING, 4);
	gets(&rig, "0::/user.slice/user-1.slice/user@1.service/system.slice/billing.service\n", 5);
	gets(&rig, "0::/system.slice/other.service\n", 6);
	rig_deinit(&rig);
}

static void calls(const char *path, const char *wanted)
{
	char unit[LIMIT_UNIT + 1];

	assert_string_equal(cgroup_unit(path, unit), wanted);
}

static void a_path_has_one_unit(void **state unused_)
{
	calls("/system.slice/billing.service", "billing.service");
	calls("/system.slice/billing.service/payload/x.service", "billing.service");
	calls("/user.slice/user-1.slice/user@1.service/app.slice/x.service", "user@1.service");
	calls("/user.slice/user-1.slice", "user-1.slice");
	calls("/system.slice/_x.service", "x.service");
	calls("/docker/0123", "");
	calls("/", "");
	calls("", "");
}

/* For the log: before the worker has the client. */
static void expect_unit(struct rig *rig, const char *unit)
{
	const struct msg_client_unit *body;
	union msg_buffer buf;
	struct msg msg;

	assert_int_equal(rig_hear(rig, &buf, &msg), 1);
	assert_int_equal(msg.type, MSG_CLIENT_UNIT);
	body = msg.body;
	assert_int_equal(body->badge, 6);
	assert_int_equal(body->pid, getpid());
	assert_int_equal(msg.tail_len, strlen(unit));
	assert_memory_equal(msg.tail, unit, msg.tail_len);
}

static void the_unit_is_told_with_the_client(void **state unused_)
{
	const struct msg_worker_chan whose = { .uid = getuid(), .badge = 6 };
	int clients[2], pair[2];
	struct rig rig;

	can_get_a_pidfd();
	give_units(&rig);
	clients[0] = rig_connect(&rig);
	rig_turn(&rig);
	answer(&rig, expect_question(&rig, getpid()), "0::/a.slice/b.service/c.service\n", 32);
	expect_wanted(&rig, 6);
	rig_expect_nothing(&rig);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig_tell(&rig, MSG_WORKER_CHAN, &whose, pair[0]);
	expect_unit(&rig, "b.service");
	rig_take_id(pair[1]);
	/* One that is in none has the number of one that was: then that is said. */
	clients[1] = rig_connect(&rig);
	rig_turn(&rig);
	answer(&rig, expect_question(&rig, getpid()), "0::/x\n", 6);
	expect_unit(&rig, "");
	rig_take_id(pair[1]);
	fd_close(clients[0]);
	fd_close(clients[1]);
	fd_close(pair[1]);
	rig_deinit(&rig);
}

static void nobody_is_asked_when_it_does_not_matter(void **state unused_)
{
	const struct given given[] = { { 9, { MATCH_UID, getuid() }, NULL }, by_unit[1] };
	struct rig rig;
	int client;

	rig_init(&rig);
	give_rules(&rig, given, 2);
	client = rig_connect(&rig);
	rig_turn(&rig);
	expect_wanted(&rig, 9);
	rig_expect_nothing(&rig);
	fd_close(client);
	rig_deinit(&rig);
}

/* A process that connects, and is over when the answer comes; its connection lives on. */
static int connect_and_end(struct rig *rig, pid_t *ret_pid)
{
	int client = -1, ready[2], status;

	assert_int_equal(pipe(ready), 0);
	client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	*ret_pid = fork();
	if (*ret_pid == 0)
		_exit(connect(client, (struct sockaddr *)&rig->address, sizeof(rig->address)) < 0);
	assert_int_equal(waitpid(*ret_pid, &status, 0), *ret_pid);
	assert_int_equal(status, 0);
	fd_close(ready[0]);
	fd_close(ready[1]);
	return client;
}

/* The file may be that of another process by then: of a better one, or so that no rule is for it. */
static void case_10_who_has_ended_is_in_no_unit_and_in_no_other_badge(void **state unused_)
{
	struct rig rig;
	pid_t pid;
	int client;

	give_units(&rig);
	client = connect_and_end(&rig, &pid);
	rig_turn(&rig);
	answer(&rig, expect_question(&rig, pid), BILLING, strlen(BILLING));
	rig_expect_refused(client, TLSB_E_POLICY, "match: in which unit a program of user");
	client = connect_and_end(&rig, &pid);
	rig_turn(&rig);
	answer_none(&rig, expect_question(&rig, pid), TLSB_E_POLICY);
	rig_expect_refused(client, TLSB_E_POLICY, "match: in which unit a program of user");
	rig_expect_nothing(&rig);
	rig_deinit(&rig);
}

static void refuses(struct rig *rig, const char *text, size_t len, uint32_t error)
{
	int client = rig_connect(rig);

	rig_turn(rig);
	answer(rig, expect_question(rig, getpid()), text, len);
	rig_expect_refused(client, error, "");
	rig_expect_nothing(rig);
}

static void what_cannot_be_read_lets_nobody_in(void **state unused_)
{
	static char huge[LIMIT_CGROUP_BYTES + 2];
	struct rig rig;
	int client;

	can_get_a_pidfd();
	give_units(&rig);
	refuses(&rig, "", 0, TLSB_E_POLICY);
	refuses(&rig, "0::/../x.service\n", 17, TLSB_E_POLICY);
	refuses(&rig, BILLING, strlen(BILLING) - 1, TLSB_E_POLICY);
	memset(huge, 'x', sizeof(huge));
	refuses(&rig, huge, LIMIT_CGROUP_BYTES + 1, TLSB_E_RESOURCES);
	refuses(&rig, huge, LIMIT_CGROUP_BYTES - 1, TLSB_E_POLICY);
	client = rig_connect(&rig);
	rig_turn(&rig);
	answer_none(&rig, expect_question(&rig, getpid()), TLSB_E_RESOURCES);
	rig_expect_refused(client, TLSB_E_RESOURCES, "");
	rig_deinit(&rig);
}

static void others_go_on_meanwhile(void **state unused_)
{
	struct rig rig;
	int asked, other;

	if (getuid() != 0)
		skip();
	give_units(&rig);
	asked = rig_connect(&rig);
	rig_turn(&rig);
	expect_question(&rig, getpid());
	other = rig_connect_as(&rig, 61003);
	rig_turn(&rig);
	expect_wanted(&rig, 3);
	rig_expect_silence(asked);
	fd_close(other);
	fd_close(asked);
	rig_deinit(&rig);
}

static void few_questions_are_open_at_once(void **state unused_)
{
	enum { MANY = LIMIT_PEERS_ASKED + 3 };
	struct rig rig;
	int clients[MANY];
	uint64_t ids[MANY];

	can_get_a_pidfd();
	give_units(&rig);
	for (int i = 0; i < MANY; i++)
		clients[i] = rig_connect(&rig);
	rig_run_for(&rig, 20);
	for (int i = 0; i < LIMIT_PEERS_ASKED; i++)
		ids[i] = expect_question(&rig, getpid());
	rig_expect_nothing(&rig);
	for (int i = LIMIT_PEERS_ASKED; i < MANY; i++) {
		answer_none(&rig, ids[i - LIMIT_PEERS_ASKED], TLSB_E_POLICY);
		ids[i] = expect_question(&rig, getpid());
		rig_expect_nothing(&rig);
	}
	for (int i = MANY - LIMIT_PEERS_ASKED; i < MANY; i++)
		answer_none(&rig, ids[i], TLSB_E_POLICY);
	rig_expect_nothing(&rig);
	for (int i = 0; i < MANY; i++)
		rig_expect_refused(clients[i], TLSB_E_POLICY, "match");
	rig_deinit(&rig);
}

static void who_waits_too_long_is_told(void **state unused_)
{
	struct rig rig;
	uint64_t id;
	int client;

	give_units(&rig);
	rig_frontdoor(&rig)->wait_ms = 1;
	client = rig_connect(&rig);
	rig_run_for(&rig, 50);
	id = expect_question(&rig, getpid());
	rig_expect_refused(client, TLSB_E_RESOURCES, "in which unit");
	/* The answer comes for nobody, and makes room for the next question. */
	answer(&rig, id, BILLING, strlen(BILLING));
	rig_expect_nothing(&rig);
	assert_int_equal(rig_frontdoor(&rig)->unanswered, 0);
	rig_deinit(&rig);
}

static void rules_that_change_meanwhile_count(void **state unused_)
{
	struct rig rig;
	uint64_t id;
	int client;

	give_units(&rig);
	client = rig_connect(&rig);
	rig_turn(&rig);
	id = expect_question(&rig, getpid());
	give_rules(&rig, by_unit + 3, 1);
	answer_none(&rig, id, TLSB_E_POLICY);
	expect_wanted(&rig, 6);
	fd_close(client);
	rig_deinit(&rig);
}

static void an_answer_to_nothing_is_refused(void **state unused_)
{
	struct rig rig;

	give_units(&rig);
	assert_int_equal(waiting_on_answer(rig_frontdoor(&rig), 1, -1, TLSB_E_POLICY), -EPROTO);
	assert_int_equal(waiting_on_answer(rig_frontdoor(&rig), 0, -1, TLSB_E_POLICY), -EPROTO);
	rig_deinit(&rig);
}

static void names_that_do_not_fit_the_matches_are_refused(void **state unused_)
{
	static const struct conf_match unit = { MATCH_UNIT, 0 }, any = { MATCH_ANY, 0 };
	static const struct {
		const struct conf_match *match;
		const char *names;
		size_t len;
		int result;
	} given[] = {
		{ &unit, "a.service", 10, 0 },
		{ &unit, "a.service", 9, -EBADMSG },
		{ &unit, "a.service\0", 11, -EBADMSG },
		{ &unit, "", 0, -EBADMSG },
		{ &unit, "", 1, -EBADMSG },
		{ &unit, "a/b.service", 12, -EBADMSG },
		{ &any, "", 0, 0 },
		{ &any, "a.service", 10, -EBADMSG },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(given); i++) {
		const struct msg_badge_rules one = { 1, 1 };
		const struct msg_badge_rule body = { 1, 1, 1, 1, 0 };
		char tail[64] = "n", *end = mempcpy(tail + 1, given[i].match, 8);
		struct msg msg = { .body = &body, .tail = tail };
		struct rules rules = { .list = NULL };

		end = mempcpy(end, given[i].names, given[i].len);
		msg.tail_len = (uint32_t)(end - tail);
		assert_int_equal(rules_begin(&rules, &one), 0);
		assert_int_equal(rules_add(&rules, &msg), given[i].result);
		rules_deinit(&rules);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_line_that_is_systemds_is_read),
		TEST(only_systemds_own_names_count),
		TEST(whatever_a_user_calls_its_groups_it_is_nobody_else),
		TEST(the_unit_decides),
		TEST(a_path_has_one_unit),
		TEST(the_unit_is_told_with_the_client),
		TEST(nobody_is_asked_when_it_does_not_matter),
		TEST(case_10_who_has_ended_is_in_no_unit_and_in_no_other_badge),
		TEST(what_cannot_be_read_lets_nobody_in),
		TEST(others_go_on_meanwhile),
		TEST(few_questions_are_open_at_once),
		TEST(who_waits_too_long_is_told),
		TEST(rules_that_change_meanwhile_count),
		TEST(an_answer_to_nothing_is_refused),
		TEST(names_that_do_not_fit_the_matches_are_refused),
	};

	return testing_run(tests);
}
