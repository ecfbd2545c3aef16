#include "connector/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/text.h"

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

struct address address_from_bytes(uint16_t family, const void *bytes)
{
	struct address address = { .family = family };

	memcpy(address.bytes, bytes, family == AF_INET ? 4 : 16);
	return address;
}

bool address_is_unspecified(const struct address *address)
{
	static const uint8_t zeros[16];

	return memcmp(address->bytes, zeros, sizeof(zeros)) == 0;
}

bool address_wanted(uint16_t family, unsigned index)
{
	return family == AF_UNSPEC || family == (index == V6 ? AF_INET6 : AF_INET);
}

bool addresses_add(struct addresses *addresses, const struct address *address)
{
	for (unsigned i = 0; i < addresses->count; i++) {
		if (memcmp(&addresses->list[i], address, sizeof(*address)) == 0)
			return false;
	}
	if (addresses->count == ARRAY_SIZE(addresses->list))
		return false;
	addresses->list[addresses->count++] = *address;
	return true;
}

/* A scope by its name would need a socket of a kind that the sandbox does not allow. */
static int parse_scope(const char *text, const struct address *address, uint32_t *ret_scope)
{
	if (address->bytes[0] != 0xfe || (address->bytes[1] & 0xc0) != 0x80)
		return -EINVAL;
	return text_parse_u32(text, 1, INT32_MAX, ret_scope);
}

static int parse_v6(const char *text, size_t len, struct address *ret_address)
{
	const char *percent = memchr(text, '%', len);
	char digits[INET6_ADDRSTRLEN], scope[16];
	size_t digits_len = percent ? (size_t)(percent - text) : len;
	struct address address;
	uint8_t bytes[16];

	if (digits_len >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, digits_len);
	digits[digits_len] = '\0';
	if (inet_pton(AF_INET6, digits, bytes) != 1)
		return -EINVAL;
	address = address_from_bytes(AF_INET6, bytes);
	if (percent) {
		size_t scope_len = len - digits_len - 1;

		if (scope_len >= sizeof(scope))
			return -EINVAL;
		memcpy(scope, percent + 1, scope_len);
		scope[scope_len] = '\0';
		if (parse_scope(scope, &address, &address.scope) < 0)
			return -EINVAL;
	}
	/* The kernel would dial it over IPv4, so that is what it is. */
	if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0)
		address = address_from_bytes(AF_INET, bytes + sizeof(mapped_prefix));
	*ret_address = address;
	return 0;
}

int address_parse(const char *text, struct address *ret_address)
{
	uint8_t bytes[4];

	if (strchr(text, ':'))
		return parse_v6(text, strlen(text), ret_address);
	/* inet_pton(3) takes four decimal numbers without leading zeros and nothing else. */
	if (inet_pton(AF_INET, text, bytes) != 1)
		return -EINVAL;
	*ret_address = address_from_bytes(AF_INET, bytes);
	return 0;
}

/* "443", "0x1bb": inet_aton(3) and browsers take a host whose last label looks so for an address.
 */
static bool is_number(const char *label, size_t len)
{
	static const char digits[] = "0123456789", hex[] = "0123456789abcdefABCDEF";

	if (len >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
		return strspn(label + 2, hex) >= len - 2;
	return strspn(label, digits) >= len;
}

static const char *check_name(const char *host)
{
	const char *label = host;
	size_t len;

	for (;;) {
		len = strcspn(label, ".");
		if (len == 0)
			return "has an empty label";
		if (len > 63)
			return "has a label of more than 63 characters";
		if (label[len] == '\0' || label[len + 1] == '\0')
			break;
		label += len + 1;
	}
	if (is_number(label, len))
		return "is no host name, for it ends in a number, and no IPv4 address in four "
		       "decimal parts";
	return NULL;
}

static enum host_kind of_v6(const char *host, struct address *ret_address, const char **ret_why)
{
	size_t len = strlen(host);

	*ret_why = "is no IPv6 address; a scope must be an interface's number";
	if (host[0] == '[') {
		if (host[len - 1] != ']')
			return HOST_UNUSABLE;
		host++;
		len -= 2;
	}
	return parse_v6(host, len, ret_address) < 0 ? HOST_UNUSABLE : HOST_ADDRESS;
}

enum host_kind address_of_host(const char *host, struct address *ret_address, const char **ret_why)
{
	enum host_kind kind;
	struct address address;

	if (host[0] == '[' || strchr(host, ':'))
		kind = of_v6(host, &address, ret_why);
	else if (address_parse(host, &address) == 0)
		kind = HOST_ADDRESS;
	else if (strpbrk(host, "[]%")) {
		*ret_why = "is neither a host name nor an address";
		return HOST_UNUSABLE;
	} else {
		*ret_why = check_name(host);
		return *ret_why ? HOST_UNUSABLE : HOST_NAME;
	}
	if (kind == HOST_ADDRESS && address_is_unspecified(&address)) {
		*ret_why = "is no destination; this machine is 127.0.0.1 or ::1";
		return HOST_UNUSABLE;
	}
	if (kind == HOST_ADDRESS)
		*ret_address = address;
	return kind;
}

char *address_text(const struct address *address, char dst[ADDRESS_TEXT])
{
	inet_ntop(address->family, address->bytes, dst, INET6_ADDRSTRLEN);
	if (address->scope) {
		size_t len = strlen(dst);

		snprintf(dst + len, ADDRESS_TEXT - len, "%%%u", (unsigned)address->scope);
	}
	return dst;
}

socklen_t address_sockaddr(const struct address *address, uint16_t port,
			   union address_any *ret_sockaddr)
{
	memset(ret_sockaddr, 0, sizeof(*ret_sockaddr));
	if (address->family == AF_INET) {
		ret_sockaddr->v4.sin_family = AF_INET;
		ret_sockaddr->v4.sin_port = htons(port);
		memcpy(&ret_sockaddr->v4.sin_addr, address->bytes, 4);
		return sizeof(ret_sockaddr->v4);
	}
	ret_sockaddr->v6.sin6_family = AF_INET6;
	ret_sockaddr->v6.sin6_port = htons(port);
	ret_sockaddr->v6.sin6_scope_id = address->scope;
	memcpy(&ret_sockaddr->v6.sin6_addr, address->bytes, 16);
	return sizeof(ret_sockaddr->v6);
}
