/*
 * A trust bundle's index: what the supervisor makes of a PEM file once, and every worker looks
 * roots up in, without parsing the bundle: subject-name hash -> DER.
 *
 *   | struct trust_header | struct trust_entry, sorted by hash | DER certificates |
 *
 * in a sealed memfd, so its bytes cannot change any more.  Written by the supervisor from the
 * administrator's file; read by workers, which check every offset all the same.
 */
#ifndef TLSB_TRUST_INDEX_H
#define TLSB_TRUST_INDEX_H

#include <stddef.h>
#include <stdint.h>

#define TRUST_MAGIC 0x31545354u /* "TST1" */

struct trust_header {
	uint32_t magic;
	uint32_t count;
};

struct trust_entry {
	uint32_t hash; /* X509_NAME_hash_ex() of the subject: of its canonical form */
	uint32_t offset;
	uint32_t len;
	uint32_t reserved;
};

/* A mapped index. */
struct trust_index {
	const uint8_t *bytes;
	size_t len;
	uint32_t count;
};

/*
 * Supervisor: index LEN bytes of PEM.  Certificates that do not parse are counted in *ret_bad and
 * left out; duplicates are dropped; other PEM blocks, and text between blocks, are ignored.  A
 * TRUSTED CERTIFICATE keeps what it says about its uses.  *ret_count: how many are in the index.
 * -EINVAL: not one good certificate.  -EFBIG: more than LIMIT_TRUST_BYTES.  The caller owns
 * *ret_fd.  0 or -errno.
 */
int trust_index_build(const char *pem, size_t len, int *ret_fd, unsigned *ret_count,
		      unsigned *ret_bad);

/*
 * The same for certificate revocation lists, by the hash of their issuer: PEM, or one in DER.  -EINVAL:
 * there is none.  -EFBIG: more than LIMIT_CRL_BYTES.
 */
int trust_index_build_crls(const char *bytes, size_t len, int *ret_fd, unsigned *ret_count,
			   unsigned *ret_bad);

/* Worker: map and check.  FD stays the caller's.  -EPROTO: not such an index, or not sealed. */
int trust_index_open(struct trust_index *ret_index, int fd);

/* All zero is fine. */
void trust_index_close(struct trust_index *index);

/* The first entry with this hash, or index->count.  Others with the same hash follow it. */
uint32_t trust_index_find(const struct trust_index *index, uint32_t hash);

/*
 * Entry I (< count), checked to lie inside: its DER at *ret_der, which may have the settings of a
 * TRUSTED CERTIFICATE behind it: for d2i_X509_AUX().  0 or -EPROTO.
 */
int trust_index_get(const struct trust_index *index, uint32_t i, uint32_t *ret_hash,
		    const uint8_t **ret_der, size_t *ret_len);

#endif
