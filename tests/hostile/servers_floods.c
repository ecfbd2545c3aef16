/*
 * Case 33: servers that, once the handshake is over, send anything but data: a limit ends the session,
 * and until then it takes no more than its turn from the user's other sessions.  Those run in the same
 * thread: what they wait is how long the worker computes until it looks at another descriptor.
 */
#include "servers_records.h"

#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>

#include "tests/attacks.h"
#include "tests/sanitized.h"

#define PAUSE_US 50000
#define TRIES	 (SANITIZED ? 1 : 20) /* with sanitizers, what it takes is not judged */

static unsigned long tried, survived;

static uint64_t cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void key_update(struct scribe *scribe, unsigned i unused_)
{
	scribe_key_update(scribe, false);
}

static void key_update_that_asks(struct scribe *scribe, unsigned i unused_)
{
	scribe_key_update(scribe, true);
}

/* As many as a server may send without one byte of data, and then that byte. */
static void key_update_or_a_byte(struct scribe *scribe, unsigned i)
{
	if (i % LIMIT_IDLE_RECORDS == LIMIT_IDLE_RECORDS - 1)
		scribe_record(scribe, SSL3_RT_APPLICATION_DATA, "x", 1);
	else
		scribe_key_update(scribe, true);
}

static const uint8_t ticket[] = {4, 0, 0, 15, 0, 0, 14, 16, 1, 2, 3, 4, 1, 9, 0, 1, 'T', 0, 0};

static void ticket_alone(struct scribe *scribe, unsigned i unused_)
{
	scribe_record(scribe, SSL3_RT_HANDSHAKE, ticket, sizeof(ticket));
}

static void record_of(struct scribe *scribe, uint8_t type, const void *message, size_t len)
{
	uint8_t record[16384];
	size_t used = 0;

	for (; used + len <= sizeof(record); used += len)
		memcpy(record + used, message, len);
	scribe_record(scribe, type, record, used);
}

static void record_of_tickets(struct scribe *scribe, unsigned i unused_)
{
	record_of(scribe, SSL3_RT_HANDSHAKE, ticket, sizeof(ticket));
}

static void ticket_or_a_byte(struct scribe *scribe, unsigned i)
{
	if (i % LIMIT_IDLE_RECORDS == LIMIT_IDLE_RECORDS - 1)
		scribe_record(scribe, SSL3_RT_APPLICATION_DATA, "x", 1);
	else
		ticket_alone(scribe, i);
}

static void hello_request(struct scribe *scribe, unsigned i unused_)
{
	scribe_record(scribe, SSL3_RT_HANDSHAKE, "\0\0\0", 4);
}

static void record_of_hello_requests(struct scribe *scribe, unsigned i unused_)
{
	record_of(scribe, SSL3_RT_HANDSHAKE, "\0\0\0", 4);
}

static void empty_data(struct scribe *scribe, unsigned i unused_)
{
	scribe_record(scribe, SSL3_RT_APPLICATION_DATA, "", 0);
}

static void empty_handshake(struct scribe *scribe, unsigned i unused_)
{
	scribe_record(scribe, SSL3_RT_HANDSHAKE, "", 0);
}

static void empty_alert(struct scribe *scribe, unsigned i unused_)
{
	scribe_record(scribe, SSL3_RT_ALERT, "", 0);
}

/* Some empty ones, then a byte, for ever: allowed, and slow. */
static void empty_or_a_byte(struct scribe *scribe, unsigned i)
{
	scribe_record(scribe, SSL3_RT_APPLICATION_DATA, "x", i % 30 == 0);
}

static void single_bytes(struct scribe *scribe, unsigned i unused_)
{
	scribe_record(scribe, SSL3_RT_APPLICATION_DATA, "x", 1);
}

static void warning(struct scribe *scribe, unsigned i unused_)
{
	scribe_record(scribe, SSL3_RT_ALERT, "\x01\x5a", 2); /* user_canceled */
}

static void warning_or_a_byte(struct scribe *scribe, unsigned i)
{
	if (i % 4 == 3)
		single_bytes(scribe, i);
	else
		warning(scribe, i);
}

static void change_cipher_spec(struct scribe *scribe, unsigned i unused_)
{
	scribe_record(scribe, SSL3_RT_CHANGE_CIPHER_SPEC, "\x01", 1);
}

/* TLS 1.3 ignores it, unencrypted, for the sake of boxes in between. */
static void bare_change_cipher_spec(struct scribe *scribe, unsigned i unused_)
{
	testing_append(&scribe->out, "\x14\x03\x03\x00\x01\x01", 6);
}

static void unknown_type(struct scribe *scribe, unsigned i unused_)
{
	scribe_record(scribe, 99, "?", 1);
}

static void unknown_message(struct scribe *scribe, unsigned i unused_)
{
	scribe_record(scribe, SSL3_RT_HANDSHAKE, "\x63\0\0\x01?", 5);
}

static void long_message(struct scribe *scribe, unsigned i)
{
	static const uint8_t part[16384];

	if (i == 0)
		scribe_record(scribe, SSL3_RT_HANDSHAKE, "\x04\xff\xff\xff", 4);
	else
		scribe_record(scribe, SSL3_RT_HANDSHAKE, part, sizeof(part));
}

static void finished_again(struct scribe *scribe, unsigned i unused_)
{
	const uint8_t message[36] = {SSL3_MT_FINISHED, 0, 0, 32};

	scribe_record(scribe, SSL3_RT_HANDSHAKE, message, sizeof(message));
}

static void certificate_request(struct scribe *scribe, unsigned i unused_)
{
	static const uint8_t message[] = {13, 0, 0, 11, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3};

	scribe_record(scribe, SSL3_RT_HANDSHAKE, message, sizeof(message));
}

static void key_update_of_three(struct scribe *scribe, unsigned i unused_)
{
	scribe_record(scribe, SSL3_RT_HANDSHAKE, "\x18\0\0\x01\x03", 5);
}

/* A handshake message in pieces of one byte. */
static void crumbs(struct scribe *scribe, unsigned i)
{
	scribe_record(scribe, SSL3_RT_HANDSHAKE, (uint8_t[]){i % 5 == 3 ? 1 : i % 5 ? 0 : 24}, 1);
}

enum { V12 = 1, V13 = 2, BOTH = 3 };

static const struct flood {
	const char *what;
	void (*say)(struct scribe *scribe, unsigned i);
	int versions;
	bool lives; /* allowed, however long it goes on */
} floods[] = {
	{"key updates", key_update, V13, false},
	{"key updates that ask for one", key_update_that_asks, V13, false},
	{"key updates, and now and then a byte", key_update_or_a_byte, V13, true},
	{"tickets", ticket_alone, V13, false},
	{"records full of tickets", record_of_tickets, V13, false},
	{"tickets, and now and then a byte", ticket_or_a_byte, V13, true},
	{"requests to renegotiate", hello_request, BOTH, false},
	{"records full of requests to renegotiate", record_of_hello_requests, BOTH, false},
	{"empty records of data", empty_data, BOTH, false},
	{"empty records of handshake", empty_handshake, BOTH, false},
	{"empty alerts", empty_alert, BOTH, false},
	{"empty records, and now and then a byte", empty_or_a_byte, BOTH, true},
	{"records of one byte", single_bytes, BOTH, true},
	{"warnings", warning, BOTH, false},
	{"warnings, and now and then a byte", warning_or_a_byte, V12, true},
	{"changes of the cipher spec", change_cipher_spec, BOTH, false},
	{"changes of the cipher spec, not encrypted", bare_change_cipher_spec, BOTH, false},
	{"an unknown content type", unknown_type, BOTH, false},
	{"an unknown handshake message", unknown_message, BOTH, false},
	{"a message of 16 MiB", long_message, BOTH, false},
	{"Finished, again", finished_again, BOTH, false},
	{"a request for a certificate", certificate_request, BOTH, false},
	{"a key update of a kind that is none", key_update_of_three, BOTH, false},
	{"a handshake message in crumbs", crumbs, BOTH, false},
};

/* Another descriptor of the worker's, for which something comes while the worker computes. */
struct neighbour {
	int fd;
	struct event *event;
};

static void on_neighbour(evutil_socket_t fd unused_, short what unused_, void *base)
{
	event_base_loopbreak(base);
}

static void neighbour_init(struct neighbour *neighbour, struct event_base *base)
{
	neighbour->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	neighbour->event = event_new(base, neighbour->fd, EV_READ | EV_PERSIST, on_neighbour, base);
	assert_int_equal(event_add(neighbour->event, NULL), 0);
}

static void neighbour_deinit(struct neighbour *neighbour)
{
	event_free(neighbour->event);
	close(neighbour->fd);
}

/* Until the neighbour's turn comes, or there is nothing to do; returns how long that took. */
static uint64_t turn(struct scribe *scribe, const struct neighbour *neighbour)
{
	const struct itimerspec soon = {.it_value.tv_nsec = 200000};
	uint64_t before = cpu_us();

	assert_int_equal(timerfd_settime(neighbour->fd, 0, &soon, NULL), 0);
	event_base_loop(scribe->one.rig.child.base, EVLOOP_NONBLOCK);
	return cpu_us() - before;
}

/* The worker has read everything, or given up. */
static bool is_drained(struct scribe *scribe)
{
	const struct session *session = LIST_FIRST(&rig_worker(&scribe->one.rig)->all_sessions);
	int unread = 0;

	return session_is_over(&scribe->one.session) ||
	       (scribe->out.len == 0 && ioctl(session->net.fd, FIONREAD, &unread) == 0 &&
		unread == 0 && !SSL_has_pending(session->ssl));
}

/* MANY records; what the neighbour waited at most. */
static uint64_t pour(struct scribe *scribe, const struct neighbour *neighbour,
		     const struct flood *flood, unsigned many)
{
	struct testing_text got = {0};
	char scrap[4096];
	uint64_t worst = 0;

	for (unsigned i = 0; i < many || !is_drained(scribe);) {
		uint64_t took;

		/* Enough under way for the worker to take as much as it ever takes. */
		while (i < many && scribe->out.len < 2 * LIMIT_PUMP_BYTES)
			flood->say(scribe, i++);
		scribe_send(scribe);
		took = turn(scribe, neighbour);
		worst = MAX(worst, took);
		while (recv(scribe->one.peer.fd, scrap, sizeof(scrap), MSG_DONTWAIT) > 0)
			; /* its answers */
		if (session_is_over(&scribe->one.session))
			break;
		session_read(&scribe->one.session, &got, SIZE_MAX);
		got.len = 0;
	}
	free(got.data);
	return worst;
}

static void expect_outcome(const struct flood *flood, struct scribe *scribe)
{
	struct program_session *session = &scribe->one.session;
	struct control_page *page = session->channel.page;

	if (session_is_over(session) == flood->lives || session_word(&page->rx_end))
		print_message("%s (%s): %u %s\n", flood->what, SSL_get_version(scribe->one.peer.ssl),
			      page->error, page->text);
	assert_int_equal(session_is_over(session), !flood->lives);
	assert_int_equal(session_word(&page->rx_end), 0); /* never a clean end */
	if (flood->lives)
		return;
	assert_true(page->error == TLSB_E_TLS || page->error == TLSB_E_TLS_ALERT ||
		    page->error == TLSB_E_NOT_TLS);
	assert_true(strlen(page->text) > 10);
}

static void try(const struct flood *flood, int version, unsigned many)
{
	uint64_t worst = UINT64_MAX;

	for (int i = 0; i < TRIES && worst >= PAUSE_US; i++) {
		struct neighbour neighbour;
		struct scribe scribe;

		scribe_init(&scribe, version);
		neighbour_init(&neighbour, scribe.one.rig.child.base);
		worst = pour(&scribe, &neighbour, flood, many);
		neighbour_deinit(&neighbour);
		rig_run_for(&scribe.one.rig, 1);
		expect_outcome(flood, &scribe);
		scribe_deinit(&scribe);
	}
	tried++;
	survived += SANITIZED || worst < PAUSE_US;
	print_message("%6lu us: TLS 1.%d, %s\n", worst, version - TLS1_2_VERSION + 2, flood->what);
	assert_true(SANITIZED || worst < PAUSE_US);
}

static void case_33_floods_end_and_take_no_more_than_their_turn(void **state unused_)
{
	unsigned many = SANITIZED_SHARE(attacks_full() ? 100000 : 10000); /* of those that may go on */

	for (size_t i = 0; i < ARRAY_SIZE(floods); i++) {
		unsigned count = floods[i].lives ? many : many / 5;

		if (floods[i].versions & V12)
			try(&floods[i], TLS1_2_VERSION, count);
		if (floods[i].versions & V13)
			try(&floods[i], TLS1_3_VERSION, count);
	}
}

/* ---- */

static int count(void **state unused_)
{
	attacks_count("servers", tried, survived);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_33_floods_end_and_take_no_more_than_their_turn),
	};

	return cmocka_run_group_tests(tests, NULL, count);
}
