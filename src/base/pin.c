#include "base/pin.h"

#include <errno.h>
#include <string.h>

/* 32 bytes are 42 digits of six bits, one of four, and the mark of what is missing. */
#define DIGITS 43

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			       "0123456789+/";

int pin_parse(const char *text, struct pin *ret_pin)
{
	struct pin pin;
	unsigned held = 0, len = 0;
	uint32_t bits = 0;

	if (strncmp(text, PIN_PREFIX, strlen(PIN_PREFIX)) == 0)
		text += strlen(PIN_PREFIX);
	if (strlen(text) != DIGITS + 1 || text[DIGITS] != '=')
		return -EINVAL;
	for (unsigned i = 0; i < DIGITS; i++) {
		const char *digit = memchr(alphabet, text[i], sizeof(alphabet) - 1);

		if (!digit)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)(digit - alphabet);
		held += 6;
		if (held >= 8) {
			held -= 8;
			pin.bytes[len++] = (uint8_t)(bits >> held);
		}
	}
	if (bits & 3)
		return -EINVAL; /* another way to write the same pin */
	*ret_pin = pin;
	return 0;
}

char *pin_format(const struct pin *pin, char dst[PIN_TEXT + 1])
{
	char *at = mempcpy(dst, PIN_PREFIX, strlen(PIN_PREFIX));
	unsigned held = 0, len = 0;
	uint32_t bits = 0;

	for (unsigned i = 0; i < DIGITS; i++) {
		if (held < 6) {
			bits = bits << 8 | (len < PIN_BYTES ? pin->bytes[len] : 0);
			len++;
			held += 8;
		}
		held -= 6;
		*at++ = alphabet[bits >> held & 63];
	}
	*at++ = '=';
	*at = '\0';
	return dst;
}
