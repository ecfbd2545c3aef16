/*
 * How long a fresh process takes from exec to its first byte of output: starts PROGRAM again and
 * again, one at a time, and prints the median and the 99th percentile in µs.
 *
 *	spawn COUNT PROGRAM [ARGUMENT...]
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* One start; -1 when the program did not write, or failed. */
static double measure(char **argv)
{
	posix_spawn_file_actions_t actions;
	double start, took = -1;
	int out[2], status;
	char byte;
	pid_t pid;

	if (pipe(out) < 0)
		return -1;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, out[0]);
	posix_spawn_file_actions_addclose(&actions, out[1]);
	start = now_us();
	if (posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) == 0) {
		close(out[1]);
		if (read(out[0], &byte, 1) == 1)
			took = now_us() - start;
		if (waitpid(pid, &status, 0) != pid || status != 0)
			took = -1;
	} else {
		close(out[1]);
	}
	posix_spawn_file_actions_destroy(&actions);
	close(out[0]);
	return took;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	unsigned count = argc > 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	double *took;

	if (count == 0 || !(took = calloc(count, sizeof(*took)))) {
		fprintf(stderr, "usage: spawn COUNT PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	for (unsigned i = 0; i < count; i++) {
		took[i] = measure(argv + 2);
		if (took[i] < 0) {
			fprintf(stderr, "spawn: %s failed\n", argv[2]);
			return 1;
		}
	}
	qsort(took, count, sizeof(*took), compare);
	printf("%.1f %.1f\n", took[count / 2], took[count - 1 - count / 100]);
	free(took);
	return 0;
}
