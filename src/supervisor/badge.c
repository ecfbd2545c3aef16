#include "supervisor/badge.h"

#include <string.h>

#include "base/fd.h"
#include "supervisor/supervisor.h"

static struct station *station_of(struct supervisor *supervisor, enum role role)
{
	switch (role) {
	case ROLE_FRONTDOOR:
		return &supervisor->frontdoor;
	case ROLE_CONNECTOR:
		return &supervisor->connector;
	default:
		return &supervisor->keyholder;
	}
}

/* The message that brings a worker a channel to it. */
static uint32_t message_of(enum role role)
{
	switch (role) {
	case ROLE_FRONTDOOR:
		return MSG_FRONTDOOR_CHAN;
	case ROLE_CONNECTOR:
		return MSG_CONNECTOR_CHAN;
	default:
		return MSG_KEYHOLDER_CHAN;
	}
}

/* The far end, which is consumed, to the role that has to know whose it is. */
static void send_far_end(struct supervisor *supervisor, enum role role, const struct worker *worker,
			 uint32_t uid, uint32_t badge, uint32_t nth, int fd)
{
	const struct msg_worker_chan body = { .uid = uid, .badge = badge, .nth = nth,
					      .pid = (uint32_t)worker->process->pid };

	station_send(station_of(supervisor, role), MSG_WORKER_CHAN, &body, &fd);
}

/* Whom a worker has channels to, in the order in which BADGE brings them. */
static const enum role others[] = { ROLE_FRONTDOOR, ROLE_CONNECTOR, ROLE_KEYHOLDER };

static void close_all(const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		fd_close(fds[i]);
}

/* Of so many channels both ends.  0 or -errno. */
static int make_channels(int near[], int far[], unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int pair[2], r = fd_seqpacket_pair(pair);

		if (r < 0) {
			close_all(near, i);
			close_all(far, i);
			return r;
		}
		near[i] = pair[0];
		far[i] = pair[1];
	}
	return 0;
}

int badge_give(struct supervisor *supervisor, const struct worker *worker, const struct seat *seat)
{
	const struct msg_badge body = { .uid = seat->uid, .badge = seat->badge };
	struct chan *chan = &worker->process->chan;
	int near[ARRAY_SIZE(others)], far[ARRAY_SIZE(others)], r;
	char name[LIMIT_BADGE + 1];

	r = policy_send_worker(&supervisor->policy, seat->badge,
			       workers_share(&supervisor->workers, seat), chan);
	if (r < 0)
		return r;
	r = make_channels(near, far, ARRAY_SIZE(others));
	if (r < 0)
		return r;
	policy_badge_name(&supervisor->policy, seat->badge, seat->uid, name);
	r = chan_send(chan, MSG_BADGE, &body, name, strlen(name), near);
	if (r < 0) {
		close_all(far, ARRAY_SIZE(others));
		return r;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		send_far_end(supervisor, others[i], worker, seat->uid, seat->badge, seat->nth, far[i]);
	return 0;
}

int badge_renew(struct supervisor *supervisor, const struct worker *worker, enum role role)
{
	const struct msg_empty body = { 0 };
	int pair[2], r = fd_seqpacket_pair(pair);

	if (r < 0)
		return r;
	r = chan_send(&worker->process->chan, message_of(role), &body, NULL, 0, &pair[0]);
	if (r < 0) {
		fd_close(pair[1]);
		return r;
	}
	send_far_end(supervisor, role, worker, worker->uid, worker->badge, worker->nth, pair[1]);
	return 0;
}

void badge_over(struct supervisor *supervisor, const struct worker *worker)
{
	const struct msg_worker_gone body = { .uid = worker->uid, .badge = worker->badge,
					      .pid = (uint32_t)worker->process->pid };

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		station_send(station_of(supervisor, others[i]), MSG_WORKER_GONE, &body, NULL);
}
