/*
 * The configuration: what all files say together, checked as far as their text goes.  Text in, values
 * out: this folder opens no file and asks nobody.
 *
 *   settings.def  every setting           scan.c    what libconfuse would not tell
 *   parse.c       libconfuse: the grammar  value.c   what a word means
 *   conf.c        what belongs together    dump.c    and back to text
 *   destination.c where to                 unit.c    names of systemd's units
 *   errors.c      what is wrong, all of it nearest.c and what was meant
 */
#ifndef TLSB_CONF_CONF_H
#define TLSB_CONF_CONF_H

#include <stdio.h>

#include "conf/value.h"

/* The values of one place where settings can stand. */
struct conf_scope {
	struct conf_value values[SETTING_COUNT];
};

enum match_kind { MATCH_ANY, MATCH_UID, MATCH_GID, MATCH_UNIT };

struct conf_match {
	uint32_t kind; /* enum match_kind */
	uint32_t id; /* of a unit: 0, it has a name instead */
};

struct conf_badge {
	char name[LIMIT_BADGE + 1];
	uint32_t number; /* the daemon's, never 0; from there on the badge is called by it */
	struct conf_place place;
	struct conf_scope scope;
	struct conf_match matches[LIMIT_MATCHES]; /* what the words of "match" stand for */
	unsigned match_count;
};

/* A certificate and its key, for those badges that have its name among their identities. */
struct conf_identity {
	char name[LIMIT_BADGE + 1];
	uint32_t number; /* the daemon's, never 0, nor that of a psk */
	struct conf_place place;
	struct conf_scope scope;
};

struct conf {
	struct conf_scope standard, global;
	struct conf_badge *badges; /* in the order of the files; none: each user is a badge of its own */
	unsigned badge_count;
	struct conf_identity *identities;
	unsigned identity_count;
	struct conf_identity *psks; /* pre-shared keys, for badges in the same way */
	unsigned psk_count;
	char **files; /* their names: places point to them */
	unsigned file_count;
};

/* What holds without a file.  NULL: no memory. */
struct conf *conf_new(void);

/* NULL is fine.  Returns NULL. */
struct conf *conf_free(struct conf *conf);

/*
 * Add a file: its NAME, and its TEXT of LEN bytes, which a NUL follows.  What is wrong goes to ERRORS.
 * 0 or -ENOMEM.
 */
int conf_add(struct conf *conf, const char *name, const char *text, size_t len,
	     struct conf_errors *errors);

/* When all files are there: does it fit together? */
void conf_check(const struct conf *conf, struct conf_errors *errors);

/* The administrator's command line says so: it beats the files.  0, or -EINVAL and it is in ERRORS. */
int conf_override(struct conf *conf, enum setting setting, const char *word,
		  struct conf_errors *errors);

/* What is in force for BADGE; NULL: outside of all badges. */
const struct conf_value *conf_get(const struct conf *conf, const struct conf_badge *badge,
				  enum setting setting);

/* Its only word. */
static inline const char *conf_word(const struct conf *conf, const struct conf_badge *badge,
				    enum setting setting)
{
	return conf_get(conf, badge, setting)->words[0];
}

/* Its number; 0 when nothing is set. */
static inline uint64_t conf_number(const struct conf *conf, const struct conf_badge *badge,
				   enum setting setting)
{
	return conf_get(conf, badge, setting)->number;
}

/* Its words with colons between them, as OpenSSL has lists of ciphers.  Returns DST. */
char *conf_list(const struct conf *conf, const struct conf_badge *badge, enum setting setting,
		char *dst, size_t size);

/* The badge of this number, or NULL. */
const struct conf_badge *conf_badge(const struct conf *conf, uint32_t number);

/* The identity of this name, or NULL. */
const struct conf_identity *conf_identity(const struct conf *conf, const char *name);

/* Whether BADGE, or if it is NULL who has none, may use the identity of this name. */
bool conf_has_identity(const struct conf *conf, const struct conf_badge *badge, const char *name);

/* The same for psks. */
const struct conf_identity *conf_psk(const struct conf *conf, const char *name);
bool conf_has_psk(const struct conf *conf, const struct conf_badge *badge, const char *name);

/* All that is in force, as a configuration that says the same. */
void conf_dump(const struct conf *conf, FILE *stream);

#endif
