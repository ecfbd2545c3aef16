/*
 * The trust bundle: a PEM file of the administrator, indexed once (trust/index.h), its index shared
 * with every worker.  A bundle that got bad does not replace a good one.
 */
#ifndef TLSB_SUPERVISOR_TRUSTFILE_H
#define TLSB_SUPERVISOR_TRUSTFILE_H

#include <stdbool.h>

#include "conf/errors.h"
#include "supervisor/failure.h"
#include "supervisor/files.h"
#include "wire/chan.h"

struct trustfile {
	const char *path;
	struct conf_place place; /* where the configuration names it */
	bool has_crls;       /* revocation lists, and not CA certificates */
	int fd;              /* of the index; -1: none yet */
	uint32_t generation; /* one up with each bundle */
	unsigned count, bad; /* certificates in it; those that did not parse */
	struct file_mark mark; /* of what was loaded */
};

/* Read the file.  On failure everything stays as it was.  0 or -errno. */
int trustfile_load(struct trustfile *trust, struct failure *failure);

/* One line about what was loaded. */
void trustfile_log(const struct trustfile *trust);

/* Send the index to a worker: as TRUST or CRLS.  0 or -errno. */
int trustfile_send(const struct trustfile *trust, struct chan *worker);

#endif
