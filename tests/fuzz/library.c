/*
 * The library against a broker that lies: messages on both sockets, every word and text of the control
 * page, hang-ups, at any moment between the program's calls.  A call must come back, say something
 * that errno(3) knows, and give the program nothing that is not printable or outside its buffer.
 *
 *   settings (1), steps: which (1), and what belongs to it
 */
#include "tests/fuzz/stage.h"

#include <errno.h>
#include <poll.h>

#include "libtlsbroker/internal.h"

#define STEPS_MOST 64

enum step {
	MAIN_MESSAGE,
	SESSION_MESSAGE,
	CALL,
	SET_WORD,
	SET_INDEX,
	SET_TEXT,
	HANG_UP,
	TIME_PASSES,
	SENDING_FAILS,
	CONNECTING_FAILS,
	STEPS,
};

struct program {
	struct tlsb *tlsb;
	struct tlsb_session *session;
};

static struct tlsb_config *make_config(uint8_t settings)
{
	static const char pem[] = "-----BEGIN CERTIFICATE-----\n";
	struct tlsb_config *config = tlsb_config_new();
	char *ca;

	must(config);
	must(tlsb_config_set_alpn(config, settings & 1 ? "h2,http/1.1" : NULL) == 0);
	if (settings & 2) { /* three messages full */
		ca = malloc(2 * LIMIT_TAIL + 100);
		must(ca);
		memset(ca, 'A', 2 * LIMIT_TAIL + 100);
		memcpy(ca, pem, sizeof(pem) - 1);
		must(tlsb_config_set_ca(config, ca, 2 * LIMIT_TAIL + 100) == 0);
		free(ca);
	}
	return config;
}

static void start(struct program *program, uint8_t settings)
{
	static const int timeouts[] = { 0, 0, 1, 100 };
	struct tlsb_config *config = make_config(settings);

	program->tlsb = tlsb_open("/nowhere");
	must(program->tlsb);
	program->session = tlsb_session_new(program->tlsb, config);
	must(program->session);
	tlsb_config_free(config);
	must(tlsb_set_timeout(program->session, timeouts[settings >> 2 & 3]) == 0);
	if (settings & 16)
		must(stage_is_open(tlsb_fd(program->session)));
}

static void stop(struct program *program)
{
	tlsb_session_free(program->session);
	tlsb_close(program->tlsb);
	kernel = (struct kernel){ .now_ms = kernel.now_ms };
	must(stage_fds() == 0);
}

/* ---- the broker ---- */

/* Before, the other end of the session's socket is our own. */
static bool is_sent(const struct tlsb_session *session)
{
	return session->theirs < 0 && session->stage > STAGE_NEW;
}

static void put(struct input *input, int fd)
{
	struct packet_space space;
	struct packet packet = stage_take_packet(input, &client_messages, &space);
	uint8_t *copy = malloc(packet.len + 1);

	/* It lies in the socket until some call reads it. */
	must(copy);
	if (packet.len > 0)
		memcpy(copy, packet.bytes, packet.len);
	packet.bytes = copy;
	packet.owned = copy;
	stage_put(fd, &packet);
}

static void set_word(struct input *input, struct control_page *page)
{
	_Atomic uint32_t *const words[] = {
		&page->state, &page->ended, &page->error, &page->rx_end, &page->tx_end,
		&page->rx.head.value, &page->tx.tail.value, &page->program_wants,
		&page->worker_wants, &page->rx.tail.value, &page->tx.head.value,
	};
	unsigned which = take_u8(input) % ARRAY_SIZE(words);

	/* Most words have a few values that mean something. */
	*words[which] = which < 5 ? take_u8(input) : take_u32(input);
}

static void set_index(struct input *input, struct tlsb_session *session)
{
	struct control_page *page = session->channel.page;

	page->rx.head.value = session->channel.rx.own + take_u16(input);
	page->tx.tail.value = session->channel.tx.own - take_u16(input);
}

static void set_text(struct input *input, struct control_page *page)
{
	uint8_t *start = (uint8_t *)page->text;
	size_t at = take_u16(input) % (sizeof(page->text) + sizeof(page->info));
	size_t room = sizeof(page->text) + sizeof(page->info) - at, len;
	const uint8_t *bytes = take(input, MIN((size_t)take_u8(input), room), &len);

	if (len > 0)
		memcpy(start + at, bytes, len);
}

/* ---- the program ---- */

static void check_text(const char *text, size_t size, char also)
{
	size_t len = strnlen(text, size);

	must(len < size);
	for (size_t i = 0; i < len; i++)
		must(text[i] == also || is_printable(text + i, 1));
}

static void ask_info(struct program *program)
{
	struct tlsb_info info;

	if (tlsb_info(program->session, &info, sizeof(info)) < 0)
		return;
	must(info.step_count <= TLSB_INFO_STEPS);
	check_text(info.cipher, sizeof(info.cipher), 0);
	check_text(info.group, sizeof(info.group), 0);
	check_text(info.alpn, sizeof(info.alpn), 0);
	check_text(info.address, sizeof(info.address), 0);
	check_text(info.subject, sizeof(info.subject), 0);
	check_text(info.chain, sizeof(info.chain), '\n');
}

static ssize_t move(struct program *program, size_t len, bool in)
{
	char *bytes = calloc(1, len ? len : 1);
	ssize_t n;

	must(bytes);
	n = in ? tlsb_read(program->session, bytes, len) : tlsb_write(program->session, bytes, len);
	must(n <= (ssize_t)len);
	free(bytes);
	return n;
}

/* All that is shown is there. */
static ssize_t move_in_place(struct program *program, size_t len, bool in)
{
	struct tlsb_session *session = program->session;
	const void *data = NULL;
	void *room = NULL;
	ssize_t n = in ? tlsb_peek(session, &data) : tlsb_reserve(session, &room);

	if (n <= 0)
		return n;
	if (in) {
		char *copy = malloc((size_t)n);

		must(copy);
		memcpy(copy, data, (size_t)n);
		free(copy);
	} else {
		memset(room, 1, (size_t)n);
	}
	return in ? tlsb_consume(session, len) : tlsb_commit(session, len);
}

static ssize_t call(struct program *program, struct input *input)
{
	static const short events[] = { POLLIN, POLLOUT, POLLIN | POLLOUT };
	struct tlsb_session *session = program->session;
	const char *badge;
	int wanted;

	switch (take_u8(input) % 15) {
	case 0:
		return tlsb_connect(session, "server.example", "443");
	case 1:
		return tlsb_handshake(session);
	case 2:
		return move(program, take_u16(input), true);
	case 3:
		return move(program, take_u16(input), false);
	case 4:
		return tlsb_pending(session);
	case 5:
		return tlsb_shutdown(session);
	case 6:
		return tlsb_disconnect(session);
	case 7:
		ask_info(program);
		return 0;
	case 8:
		badge = tlsb_badge(program->tlsb);
		if (badge)
			check_text(badge, LIMIT_BADGE + 1, 0);
		return badge ? 0 : -1;
	case 9:
		return tlsb_broker_fd(program->tlsb);
	case 10:
		return tlsb_fd(session);
	case 11:
		wanted = events[take_u8(input) % ARRAY_SIZE(events)];
		return tlsb_wait(session, wanted, take_u8(input) % 4);
	case 12:
		return move_in_place(program, take_u16(input), true);
	case 13:
		return move_in_place(program, take_u16(input), false);
	default:
		return tlsb_connect(session, NULL, NULL);
	}
}

static void check_call(struct program *program, struct input *input)
{
	struct tlsb_session *session = program->session;
	ssize_t r;

	errno = 0;
	r = call(program, input);
	must(r >= -1 && (r >= 0 || errno > 0));
	must(tlsb_error_text(session));
	check_text(tlsb_error_text(session), LIMIT_TEXT + 1, 0);
	/* A session that lies once is over. */
	if (tlsb_error_code(session) == TLSB_E_BROKER_PROTOCOL)
		must(tlsb_read(session, &(char){ 0 }, 1) < 0);
}

static void hang_up(struct program *program, uint8_t which)
{
	if (which & 1)
		stage_hang_up(program->tlsb->first.fd);
	else if (is_sent(program->session))
		stage_hang_up(program->session->fd);
}

static void take_step(struct program *program, struct input *input)
{
	static const int send_errors[] = { 0, EAGAIN, EPIPE, ETOOMANYREFS, ENOMEM };
	static const int connect_errors[] = { 0, ECONNREFUSED, EPROTOTYPE, ENOENT };
	struct control_page *page = program->session->channel.page;

	switch ((enum step)(take_u8(input) % STEPS)) {
	case MAIN_MESSAGE:
		put(input, program->tlsb->first.fd);
		break;
	case SESSION_MESSAGE:
		if (is_sent(program->session))
			put(input, program->session->fd);
		break;
	case CALL:
		check_call(program, input);
		break;
	case SET_WORD:
		if (page)
			set_word(input, page);
		break;
	case SET_INDEX:
		if (page)
			set_index(input, program->session);
		break;
	case SET_TEXT:
		if (page)
			set_text(input, page);
		break;
	case HANG_UP:
		hang_up(program, take_u8(input));
		break;
	case TIME_PASSES:
		stage_sleep(take_u8(input));
		break;
	case SENDING_FAILS:
		kernel.send_error = send_errors[take_u8(input) % ARRAY_SIZE(send_errors)];
		kernel.sends = take_u8(input) % 4;
		break;
	default:
		kernel.connect_error = connect_errors[take_u8(input) % ARRAY_SIZE(connect_errors)];
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct program program;

	start(&program, take_u8(&input));
	for (int i = 0; i < STEPS_MOST && input.left > 0; i++)
		take_step(&program, &input);
	stop(&program);
	return 0;
}
