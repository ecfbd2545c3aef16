/*
 * Pre-shared keys in the keyholder: which files are accepted, and that a key is given to the badges that
 * may use it, and to nobody else.
 */
#include "keyholder_rig.h"

#include <fcntl.h>
#include <stdio.h>

#include "keys/pskfile.h"

#define DIGITS "000102030405060708090a0b0c0d0e0fF0E0D0C0"

/* ---- files ---- */

/* LEN bytes are read from it.  FD is consumed. */
static void accepts(const char *text, size_t len)
{
	const char *why = NULL;
	struct psk *psk = NULL;
	int fd = file_of(text, strlen(text));

	if (pskfile_read(fd, &psk, &why) < 0)
		fail_msg("\"%s\": %s", text, why);
	assert_int_equal(psk->len, len);
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(psk->bytes[i], i);
	pskfile_free(psk);
	close(fd);
}

static void refuses_fd(int fd, const char *words)
{
	const char *why = NULL;
	struct psk *psk = NULL;

	assert_int_equal(pskfile_read(fd, &psk, &why), -EINVAL);
	assert_null(psk);
	if (!strstr(why, words))
		fail_msg("\"%s\" does not say \"%s\"", why, words);
	close(fd);
}

static void refuses(const char *text, const char *words)
{
	refuses_fd(file_of(text, strlen(text)), words);
}

static void hexadecimal_digits_are_a_key(void **state unused_)
{
	char most[2 * LIMIT_PSK_BYTES + 3];

	accepts(DIGITS, 20);
	accepts(DIGITS "\n", 20);
	accepts(DIGITS " \t\r\n\n", 20);
	accepts("000102030405060708090a0b0c0d0e0f", LIMIT_PSK_LEAST);
	memset(most, 'a', sizeof(most));
	memcpy(most, DIGITS, 32);
	most[2 * LIMIT_PSK_BYTES] = '\0';
	accepts(most, LIMIT_PSK_BYTES);
	strcpy(most + 2 * LIMIT_PSK_BYTES, "aa");
	refuses(most, "more than 64 bytes");
}

static void what_is_no_key_is_refused(void **state unused_)
{
	static char large[LIMIT_KEY_BYTES + 1];

	refuses("", "has no pre-shared key in it");
	refuses("\n", "has no pre-shared key in it");
	refuses("secret", "has no pre-shared key in it");
	refuses("a password that is easy to remember", "has no pre-shared key in it");
	refuses(DIGITS "0", "has no pre-shared key in it");
	refuses("0x" DIGITS, "has no pre-shared key in it");
	refuses(" " DIGITS, "has no pre-shared key in it");
	refuses("sensor7:" DIGITS, "has no pre-shared key in it");
	refuses(DIGITS "\n" DIGITS, "has no pre-shared key in it");
	refuses("000102030405060708090a0b0c0d0e", "less than 16 bytes");
	refuses("00", "less than 16 bytes");
	refuses_fd(file_of(DIGITS "\0", 41), "has no pre-shared key in it");
	memset(large, '0', sizeof(large));
	refuses_fd(file_of(large, LIMIT_KEY_BYTES), "more than 64 bytes");
	refuses_fd(file_of(large, sizeof(large)), "is too large for a key");
	refuses_fd(open("/dev/zero", O_RDONLY | O_CLOEXEC), "is not a regular file");
}

/* ---- grants ---- */

static void give(struct rig *rig, uint32_t number, uint32_t badge, const char *text)
{
	const struct msg_key body = { .key = number, .badge_count = 1, .kind = KEY_PSK };
	char tail[4 + 4];

	memcpy(tail, &badge, sizeof(badge));
	memcpy(tail + sizeof(badge), "name", 4);
	rig_tell(rig, MSG_KEY, &body, tail, sizeof(tail), file_of(text, strlen(text)));
}

static int want(int worker, uint64_t id, uint32_t key)
{
	const struct msg_psk_wanted body = { .id = id, .key = key };

	return worker_say(worker, MSG_PSK_WANTED, &body, NULL, 0);
}

static int hears(int worker, struct answer *ret)
{
	const struct msg_context ctx = { &internal_messages, ROLE_WORKER, ROLE_KEYHOLDER, RUN };
	const struct msg_psk_given *body;
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;
	int r = msg_recv(worker, &ctx, &buf, &msg, &rule);

	if (r == -ECONNRESET)
		return 0;
	if (r != 1)
		return r;
	assert_int_equal(msg.type, MSG_PSK_GIVEN);
	body = msg.body;
	*ret = (struct answer){ .id = body->id, .error = body->error, .len = msg.tail_len };
	memcpy(ret->bytes, msg.tail, msg.tail_len);
	return 1;
}

static struct answer ask(struct rig *rig, int worker, uint32_t key)
{
	struct answer answer = { 0 };

	assert_int_equal(want(worker, 7, key), 0);
	rig_turn(rig);
	assert_int_equal(hears(worker, &answer), 1);
	assert_int_equal(answer.id, 7);
	return answer;
}

/* "Not yours" and "there is none" are one answer, to the byte; so is a key of the other kind. */
static void a_key_is_given_to_its_badges_alone(void **state unused_)
{
	EVP_PKEY *key = key_generate("EC", "P-256", 0);
	struct answer mine, others, unknown, private, sign;
	uint8_t bytes[256];
	struct rig rig;
	int worker, other;

	rig_init(&rig);
	rig_keys(&rig, 3);
	give(&rig, 7, 1, DIGITS);
	give(&rig, 8, 2, "ffffffffffffffffffffffffffffffff");
	rig_key(&rig, 9, 1, key);
	worker = rig_worker(&rig, 1);
	other = rig_worker(&rig, 2);
	mine = ask(&rig, worker, 7);
	assert_int_equal(mine.error, TLSB_E_NONE);
	assert_int_equal(mine.len, 20);
	assert_memory_equal(mine.bytes, "\x00\x01\x02\x03", 4);
	assert_int_equal(ask(&rig, other, 8).len, 16);
	others = ask(&rig, worker, 8);
	unknown = ask(&rig, worker, 10);
	private = ask(&rig, worker, 9);
	assert_int_equal(others.error, TLSB_E_POLICY);
	assert_int_equal(others.len, 0);
	assert_memory_equal(&others, &unknown, sizeof(others));
	assert_memory_equal(&others, &private, sizeof(others));
	assert_int_equal(ask(&rig, worker, 0).error, TLSB_E_POLICY);
	assert_int_equal(ask(&rig, other, 7).error, TLSB_E_POLICY);
	assert_int_equal(ask(&rig, worker, UINT32_MAX).error, TLSB_E_POLICY);
	/* Nor does it sign. */
	sign = rig_sign(&rig, worker, 7, 0x0403, bytes, flight_1_3(bytes, FLIGHT_TEXT, 32));
	assert_int_equal(sign.error, TLSB_E_POLICY);
	sign = rig_sign(&rig, worker, 9, 0x0403, bytes, flight_1_3(bytes, FLIGHT_TEXT, 32));
	assert_int_equal(sign.error, TLSB_E_NONE);
	assert_int_equal(rig_count(&rig, COUNTER_psks_given), 2);
	assert_int_equal(rig_count(&rig, COUNTER_psks_refused), 6);
	close(worker);
	close(other);
	rig_deinit(&rig);
	EVP_PKEY_free(key);
}

static void keys_are_replaced_with_the_others(void **state unused_)
{
	struct rig rig;
	int worker;

	rig_init(&rig);
	worker = rig_worker(&rig, 1);
	assert_int_equal(ask(&rig, worker, 1).error, TLSB_E_POLICY);
	rig_keys(&rig, 1);
	give(&rig, 1, 1, DIGITS);
	assert_int_equal(ask(&rig, worker, 1).bytes[1], 1);
	rig_keys(&rig, 1);
	give(&rig, 1, 1, "ffffffffffffffffffffffffffffffff");
	assert_int_equal(ask(&rig, worker, 1).bytes[1], 0xff);
	/* The file was damaged since the supervisor has looked at it. */
	rig_keys(&rig, 2);
	give(&rig, 1, 1, "nonsense");
	give(&rig, 2, 1, DIGITS);
	assert_false(rig.lost);
	assert_int_equal(ask(&rig, worker, 1).error, TLSB_E_RESOURCES);
	assert_int_equal(ask(&rig, worker, 2).error, TLSB_E_NONE);
	rig_keys(&rig, 0);
	assert_int_equal(ask(&rig, worker, 2).error, TLSB_E_POLICY);
	close(worker);
	rig_deinit(&rig);
}

/* Case 42: who asks and does not read is cut off; another badge is served meanwhile. */
static void case_42_who_floods_is_cut_off(void **state unused_)
{
	struct answer answer;
	int worker, other, r;
	struct rig rig;

	rig_init(&rig);
	rig_keys(&rig, 2);
	give(&rig, 1, 1, DIGITS);
	give(&rig, 2, 2, DIGITS);
	worker = rig_worker(&rig, 1);
	other = rig_worker(&rig, 2);
	for (unsigned i = 0; i < 20000; i++) {
		r = want(worker, i, 1);
		if (r == -EPIPE || r == -ECONNRESET)
			break;
		if (i % 64 == 0) {
			rig_turn(&rig);
			assert_int_equal(ask(&rig, other, 2).error, TLSB_E_NONE);
		}
	}
	assert_true(r == -EPIPE || r == -ECONNRESET);
	assert_int_equal(rig_keyholder(&rig)->asker_count, 1);
	while ((r = hears(worker, &answer)) == 1)
		;
	assert_int_equal(r, 0);
	assert_int_equal(ask(&rig, other, 2).error, TLSB_E_NONE);
	close(worker);
	close(other);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hexadecimal_digits_are_a_key),
		TEST(what_is_no_key_is_refused),
		TEST(a_key_is_given_to_its_badges_alone),
		TEST(keys_are_replaced_with_the_others),
		TEST(case_42_who_floods_is_cut_off),
	};

	return testing_run(tests);
}
