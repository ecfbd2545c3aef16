#include "worker/leisure.h"

#include <errno.h>

#include "base/fd.h"
#include "worker/state.h"

static void soon(struct leisure *leisure)
{
	event_active(leisure->event, EV_TIMEOUT, 0);
}

/* ---- what sessions leave ---- */

static void free_now(struct remains *remains)
{
	SSL_free(remains->ssl);
	channel_deinit(&remains->channel);
}

void leisure_free(struct worker *worker, SSL *ssl, struct channel *channel)
{
	struct leisure *leisure = &worker->leisure;
	struct remains remains = { ssl, *channel };

	if (!ssl && !channel->page)
		return; /* it was refused before it had anything */
	*channel = (struct channel){ 0 };
	/* A worker that has no leisure for so long must not gather what no quota counts any more. */
	if (leisure->count == LIMIT_REMAINS) {
		free_now(&remains);
		return;
	}
	leisure->remains[leisure->count++] = remains;
	soon(leisure);
}

/* ---- a channel for the next one ---- */

static void drop_spare(struct leisure *leisure)
{
	if (!leisure->spare.page)
		return;
	channel_deinit(&leisure->spare);
	fd_close(leisure->spare_fd);
}

/* Without memory or descriptors there is none, and who asks for a channel is told why. */
static void make_spare(struct leisure *leisure)
{
	if (leisure->spare.page && leisure->spare.rx.capacity == leisure->wanted)
		return;
	drop_spare(leisure);
	(void)channel_create(&leisure->spare, leisure->wanted, &leisure->spare_fd);
}

int leisure_channel(struct worker *worker, struct channel *ret_channel, uint32_t capacity,
		    int *ret_fd)
{
	struct leisure *leisure = &worker->leisure;

	leisure->wanted = capacity;
	soon(leisure);
	if (!leisure->spare.page || leisure->spare.rx.capacity != capacity)
		return channel_create(ret_channel, capacity, ret_fd);
	*ret_channel = leisure->spare;
	*ret_fd = leisure->spare_fd;
	leisure->spare = (struct channel){ 0 };
	return 0;
}

/* ---- */

/* One thing, and then a look whether somebody waits. */
static void on_leisure(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct leisure *leisure = &((struct worker *)arg)->leisure;

	if (leisure->count == 0) {
		make_spare(leisure);
		return;
	}
	free_now(&leisure->remains[--leisure->count]);
	soon(leisure);
}

int leisure_init(struct worker *worker)
{
	struct leisure *leisure = &worker->leisure;

	leisure->wanted = LIMIT_RING_MAX;
	leisure->event = event_new(worker->child->base, -1, 0, on_leisure, worker);
	if (!leisure->event || event_priority_set(leisure->event, CHILD_LEISURE) < 0)
		return -ENOMEM;
	return 0;
}

void leisure_deinit(struct worker *worker)
{
	struct leisure *leisure = &worker->leisure;

	while (leisure->count > 0)
		free_now(&leisure->remains[--leisure->count]);
	drop_spare(leisure);
	if (leisure->event)
		event_free(leisure->event);
}
