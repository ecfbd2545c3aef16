#include "supervisor/pskfiles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keys/pskfile.h"

void psk_files_deinit(struct psk_files *psks)
{
	for (unsigned i = 0; i < psks->count; i++)
		secret_file_deinit(&psks->list[i]);
	free(psks->list);
	*psks = (struct psk_files){ .list = NULL };
}

/* What is in it is looked at and forgotten: it is the keyholder's. */
static int check(const struct secret_file *file, const struct conf_identity *psk,
		 struct conf_errors *errors)
{
	struct psk *read = NULL;
	const char *why = NULL;
	int r = pskfile_read(file->fd, &read, &why);

	pskfile_free(read);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		conf_error(errors, psk->scope.values[SETTING_key].place, "key: %s %s", file->path,
			   r == -EINVAL ? why : strerror(-r));
	return 0;
}

static int load_file(struct secret_file *file, const struct conf_identity *psk, const char *credentials,
		     bool check_only, struct conf_errors *errors)
{
	int r;

	*file = (struct secret_file)SECRET_FILE_NONE;
	/* What is not there at all has been said already. */
	if (psk->scope.values[SETTING_key].count == 0)
		return 0;
	r = secret_file_open(file, &psk->scope, credentials, check_only, errors);
	return r == 0 && file->fd >= 0 ? check(file, psk, errors) : r;
}

int psk_files_load(struct psk_files *ret, const struct conf *conf, const char *credentials,
		   bool check_only, struct conf_errors *errors)
{
	struct psk_files psks = { .list = calloc(conf->psk_count + 1, sizeof(*psks.list)) };
	int r = psks.list ? 0 : -ENOMEM;

	for (unsigned i = 0; r == 0 && i < conf->psk_count; i++)
		r = load_file(&psks.list[psks.count++], &conf->psks[i], credentials, check_only, errors);
	if (r < 0) {
		psk_files_deinit(&psks);
		return r;
	}
	*ret = psks;
	return 0;
}

int psk_file_renew(struct secret_file *file, const struct conf_identity *psk, const char *credentials,
		   struct conf_errors *errors)
{
	const unsigned before = errors->count;
	struct secret_file fresh;
	int r = load_file(&fresh, psk, credentials, false, errors);

	if (r == 0 && (fresh.fd < 0 || errors->count != before))
		r = -EINVAL;
	if (r < 0) {
		secret_file_deinit(&fresh);
		return r;
	}
	secret_file_deinit(file);
	*file = fresh;
	return 0;
}

unsigned psk_files_count(const struct conf *conf, const struct conf_badge *badge)
{
	unsigned count = 0;

	for (unsigned i = 0; i < conf->psk_count; i++)
		count += conf_has_psk(conf, badge, conf->psks[i].name);
	return count;
}

static int send_psk(const struct conf_identity *psk, struct chan *worker)
{
	const char *identity = psk->scope.values[SETTING_psk_identity].words[0];
	const struct msg_psk body = { .key = psk->number, .name_len = (uint16_t)strlen(psk->name) };
	char tail[LIMIT_BADGE + LIMIT_PSK_IDENTITY], *end = mempcpy(tail, psk->name, body.name_len);

	end = mempcpy(end, identity, strlen(identity));
	return chan_send(worker, MSG_PSK, &body, tail, (size_t)(end - tail), NULL);
}

int psk_files_send_worker(const struct conf *conf, const struct conf_badge *badge, struct chan *worker)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < conf->psk_count; i++) {
		if (conf_has_psk(conf, badge, conf->psks[i].name))
			r = send_psk(&conf->psks[i], worker);
	}
	return r;
}
