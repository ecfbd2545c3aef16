/*
 * Fibres: calls that stop in the middle, many at once, deep ones, and ones whose stack comes to its end.
 */
#include "testing.h"

#include <stdbool.h>
#include <sys/wait.h>

#include "worker/fibre.h"

/* Stops COUNT times; adds up what it saw. */
struct call {
	unsigned count, seen;
	char mark;
};

static void run(void *arg)
{
	struct call *call = arg;
	char local[512];

	for (unsigned i = 0; i < call->count; i++) {
		memset(local, call->mark, sizeof(local));
		fibre_stop();
		/* What lay on the stack lies there still. */
		for (size_t at = 0; at < sizeof(local); at++)
			assert_int_equal(local[at], call->mark);
		call->seen++;
	}
}

static void a_call_stops_and_goes_on(void **state unused_)
{
	struct fibre *fibre = fibre_new();
	struct call call = { .count = 5, .mark = 'x' };

	assert_non_null(fibre);
	assert_false(fibre_call(fibre, run, &call));
	for (unsigned i = 0; i < call.count; i++) {
		assert_int_equal(call.seen, i);
		assert_int_equal(fibre_resume(fibre), i + 1 == call.count);
	}
	/* It can be used again; and one that does not stop is a call like any. */
	call = (struct call){ .count = 0 };
	assert_true(fibre_call(fibre, run, &call));
	call = (struct call){ .count = 1, .mark = 'y' };
	assert_false(fibre_call(fibre, run, &call));
	assert_true(fibre_resume(fibre));
	assert_null(fibre_free(fibre));
	assert_null(fibre_free(NULL));
}

#define MANY 64

static void many_are_in_the_middle_at_once(void **state unused_)
{
	struct fibre *fibres[MANY];
	struct call calls[MANY];
	uint64_t seed = 3;
	unsigned over = 0;

	for (unsigned i = 0; i < MANY; i++) {
		calls[i] = (struct call){ .count = 1 + i % 7, .mark = (char)i };
		fibres[i] = fibre_new();
		assert_false(fibre_call(fibres[i], run, &calls[i]));
	}
	while (over < MANY) {
		unsigned i = (unsigned)(testing_random(&seed) % MANY);

		if (calls[i].seen < calls[i].count)
			over += fibre_resume(fibres[i]);
	}
	for (unsigned i = 0; i < MANY; i++)
		fibre_free(fibres[i]);
}

/* As deep as a handshake goes, and four times that. */
static unsigned dig(unsigned depth)
{
	volatile char room[1024];

	memset((char *)(uintptr_t)room, (int)depth, sizeof(room));
	if (depth == 0) {
		fibre_stop();
		return 1;
	}
	return dig(depth - 1) + (unsigned)(room[0] == (char)depth);
}

static void run_deep(void *arg)
{
	assert_int_equal(dig(*(unsigned *)arg), *(unsigned *)arg + 1);
}

static void there_is_room_for_a_handshake(void **state unused_)
{
	struct fibre *fibre = fibre_new();
	unsigned depth = 80; /* KiB, and what a sanitizer puts between them */

	assert_false(fibre_call(fibre, run_deep, &depth));
	assert_true(fibre_resume(fibre));
	fibre_free(fibre);
}

/* What lies below its stack is a fault, and not somebody's memory. */
static void the_end_of_the_stack_is_a_fault(void **state unused_)
{
	unsigned depth = 100000;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL); /* a sanitizer's report is of no interest */
		close(STDERR_FILENO);
		fibre_call(fibre_new(), run_deep, &depth);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_call_stops_and_goes_on),
		TEST(many_are_in_the_middle_at_once),
		TEST(there_is_room_for_a_handshake),
		TEST(the_end_of_the_stack_is_a_fault),
	};

	return testing_run(tests);
}
