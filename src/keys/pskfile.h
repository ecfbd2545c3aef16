/*
 * A pre-shared key's file: hexadecimal digits, two for each byte, as openssl and GnuTLS take keys, too.
 */
#ifndef TLSB_KEYS_PSKFILE_H
#define TLSB_KEYS_PSKFILE_H

#include <stddef.h>

#include "wire/limits.h"

struct psk {
	size_t len;
	unsigned char bytes[LIMIT_PSK_BYTES];
};

/*
 * The key in FD, for pskfile_free(): in memory for keys, as a private one, and nowhere else (keyfile.h).  0;
 * -EINVAL: it cannot be used, and *ret_why says why; or -errno.
 */
int pskfile_read(int fd, struct psk **ret_psk, const char **ret_why);

/* NULL is fine.  Returns NULL. */
struct psk *pskfile_free(struct psk *psk);

#endif
