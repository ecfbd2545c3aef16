#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "tools/keys.h"

static const char *purpose_of(const struct tlsb_key_info *key)
{
	return key->purpose == TLSB_KEY_TLS ? "tls" : "hash";
}

void keys_print_text(const struct key_list *list)
{
	puts("KEY         PURPOSE  HALVES   TYPE       BITS  FINGERPRINT                                          NAME");
	for (size_t i = 0; i < list->count; i++) {
		const struct tlsb_key_info *key = &list->keys[i];

		printf("%-10" PRIu32 "  %-7s  %-7s  %-8s  %5" PRIu32 "  %-51s  %s\n", key->key,
		       purpose_of(key), key->has_private ? "both" : "public", key->type, key->bits,
		       key->pin, key->name[0] ? key->name : "-");
	}
}

static json_t *key_json(const struct tlsb_key_info *key)
{
	return json_pack("{s:I, s:s, s:b, s:s, s:I, s:s, s:s}", "key", (json_int_t)key->key, "purpose",
			 purpose_of(key), "private", key->has_private != 0, "type", key->type, "bits",
			 (json_int_t)key->bits, "fingerprint", key->pin, "name", key->name);
}

int keys_print_json(const struct key_list *list)
{
	json_t *array = json_array(), *root = json_pack("{s:o}", "keys", array);
	int r = root ? 0 : -1;

	for (size_t i = 0; r == 0 && i < list->count; i++)
		r = json_array_append_new(array, key_json(&list->keys[i]));
	if (r == 0 && (json_dumpf(root, stdout, JSON_INDENT(2)) < 0 || putchar('\n') == EOF))
		r = -1;
	json_decref(root);
	return r < 0 ? -ENOMEM : 0;
}
