#include "tools/complain.h"

#include <stdarg.h>

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
