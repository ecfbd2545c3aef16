/*
 * What libconfuse would let pass, and what would surprise who wrote it: it drops characters that it
 * has no use for, puts the environment's variables in, and stays inside a quotation that never ends,
 * also in the next file.  It counts the lines with remarks more than once.  So a file is looked through
 * before libconfuse gets it, and without its remarks.
 */
#ifndef TLSB_CONF_SCAN_H
#define TLSB_CONF_SCAN_H

#include "conf/errors.h"

/* TEXT of LEN bytes, which a NUL follows; its remarks become blanks.  0; or -EINVAL, and it is in ERRORS why. */
int conf_scan(const char *file, char *text, size_t len, struct conf_errors *errors);

#endif
