/*
 * A fuzz target as an ordinary test: it runs over its seeds, and over what comes of them when each is
 * cut short anywhere and when each of its bytes is changed.
 *
 *   NAME [FILE...]    by default all of tests/fuzz/seeds/NAME
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <unistd.h>

#include "tests/sanitized.h"

/* Longer seeds are run as they are, and are cut and changed in so many places. */
#define PLACES SANITIZED_SHARE(256)

#define LIMIT_SECONDS 1000

static unsigned long seeds, runs;

/* A copy of its own for each run, so that a sanitizer sees its ends. */
static void run(const uint8_t *data, size_t len, size_t place, uint8_t change)
{
	uint8_t *copy = malloc(len ? len : 1);

	must(copy);
	if (len > 0)
		memcpy(copy, data, len);
	if (place < len)
		copy[place] ^= change;
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	runs++;
}

static void run_around(const uint8_t *data, size_t len)
{
	static const uint8_t changes[] = { 0x01, 0x80, 0xff };
	const size_t step = len / PLACES + 1;

	run(data, len, len, 0);
	for (size_t at = 0; at < len; at += step) {
		run(data, at, at, 0);
		for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
			run(data, len, at, changes[i]);
	}
}

static void run_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *file = fopen(path, "re");
	size_t len;

	if (!file) {
		perror(path);
		exit(1);
	}
	len = fread(data, 1, sizeof(data), file);
	fclose(file);
	run_around(data, len);
	seeds++;
}

static int is_seed(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void run_folder(const char *name)
{
	struct dirent **list;
	char folder[256], path[600];
	int count;

	snprintf(folder, sizeof(folder), "tests/fuzz/seeds/%s", name);
	count = scandir(folder, &list, is_seed, alphasort);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, list[i]->d_name);
		run_file(path);
		free(list[i]);
	}
	if (count >= 0)
		free(list);
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');

	alarm(LIMIT_SECONDS);
	for (int i = 1; i < argc; i++)
		run_file(argv[i]);
	if (argc == 1)
		run_folder(slash ? slash + 1 : argv[0]);
	if (seeds == 0) {
		printf("not ok 1 - fuzz target: there are no seeds\n");
		return 1;
	}
	printf("ok 1 - fuzz target: %lu seeds, cut and changed %lu times\n", seeds, runs - seeds);
	return 0;
}
