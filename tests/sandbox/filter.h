/*
 * The filters as the kernel has them, run here: what they make of a call, and what syscalls.def says of
 * it, read once more by other eyes than src/sandbox/seccomp.c.  Header-only.
 */
#ifndef TLSB_TESTS_FILTER_H
#define TLSB_TESTS_FILTER_H

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/macros.h"
#include "sandbox/steps.h"

#define RULES_MAX 4096
#define X32_BIT	  0x40000000

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#else
/* cppcheck-suppress preprocessorErrorDirective */
#error "which architecture's numbers are these?"
#endif

/* ---- the filter's own language, as far as libseccomp speaks it ---- */

static noreturn_ inline void filter_is_odd(const char *what, unsigned value)
{
	fprintf(stderr, "a filter with an unknown %s: %#x\n", what, value);
	abort();
}

struct program {
	struct sock_filter code[RULES_MAX];
	size_t count;
};

static inline uint32_t filter_load(const struct seccomp_data *data, uint32_t offset)
{
	uint32_t word;

	if (offset > sizeof(*data) - sizeof(word))
		filter_is_odd("offset", offset);
	memcpy(&word, (const char *)data + offset, sizeof(word));
	return word;
}

static inline bool filter_holds(const struct sock_filter *at, uint32_t accumulator)
{
	switch (BPF_OP(at->code)) {
	case BPF_JEQ:
		return accumulator == at->k;
	case BPF_JGT:
		return accumulator > at->k;
	case BPF_JGE:
		return accumulator >= at->k;
	case BPF_JA:
		return true;
	}
	filter_is_odd("jump", at->code);
}

static inline uint32_t filter_run(const struct program *program, const struct seccomp_data *data)
{
	uint32_t accumulator = 0;

	for (size_t i = 0; i < program->count; i++) {
		const struct sock_filter *at = &program->code[i];

		if (at->code == (BPF_RET | BPF_K))
			return at->k;
		if (at->code == (BPF_LD | BPF_W | BPF_ABS))
			accumulator = filter_load(data, at->k);
		else if (at->code == (BPF_ALU | BPF_AND | BPF_K))
			accumulator &= at->k;
		else if (at->code == (BPF_JMP | BPF_JA))
			i += at->k;
		else if (BPF_CLASS(at->code) == BPF_JMP)
			i += filter_holds(at, accumulator) ? at->jt : at->jf;
		else
			filter_is_odd("instruction", at->code);
	}
	filter_is_odd("end", 0);
}

/* ---- the table once more, read by other eyes than src/sandbox/seccomp.c ---- */

struct condition {
	unsigned n;
	uint64_t mask;
	uint64_t value;
};

struct row {
	const char *name;
	long number;
	unsigned roles;
	int answer;
	struct condition conditions[3];
};

#define MFD_NOEXEC_SEAL_ 8
#define SOCKET_TYPE	 15
#define OWN_PID		 0xfffffff0

#define IS(n, value)	      { (n), UINT32_MAX, (uint32_t)(value) }
#define IS_OF(n, mask, value) { (n), (uint32_t)(mask), (uint32_t)(value) }
#define LACKS(n, bits)	      { (n), (uint32_t)(bits), 0 }
#define IS_NULL(n)	      { (n), UINT64_MAX, 0 }

#define SYSCALL(name, roles, why)	     { #name, SYS_##name, (roles), 0, { { 0 } } },
#define FILTERED(name, roles, why, ...)	     { #name, SYS_##name, (roles), 0, { __VA_ARGS__ } },
#define ANSWERED(name, roles, err, why, ...) { #name, SYS_##name, (roles), (err), { __VA_ARGS__ } },

static const struct row rows[] = {
#include "sandbox/syscalls.def"
};

static inline uint64_t filter_value(const struct condition *c, pid_t pid)
{
	return c->value == OWN_PID ? (uint64_t)pid : c->value;
}

static inline bool filter_met(const struct row *row, const struct seccomp_data *data, pid_t pid)
{
	for (size_t i = 0; i < ARRAY_SIZE(row->conditions); i++) {
		const struct condition *c = &row->conditions[i];
		if ((data->args[c->n] & c->mask) != filter_value(c, pid))
			return false;
	}
	return true;
}

/* What the table says of a call of this process; an answer of the role's own filter comes before
 * permission. */
static inline uint32_t filter_expected(enum role role, pid_t pid, const struct seccomp_data *data)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool own = (rows[i].roles & (1u << role)) != 0;

		if (rows[i].number != data->nr || !(own || role == ROLE_SUPERVISOR) ||
		    !filter_met(&rows[i], data, pid))
			continue;
		if (own && rows[i].answer)
			return SECCOMP_RET_ERRNO | (uint32_t)rows[i].answer;
		action = SECCOMP_RET_ALLOW;
	}
	return action;
}

/* Not random, so that a failure comes again. */
static inline uint64_t filter_next_number(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 16;
}

/* Arguments of all sizes: small ones are the flags, commands and options that there are. */
static inline void filter_fill_arguments(struct seccomp_data *data, uint64_t *state)
{
	for (size_t i = 0; i < ARRAY_SIZE(data->args); i++)
		data->args[i] = filter_next_number(state) >> (filter_next_number(state) % 48);
}

#endif
