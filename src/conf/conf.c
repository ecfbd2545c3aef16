#include "conf/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "conf/nearest.h"
#include "conf/parse.h"
#include "conf/scan.h"

struct conf *conf_new(void)
{
	struct conf *conf = calloc(1, sizeof(*conf));
	int r = conf ? 0 : -ENOMEM;

	for (unsigned i = 0; r == 0 && i < SETTING_COUNT; i++)
		r = value_standard(&conf->standard.values[i], &setting_info[i]);
	return r < 0 ? conf_free(conf) : conf;
}

static void scope_deinit(struct conf_scope *scope)
{
	for (unsigned i = 0; i < SETTING_COUNT; i++)
		value_deinit(&scope->values[i]);
}

struct conf *conf_free(struct conf *conf)
{
	if (!conf)
		return NULL;
	scope_deinit(&conf->standard);
	scope_deinit(&conf->global);
	for (unsigned i = 0; i < conf->badge_count; i++)
		scope_deinit(&conf->badges[i].scope);
	for (unsigned i = 0; i < conf->identity_count; i++)
		scope_deinit(&conf->identities[i].scope);
	for (unsigned i = 0; i < conf->psk_count; i++)
		scope_deinit(&conf->psks[i].scope);
	free(conf->badges);
	free(conf->identities);
	free(conf->psks);
	for (unsigned i = 0; i < conf->file_count; i++)
		free(conf->files[i]);
	free(conf->files);
	free(conf);
	return NULL;
}

/* The name, to live as long as the configuration; NULL: no memory. */
static const char *add_file(struct conf *conf, const char *name)
{
	char **more = reallocarray(conf->files, conf->file_count + 1, sizeof(*more));

	if (!more)
		return NULL;
	conf->files = more;
	more[conf->file_count] = strdup(name);
	if (!more[conf->file_count])
		return NULL;
	return more[conf->file_count++];
}

static int take_value(struct conf_scope *scope, const struct parsed_value *parsed,
		      const char *file, struct conf_errors *errors)
{
	const struct setting_info *info = &setting_info[parsed->setting];
	struct conf_value *value = &scope->values[parsed->setting];
	const struct conf_place place = { file, parsed->line };

	if (parsed->begins && value->is_set) {
		conf_error(errors, place, "%s: is set already, at %s:%u", info->name,
			   value->place.file, value->place.line);
		return 0;
	}
	if (parsed->text)
		return value_add(value, info, place, parsed->text, errors);
	value->is_set = true;
	value->place = place;
	return 0;
}

/* ---- badges ---- */

/* A name that can be used, and that nobody has yet at EARLIER. */
static bool is_good_name(const char *kind, const char *name, const struct conf_place *earlier,
			 struct conf_place place, struct conf_errors *errors)
{
	char shown[80];

	if (!conf_is_name(name)) {
		conf_error(errors, place, "%s \"%s\": a name has 1 to %d letters, digits, and . _ -", kind,
			   text_escape_str(shown, sizeof(shown), name), LIMIT_BADGE);
		return false;
	}
	if (earlier)
		conf_error(errors, place, "%s \"%s\": is there already, at %s:%u", kind, name,
			   earlier->file, earlier->line);
	return !earlier;
}

/* One more, or NULL: no memory, or ERRORS says why. */
static struct conf_badge *add_badge(struct conf *conf, const struct parsed_section *section,
				    const char *file, struct conf_errors *errors)
{
	const struct conf_place place = { file, section->line };
	const struct conf_place *earlier = NULL;
	struct conf_badge *badges;

	for (unsigned i = 0; i < conf->badge_count; i++) {
		if (strcmp(conf->badges[i].name, section->title) == 0)
			earlier = &conf->badges[i].place;
	}
	if (!is_good_name("badge", section->title, earlier, place, errors))
		return NULL;
	if (conf->badge_count == LIMIT_BADGES) {
		conf_error(errors, place, "badge \"%s\": there are more than %d", section->title,
			   LIMIT_BADGES);
		return NULL;
	}
	badges = reallocarray(conf->badges, conf->badge_count + 1, sizeof(*badges));
	if (!badges) {
		errors->no_memory = true;
		return NULL;
	}
	conf->badges = badges;
	badges += conf->badge_count++;
	*badges = (struct conf_badge){ .number = conf->badge_count, .place = place };
	text_copy(badges->name, sizeof(badges->name), section->title);
	return badges;
}

/* Of one section, or of none of them. */
static int take_values(struct conf_scope *scope, const struct parsed *parsed, unsigned section,
		       const char *file, struct conf_errors *errors)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < parsed->count; i++) {
		if (parsed->values[i].section == section)
			r = take_value(scope, &parsed->values[i], file, errors);
	}
	for (unsigned i = 0; r == 0 && i < SETTING_COUNT; i++) {
		if (scope->values[i].place.file == file)
			value_check(&scope->values[i], &setting_info[i], errors);
	}
	return r;
}

static int take_badge(struct conf *conf, const struct parsed *parsed, unsigned index,
		      const char *file, struct conf_errors *errors)
{
	struct conf_badge *badge = add_badge(conf, &parsed->sections[index], file, errors);
	int r;

	if (!badge)
		return errors->no_memory ? -ENOMEM : 0;
	r = take_values(&badge->scope, parsed, index + 1, file, errors);
	if (r == 0 && !badge->scope.values[SETTING_match].is_set)
		conf_error(errors, badge->place, "badge \"%s\": has no match, so it is nobody's",
			   badge->name);
	return r;
}

/* ---- identities and psks ---- */

/* What has a name by which badges are granted it. */
struct granted {
	const char *kind;
	struct conf_identity **list;
	unsigned *count, most;
	enum setting needed[2];
};

static struct granted granted_of(struct conf *conf, unsigned where)
{
	if (where == I)
		return (struct granted){ "identity", &conf->identities, &conf->identity_count,
					 LIMIT_IDENTITIES, { SETTING_certificate, SETTING_key } };
	return (struct granted){ "psk", &conf->psks, &conf->psk_count, LIMIT_PSKS,
				 { SETTING_psk_identity, SETTING_key } };
}

static const struct conf_identity *find_granted(const struct conf_identity *list, unsigned count,
						const char *name)
{
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	}
	return NULL;
}

/* As add_badge(). */
static struct conf_identity *add_granted(const struct granted *granted,
					 const struct parsed_section *section, const char *file,
					 struct conf_errors *errors)
{
	const struct conf_place place = { file, section->line };
	const struct conf_identity *earlier = find_granted(*granted->list, *granted->count,
							   section->title);
	struct conf_identity *list;

	if (!is_good_name(granted->kind, section->title, earlier ? &earlier->place : NULL, place,
			  errors))
		return NULL;
	if (*granted->count == granted->most) {
		conf_error(errors, place, "%s \"%s\": there are more than %u", granted->kind,
			   section->title, granted->most);
		return NULL;
	}
	list = reallocarray(*granted->list, *granted->count + 1, sizeof(*list));
	if (!list) {
		errors->no_memory = true;
		return NULL;
	}
	*granted->list = list;
	list += (*granted->count)++;
	*list = (struct conf_identity){ .number = *granted->count, .place = place };
	text_copy(list->name, sizeof(list->name), section->title);
	return list;
}

static int take_granted(struct conf *conf, const struct parsed *parsed, unsigned index,
			const char *file, struct conf_errors *errors)
{
	const struct granted granted = granted_of(conf, parsed->sections[index].where);
	struct conf_identity *one = add_granted(&granted, &parsed->sections[index], file, errors);
	int r;

	if (!one)
		return errors->no_memory ? -ENOMEM : 0;
	r = take_values(&one->scope, parsed, index + 1, file, errors);
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(granted.needed); i++) {
		if (!one->scope.values[granted.needed[i]].is_set)
			conf_error(errors, one->place, "%s \"%s\": has no %s", granted.kind, one->name,
				   setting_info[granted.needed[i]].name);
	}
	return r;
}

const struct conf_identity *conf_identity(const struct conf *conf, const char *name)
{
	return find_granted(conf->identities, conf->identity_count, name);
}

const struct conf_identity *conf_psk(const struct conf *conf, const char *name)
{
	return find_granted(conf->psks, conf->psk_count, name);
}

static bool has_word(const struct conf_value *value, const char *word)
{
	for (unsigned i = 0; i < value->count; i++) {
		if (strcmp(value->words[i], word) == 0)
			return true;
	}
	return false;
}

bool conf_has_identity(const struct conf *conf, const struct conf_badge *badge, const char *name)
{
	return has_word(conf_get(conf, badge, SETTING_identities), name);
}

bool conf_has_psk(const struct conf *conf, const struct conf_badge *badge, const char *name)
{
	return has_word(conf_get(conf, badge, SETTING_psks), name);
}

/* Those that somebody may use have to be there. */
static void check_granted(const struct conf_value *value, enum setting setting, const char *kind,
			  const struct conf_identity *list, unsigned count,
			  struct conf_errors *errors)
{
	for (unsigned i = 0; i < value->count; i++) {
		struct nearest nearest = { .word = value->words[i] };
		char shown[80], hint[96];

		if (find_granted(list, count, value->words[i]))
			continue;
		for (unsigned j = 0; j < count; j++)
			nearest_try(&nearest, list[j].name);
		conf_error(errors, value->place, "%s: there is no %s \"%s\"%s",
			   setting_info[setting].name, kind,
			   text_escape_str(shown, sizeof(shown), value->words[i]),
			   nearest_hint(&nearest, hint, sizeof(hint)));
	}
}

static void check_grants(const struct conf *conf, const struct conf_scope *scope,
			 struct conf_errors *errors)
{
	check_granted(&scope->values[SETTING_identities], SETTING_identities, "identity",
		      conf->identities, conf->identity_count, errors);
	check_granted(&scope->values[SETTING_psks], SETTING_psks, "psk", conf->psks, conf->psk_count,
		      errors);
}

/* With a pre-shared key there is no certificate: one who demands something of it would get no session. */
static void check_psks(const struct conf *conf, const struct conf_badge *badge,
		       struct conf_errors *errors)
{
	static const enum setting demands[] = { SETTING_pins, SETTING_crl, SETTING_require_ocsp_staple };
	const struct conf_value *psks = badge ? &badge->scope.values[SETTING_psks]
					      : &conf->global.values[SETTING_psks];

	for (unsigned i = 0; psks->count > 0 && i < ARRAY_SIZE(demands); i++) {
		const struct conf_value *value = conf_get(conf, badge, demands[i]);

		if (setting_info[demands[i]].type == YESNO ? value->number > 0 : value->count > 0)
			conf_error(errors, psks->place,
				   "psks: none of them can be used: %s demands a certificate",
				   setting_info[demands[i]].name);
	}
}

static int take_all(struct conf *conf, const struct parsed *parsed, const char *file,
		    struct conf_errors *errors)
{
	int r = take_values(&conf->global, parsed, PARSED_GLOBAL, file, errors);

	for (unsigned i = 0; r == 0 && i < parsed->section_count; i++)
		r = parsed->sections[i].where == B ? take_badge(conf, parsed, i, file, errors)
						   : take_granted(conf, parsed, i, file, errors);
	return r;
}

int conf_add(struct conf *conf, const char *name, const char *text, size_t len,
	     struct conf_errors *errors)
{
	const char *file = add_file(conf, name);
	cleanup_free_ char *plain = NULL;
	struct parsed parsed;
	int r;

	if (!file)
		return -ENOMEM;
	plain = strdup(text);
	if (!plain)
		return -ENOMEM;
	errors->file = conf->file_count - 1;
	if (conf_scan(file, plain, len, errors) < 0)
		return 0;
	r = conf_parse(file, plain, &parsed, errors);
	if (r == 0)
		r = take_all(conf, &parsed, file, errors);
	parsed_deinit(&parsed);
	return r;
}

const struct conf_value *conf_get(const struct conf *conf, const struct conf_badge *badge,
				  enum setting setting)
{
	if (badge && badge->scope.values[setting].is_set)
		return &badge->scope.values[setting];
	if (conf->global.values[setting].is_set)
		return &conf->global.values[setting];
	return &conf->standard.values[setting];
}

const struct conf_badge *conf_badge(const struct conf *conf, uint32_t number)
{
	for (unsigned i = 0; i < conf->badge_count; i++) {
		if (conf->badges[i].number == number)
			return &conf->badges[i];
	}
	return NULL;
}

/* A floor above all the ciphers that are left would let nobody connect. */
static void check_ciphers(const struct conf *conf, const struct conf_badge *badge,
			  struct conf_errors *errors)
{
	const struct conf_value *ciphers = conf_get(conf, badge, SETTING_ciphers);
	const struct conf_value *version = conf_get(conf, badge, SETTING_min_version);
	bool usable = false;

	for (unsigned i = 0; i < CONF_CIPHER_COUNT; i++) {
		for (unsigned j = 0; j < ciphers->count; j++) {
			if (strcmp(cipher_info[i].name, ciphers->words[j]) == 0 &&
			    cipher_info[i].version >= version->number)
				usable = true;
		}
	}
	if (!usable && ciphers->count > 0 && version->count > 0)
		conf_error(errors, ciphers->is_set ? ciphers->place : version->place,
			   "ciphers: none of them can be used with %s%s%s", version->words[0],
			   badge ? " in badge " : "", badge ? badge->name : "");
}

/* What the user may have is divided: each of them has to get something. */
static void check_workers(const struct conf *conf, const struct conf_badge *badge,
			  struct conf_errors *errors)
{
	const struct conf_value *workers = conf_get(conf, badge, SETTING_workers);
	const uint64_t sessions = MIN(conf_get(conf, badge, SETTING_max_sessions)->number,
				      conf_get(conf, badge, SETTING_max_memory)->number /
					      (2 * LIMIT_RING_MIN));

	if (workers->is_set && workers->number > sessions)
		conf_error(errors, workers->place,
			   "workers: with max-sessions and max-memory there can be %llu sessions, which %llu workers cannot share",
			   (unsigned long long)sessions, (unsigned long long)workers->number);
}

void conf_check(const struct conf *conf, struct conf_errors *errors)
{
	check_ciphers(conf, NULL, errors);
	check_grants(conf, &conf->global, errors);
	check_psks(conf, NULL, errors);
	for (unsigned i = 0; i < conf->badge_count; i++) {
		const struct conf_value *values = conf->badges[i].scope.values;

		check_grants(conf, &conf->badges[i].scope, errors);
		check_psks(conf, &conf->badges[i], errors);
		check_workers(conf, &conf->badges[i], errors);
		if (values[SETTING_ciphers].is_set || values[SETTING_min_version].is_set)
			check_ciphers(conf, &conf->badges[i], errors);
	}
}

int conf_override(struct conf *conf, enum setting setting, const char *word,
		  struct conf_errors *errors)
{
	static const struct conf_place place = { "command line", 0 };
	struct conf_value *value = &conf->global.values[setting];
	int r;

	value_deinit(value);
	r = value_add(value, &setting_info[setting], place, word, errors);
	return r < 0 ? r : conf_errors_result(errors);
}

char *conf_list(const struct conf *conf, const struct conf_badge *badge, enum setting setting,
		char *dst, size_t size)
{
	const struct conf_value *value = conf_get(conf, badge, setting);
	size_t len = 0;

	dst[0] = '\0';
	for (unsigned i = 0; i < value->count && len < size; i++)
		len += (size_t)snprintf(dst + len, size - len, "%s%s", i > 0 ? ":" : "",
					value->words[i]);
	return dst;
}
