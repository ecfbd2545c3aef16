/* When a call looks for a moment before it sleeps, and when it does not. */
#include "testing.h"

#include <sched.h>

#include "base/clock.h"
#include "libtlsbroker/internal.h"

/* An established session whose program waits for an answer. */
struct one {
	struct tlsb tlsb;
	struct tlsb_session session;
};

static void one_init(struct one *one)
{
	*one = (struct one){ .tlsb = { .has_cpus = true } };
	one->session.tlsb = &one->tlsb;
	one->session.seen = STATE_ESTABLISHED;
	one->session.blocked = WANT_DATA;
}

static unsigned looks;

static bool never(const struct tlsb_session *session unused_, uint32_t wants unused_)
{
	looks++;
	return false;
}

static bool at_the_third_look(const struct tlsb_session *session unused_, uint32_t wants unused_)
{
	return ++looks == 3;
}

/* How often a call looked that waited, and slept in the end if it was in vain. */
static unsigned wait_once(struct one *one, spin_fn *is_there, bool is_long)
{
	struct tlsb_session *session = &one->session;

	looks = 0;
	spin_begin(session);
	if (spin_until(session, session->blocked, is_there))
		return looks;
	session->spin.since_us = is_long ? 0 : clock_us(); /* so that this machine's speed does not count */
	spin_slept(session);
	return looks;
}

static void only_short_waits_are_spun_through(void **state unused_)
{
	struct one one;

	one_init(&one);
	assert_int_equal(wait_once(&one, at_the_third_look, true), 0);
	assert_int_equal(wait_once(&one, at_the_third_look, true), 0);
	assert_int_equal(wait_once(&one, at_the_third_look, false), 0);
	assert_int_equal(wait_once(&one, at_the_third_look, false), 3);
	assert_int_equal(wait_once(&one, at_the_third_look, false), 3);
}

/* How many short waits it takes until one is spun through; then that is in vain. */
static unsigned waits_until_hope(struct one *one)
{
	unsigned waits = 0;

	while (wait_once(one, never, false) == 0) {
		waits++;
		assert_true(waits < 1000);
	}
	for (unsigned tries = 1; tries < 32; tries++)
		assert_true(wait_once(one, never, false) > 0);
	one->session.spin.short_waits = 0; /* the last one counts for the next time */
	return waits;
}

static void who_spun_in_vain_doubts_more_and_more(void **state unused_)
{
	static const unsigned expected[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 256 };
	struct one one;

	one_init(&one);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(waits_until_hope(&one), expected[i]);
	/* And one success ends all doubt. */
	while (wait_once(&one, at_the_third_look, false) == 0)
		;
	assert_int_equal(wait_once(&one, at_the_third_look, false), 3);
	assert_int_equal(waits_until_hope(&one), 0);
	assert_int_equal(waits_until_hope(&one), 2);
}

static void on_one_processor_nobody_spins(void **state unused_)
{
	cpu_set_t before, one_cpu;
	struct one one;

	one_init(&one);
	one.tlsb.has_cpus = false;
	for (int i = 0; i < 5; i++)
		assert_int_equal(wait_once(&one, at_the_third_look, false), 0);

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one_cpu);
	for (int cpu = 0; CPU_COUNT(&one_cpu) == 0; cpu++) {
		if (CPU_ISSET(cpu, &before))
			CPU_SET(cpu, &one_cpu);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(one_cpu), &one_cpu), 0);
	assert_false(spin_has_cpus());
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(spin_has_cpus(), CPU_COUNT(&before) > 1);
}

static void a_stream_is_slept_through(void **state unused_)
{
	struct one one;

	one_init(&one);
	for (int i = 0; i < 5; i++)
		wait_once(&one, at_the_third_look, false);
	assert_int_equal(wait_once(&one, at_the_third_look, false), 3);
	one.session.spin.moved = 16 * 1024;
	assert_int_equal(wait_once(&one, at_the_third_look, false), 0);
	one.session.spin.moved = 16 * 1024 - 1;
	assert_int_equal(wait_once(&one, at_the_third_look, false), 3);
}

static void only_answers_are_spun_for(void **state unused_)
{
	struct one one;

	one_init(&one);
	for (int i = 0; i < 5; i++)
		wait_once(&one, at_the_third_look, false);
	one.session.blocked = WANT_ROOM;
	assert_int_equal(wait_once(&one, at_the_third_look, false), 0);
	one.session.blocked = WANT_DATA | WANT_STATE;
	assert_int_equal(wait_once(&one, at_the_third_look, false), 3);
	one.session.seen = STATE_CONNECTED; /* a handshake takes long */
	assert_int_equal(wait_once(&one, at_the_third_look, false), 0);
}

/* Who polls the descriptor is rung for what came, and not looked for. */
static void who_has_the_descriptor_does_not_spin(void **state unused_)
{
	struct one one;

	one_init(&one);
	for (int i = 0; i < 5; i++)
		wait_once(&one, at_the_third_look, false);
	assert_int_equal(wait_once(&one, at_the_third_look, false), 3);
	one.session.shown = true;
	assert_int_equal(wait_once(&one, at_the_third_look, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_short_waits_are_spun_through),
		TEST(who_spun_in_vain_doubts_more_and_more),
		TEST(on_one_processor_nobody_spins),
		TEST(a_stream_is_slept_through),
		TEST(only_answers_are_spun_for),
		TEST(who_has_the_descriptor_does_not_spin),
	};

	return testing_run(tests);
}
