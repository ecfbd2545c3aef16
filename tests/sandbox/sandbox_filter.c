/*
 * The filters as the kernel gets them, run here over every system call number: what has no row in
 * syscalls.def is killed, what has one is let through when its conditions hold, and only then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/fd.h"
#include "sandbox/steps.h"

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#else
#error "which architecture's numbers are these?"
#endif

#define NUMBERS     1200 /* the kernel has about 470 */
#define X32_BIT	    0x40000000
#define RULES_MAX   4096
#define TRIES	    64 /* of arguments that meet no condition but by chance */

/* ---- the filter's own language, as far as libseccomp speaks it ---- */

struct program {
	struct sock_filter code[RULES_MAX];
	size_t count;
};

static uint32_t load(const struct seccomp_data *data, uint32_t offset)
{
	uint32_t word;

	assert_in_range(offset, 0, sizeof(*data) - sizeof(word));
	memcpy(&word, (const char *)data + offset, sizeof(word));
	return word;
}

static bool holds(const struct sock_filter *at, uint32_t accumulator)
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
	fail_msg("unknown jump %#x", at->code);
	return false;
}

static uint32_t run(const struct program *program, const struct seccomp_data *data)
{
	uint32_t accumulator = 0;

	for (size_t i = 0; i < program->count; i++) {
		const struct sock_filter *at = &program->code[i];

		if (at->code == (BPF_RET | BPF_K))
			return at->k;
		if (at->code == (BPF_LD | BPF_W | BPF_ABS))
			accumulator = load(data, at->k);
		else if (at->code == (BPF_ALU | BPF_AND | BPF_K))
			accumulator &= at->k;
		else if (at->code == (BPF_JMP | BPF_JA))
			i += at->k;
		else if (BPF_CLASS(at->code) == BPF_JMP)
			i += holds(at, accumulator) ? at->jt : at->jf;
		else
			fail_msg("unknown instruction %#x", at->code);
	}
	fail_msg("the filter has no end");
	return 0;
}

static void load_program(enum role role, struct program *program)
{
	cleanup_close_ int fd = memfd_create("filter", MFD_CLOEXEC);
	ssize_t n;

	assert_int_equal(seccomp_filter_export(role, SANDBOX_ENFORCE, fd), 0);
	n = pread(fd, program->code, sizeof(program->code), 0);
	assert_in_range(n, sizeof(struct sock_filter), sizeof(program->code) - 1);
	program->count = (size_t)n / sizeof(struct sock_filter);
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

static uint64_t value_of(const struct condition *c)
{
	return c->value == OWN_PID ? (uint64_t)getpid() : c->value;
}

static bool met(const struct row *row, const struct seccomp_data *data)
{
	for (size_t i = 0; i < ARRAY_SIZE(row->conditions); i++) {
		const struct condition *c = &row->conditions[i];
		if ((data->args[c->n] & c->mask) != value_of(c))
			return false;
	}
	return true;
}

/* What the table says of a call; an answer of the role's own filter comes before permission. */
static uint32_t expected(enum role role, const struct seccomp_data *data)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool own = (rows[i].roles & (1u << role)) != 0;

		if (rows[i].number != data->nr || !(own || role == ROLE_SUPERVISOR) ||
		    !met(&rows[i], data))
			continue;
		if (own && rows[i].answer)
			return SECCOMP_RET_ERRNO | (uint32_t)rows[i].answer;
		action = SECCOMP_RET_ALLOW;
	}
	return action;
}

/* ---- tests ---- */

/* Not random, so that a failure comes again. */
static uint64_t next_number(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 16;
}

static void check(const struct program *program, enum role role, const struct seccomp_data *data)
{
	uint32_t action = run(program, data), wanted = expected(role, data);

	if (action != wanted)
		fail_msg("%s: call %d(%#llx, %#llx, %#llx, %#llx): %#x instead of %#x",
			 role_name(role), data->nr, data->args[0], data->args[1], data->args[2],
			 data->args[3], action, wanted);
}

/* Arguments of all sizes: small ones are the flags, commands and options that there are. */
static void fill_arguments(struct seccomp_data *data, uint64_t *state)
{
	for (size_t i = 0; i < ARRAY_SIZE(data->args); i++)
		data->args[i] = next_number(state) >> (next_number(state) % 48);
}

static void every_number_gets_what_the_table_says(void **state unused_)
{
	struct program program;

	for (enum role role = 0; role < ROLE_COUNT; role++) {
		struct seccomp_data data = { .arch = OWN_ARCH };
		uint64_t seed = 1;

		load_program(role, &program);
		print_message("%s: %zu instructions\n", role_name(role), program.count);
		for (data.nr = -1; data.nr < NUMBERS; data.nr++) {
			memset(data.args, 0, sizeof(data.args));
			check(&program, role, &data);
			memset(data.args, 0xff, sizeof(data.args));
			check(&program, role, &data);
			for (int i = 0; i < TRIES; i++) {
				fill_arguments(&data, &seed);
				check(&program, role, &data);
			}
		}
	}
}

/* Each condition: held, then each bit that it looks at turned round. */
static void every_row_is_let_through_and_its_neighbours_are_not(void **state unused_)
{
	struct program program;

	for (enum role role = 0; role < ROLE_COUNT; role++) {
		load_program(role, &program);
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			struct seccomp_data data = { .arch = OWN_ARCH, .nr = (int)rows[i].number };

			for (size_t j = 0; j < ARRAY_SIZE(rows[i].conditions); j++) {
				const struct condition *c = &rows[i].conditions[j];

				data.args[c->n] |= value_of(c);
			}
			check(&program, role, &data);
			for (unsigned bit = 0; bit < 64 * 5; bit++) {
				data.args[bit / 64] ^= UINT64_C(1) << bit % 64;
				check(&program, role, &data);
				data.args[bit / 64] ^= UINT64_C(1) << bit % 64;
			}
		}
	}
}

static void other_architectures_are_killed(void **state unused_)
{
	static const uint32_t others[] = { AUDIT_ARCH_I386, AUDIT_ARCH_X86_64, AUDIT_ARCH_ARM,
					   AUDIT_ARCH_AARCH64, 0, UINT32_MAX };
	struct program program;

	for (enum role role = 0; role < ROLE_COUNT; role++) {
		load_program(role, &program);
		for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
			/* Our own architecture: with x32's bit. */
			int first = others[i] == OWN_ARCH ? X32_BIT : 0;

			for (int nr = first; nr < first + NUMBERS; nr++) {
				struct seccomp_data data = { .arch = others[i], .nr = nr };

				assert_int_equal(run(&program, &data), SECCOMP_RET_KILL_PROCESS);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_number_gets_what_the_table_says),
		cmocka_unit_test(every_row_is_let_through_and_its_neighbours_are_not),
		cmocka_unit_test(other_architectures_are_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
