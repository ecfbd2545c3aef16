#include "tools/keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/macros.h"
#include "base/text.h"
#include "tools/complain.h"
#include "tools/file.h"
#include "wire/reach.h"

struct keys {
	const struct options *options;
	struct tlsb *tlsb;
	struct key_list list;
};

static enum exit_code exit_of(int error)
{
	switch (error) {
	case ENOENT:
	case EOPNOTSUPP:
	case EFBIG:
		return EXIT_USAGE;
	case ECONNRESET:
		return EXIT_BROKER;
	default:
		return exits_from_errno(error);
	}
}

/* SUBJECT: the file, or the key's number as it was typed. */
static enum exit_code failed(const struct keys *keys, const char *subject)
{
	int error = errno;
	char text[LIMIT_TEXT + 1];

	tlsb_key_error_text(keys->tlsb, text, sizeof(text));
	return complain(exit_of(error), subject, "%s", text);
}

/* ---- the list ---- */

static enum exit_code fetch(struct keys *keys)
{
	struct key_list *list = &keys->list;
	struct tlsb_key_info info = { .key = 0 };

	while (tlsb_key_next(keys->tlsb, info.key, &info, sizeof(info)) == 0) {
		struct tlsb_key_info *longer =
			reallocarray(list->keys, list->count + 1, sizeof(*longer));

		if (!longer)
			return complain(EXIT_OTHER, NULL, "%s", strerror(ENOMEM));
		list->keys = longer;
		list->keys[list->count++] = info;
	}
	return errno == ENOENT ? EXIT_OK : failed(keys, NULL);
}

static enum exit_code print(struct keys *keys)
{
	if (!keys->options->json)
		keys_print_text(&keys->list);
	else if (keys_print_json(&keys->list) < 0)
		return complain(EXIT_OTHER, NULL, "%s", strerror(ENOMEM));
	return EXIT_OK;
}

static enum exit_code list_all(struct keys *keys)
{
	enum exit_code exit = fetch(keys);

	return exit == EXIT_OK ? print(keys) : exit;
}

/* ---- one key ---- */

static enum exit_code import(struct keys *keys)
{
	cleanup_(file_forget) struct file file = { NULL, 0 };
	const char *path = keys->options->key_file;
	int error = file_read(path, 4 * LIMIT_KEY_BYTES, &file);
	struct tlsb_key_info info;
	uint32_t key;

	if (error)
		return complain(EXIT_USAGE, path, "%s", strerror(error));
	if (tlsb_key_import(keys->tlsb, file.data, file.len, &key) < 0)
		return failed(keys, path);
	if (!keys->options->json) {
		printf("%" PRIu32 "\n", key);
		return EXIT_OK;
	}
	if (tlsb_key_next(keys->tlsb, key - 1, &info, sizeof(info)) < 0 || info.key != key)
		return complain(EXIT_OTHER, path, "the key has gone again");
	keys->list.keys = malloc(sizeof(info));
	if (!keys->list.keys)
		return complain(EXIT_OTHER, NULL, "%s", strerror(ENOMEM));
	keys->list.keys[keys->list.count++] = info;
	return print(keys);
}

/* The digits up to the first space: behind them the name of a file may stand. */
static enum exit_code read_hash(uint8_t hash[LIMIT_HASH], size_t *ret_len)
{
	cleanup_(file_forget) struct file file = { NULL, 0 };
	int error = file_read(NULL, 4096, &file), len = -EINVAL;

	if (error)
		return complain(EXIT_OTHER, "standard input", "%s", strerror(error));
	for (size_t i = 0; i <= file.len; i++) {
		if (i == file.len || file.data[i] == ' ' || file.data[i] == '\n') {
			len = text_parse_hex(file.data, i, hash, LIMIT_HASH);
			break;
		}
	}
	if (len != 32 && len != 48 && len != 64)
		return complain(EXIT_USAGE, "standard input",
				"must be a hash of 32, 48 or 64 bytes in hexadecimal digits");
	*ret_len = (size_t)len;
	return EXIT_OK;
}

/* By the key's kind, the padding, and how long the hash is. */
static int algorithm_of(const struct tlsb_key_info *key, bool pkcs1, size_t hash_len)
{
	static const int codes[][3] = {
		{ TLSB_ECDSA_SHA256, TLSB_ECDSA_SHA384, TLSB_ECDSA_SHA512 },
		{ TLSB_RSA_PSS_SHA256, TLSB_RSA_PSS_SHA384, TLSB_RSA_PSS_SHA512 },
		{ TLSB_RSA_PKCS1_SHA256, TLSB_RSA_PKCS1_SHA384, TLSB_RSA_PKCS1_SHA512 },
	};
	const int row = strcmp(key->type, "ECDSA") == 0 ? 0 : pkcs1 ? 2 : 1;

	return codes[row][hash_len == 32 ? 0 : hash_len == 48 ? 1 : 2];
}

static const struct tlsb_key_info *find(const struct keys *keys)
{
	for (size_t i = 0; i < keys->list.count; i++) {
		if (keys->list.keys[i].key == keys->options->key_number)
			return &keys->list.keys[i];
	}
	return NULL;
}

static enum exit_code sign(struct keys *keys, int algorithm, const uint8_t *hash, size_t len)
{
	uint8_t signature[TLSB_SIGNATURE_MAX];
	ssize_t n = tlsb_key_sign_hash(keys->tlsb, keys->options->key_number, algorithm, hash, len,
				       signature, sizeof(signature));

	if (n < 0)
		return failed(keys, keys->options->key_file);
	fwrite(signature, 1, (size_t)n, stdout); /* main() looks whether that went well */
	return EXIT_OK;
}

static enum exit_code verify(struct keys *keys, int algorithm, const uint8_t *hash, size_t len)
{
	cleanup_(file_forget) struct file file = { NULL, 0 };
	const char *path = keys->options->signature;
	int error = file_read(path, TLSB_SIGNATURE_MAX, &file);

	if (error)
		return complain(EXIT_USAGE, path, "%s", strerror(error));
	if (tlsb_key_verify_hash(keys->tlsb, keys->options->key_number, algorithm, hash, len, file.data,
				 file.len) < 0)
		return failed(keys, errno == EBADMSG ? path : keys->options->key_file);
	return EXIT_OK;
}

static enum exit_code use(struct keys *keys)
{
	const struct tlsb_key_info *key;
	enum exit_code exit = fetch(keys);
	uint8_t hash[LIMIT_HASH];
	size_t len = 0;
	int algorithm;

	if (exit == EXIT_OK)
		exit = read_hash(hash, &len);
	if (exit != EXIT_OK)
		return exit;
	key = find(keys);
	if (!key)
		return complain(EXIT_USAGE, keys->options->key_file, "there is no such key");
	algorithm = algorithm_of(key, keys->options->pkcs1, len);
	return keys->options->verb == KEYS_SIGN ? sign(keys, algorithm, hash, len)
						: verify(keys, algorithm, hash, len);
}

static enum exit_code do_verb(struct keys *keys)
{
	switch (keys->options->verb) {
	case KEYS_LIST:
		return list_all(keys);
	case KEYS_IMPORT:
		return import(keys);
	case KEYS_SIGN:
	case KEYS_VERIFY:
		return use(keys);
	default:
		if (tlsb_key_destroy(keys->tlsb, keys->options->key_number) < 0)
			return failed(keys, keys->options->key_file);
		return EXIT_OK;
	}
}

static enum exit_code no_broker(const struct options *options)
{
	struct sockaddr_un address;
	int error = errno;

	/* The library does not say where it looked: it looks as this does. */
	fd_close(reach_broker(options->socket, &address));
	return complain_of_broker(address.sun_path, error);
}

enum exit_code keys_run(const struct options *options)
{
	struct keys keys = { .options = options, .tlsb = tlsb_open(options->socket) };
	enum exit_code exit;

	if (!keys.tlsb)
		return no_broker(options);
	exit = do_verb(&keys);
	free(keys.list.keys);
	tlsb_close(keys.tlsb);
	return exit;
}
