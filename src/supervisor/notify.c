#include "supervisor/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "base/macros.h"

void notify_ready(unsigned workers)
{
	sd_notifyf(0, "READY=1\nSTATUS=Running %u workers", workers);
}

void notify_reloading(void)
{
	struct timespec now;
	uint64_t usec;

	/* Type=notify-reload tells this reload from an earlier one by the time. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=Reading the configuration",
		   usec);
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1\nSTATUS=Waiting for sessions to end");
}

void notify_workers(unsigned workers)
{
	sd_notifyf(0, "STATUS=Running %u workers", workers);
}

static void on_watchdog(evutil_socket_t fd unused_, short what unused_, void *arg unused_)
{
	sd_notify(0, "WATCHDOG=1");
}

int notify_watchdog(struct event_base *base, struct event **ret_timer)
{
	struct timeval half;
	struct event *timer;
	uint64_t usec = 0;

	*ret_timer = NULL;
	if (sd_watchdog_enabled(0, &usec) <= 0)
		return 0;
	half.tv_sec = (time_t)(usec / 2 / 1000000);
	half.tv_usec = (suseconds_t)(usec / 2 % 1000000);
	timer = event_new(base, -1, EV_PERSIST, on_watchdog, NULL);
	if (!timer || event_add(timer, &half) < 0) {
		if (timer)
			event_free(timer);
		return -ENOMEM;
	}
	*ret_timer = timer;
	return 0;
}
