/* See usage.h.  A process that has gone meanwhile has used nothing. */
#include "bench/lib/usage.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void each_fn(const char *name, void *arg);

/* The entries of a folder that are numbers; 0 when there is no such folder for us. */
static int each_number(const char *path, each_fn *each, void *arg)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
			each(entry->d_name, arg);
	closedir(dir);
	return 1;
}

static pid_t parent_of(const char *pid)
{
	char path[64], line[512], *end;
	FILE *file;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fgets(line, sizeof(line), file) && (end = strrchr(line, ')')))
		parent = (int)strtol(end + 4, NULL, 10); /* behind ") S " */
	fclose(file);
	return parent;
}

struct search {
	struct crowd *crowd;
	pid_t parent;
};

static void look_at(const char *name, void *arg)
{
	struct search *search = arg;

	if (parent_of(name) == search->parent)
		crowd_add_family(search->crowd, (pid_t)strtol(name, NULL, 10));
}

void crowd_add(struct crowd *crowd, pid_t pid)
{
	if (crowd->count < sizeof(crowd->pids) / sizeof(crowd->pids[0]))
		crowd->pids[crowd->count++] = pid;
}

void crowd_add_family(struct crowd *crowd, pid_t pid)
{
	struct search search = { .crowd = crowd, .parent = pid };

	crowd_add(crowd, pid);
	each_number("/proc", look_at, &search);
}

double crowd_cpu(const struct crowd *crowd)
{
	struct timespec ts;
	double sum = 0;
	clockid_t clock;

	for (size_t i = 0; i < crowd->count; i++)
		if (clock_getcpuclockid(crowd->pids[i], &clock) == 0 &&
		    clock_gettime(clock, &ts) == 0)
			sum += (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
	return sum;
}

/* The number behind NAME in a file of such lines, of all such lines; -1 without the file. */
static double sum_of(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	char line[256];
	double sum = 0;

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, name, strlen(name)) == 0)
			sum += strtod(line + strlen(name), NULL);
	fclose(file);
	return sum;
}

struct thread {
	pid_t pid;
	double sum;
};

static void add_switches(const char *name, void *arg)
{
	struct thread *thread = arg;
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", (int)thread->pid, name);
	thread->sum += sum_of(path, "voluntary_ctxt_switches:") +
		       sum_of(path, "nonvoluntary_ctxt_switches:");
}

double crowd_switches(const struct crowd *crowd)
{
	struct thread thread = { .sum = 0 };
	char path[64];

	for (size_t i = 0; i < crowd->count; i++) {
		thread.pid = crowd->pids[i];
		snprintf(path, sizeof(path), "/proc/%d/task", (int)thread.pid);
		each_number(path, add_switches, &thread);
	}
	return thread.sum;
}

static void add_one(const char *name, void *arg)
{
	(void)name;
	*(double *)arg += 1;
}

/* KiB of one process; what it shares with its like goes to *shared when it cannot be told whose it is. */
static double memory_of(pid_t pid, double *shared)
{
	char path[64];
	double pss, shmem;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	pss = sum_of(path, "Pss:");
	if (pss > 0)
		return pss;
	/* Not for our eyes.  A worker maps all that its clients do, so the largest of these is all. */
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	shmem = sum_of(path, "RssShmem:");
	*shared = shmem > *shared ? shmem : *shared;
	return sum_of(path, "RssAnon:");
}

struct footprint crowd_footprint(const struct crowd *crowd)
{
	struct footprint sum = { .kernel = sum_of("/proc/meminfo", "Slab:") +
					   sum_of("/proc/meminfo", "KernelStack:") +
					   sum_of("/proc/meminfo", "PageTables:") };
	double shared = 0, files = 0;
	char path[64];

	for (size_t i = 0; i < crowd->count; i++) {
		snprintf(path, sizeof(path), "/proc/%d/fd", (int)crowd->pids[i]);
		if (!each_number(path, add_one, &files))
			sum.files = -1;
		snprintf(path, sizeof(path), "/proc/%d/status", (int)crowd->pids[i]);
		sum.tables += sum_of(path, "VmPTE:");
		sum.kib += memory_of(crowd->pids[i], &shared);
	}
	sum.kib += shared;
	sum.files = sum.files < 0 ? -1 : files;
	return sum;
}
