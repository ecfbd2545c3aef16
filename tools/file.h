/*
 * Files that are read as a whole: certificates and keys.
 */
#ifndef TLSB_TOOLS_FILE_H
#define TLSB_TOOLS_FILE_H

#include <stddef.h>

struct file {
	char *data;
	size_t len;
};

/*
 * Up to MAX bytes, and one more if there are more: the library says that it is too much.  It may be a pipe:
 * --ca <(command); NULL is standard input.  0, or an errno.  For file_forget() in either case.
 */
int file_read(const char *path, size_t max, struct file *ret);

/* It may have been a private key: it is overwritten.  { NULL, 0 } is fine. */
void file_forget(struct file *file);

#endif
