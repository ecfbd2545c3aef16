/*
 * The hosts file, hosts(5): parsed once for each version that the supervisor sends, then searched.
 * It is the administrator's; still nothing in it can do more than be ignored.
 */
#ifndef TLSB_CONNECTOR_HOSTS_H
#define TLSB_CONNECTOR_HOSTS_H

#include "connector/address.h"

struct hosts_entry {
	uint32_t name; /* where in TEXT */
	uint32_t line; /* which of ADDRESSES */
};

struct hosts {
	char *text;                  /* lower case, names NUL-ended */
	struct address *addresses;   /* one for each line */
	struct hosts_entry *entries; /* by name, then by place in the file */
	size_t line_count, count;
};

/* Consumes TEXT, LEN bytes from malloc().  Lines that make no sense are left out.  0 or -ENOMEM. */
int hosts_init(struct hosts *ret_hosts, char *text, size_t len);

/* All zero is fine. */
void hosts_deinit(struct hosts *hosts);

/*
 * The addresses of NAME, which is in lower case and has no dot at its end.  Returns true when the
 * file has the name in a wanted family; there may be no address all the same: 0.0.0.0 and :: are
 * how people write that a name must not resolve.
 */
bool hosts_find(const struct hosts *hosts, const char *name, uint16_t family,
		struct addresses ret_found[FAMILIES]);

#endif
