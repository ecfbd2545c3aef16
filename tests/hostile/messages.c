/*
 * Every message of both tables, broken in every way the table can tell: the receiver must say the
 * right rule, and keep no descriptor.
 *
 * Which rule is right is worked out here a second time, from the tables and from the order that
 * wire/msg.h promises, so a check that is left out or moved in msg.c shows.
 */
#include "tests/unit/testing.h"

#include <sys/socket.h>

#include "base/fd.h"
#include "wire/msg.h"

#define ROLES (ROLE_CLIENT + 1)
#define MOST_FDS 8
#define LEAST_MUTATIONS 20000

static const struct msg_table *const tables[] = { &internal_messages, &client_messages };
static const enum msg_phase phases[2][4] = { { FRESH, RUN }, { HELLO, MAIN, SETUP, SESSION } };
static const size_t phase_counts[2] = { 2, 4 };

/* A message on its way: what is sent, and who receives it. */
struct attempt {
	struct msg_context ctx;
	uint8_t bytes[LIMIT_MESSAGE + 2];
	size_t len, nfds;
};

struct wire {
	int far, near;
	union msg_buffer buf;
	uint64_t count;
};

static void wire_init(struct wire *wire)
{
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	*wire = (struct wire){ .far = pair[0], .near = pair[1] };
}

static void wire_deinit(struct wire *wire)
{
	close(wire->far);
	close(wire->near);
}

static void send_attempt(const struct wire *wire, const struct attempt *attempt)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * MOST_FDS)];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)attempt->bytes, attempt->len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	const int fds[MOST_FDS] = { 0 }; /* standard input, so many times */

	if (attempt->nfds > 0) {
		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * attempt->nfds);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int) * attempt->nfds);
		memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * attempt->nfds);
	}
	assert_int_equal(sendmsg(wire->far, &mh, MSG_DONTWAIT | MSG_NOSIGNAL),
			 (ssize_t)attempt->len);
}

static int any_set(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != 0)
			return 1;
	}
	return 0;
}

/* The rule that an attempt breaks, as the tables have it. */
static enum msg_rule right_answer(const struct attempt *attempt)
{
	const struct msg_context *ctx = &attempt->ctx;
	const struct msg_info *row;
	struct msg_header header;
	size_t most;

	if (attempt->len < 8 || attempt->len > LIMIT_MESSAGE || any_set(attempt->bytes + 4, 4))
		return RULE_HEADER;
	memcpy(&header, attempt->bytes, sizeof(header));
	if (header.type >= ctx->table->count)
		return RULE_TYPE;
	row = &ctx->table->rows[header.type];
	if (!(row->from >> ctx->peer & 1))
		return RULE_SENDER;
	if (!(row->to >> ctx->self & 1))
		return RULE_RECEIVER;
	most = 8 + row->body + row->tail_max;
	if (attempt->len < 8 + row->body || (row->tail_max == 0 && attempt->len > most))
		return RULE_SIZE;
	if (attempt->len > most)
		return RULE_TAIL;
	if (attempt->nfds != row->fds)
		return RULE_FDS;
	if (!(row->phases & (uint32_t)ctx->phase))
		return RULE_PHASE;
	if (any_set(attempt->bytes + 8 + row->body - row->zero, row->zero))
		return RULE_RESERVED;
	return RULE_NONE;
}

/* What came is what was sent, and it is inside the buffer. */
static void check_content(const struct wire *wire, const struct attempt *attempt,
			  const struct msg *msg)
{
	const size_t body = msg->info->body;

	assert_ptr_equal(msg->body, wire->buf.bytes + 8);
	assert_memory_equal(msg->body, attempt->bytes + 8, body);
	assert_int_equal(msg->tail_len, attempt->len - 8 - body);
	assert_ptr_equal(msg->tail, wire->buf.bytes + 8 + body);
	assert_memory_equal(msg->tail, attempt->bytes + 8 + body, msg->tail_len);
	for (size_t i = 0; i < LIMIT_MESSAGE_FDS; i++)
		assert_true((msg->fds[i] >= 0) == (i < attempt->nfds));
}

static enum msg_rule try(struct wire *wire, const struct attempt *attempt)
{
	const enum msg_rule right = right_answer(attempt);
	enum msg_rule rule = RULE_NONE;
	struct msg msg;
	int r;

	wire->count++;
	send_attempt(wire, attempt);
	r = msg_recv(wire->near, &attempt->ctx, &wire->buf, &msg, &rule);
	if (attempt->len == 0 && attempt->nfds == 0) {
		assert_int_equal(r, 0);
		return RULE_HEADER;
	}
	if (r == 1) {
		check_content(wire, attempt, &msg);
		msg_close_fds(&msg);
	} else {
		assert_int_equal(r, -EBADMSG);
	}
	if (rule != right)
		fail_msg("said %s instead of %s", msg_rule_name(rule), msg_rule_name(right));
	return rule;
}

static void expect(struct wire *wire, const struct attempt *attempt, enum msg_rule rule)
{
	assert_string_equal(msg_rule_name(try(wire, attempt)), msg_rule_name(rule));
}

static size_t table_number(const struct attempt *attempt)
{
	return attempt->ctx.table == &client_messages;
}

/* A good message of this row, from PEER to SELF, with a full tail; or 0 if the row allows none. */
static int make_good(struct attempt *ret_attempt, const struct msg_table *table, uint32_t type,
		     enum role peer, enum role self)
{
	const struct msg_info *row = &table->rows[type];
	const struct msg_header header = { .type = type };
	enum msg_phase phase = (enum msg_phase)(row->phases & -row->phases);

	if (!(row->from >> peer & 1) || !(row->to >> self & 1))
		return 0;
	*ret_attempt = (struct attempt){
		.ctx = { table, self, peer, phase },
		.len = 8 + row->body + row->tail_max,
		.nfds = row->fds,
	};
	memset(ret_attempt->bytes, 0xa5, ret_attempt->len);
	memcpy(ret_attempt->bytes, &header, sizeof(header));
	memset(ret_attempt->bytes + 8 + row->body - row->zero, 0, row->zero);
	return 1;
}

static const struct msg_info *row_of(const struct attempt *attempt)
{
	struct msg_header header;

	memcpy(&header, attempt->bytes, sizeof(header));
	return &attempt->ctx.table->rows[header.type];
}

/* ---- one kind of breach each, for one good message ---- */

static void break_nothing(struct wire *wire, const struct attempt *good)
{
	struct attempt attempt = *good;

	expect(wire, &attempt, RULE_NONE);
	attempt.len = 8 + row_of(good)->body;
	expect(wire, &attempt, RULE_NONE);
}

static void break_header(struct wire *wire, const struct attempt *good)
{
	for (int bit = 0; bit < 32; bit++) {
		struct attempt attempt = *good;

		attempt.bytes[4 + bit / 8] = (uint8_t)(1 << bit % 8);
		expect(wire, &attempt, RULE_HEADER);
	}
	for (size_t len = 0; len < 8; len++) {
		struct attempt attempt = *good;

		attempt.len = len;
		expect(wire, &attempt, RULE_HEADER);
	}
}

static void break_type(struct wire *wire, const struct attempt *good)
{
	const uint32_t count = good->ctx.table->count;
	const uint32_t types[] = { count, count + 1, 0xff, 1u << 16, 1u << 31, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct attempt attempt = *good;

		memcpy(attempt.bytes, &types[i], sizeof(types[i]));
		expect(wire, &attempt, RULE_TYPE);
	}
}

static void break_roles(struct wire *wire, const struct attempt *good)
{
	const struct msg_info *row = row_of(good);

	for (enum role role = 0; role < ROLES; role++) {
		struct attempt attempt = *good;

		attempt.ctx.peer = role;
		expect(wire, &attempt, row->from >> role & 1 ? RULE_NONE : RULE_SENDER);
		attempt.ctx = good->ctx;
		attempt.ctx.self = role;
		expect(wire, &attempt, row->to >> role & 1 ? RULE_NONE : RULE_RECEIVER);
	}
}

static void break_size(struct wire *wire, const struct attempt *good)
{
	const struct msg_info *row = row_of(good);
	struct attempt attempt = *good;

	for (attempt.len = 8; attempt.len < 8 + row->body; attempt.len++)
		expect(wire, &attempt, RULE_SIZE);
	attempt.len = 8 + row->body + 1;
	expect(wire, &attempt, row->tail_max > 0 ? RULE_NONE : RULE_SIZE);
}

static void break_tail(struct wire *wire, const struct attempt *good)
{
	const enum msg_rule rule = row_of(good)->tail_max > 0 ? RULE_TAIL : RULE_SIZE;
	struct attempt attempt = *good;

	attempt.len = good->len + 1;
	expect(wire, &attempt, rule);
	attempt.len = LIMIT_MESSAGE;
	expect(wire, &attempt, rule);
	attempt.len = LIMIT_MESSAGE + 1;
	expect(wire, &attempt, RULE_HEADER);
	attempt.len = LIMIT_MESSAGE + 2;
	expect(wire, &attempt, RULE_HEADER);
}

static void break_fds(struct wire *wire, const struct attempt *good)
{
	struct attempt attempt = *good;

	for (attempt.nfds = 0; attempt.nfds <= MOST_FDS; attempt.nfds++)
		expect(wire, &attempt, attempt.nfds == good->nfds ? RULE_NONE : RULE_FDS);
}

static void break_phase(struct wire *wire, const struct attempt *good)
{
	const size_t table = table_number(good);

	for (size_t i = 0; i < phase_counts[table]; i++) {
		struct attempt attempt = *good;

		attempt.ctx.phase = phases[table][i];
		expect(wire, &attempt,
		       row_of(good)->phases & (uint32_t)attempt.ctx.phase ? RULE_NONE : RULE_PHASE);
	}
}

static void break_reserved(struct wire *wire, const struct attempt *good)
{
	const struct msg_info *row = row_of(good);

	for (uint32_t bit = 0; bit < 8 * row->zero; bit++) {
		struct attempt attempt = *good;

		attempt.bytes[8 + row->body - row->zero + bit / 8] = (uint8_t)(1 << bit % 8);
		expect(wire, &attempt, RULE_RESERVED);
	}
}

typedef void breach_fn(struct wire *wire, const struct attempt *good);

/* For every table, row, and pair of roles that may use it. */
static uint64_t for_every_message(breach_fn *breach)
{
	const int before = testing_count_fds();
	struct attempt good;
	struct wire wire;

	wire_init(&wire);
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (uint32_t type = 0; type < tables[t]->count; type++) {
			uint64_t count = wire.count;

			for (enum role peer = 0; peer < ROLES; peer++) {
				for (enum role self = 0; self < ROLES; self++) {
					if (make_good(&good, tables[t], type, peer, self))
						breach(&wire, &good);
				}
			}
			assert_int_equal(testing_count_fds(), before + 2);
			assert_true(wire.count > count || row_of(&good)->zero == 0);
		}
	}
	wire_deinit(&wire);
	return wire.count;
}

#define FOR_EVERY_MESSAGE(test, breach)                                                            \
	static void test(void **state unused_)                                                     \
	{                                                                                          \
		assert_true(for_every_message(breach) > 0);                                        \
	}
FOR_EVERY_MESSAGE(lets_good_messages_through, break_nothing)
FOR_EVERY_MESSAGE(refuses_bad_headers, break_header)
FOR_EVERY_MESSAGE(refuses_unknown_types, break_type)
FOR_EVERY_MESSAGE(refuses_wrong_senders_and_receivers, break_roles)
FOR_EVERY_MESSAGE(refuses_wrong_sizes, break_size)
FOR_EVERY_MESSAGE(refuses_long_tails, break_tail)
FOR_EVERY_MESSAGE(refuses_wrong_numbers_of_descriptors, break_fds)
FOR_EVERY_MESSAGE(refuses_wrong_phases, break_phase)
FOR_EVERY_MESSAGE(refuses_reserved_bits, break_reserved)

/* Any peer, any receiver, any phase: every row in every place where it does and does not belong. */
static void answers_right_in_every_place(void **state unused_)
{
	struct attempt attempt;
	struct wire wire;

	wire_init(&wire);
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (uint32_t type = 0; type < tables[t]->count; type++) {
			const struct msg_info *row = &tables[t]->rows[type];

			assert_true(make_good(&attempt, tables[t], type,
					      (enum role)__builtin_ctz(row->from),
					      (enum role)__builtin_ctz(row->to)));
			for (uint32_t i = 0; i < ROLES * ROLES * phase_counts[t]; i++) {
				attempt.ctx.peer = (enum role)(i % ROLES);
				attempt.ctx.self = (enum role)(i / ROLES % ROLES);
				attempt.ctx.phase = phases[t][i / (ROLES * ROLES)];
				try(&wire, &attempt);
			}
		}
	}
	wire_deinit(&wire);
}

/* Short tails for speed; one to three bits flipped anywhere, sometimes the length or the number of
 * descriptors changed. */
static void flip(struct attempt *attempt, uint64_t *seed)
{
	const struct msg_info *row = row_of(attempt);
	uint64_t bits = testing_random(seed) % 3 + 1;

	attempt->len = 8 + row->body + testing_random(seed) % (MIN(row->tail_max, 64u) + 1);
	for (uint64_t i = 0; i < bits; i++) {
		uint64_t bit = testing_random(seed) % (8 * attempt->len);

		attempt->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	switch (testing_random(seed) % 8) {
	case 0:
		attempt->nfds = testing_random(seed) % (MOST_FDS + 1);
		break;
	case 1:
		attempt->len = testing_random(seed) % (attempt->len + 1);
		break;
	}
}

static void answers_right_to_flipped_bits(void **state unused_)
{
	const int before = testing_count_fds();
	uint64_t seed = 20240607, refused = 0;
	struct attempt attempt;
	struct wire wire;

	wire_init(&wire);
	while (wire.count < 2 * LEAST_MUTATIONS) {
		const size_t t = testing_random(&seed) % ARRAY_SIZE(tables);
		const uint32_t type = (uint32_t)(testing_random(&seed) % tables[t]->count);
		const enum role peer = (enum role)(testing_random(&seed) % ROLES);
		const enum role self = (enum role)(testing_random(&seed) % ROLES);

		if (!make_good(&attempt, tables[t], type, peer, self))
			continue;
		flip(&attempt, &seed);
		refused += try(&wire, &attempt) != RULE_NONE;
		if (wire.count % 1000 == 0)
			assert_int_equal(testing_count_fds(), before + 2);
	}
	/* Flips in a body's free fields are for its handler to judge; most others are found. */
	assert_true(refused > wire.count / 4 && refused < wire.count);
	wire_deinit(&wire);
	print_message("%llu mutations, %llu refused by the table\n", (unsigned long long)wire.count,
		      (unsigned long long)refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lets_good_messages_through),
		TEST(refuses_bad_headers),
		TEST(refuses_unknown_types),
		TEST(refuses_wrong_senders_and_receivers),
		TEST(refuses_wrong_sizes),
		TEST(refuses_long_tails),
		TEST(refuses_wrong_numbers_of_descriptors),
		TEST(refuses_wrong_phases),
		TEST(refuses_reserved_bits),
		TEST(answers_right_in_every_place),
		TEST(answers_right_to_flipped_bits),
	};

	return testing_run(tests);
}
