#include "base/text.h"

#include <errno.h>
#include <string.h>

#define ELLIPSIS "..."

/* One byte as it may appear in a log or on a terminal; returns how many characters it took. */
static size_t escape_byte(char out[4], unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	if (c == '\\') {
		out[0] = out[1] = '\\';
		return 2;
	}
	if (c >= 0x20 && c < 0x7f) {
		out[0] = (char)c;
		return 1;
	}
	out[0] = '\\';
	out[1] = 'x';
	out[2] = hex[c >> 4];
	out[3] = hex[c & 15];
	return 4;
}

char *text_escape(char *dst, size_t size, const void *src, size_t len)
{
	const unsigned char *bytes = src;
	size_t used = 0, cut = 0; /* cut: the last place from which the ellipsis still fits */

	for (size_t i = 0; i < len; i++) {
		char out[4];
		size_t n = escape_byte(out, bytes[i]);

		if (used + sizeof(ELLIPSIS) <= size)
			cut = used;
		if (used + n >= size) {
			if (size >= sizeof(ELLIPSIS)) {
				memcpy(dst + cut, ELLIPSIS, sizeof(ELLIPSIS) - 1);
				used = cut + sizeof(ELLIPSIS) - 1;
			}
			break;
		}
		memcpy(dst + used, out, n);
		used += n;
	}
	dst[used] = '\0';
	return dst;
}

char *text_escape_str(char *dst, size_t size, const char *src)
{
	return text_escape(dst, size, src, src ? strlen(src) : 0);
}

char *text_copy(char *dst, size_t size, const char *src)
{
	size_t len = strnlen(src, size - 1);

	memcpy(dst, src, len);
	dst[len] = '\0';
	return dst;
}

int text_parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret_value)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; s[i] >= '0' && s[i] <= '9'; i++) {
		value = value * 10 + (uint64_t)(s[i] - '0');
		if (value > UINT32_MAX)
			return -ERANGE;
	}
	if (i == 0 || s[i] != '\0')
		return -EINVAL;
	if (value < min || value > max)
		return -ERANGE;
	*ret_value = (uint32_t)value;
	return 0;
}

/* 16: it is none. */
static unsigned digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	return c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10 : 16;
}

int text_parse_hex(const char *src, size_t len, uint8_t *dst, size_t size)
{
	while (len > 0 && strchr(" \t\r\n", src[len - 1]) && src[len - 1] != '\0')
		len--;
	if (len % 2 != 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (digit_of(src[i]) == 16)
			return -EINVAL;
	}
	if (len / 2 > size)
		return -ERANGE;
	for (size_t i = 0; i < len / 2; i++)
		dst[i] = (uint8_t)(digit_of(src[2 * i]) << 4 | digit_of(src[2 * i + 1]));
	return (int)(len / 2);
}
