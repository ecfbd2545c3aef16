/*
 * libconfuse, which knows the grammar and nothing else: words in, words with their places out.  What a
 * word means is conf.c's business.  None of its functions that open files or include others is on.
 */
#ifndef TLSB_CONF_PARSE_H
#define TLSB_CONF_PARSE_H

#include "conf/errors.h"

#define PARSED_GLOBAL 0

/* One value of one setting; a list has several. */
struct parsed_value {
	unsigned setting; /* enum setting */
	unsigned section; /* PARSED_GLOBAL, or n for the nth section of this file */
	unsigned line;
	bool begins; /* the first one of an assignment, and not of one that adds (+=) */
	char *text;  /* NULL: it was set to no value at all */
};

struct parsed_section {
	unsigned where; /* B: it is a badge, I: an identity, P: a psk */
	char *title;
	unsigned line; /* where it begins; where it ends if there is nothing in it */
};

struct parsed {
	struct parsed_value *values;
	unsigned count;
	struct parsed_section *sections;
	unsigned section_count;
};

/*
 * Whatever is wrong goes to ERRORS: settings that do not exist, each of them; and the first error of
 * grammar, behind which nothing is looked at.  What was read up to there is in *ret, for
 * parsed_deinit().  0, or -ENOMEM.
 */
int conf_parse(const char *file, const char *text, struct parsed *ret, struct conf_errors *errors);

void parsed_deinit(struct parsed *parsed);

#endif
