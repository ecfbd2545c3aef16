/*
 * corral SECONDS COMMAND...: run a test and prove that it leaves no process behind.
 *
 * Becomes the reaper of every descendant (PR_SET_CHILD_SUBREAPER), so that daemons, their children
 * and whatever detached itself end up here.  When the command has ended, descendants get ten seconds
 * to end as well; those that have not are named, killed, and the exit status is 99.  When the time
 * is over everything is killed and the status is 98.  Otherwise it is the command's.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATUS_TIME     98
#define STATUS_LEFTOVER 99
#define GRACE_MS        10000

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Do something with each direct child: all orphans below become direct children in time. */
static int each_child(void (*visit)(pid_t pid))
{
	char path[64];
	FILE *file;
	int pid, count = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fscanf(file, "%d", &pid) == 1) {
		visit(pid);
		count++;
	}
	fclose(file);
	return count;
}

static void name_it(pid_t pid)
{
	char path[64], line[256];
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	file = fopen(path, "re");
	len = file ? fread(line, 1, sizeof(line) - 1, file) : 0;
	if (file)
		fclose(file);
	for (size_t i = 0; i < len; i++)
		if (line[i] == 0)
			line[i] = ' ';
	line[len] = 0;
	fprintf(stderr, "corral: still there: %d %s\n", (int)pid, line);
}

static void kill_it(pid_t pid)
{
	kill(pid, SIGKILL);
}

/* Reap until nothing is left (1) or until DEADLINE (0); notes how MAIN ended. */
static int reap(pid_t main_pid, long long deadline, int *main_status, int *main_ended)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid < 0 && errno == ECHILD)
			return 1;
		if (pid > 0 && pid == main_pid) {
			*main_status = status;
			*main_ended = 1;
			return 1;
		}
		if (pid > 0)
			continue;
		if (now_ms() >= deadline)
			return 0;
		usleep(5000);
	}
}

static void kill_all(void)
{
	/* Killing a parent gives us its children: again until there are none. */
	for (int i = 0; i < 1000 && each_child(kill_it) > 0; i++) {
		usleep(2000);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

int main(int argc, char **argv)
{
	int status = 0, ended = 0, left;
	long long limit;
	pid_t pid;

	if (argc < 3) {
		fprintf(stderr, "usage: corral SECONDS COMMAND...\n");
		return 2;
	}
	limit = now_ms() + atoll(argv[1]) * 1000;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (pid < 0)
		return 2;
	if (pid == 0) {
		/* What whoever started us has left open is not the test's. */
		close_range(STDERR_FILENO + 1, ~0u, 0);
		execvp(argv[2], argv + 2);
		fprintf(stderr, "corral: %s: %s\n", argv[2], strerror(errno));
		_exit(127);
	}
	if (!reap(pid, limit, &status, &ended)) {
		fprintf(stderr, "corral: not done after %s s\n", argv[1]);
		each_child(name_it);
		kill_all();
		return STATUS_TIME;
	}
	left = !reap(0, now_ms() + GRACE_MS, &status, &ended);
	if (left) {
		each_child(name_it);
		kill_all();
		return STATUS_LEFTOVER;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
