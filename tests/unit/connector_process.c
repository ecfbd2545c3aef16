/*
 * The connector as a process of its own in its real sandbox: everything that it does for names and
 * dials goes through the system call filter, which kills it otherwise.
 */
#include "connector_fakedns.h"

#include <sys/wait.h>

static const struct fake_record zone[] = {
	{"two.test", 0, .addresses = "127.0.0.1 ::1", .ttl = 1},
	{"big.test", 0, .addresses = "127.0.0.1 127.0.0.2", .ttl = 60, .truncated = true},
	{.name = "bad.test", .rcode = SERVFAIL},
	{.name = "mute.test", .rcode = SILENCE},
	{0},
};

#ifdef SANDBOX_CAN_BE_OFF
#define MODE SANDBOX_OFF /* a sanitizer makes calls of its own */
#else
#define MODE SANDBOX_ENFORCE
#endif

static void noreturn_ run_connector(int channel)
{
	alarm(TESTING_SECONDS);
	if (channel != SUPERVISOR_FD)
		dup2(channel, SUPERVISOR_FD);
	_exit(child_main(ROLE_CONNECTOR, &connector_ops, MODE));
}

static void expect_ready(int supervisor)
{
	const struct msg_context ctx = {&internal_messages, ROLE_SUPERVISOR, ROLE_CONNECTOR, FRESH};
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;
	int r;

	for (int i = 0; (r = msg_recv(supervisor, &ctx, &buf, &msg, &rule)) == -EAGAIN && i < 60000;
	     i++)
		usleep(1000);
	assert_int_equal(r, 1);
	assert_int_equal(msg.type, MSG_READY);
	if (MODE == SANDBOX_ENFORCE)
		assert_in_range(((const struct msg_ready *)msg.body)->system_calls, 10, 70);
}

/* RIG has the supervisor's part only: its loop is that of the fake name server. */
static pid_t start_connector(struct rig *rig)
{
	const struct msg_start start = {.verbose = 1};
	int pair[2], page;
	pid_t pid;

	*rig = (struct rig){0};
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	pid = fork();
	if (pid == 0)
		run_connector(pair[0]);
	close(pair[0]);
	rig->supervisor = pair[1];
	rig->child.base = event_base_new();
	expect_ready(rig->supervisor);
	assert_int_equal(counters_create(&rig->child.counters, &page), 0);
	rig_tell(rig, MSG_START, &start, &page);
	return pid;
}

static void reaches(struct rig *rig, int worker, const char *host, uint16_t port,
		    const char *address)
{
	struct answer_to_worker answer;

	rig_dial(worker, 1, host, port, AF_UNSPEC, 60000);
	rig_wait(rig, worker, 60000, &answer);
	rig_expect_dialed(&answer, 1, address);
}

static void fails(struct rig *rig, int worker, const char *host, uint16_t port,
		  uint32_t deadline_ms, enum tlsb_error error)
{
	struct answer_to_worker answer;

	rig_dial(worker, 1, host, port, AF_UNSPEC, deadline_ms);
	rig_wait(rig, worker, 60000, &answer);
	rig_expect_failed(&answer, 1, error, "");
}

static char *many_hosts(void)
{
	char *text = malloc(LIMIT_HOSTS_BYTES + 1);
	size_t len = 0;

	while (len < LIMIT_HOSTS_BYTES - 64)
		len += (size_t)sprintf(text + len, "127.0.0.1 host%zu\n", len * 7919 % 1000003);
	return text;
}

static void all_that_a_connector_does_passes_the_filter(void **state unused_)
{
	cleanup_free_ char *hosts = many_hosts();
	struct fakedns dns, other;
	struct rig rig;
	uint16_t port = 0;
	int v4 = rig_listen("127.0.0.1", &port, 64), v6 = rig_listen("::1", &port, 64), worker;
	int status;
	pid_t pid = start_connector(&rig);

	fakedns_start(&dns, &rig, "127.0.0.1", zone);
	fakedns_start(&other, &rig, "::1", zone);
	worker = rig_worker(&rig, 1000);
	reaches(&rig, worker, "127.0.0.1", port, "127.0.0.1");
	reaches(&rig, worker, "[::1]", port, "::1");
	reaches(&rig, worker, "localhost", port, "::1");
	reaches(&rig, worker, "two.test", port, "::1");
	rig_files(&rig, hosts, "nameserver ::1\noptions timeout:1 attempts:1\n");
	reaches(&rig, worker, "host0", port, "127.0.0.1");
	reaches(&rig, worker, "two.test", port, "::1");
	assert_true(other.asked > 0); /* for IPv4, too, unless IPv6 was faster */
	reaches(&rig, worker, "big.test", port, "127.0.0.1");
	assert_true(other.asked_tcp > 0);
	rig_files(&rig, "", "nameserver 127.0.0.1\nnameserver ::1\noptions timeout:1 attempts:1\n");
	fails(&rig, worker, "bad.test", port, 60000, TLSB_E_DNS_SERVER);
	fails(&rig, worker, "mute.test", port, 1500, TLSB_E_TIMEOUT);
	fails(&rig, worker, "none.test", port, 60000, TLSB_E_DNS);
	fails(&rig, worker, "127.0.0.9", port, 60000, TLSB_E_REFUSED);
	fails(&rig, worker, "2001:db8::1", port, 60000, TLSB_E_UNREACHABLE);
	fails(&rig, worker, "0x7f.1", port, 60000, TLSB_E_PARAMETER);
	close(worker);
	worker = rig_worker(&rig, 1001);
	reaches(&rig, worker, "two.test", port, "::1");
	close(worker);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	/* It ends when its supervisor has gone. */
	close(rig.supervisor);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fakedns_stop(&dns);
	fakedns_stop(&other);
	counters_unmap(rig.child.counters);
	event_base_free(rig.child.base);
	close(v4);
	close(v6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_that_a_connector_does_passes_the_filter),
	};

	if (!rig_own_network()) {
		print_message("skipped: no network namespace can be made here\n");
		return 77;
	}
	return testing_run(tests);
}
