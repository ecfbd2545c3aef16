/*
 * The certificates of an identity: PEM in, in the supervisor; DER, one behind the other and sealed,
 * to the workers.
 */
#ifndef TLSB_KEYS_CHAIN_H
#define TLSB_KEYS_CHAIN_H

#include <openssl/x509.h>

/*
 * Check the chain in PEM, its own certificate first, and that the key in KEY_FD (-1: it cannot be looked
 * at) is that one's.  *ret_fd is the caller's.  -EINVAL: *ret_why says what is wrong with the
 * certificates; -EKEYREJECTED: with the key.  0 or -errno.
 */
int chain_build(const char *pem, size_t len, int key_fd, int *ret_fd, const char **ret_why);

/*
 * The same of what a program brought, LEN bytes at most LIMIT_OWN_CERT_BYTES: PEM, or DER, one behind the
 * other.  The caller frees *ret_own and *ret_others.  -EINVAL: *ret_why says what is wrong.  0 or -errno.
 */
int chain_parse(const char *bytes, size_t len, X509 **ret_own, STACK_OF(X509) **ret_others,
		const char **ret_why);

/*
 * From a sealed FD, which stays the caller's.  The caller frees *ret_own and *ret_others.  -EPROTO: it is
 * none.  0 or -errno.
 */
int chain_open(int fd, X509 **ret_own, STACK_OF(X509) **ret_others);

#endif
