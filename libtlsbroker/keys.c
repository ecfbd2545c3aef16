/*
 * Keys that are kept in the broker.  What is wanted goes on a socket pair of its own, as a session's does,
 * and so does the answer: whichever threads ask, each has its own, and an end of the broker is its end.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "libtlsbroker/internal.h"
#include "wire/errors.h"

/* How long a call waits; the keyholder may be signing for everybody else. */
#define KEY_WAIT_MS 10000

/* What is wanted, and what has come of it. */
struct errand {
	struct tlsb *tlsb;
	int fd;
	uint64_t end_ms;
	struct key_told told;
	size_t len; /* of the answer's tail */
	char tail[LIMIT_KEY_SIGNATURE];
};

/* Remember why.  Returns -1 with ERROR as errno. */
static int fail(struct tlsb *tlsb, int error, const char *text)
{
	pthread_mutex_lock(&tlsb->lock);
	text_copy(tlsb->key_text, sizeof(tlsb->key_text), text);
	pthread_mutex_unlock(&tlsb->lock);
	errno = error;
	return -1;
}

static int fail_code(struct tlsb *tlsb, uint32_t code, const char *text)
{
	const struct error_info *info = error_info(code ? code : TLSB_E_BROKER_PROTOCOL);

	return fail(tlsb, info->number, text && *text ? text : info->text);
}

static int fail_here(struct tlsb *tlsb, int error)
{
	return fail(tlsb, error, error == EFBIG ? "the key is too large" : strerrordesc_np(error));
}

/* ---- asking ---- */

/* Until FD can be written, or read.  0, or -ETIMEDOUT. */
static int wait_until(int fd, short events, uint64_t end_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	uint64_t now = clock_ms();

	if (now >= end_ms)
		return -ETIMEDOUT;
	poll(&pfd, 1, (int)(end_ms - now)); /* a signal only makes it look sooner */
	return 0;
}

/* 0, also when nobody reads it any more: why, its answer says.  Or -errno. */
static int send_all(int fd, uint64_t end_ms, uint32_t type, const void *body, const void *tail,
		    size_t len, const int *fds)
{
	int r;

	do {
		r = msg_send(fd, &client_messages, type, body, tail, len, fds);
		if (r != -EAGAIN)
			break;
		r = errno == ENOBUFS ? -ENOMEM : wait_until(fd, POLLOUT, end_ms);
	} while (r == 0);
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

static int begin(struct errand *errand, struct tlsb *tlsb)
{
	static const struct msg_key_socket nothing;
	int pair[2], r = fd_seqpacket_pair(pair);

	if (r < 0)
		return fail_here(tlsb, -r);
	*errand = (struct errand){ .tlsb = tlsb, .fd = pair[0], .end_ms = clock_ms() + KEY_WAIT_MS };
	r = send_all(tlsb->first.fd, errand->end_ms, CLIENT_MSG_KEY_SOCKET, &nothing, NULL, 0, &pair[1]);
	fd_close(pair[1]);
	if (r == 0)
		return 0;
	fd_close(errand->fd);
	return fail_here(tlsb, -r);
}

/* ---- the answer ---- */

/* It hung up without a word: who did, and why? */
static int fail_gone(struct errand *errand)
{
	char text[LIMIT_TEXT + 1];
	uint32_t refused = link_listen(errand->tlsb, &errand->tlsb->first, true, text);

	if (refused)
		return fail_code(errand->tlsb, refused, text);
	/* Processes of a daemon that dies do so one after the other. */
	for (uint64_t end = clock_ms() + GONE_SETTLES_MS; clock_ms() < end; poll(NULL, 0, 10)) {
		if (!open_is_there(errand->tlsb))
			return fail_code(errand->tlsb, TLSB_E_BROKER_GONE, NULL);
	}
	return fail_code(errand->tlsb, TLSB_E_WORKER_DIED, NULL);
}

static int on_refused(struct errand *errand, const struct msg *msg)
{
	const struct msg_refused *refused = msg->body;
	char text[LIMIT_TEXT + 1];

	memcpy(text, msg->tail, msg->tail_len);
	text[msg->tail_len] = '\0';
	info_make_printable(text, sizeof(text), ' ');
	return fail_code(errand->tlsb, refused->error, text);
}

static int on_done(struct errand *errand, const struct msg *msg)
{
	const struct msg_key_done *done = msg->body;

	errand->told = done->told;
	errand->len = msg->tail_len;
	memcpy(errand->tail, msg->tail, msg->tail_len);
	return 0;
}

/* Wait for it, and end. */
static int hear(struct errand *errand)
{
	const struct msg_context ctx = { &client_messages, ROLE_CLIENT, ROLE_WORKER, KEY };
	union msg_buffer buffer;
	enum msg_rule rule;
	struct msg msg;
	int r;

	do
		r = msg_recv(errand->fd, &ctx, &buffer, &msg, &rule);
	while (r == -EAGAIN && (r = wait_until(errand->fd, POLLIN, errand->end_ms)) == 0);
	if (r == -ETIMEDOUT)
		r = fail_code(errand->tlsb, TLSB_E_TIMEOUT, NULL);
	else if (r == -EBADMSG)
		r = fail_code(errand->tlsb, TLSB_E_BROKER_PROTOCOL, NULL);
	else if (r != 1)
		r = fail_gone(errand);
	else
		r = msg.type == CLIENT_MSG_KEY_DONE ? on_done(errand, &msg) : on_refused(errand, &msg);
	fd_close(errand->fd);
	return r;
}

static int ask(struct errand *errand, uint32_t type, const void *body, const void *tail, size_t len,
	       const int *fds)
{
	int r = send_all(errand->fd, errand->end_ms, type, body, tail, len, fds);

	if (r == 0)
		return hear(errand);
	fd_close(errand->fd);
	return fail_here(errand->tlsb, -r);
}

static int use(struct errand *errand, struct tlsb *tlsb, const struct key_wish *wish,
	       const void *tail, size_t len)
{
	const struct msg_key_use body = { .wish = *wish };

	return begin(errand, tlsb) < 0 ? -1 : ask(errand, CLIENT_MSG_KEY_USE, &body, tail, len, NULL);
}

/* ---- import ---- */

/* As a file that the worker passes on unread: nothing of it is in a message. */
static int make_file(const void *key, size_t len, int *ret_fd)
{
	size_t picked_len = 0;
	char *picked = NULL;
	int r = config_pick(key, len, "PRIVATE KEY", LIMIT_KEY_BYTES, &picked, &picked_len);

	if (r == EINVAL)
		r = config_pick(key, len, "PUBLIC KEY", LIMIT_KEY_BYTES, &picked, &picked_len);
	if (r != 0)
		return -r;
	r = config_key_file(picked, picked_len, ret_fd);
	config_free_secret(picked, picked_len);
	return r == -EAGAIN ? -ENOMEM : r;
}

int tlsb_key_import(struct tlsb *tlsb, const void *key, size_t len, uint32_t *ret_key)
{
	static const struct msg_key_import nothing;
	struct errand errand;
	cleanup_close_ int fd = -1;
	int r = ret_key ? make_file(key, len, &fd) : -EINVAL;

	if (r == -EINVAL)
		return fail(tlsb, EINVAL, "is no key, neither in PEM nor in DER");
	if (r < 0)
		return fail_here(tlsb, -r);
	if (begin(&errand, tlsb) < 0 || ask(&errand, CLIENT_MSG_KEY_IMPORT, &nothing, NULL, 0, &fd) < 0)
		return -1;
	*ret_key = errand.told.key;
	return 0;
}

/* ---- use ---- */

/* How long its hash is; 0: there is no such algorithm. */
static size_t hash_len_of(int algorithm)
{
	switch (algorithm) {
	case TLSB_RSA_PKCS1_SHA256:
	case TLSB_ECDSA_SHA256:
	case TLSB_RSA_PSS_SHA256:
		return 32;
	case TLSB_RSA_PKCS1_SHA384:
	case TLSB_ECDSA_SHA384:
	case TLSB_RSA_PSS_SHA384:
		return 48;
	case TLSB_RSA_PKCS1_SHA512:
	case TLSB_ECDSA_SHA512:
	case TLSB_RSA_PSS_SHA512:
		return 64;
	default:
		return 0;
	}
}

static bool is_hash(int algorithm, const void *hash, size_t len)
{
	return hash && len > 0 && len == hash_len_of(algorithm);
}

static int fail_hash(struct tlsb *tlsb)
{
	return fail(tlsb, EINVAL, "there is no such algorithm, or its hash has another length");
}

ssize_t tlsb_key_sign_hash(struct tlsb *tlsb, uint32_t key, int algorithm, const void *hash, size_t len,
			   void *signature, size_t size)
{
	const struct key_wish wish = { .key = key, .action = KEY_SIGN_HASH,
				       .algorithm = (uint16_t)algorithm, .hash_len = (uint32_t)len };
	struct errand errand;

	if (!is_hash(algorithm, hash, len) || !signature)
		return fail_hash(tlsb);
	if (use(&errand, tlsb, &wish, hash, len) < 0)
		return -1;
	if (errand.len == 0)
		return fail_code(tlsb, TLSB_E_BROKER_PROTOCOL, NULL);
	if (errand.len > size)
		return fail(tlsb, ERANGE, "there is too little room for the signature");
	memcpy(signature, errand.tail, errand.len);
	return (ssize_t)errand.len;
}

int tlsb_key_verify_hash(struct tlsb *tlsb, uint32_t key, int algorithm, const void *hash, size_t len,
			 const void *signature, size_t signature_len)
{
	const struct key_wish wish = { .key = key, .action = KEY_VERIFY_HASH,
				       .algorithm = (uint16_t)algorithm, .hash_len = (uint32_t)len };
	char tail[LIMIT_HASH + LIMIT_KEY_SIGNATURE];
	struct errand errand;

	if (!is_hash(algorithm, hash, len) || !signature)
		return fail_hash(tlsb);
	if (signature_len > LIMIT_KEY_SIGNATURE)
		return fail_code(tlsb, TLSB_E_KEY_SIGNATURE, NULL);
	memcpy(mempcpy(tail, hash, len), signature, signature_len);
	return use(&errand, tlsb, &wish, tail, len + signature_len);
}

int tlsb_key_destroy(struct tlsb *tlsb, uint32_t key)
{
	const struct key_wish wish = { .key = key, .action = KEY_DESTROY };
	struct errand errand;

	return use(&errand, tlsb, &wish, NULL, 0);
}

/* ---- what there is ---- */

static const char *type_name(uint16_t type)
{
	switch (type) {
	case KEY_TYPE_RSA:
		return "RSA";
	case KEY_TYPE_RSA_PSS:
		return "RSA-PSS";
	case KEY_TYPE_EC:
		return "ECDSA";
	case KEY_TYPE_ED25519:
		return "Ed25519";
	default:
		return "?";
	}
}

int tlsb_key_next(struct tlsb *tlsb, uint32_t after, struct tlsb_key_info *ret, size_t sizeof_info)
{
	const struct key_wish wish = { .key = after, .action = KEY_NEXT };
	struct tlsb_key_info info = { .key = 0 };
	struct pin pin;
	struct errand errand;

	if (!ret || sizeof_info == 0)
		return fail_here(tlsb, EINVAL);
	if (use(&errand, tlsb, &wish, NULL, 0) < 0)
		return -1;
	/* It must go on, or somebody would be asked for ever. */
	if (errand.told.key <= after)
		return fail_code(tlsb, TLSB_E_BROKER_PROTOCOL, NULL);
	info.key = errand.told.key;
	info.purpose = errand.told.purpose;
	info.bits = errand.told.bits;
	info.has_private = errand.told.has_private != 0;
	text_copy(info.type, sizeof(info.type), type_name(errand.told.type));
	memcpy(info.name, errand.tail, MIN(errand.len, sizeof(info.name) - 1));
	info_make_printable(info.name, sizeof(info.name), ' ');
	memcpy(pin.bytes, errand.told.fingerprint, sizeof(pin.bytes));
	pin_format(&pin, info.pin);
	memset(ret, 0, sizeof_info);
	memcpy(ret, &info, MIN(sizeof_info, sizeof(info)));
	return 0;
}

void tlsb_key_error_text(const struct tlsb *handle, char *text, size_t size)
{
	struct tlsb *tlsb = (struct tlsb *)(uintptr_t)handle; /* only its lock changes */

	if (size == 0)
		return;
	pthread_mutex_lock(&tlsb->lock);
	text_copy(text, size, tlsb->key_text);
	pthread_mutex_unlock(&tlsb->lock);
}
