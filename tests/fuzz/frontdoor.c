/*
 * The frontdoor: what supervisor and workers can make of it by their messages, while programs come.
 * Its real handlers; it must keep count of its clients, and in the end of its descriptors.
 *
 *   steps: which (1), and what belongs to it
 */
#include "tests/fuzz/stage.h"

#include <errno.h>

#include "frontdoor/crew.h"
#include "frontdoor/frontdoor.h"
#include "frontdoor/state.h"

/* Workers' channels that a step can name. */
#define WORKERS 4
#define USERS   3
#define STEPS_MOST 48

enum step {
	SUPERVISOR_SAYS,
	WORKER_SAYS,
	WORKER_KNOWS, /* CLIENT_GONE of a client that it has */
	PROGRAMS_COME,
	WORKER_HANGS_UP,
	TIME_PASSES,
	SENDING_FAILS,
	FEW_DESCRIPTORS,
	STEPS,
};

static struct child child = { .role = ROLE_FRONTDOOR, .ops = &frontdoor_ops };
static struct counters counters;
static bool lost;

static void on_lost(struct chan *chan unused_, enum msg_rule rule unused_, const char *what unused_)
{
	lost = true;
}

static struct frontdoor *frontdoor(void)
{
	return child.state;
}

static void start(void)
{
	child.base = stage_base();
	child.counters = &counters;
	memset((void *)&counters, 0, sizeof(counters));
	lost = false;
	must(chan_init(&child.supervisor, child.base, stage_fd(), &internal_messages,
		       ROLE_FRONTDOOR, ROLE_SUPERVISOR, RUN, frontdoor_ops.handlers, on_lost,
		       &child) == 0);
	must(frontdoor_ops.start(&child) == 0);
}

static void stop(void)
{
	frontdoor_ops.stop(&child);
	chan_deinit(&child.supervisor);
	kernel = (struct kernel){ .now_ms = kernel.now_ms };
	must(stage_fds() == 0 && stage_events() == 0);
}

/* The worker's channel that NUMBER stands for; or NULL. */
static struct hand *some_hand(unsigned number)
{
	struct badge *badge;

	for (unsigned i = 0; i < BADGE_BUCKETS && i <= USERS; i++) {
		LIST_FOREACH(badge, &frontdoor()->badges[i], in_bucket) {
			for (unsigned j = 0; j < LIMIT_BADGE_WORKERS; j++) {
				struct hand *hand = &badge->hands[j];

				if (hand->state == WORKER_SERVING && number-- == 0)
					return hand;
			}
		}
	}
	return NULL;
}

static void deliver(int fd, const struct packet *packet)
{
	stage_put(fd, packet);
	stage_ready(fd, EV_READ);
}

static void supervisor_says(struct input *input)
{
	struct packet_space space;
	struct packet packet = stage_take_packet(input, &internal_messages, &space);
	struct msg_worker_chan *body = (void *)(space.buffer.bytes + sizeof(struct msg_header));

	/* One user of a few, and one worker of a few, so that messages meet. */
	if (packet.bytes == space.buffer.bytes)
		body->uid %= USERS;
	if (packet.bytes == space.buffer.bytes && space.buffer.header.type == MSG_WORKER_CHAN)
		body->nth %= WORKERS;
	deliver(child.supervisor.fd, &packet);
}

static void worker_says(struct input *input)
{
	struct hand *hand = some_hand(take_u8(input) % WORKERS);
	struct packet_space space;
	struct packet packet = stage_take_packet(input, &internal_messages, &space);

	if (hand)
		deliver(hand->chan.fd, &packet);
}

static void worker_knows(struct input *input)
{
	struct hand *hand = some_hand(take_u8(input) % WORKERS);
	struct {
		struct msg_header header;
		struct msg_client_gone body;
	} gone = { { .type = MSG_CLIENT_GONE }, { 0 } };
	const struct packet packet = { .bytes = (const uint8_t *)&gone, .len = sizeof(gone) };

	if (!hand || hand->handed.count == 0)
		return;
	gone.body.id = hand->handed.ids[take_u8(input) % hand->handed.count];
	deliver(hand->chan.fd, &packet);
}

static void programs_come(struct input *input)
{
	kernel.peer_uid = take_u8(input) % USERS;
	kernel.accepts = take_u8(input) % 16;
	if (frontdoor()->door.fd >= 0)
		stage_ready(frontdoor()->door.fd, EV_READ);
}

static void take_step(struct input *input)
{
	static const int errors[] = { 0, EAGAIN, EPIPE, EMFILE };
	struct hand *hand;

	switch ((enum step)(take_u8(input) % STEPS)) {
	case SUPERVISOR_SAYS:
		supervisor_says(input);
		break;
	case WORKER_SAYS:
		worker_says(input);
		break;
	case WORKER_KNOWS:
		worker_knows(input);
		break;
	case PROGRAMS_COME:
		programs_come(input);
		break;
	case WORKER_HANGS_UP:
		hand = some_hand(take_u8(input) % WORKERS);
		if (!hand)
			break;
		stage_hang_up(hand->chan.fd);
		stage_ready(hand->chan.fd, EV_READ);
		break;
	case TIME_PASSES:
		stage_sleep(take_u16(input) * 32u);
		break;
	case SENDING_FAILS:
		kernel.send_error = errors[take_u8(input) % ARRAY_SIZE(errors)];
		break;
	default:
		kernel.socket_error = take_u8(input) & 1 ? EMFILE : 0;
	}
}

/* Who waits is counted once in every place. */
static void check_counts(void)
{
	const struct waiter *waiter;
	const struct badge *badge;
	unsigned waiting = 0;
	uint64_t clients = 0;

	TAILQ_FOREACH(waiter, &frontdoor()->waiting, of_all)
		waiting++;
	must(waiting == frontdoor()->waiting_count && waiting <= LIMIT_CLIENTS_WAITING);
	for (unsigned i = 0; i < BADGE_BUCKETS; i++) {
		LIST_FOREACH(badge, &frontdoor()->badges[i], in_bucket) {
			must(badge->waiting_count > 0 ||
			     crew_count(badge, WORKER_ABSENT) < LIMIT_BADGE_WORKERS);
			clients += crew_clients(badge);
		}
	}
	must(counters_get(&counters, COUNTER_clients) == clients);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };

	start();
	for (int i = 0; i < STEPS_MOST && input.left > 0 && !lost; i++)
		take_step(&input);
	check_counts();
	stop();
	return 0;
}
