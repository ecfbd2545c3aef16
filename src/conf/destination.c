#include "conf/destination.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/macros.h"
#include "base/text.h"

/* ---- parsing ---- */

static int parse_ports(const char *text, struct destination *ret)
{
	char low[8];
	size_t len = strcspn(text, "-");
	uint32_t from, to;

	*ret = (struct destination){ .port_low = 1, .port_high = 65535 };
	if (strcmp(text, "*") == 0)
		return 0;
	if (len >= sizeof(low))
		return -EINVAL;
	memcpy(low, text, len);
	low[len] = '\0';
	if (text_parse_u32(low, 1, 65535, &from) < 0)
		return -EINVAL;
	to = from;
	if (text[len] == '-' && text_parse_u32(text + len + 1, from, 65535, &to) < 0)
		return -EINVAL;
	ret->port_low = (uint16_t)from;
	ret->port_high = (uint16_t)to;
	return 0;
}

/* Whether all bits of BYTES behind the first PREFIX are zero. */
static bool is_whole(const uint8_t *bytes, unsigned prefix)
{
	for (unsigned bit = prefix; bit < 128; bit++) {
		if (bytes[bit / 8] & (0x80 >> bit % 8))
			return false;
	}
	return true;
}

static bool is_mapped(const uint8_t *bytes)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(bytes, mapped, sizeof(mapped)) == 0;
}

/* ADDRESS without brackets, and what stands behind its slash, or NULL. */
static int parse_range(const char *address, const char *prefix, struct destination *ret,
		       const char **ret_why)
{
	uint32_t bits = ret->family == AF_INET ? 32 : 128;

	*ret_why = "has no address in front of its port";
	if (inet_pton(ret->family, address, ret->bytes) != 1)
		return -EINVAL;
	*ret_why = "has no number of bits behind the slash";
	if (prefix && text_parse_u32(prefix, 0, bits, &bits) < 0)
		return -EINVAL;
	*ret_why = "has bits set behind its prefix";
	if (!is_whole(ret->bytes, bits))
		return -EINVAL;
	*ret_why = "is an IPv4 address: write it as one";
	if (ret->family == AF_INET6 && bits >= 96 && is_mapped(ret->bytes))
		return -EINVAL;
	ret->kind = DESTINATION_ADDRESS;
	ret->prefix = (uint8_t)bits;
	return 0;
}

/* "443" or "0x1bb" at a name's end: half of the world's parsers take it for an address. */
static bool ends_in_number(const char *name)
{
	const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;

	if (last[0] == '0' && last[1] == 'x')
		return last[2 + strspn(last + 2, "0123456789abcdef")] == '\0';
	return last[strspn(last, "0123456789")] == '\0';
}

static int parse_name(const char *host, struct destination *ret, const char **ret_why)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
	const char *name = host;

	ret->kind = DESTINATION_NAME;
	if (strcmp(host, "*") == 0 || strncmp(host, "*.", 2) == 0) {
		ret->kind = DESTINATION_SUFFIX;
		name = host + MIN(strlen(host), (size_t)2);
		if (name[0] == '\0' && host[1] == '\0')
			return 0;
	}
	destination_plain_name(name, ret->name);
	*ret_why = "has no host name, address, or * and a suffix in front of its port";
	if (ret->name[0] == '\0' || ret->name[0] == '.' || strstr(ret->name, "..") ||
	    ret->name[strspn(ret->name, letters)] != '\0')
		return -EINVAL;
	*ret_why = "has a name that ends in a number";
	return ends_in_number(ret->name) ? -EINVAL : 0;
}

int destination_parse(const char *text, struct destination *ret, const char **ret_why)
{
	const char *colon = strrchr(text, ':');
	char host[LIMIT_HOST + 8], *slash, *address = host;
	struct destination destination;
	size_t len;
	int r;

	*ret_why = "has no port, a number, two with - between them, or *, behind a colon";
	if (!colon || parse_ports(colon + 1, &destination) < 0)
		return -EINVAL;
	len = (size_t)(colon - text);
	*ret_why = "is too long";
	if (len > LIMIT_HOST + 2)
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	slash = strchr(host, '/');
	if (slash)
		*slash++ = '\0';
	len = strlen(host);
	*ret_why = "has an IPv6 address that is not in brackets";
	if (host[0] == '[') {
		if (host[len - 1] != ']')
			return -EINVAL;
		host[len - 1] = '\0';
		address++;
		destination.family = AF_INET6;
	} else if (strchr(host, ':')) {
		return -EINVAL;
	} else if (slash || (host[0] != '\0' && host[strspn(host, "0123456789.")] == '\0')) {
		destination.family = AF_INET;
	}
	r = destination.family ? parse_range(address, slash, &destination, ret_why)
			       : parse_name(host, &destination, ret_why);
	if (r == 0)
		*ret = destination;
	return r;
}

char *destination_plain_name(const char *name, char dst[LIMIT_HOST + 1])
{
	size_t len = strnlen(name, LIMIT_HOST + 1);

	if (len > 1 && name[len - 1] == '.')
		len--;
	len = MIN(len, (size_t)LIMIT_HOST);
	for (size_t i = 0; i < len; i++)
		dst[i] = (char)tolower((unsigned char)name[i]);
	dst[len] = '\0';
	return dst;
}

/* ---- matching ---- */

static bool has_port(const struct destination *destination, uint16_t port)
{
	return port >= destination->port_low && port <= destination->port_high;
}

bool destination_has_name(const struct destination *destination, const char *name, uint16_t port)
{
	size_t len = strlen(name), tail = strlen(destination->name);

	if (!has_port(destination, port))
		return false;
	switch (destination->kind) {
	case DESTINATION_NAME:
		return strcmp(name, destination->name) == 0;
	case DESTINATION_SUFFIX:
		return tail == 0 || (len > tail + 1 && name[len - tail - 1] == '.' &&
				     strcmp(name + len - tail, destination->name) == 0);
	default:
		return false;
	}
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned rest = bits % 8;

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) & (0xff00 >> rest) & 0xff) == 0;
}

bool destination_has_address(const struct destination *destination, uint16_t family,
			     const uint8_t *bytes, uint16_t port)
{
	return destination->kind == DESTINATION_ADDRESS && destination->family == family &&
	       has_port(destination, port) &&
	       same_bits(destination->bytes, bytes, destination->prefix);
}

struct range {
	uint8_t bytes[16];
	uint8_t prefix;
};

static bool is_in(const struct range *ranges, size_t count, const uint8_t *bytes)
{
	for (size_t i = 0; i < count; i++) {
		if (same_bits(ranges[i].bytes, bytes, ranges[i].prefix))
			return true;
	}
	return false;
}

static bool is_private_v4(const uint8_t *bytes)
{
	static const struct range ranges[] = {
		{ { 0 }, 8 },	       /* this network: connect(2) takes 0.0.0.0 for this machine */
		{ { 10 }, 8 },	       /* RFC 1918 */
		{ { 100, 64 }, 10 },   /* a provider's own, RFC 6598 */
		{ { 127 }, 8 },	       /* this machine */
		{ { 169, 254 }, 16 },  /* this link, and where clouds keep their metadata */
		{ { 172, 16 }, 12 },   /* RFC 1918 */
		{ { 192, 0, 0 }, 24 }, /* protocols' own, RFC 6890 */
		{ { 192, 168 }, 16 },  /* RFC 1918 */
		{ { 198, 18 }, 15 },   /* laboratories, RFC 2544 */
		{ { 224 }, 3 },	       /* multicast, reserved, broadcast */
	};

	return is_in(ranges, ARRAY_SIZE(ranges), bytes);
}

bool destination_is_private(uint16_t family, const uint8_t *bytes)
{
	static const struct range ranges[] = {
		{ { 0 }, 96 },				 /* ::, ::1, and IPv4 as it once was written */
		{ { [10] = 0xff, [11] = 0xff }, 96 },	 /* IPv4, which should have come as such */
		{ { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48 }, /* a network's own NAT64, RFC 8215 */
		{ { 0xfc }, 7 },			 /* unique local, RFC 4193 */
		{ { 0xfe, 0x80 }, 9 },			 /* this link, and site-local */
		{ { 0xff }, 8 },			 /* multicast */
	};
	static const struct range nat64 = { { 0x00, 0x64, 0xff, 0x9b }, 96 };
	static const struct range six_to_four = { { 0x20, 0x02 }, 16 };

	if (family == AF_INET)
		return is_private_v4(bytes);
	/* An IPv4 address that a gateway unwraps. */
	if (is_in(&nat64, 1, bytes))
		return is_private_v4(bytes + 12);
	if (is_in(&six_to_four, 1, bytes))
		return is_private_v4(bytes + 2);
	return is_in(ranges, ARRAY_SIZE(ranges), bytes);
}
