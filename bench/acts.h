/*
 * What the clients do: a function for each test that driver.h names.  Everything is opened before
 * be_ready(), and closed behind wait_for_end(), so that only the work itself is measured.
 */
#ifndef TLSB_BENCH_ACTS_H
#define TLSB_BENCH_ACTS_H

struct bulk {
	enum work_kind kind;
	size_t chunk;
	int touch;
};

/* One step of a transfer; returns how many bytes it moved. */
static size_t move(struct link *link, const struct bulk *bulk, uint64_t left)
{
	size_t len = min_size(left, bulk->chunk);

	if (bulk->touch)
		return bulk->kind == WORK_SOURCE ? link_use(link, len, use_words) :
						   link_make(link, len, make_words);
	if (bulk->kind == WORK_SOURCE)
		return link_read(link, buffer, len);
	link_write(link, buffer, len);
	return len;
}

static void transfer(struct link **links, unsigned sessions, const struct bulk *bulk,
		     uint64_t bytes)
{
	uint64_t *left = calloc(sessions, sizeof(*left));
	char byte;

	if (!left || bytes < sessions)
		die("no memory, or nothing to do");
	for (unsigned i = 0; i < sessions; i++)
		ask(links[i], bulk->kind, left[i] = bytes / sessions);
	for (unsigned busy = sessions; busy > 0;)
		for (unsigned i = 0; i < sessions; i++) {
			if (left[i] == 0)
				continue;
			left[i] -= move(links[i], bulk, left[i]);
			busy -= left[i] == 0;
		}
	for (unsigned i = 0; i < sessions && bulk->kind == WORK_SINK; i++)
		read_all(links[i], &byte, 1);
	free(left);
}

static void run_bulk(struct backend *backend, char **args)
{
	const struct bulk bulk = { .kind = strcmp(args[0], "up") == 0 ? WORK_SINK : WORK_SOURCE,
				   .chunk = min_size(number(args[2]), LARGEST),
				   .touch = strcmp(args[4], "touch") == 0 };
	unsigned sessions = (unsigned)number(args[3]);
	struct link **links = visit_often(backend, sessions);

	be_ready();
	transfer(links, sessions, &bulk, number(args[1]));
	say(used == 1 ? "1" : ""); /* so that nobody skips the sum */
	wait_for_end();
	leave_all(links, sessions);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* All sessions at once; what each took to TOOK. */
static void ping_all(struct link **links, unsigned sessions, size_t len, double *took)
{
	for (unsigned i = 0; i < sessions; i++) {
		took[i] = now();
		link_write(links[i], buffer, len);
	}
	for (unsigned i = 0; i < sessions; i++) {
		read_all(links[i], buffer, len);
		took[i] = (now() - took[i]) * 1e6;
	}
}

static void run_ping(struct backend *backend, char **args)
{
	size_t len = min_size(number(args[1]), LARGEST);
	unsigned sessions = (unsigned)number(args[2]);
	struct link **links = visit_often(backend, sessions);
	unsigned rounds = (unsigned)number(args[0]) / sessions + 1, warm = 100 / sessions + 1;
	unsigned count = rounds * sessions;
	double *took = calloc(count, sizeof(*took));

	if (!took)
		die("no memory");
	for (unsigned i = 0; i < sessions; i++)
		ask(links[i], WORK_ECHO, (uint64_t)(rounds + warm) * len);
	for (unsigned i = 0; i < warm; i++)
		ping_all(links, sessions, len, took);
	be_ready();
	for (unsigned i = 0; i < rounds; i++)
		ping_all(links, sessions, len, took + (size_t)i * sessions);
	qsort(took, count, sizeof(*took), compare);
	printf("%.3f %.3f %.3f\n", took[count / 2], took[count - 1 - count / 100],
	       took[count - 1 - count / 1000]);
	fflush(stdout);
	wait_for_end();
	leave_all(links, sessions);
	free(took);
}

/* Takes one handshake. */
static struct tally tally(struct backend *backend)
{
	struct link *link = link_new(backend);
	struct tally tally;

	ask(link, WORK_TALLY, sizeof(tally));
	read_all(link, &tally, sizeof(tally));
	link_free(link);
	return tally;
}

static void run_shake(struct backend *backend, unsigned count)
{
	struct tally before, after;

	link_free(visit(backend)); /* the first one can never be resumed */
	before = tally(backend);
	be_ready();
	for (unsigned i = 1; i < count; i++)
		link_free(visit(backend));
	after = tally(backend);
	printf("%.1f\n", 100.0 * (double)(after.resumed - before.resumed) /
				 (double)(after.handshakes - before.handshakes));
	fflush(stdout);
	wait_for_end();
}

static void run_grow(struct backend *backend, char **args)
{
	static const struct bulk bulk = { .kind = WORK_SOURCE, .chunk = WORK_BYTES };
	unsigned count = (unsigned)number(args[1]), open = (unsigned)number(args[2]);
	struct link **others = visit_often(backend, open + 1), **link = &others[open];

	be_ready();
	transfer(link, 1, &bulk, number(args[0]));
	say("");
	wait_for_start();
	for (unsigned i = 0; i < count; i++)
		link_free(visit(backend));
	say("");
	wait_for_end();
	leave_all(others, open + 1);
}

/* As many visits at once as there is room for in LINKS. */
static void visit_together(struct backend *backend, struct link **links, unsigned sessions)
{
	for (unsigned i = 0; i < sessions; i++)
		links[i] = link_begin(backend, 0);
	for (unsigned i = 0; i < sessions; i++) {
		link_finish(links[i]);
		ask(links[i], WORK_ECHO, sizeof(packet));
		send_packet(links[i]);
	}
	for (unsigned i = 0; i < sessions; i++) {
		receive_packet(links[i]);
		link_free(links[i]);
	}
}

static void run_many(struct backend *backend, char **args)
{
	static const struct bulk down = { .kind = WORK_SOURCE, .chunk = WORK_BYTES },
				 up = { .kind = WORK_SINK, .chunk = WORK_BYTES };
	unsigned count = (unsigned)number(args[1]), sessions = (unsigned)number(args[2]);
	struct link **links = visit_often(backend, sessions);
	struct link **others = calloc(sessions, sizeof(struct link *));

	if (!others)
		die("no memory");
	be_ready();
	transfer(links, sessions, &down, number(args[0]));
	say("");
	wait_for_start();
	transfer(links, sessions, &up, number(args[0]));
	say("");
	wait_for_start();
	for (unsigned done = 0; done < count; done += sessions)
		visit_together(backend, others, sessions);
	say("");
	wait_for_end();
	free(others);
	leave_all(links, sessions);
}

static void run_idle(struct backend *backend, unsigned count)
{
	struct link **links;

	link_free(visit(backend));
	be_ready();
	links = visit_often(backend, count);
	say("");
	wait_for_end();
	leave_all(links, count);
}

__attribute__((noreturn)) static void run_flood(struct backend *backend)
{
	struct link *link = visit(backend);

	be_ready();
	ask(link, WORK_SOURCE, UINT64_MAX);
	say("");
	for (;;)
		link_read(link, buffer, WORK_BYTES);
}

static void run_first(struct backend *backend, int resumed)
{
	struct link *link = link_new(backend);
	char byte;

	ask(link, WORK_SOURCE, 1);
	read_all(link, &byte, 1);
	say("");
	if (resumed && !link_resumed(link))
		die("the handshake was not resumed");
	wait_for_end();
	link_free(link);
}

#endif
