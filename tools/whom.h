/*
 * Who a program is, as far as it can be seen from outside: what "explain" asks the broker about.  For
 * a program that connects, the broker asks the kernel; here it is this tool that has looked.
 */
#ifndef TLSB_TOOLS_WHOM_H
#define TLSB_TOOLS_WHOM_H

#include "tools/exits.h"
#include "wire/limits.h"

struct whom {
	uint32_t uid, gid;
	uint32_t groups[LIMIT_INQUIRY_GROUPS];
	unsigned group_count;
	char cgroup[LIMIT_INQUIRY_CGROUP + 1]; /* the file's text; "": not known */
	char title[64];                         /* "user billing", "process 4711" */
};

/* EXIT_OK, or what went wrong has been said. */
enum exit_code whom_self(struct whom *ret);
enum exit_code whom_user(const char *name, struct whom *ret);
enum exit_code whom_process(uint32_t pid, struct whom *ret);

#endif
