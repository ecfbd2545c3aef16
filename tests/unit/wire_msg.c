/*
 * One message: what is checked, in which order, and that no descriptor is left behind.
 */
#include "testing.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "wire/errors.h"
#include "wire/msg.h"

/* Send LEN bytes with COUNT descriptors (all of them standard input), whatever a table says. */
static void send_raw(int fd, const void *bytes, size_t len, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 253)];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > 0) {
		struct cmsghdr *c = &control.align;

		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * count);
		for (size_t i = 0; i < count; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &(int){ STDIN_FILENO }, sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL), (ssize_t)len);
}

/* Where messages for a worker come from the supervisor. */
struct wire {
	int far, near;
	struct msg_context ctx;
	union msg_buffer buf;
	struct msg msg;
	enum msg_rule rule;
};

static void wire_init(struct wire *wire)
{
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	*wire = (struct wire){
		.far = pair[0],
		.near = pair[1],
		.ctx = { &internal_messages, ROLE_WORKER, ROLE_SUPERVISOR, RUN },
	};
}

static void wire_deinit(struct wire *wire)
{
	close(wire->far);
	close(wire->near);
}

static int receive(struct wire *wire)
{
	wire->rule = RULE_NONE;
	return msg_recv(wire->near, &wire->ctx, &wire->buf, &wire->msg, &wire->rule);
}

static void expect_rule(struct wire *wire, enum msg_rule rule)
{
	assert_int_equal(receive(wire), -EBADMSG);
	assert_string_equal(msg_rule_name(wire->rule), msg_rule_name(rule));
}

/* Everything is wrong with it at first; each step mends the rule that was reported. */
static void checks_its_rules_in_order(void **state unused_)
{
	struct {
		struct msg_header header;
		struct msg_badge body;
		char tail[LIMIT_BADGE + 1];
	} packet = { .header = { MSG_COUNT, 1 }, .body = { 7, 0x100 } };
	struct msg_context ctx = { &internal_messages, ROLE_FRONTDOOR, ROLE_CONNECTOR, FRESH };
	size_t len = sizeof(packet.header) - 1, nfds = 4;
	struct msg msg;

	assert_int_equal(msg_check(&ctx, &packet, len, nfds, &msg), RULE_HEADER);
	len = sizeof(packet.header) + sizeof(packet.body) - 1;
	assert_int_equal(msg_check(&ctx, &packet, len, nfds, &msg), RULE_HEADER);
	packet.header.reserved = 0;
	assert_int_equal(msg_check(&ctx, &packet, len, nfds, &msg), RULE_TYPE);
	packet.header.type = MSG_BADGE;
	assert_int_equal(msg_check(&ctx, &packet, len, nfds, &msg), RULE_SENDER);
	ctx.peer = ROLE_SUPERVISOR;
	assert_int_equal(msg_check(&ctx, &packet, len, nfds, &msg), RULE_RECEIVER);
	ctx.self = ROLE_WORKER;
	assert_int_equal(msg_check(&ctx, &packet, len, nfds, &msg), RULE_SIZE);
	len = sizeof(packet);
	assert_int_equal(msg_check(&ctx, &packet, len, nfds, &msg), RULE_TAIL);
	len--;
	assert_int_equal(msg_check(&ctx, &packet, len, nfds, &msg), RULE_FDS);
	nfds = 3;
	assert_int_equal(msg_check(&ctx, &packet, len, nfds, &msg), RULE_PHASE);
	ctx.phase = RUN;
	assert_int_equal(msg_check(&ctx, &packet, len, nfds, &msg), RULE_NONE);
	assert_int_equal(msg.type, MSG_BADGE);
	assert_int_equal(((const struct msg_badge *)msg.body)->uid, 7);
	assert_ptr_equal(msg.tail, packet.tail);
	assert_int_equal(msg.tail_len, LIMIT_BADGE);
	assert_int_equal(msg.fds[0], -1);
	assert_int_equal(msg.fds[1], -1);
}

/* Behind all others: what a later version puts there must not be taken for something else now. */
static void checks_reserved_bytes_last(void **state unused_)
{
	struct {
		struct msg_header header;
		struct msg_drain body;
	} packet = { .header = { MSG_DRAIN, 0 }, .body = { 7, 0x100 } };
	struct msg_context ctx = { &internal_messages, ROLE_WORKER, ROLE_SUPERVISOR, FRESH };
	struct msg msg;

	assert_int_equal(msg_check(&ctx, &packet, sizeof(packet), 0, &msg), RULE_PHASE);
	ctx.phase = RUN;
	assert_int_equal(msg_check(&ctx, &packet, sizeof(packet), 0, &msg), RULE_RESERVED);
	packet.body.reserved = 0;
	assert_int_equal(msg_check(&ctx, &packet, sizeof(packet), 0, &msg), RULE_NONE);
}

static void has_a_name_for_every_rule(void **state unused_)
{
	for (enum msg_rule rule = 0; rule < RULE_COUNT; rule++)
		assert_non_null(msg_rule_name(rule));
}

static void delivers_body_tail_and_descriptors(void **state unused_)
{
	const struct msg_badge badge = { .uid = 1000 };
	const int fds[3] = { STDIN_FILENO, STDERR_FILENO, STDIN_FILENO };
	struct wire wire;
	int taken;

	wire_init(&wire);
	assert_int_equal(msg_send(wire.far, &internal_messages, MSG_BADGE, &badge, "uid-1000", 8,
				  fds),
			 0);
	assert_int_equal(receive(&wire), 1);
	assert_int_equal(wire.msg.type, MSG_BADGE);
	assert_memory_equal(wire.msg.body, &badge, sizeof(badge));
	assert_int_equal(wire.msg.tail_len, 8);
	assert_memory_equal(wire.msg.tail, "uid-1000", 8);
	taken = msg_take_fd(&wire.msg, 1);
	assert_true(taken >= 0);
	assert_int_equal(wire.msg.fds[1], -1);
	msg_close_fds(&wire.msg);
	assert_int_equal(wire.msg.fds[0], -1);
	assert_int_equal(wire.msg.fds[2], -1);
	close(taken);
	assert_int_equal(receive(&wire), -EAGAIN);
	wire_deinit(&wire);
}

static void tells_the_end_from_silence(void **state unused_)
{
	struct wire wire;

	wire_init(&wire);
	assert_int_equal(receive(&wire), -EAGAIN);
	close(wire.far);
	assert_int_equal(receive(&wire), 0);
	wire.far = -1;
	close(wire.near);
}

/* It cannot be told from the end, and has the same consequence. */
static void takes_an_empty_message_for_the_end(void **state unused_)
{
	struct wire wire;

	wire_init(&wire);
	send_raw(wire.far, "", 0, 0);
	assert_int_equal(receive(&wire), 0);
	send_raw(wire.far, "", 0, 2);
	expect_rule(&wire, RULE_HEADER);
	wire_deinit(&wire);
}

static void refuses_messages_longer_than_any(void **state unused_)
{
	static uint8_t bytes[LIMIT_MESSAGE + 100];
	const struct msg_header header = { .type = MSG_BADGE };
	struct wire wire;

	wire_init(&wire);
	memcpy(bytes, &header, sizeof(header));
	send_raw(wire.far, bytes, LIMIT_MESSAGE, 3);
	expect_rule(&wire, RULE_TAIL);
	send_raw(wire.far, bytes, LIMIT_MESSAGE + 1, 3);
	expect_rule(&wire, RULE_HEADER);
	send_raw(wire.far, bytes, LIMIT_MESSAGE + 2, 3); /* MSG_TRUNC */
	expect_rule(&wire, RULE_HEADER);
	wire_deinit(&wire);
}

static void closes_whatever_number_of_descriptors(void **state unused_)
{
	struct {
		struct msg_header header;
		struct msg_badge body;
	} packet = { .header = { .type = MSG_BADGE } };
	const int before = testing_count_fds();
	struct wire wire;

	wire_init(&wire);
	for (size_t count = 0; count <= 253; count++) {
		send_raw(wire.far, &packet, sizeof(packet), count);
		if (count == 3) {
			assert_int_equal(receive(&wire), 1);
			msg_close_fds(&wire.msg);
		} else {
			expect_rule(&wire, RULE_FDS);
		}
		assert_int_equal(testing_count_fds(), before + 2);
	}
	wire_deinit(&wire);
}

/* When we have no slot left, the kernel keeps some back: the message comes without any, and says so. */
static void tells_of_descriptors_that_it_has_no_room_for(void **state unused_)
{
	const struct msg_badge badge = { .uid = 1 };
	const int fds[3] = { STDIN_FILENO, STDIN_FILENO, STDIN_FILENO };
	struct rlimit old, low;
	struct wire wire;
	int lowest;

	wire_init(&wire);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	lowest = dup(wire.near);
	close(lowest);
	for (int room = 0; room <= 3; room++) {
		int r;

		assert_int_equal(msg_send(wire.far, &internal_messages, MSG_BADGE, &badge, NULL, 0,
					  fds),
				 0);
		low = old;
		low.rlim_cur = (rlim_t)(lowest + room);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
		r = receive(&wire);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		assert_int_equal(r, 1);
		assert_int_equal(wire.msg.starved, room < 3);
		assert_int_equal(wire.msg.fds[0] >= 0, room == 3);
		assert_int_equal(wire.msg.fds[2] >= 0, room == 3);
		msg_close_fds(&wire.msg);
	}
	wire_deinit(&wire);
}

/* What is no message stays none, whether its descriptors could be had or not. */
static void judges_what_came_without_its_descriptors(void **state unused_)
{
	static const struct {
		struct {
			struct msg_header header;
			uint8_t body[64];
		} bytes;
		size_t len;
		enum msg_rule rule;
	} rows[] = {
		{ .len = 1, .rule = RULE_HEADER },
		{ .bytes.header.type = MSG_COUNT, .len = sizeof(rows[0].bytes), .rule = RULE_TYPE },
		{ .bytes.header.type = MSG_DRAIN,
		  .len = sizeof(struct msg_header) + sizeof(struct msg_drain),
		  .rule = RULE_FDS }, /* it should have none */
	};
	struct rlimit old, low;
	struct wire wire;
	int lowest;

	wire_init(&wire);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	lowest = dup(wire.near);
	close(lowest);
	low = old;
	low.rlim_cur = (rlim_t)lowest;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r;

		send_raw(wire.far, &rows[i].bytes, rows[i].len, 1);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
		r = receive(&wire);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		assert_int_equal(r, -EBADMSG);
		assert_int_equal(wire.rule, rows[i].rule);
	}
	wire_deinit(&wire);
}

/* A socket of another kind may bring what is nobody's descriptor. */
static void passes_over_what_is_no_descriptor(void **state unused_)
{
	const struct msg_drain drain = { .deadline_ms = 7 };
	struct sockaddr_in name = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(name);
	const int on = 1;
	struct wire wire = { .ctx = { &internal_messages, ROLE_WORKER, ROLE_SUPERVISOR, RUN } };

	wire.near = socket(AF_INET, SOCK_DGRAM, 0);
	wire.far = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(setsockopt(wire.near, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)), 0);
	assert_int_equal(bind(wire.near, (struct sockaddr *)&name, len), 0);
	assert_int_equal(getsockname(wire.near, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(connect(wire.far, (struct sockaddr *)&name, len), 0);
	assert_int_equal(msg_send(wire.far, &internal_messages, MSG_DRAIN, &drain, NULL, 0, NULL), 0);
	assert_int_equal(poll(&(struct pollfd){ .fd = wire.near, .events = POLLIN }, 1, 10000), 1);
	assert_int_equal(receive(&wire), 1);
	assert_int_equal(((const struct msg_drain *)wire.msg.body)->deadline_ms, 7);
	assert_int_equal(wire.msg.fds[0], -1);
	wire_deinit(&wire);
}

static void passes_descriptors_that_close_on_exec(void **state unused_)
{
	const struct msg_trust trust = { .generation = 1 };
	struct wire wire;

	wire_init(&wire);
	assert_int_equal(msg_send(wire.far, &internal_messages, MSG_TRUST, &trust, NULL, 0,
				  &(int){ STDIN_FILENO }),
			 0);
	assert_int_equal(receive(&wire), 1);
	assert_int_equal(fcntl(wire.msg.fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	msg_close_fds(&wire.msg);
	wire_deinit(&wire);
}

static void does_not_block_on_a_full_socket(void **state unused_)
{
	const struct msg_drain drain = { .deadline_ms = 1 };
	struct wire wire;
	int sent = 0, r;

	wire_init(&wire);
	while ((r = msg_send(wire.far, &internal_messages, MSG_DRAIN, &drain, NULL, 0, NULL)) == 0)
		sent++;
	assert_int_equal(r, -EAGAIN);
	for (int i = 0; i < sent; i++)
		assert_int_equal(receive(&wire), 1);
	assert_int_equal(receive(&wire), -EAGAIN);
	close(wire.near);
	/* And no SIGPIPE. */
	r = msg_send(wire.far, &internal_messages, MSG_DRAIN, &drain, NULL, 0, NULL);
	assert_int_equal(r, -EPIPE);
	close(wire.far);
}

static void takes_strings_out_of_a_tail(void **state unused_)
{
	struct msg msg = { .tail = "hostname443\0x", .tail_len = 13 };
	char text[8];
	uint32_t at = 0;

	/* No room for the NUL. */
	assert_int_equal(msg_tail_string(&msg, &at, 8, text, sizeof(text)), -EBADMSG);
	assert_int_equal(msg_tail_string(&msg, &at, 4, text, sizeof(text)), 0);
	assert_string_equal(text, "host");
	assert_int_equal(msg_tail_string(&msg, &at, 0, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(msg_tail_string(&msg, &at, 7, text, sizeof(text)), 0);
	assert_string_equal(text, "name443");
	assert_int_equal(at, 11);
	/* A NUL in it; more than is there. */
	assert_int_equal(msg_tail_string(&msg, &at, 2, text, sizeof(text)), -EBADMSG);
	assert_int_equal(msg_tail_string(&msg, &at, 3, text, sizeof(text)), -EBADMSG);
	assert_int_equal(msg_tail_string(&msg, &at, UINT32_MAX, text, sizeof(text)), -EBADMSG);
	assert_int_equal(at, 11);
}

static void knows_every_role_by_name(void **state unused_)
{
	enum role role;

	for (enum role i = 0; i < ROLE_COUNT; i++) {
		assert_int_equal(role_from_name(role_name(i), &role), 0);
		assert_int_equal(role, i);
	}
	assert_string_equal(role_name(ROLE_CLIENT), "client");
	assert_int_equal(role_from_name("client", &role), -EINVAL);
	assert_int_equal(role_from_name("", &role), -EINVAL);
}

static void has_an_errno_and_a_text_for_every_error(void **state unused_)
{
	for (uint32_t code = 0; code < 256; code++) {
		const struct error_info *info = error_info(code);

		assert_non_null(info);
		assert_true(info->code == code || info->code == TLSB_E_BROKER_PROTOCOL);
		assert_true(strlen(info->text) > 0 && strlen(info->text) <= LIMIT_TEXT);
		assert_true((info->number == 0) == (info->code == TLSB_E_NONE));
	}
	assert_int_equal(error_info(UINT32_MAX)->code, TLSB_E_BROKER_PROTOCOL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(checks_its_rules_in_order),
		TEST(checks_reserved_bytes_last),
		TEST(has_a_name_for_every_rule),
		TEST(delivers_body_tail_and_descriptors),
		TEST(tells_the_end_from_silence),
		TEST(takes_an_empty_message_for_the_end),
		TEST(refuses_messages_longer_than_any),
		TEST(closes_whatever_number_of_descriptors),
		TEST(tells_of_descriptors_that_it_has_no_room_for),
		TEST(judges_what_came_without_its_descriptors),
		TEST(passes_over_what_is_no_descriptor),
		TEST(passes_descriptors_that_close_on_exec),
		TEST(does_not_block_on_a_full_socket),
		TEST(takes_strings_out_of_a_tail),
		TEST(knows_every_role_by_name),
		TEST(has_an_errno_and_a_text_for_every_error),
	};

	return testing_run(tests);
}
