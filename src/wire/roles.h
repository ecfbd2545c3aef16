/*
 * Who can be at the end of a channel: the roles of roles.def, and the program outside.
 */
#ifndef TLSB_WIRE_ROLES_H
#define TLSB_WIRE_ROLES_H

#include <stdint.h>

enum role {
#define ROLE(NAME, name, doc) ROLE_##NAME,
#include "roles.def"
#undef ROLE
	ROLE_COUNT,
	ROLE_CLIENT = ROLE_COUNT, /* not ours: hostile */
};

/* A set of roles, as the message tables and the system call table write it. */
#define R(NAME) (1u << ROLE_##NAME)
#define R_CHILDREN (R(FRONTDOOR) | R(CONNECTOR) | R(KEYHOLDER) | R(WORKER))

/* "worker", ...; "client" for ROLE_CLIENT. */
const char *role_name(enum role role);

/* 0 and *ret_role, or -EINVAL. */
int role_from_name(const char *name, enum role *ret_role);

#endif
