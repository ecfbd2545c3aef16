/*
 * The socket's path: what may be there already, and what becomes of it.
 */
#include "testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/text.h"
#include "supervisor/listener.h"

struct place {
	char folder[64], path[96];
};

static struct place make_place(void)
{
	struct place place;

	strcpy(place.folder, "/tmp/tlsbroker-listener.XXXXXX");
	assert_non_null(mkdtemp(place.folder));
	snprintf(place.path, sizeof(place.path), "%s/s.sock", place.folder);
	return place;
}

static void remove_place(const struct place *place)
{
	unlink(place->path);
	assert_int_equal(rmdir(place->folder), 0);
}

static int open_at(const char *path, struct listener *listener, struct failure *failure)
{
	const struct identity self = { getuid(), getgid() };

	failure->text[0] = '\0';
	return listener_open(listener, path, 0755, &self, failure);
}

/* A socket of TYPE bound at PATH; when it is closed, its file stays. */
static int squat(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	text_copy(address.sun_path, sizeof(address.sun_path), path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void listener_makes_its_folder_and_socket_for_everybody(void **state unused_)
{
	struct place place = make_place();
	struct listener listener;
	struct failure failure;
	struct stat st;
	mode_t mask = umask(077);

	assert_int_equal(rmdir(place.folder), 0);
	assert_int_equal(open_at(place.path, &listener, &failure), 0);
	umask(mask);
	assert_int_equal(stat(place.folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(stat(place.path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0666);
	listener_close(&listener);
	assert_int_equal(stat(place.path, &st), -1);
	remove_place(&place);
}

static void listener_replaces_a_dead_socket(void **state unused_)
{
	struct place place = make_place();
	struct listener listener;
	struct failure failure;

	fd_close(squat(place.path, SOCK_SEQPACKET));
	assert_int_equal(open_at(place.path, &listener, &failure), 0);
	listener_close(&listener);
	remove_place(&place);
}

static void listener_leaves_a_live_socket_alone(void **state unused_)
{
	struct place place = make_place();
	struct listener first, second;
	struct failure failure;
	struct stat before, after;

	assert_int_equal(open_at(place.path, &first, &failure), 0);
	assert_int_equal(stat(place.path, &before), 0);
	assert_int_equal(open_at(place.path, &second, &failure), -EADDRINUSE);
	assert_non_null(strstr(failure.text, "tlsbrokerd is already running"));
	/* The one that runs was not made to accept anybody. */
	assert_int_equal(accept4(first.fd, NULL, NULL, SOCK_NONBLOCK), -1);
	assert_int_equal(stat(place.path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	listener_close(&first);
	remove_place(&place);
}

static void listener_leaves_other_programs_alone(void **state unused_)
{
	struct place place = make_place();
	struct listener listener;
	struct failure failure;
	int fd = squat(place.path, SOCK_STREAM);

	assert_int_equal(open_at(place.path, &listener, &failure), -EADDRINUSE);
	assert_non_null(strstr(failure.text, "is another program's socket"));
	fd_close(fd);
	remove_place(&place);
}

static void listener_never_touches_what_is_no_socket(void **state unused_)
{
	struct place place = make_place();
	struct listener listener;
	struct failure failure;
	struct stat st;
	char dead[128];

	fd_close(open(place.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(open_at(place.path, &listener, &failure), -EEXIST);
	assert_int_equal(lstat(place.path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	unlink(place.path);

	/* A symbolic link, even to a socket that nobody listens on. */
	snprintf(dead, sizeof(dead), "%s/dead", place.folder);
	fd_close(squat(dead, SOCK_SEQPACKET));
	assert_int_equal(symlink(dead, place.path), 0);
	assert_int_equal(open_at(place.path, &listener, &failure), -EEXIST);
	assert_int_equal(lstat(place.path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(lstat(dead, &st), 0);
	unlink(dead);
	remove_place(&place);
}

static void listener_refuses_a_folder_that_anybody_can_write(void **state unused_)
{
	struct place place = make_place();
	struct listener listener;
	struct failure failure;

	assert_int_equal(chmod(place.folder, 0777), 0);
	assert_int_equal(open_at(place.path, &listener, &failure), -EPERM);
	assert_non_null(strstr(failure.text, "anybody can write there"));
	assert_int_equal(chmod(place.folder, 01777), 0);
	assert_int_equal(open_at(place.path, &listener, &failure), 0);
	listener_close(&listener);
	remove_place(&place);
}

static void listener_refuses_a_path_that_is_too_long(void **state unused_)
{
	struct listener listener;
	struct failure failure;
	char path[109];

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(open_at(path, &listener, &failure), -ENAMETOOLONG);
}

static void listener_removes_only_its_own_socket(void **state unused_)
{
	struct place place = make_place();
	struct listener listener;
	struct failure failure;
	struct stat st;
	int other;

	assert_int_equal(open_at(place.path, &listener, &failure), 0);
	assert_int_equal(unlink(place.path), 0);
	other = squat(place.path, SOCK_SEQPACKET);
	listener_close(&listener);
	assert_int_equal(stat(place.path, &st), 0);
	fd_close(other);
	remove_place(&place);
}

static void listener_takes_a_path_without_folder(void **state unused_)
{
	struct place place = make_place();
	char *before = getcwd(NULL, 0);
	struct listener listener;
	struct failure failure;

	assert_int_equal(chdir(place.folder), 0);
	assert_int_equal(open_at("s.sock", &listener, &failure), 0);
	listener_close(&listener);
	assert_int_equal(chdir(before), 0);
	free(before);
	remove_place(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(listener_makes_its_folder_and_socket_for_everybody),
		TEST(listener_replaces_a_dead_socket),
		TEST(listener_leaves_a_live_socket_alone),
		TEST(listener_leaves_other_programs_alone),
		TEST(listener_never_touches_what_is_no_socket),
		TEST(listener_refuses_a_folder_that_anybody_can_write),
		TEST(listener_refuses_a_path_that_is_too_long),
		TEST(listener_removes_only_its_own_socket),
		TEST(listener_takes_a_path_without_folder),
	};

	return testing_run(tests);
}
