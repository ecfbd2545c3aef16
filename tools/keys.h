/*
 * "tlsbroker-cli keys": keys that the broker holds for this user, by the library's own calls.
 */
#ifndef TLSB_TOOLS_KEYS_H
#define TLSB_TOOLS_KEYS_H

#include "tlsbroker.h"
#include "tools/exits.h"
#include "tools/options.h"

enum exit_code keys_run(const struct options *options);

/* ---- keys_print.c ---- */

struct key_list {
	struct tlsb_key_info *keys;
	size_t count;
};

void keys_print_text(const struct key_list *list);

/* 0 or -ENOMEM. */
int keys_print_json(const struct key_list *list);

#endif
