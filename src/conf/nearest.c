#include "conf/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"

/* Longer words are not compared: nobody would have meant one for the other. */
#define LONGEST 64

static unsigned cost(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b) ? 0 : 1;
}

/* How many letters have to be added, taken away, changed, or swapped with the next one. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][LONGEST + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *oldest = before;

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned least = MIN(last[j], now[j - 1]) + 1;

			least = MIN(least, last[j - 1] + cost(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && cost(a[i - 1], b[j - 2]) == 0 &&
			    cost(a[i - 2], b[j - 1]) == 0)
				least = MIN(least, before[j - 2] + 1);
			now[j] = least;
		}
		before = last;
		last = now;
		now = oldest;
	}
	return last[b_len];
}

void nearest_try(struct nearest *nearest, const char *valid)
{
	size_t a_len = strlen(nearest->word), b_len = strlen(valid);
	unsigned found, most = (unsigned)MAX(a_len, b_len) / 2;

	if (a_len > LONGEST || b_len > LONGEST)
		return;
	found = distance(nearest->word, a_len, valid, b_len);
	/* With half of it changed, it is another word. */
	if (found > most || (nearest->best && found >= nearest->distance))
		return;
	nearest->best = valid;
	nearest->distance = found;
}

char *nearest_hint(const struct nearest *nearest, char *dst, size_t size)
{
	if (nearest->best)
		snprintf(dst, size, "; did you mean %s?", nearest->best);
	else
		dst[0] = '\0';
	return dst;
}
