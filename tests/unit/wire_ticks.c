/*
 * A worker that was taken over passes descriptors that linger: who closes them would wait, and with
 * it everybody else.  The sockets are real, and so is the wait: without ticks, each is 20 seconds.
 */
#include "testing_linger.h"

#include <event2/event.h>

#include "base/clock.h"
#include "base/ticks.h"
#include "wire/chan.h"

#define SOON_MS 15000
#define COUNT	5

struct scene {
	struct event_base *base;
	struct chan chan; /* the keyholder's, to a worker */
	int worker, peers[COUNT];
	unsigned lent, broken;
};

static int on_sign(struct chan *chan unused_, struct msg *msg unused_)
{
	return 0;
}

/* It does not want it. */
static int on_lend(struct chan *chan, struct msg *msg unused_)
{
	struct scene *scene = chan->owner;

	scene->lent++;
	return 0;
}

static void on_gone(struct chan *chan, enum msg_rule rule unused_, const char *what unused_)
{
	struct scene *scene = chan->owner;

	scene->broken++;
	chan_deinit(chan);
}

static chan_handler *handlers[MSG_COUNT];

static void scene_init(struct scene *scene)
{
	int pair[2];

	for (int i = 0; i < MSG_COUNT; i++)
		handlers[i] = on_sign;
	handlers[MSG_KEY_LEND] = on_lend;
	*scene = (struct scene){ .base = event_base_new() };
	assert_non_null(scene->base);
	assert_int_equal(ticks_prepare(), 0);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	assert_int_equal(chan_init(&scene->chan, scene->base, pair[0], &internal_messages,
				   ROLE_KEYHOLDER, ROLE_WORKER, RUN, handlers, on_gone, scene),
			 0);
	scene->worker = pair[1];
}

static void scene_deinit(struct scene *scene)
{
	chan_deinit(&scene->chan);
	fd_close(scene->worker);
	for (int i = 0; i < COUNT; i++)
		close(scene->peers[i]);
	event_base_free(scene->base);
}

/* With messages of TYPE; the worker keeps none. */
static void pass_lingering(struct scene *scene, uint32_t type)
{
	union msg_buffer buf = { .header = { .type = type } };
	const size_t len = sizeof(buf.header) + internal_messages.rows[type].body;

	for (int i = 0; i < COUNT; i++) {
		int fd = testing_lingering_socket(&scene->peers[i]);
		union {
			struct cmsghdr header;
			char bytes[CMSG_SPACE(sizeof(int))];
		} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
		struct iovec iov = { buf.bytes, len };
		const struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
					   .msg_control = control.bytes,
					   .msg_controllen = sizeof(control.bytes) };

		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		assert_int_equal(sendmsg(scene->worker, &mh, 0), len);
		close(fd);
	}
}

static void case_7_what_lingers_is_closed_without_waiting(void **state unused_)
{
	struct scene scene;
	uint64_t before;

	scene_init(&scene);
	pass_lingering(&scene, MSG_KEY_LEND);
	before = clock_ms();
	event_base_loop(scene.base, EVLOOP_NONBLOCK);
	assert_true(clock_ms() - before < SOON_MS);
	assert_int_equal(scene.lent, COUNT);
	scene_deinit(&scene);
}

/* The first of them ends the channel; the others lie unread in it. */
static void case_7_nor_does_it_hold_up_the_end_of_its_channel(void **state unused_)
{
	struct scene scene;
	uint64_t before;

	scene_init(&scene);
	pass_lingering(&scene, MSG_SIGN);
	before = clock_ms();
	event_base_loop(scene.base, EVLOOP_NONBLOCK);
	assert_true(clock_ms() - before < SOON_MS);
	assert_int_equal(scene.broken, 1);
	scene_deinit(&scene);
}

/* Nobody has looked at them yet. */
static void case_7_nor_one_that_was_not_read(void **state unused_)
{
	struct scene scene;
	uint64_t before;

	scene_init(&scene);
	pass_lingering(&scene, MSG_KEY_LEND);
	before = clock_ms();
	chan_deinit(&scene.chan);
	assert_true(clock_ms() - before < SOON_MS);
	scene_deinit(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(case_7_what_lingers_is_closed_without_waiting),
		TEST(case_7_nor_does_it_hold_up_the_end_of_its_channel),
		TEST(case_7_nor_one_that_was_not_read),
	};

	return testing_run(tests);
}
