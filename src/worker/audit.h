/*
 * The audit record: one line of the log for each session, when it is over.  Who had it, badge, user and
 * the number of this worker, the supervisor adds: it does not believe us.
 */
#ifndef TLSB_WORKER_AUDIT_H
#define TLSB_WORKER_AUDIT_H

#include "wire/errors.h"
#include "worker/session.h"

/* The session ends like this; TEXT is for a person. */
void audit_session(const struct session *session, const struct error_info *info, const char *text);

#endif
