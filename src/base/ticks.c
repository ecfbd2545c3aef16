#include "base/ticks.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/time.h>

#include "base/fd.h"

/* Much longer than a close takes that does not wait; and all that we lose by one that does. */
#define TICK_US 200

static bool prepared;

static void on_tick(int number unused_)
{
}

int ticks_prepare(void)
{
	/* Without SA_RESTART.  libevent and msg.h go on after EINTR. */
	const struct sigaction action = { .sa_handler = on_tick };

	if (sigaction(SIGALRM, &action, NULL) < 0)
		return -errno;
	prepared = true;
	return 0;
}

static void tick_every(suseconds_t microseconds)
{
	/* Repeated: the first may come before the wait begins. */
	const struct itimerval ticks = { { 0, microseconds }, { 0, microseconds } };
	int saved = errno;

	if (prepared)
		setitimer(ITIMER_REAL, &ticks, NULL);
	errno = saved;
}

void ticks_begin(void)
{
	tick_every(TICK_US);
}

void ticks_end(void)
{
	tick_every(0);
}

int ticks_close(int fd)
{
	if (fd < 0)
		return fd;
	ticks_begin();
	fd = fd_close(fd);
	ticks_end();
	return fd;
}
