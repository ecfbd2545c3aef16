/*
 * The table of settings (settings.def) as C sees it.
 */
#ifndef TLSB_CONF_SETTINGS_H
#define TLSB_CONF_SETTINGS_H

#include <stdint.h>

#include "wire/limits.h"
#include "wire/roles.h"

enum setting {
#define SETTING(id, name, where, type, standard, least, most, role, doc) SETTING_##id,
#include "conf/settings.def"
#undef SETTING
	SETTING_COUNT,
};

enum setting_where { G = 1, B = 2, I = 4, P = 8 };

enum setting_type {
	PATH,
	KEYFILE,
	VERSION,
	YESNO,
	NUMBER,
	SIZE,
	TEXT,
	CIPHERS,
	MATCH,
	DESTINATIONS,
	PINS,
	NAMES
};

struct setting_info {
	const char *name;
	unsigned where; /* set of enum setting_where */
	enum setting_type type;
	const char *standard; /* words; NULL: nothing holds when nobody says anything */
	uint64_t least, most;
	enum role role;
	const char *doc;
};

extern const struct setting_info setting_info[SETTING_COUNT];

/* Whether it has one value, and not a list of them. */
static inline int setting_is_single(const struct setting_info *info)
{
	return info->type < CIPHERS;
}

#define CONF_TRUST "/etc/ssl/certs/ca-certificates.crt"

/* A key that systemd hands over (systemd.exec(5), LoadCredential=), by its name. */
#define CONF_CREDENTIAL "credential:"

/* Columns of ciphers.def. */
enum cipher_peer { BY_CERTIFICATE = 1, BY_PSK = 2, BY_EITHER = 3 };
enum cipher_secrecy { NOT_FORWARD, FORWARD };

struct cipher_info {
	const char *name;
	uint16_t version; /* of TLS: it belongs to this one alone */
	enum cipher_peer peer;
	enum cipher_secrecy secrecy;
};

#define CONF_CIPHER_COUNT 13
extern const struct cipher_info cipher_info[CONF_CIPHER_COUNT];

#endif
