#include "supervisor/secretfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"

static bool is_credential(const char *word)
{
	return strncmp(word, CONF_CREDENTIAL, strlen(CONF_CREDENTIAL)) == 0;
}

/* Where the key lies.  NULL: no memory. */
static char *path_of_key(const char *word, const char *credentials)
{
	char *path;

	if (!is_credential(word))
		return strdup(word);
	return asprintf(&path, "%s/%s", credentials, word + strlen(CONF_CREDENTIAL)) < 0 ? NULL : path;
}

/* The file, or -errno; -EPERM: everybody may read it. */
static int open_key(const char *path)
{
	/* O_NONBLOCK: a FIFO with that name must not stop the daemon. */
	cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_mode & S_IRWXO)
		return -EPERM;
	return fd_steal(&fd);
}

static const char *why(int error)
{
	return error == -EPERM ? "may be read by everybody, and so is no secret" : strerror(-error);
}

int secret_file_open(struct secret_file *ret, const struct conf_scope *scope, const char *credentials,
		     bool check_only, struct conf_errors *errors)
{
	const struct conf_value *value = &scope->values[SETTING_key];
	const char *word = value->words[0];

	if (is_credential(word) && !credentials) {
		if (!check_only)
			conf_error(errors, value->place,
				   "key: %s is not there: systemd has passed no credentials", word);
		return 0;
	}
	ret->path = path_of_key(word, credentials);
	if (!ret->path)
		return -ENOMEM;
	ret->mark = files_mark(ret->path);
	ret->fd = open_key(ret->path);
	if (ret->fd < 0)
		conf_error(errors, value->place, "key: %s %s", ret->path, why(ret->fd));
	return 0;
}

void secret_file_deinit(struct secret_file *file)
{
	file->fd = fd_close(file->fd);
	free(file->path);
	file->path = NULL;
}
