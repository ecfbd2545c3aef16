/*
 * A private key's file: what is accepted, for who holds keys and for who checks a configuration.
 */
#ifndef TLSB_KEYS_KEYFILE_H
#define TLSB_KEYS_KEYFILE_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Before OpenSSL's first allocation, in a process that sees private keys: what it frees is overwritten,
 * and the numbers of private keys lie in memory of their own that is locked, if the kernel lets us, and
 * in no core file: BYTES of it, a power of two.  Again is fine.  0, 1: it could not be locked, or -ENOMEM.
 */
int keyfile_prepare(size_t bytes);

/*
 * The key in FD, a regular file of LIMIT_KEY_BYTES at most, in PEM or DER; no other byte of it stays in
 * memory.  The caller frees *ret_key.  0; -EINVAL: it cannot be used, and *ret_why says why; or -errno.
 */
int keyfile_read(int fd, EVP_PKEY **ret_key, const char **ret_why);

/*
 * What is in FD, as above, in memory for keys, for keyfile_release(), which leaves no trace of it.  0;
 * -EINVAL: it cannot be used, and *ret_why says why; or -errno.
 */
int keyfile_load(int fd, char **ret_bytes, size_t *ret_len, const char **ret_why);
void keyfile_release(char *bytes);

/* Nothing of a key is to stay where calls that have returned had their variables, nor in registers. */
void keyfile_wipe_traces(void);
#define KEYFILE_DIGEST 32

/*
 * The same of a file that a program has made: hostile.  A key whose signatures take longer than those of
 * other keys is none.  *ret_digest is the file's SHA-256.
 */
int keyfile_read_lent(int fd, EVP_PKEY **ret_key, uint8_t ret_digest[KEYFILE_DIGEST],
		      const char **ret_why);

/*
 * The same of a private key, or a public one alone: *ret_private says which it is.
 */
int keyfile_read_imported(int fd, EVP_PKEY **ret_key, bool *ret_private, const char **ret_why);

/*
 * Whether FD can be such a file: anonymous memory, sealed, not larger.  Nobody can make who reads it wait;
 * whoever has a socket's or a pipe's other descriptors can, and so can a file system.  Reads nothing of it.
 */
bool keyfile_is_lent(int fd);

#endif
