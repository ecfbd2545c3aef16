/*
 * A badge with several workers: sessions are spread over connections, and one that is lost or refused costs
 * its own.
 */
#include "lib_rig.h"

#include "libtlsbroker/internal.h"

#define MOST 64

struct scene {
	struct rig rig;
	int links[MOST]; /* the brokers's ends, the first one's included */
	unsigned link_count;
	struct tlsb_session *sessions[MOST];
	unsigned session_count;
};

static void welcome(int link, uint32_t more)
{
	const struct msg_welcome body = { .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION,
					  .uid = 7, .more_workers = more };

	rig_send(link, CLIENT_MSG_WELCOME, &body, "busy", NULL);
}

static void begin(struct scene *scene, uint32_t more)
{
	*scene = (struct scene){ .link_count = 1 };
	rig_listen(&scene->rig);
	rig_open(&scene->rig);
	scene->links[0] = scene->rig.main;
	welcome(scene->links[0], more);
	assert_string_equal(tlsb_badge(scene->rig.tlsb), "busy");
}

/* The connections that the library has opened, and their hellos. */
static void accept_all(struct scene *scene)
{
	union msg_buffer buffer;
	struct msg msg;
	int fd;

	while ((fd = accept4(scene->rig.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		rig_expect(fd, CLIENT_MSG_HELLO, HELLO, &buffer, &msg, NULL);
		scene->links[scene->link_count++] = fd;
	}
}

static struct tlsb_session *start_session(struct scene *scene)
{
	struct tlsb_session *session = tlsb_session_new(scene->rig.tlsb, NULL);

	assert_non_null(session);
	(void)tlsb_connect(session, RIG_HOST, RIG_PORT);
	scene->sessions[scene->session_count++] = session;
	return session;
}

static void start_sessions(struct scene *scene, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		start_session(scene);
	accept_all(scene);
}

/* The sessions that a worker was asked for since it was looked at last; it drops them. */
static unsigned asked(const struct scene *scene, unsigned link)
{
	const struct msg_context ctx = { &client_messages, ROLE_WORKER, ROLE_CLIENT, MAIN };
	union msg_buffer buffer;
	enum msg_rule rule;
	struct msg msg;
	unsigned n = 0;

	while (msg_recv(scene->links[link], &ctx, &buffer, &msg, &rule) == 1) {
		n += msg.type == CLIENT_MSG_SESSION;
		msg_close_fds(&msg);
	}
	return n;
}

static void end_session(struct scene *scene, unsigned i)
{
	tlsb_session_free(scene->sessions[i]);
	scene->sessions[i] = NULL;
}

static void end(struct scene *scene)
{
	for (unsigned i = 0; i < scene->session_count; i++)
		tlsb_session_free(scene->sessions[i]);
	for (unsigned i = 1; i < scene->link_count; i++)
		fd_close(scene->links[i]);
	rig_close(&scene->rig);
}

static void one_worker_is_one_connection(void **state unused_)
{
	struct scene scene;

	begin(&scene, 0);
	start_sessions(&scene, 20);
	assert_int_equal(scene.link_count, 1);
	assert_int_equal(asked(&scene, 0), 20);
	assert_null(scene.rig.tlsb->more);
	end(&scene);
}

static void sessions_are_spread(void **state unused_)
{
	struct scene scene;

	begin(&scene, 3);
	start_sessions(&scene, 1);
	assert_int_equal(scene.link_count, 1); /* one session needs no more */
	start_sessions(&scene, 7);
	assert_int_equal(scene.link_count, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(asked(&scene, i), 2);
	/* Where sessions have ended, there the next ones go. */
	end_session(&scene, 2);
	end_session(&scene, 6);
	start_sessions(&scene, 2);
	assert_int_equal(scene.link_count, 4);
	assert_int_equal(asked(&scene, 2), 2);
	end(&scene);
}

/* Without the greeting nobody knows of others. */
static void before_the_greeting_all_go_by_the_first(void **state unused_)
{
	struct scene scene = { .link_count = 1 };

	rig_listen(&scene.rig);
	rig_open(&scene.rig);
	scene.links[0] = scene.rig.main;
	start_sessions(&scene, 5);
	assert_int_equal(scene.link_count, 1);
	assert_int_equal(asked(&scene, 0), 5);
	welcome(scene.links[0], 1);
	assert_non_null(tlsb_badge(scene.rig.tlsb));
	start_sessions(&scene, 5);
	assert_int_equal(scene.link_count, 2);
	assert_int_equal(asked(&scene, 1), 5);
	end(&scene);
}

static void a_worker_that_lies_gets_no_more_connections_than_there_are_workers(void **state unused_)
{
	struct scene scene;

	begin(&scene, UINT32_MAX);
	start_sessions(&scene, 40);
	assert_int_equal(scene.link_count, LIMIT_BADGE_WORKERS);
	/* What others say of it does not count. */
	welcome(scene.links[1], 99);
	start_sessions(&scene, 8);
	assert_int_equal(scene.link_count, LIMIT_BADGE_WORKERS);
	assert_string_equal(tlsb_badge(scene.rig.tlsb), "busy");
	end(&scene);
}

static void a_lost_connection_costs_its_own_sessions(void **state unused_)
{
	struct scene scene;

	begin(&scene, 1);
	start_sessions(&scene, 4);
	assert_int_equal(asked(&scene, 0), 2);
	assert_int_equal(scene.link_count, 2);
	welcome(scene.links[1], 1);
	assert_int_equal(asked(&scene, 1), 2);
	scene.links[1] = fd_close(scene.links[1]);
	assert_soon_fails(tlsb_connect(scene.sessions[1], NULL, NULL), ECONNRESET);
	assert_int_equal(tlsb_error_code(scene.sessions[1]), TLSB_E_WORKER_DIED);
	/* As long as its sessions are there, the others have to do. */
	start_sessions(&scene, 2);
	assert_int_equal(scene.link_count, 2);
	assert_int_equal(asked(&scene, 0), 2);
	/* Then it is opened again. */
	end_session(&scene, 1);
	end_session(&scene, 3);
	start_sessions(&scene, 1);
	assert_int_equal(scene.link_count, 3);
	assert_int_equal(asked(&scene, 2), 1);
	assert_int_equal(asked(&scene, 0), 0);
	end(&scene);
}

/* Nobody has read from it since: the next session sees by itself that it is gone. */
static void no_session_goes_by_one_that_is_gone(void **state unused_)
{
	struct scene scene;

	begin(&scene, 1);
	start_sessions(&scene, 2);
	asked(&scene, 0);
	asked(&scene, 1);
	end_session(&scene, 1);
	scene.links[1] = fd_close(scene.links[1]);
	rig_stop_listening(&scene.rig);
	start_session(&scene);
	assert_int_equal(asked(&scene, 0), 1);
	end(&scene);
}

static void the_first_may_be_the_one_that_is_lost(void **state unused_)
{
	struct scene scene;

	begin(&scene, 1);
	start_sessions(&scene, 2);
	welcome(scene.links[1], 1);
	scene.rig.main = scene.links[0] = fd_close(scene.links[0]);
	asked(&scene, 1);
	start_sessions(&scene, 3);
	assert_int_equal(asked(&scene, 1), 3);
	assert_int_equal(scene.link_count, 2);
	/* Without any, a new one at once. */
	scene.links[1] = fd_close(scene.links[1]);
	for (unsigned i = 1; i < 5; i++)
		end_session(&scene, i);
	start_sessions(&scene, 1);
	assert_int_equal(scene.link_count, 3);
	assert_int_equal(asked(&scene, 2), 1);
	end(&scene);
}

/* The frontdoor refuses: max-connections, for instance. */
static void a_refused_connection_is_tried_again_and_trusted_when_it_is_there(void **state unused_)
{
	struct scene scene;

	begin(&scene, 1);
	start_sessions(&scene, 2);
	assert_int_equal(scene.link_count, 2);
	rig_refuse(scene.links[1], TLSB_E_QUOTA, "max-connections: enough");
	scene.links[1] = fd_close(scene.links[1]);
	assert_soon_fails(tlsb_connect(scene.sessions[1], NULL, NULL), EMFILE);
	assert_string_equal(tlsb_error_text(scene.sessions[1]), "max-connections: enough");
	end_session(&scene, 1);
	asked(&scene, 0);
	start_sessions(&scene, 3);
	assert_int_equal(scene.link_count, 2); /* not at once */
	assert_int_equal(asked(&scene, 0), 3);
	scene.rig.tlsb->more[0].not_before_ms = 0;
	start_sessions(&scene, 2);
	assert_int_equal(scene.link_count, 3);
	assert_int_equal(asked(&scene, 0), 2); /* not before it was welcomed */
	welcome(scene.links[2], 1);
	start_sessions(&scene, 2);
	assert_int_equal(asked(&scene, 2), 2);
	end(&scene);
}

static void nobody_waits_for_a_further_one(void **state unused_)
{
	struct scene scene;

	begin(&scene, 3);
	rig_stop_listening(&scene.rig);
	start_session(&scene);
	for (int i = 0; i < 5; i++)
		start_session(&scene);
	assert_int_equal(asked(&scene, 0), 6);
	end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_worker_is_one_connection),
		cmocka_unit_test(sessions_are_spread),
		cmocka_unit_test(before_the_greeting_all_go_by_the_first),
		cmocka_unit_test(a_worker_that_lies_gets_no_more_connections_than_there_are_workers),
		cmocka_unit_test(a_lost_connection_costs_its_own_sessions),
		cmocka_unit_test(no_session_goes_by_one_that_is_gone),
		cmocka_unit_test(the_first_may_be_the_one_that_is_lost),
		cmocka_unit_test(a_refused_connection_is_tried_again_and_trusted_when_it_is_there),
		cmocka_unit_test(nobody_waits_for_a_further_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
