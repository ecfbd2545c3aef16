#include "supervisor/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/rolelog.h"
#include "supervisor/supervisor.h"

/* Between closing its channel and ending: what exit handlers take. */
#define GRACE_MS 1000

char *process_reason(const struct process *process, char *dst, size_t size)
{
	int status = process->status;

	if (!process->reaped)
		snprintf(dst, size, "closed its channel");
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		snprintf(dst, size, "made a system call that its sandbox forbids");
	else if (WIFSIGNALED(status))
		snprintf(dst, size, "killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(dst, size, "exit status %d", WEXITSTATUS(status));
	return dst;
}

uint64_t process_age_ms(const struct process *process)
{
	return clock_ms() - process->started_ms;
}

static void process_free(struct process *process)
{
	chan_deinit(&process->chan);
	counters_unmap(process->counters);
	if (process->timer)
		event_free(process->timer);
	rolelog_deinit(process);
	free(process);
}

/* Over once it is reaped and all that it sent has been read. */
static void end_if_over(struct process *process)
{
	if (!process->reaped || !process->hung_up)
		return;
	rolelog_end(process);
	LIST_REMOVE(process, next);
	supervisor_keep_counts(process->supervisor, process->counters);
	process->ops->over(process);
	process_free(process);
}

void process_on_gone(struct chan *chan, enum msg_rule rule, const char *what)
{
	struct process *process = chan->owner;

	if (rule != RULE_NONE) {
		process->supervisor->counts[COUNTER_violations]++;
		log_event(LOG_L_ERROR, "a role broke the protocol, and is killed",
			  { FIELD_ROLE, role_name(process->role) },
			  { FIELD_PID, LOG_NUMBER(process->pid) },
			  { FIELD_RULE, msg_rule_name(rule) }, { FIELD_ERROR, what });
		process_kill(process);
	} else if (chan->starved) {
		process_kill(process); /* it would wait for what it was not sent */
	} else if (!process->reaped) {
		process_kill_in(process, GRACE_MS);
	}
	process->hung_up = true;
	end_if_over(process);
}

static void on_timer(evutil_socket_t fd unused_, short what unused_, void *arg)
{
	struct process *process = arg;

	if (!process->reaped) {
		log_event(LOG_L_ERROR, "a role takes too long, and is killed",
			  { FIELD_ROLE, role_name(process->role) },
			  { FIELD_PID, LOG_NUMBER(process->pid) });
		process_kill(process);
		return;
	}
	/* It is dead, but somebody has the other end of its channel.  Nobody should. */
	process->hung_up = true;
	end_if_over(process);
}

void process_kill(struct process *process)
{
	if (!process->reaped)
		kill(process->pid, SIGKILL);
}

void process_kill_in(struct process *process, unsigned ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(process->timer, &tv);
}

void process_reaped(struct supervisor *supervisor, pid_t pid, int status)
{
	struct process *process;

	LIST_FOREACH(process, &supervisor->processes, next) {
		if (process->pid == pid && !process->reaped)
			break;
	}
	if (!process)
		return;
	process->reaped = true;
	process->status = status;
	if (!process->hung_up)
		process_kill_in(process, GRACE_MS);
	end_if_over(process);
}

void process_end_all(struct supervisor *supervisor)
{
	struct process *process, *next;

	LIST_FOREACH(process, &supervisor->processes, next)
		process_kill(process);
	for (process = LIST_FIRST(&supervisor->processes); process; process = next) {
		next = LIST_NEXT(process, next);
		while (!process->reaped && waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
			;
		process_free(process);
	}
	LIST_INIT(&supervisor->processes);
}

/* Events, the channel's other end in a new process, and what it is told first. */
static int launch(struct process *process)
{
	struct supervisor *supervisor = process->supervisor;
	const struct options *options = supervisor->options;
	struct msg_start start = { .verbose = options->verbose != 0 };
	cleanup_close_ int page = -1;
	int fd = -1, r;

	process->timer = evtimer_new(supervisor->base, on_timer, process);
	if (!process->timer)
		return -ENOMEM;
	r = rolelog_init(process);
	if (r == 0)
		r = counters_create(&process->counters, &page);
	if (r == 0)
		r = spawn_role(&supervisor->spawner, process->role, &fd, &process->pid);
	if (r < 0)
		return r;
	process->started_ms = clock_ms();
	process_kill_in(process, LIMIT_ROLE_START_MS);
	r = chan_init(&process->chan, supervisor->base, fd, &internal_messages, ROLE_SUPERVISOR,
		      process->role, FRESH, supervisor_handlers, process_on_gone, process);
	if (r < 0)
		return r;
	chan_send(&process->chan, MSG_START, &start, NULL, 0, (int[]){ fd_steal(&page) });
	return 0;
}

int process_start(struct supervisor *supervisor, enum role role, const struct process_ops *ops,
		  void *owner, struct process **ret_process)
{
	struct process *process = calloc(1, sizeof(*process));
	int r;

	if (!process)
		return -ENOMEM;
	process->supervisor = supervisor;
	process->role = role;
	process->ops = ops;
	process->owner = owner;
	r = launch(process);
	if (r < 0) {
		if (process->pid > 0) {
			kill(process->pid, SIGKILL);
			waitpid(process->pid, NULL, 0);
		}
		process_free(process);
		return r;
	}
	LIST_INSERT_HEAD(&supervisor->processes, process, next);
	*ret_process = process;
	return 0;
}

int process_on_ready(struct chan *chan, struct msg *msg)
{
	struct process *process = chan->owner;
	const struct msg_ready *ready = msg->body;
	char text[64];

	event_del(process->timer);
	chan->ctx.phase = RUN;
	process->ready = true;
	snprintf(text, sizeof(text), "ready: %u system calls are allowed", ready->system_calls);
	log_event(LOG_L_DEBUG, text, { FIELD_ROLE, role_name(process->role) },
		  { FIELD_PID, LOG_NUMBER(process->pid) },
		  { FIELD_MS, LOG_NUMBER(process_age_ms(process)) });
	process->ops->ready(process);
	return 0;
}
