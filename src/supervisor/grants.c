#include "supervisor/grants.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Whether a badge, or NULL, has the one of this name: of identities, or of psks. */
typedef bool has_fn(const struct conf *conf, const struct conf_badge *badge, const char *name);

/* The badges that may use it; number 0 stands for who has none.  Returns how many. */
static uint32_t badges_with(const struct conf *conf, has_fn *has, const char *name,
			    uint32_t ret[LIMIT_BADGES])
{
	uint32_t count = 0;

	if (conf->badge_count == 0 && has(conf, NULL, name))
		ret[count++] = 0;
	for (unsigned i = 0; i < conf->badge_count; i++) {
		if (has(conf, &conf->badges[i], name))
			ret[count++] = conf->badges[i].number;
	}
	return count;
}

static uint32_t count_used(const struct conf *conf, has_fn *has, const struct conf_identity *list,
			   unsigned count)
{
	uint32_t badges[LIMIT_BADGES], used = 0;

	for (unsigned i = 0; i < count; i++)
		used += badges_with(conf, has, list[i].name, badges) > 0;
	return used;
}

/* Nothing, if nobody may use it. */
static int send_key(const struct conf *conf, has_fn *has, const struct conf_identity *one,
		    enum key_kind kind, int key_fd, struct chan *keyholder)
{
	uint32_t badges[LIMIT_BADGES], count = badges_with(conf, has, one->name, badges);
	const struct msg_key body = { .key = one->number, .badge_count = count, .kind = kind };
	const size_t len = count * sizeof(*badges), name_len = strlen(one->name);
	char tail[LIMIT_GRANTS];
	int fd;

	if (count == 0)
		return 0;
	fd = fcntl(key_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	memcpy(tail, badges, len);
	memcpy(tail + len, one->name, name_len);
	return chan_send(keyholder, MSG_KEY, &body, tail, len + name_len, &fd);
}

/* How many keys the programs of each badge may import. */
static int send_limits(const struct conf *conf, struct chan *keyholder)
{
	struct msg_key_limits body = { .max_keys = 0 };
	struct key_limit limits[LIMIT_BADGES];

	if (conf->badge_count == 0)
		body.max_keys = (uint32_t)conf_number(conf, NULL, SETTING_max_keys);
	for (unsigned i = 0; i < conf->badge_count; i++)
		limits[i] = (struct key_limit){
			.badge = conf->badges[i].number,
			.max_keys = (uint32_t)conf_number(conf, &conf->badges[i], SETTING_max_keys),
		};
	return chan_send(keyholder, MSG_KEY_LIMITS, &body, limits, conf->badge_count * sizeof(limits[0]),
			 NULL);
}

int grants_send_keyholder(const struct conf *conf, const struct identity_files *identities,
			  const struct psk_files *psks, struct chan *keyholder)
{
	const struct msg_keys body = {
		.count = count_used(conf, conf_has_identity, conf->identities, conf->identity_count) +
			 count_used(conf, conf_has_psk, conf->psks, conf->psk_count),
	};
	int r = chan_send_body(keyholder, MSG_KEYS, &body);

	for (unsigned i = 0; r == 0 && i < conf->identity_count; i++)
		r = send_key(conf, conf_has_identity, &conf->identities[i], KEY_PRIVATE,
			     identities->list[i].key.fd, keyholder);
	for (unsigned i = 0; r == 0 && i < conf->psk_count; i++)
		r = send_key(conf, conf_has_psk, &conf->psks[i], KEY_PSK, psks->list[i].fd, keyholder);
	return r < 0 ? r : send_limits(conf, keyholder);
}
