/*
 * tlsb_key_*(), against a worker that is a thread of the test: what goes to it, what may come back, and that
 * every end is an errno and a text in time.
 */
#include "lib_rig.h"

#include <pthread.h>
#include <sys/resource.h>

#include "tests/attacks.h"
#include "tests/hostile/mad.h"

/* What the worker does once it has been asked. */
struct plan {
	struct rig *rig;
	void (*act)(struct plan *plan);
	uint32_t error; /* REFUSED, or KEY_DONE with these */
	struct key_told told;
	char tail[LIMIT_KEY_SIGNATURE];
	size_t len;
	const struct mutant *mutant;
	struct oddities *odd;
	uint64_t *seed;

	/* what it was asked */
	int socket;
	uint32_t type;
	struct key_wish wish;
	char asked[LIMIT_HASH + LIMIT_KEY_SIGNATURE];
	size_t asked_len;
	int fd;
	pthread_t thread;
	bool joined;
};

static void await(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	if (poll(&pfd, 1, 60000) != 1)
		abort();
}

static void answer(struct plan *plan)
{
	const struct msg_key_done done = { .told = plan->told };
	const struct msg_refused refused = { .error = plan->error };

	if (plan->error)
		(void)msg_send(plan->socket, &client_messages, CLIENT_MSG_REFUSED, &refused, plan->tail,
			       plan->len, NULL);
	else
		(void)msg_send(plan->socket, &client_messages, CLIENT_MSG_KEY_DONE, &done, plan->tail,
			       plan->len, NULL);
}

static void hang_up(struct plan *plan unused_)
{
}

static void send_mutant(struct plan *plan)
{
	oddities_send(plan->odd, plan->socket, plan->mutant, plan->seed);
}

static void hear(struct plan *plan)
{
	const struct msg_context main = { &client_messages, ROLE_WORKER, ROLE_CLIENT, MAIN };
	const struct msg_context key = { &client_messages, ROLE_WORKER, ROLE_CLIENT, KEY };
	union msg_buffer buffer;
	enum msg_rule rule;
	struct msg msg;

	await(plan->rig->main);
	if (msg_recv(plan->rig->main, &main, &buffer, &msg, &rule) != 1 ||
	    msg.type != CLIENT_MSG_KEY_SOCKET)
		abort();
	plan->socket = msg_take_fd(&msg, 0);
	await(plan->socket);
	if (msg_recv(plan->socket, &key, &buffer, &msg, &rule) != 1)
		abort();
	plan->type = msg.type;
	plan->asked_len = msg.tail_len;
	memcpy(plan->asked, msg.tail, msg.tail_len);
	if (msg.type == CLIENT_MSG_KEY_IMPORT)
		plan->fd = msg_take_fd(&msg, 0);
	else
		memcpy(&plan->wish, msg.body, sizeof(plan->wish));
}

static void *worker(void *arg)
{
	struct plan *plan = arg;

	hear(plan);
	plan->act(plan);
	close(plan->socket);
	return NULL;
}

static void begin(struct plan *plan)
{
	plan->fd = -1;
	plan->joined = false;
	assert_int_equal(pthread_create(&plan->thread, NULL, worker, plan), 0);
}

/* What it has heard may be looked at from here on. */
static void join(struct plan *plan)
{
	assert_int_equal(pthread_join(plan->thread, NULL), 0);
	plan->joined = true;
}

static void end(struct plan *plan)
{
	if (!plan->joined)
		join(plan);
	fd_close(plan->fd);
}

static void start(struct rig *rig)
{
	rig_listen(rig);
	rig_open(rig);
	rig_welcome(rig, PROTOCOL_MAGIC, PROTOCOL_VERSION, "uid:7");
}

static const char *text_of(const struct rig *rig)
{
	static char text[300];

	tlsb_key_error_text(rig->tlsb, text, sizeof(text));
	return text;
}

static const char hash[64] = "a hash";

static const char pem[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
			  "-----BEGIN PUBLIC KEY-----\nBBBB\n-----END PUBLIC KEY-----\n"
			  "-----BEGIN EC PRIVATE KEY-----\nCCCC\n-----END EC PRIVATE KEY-----\n";

/* ---- what goes out ---- */

static void expect_file(struct rig *rig, const void *key, size_t len, const char *wanted)
{
	struct plan plan = { .rig = rig, .act = answer, .told = { .key = 4711 } };
	char bytes[256] = { 0 };
	uint32_t number = 0;

	begin(&plan);
	assert_int_equal(tlsb_key_import(rig->tlsb, key, len, &number), 0);
	join(&plan);
	assert_int_equal(number, 4711);
	assert_int_equal(plan.type, CLIENT_MSG_KEY_IMPORT);
	assert_int_equal(plan.asked_len, 0);
	assert_int_equal(pread(plan.fd, bytes, sizeof(bytes) - 1, 0), (ssize_t)strlen(wanted));
	assert_string_equal(bytes, wanted);
	assert_int_equal(fcntl(plan.fd, F_GET_SEALS) & (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK),
			 F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK);
	end(&plan);
}

static void a_key_goes_in_a_sealed_file(void **state unused_)
{
	const char *public = strstr(pem, "-----BEGIN PUBLIC");
	struct rig rig;

	start(&rig);
	expect_file(&rig, "0key", 4, "0key");
	expect_file(&rig, pem, sizeof(pem) - 1,
		    "-----BEGIN EC PRIVATE KEY-----\nCCCC\n-----END EC PRIVATE KEY-----\n");
	expect_file(&rig, pem, sizeof(pem), /* its NUL may be counted */
		    "-----BEGIN EC PRIVATE KEY-----\nCCCC\n-----END EC PRIVATE KEY-----\n");
	expect_file(&rig, pem, (size_t)(strstr(pem, "-----BEGIN EC") - pem),
		    "-----BEGIN PUBLIC KEY-----\nBBBB\n-----END PUBLIC KEY-----\n");
	expect_file(&rig, public, strlen(public),
		    "-----BEGIN EC PRIVATE KEY-----\nCCCC\n-----END EC PRIVATE KEY-----\n");
	rig_close(&rig);
}

/* Refused here: nothing goes out. */
static void what_cannot_be_is_refused_here(void **state unused_)
{
	static char large[LIMIT_KEY_BYTES + 1];
	struct rlimit before, none;
	struct tlsb_key_info info;
	uint32_t number = 7;
	char out[8];
	struct rig rig;

	start(&rig);
	large[0] = 0x30;
	assert_fails(tlsb_key_import(rig.tlsb, NULL, 0, &number), EINVAL);
	assert_fails(tlsb_key_import(rig.tlsb, "0key", 0, &number), EINVAL);
	assert_fails(tlsb_key_import(rig.tlsb, "key", 3, &number), EINVAL);
	assert_string_equal(text_of(&rig), "is no key, neither in PEM nor in DER");
	assert_fails(tlsb_key_import(rig.tlsb, pem, 60, &number), EINVAL);
	assert_fails(tlsb_key_import(rig.tlsb, "0key", 4, NULL), EINVAL);
	assert_fails(tlsb_key_import(rig.tlsb, large, sizeof(large), &number), EFBIG);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_fails(tlsb_key_import(rig.tlsb, "0key", 4, &number), EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(number, 7);
	assert_fails(tlsb_key_sign_hash(rig.tlsb, 1, 0, hash, 32, out, 8), EINVAL);
	assert_fails(tlsb_key_sign_hash(rig.tlsb, 1, 0x0807, hash, 32, out, 8), EINVAL);
	assert_fails(tlsb_key_sign_hash(rig.tlsb, 1, TLSB_ECDSA_SHA256 + 65536, hash, 32, out, 8), EINVAL);
	assert_fails(tlsb_key_sign_hash(rig.tlsb, 1, TLSB_ECDSA_SHA256, hash, 31, out, 8), EINVAL);
	assert_fails(tlsb_key_sign_hash(rig.tlsb, 1, TLSB_ECDSA_SHA384, hash, 64, out, 8), EINVAL);
	assert_fails(tlsb_key_sign_hash(rig.tlsb, 1, TLSB_ECDSA_SHA256, NULL, 32, out, 8), EINVAL);
	assert_fails(tlsb_key_sign_hash(rig.tlsb, 1, TLSB_ECDSA_SHA256, hash, 32, NULL, 8), EINVAL);
	assert_fails(tlsb_key_verify_hash(rig.tlsb, 1, TLSB_RSA_PSS_SHA512, hash, 32, out, 8), EINVAL);
	assert_fails(tlsb_key_verify_hash(rig.tlsb, 1, TLSB_RSA_PSS_SHA256, hash, 32, NULL, 8), EINVAL);
	assert_fails(tlsb_key_verify_hash(rig.tlsb, 1, TLSB_RSA_PSS_SHA256, hash, 32, large,
					  TLSB_SIGNATURE_MAX + 1), EBADMSG);
	assert_fails(tlsb_key_next(rig.tlsb, 0, NULL, 8), EINVAL);
	assert_fails(tlsb_key_next(rig.tlsb, 0, &info, 0), EINVAL);
	assert_false(is_readable(rig.main));
	rig_close(&rig);
}

static void what_is_wanted_goes_as_it_is(void **state unused_)
{
	static const struct {
		int algorithm;
		size_t len;
	} all[] = {
		{ TLSB_RSA_PKCS1_SHA256, 32 }, { TLSB_RSA_PKCS1_SHA384, 48 }, { TLSB_RSA_PKCS1_SHA512, 64 },
		{ TLSB_ECDSA_SHA256, 32 },     { TLSB_ECDSA_SHA384, 48 },     { TLSB_ECDSA_SHA512, 64 },
		{ TLSB_RSA_PSS_SHA256, 32 },   { TLSB_RSA_PSS_SHA384, 48 },   { TLSB_RSA_PSS_SHA512, 64 },
	};
	char out[TLSB_SIGNATURE_MAX];
	struct rig rig;

	start(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct plan plan = { .rig = &rig, .act = answer, .tail = "signature", .len = 9 };

		begin(&plan);
		assert_int_equal(tlsb_key_sign_hash(rig.tlsb, 77, all[i].algorithm, hash, all[i].len, out,
						    sizeof(out)),
				 9);
		assert_memory_equal(out, "signature", 9);
		join(&plan);
		assert_int_equal(plan.wish.key, 77);
		assert_int_equal(plan.wish.action, KEY_SIGN_HASH);
		assert_int_equal(plan.wish.algorithm, all[i].algorithm);
		assert_int_equal(plan.wish.hash_len, all[i].len);
		assert_int_equal(plan.asked_len, all[i].len);
		end(&plan);
		begin(&plan);
		assert_int_equal(tlsb_key_verify_hash(rig.tlsb, 78, all[i].algorithm, hash, all[i].len,
						      "sig", 3), 0);
		join(&plan);
		assert_int_equal(plan.wish.action, KEY_VERIFY_HASH);
		assert_int_equal(plan.wish.hash_len, all[i].len);
		assert_int_equal(plan.asked_len, all[i].len + 3);
		assert_memory_equal(plan.asked + all[i].len, "sig", 3);
		end(&plan);
		begin(&plan);
		assert_int_equal(tlsb_key_destroy(rig.tlsb, 79), 0);
		join(&plan);
		assert_int_equal(plan.wish.action, KEY_DESTROY);
		assert_int_equal(plan.wish.key, 79);
		assert_int_equal(plan.asked_len, 0);
		end(&plan);
	}
	rig_close(&rig);
}

/* ---- what comes back ---- */

static void every_refusal_is_an_errno_and_a_text(void **state unused_)
{
	static const struct {
		uint32_t code;
		int number;
	} cases[] = {
		{ TLSB_E_KEY, ENOENT },	      { TLSB_E_KEY_USE, EOPNOTSUPP }, { TLSB_E_KEY_SIGNATURE, EBADMSG },
		{ TLSB_E_POLICY, EACCES },    { TLSB_E_QUOTA, EMFILE },	      { TLSB_E_RESOURCES, EMFILE },
		{ TLSB_E_PARAMETER, EINVAL }, { TLSB_E_STOPPING, ECONNABORTED },
		{ TLSB_E_WORKER_DIED, ECONNRESET }, { 4711, EPROTO },
	};
	struct rig rig;

	start(&rig);
	assert_string_equal(text_of(&rig), "");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct plan plan = { .rig = &rig, .act = answer, .error = cases[i].code,
				     .tail = "no\n\033[2J", .len = 7 };

		begin(&plan);
		assert_fails(tlsb_key_destroy(rig.tlsb, 1), cases[i].number);
		assert_string_equal(text_of(&rig), "no??[2J");
		end(&plan);
		plan.len = 0;
		begin(&plan);
		assert_fails(tlsb_key_verify_hash(rig.tlsb, 1, TLSB_ECDSA_SHA256, hash, 32, "s", 1),
			     cases[i].number);
		assert_true(strlen(text_of(&rig)) > 4);
		end(&plan);
	}
	rig_close(&rig);
}

static void what_is_told_of_a_key(void **state unused_)
{
	struct plan plan = { .rig = NULL, .act = answer, .tail = "na\nme", .len = 5,
			     .told = { .key = 9, .bits = 2048, .purpose = TLSB_KEY_TLS,
				       .type = KEY_TYPE_RSA_PSS, .has_private = 5,
				       .fingerprint = { 0xff, 0xfe } } };
	struct tlsb_key_info info;
	struct {
		struct tlsb_key_info info;
		char more[8];
	} later;
	struct rig rig;

	start(&rig);
	plan.rig = &rig;
	begin(&plan);
	assert_int_equal(tlsb_key_next(rig.tlsb, 8, &info, sizeof(info)), 0);
	end(&plan);
	assert_int_equal(plan.wish.key, 8);
	assert_int_equal(plan.wish.action, KEY_NEXT);
	assert_int_equal(info.key, 9);
	assert_int_equal(info.bits, 2048);
	assert_int_equal(info.purpose, TLSB_KEY_TLS);
	assert_int_equal(info.has_private, 1);
	assert_string_equal(info.type, "RSA-PSS");
	assert_string_equal(info.name, "na?me");
	assert_string_equal(info.pin, "sha256/" "//4AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	/* An older program, a later one; and what is told of a kind that nobody knows. */
	memset(&info, 0x55, sizeof(info));
	begin(&plan);
	assert_int_equal(tlsb_key_next(rig.tlsb, 8, &info, 8), 0);
	end(&plan);
	assert_int_equal(info.key, 9);
	assert_int_equal(info.bits, 0x55555555);
	memset(&later, 0x55, sizeof(later));
	plan.told.type = 99;
	begin(&plan);
	assert_int_equal(tlsb_key_next(rig.tlsb, 8, &later.info, sizeof(later)), 0);
	end(&plan);
	assert_int_equal(later.more[7], 0);
	assert_string_equal(later.info.type, "?");
	/* A list that does not go on would never end. */
	begin(&plan);
	assert_fails(tlsb_key_next(rig.tlsb, 9, &info, sizeof(info)), EPROTO);
	end(&plan);
	rig_close(&rig);
}

static void too_little_room_for_a_signature(void **state unused_)
{
	struct plan plan = { .rig = NULL, .act = answer, .tail = "signature", .len = 9 };
	char out[16] = "untouched";
	struct rig rig;

	start(&rig);
	plan.rig = &rig;
	begin(&plan);
	assert_fails(tlsb_key_sign_hash(rig.tlsb, 1, TLSB_ECDSA_SHA256, hash, 32, out, 8), ERANGE);
	end(&plan);
	assert_string_equal(out, "untouched");
	plan.len = 0; /* and no signature at all is none */
	begin(&plan);
	assert_fails(tlsb_key_sign_hash(rig.tlsb, 1, TLSB_ECDSA_SHA256, hash, 32, out, 8), EPROTO);
	end(&plan);
	rig_close(&rig);
}

/* ---- ends ---- */

static void ends_are_told_apart(void **state unused_)
{
	struct plan plan = { .rig = NULL, .act = hang_up };
	struct rig rig;

	start(&rig);
	plan.rig = &rig;
	begin(&plan);
	assert_fails(tlsb_key_destroy(rig.tlsb, 1), ECONNRESET);
	end(&plan);
	rig_refuse(rig.main, TLSB_E_POLICY, "match: not you");
	begin(&plan);
	assert_fails(tlsb_key_destroy(rig.tlsb, 1), EACCES);
	end(&plan);
	assert_string_equal(text_of(&rig), "match: not you");
	rig.main = fd_close(rig.main);
	rig_stop_listening(&rig);
	assert_fails(tlsb_key_destroy(rig.tlsb, 1), ECONNABORTED);
	rig_close(&rig);
}

/* The thread that asks is not the only one. */
static void *ask_many(void *arg)
{
	static char nothing[] = "no answer", another[] = "another one's answer";
	struct rig *rig = arg;
	char out[TLSB_SIGNATURE_MAX];

	for (int i = 0; i < 200; i++) {
		uint32_t key = (uint32_t)(i + 1);
		ssize_t n = tlsb_key_sign_hash(rig->tlsb, key, TLSB_ECDSA_SHA256, hash, 32, out, sizeof(out));
		uint32_t told;

		if (n != sizeof(told))
			return nothing;
		memcpy(&told, out, sizeof(told));
		if (told != key)
			return another;
	}
	return NULL;
}

/* Each thread gets what it has asked for. */
static void threads_do_not_mix(void **state unused_)
{
	pthread_t threads[4];
	struct rig rig;

	start(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_many, &rig), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads) * 200; i++) {
		struct plan plan = { .rig = &rig, .len = sizeof(uint32_t) };

		hear(&plan);
		memcpy(plan.tail, &plan.wish.key, sizeof(uint32_t));
		answer(&plan);
		close(plan.socket);
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *wrong = NULL;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		if (wrong)
			fail_msg("%s", (const char *)wrong);
	}
	rig_close(&rig);
}

/* ---- a worker that was taken over ---- */

static bool make(struct mutant *mutant, const struct msg_context *ctx, uint32_t type, uint64_t *seed,
		 void *arg unused_)
{
	const struct msg_key_done done = { .told = { .key = 7, .bits = 256, .type = 3 } };
	const struct msg_refused refused = { .error = TLSB_E_KEY };

	if (testing_random(seed) % 4 == 0)
		return false;
	if (type == CLIENT_MSG_KEY_DONE)
		mutant_init(mutant, ctx, type, &done, "signature", 9);
	else if (type == CLIENT_MSG_REFUSED)
		mutant_init(mutant, ctx, type, &refused, "no\n\x1b%n", 6);
	else
		return false;
	return true;
}

static void expect_printable(const char *text)
{
	for (; *text; text++)
		assert_in_range((unsigned char)*text, 0x20, 0x7e);
}

/* Whatever it says: the protocol's end, a refusal, or bytes that fit where they go. */
static void attack(struct rig *rig, struct oddities *odd, uint64_t *seed)
{
	const struct msg_context ctx = { &client_messages, ROLE_CLIENT, ROLE_WORKER, KEY };
	struct plan plan = { .rig = rig, .act = send_mutant, .odd = odd, .seed = seed };
	struct mutant mutant;
	char out[TLSB_SIGNATURE_MAX];
	ssize_t n;

	do
		mutant_draw(&mutant, &ctx, seed, make, NULL);
	while (mutant_is_end(&mutant));
	plan.mutant = &mutant;
	begin(&plan);
	n = tlsb_key_sign_hash(rig->tlsb, 1, TLSB_ECDSA_SHA256, hash, 32, out, sizeof(out));
	if (mutant_rule(&mutant) != RULE_NONE)
		assert_fails(n, EPROTO);
	else if (mutant_header(&mutant).type == CLIENT_MSG_REFUSED)
		assert_int_equal(n, -1);
	else
		assert_true(n == -1 || n <= LIMIT_KEY_SIGNATURE);
	expect_printable(text_of(rig));
	end(&plan);
}

static void a_worker_that_lies_is_harmless(void **state unused_)
{
	const uint64_t most = attack_share(100000, 4000);
	uint64_t seed = mutant_seed();
	struct oddities odd;
	struct rig rig;
	int fds;

	start(&rig);
	oddities_open(&odd);
	fds = testing_count_fds();
	for (uint64_t i = 0; i < most; i++)
		attack(&rig, &odd, &seed);
	assert_int_equal(testing_count_fds(), fds);
	attacks_count("messages", most, most);
	oddities_close(&odd);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_key_goes_in_a_sealed_file),
		TEST(what_cannot_be_is_refused_here),
		TEST(what_is_wanted_goes_as_it_is),
		TEST(every_refusal_is_an_errno_and_a_text),
		TEST(what_is_told_of_a_key),
		TEST(too_little_room_for_a_signature),
		TEST(ends_are_told_apart),
		TEST(threads_do_not_mix),
		TEST(a_worker_that_lies_is_harmless),
	};

	return testing_run(tests);
}
