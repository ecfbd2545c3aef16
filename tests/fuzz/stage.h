/*
 * A stage for the daemon's roles and for the library: their real code, with a kernel and an event loop
 * that are a few arrays.  No system call is made and no time passes, so that a target runs many
 * thousand times a second and always the same way.
 *
 * The linker puts stage.c in the place of what these functions are in libc and libevent (--wrap, see
 * Makefile).  Descriptors that the stage gave out are the stage's; all others are the kernel's, whom
 * libFuzzer needs.
 */
#ifndef TLSB_TESTS_STAGE_H
#define TLSB_TESTS_STAGE_H

#include <event2/event.h>
#include <sys/socket.h>

#include "tests/fuzz/fuzz.h"
#include "wire/msg.h"

/* ---- descriptors ---- */

/* A new one.  Fails when somebody keeps them all. */
int stage_fd(void);

/* A new one that is a sealed file with a copy of these bytes. */
int stage_file(const uint8_t *bytes, size_t len);

bool stage_is_open(int fd);

/* One of those that are open; -1 when there are none. */
int stage_nth(unsigned number);

/* How many are open; how many events there are.  For "as many as before". */
unsigned stage_fds(void);
unsigned stage_events(void);

/* What the next system calls do, errors as in errno.  All zero: they do what they should. */
extern struct kernel {
	int send_error;    /* of sendmsg(2) */
	unsigned sends;    /* which it has only behind so many packets */
	int connect_error; /* of connect(2); and later, of SO_ERROR */
	int socket_error;  /* of socket(2), socketpair(2), accept4(2) */
	uint32_t peer_uid; /* SO_PEERCRED */
	int odd_sockets;   /* a program's descriptors are not what they should be */
	int no_headroom;
	int unread;        /* nobody picks up what is sent: SO_MEMINFO */
	unsigned accepts;  /* programs that wait at a listening socket */
	uint64_t now_ms;
	unsigned polls; /* since time passed */
	/* Told of every packet that is sent; or NULL. */
	void (*on_sent)(int fd, const struct msghdr *packet);
	/* Told of every entry for the journal; or NULL. */
	void (*on_journal)(const struct iovec *fields, int count);
} kernel;

/*
 * A function in the place of the real one, for everything that is linked into the target.  The Makefile
 * looks for this macro in stage.c and in the target, and tells the linker.
 */
#define REAL(result, name, ...)                                                                    \
	result __real_##name(__VA_ARGS__);                                                         \
	result __wrap_##name(__VA_ARGS__);                                                         \
	result __wrap_##name(__VA_ARGS__)

/* ---- packets that come ---- */

struct packet {
	const uint8_t *bytes;
	size_t len;
	unsigned fds; /* so many come with it */
	const uint8_t *file; /* what they are files of; or NULL */
	size_t file_len;
	bool starved; /* but the process has no number free for them */
	void *owned; /* what is freed once it was read; or NULL */
};

/* The next recvmsg(2), recvfrom(2) or recv(2) on FD gets this, in place of what was put before. */
void stage_put(int fd, const struct packet *packet);

/* The other end of FD has been closed: what was put can still be read. */
void stage_hang_up(int fd);

/* Room for the longest packet and a byte more. */
struct packet_space {
	union msg_buffer buffer;
};

/*
 * A message out of the input: type (modulo the table's), flags, tail's length, body, tail; or, with a
 * flag set, so many raw bytes.  Points into SPACE.
 */
struct packet stage_take_packet(struct input *input, const struct msg_table *table,
				struct packet_space *space);

/* ---- the event loop ---- */

/* Something happened at FD: run who waits for it, and what follows from that. */
void stage_ready(int fd, short what);

/* Run what has been made active. */
void stage_turn(void);

/* Time passes, timers run. */
void stage_sleep(unsigned ms);

/* A base for *_init(); there is nothing in it. */
struct event_base *stage_base(void);

#endif
