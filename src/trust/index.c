/*
 * The worker's half of the trust index: mapped, never parsed as a whole.  It knows no OpenSSL.
 */
#include "trust/index.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "wire/limits.h"

static const struct trust_entry *entries(const struct trust_index *index)
{
	return (const struct trust_entry *)(const void *)(index->bytes +
							  sizeof(struct trust_header));
}

/* Where the entries end and certificates begin. */
static size_t table_end(const struct trust_index *index)
{
	return sizeof(struct trust_header) + (size_t)index->count * sizeof(struct trust_entry);
}

int trust_index_get(const struct trust_index *index, uint32_t i, uint32_t *ret_hash,
		    const uint8_t **ret_der, size_t *ret_len)
{
	const struct trust_entry *entry;

	if (i >= index->count)
		return -EPROTO;
	entry = &entries(index)[i];
	if (entry->reserved != 0 || entry->len == 0 || entry->offset < table_end(index) ||
	    entry->offset > index->len || entry->len > index->len - entry->offset)
		return -EPROTO;
	*ret_hash = entry->hash;
	*ret_der = index->bytes + entry->offset;
	*ret_len = entry->len;
	return 0;
}

/* Header, table, and the order that the search relies on. */
static int check(struct trust_index *index)
{
	struct trust_header header;
	uint32_t last = 0;

	memcpy(&header, index->bytes, sizeof(header));
	index->count = header.count;
	if (header.magic != TRUST_MAGIC || header.count == 0 ||
	    header.count > (index->len - sizeof(header)) / sizeof(struct trust_entry))
		return -EPROTO;
	for (uint32_t i = 0; i < index->count; i++) {
		const uint8_t *der;
		uint32_t hash;
		size_t len;

		if (trust_index_get(index, i, &hash, &der, &len) < 0 || hash < last)
			return -EPROTO;
		last = hash;
	}
	return 0;
}

int trust_index_open(struct trust_index *ret_index, int fd)
{
	/* Without these seals the bytes could change, or go away under us, after the check. */
	const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	struct trust_index index = { 0 };
	struct stat st;
	void *bytes;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & needed) != needed)
		return -EPROTO;
	if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(struct trust_header) ||
	    st.st_size > (off_t)LIMIT_TRUST_BYTES)
		return -EPROTO;
	index.len = (size_t)st.st_size;
	bytes = mmap(NULL, index.len, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	index.bytes = bytes;
	if (check(&index) < 0) {
		trust_index_close(&index);
		return -EPROTO;
	}
	*ret_index = index;
	return 0;
}

void trust_index_close(struct trust_index *index)
{
	if (index->bytes)
		munmap((void *)(uintptr_t)index->bytes, index->len);
	*index = (struct trust_index){ 0 };
}

uint32_t trust_index_find(const struct trust_index *index, uint32_t hash)
{
	uint32_t low = 0, high = index->count; /* entries below LOW are smaller, from HIGH on not */

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (entries(index)[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low < index->count && entries(index)[low].hash == hash ? low : index->count;
}
