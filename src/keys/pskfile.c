#include "keys/pskfile.h"

#include <errno.h>
#include <openssl/crypto.h>

#include "base/text.h"
#include "keys/keyfile.h"

/* NULL: it can be used. */
static const char *what_is_wrong(int len)
{
	if (len == -ERANGE)
		return "has a key of more than 64 bytes in it, which not every server takes";
	if (len <= 0)
		return "has no pre-shared key in it: hexadecimal digits, two for each byte";
	return len < LIMIT_PSK_LEAST ? "has a key of less than 16 bytes in it, which could be tried out"
				     : NULL;
}

_Static_assert(LIMIT_PSK_BYTES == 64 && LIMIT_PSK_LEAST == 16, "what_is_wrong() says so");

int pskfile_read(int fd, struct psk **ret_psk, const char **ret_why)
{
	struct psk *psk;
	char *bytes = NULL;
	size_t len = 0;
	int r = keyfile_load(fd, &bytes, &len, ret_why);

	if (!bytes)
		return r;
	psk = OPENSSL_secure_zalloc(sizeof(*psk));
	r = psk ? text_parse_hex(bytes, len, psk->bytes, sizeof(psk->bytes)) : -ENOMEM;
	keyfile_release(bytes);
	if (!psk)
		return -ENOMEM;
	*ret_why = what_is_wrong(r);
	if (*ret_why) {
		pskfile_free(psk);
		return -EINVAL;
	}
	psk->len = (size_t)r;
	*ret_psk = psk;
	return 0;
}

struct psk *pskfile_free(struct psk *psk)
{
	OPENSSL_secure_clear_free(psk, sizeof(*psk));
	return NULL;
}
