/*
 * The filters as the kernel gets them, run here over every system call number: what has no row in
 * syscalls.def is killed, what has one is let through when its conditions hold, and only then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fd.h"
#include "filter.h"

#define NUMBERS 1200 /* the kernel has about 470 */
#define TRIES	64   /* of arguments that meet no condition but by chance */

static void load_program(enum role role, struct program *program)
{
	cleanup_close_ int fd = memfd_create("filter", MFD_CLOEXEC);
	ssize_t n;

	assert_int_equal(seccomp_filter_export(role, SANDBOX_ENFORCE, fd), 0);
	n = pread(fd, program->code, sizeof(program->code), 0);
	assert_in_range(n, sizeof(struct sock_filter), sizeof(program->code) - 1);
	program->count = (size_t)n / sizeof(struct sock_filter);
}

/* ---- tests ---- */

static void check(const struct program *program, enum role role, const struct seccomp_data *data)
{
	uint32_t action = filter_run(program, data);
	uint32_t wanted = filter_expected(role, getpid(), data);

	if (action != wanted)
		fail_msg("%s: call %d(%#llx, %#llx, %#llx, %#llx): %#x instead of %#x",
			 role_name(role), data->nr, data->args[0], data->args[1], data->args[2],
			 data->args[3], action, wanted);
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
				filter_fill_arguments(&data, &seed);
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

				data.args[c->n] |= filter_value(c, getpid());
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

				assert_int_equal(filter_run(&program, &data), SECCOMP_RET_KILL_PROCESS);
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
