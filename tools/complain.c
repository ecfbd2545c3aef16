#include "tools/complain.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/text.h"

enum exit_code complain(enum exit_code exit, const char *subject, const char *format, ...)
{
	char safe[512];
	va_list arguments;

	fputs("tlsbroker-cli: ", stderr);
	if (subject)
		fprintf(stderr, "%s: ", text_escape_str(safe, sizeof(safe), subject));
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return exit;
}

enum exit_code complain_of_broker(const char *socket, int error)
{
	return complain(EXIT_BROKER, socket, "no broker: %s (%s --socket names its socket)",
			strerror(error),
			error == EACCES ? "its socket is not for you;" : "is tlsbrokerd running?");
}
