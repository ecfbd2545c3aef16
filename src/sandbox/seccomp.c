/*
 * The filters, made from syscalls.def by libseccomp.
 *
 * A call that no row allows kills the whole process, a call by another architecture's numbers
 * (i386, x32) too, and that also in SANDBOX_LOG: no update of a library makes those.
 */
#include "sandbox/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/macros.h"

/* Linux 6.3; headers of glibc 2.36 do not have it. */
#define MFD_NOEXEC_SEAL_ 0x0008u

/* socket(2)'s type without SOCK_CLOEXEC and SOCK_NONBLOCK. */
#define SOCKET_TYPE 0x0fu

/* No call has it: replaced by getpid() when a filter is made. */
#define OWN_PID 0xfffffff0u

#define CONDITIONS_MAX 3

struct row {
	int number; /* libseccomp's: negative for a call that this architecture does not have */
	unsigned roles;
	uint32_t answer; /* errno, or 0: allow */
	unsigned count;
	struct scmp_arg_cmp conditions[CONDITIONS_MAX];
};

#define IS_OF(n, mask, value) { (n), SCMP_CMP_MASKED_EQ, (uint32_t)(mask), (uint32_t)(value) }
#define IS(n, value)	      IS_OF(n, UINT32_MAX, value)
#define LACKS(n, bits)	      IS_OF(n, bits, 0)
#define IS_NULL(n)	      { (n), SCMP_CMP_EQ, 0, 0 }

#define COUNT_OF(...) (sizeof((struct scmp_arg_cmp[]){ __VA_ARGS__ }) / sizeof(struct scmp_arg_cmp))

#define SYSCALL(name, roles, why) { SCMP_SYS(name), (roles), 0, 0, { { 0 } } },
#define FILTERED(name, roles, why, ...)                                                            \
	{ SCMP_SYS(name), (roles), 0, COUNT_OF(__VA_ARGS__), { __VA_ARGS__ } },
#define ANSWERED(name, roles, error, why, ...)                                                     \
	{ SCMP_SYS(name), (roles), (error), COUNT_OF(__VA_ARGS__), { __VA_ARGS__ } },

static const struct row rows[] = {
#include "sandbox/syscalls.def"
};

static bool applies(const struct row *row, enum role role)
{
	return role == ROLE_SUPERVISOR || (row->roles & (1u << role));
}

/* Another row allows the call without conditions. */
static bool is_moot(const struct row *row, enum role role)
{
	for (size_t i = 0; row->count > 0 && i < ARRAY_SIZE(rows); i++) {
		if (rows[i].number == row->number && rows[i].count == 0 && applies(&rows[i], role))
			return true;
	}
	return false;
}

/* What the children's filters answer, the supervisor's lets pass on to them. */
static uint32_t action(const struct row *row, enum role role)
{
	if (row->answer != 0 && (row->roles & (1u << role)))
		return SCMP_ACT_ERRNO(row->answer);
	return SCMP_ACT_ALLOW;
}

static int add_row(scmp_filter_ctx ctx, const struct row *row, enum role role)
{
	struct scmp_arg_cmp conditions[CONDITIONS_MAX];

	for (unsigned i = 0; i < row->count; i++) {
		conditions[i] = row->conditions[i];
		if (conditions[i].datum_b == OWN_PID)
			conditions[i].datum_b = (uint32_t)getpid();
	}
	return seccomp_rule_add_array(ctx, action(row, role), row->number, row->count, conditions);
}

static int add_rows(scmp_filter_ctx ctx, enum role role)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++) {
		if (applies(&rows[i], role) && !is_moot(&rows[i], role))
			r = add_row(ctx, &rows[i], role);
	}
	return r;
}

/* How many different calls a role may make. */
static unsigned count_calls(enum role role)
{
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool seen = rows[i].number < 0 || !applies(&rows[i], role) ||
			    action(&rows[i], role) != SCMP_ACT_ALLOW;

		for (size_t j = 0; !seen && j < i; j++)
			seen = rows[j].number == rows[i].number && applies(&rows[j], role) &&
			       action(&rows[j], role) == SCMP_ACT_ALLOW;
		count += !seen;
	}
	return count;
}

/* For every thread; no_new_privs is set already; a tree, since a list is slow to search. */
static int set_attributes(scmp_filter_ctx ctx)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return r;
}

static int build(enum role role, enum sandbox_mode mode, scmp_filter_ctx *ret_ctx)
{
	uint32_t otherwise = mode == SANDBOX_LOG ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS;
	scmp_filter_ctx ctx = seccomp_init(otherwise);
	int r = ctx ? set_attributes(ctx) : -ENOMEM;

	if (r == 0)
		r = add_rows(ctx, role);
	if (r < 0)
		seccomp_release(ctx);
	else
		*ret_ctx = ctx;
	return r;
}

int seccomp_filter_enter(enum role role, enum sandbox_mode mode, unsigned *ret_calls)
{
	scmp_filter_ctx ctx;
	int r = build(role, mode, &ctx);

	if (r < 0)
		return r;
	r = seccomp_load(ctx);
	seccomp_release(ctx);
	if (r < 0)
		return r;
	*ret_calls = count_calls(role);
	return 0;
}

int seccomp_filter_export(enum role role, enum sandbox_mode mode, int fd)
{
	scmp_filter_ctx ctx;
	int r = build(role, mode, &ctx);

	if (r < 0)
		return r;
	r = seccomp_export_bpf(ctx, fd);
	seccomp_release(ctx);
	return r;
}
