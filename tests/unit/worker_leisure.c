/*
 * What a worker does when nobody waits for it: what sessions leave is freed, and a channel lies ready.
 */
#include "worker_rig.h"

static struct leisure *leisure_of(const struct rig *rig)
{
	return &rig_worker(rig)->leisure;
}

static struct control_page *newest_page(const struct rig *rig)
{
	return LIST_FIRST(&rig_worker(rig)->all_sessions)->channel.page;
}

static void end_newest(const struct rig *rig)
{
	session_end(LIST_FIRST(&rig_worker(rig)->all_sessions), TLSB_E_NONE, "session closed");
}

/* ---- a channel for the next session ---- */

static void the_next_session_has_the_channel_that_lies_ready(void **state unused_)
{
	struct program_session second;
	struct control_page *ready;
	struct one one;

	one_init(&one, &anything);
	ready = leisure_of(&one.rig)->spare.page;
	assert_non_null(ready);
	assert_ptr_not_equal(ready, newest_page(&one.rig));
	rig_session(&one.rig, &one.program, &second, &anything);
	assert_ptr_equal(newest_page(&one.rig), ready);
	/* Another one lies ready after it, and it is nobody's. */
	assert_non_null(leisure_of(&one.rig)->spare.page);
	assert_ptr_not_equal(leisure_of(&one.rig)->spare.page, ready);
	session_close(&second);
	one_deinit(&one);
}

static void before_its_first_session_a_worker_has_none(void **state unused_)
{
	struct program_session session;
	struct program program;
	struct rig rig;

	rig_init(&rig);
	rig_program(&rig, &program);
	rig_turn(&rig);
	assert_null(leisure_of(&rig)->spare.page);
	/* Nor after one that asked for nothing. */
	program_open(&program, &session);
	rig_turn(&rig);
	end_newest(&rig);
	assert_int_equal(leisure_of(&rig)->count, 0);
	rig_turn(&rig);
	assert_null(leisure_of(&rig)->spare.page);
	fd_close(session.fd);
	fd_close(program.fd);
	rig_turn(&rig);
	rig_deinit(&rig);
}

static void one_of_another_size_is_not_used(void **state unused_)
{
	struct program_session second, third;
	struct control_page *ready;
	struct one one;

	one_init(&one, &anything);
	assert_int_equal(leisure_of(&one.rig)->spare.rx.capacity, LIMIT_RING_MAX);
	quota_set(&rig_worker(&one.rig)->quota, 8, 2 * LIMIT_RING_MAX + 16 * LIMIT_RING_MIN);
	rig_session(&one.rig, &one.program, &second, &anything);
	assert_true(second.channel.rx.capacity < LIMIT_RING_MAX);
	ready = leisure_of(&one.rig)->spare.page;
	assert_int_equal(leisure_of(&one.rig)->spare.rx.capacity, second.channel.rx.capacity);
	rig_session(&one.rig, &one.program, &third, &anything);
	assert_ptr_equal(newest_page(&one.rig), ready);
	session_close(&second);
	session_close(&third);
	one_deinit(&one);
}

/* ---- what sessions leave ---- */

static void look_at_count(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct rig *rig = arg;

	rig->gone = leisure_of(rig)->count;
}

/* Also one that came later: nobody waits for memory to be freed. */
static void all_other_events_come_first(void **state unused_)
{
	struct event *other;
	struct one one;

	one_init(&one, &anything);
	other = event_new(one.rig.child.base, -1, 0, look_at_count, &one.rig);
	end_newest(&one.rig);
	assert_int_equal(leisure_of(&one.rig)->count, 1);
	assert_int_equal(rig_worker(&one.rig)->quota.ring_bytes, 0);
	event_active(other, EV_TIMEOUT, 0);
	rig_turn(&one.rig);
	assert_int_equal(one.rig.gone, 1);
	assert_int_equal(leisure_of(&one.rig)->count, 0);
	event_free(other);
	one_deinit(&one);
}

static void without_leisure_little_is_kept(void **state unused_)
{
	struct program_session sessions[LIMIT_REMAINS + 3];
	struct program program;
	struct rig rig;

	rig_init(&rig);
	rig_program(&rig, &program);
	for (unsigned i = 0; i < ARRAY_SIZE(sessions); i++)
		rig_session(&rig, &program, &sessions[i], &anything);
	for (unsigned i = 0; i < ARRAY_SIZE(sessions); i++) {
		end_newest(&rig);
		assert_int_equal(leisure_of(&rig)->count, MIN(i + 1, LIMIT_REMAINS));
	}
	rig_expect_no_sessions(&rig);
	rig_turn(&rig);
	rig_turn(&rig);
	rig_turn(&rig);
	assert_int_equal(leisure_of(&rig)->count, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(sessions); i++)
		session_close(&sessions[i]);
	fd_close(program.fd);
	rig_turn(&rig);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_next_session_has_the_channel_that_lies_ready),
		TEST(before_its_first_session_a_worker_has_none),
		TEST(one_of_another_size_is_not_used),
		TEST(all_other_events_come_first),
		TEST(without_leisure_little_is_kept),
	};

	return testing_run(tests);
}
