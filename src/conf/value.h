/*
 * What words mean, by the type of their setting.
 */
#ifndef TLSB_CONF_VALUE_H
#define TLSB_CONF_VALUE_H

#include "conf/errors.h"
#include "conf/settings.h"

struct conf_value {
	bool is_set;
	struct conf_place place; /* of its last word */
	char **words;            /* as they were written */
	struct conf_place *places; /* of each of them */
	unsigned count;
	uint64_t number; /* of the last one: VERSION (as in tlsbroker.h), YESNO, NUMBER, SIZE */
};

/* One more word.  What is wrong with it goes to ERRORS; only then it is left out.  0 or -ENOMEM. */
int value_add(struct conf_value *value, const struct setting_info *info, struct conf_place place,
	      const char *word, struct conf_errors *errors);

/* When there are no more: are there enough, and not too many? */
void value_check(const struct conf_value *value, const struct setting_info *info,
		 struct conf_errors *errors);

/* What holds when nobody says anything.  0 or -ENOMEM. */
int value_standard(struct conf_value *ret_value, const struct setting_info *info);

/* Whether badges, identities and the like may be called so: letters, digits, and . _ - */
bool conf_is_name(const char *name);

void value_deinit(struct conf_value *value);

#endif
