/*
 * What the other roles want in the log.  Who says it, which process, and a worker's badge and user, is
 * not theirs to say; and there is only so much of it in a second, of sessions' audit records more than
 * of other lines.  What was left out is counted, and the count is told.
 */
#ifndef TLSB_SUPERVISOR_ROLELOG_H
#define TLSB_SUPERVISOR_ROLELOG_H

#include "supervisor/process.h"

/* 0 or -ENOMEM. */
int rolelog_init(struct process *process);

/* All zero is fine. */
void rolelog_deinit(struct process *process);

/* Nothing more will come: tell what was left out. */
void rolelog_end(struct process *process);

/* From any role: MSG_LOG. */
chan_handler rolelog_on_line;

#endif
