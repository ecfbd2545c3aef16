/*
 * Hosts, addresses, ports and the files that are made of them, wherever somebody writes one: a
 * program (library, worker, connector), a person (the tool's HOST:PORT), the administrator (hosts file,
 * resolv.conf).  What is taken for a name or an address must look like one to those behind.
 *
 *   which (1), text
 */
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/text.h"
#include "connector/address.h"
#include "connector/hosts.h"
#include "connector/resolvconf.h"
#include "libtlsbroker/internal.h"
#include "tools/target.c"
#include "wire/msg.h"
#include "worker/request.h"

/* Files are longer than names. */
#define MOST_TEXT 4096

static void check_address(const struct address *address)
{
	struct address again;
	union address_any any;
	char text[ADDRESS_TEXT];

	must(address->family == AF_INET || address->family == AF_INET6);
	must(address->family == AF_INET6 || address->scope == 0);
	address_text(address, text);
	must(address_parse(text, &again) == 0 && memcmp(address, &again, sizeof(again)) == 0);
	must(address_sockaddr(address, 443, &any) > 0 && any.any.sa_family == address->family);
}

static void host(const char *text)
{
	static const char host_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789._:-%[]";
	struct address address;
	const char *why = NULL;
	unsigned char bytes[4];

	/* All others are refused before, in dialler.c. */
	if (*text == '\0' || text[strspn(text, host_bytes)] != '\0')
		return;
	switch (address_of_host(text, &address, &why)) {
	case HOST_ADDRESS:
		check_address(&address);
		must(!address_is_unspecified(&address));
		break;
	case HOST_NAME:
		/* Nobody behind may take a name for an address. */
		must(inet_aton(text, (struct in_addr *)(void *)bytes) == 0);
		must(!strpbrk(text, "[]%:"));
		break;
	case HOST_UNUSABLE:
		must(why && is_printable(why, strlen(why)));
	}
}

static void address(const char *text)
{
	struct address parsed;

	if (address_parse(text, &parsed) == 0)
		check_address(&parsed);
}

static void number(const char *text)
{
	uint32_t value, again;
	char digits[16];

	if (text_parse_u32(text, 1, 65535, &value) == 0)
		must(value >= 1 && value <= 65535);
	if (text_parse_u32(text, 0, UINT32_MAX, &value) < 0)
		return;
	must(strspn(text, "0123456789") == strlen(text));
	snprintf(digits, sizeof(digits), "%u", value);
	must(text_parse_u32(digits, value, value, &again) == 0 && again == value);
}

static void library_host(const char *text)
{
	if (!config_is_host(text))
		return;
	must(strlen(text) <= LIMIT_HOST && is_printable(text, strlen(text)));
	must(!strpbrk(text, " \"'\\/@"));
}

static void target(const char *text)
{
	const char *wrong;
	struct target parsed;
	uint32_t port;

	wrong = target_parse(text, &parsed);
	if (wrong)
		return;
	must(parsed.host[0] != '\0' && !strpbrk(parsed.host, "[]"));
	must(text_parse_u32(parsed.port, 1, 65535, &port) == 0 && parsed.port[0] != '0');
}

static bool is_lower(const char *text)
{
	for (; *text; text++) {
		if (*text >= 'A' && *text <= 'Z')
			return false;
	}
	return true;
}

static void check_found(const struct hosts *hosts, const char *name)
{
	struct addresses found[FAMILIES] = { 0 };

	must(hosts_find(hosts, name, AF_UNSPEC, found));
	for (unsigned i = 0; i < FAMILIES; i++) {
		must(found[i].count <= LIMIT_ADDRESSES);
		for (unsigned j = 0; j < found[i].count; j++)
			check_address(&found[i].list[j]);
	}
}

static void hosts_file(const char *text)
{
	struct hosts hosts;

	must(hosts_init(&hosts, strdup(text), strlen(text)) == 0);
	for (size_t i = 0; i < hosts.count; i++) {
		const char *name = hosts.text + hosts.entries[i].name;

		must(hosts.entries[i].line < hosts.line_count);
		must(is_lower(name) && strlen(name) <= LIMIT_HOST);
		check_found(&hosts, name);
	}
	hosts_deinit(&hosts);
}

static void check_candidates(const struct resolvconf *conf, const char *name)
{
	char candidate[LIMIT_HOST + 1];
	unsigned index = 0;
	int r;

	while ((r = resolvconf_candidate(conf, name, index++, candidate)) >= 0)
		must(r == 0 || strlen(candidate) <= LIMIT_HOST);
	must(index <= LIMIT_SEARCH_DOMAINS + 2);
}

static void resolv_conf(const char *text)
{
	char *copy = strdup(text);
	struct resolvconf conf;

	resolvconf_parse(&conf, copy);
	must(conf.server_count >= 1 && conf.server_count <= LIMIT_NAME_SERVERS);
	must(conf.domain_count <= LIMIT_SEARCH_DOMAINS);
	must(conf.ndots <= 15 && conf.attempts >= 1 && conf.attempts <= 5);
	must(conf.timeout_ms >= 1000 && conf.timeout_ms <= 30000);
	must(resolvconf_same(&conf, &conf));
	for (unsigned i = 0; i < conf.server_count; i++)
		check_address(&conf.server[i]);
	for (unsigned i = 0; i < conf.domain_count; i++)
		must(conf.domain[i][0] != '\0' && is_lower(conf.domain[i]));
	check_candidates(&conf, "www");
	check_candidates(&conf, "www.example.org.");
	free(copy);
}

/* CONNECT as the worker reads it: text is host, name, ALPN and ciphers, at commas of the first line. */
static void request(const char *text)
{
	const size_t len = strlen(text), host_len = strcspn(text, ",");
	const size_t name_len = text[host_len] ? strcspn(text + host_len + 1, ",") : 0;
	const size_t ciphers_len = len - host_len - name_len;
	const struct msg_connect connect = {
		.port = 443,
		.host_len = (uint16_t)host_len,
		.name_len = (uint16_t)name_len,
		.ciphers_len = (uint16_t)ciphers_len,
	};
	const struct msg msg = { .body = &connect, .tail = text, .tail_len = (uint32_t)len };
	struct request parsed = { 0 };
	const char *why = NULL;
	struct bounds bounds;
	int r;

	bounds_init(&bounds);
	r = request_parse(&parsed, &msg, &bounds, &why);

	must(r == 0 || why || r == -EBADMSG);
	if (r < 0)
		return;
	/* There is always a name to verify, and it is the host's if no other was given. */
	must(parsed.verify && parsed.name[0] != '\0' && parsed.host[0] != '\0');
	must(is_printable(parsed.host, strlen(parsed.host)) && !strpbrk(parsed.host, " []/\\"));
	must(!strpbrk(parsed.name, "%[]"));
	must(parsed.is_address || !strchr(parsed.name, ':'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(const char *text) = {
		host, address, number, library_host, target, hosts_file, resolv_conf, request,
	};
	struct input input = { data, size };
	unsigned which = take_u8(&input) % ARRAY_SIZE(parsers);
	char *text = take_string(&input, MOST_TEXT);

	parsers[which](text);
	free(text);
	return 0;
}
