/*
 * The keyholder: its real handlers, between workers that were taken over and a supervisor that sends keys
 * in files of any kind.  Whatever happens, everything that was taken is given back, nobody is over its
 * bounds, and no signature goes to a badge that has no key, nor of bytes that are no handshake's; and of a key
 * that was imported hears nobody but whose it is.
 *
 *   steps: which (1), and what belongs to it
 */
#include "tests/fuzz/stage.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/log.h"
#include "keyholder/input.h"
#include "keyholder/keyholder.h"
#include "tlsbroker.h"

#define STEPS_MOST 48
#define WORKERS	   3
#define BADGES	   4

enum step {
	WORKER_COMES,
	WORKER_SAYS,
	WORKER_ASKS,
	WORKER_HANGS_UP,
	SUPERVISOR_SAYS,
	KEYS_COME,
	KEY_COMES,
	SENDING_FAILS,
	TIME_PASSES,
	LIMITS_COME,
	WORKER_IMPORTS,
	WORKER_USES,
	STEPS,
};

static struct child child = { .role = ROLE_KEYHOLDER, .ops = &keyholder_ops };
static unsigned events_of_ours;
static bool lost;

static struct {
	uint8_t *der;
	size_t len;
} good_key;

static struct keyholder *keyholder(void)
{
	return child.state;
}

/* ---- what is sent ---- */

static bool has_a_key(uint32_t badge, enum key_kind kind)
{
	const struct keys *keys = &keyholder()->keys;

	for (uint32_t i = 0; i < keys->count; i++) {
		const struct key *key = keys_find(keys, kind, keys->list[i].number, badge);

		if (key && (kind == KEY_PSK ? key->psk != NULL : key->pkey != NULL))
			return true;
	}
	return false;
}

/* Whom a key is told of, or whom it serves, has it. */
static void check_answer(const struct asker *asker, const struct iovec *iov)
{
	struct msg_key_answer body;
	const struct owner owner = { asker->badge, asker->uid };

	memcpy(&body, iov[1].iov_base, sizeof(body));
	must(body.action < KEY_ACTIONS && iov[1].iov_len == sizeof(body));
	must(body.error == TLSB_E_NONE || body.told.key == 0);
	if (body.told.purpose == TLSB_KEY_HASH && body.action != KEY_DESTROY)
		must(imports_find(&keyholder()->imports, owner, body.told.key));
	if (body.told.purpose == TLSB_KEY_TLS)
		must(body.action == KEY_NEXT && has_a_key(asker->badge, KEY_PRIVATE));
}

static void on_sent(int fd, const struct msghdr *packet)
{
	const struct iovec *iov = packet->msg_iov;
	const struct asker *asker;
	struct msg_header header;
	struct msg_signed body;
	size_t signature;

	memcpy(&header, iov[0].iov_base, sizeof(header));
	if (header.type == MSG_KEY_ANSWER) {
		LIST_FOREACH(asker, &keyholder()->askers, next) {
			if (asker->chan.fd == fd)
				check_answer(asker, iov);
		}
		return;
	}
	if (header.type != MSG_SIGNED && header.type != MSG_PSK_GIVEN)
		return;
	memcpy(&body, iov[1].iov_base, sizeof(body));
	signature = packet->msg_iovlen > 2 ? iov[2].iov_len : 0;
	must((body.error == TLSB_E_NONE) == (signature > 0));
	must(signature <= (header.type == MSG_SIGNED ? LIMIT_SIGNATURE : LIMIT_PSK_BYTES));
	LIST_FOREACH(asker, &keyholder()->askers, next) {
		if (asker->chan.fd == fd)
			must(signature == 0 ||
			     has_a_key(asker->badge, header.type == MSG_SIGNED ? KEY_PRIVATE : KEY_PSK));
	}
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
	uint8_t bytes[LIMIT_MESSAGE], *at = bytes;
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
		       ROLE_KEYHOLDER, ROLE_SUPERVISOR, RUN, keyholder_ops.handlers, on_lost,
		       &child) == 0);
}

static void make_good_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	int len = i2d_PrivateKey(key, &good_key.der);

	must(len > 0);
	good_key.len = (size_t)len;
	EVP_PKEY_free(key);
}

static void prepare(void)
{
	const struct msg_start begin = { 0 };

	if (child.state)
		return;
	child.base = stage_base();
	must(keyholder_ops.prepare(&child) == 0);
	make_good_key();
	open_channel();
	say(child.supervisor.fd, MSG_START, &begin, NULL, 0, NULL);
	chan_deinit(&child.supervisor);
	must(!lost && child.counters);
	log_set_sink(NULL, NULL, LOG_L_ERROR); /* its lines are log.c's */
	events_of_ours = stage_events();
}

static void start(void)
{
	lost = false;
	kernel.on_sent = on_sent;
	open_channel();
}

static void stop(void)
{
	kernel = (struct kernel){ .now_ms = kernel.now_ms };
	while (!LIST_EMPTY(&keyholder()->askers))
		asker_free(LIST_FIRST(&keyholder()->askers));
	chan_deinit(&child.supervisor);
	keys_deinit(&keyholder()->keys);
	keys_deinit(&keyholder()->coming);
	imports_deinit(&keyholder()->imports);
	must(keyholder()->imports.count == 0 && keyholder()->imports.memory == 0);
	imports_init(&keyholder()->imports);
	must(TAILQ_EMPTY(&keyholder()->busy) && keyholder()->asker_count == 0);
	must(stage_fds() == 0 && stage_events() == events_of_ours);
}

static struct asker *some_asker(struct input *input)
{
	unsigned number = take_u8(input) % WORKERS;
	struct asker *asker;

	LIST_FOREACH(asker, &keyholder()->askers, next) {
		if (number-- == 0)
			return asker;
	}
	return LIST_FIRST(&keyholder()->askers);
}

/* ---- steps ---- */

static void worker_comes(struct input *input)
{
	const uint8_t who = take_u8(input);
	const struct msg_worker_chan body = { .uid = who, .badge = who % BADGES, .pid = who };

	if (keyholder()->asker_count < WORKERS)
		say(child.supervisor.fd, MSG_WORKER_CHAN, &body, NULL, 0, NULL);
}

static void worker_says(struct input *input, const struct asker *asker)
{
	struct packet_space space;
	struct packet packet = stage_take_packet(input, &internal_messages, &space);

	if (asker)
		deliver(asker->chan.fd, &packet);
}

/* What may be signed begins so; a second look at it, from the other end. */
static void check_input(const uint8_t *bytes, size_t len)
{
	static const char text[] = "TLS 1.3, client CertificateVerify";

	switch (input_version(bytes, len)) {
	case TLSB_TLS_1_3:
		must(len == 130 || len == 146);
		must(bytes[0] == ' ' && bytes[63] == ' ' && memcmp(bytes + 64, text, sizeof(text)) == 0);
		break;
	case TLSB_TLS_1_2:
		must(len >= 34 && bytes[0] == 1 && bytes[4] == 3 && bytes[5] == 3);
		break;
	default:
		return;
	}
}

/*
 * A SIGN: with a flag, in front of the input's bytes stand the spaces and the text of TLS 1.3, with another
 * the worker says half of it in a part.
 */
static void worker_asks(struct input *input, const struct asker *asker)
{
	static const char text[] = "TLS 1.3, client CertificateVerify";
	const struct msg_sign_part part = { 0 };
	struct msg_sign body = { .id = take_u8(input), .key = take_u8(input) };
	uint8_t flags, *bytes = calloc(1, LIMIT_TAIL);
	size_t len = 0, n;
	int fd;

	must(bytes);
	body.scheme = take_u16(input);
	flags = take_u8(input);
	if (flags & 1) {
		memset(bytes, ' ', 64);
		memcpy(bytes + 64, text, sizeof(text));
		len = 64 + sizeof(text);
	}
	n = take_u16(input) % 1024;
	take_into(input, bytes + len, n);
	len += n;
	check_input(bytes, len);
	n = flags & 2 ? len / 2 : 0;
	if (asker && n > 0) {
		fd = asker->chan.fd;
		say(fd, MSG_SIGN_PART, &part, bytes, n, NULL);
		asker = stage_is_open(fd) ? asker : NULL; /* or it was given up over that */
	}
	if (asker)
		say(asker->chan.fd, MSG_SIGN, &body, bytes + n, len - n, NULL);
	free(bytes);
}

static void worker_hangs_up(const struct asker *asker)
{
	if (!asker)
		return;
	stage_hang_up(asker->chan.fd);
	stage_ready(asker->chan.fd, EV_READ);
}

static void supervisor_says(struct input *input)
{
	struct packet_space space;
	struct packet packet = stage_take_packet(input, &internal_messages, &space);

	packet.file = input->at;
	packet.file_len = MIN(input->left, (size_t)512);
	deliver(child.supervisor.fd, &packet);
}

static void keys_come(uint8_t count)
{
	const struct msg_keys body = { .count = count % 4 };

	say(child.supervisor.fd, MSG_KEYS, &body, NULL, 0, NULL);
}

/* One that is announced: the good one, perhaps with a byte changed; or the input's, perhaps a pre-shared one. */
static void key_comes(struct input *input)
{
	struct msg_key body = { .key = take_u8(input), .badge_count = 1 };
	const uint32_t badge = take_u8(input) % BADGES;
	const uint8_t kind = take_u8(input);
	const size_t at = take_u8(input);
	struct packet packet = { .file = good_key.der, .file_len = good_key.len };
	uint8_t changed[256];
	char tail[5];

	memcpy(tail, &badge, sizeof(badge));
	tail[4] = 'x';
	if (kind == 1 && at < good_key.len && good_key.len <= sizeof(changed)) {
		memcpy(changed, good_key.der, good_key.len);
		changed[at] ^= take_u8(input);
		packet.file = changed;
	} else if (kind > 1) {
		packet.file = take(input, take_u16(input), &packet.file_len);
		body.kind = kind == 4 ? KEY_PSK : KEY_PRIVATE;
	}
	say(child.supervisor.fd, MSG_KEY, &body, tail, sizeof(tail), &packet);
}

/* A file as key_comes() has: the good key, that with a byte changed, or the input's. */
static void take_file(struct input *input, struct packet *packet, uint8_t changed[256])
{
	const uint8_t kind = take_u8(input);
	const size_t at = take_u8(input);

	*packet = (struct packet){ .file = good_key.der, .file_len = good_key.len };
	if (kind == 1 && at < good_key.len && good_key.len <= 256) {
		memcpy(changed, good_key.der, good_key.len);
		changed[at] ^= take_u8(input);
		packet->file = changed;
	} else if (kind > 1) {
		packet->file = take(input, take_u16(input), &packet->file_len);
	}
}

static void worker_imports(struct input *input, const struct asker *asker)
{
	const struct msg_key_hold body = { .id = take_u8(input) };
	struct packet packet;
	uint8_t changed[256];

	take_file(input, &packet, changed);
	if (asker)
		say(asker->chan.fd, MSG_KEY_HOLD, &body, NULL, 0, &packet);
}

/* Of one of all keys, perhaps another one's. */
static uint32_t some_import(uint8_t which)
{
	const struct import *import;

	LIST_FOREACH(import, &keyholder()->imports.list, next) {
		if (which-- == 0)
			return import->told.key;
	}
	return which;
}

static void worker_uses(struct input *input, const struct asker *asker)
{
	struct msg_key_ask body = { .id = take_u8(input) };
	uint8_t tail[LIMIT_HASH + LIMIT_KEY_SIGNATURE];
	size_t len;

	body.wish.action = take_u8(input);
	body.wish.key = some_import(take_u8(input));
	body.wish.algorithm = take_u16(input);
	body.wish.hash_len = take_u8(input);
	len = take_u16(input) % (sizeof(tail) + 1);
	take_into(input, tail, len);
	if (asker)
		say(asker->chan.fd, MSG_KEY_ASK, &body, tail, len, NULL);
}

static void limits_come(struct input *input)
{
	const struct msg_key_limits body = { .max_keys = take_u8(input) % 4 };
	struct key_limit limits[BADGES];

	for (uint32_t i = 0; i < BADGES; i++)
		limits[i] = (struct key_limit){ i, take_u8(input) % 4 };
	say(child.supervisor.fd, MSG_KEY_LIMITS, &body, limits, sizeof(limits), NULL);
}

static void take_step(struct input *input)
{
	static const int sends[] = { 0, EAGAIN, EPIPE, ENOMEM };
	const struct asker *asker;

	switch ((enum step)(take_u8(input) % STEPS)) {
	case WORKER_COMES:
		worker_comes(input);
		break;
	case WORKER_SAYS:
		asker = some_asker(input);
		worker_says(input, asker);
		break;
	case WORKER_ASKS:
		asker = some_asker(input);
		worker_asks(input, asker);
		break;
	case WORKER_HANGS_UP:
		worker_hangs_up(some_asker(input));
		break;
	case SUPERVISOR_SAYS:
		supervisor_says(input);
		break;
	case KEYS_COME:
		keys_come(take_u8(input));
		break;
	case KEY_COMES:
		key_comes(input);
		break;
	case LIMITS_COME:
		limits_come(input);
		break;
	case WORKER_IMPORTS:
		asker = some_asker(input);
		worker_imports(input, asker);
		break;
	case WORKER_USES:
		asker = some_asker(input);
		worker_uses(input, asker);
		break;
	case SENDING_FAILS:
		kernel.send_error = sends[take_u8(input) % ARRAY_SIZE(sends)];
		break;
	default:
		stage_sleep(take_u16(input));
	}
}

static void check_askers(void)
{
	const struct asker *asker;

	LIST_FOREACH(asker, &keyholder()->askers, next) {
		must(asker->job_count <= LIMIT_SIGNS && asker->job_bytes <= LIMIT_SIGNS_BYTES);
		must(asker->part_len <= LIMIT_SIGN_BYTES);
		must(STAILQ_EMPTY(&asker->jobs) ==
		     (asker->job_count + asker->lends + asker->errands == 0));
		must(asker->errands <= LIMIT_KEY_ASKS);
		must(asker->guests.count + asker->lends <= LIMIT_LENT);
	}
	must(keyholder()->keys.count <= LIMIT_KEYS);
	must(keyholder()->imports.memory <= LIMIT_IMPORTED_MEMORY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };

	prepare();
	start();
	for (int i = 0; i < STEPS_MOST && input.left > 0 && !lost; i++) {
		take_step(&input);
		check_askers();
	}
	stop();
	return 0;
}
