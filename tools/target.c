#include "tools/target.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* Where the host begins and ends, and where the port begins: NULL or what is wrong. */
static const char *split(const char *text, const char **ret_host, size_t *ret_len,
			 const char **ret_port)
{
	const char *colon = strrchr(text, ':'), *end;

	if (text[0] == '[') {
		end = strchr(text, ']');
		if (!end)
			return "the bracket \"[\" is not closed";
		if (end[1] != ':')
			return "no port; write [ADDRESS]:PORT";
		*ret_host = text + 1;
		*ret_len = (size_t)(end - text - 1);
		*ret_port = end + 2;
		return NULL;
	}
	if (!colon)
		return "no port; write HOST:PORT";
	if (strstr(text, "://"))
		return "this is a URL; write HOST:PORT";
	/* "::1:443" may mean two things, so it means none. */
	if (strchr(text, ':') != colon)
		return "put an IPv6 address into brackets: [ADDRESS]:PORT";
	*ret_host = text;
	*ret_len = (size_t)(colon - text);
	*ret_port = colon + 1;
	return NULL;
}

const char *target_parse(const char *text, struct target *ret_target)
{
	struct target target = { 0 };
	const char *host, *port, *wrong;
	uint32_t number;
	size_t len;

	wrong = split(text, &host, &len, &port);
	if (wrong)
		return wrong;
	if (len == 0)
		return "no host; write HOST:PORT";
	if (len > LIMIT_HOST)
		return "the host name is too long";
	if (memchr(host, '[', len) || memchr(host, ']', len))
		return "brackets in the host name";
	if (text_parse_u32(port, 1, 65535, &number) < 0)
		return "the port must be a number from 1 to 65535";
	memcpy(target.host, host, len);
	snprintf(target.port, sizeof(target.port), "%u", number);
	*ret_target = target;
	return NULL;
}
