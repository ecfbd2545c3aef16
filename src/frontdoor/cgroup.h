/*
 * Where a client runs, from the kernel's file about its process, which the supervisor has opened.
 * Everything in there but its form is somebody's choice: whoever has a part of the tree of control groups
 * for himself, as each user's own service manager has, and each container, names what is below.  So only
 * what is above such a part counts: the slices, and the first unit that is none.
 *
 *   /user.slice/user-1000.slice/user@1000.service/app.slice/billing.service
 *   '--- the units of this process, systemd's ---''--- user 1000's own words ---
 */
#ifndef TLSB_FRONTDOOR_CGROUP_H
#define TLSB_FRONTDOOR_CGROUP_H

#include <stdbool.h>

#include "wire/limits.h"

/*
 * Read the file at FD, of the process that had the client's pid when the file was opened, and decide
 * whether that was the client at the other end of SOCKET: it was, if the client lives now.  *ret_cgroup is
 * the caller's to free.  0; -ESRCH: it has ended, or the kernel cannot tell; or -errno.
 */
int cgroup_read(int fd, int socket, char **ret_cgroup);

/* For cgroup_read() and its tests: the path in the text of such a file, which is changed; or NULL. */
char *cgroup_path(char *text);

/*
 * The unit that a process with this path is in, or the slice if it is in none, into DST; "" if there is
 * neither.  Returns DST.
 */
char *cgroup_unit(const char *path, char dst[LIMIT_UNIT + 1]);

/* Whether a process with this path is in that systemd unit or slice. */
bool cgroup_has_unit(const char *path, const char *unit);

#endif
