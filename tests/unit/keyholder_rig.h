/*
 * The keyholder role inside a test: its real event loop and handlers, with the test at the far end of
 * every channel, as supervisor and as workers.  Header-only.
 */
#ifndef TLSB_TESTS_KEYHOLDER_RIG_H
#define TLSB_TESTS_KEYHOLDER_RIG_H

#include "testing.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/log.h"
#include "keyholder/keyholder.h"
#include "keyholder/sign.h"
#include "keyholder_flight.h"
#include "tlsbroker.h"

struct rig {
	struct child child;
	int supervisor; /* the supervisor's end of the keyholder's channel */
	bool lost;	/* the keyholder gave its supervisor up */
};

static inline void rig_on_lost(struct chan *chan, enum msg_rule rule unused_,
			       const char *what unused_)
{
	container_of((struct child *)chan->owner, struct rig, child)->lost = true;
}

static inline struct keyholder *rig_keyholder(const struct rig *rig)
{
	return rig->child.state;
}

static inline uint64_t rig_count(const struct rig *rig, enum counter which)
{
	return counters_get(rig->child.counters, which);
}

/* Let the role do what there is to do. */
static inline void rig_turn(struct rig *rig)
{
	for (int i = 0; i < 8; i++)
		event_base_loop(rig->child.base, EVLOOP_NONBLOCK);
}

/* As the supervisor.  FD, if the row has one, is consumed. */
static inline void rig_tell(struct rig *rig, uint32_t type, const void *body, const void *tail,
			    size_t tail_len, int fd)
{
	assert_int_equal(msg_send(rig->supervisor, &internal_messages, type, body, tail, tail_len,
				  &fd),
			 0);
	fd_close(fd);
	rig_turn(rig);
}

static inline void rig_init(struct rig *rig)
{
	const struct msg_start start = { 0 };
	struct counters *counters;
	int pair[2], page;

	*rig = (struct rig){ .child = { .role = ROLE_KEYHOLDER, .ops = &keyholder_ops } };
	assert_int_equal(keyholder_ops.prepare(&rig->child), 0);
	rig->child.base = child_base_new();
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig->supervisor = pair[1];
	assert_int_equal(chan_init(&rig->child.supervisor, rig->child.base, pair[0],
				   &internal_messages, ROLE_KEYHOLDER, ROLE_SUPERVISOR, RUN,
				   keyholder_ops.handlers, rig_on_lost, &rig->child),
			 0);
	assert_int_equal(counters_create(&counters, &page), 0);
	counters_unmap(counters);
	rig_tell(rig, MSG_START, &start, NULL, 0, page);
	assert_false(rig->lost);
}

static inline void rig_deinit(struct rig *rig)
{
	keyholder_ops.stop(&rig->child);
	chan_deinit(&rig->child.supervisor);
	log_set_sink(NULL, NULL, LOG_L_ERROR);
	counters_unmap(rig->child.counters);
	event_base_free(rig->child.base);
	fd_close(rig->supervisor);
}

/* ---- keys ---- */

static inline EVP_PKEY *key_generate(const char *type, const char *group, unsigned bits)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	assert_true(EVP_PKEY_keygen_init(ctx) > 0);
	if (group)
		assert_true(EVP_PKEY_CTX_set_group_name(ctx, group) > 0);
	if (bits)
		assert_true(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits) > 0);
	assert_true(EVP_PKEY_generate(ctx, &key) > 0);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static inline int file_of(const void *bytes, size_t len)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	return fd;
}

/* A file with this key in PEM; encrypted, if there is a PASSPHRASE. */
static inline int key_file(const EVP_PKEY *key, const char *passphrase)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;
	int fd;

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key,
						       passphrase ? EVP_aes_128_cbc() : NULL,
						       passphrase,
						       passphrase ? (int)strlen(passphrase) : 0,
						       NULL, NULL),
			 1);
	len = BIO_get_mem_data(bio, &data);
	fd = file_of(data, (size_t)len);
	BIO_free(bio);
	return fd;
}

/* As the supervisor: so many keys follow. */
static inline void rig_keys(struct rig *rig, uint32_t count)
{
	rig_tell(rig, MSG_KEYS, &(struct msg_keys){ .count = count }, NULL, 0, -1);
}

/* As the supervisor: one of them, for one badge.  FD is consumed. */
static inline void rig_key_in(struct rig *rig, uint32_t number, uint32_t badge, int fd)
{
	const struct msg_key body = { .key = number, .badge_count = 1 };
	char tail[4 + 4];

	memcpy(tail, &badge, sizeof(badge));
	memcpy(tail + sizeof(badge), "name", 4);
	rig_tell(rig, MSG_KEY, &body, tail, sizeof(tail), fd);
}

static inline void rig_key(struct rig *rig, uint32_t number, uint32_t badge, const EVP_PKEY *key)
{
	rig_key_in(rig, number, badge, key_file(key, NULL));
}

/* ---- as a worker ---- */

struct answer {
	uint64_t id;
	uint32_t error;
	size_t len;
	uint8_t bytes[LIMIT_SIGNATURE];
};

static inline int rig_worker_of_pid(struct rig *rig, uint32_t badge, uint32_t pid)
{
	const struct msg_worker_chan body = { .uid = 1000, .badge = badge, .pid = pid };
	int pair[2];

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	rig_tell(rig, MSG_WORKER_CHAN, &body, NULL, 0, pair[0]);
	return pair[1];
}

/* A new worker with this badge: its end of the channel. */
static inline int rig_worker(struct rig *rig, uint32_t badge)
{
	static uint32_t pid = 1000;

	return rig_worker_of_pid(rig, badge, ++pid);
}

static inline int worker_say(int worker, uint32_t type, const void *body, const void *tail,
			     size_t len)
{
	return msg_send(worker, &internal_messages, type, body, tail, len, NULL);
}

/* As a real worker: in as many parts as it takes.  What does not fit into the socket is lost. */
static inline int worker_asks(int worker, uint64_t id, uint32_t key, uint16_t scheme,
			      const uint8_t *bytes, size_t len)
{
	const struct msg_sign body = { .id = id, .key = key, .scheme = scheme };
	const struct msg_sign_part part = { 0 };

	for (; len > LIMIT_TAIL; bytes += LIMIT_TAIL, len -= LIMIT_TAIL) {
		int r = worker_say(worker, MSG_SIGN_PART, &part, bytes, LIMIT_TAIL);

		if (r < 0)
			return r;
	}
	return worker_say(worker, MSG_SIGN, &body, bytes, len);
}

/* 1 and the next answer if there is one, 0 if the channel was closed, or -EAGAIN. */
static inline int worker_hears(int worker, struct answer *ret)
{
	const struct msg_context ctx = { &internal_messages, ROLE_WORKER, ROLE_KEYHOLDER, RUN };
	const struct msg_signed *body;
	enum msg_rule rule = RULE_NONE;
	union msg_buffer buf;
	struct msg msg;
	int r = msg_recv(worker, &ctx, &buf, &msg, &rule);

	assert_int_equal(rule, RULE_NONE);
	if (r == -ECONNRESET) /* closed, with something unread */
		return 0;
	if (r != 1)
		return r;
	if (msg.type == MSG_KEY_LENT) { /* what is said of a key that was none is a text */
		const struct msg_key_lent *lent = msg.body;

		*ret = (struct answer){ .id = lent->id, .error = lent->error };
		return 1;
	}
	if (msg.type == MSG_KEY_ANSWER) { /* the same, when there is an error */
		const struct msg_key_answer *told = msg.body;

		*ret = (struct answer){ .id = told->id, .error = told->error };
		return 1;
	}
	body = msg.body;
	*ret = (struct answer){ .id = body->id, .error = body->error, .len = msg.tail_len };
	memcpy(ret->bytes, msg.tail, msg.tail_len);
	return 1;
}

/* Ask, and the answer. */
static inline struct answer rig_sign(struct rig *rig, int worker, uint32_t key, uint16_t scheme,
				     const uint8_t *bytes, size_t len)
{
	static uint64_t id;
	struct answer answer = { 0 };

	assert_int_equal(worker_asks(worker, ++id, key, scheme, bytes, len), 0);
	rig_turn(rig);
	assert_int_equal(worker_hears(worker, &answer), 1);
	assert_int_equal(answer.id, id);
	return answer;
}

/* Whether it is KEY's signature of the bytes by this scheme. */
static inline bool is_signature(EVP_PKEY *key, uint16_t code, const struct answer *answer,
				const uint8_t *bytes, size_t len)
{
	const struct scheme *scheme = scheme_of_code(code);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx;
	bool good;

	assert_true(EVP_DigestVerifyInit_ex(md, &ctx, scheme->digest[0] ? scheme->digest : NULL,
					    NULL, NULL, key, NULL) > 0);
	if (scheme->padding == PADDING_PSS)
		assert_true(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
			    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
	good = EVP_DigestVerify(md, answer->bytes, answer->len, bytes, len) == 1;
	EVP_MD_CTX_free(md);
	return good;
}

#endif
