/*
 * Mutated messages, made from the rows of messages.def and client.def, and what must come of each.
 *
 * A mutant begins as a good message of one row, as it is received in one place (which table, by
 * whom, from whom, in which phase), and is then broken in one way.  The rule that it breaks is
 * worked out here a second time, from the tables and from the order that wire/msg.h promises, so a
 * check that is left out or moved in msg.c shows.  RULE_NONE: the table has nothing against it, and
 * only the handler can judge what it says.
 *
 * All follows from one number: SEED in the environment, else always the same.  Header-only.
 */
#ifndef TLSB_TESTS_MUTATE_H
#define TLSB_TESTS_MUTATE_H

#include "tests/unit/testing.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tests/attacks.h"
#include "tests/sanitized.h"
#include "wire/msg.h"

/* As many descriptors as the kernel takes in one message (SCM_MAX_FD). */
#define MUTANT_FDS 253

/* Of these a receiver has room for so many; more are cut off, and said to be (MSG_CTRUNC). */
#define RECEIVED_FDS 8

enum mutant_fds { FDS_GOOD, FDS_ODD };

struct mutant {
	struct msg_context ctx;
	_Alignas(uint64_t) uint8_t bytes[LIMIT_MESSAGE + 64]; /* a body's numbers are in place */
	size_t len, nfds;
	enum mutant_fds kind; /* its descriptors: of the kind that the row is for, or of any other */
	const char *how;      /* it was broken */
};

static inline uint64_t mutant_seed(void)
{
	const char *text = getenv("SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 20261121;

	printf("# SEED=%llu\n", (unsigned long long)seed);
	return seed ? seed : 1;
}

/* How many to send: with a sanitizer a fourth of them, for time's sake. */
static inline uint64_t attack_share(uint64_t full, uint64_t quick)
{
	return SANITIZED_SHARE(attacks_full() ? full : quick);
}

static inline struct msg_header mutant_header(const struct mutant *mutant)
{
	struct msg_header header;

	memcpy(&header, mutant->bytes, sizeof(header));
	return header;
}

static inline bool mutant_any_set(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != 0)
			return true;
	}
	return false;
}

/* It is no message at all, and looks like the end of the connection. */
static inline bool mutant_is_end(const struct mutant *mutant)
{
	return mutant->len == 0 && mutant->nfds == 0;
}

/* The rule that it breaks; an end breaks none. */
static inline enum msg_rule mutant_rule(const struct mutant *mutant)
{
	const struct msg_header header = mutant_header(mutant);
	const struct msg_context *ctx = &mutant->ctx;
	const struct msg_info *row;
	size_t most;

	if (mutant_is_end(mutant))
		return RULE_NONE;
	if (mutant->nfds > RECEIVED_FDS)
		return RULE_FDS;
	if (mutant->len < 8 || mutant->len > LIMIT_MESSAGE || header.reserved != 0)
		return RULE_HEADER;
	if (header.type >= ctx->table->count)
		return RULE_TYPE;
	row = &ctx->table->rows[header.type];
	if (!(row->from >> ctx->peer & 1))
		return RULE_SENDER;
	if (!(row->to >> ctx->self & 1))
		return RULE_RECEIVER;
	most = 8 + row->body + row->tail_max;
	if (mutant->len < 8 + row->body || (row->tail_max == 0 && mutant->len > most))
		return RULE_SIZE;
	if (mutant->len > most)
		return RULE_TAIL;
	if (mutant->nfds != row->fds)
		return RULE_FDS;
	if (!(row->phases & (uint32_t)ctx->phase))
		return RULE_PHASE;
	if (mutant_any_set(mutant->bytes + 8 + row->body - row->zero, row->zero))
		return RULE_RESERVED;
	return RULE_NONE;
}

/* What is wanted of a key, with a tail of LEN bytes: does it add up? */
static inline bool mutant_is_wish(const struct key_wish *wish, size_t len)
{
	if (wish->action == KEY_SIGN_HASH)
		return len <= 64 && wish->hash_len == len;
	if (wish->action == KEY_VERIFY_HASH)
		return wish->hash_len <= 64 && wish->hash_len <= len && len - wish->hash_len <= 512;
	return (wish->action == KEY_DESTROY || wish->action == KEY_NEXT) && len == 0 &&
	       wish->hash_len == 0 && wish->algorithm == 0;
}

/* One that often does. */
static inline struct key_wish mutant_wish(uint64_t *seed, size_t len)
{
	return (struct key_wish){ .key = (uint32_t)testing_random(seed),
				  .action = (uint16_t)(testing_random(seed) % (KEY_ACTIONS + 1)),
				  .algorithm = testing_random(seed) % 2 ? 0x0403 : 0,
				  .hash_len = testing_random(seed) % 2 ? (uint32_t)len
								      : (uint32_t)(testing_random(seed) % 70) };
}

/* ---- good ones ---- */

/* BODY, of the row's size (NULL: zeros), and a tail. */
static inline void mutant_init(struct mutant *mutant, const struct msg_context *ctx, uint32_t type,
			       const void *body, const void *tail, size_t tail_len)
{
	const struct msg_info *row = &ctx->table->rows[type];
	const struct msg_header header = { .type = type };

	mutant->ctx = *ctx;
	mutant->len = 8 + row->body + tail_len;
	mutant->nfds = row->fds;
	mutant->kind = FDS_GOOD;
	mutant->how = "good";
	memcpy(mutant->bytes, &header, sizeof(header));
	memset(mutant->bytes + 8, 0, row->body);
	if (body)
		memcpy(mutant->bytes + 8, body, row->body);
	if (tail_len > 0)
		memcpy(mutant->bytes + 8 + row->body, tail, tail_len);
}

/* Anything that the table allows. */
static inline void mutant_init_any(struct mutant *mutant, const struct msg_context *ctx,
				   uint32_t type, uint64_t *seed)
{
	const struct msg_info *row = &ctx->table->rows[type];
	uint32_t tail_len = (uint32_t)(testing_random(seed) % (MIN(row->tail_max, 64u) + 1));

	mutant_init(mutant, ctx, type, NULL, NULL, 0);
	mutant->len += tail_len;
	for (size_t i = 8; i < mutant->len; i++)
		mutant->bytes[i] = (uint8_t)testing_random(seed);
	memset(mutant->bytes + 8 + row->body - row->zero, 0, row->zero);
}

/* ---- ways to break them ---- */

static inline void mutant_grow(struct mutant *mutant, size_t len)
{
	if (len > mutant->len)
		memset(mutant->bytes + mutant->len, 0x5a, len - mutant->len);
	mutant->len = len;
}

static inline void spoil_nothing(struct mutant *mutant, uint64_t *seed unused_)
{
	mutant->how = "nothing";
}

static inline void spoil_bits(struct mutant *mutant, uint64_t *seed)
{
	uint64_t bits = testing_random(seed) % 3 + 1;

	mutant->how = "bits";
	while (bits-- > 0) {
		uint64_t bit = testing_random(seed) % (8 * mutant->len);

		mutant->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static inline void spoil_type(struct mutant *mutant, uint64_t *seed)
{
	const uint32_t count = mutant->ctx.table->count;
	const uint32_t types[] = { count, count + 1, 0xff, 1u << 16, 1u << 31, UINT32_MAX };

	mutant->how = "type";
	memcpy(mutant->bytes, &types[testing_random(seed) % ARRAY_SIZE(types)], sizeof(types[0]));
}

static inline void spoil_header(struct mutant *mutant, uint64_t *seed)
{
	mutant->how = "header";
	mutant->bytes[4 + testing_random(seed) % 4] |= (uint8_t)(1 << testing_random(seed) % 8);
}

/* By one, or anywhere. */
static inline void spoil_short(struct mutant *mutant, uint64_t *seed)
{
	const uint32_t body = mutant->ctx.table->rows[mutant_header(mutant).type].body;

	mutant->how = "short";
	mutant->len = testing_random(seed) % 2 ? 8 + body - 1 : testing_random(seed) % mutant->len;
}

static inline void spoil_long(struct mutant *mutant, uint64_t *seed)
{
	const struct msg_info *row = &mutant->ctx.table->rows[mutant_header(mutant).type];
	const size_t lens[] = { mutant->len + 1,   8 + row->body + row->tail_max,
				LIMIT_MESSAGE + 1, 8 + row->body + row->tail_max + 1,
				LIMIT_MESSAGE,     LIMIT_MESSAGE + 64 };

	mutant->how = "long";
	mutant_grow(mutant, lens[testing_random(seed) % ARRAY_SIZE(lens)]);
}

static inline void spoil_count_of_fds(struct mutant *mutant, uint64_t *seed)
{
	mutant->how = "fds";
	if (mutant->nfds > 0 && testing_random(seed) % 2)
		mutant->nfds--;
	else
		mutant->nfds = testing_random(seed) % 2 ? mutant->nfds + 1 : testing_random(seed) % 12;
}

static inline void spoil_kind_of_fds(struct mutant *mutant, uint64_t *seed unused_)
{
	mutant->how = "odd fds";
	mutant->kind = FDS_ODD;
}

static inline void spoil_reserved(struct mutant *mutant, uint64_t *seed)
{
	const struct msg_info *row = &mutant->ctx.table->rows[mutant_header(mutant).type];
	const uint8_t bit = (uint8_t)(1 << testing_random(seed) % 8);

	mutant->how = "reserved";
	if (row->zero > 0)
		mutant->bytes[8 + row->body - 1 - testing_random(seed) % row->zero] |= bit;
}

/* A number of the body becomes one that arithmetic fears. */
static inline void spoil_numbers(struct mutant *mutant, uint64_t *seed)
{
	static const uint64_t edges[] = { 0,	      1,	 0x7f,	     0x80,	 0xff,
					  0x7fff,     0x8000,	 0xffff,     0x7fffffff, 0x80000000,
					  0xffffffff, INT64_MAX, UINT64_MAX, UINT64_C(1) << 32 };
	const uint32_t body = mutant->ctx.table->rows[mutant_header(mutant).type].body;
	const size_t width = (size_t)2 << testing_random(seed) % 3;
	const uint64_t value = edges[testing_random(seed) % ARRAY_SIZE(edges)];

	mutant->how = "numbers";
	memcpy(mutant->bytes + 8 + width * (testing_random(seed) % (body / width)), &value, width);
}

/* As a machine of the other byte order would have sent it. */
static inline void spoil_byte_order(struct mutant *mutant, uint64_t *seed)
{
	const bool type_too = testing_random(seed) % 2;

	mutant->how = "byte order";
	for (size_t at = type_too ? 0 : 8; at + 4 <= mutant->len && at < 64; at += 4) {
		uint32_t word;

		memcpy(&word, mutant->bytes + at, sizeof(word));
		word = __builtin_bswap32(word);
		memcpy(mutant->bytes + at, &word, sizeof(word));
	}
}

static inline void mutant_spoil(struct mutant *mutant, uint64_t *seed)
{
	static void (*const ways[])(struct mutant *, uint64_t *) = {
		spoil_nothing, spoil_bits, spoil_bits,	       spoil_type,	   spoil_header,
		spoil_short,   spoil_long, spoil_count_of_fds, spoil_kind_of_fds,  spoil_reserved,
		spoil_numbers, spoil_bits, spoil_byte_order,   spoil_count_of_fds, spoil_kind_of_fds,
	};

	ways[testing_random(seed) % ARRAY_SIZE(ways)](mutant, seed);
}

/* ---- which ---- */

/* A good message of TYPE for this place; returns false to leave that to mutant_init_any(). */
typedef bool mutant_maker(struct mutant *mutant, const struct msg_context *ctx, uint32_t type,
			  uint64_t *seed, void *arg);

static inline bool mutant_belongs(const struct msg_context *ctx, uint32_t type)
{
	const struct msg_info *row = &ctx->table->rows[type];

	return (row->from >> ctx->peer & 1) && (row->to >> ctx->self & 1) &&
	       (row->phases & (uint32_t)ctx->phase);
}

/* Three of four are of a row that belongs here: of what does not, little is looked at. */
static inline void mutant_draw(struct mutant *mutant, const struct msg_context *ctx, uint64_t *seed,
			       mutant_maker *make, void *arg)
{
	bool anywhere = testing_random(seed) % 4 == 0;
	uint32_t type;

	do
		type = (uint32_t)(testing_random(seed) % ctx->table->count);
	while (!anywhere && !mutant_belongs(ctx, type));
	if (!make || !make(mutant, ctx, type, seed, arg))
		mutant_init_any(mutant, ctx, type, seed);
	mutant_spoil(mutant, seed);
}

/* ---- on their way ---- */

/* Its descriptors are FDS[0], FDS[1], and then FDS[1] again and again; they stay the caller's. */
static inline ssize_t mutant_try_send(int fd, const struct mutant *mutant, const int fds[2])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * MUTANT_FDS)];
	} control;
	struct iovec iov = { (void *)(uintptr_t)mutant->bytes, mutant->len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (mutant->nfds > 0) {
		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * mutant->nfds);
		memset(control.bytes, 0, mh.msg_controllen);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int) * mutant->nfds);
		for (size_t i = 0; i < mutant->nfds; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &fds[i > 0],
			       sizeof(int));
	}
	return sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static inline void mutant_send(int fd, const struct mutant *mutant, const int fds[2])
{
	assert_int_equal(mutant_try_send(fd, mutant, fds), (ssize_t)mutant->len);
}

/* The Nth of a hundred good messages of TYPE with far too many descriptors. */
#define MUTANT_FLOOD 100
static inline void mutant_init_flood(struct mutant *mutant, const struct msg_context *ctx,
				     uint32_t type, unsigned n)
{
	static const size_t counts[] = { 3, 8, 9, 10, 64, 250, MUTANT_FDS };

	mutant_init(mutant, ctx, type, NULL, NULL, 0);
	mutant->nfds = counts[n % ARRAY_SIZE(counts)];
	mutant->kind = n % 2 ? FDS_GOOD : FDS_ODD;
}

/* What a failure has to say of it. */
static inline const char *mutant_text(const struct mutant *mutant)
{
	static char text[160];
	const uint32_t type = mutant_header(mutant).type;

	snprintf(text, sizeof(text), "%s broken by %s: %zu bytes, %zu fds, %s to %s, phase %d: %s",
		 type < mutant->ctx.table->count ? mutant->ctx.table->rows[type].name : "?",
		 mutant->how, mutant->len, mutant->nfds, role_name(mutant->ctx.peer),
		 role_name(mutant->ctx.self), (int)mutant->ctx.phase,
		 msg_rule_name(mutant_rule(mutant)));
	return text;
}

#endif
