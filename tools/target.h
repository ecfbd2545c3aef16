/*
 * HOST:PORT as a person types it.
 */
#ifndef TLSB_TOOLS_TARGET_H
#define TLSB_TOOLS_TARGET_H

#include "wire/limits.h"

struct target {
	char host[LIMIT_HOST + 1]; /* without brackets */
	char port[6];              /* decimal, 1 to 65535, without leading zeros */
};

/*
 * "example.org:443", "192.0.2.1:443", "[2001:db8::1]:443".  Whether HOST is a name that can be
 * looked up is the library's business.  NULL and *ret_target; or what is wrong, for a person.
 */
const char *target_parse(const char *text, struct target *ret_target);

#endif
