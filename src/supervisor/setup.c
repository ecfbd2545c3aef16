#include "supervisor/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/ticks.h"
#include "keys/keyfile.h"
#include "supervisor/journal.h"
#include "supervisor/supervisor.h"

/* 0 to 2 are open, so that no socket is ever taken for standard error; above are only systemd's. */
static int arrange_own_fds(void)
{
	int given = sd_listen_fds(0), fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	fd_close(fd);
	return close_range((unsigned)(STDERR_FILENO + 1 + MAX(given, 0)), ~0U, 0) < 0 ? -errno : 0;
}

static int open_socket(struct supervisor *supervisor, const struct environment *environment,
		       const struct identity *identity)
{
	struct failure *failure = &supervisor->failure;
	const char *path = supervisor->options->socket;
	char own[sizeof(supervisor->listener.path)];
	mode_t folder_mode = 0755;
	int r;

	if (!path) {
		r = environment_socket(environment, identity_is_root(), own, sizeof(own), failure);
		if (r < 0)
			return r;
		if (strcmp(own, SERVICE_SOCKET) != 0)
			folder_mode = 0700; /* within the user's own folder */
		path = own;
	}
	return listener_open(&supervisor->listener, path, folder_mode, identity, failure);
}

/* What needs root, then no root any more. */
static int become_unprivileged(struct supervisor *supervisor, struct environment *environment)
{
	struct failure *failure = &supervisor->failure;
	struct identity identity;
	int r, inherited = listener_inherit(&supervisor->listener, failure);

	if (inherited < 0)
		return inherited;
	environment_read(environment);
	r = identity_find(supervisor->options->user, OPTIONS_USER, &identity, failure);
	if (r == 0 && inherited == 0)
		r = open_socket(supervisor, environment, &identity);
	if (r == 0)
		r = identity_assume(&identity, failure);
	supervisor->uid = identity.uid;
	return r;
}

/* The limits of limits.h are cut to what the kernel allows us: better said now than found out later. */
static void warn_of_few_files(void)
{
	struct rlimit files;
	char text[LIMIT_TEXT + 1];

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_max >= LIMIT_PASSING_FILES)
		return;
	snprintf(text, sizeof(text),
		 "only %lu descriptors are allowed, and not %d: users may have fewer sessions and clients",
		 (unsigned long)files.rlim_max, LIMIT_PASSING_FILES);
	log_pairs(LOG_L_WARNING, text, NULL, 0);
}

static void open_log(struct supervisor *supervisor, const struct environment *environment)
{
	const struct options *options = supervisor->options;

	if (environment->has_journal && !options->debug &&
	    journal_open(&supervisor->output.journal) == 0)
		supervisor->output.target = OUTPUT_JOURNAL;
	supervisor->output.audits_lost = &supervisor->counts[COUNTER_audits_lost];
	log_set_sink(output_write, &supervisor->output,
		     options->verbose ? LOG_L_DEBUG : LOG_L_INFO);
	log_event(LOG_L_NOTICE, "tlsbrokerd " TLSB_VERSION " starts",
		  { FIELD_UID, LOG_NUMBER(supervisor->uid) });
	warn_of_few_files();
	if (options->sandbox != SANDBOX_ENFORCE)
		log_pairs(LOG_L_WARNING, "the sandbox is not enforced", NULL, 0);
	if (conf_number(supervisor->policy.conf, NULL, SETTING_allow_insecure))
		log_pairs(LOG_L_WARNING, "programs may ask for sessions without verification", NULL,
			  0);
	policy_log_trust(&supervisor->policy);
}

static int make_objects(struct supervisor *supervisor)
{
	int r = spawn_init(&supervisor->spawner, supervisor->options->debug,
			     supervisor->options->sandbox);

	if (r < 0)
		return r;
	supervisor->base = event_base_new();
	if (!supervisor->base)
		return -ENOMEM;
	r = supervisor_add_events(supervisor);
	if (r == 0)
		r = station_init(&supervisor->frontdoor, supervisor, ROLE_FRONTDOOR);
	if (r == 0)
		r = station_init(&supervisor->connector, supervisor, ROLE_CONNECTOR);
	if (r == 0)
		r = station_init(&supervisor->keyholder, supervisor, ROLE_KEYHOLDER);
	if (r == 0)
		r = workers_init(&supervisor->workers, supervisor);
	if (r == 0)
		r = renewal_init(supervisor);
	return r;
}

/* From here on: no file but these, no program but this one, no network at all. */
static int enter_sandbox(struct supervisor *supervisor)
{
	const struct options *options = supervisor->options;
	const char *read[2 * LIMIT_BADGES + 2 * LIMIT_IDENTITIES + LIMIT_PSKS + 6] = { RESOLVER_HOSTS_FILE, RESOLVER_CONF_FILE,
					       options->config ? options->config : POLICY_FILE };
	const char *named;
	char folder[PATH_MAX];
	const char *path = supervisor->listener.path, *what = NULL;
	const struct sandbox_files files = {
		.read = read,
		.list = policy_folder(options, folder, sizeof(folder)),
		.remove = path[0] == '\0' ? NULL : path,
	};
	unsigned calls, count = 3;
	int r;

	for (unsigned i = 0; (named = policy_file(&supervisor->policy, i)); i++)
		read[count++] = named;
	r = sandbox_enter_with_files(ROLE_SUPERVISOR, supervisor->options->sandbox,
					 SANDBOX_KEEP_ALL, &files, &calls, &what);

	if (r < 0)
		return failure_set(&supervisor->failure, r, "%s: %s", what, strerror(-r));
	if (what)
		log_event(LOG_L_WARNING, "this kernel lacks a part of the sandbox",
			  { FIELD_ERROR, what });
	return 0;
}

static int load_policy(struct supervisor *supervisor)
{
	struct conf_errors errors;
	int r;

	conf_errors_init(&errors);
	r = policy_load(supervisor->options, NULL, &supervisor->policy, &errors);
	if (r < 0)
		policy_fail(&errors, r, &supervisor->failure);
	conf_errors_deinit(&errors);
	return r;
}

int setup_all(struct supervisor *supervisor)
{
	struct failure *failure = &supervisor->failure;
	struct environment environment;
	int r = arrange_own_fds();

	if (r < 0)
		return failure_set(failure, r, "descriptors: %s", strerror(-r));
	signal(SIGPIPE, SIG_IGN);
	r = ticks_prepare();
	if (r < 0)
		return failure_set(failure, r, "signals: %s", strerror(-r));
	if (keyfile_prepare(LIMIT_KEY_CHECK_MEMORY) < 0)
		return failure_set(failure, -ENOMEM, "memory for keys: %s", strerror(ENOMEM));
	r = become_unprivileged(supervisor, &environment);
	if (r == 0)
		r = load_policy(supervisor);
	if (r < 0)
		return r;
	open_log(supervisor, &environment);
	r = make_objects(supervisor);
	if (r < 0)
		return failure_set(failure, r, "start-up: %s", strerror(-r));
	r = enter_sandbox(supervisor);
	if (r == 0)
		renewal_begin(supervisor);
	return r;
}
