/*
 * The keyholder: signatures that verify, whose turn it is, how much a worker may ask for at once, and
 * that a worker which asks for what it may not have gets no signature and disturbs nobody.
 */
#include "keyholder_rig.h"

#include <sys/wait.h>

#include "tests/attacks.h"

/* ---- every scheme ---- */

static const struct {
	uint16_t code;
	const char *type, *digest;
	uint16_t version;
} schemes[] = {
#define SCHEME(code, type, digest, padding, version) { code, type, digest, version },
#include "keys/schemes.def"
#undef SCHEME
};

/* Keys of all types, by number, all for badge 1. */
static const struct {
	const char *type, *group;
	unsigned bits;
} kinds[] = {
	{ "EC", "P-256", 0 },	  { "EC", "P-384", 0 },	   { "EC", "P-521", 0 },
	{ "ED25519", NULL, 0 }, { "RSA", NULL, 2048 }, { "RSA-PSS", NULL, 2048 },
};

#define KINDS ARRAY_SIZE(kinds)

static void load_all_kinds(struct rig *rig, EVP_PKEY *keys[KINDS])
{
	rig_keys(rig, KINDS);
	for (uint32_t i = 0; i < KINDS; i++) {
		keys[i] = key_generate(kinds[i].type, kinds[i].group, kinds[i].bits);
		rig_key(rig, i + 1, 1, keys[i]);
	}
	assert_int_equal(rig_keyholder(rig)->keys.count, KINDS);
}

/* Each key by each scheme, for each version: signed if they go together, else refused. */
static void every_scheme_signs_and_the_signature_verifies(void **state unused_)
{
	EVP_PKEY *keys[KINDS];
	uint8_t bytes[1024];
	unsigned good = 0;
	struct rig rig;
	int worker;

	rig_init(&rig);
	load_all_kinds(&rig, keys);
	worker = rig_worker(&rig, 1);
	for (size_t i = 0; i < KINDS * ARRAY_SIZE(schemes) * 2; i++) {
		const size_t kind = i % KINDS, scheme = i / KINDS % ARRAY_SIZE(schemes);
		const bool new = i >= KINDS * ARRAY_SIZE(schemes);
		size_t len = new ? flight_1_3(bytes, FLIGHT_TEXT, 48)
				 : flight_1_2(bytes, flight_types, ARRAY_SIZE(flight_types), 40);
		struct answer answer = rig_sign(&rig, worker, (uint32_t)kind + 1,
						schemes[scheme].code, bytes, len);
		bool fits = strcmp(kinds[kind].type, schemes[scheme].type) == 0 &&
			    (schemes[scheme].version == 0 || !new);

		if (!fits) {
			assert_int_equal(answer.error, TLSB_E_POLICY);
			assert_int_equal(answer.len, 0);
			continue;
		}
		assert_int_equal(answer.error, TLSB_E_NONE);
		assert_true(is_signature(keys[kind], schemes[scheme].code, &answer, bytes, len));
		bytes[len - 1] ^= 1;
		assert_false(is_signature(keys[kind], schemes[scheme].code, &answer, bytes, len));
		good++;
	}
	assert_int_equal(good, 9 * 2 + 2 + 6 + 6 + 3);
	assert_int_equal(rig_count(&rig, COUNTER_signatures), good);
	for (size_t i = 0; i < KINDS; i++)
		EVP_PKEY_free(keys[i]);
	close(worker);
	rig_deinit(&rig);
}

/* ---- one badge's worker, with one P-256 key ---- */

struct scene {
	struct rig rig;
	EVP_PKEY *key;
	int worker;
	uint8_t bytes[256];
	size_t len;
};

#define KEY	1
#define BADGE	1
#define SCHEME_ 0x0403

static void scene_init(struct scene *scene)
{
	rig_init(&scene->rig);
	scene->key = key_generate("EC", "P-256", 0);
	rig_keys(&scene->rig, 1);
	rig_key(&scene->rig, KEY, BADGE, scene->key);
	scene->worker = rig_worker(&scene->rig, BADGE);
	scene->len = flight_1_3(scene->bytes, FLIGHT_TEXT, 32);
}

static void scene_deinit(struct scene *scene)
{
	fd_close(scene->worker);
	rig_turn(&scene->rig);
	assert_int_equal(rig_keyholder(&scene->rig)->asker_count, 0);
	assert_true(TAILQ_EMPTY(&rig_keyholder(&scene->rig)->busy));
	assert_false(scene->rig.lost);
	rig_deinit(&scene->rig);
	EVP_PKEY_free(scene->key);
}

static void expect_signed(struct scene *scene, int worker)
{
	struct answer answer = rig_sign(&scene->rig, worker, KEY, SCHEME_, scene->bytes, scene->len);

	assert_int_equal(answer.error, TLSB_E_NONE);
	assert_true(is_signature(scene->key, SCHEME_, &answer, scene->bytes, scene->len));
}

/* The keyholder has hung up. */
static bool is_given_up(int worker)
{
	struct answer answer;
	int r;

	while ((r = worker_hears(worker, &answer)) == 1)
		;
	return r == 0;
}

static int asks(struct scene *scene, int worker, uint64_t id)
{
	return worker_asks(worker, id, KEY, SCHEME_, scene->bytes, scene->len);
}

/* ---- turns ---- */

static struct asker *asker_of(struct scene *scene, unsigned nth)
{
	struct asker *asker = LIST_FIRST(&rig_keyholder(&scene->rig)->askers);

	while (nth-- > 0)
		asker = LIST_NEXT(asker, next);
	return asker;
}

/* All that came, before any of it is done: the handlers alone. */
static void put_in_line(struct asker *asker, uint64_t id, size_t len, int *ret)
{
	static uint8_t bytes[LIMIT_TAIL];
	const struct msg_sign body = { .id = id, .key = KEY, .scheme = SCHEME_ };
	struct msg msg = { .type = MSG_SIGN, .body = &body, .tail = (const char *)bytes,
			   .tail_len = (uint32_t)len };

	*ret = asker->chan.handlers[MSG_SIGN](&asker->chan, &msg);
}

static int put_part(struct asker *asker, size_t len)
{
	static uint8_t bytes[LIMIT_TAIL];
	struct msg msg = { .type = MSG_SIGN_PART, .tail = (const char *)bytes,
			   .tail_len = (uint32_t)len };

	return asker->chan.handlers[MSG_SIGN_PART](&asker->chan, &msg);
}

static void each_wish_is_answered_in_its_order(void **state unused_)
{
	const unsigned wishes[3] = { 20, 3, 1 };
	struct scene scene;
	int workers[3];

	scene_init(&scene);
	for (int i = 0; i < 3; i++) {
		workers[i] = rig_worker(&scene.rig, BADGE);
		for (unsigned n = 0; n < wishes[i]; n++)
			assert_int_equal(asks(&scene, workers[i], n + 1), 0);
	}
	rig_turn(&scene.rig);
	for (int i = 0; i < 3; i++) {
		struct answer answer = { 0 };

		for (unsigned n = 0; n < wishes[i]; n++) {
			assert_int_equal(worker_hears(workers[i], &answer), 1);
			assert_int_equal(answer.id, n + 1);
			assert_int_equal(answer.error, TLSB_E_NONE);
		}
		assert_int_equal(asker_of(&scene, (unsigned)i)->job_count, 0);
		assert_int_equal(asker_of(&scene, (unsigned)i)->job_bytes, 0);
	}
	for (int i = 0; i < 3; i++)
		close(workers[i]);
	scene_deinit(&scene);
}

/* Between any two signatures: how many were made when the modest one had its own. */
struct watch {
	struct rig *rig;
	const struct asker *modest, *greedy;
	struct event *event;
	unsigned greedy_had; /* left to do */
};

static void on_watch(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct watch *watch = arg;

	if (watch->modest->job_count == 0)
		watch->greedy_had = watch->greedy->job_count;
	else
		event_active(watch->event, EV_TIMEOUT, 0);
}

/* Who wants one signature waits for one of another's, and not for all that the other wants. */
static void one_with_much_to_sign_does_not_hold_up_others(void **state unused_)
{
	struct watch watch;
	struct scene scene;
	int other, r;

	scene_init(&scene);
	other = rig_worker(&scene.rig, BADGE);
	watch = (struct watch){ &scene.rig, asker_of(&scene, 0), asker_of(&scene, 1), NULL, 0 };
	watch.event = event_new(scene.rig.child.base, -1, 0, on_watch, &watch);
	for (unsigned n = 0; n < LIMIT_SIGNS; n++) {
		put_in_line(asker_of(&scene, 1), n, 8, &r);
		assert_int_equal(r, 0);
	}
	put_in_line(asker_of(&scene, 0), 0, 8, &r);
	event_active(watch.event, EV_TIMEOUT, 0);
	for (int i = 0; i < 20; i++)
		rig_turn(&scene.rig);
	assert_in_range(watch.greedy_had, LIMIT_SIGNS - 3, LIMIT_SIGNS - 1);
	assert_int_equal(watch.greedy->job_count, 0);
	event_free(watch.event);
	close(other);
	scene_deinit(&scene);
}

/* ---- bounds ---- */

static void a_worker_has_so_many_signatures_on_the_way(void **state unused_)
{
	struct scene scene;
	struct asker *asker;
	int r;

	scene_init(&scene);
	asker = asker_of(&scene, 0);
	for (unsigned i = 0; i < LIMIT_SIGNS; i++) {
		put_in_line(asker, i, 8, &r);
		assert_int_equal(r, 0);
	}
	put_in_line(asker, LIMIT_SIGNS, 8, &r);
	assert_int_equal(r, -EBADMSG);
	assert_int_equal(put_part(asker, 8), -EBADMSG);
	scene_deinit(&scene);
}

static void a_worker_has_so_many_bytes_on_the_way(void **state unused_)
{
	struct scene scene;
	struct asker *asker;
	int r;

	scene_init(&scene);
	asker = asker_of(&scene, 0);
	for (unsigned i = 0; asker->job_bytes + LIMIT_SIGN_BYTES <= LIMIT_SIGNS_BYTES; i++) {
		for (size_t len = LIMIT_SIGN_BYTES; len > LIMIT_TAIL; len -= LIMIT_TAIL)
			assert_int_equal(put_part(asker, LIMIT_TAIL), 0);
		put_in_line(asker, i, LIMIT_SIGN_BYTES - asker->part_len, &r);
		assert_int_equal(r, 0);
	}
	assert_int_equal(asker->job_bytes, LIMIT_SIGNS_BYTES);
	put_in_line(asker, 99, 1, &r);
	assert_int_equal(r, -EBADMSG);
	scene_deinit(&scene);
}

/* As many as go, in one after the other. */
static size_t make_long(uint8_t *bytes, size_t len)
{
	const uint8_t plain[] = { 1, 2, 11, 12, 13, 14, 11, 16 };
	size_t most = len / sizeof(plain) - 4, rest;
	uint8_t *at = bytes;

	for (size_t i = 0; i + 1 < sizeof(plain); i++)
		at = flight_add(at, plain[i], most);
	rest = len - (size_t)(at - bytes) - 4;
	at = flight_add(at, 16, rest);
	return (size_t)(at - bytes);
}

static void parts_are_put_together_up_to_the_limit(void **state unused_)
{
	static const size_t lens[] = { LIMIT_TAIL - 1, LIMIT_TAIL, LIMIT_TAIL + 1, 2 * LIMIT_TAIL,
				       LIMIT_SIGN_BYTES - 1, LIMIT_SIGN_BYTES };
	static uint8_t bytes[LIMIT_SIGN_BYTES + 64];
	struct scene scene;

	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		struct answer answer;
		size_t len = make_long(bytes, lens[i]);

		assert_int_equal(len, lens[i]);
		answer = rig_sign(&scene.rig, scene.worker, KEY, SCHEME_, bytes, len);
		assert_int_equal(answer.error, TLSB_E_NONE);
		assert_true(is_signature(scene.key, SCHEME_, &answer, bytes, len));
	}
	/* One more. */
	assert_int_equal(worker_asks(scene.worker, 9, KEY, SCHEME_, bytes,
				     make_long(bytes, LIMIT_SIGN_BYTES + 1)), 0);
	rig_turn(&scene.rig);
	assert_true(is_given_up(scene.worker));
	assert_int_equal(rig_count(&scene.rig, COUNTER_violations), 1);
	scene_deinit(&scene);
}

/* ---- channels ---- */

/* A worker that is given another channel loses the one that it had, and what it wanted there. */
static void a_new_channel_takes_the_place_of_the_old_one(void **state unused_)
{
	struct scene scene;
	struct answer answer;
	int first, second;

	scene_init(&scene);
	first = rig_worker_of_pid(&scene.rig, BADGE, 77);
	assert_int_equal(asks(&scene, first, 1), 0);
	assert_int_equal(worker_say(first, MSG_SIGN_PART, &(struct msg_sign_part){ 0 }, "x", 1), 0);
	second = rig_worker_of_pid(&scene.rig, BADGE, 77);
	assert_int_equal(rig_keyholder(&scene.rig)->asker_count, 2);
	rig_turn(&scene.rig);
	assert_true(is_given_up(first));
	assert_int_equal(worker_hears(second, &answer), -EAGAIN);
	expect_signed(&scene, second);
	expect_signed(&scene, scene.worker);
	close(first);
	close(second);
	scene_deinit(&scene);
}

/* Its end of the channel is still open: whoever has it now is not that worker. */
static void a_channel_ends_with_its_worker(void **state unused_)
{
	const struct msg_worker_gone gone = { .pid = 77 }, other = { .pid = 78 };
	struct scene scene;
	int worker;

	scene_init(&scene);
	worker = rig_worker_of_pid(&scene.rig, BADGE, 77);
	rig_tell(&scene.rig, MSG_WORKER_GONE, &other, NULL, 0, -1);
	expect_signed(&scene, worker);
	assert_int_equal(asks(&scene, worker, 1), 0);
	rig_tell(&scene.rig, MSG_WORKER_GONE, &gone, NULL, 0, -1);
	rig_turn(&scene.rig);
	assert_true(is_given_up(worker));
	assert_int_equal(rig_keyholder(&scene.rig)->asker_count, 1);
	expect_signed(&scene, scene.worker);
	close(worker);
	scene_deinit(&scene);
}

static void a_worker_that_goes_is_forgotten(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	for (int i = 0; i < 50; i++) {
		int worker = rig_worker(&scene.rig, BADGE);

		for (int n = 0; n < i; n++)
			assert_int_equal(asks(&scene, worker, (uint64_t)n), 0);
		if (i % 2)
			event_base_loop(scene.rig.child.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		close(worker);
		rig_turn(&scene.rig);
		expect_signed(&scene, scene.worker);
	}
	for (int i = 0; i < 60; i++)
		rig_turn(&scene.rig);
	assert_int_equal(rig_keyholder(&scene.rig)->asker_count, 1);
	scene_deinit(&scene);
}

static void there_are_so_many_channels(void **state unused_)
{
	static int workers[2 * LIMIT_WORKERS];
	struct scene scene;
	int late;

	scene_init(&scene);
	for (unsigned i = 0; i < 2 * LIMIT_WORKERS - 1; i++)
		workers[i] = rig_worker(&scene.rig, BADGE);
	late = rig_worker(&scene.rig, BADGE);
	assert_true(is_given_up(late));
	assert_false(is_given_up(workers[0]));
	assert_false(scene.rig.lost);
	close(late);
	for (unsigned i = 0; i < 2 * LIMIT_WORKERS - 1; i++)
		close(workers[i]);
	for (int i = 0; i < 100; i++)
		rig_turn(&scene.rig);
	scene_deinit(&scene);
}

/* Handshakes that are under way go on while the daemon stops. */
static void it_signs_on_while_it_drains(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	rig_tell(&scene.rig, MSG_DRAIN, &(struct msg_drain){ .deadline_ms = 1000 }, NULL, 0, -1);
	expect_signed(&scene, scene.worker);
	scene_deinit(&scene);
}

/* ---- case 42: a worker that was taken over has the keyholder for an oracle ---- */

static void expect_refused(struct scene *scene, uint32_t key, uint16_t scheme, const void *bytes,
			   size_t len)
{
	struct answer answer = rig_sign(&scene->rig, scene->worker, key, scheme, bytes, len);

	assert_int_equal(answer.error, TLSB_E_POLICY);
	assert_int_equal(answer.len, 0);
}

/* What a signature would be worth something for elsewhere, with keys that it has and has not. */
static void case_42_nothing_but_client_handshakes_is_signed(void **state unused_)
{
	static const char *const others[] = { "", "x", "tree 01\nauthor root\n", "SSHSIG", "\x30\x03" };
	struct scene scene;
	uint64_t refused = 0;
	uint8_t bytes[256];

	scene_init(&scene);
	for (uint32_t key = 0; key < 4; key++) {
		for (size_t i = 0; i < ARRAY_SIZE(others); i++, refused++)
			expect_refused(&scene, key, SCHEME_, others[i], strlen(others[i]));
		expect_refused(&scene, key, SCHEME_, bytes,
			       flight_1_3(bytes, "TLS 1.3, server CertificateVerify", 32));
		refused++;
	}
	for (unsigned scheme = 0; scheme < 0x10000; scheme += scheme == 0x0402 ? 2 : 1, refused++) {
		const struct scheme *known = scheme_of_code((uint16_t)scheme);

		if (known && strcmp(known->type, "EC") == 0)
			continue;
		expect_refused(&scene, KEY, (uint16_t)scheme, scene.bytes, scene.len);
	}
	expect_signed(&scene, scene.worker);
	assert_int_equal(rig_count(&scene.rig, COUNTER_signatures), 1);
	assert_true(rig_count(&scene.rig, COUNTER_signatures_refused) >= 65536 - 4);
	attacks_count("messages", refused, refused);
	scene_deinit(&scene);
}

static void case_42_a_flood_gets_no_more_than_its_turns(void **state unused_)
{
	struct scene scene;
	unsigned answered = 0;
	struct answer answer;
	uint64_t sent = 0;
	int flooder;

	scene_init(&scene);
	flooder = rig_worker(&scene.rig, BADGE);
	/* It asks without reading, until it is given up. */
	for (int round = 0; round < 2000; round++) {
		while (asks(&scene, flooder, sent) == 0)
			sent++;
		event_base_loop(scene.rig.child.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		if (rig_keyholder(&scene.rig)->asker_count == 1)
			break;
	}
	assert_int_equal(rig_keyholder(&scene.rig)->asker_count, 1);
	assert_int_equal(rig_count(&scene.rig, COUNTER_violations), 1);
	while (worker_hears(flooder, &answer) == 1)
		answered++;
	assert_true(answered < sent);
	expect_signed(&scene, scene.worker);
	attacks_count("messages", sent, sent);
	close(flooder);
	scene_deinit(&scene);
}

/* Ids are the worker's own, and mean nothing here: two of the same are two. */
static void case_42_ids_are_given_back_as_they_are(void **state unused_)
{
	static const uint64_t ids[] = { 0, 1, 1, UINT64_MAX, 1 };
	struct scene scene;
	struct answer answer;

	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		assert_int_equal(asks(&scene, scene.worker, ids[i]), 0);
	rig_turn(&scene.rig);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		assert_int_equal(worker_hears(scene.worker, &answer), 1);
		assert_int_equal(answer.id, ids[i]);
	}
	scene_deinit(&scene);
}

/* ---- as a process of its own, in its real sandbox ---- */

#ifdef SANDBOX_CAN_BE_OFF
#define MODE SANDBOX_OFF /* a sanitizer makes calls of its own */
#else
#define MODE SANDBOX_ENFORCE
#endif

static void noreturn_ run_keyholder(int channel)
{
	alarm(TESTING_SECONDS);
	if (channel != SUPERVISOR_FD)
		dup2(channel, SUPERVISOR_FD);
	_exit(child_main(ROLE_KEYHOLDER, &keyholder_ops, MODE));
}

/* A message for us, other than for the log. */
static int await(int fd, enum role self, enum msg_phase phase, union msg_buffer *buf, struct msg *msg)
{
	const struct msg_context ctx = { &internal_messages, self, ROLE_KEYHOLDER, phase };
	enum msg_rule rule = RULE_NONE;
	int r = -EAGAIN;

	for (int i = 0; i < 60000; i++) {
		r = msg_recv(fd, &ctx, buf, msg, &rule);
		if (r == -EAGAIN)
			usleep(1000);
		else if (r != 1 || msg->type != MSG_LOG)
			break;
	}
	return r;
}

static void tell(int supervisor, uint32_t type, const void *body, const char *tail, size_t len, int fd)
{
	assert_int_equal(msg_send(supervisor, &internal_messages, type, body, tail, len, &fd), 0);
	fd_close(fd);
}

/* All that it does goes through the system call filter, which kills it otherwise: with every kind of key. */
static void all_that_a_keyholder_does_passes_the_filter(void **state unused_)
{
	const struct msg_keys all = { .count = KINDS };
	const struct msg_worker_chan whose = { .uid = 1000, .badge = 1, .pid = 5 };
	static const uint16_t codes[KINDS] = { 0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0809 };
	EVP_PKEY *keys[KINDS];
	struct counters *counters;
	union msg_buffer buf;
	struct msg msg;
	uint8_t bytes[256];
	size_t len = flight_1_3(bytes, FLIGHT_TEXT, 32);
	int pair[2], page, supervisor, worker, status;
	pid_t pid;

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	pid = fork();
	if (pid == 0)
		run_keyholder(pair[0]);
	close(pair[0]);
	supervisor = pair[1];
	assert_int_equal(await(supervisor, ROLE_SUPERVISOR, FRESH, &buf, &msg), 1);
	assert_int_equal(msg.type, MSG_READY);
	assert_int_equal(counters_create(&counters, &page), 0);
	tell(supervisor, MSG_START, &(struct msg_start){ .verbose = 1 }, NULL, 0, page);
	tell(supervisor, MSG_KEYS, &all, NULL, 0, -1);
	for (uint32_t i = 0; i < KINDS; i++) {
		const struct msg_key body = { .key = i + 1, .badge_count = 1 };

		keys[i] = key_generate(kinds[i].type, kinds[i].group, kinds[i].bits);
		tell(supervisor, MSG_KEY, &body, "\1\0\0\0name", 8, key_file(keys[i], NULL));
	}
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	tell(supervisor, MSG_WORKER_CHAN, &whose, NULL, 0, pair[0]);
	worker = pair[1];
	for (uint32_t i = 0; i < KINDS; i++) {
		struct answer answer = { 0 };

		assert_int_equal(worker_asks(worker, i, i + 1, codes[i], bytes, len), 0);
		assert_int_equal(await(worker, ROLE_WORKER, RUN, &buf, &msg), 1);
		assert_int_equal(msg.type, MSG_SIGNED);
		assert_int_equal(((const struct msg_signed *)msg.body)->error, TLSB_E_NONE);
		answer.len = msg.tail_len;
		memcpy(answer.bytes, msg.tail, msg.tail_len);
		assert_true(is_signature(keys[i], codes[i], &answer, bytes, len));
		EVP_PKEY_free(keys[i]);
	}
	/* Refused, damaged, replaced. */
	assert_int_equal(worker_asks(worker, 9, 99, 0x0403, bytes, len), 0);
	assert_int_equal(await(worker, ROLE_WORKER, RUN, &buf, &msg), 1);
	tell(supervisor, MSG_KEYS, &(struct msg_keys){ .count = 1 }, NULL, 0, -1);
	tell(supervisor, MSG_KEY, &(struct msg_key){ .key = 1, .badge_count = 1 }, "\1\0\0\0name", 8,
	     file_of("garbage", 7));
	assert_int_equal(worker_asks(worker, 9, 1, 0x0403, bytes, len), 0);
	assert_int_equal(await(worker, ROLE_WORKER, RUN, &buf, &msg), 1);
	close(worker);
	usleep(1000);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	/* It ends when its supervisor has gone. */
	close(supervisor);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	counters_unmap(counters);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_scheme_signs_and_the_signature_verifies),
		TEST(each_wish_is_answered_in_its_order),
		TEST(one_with_much_to_sign_does_not_hold_up_others),
		TEST(a_worker_has_so_many_signatures_on_the_way),
		TEST(a_worker_has_so_many_bytes_on_the_way),
		TEST(parts_are_put_together_up_to_the_limit),
		TEST(a_new_channel_takes_the_place_of_the_old_one),
		TEST(a_channel_ends_with_its_worker),
		TEST(a_worker_that_goes_is_forgotten),
		TEST(there_are_so_many_channels),
		TEST(it_signs_on_while_it_drains),
		TEST(case_42_nothing_but_client_handshakes_is_signed),
		TEST(case_42_a_flood_gets_no_more_than_its_turns),
		TEST(case_42_ids_are_given_back_as_they_are),
		TEST(all_that_a_keyholder_does_passes_the_filter),
	};

	return testing_run(tests);
}
