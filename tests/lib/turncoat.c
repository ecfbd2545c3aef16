/*
 * turncoat: the daemon, but for a worker that was taken over.
 *
 *   turncoat [options...]
 *	tlsbrokerd: main.c and all of its objects.  Workers of the badge "hostile" are hostile, all
 *	others are the real ones.
 *   turncoat ask SOCKET UID PID OURS THEIRS STEP
 *	has one hostile worker after the other try what attempts.def says, and to send what
 *	messages.def does not let a worker send (of those only each STEPth); for users UID, UID + 1,
 *	...  PID is another worker's; OURS and THEIRS are ports, of the own badge's destination and
 *	of another one's.
 *
 * Such a worker has the real one's sandbox and channels, and hostile code in the place of TLS: it
 * does what its client asks for, and tells what came of it.  "ask" prints for each attempt, with
 * tabs between them: group, name, user, worker's pid, what came of it, what must come of it.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/macros.h"
#include "tests/lib/raw.h"
#include "tests/lib/treason/treason.h"
#include "worker/worker.h"

/* ---- the table ---- */

struct attempt {
	const char *group, *name;
	const char *outcome; /* that must come of it */
	const char *(*run)(void); /* NULL: forge() of these */
	enum role peer;
	uint32_t type;
	int error; /* the outcome, if there is none */
};

static const struct attempt attempts[] = {
#define CALL(group, name, expression)	       { #group, #name, KILLED, try_##name, 0, 0, 0 },
#define DENIED(group, name, number, expression) { #group, #name, NULL, try_##name, 0, 0, number },
#define ATTEMPT(group, name, outcome)	       { #group, #name, outcome, try_##name, 0, 0, 0 },
#include "tests/lib/treason/attempts.def"
#undef CALL
#undef DENIED
#undef ATTEMPT
};

/* Behind those of the table: all that messages.def does not let a worker send to a peer. */
static bool find_forgery(uint32_t number, struct attempt *ret)
{
	for (enum role peer = ROLE_SUPERVISOR; peer < ROLE_WORKER; peer++) {
		for (uint32_t type = 0; type < internal_messages.count; type++) {
			const struct msg_info *row = &internal_messages.rows[type];

			if ((row->from & R(WORKER)) && (row->to & (1u << peer)))
				continue;
			if (number-- > 0)
				continue;
			*ret = (struct attempt){ "forged", row->name, CUT, NULL, peer, type, 0 };
			if (peer == ROLE_SUPERVISOR)
				ret->outcome = ENDED;
			return true;
		}
	}
	return false;
}

static bool find_attempt(uint32_t number, struct attempt *ret)
{
	if (number >= ARRAY_SIZE(attempts))
		return find_forgery(number - (uint32_t)ARRAY_SIZE(attempts), ret);
	*ret = attempts[number];
	if (ret->error)
		ret->outcome = strerror(ret->error);
	return true;
}

/* ---- the worker ---- */

static chan_handler *handlers[MSG_COUNT];

extern const struct child_ops __real_worker_ops;

static int keep(const struct msg *msg)
{
	return fcntl(msg->fds[0], F_DUPFD_CLOEXEC, SUPERVISOR_FD + 1);
}

static int on_start(struct chan *chan, struct msg *msg)
{
	me.counters = keep(msg);
	return __real_worker_ops.handlers[MSG_START](chan, msg);
}

static int on_trust(struct chan *chan, struct msg *msg)
{
	me.trust = keep(msg);
	return __real_worker_ops.handlers[MSG_TRUST](chan, msg);
}

static int on_identity(struct chan *chan, struct msg *msg)
{
	const struct msg_identity *identity = msg->body;

	me.key = identity->key;
	me.chain = keep(msg);
	return __real_worker_ops.handlers[MSG_IDENTITY](chan, msg);
}

static int on_psk(struct chan *chan, struct msg *msg)
{
	const struct msg_psk *psk = msg->body;

	me.psk = psk->key;
	return __real_worker_ops.handlers[MSG_PSK](chan, msg);
}

static void await_client(void)
{
	static const struct msg_clients none;
	struct msg msg;

	tell(ROLE_FRONTDOOR, MSG_CLIENTS, &none, NULL, 0);
	if (hear(ROLE_FRONTDOOR, INT32_MAX, &msg) != HEARD || msg.type != MSG_CLIENT)
		_exit(1);
	me.client = msg_take_fd(&msg, 0);
	if (!wait_for(me.client, EPOLLIN, SOON_MS) ||
	    recv(me.client, &me.order, sizeof(me.order), 0) != sizeof(me.order))
		_exit(1);
}

static noreturn_ void betray(void)
{
	struct attempt attempt;
	const char *outcome;
	uint32_t pid = (uint32_t)getpid();

	await_client();
	if (!find_attempt(me.order.number, &attempt))
		_exit(1);
	send(me.client, &pid, sizeof(pid), MSG_NOSIGNAL);
	outcome = attempt.run ? attempt.run() : forge(attempt.peer, attempt.type);
	send(me.client, outcome, strlen(outcome), MSG_NOSIGNAL);
	while (me.deaf)
		wait_for(me.trust, 0, INT32_MAX); /* a file is never ready */
	_exit(0);
}

static int on_badge(struct chan *chan, struct msg *msg)
{
	if (msg->tail_len != 7 || memcmp(msg->tail, "hostile", 7) != 0)
		return __real_worker_ops.handlers[MSG_BADGE](chan, msg);
	me.frontdoor = msg_take_fd(msg, 0);
	me.connector = msg_take_fd(msg, 1);
	me.keyholder = msg_take_fd(msg, 2);
	me.page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	me.vector = (struct iovec){ me.bytes, sizeof(me.bytes) };
	betray();
}

static int prepare(struct child *child)
{
	memcpy(handlers, __real_worker_ops.handlers, MSG_COUNT * sizeof(handlers[0]));
	handlers[MSG_START] = on_start;
	handlers[MSG_TRUST] = on_trust;
	handlers[MSG_IDENTITY] = on_identity;
	handlers[MSG_PSK] = on_psk;
	handlers[MSG_BADGE] = on_badge;
	return __real_worker_ops.prepare(child);
}

/* Whose addresses the compiler does not know where it makes the table. */
static int start(struct child *child)
{
	return __real_worker_ops.start(child);
}

static void stop(struct child *child)
{
	__real_worker_ops.stop(child);
}

/* What main.c takes for the worker's: see the Makefile. */
extern const struct child_ops __wrap_worker_ops;
const struct child_ops __wrap_worker_ops = {
	.handlers = handlers,
	.prepare = prepare,
	.start = start,
	.stop = stop,
};

/* ---- its client ---- */

/* As user UID. */
static int reach(const char *path, uid_t uid)
{
	const struct timeval patience = { 20, 0 };
	int fd;

	if (seteuid(uid) < 0)
		err(2, "user %u", uid);
	fd = dial(path);
	if (seteuid(0) < 0)
		err(2, "user 0");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* What the worker says came of it; or, if it sends us its channels, what becomes of these. */
static void hear_outcome(int fd, char outcome[128])
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(3 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { outcome, 127 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	int channels[3];

	if (n < 0 && errno == EAGAIN) {
		snprintf(outcome, 128, "it never ends");
	} else if (n <= 0) {
		snprintf(outcome, 128, "hung up");
	} else if (msg.msg_controllen > 0) {
		memcpy(channels, CMSG_DATA(&control.head), sizeof(channels));
		snprintf(outcome, 128, "%s", OVER);
		for (int i = 0; i < 3; i++) {
			if (!hung_up(channels[i], SOON_MS))
				snprintf(outcome, 128, "still served");
			close(channels[i]);
		}
	}
}

static void have_tried(const char *path, uid_t uid, const struct order *order,
		       const struct attempt *attempt)
{
	int fd = reach(path, uid);
	char outcome[128] = "";
	uint32_t pid = 0;

	if (send(fd, order, sizeof(*order), MSG_NOSIGNAL) < 0 ||
	    recv(fd, &pid, sizeof(pid), 0) != sizeof(pid))
		errx(2, "%s: no worker", attempt->name);
	hear_outcome(fd, outcome);
	printf("%s\t%s%s%s\t%u\t%u\t%s\t%s\n", attempt->group, attempt->name,
	       attempt->run ? "" : "_to_", attempt->run ? "" : role_name(attempt->peer), uid, pid,
	       outcome, attempt->outcome);
	fflush(stdout);
	close(fd);
}

static int ask_main(int argc, char **argv)
{
	struct order order = { .number = 0 };
	struct attempt attempt;
	uint32_t step;

	if (argc != 9)
		errx(2, "usage: turncoat ask SOCKET UID PID OURS THEIRS STEP KEY");
	order.victim = (uint32_t)atoi(argv[4]);
	order.ours = (uint16_t)atoi(argv[5]);
	order.theirs = (uint16_t)atoi(argv[6]);
	step = (uint32_t)atoi(argv[7]);
	order.stolen = (uint32_t)atoi(argv[8]);
	for (; find_attempt(order.number, &attempt); order.number++) {
		if (order.number < ARRAY_SIZE(attempts) || order.number % step == 0)
			have_tried(argv[2], (uid_t)atoi(argv[3]) + order.number, &order, &attempt);
	}
	return 0;
}

extern int __real_main(int argc, char **argv);
extern int __wrap_main(int argc, char **argv);

int __wrap_main(int argc, char **argv)
{
	return argc > 1 && strcmp(argv[1], "ask") == 0 ? ask_main(argc, argv) : __real_main(argc, argv);
}
