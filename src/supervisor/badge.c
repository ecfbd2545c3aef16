#include "supervisor/badge.h"

#include <string.h>

#include "base/fd.h"
#include "supervisor/supervisor.h"

static struct station *station_of(struct supervisor *supervisor, enum role role)
{
	return role == ROLE_FRONTDOOR ? &supervisor->frontdoor : &supervisor->connector;
}

/* The far end, which is consumed, to the role that has to know whose it is. */
static void send_far_end(struct supervisor *supervisor, enum role role, const struct chan *worker,
			 uint32_t uid, uint32_t badge, int fd)
{
	const struct process *process = worker->owner;
	const struct msg_worker_chan body = { .uid = uid, .badge = badge,
					      .pid = (uint32_t)process->pid };

	station_send(station_of(supervisor, role), MSG_WORKER_CHAN, &body, &fd);
}

int badge_give(struct supervisor *supervisor, struct chan *worker, uint32_t uid, uint32_t badge)
{
	const struct msg_badge body = { .uid = uid, .badge = badge };
	int frontdoor[2], connector[2], r;
	char name[LIMIT_BADGE + 1];

	r = policy_send_worker(&supervisor->policy, badge, worker);
	if (r < 0)
		return r;
	r = fd_seqpacket_pair(frontdoor);
	if (r < 0)
		return r;
	r = fd_seqpacket_pair(connector);
	if (r < 0) {
		fd_close(frontdoor[0]);
		fd_close(frontdoor[1]);
		return r;
	}
	policy_badge_name(&supervisor->policy, badge, uid, name);
	r = chan_send(worker, MSG_BADGE, &body, name, strlen(name),
		      (int[]){ frontdoor[0], connector[0] });
	if (r < 0) {
		fd_close(frontdoor[1]);
		fd_close(connector[1]);
		return r;
	}
	send_far_end(supervisor, ROLE_FRONTDOOR, worker, uid, badge, frontdoor[1]);
	send_far_end(supervisor, ROLE_CONNECTOR, worker, uid, badge, connector[1]);
	return 0;
}

int badge_renew(struct supervisor *supervisor, struct chan *worker, uint32_t uid, uint32_t badge,
		enum role role)
{
	const uint32_t type = role == ROLE_FRONTDOOR ? MSG_FRONTDOOR_CHAN : MSG_CONNECTOR_CHAN;
	const struct msg_empty body = { 0 };
	int pair[2], r = fd_seqpacket_pair(pair);

	if (r < 0)
		return r;
	r = chan_send(worker, type, &body, NULL, 0, &pair[0]);
	if (r < 0) {
		fd_close(pair[1]);
		return r;
	}
	send_far_end(supervisor, role, worker, uid, badge, pair[1]);
	return 0;
}
