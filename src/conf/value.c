#include "conf/value.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/pin.h"
#include "base/text.h"
#include "conf/destination.h"
#include "conf/nearest.h"
#include "conf/unit.h"
#include "tlsbroker.h"

const struct setting_info setting_info[SETTING_COUNT] = {
#define SETTING(id, name, where, type, standard, least, most, role, doc)                           \
	{ name, where, type, standard, least, most, ROLE_##role, doc },
#include "conf/settings.def"
#undef SETTING
};

const struct cipher_info cipher_info[CONF_CIPHER_COUNT] = {
#define CIPHER(name, version, peer, secrecy) { name, version, peer, secrecy },
#include "conf/ciphers.def"
#undef CIPHER
};

/* A word of a fixed set, and what it stands for. */
struct choice {
	const char *word;
	uint64_t number;
};

static const struct choice versions[] = {
	{ "TLSv1.2", TLSB_TLS_1_2 },
	{ "TLSv1.3", TLSB_TLS_1_3 },
};

static const struct choice yes_or_no[] = { { "no", 0 }, { "yes", 1 } };

/* Somebody who is wrong is told so; what he wrote is not printed as he wrote it. */
static int refuse(struct conf_errors *errors, const struct setting_info *info,
		  struct conf_place place, const char *word, const char *what, const char *hint)
{
	char shown[80];

	conf_error(errors, place, "%s: \"%s\" %s%s", info->name,
		   text_escape_str(shown, sizeof(shown), word), what, hint);
	return -EINVAL;
}

static int choose(const struct choice *choices, size_t count, struct conf_value *value,
		  const struct setting_info *info, struct conf_place place, const char *word,
		  struct conf_errors *errors)
{
	struct nearest nearest = { .word = word };
	char what[64], hint[96];

	for (size_t i = 0; i < count; i++) {
		if (strcmp(choices[i].word, word) == 0) {
			value->number = choices[i].number;
			return 0;
		}
	}
	for (size_t i = 0; i < count; i++)
		nearest_try(&nearest, choices[i].word);
	snprintf(what, sizeof(what), "is neither %s nor %s", choices[0].word, choices[1].word);
	return refuse(errors, info, place, word, what, nearest_hint(&nearest, hint, sizeof(hint)));
}

static int take_cipher(const struct conf_value *value, const struct setting_info *info,
		       struct conf_place place, const char *word, struct conf_errors *errors)
{
	struct nearest nearest = { .word = word };
	char hint[96];

	for (unsigned i = 0; i < value->count; i++) {
		if (strcmp(value->words[i], word) == 0)
			return refuse(errors, info, place, word, "is there twice", "");
	}
	for (unsigned i = 0; i < CONF_CIPHER_COUNT; i++) {
		if (strcmp(cipher_info[i].name, word) == 0)
			return 0;
	}
	for (unsigned i = 0; i < CONF_CIPHER_COUNT; i++)
		nearest_try(&nearest, cipher_info[i].name);
	return refuse(errors, info, place, word, "is no cipher suite that can be used",
		      nearest_hint(&nearest, hint, sizeof(hint)));
}

static int take_path(const struct setting_info *info, struct conf_place place, const char *word,
		     struct conf_errors *errors)
{
	if (word[0] != '/')
		return refuse(errors, info, place, word,
			      "does not begin with /: it would depend on where the daemon starts", "");
	if (strlen(word) >= PATH_MAX)
		return refuse(errors, info, place, word, "is too long", "");
	return 0;
}

/* A file, or one of systemd's credentials; their names are systemd.exec(5)'s. */
static int take_keyfile(const struct setting_info *info, struct conf_place place, const char *word,
			struct conf_errors *errors)
{
	const size_t len = strlen(CONF_CREDENTIAL);

	if (strncmp(word, CONF_CREDENTIAL, len) != 0)
		return take_path(info, place, word, errors);
	word += len;
	if (!conf_is_name(word))
		return refuse(errors, info, place, word, "is no name of a credential", "");
	return 0;
}

bool conf_is_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				      "._-";

	return name[0] != '\0' && strlen(name) <= LIMIT_BADGE && name[strspn(name, letters)] == '\0' &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Whether there is such an identity or psk is seen when all files are read. */
static int take_name(const struct conf_value *value, const struct setting_info *info,
		     struct conf_place place, const char *word, struct conf_errors *errors)
{
	for (unsigned i = 0; i < value->count; i++) {
		if (strcmp(value->words[i], word) == 0)
			return refuse(errors, info, place, word, "is there twice", "");
	}
	return 0;
}

/* "10", and for a SIZE also "10K", "10M", "10G". */
static int take_number(struct conf_value *value, const struct setting_info *info,
		       struct conf_place place, const char *word, struct conf_errors *errors)
{
	static const char units[] = "KMG";
	size_t digits = strspn(word, "0123456789");
	const char *unit = word[digits] != '\0' ? strchr(units, word[digits]) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	uint64_t number = 0;
	char what[96];

	for (size_t i = 0; i < digits; i++)
		number = MIN(10 * number + (uint64_t)(word[i] - '0'), (uint64_t)1 << 40);
	number <<= shift;
	if (digits == 0 || word[digits + (unit ? 1 : 0)] != '\0' || (unit && info->type != SIZE))
		return refuse(errors, info, place, word,
			      info->type == SIZE ? "is no number of bytes, such as 64K, 10M or 1G"
						 : "is no number", "");
	if (number < info->least || number > info->most) {
		snprintf(what, sizeof(what), "is not from %llu to %llu",
			 (unsigned long long)info->least, (unsigned long long)info->most);
		return refuse(errors, info, place, word, what, "");
	}
	value->number = number;
	return 0;
}

static int take_unit(const struct setting_info *info, struct conf_place place, const char *word,
		     const char *name, struct conf_errors *errors)
{
	if (strchr(name, '.') == NULL)
		return refuse(errors, info, place, word,
			      "has no type at its end, such as .service or .slice", "");
	if (unit_is_name(name, strlen(name)))
		return 0;
	return refuse(errors, info, place, word,
		      "is no unit that a program can be in: no service, scope, slice, socket, mount "
		      "or swap of that name", "");
}

/* Whom a name stands for is not known here, only that it is one. */
static int take_match(const struct setting_info *info, struct conf_place place, const char *word,
		      struct conf_errors *errors)
{
	static const char *const kinds[] = { "user:", "group:", "uid:", "gid:", "unit:", "any" };
	const char *colon = strchr(word, ':');
	size_t len = colon ? (size_t)(colon - word) + 1 : strlen(word);
	char kind[64], hint[96];
	struct nearest nearest = { .word = kind };
	uint32_t id;

	text_copy(kind, MIN(sizeof(kind), len + 1), word);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		nearest_try(&nearest, kinds[i]);
		if (strcmp(kinds[i], kind) != 0)
			continue;
		if (colon && word[len] == '\0')
			return refuse(errors, info, place, word, "has nothing behind the colon", "");
		if ((strcmp(kind, "uid:") == 0 || strcmp(kind, "gid:") == 0) &&
		    text_parse_u32(word + len, 0, UINT32_MAX - 1, &id) < 0)
			return refuse(errors, info, place, word, "has no number behind the colon", "");
		if (strcmp(kind, "unit:") == 0)
			return take_unit(info, place, word, word + len, errors);
		return 0;
	}
	if (strcmp(kind, "exe:") == 0)
		return refuse(errors, info, place, word,
			      "would say nothing: who may run a program can make it do what he wants; "
			      "see POLICY.md", "");
	return refuse(errors, info, place, word,
		      "is none of user:NAME, group:NAME, uid:NUMBER, gid:NUMBER, unit:NAME and any",
		      nearest_hint(&nearest, hint, sizeof(hint)));
}

static int take_destination(const struct setting_info *info, struct conf_place place,
			    const char *word, struct conf_errors *errors)
{
	struct destination destination;
	const char *why;

	if (destination_parse(word, &destination, &why) < 0)
		return refuse(errors, info, place, word, why, "");
	return 0;
}

static int take_pin(const struct setting_info *info, struct conf_place place, const char *word,
		    struct conf_errors *errors)
{
	struct pin pin;

	if (strncmp(word, PIN_PREFIX, strlen(PIN_PREFIX)) != 0 || pin_parse(word, &pin) < 0)
		return refuse(errors, info, place, word,
			      "is not " PIN_PREFIX " and the base64 of a SHA-256", "");
	return 0;
}

static int take_text(const struct setting_info *info, struct conf_place place, const char *word,
		     struct conf_errors *errors)
{
	char what[64];

	if (strlen(word) >= info->least && strlen(word) <= info->most)
		return 0;
	snprintf(what, sizeof(what), "has not from %llu to %llu bytes",
		 (unsigned long long)info->least, (unsigned long long)info->most);
	return refuse(errors, info, place, word, what, "");
}

/* Nothing that could not be written back, or that would break a line. */
static bool is_plain(const char *word)
{
	for (const char *at = word; *at != '\0'; at++) {
		if ((unsigned char)*at < ' ' || *at == 0x7f || (at[0] == '$' && at[1] == '{'))
			return false;
	}
	return true;
}

static int understand(struct conf_value *value, const struct setting_info *info,
		      struct conf_place place, const char *word, struct conf_errors *errors)
{
	if (!is_plain(word))
		return refuse(errors, info, place, word, "has a control character in it", "");
	switch (info->type) {
	case PATH:
		return take_path(info, place, word, errors);
	case VERSION:
		return choose(versions, ARRAY_SIZE(versions), value, info, place, word, errors);
	case YESNO:
		return choose(yes_or_no, ARRAY_SIZE(yes_or_no), value, info, place, word, errors);
	case NUMBER:
	case SIZE:
		return take_number(value, info, place, word, errors);
	case TEXT:
		return take_text(info, place, word, errors);
	case CIPHERS:
		return take_cipher(value, info, place, word, errors);
	case MATCH:
		return take_match(info, place, word, errors);
	case DESTINATIONS:
		return take_destination(info, place, word, errors);
	case PINS:
		return take_pin(info, place, word, errors);
	case KEYFILE:
		return take_keyfile(info, place, word, errors);
	case NAMES:
		return take_name(value, info, place, word, errors);
	}
	return -EINVAL;
}

static int add_word(struct conf_value *value, struct conf_place place, const char *word)
{
	char **words = reallocarray(value->words, value->count + 1, sizeof(*words));
	struct conf_place *places;
	char *copy;

	if (!words)
		return -ENOMEM;
	value->words = words;
	places = reallocarray(value->places, value->count + 1, sizeof(*places));
	if (!places)
		return -ENOMEM;
	value->places = places;
	copy = strdup(word);
	if (!copy)
		return -ENOMEM;
	places[value->count] = place;
	words[value->count++] = copy;
	return 0;
}

int value_add(struct conf_value *value, const struct setting_info *info, struct conf_place place,
	      const char *word, struct conf_errors *errors)
{
	value->is_set = true;
	value->place = place;
	if (understand(value, info, place, word, errors) < 0)
		return 0;
	return add_word(value, place, word);
}

/* As they go over the wire: each with a NUL. */
static size_t bytes_of(const struct conf_value *value)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < value->count; i++)
		bytes += strlen(value->words[i]) + 1;
	return bytes;
}

void value_check(const struct conf_value *value, const struct setting_info *info,
		 struct conf_errors *errors)
{
	bool single = setting_is_single(info);

	if (!value->is_set)
		return;
	if (value->count < (single ? 1 : info->least) && !conf_errors_has(errors, value->place.line))
		conf_error(errors, value->place, "%s: there is nothing behind it", info->name);
	else if (value->count > 1 && single)
		conf_error(errors, value->place, "%s: takes one value, and not %u", info->name,
			   value->count);
	else if (!single && value->count > info->most)
		conf_error(errors, value->place, "%s: more than %llu of them", info->name,
			   (unsigned long long)info->most);
	else if (bytes_of(value) > LIMIT_WORDS)
		conf_error(errors, value->place, "%s: together they are longer than %d bytes",
			   info->name, LIMIT_WORDS);
}

int value_standard(struct conf_value *ret_value, const struct setting_info *info)
{
	const struct conf_place nowhere = { "built in", 0 };
	struct conf_errors none;
	int r = 0;

	*ret_value = (struct conf_value){ .count = 0 };
	conf_errors_init(&none);
	if (info->type == CIPHERS) {
		for (unsigned i = 0; r == 0 && i < CONF_CIPHER_COUNT; i++) {
			if (cipher_info[i].secrecy == FORWARD)
				r = value_add(ret_value, info, nowhere, cipher_info[i].name, &none);
		}
	} else if (info->standard) {
		r = value_add(ret_value, info, nowhere, info->standard, &none);
	}
	ret_value->is_set = false;
	return r;
}

void value_deinit(struct conf_value *value)
{
	for (unsigned i = 0; i < value->count; i++)
		free(value->words[i]);
	free(value->words);
	free(value->places);
	*value = (struct conf_value){ .count = 0 };
}
