/*
 * Every message of both tables, broken in every way the table can tell: the receiver must say the
 * right rule, and keep no descriptor.
 *
 * Here only the checks of wire/msg.c are asked; what each role makes of it all is in messages_*.c.
 */
#include "mutate.h"

#include "base/fd.h"

#define ROLES (ROLE_CLIENT + 1)
#define MOST_FDS 8

static const struct msg_table *const tables[] = { &internal_messages, &client_messages };
static const enum msg_phase phases[2][5] = { { FRESH, RUN }, { HELLO, MAIN, SETUP, SESSION, KEY } };
static const size_t phase_counts[2] = { 2, 5 };

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

/* What came is what was sent, and it is inside the buffer. */
static void check_content(const struct wire *wire, const struct mutant *mutant,
			  const struct msg *msg)
{
	const size_t body = msg->info->body;

	assert_ptr_equal(msg->body, wire->buf.bytes + 8);
	assert_memory_equal(msg->body, mutant->bytes + 8, body);
	assert_int_equal(msg->tail_len, mutant->len - 8 - body);
	assert_ptr_equal(msg->tail, wire->buf.bytes + 8 + body);
	assert_memory_equal(msg->tail, mutant->bytes + 8 + body, msg->tail_len);
	for (size_t i = 0; i < LIMIT_MESSAGE_FDS; i++)
		assert_true((msg->fds[i] >= 0) == (i < mutant->nfds));
}

static enum msg_rule try(struct wire *wire, const struct mutant *mutant)
{
	const enum msg_rule right = mutant_rule(mutant);
	enum msg_rule rule = RULE_NONE;
	struct msg msg;
	int r;

	wire->count++;
	mutant_send(wire->far, mutant, (int[2]){ 0 }); /* standard input, so many times */
	r = msg_recv(wire->near, &mutant->ctx, &wire->buf, &msg, &rule);
	if (mutant->len == 0 && mutant->nfds == 0) {
		assert_int_equal(r, 0);
		return RULE_HEADER;
	}
	if (r == 1) {
		check_content(wire, mutant, &msg);
		msg_close_fds(&msg);
	} else {
		assert_int_equal(r, -EBADMSG);
	}
	if (rule != right)
		fail_msg("said %s instead of %s", msg_rule_name(rule), msg_rule_name(right));
	return rule;
}

static void expect(struct wire *wire, const struct mutant *mutant, enum msg_rule rule)
{
	assert_string_equal(msg_rule_name(try(wire, mutant)), msg_rule_name(rule));
}

static size_t table_number(const struct mutant *mutant)
{
	return mutant->ctx.table == &client_messages;
}

/* A good message of this row, from PEER to SELF, with a full tail; or 0 if the row allows none. */
static int make_good(struct mutant *ret_mutant, const struct msg_table *table, uint32_t type,
		     enum role peer, enum role self)
{
	const struct msg_info *row = &table->rows[type];
	const struct msg_header header = { .type = type };
	enum msg_phase phase = (enum msg_phase)(row->phases & -row->phases);

	if (!(row->from >> peer & 1) || !(row->to >> self & 1))
		return 0;
	*ret_mutant = (struct mutant){
		.ctx = { table, self, peer, phase },
		.len = 8 + row->body + row->tail_max,
		.nfds = row->fds,
	};
	memset(ret_mutant->bytes, 0xa5, ret_mutant->len);
	memcpy(ret_mutant->bytes, &header, sizeof(header));
	memset(ret_mutant->bytes + 8 + row->body - row->zero, 0, row->zero);
	return 1;
}

static const struct msg_info *row_of(const struct mutant *mutant)
{
	struct msg_header header;

	memcpy(&header, mutant->bytes, sizeof(header));
	return &mutant->ctx.table->rows[header.type];
}

/* ---- one kind of breach each, for one good message ---- */

static void break_nothing(struct wire *wire, const struct mutant *good)
{
	struct mutant mutant = *good;

	expect(wire, &mutant, RULE_NONE);
	mutant.len = 8 + row_of(good)->body;
	expect(wire, &mutant, RULE_NONE);
}

static void break_header(struct wire *wire, const struct mutant *good)
{
	for (int bit = 0; bit < 32; bit++) {
		struct mutant mutant = *good;

		mutant.bytes[4 + bit / 8] = (uint8_t)(1 << bit % 8);
		expect(wire, &mutant, RULE_HEADER);
	}
	for (size_t len = 0; len < 8; len++) {
		struct mutant mutant = *good;

		mutant.len = len;
		expect(wire, &mutant, RULE_HEADER);
	}
}

static void break_type(struct wire *wire, const struct mutant *good)
{
	const uint32_t count = good->ctx.table->count;
	const uint32_t types[] = { count, count + 1, 0xff, 1u << 16, 1u << 31, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct mutant mutant = *good;

		memcpy(mutant.bytes, &types[i], sizeof(types[i]));
		expect(wire, &mutant, RULE_TYPE);
	}
}

static void break_roles(struct wire *wire, const struct mutant *good)
{
	const struct msg_info *row = row_of(good);

	for (enum role role = 0; role < ROLES; role++) {
		struct mutant mutant = *good;

		mutant.ctx.peer = role;
		expect(wire, &mutant, row->from >> role & 1 ? RULE_NONE : RULE_SENDER);
		mutant.ctx = good->ctx;
		mutant.ctx.self = role;
		expect(wire, &mutant, row->to >> role & 1 ? RULE_NONE : RULE_RECEIVER);
	}
}

static void break_size(struct wire *wire, const struct mutant *good)
{
	const struct msg_info *row = row_of(good);
	struct mutant mutant = *good;

	for (mutant.len = 8; mutant.len < 8 + row->body; mutant.len++)
		expect(wire, &mutant, RULE_SIZE);
	mutant.len = 8 + row->body + 1;
	expect(wire, &mutant, row->tail_max > 0 ? RULE_NONE : RULE_SIZE);
}

static void break_tail(struct wire *wire, const struct mutant *good)
{
	const enum msg_rule rule = row_of(good)->tail_max > 0 ? RULE_TAIL : RULE_SIZE;
	struct mutant mutant = *good;

	mutant.len = good->len + 1;
	expect(wire, &mutant, rule);
	mutant.len = LIMIT_MESSAGE;
	expect(wire, &mutant, rule);
	mutant.len = LIMIT_MESSAGE + 1;
	expect(wire, &mutant, RULE_HEADER);
	mutant.len = LIMIT_MESSAGE + 2;
	expect(wire, &mutant, RULE_HEADER);
}

static void break_fds(struct wire *wire, const struct mutant *good)
{
	struct mutant mutant = *good;

	for (mutant.nfds = 0; mutant.nfds <= MOST_FDS; mutant.nfds++)
		expect(wire, &mutant, mutant.nfds == good->nfds ? RULE_NONE : RULE_FDS);
}

static void break_phase(struct wire *wire, const struct mutant *good)
{
	const size_t table = table_number(good);

	for (size_t i = 0; i < phase_counts[table]; i++) {
		struct mutant mutant = *good;

		mutant.ctx.phase = phases[table][i];
		expect(wire, &mutant,
		       row_of(good)->phases & (uint32_t)mutant.ctx.phase ? RULE_NONE : RULE_PHASE);
	}
}

static void break_reserved(struct wire *wire, const struct mutant *good)
{
	const struct msg_info *row = row_of(good);

	for (uint32_t bit = 0; bit < 8 * row->zero; bit++) {
		struct mutant mutant = *good;

		mutant.bytes[8 + row->body - row->zero + bit / 8] = (uint8_t)(1 << bit % 8);
		expect(wire, &mutant, RULE_RESERVED);
	}
}

typedef void breach_fn(struct wire *wire, const struct mutant *good);

/* For every table, row, and pair of roles that may use it. */
static uint64_t for_every_message(breach_fn *breach)
{
	const int before = testing_count_fds();
	struct mutant good;
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
	struct mutant mutant;
	struct wire wire;

	wire_init(&wire);
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (uint32_t type = 0; type < tables[t]->count; type++) {
			const struct msg_info *row = &tables[t]->rows[type];

			assert_true(make_good(&mutant, tables[t], type,
					      (enum role)__builtin_ctz(row->from),
					      (enum role)__builtin_ctz(row->to)));
			for (uint32_t i = 0; i < ROLES * ROLES * phase_counts[t]; i++) {
				mutant.ctx.peer = (enum role)(i % ROLES);
				mutant.ctx.self = (enum role)(i / ROLES % ROLES);
				mutant.ctx.phase = phases[t][i / (ROLES * ROLES)];
				try(&wire, &mutant);
			}
		}
	}
	wire_deinit(&wire);
}

/* Short tails for speed; one to three bits flipped anywhere, sometimes the length or the number of
 * descriptors changed. */
static void flip(struct mutant *mutant, uint64_t *seed)
{
	const struct msg_info *row = row_of(mutant);
	uint64_t bits = testing_random(seed) % 3 + 1;

	mutant->len = 8 + row->body + testing_random(seed) % (MIN(row->tail_max, 64u) + 1);
	for (uint64_t i = 0; i < bits; i++) {
		uint64_t bit = testing_random(seed) % (8 * mutant->len);

		mutant->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	switch (testing_random(seed) % 8) {
	case 0:
		mutant->nfds = testing_random(seed) % (MOST_FDS + 1);
		break;
	case 1:
		mutant->len = testing_random(seed) % (mutant->len + 1);
		break;
	}
}

static void answers_right_to_flipped_bits(void **state unused_)
{
	const int before = testing_count_fds();
	uint64_t seed = mutant_seed(), refused = 0, most = attack_share(500000, 40000);
	struct mutant mutant;
	struct wire wire;

	wire_init(&wire);
	while (wire.count < most) {
		const size_t t = testing_random(&seed) % ARRAY_SIZE(tables);
		const uint32_t type = (uint32_t)(testing_random(&seed) % tables[t]->count);
		const enum role peer = (enum role)(testing_random(&seed) % ROLES);
		const enum role self = (enum role)(testing_random(&seed) % ROLES);

		if (!make_good(&mutant, tables[t], type, peer, self))
			continue;
		flip(&mutant, &seed);
		refused += try(&wire, &mutant) != RULE_NONE;
		if (wire.count % 1000 == 0)
			assert_int_equal(testing_count_fds(), before + 2);
	}
	/* Flips in a body's free fields are for its handler to judge; most others are found. */
	assert_true(refused > wire.count / 4 && refused < wire.count);
	wire_deinit(&wire);
	attacks_count("messages", wire.count, wire.count);
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
