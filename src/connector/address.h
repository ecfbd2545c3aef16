/*
 * Addresses, and what a host given by a program is: an address in writing, a name, or neither.
 *
 * One address has many spellings ("0177.0.0.1", "2130706433", "127.1" for inet_aton(3)); here it
 * has one for IPv4, four decimal numbers, so that nobody downstream judges a text that the kernel
 * reads differently.  What is almost an address is refused and never asked of a name server.
 */
#ifndef TLSB_CONNECTOR_ADDRESS_H
#define TLSB_CONNECTOR_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire/limits.h"

struct address {
	uint8_t bytes[16]; /* network order; IPv4 in the first four, then zeros */
	uint32_t scope;    /* the interface's number, for link-local IPv6; else 0 */
	uint16_t family;   /* AF_INET or AF_INET6 */
	uint16_t reserved; /* zero, so that memcmp() compares */
};

/* The two families, in the order in which they are tried. */
enum { V6, V4, FAMILIES };

/* Addresses of one family. */
struct addresses {
	unsigned count;
	struct address list[LIMIT_ADDRESSES];
};

enum host_kind {
	HOST_ADDRESS,
	HOST_NAME,
	HOST_UNUSABLE,
};

/*
 * What HOST is.  HOST_ADDRESS: *ret_address; HOST_UNUSABLE: *ret_why, the second half of a sentence
 * that began with the host.
 */
enum host_kind address_of_host(const char *host, struct address *ret_address, const char **ret_why);

/* An address as configuration files write it: no brackets, a scope only as a number.  0 or -EINVAL.
 */
int address_parse(const char *text, struct address *ret_address);

/* From the bytes that a name server sent, as long as FAMILY says. */
struct address address_from_bytes(uint16_t family, const void *bytes);

/* "0.0.0.0" and "::" stand for "no address" here; connect(2) would take them for this machine. */
bool address_is_unspecified(const struct address *address);

/* Whether dials restricted to FAMILY (AF_UNSPEC: not) want addresses of V6 or V4. */
bool address_wanted(uint16_t family, unsigned index);

/* Add, unless the list is full, or the address is there already.  Returns whether it was added. */
bool addresses_add(struct addresses *addresses, const struct address *address);

#define ADDRESS_TEXT (INET6_ADDRSTRLEN + 12)

/* "192.0.2.1", "2001:db8::1", "fe80::1%2".  Returns DST. */
char *address_text(const struct address *address, char dst[ADDRESS_TEXT]);

union address_any {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* For connect(2).  Returns the length. */
socklen_t address_sockaddr(const struct address *address, uint16_t port,
			   union address_any *ret_sockaddr);

#endif
