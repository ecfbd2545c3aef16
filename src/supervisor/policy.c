#include "supervisor/policy.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/files.h"
#include "supervisor/identity.h"

static const char *file_of(const struct options *options)
{
	return options->config ? options->config : POLICY_FILE;
}

char *policy_folder(const struct options *options, char *dst, size_t size)
{
	const char *file = file_of(options), *slash = strrchr(file, '/');

	snprintf(dst, size, "%.*sconf.d", slash ? (int)(slash + 1 - file) : 0, file);
	return dst;
}

static const char *why(int error)
{
	switch (error) {
	case -EINVAL:
		return "is not a regular file";
	case -EFBIG:
		return "is too large for a configuration";
	case -EPERM:
		return "may be written by everybody, and so says nothing";
	default:
		return strerror(-error);
	}
}

/* 0, also when there is none and none is NEEDED; -ENOMEM. */
static int add_file(struct conf *conf, const char *path, bool needed, struct conf_errors *errors)
{
	const struct conf_place place = { path, 0 };
	cleanup_free_ char *text = NULL;
	struct file_mark mark;
	size_t len = 0;
	int r = files_read_private(path, LIMIT_CONF_BYTES, &text, &len, &mark);

	if (r == -ENOENT && !needed)
		return 0;
	if (r == 0)
		return conf_add(conf, path, text, len, errors);
	conf_error(errors, place, "%s", why(r));
	return r == -ENOMEM ? r : 0;
}

static int add_folder(struct conf *conf, const char *folder, struct conf_errors *errors)
{
	const struct conf_place place = { folder, 0 };
	char **paths;
	unsigned count;
	int r = files_list(folder, ".conf", LIMIT_CONF_FILES, &paths, &count);

	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		conf_error(errors, place, "%s",
			   r == -E2BIG ? "there are too many files in it" : why(r));
		return r == -ENOMEM ? r : 0;
	}
	for (unsigned i = 0; i < count; i++) {
		if (r == 0)
			r = add_file(conf, paths[i], true, errors);
		free(paths[i]);
	}
	free(paths);
	return r;
}

/* On the command line a path may be as one sees it from there. */
static const char *from_root(const char *path, char *dst, size_t size)
{
	char here[PATH_MAX];

	if (path[0] == '/' || !getcwd(here, sizeof(here)))
		return path;
	snprintf(dst, size, "%s/%s", here, path);
	return dst;
}

/* The daemon's own flags are for who has no file; who has both means the flag. */
static int add_options(struct conf *conf, const struct options *options, struct conf_errors *errors)
{
	char path[2 * PATH_MAX];
	int r = 0;

	if (options->trust)
		r = conf_override(conf, SETTING_trust,
				  from_root(options->trust, path, sizeof(path)), errors);
	if (r == 0 && options->allow_insecure)
		r = conf_override(conf, SETTING_allow_insecure, "yes", errors);
	return r == -EINVAL ? 0 : r;
}

static int read_conf(const struct options *options, struct conf *conf, struct conf_errors *errors)
{
	char folder[PATH_MAX];
	int r = add_file(conf, file_of(options), options->config != NULL, errors);

	if (r == 0)
		r = add_folder(conf, policy_folder(options, folder, sizeof(folder)), errors);
	if (r == 0)
		r = add_options(conf, options, errors);
	if (r == 0 && conf_errors_result(errors) == 0)
		conf_check(conf, errors);
	return r;
}

static void load_trust(const struct conf *conf, struct trustfile *trust, struct conf_errors *errors)
{
	const struct conf_value *value = conf_get(conf, SETTING_trust);
	struct failure failure;

	if (value->count == 0)
		return; /* an error already */
	trust->path = value->words[0];
	if (trustfile_load(trust, &failure) < 0)
		conf_error(errors, value->place, "trust: %s", failure.text);
}

int policy_load(const struct options *options, struct policy *ret, struct conf_errors *errors)
{
	struct policy policy = POLICY_NONE;
	int r;

	policy.conf = conf_new();
	r = policy.conf ? read_conf(options, policy.conf, errors) : -ENOMEM;
	if (r == 0)
		load_trust(policy.conf, &policy.trust, errors);
	conf_errors_sort(errors);
	if (r == 0)
		r = conf_errors_result(errors);
	if (r < 0)
		policy_deinit(&policy);
	else
		*ret = policy;
	return r;
}

void policy_deinit(struct policy *policy)
{
	policy->conf = conf_free(policy->conf);
	policy->trust.fd = fd_close(policy->trust.fd);
}

void policy_fail(const struct conf_errors *errors, int error, struct failure *failure)
{
	for (unsigned i = 0; i + 1 < errors->count; i++)
		fprintf(stderr, "tlsbrokerd: %s\n", errors->list[i].text);
	failure_set(failure, error, "%s", errors->count > 0 ? errors->list[errors->count - 1].text
							    : strerror(-error));
}

void policy_log_errors(const struct conf_errors *errors)
{
	for (unsigned i = 0; i < errors->count; i++)
		log_pairs(LOG_L_ERROR, errors->list[i].text, NULL, 0);
}

int policy_main(const struct options *options)
{
	struct policy policy = POLICY_NONE;
	struct conf_errors errors;
	struct identity identity;
	struct failure failure;
	int r;

	/* A file that the daemon could not read is an error, even if we could. */
	r = identity_find(options->user, OPTIONS_USER, &identity, &failure);
	if (r == 0)
		r = identity_assume(&identity, &failure);
	conf_errors_init(&errors);
	if (r == 0) {
		r = policy_load(options, &policy, &errors);
		if (r < 0)
			policy_fail(&errors, r, &failure);
	}
	if (r < 0)
		fprintf(stderr, "tlsbrokerd: %s\n", failure.text);
	else if (options->action == ACTION_DUMP)
		conf_dump(policy.conf, stdout);
	else
		puts("the configuration is good");
	conf_errors_deinit(&errors);
	policy_deinit(&policy);
	return r == 0 && fflush(stdout) == 0 ? 0 : 1;
}

int policy_send_worker(const struct policy *policy, struct chan *worker)
{
	const struct conf *conf = policy->conf;
	const struct msg_policy body = {
		.version_min = (uint16_t)conf_get(conf, SETTING_min_version)->number,
		.flags = conf_get(conf, SETTING_allow_insecure)->number ? POLICY_MAY_SKIP_VERIFY : 0,
	};
	char ciphers[LIMIT_CIPHERS + 1];
	int r;

	conf_list(conf, SETTING_ciphers, ciphers, sizeof(ciphers));
	r = chan_send(worker, MSG_POLICY, &body, ciphers, strlen(ciphers), NULL);
	if (r < 0 && r != -EPIPE) /* one that has gone is noticed as such */
		return r;
	return trustfile_send(&policy->trust, worker);
}
