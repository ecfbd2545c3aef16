/*
 * Names of users and groups, as /etc/passwd and /etc/group have them and nobody else: the resolver of
 * libc asks other processes, for which the sandbox has no room.  Users of a directory are written as
 * uid:NUMBER and gid:NUMBER.
 */
#ifndef TLSB_SUPERVISOR_USERS_H
#define TLSB_SUPERVISOR_USERS_H

#include <stddef.h>

#include "conf/conf.h"

/* What "match" says in each badge, in numbers.  Who does not exist goes to ERRORS.  0 or -ENOMEM. */
int users_resolve(struct conf *conf, struct conf_errors *errors);

/* For users_resolve() and its tests: the number of NAME in TEXT, lines of "name:x:number:...". */
int users_find(const char *text, const char *name, uint32_t *ret_id);

#endif
