/*
 * Text from elsewhere: made safe to print, cut to length, parsed without surprises.
 */
#ifndef TLSB_BASE_TEXT_H
#define TLSB_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/*
 * Copy LEN bytes of hostile text into DST, a buffer of SIZE > 0 bytes, as one printable line: every
 * byte that is not printable ASCII becomes \xHH and a backslash is doubled.  What does not fit is
 * cut at a whole character and "..." put in its place.  Always NUL-terminated.  Returns DST.
 */
char *text_escape(char *dst, size_t size, const void *src, size_t len);

/* As text_escape(), for a NUL-terminated source; NULL is the empty string. */
char *text_escape_str(char *dst, size_t size, const char *src);

/* Copy a string, cut if need be, always NUL-terminated.  Returns DST. */
char *text_copy(char *dst, size_t size, const char *src);

/* A whole string of decimal digits in [min, max]; no sign, no space.  0 or -EINVAL / -ERANGE. */
int text_parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret_value);

/*
 * Hexadecimal digits, two for each byte, and white space behind them, as a line's end: into DST, a buffer of
 * SIZE bytes.  How many; -EINVAL: there is something else.  -ERANGE: they are more.
 */
int text_parse_hex(const char *src, size_t len, uint8_t *dst, size_t size);

#endif
