#include "supervisor/station.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "supervisor/supervisor.h"
#include "supervisor/wishes.h"

static const struct process_ops station_ops;

void station_send(struct station *station, uint32_t type, const void *body, const int *fds)
{
	if (station->process) {
		chan_send(&station->process->chan, type, body, NULL, 0, fds);
		return;
	}
	for (uint32_t i = 0; i < internal_messages.rows[type].fds; i++)
		fd_close(fds[i]);
}

static int send_listen(struct station *station)
{
	const struct msg_listen body = { 0 };
	int fd = fcntl(station->supervisor->listener.fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	station_send(station, MSG_LISTEN, &body, &fd);
	return 0;
}

/*
 * The frontdoor is for: accepting clients, reading who they are from the kernel, keeping quotas,
 * and passing each to its user's worker.  It has the listening socket and a channel to each worker;
 * it must not have files, the network, or anything of a client but its socket.
 */
static int start_frontdoor(struct station *station)
{
	int r = process_start(station->supervisor, ROLE_FRONTDOOR, &station_ops, station,
			      &station->process);

	if (r < 0)
		return r;
	/* Before there is anybody to let in. */
	policy_send_frontdoor(&station->supervisor->policy, &station->process->chan);
	return send_listen(station);
}

/*
 * The connector is for: names and TCP connections.  It has copies of the hosts file and resolv.conf
 * and a channel to each worker, and may make internet sockets; it must not have files, clients,
 * keys, or plaintext.
 */
static int start_connector(struct station *station)
{
	int r = process_start(station->supervisor, ROLE_CONNECTOR, &station_ops, station,
			      &station->process);

	if (r < 0)
		return r;
	policy_send_connector(&station->supervisor->policy, &station->process->chan);
	return resolver_send(&station->supervisor->resolver, &station->process->chan);
}

/*
 * The keyholder is for: signatures with private keys.  It has the open files of those keys that some
 * badge may use, and a channel to each worker; it must not have any other file, the network, or clients.
 */
static int start_keyholder(struct station *station)
{
	int r = process_start(station->supervisor, ROLE_KEYHOLDER, &station_ops, station,
			      &station->process);

	if (r < 0)
		return r;
	return policy_send_keyholder(&station->supervisor->policy, &station->process->chan);
}

int station_start(struct station *station)
{
	int r;

	if (station->role == ROLE_FRONTDOOR)
		r = start_frontdoor(station);
	else if (station->role == ROLE_CONNECTOR)
		r = start_connector(station);
	else
		r = start_keyholder(station);
	if (r == 0)
		workers_connect(station->supervisor, station->role);
	else if (station->process)
		process_kill(station->process); /* half equipped: another is tried then */
	return r;
}

static void start_in(struct station *station, unsigned ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(station->timer, &tv);
}

static void on_timer(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct station *station = arg;
	int r;

	if (station->supervisor->phase == PHASE_STOPPING)
		return;
	r = station_start(station);
	if (r == 0)
		return;
	if (log_seldom(&station->logged_ms))
		log_event(LOG_L_ERROR, "a role cannot be started",
			  { FIELD_ROLE, role_name(station->role) }, { FIELD_ERROR, strerror(-r) });
	if (!station->process)
		start_in(station, MAX(backoff_next(&station->backoff, 0), LIMIT_RESTART_FIRST_MS));
}

static void on_ready(struct process *process)
{
	supervisor_check(process->supervisor);
}

static void on_over(struct process *process)
{
	struct station *station = process->owner;
	struct supervisor *supervisor = station->supervisor;
	char reason[128];

	station->process = NULL;
	process_reason(process, reason, sizeof(reason));
	if (supervisor->phase == PHASE_STOPPING)
		return;
	if (supervisor->phase == PHASE_STARTING) {
		supervisor_fail(supervisor, role_name(station->role), reason);
		return;
	}
	log_event(LOG_L_ERROR, "died, and is started again",
		  { FIELD_ROLE, role_name(process->role) }, { FIELD_PID, LOG_NUMBER(process->pid) },
		  { FIELD_ERROR, reason });
	if (station->role == ROLE_FRONTDOOR)
		wishes_forget(&supervisor->workers);
	station->restarts++;
	start_in(station, backoff_next(&station->backoff, process_age_ms(process)));
}

static const struct process_ops station_ops = { on_ready, on_over };

int station_init(struct station *station, struct supervisor *supervisor, enum role role)
{
	*station = (struct station){ .supervisor = supervisor, .role = role };
	station->timer = evtimer_new(supervisor->base, on_timer, station);
	return station->timer ? 0 : -ENOMEM;
}

void station_deinit(struct station *station)
{
	if (station->timer)
		event_free(station->timer);
	station->timer = NULL;
}
