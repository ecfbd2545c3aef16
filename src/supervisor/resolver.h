/*
 * The connector resolves names but opens no files: it gets sealed copies of the hosts file and of
 * resolv.conf, at its start and whenever it asks and they have changed.
 */
#ifndef TLSB_SUPERVISOR_RESOLVER_H
#define TLSB_SUPERVISOR_RESOLVER_H

#include "supervisor/files.h"
#include "wire/chan.h"

#define RESOLVER_HOSTS_FILE "/etc/hosts"
#define RESOLVER_CONF_FILE  "/etc/resolv.conf"

struct resolver {
	struct file_mark hosts, resolv_conf; /* as the connector has them */
};

/* Send both; what cannot be read is empty.  0 or -errno. */
int resolver_send(struct resolver *resolver, struct chan *connector);

int resolver_on_check(struct chan *chan, struct msg *msg);

#endif
