#include "supervisor/identityfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "keys/chain.h"

static void file_deinit(struct identity_file *file)
{
	fd_close(file->chain_fd);
	fd_close(file->key_fd);
	free(file->key_path);
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

static bool is_credential(const char *word)
{
	return strncmp(word, CONF_CREDENTIAL, strlen(CONF_CREDENTIAL)) == 0;
}

/* Where the key lies.  NULL: no memory. */
static char *path_of_key(const char *word, const char *credentials)
{
	char *path;

	if (!is_credential(word))
		return strdup(word);
	return asprintf(&path, "%s/%s", credentials, word + strlen(CONF_CREDENTIAL)) < 0 ? NULL : path;
}

/* The file, or -errno; -EPERM: everybody may read it. */
static int open_key(const char *path)
{
	/* O_NONBLOCK: a FIFO with that name must not stop the daemon. */
	cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_mode & S_IRWXO)
		return -EPERM;
	return fd_steal(&fd);
}

static const char *why(int error)
{
	switch (error) {
	case -EINVAL:
		return "is not a regular file";
	case -EFBIG:
		return "is too large for a chain of certificates";
	case -EPERM:
		return "may be read by everybody, and so is no secret";
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

static int load_key(struct identity_file *file, const struct conf_identity *identity,
		    const char *credentials, bool check_only, struct conf_errors *errors)
{
	const struct conf_value *value = value_of(identity, SETTING_key);
	const char *word = value->words[0];

	if (is_credential(word) && !credentials)
		return check_only ? 0 : complain(value, SETTING_key, word,
						 "is not there: systemd has passed no credentials",
						 errors);
	file->key_path = path_of_key(word, credentials);
	if (!file->key_path)
		return -ENOMEM;
	file->key_mark = files_mark(file->key_path);
	file->key_fd = open_key(file->key_path);
	if (file->key_fd < 0)
		complain(value, SETTING_key, file->key_path, why(file->key_fd), errors);
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
	r = chain_build(pem, len, file->key_fd, &file->chain_fd, &wrong);
	if (r == -EKEYREJECTED)
		return complain(value_of(identity, SETTING_key), SETTING_key, file->key_path, wrong,
				errors);
	if (r == -EINVAL)
		return complain(value, SETTING_certificate, path, wrong, errors);
	return r;
}

static int load_file(struct identity_file *file, const struct conf_identity *identity,
		     const char *credentials, bool check_only, struct conf_errors *errors)
{
	int r;

	*file = (struct identity_file){ .chain_fd = -1, .key_fd = -1 };
	/* What is not there at all has been said already. */
	if (value_of(identity, SETTING_key)->count == 0 ||
	    value_of(identity, SETTING_certificate)->count == 0)
		return 0;
	r = load_key(file, identity, credentials, check_only, errors);
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
	struct file_mark key = files_mark(file->key_path);
	struct file_mark chain = files_mark(value_of(identity, SETTING_certificate)->words[0]);

	return !files_same(&key, &file->key_mark) || !files_same(&chain, &file->chain_mark);
}

int identity_file_renew(struct identity_file *file, const struct conf_identity *identity,
			const char *credentials, struct conf_errors *errors)
{
	struct identity_file fresh;
	int r = load_file(&fresh, identity, credentials, false, errors);

	if (r == 0 && (fresh.chain_fd < 0 || fresh.key_fd < 0))
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

/* The badges that may use it; number 0 stands for who has none.  Returns how many. */
static uint32_t badges_with(const struct conf *conf, const char *name, uint32_t ret[LIMIT_BADGES])
{
	uint32_t count = 0;

	if (conf->badge_count == 0 && conf_has_identity(conf, NULL, name))
		ret[count++] = 0;
	for (unsigned i = 0; i < conf->badge_count; i++) {
		if (conf_has_identity(conf, &conf->badges[i], name))
			ret[count++] = conf->badges[i].number;
	}
	return count;
}

static int send_key(const struct conf_identity *identity, int key_fd, const uint32_t *badges,
		    uint32_t badge_count, struct chan *keyholder)
{
	const struct msg_key body = { .key = identity->number, .badge_count = badge_count };
	size_t len = badge_count * sizeof(*badges), name_len = strlen(identity->name);
	int fd = fcntl(key_fd, F_DUPFD_CLOEXEC, 0);
	char tail[LIMIT_GRANTS];

	if (fd < 0)
		return -errno;
	memcpy(tail, badges, len);
	memcpy(tail + len, identity->name, name_len);
	return chan_send(keyholder, MSG_KEY, &body, tail, len + name_len, &fd);
}

int identity_files_send_keyholder(const struct identity_files *identities, const struct conf *conf,
				  struct chan *keyholder)
{
	struct msg_keys body = { .count = 0 };
	uint32_t badges[LIMIT_BADGES];
	int r;

	for (unsigned i = 0; i < conf->identity_count; i++)
		body.count += badges_with(conf, conf->identities[i].name, badges) > 0;
	r = chan_send_body(keyholder, MSG_KEYS, &body);
	for (unsigned i = 0; r == 0 && i < conf->identity_count; i++) {
		uint32_t count = badges_with(conf, conf->identities[i].name, badges);

		if (count > 0)
			r = send_key(&conf->identities[i], identities->list[i].key_fd, badges, count,
				     keyholder);
	}
	return r;
}
