/*
 * Sessions that are idle for too long, or last too long, when the administrator says so.
 */
#include "worker_rig.h"
#include "testing_clock.h"

static struct worker *worker_of(const struct one *one)
{
	return rig_worker(&one->rig);
}

static bool is_ended(struct program_session *session)
{
	return session_word(&session->channel.page->ended) != 0;
}

static bool has_timer(const struct one *one)
{
	return evtimer_pending(worker_of(one)->ages.timer, NULL) != 0;
}

/* As a policy would, but for the milliseconds. */
static void limit(struct one *one, uint64_t idle_ms, uint64_t lifetime_ms)
{
	struct ages *ages = &worker_of(one)->ages;

	ages->idle_ms = idle_ms;
	ages->lifetime_ms = lifetime_ms;
	ages_note(LIST_FIRST(&worker_of(one)->all_sessions));
}

static void without_limits_there_is_no_timer(void **state unused_)
{
	struct one one;

	one_init(&one, &anything);
	rig_run_for(&one.rig, 20);
	assert_false(has_timer(&one));
	assert_false(is_ended(&one.session));
	one_deinit(&one);
}

static void an_idle_session_ends_with_the_settings_name(void **state unused_)
{
	struct one one;
	uint64_t began;

	one_init(&one, &anything);
	began = worker_of(&one)->all_sessions.lh_first->moved_ms;
	limit(&one, 300, 0);
	RIG_UNTIL(&one.rig, is_ended(&one.session));
	assert_true(clock_ms() - began >= 300);
	session_expect_end(&one.session, TLSB_E_TIMEOUT, "idle-timeout: nothing was received or sent");
	/* With the last one the timer has gone, too. */
	assert_false(has_timer(&one));
	one_deinit(&one);
}

/* Data in either direction keeps it; a turn of the clock's coarser hand is not idle. */
static void data_keeps_a_session(void **state unused_)
{
	struct testing_text got = { 0 };
	struct one one;
	uint64_t end;

	one_init(&one, &anything);
	limit(&one, 1000, 0);
	end = clock_ms() + 2200;
	for (bool up = true; clock_ms() < end; up = !up) {
		if (up)
			assert_int_equal(session_write(&one.session, "x", 1), 1);
		else
			peer_say(&one.peer, "y", 1);
		session_bell_worker(&one.session);
		rig_run_for(&one.rig, 50);
		session_read(&one.session, &got, SIZE_MAX);
		assert_false(is_ended(&one.session));
	}
	assert_true(has_timer(&one));
	RIG_UNTIL(&one.rig, is_ended(&one.session));
	session_expect_end(&one.session, TLSB_E_TIMEOUT, "idle-timeout: ");
	free(got.data);
	one_deinit(&one);
}

static void a_lifetime_ends_also_a_busy_session(void **state unused_)
{
	struct testing_text got = { 0 };
	struct one one;
	uint64_t end = clock_ms() + 10000;

	one_init(&one, &anything);
	limit(&one, 0, 600);
	while (!is_ended(&one.session) && clock_ms() < end) {
		peer_say(&one.peer, "y", 1);
		session_bell_worker(&one.session);
		rig_run_for(&one.rig, 20);
		session_read(&one.session, &got, SIZE_MAX);
	}
	session_expect_end(&one.session, TLSB_E_TIMEOUT, "max-lifetime: this session has lasted for");
	free(got.data);
	one_deinit(&one);
}

/* One that is not open is not idle: it has its own deadline. */
static void a_session_on_its_way_is_not_idle(void **state unused_)
{
	struct program_session session;
	struct one one;

	one_init(&one, &anything);
	limit(&one, 10000, 0);
	worker_of(&one)->ages.idle_ms = 1;
	assert_int_not_equal(rig_session(&one.rig, &one.program, &session, &anything), 0);
	ages_note(LIST_FIRST(&worker_of(&one)->all_sessions));
	rig_run_for(&one.rig, 100);
	assert_false(is_ended(&session));
	close(session.fd);
	channel_deinit(&session.channel);
	one_deinit(&one);
}

static void tell(struct one *one, uint32_t idle_s, uint32_t lifetime_s)
{
	const struct msg_policy policy = {
		.version_min = TLSB_TLS_1_2,
		.max_sessions = LIMIT_SESSIONS_PER_UID,
		.max_memory = LIMIT_RING_BYTES_PER_UID,
		.idle_s = idle_s,
		.lifetime_s = lifetime_s,
	};
	struct bounds all;

	bounds_init(&all);
	rig_tell(&one->rig, MSG_POLICY, &policy, all.ciphers, NULL);
	rig_turn(&one->rig);
}

static void a_reload_holds_for_sessions_that_are_there(void **state unused_)
{
	struct one one;

	one_init(&one, &anything);
	tell(&one, 3600, 7200);
	assert_true(has_timer(&one));
	tell(&one, 0, 0);
	rig_run_for(&one.rig, 20);
	assert_false(is_ended(&one.session));
	tell(&one, 7200, 1);
	RIG_UNTIL(&one.rig, is_ended(&one.session));
	session_expect_end(&one.session, TLSB_E_TIMEOUT, "max-lifetime: this session has lasted for 1 s");
	one_deinit(&one);
}

/* However many are due at different times, they are looked at once in a second. */
static void few_looks_for_many_sessions(void **state unused_)
{
	struct program_session sessions[20];
	struct one one;
	unsigned looks = 0;
	uint64_t last = 0, end = clock_ms() + 1500;

	one_init(&one, &anything);
	for (size_t i = 0; i < ARRAY_SIZE(sessions); i++) {
		assert_int_not_equal(rig_session(&one.rig, &one.program, &sessions[i], &anything), 0);
		rig_run_for(&one.rig, 5);
	}
	limit(&one, 0, 150);
	while (clock_ms() < end) {
		uint64_t due = worker_of(&one)->ages.timer_ms;

		looks += due != last;
		last = due;
		rig_run_for(&one.rig, 2);
	}
	assert_true(looks <= 4);
	for (size_t i = 0; i < ARRAY_SIZE(sessions); i++) {
		assert_true(session_is_over(&sessions[i]));
		close(sessions[i].fd);
		channel_deinit(&sessions[i].channel);
	}
	one_deinit(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_limits_there_is_no_timer),
		TEST(an_idle_session_ends_with_the_settings_name),
		TEST(data_keeps_a_session),
		TEST(a_lifetime_ends_also_a_busy_session),
		TEST(a_session_on_its_way_is_not_idle),
		TEST(a_reload_holds_for_sessions_that_are_there),
		TEST(few_looks_for_many_sessions),
	};

	return testing_run(tests);
}
