#include "supervisor/policy.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/pin.h"
#include "base/text.h"
#include "keys/keyfile.h"
#include "supervisor/files.h"
#include "supervisor/identity.h"
#include "supervisor/peers.h"
#include "supervisor/users.h"

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

static void load_one(const struct conf_value *value, struct trustfile *trust,
		     struct conf_errors *errors)
{
	struct failure failure;

	trust->path = value->words[0];
	trust->place = value->place;
	if (trustfile_load(trust, &failure) < 0)
		conf_error(errors, value->place, "%s: %s", trust->has_crls ? "crl" : "trust",
			   failure.text);
}

/* The lists that are in force for this badge, or NULL. */
static const struct trustfile *find_crls(const struct policy *policy, const struct conf_value *value)
{
	for (unsigned i = 0; value->count > 0 && i < policy->crl_count; i++) {
		if (strcmp(policy->crls[i].path, value->words[0]) == 0)
			return &policy->crls[i];
	}
	return NULL;
}

static void load_crls(struct policy *policy, const struct conf_value *value,
		      struct conf_errors *errors)
{
	if (value->count == 0 || find_crls(policy, value))
		return;
	policy->crls[policy->crl_count] = (struct trustfile){ .fd = -1, .has_crls = true };
	load_one(value, &policy->crls[policy->crl_count++], errors);
}

static int load_all_crls(struct policy *policy, struct conf_errors *errors)
{
	const struct conf *conf = policy->conf;

	policy->crls = calloc(conf->badge_count + 1, sizeof(*policy->crls));
	if (!policy->crls)
		return -ENOMEM;
	load_crls(policy, conf_get(conf, NULL, SETTING_crl), errors);
	for (unsigned i = 0; i < conf->badge_count; i++)
		load_crls(policy, &conf->badges[i].scope.values[SETTING_crl], errors);
	return 0;
}

/* The bundle that was loaded from this path. */
static const struct trustfile *find_trust(const struct policy *policy, const char *path)
{
	for (unsigned i = 0; i < policy->other_count; i++) {
		if (strcmp(policy->others[i].path, path) == 0)
			return &policy->others[i];
	}
	return &policy->trust;
}

/* Each file once, however many badges have it. */
static int load_trust(struct policy *policy, struct conf_errors *errors)
{
	const struct conf *conf = policy->conf;
	const struct conf_value *global = conf_get(conf, NULL, SETTING_trust);

	policy->others = calloc(conf->badge_count + 1, sizeof(*policy->others));
	if (!policy->others)
		return -ENOMEM;
	if (global->count == 0)
		return 0; /* an error already */
	load_one(global, &policy->trust, errors);
	for (unsigned i = 0; i < conf->badge_count; i++) {
		const struct conf_value *own = &conf->badges[i].scope.values[SETTING_trust];

		if (own->count == 0 || strcmp(own->words[0], global->words[0]) == 0 ||
		    find_trust(policy, own->words[0]) != &policy->trust)
			continue;
		policy->others[policy->other_count] = (struct trustfile){ .fd = -1 };
		load_one(own, &policy->others[policy->other_count++], errors);
	}
	return 0;
}

const char *policy_file(const struct policy *policy, unsigned i)
{
	if (i == 0)
		return policy->trust.path;
	if (--i < policy->other_count)
		return policy->others[i].path;
	i -= policy->other_count;
	if (i < policy->crl_count)
		return policy->crls[i].path;
	i -= policy->crl_count;
	if (i < policy->psks.count)
		return policy->psks.list[i].path;
	i -= policy->psks.count;
	if (i >= 2 * policy->conf->identity_count)
		return NULL;
	if (i % 2 == 0)
		return policy->identities.list[i / 2].key.path;
	return policy->conf->identities[i / 2].scope.values[SETTING_certificate].words[0];
}

void policy_log_trust(const struct policy *policy)
{
	trustfile_log(&policy->trust);
	for (unsigned i = 0; i < policy->other_count; i++)
		trustfile_log(&policy->others[i]);
	for (unsigned i = 0; i < policy->crl_count; i++)
		trustfile_log(&policy->crls[i]);
}

/* Who is called as before is who he was before. */
static void number_badges(struct policy *policy, const struct policy *before)
{
	policy->last_badge = before ? before->last_badge : 0;
	for (unsigned i = 0; i < policy->conf->badge_count; i++) {
		struct conf_badge *badge = &policy->conf->badges[i];

		badge->number = 0;
		for (unsigned j = 0; before && j < before->conf->badge_count; j++) {
			if (strcmp(before->conf->badges[j].name, badge->name) == 0)
				badge->number = before->conf->badges[j].number;
		}
		if (badge->number == 0)
			badge->number = ++policy->last_badge;
	}
}

/* The same for keys: a handshake that shows a certificate when it is loaded again goes on. */
static void number_keys(struct policy *policy, const struct policy *before)
{
	policy->last_key = before ? before->last_key : 0;
	for (unsigned i = 0; i < policy->conf->identity_count; i++) {
		struct conf_identity *identity = &policy->conf->identities[i];
		const struct conf_identity *earlier =
			before ? conf_identity(before->conf, identity->name) : NULL;

		identity->number = earlier ? earlier->number : ++policy->last_key;
	}
	for (unsigned i = 0; i < policy->conf->psk_count; i++) {
		struct conf_identity *psk = &policy->conf->psks[i];
		const struct conf_identity *earlier =
			before ? conf_psk(before->conf, psk->name) : NULL;

		psk->number = earlier ? earlier->number : ++policy->last_key;
	}
}

int policy_load(const struct options *options, const struct policy *before, struct policy *ret,
		struct conf_errors *errors)
{
	const bool check_only = options->action == ACTION_CHECK || options->action == ACTION_DUMP;
	struct policy policy = POLICY_NONE;
	int r;

	policy.conf = conf_new();
	r = policy.conf ? read_conf(options, policy.conf, errors) : -ENOMEM;
	if (r == 0)
		r = users_resolve(policy.conf, errors);
	if (r == 0)
		peers_check(policy.conf, errors);
	if (r == 0)
		r = load_trust(&policy, errors);
	if (r == 0)
		r = load_all_crls(&policy, errors);
	if (r == 0)
		r = identity_files_load(&policy.identities, policy.conf, options->credentials,
				    check_only, errors);
	if (r == 0)
		r = psk_files_load(&policy.psks, policy.conf, options->credentials, check_only, errors);
	conf_errors_sort(errors);
	if (r == 0)
		r = conf_errors_result(errors);
	if (r < 0) {
		policy_deinit(&policy);
		return r;
	}
	number_badges(&policy, before);
	number_keys(&policy, before);
	*ret = policy;
	return 0;
}

void policy_deinit(struct policy *policy)
{
	identity_files_deinit(&policy->identities);
	psk_files_deinit(&policy->psks);
	policy->conf = conf_free(policy->conf);
	policy->trust.fd = fd_close(policy->trust.fd);
	for (unsigned i = 0; i < policy->other_count; i++)
		fd_close(policy->others[i].fd);
	free(policy->others);
	for (unsigned i = 0; i < policy->crl_count; i++)
		fd_close(policy->crls[i].fd);
	free(policy->crls);
	policy->crls = policy->others = NULL;
	policy->crl_count = policy->other_count = 0;
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

	if (keyfile_prepare(LIMIT_KEY_CHECK_MEMORY) < 0) {
		fputs("tlsbrokerd: no memory for keys\n", stderr);
		return 1;
	}
	/* A file that the daemon could not read is an error, even if we could. */
	r = identity_find(options->user, OPTIONS_USER, &identity, &failure);
	/* A unit's dynamic user exists only while the unit runs. */
	if (r < 0 && !options->user)
		r = identity_find(NULL, "nobody", &identity, &failure);
	if (r == 0)
		r = identity_assume(&identity, &failure);
	conf_errors_init(&errors);
	if (r == 0) {
		r = policy_load(options, NULL, &policy, &errors);
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
	return r == 0 ? 0 : 1;
}

bool policy_has_badge(const struct policy *policy, uint32_t badge)
{
	return badge == 0 ? policy->conf->badge_count == 0 : conf_badge(policy->conf, badge) != NULL;
}

bool policy_is_admin(const struct policy *policy, uint32_t badge, uint32_t uid, uint32_t own_uid)
{
	const struct conf_badge *named = badge ? conf_badge(policy->conf, badge) : NULL;

	if (badge)
		return named && conf_number(policy->conf, named, SETTING_admin);
	return policy->conf->badge_count == 0 && (uid == 0 || uid == own_uid);
}

char *policy_badge_name(const struct policy *policy, uint32_t badge, uint32_t uid,
			char dst[LIMIT_BADGE + 1])
{
	const struct conf_badge *named = badge ? conf_badge(policy->conf, badge) : NULL;

	if (named)
		return text_copy(dst, LIMIT_BADGE + 1, named->name);
	if (badge)
		snprintf(dst, LIMIT_BADGE + 1, "badge %u, which has gone", badge);
	else
		snprintf(dst, LIMIT_BADGE + 1, "uid:%u", uid);
	return dst;
}

static uint16_t flags_of(const struct conf *conf, const struct conf_badge *badge, struct share share)
{
	unsigned flags = share.of > 1 ? POLICY_IS_SHARE : 0;

	if (conf_number(conf, badge, SETTING_allow_insecure))
		flags |= POLICY_MAY_SKIP_VERIFY;
	if (conf_number(conf, badge, SETTING_own_ca))
		flags |= POLICY_MAY_BRING_CA;
	if (conf_number(conf, badge, SETTING_own_psk))
		flags |= POLICY_MAY_BRING_PSK;
	if (conf_number(conf, badge, SETTING_own_certificate))
		flags |= POLICY_MAY_BRING_CERT;
	if (conf_get(conf, badge, SETTING_crl)->count > 0)
		flags |= POLICY_HAS_CRLS;
	if (conf_number(conf, badge, SETTING_require_ocsp_staple))
		flags |= POLICY_NEEDS_STAPLE;
	return (uint16_t)flags;
}

/* Each is one: value.c has looked.  Returns how many. */
static unsigned pins_of(const struct conf *conf, const struct conf_badge *badge,
			struct pin ret_pins[LIMIT_PINS])
{
	const struct conf_value *value = conf_get(conf, badge, SETTING_pins);

	for (unsigned i = 0; i < value->count; i++)
		(void)pin_parse(value->words[i], &ret_pins[i]);
	return value->count;
}

unsigned policy_max_workers(const struct policy *policy, uint32_t badge)
{
	return (unsigned)conf_number(policy->conf, badge ? conf_badge(policy->conf, badge) : NULL,
				     SETTING_workers);
}

/* All of them together are the number.  Nobody's is 0, but while there are more workers than there may be. */
static uint64_t share_of(uint64_t number, struct share share)
{
	return number / share.of + (share.nth < number % share.of);
}

int policy_send_worker(const struct policy *policy, uint32_t number, struct share share,
		       struct chan *worker)
{
	const struct conf *conf = policy->conf;
	const struct conf_badge *badge = number ? conf_badge(conf, number) : NULL;
	struct pin pins[LIMIT_PINS];
	const struct msg_policy body = {
		.version_min = (uint16_t)conf_number(conf, badge, SETTING_min_version),
		.flags = flags_of(conf, badge, share),
		.max_sessions = (uint32_t)share_of(conf_number(conf, badge, SETTING_max_sessions), share),
		.idle_s = (uint32_t)conf_number(conf, badge, SETTING_idle_timeout),
		.lifetime_s = (uint32_t)conf_number(conf, badge, SETTING_max_lifetime),
		.max_memory = share_of(conf_number(conf, badge, SETTING_max_memory), share),
		.pin_count = (uint16_t)pins_of(conf, badge, pins),
		.identity_count = (uint16_t)identity_files_count(conf, badge),
		.psk_count = (uint16_t)psk_files_count(conf, badge),
		.more_workers = (uint16_t)(conf_number(conf, badge, SETTING_workers) - 1),
	};
	char tail[LIMIT_CIPHERS + 1 + LIMIT_PINS_BYTES], *end;
	const struct trustfile *crls;
	int r;

	end = strchr(conf_list(conf, badge, SETTING_ciphers, tail, LIMIT_CIPHERS + 1), '\0');
	end = mempcpy(end, pins, body.pin_count * sizeof(pins[0]));
	r = chan_send(worker, MSG_POLICY, &body, tail, (size_t)(end - tail), NULL);
	if (r == 0)
		r = identity_files_send_worker(&policy->identities, conf, badge, worker);
	if (r == 0)
		r = psk_files_send_worker(conf, badge, worker);
	crls = find_crls(policy, conf_get(conf, badge, SETTING_crl));
	if (r == 0 && crls)
		r = trustfile_send(crls, worker);
	if (r < 0)
		return r;
	return trustfile_send(find_trust(policy, conf_word(conf, badge, SETTING_trust)), worker);
}

_Static_assert(LIMIT_BADGE + LIMIT_MATCHES * sizeof(struct conf_match) + LIMIT_WORDS == LIMIT_TAIL,
	       "a badge with all its matches is one message");

static void send_rule(const struct conf *conf, const struct conf_badge *badge,
		      struct chan *frontdoor)
{
	const struct msg_badge_rule body = {
		.badge = badge->number,
		.max_connections = (uint32_t)conf_number(conf, badge, SETTING_max_connections),
		.match_count = badge->match_count,
		.name_len = (uint16_t)strlen(badge->name),
		.more_workers = (uint16_t)(conf_number(conf, badge, SETTING_workers) - 1),
	};
	char *const *words = badge->scope.values[SETTING_match].words;
	char tail[LIMIT_TAIL], *at = mempcpy(tail, badge->name, body.name_len);

	at = mempcpy(at, badge->matches, badge->match_count * sizeof(*badge->matches));
	for (unsigned i = 0; i < badge->match_count; i++) {
		const char *unit = strchr(words[i], ':');

		/* They fit: value.c has looked. */
		if (badge->matches[i].kind == MATCH_UNIT)
			at = mempcpy(at, unit + 1, strlen(unit + 1) + 1);
	}
	chan_send(frontdoor, MSG_BADGE_RULE, &body, tail, (size_t)(at - tail), NULL);
}

void policy_send_frontdoor(const struct policy *policy, struct chan *frontdoor)
{
	const struct conf *conf = policy->conf;
	const struct msg_badge_rules body = {
		.count = conf->badge_count,
		.max_connections = (uint32_t)conf_number(conf, NULL, SETTING_max_connections),
	};

	chan_send_body(frontdoor, MSG_BADGE_RULES, &body);
	for (unsigned i = 0; i < conf->badge_count; i++)
		send_rule(conf, &conf->badges[i], frontdoor);
}

static void send_destinations(const struct conf *conf, const struct conf_badge *badge,
			      struct chan *connector)
{
	const struct conf_value *value = conf_get(conf, badge, SETTING_destinations);
	const struct msg_destination_rule body = {
		.badge = badge->number,
		.count = value->count,
		.flags = (uint16_t)((value->is_set ? DESTINATION_RESTRICTED : 0) |
				    (conf_number(conf, badge, SETTING_private)
					     ? DESTINATION_MAY_BE_PRIVATE
					     : 0)),
		.name_len = (uint16_t)strlen(badge->name),
		.max_session_rate = (uint32_t)conf_number(conf, badge, SETTING_max_session_rate),
	};
	char tail[LIMIT_TAIL], *at = mempcpy(tail, badge->name, body.name_len);

	/* They fit: value.c has looked. */
	for (unsigned i = 0; i < value->count; i++)
		at = mempcpy(at, value->words[i], strlen(value->words[i]) + 1);
	chan_send(connector, MSG_DESTINATION_RULE, &body, tail, (size_t)(at - tail), NULL);
}

void policy_send_connector(const struct policy *policy, struct chan *connector)
{
	const struct conf *conf = policy->conf;
	const struct msg_destination_rules body = {
		.count = conf->badge_count,
		.max_session_rate = (uint32_t)conf_number(conf, NULL, SETTING_max_session_rate),
	};

	chan_send_body(connector, MSG_DESTINATION_RULES, &body);
	for (unsigned i = 0; i < conf->badge_count; i++)
		send_destinations(conf, &conf->badges[i], connector);
}

int policy_send_keyholder(const struct policy *policy, struct chan *keyholder)
{
	return grants_send_keyholder(policy->conf, &policy->identities, &policy->psks, keyholder);
}
