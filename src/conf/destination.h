/*
 * Where a badge may connect to, one rule: "api.example:443", "*.internal:8000-8999", "10.0.0.0/8:5671",
 * "[2001:db8::]/32:*".  The supervisor checks that it is one, the connector goes by it.
 */
#ifndef TLSB_CONF_DESTINATION_H
#define TLSB_CONF_DESTINATION_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/limits.h"

enum destination_kind {
	DESTINATION_NAME,    /* exactly this one */
	DESTINATION_SUFFIX,  /* "*.NAME": what ends in a dot and NAME; with an empty one, any name */
	DESTINATION_ADDRESS, /* a range */
};

struct destination {
	enum destination_kind kind;
	uint16_t port_low, port_high;
	uint16_t family;   /* of a range: AF_INET or AF_INET6 */
	uint8_t prefix;    /* how many bits of BYTES count */
	uint8_t bytes[16]; /* network order; IPv4 in the first four */
	char name[LIMIT_HOST + 1]; /* lower case, no dot at its end */
};

/* 0; or -EINVAL, and *ret_why is the second half of a sentence that began with the rule. */
int destination_parse(const char *text, struct destination *ret, const char **ret_why);

/* The same name in one spelling: lower case, no dot at its end.  Returns DST. */
char *destination_plain_name(const char *name, char dst[LIMIT_HOST + 1]);

/* NAME is a plain one. */
bool destination_has_name(const struct destination *destination, const char *name, uint16_t port);

/* BYTES: as many as FAMILY has.  IPv4 in an IPv6 address is IPv4, for who asks to see to. */
bool destination_has_address(const struct destination *destination, uint16_t family,
			     const uint8_t *bytes, uint16_t port);

/*
 * An address that means something else on each machine or in each network: this machine's own, its
 * links', private ranges, also wrapped in IPv6.  A name server outside has no business to name them.
 */
bool destination_is_private(uint16_t family, const uint8_t *bytes);

#endif
