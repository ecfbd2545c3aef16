/*
 * What programs want of keys, through the worker: each on a socket of its own, passed on and answered, in
 * any order of ends; and that nothing is left of any of it.
 */
#include "worker_rig.h"

#include <sys/stat.h>

#include "base/pin.h"
#include "tests/attacks.h"
#include "tests/hostile/oddities.h"
#include "worker/client.h"
#include "worker/errand.h"

struct scene {
	struct rig rig;
	struct program program;
	int fds;
};

static void scene_init(struct scene *scene)
{
	rig_init(&scene->rig);
	rig_program(&scene->rig, &scene->program);
	scene->fds = testing_count_fds();
}

static unsigned errand_count(const struct scene *scene)
{
	const struct client *client;
	const struct errand *errand;
	unsigned count = 0;

	LIST_FOREACH(client, &rig_worker(&scene->rig)->clients, in_worker) {
		LIST_FOREACH(errand, &client->errands, of_client)
			count++;
	}
	return count;
}

static void scene_deinit(struct scene *scene)
{
	rig_turn(&scene->rig);
	assert_int_equal(errand_count(scene), 0);
	assert_int_equal(rig_worker(&scene->rig)->errands_asked, 0);
	assert_true(TAILQ_EMPTY(&rig_worker(&scene->rig)->errands_in_line));
	assert_int_equal(testing_count_fds(), scene->fds);
	fd_close(scene->program.fd);
	rig_turn(&scene->rig);
	rig_deinit(&scene->rig);
}

/* ---- as a program ---- */

static int opens_as(struct scene *scene, const struct program *program)
{
	const struct msg_key_socket nothing = { 0 };
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	assert_int_equal(program_send(program->fd, CLIENT_MSG_KEY_SOCKET, &nothing, NULL, 0, &pair[1]),
			 0);
	close(pair[1]);
	rig_turn(&scene->rig);
	return pair[0];
}

static int opens(struct scene *scene)
{
	return opens_as(scene, &scene->program);
}

static void wants(struct scene *scene, int socket, const struct key_wish *wish, const void *tail,
		  size_t len)
{
	const struct msg_key_use use = { .wish = *wish };

	assert_int_equal(program_send(socket, CLIENT_MSG_KEY_USE, &use, tail, len, NULL), 0);
	rig_turn(&scene->rig);
}

static void wants_next(struct scene *scene, int socket, uint32_t after)
{
	wants(scene, socket, &(struct key_wish){ .key = after, .action = KEY_NEXT }, NULL, 0);
}

static void brings(struct scene *scene, int socket, int fd)
{
	const struct msg_key_import nothing = { 0 };

	assert_int_equal(program_send(socket, CLIENT_MSG_KEY_IMPORT, &nothing, NULL, 0, &fd), 0);
	rig_turn(&scene->rig);
}

struct said {
	uint32_t type; /* KEY_DONE or REFUSED */
	uint32_t error;
	struct key_told told;
	size_t len;
	char tail[LIMIT_KEY_SIGNATURE + 1];
};

/* 1; 0: it hung up, or -EAGAIN. */
static int hears(int socket, struct said *ret)
{
	const struct msg_context ctx = { &client_messages, ROLE_CLIENT, ROLE_WORKER, KEY };
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;
	int r = msg_recv(socket, &ctx, &buf, &msg, &rule);

	assert_int_equal(rule, RULE_NONE);
	if (r == -ECONNRESET)
		return 0;
	if (r != 1)
		return r;
	*ret = (struct said){ .type = msg.type, .len = msg.tail_len };
	if (msg.type == CLIENT_MSG_KEY_DONE)
		memcpy(&ret->told, msg.body, sizeof(ret->told));
	else
		ret->error = ((const struct msg_refused *)msg.body)->error;
	memcpy(ret->tail, msg.tail, msg.tail_len);
	return 1;
}

/* What it is told, then that it hangs up. */
static struct said hears_last(struct scene *scene, int socket)
{
	struct said said, none;

	rig_turn(&scene->rig);
	assert_int_equal(hears(socket, &said), 1);
	assert_int_equal(hears(socket, &none), 0);
	close(socket);
	return said;
}

static void expect_refused(struct scene *scene, int socket, uint32_t error, const char *words)
{
	struct said said = hears_last(scene, socket);

	assert_int_equal(said.type, CLIENT_MSG_REFUSED);
	assert_int_equal(said.error, error);
	if (!strstr(said.tail, words))
		fail_msg("\"%s\" does not say \"%s\"", said.tail, words);
}

/* ---- as the keyholder ---- */

struct asked {
	uint32_t type; /* KEY_HOLD or KEY_ASK; 0: nothing */
	uint64_t id;
	int fd;
	struct key_wish wish;
	size_t len;
	char tail[LIMIT_HASH + LIMIT_KEY_SIGNATURE];
};

static struct asked is_asked(struct scene *scene)
{
	const struct msg_context ctx = { &internal_messages, ROLE_KEYHOLDER, ROLE_WORKER, RUN };
	struct asked asked = { .type = 0, .fd = -1 };
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;

	rig_turn(&scene->rig);
	if (msg_recv(scene->rig.keyholder, &ctx, &buf, &msg, &rule) != 1)
		return asked;
	asked.type = msg.type;
	memcpy(&asked.id, msg.body, sizeof(asked.id));
	asked.len = msg.tail_len;
	memcpy(asked.tail, msg.tail, msg.tail_len);
	if (msg.type == MSG_KEY_HOLD)
		asked.fd = msg_take_fd(&msg, 0);
	else if (msg.type == MSG_KEY_ASK)
		memcpy(&asked.wish, &((const struct msg_key_ask *)msg.body)->wish, sizeof(asked.wish));
	return asked;
}

static struct asked expect_asked(struct scene *scene, uint32_t type)
{
	struct asked asked = is_asked(scene);

	assert_int_equal(asked.type, type);
	return asked;
}

static const struct key_told some_key = { .key = KEY_IS_IMPORTED | 7, .bits = 256,
					  .purpose = TLSB_KEY_HASH, .type = KEY_TYPE_EC,
					  .has_private = 1, .fingerprint = { 1, 2, 3 } };

static void answers(struct scene *scene, uint64_t id, uint32_t action, uint32_t error, const char *tail)
{
	struct msg_key_answer body = { .id = id, .action = action, .error = error };

	if (error == TLSB_E_NONE)
		body.told = some_key;
	assert_int_equal(msg_send(scene->rig.keyholder, &internal_messages, MSG_KEY_ANSWER, &body, tail,
				  strlen(tail), NULL),
			 0);
	rig_turn(&scene->rig);
}

static int key_file(void)
{
	int fd;

	assert_int_equal(fd_sealed_copy("key", "any bytes", 9, &fd), 0);
	return fd;
}

/* ---- the log ---- */

struct lines {
	unsigned imports, ends;
	char fingerprint[PIN_TEXT + 1], key[24], client[24];
};

static void take_line(void *arg, enum log_level level, const char *text, const struct log_pair *pairs,
		      size_t count)
{
	struct lines *lines = arg;

	assert_int_equal(level, LOG_L_INFO);
	lines->imports += strcmp(text, "a private key was imported") == 0;
	lines->ends += strcmp(text, "a key was destroyed") == 0;
	for (size_t i = 0; i < count; i++) {
		if (pairs[i].field == FIELD_FINGERPRINT)
			snprintf(lines->fingerprint, sizeof(lines->fingerprint), "%s", pairs[i].value);
		else if (pairs[i].field == FIELD_KEY)
			snprintf(lines->key, sizeof(lines->key), "%s", pairs[i].value);
		else if (pairs[i].field == FIELD_CLIENT)
			snprintf(lines->client, sizeof(lines->client), "%s", pairs[i].value);
		else if (pairs[i].field == FIELD_ALGORITHM)
			assert_string_equal(pairs[i].value, "ECDSA");
	}
}

/* ---- tests ---- */

/* The file goes on as it came: the worker does not read it. */
static void a_key_passes_through(void **state unused_)
{
	struct lines lines = { .imports = 0 };
	struct stat before, after;
	struct asked asked;
	struct scene scene;
	struct said said;
	int socket, fd;

	scene_init(&scene);
	fd = key_file();
	log_set_sink(take_line, &lines, LOG_L_INFO);
	assert_int_equal(fstat(fd, &before), 0);
	socket = opens(&scene);
	brings(&scene, socket, fd);
	close(fd);
	asked = expect_asked(&scene, MSG_KEY_HOLD);
	assert_int_equal(fstat(asked.fd, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_atim.tv_nsec, after.st_atim.tv_nsec);
	close(asked.fd);
	answers(&scene, asked.id, KEY_IMPORT, TLSB_E_NONE, "");
	said = hears_last(&scene, socket);
	assert_int_equal(said.type, CLIENT_MSG_KEY_DONE);
	assert_memory_equal(&said.told, &some_key, sizeof(some_key));
	assert_int_equal(lines.imports, 1);
	assert_string_equal(lines.key, "1073741831");
	assert_string_equal(lines.client, "42");
	assert_string_equal(lines.fingerprint, "sha256/AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	socket = opens(&scene);
	wants(&scene, socket, &(struct key_wish){ .key = 7, .action = KEY_DESTROY }, NULL, 0);
	asked = expect_asked(&scene, MSG_KEY_ASK);
	answers(&scene, asked.id, KEY_DESTROY, TLSB_E_NONE, "");
	assert_int_equal(hears_last(&scene, socket).type, CLIENT_MSG_KEY_DONE);
	assert_int_equal(lines.ends, 1);
	scene_deinit(&scene);
}

static void wishes_and_answers_pass_as_they_are(void **state unused_)
{
	const struct key_wish wish = { .key = 4711, .action = KEY_VERIFY_HASH,
				       .algorithm = TLSB_ECDSA_SHA256, .hash_len = 32 };
	static const char tail[32 + 70] = "hash, and what is said to be its signature";
	struct asked asked;
	struct scene scene;
	struct said said;
	int socket;

	scene_init(&scene);
	socket = opens(&scene);
	wants(&scene, socket, &wish, tail, sizeof(tail));
	asked = expect_asked(&scene, MSG_KEY_ASK);
	assert_memory_equal(&asked.wish, &wish, sizeof(wish));
	assert_int_equal(asked.len, sizeof(tail));
	assert_memory_equal(asked.tail, tail, sizeof(tail));
	answers(&scene, asked.id, KEY_VERIFY_HASH, TLSB_E_KEY_SIGNATURE, "no");
	expect_refused(&scene, socket, TLSB_E_KEY_SIGNATURE, "no");
	socket = opens(&scene);
	wants(&scene, socket, &(struct key_wish){ .key = 1, .action = KEY_SIGN_HASH, .hash_len = 1 }, "h",
	      1);
	asked = expect_asked(&scene, MSG_KEY_ASK);
	answers(&scene, asked.id, KEY_SIGN_HASH, TLSB_E_NONE, "signature");
	said = hears_last(&scene, socket);
	assert_int_equal(said.type, CLIENT_MSG_KEY_DONE);
	assert_string_equal(said.tail, "signature");
	scene_deinit(&scene);
}

/* So many at once; the others stand in line, and each gets its own answer. */
static void more_than_the_keyholder_takes_stand_in_line(void **state unused_)
{
	int sockets[LIMIT_KEY_SOCKETS];
	struct scene scene;
	int one_more;

	scene_init(&scene);
	for (unsigned i = 0; i < ARRAY_SIZE(sockets); i++) {
		sockets[i] = opens(&scene);
		wants_next(&scene, sockets[i], i);
	}
	one_more = opens(&scene);
	expect_refused(&scene, one_more, TLSB_E_QUOTA, "too many");
	assert_int_equal(rig_worker(&scene.rig)->errands_asked, LIMIT_KEY_ASKS);
	for (unsigned i = 0; i < ARRAY_SIZE(sockets); i++) {
		struct asked asked = expect_asked(&scene, MSG_KEY_ASK);
		char text[16];
		struct said said;

		assert_int_equal(asked.wish.key, i);
		snprintf(text, sizeof(text), "%u", i);
		answers(&scene, asked.id, KEY_NEXT, TLSB_E_NONE, text);
		said = hears_last(&scene, sockets[i]);
		assert_string_equal(said.tail, text);
	}
	assert_int_equal(is_asked(&scene).type, 0);
	scene_deinit(&scene);
}

/* A program that ends, or changes its mind, before it is answered: nobody is told, and what was
 * imported for it goes again. */
static void who_leaves_is_not_answered(void **state unused_)
{
	struct asked asked, second, back;
	struct program program;
	struct scene scene;
	int socket, fd;

	scene_init(&scene);
	rig_program(&scene.rig, &program);
	for (int whole = 0; whole < 2; whole++) {
		fd = key_file();
		socket = opens_as(&scene, &program);
		brings(&scene, socket, fd);
		close(fd);
		asked = expect_asked(&scene, MSG_KEY_HOLD);
		close(asked.fd);
		close(socket);
		socket = opens_as(&scene, &program);
		wants_next(&scene, socket, 0);
		second = expect_asked(&scene, MSG_KEY_ASK);
		close(socket);
		if (whole)
			program.fd = fd_close(program.fd);
		rig_turn(&scene.rig);
		assert_int_equal(errand_count(&scene), 0);
		answers(&scene, asked.id, KEY_IMPORT, TLSB_E_NONE, "");
		back = expect_asked(&scene, MSG_KEY_ASK);
		assert_int_equal(back.wish.action, KEY_DESTROY);
		assert_int_equal(back.wish.key, some_key.key);
		answers(&scene, second.id, KEY_NEXT, TLSB_E_NONE, "");
		answers(&scene, back.id, KEY_DESTROY, TLSB_E_NONE, "");
	}
	assert_int_equal(is_asked(&scene).type, 0);
	/* In line, nobody has heard of it. */
	for (int i = 0; i < LIMIT_KEY_ASKS; i++) {
		socket = opens(&scene);
		wants_next(&scene, socket, 0);
		close(socket);
	}
	fd = key_file();
	socket = opens(&scene);
	brings(&scene, socket, fd);
	close(fd);
	close(socket);
	rig_turn(&scene.rig);
	for (int i = 0; i < LIMIT_KEY_ASKS; i++) {
		asked = expect_asked(&scene, MSG_KEY_ASK);
		answers(&scene, asked.id, KEY_NEXT, TLSB_E_KEY, "");
	}
	assert_int_equal(is_asked(&scene).type, 0);
	scene_deinit(&scene);
}

static void a_keyholder_that_ends_has_lost_them(void **state unused_)
{
	int asked_socket, waiting, silent;
	struct asked asked;
	struct scene scene;

	scene_init(&scene);
	silent = opens(&scene);
	asked_socket = opens(&scene);
	wants_next(&scene, asked_socket, 0);
	asked = expect_asked(&scene, MSG_KEY_ASK);
	scene.rig.keyholder = fd_close(scene.rig.keyholder);
	expect_refused(&scene, asked_socket, TLSB_E_WORKER_DIED, "and with it all imported keys");
	waiting = opens(&scene);
	wants_next(&scene, waiting, 5);
	rig_replace(&scene.rig, MSG_KEYHOLDER_CHAN, &scene.rig.keyholder);
	/* What is said about what the last one was asked is about nothing. */
	answers(&scene, asked.id, KEY_NEXT, TLSB_E_NONE, "");
	rig_turn(&scene.rig);
	asked = expect_asked(&scene, MSG_KEY_ASK);
	assert_int_equal(asked.wish.key, 5);
	close(waiting);
	close(silent);
	rig_replace(&scene.rig, MSG_KEYHOLDER_CHAN, &scene.rig.keyholder);
	scene_deinit(&scene);
}

static void answers_that_nobody_asked_for(void **state unused_)
{
	struct asked asked;
	struct scene scene;
	int socket;

	scene_init(&scene);
	answers(&scene, 0, KEY_IMPORT, TLSB_E_NONE, "");
	answers(&scene, UINT64_MAX, KEY_NEXT, TLSB_E_NONE, "text");
	assert_int_equal(is_asked(&scene).type, 0);
	/* For one that has not asked yet, nor twice for one that has. */
	socket = opens(&scene);
	answers(&scene, (uint64_t)1 << 32, KEY_NEXT, TLSB_E_NONE, "");
	assert_int_equal(errand_count(&scene), 1);
	wants_next(&scene, socket, 0);
	asked = expect_asked(&scene, MSG_KEY_ASK);
	answers(&scene, asked.id, KEY_ACTIONS, 4711, "\n");
	answers(&scene, asked.id, KEY_ACTIONS, 4711, "\n");
	expect_refused(&scene, socket, 4711, "\n");
	assert_true(rig_worker(&scene.rig)->keyholder.owner);
	scene_deinit(&scene);
}

/* On these sockets, as on others: another message than the first is one too many. */
static void programs_that_break_rules_are_refused(void **state unused_)
{
	const struct key_wish wrong[] = {
		{ .action = KEY_IMPORT }, { .action = KEY_ACTIONS }, { .action = KEY_NEXT, .hash_len = 1 },
		{ .action = KEY_SIGN_HASH, .hash_len = 32 },
	};
	struct oddities odd;
	struct asked asked;
	struct scene scene;
	unsigned broken = 0;
	int socket;

	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++, broken++) {
		socket = opens(&scene);
		wants(&scene, socket, &wrong[i], NULL, 0);
		expect_refused(&scene, socket, TLSB_E_BROKER_PROTOCOL, "");
	}
	socket = opens(&scene);
	wants_next(&scene, socket, 0);
	asked = expect_asked(&scene, MSG_KEY_ASK);
	wants_next(&scene, socket, 0);
	expect_refused(&scene, socket, TLSB_E_BROKER_PROTOCOL, "");
	answers(&scene, asked.id, KEY_NEXT, TLSB_E_NONE, "");
	broken++;
	oddities_open(&odd);
	for (unsigned i = 0; i < odd.count; i++, broken++) {
		socket = opens(&scene);
		brings(&scene, socket, odd.fds[i]);
		expect_refused(&scene, socket, TLSB_E_BROKER_PROTOCOL, "");
	}
	oddities_close(&odd);
	assert_int_equal(rig_count(&scene.rig, COUNTER_violations), broken);
	attacks_count("messages", broken, broken);
	program_listen(&scene.program);
	assert_false(scene.program.hung);
	assert_int_equal(is_asked(&scene).type, 0);
	scene_deinit(&scene);
}

static void while_it_drains_nothing_new_begins(void **state unused_)
{
	struct scene scene;
	int socket;

	scene_init(&scene);
	rig_worker(&scene.rig)->draining = true;
	socket = opens(&scene);
	expect_refused(&scene, socket, TLSB_E_STOPPING, "shutting down");
	rig_worker(&scene.rig)->draining = false;
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_key_passes_through),
		TEST(wishes_and_answers_pass_as_they_are),
		TEST(more_than_the_keyholder_takes_stand_in_line),
		TEST(who_leaves_is_not_answered),
		TEST(a_keyholder_that_ends_has_lost_them),
		TEST(answers_that_nobody_asked_for),
		TEST(programs_that_break_rules_are_refused),
		TEST(while_it_drains_nothing_new_begins),
	};

	return testing_run(tests);
}
