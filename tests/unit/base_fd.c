/*
 * Descriptors have one owner; sealed memory stays what it was.
 */
#include "testing.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"

static void closes_and_forgets(void **state unused_)
{
	int fd = dup(STDIN_FILENO), number = fd;

	errno = EPROTO;
	fd = fd_close(fd);
	assert_int_equal(fd, -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(fcntl(number, F_GETFD), -1);
	errno = EPROTO;
	assert_int_equal(fd_close(-1), -1);
	assert_int_equal(errno, EPROTO);
}

static int open_and_give(void)
{
	cleanup_close_ int fd = dup(STDIN_FILENO);

	return fd_steal(&fd);
}

static int open_and_drop(void)
{
	cleanup_close_ int fd = dup(STDIN_FILENO);

	return fd;
}

static void closes_at_the_end_of_the_scope_unless_stolen(void **state unused_)
{
	int fd = open_and_give();

	assert_int_not_equal(fcntl(fd, F_GETFD), -1);
	close(fd);
	assert_int_equal(fcntl(open_and_drop(), F_GETFD), -1);
}

static void makes_pairs_that_neither_block_nor_survive_exec(void **state unused_)
{
	int pair[2], type = 0;
	socklen_t len = sizeof(type);

	assert_int_equal(fd_seqpacket_pair(pair), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(getsockopt(pair[i], SOL_SOCKET, SO_TYPE, &type, &len), 0);
		assert_int_equal(type, SOCK_SEQPACKET);
		assert_int_equal(fcntl(pair[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		assert_int_equal(fcntl(pair[i], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
		close(pair[i]);
	}
}

static void seals_a_copy_against_every_change(void **state unused_)
{
	const char text[] = "what the administrator wrote";
	cleanup_close_ int fd = -1;
	cleanup_free_ char *back = NULL;
	size_t len = 0;

	assert_int_equal(fd_sealed_copy("test", text, sizeof(text), &fd), 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(ftruncate(fd, 1000), -1);
	assert_ptr_equal(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
	assert_int_equal(fd_read_all(fd, 1000, &back, &len), 0);
	assert_int_equal(len, sizeof(text));
	assert_memory_equal(back, text, len);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void seals_a_size_but_not_its_bytes(void **state unused_)
{
	cleanup_close_ int fd = -1;
	struct stat st;

	assert_int_equal(fd_sealed_size("test", 10000, &fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 10000);
	assert_int_equal(pwrite(fd, "x", 1, 9999), 1);
	assert_int_equal(pwrite(fd, "x", 1, 10000), -1);
	assert_int_equal(ftruncate(fd, 9999), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

static void read_back(size_t size, size_t max, int expected)
{
	cleanup_close_ int fd = -1;
	cleanup_free_ char *back = NULL;
	size_t len = 4711;

	assert_int_equal(fd_sealed_size("test", size, &fd), 0);
	if (size > 0)
		assert_int_equal(pwrite(fd, "z", 1, (off_t)size - 1), 1);
	assert_int_equal(lseek(fd, (off_t)size / 2, SEEK_SET), (off_t)size / 2); /* is not used */
	assert_int_equal(fd_read_all(fd, max, &back, &len), expected);
	if (expected < 0) {
		assert_null(back);
		assert_int_equal(len, 4711);
		return;
	}
	assert_int_equal(len, size);
	assert_int_equal(back[size], '\0');
	if (size > 0)
		assert_int_equal(back[size - 1], 'z');
}

static void reads_whole_files_up_to_a_limit(void **state unused_)
{
	const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 8192, 100000 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		read_back(sizes[i], sizes[i], 0);
		read_back(sizes[i], 1000000, 0);
		if (sizes[i] > 0)
			read_back(sizes[i], sizes[i] - 1, -EFBIG);
	}
}

static void says_why_it_cannot_read(void **state unused_)
{
	char *data = NULL;
	size_t len;
	int pair[2];

	assert_int_equal(fd_read_all(-1, 100, &data, &len), -EBADF);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	assert_int_equal(fd_read_all(pair[0], 100, &data, &len), -ESPIPE);
	assert_null(data);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(closes_and_forgets),
		TEST(closes_at_the_end_of_the_scope_unless_stolen),
		TEST(makes_pairs_that_neither_block_nor_survive_exec),
		TEST(seals_a_copy_against_every_change),
		TEST(seals_a_size_but_not_its_bytes),
		TEST(reads_whole_files_up_to_a_limit),
		TEST(says_why_it_cannot_read),
	};

	return testing_run(tests);
}
