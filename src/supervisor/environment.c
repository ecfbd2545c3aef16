#include "supervisor/environment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/journal.h"

/* What sd_notify(3) and sd_watchdog_enabled(3) look at. */
static const char *const kept[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID" };

#define KEPT_LEN 128

/* $JOURNAL_STREAM is "device:inode" of the stream that systemd gave us: is it ours still? */
static int stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;
	char *end;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return 0;
	dev = strtoull(stream, &end, 10);
	if (*end != ':')
		return 0;
	ino = strtoull(end + 1, &end, 10);
	return *end == '\0' && st.st_dev == dev && st.st_ino == ino;
}

static void clear_but_kept(void)
{
	char values[ARRAY_SIZE(kept)][KEPT_LEN];

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		const char *value = getenv(kept[i]);

		values[i][0] = '\0';
		if (value && strlen(value) < KEPT_LEN)
			memcpy(values[i], value, strlen(value) + 1);
	}
	clearenv();
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (values[i][0] != '\0')
			setenv(kept[i], values[i], 1);
	}
}

void environment_read(struct environment *ret_environment)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");

	*ret_environment = (struct environment){ .is_service = getenv("NOTIFY_SOCKET") != NULL };
	if (dir && dir[0] == '/' && strlen(dir) < sizeof(ret_environment->runtime_dir))
		memcpy(ret_environment->runtime_dir, dir, strlen(dir) + 1);
	ret_environment->has_journal = (ret_environment->is_service || stderr_is_journal()) &&
				       access(JOURNAL_SOCKET, F_OK) == 0;
	clear_but_kept();
}

int environment_socket(const struct environment *environment, int is_root, char *ret_path,
		       size_t size, struct failure *failure)
{
	const char *dir = environment->runtime_dir;
	int n;

	if (is_root || (dir[0] == '\0' && environment->is_service))
		n = snprintf(ret_path, size, "%s", SERVICE_SOCKET);
	else if (dir[0] != '\0')
		n = snprintf(ret_path, size, "%s/tlsbroker/tlsbroker.sock", dir);
	else
		return failure_set(failure, -EINVAL,
				   "socket: $XDG_RUNTIME_DIR is not set; say --socket PATH");
	if ((size_t)n >= size)
		return failure_set(failure, -ENAMETOOLONG, "%s: too long for a socket", dir);
	return 0;
}
