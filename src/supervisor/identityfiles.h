/*
 * The identities of the configuration: their files are opened and checked here, the certificates are
 * for the workers, and the keys for the keyholder alone, as open files.
 */
#ifndef TLSB_SUPERVISOR_IDENTITYFILES_H
#define TLSB_SUPERVISOR_IDENTITYFILES_H

#include "conf/conf.h"
#include "supervisor/secretfile.h"
#include "wire/chan.h"

/* In the order of struct conf's. */
struct identity_file {
	int chain_fd; /* sealed: keys/chain.h */
	struct file_mark chain_mark; /* of what was loaded, or earlier */
	struct secret_file key;
};

struct identity_files {
	struct identity_file *list;
	unsigned count;
};

/* All zero is fine. */
void identity_files_deinit(struct identity_files *identities);

/*
 * Open what CONF names.  CREDENTIALS is systemd's folder, or NULL: then those are left out if
 * CHECK_ONLY, and else not to be had.  What is wrong goes to ERRORS.  0 or -ENOMEM.
 */
int identity_files_load(struct identity_files *ret, const struct conf *conf, const char *credentials,
			bool check_only, struct conf_errors *errors);

/* Whether its certificate or its key is another now than what was loaded. */
bool identity_file_changed(const struct identity_file *file, const struct conf_identity *identity);

/*
 * Load one again.  On failure it stays as it was.  0; -EINVAL: what is wrong went to ERRORS; or another -errno,
 * which did not.
 */
int identity_file_renew(struct identity_file *file, const struct conf_identity *identity,
			const char *credentials, struct conf_errors *errors);

/* How many the badge, or if it is NULL who has none, may use. */
unsigned identity_files_count(const struct conf *conf, const struct conf_badge *badge);

/* So many IDENTITYs.  0 or -errno. */
int identity_files_send_worker(const struct identity_files *identities, const struct conf *conf,
			       const struct conf_badge *badge, struct chan *worker);

#endif
