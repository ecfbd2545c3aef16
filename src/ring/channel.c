/* memfd seals and MADV_REMOVE are Linux's own. */
#include "ring/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"

int channel_capacity_ok(uint64_t capacity)
{
	return capacity >= LIMIT_RING_MIN && capacity <= LIMIT_RING_MAX &&
	       (capacity & (capacity - 1)) == 0;
}

size_t channel_file_bytes(uint32_t capacity)
{
	return PAGE_BYTES + 2 * (size_t)capacity;
}

static size_t mapped_bytes(uint32_t capacity)
{
	return PAGE_BYTES + 4 * (size_t)capacity;
}

static int map_part(uint8_t *at, size_t len, int fd, size_t offset)
{
	void *p = mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);

	return p == MAP_FAILED ? -errno : 0;
}

/* Lay the three mappings of the picture in channel.h over one reserved range. */
static int map_all(struct channel *ret_channel, uint32_t capacity, int fd)
{
	size_t len = mapped_bytes(capacity), ring = capacity;
	uint8_t *base = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct channel channel = { .mapped = len };
	int r;

	if (base == MAP_FAILED)
		return -errno;
	r = map_part(base, PAGE_BYTES + ring, fd, 0);
	if (r == 0)
		r = map_part(base + PAGE_BYTES + ring, 2 * ring, fd, PAGE_BYTES);
	if (r == 0)
		r = map_part(base + PAGE_BYTES + 3 * ring, ring, fd, PAGE_BYTES + ring);
	if (r < 0) {
		munmap(base, len);
		return r;
	}
	channel.page = (struct control_page *)(void *)base;
	ring_init(&channel.tx, &channel.page->tx, base + PAGE_BYTES, capacity);
	ring_init(&channel.rx, &channel.page->rx, base + PAGE_BYTES + 2 * ring, capacity);
	*ret_channel = channel;
	return 0;
}

int channel_create(struct channel *ret_channel, uint32_t capacity, int *ret_fd)
{
	cleanup_close_ int fd = -1;
	int r = fd_sealed_size("tlsbroker-channel", channel_file_bytes(capacity), &fd);

	if (r == 0)
		r = map_all(ret_channel, capacity, fd);
	if (r == 0)
		*ret_fd = fd_steal(&fd);
	return r;
}

int channel_attach(struct channel *ret_channel, uint32_t capacity, int fd)
{
	const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct stat st;
	int seals;

	if (!channel_capacity_ok(capacity))
		return -EPROTO;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & needed) != needed)
		return -EPROTO;
	if (fstat(fd, &st) < 0 || st.st_size != (off_t)channel_file_bytes(capacity))
		return -EPROTO;
	return map_all(ret_channel, capacity, fd);
}

void channel_deinit(struct channel *channel)
{
	if (channel->page)
		munmap(channel->page, channel->mapped);
	*channel = (struct channel){ 0 };
}

void channel_release_rx(struct channel *channel)
{
	/* Best effort: memory that cannot be given back is kept. */
	(void)madvise(channel->rx.bytes, channel->rx.capacity, MADV_REMOVE);
}
