#include "wire/errors.h"

#include <errno.h>

#include "base/macros.h"

static const struct error_info rows[] = {
#define TLSB_ERROR(name, number, fatal, text) { TLSB_E_##name, number, fatal, #name, text },
#include "wire/errors.def"
#undef TLSB_ERROR
};

const struct error_info *error_info(uint32_t code)
{
	const struct error_info *found = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].code == code)
			return &rows[i];
		if (rows[i].code == TLSB_E_BROKER_PROTOCOL)
			found = &rows[i];
	}
	return found;
}
