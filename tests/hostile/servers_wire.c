/*
 * Cases 29 and 30: somebody on the way cuts, resets, damages or stuffs the stream between worker and
 * server, at every byte of it.  The server is a real one, behind a pair of buffers; the wire is here.
 */
#include "tests/unit/testing_clock.h"
#include "tests/unit/worker_rig.h"

#include <poll.h>

#include "tests/attacks.h"

#define DEADLINE_MS 300	 /* what the program allows */
#define DEFINITE_MS 1000 /* by then it must know */

static const char secret[] = "nothing of this may reach a server that was not verified";

enum direction { FROM_SERVER, TO_SERVER };
enum fault { NONE, CUT, RESET, FLIP, JUNK };

static unsigned long tried, survived;

struct wire {
	struct rig rig;
	struct program program;
	struct program_session session;
	SSL *server;
	BIO *far;	       /* the server's ciphertext */
	int fd;		       /* the worker's TCP connection */
	uint64_t carried[2];   /* by direction */
	struct testing_text got, sent; /* the server's plaintext */
	bool shaken, said, closed;
	bool mute; /* no data yet */
	enum fault fault;
	enum direction where;
	uint64_t at;
	unsigned bit;
};

/* ---- the wire ---- */

static void wire_end(struct wire *wire, bool reset)
{
	const struct linger now = {.l_onoff = reset};

	setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	if (reset)
		wire->fd = fd_close(wire->fd);
	else
		shutdown(wire->fd, SHUT_WR);
	wire->closed = true;
}

static void put(struct wire *wire, enum direction direction, const uint8_t *data, size_t len)
{
	if (direction == FROM_SERVER)
		(void)!send(wire->fd, data, len, MSG_NOSIGNAL);
	else
		BIO_write(wire->far, data, (int)len);
}

/* LEN bytes go the way of DIRECTION, and the fault happens when its byte comes by. */
static void carry(struct wire *wire, enum direction direction, uint8_t *data, size_t len)
{
	static const uint8_t junk[] = {0x17, 0x03, 0x03, 0x00, 0x10, 'j', 'u', 'n', 'k'};
	uint64_t from = wire->carried[direction], offset = wire->at - from;
	bool here = direction == wire->where && wire->at >= from && offset < len;

	wire->carried[direction] += len;
	if (!here || wire->fault == NONE) {
		put(wire, direction, data, len);
		return;
	}
	if (wire->fault == FLIP)
		data[offset] ^= (uint8_t)(1 << wire->bit);
	put(wire, direction, data, offset);
	if (wire->fault == CUT || wire->fault == RESET) {
		wire_end(wire, wire->fault == RESET);
		return;
	}
	if (wire->fault == JUNK)
		put(wire, direction, junk, sizeof(junk));
	put(wire, direction, data + offset, len - offset);
}

/* What both ends have said.  True when something moved. */
static bool shuttle(struct wire *wire)
{
	uint8_t data[4096];
	bool moved = false;
	int n;

	while (!wire->closed && (n = BIO_read(wire->far, data, sizeof(data))) > 0) {
		carry(wire, FROM_SERVER, data, (size_t)n);
		moved = true;
	}
	while (!wire->closed && (n = (int)recv(wire->fd, data, sizeof(data), MSG_DONTWAIT)) > 0) {
		carry(wire, TO_SERVER, data, (size_t)n);
		moved = true;
	}
	return moved;
}

/* ---- the server ---- */

/* It shakes hands, says PAYLOAD in three records, and goodbye. */
static const char payload[] = "a first record of data. "
			      "a second one, not as long. "
			      "and a third.";
static const size_t pieces[] = {24, 27, 12};

static void serve(struct wire *wire)
{
	char data[1024];
	size_t n, at = 0;

	ERR_clear_error();
	if (!wire->shaken && SSL_accept(wire->server) == 1)
		wire->shaken = true;
	if (wire->shaken && !wire->mute && !wire->said) {
		wire->said = true;
		for (size_t i = 0; i < ARRAY_SIZE(pieces); at += pieces[i++])
			SSL_write(wire->server, payload + at, (int)pieces[i]);
		SSL_shutdown(wire->server);
	}
	while (wire->shaken && SSL_read_ex(wire->server, data, sizeof(data), &n) == 1)
		testing_append(&wire->got, data, n);
	ERR_clear_error();
}

/* ---- one attempt ---- */

static void wire_init(struct wire *wire, int version)
{
	struct testing_identity leaf;

	*wire = (struct wire){.fd = -1};
	rig_init(&wire->rig);
	/* RSA's signatures are always as long as the key: every handshake has the same length. */
	leaf = cert_new((struct cert_spec){.name = "leaf", .names = "DNS:server.example",
					   .rsa_bits = 2048}, &wire->rig.root);
	SSL_CTX_free(wire->rig.server);
	wire->rig.server = server_new(&leaf, NULL, NULL);
	testing_identity_free(&leaf);
	SSL_CTX_set_max_proto_version(wire->rig.server, version);
	SSL_CTX_set_num_tickets(wire->rig.server, 1);
	rig_program(&wire->rig, &wire->program);
}

static void wire_deinit(struct wire *wire)
{
	close(wire->program.fd);
	rig_turn(&wire->rig);
	rig_expect_no_sessions(&wire->rig);
	rig_deinit(&wire->rig);
}

static void open_session(struct wire *wire)
{
	const struct wish wish = {.deadline_ms = DEADLINE_MS, .flags = CONNECT_NO_RESUMPTION};
	BIO *near;
	uint64_t id;
	int pair[2];

	wire->carried[0] = wire->carried[1] = 0;
	wire->shaken = wire->said = wire->closed = false;
	id = rig_session(&wire->rig, &wire->program, &wire->session, &wish);
	tcp_pair(pair);
	wire->fd = pair[1];
	wire->server = SSL_new(wire->rig.server);
	assert_int_equal(BIO_new_bio_pair(&near, 0, &wire->far, 0), 1);
	SSL_set_bio(wire->server, near, near);
	rig_dialed(&wire->rig, id, pair[0]);
	session_write(&wire->session, secret, sizeof(secret));
}

static void close_session(struct wire *wire)
{
	session_close(&wire->session);
	fd_close(wire->fd);
	BIO_free(wire->far);
	SSL_free(wire->server);
	free(wire->got.data);
	free(wire->sent.data);
	wire->got = wire->sent = (struct testing_text){0};
	rig_turn(&wire->rig);
}

/* Until the session is over, or has come to its clean end. */
static void run_session(struct wire *wire)
{
	struct control_page *page = wire->session.channel.page;
	struct pollfd idle = {.fd = -1};

	while (!session_is_over(&wire->session) && !session_word(&page->rx_end)) {
		bool moved;

		event_base_loop(wire->rig.child.base, EVLOOP_NONBLOCK);
		serve(wire);
		moved = shuttle(wire);
		session_read(&wire->session, &wire->sent, SIZE_MAX);
		if (!moved)
			poll(&idle, 1, 1);
	}
	session_read(&wire->session, &wire->sent, SIZE_MAX);
}

/* What came is the beginning of what was said. */
static bool is_prefix(const struct wire *wire)
{
	return wire->sent.len <= sizeof(payload) - 1 &&
	       memcmp(wire->sent.data ? wire->sent.data : "", payload, wire->sent.len) == 0;
}

static const char *const fault_names[] = {"none", "cut", "reset", "flip", "junk"};

static bool check(const struct wire *wire, bool good)
{
	const struct control_page *page = wire->session.channel.page;

	if (!good)
		print_message("%s %s the server at %lu bit %u: state %u, error %u %s\n",
			      fault_names[wire->fault],
			      wire->where == FROM_SERVER ? "from" : "to", wire->at, wire->bit,
			      page->state, page->error, page->text);
	return good;
}

static void count(bool good)
{
	tried++;
	survived += good;
}

/* How long the undamaged stream is, by direction; and what the handshake is of it. */
struct length {
	uint64_t all[2], handshake[2];
};

static struct length measure(struct wire *wire)
{
	struct control_page *page;
	struct length length;

	wire->fault = NONE;
	open_session(wire);
	page = wire->session.channel.page;
	wire->mute = true;
	while (event_base_loop(wire->rig.child.base, EVLOOP_NONBLOCK),
	       session_word(&page->state) < STATE_ESTABLISHED) {
		serve(wire);
		shuttle(wire);
	}
	wire->mute = false;
	length.handshake[FROM_SERVER] = wire->carried[FROM_SERVER];
	length.handshake[TO_SERVER] = wire->carried[TO_SERVER];
	run_session(wire);
	length.all[FROM_SERVER] = wire->carried[FROM_SERVER];
	length.all[TO_SERVER] = wire->carried[TO_SERVER];
	assert_int_equal(session_word(&page->rx_end), 1);
	assert_true(is_prefix(wire) && wire->sent.len == sizeof(payload) - 1);
	close_session(wire);
	return length;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* ---- case 29 ---- */

static bool cut_is_told(struct wire *wire)
{
	struct control_page *page = wire->session.channel.page;

	return session_is_over(&wire->session) && session_word(&page->rx_end) == 0 &&
	       page->error == TLSB_E_TRUNCATED && is_prefix(wire);
}

/* The stream's last byte is that of close_notify: what ends before it was truncated. */
static void case_29_a_stream_that_is_cut_anywhere_is_never_a_clean_end(void **state unused_)
{
	for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
		struct length length;
		struct wire wire;

		wire_init(&wire, versions[v]);
		length = measure(&wire);
		for (uint64_t at = 0; at < length.all[FROM_SERVER];
		     at += attacks_full() || at + 140 > length.all[FROM_SERVER] ? 1 : 23) {
			bool good;

			wire.fault = CUT;
			wire.where = FROM_SERVER;
			wire.at = at;
			open_session(&wire);
			run_session(&wire);
			good = check(&wire, cut_is_told(&wire));
			count(good);
			assert_true(good);
			close_session(&wire);
		}
		wire_deinit(&wire);
	}
}

/* ---- case 30 ---- */

/* What a damaged stream may be called; anything else would send a person on the wrong track. */
static bool is_right_class(const struct wire *wire, uint32_t error)
{
	switch (wire->fault) {
	case RESET:
		return error == TLSB_E_RESET;
	case FLIP:
	case JUNK:
		return (error >= TLSB_E_TLS && error <= TLSB_E_NOT_TLS) || error >= TLSB_E_CERT ||
		       error == TLSB_E_TIMEOUT || error == TLSB_E_TRUNCATED;
	default:
		return false;
	}
}

/*
 * The client's last words of a TLS 1.3 handshake are damaged after the server has proven who it is:
 * the session is established, and the server's refusal ends it.  And nothing in TLS covers the version
 * that each side's very first record bears.
 */
static bool may_be_established(const struct wire *wire, uint64_t hello_len, int version)
{
	if (wire->fault == FLIP && (wire->at == 1 || wire->at == 2))
		return true;
	return wire->where == TO_SERVER && version == TLS1_3_VERSION && wire->at >= hello_len;
}

static bool damage_is_told(struct wire *wire, bool may_establish, uint64_t ms)
{
	struct control_page *page = wire->session.channel.page;

	if (may_establish)
		return wire->got.len == 0 || (wire->fault == FLIP && wire->at < 3);
	return session_is_over(&wire->session) &&
	       session_word(&page->state) < STATE_ESTABLISHED && wire->got.len == 0 &&
	       wire->sent.len == 0 && is_right_class(wire, page->error) && ms < DEFINITE_MS;
}

static bool damage_once(struct wire *wire, bool may_establish)
{
	uint64_t began;
	bool good;

	open_session(wire);
	began = clock_ms();
	run_session(wire);
	good = check(wire, damage_is_told(wire, may_establish, clock_ms() - began));
	close_session(wire);
	return good;
}

/* On a busy machine time may be over first: what is wrong has to be so three times. */
static void damage(struct wire *wire, uint64_t hello_len, int version)
{
	bool may_establish = may_be_established(wire, hello_len, version), good = false;

	for (int i = 0; i < 3 && !good; i++)
		good = damage_once(wire, may_establish);
	count(good);
	assert_true(good);
}

/* The first flight is the ClientHello alone. */
static uint64_t hello_length(struct wire *wire)
{
	uint64_t len;

	wire->fault = NONE;
	open_session(wire);
	rig_turn(&wire->rig);
	shuttle(wire);
	len = wire->carried[TO_SERVER];
	close_session(wire);
	return len;
}

static void case_30_a_damaged_handshake_is_a_definite_error(void **state unused_)
{
	const uint64_t step = attacks_full() ? 1 : 100;

	for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
		struct length length;
		uint64_t hello_len;
		struct wire wire;

		wire_init(&wire, versions[v]);
		length = measure(&wire);
		hello_len = hello_length(&wire);
		for (enum direction where = FROM_SERVER; where <= TO_SERVER; where++) {
			for (uint64_t at = 0; at < length.handshake[where]; at += step) {
				wire.where = where;
				wire.at = at;
				wire.bit = (unsigned)(at / step % 8);
				for (wire.fault = RESET; wire.fault <= JUNK; wire.fault++)
					damage(&wire, hello_len, versions[v]);
			}
		}
		wire_deinit(&wire);
	}
}

static int sum_up(void **state unused_)
{
	attacks_count("servers", tried, survived);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_29_a_stream_that_is_cut_anywhere_is_never_a_clean_end),
		TEST(case_30_a_damaged_handshake_is_a_definite_error),
	};

	return cmocka_run_group_tests(tests, NULL, sum_up);
}
