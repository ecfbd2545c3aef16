/*
 * Small words used everywhere: array sizes, scope-bound cleanup, and the error convention.
 *
 * The error convention, once for the whole tree (the style is dbus-broker's):
 *
 *   - A function that can fail returns 0 (or a documented positive result) or a negative errno.
 *     Output parameters are named ret_x, come last, and are untouched on failure.
 *   - Who caused it decides what happens.  Our own bug: assert(), which is always compiled in; the
 *     role dies and the supervisor starts a new one.  A client: that client is refused, nobody
 *     else notices.  Another role breaking the message table: its channel is closed.  The world
 *     (DNS, peers): a typed result to the caller.  No memory or descriptors: new work is refused,
 *     running sessions go on.
 *   - base, wire, ring and libtlsbroker never log and never exit; the role that called does.
 */
#ifndef TLSB_BASE_MACROS_H
#define TLSB_BASE_MACROS_H

#ifdef NDEBUG
#error "assert() is part of the design here; do not build with NDEBUG"
#endif

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

/* Run a function on a local when its scope ends; the local's address is the argument. */
#define cleanup_(fn)     __attribute__((cleanup(fn)))
#define printf_(fmt, va) __attribute__((format(printf, fmt, va)))
#define noreturn_        __attribute__((noreturn))
#define unused_          __attribute__((unused))

static inline void cleanup_free_p(void *pointer)
{
	free(*(void **)pointer);
}
#define cleanup_free_ cleanup_(cleanup_free_p)

/* The object that holds this member. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
