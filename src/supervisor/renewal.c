#include "supervisor/renewal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/supervisor.h"

/* ---- watching ---- */

static int watch_all(struct watch *watch, const struct policy *policy)
{
	const char *path;
	int r = watch_begin(watch);

	for (unsigned i = 0; r == 0 && (path = policy_file(policy, i)); i++)
		r = watch_add(watch, path);
	return r;
}

/* The kernel has only so many watches for a user: with too few of them, we have to look by ourselves. */
static void watch_again(struct renewal *renewal, const struct policy *policy)
{
	int r = watch_all(&renewal->watch, policy);

	if (r < 0 && !renewal->blind)
		log_event(LOG_L_WARNING, "files cannot be watched, and are looked at once a minute",
			  { FIELD_ERROR, strerror(-r) });
	renewal->blind = r < 0;
}

/* ---- loading ---- */

/*
 * The sandbox has rules on folders as they were when the daemon started.  What access(2) thinks readable,
 * which knows nothing of them, and what is not, lies elsewhere now.
 */
static void explain(const char *path, struct conf_place place, struct conf_errors *errors)
{
	cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 && errno == EACCES && access(path, R_OK) == 0)
		conf_error(errors, place,
			   "%s is in a folder that the sandbox does not let the daemon read: start it anew",
			   path);
}

static bool renew_trust(struct trustfile *trust, struct conf_errors *errors)
{
	const struct file_mark now = files_mark(trust->path);
	struct failure failure;

	if (files_same(&now, &trust->mark))
		return false;
	if (trustfile_load(trust, &failure) == 0) {
		trustfile_log(trust);
		return true;
	}
	conf_error(errors, trust->place, "%s: %s", trust->has_crls ? "crl" : "trust", failure.text);
	explain(trust->path, trust->place, errors);
	return false;
}

static bool renew_all_trust(struct policy *policy, struct conf_errors *errors)
{
	bool renewed = renew_trust(&policy->trust, errors);

	for (unsigned i = 0; i < policy->other_count; i++)
		renewed |= renew_trust(&policy->others[i], errors);
	for (unsigned i = 0; i < policy->crl_count; i++)
		renewed |= renew_trust(&policy->crls[i], errors);
	return renewed;
}

/* Certificate and key are renewed together: one that does not fit yet waits for the other. */
static bool renew_identity(struct identity_file *file, const struct conf_identity *identity,
			   const char *credentials, struct conf_errors *errors)
{
	const struct conf_value *certificate = &identity->scope.values[SETTING_certificate];
	const struct conf_value *key = &identity->scope.values[SETTING_key];
	int r;

	if (!identity_file_changed(file, identity))
		return false;
	r = identity_file_renew(file, identity, credentials, errors);
	if (r < 0) {
		if (r != -EINVAL)
			conf_error(errors, certificate->place, "identity %s: %s", identity->name,
				   strerror(-r));
		explain(certificate->words[0], certificate->place, errors);
		explain(file->key.path, key->place, errors);
		return false;
	}
	log_event(LOG_L_NOTICE, "certificate and key are new", { FIELD_IDENTITY, identity->name });
	return true;
}

static bool renew_all_identities(struct policy *policy, const char *credentials,
				 struct conf_errors *errors)
{
	bool renewed = false;

	for (unsigned i = 0; i < policy->identities.count; i++)
		renewed |= renew_identity(&policy->identities.list[i], &policy->conf->identities[i],
					  credentials, errors);
	return renewed;
}

static bool renew_psk(struct secret_file *file, const struct conf_identity *psk,
		      const char *credentials, struct conf_errors *errors)
{
	const struct file_mark now = files_mark(file->path);
	const struct conf_value *key = &psk->scope.values[SETTING_key];
	int r;

	if (files_same(&now, &file->mark))
		return false;
	r = psk_file_renew(file, psk, credentials, errors);
	if (r < 0) {
		if (r != -EINVAL)
			conf_error(errors, key->place, "psk %s: %s", psk->name, strerror(-r));
		explain(file->path, key->place, errors);
		return false;
	}
	log_event(LOG_L_NOTICE, "a pre-shared key is new", { FIELD_PSK, psk->name });
	return true;
}

static bool renew_all_psks(struct policy *policy, const char *credentials,
			   struct conf_errors *errors)
{
	bool renewed = false;

	for (unsigned i = 0; i < policy->psks.count; i++)
		renewed |= renew_psk(&policy->psks.list[i], &policy->conf->psks[i], credentials,
				     errors);
	return renewed;
}

/* Each complaint once, however often it is tried. */
static void say(struct renewal *renewal, struct conf_errors *errors)
{
	for (unsigned i = 0; i < errors->count; i++) {
		const char *text = errors->list[i].text;

		if (!conf_errors_contain(&renewal->said, text))
			log_event(LOG_L_ERROR, "a file that changed cannot be used, and the old one is kept",
				  { FIELD_ERROR, text });
	}
	conf_errors_deinit(&renewal->said);
	renewal->said = *errors;
}

static void look(void *arg)
{
	struct supervisor *supervisor = arg;

	if (supervisor->phase != PHASE_STOPPING)
		renewal_begin(supervisor);
}

void renewal_begin(struct supervisor *supervisor)
{
	struct renewal *renewal = &supervisor->renewal;
	struct policy *policy = &supervisor->policy;
	struct conf_errors errors;
	bool trust, keys;

	if (!renewal->watch.timer)
		return;
	watch_again(renewal, policy);
	conf_errors_init(&errors);
	trust = renew_all_trust(policy, &errors);
	keys = renew_all_identities(policy, supervisor->options->credentials, &errors);
	keys |= renew_all_psks(policy, supervisor->options->credentials, &errors);
	if (keys)
		supervisor_send_keys(supervisor);
	if (keys || trust)
		workers_send_policy(&supervisor->workers);
	if (conf_errors_result(&errors) < 0)
		watch_look_in(&renewal->watch, LIMIT_RENEWAL_MS);
	else if (renewal->blind)
		watch_look_in(&renewal->watch, LIMIT_BLIND_MS);
	say(renewal, &errors);
}

int renewal_init(struct supervisor *supervisor)
{
	conf_errors_init(&supervisor->renewal.said);
	return watch_init(&supervisor->renewal.watch, supervisor->base, look, supervisor);
}

void renewal_deinit(struct supervisor *supervisor)
{
	watch_deinit(&supervisor->renewal.watch);
	conf_errors_deinit(&supervisor->renewal.said);
}
