#include "supervisor/files.h"

#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"

static struct file_mark mark_from(const struct stat *st)
{
	return (struct file_mark){ st->st_dev, st->st_ino, st->st_size, st->st_mtim };
}

struct file_mark files_mark(const char *path)
{
	struct stat st;

	if (fstatat(AT_FDCWD, path, &st, 0) < 0)
		return (struct file_mark){ 0 };
	return mark_from(&st);
}

int files_same(const struct file_mark *a, const struct file_mark *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

int files_read(const char *path, size_t max, char **ret_data, size_t *ret_len,
	       struct file_mark *ret_mark)
{
	/* O_NONBLOCK: a FIFO with that name must not stop the daemon. */
	cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	r = fd_read_all(fd, max, ret_data, ret_len);
	if (r == 0)
		*ret_mark = mark_from(&st);
	return r;
}
