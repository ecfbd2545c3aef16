/*
 * What the connector reads: hosts that programs give, the hosts file, resolv.conf; and the cache.
 */
#include "testing.h"

#include <stdio.h>

#include "connector/address.h"
#include "connector/hosts.h"
#include "connector/namecache.h"
#include "connector/resolvconf.h"

/* ---- hosts as programs give them ---- */

static void expect_address(const char *host, const char *expected)
{
	struct address address;
	char text[ADDRESS_TEXT];
	const char *why = "";

	if (address_of_host(host, &address, &why) != HOST_ADDRESS)
		fail_msg("%s: %s", host, why);
	assert_string_equal(address_text(&address, text), expected);
}

static void expect_kind(enum host_kind kind, const char *host)
{
	struct address address;
	const char *why = NULL;

	if (address_of_host(host, &address, &why) != kind)
		fail_msg("%s: %s", host, why ? why : "not so");
	if (kind == HOST_UNUSABLE)
		assert_non_null(why);
}

static void an_address_is_four_decimal_parts_or_ipv6(void **state unused_)
{
	expect_address("127.0.0.1", "127.0.0.1");
	expect_address("255.255.255.255", "255.255.255.255");
	expect_address("::1", "::1");
	expect_address("[::1]", "::1");
	expect_address("2001:DB8::0:1", "2001:db8::1");
	expect_address("[fe80::1%2]", "fe80::1%2");
	expect_address("fe80::1%4294967", "fe80::1%4294967");
}

/* Case 14: judged by what would be dialled, not by how it is spelt. */
static void a_mapped_ipv4_address_is_the_ipv4_address(void **state unused_)
{
	expect_address("::ffff:127.0.0.1", "127.0.0.1");
	expect_address("[::FFFF:7f00:1]", "127.0.0.1");
}

static void what_inet_aton_would_take_is_neither_address_nor_name(void **state unused_)
{
	static const char *const refused[] = {
		"0177.0.0.1",	"2130706433",  "127.1",		  "127.0.0.1.", "127.0.0.01",
		"0x7f.0.0.1",	"0x7f000001",  "0X7F000001",	  "1.2.3.4.5",	"256.0.0.1",
		"1.2.3",	"host.1",      "a.0x1f",	  "0x",		"0",
		"017700000001", "127.0.0.0x1", "example.org.42.",
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		expect_kind(HOST_UNUSABLE, refused[i]);
}

static void broken_ipv6_and_scopes_are_refused(void **state unused_)
{
	static const char *const refused[] = {
		"[::1",	       "::1]",
		"[]",	       "[",
		"[127.0.0.1]", ":",
		":::",	       "1:2:3:4:5:6:7:8:9",
		"::g",	       "fe80::1%eth0",
		"fe80::1%",    "fe80::1%0",
		"::1%1",       "2001:db8::1%2",
		"fe80::1%2%3", "fe80::1%99999999999",
		"fe80::1%-1",  "127.0.0.1%1",
		"host%1",      "[host]",
		"host]",       "example.org:443",
		"[::1]:443",   "[::1]x",
		"%",	       "]",
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		expect_kind(HOST_UNUSABLE, refused[i]);
}

static void the_unspecified_address_is_no_destination(void **state unused_)
{
	expect_kind(HOST_UNUSABLE, "0.0.0.0");
	expect_kind(HOST_UNUSABLE, "::");
	expect_kind(HOST_UNUSABLE, "[::]");
	expect_kind(HOST_UNUSABLE, "::ffff:0.0.0.0");
}

static void names_are_names(void **state unused_)
{
	static const char *const names[] = {
		"a",
		"example.org",
		"example.org.",
		"EXAMPLE.Org",
		"1.2.3.4.example",
		"xn--bcher-kva.de",
		"_sip._tcp.example",
		"3com.com",
		"a-b.c",
		"0x1g",
		"host.x0",
		"1a",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		expect_kind(HOST_NAME, names[i]);
}

static void names_with_bad_labels_are_refused(void **state unused_)
{
	char label[70], host[80];

	expect_kind(HOST_UNUSABLE, ".");
	expect_kind(HOST_UNUSABLE, "..");
	expect_kind(HOST_UNUSABLE, ".org");
	expect_kind(HOST_UNUSABLE, "a..b");
	expect_kind(HOST_UNUSABLE, "a.b..");
	memset(label, 'x', sizeof(label));
	snprintf(host, sizeof(host), "a.%.63s.b", label);
	expect_kind(HOST_NAME, host);
	snprintf(host, sizeof(host), "a.%.64s.b", label);
	expect_kind(HOST_UNUSABLE, host);
}

static void a_list_of_addresses_has_no_doubles_and_an_end(void **state unused_)
{
	struct addresses addresses = {0};

	for (uint8_t i = 0; i < LIMIT_ADDRESSES + 1; i++) {
		struct address address = address_from_bytes(AF_INET, (uint8_t[]){10, 0, 0, i});

		assert_int_equal(addresses_add(&addresses, &address), i < LIMIT_ADDRESSES);
		assert_false(addresses_add(&addresses, &address));
	}
	assert_int_equal(addresses.count, LIMIT_ADDRESSES);
}

/* ---- the hosts file ---- */

static void parse_hosts(struct hosts *hosts, const void *text, size_t len)
{
	char *copy = malloc(len + 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	assert_int_equal(hosts_init(hosts, copy, len), 0);
}

/* The addresses of NAME, "v6 v6/v4 v4", or "-" when the file does not have it. */
static const char *in_hosts(const struct hosts *hosts, const char *name, uint16_t family)
{
	static char text[512];
	struct addresses found[FAMILIES] = {0};
	size_t len = 0;

	if (!hosts_find(hosts, name, family, found))
		return "-";
	for (unsigned index = 0; index < FAMILIES; index++) {
		for (unsigned i = 0; i < found[index].count; i++) {
			char one[ADDRESS_TEXT];

			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
						i ? " " : "",
						address_text(&found[index].list[i], one));
		}
		if (index == V6)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "/");
	}
	return text;
}

static void the_hosts_file_has_addresses_aliases_and_comments(void **state unused_)
{
	static const char text[] = "# comment\n"
				   "127.0.0.1\tlocalhost loop # localnet\n"
				   "::1 localhost ip6-localhost\r\n"
				   "\n"
				   "   10.0.0.1   Two.Example  two\n"
				   "10.0.0.2 two.example\n"
				   "fe80::1%2 scoped\n"
				   "0.0.0.0 blocked.example\n"
				   "nonsense host\n"
				   "0177.0.0.1 octal\n"
				   "10.0.0.3\n"
				   "10.0.0.4 last";
	struct hosts hosts;

	parse_hosts(&hosts, text, strlen(text));
	assert_string_equal(in_hosts(&hosts, "localhost", AF_UNSPEC), "::1/127.0.0.1");
	assert_string_equal(in_hosts(&hosts, "localhost", AF_INET), "/127.0.0.1");
	assert_string_equal(in_hosts(&hosts, "localhost", AF_INET6), "::1/");
	assert_string_equal(in_hosts(&hosts, "loop", AF_UNSPEC), "/127.0.0.1");
	assert_string_equal(in_hosts(&hosts, "loop", AF_INET6), "-");
	assert_string_equal(in_hosts(&hosts, "two.example", AF_UNSPEC), "/10.0.0.1 10.0.0.2");
	assert_string_equal(in_hosts(&hosts, "two", AF_UNSPEC), "/10.0.0.1");
	assert_string_equal(in_hosts(&hosts, "scoped", AF_UNSPEC), "fe80::1%2/");
	assert_string_equal(in_hosts(&hosts, "blocked.example", AF_UNSPEC), "/");
	assert_string_equal(in_hosts(&hosts, "last", AF_UNSPEC), "/10.0.0.4");
	assert_string_equal(in_hosts(&hosts, "localnet", AF_UNSPEC), "-");
	assert_string_equal(in_hosts(&hosts, "host", AF_UNSPEC), "-");
	assert_string_equal(in_hosts(&hosts, "octal", AF_UNSPEC), "-");
	assert_string_equal(in_hosts(&hosts, "", AF_UNSPEC), "-");
	hosts_deinit(&hosts);
	hosts_deinit(&hosts);
}

static void odd_hosts_files_are_survived(void **state unused_)
{
	static const char nul[] = "10.0.0.1 a\0b\n10.0.0.2 c\n";
	struct hosts hosts;
	char longest[LIMIT_HOST + 64], *huge;
	size_t len = 0, size = LIMIT_HOSTS_BYTES;

	parse_hosts(&hosts, "", 0);
	assert_string_equal(in_hosts(&hosts, "a", AF_UNSPEC), "-");
	hosts_deinit(&hosts);
	parse_hosts(&hosts, nul, sizeof(nul) - 1);
	assert_string_equal(in_hosts(&hosts, "a", AF_UNSPEC), "/10.0.0.1");
	hosts_deinit(&hosts);
	memset(longest, 'n', sizeof(longest));
	memcpy(longest, "10.0.0.1 ", 9);
	parse_hosts(&hosts, longest, sizeof(longest));
	assert_int_equal(hosts.count, 0);
	hosts_deinit(&hosts);

	huge = malloc(size + 1);
	while (size - len > 32)
		len += (size_t)sprintf(huge + len, "10.%u.%u.%u h%zu\n",
				       (unsigned)(len >> 16) & 255, (unsigned)(len >> 8) & 255,
				       (unsigned)len & 255, len);
	huge[len] = '\0';
	assert_int_equal(hosts_init(&hosts, huge, len), 0);
	assert_true(hosts.count > 40000);
	assert_string_equal(in_hosts(&hosts, "h0", AF_UNSPEC), "/10.0.0.0");
	hosts_deinit(&hosts);
}

static void random_hosts_files_do_no_harm(void **state unused_)
{
	static const char bytes[] = "0123456789abc.:%#/ \t\n\r\0xyz";
	uint64_t seed = 42;
	char text[256];

	for (int round = 0; round < 20000; round++) {
		size_t len = testing_random(&seed) % sizeof(text);
		struct hosts hosts;
		struct resolvconf conf;

		for (size_t i = 0; i < len; i++)
			text[i] = bytes[testing_random(&seed) % (sizeof(bytes) - 1)];
		parse_hosts(&hosts, text, len);
		in_hosts(&hosts, "a", AF_UNSPEC);
		hosts_deinit(&hosts);
		text[len ? len - 1 : 0] = '\0';
		resolvconf_parse(&conf, text);
		assert_in_range(conf.server_count, 1, LIMIT_NAME_SERVERS);
	}
}

/* ---- resolv.conf ---- */

static void parse_conf(struct resolvconf *conf, const char *text)
{
	char *copy = strdup(text);

	resolvconf_parse(conf, copy);
	free(copy);
}

static const char *server(const struct resolvconf *conf, unsigned i)
{
	static char text[ADDRESS_TEXT];

	assert_true(i < conf->server_count);
	return address_text(&conf->server[i], text);
}

static void an_empty_resolv_conf_means_the_machine_itself(void **state unused_)
{
	struct resolvconf conf;

	parse_conf(&conf, "");
	assert_int_equal(conf.server_count, 1);
	assert_string_equal(server(&conf, 0), "127.0.0.1");
	assert_int_equal(conf.domain_count, 0);
	assert_int_equal(conf.ndots, 1);
	assert_int_equal(conf.timeout_ms, 5000);
	assert_int_equal(conf.attempts, 2);
	assert_false(conf.rotate);
}

static void resolv_conf_names_servers_domains_and_options(void **state unused_)
{
	struct resolvconf conf;

	parse_conf(&conf, "# made by hand\n; the same\n"
			  "nameserver 192.0.2.1\n"
			  "nameserver\t2001:db8::53 # the other\n"
			  "nameserver fe80::1%eth0\n"
			  "nameserver not.an.address\n"
			  "nameserver 0.0.0.0\n"
			  "nameserver 192.0.2.3\n"
			  "nameserver 192.0.2.4\n"
			  "search First.Example second.example. .\n"
			  "options ndots:3 timeout:2 attempts:4 rotate edns0 ndots:\n");
	assert_int_equal(conf.server_count, 3);
	assert_string_equal(server(&conf, 0), "192.0.2.1");
	assert_string_equal(server(&conf, 1), "2001:db8::53");
	assert_string_equal(server(&conf, 2), "192.0.2.3");
	assert_int_equal(conf.domain_count, 2);
	assert_string_equal(conf.domain[0], "first.example");
	assert_string_equal(conf.domain[1], "second.example");
	assert_int_equal(conf.ndots, 3);
	assert_int_equal(conf.timeout_ms, 2000);
	assert_int_equal(conf.attempts, 4);
	assert_true(conf.rotate);
}

static void the_last_of_domain_and_search_counts(void **state unused_)
{
	struct resolvconf conf;

	parse_conf(&conf, "search a.example b.example\ndomain c.example d.example\n");
	assert_int_equal(conf.domain_count, 1);
	assert_string_equal(conf.domain[0], "c.example");
	parse_conf(&conf, "domain c.example\nsearch a b c d e f g h\n");
	assert_int_equal(conf.domain_count, LIMIT_SEARCH_DOMAINS);
	assert_string_equal(conf.domain[0], "a");
	parse_conf(&conf, "search a\nsearch\n");
	assert_int_equal(conf.domain_count, 0);
}

static void numbers_in_resolv_conf_have_bounds(void **state unused_)
{
	struct resolvconf conf;

	parse_conf(&conf, "options ndots:99 timeout:99999999999999999999 attempts:0 timeoutx:3\n");
	assert_int_equal(conf.ndots, 15);
	assert_int_equal(conf.timeout_ms, 30000);
	assert_int_equal(conf.attempts, 1);
	parse_conf(&conf, "options ndots:-1 timeout:0 attempts:x\noptions\nnameserver\n");
	assert_int_equal(conf.ndots, 1);
	assert_int_equal(conf.timeout_ms, 1000);
	assert_int_equal(conf.attempts, 2);
}

static void expect_candidates(const struct resolvconf *conf, const char *host, const char *expected)
{
	char all[1024] = "", name[LIMIT_HOST + 1];
	int r;

	for (unsigned i = 0; (r = resolvconf_candidate(conf, host, i, name)) >= 0; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s ", r ? name : "-");
	assert_string_equal(all, expected);
}

static void the_search_list_makes_candidates(void **state unused_)
{
	struct resolvconf conf;
	char longest[LIMIT_HOST + 1], name[LIMIT_HOST + 1];

	parse_conf(&conf, "search x y.z\n");
	expect_candidates(&conf, "a", "a.x a.y.z a ");
	expect_candidates(&conf, "a.b", "a.b a.b.x a.b.y.z ");
	expect_candidates(&conf, "a.", "a ");
	expect_candidates(&conf, "a.b.", "a.b ");
	parse_conf(&conf, "search x\noptions ndots:0\n");
	expect_candidates(&conf, "a", "a a.x ");
	parse_conf(&conf, "");
	expect_candidates(&conf, "a", "a ");
	/* 251 and ".x" is the longest that a name can be. */
	parse_conf(&conf, "search x yy\n");
	memset(longest, 'n', sizeof(longest));
	longest[LIMIT_HOST - 2] = '\0';
	assert_int_equal(resolvconf_candidate(&conf, longest, 0, name), 1);
	assert_int_equal(strlen(name), LIMIT_HOST);
	assert_int_equal(resolvconf_candidate(&conf, longest, 1, name), 0);
}

/* ---- the cache ---- */

static struct addresses one_address(uint8_t last)
{
	struct address address = address_from_bytes(AF_INET, (uint8_t[]){10, 0, 0, last});
	struct addresses one = {0};

	addresses_add(&one, &address);
	return one;
}

static void the_cache_keeps_until_the_ttl_is_over(void **state unused_)
{
	struct namecache cache;
	struct addresses one = one_address(1), two = one_address(2), none = {0}, found;

	namecache_init(&cache);
	namecache_put(&cache, "a.example", V4, &one, 10, 1000);
	assert_true(namecache_get(&cache, "a.example", V4, 10999, &found));
	assert_memory_equal(&found.list[0], &one.list[0], sizeof(found.list[0]));
	assert_false(namecache_get(&cache, "a.example", V6, 1000, &found));
	assert_false(namecache_get(&cache, "b.example", V4, 1000, &found));
	assert_false(namecache_get(&cache, "a.example", V4, 11000, &found));
	assert_int_equal(cache.count, 0);

	namecache_put(&cache, "a.example", V6, &none, 10, 1000);
	assert_true(namecache_get(&cache, "a.example", V6, 1000, &found));
	assert_int_equal(found.count, 0);
	namecache_put(&cache, "a.example", V4, &one, 10, 1000);
	namecache_put(&cache, "a.example", V4, &two, 20, 1000);
	assert_true(namecache_get(&cache, "a.example", V4, 12000, &found));
	assert_int_equal(found.list[0].bytes[3], 2);
	assert_int_equal(cache.count, 2);
	namecache_clear(&cache);
	assert_false(namecache_get(&cache, "a.example", V4, 1000, &found));
}

static void a_ttl_of_zero_is_not_kept_and_a_long_one_is_cut(void **state unused_)
{
	struct namecache cache;
	struct addresses one = one_address(1), found;

	namecache_init(&cache);
	namecache_put(&cache, "a", V4, &one, 0, 0);
	assert_int_equal(cache.count, 0);
	namecache_put(&cache, "a", V4, &one, UINT32_MAX, 0);
	assert_true(namecache_get(&cache, "a", V4, LIMIT_CACHE_S * 1000 - 1, &found));
	assert_false(namecache_get(&cache, "a", V4, LIMIT_CACHE_S * 1000, &found));
	namecache_put(&cache, "a", V4, &one, 60, 0);
	namecache_put(&cache, "a", V4, &one, 0, 0);
	assert_int_equal(cache.count, 0);
	namecache_clear(&cache);
}

static void a_full_cache_forgets_what_was_not_used_for_longest(void **state unused_)
{
	struct namecache cache;
	struct addresses one = one_address(1), found;
	char name[32];

	namecache_init(&cache);
	for (unsigned i = 0; i < LIMIT_CACHE_ENTRIES; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		namecache_put(&cache, name, V4, &one, 60, 0);
	}
	assert_int_equal(cache.count, LIMIT_CACHE_ENTRIES);
	assert_true(namecache_get(&cache, "n0", V4, 0, &found));
	namecache_put(&cache, "one more", V4, &one, 60, 0);
	assert_int_equal(cache.count, LIMIT_CACHE_ENTRIES);
	assert_true(namecache_get(&cache, "n0", V4, 0, &found));
	assert_false(namecache_get(&cache, "n1", V4, 0, &found));
	assert_true(namecache_get(&cache, "one more", V4, 0, &found));
	namecache_clear(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_address_is_four_decimal_parts_or_ipv6),
		TEST(a_mapped_ipv4_address_is_the_ipv4_address),
		TEST(what_inet_aton_would_take_is_neither_address_nor_name),
		TEST(broken_ipv6_and_scopes_are_refused),
		TEST(the_unspecified_address_is_no_destination),
		TEST(names_are_names),
		TEST(names_with_bad_labels_are_refused),
		TEST(a_list_of_addresses_has_no_doubles_and_an_end),
		TEST(the_hosts_file_has_addresses_aliases_and_comments),
		TEST(odd_hosts_files_are_survived),
		TEST(random_hosts_files_do_no_harm),
		TEST(an_empty_resolv_conf_means_the_machine_itself),
		TEST(resolv_conf_names_servers_domains_and_options),
		TEST(the_last_of_domain_and_search_counts),
		TEST(numbers_in_resolv_conf_have_bounds),
		TEST(the_search_list_makes_candidates),
		TEST(the_cache_keeps_until_the_ttl_is_over),
		TEST(a_ttl_of_zero_is_not_kept_and_a_long_one_is_cut),
		TEST(a_full_cache_forgets_what_was_not_used_for_longest),
	};

	return testing_run(tests);
}
