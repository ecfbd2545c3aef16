/*
 * The socket on which programs find the daemon: made here, or handed over by systemd.  The
 * supervisor only keeps it; the frontdoor accepts on it.
 *
 * At the path may be: nothing, then it is bound; a socket that nobody listens on, which a daemon
 * left behind that was killed: it is replaced; one that somebody listens on: then a daemon is
 * running; or something else: that is never touched.
 */
#ifndef TLSB_SUPERVISOR_LISTENER_H
#define TLSB_SUPERVISOR_LISTENER_H

#include <sys/stat.h>
#include <sys/un.h>

#include "supervisor/failure.h"
#include "supervisor/identity.h"

struct listener {
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "" when systemd made it */
	dev_t dev; /* of the socket file that we made */
	ino_t ino;
};

/*
 * Listen at PATH.  A missing folder is made with FOLDER_MODE and given to OWNER, who is to have the
 * daemon; a folder in which anybody could replace the socket is refused.  0 or -errno.
 */
int listener_open(struct listener *ret_listener, const char *path, mode_t folder_mode,
		  const struct identity *owner, struct failure *failure);

/*
 * Take over systemd's socket.  1: there is one, and it is ours.  0: none was given.  -errno: what
 * was given is not exactly one listening AF_UNIX SOCK_SEQPACKET socket.
 */
int listener_inherit(struct listener *ret_listener, struct failure *failure);

/* Close it, and remove its file if that is still the one we made. */
void listener_close(struct listener *listener);

#endif
