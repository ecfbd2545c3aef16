/*
 * What the surroundings say: systemd's variables, the user's folder for sockets.  Read once, then
 * forgotten: no OPENSSL_CONF, SSL_CERT_FILE or the like reaches a library or a role.
 */
#ifndef TLSB_SUPERVISOR_ENVIRONMENT_H
#define TLSB_SUPERVISOR_ENVIRONMENT_H

#include "supervisor/failure.h"

#define SERVICE_SOCKET "/run/tlsbroker/tlsbroker.sock"

struct environment {
	char runtime_dir[128]; /* "" when there is none, or it is too long for a socket's path */
	int is_service;        /* systemd waits for our word */
	int has_journal;       /* and reads the journal */
};

/* Clears the environment but for what libsystemd needs to notify. */
void environment_read(struct environment *ret_environment);

/*
 * Where the daemon listens when nobody said: the user's own folder, else, as root or as a service,
 * the system's.  *ret_path has SIZE bytes.  0 or -errno.
 */
int environment_socket(const struct environment *environment, int is_root, char *ret_path,
		       size_t size, struct failure *failure);

#endif
