/*
 * Certificates, keys, trust bundles and revocation lists that somebody replaces: they are loaded again by
 * themselves, each as soon as it can be used, and until then what it was stays in force.  The
 * configuration itself is only read when somebody asks for that.
 */
#ifndef TLSB_SUPERVISOR_RENEWAL_H
#define TLSB_SUPERVISOR_RENEWAL_H

#include <stdbool.h>

#include "conf/errors.h"
#include "supervisor/watch.h"

struct supervisor;

struct renewal {
	struct watch watch;
	struct conf_errors said; /* what is wrong, and in the log already */
	bool blind;              /* not everything is watched, and the log says so */
};

/* Nothing is watched yet.  0 or -ENOMEM. */
int renewal_init(struct supervisor *supervisor);

/* All zero is fine. */
void renewal_deinit(struct supervisor *supervisor);

/*
 * Watch what the configuration that is in force names, and load what has changed since it was loaded.
 * What is not as it should be is tried again after some seconds.
 */
void renewal_begin(struct supervisor *supervisor);

#endif
