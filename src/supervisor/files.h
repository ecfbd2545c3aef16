/*
 * Reading the administrator's files, so that the other roles need not: bounded, regular files only,
 * and told apart by what stat(2) says of them.
 */
#ifndef TLSB_SUPERVISOR_FILES_H
#define TLSB_SUPERVISOR_FILES_H

#include <stddef.h>
#include <sys/stat.h>

/* Which file, in which version; all zero: there is none. */
struct file_mark {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
	struct timespec ctime; /* what is copied with its time is told apart by this */
};

/* What is at PATH now. */
struct file_mark files_mark(const char *path);

int files_same(const struct file_mark *a, const struct file_mark *b);

/*
 * Read the whole file, and a NUL behind it that is not counted.  The caller frees *ret_data.
 * -EINVAL: no regular file.  -EFBIG: more than MAX bytes.  0 or -errno.
 */
int files_read(const char *path, size_t max, char **ret_data, size_t *ret_len,
	       struct file_mark *ret_mark);

/*
 * The same for what decides who may do what: -EPERM when everybody may write to it.
 */
int files_read_private(const char *path, size_t max, char **ret_data, size_t *ret_len,
		       struct file_mark *ret_mark);

/*
 * The files of FOLDER whose names end in SUFFIX and do not begin with a dot, with the folder in
 * front, sorted by bytes.  The caller frees the *ret_count names, and *ret_paths.  -E2BIG: more than
 * MAX.  -EPERM: everybody may write to the folder.  0 or -errno.
 */
int files_list(const char *folder, const char *suffix, unsigned max, char ***ret_paths,
	       unsigned *ret_count);

#endif
