/*
 * Finding the broker's socket, and waiting for a place in its queue.
 */
#include "testing.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "wire/reach.h"

struct place {
	char folder[64], own[96], path[128]; /* the user's folder, the broker's in it, its socket */
	int listener;
};

static void place_init(struct place *place, int backlog)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	strcpy(place->folder, "/tmp/tlsbroker-reach.XXXXXX");
	assert_non_null(mkdtemp(place->folder));
	snprintf(place->own, sizeof(place->own), "%s/tlsbroker", place->folder);
	snprintf(place->path, sizeof(place->path), "%s/tlsbroker.sock", place->own);
	assert_int_equal(mkdir(place->own, 0700), 0);
	text_copy(name.sun_path, sizeof(name.sun_path), place->path);
	place->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(place->listener, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(place->listener, backlog), 0);
}

static void place_deinit(struct place *place)
{
	fd_close(place->listener);
	unlink(place->path);
	rmdir(place->own);
	assert_int_equal(rmdir(place->folder), 0);
}

static void expect_reached(const char *path, const char *where)
{
	struct sockaddr_un address;
	int fd = reach_broker(path, &address);

	assert_true(fd >= 0);
	assert_string_equal(address.sun_path, where);
	close(fd);
}

static void the_socket_is_the_named_one_or_the_users_own(void **state unused_)
{
	struct sockaddr_un address;
	struct place place;
	char much[200];

	place_init(&place, 8);
	unsetenv("TLSBROKER_SOCKET");
	setenv("XDG_RUNTIME_DIR", place.folder, 1);
	expect_reached(NULL, place.path);
	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	expect_reached(place.path, place.path);
	setenv("TLSBROKER_SOCKET", place.path, 1);
	expect_reached(NULL, place.path);
	assert_int_equal(reach_broker("/nonexistent/socket", &address), -ENOENT);
	assert_string_equal(address.sun_path, "/nonexistent/socket");
	assert_int_equal(reach_broker("", &address), -ENOENT);
	unsetenv("TLSBROKER_SOCKET");
	memset(much, 'x', sizeof(much) - 1);
	much[0] = '/';
	much[sizeof(much) - 1] = '\0';
	assert_int_equal(reach_broker(much, &address), -ENAMETOOLONG);
	/* A broker of one's own that has gone is worth more than the system's that never was. */
	close(place.listener);
	place.listener = -1;
	setenv("XDG_RUNTIME_DIR", place.folder, 1);
	if (access("/run/tlsbroker/tlsbroker.sock", F_OK) < 0) {
		assert_int_equal(reach_broker(NULL, &address), -ECONNREFUSED);
		assert_string_equal(address.sun_path, place.path);
	}
	/* A user's own folder that cannot be used is said, and not passed over. */
	setenv("XDG_RUNTIME_DIR", much, 1);
	assert_int_equal(reach_broker(NULL, &address), -ENAMETOOLONG);
	unsetenv("XDG_RUNTIME_DIR");
	place_deinit(&place);
}

/* Whoever is in it already. */
static int fill(const struct place *place, int fds[8])
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int count = 0;

	text_copy(name.sun_path, sizeof(name.sun_path), place->path);
	for (; count < 8; count++) {
		fds[count] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(fds[count], (struct sockaddr *)&name, sizeof(name)) < 0) {
			assert_int_equal(errno, EAGAIN);
			close(fds[count]);
			return count;
		}
	}
	fail_msg("the queue has no end");
	return count;
}

static void on_alarm(int number unused_)
{
}

static void a_full_queue_is_waited_for_a_second_whatever_signals_come(void **state unused_)
{
	const struct itimerval often = { { 0, 100000 }, { 0, 100000 } }, never = { { 0, 0 }, { 0, 0 } };
	const struct sigaction act = { .sa_handler = on_alarm }; /* and calls are not restarted */
	struct sockaddr_un address;
	struct place place;
	uint64_t began;
	int fds[8], count, fd;

	place_init(&place, 1);
	count = fill(&place, fds);
	for (int signals = 0; signals < 2; signals++) {
		if (signals) {
			sigaction(SIGALRM, &act, NULL);
			setitimer(ITIMER_REAL, &often, NULL);
		}
		began = clock_ms();
		fd = reach_broker(place.path, &address);
		setitimer(ITIMER_REAL, &never, NULL);
		assert_int_equal(fd, -EAGAIN);
		assert_in_range(clock_ms() - began, 900, 20000);
	}
	signal(SIGALRM, SIG_DFL);
	alarm(TESTING_SECONDS); /* it is the same timer */
	fd_close(accept4(place.listener, NULL, NULL, SOCK_CLOEXEC));
	expect_reached(place.path, place.path);
	while (count > 0)
		close(fds[--count]);
	place_deinit(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_socket_is_the_named_one_or_the_users_own),
		TEST(a_full_queue_is_waited_for_a_second_whatever_signals_come),
	};

	return testing_run(tests);
}
