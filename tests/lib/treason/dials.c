/* Connections that it should not get. */
#include "tests/lib/treason/treason.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>

#define DIAL(...)                                                                                  \
	&(const struct msg_dial) { .deadline_ms = SOON_MS, __VA_ARGS__ }

static const char *dialled(void)
{
	const struct msg_dial_failed *failed;
	struct msg msg;

	if (hear(ROLE_CONNECTOR, SOON_MS, &msg) != HEARD)
		return "no answer";
	if (msg.type == MSG_DIALED)
		return DIALLED;
	failed = msg.body;
	if (msg.type == MSG_DIAL_FORBIDDEN)
		return REFUSED;
	if (msg.type != MSG_DIAL_FAILED)
		return "another answer";
	if (failed->error == TLSB_E_POLICY)
		return REFUSED;
	if (failed->error == TLSB_E_PARAMETER)
		return NO_HOST;
	snprintf(me.bytes, sizeof(me.bytes), "error %u: %.*s", failed->error, (int)msg.tail_len,
		 msg.tail);
	return me.bytes;
}

/* HOST, and behind it the name to verify. */
static void dial_to(const char *tail, const struct msg_dial *dial_body)
{
	tell(ROLE_CONNECTOR, MSG_DIAL, dial_body, tail, strlen(tail));
}

static const char *dial_port(const char *host, uint16_t port)
{
	dial_to(host, DIAL(.id = 1, .port = port));
	return dialled();
}

const char *try_dial_to_its_own_destination(void)
{
	return dial_port("127.0.0.1", me.order.ours);
}

const char *try_a_forbidden_name(void)
{
	return dial_port("forbidden.test", 443);
}

const char *try_a_forbidden_address(void)
{
	return dial_port("127.0.0.2", me.order.ours);
}

const char *try_another_badges_destination(void)
{
	return dial_port("127.0.0.1", me.order.theirs);
}

const char *try_an_allowed_name_another_to_verify(void)
{
	dial_to("allowed.testlocalhost", DIAL(.id = 1, .port = 443, .name_len = 9));
	return dialled();
}

const char *try_a_private_address_by_an_allowed_name(void)
{
	return dial_port("localhost", me.order.theirs);
}

const char *try_an_address_as_one_number(void)
{
	return dial_port("2130706433", me.order.theirs);
}

const char *try_an_address_in_two_parts(void)
{
	return dial_port("127.1", me.order.theirs);
}

const char *try_an_address_in_octal(void)
{
	return dial_port("0177.0.0.1", me.order.theirs);
}

const char *try_an_address_within_ipv6(void)
{
	return dial_port("::ffff:127.0.0.1", me.order.theirs);
}

const char *try_any_address(void)
{
	return dial_port("0.0.0.0", me.order.theirs);
}

const char *try_port_zero(void)
{
	dial_to("127.0.0.1", DIAL(.port = 0));
	return cut_off(ROLE_CONNECTOR);
}

const char *try_a_host_with_a_nul_in_it(void)
{
	tell(ROLE_CONNECTOR, MSG_DIAL, DIAL(.port = 443), "allowed.test\0x", 14);
	return cut_off(ROLE_CONNECTOR);
}

const char *try_a_host_with_a_newline_in_it(void)
{
	dial_to("allowed.test\nx", DIAL(.port = 443));
	return cut_off(ROLE_CONNECTOR);
}

const char *try_no_host(void)
{
	dial_to("", DIAL(.port = 443));
	return cut_off(ROLE_CONNECTOR);
}

const char *try_a_name_longer_than_the_message(void)
{
	dial_to("allowed.test", DIAL(.port = 443, .name_len = UINT16_MAX));
	return cut_off(ROLE_CONNECTOR);
}

const char *try_a_family_that_is_none(void)
{
	dial_to("127.0.0.1", DIAL(.port = me.order.ours, .family = AF_NETLINK));
	return cut_off(ROLE_CONNECTOR);
}

const char *try_to_keep_what_is_forbidden(void)
{
	const struct msg_dial_still body = { .id = 1, .address = { 127, 0, 0, 1 }, .family = AF_INET,
					     .port = me.order.theirs };

	tell(ROLE_CONNECTOR, MSG_DIAL_STILL, &body, "127.0.0.1", 9);
	return dialled();
}

static const char *connector_goes_on(void)
{
	const char *outcome = try_to_keep_what_is_forbidden();

	return strcmp(outcome, REFUSED) == 0 ? NOTHING : outcome;
}

const char *try_cancelling_what_others_dial(void)
{
	for (uint64_t id = 0; id < 1000; id++)
		tell(ROLE_CONNECTOR, MSG_DIAL_CANCEL, &(struct msg_dial_cancel){ .id = id }, NULL, 0);
	return connector_goes_on();
}

/* How many of so many come to something; the limit is 20 in a second. */
static unsigned count_dialled(unsigned count)
{
	unsigned begun = 0;
	struct msg msg;

	for (unsigned i = 0; i < count; i++)
		dial_to("127.0.0.1", DIAL(.id = i, .port = me.order.ours));
	for (unsigned i = 0; i < count && hear(ROLE_CONNECTOR, SOON_MS, &msg) == HEARD; i++) {
		begun += msg.type == MSG_DIALED;
		msg_close_fds(&msg);
	}
	return begun;
}

/* The seconds in which it was tried, the first and the last included: so often may it begin 20. */
static const char *within_rate(uint64_t began_ms, unsigned begun)
{
	uint64_t seconds = (clock_ms() - began_ms) / 1000 + 1;

	return begun > 0 && begun <= 20 * seconds ? BOUNDED : SUCCEEDED;
}

const char *try_more_than_so_many_in_a_second(void)
{
	uint64_t began = clock_ms();

	return within_rate(began, count_dialled(200));
}

/* A new channel is not a new beginning. */
const char *try_more_by_asking_for_channels(void)
{
	uint64_t began = clock_ms();
	unsigned begun = count_dialled(40);

	if (want_channels(MSG_CONNECTOR_WANTED, MSG_CONNECTOR_CHAN, &me.connector) < 0)
		return "no channel";
	return within_rate(began, begun + count_dialled(40));
}

const char *try_dials_without_end(void)
{
	return endless(ROLE_CONNECTOR, MSG_DIAL, DIAL(.port = me.order.theirs), "127.0.0.1", 9);
}

/* Its own destination, which has reset it: it is connected to nothing any more. */
static int reset_connection(void)
{
	struct msg msg;
	int fd;

	dial_to("127.0.0.1", DIAL(.id = 1, .port = me.order.ours));
	if (hear(ROLE_CONNECTOR, SOON_MS, &msg) != HEARD || msg.type != MSG_DIALED)
		return -1;
	fd = msg_take_fd(&msg, 0);
	/* Not TLS: the server hangs up; then whatever comes is answered with a reset. */
	for (int i = 0; i < 100 && send(fd, "no TLS\n", 7, MSG_NOSIGNAL) == 7; i++)
		wait_for(fd, EPOLLHUP, AWHILE_MS);
	return fd;
}

/*
 * TCP Fast Open connects by sending.  On a connection that was reset, and that was made without
 * waiting for it, the first time brings the error that is due, the second another connection.
 */
static const char *connect_by_sending(int fd, bool in_message)
{
	struct sockaddr_in there = { .sin_family = AF_INET, .sin_port = htons(me.order.theirs),
				     .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct iovec iov = { me.bytes, 1 };
	const struct msghdr msg = { &there, sizeof(there), &iov, 1, NULL, 0, 0 };

	for (int i = 0; i < 2; i++) {
		ssize_t n = in_message ? sendmsg(fd, &msg, MSG_FASTOPEN | MSG_NOSIGNAL)
				       : sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
						(const struct sockaddr *)&there, sizeof(there));

		if (n >= 0 || errno == EINPROGRESS)
			return SUCCEEDED;
	}
	return returned(-1);
}

const char *try_another_address_for_a_connection(void)
{
	return connect_by_sending(reset_connection(), false);
}

const char *try_another_address_in_a_message(void)
{
	return connect_by_sending(reset_connection(), true);
}
