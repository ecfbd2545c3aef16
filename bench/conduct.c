/*
 * Runs clients (driver.h) and measures them: how long they take together, and what they and the
 * processes that work for them, the broker's or a proxy's, use meanwhile.
 *
 *	conduct [-n CLIENTS] [-u UID [-b BADGES]] [-p PID]... [-s] [-r TIMES] [-a ACTS]
 *	        [-w SECONDS] COMMAND...
 *
 *	-n  so many at once
 *	-u  each as a user of its own, from UID on, of which there are BADGES
 *	-p  this process, and its children, work for them
 *	-s  their start counts as well
 *	-r  one after the other, so often; how long it takes is then the median
 *	-a  they have so many acts, each begun by a line and ended by one
 *	-w  look again after so long
 *
 * Prints a line "NAME VALUE" for each figure: wall and cpu in seconds (wall2 and cpu2 for
 * the second act), memory in KiB, and what the first client says in the end, as said1, said2 and so on.
 */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/lib/usage.h"

#define MOST 512

struct client {
	pid_t pid;
	FILE *in, *out; /* its standard input and output */
};

struct conductor {
	unsigned clients, times, acts, again_s;
	unsigned uid, badges; /* uid 0: our own */
	int start_counts;
	struct crowd servants; /* by -p; their children come and go */
	char **command;
	struct client client[MOST];
	double wall, cpu;
	char said[256];
};

static void die(const char *what)
{
	fprintf(stderr, "conduct: %s\n", what);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The command, and before it what makes it run as UID, if that is not 0. */
static char **command_as(const struct conductor *conductor, unsigned uid)
{
	static char setpriv[] = "setpriv", none[] = "--clear-groups", user[32], group[32];
	static char *argv[64];
	size_t n = 0;

	if (uid) {
		snprintf(user, sizeof(user), "--reuid=%u", uid);
		snprintf(group, sizeof(group), "--regid=%u", uid);
		argv[n++] = setpriv;
		argv[n++] = user;
		argv[n++] = group;
		argv[n++] = none;
	}
	for (size_t i = 0; conductor->command[i] && n < sizeof(argv) / sizeof(argv[0]) - 1; i++)
		argv[n++] = conductor->command[i];
	argv[n] = NULL;
	return argv;
}

static void start(struct conductor *conductor, unsigned i)
{
	struct client *client = &conductor->client[i];
	char **argv =
		command_as(conductor, conductor->uid ? conductor->uid + i % conductor->badges : 0);
	posix_spawn_file_actions_t actions;
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		die("no descriptors");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	if (posix_spawnp(&client->pid, argv[0], &actions, NULL, argv, environ) != 0)
		die("no process");
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	client->in = fdopen(in[1], "w");
	client->out = fdopen(out[0], "r");
	if (!client->in || !client->out)
		die("no memory");
}

/* The next line of each; kept is the first one's. */
static void hear_all(struct conductor *conductor)
{
	char line[sizeof(conductor->said)];

	for (unsigned i = 0; i < conductor->clients; i++) {
		if (!fgets(line, sizeof(line), conductor->client[i].out))
			die("a client failed");
		if (i == 0)
			memcpy(conductor->said, line, sizeof(line));
	}
}

static void end_all(struct conductor *conductor)
{
	int status;

	for (unsigned i = 0; i < conductor->clients; i++)
		fclose(conductor->client[i].in);
	for (unsigned i = 0; i < conductor->clients; i++) {
		if (waitpid(conductor->client[i].pid, &status, 0) < 0 || status != 0)
			die("a client failed in the end");
		fclose(conductor->client[i].out);
	}
}

/* All that is on the clients' side now. */
static const struct crowd *everybody(const struct conductor *conductor)
{
	static struct crowd crowd;

	crowd.count = 0;
	for (size_t i = 0; i < conductor->servants.count; i++)
		crowd_add_family(&crowd, conductor->servants.pids[i]);
	for (unsigned i = 0; i < conductor->clients && conductor->client[i].pid; i++)
		crowd_add(&crowd, conductor->client[i].pid);
	return &crowd;
}

static void print_footprint(const struct conductor *conductor, const char *when)
{
	struct footprint f = crowd_footprint(everybody(conductor));

	printf("mem%s %.0f\ntables%s %.0f\nkernel%s %.0f\n", when, f.kib, when, f.tables, when,
	       f.kernel);
	if (f.files >= 0)
		printf("files%s %.0f\n", when, f.files);
}

/* From now on clock and processor time count. */
static void begin(struct conductor *conductor)
{
	conductor->cpu = crowd_cpu(everybody(conductor));
	conductor->wall = now();
}

/* The act is over when each client has said so. */
static void finish(struct conductor *conductor)
{
	hear_all(conductor);
	conductor->wall = now() - conductor->wall;
	conductor->cpu = crowd_cpu(everybody(conductor)) - conductor->cpu;
}

static void cue_all(struct conductor *conductor)
{
	for (unsigned i = 0; i < conductor->clients; i++)
		if (fputc('\n', conductor->client[i].in) == EOF ||
		    fflush(conductor->client[i].in) != 0)
			die("a client has gone");
}

/* The first act, up to where everything is done but nothing has ended yet. */
static void perform(struct conductor *conductor)
{
	memset(conductor->client, 0, sizeof(conductor->client));
	if (conductor->start_counts)
		begin(conductor);
	for (unsigned i = 0; i < conductor->clients; i++)
		start(conductor, i);
	if (!conductor->start_counts) {
		hear_all(conductor);
		print_footprint(conductor, "_before");
		begin(conductor);
		cue_all(conductor);
	}
	finish(conductor);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* All performances; the last one's clients are still there. */
static void perform_often(struct conductor *conductor)
{
	double *wall = calloc(conductor->times, sizeof(*wall)), cpu = 0;

	if (!wall)
		die("no memory");
	for (unsigned i = 0; i < conductor->times; i++) {
		if (i > 0)
			end_all(conductor);
		perform(conductor);
		wall[i] = conductor->wall;
		cpu += conductor->cpu;
	}
	qsort(wall, conductor->times, sizeof(*wall), compare);
	printf("wall %.9f\ncpu %.9f\n", wall[conductor->times / 2], cpu / conductor->times);
	free(wall);
	for (unsigned i = 2; i <= conductor->acts; i++) {
		begin(conductor);
		cue_all(conductor);
		finish(conductor);
		printf("wall%u %.9f\ncpu%u %.9f\n", i, conductor->wall, i, conductor->cpu);
	}
}

/* After a while, in the later half of which is counted how often the servants woke up. */
static void look_again(const struct conductor *conductor)
{
	static struct crowd servants;
	unsigned half = conductor->again_s / 2;
	double switches;

	sleep(conductor->again_s - half);
	for (size_t i = 0; i < conductor->servants.count; i++)
		crowd_add_family(&servants, conductor->servants.pids[i]);
	switches = crowd_switches(&servants);
	sleep(half);
	printf("wakeups %.2f\n", (crowd_switches(&servants) - switches) / half);
	print_footprint(conductor, "_later");
}

static void usage(void)
{
	fprintf(stderr,
		"usage: conduct [-n CLIENTS] [-u UID [-b BADGES]] [-p PID]... [-s] [-r TIMES]\n"
		"               [-a ACTS] [-w SECONDS] COMMAND...\n");
	exit(2);
}

static void read_options(struct conductor *conductor, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "+n:u:b:p:sr:a:w:")) >= 0) {
		unsigned n = optarg ? (unsigned)strtoul(optarg, NULL, 10) : 0;

		if (option == 'n')
			conductor->clients = n;
		else if (option == 'u')
			conductor->uid = n;
		else if (option == 'b')
			conductor->badges = n;
		else if (option == 'p')
			conductor->servants.pids[conductor->servants.count++ % 16] = (pid_t)n;
		else if (option == 's')
			conductor->start_counts = 1;
		else if (option == 'r')
			conductor->times = n;
		else if (option == 'a')
			conductor->acts = n;
		else if (option == 'w')
			conductor->again_s = n;
		else
			usage();
	}
	conductor->command = argv + optind;
	if (optind == argc || conductor->clients < 1 || conductor->clients > MOST ||
	    conductor->times < 1 || conductor->badges < 1 || conductor->servants.count > 16)
		usage();
}

int main(int argc, char **argv)
{
	static struct conductor conductor = { .clients = 1, .times = 1, .acts = 1, .badges = 1 };
	unsigned said = 0;

	read_options(&conductor, argc, argv);
	signal(SIGPIPE, SIG_IGN);
	perform_often(&conductor);
	print_footprint(&conductor, "");
	for (char *rest = conductor.said, *word; (word = strsep(&rest, " \n"));)
		if (*word)
			printf("said%u %s\n", ++said, word);
	if (conductor.again_s > 1)
		look_again(&conductor);
	end_all(&conductor);
	return 0;
}
