/*
 * The keyholder runs out of memory, or the kernel refuses it something, at every place in turn: while it
 * is equipped, gets keys and others in their place, takes channels, signs for one worker and for
 * another, and has keys that programs have imported.  Whatever fails: a signature that is given is right, no byte of a key is in anything that it
 * says, the other worker is served, all are served afterwards, and nothing is left behind.
 *
 * A keyholder that cannot take what its supervisor tells it ends, and is started again; in the rig that
 * is "lost".  How often is said.
 */
#include "faults.h"

#include "tests/attacks.h"
#include "tests/unit/keyholder_rig.h"

#define PATIENCE_MS 60000
#define BADGE	    1
#define OTHER_BADGE 2

/* Keys of both badges, by number: the first for the one badge, the last for the other. */
static const struct {
	const char *type, *group;
	unsigned bits;
	uint32_t badge;
	uint16_t scheme;
} kinds[] = {
	{ "EC", "P-256", 0, BADGE, 0x0403 },
	{ "RSA", NULL, 2048, BADGE, 0x0804 },
	{ "ED25519", NULL, 0, BADGE, 0x0807 },
	{ "EC", "P-256", 0, OTHER_BADGE, 0x0403 },
};

#define KINDS ARRAY_SIZE(kinds)
#define OTHER (KINDS - 1)

/* What nobody but the keyholder may have: so many bytes of a key. */
#define SECRET 24
#define SECRETS 16

struct trial {
	const char *name;
	unsigned kinds; /* a bit for each that is asked for */
	bool is_old;	/* in TLS 1.2, where more than one message has to come; imported: public halves */
	bool replaced;	/* the keys are given again meanwhile */
	bool unequipped; /* the faults begin before START */
	bool renewed;	/* the worker gets another channel */
	bool imports;	/* it imports keys of these kinds, and has hashes signed */
};

struct bench {
	struct rig rig;
	EVP_PKEY *keys[KINDS];
	uint8_t secrets[SECRETS][SECRET];
	unsigned secret_count;
	uint8_t texts[2][3 * LIMIT_TAIL]; /* to be signed: TLS 1.3, 1.2 */
	size_t lens[2];
	struct answer given[2]; /* by the first kinds, of a hash of zeros */
	int worker, other; /* the workers' ends */
	uint64_t next_id;
	const struct trial *trial;
	bool armed, alive, lasting;
	int fds, fds_before; /* with a keyholder, and before */
	unsigned signed_, failed, hung, deaths;
};

/* ---- what must not get out ---- */

static void keep_secret(struct bench *bench, const uint8_t *bytes, size_t len)
{
	assert_true(bench->secret_count + 2 <= SECRETS && len >= SECRET);
	memcpy(bench->secrets[bench->secret_count++], bytes, SECRET);
	for (size_t i = 0; i < SECRET; i++) /* as OpenSSL has numbers in memory */
		bench->secrets[bench->secret_count][i] = bytes[len - 1 - i];
	bench->secret_count++;
}

static void keep_number(struct bench *bench, const EVP_PKEY *key, const char *name)
{
	uint8_t bytes[512];
	BIGNUM *number = NULL;
	int len;

	assert_int_equal(EVP_PKEY_get_bn_param(key, name, &number), 1);
	len = BN_bn2bin(number, bytes);
	BN_clear_free(number);
	keep_secret(bench, bytes, (size_t)len);
}

static void keep_secrets(struct bench *bench)
{
	for (size_t i = 0; i < KINDS; i++) {
		uint8_t raw[32];
		size_t len = sizeof(raw);

		if (EVP_PKEY_is_a(bench->keys[i], "EC")) {
			keep_number(bench, bench->keys[i], "priv");
		} else if (EVP_PKEY_is_a(bench->keys[i], "RSA")) {
			keep_number(bench, bench->keys[i], "d");
			keep_number(bench, bench->keys[i], "rsa-factor1");
			keep_number(bench, bench->keys[i], "rsa-factor2");
		} else {
			assert_int_equal(EVP_PKEY_get_raw_private_key(bench->keys[i], raw, &len), 1);
			keep_secret(bench, raw, len);
		}
	}
}

static void expect_no_secret(const struct bench *bench, const void *bytes, size_t len)
{
	for (unsigned i = 0; i < bench->secret_count; i++)
		assert_null(memmem(bytes, len, bench->secrets[i], SECRET));
}

/* ---- turns ---- */

/* Whatever the keyholder tells its supervisor: messages are of no interest here, their bytes are. */
static void listen_to(struct bench *bench)
{
	uint8_t buf[LIMIT_MESSAGE];
	ssize_t n;

	while ((n = recv(bench->rig.supervisor, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		expect_no_secret(bench, buf, (size_t)n);
}

/* The keyholder's turn, the one part in which something fails. */
static void turn(struct bench *bench)
{
	for (int i = 0; i < 4 && !bench->rig.lost; i++) {
		if (bench->armed)
			faults_arm();
		event_base_loop(bench->rig.child.base, EVLOOP_NONBLOCK);
		faults_disarm();
	}
	listen_to(bench);
}

/* FD is consumed. */
static void tell(struct bench *bench, uint32_t type, const void *body, const void *tail, size_t len,
		 int fd)
{
	(void)msg_send(bench->rig.supervisor, &internal_messages, type, body, tail, len, &fd);
	fd_close(fd);
	turn(bench);
}

static void give_keys(struct bench *bench)
{
	const struct key_limit limit = { BADGE, 4 };

	tell(bench, MSG_KEY_LIMITS, &(struct msg_key_limits){ 0 }, &limit, sizeof(limit), -1);
	tell(bench, MSG_KEYS, &(struct msg_keys){ .count = KINDS }, NULL, 0, -1);
	for (uint32_t i = 0; i < KINDS && !bench->rig.lost; i++) {
		const struct msg_key body = { .key = i + 1, .badge_count = 1 };
		char tail[sizeof(uint32_t) + 4];

		memcpy(tail, &kinds[i].badge, sizeof(uint32_t));
		memcpy(tail + sizeof(uint32_t), "name", 4);
		tell(bench, MSG_KEY, &body, tail, sizeof(tail), key_file(bench->keys[i], NULL));
	}
}

static void give_worker(struct bench *bench, uint32_t badge, int *far_end)
{
	const struct msg_worker_chan body = { .uid = 1000, .badge = badge, .pid = 1000 + badge };
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	fd_close(*far_end);
	*far_end = pair[1];
	tell(bench, MSG_WORKER_CHAN, &body, NULL, 0, pair[0]);
}

/* ---- signatures ---- */

static uint16_t scheme_of(size_t kind, bool is_old)
{
	return is_old && kinds[kind].scheme == 0x0804 ? 0x0401 : kinds[kind].scheme;
}

static uint64_t ask(struct bench *bench, int worker, size_t kind, bool is_old)
{
	(void)worker_asks(worker, ++bench->next_id, (uint32_t)kind + 1, scheme_of(kind, is_old),
			  bench->texts[is_old], bench->lens[is_old]);
	turn(bench);
	return bench->next_id;
}

/* Whether the channel is still there: it is not if it could not be served. */
static bool await(struct bench *bench, int worker, uint64_t id, struct answer *ret)
{
	const uint64_t end = clock_ms() + PATIENCE_MS;
	int r;

	while ((r = worker_hears(worker, ret)) == -EAGAIN && !bench->rig.lost) {
		assert_true(clock_ms() < end);
		turn(bench);
	}
	if (r != 1)
		return false;
	assert_int_equal(ret->id, id);
	expect_no_secret(bench, ret->bytes, ret->len);
	return true;
}

/* Whether it was signed.  A signature that is wrong is worse than none: of some keys it is the key. */
static bool judge(struct bench *bench, size_t kind, bool is_old, const struct answer *answer)
{
	if (answer->error == TLSB_E_NONE) {
		assert_true(is_signature(bench->keys[kind], scheme_of(kind, is_old), answer,
					 bench->texts[is_old], bench->lens[is_old]));
		bench->signed_++;
		return true;
	}
	/* It is no matter of what may be signed. */
	assert_int_equal(answer->error, TLSB_E_RESOURCES);
	assert_int_equal(answer->len, 0);
	bench->failed++;
	return false;
}

/* For both workers at once.  Returns for how many there was none. */
static unsigned sign_for_both(struct bench *bench, size_t kind, bool is_old)
{
	const uint64_t id = ask(bench, bench->worker, kind, is_old);
	const uint64_t others = ask(bench, bench->other, OTHER, false);
	struct answer answer;
	unsigned missing = 0;

	if (await(bench, bench->worker, id, &answer)) {
		missing += !judge(bench, kind, is_old, &answer);
	} else if (!bench->rig.lost) {
		missing++;
		bench->hung++;
		give_worker(bench, BADGE, &bench->worker);
	}
	if (await(bench, bench->other, others, &answer)) {
		missing += !judge(bench, OTHER, false, &answer);
	} else if (!bench->rig.lost) {
		missing++;
		bench->hung++;
		give_worker(bench, OTHER_BADGE, &bench->other);
	}
	return missing;
}

/* ---- keys that are imported ---- */

static const uint8_t no_hash[32];

struct told {
	struct msg_key_answer body;
	struct answer answer; /* its tail */
};

/* The next answer.  Whether the channel is still there. */
static bool hear_told(struct bench *bench, uint64_t id, struct told *ret)
{
	const struct msg_context ctx = { &internal_messages, ROLE_WORKER, ROLE_KEYHOLDER, RUN };
	const uint64_t end = clock_ms() + PATIENCE_MS;
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;
	int r;

	while ((r = msg_recv(bench->worker, &ctx, &buf, &msg, &rule)) == -EAGAIN && !bench->rig.lost) {
		assert_true(clock_ms() < end);
		turn(bench);
	}
	if (r != 1)
		return false;
	assert_int_equal(msg.type, MSG_KEY_ANSWER);
	memcpy(&ret->body, msg.body, sizeof(ret->body));
	assert_int_equal(ret->body.id, id);
	ret->answer.len = msg.tail_len;
	memcpy(ret->answer.bytes, msg.tail, msg.tail_len);
	expect_no_secret(bench, msg.tail, msg.tail_len);
	return true;
}

/* What came of it: an enum tlsb_error.  That it was hung up upon counts as one of these. */
static uint32_t hear_errand(struct bench *bench, struct told *ret)
{
	if (hear_told(bench, bench->next_id, ret))
		return ret->body.error;
	if (!bench->rig.lost) {
		bench->hung++;
		give_worker(bench, BADGE, &bench->worker);
	}
	return TLSB_E_RESOURCES;
}

static uint32_t import_key(struct bench *bench, const EVP_PKEY *key, bool public, struct told *ret)
{
	const struct msg_key_hold body = { .id = ++bench->next_id };
	unsigned char *der = NULL;
	int len = public ? i2d_PUBKEY(key, &der) : i2d_PrivateKey(key, &der), fd;

	assert_int_equal(fd_sealed_copy("key", der, (size_t)len, &fd), 0);
	OPENSSL_free(der);
	(void)msg_send(bench->worker, &internal_messages, MSG_KEY_HOLD, &body, NULL, 0, &fd);
	close(fd);
	turn(bench);
	return hear_errand(bench, ret);
}

static uint32_t do_errand(struct bench *bench, enum key_action action, uint32_t key, size_t kind,
			  const struct answer *signature, struct told *ret)
{
	const bool hashes = action == KEY_SIGN_HASH || action == KEY_VERIFY_HASH;
	const struct msg_key_ask body = {
		.id = ++bench->next_id,
		.wish = { .key = key, .action = (uint16_t)action,
			  .algorithm = hashes ? kinds[kind].scheme : 0,
			  .hash_len = hashes ? sizeof(no_hash) : 0 },
	};
	uint8_t tail[LIMIT_HASH + LIMIT_KEY_SIGNATURE], *end = tail;

	if (hashes)
		end = mempcpy(end, no_hash, sizeof(no_hash));
	if (signature)
		end = mempcpy(end, signature->bytes, signature->len);
	(void)worker_say(bench->worker, MSG_KEY_ASK, &body, tail, (size_t)(end - tail));
	turn(bench);
	return hear_errand(bench, ret);
}

/* As OpenSSL has it, outside of the faults. */
static EVP_PKEY_CTX *hash_context(EVP_PKEY *key, int (*init)(EVP_PKEY_CTX *))
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);

	assert_true(init(ctx) > 0 && EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) > 0);
	if (EVP_PKEY_is_a(key, "RSA"))
		assert_true(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
			    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
	return ctx;
}

static bool is_of_hash(EVP_PKEY *key, const struct answer *answer)
{
	EVP_PKEY_CTX *ctx = hash_context(key, EVP_PKEY_verify_init);
	bool good = EVP_PKEY_verify(ctx, answer->bytes, answer->len, no_hash, sizeof(no_hash)) == 1;

	EVP_PKEY_CTX_free(ctx);
	return good;
}

static void sign_hash_here(EVP_PKEY *key, struct answer *ret)
{
	EVP_PKEY_CTX *ctx = hash_context(key, EVP_PKEY_sign_init);

	ret->len = LIMIT_KEY_SIGNATURE;
	assert_int_equal(EVP_PKEY_sign(ctx, ret->bytes, &ret->len, no_hash, sizeof(no_hash)), 1);
	EVP_PKEY_CTX_free(ctx);
}

/* Either it was done, or there was no room to do it: nothing else is ever said. */
static unsigned judge_errand(struct bench *bench, uint32_t error, uint32_t wanted)
{
	if (error == wanted)
		return 0;
	assert_int_equal(error, TLSB_E_RESOURCES);
	bench->failed++;
	return 1;
}

/* Returns how many things were not done. */
static unsigned use_import(struct bench *bench, size_t kind, bool public, uint32_t key)
{
	struct answer wrong = bench->given[kind];
	struct told told;
	unsigned missing = 0;
	uint32_t error;

	wrong.bytes[wrong.len / 2] ^= 1;
	error = do_errand(bench, KEY_SIGN_HASH, key, kind, NULL, &told);
	missing += judge_errand(bench, error, public ? TLSB_E_KEY_USE : TLSB_E_NONE);
	if (error == TLSB_E_NONE) {
		assert_true(is_of_hash(bench->keys[kind], &told.answer));
		bench->signed_++;
	}
	if (!bench->rig.lost)
		missing += judge_errand(bench, do_errand(bench, KEY_VERIFY_HASH, key, kind,
							 &bench->given[kind], &told),
					TLSB_E_NONE);
	if (!bench->rig.lost)
		missing += judge_errand(bench,
					do_errand(bench, KEY_VERIFY_HASH, key, kind, &wrong, &told),
					TLSB_E_KEY_SIGNATURE);
	if (!bench->rig.lost)
		missing += judge_errand(bench, do_errand(bench, KEY_DESTROY, key, kind, NULL, &told),
					TLSB_E_NONE);
	return missing;
}

static unsigned import_and_use(struct bench *bench, size_t kind, bool public)
{
	struct told told;
	uint32_t error = import_key(bench, bench->keys[kind], public, &told);
	unsigned missing;

	/* What could not be looked at is no sealed file. */
	if (error == TLSB_E_PARAMETER && memmem(told.answer.bytes, told.answer.len, "sealed file", 11))
		error = TLSB_E_RESOURCES;
	missing = judge_errand(bench, error, TLSB_E_NONE);
	if (missing > 0 || bench->rig.lost)
		return missing;
	return use_import(bench, kind, public, told.body.told.key);
}

/* What was done, and not told; or not done. */
static void destroy_all(struct bench *bench)
{
	struct told told;
	uint32_t after = KEY_IS_IMPORTED;

	while (do_errand(bench, KEY_NEXT, after, 0, NULL, &told) == TLSB_E_NONE) {
		after = told.body.told.key;
		assert_int_equal(do_errand(bench, KEY_DESTROY, after, 0, NULL, &told), TLSB_E_NONE);
	}
	assert_int_equal(told.body.error, TLSB_E_KEY);
	assert_int_equal(rig_keyholder(&bench->rig)->imports.count, 0);
	assert_int_equal(rig_keyholder(&bench->rig)->imports.memory, 0);
}

/* ---- a keyholder ---- */

static void bench_begin(struct bench *bench)
{
	const struct msg_start start = { 0 };
	struct rig *rig = &bench->rig;
	struct counters *counters;
	int pair[2], page;

	bench->fds_before = testing_count_fds();
	*rig = (struct rig){ .child = { .role = ROLE_KEYHOLDER, .ops = &keyholder_ops } };
	assert_int_equal(keyholder_ops.prepare(&rig->child), 0);
	rig->child.base = event_base_new();
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig->supervisor = pair[1];
	assert_int_equal(chan_init(&rig->child.supervisor, rig->child.base, pair[0],
				   &internal_messages, ROLE_KEYHOLDER, ROLE_SUPERVISOR, RUN,
				   keyholder_ops.handlers, rig_on_lost, &rig->child),
			 0);
	assert_int_equal(counters_create(&counters, &page), 0);
	counters_unmap(counters);
	bench->worker = bench->other = -1;
	bench->armed = bench->trial->unequipped;
	tell(bench, MSG_START, &start, NULL, 0, page);
	give_keys(bench);
	give_worker(bench, BADGE, &bench->worker);
	give_worker(bench, OTHER_BADGE, &bench->other);
	bench->alive = true;
	bench->fds = testing_count_fds();
}

static void bench_end(struct bench *bench)
{
	bench->armed = bench->alive = false;
	rig_deinit(&bench->rig);
	fd_close(bench->worker);
	fd_close(bench->other);
	assert_int_equal(testing_count_fds(), bench->fds_before);
}

static void live(struct bench *bench)
{
	const struct trial *trial = bench->trial;
	unsigned missing = 0;

	for (size_t i = 0; i < KINDS && !bench->rig.lost; i++) {
		if (trial->imports && trial->kinds >> i & 1)
			missing += import_and_use(bench, i, trial->is_old);
		else if (trial->kinds >> i & 1)
			missing += sign_for_both(bench, i, trial->is_old);
		if (trial->renewed && !bench->rig.lost)
			give_worker(bench, BADGE, &bench->worker);
	}
	if (trial->replaced && !bench->rig.lost)
		give_keys(bench);
	/* One thing failed: one of them may have noticed. */
	if (!bench->lasting && !trial->unequipped && !trial->replaced)
		assert_true(missing <= 1);
}

static void all_is_well(struct bench *bench)
{
	const struct trial *trial = bench->trial;

	if (trial->unequipped || trial->replaced) /* what it did not get it gets again */
		give_keys(bench);
	if (trial->unequipped || trial->renewed || bench->lasting) {
		give_worker(bench, BADGE, &bench->worker);
		give_worker(bench, OTHER_BADGE, &bench->other);
	}
	destroy_all(bench);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(import_and_use(bench, i, false), 0);
	for (size_t i = 0; i < OTHER; i++)
		assert_int_equal(sign_for_both(bench, i, i % 2), 0);
	assert_false(bench->rig.lost);
	assert_int_equal(rig_keyholder(&bench->rig)->asker_count, 2);
	assert_int_equal(rig_keyholder(&bench->rig)->keys.count, KINDS);
	assert_true(TAILQ_EMPTY(&rig_keyholder(&bench->rig)->busy));
}

static void run(void *arg)
{
	struct bench *bench = arg;

	if (!bench->alive)
		bench_begin(bench);
	bench->armed = true;
	if (!bench->rig.lost)
		live(bench);
	bench->armed = false;
	if (!bench->rig.lost)
		all_is_well(bench);
	bench->deaths += bench->rig.lost;
	if (bench->rig.lost || bench->trial->unequipped)
		bench_end(bench);
	else
		assert_int_equal(testing_count_fds(), bench->fds);
}

/* ---- the sweeps ---- */

/* Reading keys takes thousands of allocations, most of them OpenSSL's, for what it can read. */
#define READING 67

/* The same of one key, as often as it is done. */
#define IMPORTING 11

static const struct trial trials[] = {
	{ .name = "ECDSA", .kinds = 1 << 0 },
	{ .name = "RSA", .kinds = 1 << 1 },
	{ .name = "Ed25519", .kinds = 1 << 2 },
	{ .name = "TLS 1.2", .kinds = 1 << 0 | 1 << 1, .is_old = true },
	{ .name = "another channel", .kinds = 1 << 0, .renewed = true },
	{ .name = "other keys", .kinds = 1 << 0, .replaced = true },
	{ .name = "ECDSA, imported", .kinds = 1 << 0, .imports = true },
	{ .name = "RSA, imported", .kinds = 1 << 1, .imports = true },
	{ .name = "public keys, imported", .kinds = 1 << 0 | 1 << 1, .imports = true, .is_old = true },
	{ .name = "a new keyholder", .kinds = 1 << 0 | 1 << 2, .unequipped = true },
};

static void bench_init(struct bench *bench)
{
	*bench = (struct bench){ .worker = -1, .other = -1 };
	for (size_t i = 0; i < KINDS; i++)
		bench->keys[i] = key_generate(kinds[i].type, kinds[i].group, kinds[i].bits);
	keep_secrets(bench);
	for (size_t i = 0; i < 2; i++)
		sign_hash_here(bench->keys[i], &bench->given[i]);
	bench->lens[false] = flight_1_3(bench->texts[false], FLIGHT_TEXT, 32);
	bench->lens[true] =
		flight_1_2(bench->texts[true], flight_types, ARRAY_SIZE(flight_types), 4000);
	assert_true(bench->lens[true] > 2 * LIMIT_TAIL && bench->lens[true] < 3 * LIMIT_TAIL);
}

static void bench_deinit(struct bench *bench)
{
	for (size_t i = 0; i < KINDS; i++)
		EVP_PKEY_free(bench->keys[i]);
}

static void sweep(enum faults_kind kind, bool lasting, unsigned long step)
{
	static struct bench bench; /* too large for a stack */
	unsigned long all = 0;

	bench_init(&bench);
	bench.lasting = lasting;
	for (size_t i = 0; i < ARRAY_SIZE(trials); i++) {
		unsigned long tried, stride = step;
		bool reads;

		alarm(TESTING_SECONDS);
		bench.trial = &trials[i];
		bench.signed_ = bench.failed = bench.hung = bench.deaths = 0;
		reads = (trials[i].replaced || trials[i].unequipped) && kind == FAULTS_MEMORY;
		if (reads)
			stride *= READING;
		else if (trials[i].imports && kind == FAULTS_MEMORY)
			stride *= IMPORTING;
		tried = faults_sweep(kind, lasting, stride, run, &bench);
		printf("# %s: %lu faults; %u signatures, all right; %u refused, %u workers were hung up "
		       "on; %u keyholders gave up\n",
		       trials[i].name, tried, bench.signed_, bench.failed, bench.hung, bench.deaths);
		if (bench.alive)
			bench_end(&bench);
		all += tried;
	}
	bench_deinit(&bench);
	attacks_count("faults", all, all);
}

static void case_44_each_allocation_of_the_keyholder_fails_once(void **state unused_)
{
	sweep(FAULTS_MEMORY, false, attacks_full() ? 1 : 23);
}

static void case_44_each_allocation_of_its_own_fails_once(void **state unused_)
{
	sweep(FAULTS_OWN_MEMORY, false, 1);
}

static void case_44_the_keyholders_memory_runs_out_and_stays_out(void **state unused_)
{
	sweep(FAULTS_MEMORY, true, attacks_full() ? 1 : 29);
}

static void case_45_each_system_call_of_the_keyholder_fails_once(void **state unused_)
{
	sweep(FAULTS_SYSCALL, false, attacks_full() ? 1 : 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_44_each_allocation_of_the_keyholder_fails_once),
		TEST(case_44_each_allocation_of_its_own_fails_once),
		TEST(case_44_the_keyholders_memory_runs_out_and_stays_out),
		TEST(case_45_each_system_call_of_the_keyholder_fails_once),
	};

	faults_init();
	return testing_run(tests);
}
