/*
 * The administrator's configuration: which files there are, what they say together with the command
 * line, and each role's slice of it.  Only this process sees a path; the roles get values, and
 * descriptors of what the paths lead to.
 */
#ifndef TLSB_SUPERVISOR_POLICY_H
#define TLSB_SUPERVISOR_POLICY_H

#include "conf/conf.h"
#include "supervisor/options.h"
#include "supervisor/trustfile.h"

#define POLICY_FILE "/etc/tlsbroker/tlsbroker.conf"

/* What is in force, as one: it is replaced as a whole or not at all. */
struct policy {
	struct conf *conf;
	struct trustfile trust;
};

#define POLICY_NONE { .trust = { .fd = -1 } }

/*
 * Read everything that the configuration consists of and names.  What is wrong, all of it, goes to
 * ERRORS; *ret is then not touched.  0 or -errno.
 */
int policy_load(const struct options *options, struct policy *ret, struct conf_errors *errors);

/* POLICY_NONE is fine. */
void policy_deinit(struct policy *policy);

/* The daemon cannot start: all errors but the last to standard error; that one is the reason. */
void policy_fail(const struct conf_errors *errors, int error, struct failure *failure);

/* A line for each error. */
void policy_log_errors(const struct conf_errors *errors);

/* "-n" and "-T": check, or print what is in force, and start nothing.  The exit status. */
int policy_main(const struct options *options);

/* The folder next to the configuration's file where more of them are, into DST.  Returns DST. */
char *policy_folder(const struct options *options, char *dst, size_t size);

/* Its slice for a worker.  0 or -errno. */
int policy_send_worker(const struct policy *policy, struct chan *worker);

#endif
