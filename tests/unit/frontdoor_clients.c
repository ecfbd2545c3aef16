/*
 * The frontdoor: a client's way from the socket to its worker, and what may happen to the worker
 * meanwhile.
 */
#include "frontdoor_rig.h"

static void hands_a_client_to_its_worker_unread(void **state unused_)
{
	const char hello[] = "hello, whatever it means";
	struct msg_client client;
	char read[64];
	int program, worker, passed;
	struct rig rig;

	rig_init(&rig);
	program = rig_connect(&rig);
	assert_int_equal(send(program, hello, sizeof(hello), 0), sizeof(hello));
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	worker = rig_give_worker(&rig, getuid());
	passed = rig_take_client(worker, &client);
	assert_true(passed >= 0);
	assert_int_equal(client.uid, getuid());
	assert_int_equal(client.gid, getegid());
	assert_int_equal(client.pid, getpid());
	assert_int_equal(recv(passed, read, sizeof(read), 0), sizeof(hello));
	assert_memory_equal(read, hello, sizeof(hello));
	rig_expect_silence(program);
	assert_int_equal(rig_count(&rig, COUNTER_clients), 1);
	assert_int_equal(rig_count(&rig, COUNTER_clients_accepted), 1);
	rig_client_gone(&rig, worker, client.id);
	assert_int_equal(rig_count(&rig, COUNTER_clients), 0);
	close(passed);
	close(worker);
	close(program);
	rig_deinit(&rig);
}

static void asks_for_one_worker_and_keeps_the_order(void **state unused_)
{
	int programs[100], worker;
	uint64_t last = 0;
	struct rig rig;

	rig_init(&rig);
	for (int i = 0; i < 100; i++) {
		programs[i] = rig_connect(&rig);
		assert_int_equal(send(programs[i], &i, sizeof(i), 0), sizeof(i));
	}
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	rig_expect_nothing(&rig);
	worker = rig_give_worker(&rig, getuid());
	for (int i = 0; i < 100; i++) {
		struct msg_client client;
		int passed = rig_take_client(worker, &client), number;

		assert_int_equal(recv(passed, &number, sizeof(number), 0), sizeof(number));
		assert_int_equal(number, i);
		assert_true(client.id > last);
		last = client.id;
		close(passed);
		close(programs[i]);
	}
	assert_int_equal(rig_count(&rig, COUNTER_clients), 100);
	rig_expect_nothing(&rig);
	close(worker);
	rig_deinit(&rig);
}

static void gives_each_user_a_worker_of_its_own(void **state unused_)
{
	struct msg_client client;
	int programs[3], workers[3];
	struct rig rig;

	if (getuid() != 0)
		skip();
	rig_init(&rig);
	for (uint32_t i = 0; i < 3; i++) {
		programs[i] = rig_connect_as(&rig, 70000 + i);
		rig_turn(&rig);
		rig_expect(&rig, MSG_WORKER_WANTED, 70000 + i);
	}
	for (uint32_t i = 3; i-- > 0;)
		workers[i] = rig_give_worker(&rig, 70000 + i);
	for (uint32_t i = 0; i < 3; i++) {
		int passed = rig_take_client(workers[i], &client);

		assert_true(passed >= 0);
		assert_int_equal(client.uid, 70000 + i);
		assert_int_equal(rig_take_client(workers[i], &client), -1);
		close(passed);
		close(programs[i]);
		close(workers[i]);
	}
	rig_deinit(&rig);
}

/* Who waits is not lost with a worker that dies before it gets there. */
static void asks_again_when_a_worker_dies_before_its_clients_reach_it(void **state unused_)
{
	struct rig rig;
	int program, worker;

	rig_init(&rig);
	program = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	worker = rig_give_worker(&rig, getuid());
	close(worker); /* with the client's socket in its queue: that client is gone */
	rig_turn(&rig);
	assert_int_equal(rig_count(&rig, COUNTER_clients), 0);
	assert_int_equal(recv(program, &worker, sizeof(worker), 0), 0);
	close(program);
	rig_expect_nothing(&rig);

	program = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	worker = rig_give_worker(&rig, getuid());
	rig_take_id(worker);
	assert_int_equal(rig_count(&rig, COUNTER_clients), 1);
	close(program);
	close(worker);
	rig_deinit(&rig);
}

static void replaces_a_worker_when_the_supervisor_says_so(void **state unused_)
{
	struct rig rig;
	int program, old, new;

	rig_init(&rig);
	program = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	old = rig_give_worker(&rig, getuid());
	rig_take_id(old);
	new = rig_give_worker(&rig, getuid());
	assert_int_equal(rig_count(&rig, COUNTER_clients), 0);
	close(program);
	program = rig_connect(&rig);
	rig_turn(&rig);
	rig_take_id(new);
	assert_int_equal(recv(old, &program, sizeof(program), 0), 0);
	rig_expect_nothing(&rig);
	close(program);
	close(old);
	close(new);
	rig_deinit(&rig);
}

static void tells_clients_why_there_is_no_worker(void **state unused_)
{
	const struct msg_worker_none none = { .uid = getuid(), .error = TLSB_E_POLICY };
	struct rig rig;
	int programs[3];

	rig_init(&rig);
	for (int i = 0; i < 3; i++)
		programs[i] = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	rig_tell(&rig, MSG_WORKER_NONE, &none, -1);
	for (int i = 0; i < 3; i++)
		rig_expect_refused(programs[i], TLSB_E_POLICY, "policy");
	rig_tell(&rig, MSG_WORKER_NONE, &none, -1); /* nobody asked: nothing happens */
	assert_int_equal(rig_count(&rig, COUNTER_clients_refused), 3);
	programs[0] = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	close(programs[0]);
	rig_deinit(&rig);
}

/* A program says hello before it knows; that must not turn our word into a reset. */
static void says_why_to_one_who_has_spoken_already(void **state unused_)
{
	const struct msg_worker_none none = { .uid = getuid(), .error = TLSB_E_QUOTA };
	const struct msg_hello hello = { PROTOCOL_MAGIC, PROTOCOL_VERSION };
	const struct msg_session session = { 0 };
	struct rig rig;
	int program, pair[2];

	rig_init(&rig);
	program = rig_connect(&rig);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	assert_int_equal(msg_send(program, &client_messages, CLIENT_MSG_HELLO, &hello, NULL, 0,
				  NULL),
			 0);
	assert_int_equal(msg_send(program, &client_messages, CLIENT_MSG_SESSION, &session, NULL, 0,
				  &pair[0]),
			 0);
	close(pair[0]);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	rig_tell(&rig, MSG_WORKER_NONE, &none, -1);
	rig_expect_refused(program, TLSB_E_QUOTA, "limit");
	assert_int_equal(recv(pair[1], &program, 1, 0), 0); /* what it passed is closed too */
	close(pair[1]);
	rig_deinit(&rig);
}

/* Each of these is a worker that lies; it loses its channel, and the supervisor is told. */
static void expect_cut_off(uint32_t type, const void *body, int times)
{
	struct rig rig;
	int program, worker;

	rig_init(&rig);
	program = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	worker = rig_give_worker(&rig, getuid());
	rig_take_id(worker);
	for (int i = 0; i < times; i++)
		rig_say(&rig, worker, type, body);
	rig_expect(&rig, MSG_WORKER_RETIRE, getuid());
	rig_expect_nothing(&rig);
	assert_int_equal(recv(worker, &times, sizeof(times), 0), 0);
	assert_int_equal(rig_count(&rig, COUNTER_clients), 0);
	close(program);
	close(worker);
	rig_deinit(&rig);
}

static void cuts_off_a_worker_that_lies(void **state unused_)
{
	const struct msg_client_gone unknown = { .id = 42 };
	const struct msg_clients many = { .count = LIMIT_CLIENTS_PER_UID + 1 };
	const struct msg_clients few = { .count = 1 };
	const struct msg_clients reserved = { .reserved = 1 };

	expect_cut_off(MSG_CLIENT_GONE, &unknown, 1);
	expect_cut_off(MSG_CLIENTS, &many, 1);
	expect_cut_off(MSG_CLIENTS, &few, 2);
	expect_cut_off(MSG_CLIENTS, &reserved, 1);
}

/* One that was cut off while others wait: those are for the next one. */
static void asks_for_another_worker_in_place_of_a_liar(void **state unused_)
{
	const struct msg_client_gone unknown = { .id = 42 };
	struct rig rig;
	int program, worker;

	rig_init(&rig);
	worker = rig_give_worker(&rig, getuid());
	program = rig_connect(&rig);
	assert_int_equal(msg_send(worker, &internal_messages, MSG_CLIENT_GONE, &unknown, NULL, 0,
				  NULL),
			 0);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_RETIRE, getuid());
	close(worker);
	close(program);
	program = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	worker = rig_give_worker(&rig, getuid());
	rig_take_id(worker);
	close(worker);
	close(program);
	rig_deinit(&rig);
}

/* Its end of the channel is still open: whoever has it now gets no clients. */
static void a_channel_ends_with_its_worker(void **state unused_)
{
	const struct msg_worker_gone gone = { .uid = getuid() };
	const struct msg_worker_gone other = { .uid = getuid(), .pid = 1 };
	const struct msg_worker_gone unknown = { .uid = getuid() + 1 };
	struct rig rig;
	int program, worker;

	rig_init(&rig);
	worker = rig_give_worker(&rig, getuid());
	rig_tell(&rig, MSG_WORKER_GONE, &other, -1);
	rig_tell(&rig, MSG_WORKER_GONE, &unknown, -1);
	program = rig_connect(&rig);
	rig_turn(&rig);
	rig_take_id(worker);
	rig_tell(&rig, MSG_WORKER_GONE, &gone, -1);
	assert_int_equal(rig_count(&rig, COUNTER_clients), 0);
	close(program);
	program = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	rig_tell(&rig, MSG_WORKER_GONE, &gone, -1); /* there is no worker: nothing happens */
	close(worker);
	close(program);
	rig_deinit(&rig);
}

/* After a restart the frontdoor does not know its worker's clients; the worker says how many. */
static void counts_what_a_worker_had_before_the_frontdoor_was_there(void **state unused_)
{
	const struct msg_clients clients = { .count = LIMIT_CLIENTS_PER_UID - 1 };
	char limit[16];
	int worker, programs[2];
	struct rig rig;

	rig_init(&rig);
	worker = rig_give_worker(&rig, getuid());
	rig_say(&rig, worker, MSG_CLIENTS, &clients);
	assert_int_equal(rig_count(&rig, COUNTER_clients), LIMIT_CLIENTS_PER_UID - 1);
	programs[0] = rig_connect(&rig);
	programs[1] = rig_connect(&rig);
	rig_turn(&rig);
	snprintf(limit, sizeof(limit), " %d ", LIMIT_CLIENTS_PER_UID);
	rig_expect_refused(programs[1], TLSB_E_QUOTA, limit);
	close(programs[0]);
	rig_client_gone(&rig, worker, 7); /* one of the earlier frontdoor */
	programs[0] = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect_silence(programs[0]);
	assert_int_equal(rig_count(&rig, COUNTER_clients), LIMIT_CLIENTS_PER_UID);
	close(programs[0]);
	close(worker);
	rig_deinit(&rig);
}

static void expect_nobody_listens(struct rig *rig, int fd)
{
	assert_int_equal(connect(fd, (struct sockaddr *)&rig->address, sizeof(rig->address)), -1);
	assert_int_equal(errno, ECONNREFUSED);
}

static void stops_accepting_and_says_so_when_told_to_drain(void **state unused_)
{
	const struct msg_drain drain = { .deadline_ms = 1000 };
	const struct msg_listen again = { 0 };
	struct rig rig;
	int waiting, program, worker;

	rig_init(&rig);
	program = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	worker = rig_give_worker(&rig, getuid());
	rig_take_id(worker);
	close(program);
	close(worker);
	rig_turn(&rig);
	waiting = rig_connect(&rig);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	rig_tell(&rig, MSG_DRAIN, &drain, -1);
	rig_expect_refused(waiting, TLSB_E_STOPPING, "shutting down");
	program = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	expect_nobody_listens(&rig, program);
	rig_tell(&rig, MSG_LISTEN, &again, rig_listening_socket(&rig));
	expect_nobody_listens(&rig, program);
	close(program);
	rig_deinit(&rig);
}

/* The name a peer bound its socket to says nothing of who it is. */
static void ignores_the_name_of_a_peers_socket(void **state unused_)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0pretends to be root" };
	struct msg_client client;
	struct rig rig;
	int program, worker;

	rig_init(&rig);
	program = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(program, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(connect(program, (struct sockaddr *)&rig.address, sizeof(rig.address)), 0);
	rig_turn(&rig);
	rig_expect(&rig, MSG_WORKER_WANTED, getuid());
	worker = rig_give_worker(&rig, getuid());
	close(rig_take_client(worker, &client));
	assert_int_equal(client.uid, getuid());
	close(program);
	close(worker);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hands_a_client_to_its_worker_unread),
		TEST(asks_for_one_worker_and_keeps_the_order),
		TEST(gives_each_user_a_worker_of_its_own),
		TEST(asks_again_when_a_worker_dies_before_its_clients_reach_it),
		TEST(replaces_a_worker_when_the_supervisor_says_so),
		TEST(tells_clients_why_there_is_no_worker),
		TEST(says_why_to_one_who_has_spoken_already),
		TEST(cuts_off_a_worker_that_lies),
		TEST(asks_for_another_worker_in_place_of_a_liar),
		TEST(a_channel_ends_with_its_worker),
		TEST(counts_what_a_worker_had_before_the_frontdoor_was_there),
		TEST(stops_accepting_and_says_so_when_told_to_drain),
		TEST(ignores_the_name_of_a_peers_socket),
	};

	return testing_run(tests);
}
