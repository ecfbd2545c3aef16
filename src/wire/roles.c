#include "wire/roles.h"

#include <errno.h>
#include <string.h>

static const char *const names[] = {
#define ROLE(NAME, name, doc) #name,
#include "roles.def"
#undef ROLE
	"client",
};

const char *role_name(enum role role)
{
	return names[role];
}

int role_from_name(const char *name, enum role *ret_role)
{
	for (enum role role = 0; role < ROLE_COUNT; role++) {
		if (strcmp(name, names[role]) == 0) {
			*ret_role = role;
			return 0;
		}
	}
	return -EINVAL;
}
