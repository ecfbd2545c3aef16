#include "supervisor/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

static struct file_mark mark_from(const struct stat *st)
{
	return (struct file_mark){ st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim };
}

struct file_mark files_mark(const char *path)
{
	struct stat st;

	if (fstatat(AT_FDCWD, path, &st, 0) < 0)
		return (struct file_mark){ 0 };
	return mark_from(&st);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int files_same(const struct file_mark *a, const struct file_mark *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       same_time(&a->mtime, &b->mtime) && same_time(&a->ctime, &b->ctime);
}

static int read_checked(const char *path, size_t max, mode_t forbidden, char **ret_data,
			size_t *ret_len, struct file_mark *ret_mark)
{
	/* O_NONBLOCK: a FIFO with that name must not stop the daemon. */
	cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_mode & forbidden)
		return -EPERM;
	r = fd_read_all(fd, max, ret_data, ret_len);
	if (r == 0)
		*ret_mark = mark_from(&st);
	return r;
}

int files_read(const char *path, size_t max, char **ret_data, size_t *ret_len,
	       struct file_mark *ret_mark)
{
	return read_checked(path, max, 0, ret_data, ret_len, ret_mark);
}

int files_read_private(const char *path, size_t max, char **ret_data, size_t *ret_len,
		       struct file_mark *ret_mark)
{
	return read_checked(path, max, S_IWOTH, ret_data, ret_len, ret_mark);
}

/* ---- folders ---- */

static int compare_names(const struct dirent **one, const struct dirent **other)
{
	return strcmp((*one)->d_name, (*other)->d_name);
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t len = strlen(name), suffix_len = strlen(suffix);

	return name[0] != '.' && len > suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

/* Of COUNT entries those that are wanted, as paths.  Returns how many, or -errno. */
static int pick(struct dirent *const *entries, int count, const char *folder, const char *suffix,
		unsigned max, char **paths)
{
	unsigned picked = 0;
	int r = 0;

	for (int i = 0; r == 0 && i < count; i++) {
		if (!has_suffix(entries[i]->d_name, suffix))
			continue;
		if (picked == max)
			r = -E2BIG;
		else if (asprintf(&paths[picked], "%s/%s", folder, entries[i]->d_name) < 0)
			r = -ENOMEM;
		else
			picked++;
	}
	if (r == 0)
		return (int)picked;
	while (picked > 0)
		free(paths[--picked]);
	return r;
}

int files_list(const char *folder, const char *suffix, unsigned max, char ***ret_paths,
	       unsigned *ret_count)
{
	struct dirent **entries = NULL;
	struct stat st;
	char **paths;
	int r, count;

	if (stat(folder, &st) < 0)
		return -errno;
	if (st.st_mode & S_IWOTH)
		return -EPERM;
	count = scandir(folder, &entries, NULL, compare_names);
	if (count < 0)
		return -errno;
	paths = calloc(max, sizeof(*paths));
	r = paths ? pick(entries, count, folder, suffix, max, paths) : -ENOMEM;
	while (count > 0)
		free(entries[--count]);
	free(entries);
	if (r < 0) {
		free(paths);
		return r;
	}
	*ret_paths = paths;
	*ret_count = (unsigned)r;
	return 0;
}
