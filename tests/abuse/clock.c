/*
 * clock: the wall clock as a test wants it, for a program that is loaded together with this (see
 * ld.so(8), /etc/ld.so.preload).  /etc/clock says by how many seconds it is wrong, at any moment; only
 * the wall clock: CLOCK_MONOTONIC goes on as it does.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TEXT 32 /* bytes of the file that count; it has as many */

static const char *text;

/* Before the sandbox closes everything. */
__attribute__((constructor)) static void open_clock(void)
{
	int fd = open("/etc/clock", O_RDONLY | O_CLOEXEC);
	void *page = mmap(NULL, TEXT, PROT_READ, MAP_SHARED, fd, 0);

	close(fd);
	text = page == MAP_FAILED ? NULL : page;
}

static time_t wrong_by(void)
{
	return text ? (time_t)strtoll(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *);
	int r;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	r = real(clock, now);
	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += wrong_by();
	return r;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &precise);
	*now = (struct timeval){ precise.tv_sec, precise.tv_nsec / 1000 };
	return 0;
}

time_t time(time_t *ret_now)
{
	struct timespec precise;

	clock_gettime(CLOCK_REALTIME, &precise);
	if (ret_now)
		*ret_now = precise.tv_sec;
	return precise.tv_sec;
}
