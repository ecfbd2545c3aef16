#include "keyholder/imports.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "keys/keyfile.h"
#include "tlsbroker.h"
#include "trust/memory.h"

void imports_init(struct imports *imports)
{
	*imports = (struct imports){ .count = 0 };
	LIST_INIT(&imports->list);
}

void imports_remove(struct imports *imports, struct import *import)
{
	LIST_REMOVE(import, next);
	imports->count--;
	imports->memory -= import->memory;
	EVP_PKEY_free(import->pkey);
	free(import);
}

void imports_deinit(struct imports *imports)
{
	while (!LIST_EMPTY(&imports->list))
		imports_remove(imports, LIST_FIRST(&imports->list));
}

static bool is_of(const struct import *import, struct owner owner)
{
	return import->owner.badge == owner.badge && import->owner.uid == owner.uid;
}

struct import *imports_find(const struct imports *imports, struct owner owner, uint32_t key)
{
	struct import *import;

	LIST_FOREACH(import, &imports->list, next) {
		if (is_of(import, owner) && import->told.key == key)
			break;
	}
	return import;
}

struct import *imports_next(const struct imports *imports, struct owner owner, uint32_t key)
{
	struct import *import, *found = NULL;

	LIST_FOREACH(import, &imports->list, next) {
		if (is_of(import, owner) && import->told.key > key &&
		    (!found || import->told.key < found->told.key))
			found = import;
	}
	return found;
}

/* ---- how many ---- */

static uint32_t most_of(const struct imports *imports, uint32_t badge)
{
	if (badge == 0)
		return imports->max_keys;
	for (unsigned i = 0; i < imports->limit_count; i++) {
		if (imports->limits[i].badge == badge)
			return imports->limits[i].max_keys;
	}
	return 0;
}

static unsigned count_of(const struct imports *imports, struct owner owner)
{
	const struct import *import;
	unsigned count = 0;

	LIST_FOREACH(import, &imports->list, next)
		count += is_of(import, owner);
	return count;
}

int imports_limit(struct imports *imports, const struct msg *msg)
{
	const struct msg_key_limits *body = msg->body;
	const size_t count = msg->tail_len / sizeof(imports->limits[0]);
	struct import *import, *next;

	_Static_assert(sizeof(imports->limits) == LIMIT_KEY_LIMITS, "one message has all of them");
	if (msg->tail_len % sizeof(imports->limits[0]) != 0)
		return -EBADMSG;
	imports->max_keys = body->max_keys;
	imports->limit_count = (unsigned)count;
	memcpy(imports->limits, msg->tail, msg->tail_len);
	for (import = LIST_FIRST(&imports->list); import; import = next) {
		next = LIST_NEXT(import, next);
		if (most_of(imports, import->owner.badge) == 0)
			imports_remove(imports, import);
	}
	return 0;
}

static uint32_t check_room(const struct imports *imports, struct owner owner, const char **ret_why)
{
	const uint32_t most = most_of(imports, owner.badge);

	*ret_why = "max-keys: a program may import none";
	if (most == 0)
		return TLSB_E_POLICY;
	*ret_why = "max-keys: this user has as many keys as there may be";
	if (count_of(imports, owner) >= most)
		return TLSB_E_QUOTA;
	/* What reads a key needs some more of it meanwhile. */
	*ret_why = "the keyholder has no room left for keys";
	if (imports->count >= LIMIT_KEYS_OF_ALL ||
	    imports->memory > LIMIT_IMPORTED_MEMORY - 4 * LIMIT_KEY_BYTES)
		return TLSB_E_RESOURCES;
	return TLSB_E_NONE;
}

/* ---- a new one ---- */

/* Not in a row, so that a number of a key that has gone is not taken for one that came later. */
static int give_number(const struct imports *imports, struct import *import)
{
	uint32_t number;

	do {
		if (RAND_bytes((unsigned char *)&number, sizeof(number)) != 1)
			return -ENOMEM;
		number = KEY_IS_IMPORTED | (number & (KEY_IS_IMPORTED - 1));
	} while (imports_find(imports, import->owner, number));
	import->told.key = number;
	return 0;
}

static uint16_t type_of(const EVP_PKEY *pkey)
{
	if (EVP_PKEY_is_a(pkey, "RSA"))
		return KEY_TYPE_RSA;
	if (EVP_PKEY_is_a(pkey, "RSA-PSS"))
		return KEY_TYPE_RSA_PSS;
	return EVP_PKEY_is_a(pkey, "EC") ? KEY_TYPE_EC : KEY_TYPE_ED25519;
}

int imports_describe(const EVP_PKEY *pkey, struct key_told *ret)
{
	const unsigned long failures = memory_failures();
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(pkey, &der), ok;

	ok = len > 0 && EVP_Digest(der, (size_t)len, ret->fingerprint, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	ret->type = type_of(pkey);
	ret->bits = (uint32_t)EVP_PKEY_get_bits(pkey);
	return ok && memory_failures() == failures ? 0 : -ENOMEM;
}

static int read_key(struct import *import, int fd, const char **ret_why)
{
	size_t before = CRYPTO_secure_used();
	bool is_private = false;
	int r = keyfile_read_imported(fd, &import->pkey, &is_private, ret_why);

	if (r < 0)
		return r;
	import->memory = CRYPTO_secure_used() - before;
	import->told.has_private = is_private;
	import->told.purpose = TLSB_KEY_HASH;
	r = imports_describe(import->pkey, &import->told);
	if (r == 0 && import->told.type == KEY_TYPE_ED25519) {
		*ret_why = "is an Ed25519 key, which signs messages and no hashes";
		r = -EOPNOTSUPP;
	}
	return r;
}

static uint32_t error_of(int r, const char **why)
{
	if (r == -EINVAL)
		return TLSB_E_PARAMETER;
	if (r == -EOPNOTSUPP)
		return TLSB_E_KEY_USE;
	*why = "cannot be kept: no memory";
	return TLSB_E_RESOURCES;
}

uint32_t imports_add(struct imports *imports, struct owner owner, int fd, struct import **ret,
		     const char **ret_why)
{
	uint32_t error = check_room(imports, owner, ret_why);
	struct import *import;
	int r = -ENOMEM;

	if (error != TLSB_E_NONE)
		return error;
	import = calloc(1, sizeof(*import));
	if (import) {
		import->owner = owner;
		r = read_key(import, fd, ret_why);
	}
	if (r == 0)
		r = give_number(imports, import);
	ERR_clear_error();
	if (r < 0) {
		EVP_PKEY_free(import ? import->pkey : NULL);
		free(import);
		return error_of(r, ret_why);
	}
	LIST_INSERT_HEAD(&imports->list, import, next);
	imports->count++;
	imports->memory += import->memory;
	*ret = import;
	return TLSB_E_NONE;
}
