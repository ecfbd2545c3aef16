/*
 * Programs that open sessions and do not look at them: only so many descriptors are on their way to them,
 * whatever becomes of the sessions, and further sessions stand in line until some have been picked up.
 */
#include "worker_rig.h"
#include "testing_clock.h"

struct scene {
	struct rig rig;
	struct program program;
	struct program_session sessions[LIMIT_UNREAD + 40];
	unsigned count;
};

/* Another session, of which the program reads nothing. */
static struct program_session *open_another(struct scene *scene, const struct wish *wish)
{
	struct program_session *session = &scene->sessions[scene->count++];

	program_open(&scene->program, session);
	session_ask(session, wish);
	rig_turn(&scene->rig);
	return session;
}

static void open_some(struct scene *scene, unsigned count)
{
	const struct wish wish = { .host = NULL };

	for (unsigned i = 0; i < count; i++)
		open_another(scene, &wish);
}

/* How many the connector was asked for since the last time. */
static unsigned dials(struct scene *scene)
{
	unsigned count = 0;

	while (rig_dial(&scene->rig))
		count++;
	return count;
}

/* All places are taken. */
static void scene_init(struct scene *scene)
{
	*scene = (struct scene){ .count = 0 };
	rig_init(&scene->rig);
	rig_program(&scene->rig, &scene->program);
	open_some(scene, LIMIT_UNREAD);
	assert_int_equal(dials(scene), LIMIT_UNREAD);
}

static void scene_deinit(struct scene *scene)
{
	struct worker *worker = rig_worker(&scene->rig);

	for (unsigned i = 0; i < scene->count; i++) {
		if (scene->sessions[i].fd >= 0)
			session_close(&scene->sessions[i]);
	}
	RIG_UNTIL(&scene->rig, LIST_EMPTY(&worker->all_sessions));
	RIG_UNTIL(&scene->rig, worker->unread.count == 0);
	assert_true(TAILQ_EMPTY(&worker->unread.line));
	close(scene->program.fd);
	rig_deinit(&scene->rig);
}

static bool has_opened(struct program_session *session)
{
	session_listen(session);
	return session->channel.page != NULL;
}

static void further_sessions_wait_for_those_before_them(void **state unused_)
{
	struct scene scene;
	struct program_session *first, *second;

	scene_init(&scene);
	open_some(&scene, 2);
	first = &scene.sessions[LIMIT_UNREAD];
	second = first + 1;
	rig_run_for(&scene.rig, 30);
	assert_int_equal(dials(&scene), 0);
	assert_false(has_opened(first));
	/* One that was read makes one place; nobody overtakes. */
	assert_true(has_opened(&scene.sessions[7]));
	RIG_UNTIL(&scene.rig, dials(&scene) == 1);
	rig_run_for(&scene.rig, 30);
	assert_int_equal(dials(&scene), 0);
	assert_false(has_opened(second));
	assert_true(has_opened(first));
	RIG_UNTIL(&scene.rig, has_opened(second));
	scene_deinit(&scene);
}

static void those_who_look_hold_up_nobody(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < LIMIT_UNREAD; i++)
		assert_true(has_opened(&scene.sessions[i]));
	/* In one turn each: without any time in the line. */
	open_some(&scene, LIMIT_UNREAD);
	assert_int_equal(dials(&scene), LIMIT_UNREAD);
	scene_deinit(&scene);
}

static void ring_all(struct scene *scene)
{
	struct session *session;

	LIST_FOREACH(session, &rig_worker(&scene->rig)->all_sessions, in_worker)
		session_ring(session);
}

/* A program may leave those for as long as it does not use the session. */
static void bells_take_no_place(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	for (unsigned i = 0; i < LIMIT_UNREAD; i++)
		assert_true(has_opened(&scene.sessions[i]));
	ring_all(&scene);
	open_some(&scene, LIMIT_UNREAD);
	assert_int_equal(dials(&scene), LIMIT_UNREAD);
	scene_deinit(&scene);
}

/* One unread message looks like the other: and this one calls the program, too. */
static void no_bell_follows_what_was_not_picked_up(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	ring_all(&scene);
	assert_true(has_opened(&scene.sessions[3]));
	assert_int_equal(scene.sessions[3].bells, 0);
	ring_all(&scene);
	session_listen(&scene.sessions[3]);
	assert_int_equal(scene.sessions[3].bells, 1);
	open_some(&scene, 1);
	assert_int_equal(dials(&scene), 1);
	scene_deinit(&scene);
}

/* That is how more than LIMIT_UNREAD could be left lying otherwise. */
static void sessions_that_are_over_keep_their_places(void **state unused_)
{
	struct scene scene;
	struct worker *worker;
	struct msg_disconnect bye = { 0 };

	scene_init(&scene);
	worker = rig_worker(&scene.rig);
	for (unsigned i = 0; i < LIMIT_UNREAD; i++)
		assert_int_equal(program_send(scene.sessions[i].fd, CLIENT_MSG_DISCONNECT, &bye, NULL, 0,
					      NULL),
				 0);
	RIG_UNTIL(&scene.rig, LIST_EMPTY(&worker->all_sessions));
	open_some(&scene, 1);
	rig_run_for(&scene.rig, 30);
	assert_int_equal(dials(&scene), 0);
	/* The program is told the end all the same, and may look late. */
	assert_true(session_is_closed(&scene.sessions[3]));
	assert_non_null(scene.sessions[3].channel.page);
	RIG_UNTIL(&scene.rig, has_opened(&scene.sessions[LIMIT_UNREAD]));
	scene_deinit(&scene);
}

/* An open session lingers when its program leaves it, and ends a second time. */
static void a_session_that_lingers_leaves_its_socket_once(void **state unused_)
{
	const struct msg_disconnect bye = { 0 };
	const struct wish wish = { .host = NULL };
	struct program_session session;
	struct program program;
	struct worker *worker;
	struct peer peer;
	struct rig rig;
	uint64_t id;
	int pair[2];

	rig_init(&rig);
	worker = rig_worker(&rig);
	rig_program(&rig, &program);
	program_open(&program, &session);
	session_ask(&session, &wish);
	rig_turn(&rig);
	id = rig_dial(&rig);
	tcp_pair(pair);
	peer_init(&peer, rig.server, pair[1]);
	rig.peers[0] = &peer;
	rig_dialed(&rig, id, pair[0]);
	RIG_UNTIL(&rig, LIST_FIRST(&worker->all_sessions)->stage == STAGE_OPEN);
	assert_int_equal(program_send(session.fd, CLIENT_MSG_DISCONNECT, &bye, NULL, 0, NULL), 0);
	RIG_UNTIL(&rig, LIST_EMPTY(&worker->all_sessions));
	assert_int_equal(worker->unread.count, 1);
	session_close(&session);
	rig_forget(&rig, &peer);
	RIG_UNTIL(&rig, worker->unread.count == 0);
	close(program.fd);
	rig_deinit(&rig);
}

static void sockets_of_the_past_go_when_programs_close_theirs(void **state unused_)
{
	struct scene scene;
	struct worker *worker;
	int files;

	scene_init(&scene);
	worker = rig_worker(&scene.rig);
	files = testing_count_fds() - 2 * (1 + LIMIT_UNREAD); /* both ends of all */
	close(scene.program.fd);
	RIG_UNTIL(&scene.rig, LIST_EMPTY(&worker->all_sessions));
	assert_int_equal(worker->unread.count, LIMIT_UNREAD);
	for (unsigned i = 0; i < LIMIT_UNREAD; i++)
		session_close(&scene.sessions[i]);
	scene.count = 0;
	RIG_UNTIL(&scene.rig, worker->unread.count == 0);
	assert_int_equal(testing_count_fds(), files);
	rig_program(&scene.rig, &scene.program);
	scene_deinit(&scene);
}

static void the_line_counts_to_a_session_s_time(void **state unused_)
{
	const struct wish in_a_hurry = { .deadline_ms = 40 }, patient = { .deadline_ms = 5000 };
	struct scene scene;
	struct program_session *hurried, *other;

	scene_init(&scene);
	hurried = open_another(&scene, &in_a_hurry);
	other = open_another(&scene, &patient);
	RIG_UNTIL(&scene.rig, (session_listen(hurried), hurried->hung));
	assert_true(hurried->refused);
	assert_int_equal(hurried->error, TLSB_E_TIMEOUT);
	assert_non_null(strstr(hurried->text, "do not look at 32 sessions"));
	assert_true(has_opened(&scene.sessions[0]));
	RIG_UNTIL(&scene.rig, has_opened(other));
	assert_in_range(LIST_FIRST(&rig_worker(&scene.rig)->all_sessions)->request->deadline_ms, 1,
			5000 - 40);
	scene_deinit(&scene);
}

static void who_leaves_is_not_waited_for(void **state unused_)
{
	struct scene scene;
	struct program_session *gone, *next;

	scene_init(&scene);
	open_some(&scene, 2);
	gone = &scene.sessions[LIMIT_UNREAD];
	next = gone + 1;
	session_close(gone);
	gone->fd = -1;
	assert_true(has_opened(&scene.sessions[0]));
	RIG_UNTIL(&scene.rig, has_opened(next));
	scene_deinit(&scene);
}

/* A worker that ends does so with all that it has. */
static void it_ends_with_a_line_and_with_sockets_of_the_past(void **state unused_)
{
	struct scene scene;

	scene_init(&scene);
	open_some(&scene, 5);
	session_end(LIST_FIRST(&rig_worker(&scene.rig)->all_sessions), TLSB_E_NONE, "one in the line");
	close(scene.program.fd);
	rig_deinit(&scene.rig);
	for (unsigned i = 0; i < scene.count; i++)
		session_close(&scene.sessions[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(further_sessions_wait_for_those_before_them),
		TEST(those_who_look_hold_up_nobody),
		TEST(bells_take_no_place),
		TEST(no_bell_follows_what_was_not_picked_up),
		TEST(sessions_that_are_over_keep_their_places),
		TEST(a_session_that_lingers_leaves_its_socket_once),
		TEST(sockets_of_the_past_go_when_programs_close_theirs),
		TEST(the_line_counts_to_a_session_s_time),
		TEST(who_leaves_is_not_waited_for),
		TEST(it_ends_with_a_line_and_with_sockets_of_the_past),
	};

	return testing_run(tests);
}
