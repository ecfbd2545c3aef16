#include "connector/resolvconf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

/* The bounds are those of resolv.conf(5). */
#define NDOTS_MAX     15
#define TIMEOUT_MAX_S 30
#define ATTEMPTS_MAX  5

static const char blank[] = " \t\r\f\v";

static char *next_word(char **rest)
{
	char *word;

	do
		word = strsep(rest, blank);
	while (word && *word == '\0');
	return word;
}

static void add_server(struct resolvconf *conf, const char *text)
{
	struct address address;

	if (conf->server_count == ARRAY_SIZE(conf->server) || address_parse(text, &address) < 0 ||
	    address.scope || address_is_unspecified(&address))
		return;
	conf->server[conf->server_count++] = address;
}

static void add_domain(struct resolvconf *conf, const char *text)
{
	size_t len = strlen(text);
	char *domain;

	while (len > 0 && text[len - 1] == '.')
		len--;
	if (conf->domain_count == ARRAY_SIZE(conf->domain) || len == 0 || len > LIMIT_HOST)
		return;
	domain = conf->domain[conf->domain_count++];
	for (size_t i = 0; i < len; i++)
		domain[i] = (char)tolower((unsigned char)text[i]);
	domain[len] = '\0';
}

/* "name:7" with 7 in [min, max], or what is nearest. */
static void set_number(const char *option, const char *name, unsigned min, unsigned max,
		       unsigned *number)
{
	size_t len = strlen(name);
	unsigned long value;

	if (strncmp(option, name, len) != 0 || option[len] != ':' ||
	    !isdigit((unsigned char)option[len + 1]))
		return;
	value = strtoul(option + len + 1, NULL, 10);
	*number = (unsigned)MIN(MAX(value, min), max);
}

static void set_option(struct resolvconf *conf, const char *option)
{
	unsigned timeout_s = conf->timeout_ms / 1000;

	set_number(option, "ndots", 0, NDOTS_MAX, &conf->ndots);
	set_number(option, "attempts", 1, ATTEMPTS_MAX, &conf->attempts);
	set_number(option, "timeout", 1, TIMEOUT_MAX_S, &timeout_s);
	conf->timeout_ms = timeout_s * 1000;
	if (strcmp(option, "rotate") == 0)
		conf->rotate = true;
}

static void parse_line(struct resolvconf *conf, char *line)
{
	char *rest = line, *keyword, *word;

	line[strcspn(line, "#;")] = '\0';
	keyword = next_word(&rest);
	if (!keyword)
		return;
	/* The last of all "domain" and "search" lines counts. */
	if (strcmp(keyword, "domain") == 0 || strcmp(keyword, "search") == 0)
		conf->domain_count = 0;
	while ((word = next_word(&rest))) {
		if (strcmp(keyword, "nameserver") == 0)
			add_server(conf, word);
		else if (strcmp(keyword, "options") == 0)
			set_option(conf, word);
		else if (strcmp(keyword, "search") == 0 ||
			 (strcmp(keyword, "domain") == 0 && conf->domain_count == 0))
			add_domain(conf, word);
	}
}

void resolvconf_parse(struct resolvconf *ret_conf, char *text)
{
	*ret_conf = (struct resolvconf){ .ndots = 1, .timeout_ms = 5000, .attempts = 2 };
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
		parse_line(ret_conf, line);
	if (ret_conf->server_count == 0)
		ret_conf->server[ret_conf->server_count++] =
			address_from_bytes(AF_INET, (uint8_t[]){ 127, 0, 0, 1 });
}

int resolvconf_candidate(const struct resolvconf *conf, const char *host, unsigned index,
			 char ret_name[LIMIT_HOST + 1])
{
	size_t len = strlen(host);
	bool absolute = host[len - 1] == '.';
	unsigned domains = absolute ? 0 : conf->domain_count, dots = 0, itself;
	int n;

	for (size_t i = 0; i < len; i++)
		dots += host[i] == '.';
	itself = absolute || dots >= conf->ndots ? 0 : domains;
	if (index > domains)
		return -1;
	if (index == itself)
		n = snprintf(ret_name, LIMIT_HOST + 1, "%.*s", (int)(absolute ? len - 1 : len),
			     host);
	else
		n = snprintf(ret_name, LIMIT_HOST + 1, "%s.%s", host,
			     conf->domain[index < itself ? index : index - 1]);
	return n <= LIMIT_HOST;
}

bool resolvconf_same(const struct resolvconf *one, const struct resolvconf *other)
{
	if (one->server_count != other->server_count || one->domain_count != other->domain_count ||
	    one->ndots != other->ndots || one->timeout_ms != other->timeout_ms ||
	    one->attempts != other->attempts || one->rotate != other->rotate)
		return false;
	for (unsigned i = 0; i < one->server_count; i++) {
		if (memcmp(&one->server[i], &other->server[i], sizeof(one->server[i])) != 0)
			return false;
	}
	for (unsigned i = 0; i < one->domain_count; i++) {
		if (strcmp(one->domain[i], other->domain[i]) != 0)
			return false;
	}
	return true;
}
