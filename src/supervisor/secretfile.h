/*
 * A file with a key in it, as the configuration names it: a path, or one of systemd's credentials.  It is
 * opened here, and goes to the keyholder as an open file.
 */
#ifndef TLSB_SUPERVISOR_SECRETFILE_H
#define TLSB_SUPERVISOR_SECRETFILE_H

#include <stdbool.h>

#include "conf/conf.h"
#include "supervisor/files.h"

struct secret_file {
	int fd;     /* -1: it could not be opened */
	char *path; /* where a credential lies, too; for the sandbox */
	struct file_mark mark; /* of what was opened, or earlier */
};

#define SECRET_FILE_NONE { .fd = -1 }

/*
 * Open the file that the setting "key" of SCOPE names.  CREDENTIALS is systemd's folder, or NULL: then
 * those are left out if CHECK_ONLY, and else not to be had.  One that everybody may read is refused.
 * What is wrong goes to ERRORS.  0 or -ENOMEM.
 */
int secret_file_open(struct secret_file *ret, const struct conf_scope *scope, const char *credentials,
		     bool check_only, struct conf_errors *errors);

/* SECRET_FILE_NONE is fine. */
void secret_file_deinit(struct secret_file *file);

#endif
