/*
 * Errors to exit statuses.  The errno of an error is the rule (wire/errors.def groups codes by it);
 * codes whose errno says something else to a program than their cause says to a script are listed.
 */
#include "tools/exits.h"

#include <errno.h>

#include "base/macros.h"
#include "wire/errors.h"

static const struct {
	int error;
	enum exit_code exit;
} by_errno[] = {
	{ 0, EXIT_OK },
	{ EINVAL, EXIT_USAGE },
	{ ECONNREFUSED, EXIT_CONNECT },
	{ EHOSTUNREACH, EXIT_CONNECT },
	{ EKEYREJECTED, EXIT_CERTIFICATE },
	{ EPROTO, EXIT_TLS },
	{ EACCES, EXIT_POLICY },
	{ EMFILE, EXIT_POLICY },
	{ ECONNABORTED, EXIT_BROKER },
	{ ENOENT, EXIT_NAME },
	{ ETIMEDOUT, EXIT_TIMEOUT },
};

static const struct {
	uint32_t code;
	enum exit_code exit;
} by_code[] = {
	{ TLSB_E_WORKER_DIED, EXIT_BROKER },     /* ECONNRESET, like a server's reset */
	{ TLSB_E_BROKER_PROTOCOL, EXIT_BROKER }, /* EPROTO, like TLS */
	{ TLSB_E_DNS_SERVER, EXIT_NAME },        /* EHOSTUNREACH, like the server */
};

enum exit_code exits_from_errno(int error)
{
	for (size_t i = 0; i < ARRAY_SIZE(by_errno); i++) {
		if (by_errno[i].error == error)
			return by_errno[i].exit;
	}
	return EXIT_OTHER;
}

enum exit_code exits_from_error(uint32_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(by_code); i++) {
		if (by_code[i].code == code)
			return by_code[i].exit;
	}
	/* A code that nobody knows is a broker that speaks another protocol. */
	if (error_info(code)->code != code)
		return EXIT_BROKER;
	return exits_from_errno(error_info(code)->number);
}

void exits_print(FILE *out)
{
#define EXIT_CODE(NAME, number, doc) fprintf(out, "  %d  %s\n", number, doc);
#include "tools/exits.def"
#undef EXIT_CODE
}
