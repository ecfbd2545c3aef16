#include "base/counters.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/fd.h"

const struct counter_info counter_info[COUNTER_COUNT] = {
#define COUNTER(name, kind, doc) { #name, kind, doc },
#include "base/counters.def"
#undef COUNTER
};

int counters_attach(struct counters **ret_counters, int fd)
{
	void *p = mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret_counters = p;
	return 0;
}

int counters_create(struct counters **ret_counters, int *ret_fd)
{
	cleanup_close_ int fd = -1;
	int r = fd_sealed_size("tlsbroker-counters", sizeof(struct counters), &fd);

	if (r == 0)
		r = counters_attach(ret_counters, fd);
	if (r == 0)
		*ret_fd = fd_steal(&fd);
	return r;
}

void counters_unmap(struct counters *counters)
{
	if (counters)
		munmap(counters, sizeof(*counters));
}
