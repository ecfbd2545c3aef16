#include "tests/fuzz/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/fd.h"
#include "ring/channel.h"
#include "role/role.h"
#include "supervisor/files.h"
#include "supervisor/spawn.h"

/* What the stage does is nothing to be found. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)
#endif

/* The first is far above those that libFuzzer has, and the last below the usual limit. */
#define FIRST_FD 512
#define MOST_FDS 256

/* A turn that goes on for so long goes on for ever. */
#define MOST_CALLS 20000

#define START_MS 1000000

struct kernel kernel = { .now_ms = START_MS };

/* ---- descriptors ---- */

static struct file {
	bool open, hung, full;
	bool passed; /* somebody else has it, too */
	int peer;    /* of a pair; or 0 */
	struct packet packet;
	uint8_t *bytes; /* a sealed file's */
	size_t len;
	struct sockaddr_storage to; /* whom connect(2) was told */
	socklen_t to_len;
} files[MOST_FDS];

static unsigned open_count;

static bool is_ours(int fd)
{
	return fd >= FIRST_FD && fd < FIRST_FD + MOST_FDS;
}

static struct file *file_of(int fd)
{
	must(is_ours(fd) && files[fd - FIRST_FD].open);
	return &files[fd - FIRST_FD];
}

int stage_fd(void)
{
	for (int i = 0; i < MOST_FDS; i++) {
		if (!files[i].open) {
			files[i] = (struct file){ .open = true };
			open_count++;
			return FIRST_FD + i;
		}
	}
	must(!"a descriptor is left");
	return -1;
}

bool stage_is_open(int fd)
{
	return is_ours(fd) && files[fd - FIRST_FD].open;
}

int stage_file(const uint8_t *bytes, size_t len)
{
	int fd = stage_fd();
	struct file *file = &files[fd - FIRST_FD];

	file->bytes = malloc(len + 1);
	must(file->bytes);
	if (len > 0)
		memcpy(file->bytes, bytes, len);
	file->len = len;
	return fd;
}

int stage_nth(unsigned number)
{
	number %= open_count ? open_count : 1;
	for (int i = 0; i < MOST_FDS; i++) {
		if (files[i].open && number-- == 0)
			return FIRST_FD + i;
	}
	return -1;
}

/* The last ones are the stage's own. */
static bool are_few_left(void)
{
	return open_count + 32 > MOST_FDS;
}

unsigned stage_fds(void)
{
	return open_count;
}

void stage_put(int fd, const struct packet *packet)
{
	struct file *file = file_of(fd);

	free(file->packet.owned);
	file->packet = *packet;
	file->full = true;
}

void stage_hang_up(int fd)
{
	file_of(fd)->hung = true;
}

/* ---- packets out of the input ---- */

#define FLAG_FDS     0x03
#define FLAG_STARVED 0x04
#define FLAG_RAW     0x08

static struct packet take_raw(struct input *input, uint8_t flags)
{
	struct packet packet = { .fds = flags & FLAG_FDS, .starved = flags & FLAG_STARVED };

	packet.bytes = take(input, take_u16(input), &packet.len);
	return packet;
}

struct packet stage_take_packet(struct input *input, const struct msg_table *table,
				struct packet_space *space)
{
	struct msg_header header = { .type = take_u8(input) % table->count };
	const struct msg_info *row = &table->rows[header.type];
	uint8_t flags = take_u8(input), *at = space->buffer.bytes;
	size_t tail_len = row->tail_max ? take_u8(input) : 0, n;
	const uint8_t *tail;

	if (flags & FLAG_RAW)
		return take_raw(input, flags);
	/* Most that a tail may hold is longer than a byte can say. */
	if (tail_len == UINT8_MAX)
		tail_len = take_u16(input);
	at = mempcpy(at, &header, sizeof(header));
	take_into(input, at, row->body);
	at += row->body;
	tail = take(input, MIN(tail_len, (size_t)row->tail_max + 1), &n);
	if (n > 0)
		at = mempcpy(at, tail, n);
	return (struct packet){
		.bytes = space->buffer.bytes,
		.len = (size_t)(at - space->buffer.bytes),
		.fds = (row->fds + flags) & FLAG_FDS,
		.starved = flags & FLAG_STARVED,
	};
}

/* ---- system calls ---- */

static int fail(int error)
{
	errno = error;
	return error ? -1 : 0;
}

REAL(int, close, int fd)
{
	struct file *file;

	if (!is_ours(fd))
		return __real_close(fd);
	file = file_of(fd);
	if (file->peer && !file->passed)
		files[file->peer - FIRST_FD].hung = true;
	free(file->bytes);
	free(file->packet.owned);
	file->open = false;
	open_count--;
	return 0;
}

REAL(int, socket, int domain, int type, int protocol)
{
	(void)domain, (void)type, (void)protocol;
	if (are_few_left())
		return fail(EMFILE);
	return kernel.socket_error ? fail(kernel.socket_error) : stage_fd();
}

REAL(int, socketpair, int domain, int type, int protocol, int pair[2])
{
	(void)domain, (void)type, (void)protocol;
	if (kernel.socket_error || are_few_left())
		return fail(kernel.socket_error ? kernel.socket_error : EMFILE);
	pair[0] = stage_fd();
	pair[1] = stage_fd();
	file_of(pair[0])->peer = pair[1];
	file_of(pair[1])->peer = pair[0];
	return 0;
}

REAL(int, accept4, int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	(void)address, (void)len, (void)flags;
	file_of(fd);
	if (kernel.socket_error || are_few_left())
		return fail(kernel.socket_error ? kernel.socket_error : EMFILE);
	if (kernel.accepts == 0)
		return fail(EAGAIN);
	kernel.accepts--;
	return stage_fd();
}

REAL(int, connect, int fd, const struct sockaddr *address, socklen_t len)
{
	struct file *file = file_of(fd);

	file->to_len = MIN(len, (socklen_t)sizeof(file->to));
	memcpy(&file->to, address, file->to_len);
	return fail(kernel.connect_error);
}

REAL(int, shutdown, int fd, int how)
{
	(void)how;
	file_of(fd);
	return 0;
}

/* Descriptors that come with a packet, as far as the receiver has room for them. */
static void put_fds(struct msghdr *mh, const struct packet *packet)
{
	size_t room = mh->msg_controllen, count = packet->fds;
	struct cmsghdr *c = mh->msg_control;
	int fd;

	mh->msg_controllen = 0;
	if (packet->starved || (count > 0 && are_few_left())) {
		mh->msg_flags |= MSG_CTRUNC;
		return;
	}
	if (count == 0)
		return;
	if (CMSG_SPACE(sizeof(fd) * count) > room) {
		mh->msg_flags |= MSG_CTRUNC;
		return;
	}
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd) * count);
	for (size_t i = 0; i < count; i++) {
		fd = packet->file ? stage_file(packet->file, packet->file_len) : stage_fd();
		memcpy(CMSG_DATA(c) + i * sizeof(fd), &fd, sizeof(fd));
	}
	mh->msg_controllen = CMSG_SPACE(sizeof(fd) * count);
}

/* Into DST what was put; as recv(2) with MSG_TRUNC. */
static ssize_t get(struct file *file, void *dst, size_t size)
{
	const struct packet *packet = &file->packet;

	if (!file->full)
		return file->hung ? 0 : fail(EAGAIN);
	file->full = false;
	if (packet->len > 0 && size > 0)
		memcpy(dst, packet->bytes, MIN(packet->len, size));
	return (ssize_t)packet->len;
}

REAL(ssize_t, recvmsg, int fd, struct msghdr *mh, int flags)
{
	struct file *file = file_of(fd);
	bool full = file->full;
	size_t size = mh->msg_iovlen > 0 ? mh->msg_iov[0].iov_len : 0;
	ssize_t n = get(file, size ? mh->msg_iov[0].iov_base : NULL, size);

	(void)flags;
	mh->msg_flags = 0;
	if (full)
		put_fds(mh, &file->packet);
	else
		mh->msg_controllen = 0;
	if (n > (ssize_t)size) {
		mh->msg_flags |= MSG_TRUNC;
		n = (ssize_t)size;
	}
	return n;
}

REAL(ssize_t, recv, int fd, void *dst, size_t size, int flags)
{
	ssize_t n = get(file_of(fd), dst, size);

	(void)flags;
	return MIN(n, (ssize_t)size);
}

REAL(ssize_t, recvfrom, int fd, void *dst, size_t size, int flags, struct sockaddr *from,
     socklen_t *from_len)
{
	const struct file *file = file_of(fd);
	ssize_t n = get(file_of(fd), dst, size);

	(void)flags;
	if (from) {
		*from_len = MIN(*from_len, file->to_len);
		memcpy(from, &file->to, *from_len);
	}
	return MIN(n, (ssize_t)size);
}

static void note_passed(const struct msghdr *mh)
{
	const struct cmsghdr *c = mh->msg_control;
	int fd;

	for (size_t at = CMSG_LEN(0); c && at + sizeof(fd) <= c->cmsg_len; at += sizeof(fd)) {
		memcpy(&fd, (const uint8_t *)c + at, sizeof(fd));
		file_of(fd)->passed = true;
	}
}

REAL(ssize_t, sendmsg, int fd, const struct msghdr *mh, int flags)
{
	ssize_t n = 0;

	(void)flags;
	if (file_of(fd)->hung)
		return fail(EPIPE);
	if (kernel.send_error && kernel.sends == 0)
		return fail(kernel.send_error);
	kernel.sends -= kernel.sends > 0;
	if (kernel.on_sent)
		kernel.on_sent(fd, mh);
	note_passed(mh);
	for (size_t i = 0; i < mh->msg_iovlen; i++)
		n += (ssize_t)mh->msg_iov[i].iov_len;
	return n;
}

REAL(int, getsockopt, int fd, int level, int option, void *value, socklen_t *len)
{
	int number = kernel.odd_sockets;

	file_of(fd);
	if (level == SOL_SOCKET && option == SO_PEERCRED) {
		const struct ucred peer = { .pid = 42, .uid = kernel.peer_uid, .gid = 7 };

		memcpy(value, &peer, MIN(*len, sizeof(peer)));
		return 0;
	}
	if (level == SOL_SOCKET && option == SO_MEMINFO) {
		const uint32_t memory[SK_MEMINFO_VARS] = {
			[SK_MEMINFO_WMEM_ALLOC] = kernel.unread ? 1000 : 0
		};

		memcpy(value, memory, MIN(*len, sizeof(memory)));
		return 0;
	}
	if (level == SOL_SOCKET && option == SO_DOMAIN)
		number += AF_UNIX;
	if (level == SOL_SOCKET && option == SO_TYPE)
		number += SOCK_SEQPACKET;
	if (level == SOL_SOCKET && option == SO_ERROR)
		number = kernel.connect_error == EINPROGRESS ? 0 : kernel.connect_error;
	memcpy(value, &number, sizeof(number));
	return 0;
}

REAL(int, setsockopt, int fd, int level, int option, const void *value, socklen_t len)
{
	(void)level, (void)option, (void)value, (void)len;
	file_of(fd);
	return 0;
}

static int nameless(int fd, struct sockaddr *address, socklen_t *len)
{
	file_of(fd);
	address->sa_family = AF_UNIX;
	*len = offsetof(struct sockaddr_un, sun_path);
	return 0;
}

REAL(int, getsockname, int fd, struct sockaddr *address, socklen_t *len)
{
	return nameless(fd, address, len);
}

REAL(int, getpeername, int fd, struct sockaddr *address, socklen_t *len)
{
	return nameless(fd, address, len);
}

/* Copies of listening sockets; seals of files.  There are no other flags. */
REAL(int, fcntl, int fd, int command, ...)
{
	va_list args;
	long argument;

	va_start(args, command);
	argument = va_arg(args, long);
	va_end(args);
	if (!is_ours(fd))
		return __real_fcntl(fd, command, argument);
	if (command == F_GET_SEALS && file_of(fd)->bytes)
		return F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	return command == F_DUPFD_CLOEXEC ? stage_fd() : 0;
}

REAL(int, fd_sealed_copy, const char *name, const void *data, size_t len, int *ret_fd)
{
	(void)name;
	*ret_fd = stage_file(data, len);
	return 0;
}

REAL(int, fstat, int fd, struct stat *st)
{
	if (!is_ours(fd))
		return __real_fstat(fd, st);
	*st = (struct stat){ .st_mode = S_IFREG, .st_size = (off_t)file_of(fd)->len };
	return 0;
}

REAL(ssize_t, pread, int fd, void *dst, size_t size, off_t offset)
{
	const struct file *file;
	size_t n;

	if (!is_ours(fd))
		return __real_pread(fd, dst, size, offset);
	file = file_of(fd);
	n = MIN(size, file->len - MIN(file->len, (size_t)offset));
	if (n > 0)
		memcpy(dst, file->bytes + offset, n);
	return (ssize_t)n;
}

/* A sealed file's mapping is memory of its own length, so that a sanitizer sees its ends. */
#define MAPPINGS 8

static uint8_t *mappings[MAPPINGS];

REAL(void *, mmap, void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
	if (!is_ours(fd))
		return __real_mmap(at, len, protection, flags, fd, offset);
	must(offset == 0 && file_of(fd)->len == len);
	for (int i = 0; i < MAPPINGS; i++) {
		if (mappings[i])
			continue;
		mappings[i] = malloc(len);
		must(mappings[i]);
		return memcpy(mappings[i], file_of(fd)->bytes, len);
	}
	must(!"a mapping is left");
	return MAP_FAILED;
}

REAL(int, munmap, void *at, size_t len)
{
	for (int i = 0; i < MAPPINGS; i++) {
		if (at && at == mappings[i]) {
			free(at);
			mappings[i] = NULL;
			return 0;
		}
	}
	return __real_munmap(at, len);
}

REAL(int, journal_send, int fd, const struct iovec *fields, int count)
{
	(void)fd;
	if (kernel.on_journal)
		kernel.on_journal(fields, count);
	return 0;
}

REAL(int, fd_headroom, unsigned count)
{
	(void)count;
	return !kernel.no_headroom;
}

/* Who polls so often and nothing happens is spinning. */
#define MOST_POLLS 20000

static short events_of(const struct pollfd *pfd)
{
	const struct file *file = file_of(pfd->fd);
	short now = (short)((file->full || file->hung ? POLLIN : 0) |
			    (kernel.send_error ? 0 : POLLOUT));

	return (short)((now & pfd->events) | (file->hung ? POLLHUP : 0));
}

static void pass(int ms)
{
	kernel.now_ms += (uint64_t)ms;
	kernel.polls = 0;
}

REAL(int, poll, struct pollfd *fds, nfds_t count, int ms)
{
	int ready = 0;

	for (nfds_t i = 0; i < count; i++) {
		fds[i].revents = events_of(&fds[i]);
		ready += fds[i].revents != 0;
	}
	must(ready > 0 || ms >= 0); /* else it would sleep for ever */
	must(++kernel.polls < MOST_POLLS);
	if (ready == 0 && ms > 0)
		pass(ms);
	return ready;
}

REAL(int, setitimer, __itimer_which_t which, const struct itimerval *new, struct itimerval *old)
{
	/* The frontdoor's, which comes back soon; libFuzzer's is longer. */
	if (new->it_interval.tv_sec > 0)
		return __real_setitimer(which, new, old);
	return 0;
}

/* No role may signal anybody for what it was told; the supervisor kills only what broke a rule. */
REAL(int, kill, pid_t pid, int number)
{
	(void)number;
	must(pid > 1);
	return 0;
}

REAL(int, clock_gettime, clockid_t clock, struct timespec *ts)
{
	if (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)
		return __real_clock_gettime(clock, ts);
	ts->tv_sec = (time_t)(kernel.now_ms / 1000);
	ts->tv_nsec = (long)(kernel.now_ms % 1000 * 1000000);
	return 0;
}

/* ---- the supervisor's: processes without fork, files that are not there ---- */

REAL(int, spawn_role, const struct spawner *spawner, enum role role, int *ret_fd, pid_t *ret_pid)
{
	static pid_t last = 1000000;

	(void)spawner, (void)role;
	if (kernel.socket_error || are_few_left())
		return -EMFILE;
	*ret_fd = stage_fd();
	*ret_pid = ++last;
	return 0;
}

REAL(int, files_read, const char *path, size_t max, char **ret_data, size_t *ret_len,
     struct file_mark *ret_mark)
{
	(void)path, (void)max, (void)ret_data, (void)ret_len, (void)ret_mark;
	return -ENOENT;
}

REAL(struct file_mark, files_mark, const char *path)
{
	(void)path;
	return (struct file_mark){ 0 };
}

REAL(pid_t, waitpid, pid_t pid, int *status, int options)
{
	/* libFuzzer has children in its fork mode only. */
	(void)pid, (void)status, (void)options;
	return fail(ECHILD);
}

REAL(int, counters_create, struct counters **ret_counters, int *ret_fd)
{
	*ret_counters = calloc(1, sizeof(**ret_counters));
	must(*ret_counters);
	*ret_fd = stage_fd();
	return 0;
}

/* What a role is sent as its page. */
REAL(int, counters_attach, struct counters **ret_counters, int fd)
{
	file_of(fd);
	*ret_counters = calloc(1, sizeof(**ret_counters));
	must(*ret_counters);
	return 0;
}

REAL(void, counters_unmap, struct counters *counters)
{
	free(counters);
}

/* ---- shared memory: made once, and lent ---- */

#define CHANNELS 16

static struct {
	struct channel channel;
	bool lent;
} channels[CHANNELS];

int __real_channel_create(struct channel *channel, uint32_t capacity, int *ret_fd);
void __real_channel_deinit(struct channel *channel);

static int lend(struct channel *ret_channel)
{
	for (int i = 0; i < CHANNELS; i++) {
		int fd;

		if (channels[i].lent)
			continue;
		if (!channels[i].channel.page) {
			must(__real_channel_create(&channels[i].channel, LIMIT_RING_MIN, &fd) == 0);
			__real_close(fd);
		}
		channels[i].lent = true;
		*ret_channel = channels[i].channel;
		memset((void *)ret_channel->page, 0, sizeof(*ret_channel->page));
		return 0;
	}
	return -ENOMEM;
}

REAL(int, channel_create, struct channel *ret_channel, uint32_t capacity, int *ret_fd)
{
	int r = lend(ret_channel);

	(void)capacity;
	if (r == 0)
		*ret_fd = stage_fd();
	return r;
}

REAL(int, channel_attach, struct channel *ret_channel, uint32_t capacity, int fd)
{
	file_of(fd);
	/* The memory's seals and size are what kernel.odd_sockets says. */
	if (!channel_capacity_ok(capacity) || kernel.odd_sockets)
		return -EPROTO;
	return lend(ret_channel);
}

REAL(void, channel_deinit, struct channel *channel)
{
	for (int i = 0; i < CHANNELS; i++) {
		if (channel->page && channel->page == channels[i].channel.page)
			channels[i].lent = false;
	}
	*channel = (struct channel){ 0 };
}

REAL(void, channel_release_rx, struct channel *channel)
{
	(void)channel;
}

/* ---- the event loop ---- */

struct stage_event {
	TAILQ_ENTRY(stage_event) next;
	evutil_socket_t fd;
	short what, active;
	event_callback_fn call;
	void *arg;
	bool added, timed, waits; /* for all others */
	uint64_t due_ms;
};

static TAILQ_HEAD(, stage_event) events = TAILQ_HEAD_INITIALIZER(events);
static unsigned event_count;

/* libevent's struct is its own business; here it is ours. */
static struct stage_event *ours(const struct event *event)
{
	return (struct stage_event *)(uintptr_t)event;
}

unsigned stage_events(void)
{
	return event_count;
}

struct event_base *stage_base(void)
{
	return (struct event_base *)(void *)&events;
}

REAL(struct event *, event_new, struct event_base *base, evutil_socket_t fd, short what,
     event_callback_fn call, void *arg)
{
	struct stage_event *event = calloc(1, sizeof(*event));

	(void)base;
	must(event);
	event->fd = fd;
	event->what = what;
	event->call = call;
	event->arg = arg;
	TAILQ_INSERT_TAIL(&events, event, next);
	event_count++;
	return (struct event *)(void *)event;
}

REAL(int, event_assign, struct event *event, struct event_base *base, evutil_socket_t fd,
     short what, event_callback_fn call, void *arg)
{
	struct stage_event *it = ours(event);

	(void)base;
	must(!it->added && !it->timed);
	it->fd = fd;
	it->what = what;
	it->call = call;
	it->arg = arg;
	return 0;
}

REAL(int, event_add, struct event *event, const struct timeval *wait)
{
	struct stage_event *it = ours(event);

	it->added = true;
	if (wait) {
		it->timed = true;
		it->due_ms = kernel.now_ms + (uint64_t)wait->tv_sec * 1000 +
			     (uint64_t)wait->tv_usec / 1000;
	}
	return 0;
}

REAL(int, event_del, struct event *event)
{
	struct stage_event *it = ours(event);

	it->added = it->timed = false;
	it->active = 0;
	return 0;
}

REAL(void, event_free, struct event *event)
{
	TAILQ_REMOVE(&events, ours(event), next);
	event_count--;
	free(event);
}

REAL(void, event_active, struct event *event, int what, short calls)
{
	(void)calls;
	ours(event)->active |= (short)what;
}

REAL(int, event_priority_set, struct event *event, int priority)
{
	ours(event)->waits = priority == CHILD_LEISURE;
	return 0;
}

REAL(int, event_pending, const struct event *event, short what, struct timeval *left)
{
	const struct stage_event *it = ours(event);

	(void)left;
	return ((it->timed ? EV_TIMEOUT : 0) | (it->added ? it->what : 0) | it->active) & what;
}

REAL(evutil_socket_t, event_get_fd, const struct event *event)
{
	return ours(event)->fd;
}

REAL(int, event_base_loopbreak, struct event_base *base)
{
	(void)base;
	return 0;
}

REAL(int, event_base_loopexit, struct event_base *base, const struct timeval *wait)
{
	(void)base, (void)wait;
	return 0;
}

static struct stage_event *next_active(void)
{
	struct stage_event *event, *last = NULL;

	TAILQ_FOREACH(event, &events, next) {
		if (event->active && !event->waits)
			return event;
		last = event->active ? event : last;
	}
	return last;
}

static struct stage_event *next_due(void)
{
	struct stage_event *event, *first = NULL;

	TAILQ_FOREACH(event, &events, next) {
		if (event->timed && event->due_ms <= kernel.now_ms &&
		    (!first || event->due_ms < first->due_ms))
			first = event;
	}
	return first;
}

/* As libevent does: who does not persist is out before it is called. */
static void call(struct stage_event *event, short what)
{
	event->active = 0;
	event->timed = false;
	if (!(event->what & EV_PERSIST))
		event->added = false;
	event->call(event->fd, what, event->arg);
}

void stage_turn(void)
{
	struct stage_event *event;
	unsigned calls = 0;

	while ((event = next_active())) {
		must(++calls < MOST_CALLS);
		call(event, event->active);
	}
}

void stage_ready(int fd, short what)
{
	struct stage_event *event;

	TAILQ_FOREACH(event, &events, next) {
		if (event->fd == fd && event->added && (event->what & what))
			event->active |= (short)(event->what & what);
	}
	stage_turn();
}

void stage_sleep(unsigned ms)
{
	uint64_t end_ms = kernel.now_ms + ms;
	struct stage_event *event;
	unsigned calls = 0;

	kernel.now_ms = end_ms;
	kernel.polls = 0;
	while ((event = next_due())) {
		must(++calls < MOST_CALLS);
		call(event, EV_TIMEOUT);
		stage_turn();
	}
}

#ifdef __clang__
#pragma clang attribute pop
#endif
