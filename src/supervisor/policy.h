/*
 * The administrator's configuration: which files there are, what they say together with the command
 * line, and each role's slice of it.  Only this process sees a path; the roles get values, and
 * descriptors of what the paths lead to.
 */
#ifndef TLSB_SUPERVISOR_POLICY_H
#define TLSB_SUPERVISOR_POLICY_H

#include "conf/conf.h"
#include "supervisor/grants.h"
#include "supervisor/options.h"
#include "supervisor/trustfile.h"

#define POLICY_FILE "/etc/tlsbroker/tlsbroker.conf"

/* What is in force, as one: it is replaced as a whole or not at all. */
struct policy {
	struct conf *conf;
	struct trustfile trust;
	struct trustfile *others; /* that badges have instead */
	unsigned other_count;
	struct trustfile *crls; /* global, and of badges */
	unsigned crl_count;
	struct identity_files identities;
	struct psk_files psks;
	uint32_t last_badge, last_key; /* the highest numbers that there ever were */
};

#define POLICY_NONE { .trust = { .fd = -1 } }

/*
 * Read everything that the configuration consists of and names.  BEFORE is what was in force, or NULL:
 * badges that were there keep their numbers.  What is wrong, all of it, goes to ERRORS; *ret is then not
 * touched.  0 or -errno.
 */
int policy_load(const struct options *options, const struct policy *before, struct policy *ret,
		struct conf_errors *errors);

/* POLICY_NONE is fine. */
void policy_deinit(struct policy *policy);

/* The daemon cannot start: all errors but the last to standard error; that one is the reason. */
void policy_fail(const struct conf_errors *errors, int error, struct failure *failure);

/* The I-th file that the configuration names, counted from 0, or NULL. */
const char *policy_file(const struct policy *policy, unsigned i);

/* A line about each trust bundle. */
void policy_log_trust(const struct policy *policy);

/* A line for each error. */
void policy_log_errors(const struct conf_errors *errors);

/* "-n" and "-T": check, or print what is in force, and start nothing.  The exit status. */
int policy_main(const struct options *options);

/* The folder next to the configuration's file where more of them are, into DST.  Returns DST. */
char *policy_folder(const struct options *options, char *dst, size_t size);

/* Whether there are workers with this badge: 0, each user's own, is there when no other is. */
bool policy_has_badge(const struct policy *policy, uint32_t badge);

/*
 * Whether this user with this badge may administer the daemon: as configured; without any badges, root and
 * OWN_UID, the daemon's own user.
 */
bool policy_is_admin(const struct policy *policy, uint32_t badge, uint32_t uid, uint32_t own_uid);

/* What a badge is called for a user: as configured, or "uid:1000".  Returns DST. */
char *policy_badge_name(const struct policy *policy, uint32_t badge, uint32_t uid,
			char dst[LIMIT_BADGE + 1]);

/* How many workers a user may have with this badge. */
unsigned policy_max_workers(const struct policy *policy, uint32_t badge);

/* Which of how many workers, that share what the badge's user may have. */
struct share {
	uint32_t nth, of;
};

/* Its slice for a worker with this badge; 0 is also the spare's.  0 or -errno. */
int policy_send_worker(const struct policy *policy, uint32_t badge, struct share share,
		       struct chan *worker);

/* Its slice for the connector: where each badge may connect to. */
void policy_send_connector(const struct policy *policy, struct chan *connector);

/* Its slice for the keyholder: the keys, and who may use them.  0 or -errno. */
int policy_send_keyholder(const struct policy *policy, struct chan *keyholder);

/* Its slice for the frontdoor: who has which badge. */
void policy_send_frontdoor(const struct policy *policy, struct chan *frontdoor);

#endif
