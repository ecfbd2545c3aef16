#include "connector/hosts.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the parser is; with room in the arrays for what they hold. */
struct parser {
	struct hosts *hosts;
	size_t entries_size, lines_size;
};

static const char blank[] = " \t\r\f\v";

/* Room for one more element.  0 or -ENOMEM. */
static int grow(void **array, size_t *size, size_t count, size_t each)
{
	size_t bigger = *size ? *size * 2 : 16;
	void *moved;

	if (count < *size)
		return 0;
	moved = reallocarray(*array, bigger, each);
	if (!moved)
		return -ENOMEM;
	*array = moved;
	*size = bigger;
	return 0;
}

static int add_name(struct parser *parser, const char *name)
{
	struct hosts *hosts = parser->hosts;
	void *entries = hosts->entries;
	size_t len = strlen(name);
	int r;

	if (len == 0 || len > LIMIT_HOST)
		return 0;
	r = grow(&entries, &parser->entries_size, hosts->count, sizeof(*hosts->entries));
	hosts->entries = entries;
	if (r < 0)
		return r;
	hosts->entries[hosts->count++] = (struct hosts_entry){
		.name = (uint32_t)(name - hosts->text),
		.line = (uint32_t)(hosts->line_count - 1),
	};
	return 0;
}

static int add_address(struct parser *parser, const struct address *address)
{
	struct hosts *hosts = parser->hosts;
	void *addresses = hosts->addresses;
	int r = grow(&addresses, &parser->lines_size, hosts->line_count, sizeof(*hosts->addresses));

	hosts->addresses = addresses;
	if (r == 0)
		hosts->addresses[hosts->line_count++] = *address;
	return r;
}

static int parse_line(struct parser *parser, char *line)
{
	char *rest = line, *word;
	struct address address;
	int r;

	line[strcspn(line, "#")] = '\0';
	do
		word = strsep(&rest, blank);
	while (word && *word == '\0');
	if (!word || address_parse(word, &address) < 0)
		return 0;
	r = add_address(parser, &address);
	while (r == 0 && (word = strsep(&rest, blank)))
		r = add_name(parser, word);
	return r;
}

static int compare(const void *one, const void *other, void *arg)
{
	const struct hosts_entry *a = one, *b = other;
	const char *text = arg;
	int r = strcmp(text + a->name, text + b->name);

	return r ? r : (a->name > b->name) - (a->name < b->name);
}

int hosts_init(struct hosts *ret_hosts, char *text, size_t len)
{
	struct hosts hosts = { .text = text };
	struct parser parser = { .hosts = &hosts };
	int r = 0;

	for (size_t i = 0; i < len; i++)
		text[i] = (char)tolower((unsigned char)text[i]);
	/* fd_read_all() left a NUL behind the last byte; one before it ends the file there. */
	for (char *rest = text, *line; r == 0 && (line = strsep(&rest, "\n"));)
		r = parse_line(&parser, line);
	if (r < 0) {
		hosts_deinit(&hosts);
		return r;
	}
	if (hosts.count > 0)
		qsort_r(hosts.entries, hosts.count, sizeof(*hosts.entries), compare, hosts.text);
	*ret_hosts = hosts;
	return 0;
}

void hosts_deinit(struct hosts *hosts)
{
	free(hosts->text);
	free(hosts->addresses);
	free(hosts->entries);
	*hosts = (struct hosts){ 0 };
}

/* The first entry that is not before NAME. */
static size_t lower_bound(const struct hosts *hosts, const char *name)
{
	size_t low = 0, high = hosts->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(hosts->text + hosts->entries[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool hosts_find(const struct hosts *hosts, const char *name, uint16_t family,
		struct addresses ret_found[FAMILIES])
{
	bool named = false;

	for (size_t i = lower_bound(hosts, name); i < hosts->count; i++) {
		const struct hosts_entry *entry = &hosts->entries[i];
		const struct address *address = &hosts->addresses[entry->line];
		unsigned index = address->family == AF_INET6 ? V6 : V4;

		if (strcmp(hosts->text + entry->name, name) != 0)
			break;
		if (!address_wanted(family, index))
			continue;
		named = true;
		if (!address_is_unspecified(address))
			addresses_add(&ret_found[index], address);
	}
	return named;
}
