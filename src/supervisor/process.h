/*
 * One process that the supervisor started: its channel, its counters, its log, its end.
 *
 *   start -> READY -> ... -> channel closed and reaped, in either order -> over
 *
 * Whoever started it (station.c, workers.c) is told when it is ready and when it is over, and
 * decides what follows.  A process that breaks the message table, hangs at start or lives on
 * without a channel is killed.
 */
#ifndef TLSB_SUPERVISOR_PROCESS_H
#define TLSB_SUPERVISOR_PROCESS_H

#include <stdbool.h>
#include <sys/queue.h>

#include "base/counters.h"
#include "supervisor/logline.h"
#include "wire/chan.h"

struct process;
struct supervisor;

struct process_ops {
	void (*ready)(struct process *process);
	/* It is over, and freed when this returns: forget it. */
	void (*over)(struct process *process);
};

struct process {
	LIST_ENTRY(process) next; /* of the supervisor's processes */
	struct supervisor *supervisor;
	const struct process_ops *ops;
	void *owner;
	struct chan chan; /* owner: this */
	struct counters *counters;
	struct event *timer;     /* until when it may take for what it does; then it is killed */
	struct event *log_timer; /* to tell how many lines were left out, see rolelog.h */
	struct log_budget lines, audits;
	uint64_t started_ms;
	enum role role;
	pid_t pid;     /* never reused while we have not reaped it */
	int status;    /* once reaped, see waitpid(2) */
	bool reaped, ready, hung_up;
};

/* Start ROLE, and tell it so (MSG_START).  0 or -errno. */
int process_start(struct supervisor *supervisor, enum role role, const struct process_ops *ops,
		  void *owner, struct process **ret_process);

/* Kill it now; it is over a little later. */
void process_kill(struct process *process);

/* Kill it if it is not over in so many milliseconds. */
void process_kill_in(struct process *process, unsigned ms);

/* waitpid(2) says that a process of ours ended.  One that nobody knows is ignored. */
void process_reaped(struct supervisor *supervisor, pid_t pid, int status);

/* The daemon's end: kill all processes, wait for them, tell nobody. */
void process_end_all(struct supervisor *supervisor);

/* "killed by signal 9 (Killed)", "exit status 1", ... into DST.  Returns DST. */
char *process_reason(const struct process *process, char *dst, size_t size);

/* How long it has been running. */
uint64_t process_age_ms(const struct process *process);

/* What its channel does. */
chan_handler process_on_ready;
chan_gone process_on_gone;

#endif
