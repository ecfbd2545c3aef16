#include "supervisor/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "wire/limits.h"

/* Of a folder: only that it is another now, and nothing of what is in it. */
#define FOLDER_CHANGES (IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR)
/* A link, or a file.  What is renamed over it, or removed, takes a name from it: that is an attribute. */
#define ENTRY_CHANGES (IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF)
/* Of the folder in which something is missing. */
#define ENTRY_COMES (IN_CREATE | IN_MOVED_TO | FOLDER_CHANGES)

/* As the kernel does, stop following links somewhere. */
#define LINKS_MAX 40

/* DONE has no link in it, and is "" for the root; REST is what is still to go. */
struct walk {
	char done[PATH_MAX];
	char rest[PATH_MAX];
	unsigned links;
};

static int add(struct watch *watch, const char *path, uint32_t events)
{
	if (inotify_add_watch(watch->fd, path, events | IN_DONT_FOLLOW | IN_MASK_ADD) >= 0)
		return 0;
	switch (errno) {
	case EACCES:
		return 0; /* who may not list a folder is not told of it */
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
		watch_look_in(watch, LIMIT_WATCH_MS); /* it was there just now */
		return 0;
	default:
		return -errno;
	}
}

static void step_back(struct walk *walk)
{
	char *slash = strrchr(walk->done, '/');

	if (slash)
		*slash = '\0';
}

/* The next name of REST behind DONE.  Returns if there was one, and it is not too long. */
static bool step_on(struct walk *walk)
{
	const char *name = walk->rest + strspn(walk->rest, "/");
	size_t len = strcspn(name, "/"), done = strlen(walk->done);

	if (len == 0 || done + 1 + len >= sizeof(walk->done))
		return false;
	if (len == 2 && strncmp(name, "..", len) == 0) {
		step_back(walk);
	} else if (len != 1 || name[0] != '.') {
		walk->done[done] = '/';
		memcpy(walk->done + done + 1, name, len);
		walk->done[done + 1 + len] = '\0';
	}
	memmove(walk->rest, name + len, strlen(name + len) + 1);
	return true;
}

/* DONE is a link: its target goes in front of REST.  Returns if it could be followed. */
static bool follow(struct walk *walk)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t n = readlink(walk->done, target, sizeof(target) - 1);
	int len;

	if (n < 0 || walk->links++ == LINKS_MAX)
		return false;
	target[n] = '\0';
	len = snprintf(rest, sizeof(rest), "%s%s", target, walk->rest);
	if ((size_t)len >= sizeof(rest))
		return false;
	memcpy(walk->rest, rest, (size_t)len + 1);
	if (target[0] == '/')
		walk->done[0] = '\0';
	else
		step_back(walk);
	return true;
}

static int add_missing(struct watch *watch, struct walk *walk)
{
	char missing[PATH_MAX];
	struct stat st;
	int r;

	memcpy(missing, walk->done, strlen(walk->done) + 1);
	step_back(walk);
	r = add(watch, walk->done[0] ? walk->done : "/", ENTRY_COMES);
	if (r == 0 && lstat(missing, &st) == 0)
		watch_look_in(watch, LIMIT_WATCH_MS); /* it came meanwhile */
	return r;
}

int watch_add(struct watch *watch, const char *path)
{
	struct walk walk = { .done = "" };
	struct stat st;
	int r = 0;

	if (strlen(path) >= sizeof(walk.rest))
		return 0;
	memcpy(walk.rest, path, strlen(path) + 1);
	while (r == 0 && step_on(&walk)) {
		if (walk.done[0] == '\0')
			continue; /* the root is always there */
		if (lstat(walk.done, &st) < 0)
			return add_missing(watch, &walk);
		/* First the watch, then where it leads to: if that changes meanwhile, there is an event. */
		r = add(watch, walk.done, S_ISDIR(st.st_mode) ? FOLDER_CHANGES : ENTRY_CHANGES);
		if (S_ISDIR(st.st_mode))
			continue;
		if (!S_ISLNK(st.st_mode) || !follow(&walk))
			break;
	}
	return r;
}

void watch_look_in(struct watch *watch, unsigned ms)
{
	const struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };
	uint64_t due_ms = clock_ms() + ms;

	if (evtimer_pending(watch->timer, NULL) && watch->due_ms <= due_ms)
		return;
	watch->due_ms = due_ms;
	event_add(watch->timer, &tv);
}

/* Who replaces files replaces several; so wait for a moment.  The events are dropped with the descriptor. */
static void on_event(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	watch_look_in(arg, LIMIT_WATCH_MS);
}

static void on_timer(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct watch *watch = arg;

	watch->look(watch->arg);
}

static void forget(struct watch *watch)
{
	if (!watch->event)
		return;
	event_free(watch->event);
	watch->event = NULL;
	watch->fd = fd_close(watch->fd);
}

int watch_begin(struct watch *watch)
{
	forget(watch);
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->fd < 0)
		return -errno;
	/* Once, and not again until all is watched anew. */
	watch->event = event_new(watch->base, watch->fd, EV_READ, on_event, watch);
	if (watch->event && event_add(watch->event, NULL) == 0)
		return 0;
	if (watch->event)
		event_free(watch->event);
	watch->event = NULL;
	watch->fd = fd_close(watch->fd);
	return -ENOMEM;
}

int watch_init(struct watch *watch, struct event_base *base, void (*look)(void *arg), void *arg)
{
	*watch = (struct watch){ .base = base, .fd = -1, .look = look, .arg = arg };
	watch->timer = evtimer_new(base, on_timer, watch);
	return watch->timer ? 0 : -ENOMEM;
}

void watch_deinit(struct watch *watch)
{
	forget(watch);
	if (watch->timer)
		event_free(watch->timer);
	watch->timer = NULL;
}
