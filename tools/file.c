#include "tools/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int file_read(const char *path, size_t max, struct file *ret)
{
	FILE *file = path ? fopen(path, "re") : stdin;
	int error = 0;

	if (!file)
		return errno;
	setvbuf(file, NULL, _IONBF, 0); /* no copy of what may be a key */
	ret->data = malloc(max + 1);
	if (ret->data)
		ret->len = fread(ret->data, 1, max + 1, file);
	if (!ret->data || ferror(file))
		error = errno;
	if (path)
		fclose(file);
	return error;
}

void file_forget(struct file *file)
{
	if (file->data)
		explicit_bzero(file->data, file->len);
	free(file->data);
}
