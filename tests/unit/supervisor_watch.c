/*
 * What is noticed of files that somebody replaces, in whichever way, and what is not; and what becomes of
 * those that cannot be used.
 */
#include "supervisor_rig.h"
#include "testing_x509.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/watch.h"

/* ---- the watch ---- */

#define PATIENCE_MS 60000
#define QUIET_MS    (2 * LIMIT_WATCH_MS)

struct scene {
	char folder[64];
	struct event_base *base;
	struct watch watch;
	const char *paths[5]; /* below the folder; NULL behind the last */
	unsigned looks;
	int result; /* of watching */
};

/* With SHELL's syntax, in the folder. */
static void run(const struct scene *scene, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && { %s; }", scene->folder, command);
	assert_int_equal(system(line), 0);
}

static void watch_all(struct scene *scene)
{
	char path[128];

	scene->result = watch_begin(&scene->watch);
	for (unsigned i = 0; scene->result == 0 && scene->paths[i]; i++) {
		snprintf(path, sizeof(path), "%s/%s", scene->folder, scene->paths[i]);
		scene->result = watch_add(&scene->watch, path);
	}
}

static void look(void *arg)
{
	struct scene *scene = arg;

	scene->looks++;
	watch_all(scene);
}

static void scene_init(struct scene *scene, const char *command)
{
	*scene = (struct scene){ .folder = "/tmp/tlsb-watch.XXXXXX", .paths = { "a" } };
	assert_non_null(mkdtemp(scene->folder));
	run(scene, command);
	scene->base = event_base_new();
	assert_non_null(scene->base);
	assert_int_equal(watch_init(&scene->watch, scene->base, look, scene), 0);
}

static void scene_deinit(struct scene *scene)
{
	char line[96];

	watch_deinit(&scene->watch);
	event_base_free(scene->base);
	snprintf(line, sizeof(line), "rm -r %s", scene->folder);
	assert_int_equal(system(line), 0);
}

/* How many looks there are within so long, or until there is one. */
static unsigned turn(struct scene *scene, unsigned ms)
{
	const struct timeval step = { .tv_usec = 10000 };
	uint64_t end = clock_ms() + ms;
	unsigned before = scene->looks;

	while (scene->looks == before && clock_ms() < end) {
		event_base_loopexit(scene->base, &step);
		event_base_dispatch(scene->base);
	}
	return scene->looks - before;
}

static void nothing_comes(struct scene *scene)
{
	if (turn(scene, QUIET_MS) != 0)
		fail_msg("somebody looked, for nothing");
}

/* COMMAND is noticed; and when all is watched anew, it is no news any more. */
static void is_noticed(struct scene *scene, const char *command)
{
	run(scene, command);
	if (turn(scene, PATIENCE_MS) != 1)
		fail_msg("not noticed: %s", command);
	assert_int_equal(scene->result, 0);
	nothing_comes(scene);
}

static void a_file_that_is_replaced_is_noticed(void **state unused_)
{
	struct scene scene;

	scene_init(&scene, "echo 1 > a");
	watch_all(&scene);
	nothing_comes(&scene);
	is_noticed(&scene, "echo 2 > a");
	is_noticed(&scene, "echo 3 > b && mv b a");
	is_noticed(&scene, "chmod 600 a");
	is_noticed(&scene, "rm a");
	is_noticed(&scene, "echo 4 > a");
	is_noticed(&scene, "mv a c");
	is_noticed(&scene, "mv c a");
	is_noticed(&scene, "ln -s b a.new && echo 5 > b && mv a.new a");
	is_noticed(&scene, "echo 6 > b");
	scene_deinit(&scene);
}

static void a_link_that_is_turned_is_noticed(void **state unused_)
{
	struct scene scene;

	scene_init(&scene, "mkdir -p v1 v2 far/off && echo 1 | tee v1/f v2/f far/f > far/off/f && "
			   "ln -s ..data/f a && ln -s v1 ..data && ln -s ../v1/f far/link");
	watch_all(&scene);
	is_noticed(&scene, "ln -s v2 new && mv -T new ..data");
	is_noticed(&scene, "echo 2 > v2/f");
	is_noticed(&scene, "mv v2 v3");
	is_noticed(&scene, "mv v3 v2");
	is_noticed(&scene, "ln -s $PWD/far/off/../link new && mv -T new a");
	is_noticed(&scene, "echo 2 > v1/f");
	is_noticed(&scene, "mv far far2");
	is_noticed(&scene, "mkdir -p far/off");
	is_noticed(&scene, "echo 3 > far/link");
	is_noticed(&scene, "rm -r far");
	scene_deinit(&scene);
}

/* Folders may be busy: neighbours, and who only reads, wake nobody. */
static void what_else_happens_is_not_noticed(void **state unused_)
{
	struct scene scene;

	scene_init(&scene, "mkdir d && echo 1 > d/a");
	scene.paths[0] = "d/a";
	watch_all(&scene);
	run(&scene, "cat d/a > /dev/null && ls d > /dev/null && echo 2 > d/b && mv d/b d/c && rm d/c && echo 3 > e && mv e f");
	nothing_comes(&scene);
	scene_deinit(&scene);
}

static void what_comes_together_is_one(void **state unused_)
{
	struct scene scene;

	scene_init(&scene, "echo 1 > a && echo 1 > b");
	scene.paths[1] = "b";
	watch_all(&scene);
	is_noticed(&scene, "echo 2 > a; echo 2 > b; echo 3 > c; mv c b; echo 4 > a");
	scene_deinit(&scene);
}

/* Links that lead in a circle, paths that are too long, folders in place of files. */
static void odd_paths_are_harmless(void **state unused_)
{
	static char long_path[5000];
	struct scene scene;

	scene_init(&scene, "ln -s b a && ln -s a b && mkdir d && echo 1 > f && ln -s / r && ln -s d/.././d/../a c");
	scene.paths[1] = "d";
	scene.paths[2] = "c";
	scene.paths[3] = "f/below/it";
	watch_all(&scene);
	assert_int_equal(scene.result, 0);
	nothing_comes(&scene);
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[0] = '/';
	assert_int_equal(watch_add(&scene.watch, long_path), 0);
	long_path[4000] = '\0';
	assert_int_equal(watch_add(&scene.watch, long_path), 0);
	assert_int_equal(watch_add(&scene.watch, "/"), 0);
	assert_int_equal(watch_add(&scene.watch, ""), 0);
	is_noticed(&scene, "rm b && echo 1 > b");
	is_noticed(&scene, "rm f && mkdir -p f/below && echo 1 > f/below/it");
	scene_deinit(&scene);
}

static void no_more_descriptors(struct rlimit *before)
{
	struct rlimit none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, before), 0);
	none = *before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void it_can_be_refused_and_come_back(void **state unused_)
{
	struct rlimit files;
	struct scene scene;

	scene_init(&scene, "echo 1 > a");
	watch_all(&scene);
	no_more_descriptors(&files);
	watch_all(&scene);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_int_equal(scene.result, -EMFILE);
	run(&scene, "echo 2 > a");
	nothing_comes(&scene);
	watch_look_in(&scene.watch, 1);
	assert_int_equal(turn(&scene, PATIENCE_MS), 1);
	is_noticed(&scene, "echo 3 > a");
	scene_deinit(&scene);
}

/* ---- what is made of it ---- */

struct lines {
	unsigned warnings, errors, notices;
	char last_error[512];
};

static void count(void *arg, enum log_level level, const char *text unused_,
		  const struct log_pair *pairs, size_t count)
{
	struct lines *lines = arg;

	lines->warnings += level == LOG_L_WARNING;
	lines->notices += level == LOG_L_NOTICE;
	if (level != LOG_L_ERROR)
		return;
	lines->errors++;
	if (count > 0)
		snprintf(lines->last_error, sizeof(lines->last_error), "%s", pairs[0].value);
}

struct stage {
	struct scene scene;
	struct rig rig;
	struct lines lines;
	struct rig_process *keyholder;
	struct testing_identity ca, one, other;
};

static void write_text(const struct stage *stage, const char *name, struct testing_text *text,
		       mode_t mode)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", stage->scene.folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text->data, text->len), (ssize_t)text->len);
	close(fd);
	free(text->data);
}

static void write_certificate(const struct stage *stage, const char *name,
			      const struct testing_identity *identity)
{
	struct testing_text text = { 0 };

	testing_append_pem(&text, identity->x509);
	write_text(stage, name, &text, 0644);
}

static void write_key(const struct stage *stage, const char *name,
		      const struct testing_identity *identity)
{
	BIO *bio = BIO_new(BIO_s_mem());
	struct testing_text text = { 0 };

	assert_int_equal(PEM_write_bio_PrivateKey(bio, identity->key, NULL, NULL, 0, NULL, NULL), 1);
	testing_append_bio(&text, bio);
	write_text(stage, name, &text, 0600);
}

static void stage_init(struct stage *stage)
{
	struct supervisor *supervisor = &stage->rig.supervisor;
	struct policy policy = POLICY_NONE;
	struct conf_errors errors;
	static char config[128];

	memset(stage, 0, sizeof(*stage));
	scene_init(&stage->scene, "true");
	stage->ca = testing_identity_new("ca", NULL, 1);
	stage->one = testing_identity_new("one", &stage->ca, 0);
	stage->other = testing_identity_new("other", &stage->ca, 0);
	write_certificate(stage, "ca", &stage->ca);
	write_certificate(stage, "cert", &stage->one);
	write_key(stage, "key", &stage->one);
	run(&stage->scene, "for f in ca cert key; do cp -p $f $f.good; done; printf "
			   "'trust = \"%s\"\\nidentities = x\\nidentity x {certificate = \"%s\"\\n key = \"%s\"}' "
			   "$PWD/ca $PWD/cert $PWD/key > conf");
	snprintf(config, sizeof(config), "%s/conf", stage->scene.folder);
	rig_init(&stage->rig);
	stage->keyholder = rig_add_station(&stage->rig, &supervisor->keyholder);
	stage->rig.options.config = config;
	conf_errors_init(&errors);
	if (policy_load(&stage->rig.options, NULL, &policy, &errors) < 0)
		fail_msg("%s", errors.list[0].text);
	conf_errors_deinit(&errors);
	policy_deinit(&supervisor->policy);
	supervisor->policy = policy;
	log_set_sink(count, &stage->lines, LOG_L_INFO);
	assert_int_equal(renewal_init(supervisor), 0);
	renewal_begin(supervisor);
}

static void stage_deinit(struct stage *stage)
{
	log_set_sink(NULL, NULL, LOG_L_ERROR);
	renewal_deinit(&stage->rig.supervisor);
	rig_deinit(&stage->rig);
	scene_deinit(&stage->scene);
	testing_identity_free(&stage->ca);
	testing_identity_free(&stage->one);
	testing_identity_free(&stage->other);
}

static bool keys_came(struct stage *stage)
{
	const struct msg_context ctx = { &internal_messages, ROLE_KEYHOLDER, ROLE_SUPERVISOR, RUN };
	union msg_buffer buf;
	enum msg_rule rule;
	struct msg msg;
	bool came = false;

	while (msg_recv(stage->keyholder->far, &ctx, &buf, &msg, &rule) == 1) {
		came |= msg.type == MSG_KEY;
		msg_close_fds(&msg);
	}
	return came;
}

static void a_pair_is_renewed_when_it_is_one(void **state unused_)
{
	struct stage stage;

	stage_init(&stage);
	renewal_begin(&stage.rig.supervisor);
	assert_false(keys_came(&stage));
	run(&stage.scene, "rm cert");
	write_certificate(&stage, "cert", &stage.other);
	for (int i = 0; i < 3; i++)
		renewal_begin(&stage.rig.supervisor); /* it is tried again, and said once */
	assert_int_equal(stage.lines.errors, 1);
	assert_non_null(strstr(stage.lines.last_error, "does not belong to the certificate"));
	assert_true(evtimer_pending(stage.rig.supervisor.renewal.watch.timer, NULL));
	assert_false(keys_came(&stage));
	write_key(&stage, "key", &stage.other);
	renewal_begin(&stage.rig.supervisor);
	assert_true(keys_came(&stage));
	assert_int_equal(stage.lines.errors, 1);
	renewal_begin(&stage.rig.supervisor);
	assert_false(keys_came(&stage));
	assert_int_equal(stage.lines.notices, 1);
	stage_deinit(&stage);
}

static void what_is_broken_is_said_again_only_when_it_was_good(void **state unused_)
{
	struct stage stage;

	stage_init(&stage);
	for (unsigned i = 1; i <= 3; i++) {
		run(&stage.scene, "echo garbage > ca");
		renewal_begin(&stage.rig.supervisor);
		run(&stage.scene, "echo other garbage > ca");
		renewal_begin(&stage.rig.supervisor);
		assert_int_equal(stage.lines.errors, i);
		assert_non_null(strstr(stage.lines.last_error, "there is no usable CA certificate"));
		run(&stage.scene, "cp ca.good ca.new && mv ca.new ca");
		renewal_begin(&stage.rig.supervisor);
		assert_int_equal(stage.lines.notices, i);
	}
	stage_deinit(&stage);
}

static void without_watches_it_says_so_once(void **state unused_)
{
	struct rlimit files;
	struct stage stage;

	stage_init(&stage);
	no_more_descriptors(&files);
	renewal_begin(&stage.rig.supervisor);
	renewal_begin(&stage.rig.supervisor);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_int_equal(stage.lines.warnings, 1);
	assert_true(evtimer_pending(stage.rig.supervisor.renewal.watch.timer, NULL));
	/* What is asked for is done all the same. */
	run(&stage.scene, "cp ca.good ca.new && mv ca.new ca");
	renewal_begin(&stage.rig.supervisor);
	assert_int_equal(stage.lines.notices, 1);
	assert_int_equal(stage.lines.warnings, 1);
	stage_deinit(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_that_is_replaced_is_noticed),
		TEST(a_link_that_is_turned_is_noticed),
		TEST(what_else_happens_is_not_noticed),
		TEST(what_comes_together_is_one),
		TEST(odd_paths_are_harmless),
		TEST(it_can_be_refused_and_come_back),
		TEST(a_pair_is_renewed_when_it_is_one),
		TEST(what_is_broken_is_said_again_only_when_it_was_good),
		TEST(without_watches_it_says_so_once),
	};

	return testing_run(tests);
}
