/*
 * Messages as every role receives them: any bytes with any number of descriptors, on every channel
 * and in every phase.  What msg_recv() lets through must be what the table says, word for word, and
 * what it refuses must leave no descriptor behind.
 *
 *   self, peer, table and phase (a byte each), packets
 */
#include "tests/fuzz/stage.h"

#include <errno.h>
#include <unistd.h>

static const struct msg_table *const tables[] = { &internal_messages, &client_messages };

static void take_context(struct input *input, struct msg_context *ret_ctx)
{
	ret_ctx->self = (enum role)(take_u8(input) % (ROLE_CLIENT + 1));
	ret_ctx->peer = (enum role)(take_u8(input) % (ROLE_CLIENT + 1));
	ret_ctx->table = tables[take_u8(input) % ARRAY_SIZE(tables)];
	ret_ctx->phase = (enum msg_phase)(1 << take_u8(input) % 5);
}

/* What a handler may rely on. */
static void check_message(const struct msg_context *ctx, const struct packet *packet,
			  const struct msg *msg)
{
	const struct msg_info *row = msg->info;
	const uint8_t *body = msg->body;

	must(row == &ctx->table->rows[msg->type]);
	must(row->from >> ctx->peer & 1 && row->to >> ctx->self & 1);
	must(row->phases & (uint32_t)ctx->phase);
	must(msg->tail_len <= row->tail_max);
	must(packet->len == sizeof(struct msg_header) + row->body + msg->tail_len);
	must(memcmp(body, packet->bytes + sizeof(struct msg_header), row->body) == 0);
	must(msg->tail == (const char *)body + row->body);
	for (uint32_t i = row->body - row->zero; i < row->body; i++)
		must(body[i] == 0);
	must(msg->starved ? row->fds > 0 : packet->fds == row->fds);
	for (uint32_t i = 0; i < LIMIT_MESSAGE_FDS; i++)
		must(stage_is_open(msg->fds[i]) == (!msg->starved && i < row->fds));
}

/* The tail in pieces, as CONNECT's handler takes it. */
static void cut_tail(struct input *input, const struct msg *msg)
{
	char piece[LIMIT_HOST + 1];
	uint32_t at = 0, before;

	do {
		uint32_t len = take_u16(input);

		before = at;
		if (msg_tail_string(msg, &at, len, piece, sizeof(piece)) < 0)
			break;
		must(at == before + len && at <= msg->tail_len && strlen(piece) == len);
	} while (input->left > 0 && at > before);
}

static void receive(struct input *input, const struct msg_context *ctx, int fd)
{
	struct packet_space space;
	union msg_buffer buf;
	struct packet packet = stage_take_packet(input, ctx->table, &space);
	enum msg_rule rule = RULE_NONE;
	struct msg msg;
	int r;

	stage_put(fd, &packet);
	r = msg_recv(fd, ctx, &buf, &msg, &rule);
	if (r == 1) {
		check_message(ctx, &packet, &msg);
		cut_tail(input, &msg);
		if (msg.fds[0] >= 0)
			close(msg_take_fd(&msg, 0));
		msg_close_fds(&msg);
	} else if (packet.len > 0 || (packet.fds > 0 && !packet.starved)) {
		must(r == -EBADMSG && rule != RULE_NONE && rule < RULE_CONTENT);
		must(msg_rule_name(rule));
	} else {
		must(r == 0); /* an empty packet ends its sender */
	}
	must(stage_fds() == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct msg_context ctx;
	int fd = stage_fd();

	take_context(&input, &ctx);
	for (int i = 0; i < 8 && input.left > 0; i++)
		receive(&input, &ctx, fd);
	close(fd);
	return 0;
}
