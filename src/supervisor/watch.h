/*
 * Files that somebody else replaces: in place, by rename, or by turning a symbolic link on the way to
 * them.  The kernel says that something happened (inotify(7)); what did is for others to find out, so
 * no event is ever read.
 *
 * Every step of a path is watched itself, a link as a link: whatever replaces it makes another of what
 * it was.  Its folder is watched only while a step is missing, so what else happens in a busy folder
 * wakes nobody.  After an event all watches are made anew, before anybody looks at the files: what
 * happens later is the next event.
 */
#ifndef TLSB_SUPERVISOR_WATCH_H
#define TLSB_SUPERVISOR_WATCH_H

#include <event2/event.h>
#include <stdint.h>

#include "base/macros.h"

struct watch {
	struct event_base *base;
	struct event *event; /* that something happened; NULL: nothing is watched */
	struct event *timer;
	uint64_t due_ms; /* of the timer */
	int fd;
	void (*look)(void *arg);
	void *arg;
};

/* LOOK is called a moment after something happened, once for all of it.  0 or -ENOMEM. */
int watch_init(struct watch *watch, struct event_base *base, void (*look)(void *arg), void *arg);

/* All zero is fine. */
void watch_deinit(struct watch *watch);

/* Forget all paths.  0, or -errno: nothing can be watched. */
int watch_begin(struct watch *watch);

/* One more file, by its path from the root.  What may not be watched is not.  0, or -errno: no more can be. */
int watch_add(struct watch *watch, const char *path);

/* Look in so many milliseconds, or earlier when something happens, or somebody has asked for that. */
void watch_look_in(struct watch *watch, unsigned ms);

#endif
