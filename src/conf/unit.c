#include "conf/unit.h"

#include <string.h>

#include "base/macros.h"
#include "wire/limits.h"

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			      ":-_.\\@";

static bool ends_in(const char *name, size_t len, const char *end)
{
	size_t end_len = strlen(end);

	return len > end_len && memcmp(name + len - end_len, end, end_len) == 0;
}

static bool has_type(const char *name, size_t len)
{
	static const char *const types[] = { ".service", ".scope", ".slice",
					     ".socket", ".mount", ".swap" };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (ends_in(name, len, types[i]))
			return true;
	}
	return false;
}

/* "a@b.service" is an instance; a name does not begin with the @, and "a@.service" is a template. */
static bool is_template(const char *name, size_t len)
{
	const char *at = memchr(name, '@', len);

	return at && (at == name || at[1] == '.');
}

bool unit_is_name(const char *name, size_t len)
{
	if (len > LIMIT_UNIT || !has_type(name, len) || is_template(name, len))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '\0' || !strchr(letters, name[i]))
			return false;
	}
	return true;
}

bool unit_is_slice(const char *name, size_t len)
{
	return ends_in(name, len, ".slice") && unit_is_name(name, len);
}
