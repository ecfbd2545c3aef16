/*
 * The connector: its real handlers, c-ares behind them, between workers that were taken over, name
 * servers that lie, and hosts and resolv.conf files of any kind.  Whatever happens, everything that was
 * taken is given back, and what is told to a worker is a printable line.
 *
 *   steps: which (1), and what belongs to it
 */
#include "tests/fuzz/stage.h"

#include <errno.h>

#include "connector/connector.h"
#include "connector/dial.h"
#include "connector/lookup.h"

#define STEPS_MOST 48
#define WORKERS    3

enum step {
	WORKER_COMES,
	WORKER_SAYS,
	WORKER_DIALS,
	WORKER_CANCELS,
	WORKER_HANGS_UP,
	SUPERVISOR_SAYS,
	FILES_COME,
	FILES_ARE_SAME,
	SERVER_ANSWERS,
	SOCKET_READY,
	CONNECTING_FAILS,
	SOCKETS_LACK,
	SENDING_FAILS,
	TIME_PASSES,
	STEPS,
};

static struct child child = { .role = ROLE_CONNECTOR, .ops = &connector_ops };
static unsigned events_of_ours;
static bool lost;

static struct connector *connector(void)
{
	return child.state;
}

/* ---- what is sent: questions to name servers, answers to workers ---- */

#define QUESTIONS     8
#define QUESTION_MOST 512
#define DNS_HEADER    12

static struct question_sent {
	int fd;
	size_t len;
	uint8_t bytes[QUESTION_MOST];
} questions[QUESTIONS];

static unsigned asked;

static bool is_question(const struct iovec *iov)
{
	static const uint8_t flags_and_count[] = { 1, 0, 0, 1 };

	return iov->iov_len > DNS_HEADER && iov->iov_len <= QUESTION_MOST &&
	       memcmp((const uint8_t *)iov->iov_base + 2, flags_and_count, 4) == 0;
}

static void on_sent(int fd, const struct msghdr *packet)
{
	const struct iovec *iov = packet->msg_iov;
	struct question_sent *question = &questions[asked % QUESTIONS];
	struct msg_header header;

	if (is_question(iov)) {
		question->fd = fd;
		question->len = iov->iov_len;
		memcpy(question->bytes, iov->iov_base, iov->iov_len);
		asked++;
		return;
	}
	if (iov->iov_len != sizeof(header) || packet->msg_iovlen < 3)
		return;
	memcpy(&header, iov->iov_base, sizeof(header));
	if (header.type == MSG_DIAL_FAILED)
		must(is_printable(iov[2].iov_base, iov[2].iov_len));
}

/* ---- the stage ---- */

static void on_lost(struct chan *chan unused_, enum msg_rule rule unused_, const char *what unused_)
{
	lost = true;
}

static void deliver(int fd, const struct packet *packet)
{
	stage_put(fd, packet);
	stage_ready(fd, EV_READ);
}

static void say(int fd, uint32_t type, const void *body, const void *tail, size_t tail_len,
		const struct packet *file)
{
	const struct msg_header header = { .type = type };
	const struct msg_info *row = &internal_messages.rows[type];
	uint8_t bytes[1024], *at = bytes;
	struct packet packet = file ? *file : (struct packet){ 0 };

	at = mempcpy(at, &header, sizeof(header));
	at = mempcpy(at, body, row->body);
	if (tail_len > 0)
		at = mempcpy(at, tail, tail_len);
	packet.bytes = bytes;
	packet.len = (size_t)(at - bytes);
	packet.fds = row->fds;
	deliver(fd, &packet);
}

static void open_channel(void)
{
	must(chan_init(&child.supervisor, child.base, stage_fd(), &internal_messages,
		       ROLE_CONNECTOR, ROLE_SUPERVISOR, RUN, connector_ops.handlers, on_lost,
		       &child) == 0);
}

/* c-ares takes long to begin, so it begins once. */
static void prepare(void)
{
	const struct msg_start begin = { 0 };

	if (child.state)
		return;
	child.base = stage_base();
	must(connector_ops.prepare(&child) == 0);
	open_channel();
	say(child.supervisor.fd, MSG_START, &begin, NULL, 0, NULL);
	chan_deinit(&child.supervisor);
	must(!lost && child.counters);
	events_of_ours = stage_events();
}

static void start(void)
{
	lost = false;
	asked = 0;
	kernel.on_sent = on_sent;
	kernel.connect_error = EINPROGRESS;
	open_channel();
}

static void stop(void)
{
	struct names *names = &connector()->names;
	char nothing[] = "";

	kernel = (struct kernel){ .now_ms = kernel.now_ms };
	while (!LIST_EMPTY(&connector()->diallers))
		dialler_free(LIST_FIRST(&connector()->diallers));
	chan_deinit(&child.supervisor);
	must(LIST_EMPTY(&names->lookups) && connector()->dialler_count == 0);
	/* Questions that nobody waits for end with their servers. */
	resolvconf_parse(&names->servers.conf, nothing);
	for (unsigned i = 0; i < LIMIT_NAME_SERVERS; i++)
		must(nameserver_set_address(&names->servers.server[i],
					    &names->servers.conf.server[0]) == 0);
	hosts_deinit(&names->hosts);
	namecache_clear(&names->cache);
	names->asking = connector()->draining = false;
	names->checked_ms = 0;
	must(stage_fds() == 0 && stage_events() == events_of_ours);
}

static struct dialler *some_dialler(struct input *input)
{
	unsigned number = take_u8(input) % WORKERS;
	struct dialler *dialler;

	LIST_FOREACH(dialler, &connector()->diallers, next) {
		if (number-- == 0)
			return dialler;
	}
	return LIST_FIRST(&connector()->diallers);
}

/* ---- steps ---- */

static void worker_comes(uint32_t uid)
{
	const struct msg_worker_chan body = { .uid = uid, .pid = uid };

	if (connector()->dialler_count < WORKERS)
		say(child.supervisor.fd, MSG_WORKER_CHAN, &body, NULL, 0, NULL);
}

static void worker_says(struct input *input, const struct dialler *dialler)
{
	struct packet_space space;
	struct packet packet = stage_take_packet(input, &internal_messages, &space);

	if (dialler)
		deliver(dialler->chan.fd, &packet);
}

static void worker_dials(struct input *input, const struct dialler *dialler)
{
	static const uint16_t families[] = { AF_UNSPEC, AF_INET, AF_INET6 };
	struct msg_dial body = { .port = 443 };
	const uint8_t *host;
	size_t len;

	body.id = take_u8(input);
	body.deadline_ms = take_u16(input);
	body.family = families[take_u8(input) % ARRAY_SIZE(families)];
	host = take(input, take_u8(input) % (LIMIT_HOST + 1), &len);
	if (dialler)
		say(dialler->chan.fd, MSG_DIAL, &body, host, len, NULL);
}

static void worker_cancels(struct input *input, const struct dialler *dialler)
{
	const struct msg_dial_cancel body = { .id = take_u8(input) };

	if (dialler)
		say(dialler->chan.fd, MSG_DIAL_CANCEL, &body, NULL, 0, NULL);
}

static void worker_hangs_up(const struct dialler *dialler)
{
	if (!dialler)
		return;
	stage_hang_up(dialler->chan.fd);
	stage_ready(dialler->chan.fd, EV_READ);
}

static void supervisor_says(struct input *input)
{
	struct packet_space space;
	struct packet packet = stage_take_packet(input, &internal_messages, &space);

	packet.file = input->at;
	packet.file_len = MIN(input->left, (size_t)64);
	deliver(child.supervisor.fd, &packet);
}

/* One file that is read as both: what is no line of the one is left out there. */
static void files_come(struct input *input)
{
	const struct msg_resolver body = { 0 };
	struct packet packet = { 0 };

	packet.file = take(input, take_u8(input), &packet.file_len);
	say(child.supervisor.fd, MSG_RESOLVER, &body, NULL, 0, &packet);
}

/* A record about the question's name: type, TTL, and data as long as that type has, or any. */
static uint8_t *add_record(struct input *input, uint8_t *at)
{
	static const uint16_t types[] = { 1, 28, 5, 6, 41 };
	static const uint16_t lens[] = { 4, 16, 2, 0, 0 };
	uint8_t kind = take_u8(input), which = kind % ARRAY_SIZE(types);
	uint16_t len = kind & 0x80 ? take_u8(input) % 64 : lens[which];
	uint32_t ttl = take_u16(input) * 65537u;
	const uint8_t head[] = {
		0xc0, DNS_HEADER, 0, (uint8_t)types[which], 0, 1, (uint8_t)(ttl >> 24),
		(uint8_t)(ttl >> 16), (uint8_t)(ttl >> 8), (uint8_t)ttl, (uint8_t)(len >> 8), (uint8_t)len,
	};

	at = mempcpy(at, head, sizeof(head));
	take_into(input, at, len);
	return at + len;
}

/* Right id and question, so that it is listened to; then what the input says. */
static void server_answers(struct input *input)
{
	const struct question_sent *question = &questions[take_u8(input) % QUESTIONS];
	uint8_t flags = take_u8(input), code = take_u8(input), records = take_u8(input) % 8, *at;
	uint8_t bytes[QUESTION_MOST + 8 * 80 + 256];
	struct packet packet = { .bytes = bytes };
	size_t len;
	const uint8_t *rest;

	if (question >= &questions[MIN(asked, (unsigned)QUESTIONS)] || !stage_is_open(question->fd))
		return;
	at = mempcpy(bytes, question->bytes, question->len);
	bytes[2] = flags | 0x80;
	bytes[3] = code;
	bytes[7] = records;
	for (unsigned i = 0; i < records; i++)
		at = add_record(input, at);
	rest = take(input, take_u8(input), &len);
	if (len > 0)
		at = mempcpy(at, rest, len);
	packet.len = (size_t)(at - bytes);
	deliver(question->fd, &packet);
}

static void take_step(struct input *input)
{
	static const int sends[] = { 0, EAGAIN, EPIPE, ECONNREFUSED };
	static const int connects[] = { EINPROGRESS, 0, ECONNREFUSED, ENETUNREACH, ETIMEDOUT, EMFILE };
	static const int sockets[] = { 0, EMFILE, EAFNOSUPPORT, ENOBUFS };
	const struct msg_resolver_same same = { 0 };
	struct dialler *dialler;
	int fd;

	switch ((enum step)(take_u8(input) % STEPS)) {
	case WORKER_COMES:
		worker_comes(take_u8(input));
		break;
	case WORKER_SAYS:
		dialler = some_dialler(input);
		worker_says(input, dialler);
		break;
	case WORKER_DIALS:
		dialler = some_dialler(input);
		worker_dials(input, dialler);
		break;
	case WORKER_CANCELS:
		dialler = some_dialler(input);
		worker_cancels(input, dialler);
		break;
	case WORKER_HANGS_UP:
		worker_hangs_up(some_dialler(input));
		break;
	case SUPERVISOR_SAYS:
		supervisor_says(input);
		break;
	case FILES_COME:
		files_come(input);
		break;
	case FILES_ARE_SAME:
		say(child.supervisor.fd, MSG_RESOLVER_SAME, &same, NULL, 0, NULL);
		break;
	case SERVER_ANSWERS:
		server_answers(input);
		break;
	case SOCKET_READY:
		fd = stage_nth(take_u8(input));
		if (fd >= 0)
			stage_ready(fd, EV_READ | EV_WRITE);
		break;
	case CONNECTING_FAILS:
		kernel.connect_error = connects[take_u8(input) % ARRAY_SIZE(connects)];
		break;
	case SOCKETS_LACK:
		kernel.socket_error = sockets[take_u8(input) % ARRAY_SIZE(sockets)];
		break;
	case SENDING_FAILS:
		kernel.send_error = sends[take_u8(input) % ARRAY_SIZE(sends)];
		break;
	default:
		stage_sleep(take_u16(input));
	}
}

static void check_dials(void)
{
	const struct dialler *dialler;
	const struct dial *dial;

	LIST_FOREACH(dialler, &connector()->diallers, next) {
		unsigned waiting = 0, running = 0;

		TAILQ_FOREACH(dial, &dialler->waiting, next)
			waiting++;
		TAILQ_FOREACH(dial, &dialler->running, next)
			running++;
		must(waiting == dialler->waiting_count && running == dialler->running_count);
		must(running <= LIMIT_DIALS_PER_BADGE);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };

	prepare();
	start();
	for (int i = 0; i < STEPS_MOST && input.left > 0 && !lost; i++) {
		take_step(&input);
		check_dials();
	}
	stop();
	return 0;
}
