/*
 * Dials through the whole role: what workers ask, hostile ones too, and what they get.  Names here
 * come from the hosts file; see connector_dns.c for the others.
 */
#include "connector_rig.h"
#include "testing_clock.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>

#include "connector/eyeballs.h"

static void a_literal_is_dialled(void **state unused_)
{
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port = 0;
	int server = rig_listen("127.0.0.1", &port, 8), worker;

	rig_init(&rig);
	worker = rig_worker(&rig, 1000);
	rig_dial(worker, 7, "127.0.0.1", port, AF_UNSPEC, 2000);
	rig_wait(&rig, worker, 1000, &answer);
	assert_int_equal(answer.dialed.name_us, 0);
	rig_expect_dialed(&answer, 7, "127.0.0.1");
	rig_dial(worker, 8, "::ffff:127.0.0.1", port, AF_INET, 2000);
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_dialed(&answer, 8, "127.0.0.1");
	assert_int_equal(rig.checks, 0);
	assert_int_equal(rig_count(&rig, COUNTER_dials), 2);
	assert_int_equal(rig_count(&rig, COUNTER_dials_failed), 0);
	rig_deinit(&rig);
	close(worker);
	close(server);
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void a_dialled_socket_is_ready_for_use(void **state unused_)
{
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port = 0;
	int server = rig_listen("127.0.0.1", &port, 8), worker;

	rig_init(&rig);
	worker = rig_worker(&rig, 1000);
	rig_dial(worker, 1, "127.0.0.1", port, AF_UNSPEC, 2000);
	rig_wait(&rig, worker, 1000, &answer);
	assert_true(fcntl(answer.fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(option(answer.fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option(answer.fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(answer.fd, IPPROTO_TCP, TCP_KEEPIDLE), LIMIT_KEEPALIVE_IDLE_S);
	assert_int_equal(option(answer.fd, IPPROTO_TCP, TCP_KEEPINTVL), LIMIT_KEEPALIVE_STEP_S);
	assert_int_equal(option(answer.fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
	assert_int_equal(option(answer.fd, IPPROTO_TCP, TCP_USER_TIMEOUT), LIMIT_PEER_SILENT_MS);
	rig_expect_dialed(&answer, 1, "127.0.0.1");
	rig_deinit(&rig);
	close(worker);
	close(server);
}

static void ipv6_is_dialled_before_ipv4(void **state unused_)
{
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port;
	int v6, v4, worker;

	if (!rig_listen_twice(&v4, &v6, &port, 8))
		skip();
	rig_init(&rig);
	rig_files(&rig, "127.0.0.1 two\n::1 two\n", "");
	worker = rig_worker(&rig, 1000);
	rig_dial(worker, 1, "two", port, AF_UNSPEC, 2000);
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_dialed(&answer, 1, "::1");
	rig_dial(worker, 2, "TWO", port, AF_INET, 2000);
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_dialed(&answer, 2, "127.0.0.1");
	rig_dial(worker, 3, "[::1]", port, AF_INET6, 2000);
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_dialed(&answer, 3, "::1");
	assert_int_equal(rig_count(&rig, COUNTER_lookups_cached), 2);
	assert_int_equal(rig_count(&rig, COUNTER_lookups), 0);
	rig_deinit(&rig);
	close(worker);
	close(v6);
	close(v4);
}

static void a_refused_address_makes_way_for_the_next_at_once(void **state unused_)
{
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port = 0;
	int server = rig_listen("127.0.0.3", &port, 8), worker;
	uint64_t start;

	rig_init(&rig);
	rig_files(&rig, "127.0.0.1 many\n::1 many\n127.0.0.2 many\n127.0.0.3 many\n", "");
	worker = rig_worker(&rig, 1000);
	start = clock_ms();
	rig_dial(worker, 1, "many", port, AF_UNSPEC, 2000);
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_dialed(&answer, 1, "127.0.0.3");
	assert_true(clock_ms() - start < EYEBALLS_STAGGER_MS);
	rig_deinit(&rig);
	close(worker);
	close(server);
}

static void a_silent_address_is_overtaken_after_the_stagger(void **state unused_)
{
	struct silent_server silent;
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port = 0;
	int server = rig_listen("127.0.0.3", &port, 8), worker;
	uint64_t took;

	assert_true(rig_listen_silently(&silent, "127.0.0.2", &port));
	rig_init(&rig);
	rig_files(&rig, "127.0.0.2 slow\n127.0.0.3 slow\n", "");
	worker = rig_worker(&rig, 1000);
	took = clock_ms();
	rig_dial(worker, 1, "slow", port, AF_UNSPEC, 5000);
	rig_wait(&rig, worker, 2000, &answer);
	took = clock_ms() - took;
	assert_in_range(took, EYEBALLS_STAGGER_MS - 10, 2 * EYEBALLS_STAGGER_MS - 10);
	assert_in_range(answer.dialed.tcp_us, (EYEBALLS_STAGGER_MS - 10) * 1000, took * 1000 + 999);
	rig_expect_dialed(&answer, 1, "127.0.0.3");
	rig_deinit(&rig);
	close(worker);
	close(server);
	rig_close_silent(&silent);
}

static void families_take_turns(void **state unused_)
{
	struct silent_server v6, first;
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port = 0;
	int server = rig_listen("127.0.0.3", &port, 8), worker;
	uint64_t took;

	if (!rig_listen_silently(&v6, "::1", &port)) {
		close(server);
		skip();
	}
	assert_true(rig_listen_silently(&first, "127.0.0.2", &port));
	rig_init(&rig);
	/* ::1 at 0 ms, 127.0.0.2 at 250, then 127.0.0.3, since there is no other IPv6 one. */
	rig_files(&rig, "127.0.0.2 both\n127.0.0.3 both\n::1 both\n", "");
	worker = rig_worker(&rig, 1000);
	took = clock_ms();
	rig_dial(worker, 1, "both", port, AF_UNSPEC, 5000);
	rig_wait(&rig, worker, 2000, &answer);
	took = clock_ms() - took;
	assert_in_range(took, 2 * EYEBALLS_STAGGER_MS - 20, 3 * EYEBALLS_STAGGER_MS - 20);
	rig_expect_dialed(&answer, 1, "127.0.0.3");
	rig_deinit(&rig);
	close(worker);
	close(server);
	rig_close_silent(&v6);
	rig_close_silent(&first);
}

static void the_oldest_of_too_many_attempts_makes_room(void **state unused_)
{
	struct silent_server silent[LIMIT_ATTEMPTS + 1];
	struct answer_to_worker answer;
	struct rig rig;
	char hosts[512] = "", address[16];
	uint16_t port = 0;
	int before, worker, server = rig_listen("127.0.0.99", &port, 8);

	for (unsigned i = 0; i < ARRAY_SIZE(silent); i++) {
		snprintf(address, sizeof(address), "127.0.0.%u", i + 10);
		assert_true(rig_listen_silently(&silent[i], address, &port));
		snprintf(hosts + strlen(hosts), sizeof(hosts) - strlen(hosts), "%s deaf\n",
			 address);
	}
	strcat(hosts, "127.0.0.99 deaf\n");
	rig_init(&rig);
	rig_files(&rig, hosts, "");
	worker = rig_worker(&rig, 1000);
	before = testing_count_fds();
	rig_dial(worker, 1, "deaf", port, AF_UNSPEC, 9000);
	rig_run_for(&rig, LIMIT_ATTEMPTS * EYEBALLS_STAGGER_MS + 50);
	assert_int_equal(testing_count_fds() - before, LIMIT_ATTEMPTS);
	rig_wait(&rig, worker, 2000, &answer);
	rig_expect_dialed(&answer, 1, "127.0.0.99");
	assert_int_equal(testing_count_fds(), before);
	rig_deinit(&rig);
	close(worker);
	close(server);
	for (unsigned i = 0; i < ARRAY_SIZE(silent); i++)
		rig_close_silent(&silent[i]);
}

/* A badge whose dials all lead into silence gets its share of descriptors, and no more. */
static void a_badge_has_its_share_of_attempts(void **state unused_)
{
	struct silent_server silent[LIMIT_ATTEMPTS];
	struct rig rig;
	char hosts[512] = "", address[16];
	uint16_t port = 0;
	int before, worker, most = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(silent); i++) {
		snprintf(address, sizeof(address), "127.0.0.%u", i + 10);
		assert_true(rig_listen_silently(&silent[i], address, &port));
		snprintf(hosts + strlen(hosts), sizeof(hosts) - strlen(hosts), "%s deaf\n",
			 address);
	}
	rig_init(&rig);
	rig_files(&rig, hosts, "");
	worker = rig_worker(&rig, 1000);
	before = testing_count_fds();
	for (unsigned i = 1; i <= LIMIT_DIALS_PER_BADGE; i++)
		rig_dial(worker, i, "deaf", port, AF_UNSPEC, 60000);
	for (unsigned i = 0; i < LIMIT_ATTEMPTS; i++) {
		rig_run_for(&rig, EYEBALLS_STAGGER_MS);
		most = MAX(most, testing_count_fds() - before);
	}
	assert_true(most > LIMIT_DIALS_PER_BADGE);
	assert_true(most <= LIMIT_ATTEMPTS_PER_BADGE);
	rig_deinit(&rig);
	close(worker);
	for (unsigned i = 0; i < ARRAY_SIZE(silent); i++)
		rig_close_silent(&silent[i]);
}

static void failures_say_which_address_did_what(void **state unused_)
{
	struct silent_server silent;
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port = 0, closed = 0;
	int worker, server = rig_listen("127.0.0.1", &closed, 1);

	close(server); /* nobody listens on CLOSED any more */
	assert_true(rig_listen_silently(&silent, "127.0.0.2", &port));
	rig_init(&rig);
	rig_files(&rig, "127.0.0.2 host\n127.0.0.3 host\n", "");
	worker = rig_worker(&rig, 1000);

	rig_dial(worker, 1, "127.0.0.1", closed, AF_UNSPEC, 5000);
	rig_wait(&rig, worker, 2000, &answer);
	rig_expect_failed(&answer, 1, TLSB_E_REFUSED, "cannot connect to 127.0.0.1 port ");
	rig_expect_failed(&answer, 1, TLSB_E_REFUSED, ": connection refused");

	rig_dial(worker, 2, "host", port, AF_UNSPEC, 600);
	rig_wait(&rig, worker, 2000, &answer);
	rig_expect_failed(&answer, 2, TLSB_E_TIMEOUT, "no connection to host port ");
	rig_expect_failed(&answer, 2, TLSB_E_TIMEOUT, " within 0.6 s: ");
	rig_expect_failed(&answer, 2, TLSB_E_TIMEOUT, "127.0.0.3 connection refused");
	rig_expect_failed(&answer, 2, TLSB_E_TIMEOUT, "127.0.0.2 no answer in 0.");

	rig_dial(worker, 3, "127.0.0.1", 1, AF_INET6, 5000);
	rig_wait(&rig, worker, 2000, &answer);
	rig_expect_failed(&answer, 3, TLSB_E_DNS, "is an IPv4 address, but only IPv6 may be used");

	/* 240.0.0.1 may or may not have a route, but it has no server. */
	rig_dial(worker, 4, "255.255.255.255", 9, AF_UNSPEC, 2000);
	rig_wait(&rig, worker, 3000, &answer);
	rig_expect_failed(&answer, 4, TLSB_E_UNREACHABLE, "255.255.255.255 port 9: ");
	assert_int_equal(rig_count(&rig, COUNTER_dials_failed), 4);
	rig_deinit(&rig);
	close(worker);
	rig_close_silent(&silent);
}

static void a_text_about_many_addresses_is_cut_whole(void **state unused_)
{
	char hosts[LIMIT_HOST * 40] = "", name[LIMIT_HOST + 1];
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t closed = 0;
	int worker, server = rig_listen("127.0.0.1", &closed, 1);

	close(server);
	memset(name, 'x', sizeof(name));
	for (int i = 60; i < LIMIT_HOST; i += 60)
		name[i] = '.';
	name[LIMIT_HOST] = '\0';
	for (unsigned i = 1; i <= 16; i++)
		snprintf(hosts + strlen(hosts), sizeof(hosts) - strlen(hosts), "127.0.0.%u %s\n", i,
			 name);
	rig_init(&rig);
	rig_files(&rig, hosts, "");
	worker = rig_worker(&rig, 1000);
	rig_dial(worker, 1, name, closed, AF_UNSPEC, 5000);
	rig_wait(&rig, worker, 2000, &answer);
	rig_expect_failed(&answer, 1, TLSB_E_REFUSED, "127.0.0.1 connection refused; 127.0.0.2");
	assert_string_equal(strstr(answer.text, "; and "), "; and 13 more");
	rig_deinit(&rig);
	close(worker);
}

static void unusable_hosts_are_refused_without_asking_anybody(void **state unused_)
{
	static const char *const hosts[] = {
		"0177.0.0.1", "2130706433", "127.1", "a..b", "[::1", "::1%lo", "0.0.0.0",
	};
	struct answer_to_worker answer;
	struct rig rig;
	int worker;

	rig_init(&rig);
	worker = rig_worker(&rig, 1000);
	for (unsigned i = 0; i < ARRAY_SIZE(hosts); i++) {
		rig_dial(worker, i, hosts[i], 443, AF_UNSPEC, 5000);
		rig_wait(&rig, worker, 1000, &answer);
		rig_expect_failed(&answer, i, TLSB_E_PARAMETER, hosts[i]);
	}
	assert_int_equal(rig.checks, 0);
	rig_deinit(&rig);
	close(worker);
}

static void localhost_needs_neither_file_nor_server(void **state unused_)
{
	static const char *const names[] = {"localhost", "localhost.", "LocalHost", "a.localhost"};
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port = 0;
	int server = rig_listen("127.0.0.1", &port, 8), worker;

	rig_init(&rig);
	worker = rig_worker(&rig, 1000);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		rig_dial(worker, i, names[i], port, AF_UNSPEC, 5000);
		rig_wait(&rig, worker, 1000, &answer);
		rig_expect_dialed(&answer, i, "127.0.0.1");
	}
	/* The other family is not waited for. */
	rig_dial(worker, 7, "localhost", port, AF_INET6, 5000);
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_failed(&answer, 7, TLSB_E_REFUSED, "::1");
	rig_dial(worker, 8, "a.localhost", 1, AF_INET, 5000);
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_failed(&answer, 8, TLSB_E_REFUSED, "127.0.0.1");
	rig_files(&rig, "127.0.0.9 localhost\n", "");
	rig_dial(worker, 9, "localhost", port, AF_UNSPEC, 5000);
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_failed(&answer, 9, TLSB_E_REFUSED, "127.0.0.9");
	assert_int_equal(rig_count(&rig, COUNTER_lookups), 0);
	rig_deinit(&rig);
	close(worker);
	close(server);
}

static void a_name_that_the_hosts_file_blocks_has_no_address(void **state unused_)
{
	struct answer_to_worker answer;
	struct rig rig;
	int worker;

	rig_init(&rig);
	rig_files(&rig, "0.0.0.0 ads.example\n", "");
	worker = rig_worker(&rig, 1000);
	rig_dial(worker, 1, "ads.example", 443, AF_UNSPEC, 5000);
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_failed(&answer, 1, TLSB_E_DNS,
			  "hosts file says that ads.example has no address");
	rig_deinit(&rig);
	close(worker);
}

/* ---- whether the files have changed ---- */

static void the_supervisor_is_asked_again_after_two_seconds(void **state unused_)
{
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port = 0;
	int server = rig_listen("127.0.0.1", &port, 8), worker;

	rig_init(&rig);
	worker = rig_worker(&rig, 1000);
	for (uint64_t id = 1; id <= 3; id++) {
		rig_dial(worker, id, "localhost", port, AF_INET, 5000);
		rig_wait(&rig, worker, 1000, &answer);
		rig_expect_dialed(&answer, id, "127.0.0.1");
		assert_int_equal(rig.checks, 1);
	}
	rig_connector(&rig)->names.checked_ms -= NAMES_FRESH_MS + 1;
	rig_dial(worker, 4, "localhost", port, AF_INET, 5000);
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_dialed(&answer, 4, "127.0.0.1");
	assert_int_equal(rig.checks, 2);
	rig_deinit(&rig);
	close(worker);
	close(server);
}

static void a_lookup_waits_for_the_supervisors_answer(void **state unused_)
{
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port = 0;
	int server = rig_listen("127.0.0.1", &port, 8), worker;

	rig_init(&rig);
	rig.mute = true;
	worker = rig_worker(&rig, 1000);
	rig_dial(worker, 1, "new-name", port, AF_UNSPEC, 5000);
	rig_dial(worker, 2, "other-name", port, AF_UNSPEC, 200);
	rig_run_for(&rig, 50);
	assert_int_equal(rig_poll(worker, &answer), -EAGAIN);
	assert_int_equal(rig.checks, 1);
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_failed(&answer, 2, TLSB_E_TIMEOUT, "other-name");
	rig_files(&rig, "127.0.0.1 new-name\n", "");
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_dialed(&answer, 1, "127.0.0.1");
	rig_deinit(&rig);
	close(worker);
	close(server);
}

/* ---- hostile workers ---- */

/* The worker's channel is closed, and another worker notices nothing. */
static void expect_broken(struct rig *rig, const struct msg_dial *body, const char *host,
			  size_t len)
{
	struct answer_to_worker answer;
	int worker = rig_worker(rig, 1000), other = rig_worker(rig, 1001), r;
	uint64_t violations = rig_count(rig, COUNTER_violations);

	rig_dial(other, 1, "localhost", 1, AF_UNSPEC, 5000);
	assert_int_equal(msg_send(worker, &internal_messages, MSG_DIAL, body, host, len, NULL), 0);
	for (int i = 0; (r = rig_poll(worker, &answer)) == -EAGAIN && i < 100; i++)
		rig_turn(rig);
	assert_int_not_equal(r, 1);
	assert_int_not_equal(r, -EAGAIN);
	assert_int_equal(rig_count(rig, COUNTER_violations), violations + 1);
	rig_wait(rig, other, 1000, &answer);
	assert_int_equal(answer.type, MSG_DIAL_FAILED);
	close(worker);
	close(other);
	rig_turn(rig);
	assert_int_equal(rig_connector(rig)->dialler_count, 0);
}

static void dials_without_sense_break_the_channel(void **state unused_)
{
	const struct msg_dial good = {.id = 1, .deadline_ms = 1000, .port = 443};
	struct msg_dial bad;
	struct rig rig;

	rig_init(&rig);
	bad = good;
	bad.port = 0;
	expect_broken(&rig, &bad, "localhost", 9);
	bad = good;
	bad.family = AF_UNIX;
	expect_broken(&rig, &bad, "localhost", 9);
	bad.family = 0xffff;
	expect_broken(&rig, &bad, "localhost", 9);
	expect_broken(&rig, &good, "", 0);
	expect_broken(&rig, &good, "local\0host", 10);
	expect_broken(&rig, &good, "\0", 1);
	rig_deinit(&rig);
}

static void a_host_may_have_only_these_bytes(void **state unused_)
{
	const struct msg_dial good = {.id = 1, .deadline_ms = 1000, .port = 443};
	struct rig rig;

	rig_init(&rig);
	for (int c = 1; c < 256; c++) {
		char host[] = "a?b";

		if (strchr("._:-%[]", c) || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z'))
			continue;
		host[1] = (char)c;
		expect_broken(&rig, &good, host, 3);
	}
	rig_deinit(&rig);
}

static void an_id_in_use_breaks_the_channel(void **state unused_)
{
	struct silent_server silent;
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port = 0;
	int worker, r;

	assert_true(rig_listen_silently(&silent, "127.0.0.2", &port));
	rig_init(&rig);
	worker = rig_worker(&rig, 1000);
	rig_dial(worker, 5, "127.0.0.2", port, AF_UNSPEC, 5000);
	rig_dial(worker, 6, "127.0.0.2", port, AF_UNSPEC, 5000);
	rig_turn(&rig);
	rig_cancel(worker, 6);
	rig_dial(worker, 6, "127.0.0.2", port, AF_UNSPEC, 5000);
	rig_turn(&rig);
	assert_int_equal(rig_poll(worker, &answer), -EAGAIN);
	rig_dial(worker, 5, "127.0.0.2", port, AF_UNSPEC, 5000);
	rig_turn(&rig);
	r = rig_poll(worker, &answer);
	assert_true(r == 0 || r == -ECONNRESET);
	rig_deinit(&rig);
	close(worker);
	rig_close_silent(&silent);
}

static void cancelling_what_is_not_there_is_nothing(void **state unused_)
{
	struct answer_to_worker answer;
	struct rig rig;
	int worker;

	rig_init(&rig);
	worker = rig_worker(&rig, 1000);
	rig_cancel(worker, 1);
	rig_cancel(worker, UINT64_MAX);
	rig_turn(&rig);
	assert_int_equal(rig_poll(worker, &answer), -EAGAIN);
	rig_deinit(&rig);
	close(worker);
}

static void a_worker_that_goes_takes_its_dials_along(void **state unused_)
{
	struct silent_server silent;
	struct rig rig;
	uint16_t port = 0;
	int worker, before;

	assert_true(rig_listen_silently(&silent, "127.0.0.2", &port));
	rig_init(&rig);
	rig_turn(&rig);
	before = testing_count_fds();
	worker = rig_worker(&rig, 1000);
	for (uint64_t id = 0; id < LIMIT_DIALS_PER_BADGE + 50; id++)
		rig_dial(worker, id, id % 2 ? "127.0.0.2" : "nobody.invalid", port, AF_UNSPEC,
			 9000);
	rig_turn(&rig);
	assert_true(testing_count_fds() > before + LIMIT_DIALS_PER_BADGE / 2);
	close(worker);
	rig_turn(&rig);
	assert_int_equal(rig_connector(&rig)->dialler_count, 0);
	/* But for the questions, which end by themselves: two sockets of the name server. */
	assert_in_range(testing_count_fds(), before, before + 2);
	rig_deinit(&rig);
	rig_close_silent(&silent);
}

/* Or it could gather channels, and with them what each of them may have. */
static void a_worker_has_one_channel(void **state unused_)
{
	struct pollfd kept = {.events = POLLIN};
	struct rig rig;
	int other, again;

	rig_init(&rig);
	kept.fd = rig_worker_of_pid(&rig, 1000, 77);
	other = rig_worker_of_pid(&rig, 1000, 78); /* the same user's, while the first one drains */
	assert_int_equal(rig_connector(&rig)->dialler_count, 2);
	assert_int_equal(poll(&kept, 1, 0), 0);
	again = rig_worker_of_pid(&rig, 1000, 77);
	assert_int_equal(rig_connector(&rig)->dialler_count, 2);
	assert_true(testing_hangs_up(kept.fd));
	close(kept.fd);
	close(other);
	close(again);
	rig_deinit(&rig);
}

/* Its end of the channel is still open: whoever has it now is not that worker. */
static void a_channel_ends_with_its_worker(void **state unused_)
{
	const struct msg_worker_gone gone = {.pid = 77};
	struct rig rig;
	int kept, other;

	rig_init(&rig);
	kept = rig_worker_of_pid(&rig, 1000, 77);
	other = rig_worker_of_pid(&rig, 1000, 78);
	rig_tell(&rig, MSG_WORKER_GONE, &gone, NULL);
	rig_turn(&rig);
	assert_int_equal(rig_connector(&rig)->dialler_count, 1);
	assert_true(testing_hangs_up(kept));
	rig_tell(&rig, MSG_WORKER_GONE, &gone, NULL); /* it had closed by itself: nothing happens */
	rig_turn(&rig);
	assert_int_equal(rig_connector(&rig)->dialler_count, 1);
	close(kept);
	close(other);
	rig_deinit(&rig);
}

static void the_oldest_waiting_dial_runs_next(void **state unused_)
{
	struct silent_server silent;
	struct answer_to_worker answer;
	struct rig rig;
	struct dialler *dialler;
	uint16_t port = 0, good = 0;
	int worker, server = rig_listen("127.0.0.1", &good, 64);

	assert_true(rig_listen_silently(&silent, "127.0.0.2", &port));
	rig_init(&rig);
	worker = rig_worker(&rig, 1000);
	for (uint64_t id = 0; id < LIMIT_DIALS_PER_BADGE; id++)
		rig_dial(worker, id, "127.0.0.2", port, AF_UNSPEC, 9000);
	for (uint64_t id = 1000; id < 1003; id++)
		rig_dial(worker, id, "127.0.0.1", good, AF_UNSPEC, 9000);
	rig_dial(worker, 1003, "127.0.0.1", good, AF_UNSPEC, 100);
	rig_run_for(&rig, 20);
	dialler = LIST_FIRST(&rig_connector(&rig)->diallers);
	assert_int_equal(dialler->running_count, LIMIT_DIALS_PER_BADGE);
	assert_int_equal(dialler->waiting_count, 4);
	assert_int_equal(rig_poll(worker, &answer), -EAGAIN);
	/* Who waits has a deadline too. */
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_failed(&answer, 1003, TLSB_E_TIMEOUT, "others of this user are being dialled");
	rig_cancel(worker, 17);
	for (uint64_t id = 1000; id < 1003; id++) {
		rig_wait(&rig, worker, 1000, &answer);
		rig_expect_dialed(&answer, id, "127.0.0.1");
	}
	rig_cancel(worker, 18);
	rig_turn(&rig);
	assert_int_equal(dialler->running_count, LIMIT_DIALS_PER_BADGE - 2);
	rig_deinit(&rig);
	close(worker);
	close(server);
	rig_close_silent(&silent);
}

/* Nor can it fill the connector with descriptors by not reading. */
static void a_worker_that_does_not_read_only_delays_itself(void **state unused_)
{
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port = 0;
	int worker, server = rig_listen("127.0.0.1", &port, 4096), before;
	struct dialler *dialler;
	uint64_t count = 1500, seen = 0; /* all of them in the server's queue */

	rig_init(&rig);
	worker = rig_worker(&rig, 1000);
	before = testing_count_fds();
	for (uint64_t id = 0; id < count; id++) {
		rig_dial(worker, id, "127.0.0.1", port, AF_UNSPEC, 20000);
		if (id % 50 == 49)
			rig_turn(&rig);
	}
	rig_run_for(&rig, 300);
	dialler = LIST_FIRST(&rig_connector(&rig)->diallers);
	assert_true(dialler->waiting_count > 0);
	assert_in_range(testing_count_fds() - before, 0, LIMIT_DIALS_PER_BADGE);
	while (seen < count) {
		rig_wait(&rig, worker, 2000, &answer);
		assert_int_equal(answer.type, MSG_DIALED);
		close(answer.fd);
		seen++;
	}
	assert_int_equal(dialler->waiting_count, 0);
	assert_int_equal(dialler->running_count, 0);
	rig_deinit(&rig);
	close(worker);
	close(server);
}

static void a_full_queue_refuses_one_dial_more(void **state unused_)
{
	struct silent_server silent;
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port = 0;
	const uint64_t count = LIMIT_DIALS_PER_BADGE + LIMIT_DIALS_QUEUED;
	int worker;

	assert_true(rig_listen_silently(&silent, "127.0.0.2", &port));
	rig_init(&rig);
	worker = rig_worker(&rig, 1000);
	for (uint64_t id = 0; id < count; id++) {
		rig_dial(worker, id, "127.0.0.2", port, AF_UNSPEC, 25000);
		if (id % 32 == 31)
			rig_turn(&rig);
	}
	rig_turn(&rig);
	assert_int_equal(rig_poll(worker, &answer), -EAGAIN);
	rig_dial(worker, count, "127.0.0.2", port, AF_UNSPEC, 25000);
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_failed(&answer, count, TLSB_E_RESOURCES, "");
	rig_deinit(&rig);
	close(worker);
	rig_close_silent(&silent);
}

/* ---- shortage, end ---- */

static void without_descriptors_only_that_dial_fails(void **state unused_)
{
	struct answer_to_worker answer;
	struct rig rig;
	struct rlimit old, few;
	uint16_t port = 0;
	int worker, server = rig_listen("127.0.0.1", &port, 8), highest;

	rig_init(&rig);
	rig_files(&rig, "127.0.0.1 two\n127.0.0.2 two\n", "");
	worker = rig_worker(&rig, 1000);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	highest = dup(server);
	close(highest);
	few = (struct rlimit){(rlim_t)highest, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	rig_dial(worker, 1, "two", port, AF_UNSPEC, 2000);
	rig_wait(&rig, worker, 1000, &answer);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	rig_expect_failed(&answer, 1, TLSB_E_RESOURCES, "no descriptors left");
	rig_dial(worker, 2, "two", port, AF_UNSPEC, 2000);
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_dialed(&answer, 2, "127.0.0.1");
	rig_deinit(&rig);
	close(worker);
	close(server);
}

static void when_draining_what_runs_goes_on(void **state unused_)
{
	const struct msg_drain body = {.deadline_ms = 5000};
	struct silent_server silent;
	struct answer_to_worker answer;
	struct rig rig;
	uint16_t port = 0;
	int worker;

	assert_true(rig_listen_silently(&silent, "127.0.0.2", &port));
	rig_init(&rig);
	worker = rig_worker(&rig, 1000);
	for (uint64_t id = 0; id < LIMIT_DIALS_PER_BADGE + 2; id++)
		rig_dial(worker, id, "127.0.0.2", port, AF_UNSPEC, id == 0 ? 400 : 9000);
	rig_turn(&rig);
	rig_tell(&rig, MSG_DRAIN, &body, NULL);
	for (uint64_t id = LIMIT_DIALS_PER_BADGE; id < LIMIT_DIALS_PER_BADGE + 2; id++) {
		rig_wait(&rig, worker, 1000, &answer);
		rig_expect_failed(&answer, id, TLSB_E_STOPPING, "shutting down");
	}
	rig_dial(worker, 999, "127.0.0.2", port, AF_UNSPEC, 9000);
	rig_wait(&rig, worker, 200, &answer);
	rig_expect_failed(&answer, 999, TLSB_E_STOPPING, "shutting down");
	rig_wait(&rig, worker, 1000, &answer);
	rig_expect_failed(&answer, 0, TLSB_E_TIMEOUT, "");
	rig_deinit(&rig);
	close(worker);
	rig_close_silent(&silent);
}

static void a_deadline_of_zero_has_passed(void **state unused_)
{
	struct answer_to_worker answer;
	struct rig rig;
	int worker;

	rig_init(&rig);
	rig.mute = true;
	worker = rig_worker(&rig, 1000);
	rig_dial(worker, 1, "nobody.invalid", 443, AF_UNSPEC, 0);
	rig_dial(worker, 2, "nobody.invalid", 443, AF_UNSPEC, UINT32_MAX);
	rig_wait(&rig, worker, 500, &answer);
	rig_expect_failed(&answer, 1, TLSB_E_TIMEOUT, "");
	rig_deinit(&rig);
	close(worker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_literal_is_dialled),
		TEST(a_dialled_socket_is_ready_for_use),
		TEST(ipv6_is_dialled_before_ipv4),
		TEST(a_refused_address_makes_way_for_the_next_at_once),
		TEST(a_silent_address_is_overtaken_after_the_stagger),
		TEST(families_take_turns),
		TEST(the_oldest_of_too_many_attempts_makes_room),
		TEST(a_badge_has_its_share_of_attempts),
		TEST(failures_say_which_address_did_what),
		TEST(a_text_about_many_addresses_is_cut_whole),
		TEST(unusable_hosts_are_refused_without_asking_anybody),
		TEST(localhost_needs_neither_file_nor_server),
		TEST(a_name_that_the_hosts_file_blocks_has_no_address),
		TEST(the_supervisor_is_asked_again_after_two_seconds),
		TEST(a_lookup_waits_for_the_supervisors_answer),
		TEST(dials_without_sense_break_the_channel),
		TEST(a_host_may_have_only_these_bytes),
		TEST(an_id_in_use_breaks_the_channel),
		TEST(cancelling_what_is_not_there_is_nothing),
		TEST(a_worker_that_goes_takes_its_dials_along),
		TEST(a_worker_has_one_channel),
		TEST(a_channel_ends_with_its_worker),
		TEST(the_oldest_waiting_dial_runs_next),
		TEST(a_worker_that_does_not_read_only_delays_itself),
		TEST(a_full_queue_refuses_one_dial_more),
		TEST(without_descriptors_only_that_dial_fails),
		TEST(when_draining_what_runs_goes_on),
		TEST(a_deadline_of_zero_has_passed),
	};

	return testing_run(tests);
}
