/*
 * The keyholder's slice of the configuration: all keys that somebody may use, of identities and psks, and
 * which badges those are; and how many each badge's programs may import.
 */
#ifndef TLSB_SUPERVISOR_GRANTS_H
#define TLSB_SUPERVISOR_GRANTS_H

#include "supervisor/identityfiles.h"
#include "supervisor/pskfiles.h"

/* 0 or -errno. */
int grants_send_keyholder(const struct conf *conf, const struct identity_files *identities,
			  const struct psk_files *psks, struct chan *keyholder);

#endif
