/*
 * What the supervisor reads for the others: the trust bundle, the hosts file, resolv.conf.
 */
#include "testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "supervisor/files.h"
#include "supervisor/trustfile.h"

struct place {
	char folder[64], path[96];
};

static struct place make_place(void)
{
	struct place place;

	strcpy(place.folder, "/tmp/tlsbroker-files.XXXXXX");
	assert_non_null(mkdtemp(place.folder));
	snprintf(place.path, sizeof(place.path), "%s/file", place.folder);
	return place;
}

static void remove_place(const struct place *place)
{
	unlink(place->path);
	assert_int_equal(rmdir(place->folder), 0);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void files_that_are_no_files_are_refused(void **state unused_)
{
	struct place place = make_place();
	struct file_mark mark;
	char *data;
	size_t len;

	assert_int_equal(files_read(place.path, 10, &data, &len, &mark), -ENOENT);
	assert_int_equal(files_read(place.folder, 10, &data, &len, &mark), -EINVAL);
	assert_int_equal(mkfifo(place.path, 0600), 0); /* which nobody writes to: must not wait */
	assert_int_equal(files_read(place.path, 10, &data, &len, &mark), -EINVAL);
	remove_place(&place);
}

static void files_are_read_up_to_their_limit(void **state unused_)
{
	struct place place = make_place();
	struct file_mark mark;
	char *data;
	size_t len;

	write_file(place.path, "0123456789");
	assert_int_equal(files_read(place.path, 9, &data, &len, &mark), -EFBIG);
	assert_int_equal(files_read(place.path, 10, &data, &len, &mark), 0);
	assert_int_equal(len, 10);
	assert_string_equal(data, "0123456789");
	free(data);
	remove_place(&place);
}

static void files_are_told_apart_from_their_earlier_selves(void **state unused_)
{
	struct place place = make_place();
	struct file_mark none = files_mark(place.path), first, second;
	char other[128];

	write_file(place.path, "a");
	first = files_mark(place.path);
	assert_false(files_same(&none, &first));
	second = files_mark(place.path);
	assert_true(files_same(&first, &second));
	write_file(place.path, "ab");
	second = files_mark(place.path);
	assert_false(files_same(&first, &second));
	snprintf(other, sizeof(other), "%s.new", place.path);
	write_file(other, "ab");
	assert_int_equal(rename(other, place.path), 0);
	first = files_mark(place.path);
	assert_false(files_same(&first, &second));
	remove_place(&place);
}

static void touch_in(const char *folder, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	write_file(path, "x");
}

static void folders_are_listed_in_order(void **state unused_)
{
	static const char *const names[] = { "9.conf", "10.conf", "B.conf", "a.conf", ".conf",
					     ".x.conf", "a.conf~", "conf" };
	static const char *const listed[] = { "/10.conf", "/9.conf", "/B.conf", "/a.conf" };
	struct place place = make_place();
	char **paths, path[160];
	unsigned count;

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		touch_in(place.folder, names[i]);
	assert_int_equal(files_list(place.folder, ".conf", 3, &paths, &count), -E2BIG);
	assert_int_equal(files_list(place.folder, ".conf", 4, &paths, &count), 0);
	assert_int_equal(count, ARRAY_SIZE(listed));
	for (unsigned i = 0; i < count; i++) {
		assert_string_equal(paths[i] + strlen(place.folder), listed[i]);
		free(paths[i]);
	}
	free(paths);
	assert_int_equal(chmod(place.folder, 0777), 0);
	assert_int_equal(files_list(place.folder, ".conf", 4, &paths, &count), -EPERM);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", place.folder, names[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(place.folder), 0);
	assert_int_equal(files_list(place.folder, ".conf", 4, &paths, &count), -ENOENT);
}

static void bad_trust_file_leaves_the_old_index(void **state unused_)
{
	struct place place = make_place();
	struct trustfile trust = { .path = place.path, .fd = -1 };
	struct failure failure;

	/* Never loaded: stands for an index that is there. */
	assert_int_equal(fd_sealed_copy("test", "index", 5, &trust.fd), 0);
	trust.generation = 3;
	assert_int_equal(trustfile_load(&trust, &failure), -ENOENT);
	assert_non_null(strstr(failure.text, place.path));
	write_file(place.path, "");
	assert_int_equal(trustfile_load(&trust, &failure), -EINVAL);
	assert_non_null(strstr(failure.text, "no usable CA certificate"));
	write_file(place.path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	assert_int_equal(trustfile_load(&trust, &failure), -EINVAL);
	assert_int_equal(trust.generation, 3);
	assert_true(trust.fd >= 0);
	fd_close(trust.fd);
	remove_place(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_that_are_no_files_are_refused),
		TEST(files_are_read_up_to_their_limit),
		TEST(files_are_told_apart_from_their_earlier_selves),
		TEST(folders_are_listed_in_order),
		TEST(bad_trust_file_leaves_the_old_index),
	};

	return testing_run(tests);
}
