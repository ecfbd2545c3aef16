/*
 * The program acts between any two instructions of the worker's turn: the processor's single-step
 * trap calls it there.  Whatever it did, the worker has seen it, or has a bell for it in its socket.
 * (tests/model says the same of every order of the steps; this, of the code.)
 */
#include "worker_rig.h"

#include <poll.h>
#include <ucontext.h>

#include "tests/sanitized.h"
#include "worker/pump.h"

#ifdef __x86_64__

#define TRAP_FLAG 0x100

/* Sanitizers put many instructions around each of ours: one in some of them is as good. */
#define STRIDE (SANITIZED ? 5 : 1)

static struct {
	struct program_session *program;
	void (*act)(struct program_session *);
	unsigned steps, at; /* so far, and before which to act */
	bool on;
} trap;

/* Called by the handler of a synchronous signal, in the middle of anything. */
static void on_step(int signal_number unused_, siginfo_t *info unused_, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (trap.on && trap.steps++ == trap.at) {
		trap.act(trap.program);
		trap.on = false;
	}
	if (trap.on)
		registers[REG_EFL] |= TRAP_FLAG;
	else
		registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}

/* The worker looks for what is to be sent, and the program acts after so many steps, at most all. */
static enum pump look(struct session *session, struct program_session *program,
		      void (*act)(struct program_session *), unsigned at)
{
	struct sigaction action = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };
	enum pump result;
	int error = 0;

	assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
	trap.program = program;
	trap.act = act;
	trap.steps = 0;
	trap.at = at;
	trap.on = true;
	raise(SIGTRAP);
	result = pump_out(session, &error);
	trap.on = false;
	return result;
}

static void do_nothing(struct program_session *program unused_)
{
}

/* As in tlsb_shutdown(). */
static void shut_down(struct program_session *program)
{
	atomic_store_explicit(&program->channel.page->tx_fin, 1, memory_order_seq_cst);
	if (doorbell_answer(&program->channel.page->worker_wants, WANT_DATA))
		session_bell_worker(program);
}

/* As in tlsb_write(). */
static void write_byte(struct program_session *program)
{
	uint8_t *span;

	if (ring_space(&program->channel.tx, &span) <= 0)
		return;
	*span = 'x';
	ring_produce(&program->channel.tx, 1);
	if (doorbell_answer(&program->channel.page->worker_wants, WANT_DATA))
		session_bell_worker(program);
}

static bool has_bell(const struct session *session)
{
	struct pollfd pfd = { .fd = session->chan.fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

/* The program has rung and has nothing: the worker is about to look, and to arm. */
static struct session *begin(struct one *one)
{
	rig_turn(&one->rig);
	doorbell_answer(&one->session.channel.page->worker_wants, WANT_DATA);
	return LIST_FIRST(&rig_worker(&one->rig)->all_sessions);
}

static unsigned count_steps(struct one *one)
{
	assert_int_equal(look(begin(one), &one->session, do_nothing, UINT_MAX), PUMP_WAIT);
	assert_true(trap.steps > 10);
	return trap.steps;
}

static void the_end_is_seen_or_rung_for_whenever_it_comes(void **state unused_)
{
	unsigned steps, at = 0, seen = 0;

	do {
		enum pump result = PUMP_WAIT;
		struct one one;

		one_init(&one, &anything);
		steps = count_steps(&one);
		for (; at < steps && result == PUMP_WAIT; at += STRIDE) {
			struct session *session = begin(&one);

			result = look(session, &one.session, shut_down, at);
			assert_true(result == PUMP_END || has_bell(session));
			seen += result == PUMP_END;
			/* Where it was only rung for, the program takes it back, and tries the next. */
			one.session.channel.page->tx_fin = 0;
		}
		one_deinit(&one);
	} while (at < steps);
	assert_in_range(seen, 1, steps - 1);
}

static void a_byte_is_seen_or_rung_for_whenever_it_comes(void **state unused_)
{
	unsigned steps, seen = 0;
	struct one one;

	one_init(&one, &anything);
	steps = count_steps(&one);
	for (unsigned at = 0; at < steps; at += STRIDE) {
		struct session *session = begin(&one);
		uint64_t before = session->bytes_written;

		look(session, &one.session, write_byte, at);
		assert_true(session->bytes_written == before + 1 || has_bell(session));
		seen += session->bytes_written == before + 1;
	}
	assert_in_range(seen, 1, steps - 1);
	one_deinit(&one);
}

#else

static void the_end_is_seen_or_rung_for_whenever_it_comes(void **state unused_)
{
	skip();
}

static void a_byte_is_seen_or_rung_for_whenever_it_comes(void **state unused_)
{
	skip();
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_end_is_seen_or_rung_for_whenever_it_comes),
		TEST(a_byte_is_seen_or_rung_for_whenever_it_comes),
	};

	return testing_run(tests);
}
