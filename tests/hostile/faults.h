/*
 * Allocations and system calls that fail: the n-th one, whichever it is.  A program of this folder
 * whose name begins with "faults_" is linked so that every call of these functions from the daemon's
 * and the library's objects comes by here (ld's --wrap, which works with sanitizers as well); what
 * OpenSSL, libevent and c-ares allocate comes by their hooks.  Only what happens between
 * faults_arm() and faults_disarm() counts, so that the test's own calls never fail.  Header-only:
 * each program has one file.
 *
 * What is left out because libc makes it in itself - qsort()'s scratch memory, stdio - has a way
 * without memory there.
 */
#ifndef TLSB_TESTS_FAULTS_H
#define TLSB_TESTS_FAULTS_H

#include "tests/unit/testing.h"
#include "base/clock.h"
#include "trust/memory.h"

#include <ares.h>
#include <errno.h>
#include <event2/event.h>
#include <execinfo.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/*
 * The system calls that may fail, and with what.  A call fails with one error after the other; SHORT
 * is a call that does one byte's work.  EAGAIN is not among those of recv() and send(), whose events
 * are edge-triggered: the kernel does not say it and keep silent later.  Nor does it say EPIPE to a
 * sendmsg() on a socket that has not hung up.
 */
#define SHORT (-1)
#define FAULTS_CALLS(CALL)                                                                         \
	CALL(recvmsg, EINTR, EAGAIN, ENOMEM, ENOBUFS, ECONNRESET, EIO)                             \
	CALL(sendmsg, EINTR, EAGAIN, ENOMEM, ENOBUFS, ETOOMANYREFS)                                \
	CALL(recv, EINTR, SHORT, ENOMEM, ECONNRESET, ETIMEDOUT, EIO)                               \
	CALL(recvfrom, EINTR, ENOMEM, ECONNREFUSED, EIO)                                           \
	CALL(send, EINTR, SHORT, ENOMEM, ENOBUFS, EPIPE, ECONNRESET, ETIMEDOUT)                    \
	CALL(memfd_create, ENOMEM, EMFILE, ENFILE)                                                 \
	CALL(ftruncate, EINTR, ENOMEM, ENOSPC, EIO)                                                \
	CALL(mmap, ENOMEM, EAGAIN, ENFILE)                                                         \
	CALL(madvise, ENOMEM, EAGAIN, EIO)                                                         \
	CALL(fcntl, EMFILE, EINVAL, EPERM)                                                         \
	CALL(fstat, ENOMEM, EIO)                                                                   \
	CALL(getsockopt, ENOBUFS, ENOMEM)                                                          \
	CALL(setsockopt, ENOBUFS, ENOMEM, EINVAL)                                                  \
	CALL(getsockname, ENOBUFS)                                                                 \
	CALL(getpeername, ENOBUFS, ENOTCONN)                                                       \
	CALL(shutdown, ENOTCONN, ENOBUFS)                                                          \
	CALL(getrlimit, EPERM)                                                                     \
	CALL(accept4, EINTR, EAGAIN, ECONNABORTED, EMFILE, ENFILE, ENOMEM, ENOBUFS, EPERM)         \
	CALL(socket, EMFILE, ENFILE, ENOMEM, ENOBUFS)                                              \
	CALL(socketpair, EMFILE, ENFILE, ENOMEM)                                                   \
	CALL(connect, EINTR, EAGAIN, ENOMEM, EADDRNOTAVAIL, ENETUNREACH, ECONNREFUSED, EACCES)     \
	CALL(fork, EAGAIN, ENOMEM)                                                                 \
	CALL(open, EMFILE, ENFILE, ENOMEM, EINTR)                                                  \
	CALL(inotify_init1, EMFILE, ENFILE, ENOMEM)                                                \
	CALL(inotify_add_watch, ENOSPC, ENOMEM, EACCES, ENOENT)                                    \
	CALL(poll, EINTR, ENOMEM)                                                                  \
	CALL(epoll_ctl, ENOMEM, ENOSPC)                                                            \
	CALL(pread, EINTR, SHORT, EIO, ENOMEM)                                                     \
	CALL(pwrite, EINTR, SHORT, ENOSPC, EIO)

enum faults_call {
#define CALL(name, ...) FAULTS_##name,
	FAULTS_CALLS(CALL)
#undef CALL
	FAULTS_CALL_COUNT
};

static const struct {
	const char *name;
	int errors[9]; /* 0 behind the last */
} faults_rows[] = {
#define CALL(name, ...) { #name, { __VA_ARGS__ } },
	FAULTS_CALLS(CALL)
#undef CALL
};

enum faults_kind { FAULTS_MEMORY, FAULTS_OWN_MEMORY, FAULTS_SYSCALL }; /* own: not OpenSSL's */

/* What is to fail. */
struct fault {
	enum faults_kind kind;
	unsigned long at; /* the how manieth, from 1; 0: none, they are only counted */
	unsigned error;	  /* which of its errors, for a call */
	bool lasting;	  /* and all that come after it */
};

static struct {
	bool armed;
	struct fault fault;
	unsigned long seen;
	enum faults_call hit; /* the call that failed */
	bool fired;
	/* somebody relies on a bell that does not go into a socket being one too many in it */
	bool full_is_full;
	/* what the rest of the world does while somebody sleeps in poll() */
	void (*world)(void *arg);
	void *arg;
	bool openssl; /* memory is asked for by it */
} faults;

/* For whoever looks into a failure: FAULTS_TRACE=1 says who asked for what was refused. */
static inline void faults_show(void)
{
	void *frames[32];

	fprintf(stderr, "fault %lu, kind %d, error %u:\n", faults.seen, faults.fault.kind,
		faults.fault.error);
	backtrace_symbols_fd(frames, backtrace(frames, ARRAY_SIZE(frames)), STDERR_FILENO);
}

/* Is it this one's turn? */
static inline bool faults_turn(enum faults_kind kind)
{
	const struct fault *fault = &faults.fault;

	if (!faults.armed || fault->kind != kind)
		return false;
	faults.seen++;
	if (fault->at == 0 || faults.seen < fault->at || (faults.seen > fault->at && !fault->lasting))
		return false;
	if (!faults.fired && getenv("FAULTS_TRACE"))
		faults_show();
	faults.fired = true;
	return true;
}

/* The n-th from now on.  Nothing is armed yet. */
static inline void faults_plan(const struct fault *fault)
{
	faults.fault = *fault;
	faults.seen = 0;
	faults.fired = false;
}

static inline void faults_arm(void)
{
	faults.armed = true;
}

static inline void faults_disarm(void)
{
	faults.armed = false;
}

/* ---- memory ---- */

#define REAL(result, name, ...)                                                                    \
	result __real_##name(__VA_ARGS__);                                                         \
	result __wrap_##name(__VA_ARGS__);                                                         \
	result __wrap_##name(__VA_ARGS__)

static inline bool faults_no_memory(void)
{
	if (!faults_turn(FAULTS_MEMORY) && (faults.openssl || !faults_turn(FAULTS_OWN_MEMORY)))
		return false;
	errno = ENOMEM;
	return true;
}

REAL(void *, malloc, size_t size)
{
	return faults_no_memory() ? NULL : __real_malloc(size);
}

REAL(void *, calloc, size_t count, size_t size)
{
	return faults_no_memory() ? NULL : __real_calloc(count, size);
}

REAL(void *, realloc, void *old, size_t size)
{
	return faults_no_memory() ? NULL : __real_realloc(old, size);
}

REAL(void *, reallocarray, void *old, size_t count, size_t size)
{
	return faults_no_memory() ? NULL : __real_reallocarray(old, count, size);
}

int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap___asprintf_chk(char **ret, int flag, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static inline int faults_vasprintf(char **ret, const char *format, va_list ap)
{
	return faults_no_memory() ? -1 : vasprintf(ret, format, ap);
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = faults_vasprintf(ret, format, ap);
	va_end(ap);
	return n;
}

int __wrap___asprintf_chk(char **ret, int flag unused_, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = faults_vasprintf(ret, format, ap);
	va_end(ap);
	return n;
}

static void faults_free(void *old)
{
	free(old);
}

/* What the daemon gives OpenSSL; it calls the wrapped functions. */
static CRYPTO_malloc_fn faults_watched_malloc;
static CRYPTO_realloc_fn faults_watched_realloc;

static void *faults_openssl_malloc(size_t size, const char *file, int line)
{
	void *p;

	faults.openssl = true;
	p = faults_watched_malloc(size, file, line);
	faults.openssl = false;
	return p;
}

static void *faults_openssl_realloc(void *old, size_t size, const char *file, int line)
{
	void *p;

	faults.openssl = true;
	p = faults_watched_realloc(old, size, file, line);
	faults.openssl = false;
	return p;
}

/* libevent says what the kernel refused it. */
static inline void faults_ignore(int severity unused_, const char *text unused_)
{
}

/* Before anything of these libraries is used: first in main(). */
static inline void faults_init(void)
{
	CRYPTO_free_fn release;

	assert_int_equal(memory_watch(), 0); /* as the daemon does */
	CRYPTO_get_mem_functions(&faults_watched_malloc, &faults_watched_realloc, &release);
	assert_int_equal(
		CRYPTO_set_mem_functions(faults_openssl_malloc, faults_openssl_realloc, release), 1);
	event_set_mem_functions(__wrap_malloc, __wrap_realloc, faults_free);
	event_set_log_callback(faults_ignore);
	ares_library_init_mem(ARES_LIB_INIT_ALL, __wrap_malloc, faults_free, __wrap_realloc);
}

/* ---- system calls ---- */

/* A call fails: -1, with errno set; or, SHORT, is 1: it should do less. */
static inline int faults_fail(enum faults_call call)
{
	int error;

	/* Mappings and their files are memory, too. */
	if ((call == FAULTS_mmap || call == FAULTS_memfd_create || call == FAULTS_ftruncate) &&
	    faults_no_memory())
		return -1;
	if (!faults_turn(FAULTS_SYSCALL))
		return 0;
	faults.hit = call;
	error = faults_rows[call].errors[faults.fault.error];
	if (error == SHORT)
		return 1;
	errno = error;
	return error == 0 ? 0 : -1;
}

/* How many errors the call that failed last has. */
static inline unsigned faults_errors(void)
{
	unsigned n = 0;

	while (faults_rows[faults.hit].errors[n] != 0)
		n++;
	return n;
}

/* What a call has failed with; 0: none has. */
static inline int faults_error(void)
{
	if (!faults.fired || faults.fault.kind != FAULTS_SYSCALL)
		return 0;
	return faults_rows[faults.hit].errors[faults.fault.error];
}

/* Calls with a length, and calls without. */
#define WRAPPED(result, call, parameters, arguments)                                               \
	result __real_##call parameters;                                                           \
	result __wrap_##call parameters;                                                           \
	result __wrap_##call parameters                                                            \
	{                                                                                          \
		return faults_fail(FAULTS_##call) < 0 ? (result)-1 : __real_##call arguments;      \
	}
#define WRAPPED_LEN(result, call, parameters, arguments)                                           \
	result __real_##call parameters;                                                           \
	result __wrap_##call parameters;                                                           \
	result __wrap_##call parameters                                                            \
	{                                                                                          \
		int fails = faults_fail(FAULTS_##call);                                            \
                                                                                                   \
		if (fails > 0 && len > 1)                                                          \
			len = 1;                                                                   \
		return fails < 0 ? (result)-1 : __real_##call arguments;                           \
	}

WRAPPED(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags), (fd, msg, flags))

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);

/* Would the kernel say that of this message? */
static inline bool faults_is_likely(int fd, const struct msghdr *msg, int error)
{
	int unread = 0;

	if (error == ETOOMANYREFS)
		return msg->msg_controllen > 0;
	if (error == EAGAIN && faults.full_is_full)
		return ioctl(fd, SIOCOUTQ, &unread) == 0 && unread > 0;
	return true;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	int error = faults_fail(FAULTS_sendmsg) < 0 ? errno : 0;

	if (error == 0 || !faults_is_likely(fd, msg, error))
		return __real_sendmsg(fd, msg, flags);
	errno = error;
	return -1;
}

WRAPPED_LEN(ssize_t, recv, (int fd, void *data, size_t len, int flags), (fd, data, len, flags))
WRAPPED_LEN(ssize_t, send, (int fd, const void *data, size_t len, int flags), (fd, data, len, flags))
WRAPPED(ssize_t, recvfrom, (int fd, void *data, size_t len, int flags, struct sockaddr *from,
	socklen_t *from_len), (fd, data, len, flags, from, from_len))
WRAPPED_LEN(ssize_t, pread, (int fd, void *data, size_t len, off_t at), (fd, data, len, at))
WRAPPED_LEN(ssize_t, pwrite, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at))
WRAPPED(int, memfd_create, (const char *name, unsigned flags), (name, flags))
WRAPPED(int, ftruncate, (int fd, off_t len), (fd, len))
WRAPPED(void *, mmap, (void *at, size_t len, int prot, int flags, int fd, off_t off),
	(at, len, prot, flags, fd, off))
WRAPPED(int, madvise, (void *at, size_t len, int advice), (at, len, advice))
WRAPPED(int, fstat, (int fd, struct stat *st), (fd, st))
WRAPPED(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *len),
	(fd, level, name, value, len))
WRAPPED(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len),
	(fd, level, name, value, len))
WRAPPED(int, getsockname, (int fd, struct sockaddr *name, socklen_t *len), (fd, name, len))
WRAPPED(int, getpeername, (int fd, struct sockaddr *name, socklen_t *len), (fd, name, len))
WRAPPED(int, shutdown, (int fd, int how), (fd, how))
WRAPPED(int, getrlimit, (int which, struct rlimit *ret), (which, ret))
WRAPPED(int, accept4, (int fd, struct sockaddr *name, socklen_t *len, int flags),
	(fd, name, len, flags))
WRAPPED(int, socket, (int family, int type, int protocol), (family, type, protocol))
WRAPPED(int, socketpair, (int family, int type, int protocol, int pair[2]),
	(family, type, protocol, pair))
WRAPPED(int, connect, (int fd, const struct sockaddr *name, socklen_t len), (fd, name, len))

int __real_poll(struct pollfd *fds, nfds_t count, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int ms);

/* A sleeper is in the same thread as the world that it waits for. */
static inline int faults_sleep(struct pollfd *fds, nfds_t count, int ms)
{
	uint64_t end = clock_ms() + (uint64_t)ms;
	bool armed = faults.armed;
	int r;

	do {
		faults.armed = false;
		faults.world(faults.arg);
		faults.armed = armed;
		r = __real_poll(fds, count, ms != 0);
	} while (r == 0 && (ms < 0 || clock_ms() < end));
	return r;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int ms)
{
	if (faults_fail(FAULTS_poll) < 0)
		return -1;
	return faults.world ? faults_sleep(fds, count, ms) : __real_poll(fds, count, ms);
}

WRAPPED(pid_t, fork, (void), ())
WRAPPED(int, inotify_init1, (int flags), (flags))
WRAPPED(int, inotify_add_watch, (int fd, const char *path, uint32_t events), (fd, path, events))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode = 0;

	va_start(ap, flags);
	if (flags & O_CREAT)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return faults_fail(FAULTS_open) < 0 ? -1 : __real_open(path, flags, mode);
}

/*
 * It is libevent that makes this call, which is not linked with --wrap; but what the program itself
 * defines comes before the C library's.  Only who adds a descriptor needs memory.
 */
__attribute__((visibility("default"))) int epoll_ctl(int epoll, int what, int fd,
						     struct epoll_event *event)
{
	if (what == EPOLL_CTL_ADD && faults_fail(FAULTS_epoll_ctl) < 0)
		return -1;
	return (int)syscall(SYS_epoll_ctl, epoll, what, fd, event);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);

int __wrap_fcntl(int fd, int command, ...)
{
	va_list ap;
	long argument;

	/* All that are used here have one; what is not there is not looked at. */
	va_start(ap, command);
	argument = va_arg(ap, long);
	va_end(ap);
	return faults_fail(FAULTS_fcntl) < 0 ? -1 : __real_fcntl(fd, command, argument);
}

/* ---- a sweep ---- */

/*
 * Call RUN with each fault of a kind in turn, until it gets through without meeting it: every STEP-th
 * one, and each error of a call.  How many there were.
 */
static inline unsigned long faults_sweep(enum faults_kind kind, bool lasting, unsigned long step,
					 void (*run)(void *arg), void *arg)
{
	struct fault fault = { .kind = kind, .at = 1, .lasting = lasting };
	unsigned long tried = 0;

	for (;;) {
		faults_plan(&fault);
		run(arg);
		faults_disarm();
		if (!faults.fired)
			return tried;
		tried++;
		if (kind == FAULTS_SYSCALL && fault.error + 1 < faults_errors()) {
			fault.error++;
			continue;
		}
		fault.error = 0;
		fault.at += step;
	}
}

#endif
