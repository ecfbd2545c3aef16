/*
 * Names through name servers: a fake one that does what real ones do rarely, and dnsmasq.  In a
 * network of its own; skipped where there can be none.
 */
#include "connector_fakedns.h"
#include "testing_clock.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "connector/eyeballs.h"

/* One fake server on 127.0.0.1, one worker, and servers on both loopback addresses. */
struct scene {
	struct rig rig;
	struct fakedns dns;
	int worker, v4, v6;
	uint16_t port;
	uint64_t id;
};

#define ONE_SERVER "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"

static void scene_init(struct scene *scene, const struct fake_record *zone, const char *conf)
{
	*scene = (struct scene){0};
	rig_init(&scene->rig);
	fakedns_start(&scene->dns, &scene->rig, "127.0.0.1", zone);
	scene->v4 = rig_listen("127.0.0.1", &scene->port, 4096); /* nobody accepts */
	scene->v6 = rig_listen("::1", &scene->port, 4096);	 /* nobody accepts */
	scene->worker = rig_worker(&scene->rig, 1000);
	rig_files(&scene->rig, "", conf);
}

static void scene_deinit(struct scene *scene)
{
	fakedns_stop(&scene->dns);
	rig_deinit(&scene->rig);
	close(scene->worker);
	close(scene->v4);
	close(scene->v6);
}

/* Returns how many milliseconds it took. */
static uint64_t dial(struct scene *scene, const char *host, uint16_t family, unsigned deadline_ms,
		     struct answer_to_worker *answer)
{
	uint64_t start = clock_ms();

	rig_dial(scene->worker, ++scene->id, host, scene->port, family, deadline_ms);
	rig_wait(&scene->rig, scene->worker, 8000, answer);
	return clock_ms() - start;
}

static uint64_t reaches(struct scene *scene, const char *host, const char *address)
{
	struct answer_to_worker answer;
	uint64_t took = dial(scene, host, AF_UNSPEC, 8000, &answer);

	rig_expect_dialed(&answer, scene->id, address);
	return took;
}

static uint64_t fails(struct scene *scene, const char *host, enum tlsb_error error,
		      const char *words)
{
	struct answer_to_worker answer;
	uint64_t took = dial(scene, host, AF_UNSPEC, 8000, &answer);

	rig_expect_failed(&answer, scene->id, error, words);
	return took;
}

static void both_families_are_asked_at_once(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"two.test", TYPE_AAAA, .addresses = "::1", .ttl = 60, .delay_ms = 100},
		{"two.test", TYPE_A, .addresses = "127.0.0.1", .ttl = 60, .delay_ms = 100},
		{0},
	};
	struct answer_to_worker answer;
	struct scene scene;
	uint64_t took;

	scene_init(&scene, zone, ONE_SERVER);
	took = dial(&scene, "two.test", AF_UNSPEC, 5000, &answer);
	assert_in_range(took, 90, 190); /* one after the other would take 200 */
	assert_in_range(answer.dialed.name_us, 90000, 190000);
	assert_in_range(answer.dialed.tcp_us, 1, 90000);
	rig_expect_dialed(&answer, scene.id, "::1");
	assert_int_equal(scene.dns.asked, 2);
	dial(&scene, "TWO.test.", AF_INET, 5000, &answer);
	rig_expect_dialed(&answer, scene.id, "127.0.0.1");
	assert_int_equal(scene.dns.asked, 2);
	assert_int_equal(rig_count(&scene.rig, COUNTER_lookups), 1);
	assert_int_equal(rig_count(&scene.rig, COUNTER_lookups_cached), 1);
	scene_deinit(&scene);
}

static void only_the_wanted_family_is_asked(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"two.test", 0, .addresses = "::1 127.0.0.1", .ttl = 60},
		{"six.test", TYPE_AAAA, .addresses = "::1", .ttl = 60},
		{0},
	};
	struct answer_to_worker answer;
	struct scene scene;

	scene_init(&scene, zone, ONE_SERVER);
	dial(&scene, "two.test", AF_INET6, 5000, &answer);
	rig_expect_dialed(&answer, scene.id, "::1");
	assert_int_equal(scene.dns.asked, 1);
	dial(&scene, "six.test", AF_INET, 5000, &answer);
	rig_expect_failed(&answer, scene.id, TLSB_E_DNS, "six.test exists but has no IPv4 address");
	scene_deinit(&scene);
}

static void an_answer_holds_as_long_as_its_shortest_ttl(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"www.test", TYPE_A, .addresses = "127.0.0.1", .ttl = 300,
		 .aliases = "cdn.test edge.test", .alias_ttl = 1},
		{"www.test", TYPE_AAAA, .ttl = 300, .aliases = "cdn.test edge.test",
		 .alias_ttl = 1},
		{"zero.test", 0, .addresses = "127.0.0.1", .ttl = 0},
		{0},
	};
	struct scene scene;

	scene_init(&scene, zone, ONE_SERVER);
	reaches(&scene, "www.test", "127.0.0.1");
	assert_int_equal(scene.dns.asked, 2);
	reaches(&scene, "www.test", "127.0.0.1"); /* that there is no AAAA is known too */
	assert_int_equal(scene.dns.asked, 2);
	rig_run_for(&scene.rig, 1050);
	reaches(&scene, "www.test", "127.0.0.1");
	assert_int_equal(scene.dns.asked, 4);
	reaches(&scene, "zero.test", "127.0.0.1");
	reaches(&scene, "zero.test", "127.0.0.1");
	assert_int_equal(scene.dns.asked, 8);
	scene_deinit(&scene);
}

static void what_does_not_exist_is_said_so_and_asked_again(void **state unused_)
{
	static const struct fake_record before[] = {{.name = "empty.test", .type = TYPE_CNAME},
						    {0}};
	static const struct fake_record after[] = {
		{"gone.test", 0, .addresses = "127.0.0.1", .ttl = 60},
		{0},
	};
	struct scene scene;

	scene_init(&scene, before, ONE_SERVER);
	fails(&scene, "gone.test", TLSB_E_DNS, "the name gone.test does not exist");
	fails(&scene, "empty.test", TLSB_E_DNS, "empty.test exists but has no address");
	scene.dns.zone = after;
	reaches(&scene, "gone.test", "127.0.0.1");
	scene_deinit(&scene);
}

static void addresses_that_are_none_are_not_dialled(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"bad.test", TYPE_A, .addresses = "0.0.0.0", .ttl = 60},
		{"bad.test", TYPE_AAAA, .addresses = ":: ::ffff:127.0.0.1", .ttl = 60},
		{0},
	};
	struct scene scene;

	scene_init(&scene, zone, ONE_SERVER);
	fails(&scene, "bad.test", TLSB_E_DNS, "bad.test exists but has no address");
	scene_deinit(&scene);
}

static void a_slow_aaaa_holds_ipv4_up_for_50_ms_only(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"slow.test", TYPE_AAAA, .addresses = "::1", .ttl = 60, .delay_ms = 400},
		{"slow.test", TYPE_A, .addresses = "127.0.0.1", .ttl = 60},
		{0},
	};
	struct scene scene;
	struct dialler *dialler;
	uint64_t took;

	scene_init(&scene, zone, ONE_SERVER);
	took = reaches(&scene, "slow.test", "127.0.0.1");
	assert_in_range(took, EYEBALLS_RESOLUTION_DELAY_MS - 8, EYEBALLS_RESOLUTION_DELAY_MS + 200);
	/* The lookup goes on for the cache, in the place of the dial that began it. */
	dialler = LIST_FIRST(&rig_connector(&scene.rig)->diallers);
	assert_int_equal(dialler->running_count, 1);
	rig_run_for(&scene.rig, 400);
	assert_int_equal(dialler->running_count, 0);
	reaches(&scene, "slow.test", "::1");
	assert_int_equal(scene.dns.asked, 2);
	scene_deinit(&scene);
}

static void a_slow_a_does_not_hold_ipv6_up(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"slow.test", TYPE_AAAA, .addresses = "::1", .ttl = 60},
		{"slow.test", TYPE_A, .addresses = "127.0.0.1", .ttl = 60, .delay_ms = 900},
		{0},
	};
	struct scene scene;

	scene_init(&scene, zone, ONE_SERVER);
	assert_in_range(reaches(&scene, "slow.test", "::1"), 0, 400);
	scene_deinit(&scene);
}

static void ipv4_that_comes_late_is_dialled_when_ipv6_fails(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"late.test", TYPE_AAAA, .addresses = "2001:db8::1", .ttl = 60},
		{"late.test", TYPE_A, .addresses = "127.0.0.1", .ttl = 60, .delay_ms = 200},
		{0},
	};
	struct scene scene;

	scene_init(&scene, zone, ONE_SERVER);
	assert_in_range(reaches(&scene, "late.test", "127.0.0.1"), 190, 450);
	scene_deinit(&scene);
}

/* ---- servers that do not do what they should ---- */

static void a_dead_first_server_costs_its_timeout_once(void **state unused_)
{
	static const struct fake_record silence[] = {{.name = "*", .rcode = SILENCE}, {0}};
	static const struct fake_record zone[] = {
		{"*", TYPE_A, .addresses = "127.0.0.1", .ttl = 60},
		{.name = "*", .type = TYPE_AAAA},
		{0},
	};
	struct scene scene;
	struct fakedns dead;

	scene_init(&scene, zone,
		   "nameserver 127.0.0.7\nnameserver 127.0.0.1\noptions timeout:1 attempts:2\n");
	fakedns_start(&dead, &scene.rig, "127.0.0.7", silence);
	assert_in_range(reaches(&scene, "one.test", "127.0.0.1"), 980, 1900);
	assert_in_range(reaches(&scene, "two.test", "127.0.0.1"), 0, 500);
	assert_int_equal(dead.asked, 2);
	fakedns_stop(&dead);
	scene_deinit(&scene);
}

static void a_late_answer_of_the_first_server_still_counts(void **state unused_)
{
	static const struct fake_record silence[] = {{.name = "*", .rcode = SILENCE}, {0}};
	static const struct fake_record late[] = {
		{"*", 0, .addresses = "127.0.0.1 ::1", .ttl = 60, .delay_ms = 1300},
		{0},
	};
	struct scene scene;
	struct fakedns second;

	scene_init(&scene, late,
		   "nameserver 127.0.0.1\nnameserver 127.0.0.7\noptions timeout:1 attempts:1\n");
	fakedns_start(&second, &scene.rig, "127.0.0.7", silence);
	assert_in_range(reaches(&scene, "one.test", "::1"), 1280, 1900);
	fakedns_stop(&second);
	scene_deinit(&scene);
}

static void a_server_that_fails_makes_way_for_the_next_at_once(void **state unused_)
{
	static const struct fake_record failing[] = {{.name = "*", .rcode = SERVFAIL}, {0}};
	static const struct fake_record zone[] = {
		{"*", 0, .addresses = "127.0.0.1", .ttl = 60},
		{0},
	};
	struct scene scene;
	struct fakedns first;

	/* Nobody is at 127.0.0.9, which is noticed at once too. */
	scene_init(&scene, zone,
		   "nameserver 127.0.0.9\nnameserver 127.0.0.7\nnameserver 127.0.0.1\n");
	fakedns_start(&first, &scene.rig, "127.0.0.7", failing);
	assert_in_range(reaches(&scene, "one.test", "127.0.0.1"), 0, 500);
	assert_int_equal(first.asked, 2);
	fakedns_stop(&first);
	scene_deinit(&scene);
}

static void no_answer_at_all_names_the_servers(void **state unused_)
{
	static const struct fake_record failing[] = {{.name = "*", .rcode = SERVFAIL}, {0}};
	struct scene scene;
	struct answer_to_worker answer;

	scene_init(&scene, failing,
		   "nameserver 127.0.0.1\nnameserver 127.0.0.9\noptions timeout:1\n");
	fails(&scene, "a.test", TLSB_E_DNS_SERVER, "no name server could say what a.test is: ");
	fails(&scene, "b.test", TLSB_E_DNS_SERVER, "127.0.0.1 failed (SERVFAIL)");
	fails(&scene, "c.test", TLSB_E_DNS_SERVER, "127.0.0.9 cannot be reached");
	scene.dns.zone = (const struct fake_record[]){{.name = "*", .rcode = SILENCE}, {0}};
	rig_files(&scene.rig, "", ONE_SERVER);
	assert_in_range(fails(&scene, "d.test", TLSB_E_DNS_SERVER, "127.0.0.1 did not answer"), 980,
			1900);
	dial(&scene, "e.test", AF_UNSPEC, 300, &answer);
	rig_expect_failed(&answer, scene.id, TLSB_E_TIMEOUT,
			  "no name server said within 0.3 s what e.test is (asked: 127.0.0.1)");
	scene_deinit(&scene);
}

static void without_descriptors_the_servers_are_not_blamed(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"*", 0, .addresses = "127.0.0.1 ::1", .ttl = 60},
		{0},
	};
	struct scene scene;
	struct rlimit old, few;
	int highest;

	scene_init(&scene, zone, ONE_SERVER);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	highest = dup(scene.v4);
	close(highest);
	few = (struct rlimit){(rlim_t)highest, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	fails(&scene, "a.test", TLSB_E_RESOURCES, "for want of memory or descriptors");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	reaches(&scene, "a.test", "::1");
	scene_deinit(&scene);
}

static void half_an_answer_is_enough(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"half.test", TYPE_A, .addresses = "127.0.0.1", .ttl = 60},
		{.name = "half.test", .type = TYPE_AAAA, .rcode = SERVFAIL},
		{.name = "none.test", .type = TYPE_A},
		{.name = "none.test", .type = TYPE_AAAA, .rcode = SERVFAIL},
		{0},
	};
	struct scene scene;

	scene_init(&scene, zone, ONE_SERVER);
	reaches(&scene, "half.test", "127.0.0.1");
	fails(&scene, "none.test", TLSB_E_DNS_SERVER, "SERVFAIL");
	scene_deinit(&scene);
}

static void a_truncated_answer_is_fetched_over_tcp(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"big.test", TYPE_A, .ttl = 60, .truncated = true,
		 .addresses = "127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5"},
		{.name = "big.test", .type = TYPE_AAAA},
		{0},
	};
	struct scene scene;

	scene_init(&scene, zone, ONE_SERVER);
	reaches(&scene, "big.test", "127.0.0.1");
	assert_int_equal(scene.dns.asked_tcp, 1);
	scene_deinit(&scene);
}

static void spoilt_answers_do_no_harm(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"*", 0, .addresses = "127.0.0.1 ::1", .ttl = 60, .aliases = "alias.test b.test",
		 .alias_ttl = 5},
		{0},
	};
	struct answer_to_worker answer;
	struct scene scene;
	char name[32];

	scene_init(&scene, zone, ONE_SERVER);
	scene.dns.mutate = 4711;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "n%u.test", i);
		dial(&scene, name, AF_UNSPEC, 40, &answer);
		fd_close(answer.fd);
	}
	scene.dns.mutate = 0;
	rig_files(&scene.rig, "", ONE_SERVER "options rotate\n");
	reaches(&scene, "good.test", "::1");
	scene_deinit(&scene);
}

/* ---- search list ---- */

static const struct fake_record searched[] = {
	{"host.b.test", 0, .addresses = "127.0.0.1", .ttl = 60},
	{"host.sub", 0, .addresses = "127.0.0.1", .ttl = 60},
	{"only.a.test", TYPE_A, .addresses = "127.0.0.1", .ttl = 60},
	{.name = "only.a.test", .type = TYPE_AAAA},
	{.name = "bad.a.test", .rcode = SERVFAIL},
	{"bad.b.test", 0, .addresses = "127.0.0.1", .ttl = 60},
	{0},
};

static void short_names_are_searched(void **state unused_)
{
	struct scene scene;

	scene_init(&scene, searched, "search a.test b.test\n" ONE_SERVER);
	reaches(&scene, "host", "127.0.0.1"); /* host.a.test, host.b.test */
	assert_int_equal(scene.dns.asked, 4);
	reaches(&scene, "host.b.test", "127.0.0.1"); /* known by now */
	assert_int_equal(scene.dns.asked, 4);
	reaches(&scene, "host.sub", "127.0.0.1"); /* itself first */
	assert_int_equal(scene.dns.asked, 6);
	reaches(&scene, "only", "127.0.0.1");
	scene.dns.asked = 0;
	fails(&scene, "host.", TLSB_E_DNS, "the name host. does not exist");
	assert_int_equal(scene.dns.asked, 2);
	fails(&scene, "nobody", TLSB_E_DNS, "nobody does not exist, nor does it with the search");
	assert_int_equal(scene.dns.asked, 2 + 6);
	/* What comes after a failure is another host. */
	fails(&scene, "bad", TLSB_E_DNS_SERVER, "what bad is");
	scene_deinit(&scene);
}

static void ndots_says_which_names_are_short(void **state unused_)
{
	struct scene scene;

	scene_init(&scene, searched, "search a.test b.test\noptions ndots:2\n" ONE_SERVER);
	reaches(&scene, "host.sub", "127.0.0.1"); /* last of three */
	assert_int_equal(scene.dns.asked, 6);
	scene_deinit(&scene);
}

static void a_candidate_that_is_too_long_is_left_out(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"*", 0, .addresses = "127.0.0.1", .ttl = 60},
		{0},
	};
	char name[250];
	struct scene scene;

	memset(name, 'x', sizeof(name));
	for (size_t i = 60; i < sizeof(name); i += 60)
		name[i] = '.';
	name[sizeof(name) - 1] = '\0';
	scene_init(&scene, zone, "search a.test b.test\noptions ndots:15\n" ONE_SERVER);
	reaches(&scene, name, "127.0.0.1");
	assert_int_equal(scene.dns.asked, 2);
	scene_deinit(&scene);
}

/* ---- many, and changes ---- */

static void dials_to_one_name_share_the_lookup(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"one.test", 0, .addresses = "127.0.0.1", .ttl = 60, .delay_ms = 50},
		{0},
	};
	struct answer_to_worker answer;
	struct scene scene;
	int other;

	scene_init(&scene, zone, ONE_SERVER);
	other = rig_worker(&scene.rig, 1001);
	for (uint64_t id = 1; id <= 40; id++)
		rig_dial(id % 2 ? scene.worker : other, id, "one.test", scene.port, AF_UNSPEC,
			 5000);
	for (uint64_t id = 1; id <= 40; id++) {
		rig_wait(&scene.rig, id % 2 ? scene.worker : other, 1000, &answer);
		assert_int_equal(answer.type, MSG_DIALED);
		close(answer.fd);
	}
	assert_int_equal(scene.dns.asked, 2);
	assert_int_equal(rig_count(&scene.rig, COUNTER_lookups), 1);
	close(other);
	scene_deinit(&scene);
}

static void a_new_resolv_conf_is_used_at_once(void **state unused_)
{
	static const struct fake_record silence[] = {{.name = "*", .rcode = SILENCE}, {0}};
	static const struct fake_record zone[] = {
		{"*", 0, .addresses = "::1", .ttl = 60},
		{0},
	};
	struct answer_to_worker answer;
	struct scene scene;
	struct fakedns second;

	scene_init(&scene, silence, "nameserver 127.0.0.1\n");
	fakedns_start(&second, &scene.rig, "::1", zone);
	rig_dial(scene.worker, 1, "one.test", scene.port, AF_UNSPEC, 5000);
	rig_run_for(&scene.rig, 30);
	assert_int_equal(scene.dns.asked, 2);
	rig_files(&scene.rig, "127.0.0.1 other.test\n", "nameserver ::1\n");
	rig_wait(&scene.rig, scene.worker, 500, &answer);
	rig_expect_dialed(&answer, 1, "::1");
	rig_dial(scene.worker, 2, "other.test", scene.port, AF_UNSPEC, 5000);
	rig_wait(&scene.rig, scene.worker, 500, &answer);
	rig_expect_dialed(&answer, 2, "127.0.0.1");
	/* The cache is of the old servers. */
	scene.dns.zone = zone;
	rig_files(&scene.rig, "", ONE_SERVER);
	reaches(&scene, "one.test", "::1");
	assert_int_equal(scene.dns.asked, 4);
	fakedns_stop(&second);
	scene_deinit(&scene);
}

static void half_found_when_the_servers_change_is_enough(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"half.test", TYPE_AAAA, .addresses = "2001:db8::1", .ttl = 60},
		{.name = "half.test", .type = TYPE_A, .rcode = SILENCE},
		{0},
	};
	struct answer_to_worker answer;
	struct scene scene;

	scene_init(&scene, zone, "nameserver 127.0.0.1\n");
	rig_dial(scene.worker, 1, "half.test", scene.port, AF_UNSPEC, 5000);
	rig_run_for(&scene.rig, 30);
	rig_files(&scene.rig, "", ONE_SERVER);
	rig_wait(&scene.rig, scene.worker, 500, &answer);
	rig_expect_failed(&answer, 1, TLSB_E_UNREACHABLE, "2001:db8::1 ");
	scene_deinit(&scene);
}

/* Cancelling does not give a worker more questions than it may have: others have theirs. */
static void cancelled_dials_keep_their_place_until_the_lookup_ends(void **state unused_)
{
	static const struct fake_record zone[] = {
		{"good.test", 0, .addresses = "127.0.0.1", .ttl = 60},
		{.name = "*", .rcode = SILENCE},
		{0},
	};
	struct answer_to_worker answer;
	struct scene scene;
	struct dialler *dialler;
	int other;

	scene_init(&scene, zone, "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n");
	dialler = LIST_FIRST(&rig_connector(&scene.rig)->diallers);
	other = rig_worker(&scene.rig, 1001);
	for (uint64_t id = 0; id < 3 * LIMIT_DIALS_PER_BADGE; id++) {
		char name[32];

		snprintf(name, sizeof(name), "n%u.test", (unsigned)id);
		rig_dial(scene.worker, id, name, 443, AF_UNSPEC, 9000);
		rig_turn(&scene.rig);
		rig_cancel(scene.worker, id);
		rig_turn(&scene.rig);
	}
	assert_int_equal(scene.dns.asked, 2 * LIMIT_DIALS_PER_BADGE);
	assert_int_equal(dialler->running_count, LIMIT_DIALS_PER_BADGE);
	assert_int_equal(dialler->waiting_count, 0);
	assert_null(dialler->by_id);
	rig_dial(other, 1, "good.test", scene.port, AF_UNSPEC, 9000);
	rig_wait(&scene.rig, other, 200, &answer);
	rig_expect_dialed(&answer, 1, "127.0.0.1");
	rig_dial(scene.worker, 1, "good.test", scene.port, AF_UNSPEC, 9000);
	rig_wait(&scene.rig, scene.worker, 2500, &answer);
	rig_expect_dialed(&answer, 1, "127.0.0.1");
	rig_run_for(&scene.rig, 500);
	assert_int_equal(dialler->running_count, 0);
	close(other);
	scene_deinit(&scene);
}

/* ---- dnsmasq ---- */

/* Whether somebody has the port of this name server. */
static bool is_served(const char *literal)
{
	struct address address;
	union address_any any;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	assert_int_equal(address_parse(literal, &address), 0);
	r = bind(fd, &any.any, address_sockaddr(&address, 53, &any));
	close(fd);
	return r < 0;
}

/* -1: it is not there, or cannot run here. */
static pid_t start_dnsmasq(void)
{
	static const char program[] = "/usr/sbin/dnsmasq";
	pid_t pid;

	if (access(program, X_OK) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(STDERR_FILENO);
		execl(program, program, "--keep-in-foreground", "--conf-file=/dev/null",
		      "--no-resolv", "--no-hosts", "--user=root", "--group=root",
		      "--pid-file=", "--listen-address=127.0.0.53", "--bind-interfaces",
		      "--local=/wild.test/", "--host-record=two.wild.test,127.0.0.1,::1,1",
		      "--host-record=four.wild.test,127.0.0.1",
		      "--cname=alias.wild.test,second.wild.test,four.wild.test", NULL);
		_exit(1);
	}
	for (int i = 0; i < 300 && !is_served("127.0.0.53"); i++) {
		usleep(10000);
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return -1;
	}
	return pid;
}

static void dnsmasq_is_understood(void **state unused_)
{
	static const struct fake_record nothing[] = {{0}};
	struct scene scene;
	pid_t pid = start_dnsmasq();

	if (pid < 0)
		skip();
	scene_init(&scene, nothing, "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n");
	reaches(&scene, "two.wild.test", "::1");
	reaches(&scene, "four.wild.test", "127.0.0.1");
	reaches(&scene, "alias.wild.test", "127.0.0.1");
	fails(&scene, "none.wild.test", TLSB_E_DNS, "none.wild.test does not exist");
	assert_int_equal(rig_count(&scene.rig, COUNTER_lookups), 4);
	rig_files(&scene.rig, "",
		  "nameserver 127.0.0.53\noptions attempts:1\n"); /* nothing cached */
	reaches(&scene, "two.wild.test", "::1");
	reaches(&scene, "two.wild.test", "::1");
	assert_int_equal(rig_count(&scene.rig, COUNTER_lookups), 5);
	rig_run_for(&scene.rig, 1050);
	reaches(&scene, "two.wild.test", "::1");
	assert_int_equal(rig_count(&scene.rig, COUNTER_lookups), 6);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	fails(&scene, "five.wild.test", TLSB_E_DNS_SERVER, "127.0.0.53 cannot be reached");
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_families_are_asked_at_once),
		TEST(only_the_wanted_family_is_asked),
		TEST(an_answer_holds_as_long_as_its_shortest_ttl),
		TEST(what_does_not_exist_is_said_so_and_asked_again),
		TEST(addresses_that_are_none_are_not_dialled),
		TEST(a_slow_aaaa_holds_ipv4_up_for_50_ms_only),
		TEST(a_slow_a_does_not_hold_ipv6_up),
		TEST(ipv4_that_comes_late_is_dialled_when_ipv6_fails),
		TEST(a_dead_first_server_costs_its_timeout_once),
		TEST(a_late_answer_of_the_first_server_still_counts),
		TEST(a_server_that_fails_makes_way_for_the_next_at_once),
		TEST(no_answer_at_all_names_the_servers),
		TEST(without_descriptors_the_servers_are_not_blamed),
		TEST(half_an_answer_is_enough),
		TEST(a_truncated_answer_is_fetched_over_tcp),
		TEST(spoilt_answers_do_no_harm),
		TEST(short_names_are_searched),
		TEST(ndots_says_which_names_are_short),
		TEST(a_candidate_that_is_too_long_is_left_out),
		TEST(dials_to_one_name_share_the_lookup),
		TEST(a_new_resolv_conf_is_used_at_once),
		TEST(half_found_when_the_servers_change_is_enough),
		TEST(cancelled_dials_keep_their_place_until_the_lookup_ends),
		TEST(dnsmasq_is_understood),
	};

	if (!rig_own_network()) {
		print_message("skipped: no network namespace can be made here\n");
		return 77;
	}
	return testing_run(tests);
}
