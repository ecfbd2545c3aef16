/*
 * What systemd is told: ready, reloading, stopping, and, at half of the time that it allows, that
 * the event loop still turns.  Without systemd nothing happens.
 */
#ifndef TLSB_SUPERVISOR_NOTIFY_H
#define TLSB_SUPERVISOR_NOTIFY_H

#include <event2/event.h>

/* Ready to serve, at first or after a reload; WORKERS is for the status line. */
void notify_ready(unsigned workers);

void notify_reloading(void);
void notify_stopping(void);
void notify_workers(unsigned workers);

/*
 * Feed the watchdog from the event loop.  *ret_timer, to be freed by the caller, is NULL when there
 * is none.  0 or -ENOMEM.
 */
int notify_watchdog(struct event_base *base, struct event **ret_timer);

#endif
