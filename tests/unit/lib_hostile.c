/*
 * A worker that was taken over.  Whatever it sends or writes, the program gets an error with a code,
 * and keeps its memory, its descriptors and its time.
 */
#include "lib_rig.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

static void start_asked(struct rig *rig)
{
	rig_start_connect(rig);
	rig_take_session(rig);
	rig_take_connect(rig);
}

static void start(struct rig *rig)
{
	rig_listen(rig);
	rig_open(rig);
}

static void assert_protocol_error(struct rig *rig)
{
	assert_fails(tlsb_handshake(rig->session), EPROTO);
	assert_int_equal(tlsb_error_code(rig->session), TLSB_E_BROKER_PROTOCOL);
	assert_true(strlen(tlsb_error_text(rig->session)) > 0);
	assert_true(is_readable(tlsb_fd(rig->session)));
	/* And it stays so, and does no harm. */
	assert_fails(tlsb_read(rig->session, (char[4]){ 0 }, 4), EPROTO);
	assert_fails(tlsb_write(rig->session, "x", 1), EPROTO);
	assert_fails(tlsb_pending(rig->session), ENOTCONN);
	assert_fails(tlsb_shutdown(rig->session), EPROTO);
	assert_int_equal(tlsb_wait(rig->session, POLLIN | POLLOUT, -1), POLLIN | POLLOUT);
	assert_fails(tlsb_disconnect(rig->session), ENOTCONN);
}

/* ---- the memory that OPENED brings ---- */

static int memfd(size_t len, unsigned seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void assert_opened_refused(struct rig *rig, uint32_t capacity, int fd)
{
	struct msg_opened opened = { .capacity = capacity };

	start_asked(rig);
	rig_send(rig->socket, CLIENT_MSG_OPENED, &opened, NULL, &fd);
	fd_close(fd);
	assert_protocol_error(rig);
	rig_drop_session(rig);
}

static void refuses_memory_that_is_not_sealed(void **state unused_)
{
	const unsigned all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	const size_t len = channel_file_bytes(LIMIT_RING_MIN);
	struct rig rig;

	start(&rig);
	assert_opened_refused(&rig, LIMIT_RING_MIN, memfd(len, 0));
	assert_opened_refused(&rig, LIMIT_RING_MIN, memfd(len, all & ~(unsigned)F_SEAL_SHRINK));
	assert_opened_refused(&rig, LIMIT_RING_MIN, memfd(len, all & ~(unsigned)F_SEAL_GROW));
	assert_opened_refused(&rig, LIMIT_RING_MIN, memfd(len, all & ~(unsigned)F_SEAL_SEAL));
	assert_opened_refused(&rig, LIMIT_RING_MIN, memfd(len, all | F_SEAL_WRITE));
	rig_close(&rig);
}

static void refuses_memory_of_another_size(void **state unused_)
{
	const unsigned seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	const size_t len = channel_file_bytes(LIMIT_RING_MIN);
	static const uint32_t capacities[] = { 0, 1, LIMIT_RING_MIN / 2, LIMIT_RING_MIN - 1,
					       LIMIT_RING_MIN + 1, LIMIT_RING_MIN * 2,
					       LIMIT_RING_MAX * 2, UINT32_MAX };
	struct rig rig;

	start(&rig);
	assert_opened_refused(&rig, LIMIT_RING_MIN, memfd(0, seals));
	assert_opened_refused(&rig, LIMIT_RING_MIN, memfd(len - 1, seals));
	assert_opened_refused(&rig, LIMIT_RING_MIN, memfd(len + 1, seals));
	for (size_t i = 0; i < ARRAY_SIZE(capacities); i++)
		assert_opened_refused(&rig, capacities[i], memfd(len, seals));
	rig_close(&rig);
}

static void refuses_descriptors_of_odd_kinds(void **state unused_)
{
	int pipes[2], pair[2];
	struct rig rig;

	start(&rig);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	assert_opened_refused(&rig, LIMIT_RING_MIN, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	assert_opened_refused(&rig, LIMIT_RING_MIN, open("/", O_PATH | O_CLOEXEC));
	assert_opened_refused(&rig, LIMIT_RING_MIN, open("/dev/null", O_RDWR | O_CLOEXEC));
	assert_opened_refused(&rig, LIMIT_RING_MIN, open("/dev/zero", O_RDWR | O_CLOEXEC));
	assert_opened_refused(&rig, LIMIT_RING_MIN, open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	assert_opened_refused(&rig, LIMIT_RING_MIN, eventfd(0, EFD_CLOEXEC));
	assert_opened_refused(&rig, LIMIT_RING_MIN, pipes[0]);
	assert_opened_refused(&rig, LIMIT_RING_MIN, pipes[1]);
	assert_opened_refused(&rig, LIMIT_RING_MIN, pair[0]);
	fd_close(pair[1]);
	rig_close(&rig);
}

static void refuses_to_be_opened_twice_or_too_early(void **state unused_)
{
	struct msg_opened opened = { .capacity = LIMIT_RING_MIN };
	const char pem[] = "-----BEGIN CERTIFICATE-----";
	char *big = calloc(1, LIMIT_CA_BYTES);
	struct channel other;
	struct rig rig;
	int fd;

	start(&rig);
	rig_connected(&rig);
	assert_int_equal(channel_create(&other, LIMIT_RING_MIN, &fd), 0);
	rig_send(rig.socket, CLIENT_MSG_OPENED, &opened, NULL, &fd);
	tlsb_fd(rig.session); /* for a poller, it is read at the next call */
	assert_fails(tlsb_read(rig.session, (char[1]){ 0 }, 1), EPROTO);
	assert_protocol_error(&rig);
	rig_drop_session(&rig);

	/* While certificates are still on their way. */
	memcpy(big, pem, sizeof(pem));
	rig.config = tlsb_config_new();
	tlsb_config_set_ca(rig.config, big, LIMIT_CA_BYTES);
	free(big);
	rig_start_connect(&rig);
	rig_take_session(&rig);
	rig_send(rig.socket, CLIENT_MSG_OPENED, &opened, NULL, &fd);
	assert_protocol_error(&rig);
	fd_close(fd);
	channel_deinit(&other);
	rig_close(&rig);
}

/* ---- messages ---- */

static void send_raw(int fd, uint32_t type, size_t len, int with_fd)
{
	uint32_t words[64] = { type };
	struct iovec iov = { words, len };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (with_fd >= 0) {
		struct cmsghdr *c = &control.align;

		mh.msg_control = control.bytes;
		mh.msg_controllen = sizeof(control.bytes);
		*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
				       .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(c), &with_fd, sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT), (ssize_t)len);
}

static void refuses_every_message_that_is_not_the_workers_to_send(void **state unused_)
{
	const uint32_t mine = 1u << ROLE_WORKER;
	struct rig rig;

	start(&rig);
	for (uint32_t type = 0; type < CLIENT_MSG_COUNT + 2; type++) {
		const struct msg_info *info = &client_messages.rows[type];

		if (type < CLIENT_MSG_COUNT && (info->from & mine) && (info->phases & SESSION))
			continue;
		for (int step = 0; step < 2; step++) {
			if (step == 0)
				start_asked(&rig);
			else
				rig_connected(&rig);
			send_raw(rig.socket, type, 8 + (type < CLIENT_MSG_COUNT ? info->body : 8), -1);
			tlsb_fd(rig.session);
			assert_protocol_error(&rig);
			rig_drop_session(&rig);
		}
	}
	rig_close(&rig);
}

static void refuses_messages_of_a_wrong_shape(void **state unused_)
{
	static const struct {
		uint32_t type;
		size_t len;
		int with_fd;
	} rows[] = {
		{ CLIENT_MSG_BELL, 1, 0 },    { CLIENT_MSG_BELL, 7, 0 },  { CLIENT_MSG_BELL, 8, 0 },
		{ CLIENT_MSG_BELL, 15, 0 },   { CLIENT_MSG_BELL, 17, 0 }, { CLIENT_MSG_BELL, 16, 1 },
		{ CLIENT_MSG_OPENED, 16, 0 }, { CLIENT_MSG_OPENED, 24, 1 }, { CLIENT_MSG_REFUSED, 8, 0 },
		{ CLIENT_MSG_REFUSED, 16, 1 },
	};
	struct rig rig;

	start(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start_asked(&rig);
		send_raw(rig.socket, rows[i].type, rows[i].len, rows[i].with_fd ? rig.listener : -1);
		assert_protocol_error(&rig);
		rig_drop_session(&rig);
	}
	rig_close(&rig);
}

static void stands_a_flood_of_bells(void **state unused_)
{
	struct rig rig;
	int calls = 0;

	start(&rig);
	rig_established(&rig);
	for (int i = 0; i < 2000; i++)
		rig_bell(&rig);
	/* Readable too often, each time for one call; and then no more. */
	while (is_readable(tlsb_fd(rig.session)) && calls++ < 2000)
		assert_fails(tlsb_read(rig.session, (char[1]){ 0 }, 1), EWOULDBLOCK);
	assert_false(is_readable(tlsb_fd(rig.session)));
	rig_close(&rig);
}

/* ---- the control page ---- */

static void refuses_states_that_do_not_exist(void **state unused_)
{
	static const uint32_t states[] = { STATE_ESTABLISHED + 1, 77, INT32_MAX, 0x80000000u,
					   UINT32_MAX };
	struct rig rig;

	start(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		rig_connecting(&rig);
		rig_set(&rig.channel.page->state, states[i]);
		assert_protocol_error(&rig);
		rig_drop_session(&rig);
	}
	rig_close(&rig);
}

static void survives_a_state_that_goes_back(void **state unused_)
{
	struct rig rig;

	start(&rig);
	rig_established(&rig);
	rig_set(&rig.channel.page->state, STATE_OPENING);
	assert_fails(tlsb_write(rig.session, "x", 1), EWOULDBLOCK);
	assert_fails(tlsb_connect(rig.session, NULL, NULL), EISCONN);
	rig_close(&rig);
}

static void refuses_impossible_ring_indices(void **state unused_)
{
	static const uint32_t off[] = { LIMIT_RING_MIN + 1, 2 * LIMIT_RING_MIN, INT32_MAX,
					0x80000000u, UINT32_MAX };
	struct rig rig;

	start(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		rig_established(&rig);
		rig_set(&rig.channel.page->rx.head.value, off[i]);
		assert_fails(tlsb_pending(rig.session), EPROTO);
		assert_int_equal(tlsb_wait(rig.session, POLLIN, -1), POLLIN);
		assert_fails(tlsb_read(rig.session, (char[1]){ 0 }, 1), EPROTO);
		assert_protocol_error(&rig);
		rig_drop_session(&rig);

		rig_established(&rig);
		rig_set(&rig.channel.page->tx.tail.value, 0u - off[i]);
		assert_int_equal(tlsb_wait(rig.session, POLLOUT, -1), POLLOUT);
		assert_fails(tlsb_write(rig.session, "x", 1), EPROTO);
		assert_protocol_error(&rig);
		rig_drop_session(&rig);
	}
	rig_close(&rig);
}

/* The library's own indices are private: what the page says of them does not matter. */
static void does_not_believe_the_page_about_itself(void **state unused_)
{
	struct rig rig;
	char data[4];

	start(&rig);
	rig_established(&rig);
	rig_set(&rig.channel.page->rx.tail.value, 0xdeadbeef);
	rig_set(&rig.channel.page->tx.head.value, 0xdeadbeef);
	rig_set(&rig.channel.page->rx.head.value, 3);
	memcpy(rig.channel.rx.bytes, "abc", 3);
	assert_int_equal(tlsb_read(rig.session, data, sizeof(data)), 3);
	assert_memory_equal(data, "abc", 3);
	assert_int_equal(tlsb_write(rig.session, "def", 3), 3);
	assert_int_equal(atomic_load(&rig.channel.page->tx.head.value), 3);
	assert_memory_equal(rig.channel.tx.bytes, "def", 3);
	rig_close(&rig);
}

static void reads_holes_as_zeros(void **state unused_)
{
	char data[4] = "xxxx";
	struct rig rig;

	start(&rig);
	rig_established(&rig);
	rig_produce(&rig, "abcd", 4);
	assert_int_equal(madvise(rig.channel.rx.bytes, LIMIT_RING_MIN, MADV_REMOVE), 0);
	assert_int_equal(tlsb_read(rig.session, data, sizeof(data)), 4);
	assert_memory_equal(data, "\0\0\0\0", 4);
	rig_close(&rig);
}

static void turns_unknown_errors_into_a_protocol_error(void **state unused_)
{
	static const uint32_t codes[] = { 9, 19, 27, 39, 47, 79, 1000, INT32_MAX, UINT32_MAX };
	struct rig rig;

	start(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		rig_connecting(&rig);
		rig_end(&rig, codes[i], "trust me");
		assert_protocol_error(&rig);
		rig_drop_session(&rig);

		start_asked(&rig);
		rig_refuse(rig.socket, codes[i], "trust me");
		assert_protocol_error(&rig);
		rig_drop_session(&rig);
	}
	assert_int_equal(tlsb_error_is_fatal(12345), 1);
	assert_int_equal(tlsb_error_is_fatal(-1), 1);
	rig_close(&rig);
}

static void refuses_an_end_without_a_reason(void **state unused_)
{
	struct rig rig;

	start(&rig);
	for (int reached = STATE_OPENING; reached <= STATE_ESTABLISHED; reached++) {
		rig_connecting(&rig);
		rig_state(&rig, (enum session_state)reached);
		rig_end(&rig, TLSB_E_NONE, "");
		/* A stream that was cut is never reported as a clean end. */
		assert_fails(tlsb_read(rig.session, (char[1]){ 0 }, 1), EPROTO);
		assert_int_equal(tlsb_error_code(rig.session), TLSB_E_BROKER_PROTOCOL);
		rig_drop_session(&rig);
	}
	rig_close(&rig);
}

static void makes_texts_end_and_printable(void **state unused_)
{
	struct control_page *page;
	struct tlsb_info info;
	struct rig rig;

	start(&rig);
	rig_established(&rig);
	page = rig.channel.page;
	memset(&page->info, 0x1b, sizeof(page->info));
	memset(page->info.chain, '\n', sizeof(page->info.chain));
	memset(page->text, 'x', sizeof(page->text));
	memcpy(page->text, "\x1b[2J\n\xff", 6);
	assert_int_equal(tlsb_info(rig.session, &info, sizeof(info)), 0);
	assert_int_equal(strlen(info.cipher), sizeof(info.cipher) - 1);
	assert_int_equal(strlen(info.group), sizeof(info.group) - 1);
	assert_int_equal(strlen(info.alpn), sizeof(info.alpn) - 1);
	assert_int_equal(strlen(info.address), sizeof(info.address) - 1);
	assert_int_equal(strlen(info.subject), sizeof(info.subject) - 1);
	assert_int_equal(strlen(info.chain), sizeof(info.chain) - 1);
	assert_int_equal(info.subject[0], '?');
	assert_int_equal(info.chain[0], '\n');
	assert_int_equal(info.step_count, TLSB_INFO_STEPS);
	rig_set(&page->error, TLSB_E_TLS);
	rig_set(&page->ended, 1);
	assert_fails(tlsb_read(rig.session, (char[1]){ 0 }, 1), EPROTO);
	assert_int_equal(strlen(tlsb_error_text(rig.session)), LIMIT_TEXT);
	assert_memory_equal(tlsb_error_text(rig.session), "?[2J??xx", 8);
	rig_drop_session(&rig);

	start_asked(&rig);
	rig_refuse(rig.socket, TLSB_E_DNS, "no\n\x1b" "c\\x41");
	assert_fails(tlsb_connect(rig.session, NULL, NULL), ENOENT);
	assert_string_equal(tlsb_error_text(rig.session), "no??c\\x41");
	rig_close(&rig);
}

/* The first reason stays, whatever the worker writes later. */
static void does_not_change_its_mind_about_an_end(void **state unused_)
{
	struct rig rig;

	start(&rig);
	rig_established(&rig);
	rig_end(&rig, TLSB_E_RESET, "first");
	assert_fails(tlsb_read(rig.session, (char[1]){ 0 }, 1), ECONNRESET);
	rig_end(&rig, TLSB_E_CERT, "second");
	assert_fails(tlsb_read(rig.session, (char[1]){ 0 }, 1), ECONNRESET);
	assert_int_equal(tlsb_error_code(rig.session), TLSB_E_RESET);
	assert_string_equal(tlsb_error_text(rig.session), "first");
	rig_close(&rig);
}

/* Words at random, thousands of times: no crash, no hang, no byte outside the program's buffers. */
static void survives_any_page(void **state unused_)
{
	uint64_t seed = 20261121;
	struct rig rig;

	start(&rig);
	for (int i = 0; i < 3000; i++) {
		struct {
			uint8_t before[8], data[64], after[8];
		} guarded;
		uint64_t r = testing_random(&seed);

		memset(&guarded, 0x77, sizeof(guarded));
		rig_connecting(&rig);
		if (r & 1)
			tlsb_fd(rig.session);
		for (int j = 0; j < 12; j++) {
			_Atomic uint32_t *words = (void *)rig.channel.page;
			uint64_t w = testing_random(&seed);
			uint32_t value = (uint32_t)(w >> 32);

			/* Small values are the interesting ones. */
			rig_set(&words[w % 112], value >> (value & 31));
			(void)tlsb_connect(rig.session, NULL, NULL);
			(void)tlsb_read(rig.session, guarded.data, sizeof(guarded.data));
			(void)tlsb_write(rig.session, guarded.data, sizeof(guarded.data));
			(void)tlsb_wait(rig.session, POLLIN | POLLOUT, 0);
			(void)tlsb_pending(rig.session);
			if (w & 0x100)
				(void)tlsb_shutdown(rig.session);
		}
		for (size_t j = 0; j < sizeof(guarded.before); j++) {
			assert_int_equal(guarded.before[j], 0x77);
			assert_int_equal(guarded.after[j], 0x77);
		}
		rig_drop_session(&rig);
	}
	rig_close(&rig);
}

/* ---- the program's own limits ---- */

static void says_when_the_program_has_no_descriptors(void **state unused_)
{
	struct rlimit old, low;
	struct rig rig;

	start(&rig);
	rig_start_connect(&rig);
	rig_take_session(&rig);
	rig_take_connect(&rig);
	rig_send_opened(&rig);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){ .rlim_cur = 3, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_null(tlsb_session_new(rig.tlsb, NULL));
	assert_int_equal(errno, EMFILE);
	assert_null(tlsb_open(rig.path));
	assert_int_equal(errno, EMFILE);
	assert_fails(tlsb_broker_fd(rig.tlsb), EMFILE);
	assert_fails(tlsb_connect(rig.session, NULL, NULL), EMFILE);
	assert_int_equal(tlsb_error_code(rig.session), TLSB_E_RESOURCES);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refuses_memory_that_is_not_sealed),
		TEST(refuses_memory_of_another_size),
		TEST(refuses_descriptors_of_odd_kinds),
		TEST(refuses_to_be_opened_twice_or_too_early),
		TEST(refuses_every_message_that_is_not_the_workers_to_send),
		TEST(refuses_messages_of_a_wrong_shape),
		TEST(stands_a_flood_of_bells),
		TEST(refuses_states_that_do_not_exist),
		TEST(survives_a_state_that_goes_back),
		TEST(refuses_impossible_ring_indices),
		TEST(does_not_believe_the_page_about_itself),
		TEST(reads_holes_as_zeros),
		TEST(turns_unknown_errors_into_a_protocol_error),
		TEST(refuses_an_end_without_a_reason),
		TEST(makes_texts_end_and_printable),
		TEST(does_not_change_its_mind_about_an_end),
		TEST(survives_any_page),
		TEST(says_when_the_program_has_no_descriptors),
	};

	return testing_run(tests);
}
