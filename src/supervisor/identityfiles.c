#include "supervisor/identityfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "keys/chain.h"

static void file_deinit(struct identity_file *file)
{
	fd_close(file->chain_fd);
	secret_file_deinit(&file->key);
}

void identity_files_deinit(struct identity_files *identities)
{
	for (unsigned i = 0; i < identities->count; i++)
		file_deinit(&identities->list[i]);
	free(identities->list);
	*identities = (struct identity_files){ .list = NULL };
}

/* ---- files ---- */

static const struct conf_value *value_of(const struct conf_identity *identity, enum setting setting)
{
	return &identity->scope.values[setting];
}

static const char *why(int error)
{
	switch (error) {
	case -EINVAL:
		return "is not a regular file";
	case -EFBIG:
		return "is too large for a chain of certificates";
	default:
		return strerror(-error);
	}
}

static int complain(const struct conf_value *value, enum setting setting, const char *path,
		    const char *what, struct conf_errors *errors)
{
	conf_error(errors, value->place, "%s: %s %s", setting_info[setting].name, path, what);
	return 0;
}

static int load_chain(struct identity_file *file, const struct conf_identity *identity,
		      struct conf_errors *errors)
{
	const struct conf_value *value = value_of(identity, SETTING_certificate);
	const char *path = value->words[0], *wrong = NULL;
	cleanup_free_ char *pem = NULL;
	size_t len = 0;
	int r = files_read(path, LIMIT_CHAIN_FILE, &pem, &len, &file->chain_mark);

	if (r < 0)
		return r == -ENOMEM ? r : complain(value, SETTING_certificate, path, why(r), errors);
	r = chain_build(pem, len, file->key.fd, &file->chain_fd, &wrong);
	if (r == -EKEYREJECTED)
		return complain(value_of(identity, SETTING_key), SETTING_key, file->key.path, wrong,
				errors);
	if (r == -EINVAL)
		return complain(value, SETTING_certificate, path, wrong, errors);
	return r;
}

static int load_file(struct identity_file *file, const struct conf_identity *identity,
		     const char *credentials, bool check_only, struct conf_errors *errors)
{
	int r;

	*file = (struct identity_file){ .chain_fd = -1, .key = SECRET_FILE_NONE };
	/* What is not there at all has been said already. */
	if (value_of(identity, SETTING_key)->count == 0 ||
	    value_of(identity, SETTING_certificate)->count == 0)
		return 0;
	r = secret_file_open(&file->key, &identity->scope, credentials, check_only, errors);
	return r == 0 ? load_chain(file, identity, errors) : r;
}

int identity_files_load(struct identity_files *ret, const struct conf *conf, const char *credentials,
			bool check_only, struct conf_errors *errors)
{
	struct identity_files identities = { .list = calloc(conf->identity_count + 1,
							sizeof(*identities.list)) };
	int r = identities.list ? 0 : -ENOMEM;

	for (unsigned i = 0; r == 0 && i < conf->identity_count; i++)
		r = load_file(&identities.list[identities.count++], &conf->identities[i],
			      credentials, check_only, errors);
	if (r < 0) {
		identity_files_deinit(&identities);
		return r;
	}
	*ret = identities;
	return 0;
}

bool identity_file_changed(const struct identity_file *file, const struct conf_identity *identity)
{
	struct file_mark key = files_mark(file->key.path);
	struct file_mark chain = files_mark(value_of(identity, SETTING_certificate)->words[0]);

	return !files_same(&key, &file->key.mark) || !files_same(&chain, &file->chain_mark);
}

int identity_file_renew(struct identity_file *file, const struct conf_identity *identity,
			const char *credentials, struct conf_errors *errors)
{
	struct identity_file fresh;
	int r = load_file(&fresh, identity, credentials, false, errors);

	if (r == 0 && (fresh.chain_fd < 0 || fresh.key.fd < 0))
		r = -EINVAL;
	if (r < 0) {
		file_deinit(&fresh);
		return r;
	}
	file_deinit(file);
	*file = fresh;
	return 0;
}

/* ---- slices ---- */

unsigned identity_files_count(const struct conf *conf, const struct conf_badge *badge)
{
	unsigned count = 0;

	for (unsigned i = 0; i < conf->identity_count; i++)
		count += conf_has_identity(conf, badge, conf->identities[i].name);
	return count;
}

int identity_files_send_worker(const struct identity_files *identities, const struct conf *conf,
			       const struct conf_badge *badge, struct chan *worker)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < conf->identity_count; i++) {
		const struct conf_identity *identity = &conf->identities[i];
		const struct msg_identity body = { .key = identity->number };
		int fd;

		if (!conf_has_identity(conf, badge, identity->name))
			continue;
		fd = fcntl(identities->list[i].chain_fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
		r = chan_send(worker, MSG_IDENTITY, &body, identity->name, strlen(identity->name),
			      &fd);
	}
	return r;
}
